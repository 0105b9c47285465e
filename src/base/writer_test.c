#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"

static void what_is_written_is_read_back(void **state)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);
	struct reader r;

	(void)state;
	write_u8(&w, 200);
	write_u16(&w, 60000);
	write_u32(&w, 4000000000u);
	write_string(&w, "name");
	write_span(&w, span_text("xyz"));
	write_string_span(&w, span_of("cut\0off", 7));
	write_string_span(&w, (struct span){ 0 });
	assert_true(writer_ok(&w));
	r = reader_of(buf_span(&b));
	assert_int_equal(read_u8(&r), 200);
	assert_int_equal(read_u16(&r), 60000);
	assert_int_equal(read_u32(&r), 4000000000u);
	assert_true(span_is(read_string(&r), "name"));
	assert_true(span_is(read_bytes(&r, 3), "xyz"));
	assert_true(span_is(read_string(&r), "cut"));
	assert_true(span_is(read_string(&r), ""));
	assert_true(reader_done(&r));
	buf_fini(&b);
}

static void a_message_counts_its_length_but_not_its_type(void **state)
{
	struct buf b = { 0 };
	struct writer w;
	size_t mark;

	(void)state;
	/* Not at the front of the memory, and the memory moves while the message is written. */
	assert_true(buf_add(&b, "0123456789", 10));
	buf_consume(&b, 5);
	w = writer_to(&b);
	mark = message_begin(&w, 'Q');
	for (int i = 0; i < 1000; i++)
		write_u8(&w, 'x');
	message_end(&w, mark);
	mark = message_begin(&w, 0);
	write_u32(&w, 7);
	message_end(&w, mark);
	assert_true(writer_ok(&w));
	assert_int_equal(b.length, 5 + 1005 + 8);
	assert_memory_equal(buf_span(&b).at, "56789Q\0\0\3\354x", 11);
	assert_memory_equal(buf_span(&b).at + 1010, "\0\0\0\10\0\0\0\7", 8);
	buf_fini(&b);
}

static void what_cannot_be_written_whole_leaves_nothing(void **state)
{
	struct buf b = { 0 };
	struct writer w;
	size_t mark;

	(void)state;
	assert_true(buf_add(&b, "kept", 4));
	w = writer_to(&b);
	mark = message_begin(&w, 'D');
	write_string(&w, "some");
	write_bytes(&w, "", SIZE_MAX / 2); /* refused before a byte is read */
	write_u32(&w, 1);
	message_end(&w, mark);
	mark = message_begin(&w, 'D');
	message_end(&w, mark);
	assert_false(writer_ok(&w));
	assert_true(span_is(buf_span(&b), "kept"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_message_counts_its_length_but_not_its_type),
		cmocka_unit_test(what_cannot_be_written_whole_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
