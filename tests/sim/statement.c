/* What one statement does to its session: settings, topics, transactions, tables; and what is said of it. */
#include "statement.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "language.h"

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

/* Where nobody LISTENs to it: TOPIC_MARK + 1. */
static unsigned known_topic_of(const char *name)
{
	unsigned i = 0;

	while (i <= TOPIC_MARK && strcmp(name, topic_name(i)) != 0)
		i++;
	return i;
}

static void notify(struct session *s, const char *name, const char *payload)
{
	check(s->said_count < SAID_MAX);
	s->said[s->said_count].topic = topic_of(name);
	text_copy(s->said[s->said_count++].payload, sizeof s->said[0].payload, payload);
}

static void transaction_begins(struct session *s)
{
	memcpy(s->saved, s->lasting, sizeof s->saved);
	s->set_saved = s->set_lasting;
	text_copy(s->mine_saved, sizeof s->mine_saved, s->mine);
}

void session_ends(struct session *s, bool well)
{
	if (!well) {
		memcpy(s->lasting, s->saved, sizeof s->lasting);
		s->set_lasting = s->set_saved;
		text_copy(s->mine, sizeof s->mine, s->mine_saved);
	}
	memcpy(s->now, s->lasting, sizeof s->now);
	s->set = s->set_lasting;
	if (well) {
		s->listens = s->coming;
		if (s->commits)
			s->commits(s->who);
	}
	s->coming = s->listens;
	s->said_count = 0;
	s->status = 'I';
	s->implicit = s->executed = false;
	memset(s->portals, 0, sizeof s->portals);
}

void session_begins(struct session *s)
{
	if (s->status != 'I' || s->implicit)
		return;
	transaction_begins(s);
	s->implicit = true;
}

const char session_aborted[] = "current transaction is aborted, commands ignored until end of transaction block";

/* An error in whatever runs. */
void session_fails(struct session *s, struct bytes *out, const char *sqlstate, const char *message)
{
	say_error(out, 'E', "ERROR", sqlstate, message);
	s->copying = 0;
	if (s->status == 'T') {
		s->status = 'E';
		memcpy(s->lasting, s->saved, sizeof s->lasting);
		memcpy(s->now, s->saved, sizeof s->now);
		s->set = s->set_lasting = s->set_saved;
		text_copy(s->mine, sizeof s->mine, s->mine_saved);
	} else if (s->status == 'I' && s->implicit) {
		session_ends(s, false);
	}
}

static void set(struct session *s, int setting, struct span value, bool local)
{
	setting_normal(setting, value, s->now[setting]);
	s->set |= 1u << setting;
	if (local)
		return;
	text_copy(s->lasting[setting], SETTING_BYTES, s->now[setting]);
	s->set_lasting |= 1u << setting;
}

static int trigger = -1;
static const char *triggered;

void setting_trigger(int setting, const char *value)
{
	trigger = setting;
	triggered = value;
}

int setting_triggered(void)
{
	return trigger;
}

void session_logs_in(struct session *s)
{
	if (trigger < 0)
		return;
	set(s, trigger, span_text(triggered), false);
	text_copy(s->saved[trigger], SETTING_BYTES, s->now[trigger]);
	s->set_saved = s->set_lasting;
}

static void reset(struct session *s, int setting)
{
	text_copy(s->now[setting], SETTING_BYTES, s->standard[setting]);
	text_copy(s->lasting[setting], SETTING_BYTES, s->standard[setting]);
	s->set &= ~(1u << setting);
	s->set_lasting &= ~(1u << setting);
}

/* What the pooler says of a client's in SQL of its own: a literal of ASCII, or bytes. */
static bool take_said(const char **at, char *out, size_t size)
{
	static const char bytes[] = "pg_catalog.convert_from(E'\\\\x",
			  database[] = "',pg_catalog.getdatabaseencoding())";
	size_t n = 0;

	if (strncmp(*at, bytes, sizeof bytes - 1) != 0)
		return take_literal(at, out, size) && span_is_ascii(span_text(out));
	for (*at += sizeof bytes - 1; isxdigit((unsigned char)**at) && n + 1 < size; *at += 2)
		out[n++] = (char)strtoul((const char[3]){ (*at)[0], (*at)[1], 0 }, NULL, 16);
	out[n] = 0;
	if (strncmp(*at, database, sizeof database - 1) != 0)
		return false;
	*at += sizeof database - 1;
	return true;
}

static bool set_configs(struct session *s, const char *at, struct bytes *out)
{
	char name[SETTING_BYTES], value[SETTING_BYTES], wrong[300];
	bool none;
	int setting;

	for (;;) {
		if (strncmp(at, "pg_catalog.set_config(", 22) != 0)
			return false;
		at += 22;
		if (!take_said(&at, name, sizeof name) || !take_sign(&at, ',') ||
			(!(none = take_word(&at, "null")) && !take_said(&at, value, sizeof value)) ||
			!take_sign(&at, ',') || !take_word(&at, "false") || !take_sign(&at, ')') ||
			(take_word(&at, "is") && !take_word(&at, "null")))
			return false;
		setting = setting_find(span_text(name));
		if (setting < 0) {
			snprintf(wrong, sizeof wrong, "unrecognized configuration parameter \"%s\"", name);
			session_fails(s, out, "42704", wrong);
			return false;
		}
		if (none)
			reset(s, setting);
		else
			set(s, setting, span_text(value), false);
		if (*at != ',')
			return *at == 0;
		at = take_blank(at + 1);
	}
}

/* PostgreSQL's encode(..., 'escape'). */
static void escape(const char *from, char *out, size_t size)
{
	size_t n = 0;

	for (; *from; from++)
		n += text_format(out + n, size - n,
			*from == '\\'          ? "\\\\"
				: *from & 0x80 ? "\\%03o"
					       : "%c",
			(unsigned char)*from);
	out[n] = 0;
}

/* A role that is none, or what nobody has said with a dot, is shown as if it had never been set. */
static bool is_shown(const struct session *s, int setting)
{
	const char *name = setting_facts[setting].name;

	if (strchr(name, '.') || strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0)
		return strcmp(s->now[setting], s->standard[setting]) != 0;
	return s->set >> setting & 1;
}

/* What the pooler asks at the end of a transaction: rows of a kind, a name and a value. Settings with a dot are shown only when they are
 * asked for by name. */
static unsigned answer_question(struct session *s, const char *text, struct bytes *out)
{
	char value[4 * SETTING_BYTES];
	unsigned rows = 0;

	for (int i = 0; i < SETTINGS && strncmp(text, "CASE", 4) == 0; i++) {
		const char *fields[3] = { "s", setting_facts[i].name, value };

		bool named = strstr(text, setting_facts[i].name) || (i == trigger && strstr(text, "'login'"));

		if (!is_shown(s, i) || (strchr(setting_facts[i].name, '.') && !named))
			continue;
		escape(s->now[i], value, sizeof value);
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

/* From the row that comes next to the last, or as many as were asked for. */
static void say_rows(const struct parsed *p, struct bytes *out, unsigned most, unsigned *at_row)
{
	for (unsigned i = at_row ? *at_row : 0; i < p->n; i++) {
		if (most && at_row && i - *at_row == most) {
			*at_row = i;
			say_empty(out, 's');
			return;
		}
		say_row(out, p->text, p->width);
	}
	if (at_row)
		*at_row = p->n;
	say_tag(out, "SELECT", p->n, true);
}

static void begin_sleep(struct session *s, const struct parsed *p, struct bytes *out, bool simple)
{
	if (p->verb == VERB_SLEEP && simple)
		say_row_description(out);
	s->sleeps = (time_us)p->n * MILLISECOND_US + 1;
	s->sleeps_in_execute = !simple;
	s->sleep_writes = p->verb == VERB_WRITE_SLEEP;
	snprintf(s->sleeper, sizeof s->sleeper, "%s", p->text);
}

static void copy_out(const struct parsed *p, struct bytes *out)
{
	char line[700];

	say_body(out, 'H', "\0\0\1\0\0", 5);
	for (unsigned i = 0; i < p->n; i++) {
		snprintf(line, sizeof line, "%s\t%u\n", p->text, i);
		say_body(out, 'd', line, strlen(line));
	}
	say_empty(out, 'c');
	say_tag(out, "COPY", p->n, true);
}

static void begin_copy_in(struct session *s, const struct parsed *p, struct bytes *out, bool simple)
{
	say_body(out, 'G', "\0\0\1\0\0", 5);
	s->copying = simple ? 1 : 2;
	s->copy_rows = 0;
	s->copy_fails_at = p->n;
	s->copy_sum = UINT64_C(14695981039346656037);
	s->copy_is_hit = false;
	snprintf(s->copier, sizeof s->copier, "'%.90s'", p->text);
}

static void run_begin(struct session *s, const struct parsed *p, const char *text, struct bytes *out)
{
	if (s->status == 'I') {
		if (!s->implicit)
			transaction_begins(s);
		s->status = 'T';
		s->implicit = false;
		s->untouched = p->verb == VERB_BEGIN && !strchr(text, '/');
		/* Whoever it is: its next statement has a name. */
		if (s->runs && s->untouched)
			s->runs(s->who, "");
	} else {
		say_error(out, 'N', "WARNING", "25001", "there is already a transaction in progress");
	}
	say_tag(out, "BEGIN", 0, false);
}

static void run_end(struct session *s, const struct parsed *p, struct bytes *out)
{
	bool well = p->verb == VERB_COMMIT && s->status != 'E';

	if (s->status == 'I')
		say_error(out, 'N', "WARNING", "25P01", "there is no transaction in progress");
	else
		session_ends(s, well);
	say_tag(out, well ? "COMMIT" : "ROLLBACK", 0, false);
}

/* RESET ALL, or DISCARD ALL. */
static enum outcome run_reset_all(struct session *s, const struct parsed *p, struct bytes *out)
{
	if (p->verb == VERB_DISCARD && s->status != 'I') {
		session_fails(s, out, "25001", "DISCARD ALL cannot run inside a transaction block");
		return FAILED;
	}
	for (int k = 0; k < SETTINGS; k++)
		reset(s, k);
	if (p->verb == VERB_DISCARD) {
		memset(s->statements, 0, sizeof s->statements);
		plans_forget(s);
		s->mine[0] = 0;
		s->coming = 0;
	}
	say_tag(out, p->verb == VERB_DISCARD ? "DISCARD ALL" : "RESET", 0, false);
	return DONE;
}

/* The temporary table of this session: made, shown or dropped. */
static enum outcome run_table(struct session *s, const struct parsed *p, struct bytes *out)
{
	if (p->verb == VERB_TEMP && s->mine[0]) {
		session_fails(s, out, "42P07", "relation \"mine\" already exists");
		return FAILED;
	}
	if (p->verb != VERB_TEMP && !s->mine[0]) {
		session_fails(s, out, "42P01", "relation \"mine\" does not exist");
		return FAILED;
	}
	if (p->verb == VERB_TEMP) {
		snprintf(s->mine, sizeof s->mine, "%.70s", p->text);
		say_tag(out, "CREATE TABLE", 0, false);
	} else if (p->verb == VERB_TABLE) {
		say_row(out, s->mine, 0);
		say_tag(out, "SELECT", 1, true);
	} else {
		s->mine[0] = 0;
		say_tag(out, "DROP TABLE", 0, false);
	}
	return DONE;
}

/* One, or all; no rollback brings it back. */
static enum outcome run_deallocate(struct session *s, const struct parsed *p, struct bytes *out)
{
	char line[200];

	if (!p->topic[0]) {
		memset(s->statements, 0, sizeof s->statements);
		say_tag(out, "DEALLOCATE ALL", 0, false);
		return DONE;
	}
	for (int i = 0; i < STATEMENTS_MAX; i++) {
		if (!s->statements[i].used || strcmp(s->statements[i].name, p->topic) != 0)
			continue;
		s->statements[i].used = false;
		say_tag(out, "DEALLOCATE", 0, false);
		return DONE;
	}
	snprintf(line, sizeof line, "prepared statement \"%.100s\" does not exist", p->topic);
	session_fails(s, out, "26000", line);
	return FAILED;
}

static enum outcome run_configs(struct session *s, const struct parsed *p, struct bytes *out, bool simple)
{
	struct bytes nowhere = { 0 };
	bool ok = set_configs(s, p->configs, &nowhere);

	if (ok) {
		if (simple)
			say_row_description(out);
		say_row(out, "set", 0);
		say_tag(out, "SELECT", 1, true);
	} else if (nowhere.length > 0) {
		bytes_add(out, nowhere.at + nowhere.start, nowhere.length);
	} else {
		session_fails(s, out, "42601", "syntax error in set_config");
	}
	bytes_free(&nowhere);
	return ok ? DONE : FAILED;
}

/* A row with $1, or with what is said in its place; and with what a body makes of it. */
static enum outcome run_call(
	struct session *s, const struct parsed *p, const char *text, const char *parameter, struct bytes *out)
{
	char row[1000];

	if (p->asks && !parameter) {
		session_fails(s, out, "42P02", "there is no parameter $1");
		return FAILED;
	}
	if (p->verb == VERB_PARAMETER) {
		say_row(out, parameter, 0);
	} else {
		struct plan once = { 0 };
		const char *worth = s->bound;

		if (p->body != NO_BODY) {
			bodies_run(s, p->body, tag_of(p->asks ? parameter : text));
			worth = s->bodies[p->body].worth;
		} else if (!worth) {
			plan_run(s, &once, false, tag_of(text));
			worth = once.worth;
		}
		text_format(row, sizeof row, "%s%s%s", p->asks ? parameter : p->text, WORTH_MARK, worth);
		say_row(out, row, 0);
	}
	say_tag(out, "SELECT", 1, true);
	return DONE;
}

/* It runs a body, and commits, which it may not in a block. */
static enum outcome run_pay(struct session *s, const char *text, struct bytes *out)
{
	bodies_run(s, BODY_PAY, tag_of(text));
	if (s->status != 'I' || (s->executed && setting_is_18())) {
		session_fails(s, out, "2D000", "invalid transaction termination");
		return FAILED;
	}
	session_ends(s, true);
	session_begins(s);
	say_tag(out, "CALL", 0, false);
	return DONE;
}

/* May it run at all? If so, it is told to who listens. */
static bool may_run(
	struct session *s, const struct parsed *p, const char *text, const char *parameter, struct bytes *out)
{
	if (p->verb == VERB_BAD) {
		session_fails(s, out, "42601", "syntax error");
		return false;
	}
	if (s->status == 'E' && p->verb != VERB_COMMIT && p->verb != VERB_ROLLBACK && p->verb != VERB_EMPTY) {
		session_fails(s, out, "25P02", session_aborted);
		return false;
	}
	if (p->verb != VERB_EMPTY)
		s->untouched = false;
	if (s->runs && p->verb != VERB_TELL && tag_of(parameter && *parameter ? parameter : text) >= 0)
		s->runs(s->who, parameter && *parameter ? parameter : text);
	return true;
}

enum outcome session_run(struct session *s, const char *text, struct bytes *out, bool simple, const char *parameter,
	unsigned most, unsigned *at_row)
{
	struct parsed p;

	language_parse(text, &p);
	if (!may_run(s, &p, text, parameter, out))
		return FAILED;
	if (simple && language_returns_rows(&p) && p.verb != VERB_SLEEP && p.verb != VERB_CONFIG)
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
	case VERB_CALL:
	case VERB_TENANT:
		return run_call(s, &p, text, parameter, out);
	case VERB_ROWS:
		say_rows(&p, out, most, at_row);
		return DONE;
	case VERB_SLEEP:
	case VERB_WRITE_SLEEP:
		begin_sleep(s, &p, out, simple);
		return WAITS;
	case VERB_DATED:
		bodies_run(s, BODY_DATED, tag_of(text));
		say_tag(out, "INSERT 0", 1, true);
		return DONE;
	case VERB_PAY:
		return run_pay(s, text, out);
	case VERB_INSERT:
		say_tag(out, "INSERT 0", 1, true);
		return DONE;
	case VERB_FAIL:
		session_fails(s, out, "22012", p.text);
		return FAILED;
	case VERB_DIE:
		say_error(out, 'E', "FATAL", "57P01", "terminating connection due to administrator command");
		s->over = true;
		return WAITS;
	case VERB_WARN:
		say_error(out, 'N', "WARNING", "01000", p.text);
		say_tag(out, "DO", 0, false);
		return DONE;
	case VERB_COPY_OUT:
		copy_out(&p, out);
		return DONE;
	case VERB_COPY_IN:
		begin_copy_in(s, &p, out, simple);
		return WAITS;
	case VERB_BEGIN:
	case VERB_BEGIN_APART:
		run_begin(s, &p, text, out);
		return DONE;
	case VERB_COMMIT:
	case VERB_ROLLBACK:
		run_end(s, &p, out);
		return DONE;
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
		return run_reset_all(s, &p, out);
	case VERB_RESET_ROLE:
		say_tag(out, "RESET", 0, false);
		return DONE;
	case VERB_SEQUENCES:
		say_tag(out, "DISCARD SEQUENCES", 0, false);
		return DONE;
	case VERB_PLANS:
		plans_forget(s);
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
		say_fields(out, (const char *const[3]){ "noon", "r", "r" });
		say_fields(out, (const char *const[3]){ "dated", "r", "w" });
		say_fields(out, (const char *const[3]){ "rent", "i", "r" });
		say_fields(out, (const char *const[3]){ "tenant", "i", "r" });
		say_fields(out, (const char *const[3]){ "pay", "r", "r" });
		say_tag(out, "SELECT", 7, true);
		return DONE;
	case VERB_LISTEN:
		s->coming |= 1u << topic_of(p.topic);
		say_tag(out, "LISTEN", 0, false);
		return DONE;
	case VERB_UNLISTEN:
		s->coming &= p.topic[0] ? ~(1u << known_topic_of(p.topic)) : 0;
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
	case VERB_TABLE:
	case VERB_DROP:
		return run_table(s, &p, out);
	case VERB_DEALLOCATE:
		return run_deallocate(s, &p, out);
	case VERB_CONFIG:
		return run_configs(s, &p, out, simple);
	case VERB_BAD:
		break;
	}
	return FAILED;
}
