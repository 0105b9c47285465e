#ifndef PGWEIR_BASE_TIMERS_H
#define PGWEIR_BASE_TIMERS_H

#include "base/list.h"
#include "base/time.h"

/* Timers embedded in their owners: setting, moving and clearing cost a few instructions whatever
 * their number (a hierarchical wheel of 1 ms ticks; a timer rings at most one tick late, never early). */
struct timer {
	struct link link;
	time_us due;
	uint32_t kind; /* the owner's own word for what is due */
};

#define TIMER_LEVELS 9 /* of six bits each: every deadline that time_us can tell has its place */
#define TIMER_SLOTS  64

struct timers {
	time_us now;
	uint64_t tick;
	uint64_t occupied[TIMER_LEVELS];
	struct link wheel[TIMER_LEVELS][TIMER_SLOTS];
	struct link due;
};

void timers_init(struct timers *, time_us now);

/* A timer must be initialised once before its first use. */
void timer_init(struct timer *, uint32_t kind);
static inline bool timer_is_set(const struct timer *timer)
{
	return !link_empty(&timer->link);
}

/* Set, or move, the timer to ring at `due` (in the past: at the next timers_next). */
void timer_set(struct timers *, struct timer *, time_us due);
void timer_take_out(struct timers *, struct timer *); /* one that is set */
static inline void timer_clear(struct timers *timers, struct timer *timer)
{
	if (timer_is_set(timer))
		timer_take_out(timers, timer);
}

/* One timer that was due by `now`, cleared; NULL when there is none. Call until NULL.
 * Timers due in the same tick ring in the order in which they were set. */
struct timer *timers_next(struct timers *, time_us now);

/* When to look again, not after the earliest timer rings (it may be earlier); 0 when no timer is set. */
time_us timers_deadline(const struct timers *);

#endif
