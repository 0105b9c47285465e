/* Which numbers of sequences a text asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "session/asked.h"

static bool note(void *context, const char *name)
{
	struct buf *all = context;

	assert_true(buf_format(all, all->length > 0 ? " %s" : "%s", name ? name : "lastval"));
	return strcmp(name ? name : "", "\"enough\"") != 0;
}

/* NULL: it is not known. */
static const char *asked(const char *text, const void *values, size_t length)
{
	static char told[1000];
	struct buf all = { 0 };
	bool known = asked_each(span_text(text), span_of(values, length), note, &all);

	text_copy_span(told, sizeof told, buf_span(&all));
	buf_fini(&all);
	return known ? told : NULL;
}

static void the_sequences_of_a_text_are_told(void **state)
{
	static const char *const cases[][2] = {
		{ "SELECT currval('a')", "\"a\"" },
		{ "select CURRVAL ( 'A.Bc' :: regclass )", "\"a\".\"bc\"" },
		{ "SELECT pg_catalog.currval('\"A\".\"b c\"'::text::regclass), lastval( )", "\"A\".\"b c\" lastval" },
		{ "INSERT INTO t VALUES (currval('a'),\ncurrval('b'))", "\"a\" \"b\"" },
		{ "SELECT lastval()", "lastval" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(asked(cases[i][0], "", 0), cases[i][1]);
}

static void what_asks_in_another_way_is_not_known(void **state)
{
	static const char *const cases[] = { "SELECT 1", "SELECT currval(a) FROM t", "SELECT currval('a' || 'b')",
		"SELECT currval(E'a')", "SELECT currval('a''b')", "SELECT currval('a\\b')", "SELECT currval('a.b.c')",
		"SELECT currval('a.')", "SELECT currval('')", "SELECT currval('1a')", "SELECT currval('\"a')",
		"SELECT currval('\"a\"\"b\"')", "SELECT currval('\xc3\x9c')", "SELECT currval($1)",
		"SELECT currval('a'::name)", "SELECT \"currval\"('a')", "SELECT mycurrval('a')",
		"SELECT currval -- x\n('a')", "SELECT currval('a') /* lastval */", "SELECT currval('a",
		"SELECT currval(", "SELECT lastval", "SELECT currval('enough')",
		"SELECT currval('abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz')" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (asked(cases[i], "", 0))
			fail_msg("%s", cases[i]);
}

static void a_parameter_is_looked_up_in_its_bind(void **state)
{
	static const char texts[] = "\0\0\0\3\0\0\0\1x\377\377\377\377\0\0\0\3S.a\0\0",
			  binary[] = "\0\1\0\1\0\1\0\0\0\1a\0\0";

	(void)state;
	assert_string_equal(asked("SELECT currval($3::regclass)", texts, sizeof texts - 1), "\"s\".\"a\"");
	assert_string_equal(asked("SELECT currval($1)", texts, sizeof texts - 1), "\"x\"");
	assert_null(asked("SELECT currval($2)", texts, sizeof texts - 1));
	assert_null(asked("SELECT currval($4)", texts, sizeof texts - 1));
	assert_null(asked("SELECT currval($0)", texts, sizeof texts - 1));
	assert_null(asked("SELECT currval($3)", texts, 12));
	assert_null(asked("SELECT currval($1)", binary, sizeof binary - 1));
}

static void a_name_of_the_catalogue_is_said_the_same_way(void **state)
{
	char out[ASKED_NAME_MAX] = "";

	(void)state;
	asked_quote(out, span_text("a\"B"));
	assert_string_equal(out, "\"a\"\"B\"");
}

/* As no PostgreSQL has them, but as anything may send them. */
static void names_beyond_all_measure_stay_within_their_room(void **state)
{
	struct {
		char out[ASKED_NAME_MAX], behind[8];
	} room;
	char name[400];

	(void)state;
	for (size_t length = 0; length < sizeof name; length++) {
		memset(&room, 0, sizeof room);
		memset(room.behind, 'x', sizeof room.behind);
		memset(name, length % 3 ? 'a' : '"', length);
		asked_quote(room.out, span_of(name, length));
		memcpy(room.out + strlen(room.out), ".", 2);
		asked_quote(room.out, span_of(name, length));
		assert_true(strlen(room.out) < sizeof room.out);
		for (size_t i = 0; i < sizeof room.behind; i++)
			assert_int_equal(room.behind[i], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sequences_of_a_text_are_told),
		cmocka_unit_test(what_asks_in_another_way_is_not_known),
		cmocka_unit_test(a_parameter_is_looked_up_in_its_bind),
		cmocka_unit_test(a_name_of_the_catalogue_is_said_the_same_way),
		cmocka_unit_test(names_beyond_all_measure_stay_within_their_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
