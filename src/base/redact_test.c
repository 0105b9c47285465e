#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/redact.h"

struct example {
	const char *sql, *redacted;
};

static void compare(const struct example *examples, size_t count)
{
	char out[256];

	for (size_t i = 0; i < count; i++) {
		size_t length = redact_sql(out, sizeof out, span_text(examples[i].sql));

		assert_string_equal(examples[i].redacted, out);
		assert_int_equal(strlen(out), length);
	}
}

#define COMPARE(examples) compare(examples, sizeof(examples) / sizeof(examples)[0])

static void strings_become_question_marks(void **state)
{
	static const struct example examples[] = {
		{ "SELECT 'secret'", "SELECT ?" },
		{ "SELECT 'it''s', 'b'", "SELECT ?, ?" },
		{ "SELECT ''", "SELECT ?" },
		{ "SELECT E'it\\'s', e'\\\\', 1", "SELECT ?, ?, ?" },
		{ "SELECT B'01', x'1f', N'n', U&'\\0041', u&'a'", "SELECT ?, ?, ?, ?, ?" },
		{ "SELECT DATE'2026-01-01'", "SELECT DATE?" },
		{ "ALTER ROLE a PASSWORD 'pw'", "ALTER ROLE a PASSWORD ?" },
		{ "SELECT 'a'\n'b'", "SELECT ?\n?" },
		{ "WHERE data ? 'key'", "WHERE data ? ?" },
	};

	(void)state;
	COMPARE(examples);
}

static void dollar_strings_end_at_their_own_tag(void **state)
{
	static const struct example examples[] = {
		{ "SELECT $$it's$$, 'b'", "SELECT ?, ?" },
		{ "DO $do$ x $$ y $other$ z $do$;", "DO ?;" },
		{ "SELECT $a$ $a $a$ FROM t", "SELECT ? FROM t" },
		{ "SELECT $1, $23::text", "SELECT $1, $23::text" },
		{ "SELECT a$b$c FROM t$1$", "SELECT a$b$c FROM t$1$" },
		{ "SELECT $", "SELECT $" },
		{ "SELECT $tag", "SELECT $tag" },
	};

	(void)state;
	COMPARE(examples);
}

static void numbers_go_and_names_with_digits_stay(void **state)
{
	static const struct example examples[] = {
		{ "SELECT 1, 1.5, .5, 1e10, 1.5E-3, 0x1F, 1_000", "SELECT ?, ?, ?, ?, ?, ?, ?" },
		{ "SELECT t1.c2 FROM t1 LIMIT 5", "SELECT t1.c2 FROM t1 LIMIT ?" },
		{ "SELECT -5, a-1, 2*3", "SELECT -?, a-?, ?*?" },
		{ "FOR i IN 1..10", "FOR i IN ?..?" },
		{ "SELECT x[1:2]", "SELECT x[?:?]" },
		{ "SELECT 0xe-1, 1e-x", "SELECT ?-?, ?-x" },
		{ "SELECT sch\xc3\xb6n1", "SELECT sch\xc3\xb6n1" },
	};

	(void)state;
	COMPARE(examples);
}

static void comments_and_quoted_names_stay(void **state)
{
	static const struct example examples[] = {
		{ "SELECT 1 /*route='/users/1',job='x'*/ + 2", "SELECT ? /*route='/users/1',job='x'*/ + ?" },
		{ "SELECT 1 -- it's 5\n+ 2", "SELECT ? -- it's 5\n+ ?" },
		{ "/* a /* 'b' */ 3 */ SELECT 'c'", "/* a /* 'b' */ 3 */ SELECT ?" },
		{ "/*/ 'a' */ 'b'", "/*/ 'a' */ ?" },
		{ "SELECT \"it's 1\", \"a\"\"b'\" FROM \"T 1\"", "SELECT \"it's 1\", \"a\"\"b'\" FROM \"T 1\"" },
		{ "SELECT 4 - -5 / 6", "SELECT ? - -? / ?" },
	};

	(void)state;
	COMPARE(examples);
}

static void what_was_cut_in_a_literal_tells_nothing_of_it(void **state)
{
	static const struct example examples[] = {
		{ "SELECT 'secr", "SELECT ?" },
		{ "SELECT E'secr\\", "SELECT ?" },
		{ "SELECT $a$secr", "SELECT ?" },
		{ "SELECT '", "SELECT ?" },
		{ "SELECT \"name", "SELECT \"name" },
		{ "SELECT /* comm", "SELECT /* comm" },
		{ "SELECT 12", "SELECT ?" },
		{ "", "" },
	};

	(void)state;
	COMPARE(examples);
}

/* Under either reading of \' the word secret is, or may be, inside a literal. */
static void nothing_is_told_after_a_quote_that_can_be_read_in_two_ways(void **state)
{
	static const struct example examples[] = {
		{ "SELECT 'it\\'s secret', 1", "SELECT ?" },
		{ "SELECT 'C:\\', 'secret'", "SELECT ?" },
		{ "SELECT 'C:\\dir', a", "SELECT ?, a" },
	};

	(void)state;
	COMPARE(examples);
}

static void a_cut_never_splits_a_letter(void **state)
{
	static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t kept[] = { 0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
	char out[16];

	(void)state;
	for (size_t size = 0; size < sizeof kept / sizeof kept[0]; size++) {
		memset(out, 'x', sizeof out);
		assert_int_equal(kept[size], redact_sql(out, size, span_text(text)));
		if (size > 0) {
			assert_memory_equal(text, out, kept[size]);
			assert_int_equal(0, out[kept[size]]);
			assert_int_equal('x', out[size]);
		}
	}
}

static void bytes_that_are_no_text_go_through_and_a_zero_becomes_a_space(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(5, redact_sql(out, sizeof out, span_of("a\0\xff\x80\xc3", 5)));
	assert_memory_equal("a \xff\x80\xc3", out, 6);
	assert_int_equal(3, redact_sql(out, 4, span_of("\x80\x80\x80\x80\x80", 5)));
	assert_int_equal(0, redact_sql(out, sizeof out, (struct span){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_become_question_marks),
		cmocka_unit_test(dollar_strings_end_at_their_own_tag),
		cmocka_unit_test(numbers_go_and_names_with_digits_stay),
		cmocka_unit_test(comments_and_quoted_names_stay),
		cmocka_unit_test(what_was_cut_in_a_literal_tells_nothing_of_it),
		cmocka_unit_test(nothing_is_told_after_a_quote_that_can_be_read_in_two_ways),
		cmocka_unit_test(a_cut_never_splits_a_letter),
		cmocka_unit_test(bytes_that_are_no_text_go_through_and_a_zero_becomes_a_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
