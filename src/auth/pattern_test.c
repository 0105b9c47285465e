#include "auth/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

static bool fits(const char *text, const char *name)
{
	char error[100] = "";
	struct pattern *pattern = pattern_new(text, error, sizeof error);
	bool yes;

	if (!pattern)
		fail_msg("%s: %s", text, error);
	yes = pattern_fits(pattern, span_text(name), NULL);
	pattern_free(pattern);
	return yes;
}

static void it_fits_anywhere_unless_it_is_tied_down(void **state)
{
	(void)state;
	assert_true(fits("db[0-9]+", "mydb12x"));
	assert_false(fits("^db[0-9]+$", "mydb12"));
	assert_true(fits("^db[0-9]+$", "db12"));
	assert_false(fits("^db", "DB1"));
	assert_true(fits("^(shop|store)_", "store_1"));
	assert_true(fits("^a{2,3}b?$", "aaa"));
	assert_false(fits("^a{2,3}b?$", "aaaa"));
}

static void classes_have_their_meaning_at_postgresql(void **state)
{
	(void)state;
	assert_true(fits("^\\d\\w\\s\\D$", "1_ x"));
	assert_false(fits("^\\d$", "d"));
	assert_true(fits("^[\\d.]+$", "1.2"));
	assert_false(fits("^[\\d.]+$", "d"));
	assert_true(fits("^[[:upper:]\\\\]$", "\\"));
	assert_true(fits("^a\\.b\\@c$", "a.b@c"));
	assert_false(fits("^a\\.b$", "axb"));
	assert_true(fits("^[^]a]$", "b"));
	assert_false(fits("^[^]a]$", "]"));
}

static void the_first_group_is_told(void **state)
{
	char error[100];
	struct pattern *pattern = pattern_new("^(.*)@example\\.com$|^plain$", error, sizeof error);
	struct span group;

	(void)state;
	assert_int_equal(pattern_groups(pattern), 1);
	assert_true(pattern_fits(pattern, span_of("anna@example.com and more", 16), &group));
	assert_true(span_is(group, "anna"));
	assert_false(pattern_fits(pattern, span_text("anna@example.com and more"), &group));
	assert_true(pattern_fits(pattern, span_text("plain"), &group));
	assert_int_equal(group.length, 0);
	pattern_free(pattern);
}

static void what_would_mean_something_else_is_refused(void **state)
{
	static const char *const texts[] = { "", "(?:a)", "a*?", "a+?", "a??", "a{2}?", "(a)\\1", "\\mword", "\\y",
		"\\bx", "***:a", "[\\W]", "[a\\]b]", "[a", "a\\", "*a", "(*a)", "^*", "a**", "a{2}{3}", "a{1001}",
		"(a{40}){40}", "a{3,2}", "a{x}", "a{2", "(a", "[[:no:]]", "[[.a.]]", "[[=a=]]", "[z-a]", "[[:alpha" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		char error[100] = "";

		if (pattern_new(texts[i], error, sizeof error))
			fail_msg("taken: %s", texts[i]);
		assert_string_not_equal(error, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fits_anywhere_unless_it_is_tied_down),
		cmocka_unit_test(classes_have_their_meaning_at_postgresql),
		cmocka_unit_test(the_first_group_is_told),
		cmocka_unit_test(what_would_mean_something_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
