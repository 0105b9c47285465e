#ifndef PGWEIR_SIM_LIVES_PARTS_H
#define PGWEIR_SIM_LIVES_PARTS_H

#include "lives.h"

/* What the files of the stage share among themselves: lives.c has a client's life, stage.c what makes clients come, ask and end, in order of time. */

enum state { GONE, ENTERING, PARKED, WAITING, EXECUTING, IN_BLOCK, UNREAD };

enum act {
	ACT_SOURCE,
	ACT_LOGIN,
	ACT_REQUEST,
	ACT_ASK,
	ACT_TIRED,
	ACT_DONE,
	ACT_THOUGHT,
	ACT_READS,
	ACT_LEAVE,
	ACT_CUT,
	ACT_NOTICED,
	ACT_IDLE,
	ACT_OPEN,
	ACT_CLOSE,
	ACT_RESTART
};

struct happening {
	time_us at;
	uint64_t order;
	enum act act;
	uint32_t who, age; /* a client, source or pool */
};

struct person {
	enum state state;
	uint32_t age;
	struct life life;
	int pool, slot;
	time_us login, since, parked;
	unsigned bursts, left, statements, stalls;
	bool cut, abandons, ends, old;
	bool server, asks; /* of a session: it has one; it asks as soon as it is in */
};

struct stage {
	const struct play *play;
	struct leak_rules rules;
	struct rng *rng;
	time_us now;
	struct happening *heap;
	size_t heap_count, heap_capacity;
	uint64_t order;
	struct person *people;
	uint32_t people_count, people_capacity, *free_places, free_count;
	uint32_t *waiting, waiting_count, waiting_capacity;
	uint32_t lent;
	uint32_t *threads[POOLS_MOST]; /* PICK_OWN: each thread's client + 1 */
	uint32_t sizes[POOLS_MOST];
	bool open[POOLS_MOST];
	time_us lost[LOST_MOST];
	unsigned lost_count, restarts, lost_since;
	bool lost_before;
	struct street *street;
	struct leak_facts facts; /* the counters */
};

/* ---- stage.c ---- */

void stage_plan(struct stage *, time_us at, enum act, uint32_t who, uint32_t age);
void *stage_grow(void *old, size_t count, size_t size);

/* ---- lives.c ---- */

uint32_t life_begins(struct stage *, const struct life *, int pool, int slot); /* it logs in; -1: it is in none */
void life_asks(struct stage *, uint32_t who);                                  /* it is parked */
void life_plan(struct stage *, time_us after, enum act, uint32_t who);         /* nobody's, should it end before */
void life_goes_on(struct stage *, enum act, uint32_t who);                     /* what was planned for it happens */
void life_ends(struct stage *, uint32_t who);
bool life_is_quiet(const struct stage *, const struct person *);
void life_lost(struct stage *); /* one more connection is */

#endif
