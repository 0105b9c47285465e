#include "session/question.h"

#include "base/check.h"
#include "base/reader.h"
#include "base/text.h"

static const char *const texts[PINS] = {
	[PIN_TEMPORARY] = "a temporary table or other temporary object",
	[PIN_CURSOR] = "a cursor WITH HOLD",
	[PIN_LOCK] = "an advisory lock of the session",
	[PIN_PREPARE] = "a statement of SQL's PREPARE",
	[PIN_LISTEN] = "LISTEN",
	[PIN_SETTING] = "a setting that can not be given to another server",
	[PIN_UNSEEN] = "a setting that can not be seen",
	[PIN_SEQUENCE] = "currval or lastval",
	[PIN_FOR_GOOD] = "something that a session can not undo (LOAD, setseed)",
	[PIN_UNASKED] = "the server could not be asked what is left",
};

static const char *const words[PINS] = {
	[PIN_TEMPORARY] = "temporary",
	[PIN_CURSOR] = "cursor",
	[PIN_LOCK] = "advisory_lock",
	[PIN_PREPARE] = "prepare",
	[PIN_LISTEN] = "listen",
	[PIN_SETTING] = "setting",
	[PIN_UNSEEN] = "unseen_setting",
	[PIN_SEQUENCE] = "sequence",
	[PIN_FOR_GOOD] = "for_good",
	[PIN_UNASKED] = "unasked",
};

const char *pin_text(enum pin pin)
{
	check(pin < PINS);
	return texts[pin];
}

const char *pin_word(enum pin pin)
{
	check(pin < PINS);
	return words[pin];
}

#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* Marks that a question answers, its part, and the pin that a row of this kind is. */
static const struct part {
	uint32_t mark;
	enum pin pin;
	char kind;
	const char *query;
} parts[] = {
	/* What depends on the schema of temporary objects is one of them (pg_namespace is 2615 everywhere). */
	{ LOOK_TEMPORARY, PIN_TEMPORARY, 't',
		"(SELECT 't',NULL,NULL FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615 AND "
		"refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() LIMIT 1)" },
	{ LOOK_CURSOR, PIN_CURSOR, 'c', "(SELECT 'c',NULL,NULL FROM pg_catalog.pg_cursors WHERE is_holdable LIMIT 1)" },
	{ LOOK_LOCK, PIN_LOCK, 'l',
		"(SELECT 'l',NULL,NULL FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND "
		"pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() LIMIT 1)" },
	{ LOOK_PREPARE, PIN_PREPARE, 'p',
		"(SELECT 'p',NULL,NULL FROM pg_catalog.pg_prepared_statements WHERE from_sql LIMIT 1)" },
	{ LOOK_LISTEN, PIN_LISTEN, 'n',
		"(SELECT 'n',c,NULL FROM pg_catalog.pg_listening_channels() AS c LIMIT " TEXT_OF(
			TOPICS_SHARED_MAX) "+1)" },
};
#define PARTS (sizeof parts / sizeof parts[0])

/* A longer value is too much to be sent to one server after the other: it stays where it is, and its client with it. So do more settings, or more
 * bytes of them, than that. */
#define VALUE_BYTES_MAX    16384
#define SETTINGS_MAX       200
#define SETTINGS_BYTES_MAX 65536

/* What session_preload_libraries or an extension makes known only when it is loaded is asked for by name until then. The view of all settings takes
 * PostgreSQL a millisecond, so it is read twice at most, however many names there are. */
static bool add_names(const struct question *q, struct buf *out)
{
	const char *name, *value;
	bool ok = true, first = true;
	size_t i;

	for (i = 0; ok && q->set && i < params_count(q->set); i++) {
		params_at(q->set, i, &name, &value);
		if (!strchr(name, '.'))
			continue;
		ok = buf_format(out,
			     first ? " UNION ALL SELECT n,pg_catalog.current_setting(n,true),'' FROM pg_catalog.unnest(ARRAY["
				   : ",") &&
			params_write(out, name);
		first = false;
	}
	if (first)
		return ok;
	return ok &&
		buf_format(out,
			"]::pg_catalog.text[]) AS n WHERE pg_catalog.lower(n) OPERATOR(pg_catalog.<>) ALL (ARRAY("
			"SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.~~) '%%.%%'))");
}

/* Told in the letters of the database, whatever the client_encoding is: each byte beyond ASCII as \123, and \\ for \. */
#define IN_BYTES(text) "pg_catalog.encode(pg_catalog.convert_to(" text ",pg_catalog.getdatabaseencoding()),'escape')"

/* What a login sets with a dot in its name has to be asked for by that. Most words with a dot, in the bodies of event triggers and in what was said, are none
 * of a setting, and NULL. */
#define LOGIN_TRIGGERS "pg_catalog.pg_event_trigger WHERE evtevent OPERATOR(pg_catalog.=) 'login'"

static bool add_login(const struct question *q, struct buf *out)
{
	if (!q->login)
		return true;
	return buf_format(out,
		       " UNION ALL SELECT n,pg_catalog.current_setting(n,true),'' FROM (SELECT DISTINCT m[1] AS n FROM ("
		       "SELECT prosrc AS b FROM pg_catalog.pg_proc WHERE oid OPERATOR(pg_catalog.=) ANY (ARRAY("
		       "SELECT evtfoid FROM " LOGIN_TRIGGERS ")) UNION ALL SELECT ") &&
		params_write(out, q->greeting ? q->greeting : "") &&
		buf_format(out,
			") AS t,pg_catalog.regexp_matches(pg_catalog.lower(b),"
			"'[a-z_][a-z0-9_$]*[.][a-z_][a-z0-9_.$]*','g') AS m) AS d WHERE NOT EXISTS(SELECT FROM "
			"pg_catalog.pg_settings AS k WHERE pg_catalog.lower(k.name) OPERATOR(pg_catalog.=) n)");
}

static bool add_settings(const struct question *q, struct buf *out)
{
	return buf_format(out,
		       "SELECT CASE WHEN pg_catalog.octet_length(v) OPERATOR(pg_catalog.>) %u THEN 'b' WHEN "
		       "c OPERATOR(pg_catalog.=) 'superuser' THEN 'S' ELSE 's' END,%s,CASE WHEN "
		       "pg_catalog.octet_length(v) OPERATOR(pg_catalog.<=) %u THEN %s END FROM ("
		       "SELECT name AS n,setting AS v,context AS c FROM pg_catalog.pg_settings WHERE "
		       "source OPERATOR(pg_catalog.=) 'session' AND name OPERATOR(pg_catalog.<>) ALL (ARRAY["
		       "'transaction_isolation','transaction_read_only','transaction_deferrable']) "
		       "UNION ALL SELECT 'role',pg_catalog.current_setting('role'),'' WHERE "
		       "pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' "
		       "UNION ALL SELECT 'session_authorization',session_user::pg_catalog.text,'' WHERE "
		       "session_user OPERATOR(pg_catalog.<>) ",
		       VALUE_BYTES_MAX, IN_BYTES("n"), VALUE_BYTES_MAX, IN_BYTES("v")) &&
		params_write(out, q->user) && add_names(q, out) && add_login(q, out) &&
		buf_format(out, ") AS s WHERE v IS NOT NULL%s",
			q->login && !q->greeting ? " AND EXISTS(SELECT FROM " LOGIN_TRIGGERS ")" : "");
}

/* Functions whose text may set what no view shows. C and internal ones (13 and 12) are taken to leave nothing. An EXECUTE alone is taken for no SET, as
 * in session/catalog_query.c: nothing could say again that it left nothing, and its client would keep its server for good. */
static bool add_called(const struct question *q, struct buf *out)
{
	const char *name, *value;
	bool ok = true;
	size_t i;

	if (!q->called || params_count(q->called) == 0)
		return true;
	ok = buf_format(out,
		"%s(SELECT 'u',NULL,NULL FROM pg_catalog.pg_proc WHERE proname OPERATOR(pg_catalog.=) ANY "
		"(ARRAY[",
		out->length > 0 ? " UNION ALL " : "");
	for (i = 0; ok && i < params_count(q->called); i++) {
		params_at(q->called, i, &name, &value);
		ok = buf_format(out, i > 0 ? "," : "") && buf_add_literal(out, span_text(name));
	}
	return ok &&
		buf_format(out,
			"]::pg_catalog.name[]) AND prolang OPERATOR(pg_catalog.<>) ALL (ARRAY[12,13]) AND "
			"%s OPERATOR(pg_catalog.~*) "
			"E'set_config|\\\\mset\\\\s+(session\\\\s+)?[\"a-z0-9_]+\\\\s*\\\\.|\\\\mexecute\\\\M.*\\\\mset\\\\M|"
			"\\\\mset\\\\M.*\\\\mexecute\\\\M' LIMIT 1)",
			/* Bodies that were parsed when they were made are new in 14. */
			q->version >= 14 ? "coalesce(pg_catalog.pg_get_function_sqlbody(oid),prosrc)" : "prosrc");
}

static bool asks_all(const struct question *q)
{
	return q->marks & LOOK_UNKNOWN;
}

static bool asks_settings(const struct question *q)
{
	return q->marks & (LOOK_SETTINGS | LOOK_UNKNOWN);
}

bool question_write(const struct question *q, struct buf *out)
{
	struct buf text = { 0 };
	bool ok = true;
	size_t i;

	if (asks_settings(q))
		ok = add_settings(q, &text);
	for (i = 0; ok && i < PARTS; i++)
		if ((q->marks & parts[i].mark) || asks_all(q))
			ok = buf_format(&text, "%s%s", text.length > 0 ? " UNION ALL " : "", parts[i].query);
	ok = ok && add_called(q, &text) && buf_format(out, TRANSACTION_APART) && buf_add_span(out, buf_span(&text));
	buf_fini(&text);
	return ok;
}

void answer_begin(struct answer *a, const struct question *q, struct params *empty)
{
	size_t i;

	*a = (struct answer){ .settings = params_keep(empty), .settings_asked = asks_settings(q) };
	if (a->settings_asked)
		a->asked |= 1u << PIN_SETTING;
	for (i = 0; i < PARTS; i++)
		if ((q->marks & parts[i].mark) || asks_all(q))
			a->asked |= 1u << parts[i].pin;
}

void answer_fini(struct answer *a)
{
	params_drop(a->settings);
	topics_fini(&a->topics);
	*a = (struct answer){ 0 };
}

static struct span read_value(struct reader *r)
{
	uint32_t length = read_u32(r);

	return length == UINT32_MAX ? span_of("", 0) : read_bytes(r, length);
}

/* Back from IN_BYTES; what differs lives in `room`. False: it is not so written, or memory was refused. */
static bool read_told(struct span *told, struct buf *room)
{
	if (!memchr(told->at, '\\', told->length))
		return true;
	for (size_t i = 0; i < told->length; i++) {
		const uint8_t *behind = told->at + i + 1;
		size_t left = told->length - i - 1;
		uint8_t byte = told->at[i];

		if (byte == '\\' && left >= 1 && behind[0] == '\\') {
			i++;
		} else if (byte == '\\') {
			if (left < 3 || (behind[0] & ~3) != '0' || (behind[1] & ~7) != '0' || (behind[2] & ~7) != '0')
				return false;
			byte = (uint8_t)((behind[0] & 3) << 6 | (behind[1] & 7) << 3 | (behind[2] & 7));
			i += 3;
		}
		if (!buf_add(room, &byte, 1))
			return false;
	}
	*told = buf_span(room);
	return true;
}

static void take_setting(struct answer *a, struct span name, struct span value)
{
	a->bytes += name.length + value.length;
	/* It will not be asked for again, so no answer can say that it is gone. */
	if (params_count(a->settings) == SETTINGS_MAX || a->bytes > SETTINGS_BYTES_MAX) {
		a->pins |= 1u << PIN_UNSEEN;
		return;
	}
	if (span_is(name, "role") || span_is(name, "session_authorization"))
		a->role = true;
	if (!params_put(&a->settings, name, value))
		a->refused = true;
}

static bool take_told(struct answer *a, struct span name, struct span value)
{
	struct buf names = { 0 }, values = { 0 };
	bool ok = read_told(&name, &names) && read_told(&value, &values);

	if (ok)
		take_setting(a, name, value);
	buf_fini(&names);
	buf_fini(&values);
	return ok;
}

bool answer_row(struct answer *a, struct span body)
{
	struct reader r = reader_of(body);
	uint16_t columns = read_u16(&r);
	struct span kind = read_value(&r), name = read_value(&r), value = read_value(&r);
	size_t i;

	if (!reader_done(&r) || columns != 3 || kind.length != 1)
		return false;
	switch (kind.at[0]) {
	case 'b':
		a->pins |= 1u << PIN_SETTING;
		return take_told(a, name, span_of("", 0));
	case 'S':
		a->privileged = true;
		__attribute__((fallthrough));
	case 's':
		return take_told(a, name, value);
	case 'u':
		a->pins |= 1u << PIN_UNSEEN;
		return true;
	case 'n':
		a->pins |= 1u << PIN_LISTEN;
		/* No more were asked for; a server that goes on all the same is none. */
		if (name.length == 0 || a->topics.count > TOPICS_SHARED_MAX)
			return false;
		if (!topics_add(&a->topics, name))
			a->refused = true;
		return true;
	default:
		break;
	}
	for (i = 0; i < PARTS; i++)
		if (parts[i].kind == kind.at[0])
			a->pins |= 1u << parts[i].pin;
	return true;
}

void answer_end(struct answer *a)
{
	/* Whoever has another role now may have been allowed to set it before, and may not be elsewhere. */
	if (a->privileged && a->role)
		a->pins |= 1u << PIN_SETTING;
}
