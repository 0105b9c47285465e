#include "tool/stress_timeline.h"

#include <stdlib.h>

#include "tool/memory.h"

const struct stress_reading stress_reading_unknown = { .sessions = UNKNOWN,
	.idle = UNKNOWN,
	.active = UNKNOWN,
	.in_transaction = UNKNOWN,
	.clients = UNKNOWN,
	.waiting = UNKNOWN,
	.servers = UNKNOWN };

/* Half of what was told of busy times; rest is what the verdict stands on, and stays. */
static void thin(struct timeline *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		enum stress_phase phase = t->samples[i].phase;

		if (i % 2 == 0 || phase == PHASE_SETTLE || phase == PHASE_BASELINE)
			t->samples[kept++] = t->samples[i];
	}
	t->full = kept == t->count;
	t->count = kept;
}

void timeline_add(struct timeline *t, const struct stress_sample *sample)
{
	if (t->count == TIMELINE_MAX && !t->full)
		thin(t);
	if (t->full)
		return; /* all rest: what is there is enough */
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->samples = memory_got(reallocarray(t->samples, t->room, sizeof *t->samples));
	}
	t->samples[t->count++] = *sample;
}

void timeline_fini(struct timeline *t)
{
	free(t->samples);
	*t = (struct timeline){ 0 };
}

int reading_held(const struct stress_reading *r)
{
	return r->clients != UNKNOWN ? r->clients : r->sessions;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static bool plateau_of(const struct timeline *t, enum stress_phase phase, unsigned wave, struct plateau *out)
{
	double *held = memory_new(t->count, sizeof *held);
	size_t count = 0, skipped;

	for (size_t i = 0; i < t->count; i++) {
		const struct stress_sample *s = &t->samples[i];

		if (s->phase == phase && s->wave == wave && reading_held(&s->reading) != UNKNOWN)
			held[count++] = reading_held(&s->reading);
	}
	*out = (struct plateau){ 0 };
	if (count > 0) {
		skipped = count / 2; /* where things are still being closed */
		count -= skipped;
		for (size_t i = 0; i < count; i++)
			held[i] = held[i + skipped];
		out->samples = count;
		out->held = median(held, count);
		for (size_t i = 0; i < count; i++)
			held[i] = held[i] > out->held ? held[i] - out->held : out->held - held[i];
		out->spread = median(held, count);
	}
	free(held);
	return count > 0;
}

bool timeline_plateau(const struct timeline *t, unsigned wave, struct plateau *out)
{
	return plateau_of(t, PHASE_SETTLE, wave, out) || (wave == 0 && plateau_of(t, PHASE_BASELINE, 0, out));
}

int timeline_peak(const struct timeline *t)
{
	int peak = UNKNOWN;

	for (size_t i = 0; i < t->count; i++) {
		int held = reading_held(&t->samples[i].reading);

		if (held > peak)
			peak = held;
	}
	return peak;
}
