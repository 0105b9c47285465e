/* What is remembered of an origin, and how its figures move. */
#include "base/rng.h"
#include "core/leak_helper_test.h"

static void a_slope_is_not_moved_by_odd_samples(void **state)
{
	struct sample samples[HISTORY_LENGTH];
	struct trend trend;

	(void)state;
	for (unsigned i = 0; i < HISTORY_LENGTH; i++)
		samples[i] = (struct sample){ .at = i * rules.period, .unused = i % 6 == 3 ? 5000 : 10 * i };
	trend = history_trend(samples, HISTORY_LENGTH, sample_unused);
	assert_true(trend.slope > 1.9 && trend.slope < 2.1);
	assert_true(trend.robust);
	for (unsigned i = 0; i < HISTORY_LENGTH; i++)
		samples[i].unused = i % 2 ? 100 : 50;
	assert_false(history_trend(samples, HISTORY_LENGTH, sample_unused).robust);
	assert_false(history_trend(samples, 1, sample_unused).robust);
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void the_slope_is_the_median_of_all_pairs(void **state)
{
	struct sample samples[HISTORY_LENGTH];
	double slopes[HISTORY_LENGTH * HISTORY_LENGTH];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (unsigned round = 0; round < 1000; round++) {
		unsigned count = 2 + (unsigned)rng_below(&rng, HISTORY_LENGTH - 1), n = 0;

		for (unsigned i = 0; i < count; i++)
			samples[i] = (struct sample){ .at = i * SECOND_US,
				.unread = (uint32_t)rng_below(&rng, 1 + round) };
		for (unsigned i = 0; i < count; i++)
			for (unsigned j = i + 1; j < count; j++)
				slopes[n++] = ((double)samples[j].unread - (double)samples[i].unread) / (double)(j - i);
		qsort(slopes, n, sizeof(*slopes), compare_doubles);
		assert_true(history_trend(samples, count, sample_unread).slope == slopes[n / 2]);
	}
}

static void history_reaches_back_for_hours_and_ends_now(void **state)
{
	struct history *history = calloc(1, sizeof(*history));
	struct sample tail[HISTORY_LENGTH];

	(void)state;
	assert_int_equal(history_tail(history, 0, 10, tail), 0);
	assert_null(history_before(history, SECOND_US));
	for (unsigned i = 0; i < 6000; i++) {
		history_add(history, &(struct sample){ .at = i * rules.period, .logins = i });
		for (unsigned level = 0; level < HISTORY_LEVELS; level++) {
			unsigned count = history_tail(history, level, HISTORY_LENGTH, tail);

			assert_int_equal(tail[count - 1].logins, i);
			for (unsigned j = 1; j < count; j++)
				assert_true(tail[j].at > tail[j - 1].at);
		}
	}
	assert_int_equal(history_before(history, 60 * SECOND_US)->at, (5999 - 12) * rules.period);
	assert_true(history_before(history, (time_us)1 << 60)->at <= 6000 * rules.period - 6 * 3600 * SECOND_US);
	free(history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_slope_is_not_moved_by_odd_samples),
		STORY(the_slope_is_the_median_of_all_pairs),
		STORY(history_reaches_back_for_hours_and_ends_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
