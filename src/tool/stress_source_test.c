#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tool/stress_source.h"

static void sockets_leave_from_the_addresses_by_turns(void **state)
{
	struct stress_plan plan = { 0 };
	char error[200];

	(void)state;
	assert_null(stress_source_of(&plan, 7));
	assert_int_equal(1, stress_source_count(&plan));
	assert_true(stress_sources_read("127.0.0.1,127.0.0.2", &plan, error, sizeof error));
	assert_true(stress_sources_read("127.0.0.9", &plan, error, sizeof error));
	assert_int_equal(3, stress_source_count(&plan));
	assert_string_equal("127.0.0.1", stress_source_of(&plan, 3));
	assert_string_equal("127.0.0.9", stress_source_of(&plan, 5));
}

static void what_is_no_address_or_one_too_many_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = { { "localhost", "numeric" }, { "", "numeric" }, { "127.0.0.1,", "numeric" },
		{ "127.0.0.1,::1", "of the other" }, { "::1,::1", "twice" }, { "127.0.0.1:80", "numeric" },
		{ "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5,10.0.0.6,10.0.0.7,10.0.0.8,10.0.0.9,10.0.0.10,10.0.0.11,"
		  "10.0.0.12,10.0.0.13,10.0.0.14,10.0.0.15,10.0.0.16,10.0.0.17",
			"at most 16" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct stress_plan plan = { 0 };
		char error[200] = "";

		assert_false(stress_sources_read(cases[i].text, &plan, error, sizeof error));
		if (!strstr(error, cases[i].says))
			fail_msg("%s: %s", cases[i].text, error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_leave_from_the_addresses_by_turns),
		cmocka_unit_test(what_is_no_address_or_one_too_many_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
