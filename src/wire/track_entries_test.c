/* The tracker's entries one by one: their tags, their number, and that none is left of a server that is lent on. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "wire/track.h"

static void only_what_the_client_asked_for_counts_as_its_ready_for_query(void **state)
{
	struct track t;

	(void)state;
	track_init(&t);
	(void)track_take(&t, 'Z', 'I'); /* the end of the login */
	assert_int_equal(track_readies(&t), 0);
	assert_true(track_push(&t, TRACK_QUERY, 0, 0));
	assert_true(track_push(&t, TRACK_QUERY, TRACK_OURS, 1));
	assert_true(track_push(&t, TRACK_PARSE, 0, 0));
	assert_true(track_push(&t, TRACK_SYNC, 0, 0));
	assert_int_equal(track_readies(&t), 2); /* the second Query is ours */
	assert_int_equal(track_take(&t, 'C', 0).verdict, TRACK_FORWARD);
	assert_int_equal(track_take(&t, 'Z', 'I').verdict, TRACK_FORWARD);
	assert_int_equal(track_readies(&t), 1);
	assert_int_equal(track_take(&t, 'C', 0).verdict, TRACK_KEEP);
	assert_int_equal(track_take(&t, 'Z', 'I').verdict, TRACK_KEEP);
	assert_int_equal(track_readies(&t), 1);
	track_fini(&t);
}

static jmp_buf out;

static void leave(const char *report)
{
	(void)report;
	longjmp(out, 1);
}

static void lending_a_server_that_is_not_free_is_caught(void **state)
{
	static struct track t;

	(void)state;
	track_init(&t);
	track_take(&t, 'Z', 'I');
	track_reset(&t);
	assert_true(track_idle(&t));
	assert_true(track_push(&t, TRACK_PARSE, 0, 0));
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		track_reset(&t);
		fail_msg("not caught: a reply is owed");
	}
	track_take(&t, '1', 0);
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		track_reset(&t);
		fail_msg("not caught: no Sync yet");
	}
	assert_true(track_push(&t, TRACK_SYNC, 0, 0));
	track_take(&t, 'Z', 'I');
	track_take(&t, 'C', 0);
	check_set_hook(leave);
	if (setjmp(out) == 0) {
		track_reset(&t);
		fail_msg("not caught: suspect");
	}
	check_set_hook(NULL);
	track_fini(&t);
}

static void tags_come_back_with_their_entries(void **state)
{
	struct track_entry entry;
	struct track_reply reply;
	struct track t;

	(void)state;
	track_init(&t);
	assert_true(track_push(&t, TRACK_PARSE, TRACK_OURS, 11));
	assert_true(track_push(&t, TRACK_PARSE, TRACK_FAKE, 12));
	assert_true(track_push(&t, TRACK_BIND, 0, 13));
	assert_true(track_push(&t, TRACK_PARSE, 0, 14));
	assert_true(track_push(&t, TRACK_CLOSE, TRACK_FAKE, 15));
	reply = track_take(&t, '1', 0);
	assert_true(reply.owed && reply.finished);
	assert_int_equal(reply.entry.tag, 11);
	assert_int_equal(reply.entry.flags, TRACK_OURS);
	assert_true(track_fake(&t, &entry));
	assert_int_equal(entry.tag, 12);
	reply = track_take(&t, 'N', 0);
	assert_true(reply.owed && !reply.finished);
	assert_int_equal(reply.entry.tag, 13);
	reply = track_take(&t, 'E', 0);
	assert_true(reply.failed && reply.finished);
	assert_int_equal(reply.entry.tag, 13);
	assert_true(track_dropped(&t, &entry));
	assert_int_equal(entry.tag, 14);
	assert_true(track_dropped(&t, &entry));
	assert_int_equal(entry.tag, 15);
	assert_int_equal(entry.flags, TRACK_FAKE);
	assert_false(track_dropped(&t, &entry));
	reply = track_take(&t, 'N', 0);
	assert_false(reply.owed);
	track_fini(&t);
}

static void drops_may_be_collected_late(void **state)
{
	struct track_entry entry;
	uint32_t sent = 0, seen = 0;
	struct track t;

	(void)state;
	track_init(&t);
	assert_true(track_push(&t, TRACK_PARSE, 0, 0));
	track_take(&t, 'E', 0);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 7; i++)
			assert_true(track_push(&t, TRACK_BIND, 0, sent++));
		for (int i = 0; i < 5; i++) {
			assert_true(track_dropped(&t, &entry));
			assert_int_equal(entry.tag, seen++);
		}
	}
	while (track_dropped(&t, &entry))
		assert_int_equal(entry.tag, seen++);
	assert_int_equal(seen, sent);
	track_fini(&t);
}

static void a_long_pipeline_is_bounded_and_survives_an_error(void **state)
{
	struct track_entry entry;
	struct track t;

	(void)state;
	track_init(&t);
	for (uint32_t i = 0; i < TRACK_MAX; i++)
		assert_true(track_push(&t, TRACK_PARSE, 0, i));
	assert_false(track_push(&t, TRACK_PARSE, 0, 0));
	for (int i = 0; i < 1000; i++)
		assert_true(track_take(&t, '1', 0).finished);
	for (uint32_t i = 0; i < 999; i++)
		assert_true(track_push(&t, TRACK_BIND, 0, TRACK_MAX + i));
	assert_true(track_push(&t, TRACK_SYNC, 0, 0));
	track_take(&t, 'E', 0);
	for (uint32_t i = 1001; i < TRACK_MAX + 999; i++) {
		assert_true(track_dropped(&t, &entry));
		assert_int_equal(entry.tag, i);
	}
	assert_false(track_dropped(&t, &entry));
	track_take(&t, 'Z', 'I');
	assert_true(track_idle(&t));
	track_reset(&t);
	assert_null(t.ring);
	assert_int_equal(t.status, 'I');
	track_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_client_asked_for_counts_as_its_ready_for_query),
		cmocka_unit_test(lending_a_server_that_is_not_free_is_caught),
		cmocka_unit_test(tags_come_back_with_their_entries),
		cmocka_unit_test(drops_may_be_collected_late),
		cmocka_unit_test(a_long_pipeline_is_bounded_and_survives_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
