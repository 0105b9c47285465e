#ifndef PGWEIR_TOOL_STRESS_KNEE_H
#define PGWEIR_TOOL_STRESS_KNEE_H

#include "tool/stress_assert.h"

/* The knee: the largest load that is still served as --knee wants it. Pure. */

struct knee_level {
	unsigned sockets;
	bool held;
	time_us p99_connect, p99_reply; /* 0: nothing was measured */
	uint64_t errors;
	char why[160]; /* it was not: the figures that broke it */
};

struct knee {
	unsigned most, good,
		bad;   /* good: the largest that held, 0: none did; bad: the smallest that did not, 0: none failed to */
	unsigned next; /* to be tried now */
	bool again, found; /* again: `next` did not hold a moment ago */
	struct knee_level levels[STRESS_WAVES_MAX];
	unsigned count;
	char limit[300]; /* what stood in the way, as far as it shows; "" if nothing did */
};

/* What was seen while a level was under way. */
struct knee_seen {
	const struct stress_tally *tally;
	int waiting, servers, active; /* the most of each; UNKNOWN */
	unsigned cores;
	unsigned load_busy, machine_busy; /* percent: of one core, of all; 0: not known */
};

/* Only of figures of the load can it be made: what stays behind is not known before the end. False: `error`. */
bool knee_can_be(const struct assertion *, char *error, size_t error_size);

/* From a sixteenth of `most` upwards. */
void knee_begin(struct knee *, unsigned most);

/* The level `knee->next` has been tried: true, and knee->next is the one to try now; false: it is found. */
bool knee_take(struct knee *, const struct assertion *, const struct knee_seen *);

/* One sentence for people. */
void knee_words(const struct knee *, const char *expression, char *out, size_t size);

#endif
