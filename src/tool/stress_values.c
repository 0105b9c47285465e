#include "tool/stress_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tool/memory.h"

#define COLUMNS_MAX 32
#define ROWS_MAX    1000000

struct values {
	char *bytes;  /* all cells, each with its end */
	char **cells; /* into `bytes`, row after row */
	size_t columns, rows;
};

struct parser {
	const uint8_t *at, *end;
	char *out;
	size_t line;
};

/* One cell. The letter after it, ',' '\n' or 0 for the end; -1: it is broken. */
static int read_cell(struct parser *p)
{
	bool quoted = p->at < p->end && *p->at == '"';

	p->at += quoted;
	while (p->at < p->end) {
		uint8_t c = *p->at++;

		if (quoted && c == '"') {
			if (p->at < p->end && *p->at == '"') {
				p->at++;
			} else {
				quoted = false;
				continue;
			}
		} else if (!quoted && c == ',') {
			*p->out++ = 0;
			return ',';
		} else if (!quoted && (c == '\n' || (c == '\r' && p->at < p->end && *p->at == '\n'))) {
			p->at += c == '\r';
			p->line++;
			*p->out++ = 0;
			return '\n';
		}
		if (c < ' ' || c == 0x7f)
			return -1;
		*p->out++ = (char)c;
	}
	*p->out++ = 0;
	return quoted ? -1 : 0;
}

static bool fail(struct values **v, char *error, size_t error_size, size_t line, const char *what)
{
	text_format(error, error_size, "line %zu: %s", line, what);
	values_free(*v);
	*v = NULL;
	return false;
}

static bool read_rows(struct values **values, struct parser *p, char *error, size_t error_size)
{
	struct values *v = *values;
	size_t count = 0, room = 0, in_row = 0;

	while (p->at < p->end || in_row > 0) {
		size_t line = p->line;
		char *begins = p->out;
		int after = read_cell(p);

		if (after < 0)
			return fail(values, error, error_size, line, "a quote without its end, or a control character");
		if (count == room) {
			room = room ? 2 * room : 256;
			v->cells = memory_got(reallocarray(v->cells, room, sizeof *v->cells));
		}
		v->cells[count++] = begins;
		in_row++;
		if (after == ',')
			continue;
		if (v->columns == 0)
			v->columns = in_row;
		if (in_row != v->columns || v->columns > COLUMNS_MAX || count / v->columns > ROWS_MAX)
			return fail(values, error, error_size, line,
				"each row wants as many values as the first has names, 32 at most, and a million rows are the most");
		in_row = 0;
	}
	if (count <= v->columns)
		return fail(
			values, error, error_size, p->line, "there are names, or nothing at all, and no row of values");
	v->rows = count / v->columns - 1;
	return true;
}

struct values *values_read(struct span text, char *error, size_t error_size)
{
	struct values *v = memory_new(1, sizeof *v);
	struct parser p = { .at = text.at, .end = text.at + text.length, .line = 1 };

	/* Of each letter one byte at most is kept, of each cell one more: its end stands where its comma was. */
	v->bytes = p.out = memory_new(text.length + 2, 1);
	return read_rows(&v, &p, error, error_size) ? v : NULL;
}

void values_free(struct values *v)
{
	if (!v)
		return;
	free(v->bytes);
	free(v->cells);
	free(v);
}

const char *values_at(const struct values *v, struct span name, uint64_t serial)
{
	for (size_t i = 0; i < v->columns; i++) {
		if (span_is(name, v->cells[i]))
			return v->cells[(1 + (serial - 1) % v->rows) * v->columns + i];
	}
	return NULL;
}
