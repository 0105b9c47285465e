#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "config/ini.h"

static enum ini_kind first(struct ini *i, const char *text)
{
	ini_init(i, span_text(text));
	return ini_next(i);
}

static void lines_are_what_pgbouncers_users_write(void **state)
{
	static const char text[] = "\xef\xbb\xbf; comment\r\n# another\n\n  [ databases ]  \n"
				   "app = host=127.0.0.1 ; no comment # here\n*=\n\t'odd ''key''!' = v'alue\n"
				   "%include /etc/more.ini  \na.b-c_D*9 =x=y\nlast = 1";
	struct ini i;

	(void)state;
	ini_init(&i, span_text(text));
	assert_int_equal(ini_next(&i), INI_SECTION);
	assert_true(span_is(i.key, "databases"));
	assert_int_equal(i.line, 4);
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_true(span_is(i.key, "app"));
	assert_true(span_is(i.value, "host=127.0.0.1 ; no comment # here"));
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_true(span_is(i.key, "*"));
	assert_true(span_is(i.value, ""));
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_true(span_is(i.key, "odd 'key'!"));
	assert_true(span_is(i.value, "v'alue"));
	assert_int_equal(ini_next(&i), INI_INCLUDE);
	assert_true(span_is(i.value, "/etc/more.ini"));
	assert_int_equal(i.line, 8);
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_true(span_is(i.key, "a.b-c_D*9"));
	assert_true(span_is(i.value, "x=y"));
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_int_equal(i.line, 10);
	assert_int_equal(ini_next(&i), INI_END);
	assert_int_equal(ini_next(&i), INI_END);
	ini_fini(&i);
}

static void what_follows_a_section_is_as_on_a_line_of_its_own(void **state)
{
	struct ini i;

	(void)state;
	assert_int_equal(first(&i, "[a] ; comment\n[b]# another\r\n[c]\td = 1\n[e] f\n"), INI_SECTION);
	assert_true(span_is(i.key, "a"));
	assert_int_equal(ini_next(&i), INI_SECTION);
	assert_true(span_is(i.key, "b"));
	assert_int_equal(i.line, 2);
	assert_int_equal(ini_next(&i), INI_SECTION);
	assert_true(span_is(i.key, "c"));
	assert_int_equal(i.line, 3);
	assert_int_equal(ini_next(&i), INI_PAIR);
	assert_true(span_is(i.key, "d"));
	assert_true(span_is(i.value, "1"));
	assert_int_equal(i.line, 3);
	assert_int_equal(ini_next(&i), INI_SECTION);
	assert_int_equal(ini_next(&i), INI_BAD);
	assert_string_equal(i.problem, "expected '=' after the key");
	assert_int_equal(i.line, 4);
	ini_fini(&i);
	assert_int_equal(first(&i, "[a];"), INI_SECTION);
	assert_int_equal(ini_next(&i), INI_END);
	assert_int_equal(i.line, 1);
	ini_fini(&i);
}

static void broken_lines_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{ "[pgbouncer", "the section's ']' is missing" },
		{ "[]", "the section has no name" },
		{ "%inc x", "the only directive is %include FILE" },
		{ "%includex", "the only directive is %include FILE" },
		{ "%include", "%include needs a file name" },
		{ "'a = b", "the key's closing ' is missing" },
		{ "'' = b", "the key is empty" },
		{ "key", "expected '=' after the key" },
		{ "'key'", "expected '=' after the key" },
		{ "two words = 1",
			"expected '=' after the key (a key with other letters than A-Z a-z 0-9 _ . - * needs single quotes)" },
		{ "\"key\" = 1",
			"expected a key, a [section], a comment or %include (a key with other letters than A-Z a-z 0-9 _ . - * "
			"needs single quotes)" },
	};
	struct ini i;

	(void)state;
	for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
		assert_int_equal(first(&i, cases[n].text), INI_BAD);
		assert_string_equal(i.problem, cases[n].problem);
		ini_fini(&i);
	}
	ini_init(&i, span_of("a\0=b", 4));
	assert_int_equal(ini_next(&i), INI_BAD);
	ini_fini(&i);
}

static void lists_of_pairs_are_taken_apart(void **state)
{
	struct span list = span_text(" host=a,b  port = 5432 password='it''s = me' dbname= x connect_query='SELECT 1'"),
		    key;
	static const char *const keys[] = { "host", "port", "password", "dbname", "connect_query" };
	static const char *const values[] = { "a,b", "5432", "it's = me", "x", "SELECT 1" };
	const char *problem;
	char value[100];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(pair_take(&list, &key, value, &problem), PAIR_TAKEN);
		assert_true(span_is(key, keys[i]));
		assert_string_equal(value, values[i]);
	}
	assert_int_equal(pair_take(&list, &key, value, &problem), PAIR_END);
}

static void broken_pairs_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = { { "host", "expected key=value" }, { "=x", "expected key=value" },
		{ "a b=c", "expected key=value" }, { "a=", "the value is empty" }, { "a=''", "the value is empty" },
		{ "a='b", "the value's closing ' is missing" }, { "a='b''", "the value's closing ' is missing" },
		{ "a='b'c", "a space must follow the value's closing '" } };
	const char *problem;
	char value[100];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct span list = span_text(cases[i].text), key;

		assert_int_equal(pair_take(&list, &key, value, &problem), PAIR_BAD);
		assert_string_equal(problem, cases[i].problem);
	}
}

static void no_bytes_break_the_reader(void **state)
{
	struct rng rng;
	uint8_t text[64];
	char value[65];

	(void)state;
	rng_seed(&rng, 6432);
	for (int n = 0; n < 50000; n++) {
		size_t length = rng_below(&rng, sizeof text + 1);
		struct span list = span_of(text, length), key;
		const char *problem;
		struct ini i;

		for (size_t at = 0; at < length; at++)
			text[at] = (uint8_t) "[]=';#%\n \r\tab\0\xff,"[rng_below(&rng, 16)];
		ini_init(&i, span_of(text, length));
		for (enum ini_kind kind = INI_PAIR; kind != INI_END && kind != INI_BAD; kind = ini_next(&i))
			assert_true(i.line <= length + 1);
		ini_fini(&i);
		while (pair_take(&list, &key, value, &problem) == PAIR_TAKEN)
			assert_true(key.length > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_what_pgbouncers_users_write),
		cmocka_unit_test(what_follows_a_section_is_as_on_a_line_of_its_own),
		cmocka_unit_test(broken_lines_say_what_is_wrong),
		cmocka_unit_test(lists_of_pairs_are_taken_apart),
		cmocka_unit_test(broken_pairs_say_what_is_wrong),
		cmocka_unit_test(no_bytes_break_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
