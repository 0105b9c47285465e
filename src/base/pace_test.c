#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/pace.h"

#define NEVER INT64_MAX

static struct paces *paces;

static int make(void **state)
{
	(void)state;
	paces = paces_new();
	return paces ? 0 : 1;
}

static int drop(void **state)
{
	(void)state;
	paces_free(paces);
	return 0;
}

static void a_seconds_worth_comes_at_once_and_the_others_evenly(void **state)
{
	time_us now = 100 * SECOND_US;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(paces_take(paces, 7, 4, now, NEVER), now);
	for (int i = 1; i <= 8; i++)
		assert_int_equal(paces_take(paces, 7, 4, now, NEVER), now + i * SECOND_US / 4);
	now += 2 * SECOND_US; /* as far as they were let in */
	assert_int_equal(paces_take(paces, 7, 4, now, NEVER), now + SECOND_US / 4);
	now += 10 * SECOND_US;
	assert_int_equal(paces_take(paces, 7, 4, now, NEVER), now);
}

static void one_source_is_nothing_to_another(void **state)
{
	time_us now = SECOND_US;

	(void)state;
	assert_int_equal(paces_take(paces, 0, 1, now, NEVER), now);
	assert_true(paces_take(paces, 0, 1, now, NEVER) > now);
	assert_int_equal(paces_take(paces, 1, 1, now, NEVER), now);
}

/* However many come: who can wait is served when the wait of those before is over, and not later. */
static void whoever_can_not_wait_so_long_moves_nothing(void **state)
{
	time_us now = SECOND_US, latest = now + 3 * SECOND_US;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(paces_take(paces, 7, 1, now, latest), now + i * SECOND_US);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(paces_take(paces, 7, 1, now, latest), 0);
	assert_int_equal(paces_take(paces, 7, 1, now + SECOND_US, latest + SECOND_US), latest + SECOND_US);
}

static void more_sources_than_there_is_room_for_never_wait_longer(void **state)
{
	time_us now = SECOND_US;

	(void)state;
	for (int again = 0; again < 2; again++) {
		for (uint64_t source = 0; source < 100000; source++) {
			time_us due = paces_take(paces, source << 32, 1, now, NEVER);

			assert_true(due == now || due == now + SECOND_US);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_seconds_worth_comes_at_once_and_the_others_evenly, make, drop),
		cmocka_unit_test_setup_teardown(one_source_is_nothing_to_another, make, drop),
		cmocka_unit_test_setup_teardown(whoever_can_not_wait_so_long_moves_nothing, make, drop),
		cmocka_unit_test_setup_teardown(more_sources_than_there_is_room_for_never_wait_longer, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
