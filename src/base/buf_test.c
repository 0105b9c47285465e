#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/rng.h"

static jmp_buf out;

static void leave(const char *report)
{
	(void)report;
	longjmp(out, 1);
}

static void an_empty_buf_owns_nothing(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(buf_span(&b).length, 0);
	assert_true(buf_add(&b, NULL, 0));
	buf_consume(&b, 0);
	buf_clear(&b);
	assert_null(b.at);
	buf_fini(&b);
	buf_wipe(&b);
	assert_int_equal(b.capacity, 0);
}

static void bytes_come_out_as_they_went_in(void **state)
{
	static uint8_t model[200000];
	size_t first = 0, last = 0;
	struct buf b = { 0 };
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int step = 0; step < 20000; step++) {
		size_t n = rng_below(&r, rng_chance(&r, 20) ? 5000 : 50);

		if (rng_chance(&r, 480) && last + n < sizeof model) {
			rng_fill(&r, model + last, n);
			if (rng_chance(&r, 500)) {
				assert_true(buf_add(&b, model + last, n));
			} else if (n > 0) {
				assert_true(buf_reserve(&b, n));
				memcpy(buf_end(&b), model + last, n);
				buf_grew(&b, n);
			}
			last += n;
		} else if (rng_chance(&r, 5)) {
			buf_clear(&b);
			first = last;
		} else {
			n = n < last - first ? n : last - first;
			buf_consume(&b, n);
			first += n;
		}
		if (last > sizeof model - 6000) {
			memmove(model, model + first, last - first);
			last -= first;
			first = 0;
		}
		assert_true(span_equal(buf_span(&b), span_of(model + first, last - first)));
		assert_true(b.start + b.length <= b.capacity);
	}
	buf_fini(&b);
	assert_null(b.at);
}

static void a_queue_that_keeps_flowing_does_not_grow(void **state)
{
	const uint8_t chunk[1000] = { 1 };
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(buf_add(&b, chunk, sizeof chunk));
		if (i > 0)
			buf_consume(&b, sizeof chunk);
	}
	assert_int_equal(b.length, sizeof chunk);
	assert_true(b.capacity <= 8192);
	buf_fini(&b);
}

static void what_no_memory_can_hold_is_refused_and_changes_nothing(void **state)
{
	struct buf b = { 0 }, before;

	(void)state;
	assert_true(buf_add(&b, "abc", 3));
	before = b;
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_reserve(&b, SIZE_MAX / 2));
	assert_memory_equal(&b, &before, sizeof b);
	assert_true(span_is(buf_span(&b), "abc"));
	buf_fini(&b);
}

static void a_wiped_buf_is_usable_again(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_add(&b, "secret", 6));
	buf_wipe(&b);
	assert_null(b.at);
	assert_int_equal(b.length, 0);
	assert_true(buf_add(&b, "x", 1));
	assert_true(span_is(buf_span(&b), "x"));
	buf_fini(&b);
}

static void consuming_more_than_waits_is_caught(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_add(&b, "abc", 3));
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		buf_consume(&b, 4);
		fail_msg("not caught");
	}
	check_set_hook(NULL);
	assert_int_equal(b.length, 3);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buf_owns_nothing),
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(a_queue_that_keeps_flowing_does_not_grow),
		cmocka_unit_test(what_no_memory_can_hold_is_refused_and_changes_nothing),
		cmocka_unit_test(a_wiped_buf_is_usable_again),
		cmocka_unit_test(consuming_more_than_waits_is_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
