#ifndef PGWEIR_SIM_LIVES_H
#define PGWEIR_SIM_LIVES_H

#include "base/rng.h"
#include "core/leak.h"

/* An origin as its clients live it: they log in, ask, think, rest and leave, or do not. What the pooler could note of that is counted
 * here once more, from what core/leak.h says a fact means and not from how anything is told. One stage has one origin and its pool. */

#define FOREVER ((time_us)1 << 60)

/* Anything between these, small values as likely as large ones of the same proportion; equal: just that. */
struct range {
	time_us least, most;
};

enum ending {
	ENDS_LEAVING,   /* says goodbye after `stay` */
	ENDS_STAYING,   /* is never heard of again */
	ENDS_HOLDING,   /* keeps its last transaction open for `hold`, then ends it and leaves */
	ENDS_UNREAD,    /* never reads its last answer */
	ENDS_VANISHING, /* its network is cut after `stay`; noticed half a minute later */
	ENDS_ABANDONING /* leaves in the middle of its last statement */
};

/* What a client does. */
struct life {
	unsigned bursts;      /* 0: it never asks */
	unsigned statements;  /* of each transaction */
	struct range first;   /* from the login until it asks */
	struct range execute; /* each statement */
	struct range think;   /* between two statements of a transaction: idle in a block */
	struct range stall; /* it does not read for so long, then goes on, as often as `stalls` says; then it is done */
	unsigned stalls;
	struct range rest; /* between bursts */
	struct range stay, hold;
	enum ending ending;
	bool listens, lost, locks,
		fails; /* lost: this is the leak; fails: its last transaction has failed when it is held */
};

/* A pool inside the application. Members do `work` when a request meets them. */
enum pick { PICK_LAST, PICK_FIRST, PICK_ANY, PICK_OWN };
struct app_pool {
	unsigned least, most;
	enum pick pick; /* OWN: requests go to one of `most` threads, each with its own connection, made at its first */
	struct life work;       /* of a request */
	time_us idle, lifetime; /* closes what rests for so long; what is so old (and opens another); 0: never */
	bool greets;            /* asks once right after the login */
};

/* What makes logins or requests happen. */
enum rhythm { AT_RANDOM, IN_CLUMPS };
struct source {
	enum rhythm rhythm;
	double rate;          /* per second; of clumps: unused */
	struct range every;   /* from clump to clump */
	unsigned least, most; /* of each clump */
	time_us spread;       /* a clump's members come within this */
	time_us from, until;
	time_us swing; /* the rate goes up and down with this period; 0: it is steady */
	int pool; /* requests to this pool; -1: logins of their own; ANY_POOL: requests to one of those that are open */
	struct life life;
};

/* People who come to the origin's process, as its /proc tells of them: visits.c. */
struct visit_flow {
	double rate; /* per second */
	time_us from, until;
	struct range wait; /* until they have an answer */
	bool lost;         /* they wait for a connection that nobody gives back: this is the leak */
	bool elsewhere; /* the process waits for somebody else meanwhile; it computes; it has not even read what they said */
	bool computed, unread;
};

#define FLOWS_MOST   4
#define SOURCES_MOST 4
#define POOLS_MOST   40
#define ANY_POOL     (-2)

/* What is to be played. */
struct play {
	enum leak_driver driver;
	enum leak_runtime runtime;
	bool session_mode; /* whoever was lent a server keeps it until it leaves; who waits for one for a minute leaves */
	bool enters;       /* ... and is lent it at its login, as under our own name */
	uint32_t clients_limit, servers_limit;
	time_us length;
	time_us found;   /* the detector sees it from this moment on; only what is lost later counts */
	unsigned enough; /* that many lost are enough to tell it; 0: as the kind says */
	struct source sources[SOURCES_MOST];
	unsigned sources_count;
	struct app_pool pools[POOLS_MOST];
	time_us pool_opens[POOLS_MOST], pool_opens_within[POOLS_MOST], pool_closes[POOLS_MOST]; /* closes 0: never */
	unsigned pools_count;
	struct visit_flow flows[FLOWS_MOST]; /* none: the process is not seen */
	unsigned flows_count;
	struct range restarts; /* from one to the next: all clients are gone, and the pools open anew; 0: never */
};

struct stage;
struct stage *stage_new(const struct play *, const struct leak_rules *, struct rng *);
void stage_free(struct stage *);

/* Let everything happen until `when`, then say what is so. */
void stage_until(struct stage *, time_us when);
void stage_facts(struct stage *, struct leak_facts *);

/* When the nth connection was lost, the first being 1; FOREVER: it was not yet. At most LOST_MOST are remembered. */
#define LOST_MOST 400
time_us stage_lost(const struct stage *, unsigned nth);

/* Whether any was lost before the detector saw it. */
bool stage_lost_before(const struct stage *);

/* How often it was restarted, and how many were lost since. */
unsigned stage_restarts(const struct stage *, unsigned *lost);

time_us draw(struct rng *, struct range);

#endif
