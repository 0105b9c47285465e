/* What each message is answered with. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "nullpg.h"

static _Atomic uint32_t connections;

static void execute(struct worker *w, struct conn *c, enum statement_kind kind, const char *text, bool simple)
{
	switch (kind) {
	case NOTHING:
		reply_bytes(w, "I\0\0\0\4", 5);
		break;
	case SET_CONFIG:
		text = strstr(text, "set_config('");
		if (text != NULL)
			report_set(w, text + strlen("set_config('"));
		/* fall through */
	case ROW:
		if (simple)
			reply_columns(w);
		reply_row(w);
		reply_tag(w, "SELECT 1");
		break;
	case INQUIRY:
		answer_inquiry(w, text);
		break;
	case BEGIN:
		c->status = 'T';
		reply_tag(w, "BEGIN");
		break;
	case COMMIT:
	case ROLLBACK:
		c->status = 'I';
		reply_tag(w, kind == COMMIT ? "COMMIT" : "ROLLBACK");
		break;
	case SET:
		report_set(w, text);
		reply_tag(w, "SET");
		break;
	case RESET:
		reply_tag(w, "RESET");
		break;
	case DISCARD:
	case DEALLOCATE:
		free(c->named);
		c->named = NULL;
		c->named_size = c->named_used = 0;
		reply_tag(w, kind == DISCARD ? "DISCARD ALL" : "DEALLOCATE ALL");
		break;
	case BULK:
		c->bulk_left = strtoull(strstr(text, "bulk_") + 5, NULL, 10) * 1000000u;
		c->bulk_is_simple = simple;
		if (simple)
			reply_columns(w);
		break;
	case COPY_IN:
		reply_bytes(w, "G\0\0\0\x09\0\0\1\0\0", 10);
		c->phase = COPYING;
		c->copy_is_simple = simple;
		break;
	}
}

/* A Query may hold several statements; quotes hide a semicolon. */
static void take_query(struct worker *w, struct conn *c, const char *text)
{
	bool any = false;

	while (*text != '\0') {
		enum statement_kind kind = kind_of(text);
		const char *at = text;
		bool quoted = false;

		if (kind != NOTHING) {
			execute(w, c, kind, text, true);
			any = true;
			if (c->bulk_left > 0 || c->phase == COPYING)
				return;
		}
		at += strspn(at, " \t\n;");
		while (*at != '\0' && (quoted || *at != ';'))
			quoted ^= *at++ == '\'';
		text = at;
	}
	if (!any)
		reply_bytes(w, "I\0\0\0\4", 5);
	reply_ready(w, c);
}

static bool reject(struct worker *w, struct conn *c, const char *sqlstate, const char *text)
{
	reply_error(w, sqlstate, text);
	c->phase = SKIPPING;
	if (c->status == 'T')
		c->status = 'E';
	return true;
}

static void take_startup(struct worker *w, struct conn *c, const char *body, size_t length)
{
	static const char *const parameters[][2] = {
		{ "integer_datetimes", "on" },
		{ "server_version", "15.18" },
		{ "server_encoding", "UTF8" },
		{ "is_superuser", "on" },
		{ "DateStyle", "ISO, MDY" },
		{ "IntervalStyle", "postgres" },
		{ "TimeZone", "Etc/UTC" },
		{ "standard_conforming_strings", "on" },
		{ "default_transaction_read_only", "off" },
		{ "in_hot_standby", "off" },
	};
	const char *user = "", *application = "", *encoding = "UTF8";
	const char *at = body, *end = body + length;
	uint32_t number = atomic_fetch_add(&connections, 1) + 1;
	uint8_t *start;

	while (at < end && *at != '\0') {
		const char *name = at, *value = name + strlen(name) + 1;

		if (value >= end)
			break;
		at = value + strlen(value) + 1;
		if (strcmp(name, "user") == 0)
			user = value;
		else if (strcmp(name, "application_name") == 0)
			application = value;
		else if (strcmp(name, "client_encoding") == 0)
			encoding = value;
	}
	reply_bytes(w, "R\0\0\0\x08\0\0\0\0", 9);
	reply_parameter(w, "application_name", strlen(application) < 64 ? application : "");
	reply_parameter(w, "client_encoding", strlen(encoding) < 64 ? encoding : "UTF8");
	reply_parameter(w, "session_authorization", strlen(user) < 64 ? user : "");
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++)
		reply_parameter(w, parameters[i][0], parameters[i][1]);
	start = reply_open(w, 'K');
	be32_put(w->reply + w->reply_length, number);
	be32_put(w->reply + w->reply_length + 4, number * 2654435761u);
	w->reply_length += 8;
	reply_close(w, start);
	c->status = 'I';
	c->phase = READY;
	reply_ready(w, c);
}

bool take_message(struct worker *w, struct conn *c, char type, char *body, size_t length)
{
	enum statement_kind kind;
	char *second;

	body[length] = '\0'; /* the next message's type, put back by the caller */
	if (type == 'X')
		return false;
	if (c->phase == SKIPPING && type != 'S')
		return true;
	if (c->phase == COPYING) {
		if (type != 'c' && type != 'f')
			return true;
		c->phase = READY;
		if (type == 'c')
			reply_tag(w, "COPY 1");
		else
			reply_error(w, "57014", "COPY from stdin failed");
		if (c->copy_is_simple)
			reply_ready(w, c);
		return true;
	}
	switch (type) {
	case 'Q':
		take_query(w, c, body);
		return true;
	case 'P':
		second = body + strlen(body) + 1;
		kind = second < body + length ? kind_of(second) : NOTHING;
		if (kind == INQUIRY)
			kind = ROW; /* a client's own: poolers ask by Query */
		if (kind == BULK || kind == SET || kind == SET_CONFIG)
			snprintf(c->text, sizeof(c->text), "%s", second);
		if (*body == '\0')
			c->unnamed = kind;
		else {
			enum statement_kind known;

			if (!lax && statement_find(c, body, &known))
				return reject(w, c, "42P05", "prepared statement already exists");
			statement_keep(c, body, kind == NOTHING ? ROW : kind);
		}
		reply_bytes(w, "1\0\0\0\4", 5);
		return true;
	case 'B':
		second = body + strlen(body) + 1;
		if (second >= body + length || !statement_find(c, second, &c->portal))
			return reject(w, c, "26000", "prepared statement does not exist");
		reply_bytes(w, "2\0\0\0\4", 5);
		return true;
	case 'D':
		kind = c->portal;
		if (body[0] == 'S' && !statement_find(c, body + 1, &kind))
			return reject(w, c, "26000", "prepared statement does not exist");
		if (body[0] == 'S')
			reply_bytes(w, "t\0\0\0\6\0\0", 7);
		if (kind == ROW || kind == SET_CONFIG || kind == BULK)
			reply_columns(w);
		else
			reply_bytes(w, "n\0\0\0\4", 5);
		return true;
	case 'E':
		execute(w, c, c->portal, c->text, false);
		return true;
	case 'C':
		if (body[0] == 'S')
			statement_forget(c, body + 1);
		reply_bytes(w, "3\0\0\0\4", 5);
		return true;
	case 'S':
		if (c->phase == SKIPPING)
			c->phase = READY;
		reply_ready(w, c);
		return true;
	case 'H':
		return true;
	case 'd':
	case 'c':
	case 'f':
		return true; /* late rows of a COPY that failed */
	default:
		return reject(w, c, "08P01", "unknown message type");
	}
}

bool take_first(struct worker *w, struct conn *c, char *packet, size_t length)
{
	uint32_t code = be32_get(packet + 4);

	if (code == 80877103 || code == 80877104) { /* SSLRequest, GSSENCRequest */
		reply_bytes(w, "N", 1);
		return true;
	}
	if (code == 80877102 || code >> 16 != 3) /* CancelRequest, or nothing we know */
		return false;
	take_startup(w, c, packet + 8, length - 8);
	return true;
}

void stream_bulk(struct worker *w, struct conn *c)
{
	enum { ROW_BYTES = 1000 };

	while (c->bulk_left > 0 && w->reply_length + ROW_BYTES <= REPLY_MAX - REPLY_ROOM) {
		uint8_t *start = reply_open(w, 'D');

		be16_put(w->reply + w->reply_length, 1);
		be32_put(w->reply + w->reply_length + 2, ROW_BYTES - 11);
		memset(w->reply + w->reply_length + 6, 'x', ROW_BYTES - 11);
		w->reply_length += ROW_BYTES - 5;
		reply_close(w, start);
		c->bulk_left -= ROW_BYTES;
	}
	if (c->bulk_left == 0) {
		reply_tag(w, "SELECT 1");
		if (c->bulk_is_simple)
			reply_ready(w, c);
	}
}
