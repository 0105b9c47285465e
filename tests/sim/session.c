/* One backend's conversation. See session.h. The rules are those of PostgreSQL's protocol chapter and of tcop/postgres.c as facts.
 *
 *   SELECT 'x'                    one row                      SELECT rows(n,w,'x')       n rows of w bytes
 *   SELECT pg_sleep(ms,'x')       a row, later                 UPDATE pg_sleep(ms,'x')    writes, later
 *   SELECT $1                     the parameter                INSERT 'x'                 writes
 *   FAIL 'x'                      an error                     WARN 'x'                   a notice
 *   COPY OUT n 'x'                n rows                       COPY IN k 'x'              k>0: fails at row k
 *   CREATE TEMP TABLE mine 'x'    the session's own            TABLE mine                 what is in it; an error without
 *   DROP TABLE mine               it is gone                   DISCARD SEQUENCES, DISCARD PLANS, the pooler's question (see answer_question)
 *   INSERT trapped 'x'            a trigger sets app.tenant    WITH RECURSIVE kinds...    the pooler reads the catalogue
 *   BEGIN COMMIT ROLLBACK SHOW SET SET LOCAL RESET DISCARD ALL DEALLOCATE ALL, SELECT set_config(...),..., select 1 */
#include "session.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/text.h"

const struct setting_fact setting_facts[SETTINGS] = {
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

/* ---- messages ---- */

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

/* ---- topics ---- */

static char mark_name[40]; /* the one name that is no client's */

const char *topic_name(unsigned topic)
{
	static const char *const names[TOPIC_MARK] = { "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7" };

	return topic < TOPIC_MARK ? names[topic] : mark_name;
}

static unsigned topic_of(const char *name)
{
	for (unsigned i = 0; i < TOPIC_MARK; i++)
		if (strcmp(name, topic_name(i)) == 0)
			return i;
	text_copy(mark_name, sizeof mark_name, name);
	return TOPIC_MARK;
}

static void notify(struct session *s, const char *name, const char *payload)
{
	check(s->said_count < SAID_MAX);
	s->said[s->said_count].topic = topic_of(name);
	text_copy(s->said[s->said_count++].payload, sizeof s->said[0].payload, payload);
}

static void ready(struct session *s, struct bytes *out)
{
	if (s->readies && s->status == 'I')
		s->readies(s->who, out);
	report_changes(s, out);
	say_ready(out, s->status);
}

static void transaction_begins(struct session *s)
{
	memcpy(s->saved, s->lasting, sizeof s->saved);
	text_copy(s->mine_saved, sizeof s->mine_saved, s->mine);
}

static void transaction_ends(struct session *s, bool well)
{
	if (!well) {
		memcpy(s->lasting, s->saved, sizeof s->lasting);
		text_copy(s->mine, sizeof s->mine, s->mine_saved);
	}
	memcpy(s->now, s->lasting, sizeof s->now);
	if (well) {
		s->listens = s->coming;
		if (s->commits)
			s->commits(s->who);
	}
	s->coming = s->listens;
	s->said_count = 0;
	s->status = 'I';
	s->implicit = false;
	memset(s->portals, 0, sizeof s->portals);
}

static void begin_implicit(struct session *s)
{
	if (s->status != 'I' || s->implicit)
		return;
	transaction_begins(s);
	s->implicit = true;
}

/* An error in whatever runs. */
static void fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	say_error(out, 'E', "ERROR", sqlstate, message);
	s->copying = 0;
	if (s->status == 'T') {
		s->status = 'E';
		memcpy(s->lasting, s->saved, sizeof s->lasting);
		memcpy(s->now, s->saved, sizeof s->now);
		text_copy(s->mine, sizeof s->mine, s->mine_saved);
	} else if (s->status == 'I' && s->implicit) {
		transaction_ends(s, false);
	}
}

static void set(struct session *s, int setting, struct span value, bool local)
{
	setting_normal(setting, value, s->now[setting]);
	if (!local)
		text_copy(s->lasting[setting], SETTING_BYTES, s->now[setting]);
}

static void reset(struct session *s, int setting)
{
	text_copy(s->now[setting], SETTING_BYTES, s->standard[setting]);
	text_copy(s->lasting[setting], SETTING_BYTES, s->standard[setting]);
}

/* ---- a statement ---- */

static const char *skip_blank(const char *at)
{
	for (;;) {
		while (*at == ' ' || *at == '\n' || *at == '\t')
			at++;
		if (at[0] == '/' && at[1] == '*') {
			const char *end = strstr(at, "*/");

			at = end ? end + 2 : at + strlen(at);
			continue;
		}
		return at;
	}
}

static bool word(const char **at, const char *expected)
{
	size_t n = strlen(expected);

	*at = skip_blank(*at);
	if (strncasecmp(*at, expected, n) != 0 || isalnum((unsigned char)(*at)[n]) || (*at)[n] == '_')
		return false;
	*at += n;
	*at = skip_blank(*at);
	return true;
}

static bool sign(const char **at, char expected)
{
	*at = skip_blank(*at);
	if (**at != expected)
		return false;
	++*at;
	*at = skip_blank(*at);
	return true;
}

/* 'x', E'x' or "x"; or a bare word. */
static bool literal(const char **at, char *out, size_t size)
{
	const char *p = skip_blank(*at);
	bool escapes = false;
	size_t n = 0;
	char quote;

	if ((p[0] == 'E' || p[0] == 'e') && p[1] == '\'') {
		escapes = true;
		p++;
	}
	quote = *p;
	if (quote != '\'' && quote != '"') {
		while (isalnum((unsigned char)*p) || *p == '_' || *p == '.' || *p == '/') {
			if (n + 1 < size)
				out[n++] = *p;
			p++;
		}
		out[n] = 0;
		*at = skip_blank(p);
		return n > 0;
	}
	for (p++; *p; p++) {
		if (*p == quote) {
			if (p[1] != quote)
				break;
			p++;
		} else if (escapes && *p == '\\' && p[1]) {
			p++;
		}
		if (n + 1 < size)
			out[n++] = *p;
	}
	out[n] = 0;
	if (*p != quote)
		return false;
	*at = skip_blank(p + 1);
	return true;
}

/* A name, maybe quoted and dotted. */
static bool name_of(const char **at, char *out, size_t size)
{
	char part[100];

	if (!literal(at, out, size))
		return false;
	while (**at == '.') {
		++*at;
		if (!literal(at, part, sizeof part) || strlen(out) + strlen(part) + 2 > size)
			return false;
		text_copy(out + strlen(out), size - strlen(out), ".");
		text_copy(out + strlen(out), size - strlen(out), part);
	}
	return true;
}

static bool number(const char **at, unsigned *out)
{
	char *end;

	*at = skip_blank(*at);
	*out = (unsigned)strtoul(*at, &end, 10);
	if (end == *at)
		return false;
	*at = skip_blank(end);
	return true;
}

enum verb {
	VERB_EMPTY,
	VERB_ROW,
	VERB_ROWS,
	VERB_SLEEP,
	VERB_WRITE_SLEEP,
	VERB_PARAMETER,
	VERB_INSERT,
	VERB_FAIL,
	VERB_WARN,
	VERB_COPY_OUT,
	VERB_COPY_IN,
	VERB_BEGIN,
	VERB_COMMIT,
	VERB_ROLLBACK,
	VERB_SHOW,
	VERB_SET,
	VERB_RESET,
	VERB_RESET_ALL,
	VERB_DISCARD,
	VERB_DEALLOCATE,
	VERB_CONFIG,
	VERB_TEMP,
	VERB_TABLE,
	VERB_DROP,
	VERB_RESET_ROLE,
	VERB_SEQUENCES,
	VERB_PLANS,
	VERB_QUESTION,
	VERB_TRAPPED,
	VERB_LIMITS,
	VERB_CATALOG,
	VERB_LISTEN,
	VERB_UNLISTEN,
	VERB_NOTIFY,
	VERB_TELL,
	VERB_BAD
};

struct parsed {
	enum verb verb;
	unsigned n, width;
	char text[600];
	int setting;
	char topic[100]; /* empty: all */
	bool local;
	const char *configs; /* set_config calls */
};

static bool sleep_call(const char **at, struct parsed *p)
{
	return word(at, "pg_sleep") && sign(at, '(') && number(at, &p->n) && sign(at, ',') &&
		literal(at, p->text, sizeof p->text) && sign(at, ')');
}

static void parse_select(const char *at, struct parsed *p)
{
	const char *from = at;

	if (*at == '\'' && literal(&at, p->text, sizeof p->text)) {
		p->verb = VERB_ROW;
	} else if (word(&at, "rows") && sign(&at, '(') && number(&at, &p->n) && sign(&at, ',') &&
		number(&at, &p->width) && sign(&at, ',') && literal(&at, p->text, sizeof p->text) && sign(&at, ')')) {
		p->verb = VERB_ROWS;
	} else if (at = from, sleep_call(&at, p)) {
		p->verb = VERB_SLEEP;
	} else if (at = from, at[0] == '$' && at[1] == '1') {
		p->verb = VERB_PARAMETER;
		at += 2;
	} else if (at[0] == '1') {
		p->verb = VERB_ROW;
		text_copy(p->text, sizeof p->text, "1");
		at++;
	} else if (strncmp(at, "CASE WHEN pg_catalog.octet_length(v)", 36) == 0) {
		p->verb = VERB_QUESTION;
		p->configs = at;
		return;
	} else if (strncmp(at, "pg_catalog.pg_notify(", 21) == 0) {
		at += 21;
		if (literal(&at, p->topic, sizeof p->topic) && sign(&at, ',') &&
			literal(&at, p->text, sizeof p->text) && sign(&at, ')'))
			p->verb = VERB_TELL;
	} else if (strncmp(at, "pg_catalog.set_config(", 22) == 0) {
		p->verb = VERB_CONFIG;
		p->configs = at;
		return;
	}
	if (p->verb != VERB_BAD && *skip_blank(at))
		p->verb = VERB_BAD;
}

static void parse(const char *text, struct parsed *p)
{
	const char *at = skip_blank(text);
	char name[100];

	*p = (struct parsed){ .verb = VERB_BAD };
	if (!*at) {
		p->verb = VERB_EMPTY;
	} else if (strncmp(at, "SET LOCAL search_path=pg_catalog", 32) == 0 ||
		strncmp(at, "SET LOCAL statement_timeout='", 29) == 0 || strcmp(at, "SET LOCAL jit=off") == 0) {
		p->verb = VERB_LIMITS;
		return;
	} else if (strncmp(at, "WITH RECURSIVE kinds(", 21) == 0) {
		p->verb = VERB_CATALOG;
		return;
	} else if (strncmp(at, "(SELECT '", 9) == 0) {
		p->verb = VERB_QUESTION;
		p->configs = at;
		return;
	} else if (word(&at, "select")) {
		parse_select(at, p);
		return;
	} else if (word(&at, "update")) {
		p->verb = sleep_call(&at, p) ? VERB_WRITE_SLEEP : VERB_BAD;
	} else if (word(&at, "insert")) {
		p->verb = word(&at, "trapped") ? VERB_TRAPPED : VERB_INSERT;
		if (!literal(&at, p->text, sizeof p->text))
			p->verb = VERB_BAD;
	} else if (word(&at, "fail")) {
		p->verb = literal(&at, p->text, sizeof p->text) ? VERB_FAIL : VERB_BAD;
	} else if (word(&at, "warn")) {
		p->verb = literal(&at, p->text, sizeof p->text) ? VERB_WARN : VERB_BAD;
	} else if (word(&at, "copy")) {
		bool out = word(&at, "out");

		if ((out || word(&at, "in")) && number(&at, &p->n) && literal(&at, p->text, sizeof p->text))
			p->verb = out ? VERB_COPY_OUT : VERB_COPY_IN;
	} else if (word(&at, "begin")) {
		p->verb = VERB_BEGIN;
	} else if (word(&at, "commit")) {
		p->verb = VERB_COMMIT;
	} else if (word(&at, "rollback")) {
		p->verb = VERB_ROLLBACK;
	} else if (word(&at, "show")) {
		if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0)
			p->verb = VERB_SHOW;
	} else if (word(&at, "set")) {
		p->local = word(&at, "local");
		if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0 &&
			(word(&at, "to") || sign(&at, '=')) && literal(&at, p->text, sizeof p->text))
			p->verb = VERB_SET;
	} else if (word(&at, "reset")) {
		if (word(&at, "all"))
			p->verb = VERB_RESET_ALL;
		else if (word(&at, "role") || (word(&at, "session") && word(&at, "authorization")))
			p->verb = VERB_RESET_ROLE;
		else if (name_of(&at, name, sizeof name) && (p->setting = setting_find(span_text(name))) >= 0)
			p->verb = VERB_RESET;
	} else if (word(&at, "discard")) {
		p->verb = word(&at, "all")       ? VERB_DISCARD
			: word(&at, "sequences") ? VERB_SEQUENCES
			: word(&at, "plans")     ? VERB_PLANS
						 : VERB_BAD;
	} else if (word(&at, "create") && word(&at, "temp") && word(&at, "table") && word(&at, "mine")) {
		p->verb = literal(&at, p->text, sizeof p->text) ? VERB_TEMP : VERB_BAD;
	} else if (word(&at, "table") && word(&at, "mine")) {
		p->verb = VERB_TABLE;
	} else if (word(&at, "drop") && word(&at, "table") && word(&at, "mine")) {
		p->verb = VERB_DROP;
	} else if (word(&at, "listen")) {
		p->verb = literal(&at, p->topic, sizeof p->topic) ? VERB_LISTEN : VERB_BAD;
	} else if (word(&at, "unlisten")) {
		p->verb = sign(&at, '*') || literal(&at, p->topic, sizeof p->topic) ? VERB_UNLISTEN : VERB_BAD;
	} else if (word(&at, "notify")) {
		if (literal(&at, p->topic, sizeof p->topic) && sign(&at, ',') && literal(&at, p->text, sizeof p->text))
			p->verb = VERB_NOTIFY;
	} else if (word(&at, "deallocate") && word(&at, "all")) {
		p->verb = VERB_DEALLOCATE;
	}
	if (*skip_blank(at))
		p->verb = VERB_BAD;
}

static bool returns_rows(const struct parsed *p)
{
	return p->verb == VERB_ROW || p->verb == VERB_ROWS || p->verb == VERB_SLEEP || p->verb == VERB_PARAMETER ||
		p->verb == VERB_SHOW || p->verb == VERB_CONFIG || p->verb == VERB_TABLE || p->verb == VERB_QUESTION ||
		p->verb == VERB_CATALOG || p->verb == VERB_TELL;
}

static void say_row_description(struct bytes *out)
{
	static const uint8_t body[] = { 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, 0 };

	say_body(out, 'T', body, sizeof body);
}

static void say_row(struct bytes *out, const char *text, size_t width)
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

static void say_tag(struct bytes *out, const char *tag, unsigned n, bool counted)
{
	char text[60];

	snprintf(text, sizeof text, counted ? "%s %u" : "%s", tag, n);
	say_text(out, 'C', text);
}

static bool set_configs(struct session *s, const char *at, struct bytes *out)
{
	char name[SETTING_BYTES], value[SETTING_BYTES], wrong[300];
	int setting;

	for (;;) {
		if (strncmp(at, "pg_catalog.set_config(", 22) != 0)
			return false;
		at += 22;
		if (!literal(&at, name, sizeof name) || !sign(&at, ',') || !literal(&at, value, sizeof value) ||
			!sign(&at, ',') || !(word(&at, "false")) || !sign(&at, ')'))
			return false;
		setting = setting_find(span_text(name));
		if (setting < 0) {
			snprintf(wrong, sizeof wrong, "unrecognized configuration parameter \"%s\"", name);
			fails(s, out, "42704", wrong);
			return false;
		}
		set(s, setting, span_text(value), false);
		if (*at != ',')
			return *at == 0;
		at = skip_blank(at + 1);
	}
}

static void say_fields(struct bytes *out, const char *const fields[3])
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

/* What the pooler asks at the end of a transaction: rows of a kind, a name and a value. Settings with a dot are shown only when they are
 * asked for by name. */
static unsigned answer_question(struct session *s, const char *text, struct bytes *out)
{
	unsigned rows = 0;

	for (int i = 0; i < SETTINGS && strncmp(text, "CASE", 4) == 0; i++) {
		const char *fields[3] = { "s", setting_facts[i].name, s->now[i] };

		if (strcmp(s->now[i], s->standard[i]) == 0 ||
			(strchr(setting_facts[i].name, '.') && !strstr(text, setting_facts[i].name)))
			continue;
		say_fields(out, fields);
		rows++;
	}
	for (unsigned i = 0; i <= TOPIC_MARK && strstr(text, "pg_listening_channels()"); i++) {
		if (!(s->listens >> i & 1))
			continue;
		say_fields(out, (const char *const[3]){ "n", topic_name(i), NULL });
		rows++;
	}
	if (strstr(text, "'t'") && s->mine[0]) {
		say_fields(out, (const char *const[3]){ "t", NULL, NULL });
		rows++;
	}
	return rows;
}

enum outcome { DONE, FAILED, WAITS };

/* Run one statement. `most` bounds the rows of an Execute (0: all), of which `*at_row` were sent before. */
static enum outcome run(struct session *s, const char *text, struct bytes *out, bool simple, const char *parameter,
	unsigned most, unsigned *at_row)
{
	struct parsed p;
	char line[700];
	unsigned i;

	parse(text, &p);
	if (p.verb == VERB_BAD) {
		fails(s, out, "42601", "syntax error");
		return FAILED;
	}
	if (s->status == 'E' && p.verb != VERB_COMMIT && p.verb != VERB_ROLLBACK && p.verb != VERB_EMPTY) {
		fails(s, out, "25P02",
			"current transaction is aborted, commands ignored until end of transaction block");
		return FAILED;
	}
	if (p.verb != VERB_EMPTY)
		s->untouched = false;
	if (s->runs && p.verb != VERB_TELL && tag_of(parameter && *parameter ? parameter : text) >= 0)
		s->runs(s->who, parameter && *parameter ? parameter : text);
	if (simple && returns_rows(&p) && p.verb != VERB_SLEEP && p.verb != VERB_CONFIG)
		say_row_description(out);
	switch (p.verb) {
	case VERB_EMPTY:
		say_empty(out, 'I');
		return DONE;
	case VERB_ROW:
		say_row(out, p.text, 0);
		say_tag(out, "SELECT", 1, true);
		return DONE;
	case VERB_PARAMETER:
		if (!parameter) {
			fails(s, out, "42P02", "there is no parameter $1");
			return FAILED;
		}
		say_row(out, parameter, 0);
		say_tag(out, "SELECT", 1, true);
		return DONE;
	case VERB_ROWS:
		for (i = at_row ? *at_row : 0; i < p.n; i++) {
			if (most && at_row && i - *at_row == most) {
				*at_row = i;
				say_empty(out, 's');
				return DONE;
			}
			say_row(out, p.text, p.width);
		}
		if (at_row)
			*at_row = p.n;
		say_tag(out, "SELECT", p.n, true);
		return DONE;
	case VERB_SLEEP:
	case VERB_WRITE_SLEEP:
		if (p.verb == VERB_SLEEP && simple)
			say_row_description(out);
		s->sleeps = (time_us)p.n * MILLISECOND_US + 1;
		s->sleeps_in_execute = !simple;
		s->sleep_writes = p.verb == VERB_WRITE_SLEEP;
		snprintf(s->sleeper, sizeof s->sleeper, "%s", p.text);
		return WAITS;
	case VERB_INSERT:
		say_tag(out, "INSERT 0", 1, true);
		return DONE;
	case VERB_FAIL:
		fails(s, out, "22012", p.text);
		return FAILED;
	case VERB_WARN:
		say_error(out, 'N', "WARNING", "01000", p.text);
		say_tag(out, "DO", 0, false);
		return DONE;
	case VERB_COPY_OUT:
		say_body(out, 'H', "\0\0\1\0\0", 5);
		for (i = 0; i < p.n; i++) {
			snprintf(line, sizeof line, "%s\t%u\n", p.text, i);
			say_body(out, 'd', line, strlen(line));
		}
		say_empty(out, 'c');
		say_tag(out, "COPY", p.n, true);
		return DONE;
	case VERB_COPY_IN:
		say_body(out, 'G', "\0\0\1\0\0", 5);
		s->copying = simple ? 1 : 2;
		s->copy_rows = 0;
		s->copy_fails_at = p.n;
		s->copy_sum = UINT64_C(14695981039346656037);
		return WAITS;
	case VERB_BEGIN:
		if (s->status == 'I') {
			if (!s->implicit)
				transaction_begins(s);
			s->status = 'T';
			s->implicit = false;
			s->untouched = !strchr(text, '/');
			/* Whoever it is: its next statement has a name. */
			if (s->runs && s->untouched)
				s->runs(s->who, "");
		} else {
			say_error(out, 'N', "WARNING", "25001", "there is already a transaction in progress");
		}
		say_tag(out, "BEGIN", 0, false);
		return DONE;
	case VERB_COMMIT:
	case VERB_ROLLBACK: {
		bool well = p.verb == VERB_COMMIT && s->status != 'E';

		if (s->status == 'I')
			say_error(out, 'N', "WARNING", "25P01", "there is no transaction in progress");
		else
			transaction_ends(s, well);
		say_tag(out, well ? "COMMIT" : "ROLLBACK", 0, false);
		return DONE;
	}
	case VERB_SHOW:
		say_row(out, s->now[p.setting], 0);
		say_tag(out, "SHOW", 0, false);
		return DONE;
	case VERB_SET:
		set(s, p.setting, span_text(p.text), p.local);
		say_tag(out, "SET", 0, false);
		return DONE;
	case VERB_RESET:
		reset(s, p.setting);
		say_tag(out, "RESET", 0, false);
		return DONE;
	case VERB_RESET_ALL:
	case VERB_DISCARD:
		if (p.verb == VERB_DISCARD && s->status != 'I') {
			fails(s, out, "25001", "DISCARD ALL cannot run inside a transaction block");
			return FAILED;
		}
		for (int k = 0; k < SETTINGS; k++)
			reset(s, k);
		if (p.verb == VERB_DISCARD) {
			memset(s->statements, 0, sizeof s->statements);
			s->mine[0] = 0;
			s->coming = 0;
		}
		say_tag(out, p.verb == VERB_DISCARD ? "DISCARD ALL" : "RESET", 0, false);
		return DONE;
	case VERB_RESET_ROLE:
		say_tag(out, "RESET", 0, false);
		return DONE;
	case VERB_SEQUENCES:
		say_tag(out, "DISCARD SEQUENCES", 0, false);
		return DONE;
	case VERB_PLANS:
		say_tag(out, "DISCARD PLANS", 0, false);
		return DONE;
	case VERB_QUESTION:
		say_tag(out, "SELECT", answer_question(s, p.configs, out), true);
		return DONE;
	case VERB_TRAPPED:
		set(s, setting_find(span_text("app.tenant")), span_text(p.text), false);
		say_tag(out, "INSERT 0", 1, true);
		return DONE;
	case VERB_LIMITS:
		say_tag(out, "SET", 0, false);
		return DONE;
	case VERB_CATALOG:
		say_fields(out, (const char *const[3]){ "trapped", "s", "w" });
		say_fields(out, (const char *const[3]){ "app.tenant", "", "s" });
		say_tag(out, "SELECT", 2, true);
		return DONE;
	case VERB_LISTEN:
		s->coming |= 1u << topic_of(p.topic);
		say_tag(out, "LISTEN", 0, false);
		return DONE;
	case VERB_UNLISTEN:
		s->coming &= p.topic[0] ? ~(1u << topic_of(p.topic)) : 0;
		say_tag(out, "UNLISTEN", 0, false);
		return DONE;
	case VERB_NOTIFY:
		notify(s, p.topic, p.text);
		say_tag(out, "NOTIFY", 0, false);
		return DONE;
	case VERB_TELL:
		notify(s, p.topic, p.text);
		say_row(out, "", 0);
		say_tag(out, "SELECT", 1, true);
		return DONE;
	case VERB_TEMP:
		if (s->mine[0]) {
			fails(s, out, "42P07", "relation \"mine\" already exists");
			return FAILED;
		}
		snprintf(s->mine, sizeof s->mine, "%.70s", p.text);
		say_tag(out, "CREATE TABLE", 0, false);
		return DONE;
	case VERB_TABLE:
	case VERB_DROP:
		if (!s->mine[0]) {
			fails(s, out, "42P01", "relation \"mine\" does not exist");
			return FAILED;
		}
		if (p.verb == VERB_TABLE) {
			say_row(out, s->mine, 0);
			say_tag(out, "SELECT", 1, true);
			return DONE;
		}
		s->mine[0] = 0;
		say_tag(out, "DROP TABLE", 0, false);
		return DONE;
	case VERB_DEALLOCATE:
		memset(s->statements, 0, sizeof s->statements);
		say_tag(out, "DEALLOCATE ALL", 0, false);
		return DONE;
	case VERB_CONFIG: {
		struct bytes nowhere = { 0 };
		bool ok = set_configs(s, p.configs, &nowhere);

		if (ok) {
			if (simple)
				say_row_description(out);
			say_row(out, "set", 0);
			say_tag(out, "SELECT", 1, true);
		} else if (nowhere.length > 0) {
			bytes_add(out, nowhere.at + nowhere.start, nowhere.length);
		} else {
			fails(s, out, "42601", "syntax error in set_config");
		}
		bytes_free(&nowhere);
		return ok ? DONE : FAILED;
	}
	case VERB_BAD:
		break;
	}
	return FAILED;
}

/* ---- simple queries ---- */

/* The next statement of the query at hand, up to a semicolon outside quotes. False: there is none. */
static bool next_statement(struct session *s, char *out, size_t size)
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

static void end_query(struct session *s, struct bytes *out)
{
	if (s->status == 'I' && s->implicit)
		transaction_ends(s, true);
	s->query_at = s->query_length = 0;
	ready(s, out);
}

static void go_on(struct session *s, struct bytes *out)
{
	static char text[16384];
	bool any = s->query_at > 0;

	while (next_statement(s, text, sizeof text)) {
		if (!*skip_blank(text)) {
			if (!any && s->query_at >= s->query_length)
				say_empty(out, 'I');
			continue;
		}
		any = true;
		begin_implicit(s);
		switch (run(s, text, out, true, NULL, 0, NULL)) {
		case DONE:
			break;
		case FAILED:
			end_query(s, out);
			return;
		case WAITS:
			return;
		}
	}
	end_query(s, out);
}

static void drop_unnamed(struct session *s)
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
	drop_unnamed(s);
	if (s->query_length == 0) {
		say_empty(out, 'I');
		end_query(s, out);
		return;
	}
	go_on(s, out);
}

/* ---- extended queries ---- */

static void extended_fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	fails(s, out, sqlstate, message);
	s->skipping = true;
}

static const char *string_at(struct span *rest)
{
	const char *text = (const char *)rest->at;
	size_t n = strnlen(text, rest->length);

	if (n == rest->length)
		return NULL;
	*rest = span_skip(*rest, n + 1);
	return text;
}

static struct prepared *statement_of(struct session *s, const char *name)
{
	for (int i = 0; i < STATEMENTS_MAX; i++)
		if (s->statements[i].used && strcmp(s->statements[i].name, name) == 0)
			return &s->statements[i];
	return NULL;
}

static struct portal *portal_of(struct session *s, const char *name)
{
	for (int i = 0; i < PORTALS_MAX; i++)
		if (s->portals[i].used && strcmp(s->portals[i].name, name) == 0)
			return &s->portals[i];
	return NULL;
}

static bool ends_block(const char *text)
{
	struct parsed p;

	parse(text, &p);
	return p.verb == VERB_COMMIT || p.verb == VERB_ROLLBACK || p.verb == VERB_EMPTY;
}

static const char aborted[] = "current transaction is aborted, commands ignored until end of transaction block";

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
	const char *name = string_at(&body), *text = name ? string_at(&body) : NULL;
	struct prepared *p = NULL;
	struct parsed parsed;
	char line[200];

	if (!text || body.length < 2) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	begin_implicit(s);
	if (!*name)
		drop_unnamed(s);
	parse(text, &parsed);
	if (parsed.verb == VERB_BAD) {
		extended_fails(s, out, "42601", "syntax error");
		return;
	}
	if (s->status == 'E' && !ends_block(text)) {
		extended_fails(s, out, "25P02", aborted);
		return;
	}
	if (*name && statement_of(s, name)) {
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
	const char *portal = string_at(&body), *name = portal ? string_at(&body) : NULL;
	struct prepared *from;
	struct portal *p;
	char parameter[128], line[200];

	if (!name || !read_parameter(body, parameter, sizeof parameter)) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	begin_implicit(s);
	from = statement_of(s, name);
	if (!from) {
		no_such_statement(s, name, out);
		return;
	}
	if (s->status == 'E' && !ends_block(from->text)) {
		extended_fails(s, out, "25P02", aborted);
		return;
	}
	p = portal_of(s, portal);
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

	parse(text, &p);
	if (returns_rows(&p))
		say_row_description(out);
	else
		say_empty(out, 'n');
}

static void take_target(struct session *s, char type, struct span body, struct bytes *out)
{
	char kind = body.length > 0 ? (char)body.at[0] : 0;
	struct span rest = body.length > 0 ? span_skip(body, 1) : body;
	const char *name = string_at(&rest);
	struct prepared *p;
	struct portal *portal;

	if (!name || (kind != 'S' && kind != 'P')) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	begin_implicit(s);
	p = kind == 'S' ? statement_of(s, name) : NULL;
	portal = kind == 'P' ? portal_of(s, name) : NULL;
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

		parse(p->text, &parsed);
		/* In an aborted block only what returns no rows can be described. */
		if (s->status == 'E' && returns_rows(&parsed)) {
			extended_fails(s, out, "25P02", aborted);
			return;
		}
		if (parsed.verb == VERB_PARAMETER)
			say_body(out, 't', "\0\1\0\0\0\31", 6);
		else
			say_body(out, 't', "\0\0", 2);
		describe_text(p->text, out);
	} else {
		struct parsed parsed;

		parse(portal->text, &parsed);
		if (s->status == 'E' && returns_rows(&parsed)) {
			extended_fails(s, out, "25P02", aborted);
			return;
		}
		describe_text(portal->text, out);
	}
}

static void take_execute(struct session *s, struct span body, struct bytes *out)
{
	const char *name = string_at(&body);
	struct portal *p;
	unsigned most;
	static char text[700], parameter[128];

	if (!name || body.length < 4) {
		extended_fails(s, out, "08P01", "invalid message format");
		return;
	}
	most = (unsigned)body.at[0] << 24 | (unsigned)body.at[1] << 16 | (unsigned)body.at[2] << 8 | body.at[3];
	begin_implicit(s);
	p = portal_of(s, name);
	if (!p) {
		no_such_portal(s, name, out);
		return;
	}
	/* A statement that ends the transaction takes its portal with it. */
	text_copy(text, sizeof text, p->text);
	text_copy(parameter, sizeof parameter, p->parameter);
	if (run(s, text, out, false, parameter, most, &p->at) == FAILED)
		s->skipping = true;
}

static void take_sync(struct session *s, struct bytes *out)
{
	s->skipping = false;
	if (s->status == 'I' && s->implicit)
		transaction_ends(s, true);
	else if (s->status == 'I')
		memset(s->portals, 0, sizeof s->portals);
	ready(s, out);
}

/* ---- copying in ---- */

static void copy_fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	bool simple = s->copying == 1;

	fails(s, out, sqlstate, message);
	if (simple)
		end_query(s, out);
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
			copy_fails(s, out, "22P02", "invalid input syntax in a copied row");
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
		copy_fails(s, out, "57014", line);
		break;
	case 'S':
	case 'H':
		break;
	default:
		snprintf(line, sizeof line, "unexpected message type 0x%02X during COPY from stdin",
			(unsigned)(uint8_t)type);
		copy_fails(s, out, "08P01", line);
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
		fails(s, out, "57014", "canceling statement due to user request");
		if (simple)
			end_query(s, out);
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

void session_take_cancelled(struct session *s, char type, struct span body, struct bytes *out)
{
	(void)body;
	fails(s, out, "57014", "canceling statement due to user request");
	if (type == 'Q' || type == 'F')
		say_ready(out, s->status);
	else
		s->skipping = true;
}
