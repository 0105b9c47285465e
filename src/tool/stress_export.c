#include <stdlib.h>

#include "base/buf.h"
#include "tool/stress_report.h"
#include "tool/table.h"

/* A run for other programs' charts: the timeline as CSV (RFC 4180), one row for each look, and the figures of its end as metrics. Those
 * are written so that both of Prometheus' formats allow them, OpenMetrics 1.0.0 and the older text format, which is what the Pushgateway
 * and the node exporter's textfile collector read; so there is no stateset and no info among their types. What was not seen is an empty
 * cell there, and no line here: a 0 would be a claim. */

/* ---- CSV ---- */

static void cell(FILE *to, int value)
{
	if (value == UNKNOWN)
		fputc(',', to);
	else
		fprintf(to, ",%d", value);
}

/* Quotes are doubled. The word in front also keeps a name that begins with = from being a formula of a spreadsheet's. */
static void name_cell(FILE *to, const char *name)
{
	fputs(",\"application_name ", to);
	for (; *name; name++)
		fprintf(to, *name == '"' ? "\"\"" : "%c", *name);
	fputc('"', to);
}

void report_csv(const struct stress_result *r, FILE *to)
{
	fputs("at_seconds,phase,wave,sockets,answered,errors,sessions,idle,active,in_transaction,pooler_clients,pooler_waiting,"
	      "pooler_servers",
		to);
	for (unsigned i = 0; i < r->names.count; i++)
		name_cell(to, r->names.at[i]);
	fputs("\r\n", to);
	for (size_t i = 0; i < r->timeline.count; i++) {
		const struct stress_sample *s = &r->timeline.samples[i];
		const int seen[] = { s->reading.sessions, s->reading.idle, s->reading.active, s->reading.in_transaction,
			s->reading.clients, s->reading.waiting, s->reading.servers };

		fprintf(to, "%.3f,%s,%u,%u,%llu,%llu", (double)s->at / (double)SECOND_US, stress_phase_names[s->phase],
			s->wave, s->sockets, (unsigned long long)s->answered, (unsigned long long)s->failed);
		for (size_t k = 0; k < sizeof seen / sizeof seen[0]; k++)
			cell(to, seen[k]);
		for (unsigned k = 0; k < r->names.count; k++)
			cell(to, s->reading.sessions == UNKNOWN ? UNKNOWN : s->reading.of_name[k]);
		fputs("\r\n", to);
	}
}

/* ---- OpenMetrics ---- */

/* Backslash, quote and newline are what a label's value escapes (OpenMetrics 1.0.0, "escaped-string"). */
static void label(struct buf *out, const char *text)
{
	size_t size = 3 * strlen(text) + 1;
	char *valid = memory_new(1, size);

	show_utf8(valid, size, span_text(text));
	for (const char *at = valid; *at; at++) {
		if (*at == '\\' || *at == '"')
			report_add(out, "\\%c", *at);
		else if (*at == '\n')
			report_raw(out, "\\n");
		else
			memory_got(buf_add(out, at, 1) ? out : NULL);
	}
	free(valid);
}

static void family(struct buf *out, const char *name, const char *type, const char *unit, const char *help)
{
	report_add(out, "# TYPE pgweir_stress_%s %s\n", name, type);
	if (unit)
		report_add(out, "# UNIT pgweir_stress_%s %s\n", name, unit);
	report_add(out, "# HELP pgweir_stress_%s %s\n", name, help);
}

static void add_figure(struct buf *out, const struct stress_metric *m)
{
	char name[80];
	const char *unit = m->unit == UNIT_TIME ? "seconds" : NULL;

	if (!m->known || m->unit == UNIT_PATTERN)
		return;
	text_format(name, sizeof name, "%s%s", m->name, unit ? "_seconds" : "");
	family(out, name, "gauge", unit, m->what);
	report_add(out, "pgweir_stress_%s %.9g\n", name, m->value);
}

/* Every eighth bucket: all of them would be a file that nobody keeps. */
static void add_times(struct buf *out, const char *name, const struct histogram *h, const char *help)
{
	uint64_t sum = 0;

	family(out, name, "histogram", "seconds", help);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum += h->buckets[i];
		if (i % 8 == 7 && i + 1 < HISTOGRAM_BUCKETS)
			report_add(out, "pgweir_stress_%s_bucket{le=\"%.9g\"} %llu\n", name,
				(double)histogram_bucket_bound(i) / (double)SECOND_US, (unsigned long long)sum);
	}
	report_add(out,
		"pgweir_stress_%s_bucket{le=\"+Inf\"} %llu\npgweir_stress_%s_sum %.9g\npgweir_stress_%s_count %llu\n",
		name, (unsigned long long)h->count, name, (double)h->sum / (double)SECOND_US, name,
		(unsigned long long)h->count);
}

static void add_verdict(struct buf *out, const struct stress_result *r)
{
	char target[600];

	family(out, "verdict", "gauge", NULL, "1: this is what was found.");
	for (int i = VERDICT_UNKNOWN; i <= VERDICT_GROWING; i++)
		report_add(out, "pgweir_stress_verdict{kind=\"%s\"} %d\n", verdict_kind_names[i],
			(int)r->verdict.kind == i);
	family(out, "run_info", "gauge", NULL, "What was run, and which leak it found.");
	report_raw(out, "pgweir_stress_run_info{target=\"");
	label(out, report_target(r->plan, target, sizeof target));
	report_raw(out, "\",pattern=\"");
	label(out, r->verdict.pattern ? r->verdict.pattern->number : "");
	report_raw(out, "\"} 1\n");
}

void report_metrics(const struct stress_result *r, FILE *to)
{
	struct stress_tally_phase all = tally_total(&r->tally);
	struct buf out = { 0 };

	add_verdict(&out, r);
	for (size_t i = 0; i < STRESS_METRICS; i++)
		add_figure(&out, &r->metrics.at[i]);
	add_times(&out, "connect_seconds", &all.connect, "Time to open a socket, from when it was due.");
	add_times(&out, "reply_seconds", &all.reply, "Time to be answered.");
	if (r->asserted) {
		family(&out, "asserted", "gauge", NULL, "1: what --assert says holds.");
		report_add(&out, "pgweir_stress_asserted %d\n", r->answer == ASSERTION_HOLDS);
	}
	report_raw(&out, "# EOF\n");
	fwrite(out.at + out.start, 1, out.length, to);
	buf_fini(&out);
}
