#include "session/suit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/writer.h"

static struct nature reported(const char *standby, const char *read_only)
{
	struct params_book *book = params_book_new();
	struct params *set = params_empty(book);
	struct nature nature;

	assert_true(params_put(&set, span_text("server_version"), span_text("14.1")));
	if (standby)
		assert_true(params_put(&set, span_text("in_hot_standby"), span_text(standby)));
	if (read_only)
		assert_true(params_put(&set, span_text("default_transaction_read_only"), span_text(read_only)));
	nature = nature_reported(set);
	params_drop(set);
	params_book_free(book);
	return nature;
}

static struct nature answered(unsigned columns, const char *a, const char *b)
{
	const char *values[] = { a, b };
	struct buf row = { 0 };
	struct writer w = writer_to(&row);
	struct nature nature;

	write_u16(&w, (uint16_t)columns);
	for (unsigned i = 0; i < 2; i++) {
		write_u32(&w, values[i] ? (uint32_t)strlen(values[i]) : UINT32_MAX);
		if (values[i])
			write_bytes(&w, values[i], strlen(values[i]));
	}
	nature = nature_read(buf_span(&row));
	buf_fini(&row);
	return nature;
}

static void an_old_server_says_too_little(void **state)
{
	(void)state;
	assert_false(reported(NULL, NULL).known);
	assert_false(reported("off", NULL).known);
	assert_false(reported(NULL, "off").known);
	assert_true(reported("off", "off").known);
}

static void a_row_that_is_not_the_answer_says_nothing(void **state)
{
	(void)state;
	assert_false(answered(1, "f", "off").known);
	assert_false(answered(3, "f", "off").known);
	assert_false(nature_read(span_of("\0\2\0\0\0\1", 6)).known);
	assert_false(nature_read(span_of("\0\2\0\0\0\1f\0\0\0\3off!", 15)).known);
	assert_false(nature_read(span_of("\0\2\x7f\xff\xff\xff", 6)).known);
	assert_true(answered(2, "f", "off").known);
	assert_true(answered(2, "t", NULL).standby);
}

/* The table of libpq's documentation. */
static void each_target_takes_what_it_means(void **state)
{
	static const struct {
		enum target target;
		bool primary, read_only_primary, standby;
	} table[] = {
		{ TARGET_ANY, true, true, true },
		{ TARGET_READ_WRITE, true, false, false },
		{ TARGET_READ_ONLY, false, true, true },
		{ TARGET_PRIMARY, true, true, false },
		{ TARGET_STANDBY, false, false, true },
		{ TARGET_PREFER_STANDBY, false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		enum target target = table[i].target;

		assert_int_equal(!nature_lacks(reported("off", "off"), target), table[i].primary);
		assert_int_equal(!nature_lacks(reported("off", "on"), target), table[i].read_only_primary);
		assert_int_equal(!nature_lacks(reported("on", "off"), target), table[i].standby);
		assert_int_equal(!nature_lacks(answered(2, "f", "off"), target), table[i].primary);
		assert_int_equal(!nature_lacks(answered(2, "f", "on"), target), table[i].read_only_primary);
		assert_int_equal(!nature_lacks(answered(2, "t", "on"), target), table[i].standby);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_server_says_too_little),
		cmocka_unit_test(a_row_that_is_not_the_answer_says_nothing),
		cmocka_unit_test(each_target_takes_what_it_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
