#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/stress_schedule.h"

static const struct stress_plan plan = { .sockets = 100,
	.burst = 20,
	.warm_up = 5,
	.waves = 2,
	.baseline = 3 * SECOND_US,
	.warm_for = SECOND_US,
	.ramp = 2 * SECOND_US,
	.hold = 4 * SECOND_US,
	.burst_for = SECOND_US,
	.drain = 2 * SECOND_US,
	.settle = 5 * SECOND_US };

static void a_run_is_a_warm_up_and_then_waves(void **state)
{
	static const enum stress_phase phases[] = { PHASE_BASELINE, PHASE_WARM_UP, PHASE_SETTLE, PHASE_RAMP, PHASE_HOLD,
		PHASE_BURST, PHASE_DRAIN, PHASE_SETTLE, PHASE_RAMP, PHASE_HOLD, PHASE_BURST, PHASE_DRAIN,
		PHASE_SETTLE };
	struct stress_schedule s;

	(void)state;
	schedule_make(&s, &plan);
	assert_int_equal(sizeof phases / sizeof phases[0], s.count);
	for (size_t i = 0; i < s.count; i++) {
		assert_int_equal(phases[i], s.steps[i].phase);
		assert_int_equal(i < 3 ? 0 : i < 8 ? 1 : 2, s.steps[i].wave);
		assert_int_equal(i ? s.steps[i - 1].ends : 0, s.steps[i].begins);
	}
	assert_int_equal((3 + 1 + 5 + 2 * (2 + 4 + 1 + 2 + 5)) * SECOND_US, s.ends);
	assert_null(schedule_at(&s, s.ends));
	assert_int_equal(PHASE_SETTLE, schedule_at(&s, s.ends - 1)->phase);
}

static void a_ramp_is_even_or_has_a_rate_or_steps(void **state)
{
	static const char *const bad[] = { "", "2", "0/s", "x/s", "2s/1", "2s/21", "2s/", "/5", "-1s", "25h", "5/s/5" };
	struct stress_plan p = plan;
	struct stress_schedule s = { 0 };

	(void)state;
	assert_true(ramp_read("50/s", &p));
	schedule_add_wave(&s, &p, 1, 200, 0);
	assert_int_equal(4 * SECOND_US, s.steps[0].ends);
	assert_int_equal(100, step_wanted(&s.steps[0], 2 * SECOND_US));
	assert_true(ramp_read("10s/4", &p));
	s = (struct stress_schedule){ 0 };
	schedule_add_wave(&s, &p, 1, 200, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(PHASE_RAMP, s.steps[i].phase);
		assert_int_equal(50 * (i + 1), step_wanted(&s.steps[i], s.steps[i].begins));
		assert_int_equal(50 * (i + 1), step_wanted(&s.steps[i], s.steps[i].ends - 1));
		assert_int_equal(s.steps[i].begins, step_due(&s.steps[i], 50 * (i + 1)));
	}
	assert_int_equal(10 * SECOND_US, s.steps[3].ends);
	assert_int_equal(PHASE_HOLD, s.steps[4].phase);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (ramp_read(bad[i], &p))
			fail_msg("%s", bad[i]);
	}
}

static void nobody_is_wanted_at_rest(void **state)
{
	struct stress_schedule s;

	(void)state;
	schedule_make(&s, &plan);
	for (time_us at = 0; at < s.ends; at += 100 * MILLISECOND_US) {
		const struct stress_step *step = schedule_at(&s, at);

		if (step->phase == PHASE_SETTLE || step->phase == PHASE_BASELINE)
			assert_int_equal(0, step_wanted(step, at));
		assert_true(step_wanted(step, at) <= 120);
	}
}

static void a_ramp_wants_its_sockets_evenly_and_a_late_one_was_due_all_the_same(void **state)
{
	const struct stress_step ramp = {
		.phase = PHASE_RAMP, .begins = 10 * SECOND_US, .ends = 12 * SECOND_US, .from = 0, .to = 100
	};

	(void)state;
	assert_int_equal(0, step_wanted(&ramp, 10 * SECOND_US));
	assert_int_equal(50, step_wanted(&ramp, 11 * SECOND_US));
	assert_int_equal(100, step_wanted(&ramp, 12 * SECOND_US));
	for (unsigned i = 1; i <= 100; i++) {
		time_us due = step_due(&ramp, i);

		assert_true(step_wanted(&ramp, due) >= i);
		assert_true(step_wanted(&ramp, due - 20 * MILLISECOND_US) < i);
	}
	assert_int_equal(
		ramp.begins, step_due(&(struct stress_step){ .begins = ramp.begins, .from = 100, .to = 100 }, 3));
}

static void the_longest_plan_has_room(void **state)
{
	struct stress_plan long_plan = plan;
	struct stress_schedule s;

	(void)state;
	long_plan.waves = STRESS_WAVES_MAX;
	long_plan.ramp_steps = RAMP_STEPS_MAX;
	schedule_make(&s, &long_plan);
	assert_int_equal(STRESS_STEPS_MAX, s.count);
	long_plan.waves = 1;
	long_plan.warm_up = long_plan.burst = 0;
	long_plan.ramp = 0;
	long_plan.ramp_steps = 0;
	schedule_make(&s, &long_plan);
	assert_int_equal(4, s.count); /* baseline, hold, drain, settle */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_a_warm_up_and_then_waves),
		cmocka_unit_test(a_ramp_is_even_or_has_a_rate_or_steps),
		cmocka_unit_test(nobody_is_wanted_at_rest),
		cmocka_unit_test(a_ramp_wants_its_sockets_evenly_and_a_late_one_was_due_all_the_same),
		cmocka_unit_test(the_longest_plan_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
