/* Which settings decide what a text means, and which literals the clock does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "session/reading.h"

static void only_what_matters_to_a_text_is_kept_of_the_settings(void **state)
{
	struct params_book *book = params_book_new();
	struct params *empty = params_empty(book), *all = params_empty(book), *reading, *same;

	(void)state;
	assert_true(params_put(&all, span_text("work_mem"), span_text("1MB")));
	assert_true(params_put(&all, span_text("app.tenant"), span_text("x")));
	reading = reading_of(all, empty, reading_depends);
	assert_ptr_equal(reading, empty);
	params_drop(reading);
	assert_true(params_put(&all, span_text("TimeZone"), span_text("UTC")));
	reading = reading_of(all, empty, reading_depends);
	assert_int_equal(params_count(reading), 1);
	assert_string_equal(params_get(reading, span_text("timezone")), "UTC");
	assert_true(params_put(&all, span_text("work_mem"), span_text("2MB")));
	same = reading_of(all, empty, reading_depends);
	assert_ptr_equal(same, reading); /* so that they are compared as pointers */
	params_drop(same);
	params_drop(reading);
	params_drop(all);
	params_drop(empty);
	params_book_free(book);
}

static void names_and_quotes_do_not_decide_what_a_literal_comes_to(void **state)
{
	struct params_book *book = params_book_new();
	struct params *empty = params_empty(book), *all = params_empty(book), *literals;

	(void)state;
	assert_true(params_put(&all, span_text("search_path"), span_text("a")));
	assert_true(params_put(&all, span_text("role"), span_text("other")));
	assert_true(params_put(&all, span_text("standard_conforming_strings"), span_text("off")));
	assert_true(params_put(&all, span_text("DateStyle"), span_text("German")));
	literals = reading_of(all, empty, reading_decides_literals);
	assert_int_equal(params_count(literals), 1);
	assert_string_equal(params_get(literals, span_text("datestyle")), "German");
	params_drop(literals);
	params_drop(all);
	params_drop(empty);
	params_book_free(book);
}

static void the_clock_is_read_in_a_few_literals(void **state)
{
	(void)state;
	assert_true(reading_is_of_the_clock("now") && reading_is_of_the_clock(" Today 12:00") &&
		reading_is_of_the_clock("TOMORROW") && reading_is_of_the_clock("yesterday") &&
		reading_is_of_the_clock("10:00 today") && reading_is_of_the_clock("{a,now}"));
	assert_false(reading_is_of_the_clock("") || reading_is_of_the_clock("no") ||
		reading_is_of_the_clock("unknown, nowhere") || reading_is_of_the_clock("2020-01-01"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_matters_to_a_text_is_kept_of_the_settings),
		cmocka_unit_test(names_and_quotes_do_not_decide_what_a_literal_comes_to),
		cmocka_unit_test(the_clock_is_read_in_a_few_literals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
