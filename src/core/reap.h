#ifndef PGWEIR_CORE_REAP_H
#define PGWEIR_CORE_REAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "core/leak.h"

/* Whom the reaper may end, and when: pure rules. Who is "idle" is not "abandoned"; a client goes only with positive evidence, never while
 * it holds what its end would destroy, only under pressure, and within a budget. */

/* What a client holds or does that its end would destroy; kept as it is seen, for as long as its server is its own. */
#define MARK_LISTENS  1u  /* LISTEN */
#define MARK_LOCKS    2u  /* an advisory lock */
#define MARK_CURSOR   4u  /* a cursor WITH HOLD */
#define MARK_PREPARED 8u  /* PREPARE TRANSACTION */
#define MARK_COPY     16u /* COPY goes on */
#define MARK_UNSEEN   32u /* a statement longer than what is looked at: it may have done any of these */
#define MARK_WRITES   64u /* INSERT and the like: protects nobody, but its transaction has more time */

/* A transaction that has written goes only after so many times `hold`: more is lost with it. */
#define REAP_WRITING_TIMES 3

/* The marks of a text, which may have several statements; `cut` when there is more of it than this. */
unsigned reap_marks(struct span text, bool cut);

/* One client, as its worker sees it now. */
struct reap_subject {
	bool is_protected; /* its origin, by PROTECT ORIGIN */
	bool is_exempt;    /* it asked for pgweir.no_reap=on at login */
	bool is_unheard;   /* everything is suspended: it may have asked for something that nobody has read */
	bool hears;        /* it LISTENs, and somebody hears for it, or will: that takes no server of its own */
	bool holds_server;
	bool in_block; /* idle in a transaction */
	bool owes;     /* a reply is under way or a message is half sent; or it waits, or logs in */
	unsigned marks;
	unsigned bursts;
	time_us rested; /* parked (or resting with its server) for so long; 0: it does not rest */
	time_us held;   /* idle in its transaction for so long; 0: it is not */
	time_us marked; /* for so long it is marked, and has not moved since; 0: it is not */
};

struct reap_order {
	enum leak_family
		family; /* CLIENT: those that rest; SERVER: those that are idle in a transaction, or rest with a server */
	bool by_hand;   /* an administrator names whom: no mark is needed, and no little use */
	time_us quiet, hold, grace;
};

enum reap_verdict {
	REAP_GOES,
	REAP_MARK, /* it would go; mark it, and look again after `grace` */
	REAP_WAIT, /* it is marked, and its grace is not over */
	/* it stays, because: */
	KEEP_PROTECTED,
	KEEP_EXEMPT,
	KEEP_UNHEARD,
	KEEP_BUSY,
	KEEP_COPY,
	KEEP_LISTENS,
	KEEP_LOCKS,
	KEEP_CURSOR,
	KEEP_PREPARED,
	KEEP_UNSEEN,
	KEEP_IN_USE, /* it came back before, or it has not rested for long enough */
	KEEP_OTHER   /* it is not of this family */
};
#define REAP_VERDICTS ((unsigned)KEEP_OTHER + 1)

enum reap_verdict reap_judge(const struct reap_subject *, const struct reap_order *);
const char *reap_reason(enum reap_verdict); /* for people: "a reply is under way" */

/* ---- when, and how many ---- */

struct reap_rules {
	unsigned pressure, relief; /* percent of clients_limit: begin at the one, go on down to the other */
	uint32_t batch;            /* most in one look */
	uint32_t hourly;           /* most in an hour */
	unsigned share;            /* most of one origin's clients in one look, percent; at least one */
};

struct reap_budget {
	bool under_pressure;
	time_us hour_began;
	uint32_t in_hour;
};

/* How many clients of this origin may go now: 0 when nothing presses, or the budget is used up. `facts` as of the last look. */
uint32_t reap_allows(
	struct reap_budget *, const struct reap_rules *, time_us now, enum leak_family, const struct leak_facts *facts);
void reap_spend(struct reap_budget *, uint32_t count);

#endif
