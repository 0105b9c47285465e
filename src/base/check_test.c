#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static jmp_buf out;
static char told[4096];

static void leave(const char *report)
{
	snprintf(told, sizeof told, "%s", report);
	longjmp(out, 1);
}

static void a_true_claim_costs_nothing(void **state)
{
	int evaluated = 0;

	(void)state;
	check(++evaluated == 1);
	assert_int_equal(evaluated, 1);
}

static void a_broken_claim_is_reported_with_claim_place_and_notes(void **state)
{
	(void)state;
	check_set_hook(leave);
	for (int i = 0; i < 20; i++) {
		char line[32];

		snprintf(line, sizeof line, "note %d.", i);
		check_note(line);
	}
	if (setjmp(out) == 0) {
		check(1 + 1 == 3);
		fail_msg("the check let it pass");
	}
	assert_non_null(strstr(told, "1 + 1 == 3"));
	assert_non_null(strstr(told, "check_test.c"));
	assert_non_null(strstr(told, "a_broken_claim_is_reported_with_claim_place_and_notes"));
	assert_null(strstr(told, "note 3."));
	assert_non_null(strstr(told, "note 4."));
	assert_true(strstr(told, "note 4.") < strstr(told, "note 19."));
	check_set_hook(NULL);
}

static void a_long_claim_does_not_overrun_the_report(void **state)
{
	static char claim[10000];

	(void)state;
	memset(claim, 'x', sizeof claim - 1);
	check_set_hook(leave);
	if (setjmp(out) == 0)
		check_failed(claim, "file", 1, "function");
	assert_int_equal(strlen(told), sizeof told - 1);
	check_set_hook(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_true_claim_costs_nothing),
		cmocka_unit_test(a_broken_claim_is_reported_with_claim_place_and_notes),
		cmocka_unit_test(a_long_claim_does_not_overrun_the_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
