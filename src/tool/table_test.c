#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/table.h"

static void a_terminal_shows_hostile_text_and_does_not_obey_it(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain (1)", "plain (1)" },
		{ "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m" },
		{ "a\rb\nc\td", "a\\x0db\\x0ac\\x09d" },
		{ "\x7f", "\\x7f" },
		{ "C:\\x1b", "C:\\\\x1b" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xff\xc3", "\\xff\\xc3" },
		{ "\xc3(", "\\xc3(" },
		{ "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },          /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond the last letter */
		{ "\xc2\x9b", "\\u{9b}" },                      /* a control sequence in one letter */
		{ "\xe2\x80\xae"
		  "evil",
			"\\u{202e}evil" },         /* right to left */
		{ "a\xe2\x80\x8b", "a\\u{200b}" }, /* no width */
		{ "<script>", "<script>" },
	};
	char out[80];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(show_text(out, sizeof out, 0, span_text(cases[i].text)), strlen(cases[i].shown));
		assert_string_equal(cases[i].shown, out);
	}
	assert_int_equal(4, show_text(out, sizeof out, 0, span_of("\0", 1)));
	assert_string_equal("\\x00", out);
}

static void what_is_too_long_ends_in_dots_between_letters(void **state)
{
	char out[80];

	(void)state;
	show_text(out, sizeof out, 6, span_text("abcdef"));
	assert_string_equal("abcdef", out);
	show_text(out, sizeof out, 6, span_text("abcdefg"));
	assert_string_equal("abc...", out);
	show_text(out, sizeof out, 6, span_text("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4z"));
	assert_string_equal("\xc3\xa4\xc3\xa4\xc3\xa4...", out);
	show_text(out, sizeof out, 6, span_text("ab\x1b\x1b"));
	assert_string_equal("ab...", out);
	show_text(out, 8, 0, span_text("\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"));
	assert_string_equal("\xe2\x82\xac...", out);
	for (size_t size = 0; size < 12; size++) {
		memset(out, 'x', sizeof out);
		assert_true(show_text(out, size, 0, span_text("\x1b\xc3\xa4\x1b\x1b\x1b")) < (size ? size : 1));
		assert_int_equal('x', out[size]);
	}
}

static void a_statement_becomes_one_line(void **state)
{
	char out[80];

	(void)state;
	show_sql(out, sizeof out, 0, span_text("\n\tSELECT\r\n  a,\t\tb\x1b\n"));
	assert_string_equal("SELECT a, b\\x1b", out);
	show_sql(out, sizeof out, 0, span_text(""));
	assert_string_equal("", out);
}

static void json_gets_valid_text_whatever_came(void **state)
{
	char out[40];

	(void)state;
	assert_int_equal(9, show_utf8(out, sizeof out, span_text("a\xff\xc3\xa4\xe2\x82")) - 3);
	assert_string_equal("a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd", out);
	assert_int_equal(1, show_utf8(out, 3, span_text("a\xc3\xa4")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_shows_hostile_text_and_does_not_obey_it),
		cmocka_unit_test(what_is_too_long_ends_in_dots_between_letters),
		cmocka_unit_test(a_statement_becomes_one_line),
		cmocka_unit_test(json_gets_valid_text_whatever_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
