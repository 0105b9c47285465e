#include "tool/stress_metrics.h"

#include <math.h>

#include "base/check.h"
#include "base/text.h"

/* In the order of the table in doc/stress.md. */
enum {
	M_LEAKED,
	M_PATTERN,
	M_LEAKED_PER_100,
	M_GROWTH_PER_WAVE,
	M_CONFIDENCE,
	M_BASELINE,
	M_RESIDUAL,
	M_PEAK,
	M_WAITING_PEAK,
	M_WAVES,
	M_OPENED,
	M_FAILED,
	M_FAILED_PERCENT,
	M_DROPPED,
	M_ABUSED,
	M_ASKED,
	M_ANSWERED,
	M_WRONG,
	M_WRONG_PERCENT,
	M_ERRORS,
	M_KNEE,
	M_CONNECT,
	M_REPLY = M_CONNECT + 5,
	M_COUNT = M_REPLY + 5
};
_Static_assert(M_COUNT == STRESS_METRICS, "every figure has its place");

static const struct stress_metric names[STRESS_METRICS] = {
	{ .name = "leaked", .what = "connections left behind, beyond the baseline and --may-keep" },
	{ .name = "pattern", .unit = UNIT_PATTERN, .what = "of doc/leaks.md, by which they leak" },
	{ .name = "leaked_per_100", .what = "of them for each 100 sockets" },
	{ .name = "growth_per_wave", .what = "more with each wave after the first" },
	{ .name = "confidence", .unit = UNIT_PERCENT, .what = "in the verdict" },
	{ .name = "baseline", .what = "connections at rest before the first wave" },
	{ .name = "residual", .what = "connections at rest after the last wave" },
	{ .name = "peak", .what = "most connections at any time" },
	{ .name = "waiting_peak", .what = "most clients that waited at the pooler at any time" },
	{ .name = "waves", .what = "waves that came to their rest" },
	{ .name = "opened", .what = "sockets opened" },
	{ .name = "failed", .what = "sockets that could not be opened" },
	{ .name = "failed_percent", .unit = UNIT_PERCENT, .what = "of those tried" },
	{ .name = "dropped", .what = "sockets that the target ended" },
	{ .name = "abused", .what = "sockets that --abuse ended" },
	{ .name = "asked", .what = "messages or requests" },
	{ .name = "answered", .what = "answers" },
	{ .name = "wrong", .what = "answers that were not the expected one" },
	{ .name = "wrong_percent", .unit = UNIT_PERCENT, .what = "of the answers" },
	{ .name = "errors", .what = "failed + dropped + wrong" },
	{ .name = "knee", .what = "most sockets that are served as --knee wants" },
	{ .name = "p50_connect", .unit = UNIT_TIME, .what = "half of the sockets were open within" },
	{ .name = "p90_connect", .unit = UNIT_TIME, .what = "90 % of them" },
	{ .name = "p99_connect", .unit = UNIT_TIME, .what = "99 % of them" },
	{ .name = "p999_connect", .unit = UNIT_TIME, .what = "999 of 1000" },
	{ .name = "max_connect", .unit = UNIT_TIME, .what = "all of them" },
	{ .name = "p50_reply", .unit = UNIT_TIME, .what = "half of the answers came within" },
	{ .name = "p90_reply", .unit = UNIT_TIME, .what = "90 % of them" },
	{ .name = "p99_reply", .unit = UNIT_TIME, .what = "99 % of them" },
	{ .name = "p999_reply", .unit = UNIT_TIME, .what = "999 of 1000" },
	{ .name = "max_reply", .unit = UNIT_TIME, .what = "all of them" },
};

void metrics_names(struct stress_metrics *m)
{
	for (size_t i = 0; i < STRESS_METRICS; i++)
		m->at[i] = names[i];
}

static void set(struct stress_metrics *m, size_t which, double value)
{
	m->at[which].value = value;
	m->at[which].known = true;
}

static void set_percent(struct stress_metrics *m, size_t which, uint64_t part, uint64_t whole)
{
	if (whole > 0)
		set(m, which, 100.0 * (double)part / (double)whole);
}

static void set_times(struct stress_metrics *m, size_t first, const struct histogram *h)
{
	static const unsigned permille[] = { 500, 900, 990, 999 };

	if (h->count == 0)
		return;
	for (size_t i = 0; i < 4; i++)
		set(m, first + i, (double)histogram_quantile(h, permille[i]) / (double)SECOND_US);
	set(m, first + 4, (double)h->max / (double)SECOND_US);
}

void metrics_take(struct stress_metrics *m, const struct stress_tally *tally, const struct timeline *timeline,
	const struct stress_verdict *v)
{
	struct stress_tally_phase all = tally_total(tally);
	int peak = timeline_peak(timeline), waiting = UNKNOWN;

	metrics_names(m);
	for (size_t i = 0; i < timeline->count; i++) {
		if (timeline->samples[i].reading.waiting > waiting)
			waiting = timeline->samples[i].reading.waiting;
	}
	if (v->kind != VERDICT_UNKNOWN) {
		set(m, M_LEAKED, v->leaked);
		set(m, M_PATTERN, v->kind == VERDICT_NONE ? PATTERN_NONE : PATTERN_UNNAMED);
		if (v->pattern)
			pattern_number(v->pattern->number, &m->at[M_PATTERN].value);
		set(m, M_LEAKED_PER_100, v->per_100);
		set(m, M_GROWTH_PER_WAVE, v->growth);
		set(m, M_CONFIDENCE, v->confidence);
		set(m, M_BASELINE, v->plateaus[0].held);
		set(m, M_RESIDUAL, v->plateaus[v->waves].held);
	}
	if (peak != UNKNOWN)
		set(m, M_PEAK, peak);
	if (waiting != UNKNOWN)
		set(m, M_WAITING_PEAK, waiting);
	set(m, M_WAVES, v->waves);
	set(m, M_OPENED, (double)all.opened);
	set(m, M_FAILED, (double)all.failed);
	set_percent(m, M_FAILED_PERCENT, all.failed, all.failed + all.opened);
	set(m, M_DROPPED, (double)all.dropped);
	set(m, M_ABUSED, (double)all.abused);
	set(m, M_ASKED, (double)all.asked);
	set(m, M_ANSWERED, (double)all.answered);
	set(m, M_WRONG, (double)all.wrong);
	set_percent(m, M_WRONG_PERCENT, all.wrong, all.answered);
	set(m, M_ERRORS, (double)(all.failed + all.dropped + all.wrong));
	set_times(m, M_CONNECT, &all.connect);
	set_times(m, M_REPLY, &all.reply);
}

void metrics_take_knee(struct stress_metrics *m, unsigned sockets)
{
	set(m, M_KNEE, sockets);
}

const struct stress_metric *metrics_find(const struct stress_metrics *m, const char *name, const char **nearest)
{
	const char *candidates[STRESS_METRICS + 1] = { NULL };

	for (size_t i = 0; i < STRESS_METRICS; i++) {
		if (strcmp(m->at[i].name, name) == 0)
			return &m->at[i];
		candidates[i] = m->at[i].name;
	}
	if (nearest)
		*nearest = text_nearest(name, candidates);
	return NULL;
}

bool pattern_number(const char *name, double *out)
{
	int64_t number = PATTERN_NONE;

	if (strcmp(name, "none") != 0 && (!leak_pattern_of(name) || !text_to_i64(span_text(name + 1), &number)))
		return false;
	*out = (double)number;
	return true;
}

char *metric_text(char *out, size_t size, const struct stress_metric *m)
{
	if (!m->known)
		text_copy(out, size, "unknown");
	else if (m->unit == UNIT_PATTERN && m->value < 1)
		text_copy(out, size, m->value < 0 ? "unnamed" : "none");
	else if (m->unit == UNIT_PATTERN)
		text_format(out, size, "L%.0f", m->value);
	else if (m->unit == UNIT_TIME)
		text_duration(out, size, (time_us)(m->value * (double)SECOND_US + 0.5));
	else
		text_format(out, size, "%.*f%s",
			m->value == floor(m->value) ? 0
				: m->value < 1      ? 3
						    : 1,
			m->value, m->unit == UNIT_PERCENT ? " %" : "");
	return out;
}
