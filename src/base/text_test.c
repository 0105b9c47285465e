#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"

static void text_that_does_not_fit_is_cut_and_terminated(void **state)
{
	char out[8] = "xxxxxxx";

	(void)state;
	assert_int_equal(text_copy(out, sizeof out, "0123456789"), 7);
	assert_string_equal(out, "0123456");
	assert_int_equal(text_format(out, sizeof out, "%d-%s", 12, "abcdefgh"), 7);
	assert_string_equal(out, "12-abcd");
	assert_int_equal(text_format(out, sizeof out, "%d", 5), 1);
	assert_int_equal(text_copy_span(out, sizeof out, (struct span){ 0 }), 0);
	assert_string_equal(out, "");
	assert_int_equal(text_copy(out, 0, "abc"), 0);
	assert_int_equal(text_format(out, 0, "abc"), 0);
	assert_int_equal(text_copy(out, 1, "abc"), 0);
	assert_string_equal(out, "");
}

static void letters_are_compared_in_any_case_and_never_cut(void **state)
{
	(void)state;
	assert_true(text_begins_nocase(span_text("CoMMIT;"), "commit"));
	assert_true(text_begins_nocase(span_text("commit"), "commit"));
	assert_false(text_begins_nocase(span_text("commi"), "commit"));
	assert_false(text_begins_nocase(span_text(" commit"), "commit"));
	assert_int_equal(text_fits(span_text("abc"), 3), 3);
	assert_int_equal(text_fits(span_text("abc"), 2), 2);
	assert_int_equal(text_fits(span_text("ab\303\244"), 4), 4);
	assert_int_equal(text_fits(span_text("ab\303\244"), 3), 2);
	assert_int_equal(text_fits(span_text("a\342\202\254b"), 3), 1);
}

static void one_of_a_kind_has_no_s(void **state)
{
	(void)state;
	assert_string_equal(text_plural(0), "s");
	assert_string_equal(text_plural(1), "");
	assert_string_equal(text_plural(2), "s");
	assert_string_equal(text_plural((uint64_t)1 << 32 | 1), "s");
}

static void formatting_to_a_buf_keeps_what_was_there(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 30; i++)
		assert_true(buf_format(&b, "%d,", i));
	assert_true(b.length == 10 * 2 + 20 * 3);
	assert_memory_equal(buf_span(&b).at, "0,1,2,3,", 8);
	buf_fini(&b);
}

static void numbers_are_read_as_the_files_write_them(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "15", true, 15 },
		{ "-15", true, -15 },
		{ "+7", true, 7 },
		{ "0x1f", true, 31 },
		{ "0X1F", true, 31 },
		{ "-0x10", true, -16 },
		{ "010", true, 8 },
		{ "00", true, 0 },
		{ "-0", true, 0 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "0x7fffffffffffffff", true, INT64_MAX },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "18446744073709551617", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "+-1", false, 0 },
		{ "0x", false, 0 },
		{ "08", false, 0 },
		{ "1a", false, 0 },
		{ "1 ", false, 0 },
		{ " 1", false, 0 },
		{ "1.0", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t value = 0;

		assert_int_equal(text_to_i64(span_text(cases[i].text), &value), cases[i].good);
		if (cases[i].good)
			assert_true(value == cases[i].value);
	}
}

static void seconds_are_read_with_decimals(void **state)
{
	static const struct {
		const char *text;
		bool good;
		time_us value;
	} cases[] = {
		{ "15", true, 15000000 },
		{ "0.5", true, 500000 },
		{ ".25", true, 250000 },
		{ "3.", true, 3000000 },
		{ "0", true, 0 },
		{ "1.000001", true, 1000001 },
		{ "0.0000001", true, 1 },
		{ "0.0000000", true, 0 },
		{ "315360000", true, INT64_C(315360000000000) },
		{ "3153600000", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ ".", false, 0 },
		{ "-1", false, 0 },
		{ "1.2.3", false, 0 },
		{ "5s", false, 0 },
		{ "1e3", false, 0 },
		{ "a", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		time_us value = 0;

		assert_int_equal(text_to_time(span_text(cases[i].text), &value), cases[i].good);
		if (cases[i].good)
			assert_true(value == cases[i].value);
	}
}

static void durations_are_read_with_their_unit_alone(void **state)
{
	static const struct {
		const char *text;
		bool good;
		time_us value;
	} cases[] = {
		{ "10m", true, 600 * SECOND_US },
		{ "10min", true, 600 * SECOND_US },
		{ "10 min", true, 600 * SECOND_US },
		{ "0.5h", true, 1800 * SECOND_US },
		{ "2d", true, 172800 * SECOND_US },
		{ "1.5s", true, 1500 * MILLISECOND_US },
		{ "500ms", true, 500 * MILLISECOND_US },
		{ "0.5ms", true, 500 },
		{ "0.0001ms", true, 1 },
		{ "0s", true, 0 },
		{ "3660d", true, INT64_C(3660) * 86400 * SECOND_US },
		{ "3661d", false, 0 },
		{ "9999999999999d", false, 0 },
		{ "10", false, 0 },
		{ "m", false, 0 },
		{ "", false, 0 },
		{ "10M", false, 0 },
		{ "10 minutes", false, 0 },
		{ "1h30m", false, 0 },
		{ "-5s", false, 0 },
		{ "5s ", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		time_us value = 0;

		assert_int_equal(text_to_duration(span_text(cases[i].text), &value), cases[i].good);
		if (cases[i].good)
			assert_true(value == cases[i].value);
	}
}

static void trimming_and_folding_are_ascii(void **state)
{
	(void)state;
	assert_true(span_is(text_trim(span_text(" \t\r\n a b \v\f")), "a b"));
	assert_true(span_is(text_trim(span_text("  ")), ""));
	assert_true(text_equal_nocase(span_text("Pool_Mode"), span_text("pOOL_mODE")));
	assert_false(text_equal_nocase(span_text("a"), span_text("ab")));
	assert_false(text_equal_nocase(span_text("@"), span_text("`"))); /* differ by the bit that folds letters */
}

static void distance_counts_single_edits(void **state)
{
	(void)state;
	assert_int_equal(text_distance("pool_size", "pool_size", 3), 0);
	assert_int_equal(text_distance("pool_size", "pol_size", 3), 1);
	assert_int_equal(text_distance("pool_size", "pool_sizes", 3), 1);
	assert_int_equal(text_distance("pool_size", "poll_size", 3), 1);
	assert_int_equal(text_distance("pool_size", "opol_size", 3), 1);
	assert_int_equal(text_distance("kitten", "sitting", 5), 3);
	assert_int_equal(text_distance("kitten", "sitting", 2), 3);
	assert_int_equal(text_distance("", "abc", 5), 3);
	assert_int_equal(text_distance("", "", 5), 0);
	assert_int_equal(text_distance("abc", "", 1), 2);
}

static void long_words_are_far_apart_or_equal(void **state)
{
	char a[300], b[300];

	(void)state;
	memset(a, 'a', sizeof a);
	a[299] = 0;
	memcpy(b, a, sizeof b);
	assert_int_equal(text_distance(a, b, 3), 0);
	b[0] = 'b';
	assert_int_equal(text_distance(a, b, 3), 4);
	a[128] = b[128] = 0;
	assert_int_equal(text_distance(a, b, 3), 1);
}

static void the_nearest_name_is_offered_only_when_near(void **state)
{
	static const char *const names[] = { "pool_size", "pool_mode", "max_client_conn", "host", NULL };

	(void)state;
	assert_string_equal(text_nearest("poolsize", names), "pool_size");
	assert_string_equal(text_nearest("max_client_con", names), "max_client_conn");
	assert_string_equal(text_nearest("hots", names), "host");
	assert_null(text_nearest("verbose", names));
	assert_null(text_nearest("xy", names));
}

static void a_literal_reads_back_the_same(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_add_literal(&b, span_text("it's a \\ 'test'")));
	assert_true(span_is(buf_span(&b), "E'it''s a \\\\ ''test'''"));
	buf_clear(&b);
	assert_true(buf_add_literal(&b, span_text("")));
	assert_true(span_is(buf_span(&b), "E''"));
	assert_false(buf_add_literal(&b, span_of("a\0b", 3)));
	assert_true(span_is(buf_span(&b), "E''"));
	buf_fini(&b);
}

static void an_identifier_is_quoted(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_add_identifier(&b, span_text("my\"app.x")));
	assert_true(span_is(buf_span(&b), "\"my\"\"app.x\""));
	assert_false(buf_add_identifier(&b, span_of("a.b\0", 4)));
	assert_true(span_is(buf_span(&b), "\"my\"\"app.x\""));
	buf_fini(&b);
}

static void durations_read_as_people_say_them(void **state)
{
	static const struct {
		time_us duration;
		const char *text;
	} cases[] = {
		{ 0, "0 us" },
		{ 850, "850 us" },
		{ 120 * MILLISECOND_US, "120 ms" },
		{ 999999, "999 ms" },
		{ 3400 * MILLISECOND_US, "3.4 s" },
		{ 15 * SECOND_US, "15 s" },
		{ 59999 * MILLISECOND_US, "59.9 s" },
		{ 125 * SECOND_US, "2 min 5 s" },
		{ 120 * SECOND_US, "2 min" },
		{ 11040 * SECOND_US, "3 h 4 min" },
		{ 86400 * SECOND_US, "1 d" },
		{ 100000 * SECOND_US, "1 d 3 h" },
		{ -125 * SECOND_US, "-2 min 5 s" },
	};
	char out[40];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(text_duration(out, sizeof out, cases[i].duration), cases[i].text);
	text_duration(out, sizeof out, INT64_MIN);
	assert_int_equal(out[0], '-');
}

static void secrets_are_compared_whole_and_wiped(void **state)
{
	char a[] = "secret", b[] = "secreT";

	(void)state;
	assert_true(secret_equal(a, "secret", 6));
	assert_false(secret_equal(a, b, 6));
	assert_true(secret_equal(a, b, 5));
	assert_true(secret_equal(NULL, NULL, 0));
	secret_wipe(a, 6);
	assert_memory_equal(a, "\0\0\0\0\0\0", 6);
	secret_wipe(NULL, 0);
}

static void what_strangers_write_is_shown_escaped(void **state)
{
	char out[64], small[5];

	(void)state;
	text_escape(out, sizeof out, span_text("caf\xc3\xa9 \x1b[2J\t\\ \xff\xc2\x9b<b>"));
	assert_string_equal(out, "caf\xc3\xa9 \\x1b[2J\\x09\\\\ \\xff\\xc2\\x9b<b>");
	text_escape(out, sizeof out,
		span_text(
			"pay\xe2\x80\xaegnp.exe\xe2\x81\xa6 \xef\xbb\xbf \xc2\xad \xf3\xa0\x81\x81 \xc2\xa0 \xf0\x9f\x90\x98"));
	assert_string_equal(out, "pay\\u{202e}gnp.exe\\u{2066} \\u{feff} \\u{ad} \\u{e0041} \xc2\xa0 \xf0\x9f\x90\x98");
	text_escape(out, sizeof out, span_text("\xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80"));
	assert_string_equal(out, "\\xed\\xa0\\x80 \\xc0\\xaf \\xf4\\x90\\x80\\x80");
	assert_int_equal(text_escape(small, sizeof small, span_text("abc\xc3\xa9")), 3);
	assert_string_equal(small, "abc");
	assert_int_equal(text_escape(small, sizeof small,
				 span_text("a\x01"
					   "b")),
		1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_that_does_not_fit_is_cut_and_terminated),
		cmocka_unit_test(letters_are_compared_in_any_case_and_never_cut),
		cmocka_unit_test(one_of_a_kind_has_no_s),
		cmocka_unit_test(formatting_to_a_buf_keeps_what_was_there),
		cmocka_unit_test(numbers_are_read_as_the_files_write_them),
		cmocka_unit_test(seconds_are_read_with_decimals),
		cmocka_unit_test(durations_are_read_with_their_unit_alone),
		cmocka_unit_test(trimming_and_folding_are_ascii),
		cmocka_unit_test(distance_counts_single_edits),
		cmocka_unit_test(long_words_are_far_apart_or_equal),
		cmocka_unit_test(the_nearest_name_is_offered_only_when_near),
		cmocka_unit_test(a_literal_reads_back_the_same),
		cmocka_unit_test(an_identifier_is_quoted),
		cmocka_unit_test(durations_read_as_people_say_them),
		cmocka_unit_test(secrets_are_compared_whole_and_wiped),
		cmocka_unit_test(what_strangers_write_is_shown_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
