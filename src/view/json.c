#include "view/json.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/reader.h"
#include "base/text.h"
#include "view/table.h"

/* A SHOW fills DataRows, whatever it is asked for; here each of them is read again and written as an object. So there is one table for
 * each SHOW and not two, and what the console tells is what a page tells. */

bool json_text(struct buf *out, struct span text)
{
	bool ok = buf_add(out, "\"", 1);

	while (ok && text.length > 0) {
		size_t n = text_utf8(text);
		uint8_t c = text.at[0];

		if (n == 0)
			ok = buf_add(out, "\xef\xbf\xbd", 3);
		else if (c == '"' || c == '\\')
			ok = buf_format(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			ok = buf_format(out, "\\u%04x", c);
		else
			ok = buf_add(out, text.at, n);
		text = span_skip(text, n ? n : 1);
	}
	return ok && buf_add(out, "\"", 1);
}

/* As RFC 8259, section 6 has it, but for exponents: nothing else is a number to everybody who reads it. */
static bool is_number(struct span text)
{
	size_t i = text.length > 0 && text.at[0] == '-', digits = 0, point = 0;

	for (; i < text.length; i++) {
		if (text.at[i] == '.' && digits > 0 && !point)
			point = i;
		else if (text.at[i] >= '0' && text.at[i] <= '9')
			digits++;
		else
			return false;
	}
	return digits > 0 && text.at[text.length - 1] != '.';
}

static bool add_field(struct buf *out, const struct column *column, struct reader *r, bool first)
{
	uint32_t length = read_u32(r);
	struct span value = length == UINT32_MAX ? span_of("", 0) : read_bytes(r, length);

	if ((!first && !buf_add(out, ",", 1)) || !json_text(out, span_text(column->name)) || !buf_add(out, ":", 1))
		return false;
	if (length == UINT32_MAX || (column_type(column) != TEXT && !is_number(value)))
		return buf_add(out, "null", 4);
	return column_type(column) == TEXT ? json_text(out, value) : buf_add_span(out, value);
}

/* The table in its order, with `most` rows: those that come first by their rank. */
static struct breakdown_row *choose(const struct snapshot *snapshot, size_t most, size_t *count)
{
	struct breakdown_row *rows = calloc(most + 1, sizeof *rows);

	*count = 0;
	for (size_t i = 0; rows && i < snapshot->breakdown_count && *count < most; i++)
		if (snapshot->breakdowns[i].rank < most)
			rows[(*count)++] = snapshot->breakdowns[i];
	return rows;
}

static bool write_rows(
	struct buf *out, const struct snapshot *snapshot, const struct show *show, size_t most, uint64_t *left_out)
{
	struct buf rows = { 0 };
	struct writer w = writer_to(&rows);
	size_t count = 0;
	struct reader r;
	bool ok;

	*left_out = 0;
	show_rows(&w, snapshot, show);
	ok = writer_ok(&w) && buf_add(out, "[", 1);
	r = reader_of(buf_span(&rows));
	for (; ok && reader_left(&r) > 0; count++) {
		struct span body;
		struct reader fields;

		check(read_u8(&r) == 'D');
		body = read_bytes(&r, read_u32(&r) - 4);
		if (count >= most) {
			++*left_out;
			continue;
		}
		fields = reader_of(body);
		check(read_u16(&fields) == show->column_count);
		ok = buf_add(out, count ? ",\n{" : "\n{", count ? 3 : 2);
		for (size_t i = 0; ok && i < show->column_count; i++)
			ok = add_field(out, &show->columns[i], &fields, i == 0);
		check(!ok || reader_done(&fields));
		ok = ok && buf_add(out, "}", 1);
	}
	buf_fini(&rows);
	return ok && buf_add(out, "]", 1);
}

bool json_rows(struct buf *out, const struct snapshot *snapshot, const char *what, size_t most, uint64_t *left_out)
{
	const struct show *show = show_find(what);
	struct snapshot some = *snapshot;
	bool ok;

	check(show != NULL);
	if (strcmp(what, "breakdowns") != 0 || snapshot->breakdown_count <= most)
		return write_rows(out, snapshot, show, most, left_out);
	some.breakdowns = choose(snapshot, most, &some.breakdown_count);
	ok = some.breakdowns && write_rows(out, &some, show, most, left_out);
	*left_out = snapshot->breakdown_count - some.breakdown_count;
	free(some.breakdowns);
	return ok;
}

static const char *yes_or_no(bool yes)
{
	return yes ? "true" : "false";
}

bool json_snapshot(struct buf *out, const struct snapshot *snapshot)
{
	static const char *const tables[] = { "pools", "stats", "budget", "origins", "leases", "pins", "leaks", "reaps",
		"mem", "breakdowns" };
	uint64_t left_out[sizeof tables / sizeof *tables];
	bool ok = buf_add(out, "{\"version\":", 11) && json_text(out, span_text(snapshot->version)), first = true;

	ok = ok &&
		buf_format(out, ",\n\"time\":%.3f,\"started\":%.3f,\"uptime\":%.3f,",
			(double)snapshot->wall / SECOND_US, (double)snapshot->started_wall / SECOND_US,
			(double)(snapshot->wall - snapshot->started_wall) / SECOND_US) &&
		buf_format(out, "\"draining\":%s,\"paused\":%s,", yes_or_no(snapshot->shutting_down),
			yes_or_no(snapshot->paused)) &&
		buf_format(out,
			"\"clients\":%u,\"clients_login\":%u,\"clients_at_door\":%u,\"clients_max\":%llu,\"servers\":%u",
			snapshot->clients_total, snapshot->clients_login, snapshot->clients_at_door,
			(unsigned long long)snapshot->clients_max, snapshot->servers_total);
	for (size_t i = 0; ok && i < sizeof tables / sizeof *tables; i++)
		ok = buf_format(out, ",\n\"%s\":", tables[i]) &&
			json_rows(out, snapshot, tables[i], JSON_ROWS_MOST, &left_out[i]);
	ok = ok && buf_format(out, ",\n\"left_out\":{");
	for (size_t i = 0; ok && i < sizeof tables / sizeof *tables; i++) {
		if (left_out[i] == 0)
			continue;
		ok = buf_format(out, "%s\"%s\":%llu", first ? "" : ",", tables[i], (unsigned long long)left_out[i]);
		first = false;
	}
	return ok && buf_format(out, "}}\n");
}
