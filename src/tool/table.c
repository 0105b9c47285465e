#include "tool/table.h"

#include <stdlib.h>

#include "base/text.h"
#include "tool/memory.h"

/* Names and statements are chosen by whoever connects. Before such a text reaches a terminal, everything in it that is not plainly
 * a letter is written out: ESC begins commands to the terminal, a carriage return overwrites what was said before, and an override of
 * the writing direction makes a name look like another. What remains counts as one column per letter, which is wrong for wide letters
 * alone, and only their table's edges show it. */

struct letter {
	uint32_t code;
	size_t length; /* in bytes; 1 where it is no UTF-8 */
	bool valid;
};

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static struct letter letter_at(struct span text)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t lead = text.at[0];
	size_t length = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : 2;
	uint32_t code = length == 1 ? lead : lead & (0xffU >> (length + 1));

	if ((lead >= 0x80 && lead < 0xc2) || lead >= 0xf8 || length > text.length)
		return (struct letter){ .code = lead, .length = 1 };
	for (size_t i = 1; i < length; i++) {
		if ((text.at[i] & 0xc0) != 0x80)
			return (struct letter){ .code = lead, .length = 1 };
		code = code << 6 | (text.at[i] & 0x3f);
	}
	if (code < least[length] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return (struct letter){ .code = lead, .length = 1 };
	return (struct letter){ .code = code, .length = length, .valid = true };
}

/* One letter as it is shown; returns how many bytes. `out` has room for 12. */
static size_t show_letter(char out[12], struct letter letter, const uint8_t *bytes)
{
	if (!letter.valid || letter.code < 0x20 || letter.code == 0x7f)
		return text_format(out, 12, "\\x%02x", (unsigned)letter.code);
	if ((letter.code >= 0x80 && letter.code < 0xa0) || text_is_unseen(letter.code))
		return text_format(out, 12, "\\u{%x}", (unsigned)letter.code);
	if (letter.code == '\\')
		return text_copy(out, 12, "\\\\");
	memcpy(out, bytes, letter.length);
	return letter.length;
}

static bool is_space(uint32_t code)
{
	return code == ' ' || (code >= '\t' && code <= '\r');
}

static size_t show(char *out, size_t size, size_t most, struct span from, bool one_line)
{
	/* safe: where "..." can still go, should the next letter not fit. */
	size_t length = 0, letters = 0, safe = 0;

	if (size == 0)
		return 0;
	if (one_line)
		from = text_trim(from);
	while (from.length > 0) {
		struct letter letter = letter_at(from);
		char shown[12];
		size_t n;

		n = show_letter(shown, letter, from.at);
		if (one_line && is_space(letter.code)) {
			n = text_copy(shown, sizeof shown, " ");
			while (from.length > 1 && is_space(from.at[1]))
				from = span_skip(from, 1);
		}
		if (length + n > size - 1 || (most > 0 && letters + (n > letter.length ? n : 1) > most)) {
			length = safe + text_copy(out + safe, size - safe, "...");
			break;
		}
		memcpy(out + length, shown, n);
		length += n;
		letters += n > letter.length ? n : 1;
		if (length + 3 <= size - 1 && (most == 0 || letters + 3 <= most))
			safe = length;
		from = span_skip(from, letter.length);
	}
	out[length] = 0;
	return length;
}

size_t show_text(char *out, size_t size, size_t most, struct span from)
{
	return show(out, size, most, from, false);
}

size_t show_sql(char *out, size_t size, size_t most, struct span from)
{
	return show(out, size, most, from, true);
}

size_t show_utf8(char *out, size_t size, struct span from)
{
	size_t length = 0;

	if (size == 0)
		return 0;
	while (from.length > 0) {
		struct letter letter = letter_at(from);
		struct span bytes = letter.valid ? span_of(from.at, letter.length) : span_text("\xef\xbf\xbd");

		if (length + bytes.length > size - 1)
			break;
		memcpy(out + length, bytes.at, bytes.length);
		length += bytes.length;
		from = span_skip(from, letter.length);
	}
	out[length] = 0;
	return length;
}

void show_lines(FILE *to, const char *before, const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");
		char shown[1000];

		show_text(shown, sizeof shown, 0, span_of(lines, length));
		fprintf(to, "%s%s\n", before, shown);
		before = "  ";
		lines += length;
		lines += strspn(lines, " \t\n");
	}
}

int usage_error(const char *tool, const char *what, const char *detail)
{
	char shown[300];

	show_text(shown, sizeof shown, 0, span_text(detail));
	fprintf(stderr, "pgweir %s: %s%s\nTry: pgweir %s --help\n", tool, what, shown, tool);
	return 2;
}

struct table {
	const struct table_column *columns;
	size_t count, rows, rows_max;
	size_t *widths; /* of each column, in letters */
	char **cells;   /* rows x count */
};

static size_t letters_of(const char *text)
{
	size_t letters = 0;

	for (; *text; text++)
		letters += ((uint8_t)*text & 0xc0) != 0x80;
	return letters;
}

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = memory_new(1, sizeof *table);

	table->columns = columns;
	table->count = count;
	table->widths = memory_new(count, sizeof *table->widths);
	for (size_t i = 0; i < count; i++)
		table->widths[i] = letters_of(columns[i].title);
	return table;
}

void table_add(struct table *table, const char *const *cells)
{
	if (table->rows == table->rows_max) {
		table->rows_max = table->rows_max ? table->rows_max * 2 : 16;
		table->cells = memory_got(
			reallocarray(table->cells, table->rows_max * table->count, sizeof *table->cells));
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t letters = letters_of(cells[i]);

		table->cells[table->rows * table->count + i] = memory_got(strdup(cells[i]));
		if (letters > table->widths[i])
			table->widths[i] = letters;
	}
	table->rows++;
}

/* No spaces behind the last column: a terminal would break the line for them. */
static void print_cell(const struct table *table, size_t column, const char *text, FILE *to)
{
	int blank = (int)(table->widths[column] - letters_of(text));

	if (column > 0)
		fputs("  ", to);
	if (table->columns[column].right)
		fprintf(to, "%*s", blank, "");
	fputs(text, to);
	if (!table->columns[column].right && column + 1 < table->count)
		fprintf(to, "%*s", blank, "");
}

void table_print(const struct table *table, FILE *to)
{
	for (size_t i = 0; i < table->count; i++)
		print_cell(table, i, table->columns[i].title, to);
	fputc('\n', to);
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t i = 0; i < table->count; i++)
			print_cell(table, i, table->cells[row * table->count + i], to);
		fputc('\n', to);
	}
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->rows * table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->widths);
	free(table);
}
