/* Questions name only what may be there, and rows are taken for what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/writer.h"
#include "session/question.h"

static struct params_book *book;
static struct params *empty;

static int set_up(void **state)
{
	(void)state;
	book = params_book_new();
	empty = params_empty(book);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	params_drop(empty);
	params_book_free(book);
	return 0;
}

static char *asked(uint32_t marks, const char *set, const char *called)
{
	static char text[8192];
	struct params *names = params_keep(empty), *calls = params_keep(empty);
	struct question q = { .marks = marks, .set = names, .called = calls, .user = "o'app", .version = 15 };
	struct buf out = { 0 };

	if (set)
		assert_true(params_put(&names, span_text(set), span_text("")));
	if (called)
		assert_true(params_put(&calls, span_text(called), span_text("")));
	q.set = names;
	q.called = calls;
	assert_true(question_write(&q, &out));
	assert_true(out.length < sizeof text);
	memcpy(text, out.at + out.start, out.length);
	text[out.length] = 0;
	buf_fini(&out);
	params_drop(names);
	params_drop(calls);
	return text;
}

/* standard_conforming_strings is the client's, and a backslash means something else in a plain literal then. */
static void assert_no_backslash_outside_escapes(const char *text)
{
	bool inside = false, escapes = false;

	for (const char *at = text; *at; at++) {
		if (*at == '\'') {
			escapes = inside ? escapes : at > text && at[-1] == 'E';
			inside = !inside;
		} else if (*at == '\\') {
			assert_true(inside && escapes);
			at++;
		}
	}
}

static void only_what_may_be_there_is_asked_for(void **state)
{
	char *text = asked(LOOK_LOCK, NULL, NULL);

	(void)state;
	assert_ptr_equal(strstr(text, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;("), text);
	assert_non_null(strstr(text, "pg_locks"));
	assert_null(strstr(text, "pg_settings"));
	assert_null(strstr(text, "pg_depend"));
	text = asked(LOOK_SETTINGS, "app.it's", NULL);
	assert_non_null(strstr(text, "unnest(ARRAY[E'app.it''s']"));
	assert_non_null(strstr(text, "E'o''app'"));
	assert_null(strstr(text, "pg_locks"));
	text = asked(LOOK_UNKNOWN, NULL, "mine");
	assert_non_null(strstr(text, "pg_locks"));
	assert_non_null(strstr(text, "pg_settings"));
	assert_non_null(strstr(text, "ARRAY[E'mine']"));
	assert_non_null(strstr(text, "pg_get_function_sqlbody"));
	assert_non_null(strstr(text, "'transaction_isolation'"));
	assert_null(strstr(text, "transaction_timeout")); /* is a session's */
	assert_no_backslash_outside_escapes(text);
}

static bool take(struct answer *a, const char *kind, const char *name, const char *value)
{
	const char *fields[] = { kind, name, value };
	struct buf body = { 0 };
	struct writer w = writer_to(&body);
	bool ok;

	write_u16(&w, 3);
	for (int i = 0; i < 3; i++) {
		write_u32(&w, fields[i] ? (uint32_t)strlen(fields[i]) : UINT32_MAX);
		if (fields[i])
			write_span(&w, span_text(fields[i]));
	}
	ok = answer_row(a, buf_span(&body));
	/* Cut anywhere, it is refused. */
	for (size_t n = 0; n < body.length; n++) {
		struct answer other = { .settings = params_keep(empty) };

		assert_false(answer_row(&other, span_of(body.at + body.start, n)));
		answer_fini(&other);
	}
	buf_fini(&body);
	return ok;
}

static void every_pin_has_a_text_and_a_word_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PINS; i++) {
		assert_in_range(strlen(pin_word((enum pin)i)), 1, 19);
		assert_int_equal(
			strspn(pin_word((enum pin)i), "abcdefghijklmnopqrstuvwxyz_"), strlen(pin_word((enum pin)i)));
		assert_true(strlen(pin_text((enum pin)i)) > 0);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(pin_word((enum pin)i), pin_word((enum pin)j));
	}
}

static void rows_become_settings_and_pins(void **state)
{
	struct question q = { .marks = LOOK_SETTINGS | LOOK_TEMPORARY };
	struct answer a;

	(void)state;
	answer_begin(&a, &q, empty);
	assert_int_equal(a.asked, 1 << PIN_SETTING | 1 << PIN_TEMPORARY);
	assert_true(take(&a, "s", "work_mem", "65536"));
	assert_true(take(&a, "t", NULL, NULL));
	answer_end(&a);
	assert_string_equal(params_get(a.settings, span_text("work_mem")), "65536");
	assert_int_equal(a.pins, 1 << PIN_TEMPORARY);
	answer_fini(&a);
}

static void what_it_listens_to_is_told_by_name(void **state)
{
	struct question q = { .marks = LOOK_LISTEN };
	struct answer a;

	(void)state;
	assert_non_null(strstr(asked(LOOK_LISTEN, NULL, NULL), "pg_listening_channels() AS c LIMIT 256+1)"));
	answer_begin(&a, &q, empty);
	assert_true(take(&a, "n", "Jobs", NULL));
	assert_true(take(&a, "n", "jobs", NULL));
	assert_false(answer_row(&a, span_of("\0\3\0\0\0\1n\xff\xff\xff\xff\xff\xff\xff\xff", 15)));
	answer_end(&a);
	assert_int_equal(a.pins, 1 << PIN_LISTEN);
	assert_true(a.topics.count == 2 && topics_has(&a.topics, span_text("Jobs")));
	answer_fini(&a);
	answer_begin(&a, &q, empty);
	for (int i = 0; i < 258; i++) {
		char name[8];

		text_format(name, sizeof name, "t%d", i);
		assert_int_equal(
			take(&a, "n", name, NULL), i < 257); /* a server that says more than it was asked for is none */
	}
	assert_int_equal(a.topics.count, 257);
	answer_fini(&a);
}

static void a_privileged_setting_under_another_role_stays_where_it_is(void **state)
{
	struct question q = { .marks = LOOK_SETTINGS };
	struct answer a;

	(void)state;
	answer_begin(&a, &q, empty);
	assert_true(take(&a, "S", "log_statement", "all"));
	answer_end(&a);
	assert_int_equal(a.pins, 0);
	assert_true(take(&a, "s", "role", "joe"));
	answer_end(&a);
	assert_int_equal(a.pins, 1 << PIN_SETTING);
	answer_fini(&a);
}

static void what_is_too_long_or_too_much_stays_where_it_is(void **state)
{
	struct question q = { .marks = LOOK_SETTINGS };
	char name[40], value[5000];
	struct answer a;

	(void)state;
	answer_begin(&a, &q, empty);
	assert_true(take(&a, "b", "app.long", NULL));
	assert_int_equal(a.pins, 1 << PIN_SETTING);
	/* It is asked for again, so that its end is noticed. */
	assert_string_equal(params_get(a.settings, span_text("app.long")), "");
	for (unsigned i = 0; i < 199; i++) {
		text_format(name, sizeof name, "app.s%u", i);
		assert_true(take(&a, "s", name, "x"));
	}
	assert_int_equal(a.pins, 1 << PIN_SETTING);
	assert_true(take(&a, "s", "app.more", "x"));
	assert_int_equal(a.pins, 1 << PIN_SETTING | 1 << PIN_UNSEEN);
	answer_fini(&a);
	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = 0;
	answer_begin(&a, &q, empty);
	for (unsigned i = 0; i < 14; i++) {
		text_format(name, sizeof name, "app.s%u", i);
		assert_int_equal(a.pins, 0);
		assert_true(take(&a, "s", name, value));
	}
	assert_int_equal(a.pins, 1 << PIN_UNSEEN);
	answer_fini(&a);
}

static void what_is_beyond_ascii_is_told_in_bytes(void **state)
{
	struct question q = { .marks = LOOK_SETTINGS };
	static const char *const wrong[] = { "\\", "a\\", "\\30", "\\400", "\\380", "\\308", "\\x" };
	char *text = asked(LOOK_SETTINGS, "app.\xc3\xa4", NULL);
	struct answer a;

	(void)state;
	assert_non_null(strstr(text, "pg_catalog.convert_from(E'\\\\x6170702ec3a4',pg_catalog.getdatabaseencoding())"));
	assert_non_null(
		strstr(text, "pg_catalog.encode(pg_catalog.convert_to(v,pg_catalog.getdatabaseencoding()),'escape')"));
	answer_begin(&a, &q, empty);
	assert_true(take(&a, "s", "app.\\303\\244", "\\346\\227\\245\\\\3\\377"));
	answer_end(&a);
	assert_int_equal(a.pins, 0);
	assert_string_equal(params_get(a.settings, span_text("app.\xc3\xa4")), "\xe6\x97\xa5\\3\xff");
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_false(take(&a, "s", "work_mem", wrong[i]));
		assert_false(take(&a, "b", wrong[i], NULL));
	}
	answer_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_may_be_there_is_asked_for),
		cmocka_unit_test(every_pin_has_a_text_and_a_word_of_its_own),
		cmocka_unit_test(rows_become_settings_and_pins),
		cmocka_unit_test(what_it_listens_to_is_told_by_name),
		cmocka_unit_test(a_privileged_setting_under_another_role_stays_where_it_is),
		cmocka_unit_test(what_is_too_long_or_too_much_stays_where_it_is),
		cmocka_unit_test(what_is_beyond_ascii_is_told_in_bytes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
