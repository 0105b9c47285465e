/* A null PostgreSQL: it speaks the protocol and does no work, so that what
 * stands in front of it is all there is to measure.
 *
 * Startup is answered as by a server with trust authentication. A Query or an
 * extended batch is answered at once with one canned row. What a pooler says
 * of its own accord is answered as PostgreSQL would: BEGIN, COMMIT and
 * ROLLBACK move the status of ReadyForQuery, SET of a reported parameter sends
 * ParameterStatus, RESET, DISCARD and DEALLOCATE have their tags. What pgweir
 * asks about the server and its session is answered in the right shape: a
 * primary without functions, limits or anything left behind.
 *
 *	TABLE bulk_N      streams N megabytes (1,000,000 bytes) of rows
 *	COPY t FROM STDIN swallows rows until CopyDone
 *
 * One accepting thread deals connections in turn to the threads, each with its
 * own epoll set. A connection owns buffers only while something is unfinished.
 *
 *	recv -> take_message ... -> reply into the thread's buffer -> one send
 */
#include "net.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_MAX = 256 * 1024, REPLY_MAX = 256 * 1024, REPLY_ROOM = 4096, MESSAGE_MAX = 1 << 20 };

/* What a statement does, as far as anyone can tell from our answers. */
enum statement_kind {
	NOTHING,
	ROW,
	INQUIRY,
	SET_CONFIG,
	BEGIN,
	COMMIT,
	ROLLBACK,
	SET,
	RESET,
	DISCARD,
	DEALLOCATE,
	BULK,
	COPY_IN
};

struct statement {
	uint64_t name_hash; /* 0: the slot is empty */
	enum statement_kind kind;
};

enum phase { STARTING, READY, SKIPPING, COPYING };

struct conn {
	int descriptor;
	enum phase phase; /* SKIPPING: after an error, until Sync */
	char status;
	bool copy_is_simple;
	bool ends;          /* epoll said that the peer will send no more, and says it once */
	uint64_t bulk_left; /* bytes of rows still to stream */
	bool bulk_is_simple;
	uint64_t skip; /* bytes of a CopyData still to swallow */
	enum statement_kind unnamed, portal;
	char text[64]; /* arguments of the last bulk or SET */
	struct statement *named;
	uint32_t named_size, named_used;
	uint8_t *in, *out; /* unfinished message, unsent reply */
	size_t in_length, in_size, out_length, out_at;
};

struct worker {
	pthread_t thread;
	int epoll;
	uint8_t *read_buffer;
	uint8_t *reply;
	size_t reply_length;
};

/* Accept any statement name, known or not, and any name twice: for a pooler
 * that passes names through without following them. */
static bool lax;
static _Atomic uint32_t connections;

/* ---- replies ---- */

static uint8_t *reply_open(struct worker *w, char type)
{
	uint8_t *start = w->reply + w->reply_length;

	start[0] = (uint8_t)type;
	w->reply_length += 5;
	return start;
}

static void reply_bytes(struct worker *w, const void *bytes, size_t length)
{
	memcpy(w->reply + w->reply_length, bytes, length);
	w->reply_length += length;
}

static void reply_text(struct worker *w, const char *text)
{
	reply_bytes(w, text, strlen(text) + 1);
}

static void reply_close(struct worker *w, uint8_t *start)
{
	be32_put(start + 1, (uint32_t)(w->reply + w->reply_length - start - 1));
}

static void reply_tag(struct worker *w, const char *tag)
{
	uint8_t *start = reply_open(w, 'C');

	reply_text(w, tag);
	reply_close(w, start);
}

static void reply_parameter(struct worker *w, const char *name, const char *value)
{
	uint8_t *start = reply_open(w, 'S');

	reply_text(w, name);
	reply_text(w, value);
	reply_close(w, start);
}

static void reply_ready(struct worker *w, const struct conn *c)
{
	reply_bytes(w, (const uint8_t[]){ 'Z', 0, 0, 0, 5, (uint8_t)c->status }, 6);
}

static void reply_error(struct worker *w, const char *sqlstate, const char *text)
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

static void reply_columns(struct worker *w)
{
	static const uint8_t one_integer[] = "T\0\0\0\x21\0\1?column?\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0";

	reply_bytes(w, one_integer, sizeof(one_integer));
}

static void reply_row(struct worker *w)
{
	static const uint8_t one[] = "D\0\0\0\x0b\0\1\0\0\0\1"
				     "1";

	reply_bytes(w, one, sizeof(one) - 1);
}

/* ---- statements ---- */

static bool keyword(const char *text, const char *word)
{
	size_t length = strlen(word);

	return strncasecmp(text, word, length) == 0 && strchr(" ;\t\n", text[length]) != NULL;
}

static enum statement_kind kind_of(const char *text)
{
	static const struct {
		const char *word;
		enum statement_kind kind;
	} words[] = {
		{ "begin", BEGIN },
		{ "start", BEGIN },
		{ "commit", COMMIT },
		{ "end", COMMIT },
		{ "rollback", ROLLBACK },
		{ "abort", ROLLBACK },
		{ "set", SET },
		{ "reset", RESET },
		{ "discard", DISCARD },
		{ "deallocate", DEALLOCATE },
		{ "table", BULK },
		{ "copy", COPY_IN },
		{ "with", INQUIRY },
	};

	text += strspn(text, " \t\n;");
	if (*text == '\0')
		return NOTHING;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (keyword(text, words[i].word))
			return words[i].kind == BULK && !strstr(text, "bulk_") ? ROW : words[i].kind;
	if (strstr(text, "set_config('") != NULL)
		return SET_CONFIG;
	return strstr(text, "pg_catalog.") != NULL ? INQUIRY : ROW;
}

/* Answer what pgweir asks of its own accord, told apart by words of its texts
 * (src/session). An answer of another shape is that of a broken server to it. */
static void answer_inquiry(struct worker *w, const char *text)
{
	static const struct {
		const char *word;
		unsigned columns;
		const char *values[3]; /* NULL: no row */
	} inquiries[] = {
		{ "pg_is_in_recovery()", 2, { "f", "off" } },                   /* suit.c */
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

/* Answer `SET [SESSION|LOCAL] name {=|TO} value`, or what follows the quote of
 * `set_config('name', 'value', ..)`, as PostgreSQL reports it. */
static void report_set(struct worker *w, const char *text)
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
	for (size_t i = 0; i < sizeof(reported) / sizeof(reported[0]); i++) {
		size_t name = strlen(reported[i]);

		if (strncasecmp(text, reported[i], name) != 0)
			continue;
		text += name;
		text += strspn(text, " =',");
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

static uint64_t hash_of(const char *name)
{
	uint64_t hash = 14695981039346656037u;

	while (*name != '\0')
		hash = (hash ^ (uint8_t)*name++) * 1099511628211u;
	return hash | 1;
}

/* The slot of this name, or the empty one where it would go. */
static struct statement *statement_slot(struct conn *c, uint64_t hash)
{
	uint32_t at = (uint32_t)(hash >> 7) & (c->named_size - 1);

	while (c->named[at].name_hash != 0 && c->named[at].name_hash != hash)
		at = (at + 1) & (c->named_size - 1);
	return &c->named[at];
}

static bool statement_find(struct conn *c, const char *name, enum statement_kind *kind)
{
	const struct statement *slot;

	if (*name == '\0') {
		*kind = c->unnamed;
		return true;
	}
	slot = c->named_size == 0 ? NULL : statement_slot(c, hash_of(name));
	*kind = ROW;
	if (slot == NULL || slot->name_hash == 0 || slot->kind == NOTHING)
		return lax;
	*kind = slot->kind;
	return true;
}

static void statement_keep(struct conn *c, const char *name, enum statement_kind kind)
{
	uint64_t hash = hash_of(name);
	struct statement *slot;

	if (c->named_used * 2 >= c->named_size) {
		struct statement *old = c->named;
		uint32_t old_size = c->named_size;

		c->named_size = old_size == 0 ? 8 : old_size * 2;
		c->named = must_have(calloc(c->named_size, sizeof(*c->named)));
		for (uint32_t i = 0; i < old_size; i++)
			if (old[i].name_hash != 0)
				*statement_slot(c, old[i].name_hash) = old[i];
		free(old);
	}
	slot = statement_slot(c, hash);
	if (slot->name_hash == 0)
		c->named_used++;
	*slot = (struct statement){ .name_hash = hash, .kind = kind };
}

/* A closed name keeps its slot, so that what was put behind it stays found. */
static void statement_forget(struct conn *c, const char *name)
{
	if (*name == '\0')
		c->unnamed = NOTHING;
	else if (c->named_size != 0)
		statement_slot(c, hash_of(name))->kind = NOTHING;
}

/* ---- doing what was asked ---- */

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

/* One whole message; `body` ends in a byte that may be read. False: hang up. */
static bool take_message(struct worker *w, struct conn *c, char type, char *body, size_t length)
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

/* Before the startup packet, messages have no type. */
static bool take_first(struct worker *w, struct conn *c, char *packet, size_t length)
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

/* ---- a connection's bytes ---- */

static void stream_bulk(struct worker *w, struct conn *c)
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

/* Send the reply; keep what the peer did not take. False: the peer is gone. */
static bool send_reply(struct worker *w, struct conn *c)
{
	ssize_t sent = 0;

	if (w->reply_length == 0)
		return true;
	if (c->out_length == 0) {
		sent = send(c->descriptor, w->reply, w->reply_length, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0)
			sent = 0;
	}
	if ((size_t)sent < w->reply_length) {
		size_t rest = w->reply_length - (size_t)sent;

		c->out = must_have(realloc(c->out, c->out_length + rest));
		memcpy(c->out + c->out_length, w->reply + sent, rest);
		c->out_length += rest;
	}
	w->reply_length = 0;
	return true;
}

/* Take the whole messages at the front of `bytes`; returns how many bytes they
 * were, or -1 to hang up. Stops when a long answer must be sent first. */
static ssize_t take_bytes(struct worker *w, struct conn *c, uint8_t *bytes, size_t length)
{
	size_t at = 0;

	while (at < length && c->bulk_left == 0) {
		size_t here = length - at, whole;
		bool keep_on;

		if (c->skip > 0) {
			size_t skipped = here < c->skip ? here : (size_t)c->skip;

			c->skip -= skipped;
			at += skipped;
			continue;
		}
		if (here < (c->phase == STARTING ? 8 : 5))
			break;
		whole = c->phase == STARTING ? be32_get(bytes + at) : (size_t)be32_get(bytes + at + 1) + 1;
		if (whole < (c->phase == STARTING ? 8 : 5))
			return -1;
		if (c->phase == COPYING && bytes[at] == 'd') {
			c->skip = whole;
			continue;
		}
		if (whole > MESSAGE_MAX)
			return -1;
		if (here < whole)
			break;
		if (c->phase == STARTING) {
			keep_on = take_first(w, c, (char *)bytes + at, whole);
		} else {
			uint8_t behind = bytes[at + whole];

			keep_on = take_message(w, c, (char)bytes[at], (char *)bytes + at + 5, whole - 5);
			bytes[at + whole] = behind;
		}
		if (!keep_on)
			return -1;
		at += whole;
		if (w->reply_length > REPLY_MAX - REPLY_ROOM && !send_reply(w, c))
			return -1;
	}
	return (ssize_t)at;
}

static void conn_end(struct conn *c)
{
	close(c->descriptor);
	free(c->named);
	free(c->in);
	free(c->out);
	free(c);
}

/* Send what waits. True when nothing waits any more. */
static bool flush_queue(struct conn *c, bool *alive)
{
	while (c->out_at < c->out_length) {
		ssize_t sent = send(c->descriptor, c->out + c->out_at, c->out_length - c->out_at, MSG_NOSIGNAL);

		if (sent < 0) {
			*alive = errno == EAGAIN;
			return false;
		}
		c->out_at += (size_t)sent;
	}
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_length = 0;
	return true;
}

/* Let others have a turn first: asked to watch it anew, epoll looks again, and
 * reports what is ready already. */
static bool conn_later(struct worker *w, struct conn *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };

	return epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->descriptor, &event) == 0;
}

/* Do what can be done in one turn. False: the connection is over. */
static bool conn_run(struct worker *w, struct conn *c)
{
	bool alive = true;

	for (;;) {
		uint8_t *bytes = w->read_buffer;
		ssize_t got, taken;
		size_t length;

		if (c->out_length > 0 && !flush_queue(c, &alive))
			return alive;
		if (c->bulk_left > 0) {
			stream_bulk(w, c);
			if (!send_reply(w, c))
				return false;
			if (c->out_length == 0)
				return conn_later(w, c);
			continue;
		}
		if (c->in_length > 0)
			memcpy(bytes, c->in, c->in_length);
		length = c->in_length;
		got = recv(c->descriptor, bytes + length, READ_MAX, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got < 0 && length == 0)
			return true;
		length += got < 0 ? 0 : (size_t)got;
		taken = take_bytes(w, c, bytes, length);
		if (taken < 0 || !send_reply(w, c))
			return false;
		if ((size_t)taken < length) {
			size_t rest = length - (size_t)taken;

			c->in = must_have(realloc(c->in, rest));
			memcpy(c->in, bytes + taken, rest);
			c->in_length = rest;
		} else {
			free(c->in);
			c->in = NULL;
			c->in_length = 0;
		}
		if (c->bulk_left > 0 || c->out_length > 0)
			continue;
		if (got < READ_MAX && !c->ends)
			return true; /* a short read: the next edge will tell */
		if (c->ends)
			continue;
		return conn_later(w, c);
	}
}

static void *worker_main(void *argument)
{
	struct worker *w = argument;
	struct epoll_event events[256];

	for (;;) {
		int count = epoll_wait(w->epoll, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct conn *c = events[i].data.ptr;

			w->reply_length = 0;
			c->ends = c->ends || (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
			if (!conn_run(w, c))
				conn_end(c);
		}
	}
	return NULL;
}

static void usage(void)
{
	puts("nullpg: a PostgreSQL that answers at once and does nothing\n\n"
	     "  --listen PLACE   host:port (port 0 chooses) or the path of a unix socket\n"
	     "  --threads N      threads that answer (default 1)\n"
	     "  --lax            accept every statement name, known or not");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "threads", required_argument, NULL, 't' },
		{ "lax", no_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *place = "127.0.0.1:0";
	long threads = 1;
	struct worker *workers;
	int listener, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			place = optarg;
			break;
		case 't':
			threads = number_of("--threads", optarg, 1, 64);
			break;
		case 'x':
			lax = true;
			break;
		case 'h':
			usage();
			return 0;
		default:
			usage();
			return 2;
		}
	}
	net_raise_limits();
	workers = must_have(calloc((size_t)threads, sizeof(*workers)));
	for (long i = 0; i < threads; i++) {
		workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		/* One byte more, so that the end of the last message can be marked. */
		workers[i].read_buffer = must_have(malloc(READ_MAX + MESSAGE_MAX + 1));
		workers[i].reply = must_have(malloc(REPLY_MAX + MESSAGE_MAX));
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
			die("cannot start a thread");
	}
	listener = net_listen(place);
	for (unsigned turn = 0;; turn++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
		struct conn *c;
		int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (descriptor < 0) {
			if (errno == EMFILE || errno == ENFILE)
				usleep(10000);
			continue;
		}
		net_tune(descriptor);
		c = must_have(calloc(1, sizeof(*c)));
		c->descriptor = descriptor;
		event.data.ptr = c;
		if (epoll_ctl(workers[turn % (unsigned)threads].epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
			conn_end(c);
	}
}
