#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/memory.h"

static void what_was_left_there_is_not_seen(void **state)
{
	uint8_t *volatile memory = malloc(200); /* or the compiler knows better than to fill what is freed */

	(void)state;
	assert_non_null(memory);
	memset(memory, 0xa5, 200);
	free(memory);
	memory = memory_zeroed(200);
	assert_non_null(memory);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(memory[i], 0);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_left_there_is_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
