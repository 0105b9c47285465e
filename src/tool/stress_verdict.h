#ifndef PGWEIR_TOOL_STRESS_VERDICT_H
#define PGWEIR_TOOL_STRESS_VERDICT_H

#include "core/leak.h"
#include "tool/stress_schedule.h"
#include "tool/stress_timeline.h"

/* What the waves left behind: whether connections leaked, how many, how sure that is, and by which pattern of doc/leaks.md. Pure. */

enum stress_verdict_kind {
	VERDICT_UNKNOWN, /* nothing was asked, or the run ended too early */
	VERDICT_NONE,
	VERDICT_KEPT,   /* more than before, but no more with each wave: threads that keep, or a pool */
	VERDICT_GROWING /* each wave leaves more */
};
extern const char *const verdict_kind_names[];

/* A session that was there at the last look, times since the run's start (before it: negative). */
struct stress_session {
	time_us born, used; /* used: when its last statement began */
	bool never_used;
	enum { SESSION_IDLE, SESSION_ACTIVE, SESSION_IN_TRANSACTION, SESSION_OTHER } state;
	char statement[STRESS_TEXT]; /* its last, without the values in it, safe to be shown */
};

/* What those sessions have in common that were born during the waves. */
struct stress_left {
	unsigned count, idle, active, in_transaction, never_used, listening;
	unsigned veterans,
		reused; /* veterans: born before the last wave; reused: those of them that the last wave used */
	char statement[STRESS_TEXT]; /* of the first of them */
};
struct stress_left sessions_left(const struct stress_session *, size_t count, const struct stress_schedule *);

struct stress_verdict {
	enum stress_verdict_kind kind;
	unsigned waves;                                /* that have settled */
	struct plateau plateaus[STRESS_WAVES_MAX + 1]; /* 0: before the first wave */
	double leaked;                                 /* at the end beyond before, and beyond what it may keep */
	double growth;                                 /* per wave, after the first */
	double per_100, per_100_low, per_100_high;     /* sockets opened in waves; low to high: nine times in ten */
	unsigned confidence;                           /* percent: in what `kind` says */
	const struct leak_pattern *pattern;            /* NULL: not told */
	char why[400];                                 /* the figures that it was told by */
	bool blind;                                    /* that is why it is not known */
};

/* What is judged. `pooler_pattern`: the number of the pattern that the pooler itself names for these clients, "" if none. */
struct stress_evidence {
	const struct stress_plan *plan;
	const struct timeline *timeline;
	uint64_t opened;                /* in waves, the warm-up not among them */
	unsigned settled;               /* waves that came to their rest; the warm-up has, if any has */
	const struct stress_left *left; /* NULL: not known; they are a pooler's servers, or were not asked for */
	const char *pooler_pattern;
	bool blind; /* the application's sessions are of a kind that was not counted */
};
void verdict_reach(struct stress_verdict *, const struct stress_evidence *);

/* One sentence for people. */
void verdict_words(const struct stress_verdict *, const struct stress_plan *, char *out, size_t size);

/* How probable it is that a value is above 0 whose `count` (2 or more) measurements have this mean and standard deviation: Student's t,
 * one-sided. */
double chance_above_zero(double mean, double deviation, unsigned count);

#endif
