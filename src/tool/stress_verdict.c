#include "tool/stress_verdict.h"

#include <math.h>

#include "base/text.h"

/* What a leak is here, and what it is not.
 *
 *   held                                  . r3           r0: at rest before the first wave, after a warm-up has opened what
 *      |               . r2                                  any application keeps: a pool, a thread's connection
 *      |  . r1                                           r1, r2, r3: at rest after each wave, when nobody is connected
 *   r0 |_____________________________
 *
 * Counts at rest are exact but few, so each is the median of a plateau, and what is claimed of them is tested over the waves with
 * Student's t. Two claims are made:
 *
 *   kept      the r1, r2, ... are above r0 (and what it may keep)
 *   growing   the steps r1 -> r2 -> r3 are upwards. The step r0 -> r1 does not count: there a pool that grows on demand fills
 *             itself, and stays so. "Three waves, and it settles at exactly max_size" is how people show that nothing leaks.
 *
 * Counts are whole, so identical waves do not prove infinite precision: no deviation is taken for less than half a connection. */

#define SURE            0.9
#define DEVIATION_LEAST 0.5
#define T_90_BOTH_SIDES 0.95

const char *const verdict_kind_names[] = { "unknown", "none", "kept", "growing" };

/* Abramowitz and Stegun, 26.7.3 and 26.7.4: the distribution for a whole number of degrees of freedom, in closed form. */
static double student_t(double t, unsigned freedom)
{
	double theta = atan(t / sqrt(freedom)), sine = sin(theta), cosine = cos(theta), term, sum;

	if (freedom % 2 == 1) {
		sum = 0;
		term = cosine;
		for (unsigned i = 1; i < freedom; i += 2) {
			sum += term;
			term *= cosine * cosine * (i + 1) / (i + 2);
		}
		return 0.5 + (theta + sine * sum) / M_PI;
	}
	sum = 0;
	term = 1;
	for (unsigned i = 0; i < freedom; i += 2) {
		sum += term;
		term *= cosine * cosine * (i + 1) / (i + 2);
	}
	return 0.5 + sine * sum / 2;
}

double chance_above_zero(double mean, double deviation, unsigned count)
{
	if (deviation < DEVIATION_LEAST)
		deviation = DEVIATION_LEAST;
	return student_t(mean / (deviation / sqrt(count)), count - 1);
}

/* How many standard errors to each side hold the mean nine times in ten. */
static double t_of(unsigned freedom)
{
	double low = 0, high = 1000;

	for (int i = 0; i < 60; i++) {
		double middle = (low + high) / 2;

		if (student_t(middle, freedom) < T_90_BOTH_SIDES)
			low = middle;
		else
			high = middle;
	}
	return high;
}

struct series {
	double mean, deviation;
	unsigned count;
};

static struct series series_of(const double *values, unsigned count)
{
	struct series s = { .count = count };

	for (unsigned i = 0; i < count; i++)
		s.mean += values[i] / count;
	for (unsigned i = 0; i < count; i++)
		s.deviation += (values[i] - s.mean) * (values[i] - s.mean);
	s.deviation = count > 1 ? sqrt(s.deviation / (count - 1)) : 0;
	return s;
}

/* That they are kept: a series that rises is no less above 0 for rising, though its deviation is large; then its least counts, with how
 * much the plateaus themselves wavered. */
static double chance_of_kept(const struct stress_verdict *v, const double *above)
{
	struct series all = series_of(above, v->waves);
	double least = above[0], wavered = 0;

	for (unsigned i = 0; i < v->waves; i++) {
		least = fmin(least, above[i]);
		wavered = fmax(wavered, v->plateaus[i + 1].spread);
	}
	return fmax(
		chance_above_zero(all.mean, all.deviation, all.count), chance_above_zero(least, wavered, all.count));
}

/* Before this wave has begun; the end of the run for one that never came. */
static time_us wave_begins(const struct stress_schedule *s, unsigned wave)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->steps[i].wave == wave)
			return s->steps[i].begins;
	}
	return s->ends;
}

static unsigned last_wave(const struct stress_schedule *s)
{
	return s->count > 0 ? s->steps[s->count - 1].wave : 0;
}

struct stress_left sessions_left(const struct stress_session *sessions, size_t count, const struct stress_schedule *s)
{
	time_us first = wave_begins(s, 1), last = wave_begins(s, last_wave(s));
	struct stress_left left = { 0 };

	for (size_t i = 0; i < count; i++) {
		const struct stress_session *one = &sessions[i];

		if (one->born < first)
			continue;
		if (left.count++ == 0)
			text_copy(left.statement, sizeof left.statement, one->statement);
		left.idle += one->state == SESSION_IDLE;
		left.active += one->state == SESSION_ACTIVE;
		left.in_transaction += one->state == SESSION_IN_TRANSACTION;
		left.never_used += one->never_used;
		left.listening += text_equal_nocase(
			span_of(one->statement, strnlen(one->statement, 6)), span_text("LISTEN"));
		if (one->born < last) {
			left.veterans++;
			left.reused += !one->never_used && one->used >= last;
		}
	}
	return left;
}

/* What is left is of one kind, or nothing is said about it. */
static bool most(unsigned part, unsigned whole)
{
	return whole > 0 && 10 * part >= 7 * whole;
}

static bool abused(const struct stress_plan *plan)
{
	for (unsigned i = 1; i < ABUSE_KINDS; i++) {
		if (plan->abuse[i] > 0)
			return true;
	}
	return plan->storm;
}

static void name(struct stress_verdict *v, const char *number, const char *why)
{
	v->pattern = leak_pattern_of(number);
	text_copy(v->why, sizeof v->why, why);
}

/* Those that PostgreSQL says are idle: who used them, and when? */
static void name_idle(struct stress_verdict *v, const struct stress_evidence *e)
{
	const struct stress_left *left = e->left;
	bool rotates = left->veterans > 0 && 2 * left->reused >= left->veterans;
	char words[400];

	if (rotates) {
		text_format(words, sizeof words,
			"%u of the %u sessions left from earlier waves were used again by the last one, and still nobody closed them: "
			"a set of threads that each keep a connection",
			left->reused, left->veterans);
		name(v, "L3", words);
	} else if (left->veterans > 0) {
		text_format(words, sizeof words,
			"of the %u sessions left from earlier waves only %u were ever used again: each belongs to something that is gone",
			left->veterans, left->reused);
		name(v, e->plan->target == TARGET_HTTP ? "L1" : "L5", words);
	}
}

static void name_pattern(struct stress_verdict *v, const struct stress_evidence *e)
{
	const struct stress_left *left = e->left;
	char words[400];

	if (e->pooler_pattern && e->pooler_pattern[0]) {
		name(v, e->pooler_pattern, "the pooler's own SHOW LEAKS names it for this application's clients");
	} else if (e->plan->console) {
		text_copy(v->why, sizeof v->why,
			"counts alone: PostgreSQL sees only the pooler's servers, and the pooler names no leak, or not yet (pgweir's SHOW LEAKS "
			"does when its clients have been quiet for long enough)");
	} else if (!left || left->count == 0) {
		return;
	} else if (most(left->never_used, left->count)) {
		text_format(
			words, sizeof words, "%u of %u sessions never ran a statement", left->never_used, left->count);
		name(v, "L15", words);
	} else if (most(left->in_transaction, left->count)) {
		text_format(words, sizeof words, "%u of %u sessions are idle in a transaction that nobody works in",
			left->in_transaction, left->count);
		name(v, abused(e->plan) ? "L11" : "L13", words);
	} else if (most(left->active, left->count)) {
		text_format(words, sizeof words, "%u of %u sessions still run a statement for somebody who has gone",
			left->active, left->count);
		name(v, "L24", words);
	} else if (most(left->listening, left->count)) {
		text_format(words, sizeof words, "%u of %u sessions LISTEN", left->listening, left->count);
		name(v, "L22", words);
	} else if (most(left->idle, left->count)) {
		name_idle(v, e);
	}
}

/* How many leak for each 100 sockets, with the range that the waves allow. */
static void measure(struct stress_verdict *v, struct series steps, uint64_t opened)
{
	double each = v->waves ? (double)opened / v->waves : 0, reach;

	if (each <= 0)
		return;
	v->per_100 = 100 * v->leaked / (double)opened;
	v->per_100_low = v->per_100_high = v->per_100;
	if (v->kind != VERDICT_GROWING)
		return;
	reach = t_of(steps.count - 1) * fmax(steps.deviation, DEVIATION_LEAST) / sqrt(steps.count);
	v->per_100 = 100 * steps.mean / each;
	v->per_100_low = fmax(0, 100 * (steps.mean - reach) / each);
	v->per_100_high = 100 * (steps.mean + reach) / each;
}

static unsigned percent(double chance)
{
	return (unsigned)fmin(99, floor(100 * chance)); /* nothing is certain after a few waves */
}

void verdict_reach(struct stress_verdict *v, const struct stress_evidence *e)
{
	double above[STRESS_WAVES_MAX], steps[STRESS_WAVES_MAX];
	struct series kept, grown = { 0 };
	double chance_kept, chance_grown;

	*v = (struct stress_verdict){ .kind = VERDICT_UNKNOWN, .blind = e->blind };
	if (e->blind || !timeline_plateau(e->timeline, 0, &v->plateaus[0]))
		return;
	while (v->waves < e->settled && timeline_plateau(e->timeline, v->waves + 1, &v->plateaus[v->waves + 1])) {
		double held = v->plateaus[v->waves + 1].held;

		above[v->waves] = held - v->plateaus[0].held - e->plan->may_keep;
		if (v->waves > 0)
			steps[v->waves - 1] = held - v->plateaus[v->waves].held;
		v->waves++;
	}
	if (v->waves == 0)
		return;
	v->leaked = fmax(0, above[v->waves - 1]);
	kept = series_of(above, v->waves);
	if (v->waves == 1) { /* no second measurement, no confidence */
		v->kind = v->leaked >= 1 ? VERDICT_KEPT : VERDICT_NONE;
		v->confidence = 50;
	} else {
		grown = series_of(steps, v->waves - 1);
		v->growth = grown.mean;
		chance_kept = chance_of_kept(v, above);
		chance_grown = grown.count > 1 ? chance_above_zero(grown.mean, grown.deviation, grown.count) : 0;
		if (v->leaked >= 1 && chance_grown >= SURE && steps[v->waves - 2] >= 1) {
			v->kind = VERDICT_GROWING;
			v->confidence = percent(fmin(chance_grown, fmax(chance_kept, SURE)));
		} else if (v->leaked >= 1 && chance_kept >= SURE) {
			v->kind = VERDICT_KEPT;
			v->confidence = percent(chance_kept);
		} else {
			v->kind = VERDICT_NONE;
			v->confidence = percent(chance_above_zero(1 - kept.mean, kept.deviation, kept.count));
			v->leaked = 0;
		}
	}
	measure(v, grown, e->opened);
	if (v->kind != VERDICT_NONE)
		name_pattern(v, e);
}

void verdict_words(const struct stress_verdict *v, const struct stress_plan *plan, char *out, size_t size)
{
	char pattern[120] = "";

	if (v->pattern)
		text_format(pattern, sizeof pattern, " Pattern %s: %s.", v->pattern->number, v->pattern->name);
	switch (v->kind) {
	case VERDICT_UNKNOWN:
		text_format(out, size, "%s",
			!plan->postgres && !plan->console
				? "Leaks were not looked for: give --postgres URL, and --console URL where a pooler is in front."
				: v->blind
				? "Whether connections leak is not known: only superusers' sessions came during the run, and those are not counted unless --role names whose they are."
				: "Whether connections leak is not known: no wave came to its rest.");
		break;
	case VERDICT_NONE:
		text_format(out, size, "No leak: after %u wave%s %.0f connection%s held, as many as before (%.0f).",
			v->waves, text_plural(v->waves), v->plateaus[v->waves].held,
			v->plateaus[v->waves].held > 0.5 && v->plateaus[v->waves].held < 1.5 ? " is" : "s are",
			v->plateaus[0].held);
		break;
	case VERDICT_KEPT:
		text_format(out, size,
			"%.0f connection%s kept that nobody uses (%.0f before, %.0f after %u wave%s), though not more with each wave.%s",
			v->leaked, v->leaked < 1.5 ? " is" : "s are", v->plateaus[0].held, v->plateaus[v->waves].held,
			v->waves, text_plural(v->waves), pattern);
		break;
	case VERDICT_GROWING:
		text_format(out, size,
			"A leak: %.0f connection%s left behind, %.1f more with each wave, %.1f for each 100 sockets.%s",
			v->leaked, v->leaked < 1.5 ? " was" : "s were", v->growth, v->per_100, pattern);
		break;
	}
}
