/* Each notification once, in the order in which PostgreSQL has them, whichever of the two sides tells it first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "session/hearing.h"
#include "wire/message.h"

#define SERVER 77
#define CLIENT 5
#define MARK   "the mark"

static struct buf message;

static struct span notification(uint32_t process, const char *topic, const char *payload)
{
	struct writer w;
	size_t mark;

	buf_clear(&message);
	w = writer_to(&message);
	mark = message_begin(&w, 'A');
	write_u32(&w, process);
	write_string(&w, topic);
	write_string(&w, payload);
	message_end(&w, mark);
	return buf_span(&message);
}

static void hold(struct hearing *h, uint32_t process, const char *topic, const char *payload)
{
	hearing_hold(h, notification(process, topic, payload), SERVER);
}

static enum heard take(struct hearing *h, uint32_t process, const char *topic, const char *payload)
{
	return hearing_take(h, notification(process, topic, payload), SERVER, MARK);
}

/* "topic payload process, ..." of all that waited. */
static const char *told(struct hearing *h)
{
	static char text[65536];
	struct buf out = { 0 };
	struct span rest;
	size_t length = 0;

	text[0] = 0;
	assert_true(hearing_write(h, SERVER, CLIENT, &out));
	for (rest = buf_span(&out); rest.length > 0;) {
		uint32_t body = (uint32_t)rest.at[3] << 8 | rest.at[4], process;
		struct span topic, payload;

		assert_true(message_read_notification(span_of(rest.at + 5, body - 4), &process, &topic, &payload));
		length += text_format(text + length, sizeof text - length, "%s%s%s by %u", length > 0 ? ", " : "",
			(const char *)topic.at, (const char *)payload.at, process);
		rest = span_skip(rest, body + 1);
	}
	buf_fini(&out);
	assert_true(hearing_is_empty(h));
	return text;
}

static struct hearing *hearing_of(const char *topic)
{
	struct hearing *h = hearing_new();

	assert_non_null(h);
	if (topic)
		assert_true(topics_add(&h->shared, span_text(topic)));
	return h;
}

static void what_is_held_comes_in_order(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	hold(h, 1, "o", "1");
	hold(h, 2, "o", "2");
	hold(h, 1, "o", "1");
	assert_string_equal(told(h), "o1 by 1, o2 by 2, o1 by 1");
	assert_string_equal(told(h), "");
	hearing_free(h);
}

/* The server was lent to somebody before, who notified, and the ear tells of it late. */
static void only_its_own_bear_the_clients_process_id(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	hold(h, SERVER, "o", "stranger's");
	assert_int_equal(take(h, SERVER, "o", "mine"), HEARD_NOTED);
	assert_int_equal(take(h, 9, "o", "another"), HEARD_NOTED);
	assert_int_equal(take(h, SERVER, "o", "too"), HEARD_NOTED);
	hold(h, SERVER, "o", "mine");
	hold(h, 9, "o", "another");
	hold(h, SERVER, "o", "too");
	assert_string_equal(told(h), "ostranger's by 77, omine by 5, oanother by 9, otoo by 5");
	hold(h, SERVER, "o", "later");
	assert_string_equal(told(h), "olater by 77");
	hearing_free(h);
}

static void both_sides_tell_one_sequence(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	hold(h, 1, "o", "1");
	hold(h, 1, "o", "2");
	assert_int_equal(take(h, 1, "o", "2"), HEARD_NOTED); /* before the first new one: of no interest */
	assert_int_equal(take(h, SERVER, "n", "1"), HEARD_NOTED);
	assert_int_equal(take(h, 1, "o", "3"), HEARD_NOTED);
	assert_int_equal(take(h, 1, "n", "2"), HEARD_NOTED);
	h->state = HEARING_MOVES;
	h->token = 0xfeed;
	hold(h, 1, "o", "3");
	hold(h, 1, "o", "4");
	h->marked_by_ear = true;
	hold(h, 1, "n", "3");
	hold(h, 1, "o", "5");
	assert_int_equal(take(h, 1, "o", "4"), HEARD_NOTED);
	assert_int_equal(take(h, 1, MARK, "0000000000000001"), HEARD_NOTED); /* somebody else's */
	assert_int_equal(take(h, 1, MARK, "000000000000feed"), HEARD_MARK);
	h->marked_by_server = true;
	assert_int_equal(take(h, 1, "n", "3"), HEARD_NOTED); /* behind the mark: the ear has it */
	assert_string_equal(told(h), "o1 by 1, o2 by 1, n1 by 5, o3 by 1, n2 by 1, o4 by 1, n3 by 1, o5 by 1");
	hearing_free(h);
}

static void what_went_to_the_client_already_does_not_come_again(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	/* o1 and o2 were passed on at once, before the server said the first new one. */
	take(h, 1, "n", "1");
	take(h, 1, "o", "1");
	take(h, 1, "o", "2");
	take(h, 1, "n", "2");
	take(h, 1, "o", "3");
	hold(h, 1, "o", "3");
	assert_string_equal(told(h), "n1 by 1, n2 by 1, o3 by 1");
	hearing_free(h);
}

/* Any interleaving of both sides, anywhere the mark may be: all of it, once, in order. */
static void no_interleaving_loses_doubles_or_swaps(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (unsigned run = 0; run < 3000; run++) {
		struct hearing *h = hearing_of("o");
		unsigned count = 1 + (unsigned)rng_below(&rng, 12), mark, from = (unsigned)rng_below(&rng, count),
			 ear = 0, server;
		bool is_new[16] = { 0 }, is_mine[16] = { 0 }, old_pid[16] = { 0 };
		char expected[4096] = "", payload[16];
		size_t length = 0;

		mark = from + (unsigned)rng_below(&rng, count - from + 1);
		server = (unsigned)rng_below(&rng, from + 1); /* it listens to the old since its lease began */
		for (unsigned i = 0; i < count; i++) {
			is_new[i] = i >= from && rng_chance(&rng, 400);
			is_mine[i] = i >= server && i < mark && rng_chance(&rng, 300);
			old_pid[i] = i < server && rng_chance(&rng, 300);
			if (i >= from || !is_new[i])
				length += text_format(expected + length, sizeof expected - length, "%s%s%u by %u",
					length ? ", " : "", is_new[i] ? "n" : "o", i,
					is_mine[i]           ? CLIENT
						: old_pid[i] ? SERVER
							     : 1);
		}
		h->state = HEARING_MOVES;
		h->token = 1;
		while (ear < count || server < mark || !h->marked_by_server || !h->marked_by_ear) {
			bool of_ear = rng_chance(&rng, 500);
			unsigned *at = of_ear ? &ear : &server, i = *at;
			uint32_t process;

			if (i == mark && !(of_ear ? h->marked_by_ear : h->marked_by_server)) {
				if (of_ear)
					h->marked_by_ear = true;
				else
					h->marked_by_server = take(h, 1, MARK, "0000000000000001") == HEARD_MARK;
				continue;
			}
			if (i == count)
				continue;
			text_format(payload, sizeof payload, "%u", i);
			process = is_mine[i] || old_pid[i] ? SERVER : 1;
			if (!of_ear)
				(void)take(h, process, is_new[i] ? "n" : "o", payload);
			else if (!is_new[i] || i >= mark)
				hold(h, process, is_new[i] ? "n" : "o", payload);
			*at += 1;
		}
		assert_string_equal(told(h), expected);
		hearing_free(h);
	}
}

static void beyond_the_ceiling_is_counted(void **state)
{
	struct hearing *h = hearing_of("o");
	static char large[8000];
	unsigned fit = 0;

	(void)state;
	memset(large, 'x', sizeof large - 1);
	while (h->dropped == 0) {
		hold(h, 1, "o", large);
		fit++;
	}
	hold(h, 1, "o", large);
	assert_int_equal(h->dropped, 2);
	assert_true(fit > HEARING_BYTES_MAX / 8200 && h->bytes <= HEARING_BYTES_MAX);
	assert_true(strlen(told(h)) > 0);
	assert_int_equal(h->bytes, 0);
	hearing_free(h);
}

static void of_the_dropped_none_gives_its_name_to_another(void **state)
{
	struct hearing *h = hearing_of("o");
	static char large[8000];

	(void)state;
	memset(large, 'x', sizeof large - 1);
	hold(h, SERVER, "o", "stranger's");
	while (h->dropped == 0)
		hold(h, 1, "o", large);
	take(h, SERVER, "o", large);
	hold(h, SERVER, "o", large);
	assert_int_equal(h->dropped, 2);
	assert_non_null(strstr(told(h), "ostranger's by 77, "));
	hearing_free(h);
}

static void an_unlistened_topic_is_not_heard_at_the_commit(void **state)
{
	struct hearing *h = hearing_of("a");

	(void)state;
	assert_true(topics_add(&h->shared, span_text("b")) && topics_add(&h->wanted, span_text("a")));
	hold(h, 1, "b", "1");
	hold(h, 1, "a", "1");
	hold(h, SERVER, "b", "2");
	hearing_remove(h);
	hold(h, 1, "b", "3");
	hold(h, 1, "a", "2");
	hearing_settle(h);
	assert_true(h->shared.count == 1 && topics_has(&h->shared, span_text("a")));
	assert_string_equal(told(h), "a1 by 1, a2 by 1");
	hearing_free(h);
}

static void one_topic_goes_and_another_comes(void **state)
{
	struct hearing *h = hearing_of("b");

	(void)state;
	assert_true(topics_add(&h->shared, span_text("o")) && topics_add(&h->wanted, span_text("o")) &&
		topics_add(&h->wanted, span_text("n")));
	hold(h, 1, "o", "1");
	hold(h, 1, "b", "too late");
	take(h, 1, "n", "1");
	hold(h, 1, "o", "2");
	hearing_remove(h);
	hold(h, 1, "b", "too late");
	take(h, 1, "o", "2");
	h->marked_by_ear = true;
	hold(h, 1, "b", "too late");
	hold(h, 1, "n", "2");
	hearing_settle(h);
	assert_string_equal(told(h), "o1 by 1, n1 by 1, o2 by 1, n2 by 1");
	hearing_free(h);
}

static void when_the_ear_is_lost_nothing_comes_twice(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	h->state = HEARING_MOVES;
	hold(h, 1, "o", "1");
	hold(h, 1, "o", "2");
	take(h, 1, "n", "1");
	take(h, 1, "o", "2");
	take(h, 1, "o", "3"); /* the ear was lost before it said this */
	h->state = HEARING_FAILS;
	take(h, 1, "o", "4");
	take(h, 1, "n", "2");
	assert_string_equal(told(h), "o1 by 1, n1 by 1, o2 by 1, n2 by 1");
	h->state = HEARING_DIRECT;
	assert_int_equal(take(h, 1, "o", "5"), HEARD_DIRECT);
	hearing_free(h);
}

/* It was away for a while, and came back, and was lost again. */
static void when_the_ear_has_missed_some_the_order_holds(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	hold(h, 1, "o", "before"); /* this lease */
	hold(h, 1, "o", "1");
	hold(h, 1, "o", "3");
	h->state = HEARING_MOVES;
	take(h, 1, "n", "1");
	take(h, 1, "o", "1");
	take(h, 1, "o", "2"); /* the ear was away */
	take(h, 1, "n", "2");
	take(h, 1, "o", "3");
	take(h, 1, "n", "3");
	h->state = HEARING_FAILS;
	take(h, 1, "o", "4");
	assert_string_equal(told(h), "obefore by 1, n1 by 1, o1 by 1, n2 by 1, o3 by 1, n3 by 1");
	hearing_free(h);
}

/* What its server said first went to the client by the ear before anything was held; and what came last from its server came when the ear
 * was lost already. */
static void when_the_ear_is_lost_its_own_bear_the_clients_process_id(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	h->state = HEARING_MOVES;
	take(h, 9, "n", "1");
	take(h, 9, "o", "said");
	take(h, SERVER, "o", "mine");
	hold(h, SERVER, "o", "mine");
	hold(h, SERVER, "o", "too");
	h->state = HEARING_FAILS;
	take(h, SERVER, "n", "mine");
	take(h, SERVER, "o", "too");
	take(h, SERVER, "o", "lost");
	assert_string_equal(told(h), "n1 by 9, omine by 5, nmine by 5, otoo by 5");

	h->state = HEARING_MOVES;
	hold(h, SERVER, "o", "mine");
	h->state = HEARING_FAILS;
	take(h, SERVER, "o", "mine");
	assert_string_equal(told(h), "omine by 5");
	hearing_free(h);
}

static void say_mark(struct hearing *h)
{
	char text[17];

	hearing_mark_text(h->token, text);
	assert_int_equal(take(h, 1, MARK, text), HEARD_MARK);
	h->marked_by_server = true;
}

static void when_the_ear_is_lost_behind_the_servers_mark_its_server_is_heard(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	h->state = HEARING_MOVES;
	hold(h, 1, "o", "1");
	take(h, 1, "o", "1");
	take(h, 1, "n", "1");
	say_mark(h);
	take(h, 1, "n", "2");
	take(h, 1, "o", "2"); /* the ear was lost before it said this */
	hearing_fail(h);
	take(h, 1, "n", "3");
	assert_string_equal(told(h), "o1 by 1, n1 by 1, n2 by 1, n3 by 1");
	hearing_free(h);
}

static void what_comes_behind_both_marks_is_told_once(void **state)
{
	struct hearing *h = hearing_of("o");

	(void)state;
	h->state = HEARING_MOVES;
	take(h, 1, "n", "1");
	say_mark(h);
	take(h, 1, "n", "2");
	take(h, 1, "o", "1");
	h->marked_by_ear = true;
	hold(h, 1, "n", "2");
	hold(h, 1, "o", "1");
	hearing_settle(h);
	assert_string_equal(told(h), "n1 by 1, n2 by 1, o1 by 1");
	assert_int_equal(h->bytes, 0);
	hearing_free(h);
}

static void what_had_no_room_behind_the_mark_is_lost_with_the_ear(void **state)
{
	(void)state;
	for (int fails = 0; fails <= 1; fails++) {
		struct hearing *h = hearing_of("o");

		h->state = HEARING_MOVES;
		take(h, 1, "n", "1");
		say_mark(h);
		h->bytes_max = h->bytes;
		take(h, 1, "n", "2");
		assert_int_equal(h->dropped, 0);
		if (fails)
			hearing_fail(h);
		else
			hearing_settle(h);
		assert_int_equal(h->dropped, fails);
		assert_string_equal(told(h), "n1 by 1");
		hearing_free(h);
	}
}

static void alone_with_its_server_everything_goes_straight_on(void **state)
{
	struct hearing *h = hearing_of(NULL);

	(void)state;
	h->state = HEARING_DIRECT;
	assert_int_equal(take(h, 1, "o", "1"), HEARD_DIRECT);
	assert_int_equal(hearing_take(h, span_of("A\0\0\0\5x", 6), SERVER, MARK), HEARD_BROKEN);
	assert_true(hearing_is_empty(h));
	hearing_free(h);
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&message);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_held_comes_in_order),
		cmocka_unit_test(only_its_own_bear_the_clients_process_id),
		cmocka_unit_test(both_sides_tell_one_sequence),
		cmocka_unit_test(what_went_to_the_client_already_does_not_come_again),
		cmocka_unit_test(no_interleaving_loses_doubles_or_swaps),
		cmocka_unit_test(beyond_the_ceiling_is_counted),
		cmocka_unit_test(of_the_dropped_none_gives_its_name_to_another),
		cmocka_unit_test(an_unlistened_topic_is_not_heard_at_the_commit),
		cmocka_unit_test(one_topic_goes_and_another_comes),
		cmocka_unit_test(when_the_ear_is_lost_nothing_comes_twice),
		cmocka_unit_test(when_the_ear_has_missed_some_the_order_holds),
		cmocka_unit_test(when_the_ear_is_lost_its_own_bear_the_clients_process_id),
		cmocka_unit_test(when_the_ear_is_lost_behind_the_servers_mark_its_server_is_heard),
		cmocka_unit_test(what_comes_behind_both_marks_is_told_once),
		cmocka_unit_test(what_had_no_room_behind_the_mark_is_lost_with_the_ear),
		cmocka_unit_test(alone_with_its_server_everything_goes_straight_on),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
