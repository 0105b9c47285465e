#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/spread.h"

static void quantiles_are_told_within_a_factor_of_two(void **state)
{
	struct spread spread = { 0 };

	(void)state;
	assert_int_equal(spread_quantile(&spread, 500), 0);
	for (int i = 0; i < 90; i++)
		spread_add(&spread, 1000);
	for (int i = 0; i < 10; i++)
		spread_add(&spread, 60 * SECOND_US);
	assert_int_equal(spread_count(&spread), 100);
	assert_in_range(spread_quantile(&spread, 500), 1000, 2000);
	assert_in_range(spread_quantile(&spread, 990), 60 * SECOND_US, 120 * SECOND_US);
}

static void extremes_have_their_place(void **state)
{
	struct spread spread = { 0 };

	(void)state;
	spread_add(&spread, -5);
	spread_add(&spread, 0);
	spread_add(&spread, INT64_MAX);
	assert_int_equal(spread.buckets[0], 2);
	assert_int_equal(spread.buckets[SPREAD_BUCKETS - 1], 1);
}

static void what_came_since_is_told_apart(void **state)
{
	struct spread now = { 0 }, then, since;

	(void)state;
	spread_add(&now, 10);
	then = now;
	spread_add(&now, 10);
	spread_add(&now, 1000);
	since = spread_since(&now, &then);
	assert_int_equal(spread_count(&since), 2);
	assert_in_range(spread_quantile(&since, 500), 10, 20);
}

static void merging_adds(void **state)
{
	struct spread a = { 0 }, b = { 0 };

	(void)state;
	spread_add(&a, 10);
	spread_add(&b, 10);
	spread_add(&b, 1000);
	spread_merge(&a, &b);
	assert_int_equal(spread_count(&a), 3);
	assert_in_range(spread_quantile(&a, 600), 10, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_told_within_a_factor_of_two),
		cmocka_unit_test(extremes_have_their_place),
		cmocka_unit_test(what_came_since_is_told_apart),
		cmocka_unit_test(merging_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
