/* Sets of parameters: equal ones are one, and the difference of two is SQL that turns one into the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "session/params.h"

static struct params_book *book;

static int set_up(void **state)
{
	(void)state;
	book = params_book_new();
	return book ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	params_book_free(book); /* checks that every set was dropped */
	return 0;
}

static struct params *with(struct params *set, const char *name, const char *value)
{
	assert_true(params_put(&set, span_text(name), span_text(value)));
	return set;
}

static void equal_sets_are_one_object_whatever_the_order(void **state)
{
	struct params *a = with(with(params_empty(book), "TimeZone", "UTC"), "DateStyle", "ISO");
	struct params *b = with(with(params_empty(book), "DateStyle", "ISO"), "TimeZone", "UTC");

	(void)state;
	assert_ptr_equal(a, b);
	params_drop(a);
	assert_string_equal(params_get(b, span_text("timezone")), "UTC");
	params_drop(b);
}

static void a_set_tells_of_itself_in_its_order(void **state)
{
	static const char said[] = "S\0\0\0\25DateStyle\0German\0"
				   "S\0\0\0\13empty\0\0"
				   "S\0\0\0\21TimeZone\0UTC"; /* and its zero, which is C's own */
	struct params *set = with(with(with(params_empty(book), "TimeZone", "UTC"), "empty", ""), "DateStyle", "ISO");

	(void)state;
	set = with(set, "DateStyle", "German");
	assert_true(span_equal(params_messages(set), span_of(said, sizeof said)));
	assert_string_equal(params_get(set, span_text("empty")), "");
	params_drop(set);
	set = params_empty(book);
	assert_int_equal(params_messages(set).length, 0);
	params_drop(set);
}

static void a_name_is_found_whatever_its_case(void **state)
{
	struct params *set = with(params_empty(book), "DateStyle", "ISO");

	(void)state;
	set = with(set, "DATESTYLE", "German");
	assert_int_equal(params_count(set), 1);
	assert_string_equal(params_get(set, span_text("datestyle")), "German");
	assert_null(params_get(set, span_text("date")));
	assert_null(params_get(set, span_text("timezone")));
	assert_null(params_get(set, span_text("")));
	set = with(set, "TimeZone", "UTC");
	set = with(set, "_own.x", "1");
	assert_string_equal(params_get(set, span_text("timezone")), "UTC");
	assert_string_equal(params_get(set, span_text("TIMEZONE")), "UTC");
	assert_string_equal(params_get(set, span_text("_OWN.X")), "1");
	assert_null(params_get(set, span_text("\177own.x"))); /* a letter that shares a place with another */
	params_drop(set);
}

static void putting_and_removing_comes_back_to_the_same_set(void **state)
{
	struct params *before = with(params_empty(book), "a", "1");
	struct params *set = with(params_keep(before), "b", "2");

	(void)state;
	assert_ptr_not_equal(set, before);
	assert_true(params_remove(&set, span_text("B")));
	assert_ptr_equal(set, before);
	assert_true(params_remove(&set, span_text("never there")));
	assert_ptr_equal(set, before);
	params_drop(set);
	params_drop(before);
}

static void check_difference(struct params *have, struct params *want, const char *expected)
{
	struct buf text = { 0 };

	assert_true(params_difference(have, want, &text));
	for (size_t i = 0; i < text.length; i++)
		if (text.at[text.start + i] == 0)
			text.at[text.start + i] = ';';
	assert_true(span_is(buf_span(&text), expected));
	buf_fini(&text);
}

static void a_role_comes_last_and_goes_first(void **state)
{
	struct params *plain = with(params_empty(book), "work_mem", "1MB");
	struct params *joe = with(with(params_empty(book), "role", "joe"), "work_mem", "2MB");
	struct params *other = with(with(params_empty(book), "session_authorization", "ann"), "role", "joe");

	(void)state;
	check_difference(plain, joe,
		"SELECT pg_catalog.set_config(E'work_mem',E'2MB',false) IS NULL,pg_catalog.set_config(E'role',E'joe',false) IS NULL;");
	check_difference(joe, plain,
		"RESET session_authorization;RESET role;SELECT pg_catalog.set_config(E'work_mem',E'1MB',false) IS NULL;");
	check_difference(joe, other,
		"RESET session_authorization;RESET role;SELECT pg_catalog.set_config(E'work_mem',NULL,false) IS NULL,"
		"pg_catalog.set_config(E'session_authorization',E'ann',false) IS NULL,"
		"pg_catalog.set_config(E'role',E'joe',false) IS NULL;");
	params_drop(plain);
	params_drop(joe);
	params_drop(other);
}

static void the_difference_sets_what_is_wanted_and_resets_the_rest(void **state)
{
	struct params *empty = params_empty(book);
	struct params *a = with(with(params_empty(book), "search_path", "x, y"), "statement_timeout", "30000");
	struct params *b = with(params_empty(book), "search_path", "it's \\ me");

	(void)state;
	check_difference(a, a, "");
	check_difference(empty, a,
		"SELECT pg_catalog.set_config(E'search_path',E'x, y',false) IS NULL,"
		"pg_catalog.set_config(E'statement_timeout',E'30000',false) IS NULL;");
	check_difference(a, b,
		"SELECT pg_catalog.set_config(E'statement_timeout',NULL,false) IS NULL,"
		"pg_catalog.set_config(E'search_path',E'it''s \\\\ me',false) IS NULL;");
	check_difference(a, empty,
		"SELECT pg_catalog.set_config(E'search_path',NULL,false) IS NULL,"
		"pg_catalog.set_config(E'statement_timeout',NULL,false) IS NULL;");
	params_drop(empty);
	params_drop(a);
	params_drop(b);
}

static void what_is_beyond_ascii_is_said_in_bytes(void **state)
{
	struct params *empty = params_empty(book);
	struct params *set = with(with(params_empty(book), "role", "gr\xc3\xbc\xc3\x9f"), "a.\xff", "\\\x80'");

	(void)state;
	check_difference(empty, set,
		"SELECT pg_catalog.set_config(pg_catalog.convert_from(E'\\\\x612eff',pg_catalog.getdatabaseencoding()),"
		"pg_catalog.convert_from(E'\\\\x5c8027',pg_catalog.getdatabaseencoding()),false) IS NULL,"
		"pg_catalog.set_config(E'role',pg_catalog.convert_from(E'\\\\x6772c3bcc39f',pg_catalog.getdatabaseencoding()),false) IS NULL;");
	params_drop(set);
	set = with(params_empty(book), "Application_Name", "it's \xfc");
	check_difference(empty, set,
		"SELECT pg_catalog.set_config(E'Application_Name',CASE WHEN "
		"pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) 160000 THEN E'it''s ?' "
		"ELSE E'it''s \\\\xfc' END,false) IS NULL;");
	params_drop(empty);
	params_drop(set);
}

static void a_limit_of_time_is_read_as_postgresql_reads_it(void **state)
{
	static const struct {
		const char *said;
		time_us limit;
	} cases[] = {
		{ "50", 50 * MILLISECOND_US },
		{ "50ms", 50 * MILLISECOND_US },
		{ "7s", 7 * SECOND_US },
		{ "2min", 120 * SECOND_US },
		{ "0", 0 },
		{ "-1", 0 },
		{ "soon", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct params *set = with(params_empty(book), "lock_timeout", cases[i].said);

		assert_int_equal(params_limit(set, "lock_timeout"), cases[i].limit);
		assert_int_equal(params_limit(set, "statement_timeout"), 0);
		params_drop(set);
	}
}

static void a_dotted_name_is_reset_by_its_name(void **state)
{
	struct params *empty = params_empty(book), *set = with(params_empty(book), "my.own", "1");

	(void)state;
	check_difference(set, empty, "SELECT pg_catalog.set_config(E'my.own',NULL,false) IS NULL;");
	params_drop(empty);
	params_drop(set);
}

/* Many sets put together and taken apart at random leave nothing behind. */
static void no_set_is_forgotten(void **state)
{
	struct params *sets[16];
	struct rng rng;
	char name[2] = "a", value[2] = "0";
	int i;

	(void)state;
	rng_seed(&rng, 7);
	for (i = 0; i < 16; i++)
		sets[i] = params_empty(book);
	for (i = 0; i < 5000; i++) {
		struct params **set = &sets[rng_below(&rng, 16)];

		name[0] = (char)('a' + rng_below(&rng, 6));
		value[0] = (char)('0' + rng_below(&rng, 3));
		if (rng_chance(&rng, 400))
			assert_true(params_remove(set, span_text(name)));
		else
			assert_true(params_put(set, span_text(name), span_text(value)));
	}
	for (i = 0; i < 16; i++)
		params_drop(sets[i]);
}

static void a_book_counts_each_set_once(void **state)
{
	uint64_t sets, bytes, more, before;
	struct params *one, *same;

	(void)state;
	params_book_counts(book, &sets, &before);
	assert_int_equal(sets, 1); /* the empty one */
	one = with(params_empty(book), "TimeZone", "UTC");
	params_book_counts(book, &sets, &bytes);
	assert_int_equal(sets, 2);
	assert_true(bytes >= before + sizeof "TimeZone" + sizeof "UTC");
	same = with(params_empty(book), "TimeZone", "UTC");
	params_book_counts(book, &sets, &more);
	assert_int_equal(sets, 2);
	assert_int_equal(more, bytes);
	params_drop(one);
	params_drop(same);
	params_book_counts(book, &sets, &bytes);
	assert_int_equal(sets, 1);
	assert_int_equal(bytes, before);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest stories[] = {
		STORY(equal_sets_are_one_object_whatever_the_order),
		STORY(a_set_tells_of_itself_in_its_order),
		STORY(a_name_is_found_whatever_its_case),
		STORY(putting_and_removing_comes_back_to_the_same_set),
		STORY(a_role_comes_last_and_goes_first),
		STORY(the_difference_sets_what_is_wanted_and_resets_the_rest),
		STORY(what_is_beyond_ascii_is_said_in_bytes),
		STORY(a_limit_of_time_is_read_as_postgresql_reads_it),
		STORY(a_dotted_name_is_reset_by_its_name),
		STORY(no_set_is_forgotten),
		STORY(a_book_counts_each_set_once),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
