/* One backend's conversation. See session.h. The rules are those of PostgreSQL's protocol chapter and of tcop/postgres.c as facts.
 *
 *   SELECT 'x'                    one row                      SELECT rows(n,w,'x')       n rows of w bytes
 *   SELECT pg_sleep(ms,'x')       a row, later                 UPDATE pg_sleep(ms,'x')    writes, later
 *   SELECT $1                     the parameter                INSERT 'x'                 writes
 *   FAIL 'x'                      an error                     WARN 'x'                   a notice
 *   DIE                           the session's end
 *   COPY OUT n 'x'                n rows                       COPY IN k 'x'              k>0: fails at row k
 *   CREATE TEMP TABLE mine 'x'    the session's own            TABLE mine                 what is in it; an error without
 *   DROP TABLE mine               it is gone                   DISCARD SEQUENCES, DISCARD PLANS, the pooler's question (see answer_question)
 *   INSERT trapped 'x'            a trigger sets app.tenant    WITH RECURSIVE kinds...    the pooler reads the catalogue
 *   SELECT noon('x'), rent('x')   what a body was planned as  SELECT tenant('x')         a constant of its plan (see bodies.h); x may be $1
 *   INSERT dated 'x'              its trigger has such a body  CALL pay('x')             a procedure with one, which commits
 *   BEGIN [ISOLATION LEVEL READ COMMITTED] COMMIT ROLLBACK SHOW SET SET LOCAL RESET DISCARD ALL DEALLOCATE ALL, DEALLOCATE s, SELECT set_config(...),..., select 1
 *
 * It is PostgreSQL 15, 17 or 18: since 17 a login trigger may have set something (setting_trigger), and since 18 it tells search_path, and refuses a CALL behind
 * what was executed in the same batch.
 *
 * Here are the messages that ask for it, simple and extended; what a statement is made of is read in language.c, what it does is in
 * statement.c, and how all is said in messages.c. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/text.h"
#include "language.h"
#include "statement.h"

struct setting_fact setting_facts[SETTINGS] = {
	{ "application_name", "", true },
	{ "client_encoding", "UTF8", true },
	{ "DateStyle", "ISO, MDY", true },
	{ "TimeZone", "Etc/UTC", true },
	{ "IntervalStyle", "postgres", true },
	{ "standard_conforming_strings", "on", true },
	{ "server_version", "15.8", true },
	{ "integer_datetimes", "on", true },
	{ "is_superuser", "off", true },
	{ "search_path", "\"$user\", public", false },
	{ "statement_timeout", "0", false },
	{ "work_mem", "4MB", false },
	{ "app.tenant", "", false },
	{ "pgweir.no_reap", "", false },
};

void setting_version(const char *version)
{
	setting_facts[setting_find(span_text("server_version"))].standard = version;
	setting_facts[setting_find(span_text("search_path"))].reported = setting_is_18();
}

bool setting_is_18(void)
{
	return strncmp(setting_facts[setting_find(span_text("server_version"))].standard, "18", 2) == 0;
}

int setting_find(struct span name)
{
	for (int i = 0; i < SETTINGS; i++)
		if (strlen(setting_facts[i].name) == name.length &&
			strncasecmp(setting_facts[i].name, (const char *)name.at, name.length) == 0)
			return i;
	return -1;
}

void setting_normal(int setting, struct span value, char out[SETTING_BYTES])
{
	size_t n = value.length < SETTING_BYTES - 1 ? value.length : SETTING_BYTES - 1;

	memcpy(out, value.at, n);
	out[n] = 0;
	if (setting == 2) { /* DateStyle: what is not said is filled in */
		if (strcasecmp(out, "german") == 0)
			text_copy(out, SETTING_BYTES, "German, DMY");
		else if (strcasecmp(out, "iso") == 0)
			text_copy(out, SETTING_BYTES, "ISO, MDY");
		else if (strcasecmp(out, "sql, dmy") == 0)
			text_copy(out, SETTING_BYTES, "SQL, DMY");
	}
}

/* ---- the session ---- */

struct session *session_new(void)
{
	struct session *s = mine_new(sizeof *s);

	s->status = 'I';
	for (int i = 0; i < SETTINGS; i++) {
		text_copy(s->now[i], SETTING_BYTES, setting_facts[i].standard);
		text_copy(s->lasting[i], SETTING_BYTES, setting_facts[i].standard);
		text_copy(s->saved[i], SETTING_BYTES, setting_facts[i].standard);
		text_copy(s->standard[i], SETTING_BYTES, setting_facts[i].standard);
	}
	return s;
}

void session_free(struct session *s)
{
	mine_free(s);
}

void session_start_with(struct session *s, struct span name, struct span value)
{
	int i = setting_find(name);

	if (i < 0)
		return;
	setting_normal(i, value, s->now[i]);
	text_copy(s->lasting[i], SETTING_BYTES, s->now[i]);
	text_copy(s->saved[i], SETTING_BYTES, s->now[i]);
	text_copy(s->standard[i], SETTING_BYTES, s->now[i]);
}

void session_report_all(struct session *s, struct bytes *out)
{
	say_setting(out, "server_encoding", "UTF8"); /* nobody asks for it */
	for (int i = 0; i < SETTINGS; i++) {
		if (!setting_facts[i].reported)
			continue;
		say_setting(out, setting_facts[i].name, s->now[i]);
		text_copy(s->told[i], SETTING_BYTES, s->now[i]);
	}
}

static void report_changes(struct session *s, struct bytes *out)
{
	for (int i = 0; i < SETTINGS; i++) {
		if (!setting_facts[i].reported || strcmp(s->told[i], s->now[i]) == 0)
			continue;
		say_setting(out, setting_facts[i].name, s->now[i]);
		text_copy(s->told[i], SETTING_BYTES, s->now[i]);
	}
}

static void ready(struct session *s, struct bytes *out)
{
	if (s->readies && s->status == 'I')
		s->readies(s->who, out);
	report_changes(s, out);
	say_ready(out, s->status);
}

/* ---- simple queries ---- */

bool session_next(struct session *s, char *out, size_t size)
{
	size_t i = s->query_at, n = 0;
	char quote = 0;

	if (i >= s->query_length)
		return false;
	for (; i < s->query_length; i++) {
		char c = s->query[i];

		if (quote && c == '\\' && i + 1 < s->query_length) {
			if (n + 2 < size) {
				out[n++] = c;
				out[n++] = s->query[++i];
			}
			continue;
		}
		if (quote)
			quote = c == quote ? 0 : quote;
		else if (c == '\'' || c == '"')
			quote = c;
		else if (c == ';')
			break;
		if (n + 1 < size)
			out[n++] = c;
	}
	out[n] = 0;
	s->query_at = i + 1;
	return true;
}

void session_end_query(struct session *s, struct bytes *out)
{
	if (s->status == 'I' && s->implicit)
		session_ends(s, true);
	s->query_at = s->query_length = 0;
	ready(s, out);
}

static void go_on(struct session *s, struct bytes *out)
{
	static char text[16384];
	bool any = s->query_at > 0;

	while (session_next(s, text, sizeof text)) {
		if (!*take_blank(text)) {
			if (!any && s->query_at >= s->query_length)
				say_empty(out, 'I');
			continue;
		}
		any = true;
		session_begins(s);
		switch (session_run(s, text, out, true, NULL, 0, NULL)) {
		case DONE:
			break;
		case FAILED:
			session_end_query(s, out);
			return;
		case WAITS:
			return;
		}
	}
	session_end_query(s, out);
}

void session_drop_unnamed(struct session *s)
{
	for (int i = 0; i < STATEMENTS_MAX; i++)
		if (s->statements[i].used && !s->statements[i].name[0])
			s->statements[i].used = false;
}

static void take_query(struct session *s, struct span body, struct bytes *out)
{
	size_t n = body.length > 0 ? body.length - 1 : 0;

	if (body.length == 0 || body.at[n] != 0) {
		say_error(out, 'E', "ERROR", "08P01", "invalid message format");
		say_ready(out, s->status);
		return;
	}
	n = n < sizeof s->query - 1 ? n : sizeof s->query - 1;
	memcpy(s->query, body.at, n);
	s->query[n] = 0;
	s->query_length = strlen(s->query);
	s->query_at = 0;
	session_drop_unnamed(s);
	if (s->query_length == 0) {
		say_empty(out, 'I');
		session_end_query(s, out);
		return;
	}
	go_on(s, out);
}

/* ---- extended queries ---- */

static void extended_fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	session_fails(s, out, sqlstate, message);
	s->skipping = true;
}

const char *session_string_at(struct span *rest)
{
	const char *text = (const char *)rest->at;
	size_t n = strnlen(text, rest->length);

	if (n == rest->length)
		return NULL;
	*rest = span_skip(*rest, n + 1);
	return text;
}

struct prepared *session_statement(struct session *s, const char *name)
{
	for (int i = 0; i < STATEMENTS_MAX; i++)
		if (s->statements[i].used && strcmp(s->statements[i].name, name) == 0)
			return &s->statements[i];
	return NULL;
}

struct portal *session_portal(struct session *s, const char *name)
{
	for (int i = 0; i < PORTALS_MAX; i++)
		if (s->portals[i].used && strcmp(s->portals[i].name, name) == 0)
			return &s->portals[i];
	return NULL;
}

bool session_ends_block(const char *text)
{
	struct parsed p;

	language_parse(text, &p);
	return p.verb == VERB_COMMIT || p.verb == VERB_ROLLBACK || p.verb == VERB_EMPTY;
}

static void no_such_statement(struct session *s, const char *name, struct bytes *out)
{
	char line[200];

	if (*name)
		snprintf(line, sizeof line, "prepared statement \"%.100s\" does not exist", name);
	else
		snprintf(line, sizeof line, "unnamed prepared statement does not exist");
	extended_fails(s, out, "26000", line);
}

/* As the manual of client_statements_max has it, and for each name as much more or less as that is not exact. */
static bool names_are_too_many(const struct session *s, const char *name, const char *text)
{
	unsigned bytes = (unsigned)(200 + strlen(name) + strlen(text)), doubt = 16;

	if (s->names_max == 0)
		return false;
	for (int i = 0; i < STATEMENTS_MAX; i++)
		if (s->statements[i].used && s->statements[i].name[0]) {
			bytes += (unsigned)(200 + strlen(s->statements[i].name) + strlen(s->statements[i].text));
			doubt += 16;
		}
	return s->refused ? bytes + doubt > s->names_max : bytes > s->names_max + doubt;
}

static void take_parse(struct session *s, struct span body, struct bytes *out)
{
	const char *name = session_string_at(&body), *text = name ? session_string_at(&body) : NULL;
	struct prepared *p = NULL;
	struct parsed parsed;
	char line[200];

	if (!text || body.length < 2) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	session_begins(s);
	if (!*name)
		session_drop_unnamed(s);
	language_parse(text, &parsed);
	if (parsed.verb == VERB_BAD) {
		extended_fails(s, out, "42601", "syntax error");
		return;
	}
	if (s->status == 'E' && !session_ends_block(text)) {
		extended_fails(s, out, "25P02", session_aborted);
		return;
	}
	if (*name && session_statement(s, name)) {
		snprintf(line, sizeof line, "prepared statement \"%.100s\" already exists", name);
		extended_fails(s, out, "42P05", line);
		return;
	}
	if (*name && names_are_too_many(s, name, text)) {
		extended_fails(s, out, TOO_MANY_CODE, TOO_MANY_TEXT);
		return;
	}
	for (int i = 0; i < STATEMENTS_MAX && !p; i++)
		if (!s->statements[i].used)
			p = &s->statements[i];
	if (!p) {
		extended_fails(s, out, "53200", "too many statements");
		return;
	}
	p->used = true;
	snprintf(p->name, sizeof p->name, "%s", name);
	snprintf(p->text, sizeof p->text, "%s", text);
	p->plan.made = false;
	say_empty(out, '1');
}

/* One text parameter at most. */
static bool read_parameter(struct span rest, char *out, size_t size)
{
	size_t formats, count, length;

	out[0] = 0;
	if (rest.length < 2)
		return false;
	formats = (size_t)(rest.at[0] << 8 | rest.at[1]);
	if (rest.length < 2 + 2 * formats + 2)
		return false;
	rest = span_skip(rest, 2 + 2 * formats);
	count = (size_t)(rest.at[0] << 8 | rest.at[1]);
	rest = span_skip(rest, 2);
	if (count == 0)
		return true;
	if (rest.length < 4)
		return false;
	length = (size_t)rest.at[0] << 24 | (size_t)rest.at[1] << 16 | (size_t)rest.at[2] << 8 | rest.at[3];
	if (rest.length < 4 + length)
		return false;
	if (length > size - 1)
		length = size - 1;
	memcpy(out, rest.at + 4, length);
	out[length] = 0;
	return true;
}

static void take_bind(struct session *s, struct span body, struct bytes *out)
{
	const char *portal = session_string_at(&body), *name = portal ? session_string_at(&body) : NULL;
	struct prepared *from;
	struct portal *p;
	char parameter[128], line[200];
	struct parsed parsed;

	if (!name || !read_parameter(body, parameter, sizeof parameter)) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	session_begins(s);
	from = session_statement(s, name);
	if (!from) {
		no_such_statement(s, name, out);
		return;
	}
	if (s->status == 'E' && !session_ends_block(from->text)) {
		extended_fails(s, out, "25P02", session_aborted);
		return;
	}
	p = session_portal(s, portal);
	if (p && *portal) {
		snprintf(line, sizeof line, "cursor \"%.100s\" already exists", portal);
		extended_fails(s, out, "42P03", line);
		return;
	}
	for (int i = 0; i < PORTALS_MAX && !p; i++)
		if (!s->portals[i].used)
			p = &s->portals[i];
	if (!p) {
		extended_fails(s, out, "53200", "too many portals");
		return;
	}
	*p = (struct portal){ .used = true };
	snprintf(p->name, sizeof p->name, "%s", portal);
	snprintf(p->text, sizeof p->text, "%s", from->text);
	snprintf(p->parameter, sizeof p->parameter, "%s", parameter);
	language_parse(from->text, &parsed);
	if (parsed.verb == VERB_TENANT) {
		plan_run(s, &from->plan, false, tag_of(parsed.asks ? parameter : from->text));
		text_copy(p->worth, sizeof p->worth, from->plan.worth);
	}
	say_empty(out, '2');
}

static void no_such_portal(struct session *s, const char *name, struct bytes *out)
{
	char line[200];

	snprintf(line, sizeof line, "portal \"%.100s\" does not exist", name);
	extended_fails(s, out, "34000", line);
}

static void describe_text(const char *text, struct bytes *out)
{
	struct parsed p;

	language_parse(text, &p);
	if (language_returns_rows(&p))
		say_row_description(out);
	else
		say_empty(out, 'n');
}

static void take_target(struct session *s, char type, struct span body, struct bytes *out)
{
	char kind = body.length > 0 ? (char)body.at[0] : 0;
	struct span rest = body.length > 0 ? span_skip(body, 1) : body;
	const char *name = session_string_at(&rest);
	struct prepared *p;
	struct portal *portal;

	if (!name || (kind != 'S' && kind != 'P')) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	session_begins(s);
	p = kind == 'S' ? session_statement(s, name) : NULL;
	portal = kind == 'P' ? session_portal(s, name) : NULL;
	if (type == 'C') {
		if (p)
			p->used = false;
		if (portal)
			portal->used = false;
		say_empty(out, '3');
		return;
	}
	if (kind == 'S' && !p) {
		no_such_statement(s, name, out);
	} else if (kind == 'P' && !portal) {
		no_such_portal(s, name, out);
	} else if (p) {
		struct parsed parsed;

		language_parse(p->text, &parsed);
		/* In an aborted block only what returns no rows can be described. */
		if (s->status == 'E' && language_returns_rows(&parsed)) {
			extended_fails(s, out, "25P02", session_aborted);
			return;
		}
		if (parsed.asks)
			say_body(out, 't', "\0\1\0\0\0\31", 6);
		else
			say_body(out, 't', "\0\0", 2);
		describe_text(p->text, out);
	} else {
		struct parsed parsed;

		language_parse(portal->text, &parsed);
		if (s->status == 'E' && language_returns_rows(&parsed)) {
			extended_fails(s, out, "25P02", session_aborted);
			return;
		}
		describe_text(portal->text, out);
	}
}

static void take_execute(struct session *s, struct span body, struct bytes *out)
{
	const char *name = session_string_at(&body);
	struct portal *p;
	unsigned most;
	static char text[sizeof s->portals[0].text], parameter[128];
	enum outcome outcome;

	if (!name || body.length < 4) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	most = (unsigned)body.at[0] << 24 | (unsigned)body.at[1] << 16 | (unsigned)body.at[2] << 8 | body.at[3];
	session_begins(s);
	p = session_portal(s, name);
	if (!p) {
		no_such_portal(s, name, out);
		return;
	}
	/* A statement that ends the transaction takes its portal with it. */
	text_copy(text, sizeof text, p->text);
	text_copy(parameter, sizeof parameter, p->parameter);
	s->bound = p->worth;
	outcome = session_run(s, text, out, false, parameter, most, &p->at);
	s->bound = NULL;
	s->executed = s->status == 'I' && s->implicit;
	if (outcome == FAILED)
		s->skipping = true;
}

static void take_sync(struct session *s, struct bytes *out)
{
	s->skipping = false;
	if (s->status == 'I' && s->implicit)
		session_ends(s, true);
	else if (s->status == 'I')
		memset(s->portals, 0, sizeof s->portals);
	ready(s, out);
}

/* ---- copying in ---- */

void session_copy_fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	bool simple = s->copying == 1;

	session_fails(s, out, sqlstate, message);
	if (simple)
		session_end_query(s, out);
	else
		s->skipping = true;
}

static void take_copy(struct session *s, char type, struct span body, struct bytes *out)
{
	bool simple = s->copying == 1;
	char line[400], told[300];

	switch (type) {
	case 'd':
		for (size_t i = 0; i < body.length; i++)
			s->copy_sum = (s->copy_sum ^ body.at[i]) * UINT64_C(1099511628211);
		if (++s->copy_rows == s->copy_fails_at)
			session_copy_fails(s, out, "22P02", "invalid input syntax in a copied row");
		break;
	case 'c':
		snprintf(line, sizeof line, "copied %016llx", (unsigned long long)s->copy_sum);
		say_error(out, 'N', "NOTICE", "00000", line);
		s->copying = 0;
		say_tag(out, "COPY", s->copy_rows, true);
		if (simple)
			go_on(s, out);
		break;
	case 'f':
		snprintf(told, sizeof told, "%.*s", (int)body.length, (const char *)body.at);
		snprintf(line, sizeof line, "COPY from stdin failed: %s", told);
		session_copy_fails(s, out, "57014", line);
		break;
	case 'S':
	case 'H':
		break;
	default:
		snprintf(line, sizeof line, "unexpected message type 0x%02X during COPY from stdin",
			(unsigned)(uint8_t)type);
		session_copy_fails(s, out, "08P01", line);
		break;
	}
}

/* ---- all messages ---- */

void session_take(struct session *s, char type, struct span body, struct bytes *out)
{
	char line[80];

	check(s->sleeps == 0);
	if (s->over)
		return;
	if (type == 'X') {
		s->over = true;
		return;
	}
	if (s->copying) {
		take_copy(s, type, body, out);
		return;
	}
	if (s->skipping && type != 'S')
		return;
	if (type != 'S' && type != 'C' && type != 'H')
		s->untouched = false;
	switch (type) {
	case 'Q':
		take_query(s, body, out);
		break;
	case 'P':
		take_parse(s, body, out);
		break;
	case 'B':
		take_bind(s, body, out);
		break;
	case 'D':
	case 'C':
		take_target(s, type, body, out);
		break;
	case 'E':
		take_execute(s, body, out);
		break;
	case 'S':
		take_sync(s, out);
		break;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		break;
	case 'F':
		say_body(out, 'V', "\0\0\0\4func", 8);
		ready(s, out);
		break;
	default:
		snprintf(line, sizeof line, "invalid frontend message type %d", (int)(uint8_t)type);
		say_error(out, 'E', "FATAL", "08P01", line);
		s->over = true;
		break;
	}
}

bool session_sleeps(const struct session *s)
{
	return s->sleeps > 0;
}

void session_wake(struct session *s, bool cancelled, struct bytes *out)
{
	bool simple = !s->sleeps_in_execute;

	check(s->sleeps > 0);
	s->sleeps = 0;
	if (cancelled) {
		session_fails(s, out, "57014", "canceling statement due to user request");
		if (simple)
			session_end_query(s, out);
		else
			s->skipping = true;
		return;
	}
	if (!s->sleep_writes)
		say_row(out, s->sleeper, 0);
	say_tag(out, s->sleep_writes ? "UPDATE" : "SELECT", 1, true);
	if (simple)
		go_on(s, out);
}
