#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/reader.h"

static struct reader of(const void *at, size_t n)
{
	return reader_of(span_of(at, n));
}

static void fields_are_read_in_network_order(void **state)
{
	static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0xfe, 0xdc, 0xba, 0x98, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfd };
	struct reader r = of(bytes, sizeof bytes);

	(void)state;
	assert_int_equal(read_u8(&r), 0x01);
	assert_int_equal(read_u16(&r), 0x0203);
	assert_int_equal(read_u32(&r), 0xfedcba98);
	assert_int_equal(read_u16(&r), 0xfffe);
	assert_false(reader_done(&r));
	assert_int_equal(read_i32(&r), -3);
	assert_true(reader_ok(&r));
	assert_true(reader_done(&r));
}

static void after_the_first_miss_everything_is_empty(void **state)
{
	struct reader r = of("\1\2\3\4\5", 5);

	(void)state;
	assert_int_equal(read_u32(&r), 0x01020304);
	assert_int_equal(read_u16(&r), 0);
	assert_false(reader_ok(&r));
	assert_int_equal(read_u8(&r), 0); /* the byte that is left is not given to a later field */
	assert_int_equal(read_string(&r).length, 0);
	assert_int_equal(read_bytes(&r, 1).length, 0);
	assert_int_equal(reader_left(&r), 0);
	assert_false(reader_done(&r));
}

static void a_string_ends_at_its_zero_and_must_have_one(void **state)
{
	struct reader r = of("ab\0\0cd", 6);
	struct span s;

	(void)state;
	s = read_string(&r);
	assert_true(span_is(s, "ab"));
	assert_int_equal(s.at[s.length], 0);
	s = read_string(&r);
	assert_int_equal(s.length, 0);
	assert_int_equal(s.at[0], 0);
	assert_true(reader_ok(&r));
	s = read_string(&r);
	assert_int_equal(s.length, 0);
	assert_false(reader_ok(&r));
}

static void nothing_can_be_read_from_nothing(void **state)
{
	struct reader r = reader_of((struct span){ 0 });

	(void)state;
	assert_true(reader_done(&r));
	assert_int_equal(read_bytes(&r, 0).length, 0);
	assert_true(reader_done(&r));
	read_string(&r);
	assert_false(reader_ok(&r));
	r = reader_of((struct span){ 0 });
	read_u8(&r);
	assert_false(reader_ok(&r));
}

static void more_bytes_than_there_are_is_bad_however_many(void **state)
{
	struct reader r = of("abc", 3);

	(void)state;
	assert_int_equal(read_bytes(&r, SIZE_MAX).length, 0);
	assert_false(reader_ok(&r));
	r = of("abc", 3);
	assert_true(span_is(read_bytes(&r, 3), "abc"));
	assert_true(reader_done(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_read_in_network_order),
		cmocka_unit_test(after_the_first_miss_everything_is_empty),
		cmocka_unit_test(a_string_ends_at_its_zero_and_must_have_one),
		cmocka_unit_test(nothing_can_be_read_from_nothing),
		cmocka_unit_test(more_bytes_than_there_are_is_bad_however_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
