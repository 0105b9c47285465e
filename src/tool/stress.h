#ifndef PGWEIR_TOOL_STRESS_H
#define PGWEIR_TOOL_STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/time.h"

/* What the parts of `pgweir stress` tell each other, as plain values. */

enum stress_target { TARGET_WEBSOCKET, TARGET_HTTP, TARGET_POSTGRES };

/* A run is a baseline, a warm-up that settles, and then waves: each opens its sockets, holds them, bursts, drains and settles. */
enum stress_phase {
	PHASE_BASELINE,
	PHASE_WARM_UP,
	PHASE_RAMP,
	PHASE_HOLD,
	PHASE_BURST,
	PHASE_DRAIN,
	PHASE_SETTLE,
	PHASES
};
extern const char *const stress_phase_names[PHASES];

/* What a visitor does that a polite one does not; each is the beginning of some leak. */
enum stress_abuse {
	ABUSE_NONE,
	ABUSE_RESET,        /* a TCP reset in the middle of a request */
	ABUSE_LEAVE,        /* an end of file there */
	ABUSE_SILENT,       /* comes, and never asks for anything */
	ABUSE_STOP_READING, /* asks, and never reads the answer */
	ABUSE_SLOW,         /* reads now and then only */
	ABUSE_NO_GOODBYE,   /* leaves without a close frame, or a Terminate */
	ABUSE_COME_AND_GO,  /* websocket and PostgreSQL: leaves as soon as it is in, and is back at once */
	ABUSE_TRANSACTION,  /* from here on PostgreSQL only: begins a transaction and rests in it */
	ABUSE_STATE,        /* leaves a setting, a lock, a statement and a table in its session, and goes */
	ABUSE_CANCEL,       /* asks, and has it cancelled */
	ABUSE_COPY,         /* leaves in the middle of a COPY, from or to */
	ABUSE_KINDS
};
extern const char *const stress_abuse_names[ABUSE_KINDS + 1]; /* ends with NULL */

#define STRESS_WAVES_MAX   50
#define STRESS_SOCKETS_MAX 100000
#define STRESS_HEADERS_MAX 16
#define STRESS_SOURCES_MAX 16
#define STRESS_SOURCE_TEXT 64
#define STRESS_TEXT        160 /* of anything short that is kept: errors, statements */

/* Whether it can be done to this target. */
static inline bool abuse_is_for(enum stress_abuse abuse, enum stress_target target)
{
	return abuse < ABUSE_COME_AND_GO || target == TARGET_POSTGRES ||
		(abuse == ABUSE_COME_AND_GO && target == TARGET_WEBSOCKET);
}

/* The command line. Texts are borrowed from it. */
struct stress_plan {
	enum stress_target target;
	const char *url;
	char host[256], path[1000]; /* of a websocket's or HTTP URL */
	int port;
	char sources[STRESS_SOURCES_MAX][STRESS_SOURCE_TEXT]; /* addresses to leave from, by turns */
	unsigned source_count;
	bool portless; /* the target is a unix socket */
	bool tls, insecure, owned, storm, prepared, preflight, quiet, help;

	const char *message, *expect, *subprotocol;
	const char *first, *values, *expect_match, *expect_json;
	const char *method, *data; /* of HTTP requests; NULL: as stress_method_of says, and no body */
	const char *headers[STRESS_HEADERS_MAX];
	size_t header_count;

	unsigned sockets, burst, warm_up, waves, may_keep;
	time_us baseline, warm_for, ramp, hold, burst_for, drain, settle, think, timeout, sample;
	unsigned ramp_rate;          /* sockets a second, in place of the time `ramp`; 0: that */
	unsigned ramp_steps;         /* levels that the ramp goes up by; 0: evenly */
	unsigned abuse[ABUSE_KINDS]; /* percent of the visitors */
	uint64_t seed;

	const char *postgres, *console, *role; /* where to look; NULL: not */
	const char *knee;                      /* what must hold while the load is raised; NULL: it is not raised */
	const char *assertion, *json, *junit, *html, *csv, *metrics;
};

/* What came of it, counted while it happens. One for each kind of phase. */
struct stress_tally_phase {
	uint64_t opened, failed, dropped; /* dropped: ended by the target while we still wanted it */
	uint64_t asked, answered, wrong;  /* wrong: an answer, but not the one that was expected */
	uint64_t abused;
	struct histogram connect, reply; /* from when it was due, not from when we got round to it */
};

#define STRESS_TROUBLES 24

struct stress_tally {
	struct stress_tally_phase phases[PHASES];
	struct stress_trouble {
		char text[STRESS_TEXT];
		uint64_t count;
	} troubles[STRESS_TROUBLES]; /* the different ones, in the order of their coming */
	size_t trouble_count;
	uint64_t other_troubles; /* that found no place above */
};

/* One more of this trouble. */
void tally_trouble(struct stress_tally *, const char *text);

/* What was counted apart, as well. */
void tally_add(struct stress_tally_phase *sum, const struct stress_tally_phase *);
void tally_merge(struct stress_tally *into, const struct stress_tally *from);

/* All phases together. */
struct stress_tally_phase tally_total(const struct stress_tally *);

#endif
