/* Whether two descriptions say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/shape.h"

#define COLUMN(table, number, type, modifier) \
	"\0\0\100" table "\0" number "\0\0\0" type "\0\4\377\377\377" modifier "\0\0"
#define SHAPE(type, body) shape_of(type, span_of(body, sizeof(body) - 1), sizeof(body))

static uint32_t shape_of(char type, struct span body, size_t portion)
{
	struct shape_reader r;

	shape_begin(&r, type);
	while (body.length > 0) {
		size_t n = portion < body.length ? portion : body.length;

		shape_read(&r, span_of(body.at, n));
		body = span_skip(body, n);
	}
	return shape_end(&r);
}

#define INT_A    "a\0" COLUMN("\1", "\1", "\27", "\377")
#define BIGINT_A "a\0" COLUMN("\1", "\1", "\24", "\377")
#define INT_B    "b\0" COLUMN("\1", "\2", "\27", "\377")

static void a_column_is_its_name_and_its_type(void **state)
{
	uint32_t a = SHAPE('T', "\0\1" INT_A);

	(void)state;
	assert_int_equal(a, SHAPE('T', "\0\1" INT_A));
	assert_int_not_equal(a, SHAPE('T', "\0\1" BIGINT_A));
	assert_int_not_equal(a, SHAPE('T', "\0\1" INT_B));
	assert_int_not_equal(a, SHAPE('T', "\0\1a\0" COLUMN("\1", "\1", "\27", "\376")));
	assert_int_not_equal(a, SHAPE('T', "\0\2" INT_A INT_B));
	assert_int_not_equal(SHAPE('T', "\0\2" INT_B INT_A), SHAPE('T', "\0\2" INT_A INT_B));
	assert_int_not_equal(SHAPE('T', "\0\2" INT_A INT_B), SHAPE('T', "\0\2" BIGINT_A INT_B));
	/* Of a table that was made anew, and of a later place there. */
	assert_int_equal(a, SHAPE('T', "\0\1a\0" COLUMN("\2", "\7", "\27", "\377")));
	assert_int_equal(
		SHAPE('T', "\0\2" INT_A INT_B), SHAPE('T', "\0\2" INT_A "b\0" COLUMN("\0", "\0", "\27", "\377")));
}

static void parameters_are_their_types(void **state)
{
	(void)state;
	assert_int_equal(SHAPE('t', "\0\1\0\0\0\27"), SHAPE('t', "\0\1\0\0\0\27"));
	assert_int_not_equal(SHAPE('t', "\0\1\0\0\0\27"), SHAPE('t', "\0\1\0\0\0\24"));
	assert_int_not_equal(SHAPE('t', "\0\1\0\0\0\27"), SHAPE('t', "\0\2\0\0\0\27\0\0\0\27"));
}

static void nothing_is_said_apart_from_what_is_not_known(void **state)
{
	(void)state;
	assert_int_equal(SHAPE('t', "\0\0"), SHAPE_NONE);
	assert_int_equal(shape_of('n', span_of("", 0), 1), SHAPE_NONE);
	/* SELECT without columns returns rows, and no statement's columns are those. */
	assert_true(SHAPE('T', "\0\0") > SHAPE_NONE);
}

static void it_comes_in_portions(void **state)
{
	static const char both[] = "\0\2" INT_A INT_B;

	(void)state;
	for (size_t portion = 1; portion < sizeof both; portion++)
		assert_int_equal(
			shape_of('T', span_of(both, sizeof both - 1), portion), SHAPE('T', "\0\2" INT_A INT_B));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_column_is_its_name_and_its_type),
		cmocka_unit_test(parameters_are_their_types),
		cmocka_unit_test(nothing_is_said_apart_from_what_is_not_known),
		cmocka_unit_test(it_comes_in_portions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
