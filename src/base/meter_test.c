#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/meter.h"

static void a_value_is_counted_where_it_belongs(void **state)
{
	struct meter meter = { 0 };

	(void)state;
	for (unsigned i = 0; i < METER_BUCKETS - 1; i++) {
		uint64_t here = meter.buckets[i], next = meter.buckets[i + 1];

		meter_add(&meter, meter_bound(i));
		assert_int_equal(meter.buckets[i], here + 1);
		meter_add(&meter, meter_bound(i) + 1);
		assert_int_equal(meter.buckets[i + 1], next + 1);
	}
	assert_int_equal(meter_bound(METER_BUCKETS - 1), 0);
	assert_int_equal(meter_count(&meter), 2 * (METER_BUCKETS - 1));
}

static void a_value_of_any_length_is_counted_in_the_first_bucket_that_holds_it(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 63; bit++) {
		for (int beside = -1; beside <= 1; beside++) {
			struct meter meter = { 0 };
			time_us value = (INT64_C(1) << bit) + beside;
			unsigned bucket = 0;

			while (bucket < METER_BUCKETS - 1 && value > meter_bound(bucket))
				bucket++;
			meter_add(&meter, value);
			assert_int_equal(meter.buckets[bucket], 1);
		}
	}
}

static void bounds_grow(void **state)
{
	(void)state;
	for (unsigned i = 1; i < METER_BUCKETS - 1; i++)
		assert_true(meter_bound(i) > meter_bound(i - 1));
}

static void what_is_below_zero_is_zero(void **state)
{
	struct meter meter = { 0 };

	(void)state;
	meter_add(&meter, -5);
	assert_int_equal(meter.sum, 0);
	assert_int_equal(meter.buckets[0], 1);
}

static void a_difference_has_what_was_added_since(void **state)
{
	struct meter before = { 0 }, now, since;

	(void)state;
	meter_add(&before, 50);
	now = before;
	meter_add(&now, 2000);
	meter_add(&now, 900 * SECOND_US);
	since = meter_since(&now, &before);
	assert_int_equal(meter_count(&since), 2);
	assert_int_equal(since.sum, 2000 + 900 * SECOND_US);
	meter_merge(&since, &before);
	assert_memory_equal(&since, &now, sizeof now);
}

static void a_quantile_is_told_by_its_bucket(void **state)
{
	struct meter meter = { 0 };

	(void)state;
	assert_int_equal(meter_quantile(&meter, 990), 0);
	for (int i = 0; i < 99; i++)
		meter_add(&meter, 800);
	meter_add(&meter, 20000);
	assert_int_equal(meter_quantile(&meter, 0), 1000);
	assert_int_equal(meter_quantile(&meter, 500), 1000);
	assert_int_equal(meter_quantile(&meter, 990), 1000);
	assert_int_equal(meter_quantile(&meter, 991), 25000);
	meter_add(&meter, 900 * SECOND_US);
	assert_int_equal(meter_quantile(&meter, 1000), 300 * SECOND_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_counted_where_it_belongs),
		cmocka_unit_test(a_value_of_any_length_is_counted_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(bounds_grow),
		cmocka_unit_test(what_is_below_zero_is_zero),
		cmocka_unit_test(a_difference_has_what_was_added_since),
		cmocka_unit_test(a_quantile_is_told_by_its_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
