#include "base/timers.h"

#include "base/check.h"

/* A hierarchical wheel. Time is cut into ticks of a millisecond; a tick's number is read as nine
 * digits of six bits. A timer lies on the level of the highest digit in which its tick differs from
 * the present one, in the slot of that digit:
 *
 *   level 2    . . . . C . .     each slot 4096 ticks     C waits here until level 2 comes to it,
 *   level 1    . . B . . . .     each slot 64 ticks       then falls to level 1 or 0
 *   level 0    . A . . . . .     each slot one tick
 *                ^ what lies behind the present digit is always empty
 *
 *  - Every timer in a slot of level n agrees with the present tick in all digits above n, and its
 *    digit n is larger. So the lowest level that holds anything holds what comes first, and to find
 *    it takes one look at a bit map per level.
 *  - A slot falls when time enters it. At that moment the levels below are empty, so the timers that
 *    fall keep their order before those that are set later: timers of one tick ring in the order in
 *    which they were set, wherever they waited.
 *  - `occupied` has a bit set exactly where a slot is not empty; clearing the last timer clears the
 *    bit, so a deadline that was called off wakes nobody.
 *
 * A timer's tick is its deadline rounded up and the present tick is the present rounded down: it
 * never rings early, and late by less than one tick. */

#define TICK       MILLISECOND_US
#define DIGIT_BITS 6
#define DIGIT_MASK (TIMER_SLOTS - 1)

_Static_assert(TIMER_SLOTS == 1 << DIGIT_BITS, "a digit of the tick names a slot");
_Static_assert(TIMER_LEVELS *DIGIT_BITS >= 54, "the largest time_us has 54 bits of milliseconds");

static uint64_t tick_of_deadline(time_us due)
{
	return due <= 0 ? 0 : (uint64_t)(due / TICK) + (due % TICK != 0);
}

void timers_init(struct timers *t, time_us now)
{
	check(now >= 0);
	t->now = now;
	t->tick = (uint64_t)(now / TICK);
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		t->occupied[level] = 0;
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
			link_init(&t->wheel[level][slot]);
	}
	link_init(&t->due);
}

void timer_init(struct timer *timer, uint32_t kind)
{
	link_init(&timer->link);
	timer->due = 0;
	timer->kind = kind;
}

static unsigned digit(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (level * DIGIT_BITS)) & DIGIT_MASK;
}

/* Link an unlinked timer where its deadline belongs. */
static void place(struct timers *t, struct timer *timer)
{
	uint64_t tick = tick_of_deadline(timer->due);
	unsigned level, slot;

	if (tick <= t->tick) {
		link_last(&t->due, &timer->link);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(tick ^ t->tick)) / DIGIT_BITS;
	slot = digit(tick, level);
	link_last(&t->wheel[level][slot], &timer->link);
	t->occupied[level] |= UINT64_C(1) << slot;
}

void timer_set(struct timers *t, struct timer *timer, time_us due)
{
	timer_clear(t, timer);
	timer->due = due;
	place(t, timer);
}

void timer_take_out(struct timers *t, struct timer *timer)
{
	const struct link *first = &t->wheel[0][0], *last = &t->wheel[TIMER_LEVELS - 1][TIMER_SLOTS - 1];
	struct link *head = timer->link.prev;

	link_remove(&timer->link);
	/* If that left its neighbour alone, the neighbour is a slot's head: find whose. */
	if (link_empty(head) && head >= first && head <= last) {
		size_t at = (size_t)(head - first);

		t->occupied[at / TIMER_SLOTS] &= ~(UINT64_C(1) << at % TIMER_SLOTS);
	}
}

/* The first slot that holds anything, and the tick at which it begins. False: the wheel is empty. */
static bool first_slot(const struct timers *t, unsigned *level, unsigned *slot, uint64_t *tick)
{
	for (unsigned i = 0; i < TIMER_LEVELS; i++) {
		unsigned shift = i * DIGIT_BITS;

		if (t->occupied[i] == 0)
			continue;
		*level = i;
		*slot = (unsigned)__builtin_ctzll(t->occupied[i]);
		check(*slot > digit(t->tick, i));
		*tick = ((t->tick >> shift & ~(uint64_t)DIGIT_MASK) | *slot) << shift;
		return true;
	}
	return false;
}

/* Time enters this slot: all its timers move down, those of this very tick to `due`. */
static void fall(struct timers *t, unsigned level, unsigned slot)
{
	struct link *head = &t->wheel[level][slot];

	t->occupied[level] &= ~(UINT64_C(1) << slot);
	while (!link_empty(head)) {
		struct timer *timer = link_owner(head->next, struct timer, link);

		link_remove(&timer->link);
		place(t, timer);
	}
}

struct timer *timers_next(struct timers *t, time_us now)
{
	uint64_t target, tick;
	unsigned level, slot;
	struct timer *timer;

	if (now > t->now)
		t->now = now;
	target = (uint64_t)(t->now / TICK);
	/* One tick at a time: what a ringing timer sets for an earlier tick comes before later ones. */
	while (link_empty(&t->due) && first_slot(t, &level, &slot, &tick) && tick <= target) {
		t->tick = tick;
		fall(t, level, slot);
	}
	if (link_empty(&t->due)) {
		t->tick = target;
		return NULL;
	}
	timer = link_owner(t->due.next, struct timer, link);
	link_remove(&timer->link);
	return timer;
}

time_us timers_deadline(const struct timers *t)
{
	unsigned level, slot;
	uint64_t tick;

	if (!link_empty(&t->due))
		return t->now > 0 ? t->now : 1;
	if (!first_slot(t, &level, &slot, &tick))
		return 0;
	/* The last ticks that time_us can tell begin or round up beyond its end. */
	return tick > (uint64_t)(INT64_MAX / TICK) ? INT64_MAX : (time_us)tick * TICK;
}
