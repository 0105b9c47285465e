#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wire/frame.h"

static enum frame_result peek(const char *bytes, size_t n, struct frame *out)
{
	return frame_peek(span_of(bytes, n), out);
}

static void a_header_needs_five_bytes(void **state)
{
	struct frame f;

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(peek("Q\0\0\0\4", n, &f), FRAME_MORE);
	assert_int_equal(peek("Q\0\0\0\4", 5, &f), FRAME_HERE);
	assert_int_equal(f.type, 'Q');
	assert_int_equal(f.body, 0);
}

static void a_length_that_cannot_be_is_bad(void **state)
{
	struct frame f;

	(void)state;
	assert_int_equal(peek("Q\0\0\0\3", 5, &f), FRAME_BAD);
	assert_int_equal(peek("Q\0\0\0\0", 5, &f), FRAME_BAD);
	assert_int_equal(peek("Q\200\0\0\0", 5, &f), FRAME_BAD);
	assert_int_equal(peek("Q\377\377\377\377", 5, &f), FRAME_BAD);
	assert_int_equal(peek("d\177\377\377\377", 5, &f), FRAME_HERE);
	assert_int_equal(f.body, 0x7ffffffb);
	assert_int_equal(peek("d\1\2\3\4rest", 9, &f), FRAME_HERE);
	assert_int_equal(f.body, 0x01020300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_needs_five_bytes),
		cmocka_unit_test(a_length_that_cannot_be_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
