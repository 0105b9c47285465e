/* Statements shared by text, the names of a client, and what a server has of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "session/look.h"
#include "session/params.h"
#include "session/statements.h"

static struct statement_book *book;

static int set_up(void **state)
{
	(void)state;
	book = statement_book_new("PGWEIR_");
	return book ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	statement_book_free(book); /* checks that every statement was dropped */
	return 0;
}

static struct statement *take(const char *text)
{
	struct statement *statement = statement_take(book, span_text(text), NULL, 0);

	assert_non_null(statement);
	return statement;
}

static void a_statement_is_looked_at_once_for_all(void **state)
{
	static const char tail[] = "SELECT pg_advisory_lock(1)\0\0";
	struct statement *lock = statement_take(book, span_of(tail, sizeof tail), NULL, 0), *plain = take("select 1");

	(void)state;
	assert_int_equal(statement_marks(lock), LOOK_LOCK);
	assert_int_equal(statement_marks(lock), LOOK_LOCK);
	assert_true(span_is(statement_text(lock), "SELECT pg_advisory_lock(1)"));
	assert_int_equal(statement_marks(plain), 0);
	statement_drop(lock);
	statement_drop(plain);
}

static void of_each(const char *const *texts, size_t count, bool (*is)(struct statement *), bool expected)
{
	for (size_t i = 0; i < count; i++) {
		struct statement *statement = take(texts[i]);

		assert_int_equal(is(statement), expected);
		statement_drop(statement);
	}
}

static void what_follows_its_session_is_known(void **state)
{
	static const char *const own[] = { "FETCH 2 FROM c", "/* a */ ;fetch c", "EXECUTE s", "Execute s(1)" };
	static const char *const others[] = { "SELECT 1", "EXPLAIN EXECUTE s", "DECLARE fetch CURSOR FOR SELECT 1",
		"SHOW work_mem", "", "fetches", "\"fetch\"" };

	(void)state;
	of_each(own, sizeof own / sizeof own[0], statement_follows_session, true);
	of_each(own, sizeof own / sizeof own[0], statement_keeps_columns, false);
	of_each(others, sizeof others / sizeof others[0], statement_follows_session, false);
}

static void columns_are_kept_by_what_is_planned(void **state)
{
	static const char *const planned[] = { "SELECT 1", " /* hint */ ((select 1))", " ; ;select 1",
		"-- said\nWITH a AS (SELECT 1) TABLE a", "VALUES (1)", "Insert INTO t VALUES (1) RETURNING a",
		"MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING" };
	static const char *const others[] = { "FETCH 2 FROM c", "EXECUTE s", "SHOW work_mem", "EXPLAIN SELECT 1", "",
		"selected", "\"select\"" };

	(void)state;
	of_each(planned, sizeof planned / sizeof planned[0], statement_keeps_columns, true);
	of_each(others, sizeof others / sizeof others[0], statement_keeps_columns, false);
}

static void a_text_is_shared_among_those_who_read_it_alike(void **state)
{
	struct params_book *settings = params_book_new();
	struct params *none = params_empty(settings), *german = params_empty(settings), *again = params_empty(settings);
	struct statement *plain, *other, *same, *later, *apart, *after;

	(void)state;
	assert_true(params_put(&german, span_text("DateStyle"), span_text("German")));
	assert_true(params_put(&again, span_text("DateStyle"), span_text("German")));
	plain = statement_take(book, span_text("select 1"), none, 1);
	other = statement_take(book, span_text("select 1"), german, 1);
	same = statement_take(book, span_text("select 1"), again, 1);
	later = statement_take(book, span_text("select 1"), german, 2);
	apart = statement_take_apart(book, span_text("select 1"));
	assert_ptr_not_equal(plain, other);
	assert_ptr_equal(other, same);
	assert_ptr_not_equal(other, later);
	assert_true(statement_suits(other, again) && statement_suits(later, again) && statement_suits(apart, none));
	assert_false(statement_suits(other, none) || statement_suits(other, NULL));
	assert_true(statement_is_current(later, 2));
	assert_false(statement_is_current(other, 2) || statement_is_current(apart, 2));
	/* Nobody finds the one that is apart. */
	statement_drop(plain);
	after = statement_take(book, span_text("select 1"), NULL, 0);
	assert_ptr_not_equal(after, apart);
	statement_drop(other);
	statement_drop(same);
	statement_drop(later);
	statement_drop(apart);
	statement_drop(after);
	params_drop(none);
	params_drop(german);
	params_drop(again);
	params_book_free(settings); /* checks that no statement has kept one */
}

static void equal_texts_are_one_statement(void **state)
{
	struct statement *a = take("select 1"), *b = take("select 1"), *c = take("select 2");
	char name[STATEMENT_NAME];

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	statement_name(a, name);
	assert_memory_equal(name, "PGWEIR_", 7);
	statement_drop(a);
	statement_drop(b);
	statement_drop(c);
}

static struct statement *take_unnamed(struct span tail)
{
	struct statement *statement = statement_take_unnamed(book, tail);

	assert_non_null(statement);
	assert_true(statement->tail_length == tail.length && memcmp(statement->tail, tail.at, tail.length) == 0);
	return statement;
}

/* Clients say the same few in turn, and what was found in one is not looked for each time. */
static void an_unnamed_statement_is_still_known_when_its_client_comes_back_to_it(void **state)
{
	struct statement *first = take_unnamed(span_text("select 1")), *again, *named;
	uint32_t id = first->id;
	uint64_t count, bytes;

	(void)state;
	statement_set_note(first, 7);
	statement_drop(first);
	statement_drop(take_unnamed(span_text("select 2")));
	again = take_unnamed(span_text("select 1"));
	assert_int_equal(again->id, id);
	assert_int_equal(statement_note(again), 7);
	named = take("select 1");
	assert_ptr_equal(named, again);
	statement_drop(again);
	statement_drop(named);
	/* However many there are, some hundreds stay. */
	for (int i = 0; i < 3000; i++) {
		char text[40];

		text_format(text, sizeof text, "select %d from t%d", i, i);
		statement_drop(take_unnamed(span_text(text)));
	}
	statement_book_counts(book, &count, &bytes);
	assert_in_range(count, 100, 512);
}

static void a_long_unnamed_statement_goes_with_its_last_client(void **state)
{
	static uint8_t text[5000];
	struct statement *first, *second;
	uint64_t count, before, bytes;

	(void)state;
	memset(text, 'x', sizeof text);
	statement_book_counts(book, &before, &bytes);
	first = take_unnamed(span_of(text, sizeof text));
	second = take_unnamed(span_of(text, sizeof text));
	assert_ptr_equal(first, second);
	statement_drop(first);
	statement_drop(second);
	statement_book_counts(book, &count, &bytes);
	assert_int_equal(count, before);
}

static void names_on_servers_are_a_prefix_and_a_number(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 9, 10, 4711, 999999999, 1000000000, UINT32_MAX };
	struct statement *statement = take("select 1");
	char name[STATEMENT_NAME], wanted[STATEMENT_NAME];
	size_t written = statement_name(statement, name);

	(void)state;
	assert_int_equal(written, strlen(name));
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		written = statement_name_of(book, numbers[i], name);
		assert_int_equal(written, text_format(wanted, sizeof wanted, "PGWEIR_%u", numbers[i]));
		assert_string_equal(name, wanted);
	}
	statement_drop(statement);
}

static void names_agree_with_a_plain_list(void **state)
{
	enum { NAMES = 1500, TEXTS = 400 };
	struct statement *list[NAMES] = { 0 }, *statement;
	struct names names = { 0 };
	struct rng rng;
	unsigned named[TEXTS] = { 0 };
	struct statement *texts[TEXTS];
	char name[16];
	int i, n, round;

	(void)state;
	rng_seed(&rng, 11);
	for (n = 0; n < TEXTS; n++) {
		text_format(name, sizeof name, "select %d", n);
		texts[n] = take(name);
	}
	for (round = 0; round < 20000; round++) {
		i = (int)rng_below(&rng, NAMES);
		text_format(name, sizeof name, "q%d", i);
		assert_ptr_equal(names_get(&names, span_text(name)), list[i]);
		if (list[i]) {
			for (n = 0; texts[n] != list[i]; n++)
				;
			names_remove(&names, span_text(name));
			list[i] = NULL;
			named[n]--;
		} else {
			n = (int)rng_below(&rng, TEXTS);
			statement = texts[n];
			assert_true(names_put(
				&names, span_text(name), statement)); /* the table keeps a reference of its own */
			list[i] = statement;
			named[n]++;
		}
		n = (int)rng_below(&rng, TEXTS);
		assert_int_equal(names_have(&names, texts[n]->id), named[n] > 0);
	}
	for (n = 0; n < TEXTS; n++)
		statement_drop(texts[n]);
	names_fini(&names);
	assert_int_equal(names_count(&names), 0);
}

static void a_reserved_place_is_there_when_all_are_forgotten(void **state)
{
	enum { NAMES = 40 };
	struct names names = { 0 };
	const struct name_table *table;
	char name[16];
	int i;

	(void)state;
	assert_true(names_reserve(&names, NAMES));
	for (i = 0; i < NAMES / 2; i++) {
		text_format(name, sizeof name, "q%d", i);
		names_give(&names, names_text(span_text(name)), take("select 1"));
	}
	names_clear(&names);
	assert_null(names_get(&names, span_text("q0")));
	table = names.table;
	for (i = 0; i < NAMES; i++) {
		text_format(name, sizeof name, "q%d", i);
		names_give(&names, names_text(span_text(name)), take("select 1"));
	}
	assert_ptr_equal(names.table, table);
	names_fini(&names);
}

static void the_name_of_a_statement_is_found_for_an_error(void **state)
{
	struct statement *statement = take("select 1");
	struct names names = { 0 };
	struct span name;

	(void)state;
	assert_true(names_put(&names, span_text("mine"), statement));
	assert_true(names_find(&names, statement->id, &name));
	assert_true(span_is(name, "mine"));
	assert_false(names_find(&names, statement->id + 1, &name));
	names_remove(&names, span_text("mine"));
	assert_null(names_get(&names, span_text("mine")));
	names_fini(&names);
	statement_drop(statement);
}

static void a_server_has_a_statement_only_once_it_said_so(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *statement = take("select 1");

	(void)state;
	assert_int_equal(prepared_look(prepared, statement, 1), PREPARED_NONE);
	assert_true(prepared_sent(prepared, statement, 1));
	assert_int_equal(prepared_look(prepared, statement, 1), PREPARED_PENDING);
	assert_int_equal(prepared_look(prepared, statement, 2), PREPARED_DOUBTFUL);
	prepared_done(prepared, statement->id);
	assert_int_equal(prepared_look(prepared, statement, 2), PREPARED_READY);
	prepared_free(prepared);
	statement_drop(statement);
}

static void what_a_server_says_of_a_statement_is_known_when_all_is_answered(void **state)
{
	static const struct shape old = { 1, 23 }, new = { 1, 20 };
	struct prepared *prepared = prepared_new();
	struct statement *statement = take("select 1");
	const struct prepared_shape *shape;

	(void)state;
	assert_int_equal(prepared_look_shape(prepared, statement, 1, &shape), PREPARED_NONE);
	assert_true(shape->shape.columns == 0 && shape->asked == 0);
	prepared_asked(prepared, statement->id); /* not there: nobody is asked */
	prepared_told(prepared, statement->id, old);
	assert_true(prepared_sent(prepared, statement, 1));
	prepared_asked(prepared, statement->id);
	prepared_done(prepared, statement->id);
	assert_int_equal(prepared_look_shape(prepared, statement, 1, &shape), PREPARED_READY);
	assert_true(shape->shape.columns == 0 && shape->asked == 1);
	prepared_told(prepared, statement->id, old);
	assert_int_equal(shape->shape.columns, 23);
	/* Sent again, and what is said of the first is that of one that is gone. */
	prepared_asked(prepared, statement->id);
	assert_true(prepared_sent(prepared, statement, 2));
	prepared_asked(prepared, statement->id);
	prepared_told(prepared, statement->id, old);
	assert_int_equal(shape->shape.columns, 0);
	prepared_told(prepared, statement->id, new);
	assert_int_equal(shape->shape.columns, 20);
	prepared_free(prepared);
	statement_drop(statement);
}

static void what_was_told_goes_with_the_name(void **state)
{
	enum { NAMES = 300 };
	struct statement *statement = take("select 1");
	struct names names = { 0 };
	struct shape *told;
	char name[16];

	(void)state;
	for (uint32_t i = 0; i < NAMES; i++) {
		text_format(name, sizeof name, "q%u", i);
		assert_true(names_put(&names, span_text(name), statement));
		assert_ptr_equal(names_look(&names, span_text(name), &told), statement);
		assert_int_equal(told->columns, 0);
		*told = (struct shape){ i, i + 1 };
	}
	for (uint32_t i = 0; i < NAMES; i++) {
		text_format(name, sizeof name, "q%u", i);
		assert_non_null(names_look(&names, span_text(name), &told));
		assert_true(told->parameters == i && told->columns == i + 1);
		names_remove(&names, span_text(name));
		assert_null(names_look(&names, span_text(name), &told));
	}
	names_fini(&names);
	statement_drop(statement);
}

static void a_parse_that_failed_left_nothing(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *statement = take("select 1");

	(void)state;
	assert_true(prepared_sent(prepared, statement, 1));
	prepared_failed(prepared, statement->id);
	assert_int_equal(prepared_look(prepared, statement, 1), PREPARED_NONE);
	prepared_free(prepared);
	statement_drop(statement);
}

/* Sent twice, the first time well, the second not: it was closed before the second, so it may or may not be there. */
static void after_a_second_sending_failed_it_is_doubtful(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *statement = take("select 1");

	(void)state;
	assert_true(prepared_sent(prepared, statement, 1));
	assert_true(prepared_sent(prepared, statement, 2));
	prepared_done(prepared, statement->id);
	assert_int_equal(prepared_look(prepared, statement, 3), PREPARED_DOUBTFUL);
	prepared_failed(prepared, statement->id);
	assert_int_equal(prepared_look(prepared, statement, 3), PREPARED_DOUBTFUL);
	prepared_free(prepared);
	statement_drop(statement);
}

static void the_one_used_longest_ago_goes_first(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *a = take("a"), *b = take("b"), *c = take("c"), *out;

	(void)state;
	assert_true(prepared_sent(prepared, a, 1) && prepared_sent(prepared, b, 1) && prepared_sent(prepared, c, 1));
	prepared_done(prepared, a->id);
	prepared_done(prepared, b->id);
	(void)prepared_look(prepared, a, 2);
	assert_null(prepared_excess(prepared, 3));
	out = prepared_excess(prepared, 2);
	assert_ptr_equal(out, b);
	statement_drop(out);
	/* c is not answered yet: it stays, whatever its age. */
	out = prepared_excess(prepared, 0);
	assert_ptr_equal(out, a);
	statement_drop(out);
	assert_null(prepared_excess(prepared, 0));
	prepared_free(prepared);
	statement_drop(a);
	statement_drop(b);
	statement_drop(c);
}

static void one_that_is_doubtful_makes_room_too(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *a = take("a"), *b = take("b");

	(void)state;
	assert_true(prepared_sent(prepared, a, 1));
	prepared_done(prepared, a->id);
	assert_true(prepared_doubt(prepared, a->id));
	assert_true(prepared_sent(prepared, b, 2));
	prepared_done(prepared, b->id);
	assert_ptr_equal(prepared_excess(prepared, 1), a);
	assert_null(prepared_excess(prepared, 1));
	assert_int_equal(prepared_look(prepared, b, 3), PREPARED_READY);
	prepared_free(prepared);
	statement_drop(a);
	statement_drop(a);
	statement_drop(b);
}

static void one_that_is_ended_before_it_is_answered_is_not_there(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *a = take("a");

	(void)state;
	assert_true(prepared_sent(prepared, a, 1));
	assert_true(prepared_doubt(prepared, a->id));
	prepared_done(prepared, a->id);
	assert_int_equal(prepared_look(prepared, a, 1), PREPARED_DOUBTFUL);
	assert_true(prepared_sent(prepared, a, 2));
	prepared_done(prepared, a->id);
	assert_int_equal(prepared_look(prepared, a, 3), PREPARED_READY);
	/* Or sent again before the answers come. */
	assert_true(prepared_doubt(prepared, a->id));
	assert_true(prepared_sent(prepared, a, 4));
	assert_true(prepared_doubt(prepared, a->id));
	assert_true(prepared_sent(prepared, a, 4));
	prepared_done(prepared, a->id);
	prepared_done(prepared, a->id);
	assert_int_equal(prepared_look(prepared, a, 5), PREPARED_READY);
	prepared_free(prepared);
	statement_drop(a);
}

static void deallocate_all_spares_what_was_sent_after_it(void **state)
{
	struct prepared *prepared = prepared_new();
	struct statement *a = take("a"), *b = take("b");

	(void)state;
	assert_true(prepared_sent(prepared, a, 1));
	prepared_done(prepared, a->id);
	assert_true(prepared_sent(prepared, b, 2));
	prepared_forget(prepared);
	assert_int_equal(prepared_look(prepared, a, 2), PREPARED_NONE);
	assert_int_equal(prepared_look(prepared, b, 2), PREPARED_PENDING);
	prepared_free(prepared);
	statement_drop(a);
	statement_drop(b);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest stories[] = {
		STORY(a_statement_is_looked_at_once_for_all),
		STORY(what_follows_its_session_is_known),
		STORY(columns_are_kept_by_what_is_planned),
		STORY(a_text_is_shared_among_those_who_read_it_alike),
		STORY(equal_texts_are_one_statement),
		STORY(an_unnamed_statement_is_still_known_when_its_client_comes_back_to_it),
		STORY(a_long_unnamed_statement_goes_with_its_last_client),
		STORY(names_on_servers_are_a_prefix_and_a_number),
		STORY(names_agree_with_a_plain_list),
		STORY(a_reserved_place_is_there_when_all_are_forgotten),
		STORY(the_name_of_a_statement_is_found_for_an_error),
		STORY(a_server_has_a_statement_only_once_it_said_so),
		STORY(what_a_server_says_of_a_statement_is_known_when_all_is_answered),
		STORY(what_was_told_goes_with_the_name),
		STORY(a_parse_that_failed_left_nothing),
		STORY(after_a_second_sending_failed_it_is_doubtful),
		STORY(the_one_used_longest_ago_goes_first),
		STORY(one_that_is_doubtful_makes_room_too),
		STORY(one_that_is_ended_before_it_is_answered_is_not_there),
		STORY(deallocate_all_spares_what_was_sent_after_it),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
