#ifndef PGWEIR_TOOL_STRESS_LOAD_H
#define PGWEIR_TOOL_STRESS_LOAD_H

#include "base/buf.h"
#include "base/rng.h"
#include "base/span.h"
#include "tool/stress_expect.h"
#include "tool/stress_schedule.h"
#include "tool/stress_values.h"

/* The visitors of one run: who comes, asks, waits and leaves, and when. Memory and descriptors are bounded by the plan: one visitor for
 * each socket that is ever wanted at once. */
struct load;

/* `tally` is borrowed for the load's life. NULL: `error`. */
struct load *load_new(const struct stress_plan *, struct stress_tally *, time_us zero, char *error, size_t error_size);

/* Do what is due at this step, and take what the network brings; for some milliseconds. */
void load_turn(struct load *, const struct stress_step *);

/* Count there from now on; borrowed for the rest of the load's life. */
void load_count_in(struct load *, struct stress_tally *);

/* How many visitors are connected. */
unsigned load_open_count(const struct load *);

/* Everybody leaves; returns when they have, or after two seconds. */
void load_end(struct load *);
void load_free(struct load *);

/* ---- between the load and its two ways to the target: stress_web, stress_postgres ---- */

enum visitor_state {
	VISITOR_AWAY,    /* comes at `due` */
	VISITOR_OPENING, /* since `due` */
	VISITOR_RESTING, /* connected; asks at `due` */
	VISITOR_ASKING,  /* since `due`, and waits for the answer */
	VISITOR_FAILED   /* and does not come again in this wave */
};

struct visitor {
	struct load *load;
	enum visitor_state state;
	enum stress_abuse abuse;
	uint64_t serial;           /* {{i}} */
	time_us due;               /* since the run's start; see above */
	time_us deadline;          /* OPENING, ASKING: not later */
	time_us cut_at;            /* ends like that at this time; 0: does not */
	uint16_t matched;          /* letters of the expected text that have come */
	bool expected;             /* all of it has */
	bool greeted, asks;        /* websocket: it has sent --first; it is to send its message */
	struct buf answer;         /* what came of it, where it must be kept */
	struct buf body;           /* HTTP: what is still to be sent of its request */
	bool started;              /* PostgreSQL: it has done to its session what it does but once */
	bool preparing;            /* PostgreSQL: the message is being prepared, to be run then */
	char refusal[STRESS_TEXT]; /* PostgreSQL: what the statement under way was refused with; "" until then */
	void *connection;          /* the way's own */
};

enum goodbye { GOODBYE, GOODBYE_NONE, GOODBYE_RESET };

struct load {
	const struct stress_plan *plan;
	struct stress_tally *tally;
	time_us zero, now;
	enum stress_phase phase;
	unsigned wave;
	struct visitor *visitors;
	unsigned count, open;
	uint64_t serial;
	struct rng rng;
	uint16_t *failures; /* of the expected text, for the search that never looks back (Knuth, Morris, Pratt) */
	size_t expect_length;
	struct expectation *expectation;
	struct values *values; /* NULL: none were given */
	void *way;
};

/* What a way does. `open` returns false when it failed at once: it has said visitor_failed then. */
bool web_start(struct load *, char *error, size_t error_size);
bool web_open(struct visitor *);
bool web_ask(struct visitor *);
void web_close(struct visitor *, enum goodbye);
void web_turn(struct load *, time_us most);
void web_end(struct load *);

bool postgres_start(struct load *, char *error, size_t error_size);
bool postgres_open(struct visitor *);
bool postgres_ask(struct visitor *);
bool postgres_cancel(struct visitor *); /* false: not now */
void postgres_close(struct visitor *, enum goodbye);
void postgres_turn(struct load *, time_us most);
void postgres_end(struct load *);

/* What a way says. The connection of one that failed or has been dropped is the way's to close. */
void visitor_opened(struct visitor *);
void visitor_asked(struct visitor *);
void visitor_heard(struct visitor *, struct span bytes);
void visitor_parted(struct visitor *); /* what follows is another value of the same answer */
void visitor_answered(struct visitor *, bool right, const char *wrong);
void visitor_failed(struct visitor *, const char *why);  /* it did not get in */
void visitor_dropped(struct visitor *, const char *why); /* it was in, and the target ended it */

/* The message, its {{i}}, {{wave}}, {{rand}} and {{name}}s of --values filled in. Returns its length; it is cut at `size`. */
size_t visitor_fill(struct visitor *, const char *template, char *out, size_t size);

#endif
