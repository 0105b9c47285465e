#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/histogram.h"
#include "base/rng.h"

static void every_value_lies_in_a_bucket_not_wider_than_an_eighth(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < 20000; i++) {
		time_us value = (time_us)(rng_next(&r) >> (31 + rng_below(&r, 33)));
		struct histogram h = { 0 };
		unsigned bucket = 0;

		histogram_add(&h, value);
		while (h.buckets[bucket] == 0)
			bucket++;
		assert_true(value <= histogram_bucket_bound(bucket) || bucket == HISTOGRAM_BUCKETS - 1);
		if (bucket == 0)
			continue;
		assert_true(value > histogram_bucket_bound(bucket - 1));
		if (bucket < HISTOGRAM_BUCKETS - 1)
			assert_true((histogram_bucket_bound(bucket) - value) * 8 <= value);
	}
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
		assert_true(histogram_bucket_bound(i) > histogram_bucket_bound(i - 1));
}

static int by_value(const void *a, const void *b)
{
	const time_us *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void a_quantile_is_right_within_an_eighth(void **state)
{
	static const unsigned asked[] = { 0, 1, 250, 500, 900, 990, 999, 1000 };
	static time_us values[4987];
	struct histogram h = { 0 };
	struct rng r;

	(void)state;
	rng_seed(&r, 2);
	for (int i = 0; i < 4987; i++) {
		values[i] = (time_us)(rng_next(&r) >> (34 + rng_below(&r, 30)));
		histogram_add(&h, values[i]);
	}
	qsort(values, 4987, sizeof values[0], by_value);
	for (unsigned i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		unsigned rank = (4987 * asked[i] + 999) / 1000;
		time_us is = values[rank ? rank - 1 : 0], told = histogram_quantile(&h, asked[i]);

		assert_true(told >= is);
		assert_true((told - is) * 8 <= is);
		assert_true(told <= h.max);
	}
	assert_true(histogram_quantile(&h, 1000) == values[4986]);
}

static void an_empty_histogram_says_zero(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	assert_int_equal(histogram_quantile(&h, 500), 0);
}

static void a_merge_is_as_if_all_were_added_to_one(void **state)
{
	struct histogram one = { 0 }, a = { 0 }, b = { 0 };
	struct rng r;

	(void)state;
	rng_seed(&r, 3);
	for (int i = 0; i < 1000; i++) {
		time_us value = (time_us)rng_below(&r, 1000000);

		histogram_add(&one, value);
		histogram_add(i % 3 ? &a : &b, value);
	}
	histogram_merge(&a, &b);
	assert_memory_equal(&a, &one, sizeof a);
}

static void what_no_clock_says_does_not_break_it(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	histogram_add(&h, -5);
	histogram_add(&h, INT64_MAX);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.buckets[0], 1);
	assert_int_equal(h.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_true(histogram_quantile(&h, 1000) == INT64_MAX);
	assert_int_equal(histogram_quantile(&h, 500), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_lies_in_a_bucket_not_wider_than_an_eighth),
		cmocka_unit_test(a_quantile_is_right_within_an_eighth),
		cmocka_unit_test(an_empty_histogram_says_zero),
		cmocka_unit_test(a_merge_is_as_if_all_were_added_to_one),
		cmocka_unit_test(what_no_clock_says_does_not_break_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
