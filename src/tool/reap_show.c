#include <stdlib.h>

#include "base/redact.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "tool/json.h"
#include "tool/reap.h"

/* What people and programs are told. Every text of a stranger's passes through show_text, show_sql or show_utf8 here, and a statement
 * through redact_sql before. */

#define STATEMENT_LETTERS 60   /* in a table */
#define STATEMENT_BYTES   1000 /* in JSON */
#define STAYS_SHOWN       60   /* rows; the rest is a number, for JSON has them all */
#define NEVER_REUSED      (5 * SECOND_US)

/* The statement as it may be told, still with the bytes of a stranger. `out` has STATEMENT_BYTES. */
static struct span statement_of(const struct reap_options *o, const struct reap_session *s, char out[STATEMENT_BYTES])
{
	size_t n = o->literals ? text_copy_span(out, STATEMENT_BYTES, s->query)
			       : redact_sql(out, STATEMENT_BYTES, s->query);

	return span_of(out, n);
}

static bool never_reused(const struct reap_session *s)
{
	return s->rule == RULE_IDLE && s->lifetime >= 0 && s->lifetime < NEVER_REUSED;
}

const char *reap_evidence(const struct reap_session *s, char *out, size_t size)
{
	static const char *const doing[] = {
		[RULE_NONE] = "unknown",
		[RULE_IDLE] = "idle",
		[RULE_READING] = "idle in a transaction that only reads",
		[RULE_WRITING] = "idle in a transaction that has written",
		[RULE_ACTIVE] = "in the same statement",
	};
	char age[40], allowed[40];
	size_t n = text_format(out, size, "%s for %s, %s allowed", doing[s->rule],
		text_duration(age, sizeof age, s->age), text_duration(allowed, sizeof allowed, s->threshold));

	if (s->blocks > 0)
		n += text_format(out + n, size - n, "; %lld wait for its locks", (long long)s->blocks);
	if (s->rule != RULE_IDLE && s->xmin_age > 0)
		n += text_format(out + n, size - n, "; holds back vacuum by %lld transactions", (long long)s->xmin_age);
	if (never_reused(s))
		text_format(out + n, size - n, "; silent since its first seconds");
	return out;
}

const char *reap_outcome(const struct reap_session *s, char *out, size_t size)
{
	char took[40];

	text_duration(took, sizeof took, s->took);
	switch (s->outcome) {
	case OUTCOME_NONE:
		text_copy(out, size, "not acted on");
		break;
	case OUTCOME_ENDED:
		text_format(out, size, "ended, gone after %s", took);
		break;
	case OUTCOME_CANCELLED:
		text_format(out, size, "its statement was cancelled after %s; the session lives", took);
		break;
	case OUTCOME_SPARED:
		text_format(out, size, "spared: %s", s->note);
		break;
	case OUTCOME_GONE:
		text_copy(out, size, "was gone before its turn");
		break;
	case OUTCOME_STAYED:
		text_format(out, size, "STAYED: %s", s->note);
		break;
	case OUTCOME_REFUSED:
		text_format(out, size, "FAILED: %s", s->note);
		break;
	}
	return out;
}

struct cells {
	char pid[16], user[80], database[80], application[120], address[80], state[40], age[40], blocks[24], why[400],
		statement[400];
};

static void fill(struct cells *c, const struct reap_options *o, const struct reap_session *s, bool goes)
{
	char statement[STATEMENT_BYTES];

	text_format(c->pid, sizeof c->pid, "%d", s->pid);
	show_text(c->user, sizeof c->user, 20, s->user);
	show_text(c->database, sizeof c->database, 20, s->database);
	show_text(c->application, sizeof c->application, 28, s->application);
	show_text(c->address, sizeof c->address, 0, span_text(s->address));
	show_text(c->state, sizeof c->state, 0, s->state);
	text_copy(c->age, sizeof c->age, "");
	if (s->state.length > 0)
		text_duration(c->age, sizeof c->age, s->age);
	text_format(c->blocks, sizeof c->blocks, "%lld", (long long)s->blocks);
	if (goes)
		reap_evidence(s, c->why, sizeof c->why);
	else
		reap_reason(s, c->why, sizeof c->why);
	show_sql(c->statement, sizeof c->statement, STATEMENT_LETTERS, statement_of(o, s, statement));
}

static void show_server(const struct reap_view *v)
{
	char role[80] = "";

	if (v->kept_role > 0)
		text_format(role, sizeof role, ", %lld for pg_use_reserved_connections", (long long)v->kept_role);
	printf("PostgreSQL %s%s at %s, asked as \"%s\"%s: %lld of %lld slots are used (%lld are kept for superusers%s)\n",
		v->version, v->standby ? ", a standby," : "", v->address, v->user, v->superuser ? ", a superuser" : "",
		(long long)v->used, (long long)v->slots, (long long)v->kept_superuser, role);
	if (v->used + v->kept_superuser + v->kept_role >= v->slots)
		puts("It is full for normal users: this session has one of the slots that are kept.");
	if (!v->sees_all)
		printf("Not seen, and so to stay: %zu session%s of other roles. GRANT pg_read_all_stats TO \"%s\" would show more.\n",
			v->hidden, text_plural(v->hidden), v->user);
}

/* The sessions from `first` up to `end`. */
static void show_sessions(const struct reap_options *o, const struct reap_view *v, size_t first, size_t end)
{
	static const struct table_column columns[] = { { .title = "PID", .right = true }, { .title = "USER" },
		{ .title = "DATABASE" }, { .title = "APPLICATION" }, { .title = "ADDRESS" }, { .title = "STATE" },
		{ .title = "AGE", .right = true }, { .title = "BLOCKS", .right = true }, { .title = "WHY" },
		{ .title = "LAST STATEMENT" } };
	struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
	struct cells c;

	for (size_t i = first; i < end; i++) {
		fill(&c, o, &v->sessions[i], i < v->goes);
		table_add(table,
			(const char *const[]){ c.pid, c.user, c.database, c.application, c.address, c.state, c.age,
				c.blocks, c.why, c.statement });
	}
	table_print(table, stdout);
	table_free(table);
}

void reap_show_plan(const struct reap_options *o, const struct reap_view *v)
{
	show_server(v);
	if (v->goes > 0) {
		printf("\n%s, in this order:\n", o->execute ? "To be ended" : "Would be ended");
		show_sessions(o, v, 0, v->goes);
	} else {
		puts("\nNothing is to be ended.");
	}
	if (v->count > v->goes) {
		puts("\nStays:");
		show_sessions(o, v, v->goes, v->count < v->goes + STAYS_SHOWN ? v->count : v->goes + STAYS_SHOWN);
		if (v->count > v->goes + STAYS_SHOWN)
			printf("... and %zu more: --json has them all\n", v->count - v->goes - STAYS_SHOWN);
	}
	printf("\nLeft out: %zu session%s out of scope, %zu process%s of PostgreSQL's own.\n", v->outside,
		text_plural(v->outside), v->background, v->background == 1 ? "" : "es");
	if (v->goes > 0 && !o->execute)
		puts("Nothing was done: this was a dry run; --execute ends them.");
	fflush(stdout);
}

void reap_show_outcomes(const struct reap_view *v, size_t came_back)
{
	size_t ended = 0;
	char text[400];

	puts("");
	for (size_t i = 0; i < v->goes; i++) {
		ended += v->sessions[i].outcome == OUTCOME_ENDED;
		printf("%d: %s\n", v->sessions[i].pid, reap_outcome(&v->sessions[i], text, sizeof text));
	}
	if (came_back > 0)
		printf("%zu ended, and %zu new sessions of the same user, database and application have come since: whoever leaves them "
		       "behind is at work. The cure is there; this only buys time.\n",
			ended, came_back);
}

/* JSON is shown by browsers too; outside of texts these letters do not occur in it, and in a text they may be written so. */
static void print_json(const json_t *document, size_t flags, FILE *to)
{
	char *text = memory_got(json_dumps(document, flags | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12)));

	for (const char *at = text; *at; at++) {
		if (*at == '<' || *at == '>' || *at == '&' || *at == 0x7f)
			fprintf(to, "\\u%04x", (unsigned)*at);
		else
			fputc(*at, to);
	}
	fputc('\n', to);
	fflush(to);
	free(text);
}

static json_t *seconds_json(time_us age)
{
	return memory_got(age < 0 ? json_null() : json_real((double)age / (double)SECOND_US));
}

static const char *outcome_name(enum reap_outcome outcome)
{
	static const char *const names[] = { [OUTCOME_NONE] = "none",
		[OUTCOME_ENDED] = "ended",
		[OUTCOME_CANCELLED] = "cancelled",
		[OUTCOME_SPARED] = "spared",
		[OUTCOME_GONE] = "gone",
		[OUTCOME_STAYED] = "stayed",
		[OUTCOME_REFUSED] = "failed" };

	return names[outcome];
}

static json_t *session_json(const struct reap_options *o, const struct reap_session *s, bool goes)
{
	json_t *json = memory_got(json_object());
	char text[400], statement[STATEMENT_BYTES];

	object_set(json, "pid", json_integer(s->pid));
	object_set(json, "user", text_json(s->user));
	object_set(json, "database", text_json(s->database));
	object_set(json, "application", text_json(s->application));
	object_set(json, "address", text_json(span_text(s->address)));
	object_set(json, "state", s->state.length ? text_json(s->state) : json_null());
	object_set(json, "age_seconds", s->state.length ? seconds_json(s->age) : json_null());
	object_set(json, "allowed_seconds", s->threshold ? seconds_json(s->threshold) : json_null());
	object_set(json, "transaction_seconds", seconds_json(s->transaction_age));
	object_set(json, "has_written", json_boolean(s->writing));
	object_set(json, "never_reused", json_boolean(never_reused(s)));
	object_set(json, "blocks", json_integer(s->blocks));
	object_set(json, "xmin_age", s->xmin_age < 0 ? json_null() : json_integer(s->xmin_age));
	object_set(json, "statement", text_json(statement_of(o, s, statement)));
	object_set(json, "reason", json_string(goes ? "matches" : s->verdict));
	object_set(json, "why",
		text_json(span_text(goes ? reap_evidence(s, text, sizeof text) : reap_reason(s, text, sizeof text))));
	if (goes) {
		object_set(json, "outcome", json_string(outcome_name(s->outcome)));
		object_set(json, "outcome_text", text_json(span_text(reap_outcome(s, text, sizeof text))));
	}
	return json;
}

static json_t *server_json(const struct reap_view *v)
{
	return memory_got(json_pack("{ss ss ss sb sb sb sI sI sI sI}", "version", v->version, "address", v->address,
		"user", v->user, "superuser", v->superuser, "sees_all", v->sees_all, "standby", v->standby, "slots",
		(json_int_t)v->slots, "slots_used", (json_int_t)v->used, "slots_kept_for_superusers",
		(json_int_t)v->kept_superuser, "slots_kept_for_a_role", (json_int_t)v->kept_role));
}

void reap_show_json(const struct reap_options *o, const struct reap_view *v, size_t came_back, enum reap_status status)
{
	json_t *document = memory_got(json_object()), *goes = memory_got(json_array()),
	       *stays = memory_got(json_array());

	for (size_t i = 0; i < v->count; i++)
		array_append(i < v->goes ? goes : stays, session_json(o, &v->sessions[i], i < v->goes));
	object_set(document, "pgweir", json_string(PGWEIR_VERSION));
	object_set(document, "server", server_json(v));
	object_set(document, "executed", json_boolean(o->execute));
	object_set(document, "goes", goes);
	object_set(document, "stays", stays);
	object_set(document, "hidden", json_integer((json_int_t)v->hidden));
	object_set(document, "outside", json_integer((json_int_t)v->outside));
	object_set(document, "background", json_integer((json_int_t)v->background));
	object_set(document, "came_back", json_integer((json_int_t)came_back));
	object_set(document, "status", json_integer(status));
	print_json(document, JSON_INDENT(2), stdout);
	json_decref(document);
}

void reap_audit(const struct reap_options *o, const struct reap_view *v, const struct reap_session *s)
{
	json_t *line = session_json(o, s, true);
	char now[40];

	object_set(line, "time", json_string(clock_text(clock_wall(), true, now)));
	object_set(line, "by", text_json(span_text(v->user)));
	object_set(line, "by_system_user", json_integer(process_user()));
	object_set(line, "server", text_json(span_text(v->address)));
	print_json(line, JSON_COMPACT | JSON_SORT_KEYS, o->audit);
	json_decref(line);
}
