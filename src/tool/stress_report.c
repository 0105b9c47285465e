#include "tool/stress_report.h"

#include <stdlib.h>

#include "base/text.h"
#include "tool/json.h"
#include "tool/stress_names.h"

void result_note(struct stress_result *r, const char *note)
{
	for (size_t i = 0; i < sizeof r->notes / sizeof r->notes[0]; i++) {
		if (!r->notes[i][0]) {
			text_copy(r->notes[i], sizeof r->notes[i], note);
			return;
		}
	}
}

char *report_target(const struct stress_plan *plan, char *out, size_t size)
{
	if (plan->target == TARGET_POSTGRES)
		text_copy(out, size, "PostgreSQL");
	else
		text_format(out, size, "%.*s", (int)strcspn(plan->url, "?#"), plan->url);
	return out;
}

/* ---- for people ---- */

static void print_phases(const struct stress_result *r, FILE *to)
{
	static const struct table_column columns[] = { { .title = "PHASE" }, { .title = "OPENED", .right = true },
		{ .title = "FAILED", .right = true }, { .title = "DROPPED", .right = true },
		{ .title = "ANSWERS", .right = true }, { .title = "WRONG", .right = true },
		{ .title = "CONNECT P50", .right = true }, { .title = "P99", .right = true },
		{ .title = "REPLY P50", .right = true }, { .title = "P99", .right = true } };
	struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
	struct stress_tally_phase all = tally_total(&r->tally);

	for (size_t i = PHASE_WARM_UP; i <= PHASES; i++) {
		const struct stress_tally_phase *p = i == PHASES ? &all : &r->tally.phases[i];
		char cells[9][40];
		const uint64_t counts[] = { p->opened, p->failed, p->dropped, p->answered, p->wrong };
		const struct histogram *times[] = { &p->connect, &p->connect, &p->reply, &p->reply };

		if (i < PHASES && p->opened + p->failed + p->asked + p->answered + p->dropped == 0)
			continue;
		for (size_t k = 0; k < 5; k++)
			text_format(cells[k], sizeof cells[k], "%llu", (unsigned long long)counts[k]);
		for (size_t k = 0; k < 4; k++) {
			text_duration(
				cells[5 + k], sizeof cells[5 + k], histogram_quantile(times[k], k % 2 ? 990 : 500));
			if (times[k]->count == 0)
				text_copy(cells[5 + k], sizeof cells[5 + k], "-");
		}
		table_add(table,
			(const char *[]){ i == PHASES ? "all" : stress_phase_names[i], cells[0], cells[1], cells[2],
				cells[3], cells[4], cells[5], cells[6], cells[7], cells[8] });
	}
	table_print(table, to);
	table_free(table);
}

static void print_waves(const struct stress_result *r, FILE *to)
{
	const struct stress_verdict *v = &r->verdict;

	if (v->kind == VERDICT_UNKNOWN)
		return;
	fputs("At rest:", to);
	for (unsigned i = 0; i <= v->waves; i++)
		fprintf(to, "%s %.0f%s", i ? " ->" : "", v->plateaus[i].held, i ? "" : " before");
	fprintf(to, " connections, after %u wave%s of %u sockets%s\n", v->waves, text_plural(v->waves),
		r->plan->sockets + r->plan->burst, r->plan->console ? " (the pooler's clients)" : "");
}

static void print_assertion(const struct stress_result *r, FILE *to)
{
	static const char *const words[] = { "holds    ", "IS NOT SO", "UNKNOWN  " };

	if (!r->asserted)
		return;
	fprintf(to, "\nAsserted, and %s\n",
		r->answer == ASSERTION_HOLDS ? "it holds:"
			: r->answer == ASSERTION_FAILS
			? "IT DOES NOT HOLD:"
			: "NOT KNOWN TO HOLD (a figure is missing; leaks need --postgres or --console):");
	for (size_t i = 0; i < r->clause_count; i++)
		fprintf(to, "  %s  %s   (%s)\n", words[r->clauses[i].answer], r->clauses[i].text, r->clauses[i].seen);
}

static void print_knee(const struct stress_result *r, FILE *to)
{
	static const struct table_column columns[] = { { .title = "SOCKETS", .right = true },
		{ .title = "CONNECT P99", .right = true }, { .title = "REPLY P99", .right = true },
		{ .title = "ERRORS", .right = true }, { .title = "SERVED" } };
	struct table *table = table_new(columns, sizeof columns / sizeof columns[0]);
	char words[600];

	knee_words(&r->knee, r->plan->knee, words, sizeof words);
	fprintf(to, "%s\n", words);
	if (r->knee.limit[0])
		fprintf(to, "In the way: %s\n", r->knee.limit);
	fputc('\n', to);
	for (unsigned i = 0; i < r->knee.count; i++) {
		const struct knee_level *l = &r->knee.levels[i];
		char cells[4][40];

		text_format(cells[0], sizeof cells[0], "%u", l->sockets);
		text_duration(cells[1], sizeof cells[1], l->p99_connect);
		text_duration(cells[2], sizeof cells[2], l->p99_reply);
		text_format(cells[3], sizeof cells[3], "%llu", (unsigned long long)l->errors);
		table_add(table, (const char *[]){ cells[0], cells[1], cells[2], cells[3], l->held ? "yes" : l->why });
	}
	table_print(table, to);
	table_free(table);
}

static void print_verdict(const struct stress_result *r, FILE *to)
{
	const struct stress_verdict *v = &r->verdict;
	char words[600];

	verdict_words(v, r->plan, words, sizeof words);
	fprintf(to, "%s\n", words);
	if (v->kind != VERDICT_UNKNOWN)
		fprintf(to, "Confidence %u %%%s\n", v->confidence,
			v->waves < 3 ? " (three waves or more would give more)" : "");
	if (v->why[0])
		fprintf(to, "Told by: %s\n", v->why);
	if (v->pattern)
		fprintf(to, "Cure: %s\n", v->pattern->cure);
	print_waves(r, to);
}

void report_text(const struct stress_result *r, FILE *to)
{
	if (r->stopped[0])
		fprintf(to, "Ended early: %s\n", r->stopped);
	if (r->plan->knee)
		print_knee(r, to);
	else
		print_verdict(r, to);
	fputc('\n', to);
	print_phases(r, to);
	names_text(r, to);
	for (size_t i = 0; i < r->tally.trouble_count; i++)
		fprintf(to, "%s  %6llu x %s\n", i ? "" : "\nErrors\n", (unsigned long long)r->tally.troubles[i].count,
			r->tally.troubles[i].text);
	if (r->tally.other_troubles > 0)
		fprintf(to, "  %6llu others\n", (unsigned long long)r->tally.other_troubles);
	for (size_t i = 0; i < sizeof r->notes / sizeof r->notes[0] && r->notes[i][0]; i++)
		fprintf(to, "Note: %s\n", r->notes[i]);
	print_assertion(r, to);
}

/* ---- JSON ---- */

static json_t *seconds_json(time_us time)
{
	return json_real((double)time / (double)SECOND_US);
}

static json_t *known_json(int value)
{
	return value == UNKNOWN ? json_null() : json_integer(value);
}

static json_t *histogram_json(const struct histogram *h)
{
	json_t *json = memory_got(json_object());

	object_set(json, "count", json_integer((json_int_t)h->count));
	object_set(json, "p50", seconds_json(histogram_quantile(h, 500)));
	object_set(json, "p90", seconds_json(histogram_quantile(h, 900)));
	object_set(json, "p99", seconds_json(histogram_quantile(h, 990)));
	object_set(json, "p999", seconds_json(histogram_quantile(h, 999)));
	object_set(json, "max", seconds_json(h->max));
	return json;
}

static json_t *phases_json(const struct stress_tally *tally)
{
	json_t *phases = memory_got(json_object());

	for (size_t i = 0; i < PHASES; i++) {
		const struct stress_tally_phase *p = &tally->phases[i];
		json_t *json = memory_got(json_object());

		object_set(json, "opened", json_integer((json_int_t)p->opened));
		object_set(json, "failed", json_integer((json_int_t)p->failed));
		object_set(json, "dropped", json_integer((json_int_t)p->dropped));
		object_set(json, "abused", json_integer((json_int_t)p->abused));
		object_set(json, "asked", json_integer((json_int_t)p->asked));
		object_set(json, "answered", json_integer((json_int_t)p->answered));
		object_set(json, "wrong", json_integer((json_int_t)p->wrong));
		object_set(json, "connect_seconds", histogram_json(&p->connect));
		object_set(json, "reply_seconds", histogram_json(&p->reply));
		object_set(phases, stress_phase_names[i], json);
	}
	return phases;
}

static json_t *verdict_json(const struct stress_result *r)
{
	const struct stress_verdict *v = &r->verdict;
	json_t *json = memory_got(json_object()), *plateaus = memory_got(json_array());
	char words[600];

	verdict_words(v, r->plan, words, sizeof words);
	object_set(json, "kind", json_string(verdict_kind_names[v->kind]));
	object_set(json, "words", text_json(span_text(words)));
	object_set(json, "confidence_percent", json_integer(v->confidence));
	object_set(json, "waves", json_integer(v->waves));
	object_set(json, "leaked", json_real(v->leaked));
	object_set(json, "growth_per_wave", json_real(v->growth));
	object_set(json, "leaked_per_100", json_real(v->per_100));
	object_set(json, "leaked_per_100_low", json_real(v->per_100_low));
	object_set(json, "leaked_per_100_high", json_real(v->per_100_high));
	object_set(json, "pattern", v->pattern ? json_string(v->pattern->number) : json_null());
	object_set(json, "pattern_name", v->pattern ? json_string(v->pattern->name) : json_null());
	object_set(json, "why", text_json(span_text(v->why)));
	object_set(json, "cure", v->pattern ? json_string(v->pattern->cure) : json_null());
	object_set(json, "last_statement", r->left.count ? text_json(span_text(r->left.statement)) : json_null());
	for (unsigned i = 0; v->kind != VERDICT_UNKNOWN && i <= v->waves; i++)
		array_append(plateaus, json_real(v->plateaus[i].held));
	object_set(json, "at_rest", plateaus);
	return json;
}

static json_t *names_json(const struct stress_names *names, const struct stress_reading *r)
{
	json_t *json;

	if (r->sessions == UNKNOWN)
		return json_null();
	json = memory_got(json_object());
	for (unsigned i = 0; i < names->count; i++) {
		if (r->of_name[i] > 0)
			object_set(json, names->at[i], json_integer(r->of_name[i]));
	}
	return json;
}

static json_t *timeline_json(const struct timeline *t, const struct stress_names *names)
{
	json_t *array = memory_got(json_array());

	for (size_t i = 0; i < t->count; i++) {
		const struct stress_sample *s = &t->samples[i];
		json_t *json = memory_got(json_object());

		object_set(json, "at_seconds", seconds_json(s->at));
		object_set(json, "phase", json_string(stress_phase_names[s->phase]));
		object_set(json, "wave", json_integer(s->wave));
		object_set(json, "sockets", json_integer(s->sockets));
		object_set(json, "answered", json_integer((json_int_t)s->answered));
		object_set(json, "errors", json_integer((json_int_t)s->failed));
		object_set(json, "sessions", known_json(s->reading.sessions));
		object_set(json, "idle", known_json(s->reading.idle));
		object_set(json, "active", known_json(s->reading.active));
		object_set(json, "in_transaction", known_json(s->reading.in_transaction));
		object_set(json, "by_application_name", names_json(names, &s->reading));
		object_set(json, "pooler_clients", known_json(s->reading.clients));
		object_set(json, "pooler_waiting", known_json(s->reading.waiting));
		object_set(json, "pooler_servers", known_json(s->reading.servers));
		array_append(array, json);
	}
	return array;
}

static json_t *clauses_json(const struct stress_result *r)
{
	static const char *const answers[] = { "holds", "fails", "unknown" };
	json_t *array = memory_got(json_array());

	for (size_t i = 0; i < r->clause_count; i++) {
		json_t *json = memory_got(json_object());

		object_set(json, "text", text_json(span_text(r->clauses[i].text)));
		object_set(json, "seen", text_json(span_text(r->clauses[i].seen)));
		object_set(json, "answer", json_string(answers[r->clauses[i].answer]));
		array_append(array, json);
	}
	return array;
}

static json_t *knee_json(const struct stress_result *r)
{
	const struct knee *k = &r->knee;
	json_t *json = memory_got(json_object()), *levels = memory_got(json_array());
	char words[600];

	if (!r->plan->knee) {
		json_decref(json);
		json_decref(levels);
		return json_null();
	}
	knee_words(k, r->plan->knee, words, sizeof words);
	object_set(json, "words", text_json(span_text(words)));
	object_set(json, "found", json_boolean(k->found));
	object_set(json, "sockets", json_integer(k->good));
	object_set(json, "broken_at", k->bad ? json_integer(k->bad) : json_null());
	object_set(json, "limit", k->limit[0] ? text_json(span_text(k->limit)) : json_null());
	for (unsigned i = 0; i < k->count; i++) {
		const struct knee_level *l = &k->levels[i];
		json_t *level = memory_got(json_object());

		object_set(level, "sockets", json_integer(l->sockets));
		object_set(level, "served", json_boolean(l->held));
		object_set(level, "p99_connect", seconds_json(l->p99_connect));
		object_set(level, "p99_reply", seconds_json(l->p99_reply));
		object_set(level, "errors", json_integer((json_int_t)l->errors));
		object_set(level, "why", text_json(span_text(l->why)));
		array_append(levels, level);
	}
	object_set(json, "levels", levels);
	return json;
}

static json_t *metric_json(const struct stress_metric *m)
{
	char text[40];

	if (!m->known)
		return json_null();
	return m->unit == UNIT_PATTERN ? json_string(metric_text(text, sizeof text, m)) : json_real(m->value);
}

static json_t *checks_json(const struct stress_result *r)
{
	json_t *array = memory_got(json_array());

	for (size_t i = 0; i < r->check_count; i++) {
		json_t *json = memory_got(json_object());

		object_set(json, "what", json_string(r->checks[i].what));
		object_set(json, "found", text_json(span_text(r->checks[i].found)));
		object_set(json, "caps_at", r->checks[i].cap ? json_integer(r->checks[i].cap) : json_null());
		array_append(array, json);
	}
	return array;
}

void report_json(const struct stress_result *r, FILE *to)
{
	json_t *json = memory_got(json_object()), *metrics = memory_got(json_object()),
	       *troubles = memory_got(json_array());
	char *text, target[600];

	object_set(json, "target", text_json(span_text(report_target(r->plan, target, sizeof target))));
	object_set(json, "began", text_json(span_text(r->began)));
	object_set(json, "lasted_seconds", seconds_json(r->lasted));
	object_set(json, "interrupted", json_boolean(r->interrupted));
	object_set(json, "ended_early", r->stopped[0] ? text_json(span_text(r->stopped)) : json_null());
	object_set(json, "seed", json_integer((json_int_t)r->plan->seed));
	object_set(json, "sockets_peak", json_integer(r->sockets_peak));
	object_set(json, "status", json_integer(r->status));
	object_set(json, "preflight", checks_json(r));
	object_set(json, "verdict", verdict_json(r));
	for (size_t i = 0; i < STRESS_METRICS; i++)
		object_set(metrics, r->metrics.at[i].name, metric_json(&r->metrics.at[i]));
	object_set(json, "metrics", metrics);
	object_set(json, "knee", knee_json(r));
	object_set(json, "assertion", r->asserted ? clauses_json(r) : json_null());
	object_set(json, "phases", phases_json(&r->tally));
	for (size_t i = 0; i < r->tally.trouble_count; i++)
		array_append(troubles,
			json_pack("{s:o, s:I}", "text", memory_got(text_json(span_text(r->tally.troubles[i].text))),
				"count", (json_int_t)r->tally.troubles[i].count));
	object_set(json, "errors", troubles);
	object_set(json, "timeline", timeline_json(&r->timeline, &r->names));
	text = memory_got(json_dumps(json, JSON_INDENT(1) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)));
	fprintf(to, "%s\n", text);
	free(text);
	json_decref(json);
}

/* ---- JUnit ---- */

void report_escape(struct buf *out, const char *text)
{
	size_t size = 3 * strlen(text) + 1;
	char *valid = memory_new(1, size);
	bool good = true;

	show_utf8(valid, size, span_text(text));
	for (const char *at = valid; *at; at++) {
		unsigned char c = (unsigned char)*at;

		if (c == '&')
			good = good && buf_format(out, "&amp;");
		else if (c == '<')
			good = good && buf_format(out, "&lt;");
		else if (c == '>')
			good = good && buf_format(out, "&gt;");
		else if (c == '"')
			good = good && buf_format(out, "&quot;");
		else if (c == '\'')
			good = good && buf_format(out, "&#39;");
		else if (c < ' ' && c != '\n' && c != '\t')
			good = good && buf_format(out, "?"); /* XML has no way to write it */
		else
			good = good && buf_add(out, at, 1);
	}
	free(valid);
	memory_got(good ? out : NULL);
}

/* `trouble` NULL: the case has passed. */
static void add_case(struct buf *out, const char *name, const char *trouble)
{
	report_raw(out, "  <testcase classname=\"pgweir.stress\" name=\"");
	report_escape(out, name);
	if (!trouble) {
		report_raw(out, "\"/>\n");
		return;
	}
	report_raw(out, "\"><failure message=\"");
	report_escape(out, trouble);
	report_raw(out, "\"/></testcase>\n");
}

void report_junit(const struct stress_result *r, FILE *to)
{
	bool leak = r->verdict.kind == VERDICT_KEPT || r->verdict.kind == VERDICT_GROWING;
	struct buf out = { 0 };
	unsigned failures = r->stopped[0] != 0;
	char words[600];

	for (size_t i = 0; i < r->clause_count; i++)
		failures += r->clauses[i].answer != ASSERTION_HOLDS;
	if (!r->asserted)
		failures += leak;
	else
		failures += r->answer != ASSERTION_HOLDS;
	verdict_words(&r->verdict, r->plan, words, sizeof words);
	memory_got(
		buf_format(&out,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"pgweir stress\" tests=\"%zu\" failures=\"%u\" time=\"%.3f\">\n",
			r->clause_count + 2, failures, (double)r->lasted / (double)SECOND_US)
			? &out
			: NULL);
	add_case(&out, "the run came to its end", r->stopped[0] ? r->stopped : NULL);
	if (r->asserted)
		add_case(&out, r->plan->assertion, r->answer == ASSERTION_HOLDS ? NULL : words);
	else
		add_case(&out, "no connection leaks", leak ? words : NULL);
	for (size_t i = 0; i < r->clause_count; i++)
		add_case(&out, r->clauses[i].text, r->clauses[i].answer == ASSERTION_HOLDS ? NULL : r->clauses[i].seen);
	report_raw(&out, "  <system-out>");
	report_escape(&out, words);
	report_raw(&out, "</system-out>\n</testsuite>\n");
	fwrite(out.at + out.start, 1, out.length, to);
	buf_fini(&out);
}
