/* An array reaches whatever index it is asked for, keeps what it has, and is as it was when it can not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"

static void what_was_there_stays_and_what_is_new_is_zero(void **state)
{
	static const uint32_t order[] = { 0, 3, 15, 16, 5, 1000, 1023, 1024 };
	uint32_t capacity = 0, *list = NULL, *reached;

	(void)state;
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		reached = array_reach(list, &capacity, order[i], sizeof *list);
		assert_non_null(reached);
		list = reached;
		assert_true(order[i] < capacity);
		assert_int_equal(list[order[i]], 0);
		list[order[i]] = order[i] + 1;
	}
	for (uint32_t i = 0, seen = 0; i < capacity; i++) {
		seen += list[i] != 0;
		assert_true(list[i] == 0 || list[i] == i + 1);
		if (i == capacity - 1)
			assert_int_equal(seen, sizeof order / sizeof order[0]);
	}
	free(list);
}

static void what_it_has_it_does_not_move(void **state)
{
	uint32_t capacity = 0;
	char *list = array_reach(NULL, &capacity, 0, 1);

	(void)state;
	for (uint32_t i = 0; i < capacity; i++)
		assert_ptr_equal(list, array_reach(list, &capacity, i, 1));
	free(list);
}

static void what_no_memory_holds_is_refused_and_nothing_is_lost(void **state)
{
	uint32_t capacity = 0, before;
	char *list = array_reach(NULL, &capacity, 0, 1);

	(void)state;
	list[0] = 7;
	before = capacity;
	assert_null(array_reach(list, &capacity, UINT32_MAX, 1));
	assert_null(array_reach(list, &capacity, UINT32_MAX / 4, SIZE_MAX / 1024));
	assert_int_equal(capacity, before);
	assert_int_equal(list[0], 7);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_there_stays_and_what_is_new_is_zero),
		cmocka_unit_test(what_it_has_it_does_not_move),
		cmocka_unit_test(what_no_memory_holds_is_refused_and_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
