#include "io/helper_test.h"

/* Who is asked whether its peer still answers, over real sockets on the loopback. What a dead peer looks like is in tests/live. */

/* Ask everybody of a round; how many were asked, and whether `expected` was among them. */
static unsigned ask(struct loop *loop, const struct stream *expected, bool *found)
{
	struct stream *s;
	unsigned asked = 0;

	*found = false;
	loop_ask(loop);
	while ((s = loop_ask_next(loop)) != NULL) {
		assert_true(asked++ < 100);
		*found = *found || s == expected;
		assert_int_equal(stream_silence(s), 0);
	}
	return asked;
}

/* Until nobody is asked any more: loopback has all acknowledged very soon. */
static void settle(struct world *w)
{
	bool found;
	unsigned rounds = 0;

	while (ask(w->loop, NULL, &found) > 0) {
		assert_true(rounds++ < 1000);
		some_turns(w);
	}
}

static void only_who_sent_something_is_asked(void **state)
{
	struct world w;
	struct owner a, b, c, d;
	bool found;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	join(&w, &c, &d);
	settle(&w); /* a stream that was accepted may bring bytes that are under way */

	say_text(&a, "hello");
	until(&w, b.got.length == 5);
	assert_int_equal(ask(w.loop, a.stream, &found), 1);
	assert_true(found);
	settle(&w);
	owner_fini(&a);
	owner_fini(&b);
	owner_fini(&c);
	owner_fini(&d);
	world_fini(&w);
}

static void who_sends_during_a_round_is_in_the_next(void **state)
{
	struct world w;
	struct owner a, b;
	struct stream *s;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	say_text(&a, "1");
	say_text(&b, "2");
	until(&w, a.got.length == 1 && b.got.length == 1);
	loop_ask(w.loop);
	for (unsigned n = 0; (s = loop_ask_next(w.loop)) != NULL; n++) {
		assert_true(n < 2); /* were a round to go on with them, it would never end */
		(void)stream_silence(s);
		say_text(s == a.stream ? &a : &b, "again");
	}
	loop_ask(w.loop);
	assert_non_null(loop_ask_next(w.loop));
	assert_non_null(loop_ask_next(w.loop));
	assert_null(loop_ask_next(w.loop));
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void who_is_closed_during_a_round_is_not_asked(void **state)
{
	struct world w;
	struct owner a, b;
	struct stream *first;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	say_text(&a, "1");
	say_text(&b, "2");
	until(&w, a.got.length == 1 && b.got.length == 1);
	loop_ask(w.loop);
	first = loop_ask_next(w.loop);
	assert_non_null(first);
	stream_close(first == a.stream ? &b.stream : &a.stream);
	assert_null(loop_ask_next(w.loop));
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_unix_socket_is_never_asked(void **state)
{
	struct world w;
	struct owner a, b;
	bool found;

	(void)state;
	world_init(&w, ROAD_ABSTRACT);
	join(&w, &a, &b);
	say_text(&a, "1");
	until(&w, b.got.length == 1);
	assert_int_equal(ask(w.loop, a.stream, &found), 0);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_sent_something_is_asked),
		cmocka_unit_test(who_sends_during_a_round_is_in_the_next),
		cmocka_unit_test(who_is_closed_during_a_round_is_not_asked),
		cmocka_unit_test(a_unix_socket_is_never_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
