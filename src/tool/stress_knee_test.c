#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/text.h"
#include "tool/stress_knee.h"

static struct assertion *wanted(const char *text)
{
	char error[3000] = "";
	struct assertion *a = assertion_parse(span_text(text), error, sizeof error);

	if (!a)
		fail_msg("%s: %s", text, error);
	return a;
}

/* A target that serves so many sockets, and refuses the others with these words. */
struct target {
	unsigned serves;
	const char *says;
	unsigned stutters_at; /* this level, the first time */
};

static void search(struct knee *k, unsigned most, struct target target)
{
	struct stress_tally *tally = calloc(1, sizeof *tally);
	struct assertion *a = wanted("errors==0 && p99_connect<1s");
	struct knee_seen seen = {
		.tally = tally, .waiting = UNKNOWN, .servers = UNKNOWN, .active = UNKNOWN, .cores = 2
	};

	assert_non_null(tally);
	knee_begin(k, most);
	do {
		unsigned refused = k->next > target.serves ? k->next - target.serves : 0;

		if (k->next == target.stutters_at) {
			refused = 1;
			target.stutters_at = 0;
		}
		*tally = (struct stress_tally){ 0 };
		tally->phases[PHASE_HOLD].opened = k->next - refused;
		tally->phases[PHASE_HOLD].failed = refused;
		histogram_add(&tally->phases[PHASE_HOLD].connect, MILLISECOND_US);
		if (refused)
			tally_trouble(tally, target.says);
	} while (knee_take(k, a, &seen));
	assertion_free(a);
	free(tally);
}

static void the_knee_is_found_within_a_tenth(void **state)
{
	(void)state;
	for (unsigned serves = 1; serves < 1000; serves += 7) {
		struct knee k;

		search(&k, 1000, (struct target){ .serves = serves, .says = "no" });
		assert_true(k.found);
		assert_true(k.good <= serves);
		assert_true(k.bad > serves);
		assert_true(k.bad - k.good <= 1 || k.bad - k.good <= k.good / 10);
		assert_true(k.count <= 20);
	}
}

static void a_target_that_serves_all_has_none(void **state)
{
	struct knee k;
	char words[600];

	(void)state;
	for (unsigned most = 1; most < 100; most++) {
		search(&k, most, (struct target){ .serves = 1000 });
		assert_true(k.found);
		assert_int_equal(most, k.good);
		assert_int_equal(0, k.bad);
		assert_string_equal("", k.limit);
	}
	knee_words(&k, "errors==0", words, sizeof words);
	assert_non_null(strstr(words, "No knee up to 99 sockets"));
}

static void a_target_that_serves_nobody_is_told_so(void **state)
{
	struct knee k;
	char words[600];

	(void)state;
	search(&k, 160, (struct target){ .serves = 0, .says = "no" });
	assert_true(k.found);
	assert_int_equal(0, k.good);
	assert_int_equal(1, k.bad);
	knee_words(&k, "errors==0", words, sizeof words);
	assert_non_null(strstr(words, "one socket already gives errors = 1"));
}

static void one_stutter_is_no_knee(void **state)
{
	struct knee k;

	(void)state;
	search(&k, 160, (struct target){ .serves = 1000, .says = "no", .stutters_at = 40 });
	assert_int_equal(160, k.good);
	assert_int_equal(0, k.bad);
	assert_int_equal(10 + 20 + 40 + 40 + 80 + 160,
		k.levels[0].sockets + k.levels[1].sockets + k.levels[2].sockets + k.levels[3].sockets +
			k.levels[4].sockets + k.levels[5].sockets);
	assert_false(k.levels[2].held);
	assert_string_equal("errors = 1", k.levels[2].why);
	assert_true(k.levels[3].held);
}

static void what_stands_in_the_way_is_told_by_its_words(void **state)
{
	static const struct {
		const char *says, *limit;
	} cases[] = { { "FATAL:  sorry, too many clients already", "max_connections" },
		{ "FATAL:  remaining connection slots are reserved for non-replication superuser connections",
			"max_connections" },
		{ "FATAL:  too many connections for role \"app\"", "CONNECTION LIMIT" },
		{ "FATAL:  no more connections allowed (max_client_conn)", "max_client_conn" },
		{ "FATAL:  query_wait_timeout", "pool" }, { "strange", "only the target knows; it said \"strange\"" } };
	struct knee k;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		search(&k, 100, (struct target){ .serves = 30, .says = cases[i].says });
		if (!strstr(k.limit, cases[i].limit))
			fail_msg("%s: %s", cases[i].says, k.limit);
	}
}

static void what_was_seen_meanwhile_tells_it_where_no_error_does(void **state)
{
	static const struct {
		struct knee_seen seen;
		const char *limit;
	} cases[] = { { { .load_busy = 95, .waiting = 3, .cores = 2 }, "this program itself" },
		{ { .waiting = 3, .servers = 5, .machine_busy = 99, .cores = 2 }, "one of 5 servers" },
		{ { .waiting = UNKNOWN, .machine_busy = 99, .cores = 2 }, "99 % busy" },
		{ { .waiting = UNKNOWN, .active = 9, .cores = 4 }, "up to 9 statements" },
		{ { .waiting = UNKNOWN, .active = UNKNOWN, .cores = 4 }, "within the application" } };
	struct stress_tally *tally = calloc(1, sizeof *tally);
	struct assertion *a = wanted("p99_reply<1s");

	(void)state;
	assert_non_null(tally);
	histogram_add(&tally->phases[PHASE_HOLD].reply, 2 * SECOND_US);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct knee_seen seen = cases[i].seen;
		struct knee k;

		seen.tally = tally;
		knee_begin(&k, 1);
		assert_true(knee_take(&k, a, &seen));
		assert_false(knee_take(&k, a, &seen));
		if (!strstr(k.limit, cases[i].limit))
			fail_msg("%s: %s", cases[i].limit, k.limit);
	}
	assertion_free(a);
	free(tally);
}

static void it_is_made_of_figures_of_the_load_alone(void **state)
{
	static const char *const good[] = { "p99_reply<200ms && errors==0", "failed_percent<1 || max_connect<1s" };
	static const char *const bad[] = { "leaked==0", "errors==0 && pattern==none", "knee>3", "peak<7" };
	char error[400];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct assertion *a = wanted(good[i]);

		assert_true(knee_can_be(a, error, sizeof error));
		assertion_free(a);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct assertion *a = wanted(bad[i]);

		assert_false(knee_can_be(a, error, sizeof error));
		assert_non_null(strstr(error, "is not known while the load is raised"));
		assertion_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_knee_is_found_within_a_tenth),
		cmocka_unit_test(a_target_that_serves_all_has_none),
		cmocka_unit_test(a_target_that_serves_nobody_is_told_so),
		cmocka_unit_test(one_stutter_is_no_knee),
		cmocka_unit_test(what_stands_in_the_way_is_told_by_its_words),
		cmocka_unit_test(what_was_seen_meanwhile_tells_it_where_no_error_does),
		cmocka_unit_test(it_is_made_of_figures_of_the_load_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
