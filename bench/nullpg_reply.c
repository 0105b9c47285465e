/* Replies, written behind each other into the thread's buffer. */
#include <stdio.h>
#include <strings.h>

#include "nullpg.h"

uint8_t *reply_open(struct worker *w, char type)
{
	uint8_t *start = w->reply + w->reply_length;

	start[0] = (uint8_t)type;
	w->reply_length += 5;
	return start;
}

void reply_bytes(struct worker *w, const void *bytes, size_t length)
{
	memcpy(w->reply + w->reply_length, bytes, length);
	w->reply_length += length;
}

static void reply_text(struct worker *w, const char *text)
{
	reply_bytes(w, text, strlen(text) + 1);
}

void reply_close(struct worker *w, uint8_t *start)
{
	be32_put(start + 1, (uint32_t)(w->reply + w->reply_length - start - 1));
}

void reply_tag(struct worker *w, const char *tag)
{
	uint8_t *start = reply_open(w, 'C');

	reply_text(w, tag);
	reply_close(w, start);
}

void reply_parameter(struct worker *w, const char *name, const char *value)
{
	uint8_t *start = reply_open(w, 'S');

	reply_text(w, name);
	reply_text(w, value);
	reply_close(w, start);
}

void reply_ready(struct worker *w, const struct conn *c)
{
	reply_bytes(w, (const uint8_t[]){ 'Z', 0, 0, 0, 5, (uint8_t)c->status }, 6);
}

void reply_error(struct worker *w, const char *sqlstate, const char *text)
{
	uint8_t *start = reply_open(w, 'E');

	reply_text(w, "SERROR");
	reply_text(w, "VERROR");
	reply_bytes(w, "C", 1);
	reply_text(w, sqlstate);
	reply_bytes(w, "M", 1);
	reply_text(w, text);
	reply_bytes(w, "", 1);
	reply_close(w, start);
}

/* `count` columns of text, and one row of `values`, if there are any; as a Query is answered. */
static void reply_table(struct worker *w, unsigned count, const char *const *values)
{
	static const uint8_t text_column[] = "?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0";
	uint8_t *start = reply_open(w, 'T');

	be16_put(w->reply + w->reply_length, (uint16_t)count);
	w->reply_length += 2;
	for (unsigned i = 0; i < count; i++)
		reply_bytes(w, text_column, sizeof(text_column));
	reply_close(w, start);
	if (values) {
		start = reply_open(w, 'D');
		be16_put(w->reply + w->reply_length, (uint16_t)count);
		w->reply_length += 2;
		for (unsigned i = 0; i < count; i++) {
			be32_put(w->reply + w->reply_length, (uint32_t)strlen(values[i]));
			w->reply_length += 4;
			reply_bytes(w, values[i], strlen(values[i]));
		}
		reply_close(w, start);
	}
	reply_tag(w, values ? "SELECT 1" : "SELECT 0");
}

void reply_columns(struct worker *w)
{
	static const uint8_t one_integer[] = "T\0\0\0\x21\0\1?column?\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0";

	reply_bytes(w, one_integer, sizeof(one_integer));
}

void reply_row(struct worker *w)
{
	static const uint8_t one[] = "D\0\0\0\x0b\0\1\0\0\0\1"
				     "1";

	reply_bytes(w, one, sizeof(one) - 1);
}

/* Answer what pgweir asks of its own accord, told apart by words of its texts
 * (src/session). An answer of another shape is that of a broken server to it. */
void answer_inquiry(struct worker *w, const char *text)
{
	static const struct {
		const char *word;
		unsigned columns;
		const char *values[3]; /* NULL: no row */
	} inquiries[] = {
		{ "pg_is_in_recovery()", 2, { "f", "off" } }, /* suit.c */
		{ "evtevent", 3,
			{ "s", "work_mem", "8192" } }, /* question.c: what connect_query of `instructions` SETs */
		{ "superuser_reserved_connections", 3, { "10000", "0", "0" } }, /* monitor.c, and the next three */
		{ "rolconnlimit", 2, { NULL } },
		{ "datconnlimit", 2, { NULL } },
		{ "pg_stat_activity", 6, { NULL } },
	};
	size_t i = 0;

	while (i < sizeof(inquiries) / sizeof(inquiries[0]) && !strstr(text, inquiries[i].word))
		i++;
	if (i < sizeof(inquiries) / sizeof(inquiries[0]))
		reply_table(w, inquiries[i].columns, inquiries[i].values[0] ? inquiries[i].values : NULL);
	else
		reply_table(w, 3, NULL); /* catalog_query.c, question.c: nothing to tell */
}

/* Answer `SET [SESSION|LOCAL] name {=|TO} value`, the name quoted or not, or what follows the quote of
 * `set_config('name', 'value', ..)`, as PostgreSQL reports it. */
void report_set(struct worker *w, const char *text)
{
	static const char *const reported[] = { "client_encoding", "DateStyle", "TimeZone", "IntervalStyle",
		"standard_conforming_strings", "application_name" };
	char value[64] = "";
	size_t length = 0;

	text += strspn(text, " \t\n;");
	if (strncasecmp(text, "set ", 4) == 0)
		text += 4;
	text += strspn(text, " ");
	if (strncasecmp(text, "session ", 8) == 0)
		text += 8;
	else if (strncasecmp(text, "local ", 6) == 0)
		text += 6;
	text += strspn(text, "\"");
	for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++) {
		size_t name = strlen(reported[i]);

		if (strncasecmp(text, reported[i], name) != 0)
			continue;
		text += name;
		text += strspn(text, " =',\"");
		if (strncasecmp(text, "to ", 3) == 0)
			text += 3;
		text += strspn(text, " '");
		length = strcspn(text, "';");
		if (length >= sizeof(value))
			length = sizeof(value) - 1;
		memcpy(value, text, length);
		reply_parameter(w, reported[i], value);
		return;
	}
}
