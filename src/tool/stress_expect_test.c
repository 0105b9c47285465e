#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tool/stress_expect.h"

static bool met(const char *match, const char *json, const char *answer, const char *because)
{
	struct stress_plan plan = { .expect_match = match, .expect_json = json };
	char error[300] = "", why[200] = "";
	struct expectation *e = expectation_new(&plan, error, sizeof error);
	bool good;

	if (!e)
		fail_msg("%s", error);
	good = expectation_met(e, span_text(answer), why, sizeof why);
	expectation_free(e);
	if (!good && !strstr(why, because))
		fail_msg("\"%s\" does not say \"%s\"", why, because);
	return good;
}

static void a_pattern_fits_somewhere_in_the_answer(void **state)
{
	(void)state;
	assert_true(met("^[0-9]+ rows?$", NULL, "17 rows", ""));
	assert_true(met("ro+ws", NULL, "17 rooows more", ""));
	assert_false(met("^[0-9]+$", NULL, "17 rows", "--expect-match does not fit"));
	assert_false(met("x", NULL, "", "--expect-match"));
}

static void a_field_is_found_by_its_path(void **state)
{
	static const char answer[] =
		"{\"user\":{\"name\":\"ada\"},\"items\":[{\"id\":7}],\"good\":true,\"none\":null,\"a\":1.5}";

	(void)state;
	assert_true(met(NULL, "user.name=ada", answer, ""));
	assert_true(met(NULL, "items.0.id=7", answer, ""));
	assert_true(met(NULL, "good=true", answer, ""));
	assert_true(met(NULL, "none=null", answer, ""));
	assert_true(met(NULL, "items=[{\"id\":7}]", answer, ""));
	assert_false(met(NULL, "user.name=bob", answer, "user.name is something else"));
	assert_false(met(NULL, "user.nick=ada", answer, "user.nick is missing"));
	assert_false(met(NULL, "items.1.id=7", answer, "missing"));
	assert_false(met(NULL, "items.x=7", answer, "missing"));
	assert_false(met(NULL, "user.name=ada", "<html>", "no JSON"));
}

static void what_can_not_be_expected_is_refused(void **state)
{
	struct stress_plan plan = { .expect_match = "(" };
	char error[300];

	(void)state;
	assert_null(expectation_new(&plan, error, sizeof error));
	assert_non_null(strstr(error, "no regular expression"));
	plan = (struct stress_plan){ .expect_json = "name" };
	assert_null(expectation_new(&plan, error, sizeof error));
	assert_non_null(strstr(error, "PATH=VALUE"));
}

static void who_expects_nothing_is_content(void **state)
{
	(void)state;
	assert_true(met(NULL, NULL, "anything", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_fits_somewhere_in_the_answer),
		cmocka_unit_test(a_field_is_found_by_its_path),
		cmocka_unit_test(what_can_not_be_expected_is_refused),
		cmocka_unit_test(who_expects_nothing_is_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
