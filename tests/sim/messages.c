/* Messages of the protocol, as a backend says them and as they are read. */
#include "session.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

void say_body(struct bytes *out, char type, const void *body, size_t n)
{
	uint32_t length = (uint32_t)n + 4;
	uint8_t head[5] = { (uint8_t)type, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
		(uint8_t)length };

	bytes_add(out, head, 5);
	bytes_add(out, body, n);
}

void say_empty(struct bytes *out, char type)
{
	say_body(out, type, NULL, 0);
}

void say_text(struct bytes *out, char type, const char *text)
{
	say_body(out, type, text, strlen(text) + 1);
}

void say_ready(struct bytes *out, char status)
{
	say_body(out, 'Z', &status, 1);
}

void say_error(struct bytes *out, char type, const char *severity, const char *sqlstate, const char *message)
{
	char body[600];
	size_t n = 0;

	n += (size_t)snprintf(body + n, sizeof body - n, "S%s", severity) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "V%s", severity) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "C%s", sqlstate) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "M%.450s", message) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "Rexec_simple_query") + 1;
	body[n++] = 0;
	say_body(out, type, body, n);
}

void say_setting(struct bytes *out, const char *name, const char *value)
{
	char body[200];
	size_t n = 0;

	n += (size_t)snprintf(body + n, sizeof body - n, "%s", name) + 1;
	n += (size_t)snprintf(body + n, sizeof body - n, "%s", value) + 1;
	say_body(out, 'S', body, n);
}

void say_row_description(struct bytes *out)
{
	static const uint8_t body[] = { 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, 0 };

	say_body(out, 'T', body, sizeof body);
}

void say_row(struct bytes *out, const char *text, size_t width)
{
	size_t n = strlen(text), length = width > n ? width : n;
	uint8_t *body = mine_new(6 + length);

	body[1] = 1;
	body[2] = (uint8_t)(length >> 24);
	body[3] = (uint8_t)(length >> 16);
	body[4] = (uint8_t)(length >> 8);
	body[5] = (uint8_t)length;
	for (size_t i = 0; i < length; i++)
		body[6 + i] = (uint8_t)(n > 0 ? text[i % n] : '.');
	say_body(out, 'D', body, 6 + length);
	mine_free(body);
}

void say_tag(struct bytes *out, const char *tag, unsigned n, bool counted)
{
	char text[60];

	snprintf(text, sizeof text, counted ? "%s %u" : "%s", tag, n);
	say_text(out, 'C', text);
}

void say_fields(struct bytes *out, const char *const fields[3])
{
	uint8_t body[300] = { 0, 3 };
	size_t n = 2;

	for (int i = 0; i < 3; i++) {
		size_t length = fields[i] ? strlen(fields[i]) : 0;

		memset(body + n, fields[i] ? 0 : 0xff, 4);
		if (fields[i])
			body[n + 3] = (uint8_t)length;
		n += 4;
		if (fields[i])
			memcpy(body + n, fields[i], length);
		n += length;
	}
	say_body(out, 'D', body, n);
}

bool message_next(struct span bytes, char *type, struct span *body, size_t *total)
{
	uint32_t length;

	if (bytes.length < 5)
		return false;
	length = (uint32_t)bytes.at[1] << 24 | (uint32_t)bytes.at[2] << 16 | (uint32_t)bytes.at[3] << 8 | bytes.at[4];
	if (length < 4)
		length = 4;
	*type = (char)bytes.at[0];
	*total = 1 + (size_t)length;
	if (bytes.length < *total)
		return false;
	*body = span_of(bytes.at + 5, length - 4);
	return true;
}

const char *error_field(struct span body, char field, char out[300])
{
	const uint8_t *at = body.at, *end = at + body.length;

	out[0] = 0;
	while (at < end && *at) {
		size_t n = strnlen((const char *)at + 1, (size_t)(end - at - 1));

		if ((char)*at == field)
			snprintf(out, 300, "%.*s", (int)n, (const char *)at + 1);
		at += n + 2;
	}
	return out;
}

int tag_of(const char *text)
{
	for (; *text; text++)
		if ((text[0] == '\'' || text[0] == '*') && text[1] == 'c' && isdigit((unsigned char)text[2]))
			return (int)strtol(text + 2, NULL, 10);
	return -1;
}
