#include "wire/message.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/reader.h"

/* Messages as bytes, nothing else: which message is right at which time is decided elsewhere.
 *
 * Builders write to a writer that gives up whole (see base/writer.c), so none of them can fail by itself;
 * their caller asks once. Parsers read a body in a straight line and say once whether it was sound.
 *
 * (PostgreSQL manual, "Message Formats" and "Error and Notice Message Fields".) */

static const char *const severities[] = {
	[SEVERITY_FATAL] = "FATAL",
	[SEVERITY_ERROR] = "ERROR",
	[SEVERITY_WARNING] = "WARNING",
	[SEVERITY_NOTICE] = "NOTICE",
};

static void complaint_field(struct writer *w, char field, const char *text)
{
	if (text == NULL)
		return;
	write_u8(w, (uint8_t)field);
	write_string(w, text);
}

void message_complaint(struct writer *w, const struct complaint *c)
{
	bool notice = c->severity == SEVERITY_WARNING || c->severity == SEVERITY_NOTICE;
	size_t mark = message_begin(w, notice ? 'N' : 'E');

	complaint_field(w, 'S', severities[c->severity]);
	complaint_field(w, 'V', severities[c->severity]);
	complaint_field(w, 'C', c->sqlstate);
	complaint_field(w, 'M', c->message);
	complaint_field(w, 'D', c->detail);
	complaint_field(w, 'H', c->hint);
	complaint_field(w, 'R', c->routine);
	write_u8(w, 0);
	message_end(w, mark);
}

bool message_read_complaint(struct span body, struct complaint_fields *out)
{
	struct reader r = reader_of(body);
	struct span none = span_of("", 0), severity = none;
	uint8_t field;

	*out = (struct complaint_fields){ none, none, none, none, none, none };
	while ((field = read_u8(&r)) != 0) {
		struct span text = read_string(&r);

		switch (field) {
		case 'S':
			severity = text;
			break;
		case 'V':
			out->severity = text;
			break;
		case 'C':
			out->sqlstate = text.length == SQLSTATE_LENGTH ? text : none;
			break;
		case 'M':
			out->message = text;
			break;
		case 'D':
			out->detail = text;
			break;
		case 'H':
			out->hint = text;
			break;
		case 'R':
			out->routine = text;
			break;
		}
	}
	/* 'V' is never translated, and is missing before PostgreSQL 9.6. */
	if (out->severity.length == 0)
		out->severity = severity;
	return reader_done(&r);
}

void message_authentication(struct writer *w, uint32_t code, struct span data)
{
	size_t mark = message_begin(w, 'R');

	write_u32(w, code);
	write_span(w, data);
	message_end(w, mark);
}

void message_parameter_status(struct writer *w, const char *name, const char *value)
{
	size_t mark = message_begin(w, 'S'), name_size = strlen(name) + 1, value_size = strlen(value) + 1;
	uint8_t *at = write_room(w, name_size + value_size);

	if (at) {
		memcpy(at, name, name_size);
		memcpy(at + name_size, value, value_size);
	}
	message_end(w, mark);
}

void message_backend_key(struct writer *w, uint32_t process_id, struct span secret)
{
	size_t mark = message_begin(w, 'K');

	write_u32(w, process_id);
	write_span(w, secret);
	message_end(w, mark);
}

void message_ready(struct writer *w, char status)
{
	size_t mark = message_begin(w, 'Z');

	write_u8(w, (uint8_t)status);
	message_end(w, mark);
}

void message_negotiate(struct writer *w, uint32_t minor_protocol, size_t count, struct span unknown)
{
	size_t mark = message_begin(w, 'v');

	write_u32(w, UINT32_C(3) << 16 | (minor_protocol & 0xffff));
	write_u32(w, (uint32_t)count);
	write_span(w, unknown);
	message_end(w, mark);
}

void message_command_complete(struct writer *w, const char *tag)
{
	size_t mark = message_begin(w, 'C');

	write_string(w, tag);
	message_end(w, mark);
}

void message_empty(struct writer *w, char type)
{
	message_end(w, message_begin(w, type));
}

/* pg_type.typlen: how many bytes a value has in binary, -1 where that varies. */
static int16_t column_width(enum column_type type)
{
	switch (type) {
	case COLUMN_INT4:
		return 4;
	case COLUMN_INT8:
		return 8;
	case COLUMN_TEXT:
	case COLUMN_NUMERIC:
	case COLUMN_BYTEA:
		break;
	}
	return -1;
}

void message_row_description(struct writer *w, const struct column *columns, size_t count)
{
	size_t mark = message_begin(w, 'T');

	write_u16(w, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		write_string(w, columns[i].name);
		write_u32(w, 0); /* of no table */
		write_u16(w, 0); /* and no column of it */
		write_u32(w, columns[i].type);
		write_u16(w, (uint16_t)column_width(columns[i].type));
		write_u32(w, UINT32_MAX); /* no type modifier */
		write_u16(w, 0);          /* as text */
	}
	message_end(w, mark);
}

size_t message_row_begin(struct writer *w, size_t columns)
{
	size_t mark = message_begin(w, 'D');

	write_u16(w, (uint16_t)columns);
	return mark;
}

void message_row_text(struct writer *w, const char *value)
{
	if (value)
		message_row_span(w, span_text(value));
	else
		write_u32(w, UINT32_MAX);
}

void message_row_span(struct writer *w, struct span value)
{
	write_u32(w, (uint32_t)value.length);
	write_span(w, value);
}

void message_row_int(struct writer *w, int64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, value);
	message_row_text(w, text);
}

void message_row_end(struct writer *w, size_t mark)
{
	message_end(w, mark);
}

void message_startup(struct writer *w, uint32_t protocol, const struct startup_pair *pairs, size_t count)
{
	size_t mark = message_begin(w, 0);

	write_u32(w, protocol);
	for (size_t i = 0; i < count; i++) {
		write_string_span(w, pairs[i].key);
		write_string_span(w, pairs[i].value);
	}
	write_u8(w, 0);
	message_end(w, mark);
}

void message_cancel(struct writer *w, uint32_t process_id, struct span secret)
{
	size_t mark = message_begin(w, 0);

	write_u32(w, UINT32_C(1234) << 16 | 5678);
	write_u32(w, process_id);
	write_span(w, secret);
	message_end(w, mark);
}

void message_query(struct writer *w, struct span text)
{
	size_t mark = message_begin(w, 'Q');

	write_string_span(w, text);
	message_end(w, mark);
}

void message_parse(struct writer *w, struct span name, struct span tail)
{
	size_t mark = message_begin(w, 'P');

	write_string_span(w, name);
	write_span(w, tail);
	message_end(w, mark);
}

void message_close_statement(struct writer *w, struct span name)
{
	size_t mark = message_begin(w, 'C');

	write_u8(w, 'S');
	write_string_span(w, name);
	message_end(w, mark);
}

bool message_read_parse(struct span body, struct span *name, struct span *tail)
{
	struct reader r = reader_of(body);

	*name = read_string(&r);
	*tail = span_of(r.at, reader_left(&r));
	read_string(&r);
	/* The count is read as unsigned by PostgreSQL too: up to 65535 parameters. */
	read_bytes(&r, (size_t)read_u16(&r) * 4);
	return reader_done(&r);
}

bool message_read_bind(struct span body, struct span *portal, struct span *statement, struct span *rest)
{
	struct reader r = reader_of(body);

	*portal = read_string(&r);
	*statement = read_string(&r);
	*rest = span_of(r.at, reader_left(&r));
	return reader_ok(&r);
}

bool message_read_target(struct span body, char *kind, struct span *name)
{
	struct reader r = reader_of(body);

	*kind = (char)read_u8(&r);
	*name = read_string(&r);
	return reader_done(&r) && (*kind == 'S' || *kind == 'P');
}

bool message_read_parameter_status(struct span body, struct span *name, struct span *value)
{
	struct reader r = reader_of(body);

	*name = read_string(&r);
	*value = read_string(&r);
	return reader_done(&r);
}

bool message_read_notification(struct span body, uint32_t *process_id, struct span *topic, struct span *payload)
{
	struct reader r = reader_of(body);

	*process_id = read_u32(&r);
	*topic = read_string(&r);
	*payload = read_string(&r);
	return reader_done(&r) && topic->length > 0;
}

bool message_read_backend_key(struct span body, uint32_t *process_id, struct span *secret)
{
	struct reader r = reader_of(body);

	*process_id = read_u32(&r);
	*secret = read_bytes(&r, reader_left(&r));
	return reader_ok(&r) && secret->length >= 4 && secret->length <= 256;
}
