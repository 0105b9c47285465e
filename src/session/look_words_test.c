/* The words that the look knows, and those it tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "session/look.h"
#include "session/tokens.h"

static void add_word(void *context, struct span word)
{
	struct buf *told = context;

	assert_true(buf_add_span(told, word) && buf_add(told, "|", 1));
}

/* Each once and in turn, those of arguments that are read ahead too, as the catalogue would have them. */
static void words_are_told_as_the_catalogue_has_them(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "SELECT \"Mixed\".Id, 'no', 1 FROM t -- not this\n WHERE a /* nor that */ = $1",
			"select|Mixed|id|from|t|where|a|" },
		{ "SELECT set_config('a.b', lower(c), false); SET search_path TO d",
			"select|set_config|lower|c|false|set|search_path|to|d|" },
		{ "TABLE \"two \"\"quotes\"\"\"", "table|two \"quotes\"|" },
		{ "TABLE \"\"", "table||" },
		{ "TABLE \"never closed", "table|never closed|" },
		{ "TABLE a123456789a123456789a123456789a123456789a123456789a123456789a123456789",
			"table|a123456789a123456789a123456789a123456789a123456789a123456789a12|" },
		{ "TABLE \"A23456789A123456789A123456789A123456789A123456789A123456789A123456789\", b",
			"table|A23456789A123456789A123456789A123456789A123456789A123456789A123|b|" },
		/* a backslash in front of a quote: as either reading has them */
		{ "SELECT '\\', one, ' , two", "select|one|select|two|" },
	};
	struct buf told = { 0 };
	struct look look, alone;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_clear(&told);
		look_with_words(span_text(cases[i].text), &look, add_word, &told);
		assert_true(buf_add(&told, "", 1));
		assert_string_equal((const char *)buf_span(&told).at, cases[i].words);
		look_at(span_text(cases[i].text), &alone);
		assert_int_equal(look.marks, alone.marks);
		assert_int_equal(look.count, alone.count);
	}
	buf_fini(&told);
}

struct told {
	const struct token_sets *sets;
	struct buf words;
};

static bool is_told(const struct token_sets *sets, struct span word)
{
	return word.length > 0 && word_set_may_have(&sets->told, word.at[0], word.at[word.length - 1], word.length);
}

static void add_told(void *context, struct span word)
{
	struct told *told = context;

	if (is_told(told->sets, word))
		add_word(&told->words, word);
}

/* Pieces of statements in any order: what is passed by where only some words are told changes neither what is seen nor which of these are told. */
static void what_does_not_matter_may_be_passed_by(void **state)
{
	static const char *const pieces[] = { "\"a\"", "\"shop\"", "\"shop\".\"id\"", ", \"shop\".\"note\"", "a",
		"Shop", "\"Temp\"", "temp", "\"temp\"", "TEMPORARY", ".", ",", ", ", " ", "\n", "(", ")", "'x'",
		"'now'", "E'\\''", "'\\'", ";", "::", ":", "insert ", "INTO ", "\"into\"", "pg_temp_1", "\"pg_temp\"",
		"PG_TEMP.", "set_config(", "set ", "$1", "$$", "$a$", "-- \n", "--", "/*", "*/", "\"a\"\"b\"", "\"",
		"\"\"", "select ", "update ", "\"default\"", "default", "pg_settings", "\"pg_settings\".",
		"pg_catalog.", "\"pg_catalog\".", "nextval(", "\"nextval\"(", "f(", "\"f\" (", "\"set_config\"(",
		"now()", "N'x'", "u&\"x\"", "U&'y'", "create ", "index ", "unique ", "on ", "as ", "copy ", "table ",
		"references ", "merge ", "with ", "execute ", "prepare x as ", "\"hold\",", "hold", "1", "1.5", "=",
		"*", "in (", "and (", "count(", "values (", "where (", "or not (", "include (", "\303\244",
		"\"\303\244\"", "reset ", "do ", "x_123456789_123456789_123456789_123456789_123456789_123456789_1",
		"\"x_123456789_123456789_123456789_123456789_123456789_123456789_12345\".", "\"x_shop\", ",
		"t.id, t.note, ", "T.Shop, ", "execute, ", "\"execute\".", "copy, ", "\"copy\"", "merge, ",
		"\"insert\".", "into, " };
	struct token_sets sets;
	struct told some = { .sets = &sets }, all = { .sets = &sets };
	struct buf text = { 0 };
	struct rng rng;
	size_t told = 0;

	(void)state;
	look_sets_begin(&sets);
	word_set_add(&sets.told, span_text("shop"));
	word_set_add(&sets.told, span_text("insert"));
	word_set_add(&sets.told, span_text("f"));
	rng_seed(&rng, 11);
	for (int i = 0; i < 200000; i++) {
		struct look fast, slow;

		buf_clear(&text);
		buf_clear(&some.words);
		buf_clear(&all.words);
		for (uint64_t n = rng_below(&rng, 14); n > 0; n--) {
			const char *piece = pieces[rng_below(&rng, sizeof pieces / sizeof pieces[0])];

			assert_true(buf_add(&text, piece, strlen(piece)));
			if (rng_below(&rng, 3) == 0)
				assert_true(buf_add(&text, " ", 1));
		}
		memset(&fast, 0, sizeof fast);
		memset(&slow, 0, sizeof slow);
		look_for_words(buf_span(&text), &fast, &sets, add_told, &some);
		look_with_words(buf_span(&text), &slow, add_told, &all);
		assert_true(buf_add(&text, "", 1));
		if (memcmp(&fast, &slow, sizeof fast) != 0 || !span_equal(buf_span(&some.words), buf_span(&all.words)))
			fail_msg("seen in another way: %s", (const char *)buf_span(&text).at);
		told += buf_span(&some.words).length;
	}
	assert_true(told > 100000);
	buf_fini(&text);
	buf_fini(&some.words);
	buf_fini(&all.words);
}

static void what_is_everyday_leaves_nothing(void **state)
{
	static const char *const words[] = { "in", "on", "or", "and", "not", "where", "values", "count" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_true(look_is_everyday(words[i]));
		assert_true(look_knows(words[i]));
		assert_int_equal(look_call(words[i]), 0);
	}
	assert_false(look_is_everyday("set_config"));
	assert_false(look_is_everyday("nextval"));
}

/* Every table look_knows and look_call search must be sorted, or a word is missed: try all of a few that stand at its ends. */
static void tables_are_sorted(void **state)
{
	static const char *const words[] = { "abs", "xpath_exists", "values", "lower", "jsonb_agg", "pg_sleep",
		"int4" };
	unsigned found = 0;

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		assert_true(look_knows(words[i]));
	assert_int_equal(look_call("currval"), LOOK_CURRVAL);
	assert_int_equal(look_call("setval"), LOOK_SEQUENCE | LOOK_TOUCHES);
	assert_int_equal(look_call("lower"), 0);
	assert_int_equal(look_function(715), 0);
	assert_int_equal(look_function(6007), LOOK_FOR_GOOD);
	for (uint32_t oid = 700; oid < 7000; oid++)
		if (look_function(oid) != LOOK_UNKNOWN)
			found++;
	assert_int_equal(found, 40);
}

static void a_function_is_known_by_its_number(void **state)
{
	(void)state;
	assert_int_equal(look_function(2078), LOOK_SETTINGS | LOOK_UNNAMED | LOOK_READING);
	assert_int_equal(look_function(955), 0); /* lowrite */
	assert_int_equal(look_function(1574), LOOK_SEQUENCE);
	assert_int_equal(look_function(1575), LOOK_CURRVAL);
	assert_int_equal(look_function(1599), LOOK_FOR_GOOD);
	assert_int_equal(look_function(2924), LOOK_UNKNOWN | LOOK_UNNAMED);
	assert_int_equal(look_function(2880), LOOK_UNKNOWN); /* pg_advisory_lock: the server is asked */
	assert_int_equal(
		look_function(16384), LOOK_UNKNOWN | LOOK_UNNAMED | LOOK_READING | LOOK_READS_ONCE | LOOK_FREEZES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_told_as_the_catalogue_has_them),
		cmocka_unit_test(what_does_not_matter_may_be_passed_by),
		cmocka_unit_test(what_is_everyday_leaves_nothing),
		cmocka_unit_test(tables_are_sorted),
		cmocka_unit_test(a_function_is_known_by_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
