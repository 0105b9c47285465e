#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "session/visits.h"

static struct visits visits;
static struct rng rng;

static int set_up(void **state)
{
	(void)state;
	visits = (struct visits){ 0 };
	rng_seed(&rng, 7);
	return 0;
}

static const struct visit *enter(const char *user, time_us now, char token[VISIT_TOKEN + 1])
{
	uint8_t random[VISIT_TOKEN];
	const struct visit *visit;

	rng_fill(&rng, random, sizeof random);
	visit = visits_enter(&visits, user, 1, random, now);
	text_copy(token, VISIT_TOKEN + 1, visit->token);
	return visit;
}

static void a_visit_is_known_by_its_token_alone(void **state)
{
	char a[VISIT_TOKEN + 1], b[VISIT_TOKEN + 1];

	(void)state;
	assert_string_not_equal(enter("anna", 1, a)->csrf, a);
	enter("bert", 1, b);
	assert_int_equal(strlen(a), VISIT_TOKEN);
	assert_string_equal(visits_find(&visits, span_text(a), 2)->user, "anna");
	assert_string_equal(visits_find(&visits, span_text(b), 2)->user, "bert");
	assert_null(visits_find(&visits, span_text(""), 2));
	assert_null(visits_find(&visits, span_of(a, VISIT_TOKEN - 1), 2));
	a[3] = a[3] == '0' ? '1' : '0';
	assert_null(visits_find(&visits, span_text(a), 2));
	/* Free places hold zeros; they are nobody's token. */
	assert_null(visits_find(
		&visits, span_of("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32), 2));
}

static void a_visit_ends_when_it_is_left_unused_or_old(void **state)
{
	char token[VISIT_TOKEN + 1];
	time_us now = 1;

	(void)state;
	enter("anna", now, token);
	assert_non_null(visits_find(&visits, span_text(token), now + VISIT_IDLE - 1));
	assert_null(visits_find(&visits, span_text(token), now + 2 * VISIT_IDLE));
	assert_null(visits_find(&visits, span_text(token), now));
	enter("anna", now, token);
	for (; now < VISIT_LONGEST; now += VISIT_IDLE / 2)
		assert_non_null(visits_find(&visits, span_text(token), now));
	assert_null(visits_find(&visits, span_text(token), 1 + VISIT_LONGEST));
	enter("anna", now, token);
	visits_leave(&visits, span_text(token));
	assert_null(visits_find(&visits, span_text(token), now));
	visits_leave(&visits, span_text(token));
	visits_leave(&visits, span_text("nobody's"));
}

static void the_longest_unused_gives_way(void **state)
{
	char first[VISIT_TOKEN + 1], second[VISIT_TOKEN + 1], token[VISIT_TOKEN + 1];

	(void)state;
	enter("first", 1, first);
	enter("second", 2, second);
	for (int i = 2; i < VISITS_MOST; i++)
		enter("another", 3, token);
	assert_non_null(visits_find(&visits, span_text(first), 4));
	enter("one more", 5, token);
	assert_non_null(visits_find(&visits, span_text(first), 6));
	assert_null(visits_find(&visits, span_text(second), 6));
	assert_non_null(visits_find(&visits, span_text(token), 6));
}

static void guessing_is_slow_from_one_address_and_not_from_others(void **state)
{
	struct span here = span_text("10.0.0.1");
	int others = 0;
	char address[20];

	(void)state;
	for (int i = 0; i < ATTEMPTS_MOST; i++) {
		assert_true(visits_may_try(&visits, here, 1));
		visits_failed(&visits, here, 1);
	}
	assert_false(visits_may_try(&visits, here, 1));
	assert_false(visits_may_try(&visits, here, ATTEMPTS_TIME - 1));
	for (int i = 2; i < 66; i++) {
		text_format(address, sizeof address, "10.0.0.%d", i);
		others += visits_may_try(&visits, span_text(address), 1);
	}
	assert_in_range(others, 50, 64);
	assert_true(visits_may_try(&visits, here, 1 + 2 * ATTEMPTS_TIME));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_visit_is_known_by_its_token_alone, set_up),
		cmocka_unit_test_setup(a_visit_ends_when_it_is_left_unused_or_old, set_up),
		cmocka_unit_test_setup(the_longest_unused_gives_way, set_up),
		cmocka_unit_test_setup(guessing_is_slow_from_one_address_and_not_from_others, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
