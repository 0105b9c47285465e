#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/stress_timeline.h"

static void sample(struct timeline *t, time_us at, enum stress_phase phase, unsigned wave, int sessions, int clients)
{
	struct stress_sample s = { .at = at, .phase = phase, .wave = wave, .reading = stress_reading_unknown };

	s.reading.sessions = sessions;
	s.reading.clients = clients;
	timeline_add(t, &s);
}

static void a_plateau_is_the_later_half_of_a_rest(void **state)
{
	static const int held[] = { 60, 50, 30, 12, 12, 13, 12, 12 };
	struct timeline t = { 0 };
	struct plateau p;

	(void)state;
	sample(&t, 0, PHASE_HOLD, 1, 99, UNKNOWN);
	for (int i = 0; i < 8; i++)
		sample(&t, i, PHASE_SETTLE, 1, held[i], UNKNOWN);
	assert_true(timeline_plateau(&t, 1, &p));
	assert_int_equal(12, p.held);
	assert_int_equal(0, p.spread);
	assert_int_equal(4, p.samples);
	assert_false(timeline_plateau(&t, 2, &p));
	assert_int_equal(99, timeline_peak(&t));
	timeline_fini(&t);
}

static void without_a_warm_up_the_baseline_is_what_was_before(void **state)
{
	struct timeline t = { 0 };
	struct plateau p;

	(void)state;
	assert_false(timeline_plateau(&t, 0, &p));
	sample(&t, 0, PHASE_BASELINE, 0, 3, UNKNOWN);
	assert_true(timeline_plateau(&t, 0, &p));
	assert_int_equal(3, p.held);
	sample(&t, 1, PHASE_SETTLE, 0, 7, UNKNOWN);
	assert_true(timeline_plateau(&t, 0, &p));
	assert_int_equal(7, p.held);
	timeline_fini(&t);
}

static void a_hole_is_not_a_zero(void **state)
{
	struct timeline t = { 0 };
	struct plateau p;

	(void)state;
	for (int i = 0; i < 6; i++)
		sample(&t, i, PHASE_SETTLE, 1, i == 4 ? UNKNOWN : 9, UNKNOWN);
	assert_true(timeline_plateau(&t, 1, &p));
	assert_int_equal(9, p.held);
	assert_int_equal(0, p.spread);
	timeline_fini(&t);
	for (int i = 0; i < 6; i++)
		sample(&t, i, PHASE_SETTLE, 1, UNKNOWN, UNKNOWN);
	assert_false(timeline_plateau(&t, 1, &p));
	assert_int_equal(UNKNOWN, timeline_peak(&t));
	timeline_fini(&t);
}

static void with_a_pooler_its_clients_are_what_the_application_holds(void **state)
{
	struct timeline t = { 0 };
	struct plateau p;

	(void)state;
	sample(&t, 0, PHASE_SETTLE, 1, 5, 40);
	assert_true(timeline_plateau(&t, 1, &p));
	assert_int_equal(40, p.held);
	timeline_fini(&t);
}

static void a_long_run_keeps_its_rests_and_half_of_the_others(void **state)
{
	struct timeline t = { 0 };
	size_t rests = 0;

	(void)state;
	for (int i = 0; i < 3 * TIMELINE_MAX; i++)
		sample(&t, i, i % 10 ? PHASE_HOLD : PHASE_SETTLE, 1, 1, UNKNOWN);
	assert_true(t.count <= TIMELINE_MAX);
	for (size_t i = 0; i < t.count; i++) {
		rests += t.samples[i].phase == PHASE_SETTLE;
		assert_true(i == 0 || t.samples[i].at > t.samples[i - 1].at);
	}
	assert_int_equal(3 * TIMELINE_MAX / 10, rests);
	for (int i = 0; i < 2 * TIMELINE_MAX; i++)
		sample(&t, 4 * TIMELINE_MAX + i, PHASE_SETTLE, 2, 1, UNKNOWN);
	assert_int_equal(TIMELINE_MAX, t.count);
	timeline_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plateau_is_the_later_half_of_a_rest),
		cmocka_unit_test(without_a_warm_up_the_baseline_is_what_was_before),
		cmocka_unit_test(a_hole_is_not_a_zero),
		cmocka_unit_test(with_a_pooler_its_clients_are_what_the_application_holds),
		cmocka_unit_test(a_long_run_keeps_its_rests_and_half_of_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
