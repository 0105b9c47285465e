#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "base/timers.h"

/* The wheel beside a model that keeps an array and looks at all of it. */

#define MANY 300

static struct timer timers[MANY];

static struct model {
	bool set;
	uint64_t tick, order;
} model[MANY];

static uint64_t tick_of(time_us due)
{
	return due <= 0 ? 0 : (uint64_t)(due / 1000) + (due % 1000 != 0);
}

static int model_first(void)
{
	int first = -1;

	for (int i = 0; i < MANY; i++) {
		if (!model[i].set)
			continue;
		if (first < 0 || model[i].tick < model[first].tick ||
			(model[i].tick == model[first].tick && model[i].order < model[first].order))
			first = i;
	}
	return first;
}

/* From microseconds to centuries, each scale as likely as the other. */
static time_us some_time(struct rng *r, unsigned bits)
{
	return (time_us)(rng_next(r) >> (64 - 1 - rng_below(r, bits)));
}

static void drain(struct timers *t, time_us now)
{
	uint64_t tick = (uint64_t)(now / 1000);

	for (;;) {
		struct timer *timer = timers_next(t, now);
		int first = model_first();

		if (timer == NULL) {
			assert_true(first < 0 || model[first].tick > tick);
			return;
		}
		assert_true(first >= 0);
		assert_true(model[first].tick <= tick);
		assert_ptr_equal(timer, &timers[first]);
		assert_false(timer_is_set(timer));
		assert_true(timer->due <= now);
		model[first].set = false;
	}
}

static void check_deadline(struct timers *t, time_us now)
{
	time_us deadline = timers_deadline(t);
	int first = model_first();

	if (first < 0) {
		assert_int_equal(deadline, 0);
		return;
	}
	assert_true(deadline > 0);
	assert_true((uint64_t)deadline <= model[first].tick * 1000 || model[first].tick * 1000 <= (uint64_t)now);
}

static void story(uint64_t seed, time_us now, unsigned bits, int steps)
{
	uint64_t order = 0;
	struct timers t;
	struct rng r;

	rng_seed(&r, seed);
	timers_init(&t, now);
	for (int i = 0; i < MANY; i++) {
		timer_init(&timers[i], (uint32_t)i);
		model[i].set = false;
	}
	for (int step = 0; step < steps; step++) {
		size_t i = rng_below(&r, MANY);

		if (rng_chance(&r, 700)) {
			time_us due = now + some_time(&r, bits);

			if (rng_chance(&r, 50))
				due = now - (time_us)rng_below(&r, 5000);
			if (rng_chance(&r, 300))
				due = timers[rng_below(&r, MANY)].due; /* the same tick as another */
			timer_set(&t, &timers[i], due);
			model[i].set = true;
			model[i].order = order++;
			model[i].tick = tick_of(due);
			if (model[i].tick < (uint64_t)(now / 1000))
				model[i].tick = (uint64_t)(now / 1000);
		} else if (rng_chance(&r, 400)) {
			timer_clear(&t, &timers[i]);
			model[i].set = false;
		} else {
			now += rng_chance(&r, 50) ? some_time(&r, bits) : some_time(&r, bits < 24 ? bits : 24);
			drain(&t, now);
		}
		assert_int_equal(timer_is_set(&timers[i]), model[i].set);
		check_deadline(&t, now);
	}
	/* Whoever only wakes at the deadlines sees everything ring, and in a bounded number of wakes. */
	for (int wakes = 0; timers_deadline(&t) != 0; wakes++) {
		time_us deadline = timers_deadline(&t);

		assert_true(wakes < MANY * TIMER_LEVELS);
		if (deadline > now)
			now = deadline;
		drain(&t, now);
	}
	assert_int_equal(model_first(), -1);
	for (int level = 0; level < TIMER_LEVELS; level++)
		assert_int_equal(t.occupied[level], 0);
}

static void timers_ring_as_a_naive_model_says(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++)
		story(seed, (time_us)(seed % 3 * 123456789), 12 + seed % 42, 1500);
}

static void it_does_not_matter_when_time_began(void **state)
{
	(void)state;
	/* Just before the wheel's digits carry: 2^36, 2^42 ticks; and far away. */
	story(1, ((INT64_C(1) << 36) - 3) * 1000, 30, 2000);
	story(2, ((INT64_C(1) << 42) - 1) * 1000 + 999, 30, 2000);
	story(3, INT64_C(1) << 61, 50, 2000);
}

static void a_timer_is_late_by_less_than_a_tick_and_never_early(void **state)
{
	struct timer timer;
	struct timers t;
	struct rng r;

	(void)state;
	rng_seed(&r, 5);
	timer_init(&timer, 1);
	for (int i = 0; i < 2000; i++) {
		time_us start = (time_us)rng_below(&r, 100000000), due = start + 1 + (time_us)rng_below(&r, 10000000);

		timers_init(&t, start);
		timer_set(&t, &timer, due);
		assert_null(timers_next(&t, due - 1));
		assert_ptr_equal(timers_next(&t, due + 999), &timer);
	}
}

static void a_timer_in_the_past_rings_at_the_next_look(void **state)
{
	struct timer timer;
	struct timers t;

	(void)state;
	timers_init(&t, 5000000);
	timer_init(&timer, 1);
	timer_set(&t, &timer, 17);
	assert_int_equal(timers_deadline(&t), 5000000);
	assert_ptr_equal(timers_next(&t, 5000000), &timer);
	assert_null(timers_next(&t, 5000000));
	timer_set(&t, &timer, -17);
	assert_ptr_equal(timers_next(&t, 5000000), &timer);
}

static void the_farthest_deadline_has_a_place(void **state)
{
	struct timer timer;
	struct timers t;

	(void)state;
	timers_init(&t, 1);
	timer_init(&timer, 1);
	timer_set(&t, &timer, INT64_MAX);
	for (int i = 0; i < 2 * TIMER_LEVELS && timers_deadline(&t) < INT64_MAX; i++)
		assert_null(timers_next(&t, timers_deadline(&t)));
	assert_int_equal(timers_deadline(&t), INT64_MAX);
	timer_clear(&t, &timer);
	assert_int_equal(timers_deadline(&t), 0);
}

static void a_cleared_timer_wakes_nobody(void **state)
{
	struct timer a, b;
	struct timers t;

	(void)state;
	timers_init(&t, 0);
	timer_init(&a, 1);
	timer_init(&b, 2);
	timer_clear(&t, &a);
	timer_set(&t, &a, 10000);
	timer_set(&t, &b, 10000);
	timer_clear(&t, &a);
	assert_int_equal(timers_deadline(&t), 10000);
	timer_clear(&t, &b);
	assert_int_equal(timers_deadline(&t), 0);
	timer_set(&t, &a, 0);
	timer_clear(&t, &a);
	assert_null(timers_next(&t, 20000));
}

static void what_is_set_while_ringing_keeps_the_order_of_time(void **state)
{
	struct timer a, b, c;
	struct timers t;

	(void)state;
	timers_init(&t, 0);
	timer_init(&a, 1);
	timer_init(&b, 2);
	timer_init(&c, 3);
	timer_set(&t, &a, 10000);
	timer_set(&t, &b, 20000);
	assert_ptr_equal(timers_next(&t, 30000), &a);
	timer_set(&t, &c, 15000);
	assert_ptr_equal(timers_next(&t, 30000), &c);
	assert_ptr_equal(timers_next(&t, 30000), &b);
	assert_null(timers_next(&t, 30000));
}

static void what_rings_may_set_and_clear_others(void **state)
{
	unsigned rung = 0;
	struct timers t;
	struct rng r;
	time_us now = 0;

	(void)state;
	rng_seed(&r, 11);
	timers_init(&t, now);
	for (int i = 0; i < MANY; i++) {
		timer_init(&timers[i], 0);
		timer_set(&t, &timers[i], (time_us)rng_below(&r, 1000000));
	}
	for (int step = 0; step < 3000; step++) {
		struct timer *timer;
		int turns = 0;

		now += (time_us)rng_below(&r, 5000);
		while ((timer = timers_next(&t, now)) != NULL) {
			struct timer *other = &timers[rng_below(&r, MANY)];

			assert_true(timer->due <= now);
			rung++;
			if (++turns < 50) /* else the past could be set forever */
				timer_set(&t, timer, now - 3000 + (time_us)rng_below(&r, 300000));
			if (rng_chance(&r, 200))
				timer_clear(&t, other);
			else if (rng_chance(&r, 200))
				timer_set(&t, other, now + 1 + (time_us)rng_below(&r, 300000));
		}
		for (int i = 0; i < MANY; i++)
			assert_true(!timer_is_set(&timers[i]) || timers[i].due > now - 1000);
	}
	assert_true(rung > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_ring_as_a_naive_model_says),
		cmocka_unit_test(it_does_not_matter_when_time_began),
		cmocka_unit_test(a_timer_is_late_by_less_than_a_tick_and_never_early),
		cmocka_unit_test(a_timer_in_the_past_rings_at_the_next_look),
		cmocka_unit_test(the_farthest_deadline_has_a_place),
		cmocka_unit_test(a_cleared_timer_wakes_nobody),
		cmocka_unit_test(what_is_set_while_ringing_keeps_the_order_of_time),
		cmocka_unit_test(what_rings_may_set_and_clear_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
