#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/intern.h"
#include "base/rng.h"

static jmp_buf out;

static void leave(const char *report)
{
	(void)report;
	longjmp(out, 1);
}

static void equal_texts_are_one_text(void **state)
{
	struct intern in;
	struct text *a, *b, *c;

	(void)state;
	intern_init(&in);
	a = intern_take(&in, span_text("select 1"));
	b = intern_take(&in, span_text("select 1"));
	c = intern_take(&in, span_text("select 2"));
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_int_equal(a->references, 2);
	assert_string_equal(a->at, "select 1");
	assert_int_equal(a->length, 8);
	intern_drop(&in, a);
	assert_string_equal(b->at, "select 1");
	intern_drop(&in, b);
	assert_int_equal(in.count, 1);
	intern_keep(c);
	intern_drop(&in, c);
	intern_drop(&in, c);
	intern_drop(&in, NULL);
	assert_int_equal(in.bytes, 0);
	intern_fini(&in);
}

static void a_zero_inside_a_text_counts(void **state)
{
	struct intern in;
	struct text *a, *b, *empty;

	(void)state;
	intern_init(&in);
	a = intern_take(&in, span_of("a\0b", 3));
	b = intern_take(&in, span_of("a\0c", 3));
	empty = intern_take(&in, (struct span){ 0 });
	assert_ptr_not_equal(a, b);
	assert_int_equal(empty->length, 0);
	assert_string_equal(empty->at, "");
	intern_drop(&in, a);
	intern_drop(&in, b);
	intern_drop(&in, empty);
	intern_fini(&in);
}

static void many_texts_come_and_go_and_nothing_is_left(void **state)
{
	static struct text *held[3000];
	struct intern in;
	struct rng r;
	size_t live = 0;

	(void)state;
	rng_seed(&r, 3);
	intern_init(&in);
	for (int step = 0; step < 30000; step++) {
		size_t i = rng_below(&r, 3000);
		char text[32];

		/* Two slots share each text. */
		snprintf(text, sizeof text, "statement %zu", i / 2);
		if (held[i]) {
			assert_string_equal(held[i]->at, text);
			intern_drop(&in, held[i]);
			held[i] = NULL;
		} else {
			held[i] = intern_take(&in, span_text(text));
			assert_non_null(held[i]);
			assert_true(held[i ^ 1] == NULL || held[i] == held[i ^ 1]);
		}
	}
	for (size_t i = 0; i < 3000; i += 2)
		live += held[i] || held[i + 1];
	assert_int_equal(in.count, live);
	for (size_t i = 0; i < 3000; i++)
		intern_drop(&in, held[i]);
	assert_int_equal(in.count, 0);
	intern_fini(&in);
}

static void a_table_that_still_holds_texts_may_not_end(void **state)
{
	struct intern in;
	struct text *a;

	(void)state;
	intern_init(&in);
	a = intern_take(&in, span_text("held"));
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		intern_fini(&in);
		fail_msg("not caught");
	}
	check_set_hook(NULL);
	intern_drop(&in, a);
	intern_fini(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_are_one_text),
		cmocka_unit_test(a_zero_inside_a_text_counts),
		cmocka_unit_test(many_texts_come_and_go_and_nothing_is_left),
		cmocka_unit_test(a_table_that_still_holds_texts_may_not_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
