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

static enum frame_result whole(const char *bytes, size_t n, uint32_t most, const char **problem)
{
	struct frame f;

	return frame_whole(span_of(bytes, n), most, &f, problem);
}

static void a_message_is_taken_when_all_of_it_is_here(void **state)
{
	const char *problem = NULL;

	(void)state;
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(whole("Q\0\0\0\7abc", n, 3, &problem), FRAME_MORE);
	assert_int_equal(whole("Q\0\0\0\7abc", 8, 3, &problem), FRAME_HERE);
	assert_int_equal(whole("Q\0\0\0\7abcZ", 9, 3, &problem), FRAME_HERE);
	assert_null(problem);
	assert_int_equal(whole("Q\0\0\0\7", 5, 2, &problem), FRAME_BAD); /* nobody waits for the rest */
	assert_string_equal(problem, "the server sent a message that is too long");
	assert_int_equal(whole("Q\0\0\0\3", 5, 2, &problem), FRAME_BAD);
	assert_string_equal(problem, "the server does not speak PostgreSQL's protocol");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_needs_five_bytes),
		cmocka_unit_test(a_length_that_cannot_be_is_bad),
		cmocka_unit_test(a_message_is_taken_when_all_of_it_is_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
