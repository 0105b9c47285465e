#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tool/stress_verdict.h"

/* A run whose rests held these; the first one before the waves. */
static struct stress_verdict verdict_of(const int *held, unsigned count, const struct stress_plan *plan,
	const struct stress_left *left, const char *pooler)
{
	struct timeline t = { 0 };
	struct stress_verdict v;
	struct stress_evidence e = { .plan = plan,
		.timeline = &t,
		.opened = 100 * (count - 1),
		.settled = count - 1,
		.left = left,
		.pooler_pattern = pooler };

	for (unsigned i = 0; i < count; i++) {
		for (int k = 0; k < 6; k++) {
			struct stress_sample s = { .phase = PHASE_SETTLE, .wave = i, .reading = stress_reading_unknown };

			s.reading.sessions = held[i] + (k < 2 ? 10 : 0); /* some are still being closed at first */
			timeline_add(&t, &s);
		}
	}
	verdict_reach(&v, &e);
	timeline_fini(&t);
	return v;
}

static const struct stress_plan plan = { .waves = 5, .postgres = "x" };

#define VERDICT(...) \
	verdict_of((const int[]){ __VA_ARGS__ }, sizeof(const int[]){ __VA_ARGS__ } / sizeof(int), &plan, NULL, "")

static void each_wave_leaving_as_many_is_a_leak(void **state)
{
	struct stress_verdict v = VERDICT(2, 42, 82, 122);

	(void)state;
	assert_int_equal(VERDICT_GROWING, v.kind);
	assert_int_equal(120, v.leaked);
	assert_int_equal(40, v.growth);
	assert_true(v.per_100 > 39.9 && v.per_100 < 40.1);
	assert_true(v.per_100_low < 40 && v.per_100_high > 40 && v.per_100_low > 30);
	assert_true(v.confidence >= 95);
}

static void a_leak_need_not_be_even(void **state)
{
	struct stress_verdict v = VERDICT(0, 9, 17, 31, 38, 52);

	(void)state;
	assert_int_equal(VERDICT_GROWING, v.kind);
	assert_true(v.per_100_low < v.per_100 && v.per_100 < v.per_100_high);
	assert_true(v.confidence >= 90);
}

static void a_plateau_that_does_not_grow_is_kept(void **state)
{
	struct stress_verdict v = VERDICT(5, 64, 64, 64);

	(void)state;
	assert_int_equal(VERDICT_KEPT, v.kind);
	assert_int_equal(59, v.leaked);
	assert_true(v.confidence >= 95);
	v = VERDICT(0, 40, 54, 58); /* a staircase that comes to its end */
	assert_int_equal(VERDICT_KEPT, v.kind);
	v = VERDICT(0, 12, 8, 15); /* garbage collection: a saw-tooth */
	assert_int_equal(VERDICT_KEPT, v.kind);
}

static void a_pool_that_the_warm_up_has_filled_is_no_leak(void **state)
{
	struct stress_verdict v = VERDICT(4, 4, 4, 4);

	(void)state;
	assert_int_equal(VERDICT_NONE, v.kind);
	assert_int_equal(0, v.leaked);
	assert_true(v.confidence >= 90);
	assert_null(v.pattern);
	v = VERDICT(4, 5, 4, 4); /* one that a passer-by left, once */
	assert_int_equal(VERDICT_NONE, v.kind);
	v = VERDICT(6, 2, 1, 2); /* fewer */
	assert_int_equal(VERDICT_NONE, v.kind);
	assert_int_equal(0, v.leaked);
}

static void what_it_may_keep_is_not_held_against_it(void **state)
{
	struct stress_plan allowed = plan;
	struct stress_verdict v;

	(void)state;
	allowed.may_keep = 20;
	v = verdict_of((const int[]){ 0, 20, 20, 20 }, 4, &allowed, NULL, "");
	assert_int_equal(VERDICT_NONE, v.kind);
	v = verdict_of((const int[]){ 0, 23, 23, 23 }, 4, &allowed, NULL, "");
	assert_int_equal(VERDICT_KEPT, v.kind);
	assert_int_equal(3, v.leaked);
}

static void one_wave_proves_little_and_none_nothing(void **state)
{
	struct stress_verdict v = VERDICT(0, 40);

	(void)state;
	assert_int_equal(VERDICT_KEPT, v.kind);
	assert_int_equal(50, v.confidence);
	v = VERDICT(0, 40, 80); /* one step is no series of steps */
	assert_int_equal(VERDICT_KEPT, v.kind);
	assert_int_equal(80, v.leaked);
	v = VERDICT(3);
	assert_int_equal(VERDICT_UNKNOWN, v.kind);
}

static void students_t_is_the_one_of_the_tables(void **state)
{
	/* One-sided 95 %: Abramowitz and Stegun, table 26.10. */
	static const struct {
		unsigned freedom;
		double t;
	} rows[] = { { 1, 6.314 }, { 2, 2.920 }, { 3, 2.353 }, { 4, 2.132 }, { 7, 1.895 }, { 10, 1.812 },
		{ 49, 1.677 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned count = rows[i].freedom + 1;
		double chance = chance_above_zero(rows[i].t * 10 / sqrt(count), 10, count);

		assert_true(chance > 0.9495 && chance < 0.9505);
		assert_true(chance_above_zero(-rows[i].t * 10 / sqrt(count), 10, count) < 0.0505);
	}
	assert_true(fabs(chance_above_zero(0, 1, 5) - 0.5) < 1e-9);
	assert_true(chance_above_zero(1, 0, 3) < 0.97); /* identical waves are not infinitely sure */
}

static void expect_pattern(
	const char *number, const struct stress_left *left, const struct stress_plan *of, const char *pooler)
{
	struct stress_verdict v = verdict_of((const int[]){ 0, 20, 40, 60 }, 4, of, left, pooler);

	assert_int_equal(VERDICT_GROWING, v.kind);
	if (!number) {
		assert_null(v.pattern);
		return;
	}
	assert_non_null(v.pattern);
	assert_string_equal(number, v.pattern->number);
	assert_true(v.why[0] != 0);
}

static void a_pattern_is_told_by_what_is_left(void **state)
{
	struct stress_plan http = plan, abuse = plan;

	(void)state;
	http.target = TARGET_HTTP;
	abuse.abuse[ABUSE_RESET] = 10;
	expect_pattern("L3", &(struct stress_left){ .count = 60, .idle = 60, .veterans = 40, .reused = 38 }, &plan, "");
	expect_pattern("L5", &(struct stress_left){ .count = 60, .idle = 60, .veterans = 40, .reused = 1 }, &plan, "");
	expect_pattern("L1", &(struct stress_left){ .count = 60, .idle = 60, .veterans = 40 }, &http, "");
	expect_pattern("L13", &(struct stress_left){ .count = 60, .in_transaction = 60, .veterans = 40 }, &plan, "");
	expect_pattern("L11", &(struct stress_left){ .count = 60, .in_transaction = 60, .veterans = 40 }, &abuse, "");
	expect_pattern("L24", &(struct stress_left){ .count = 60, .active = 55, .idle = 5, .veterans = 40 }, &plan, "");
	expect_pattern(
		"L15", &(struct stress_left){ .count = 60, .idle = 60, .never_used = 60, .veterans = 40 }, &plan, "");
	expect_pattern(
		"L22", &(struct stress_left){ .count = 60, .idle = 60, .listening = 60, .veterans = 40 }, &plan, "");
	expect_pattern("L6", NULL, &plan, "L6");
	expect_pattern(NULL, NULL, &plan, "");
	expect_pattern(NULL, NULL, &plan, "L999");
	expect_pattern(NULL, &(struct stress_left){ .count = 60, .idle = 30, .in_transaction = 30, .veterans = 40 },
		&plan, "");
}

static void sessions_of_before_are_not_what_the_waves_left(void **state)
{
	struct stress_plan two = { .waves = 2,
		.sockets = 1,
		.baseline = SECOND_US,
		.hold = SECOND_US,
		.drain = SECOND_US,
		.settle = SECOND_US };
	struct stress_session sessions[] = { { .born = -5 * SECOND_US, .used = 4 * SECOND_US },
		{ .born = SECOND_US, .used = 2 * SECOND_US },
		{ .born = 2 * SECOND_US, .used = 5 * SECOND_US, .statement = "SELECT ?" },
		{ .born = 5 * SECOND_US, .used = 5 * SECOND_US } };
	struct stress_schedule s;
	struct stress_left left;

	(void)state;
	schedule_make(&s, &two); /* baseline 0-1; wave 1: 1-4; wave 2: 4-7 */
	left = sessions_left(sessions, 4, &s);
	assert_int_equal(3, left.count);
	assert_int_equal(2, left.veterans);
	assert_int_equal(1, left.reused);
	assert_int_equal(3, left.idle);
}

static void sessions_that_were_not_counted_are_no_sign_that_nothing_leaks(void **state)
{
	struct timeline t = { 0 };
	struct stress_evidence e = {
		.plan = &plan, .timeline = &t, .opened = 10, .settled = 1, .pooler_pattern = "", .blind = true
	};
	struct stress_verdict v;
	char words[400];

	(void)state;
	for (unsigned wave = 0; wave < 2; wave++) {
		struct stress_sample s = { .phase = PHASE_SETTLE, .wave = wave, .reading = stress_reading_unknown };

		s.reading.sessions = 0;
		timeline_add(&t, &s);
	}
	verdict_reach(&v, &e);
	assert_int_equal(v.kind, VERDICT_UNKNOWN);
	verdict_words(&v, &plan, words, sizeof words);
	assert_non_null(strstr(words, "--role"));
	e.blind = false;
	verdict_reach(&v, &e);
	assert_int_equal(v.kind, VERDICT_NONE);
	verdict_words(&v, &plan, words, sizeof words);
	assert_string_equal(words, "No leak: after 1 wave 0 connections are held, as many as before (0).");
	v = (struct stress_verdict){ .kind = VERDICT_KEPT, .leaked = 1, .waves = 1 };
	verdict_words(&v, &plan, words, sizeof words);
	assert_non_null(strstr(words, "1 connection is kept that"));
	timeline_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_that_were_not_counted_are_no_sign_that_nothing_leaks),
		cmocka_unit_test(each_wave_leaving_as_many_is_a_leak),
		cmocka_unit_test(a_leak_need_not_be_even),
		cmocka_unit_test(a_plateau_that_does_not_grow_is_kept),
		cmocka_unit_test(a_pool_that_the_warm_up_has_filled_is_no_leak),
		cmocka_unit_test(what_it_may_keep_is_not_held_against_it),
		cmocka_unit_test(one_wave_proves_little_and_none_nothing),
		cmocka_unit_test(students_t_is_the_one_of_the_tables),
		cmocka_unit_test(a_pattern_is_told_by_what_is_left),
		cmocka_unit_test(sessions_of_before_are_not_what_the_waves_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
