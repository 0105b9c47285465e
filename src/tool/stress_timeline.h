#ifndef PGWEIR_TOOL_STRESS_TIMELINE_H
#define PGWEIR_TOOL_STRESS_TIMELINE_H

#include "tool/stress.h"

/* One timeline for the sockets, PostgreSQL and the pooler: what was the case at the same instant. */

#define UNKNOWN (-1) /* nobody was asked, or nobody answered */

/* The first application_names that were seen, in the order of their coming; see stress_names.h. */
#define STRESS_NAMES     8
#define STRESS_NAME_TEXT 64
struct stress_names {
	char at[STRESS_NAMES][STRESS_NAME_TEXT];
	unsigned count;
};

/* What PostgreSQL and the pooler said, once. */
struct stress_reading {
	int sessions, idle, active, in_transaction; /* of the application, at PostgreSQL */
	int of_name[STRESS_NAMES];                  /* of the sessions; nothing is known where those are UNKNOWN */
	int clients, waiting, servers;              /* at the pooler */
};
extern const struct stress_reading stress_reading_unknown;

struct stress_sample {
	time_us at; /* since the run's start */
	enum stress_phase phase;
	unsigned wave, sockets; /* sockets: open at that time */
	uint64_t failed, answered;
	struct stress_reading reading;
};

struct timeline {
	struct stress_sample *samples;
	size_t count, room;
	bool full; /* to the last place, with what stays */
};

/* Longer runs than this are sampled, then thinned: every second sample goes, except those of rest. */
#define TIMELINE_MAX 20000

void timeline_add(struct timeline *, const struct stress_sample *);
void timeline_fini(struct timeline *);

/* The application's connections: those it has at the pooler, if that was asked; else its sessions at PostgreSQL. */
int reading_held(const struct stress_reading *);

/* What is held at rest: the median of the later half of the samples of a settle (wave 0: after the warm-up, else of the baseline).
 * False: there are none, since nothing was asked or the run ended before. */
struct plateau {
	double held, spread; /* spread: how far half of the samples are from it */
	size_t samples;
};
bool timeline_plateau(const struct timeline *, unsigned wave, struct plateau *);

/* The most that was ever held; UNKNOWN without a reading. */
int timeline_peak(const struct timeline *);

#endif
