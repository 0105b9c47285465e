#include <math.h>

#include "tool/stress_report.h"

/* The charts of the page: plain SVG, drawn here, coloured by the page's style sheet, so that dark is only other colours. Units are those of
 * the view box; the browser makes them fit. */

#define WIDTH  1000.0
#define LEFT   46.0
#define RIGHT  14.0
#define POINTS 900 /* more cannot be told apart */

/* 1, 2 or 5 times a power of ten, so that about `lines` of them reach `most`. */
static double step_for(double most, int lines)
{
	double step = pow(10, floor(log10(most / lines)));

	while (most / step > lines)
		step *= most / (step * 2) <= lines ? 2 : most / (step * 5) <= lines ? 5 : 10;
	return step;
}

/* ---- the timeline ---- */

enum series {
	SERIES_SOCKETS,
	SERIES_SESSIONS,
	SERIES_IN_TRANSACTION,
	SERIES_CLIENTS,
	SERIES_WAITING,
	SERIES_SERVERS,
	SERIES_COUNT
};

static const struct {
	const char *class, *name;
} series_looks[SERIES_COUNT] = { { "sockets", "sockets open" }, { "sessions", "connections at PostgreSQL" },
	{ "transaction", "idle in a transaction there" }, { "clients", "clients at the pooler" },
	{ "waiting", "waiting there" }, { "servers", "servers of the pooler" } };

static int value_of(const struct stress_sample *s, enum series series)
{
	switch (series) {
	case SERIES_SOCKETS:
		return (int)s->sockets;
	case SERIES_SESSIONS:
		return s->reading.sessions;
	case SERIES_IN_TRANSACTION:
		return s->reading.in_transaction;
	case SERIES_CLIENTS:
		return s->reading.clients;
	case SERIES_WAITING:
		return s->reading.waiting;
	default:
		return s->reading.servers;
	}
}

struct axes {
	double top, height, seconds, most;
};

static double x_of(const struct axes *a, time_us at)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * ((double)at / (double)SECOND_US) / a->seconds;
}

static double y_of(const struct axes *a, double value)
{
	return a->top + a->height * (1 - value / a->most);
}

/* One that is always zero, or never known, only takes room. */
static bool is_shown(const struct timeline *t, enum series series)
{
	bool always = series == SERIES_SOCKETS || series == SERIES_SESSIONS || series == SERIES_CLIENTS;

	for (size_t i = 0; i < t->count; i++) {
		int value = value_of(&t->samples[i], series);

		if (value > 0 || (always && value == 0))
			return true;
	}
	return false;
}

static void draw_series(struct buf *out, const struct axes *a, const struct timeline *t, enum series series)
{
	size_t each = t->count / POINTS + 1;
	bool pen = false, area = series == SERIES_SOCKETS;
	double first = 0, last = 0;

	report_add(out, "<path class=\"%s %s\" d=\"", area ? "area" : "line", series_looks[series].class);
	for (size_t i = 0; i < t->count; i += each) {
		int value = UNKNOWN;

		for (size_t k = i; k < i + each && k < t->count; k++) { /* the peak of what becomes one point */
			if (value_of(&t->samples[k], series) > value)
				value = value_of(&t->samples[k], series);
		}
		if (value == UNKNOWN) { /* a hole stays one */
			pen = pen && area;
			continue;
		}
		last = x_of(a, t->samples[i].at);
		if (!pen)
			first = last;
		report_add(out, "%c%.1f %.1f", pen ? 'L' : 'M', last, y_of(a, value));
		pen = true;
	}
	if (area && pen)
		report_add(out, "L%.1f %.1fL%.1f %.1fZ", last, y_of(a, 0), first, y_of(a, 0));
	report_add(out, "\"/>\n");
}

/* Where everybody has gone home, and what the verdict looks at. */
static void draw_phases(struct buf *out, const struct axes *a, const struct stress_schedule *s, time_us lasted)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct stress_step *step = &s->steps[i];
		double from = x_of(a, step->begins), to = x_of(a, step->ends < lasted ? step->ends : lasted);
		bool first = step->wave > 0 && (i == 0 || s->steps[i - 1].wave != step->wave);

		if (step->begins >= lasted)
			break;
		if (step->phase == PHASE_SETTLE || step->phase == PHASE_BASELINE)
			report_add(out,
				"<rect class=\"rest\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s</title></rect>\n",
				from, a->top, to - from, a->height, stress_phase_names[step->phase]);
		if (first && to - from + 1 > 0)
			report_add(out,
				"<line class=\"wave\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\">wave %u</text>\n",
				from, from, a->top - 12, a->top + a->height, from + 4, a->top - 4, step->wave);
		else if (step->phase == PHASE_WARM_UP)
			report_add(out, "<text x=\"%.1f\" y=\"%.1f\">warm-up</text>\n", from, a->top - 4);
	}
}

static void draw_axes(struct buf *out, const struct axes *a)
{
	double step = step_for(a->most, 5), seconds = step_for(a->seconds, 12);

	for (double value = 0; value <= a->most; value += step)
		report_add(out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"left\" x=\"%.1f\" y=\"%.1f\">%.0f</text>\n",
			LEFT, WIDTH - RIGHT, y_of(a, value), y_of(a, value), LEFT - 6, y_of(a, value) + 4, value);
	for (double at = 0; at <= a->seconds; at += seconds)
		report_add(out, "<text class=\"below\" x=\"%.1f\" y=\"%.1f\">%.4g s</text>\n",
			x_of(a, (time_us)(at * SECOND_US)), a->top + a->height + 18, at);
}

void chart_timeline(const struct stress_result *r, struct buf *out)
{
	struct axes a = {
		.top = 26, .height = 280, .seconds = fmax(1, (double)r->lasted / (double)SECOND_US), .most = 4
	};

	for (size_t i = 0; i < r->timeline.count; i++) {
		for (int k = 0; k < SERIES_COUNT; k++)
			a.most = fmax(a.most, value_of(&r->timeline.samples[i], (enum series)k) * 1.05);
	}
	report_add(out, "<p class=\"legend\">");
	for (int k = 0; k < SERIES_COUNT; k++) {
		if (is_shown(&r->timeline, (enum series)k))
			report_add(out, "<span><i class=\"%s\"></i>%s</span>", series_looks[k].class,
				series_looks[k].name);
	}
	report_add(out, "<span><i class=\"rest\"></i>at rest: nobody is connected</span></p>\n");
	report_add(out,
		"<div class=\"scroll\" tabindex=\"0\"><svg class=\"wide\" viewBox=\"0 0 %.0f 334\" role=\"img\" aria-label=\"sockets and connections over time\">\n",
		WIDTH);
	draw_phases(out, &a, &r->schedule, r->lasted);
	draw_axes(out, &a);
	if (r->max_connections > 0 && r->max_connections <= a.most)
		report_add(out,
			"<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"left\" x=\"%.1f\" y=\"%.1f\">max_connections %d</text>\n",
			LEFT, WIDTH - RIGHT, y_of(&a, r->max_connections), y_of(&a, r->max_connections), WIDTH - RIGHT,
			y_of(&a, r->max_connections) - 4, r->max_connections);
	for (int k = 0; k < SERIES_COUNT; k++) {
		if (is_shown(&r->timeline, (enum series)k))
			draw_series(out, &a, &r->timeline, (enum series)k);
	}
	report_add(out, "</svg></div>\n");
}

/* ---- what was held at rest ---- */

void chart_waves(const struct stress_result *r, struct buf *out)
{
	const struct stress_verdict *v = &r->verdict;
	unsigned bars = v->waves + 1;
	double room = 480.0 - 20, each = room / bars, wide = fmin(64, each * 0.6), top = 24, height = 176, most = 1;

	for (unsigned i = 0; i < bars; i++)
		most = fmax(most, v->plateaus[i].held);
	report_add(out,
		"<svg viewBox=\"0 0 480 234\" role=\"img\" aria-label=\"connections held at rest, wave by wave\">\n");
	for (unsigned i = 0; i < bars; i++) {
		double held = v->plateaus[i].held, x = 10 + each * i + (each - wide) / 2, tall = height * held / most;
		double before = fmin(held, v->plateaus[0].held + r->plan->may_keep), base = height * before / most;

		report_add(out, "<rect class=\"bar before\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", x,
			top + height - base, wide, base);
		report_add(out,
			"<rect class=\"bar left-behind\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", x,
			top + height - tall, wide, tall - base);
		report_add(out, "<text class=\"mid value\" x=\"%.1f\" y=\"%.1f\">%.0f</text>", x + wide / 2,
			top + height - tall - 6, held);
		if (i == 0)
			report_add(out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">before</text>\n", x + wide / 2,
				top + height + 20);
		else if (bars <= 12 || i % 5 == 0)
			report_add(out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s%u</text>\n", x + wide / 2,
				top + height + 20, bars <= 8 ? "wave " : "", i);
	}
	report_add(out, "<line class=\"axis\" x1=\"10\" x2=\"470\" y1=\"%.1f\" y2=\"%.1f\"/></svg>\n", top + height,
		top + height);
}

/* ---- how long it took ---- */

#define BARS_MAX 40

void chart_times(const char *title, const struct histogram *h, struct buf *out)
{
	static const unsigned marks[] = { 500, 900, 990 };
	unsigned low = 0, high = HISTOGRAM_BUCKETS - 1, each, bars;
	uint64_t counts[BARS_MAX + 1] = { 0 }, most = 1;
	double wide, top = 58, height = 150; /* above the bars, a line for each mark */
	char text[40];

	if (h->count == 0)
		return;
	while (low < high && h->buckets[low] == 0)
		low++;
	while (high > low && h->buckets[high] == 0)
		high--;
	each = (high - low) / BARS_MAX + 1;
	bars = (high - low) / each + 1;
	for (unsigned i = low; i <= high; i++) {
		uint64_t *count = &counts[(i - low) / each];

		*count += h->buckets[i];
		most = *count > most ? *count : most;
	}
	wide = 460.0 / bars;
	report_add(out,
		"<figure><figcaption>%s, %llu of them</figcaption><svg viewBox=\"0 0 480 252\" role=\"img\" aria-label=\"%s\">\n",
		title, (unsigned long long)h->count, title);
	for (unsigned i = 0; i < bars; i++) {
		double tall = height * (double)counts[i] / (double)most;

		text_duration(text, sizeof text, histogram_bucket_bound(low + i * each + each - 1));
		report_add(out,
			"<rect class=\"bar time\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>up to %s: %llu</title></rect>\n",
			10 + wide * i, top + height - tall, fmin(wide * 0.85, 40), tall, text,
			(unsigned long long)counts[i]);
	}
	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
		time_us value = histogram_quantile(h, marks[i]);
		unsigned bucket = low;
		double x;

		while (bucket < high && histogram_bucket_bound(bucket) < value)
			bucket++;
		x = 10 + wide * ((bucket - low) / each) + fmin(wide * 0.85, 40) / 2;
		text_duration(text, sizeof text, value);
		report_add(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x,
			2 + 16 * (double)i, top + height);
		report_add(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">p%u %s</text>\n", x > 240 ? "left" : "",
			x > 240 ? x - 4 : x + 4, 14 + 16 * (double)i, marks[i] / 10, text);
	}
	text_duration(text, sizeof text, histogram_bucket_bound(low));
	report_add(out,
		"<line class=\"axis\" x1=\"10\" x2=\"470\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"10\" y=\"%.1f\">%s</text>",
		top + height, top + height, top + height + 18, text);
	text_duration(text, sizeof text, h->max);
	report_add(out, "<text class=\"left\" x=\"470\" y=\"%.1f\">max %s</text></svg></figure>\n", top + height + 18,
		text);
}
