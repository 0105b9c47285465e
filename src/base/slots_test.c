#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/slots.h"

static jmp_buf out;
static int objects[1000];

static void leave(const char *report)
{
	(void)report;
	longjmp(out, 1);
}

static void a_stale_handle_is_a_miss(void **state)
{
	struct handle old, new;
	struct slots s;

	(void)state;
	slots_init(&s, 1);
	assert_true(slots_add(&s, &objects[0], &old));
	assert_ptr_equal(slots_get(&s, old), &objects[0]);
	slots_remove(&s, old);
	assert_null(slots_get(&s, old));
	assert_true(slots_add(&s, &objects[1], &new));
	assert_int_equal(new.slot, old.slot);
	assert_false(handle_equal(old, new));
	assert_null(slots_get(&s, old));
	assert_ptr_equal(slots_get(&s, new), &objects[1]);
	assert_ptr_equal(slots_at(&s, new.slot), &objects[1]);
	slots_fini(&s);
}

static void an_all_zero_handle_names_nobody(void **state)
{
	struct handle none = { 0 }, h;
	struct slots s;

	(void)state;
	slots_init(&s, 10);
	assert_true(handle_none(none));
	assert_null(slots_get(&s, none));
	assert_true(slots_add(&s, &objects[0], &h));
	assert_int_equal(h.slot, 0);
	assert_false(handle_none(h));
	assert_null(slots_get(&s, none));
	assert_null(slots_get(&s, (struct handle){ .slot = 5000, .generation = 1 }));
	assert_null(slots_at(&s, 5000));
	slots_fini(&s);
}

static void a_full_table_refuses(void **state)
{
	struct handle h[40];
	struct slots s;

	(void)state;
	slots_init(&s, 39);
	for (int i = 0; i < 39; i++)
		assert_true(slots_add(&s, &objects[i], &h[i]));
	assert_false(slots_add(&s, &objects[39], &h[39]));
	slots_remove(&s, h[7]);
	assert_true(slots_add(&s, &objects[39], &h[39]));
	assert_int_equal(h[39].slot, h[7].slot);
	slots_fini(&s);
	slots_init(&s, 0);
	assert_false(slots_add(&s, &objects[0], &h[0]));
	slots_fini(&s);
}

static void slots_are_reused_oldest_freed_first(void **state)
{
	struct handle h[16], again;
	struct slots s;

	(void)state;
	slots_init(&s, 16);
	for (int i = 0; i < 16; i++)
		assert_true(slots_add(&s, &objects[i], &h[i]));
	slots_remove(&s, h[9]);
	slots_remove(&s, h[2]);
	slots_remove(&s, h[5]);
	assert_true(slots_add(&s, &objects[0], &again));
	assert_int_equal(again.slot, h[9].slot);
	assert_true(slots_add(&s, &objects[0], &again));
	assert_int_equal(again.slot, h[2].slot);
	assert_true(slots_add(&s, &objects[0], &again));
	assert_int_equal(again.slot, h[5].slot);
	slots_fini(&s);
}

static void removing_a_stale_handle_is_caught(void **state)
{
	struct handle h;
	struct slots s;

	(void)state;
	slots_init(&s, 4);
	assert_true(slots_add(&s, &objects[0], &h));
	slots_remove(&s, h);
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		slots_remove(&s, h);
		fail_msg("not caught");
	}
	check_set_hook(NULL);
	slots_fini(&s);
}

static void a_walk_finds_every_object_once(void **state)
{
	struct handle live[1000];
	bool there[1000] = { false };
	struct slots s;
	struct rng r;

	(void)state;
	rng_seed(&r, 7);
	slots_init(&s, 1000);
	for (int step = 0; step < 5000; step++) {
		size_t i = rng_below(&r, 1000);
		uint32_t at = 0, seen = 0;
		int *object;

		if (there[i])
			slots_remove(&s, live[i]);
		else
			assert_true(slots_add(&s, &objects[i], &live[i]));
		there[i] = !there[i];
		if (step % 100 != 0)
			continue;
		while ((object = slots_next(&s, &at)) != NULL) {
			assert_true(there[object - objects]);
			assert_ptr_equal(slots_get(&s, live[object - objects]), object);
			assert_int_equal(live[object - objects].slot, at - 1);
			seen++;
		}
		assert_int_equal(seen, s.used);
	}
	slots_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_handle_is_a_miss),
		cmocka_unit_test(an_all_zero_handle_names_nobody),
		cmocka_unit_test(a_full_table_refuses),
		cmocka_unit_test(slots_are_reused_oldest_freed_first),
		cmocka_unit_test(removing_a_stale_handle_is_caught),
		cmocka_unit_test(a_walk_finds_every_object_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
