#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/stress_request.h"

static void a_method_is_one_of_those_that_there_are(void **state)
{
	(void)state;
	assert_string_equal("PUT", stress_method("put"));
	assert_string_equal("DELETE", stress_method("DELETE"));
	assert_null(stress_method("RAW")); /* what the library calls so is no HTTP */
	assert_null(stress_method("CONNECT"));
	assert_null(stress_method("GET / HTTP/1.0\r\n"));
	assert_null(stress_method(""));
}

static void who_has_a_body_to_send_posts_it_unless_told_otherwise(void **state)
{
	struct stress_plan plan = { 0 };

	(void)state;
	assert_string_equal("GET", stress_method_of(&plan));
	plan.data = "x=1";
	assert_string_equal("POST", stress_method_of(&plan));
	plan.method = "PATCH";
	assert_string_equal("PATCH", stress_method_of(&plan));
}

static void a_body_is_called_what_it_looks_like_or_what_a_header_says(void **state)
{
	struct stress_plan plan = { .data = "x=1" };

	(void)state;
	assert_string_equal("application/x-www-form-urlencoded", stress_type_of(&plan));
	plan.data = "[1]";
	assert_string_equal("application/json", stress_type_of(&plan));
	plan.headers[plan.header_count++] = "X-Content-Type: a";
	assert_non_null(stress_type_of(&plan));
	plan.headers[plan.header_count++] = "Content-type: text/csv";
	assert_null(stress_type_of(&plan));
}

static void some_answers_end_with_their_head(void **state)
{
	(void)state;
	assert_true(stress_is_bodiless("HEAD", 200));
	assert_true(stress_is_bodiless("DELETE", 204));
	assert_false(stress_is_bodiless("DELETE", 200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_method_is_one_of_those_that_there_are),
		cmocka_unit_test(who_has_a_body_to_send_posts_it_unless_told_otherwise),
		cmocka_unit_test(a_body_is_called_what_it_looks_like_or_what_a_header_says),
		cmocka_unit_test(some_answers_end_with_their_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
