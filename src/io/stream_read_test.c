/* What a stream receives: what stays unread, what a pause holds back, and the end that comes behind it. */
#include "io/helper_test.h"

static void what_is_not_consumed_comes_again_in_front_of_the_next(void **state)
{
	struct world w;
	struct owner a, b;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	b.appetite = 2;
	say_text(&a, "abcde");
	until(&w, b.deliveries == 1);
	assert_got(&b, "ab");
	assert_int_equal(stream_unread(b.stream), 3);
	some_turns(&w);
	assert_int_equal(b.deliveries, 1); /* not again by itself */
	say_text(&a, "fg");
	until(&w, b.deliveries == 2);
	assert_int_equal(b.last_length, 5);
	assert_got(&b, "abcd");
	b.appetite = SIZE_MAX;
	stream_resume(b.stream);
	until(&w, b.deliveries == 3);
	assert_got(&b, "abcdefg");
	assert_int_equal(stream_unread(b.stream), 0);
	assert_null(b.stream->unread);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_late_consume_is_as_good(void **state)
{
	struct world w;
	struct owner a, b;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	b.appetite = 0;
	say_text(&a, "abcde");
	until(&w, b.deliveries == 1);
	some_turns(&w);
	stream_consume(b.stream, 4);
	assert_int_equal(stream_unread(b.stream), 1);
	b.appetite = SIZE_MAX;
	say_text(&a, "f");
	until(&w, b.deliveries == 2);
	assert_got(&b, "ef");
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_megabyte_can_be_collected_unread(void **state)
{
	enum { total = 1 << 20 };
	static uint8_t story[total];
	struct world w;
	struct owner a, b;

	(void)state;
	tell_story(story, 0, total);
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	b.appetite = 0;
	assert_true(stream_write(a.stream, &(struct piece){ story, total }, 1));
	until(&w, b.stream && stream_unread(b.stream) == total);
	assert_int_equal(b.last_length, total);
	b.appetite = total - 10;
	stream_resume(b.stream);
	until(&w, b.got.length == total - 10);
	assert_story(buf_span(&b.got).at, 0, total - 10);
	b.appetite = SIZE_MAX;
	stream_resume(b.stream);
	until(&w, b.got.length == total);
	assert_story(buf_span(&b.got).at, 0, total);
	assert_null(b.stream->unread);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void an_unread_tail_grows_in_small_steps_over_every_bound(void **state)
{
	enum { step = 3001, total = step * 40 };
	static uint8_t story[total];
	struct world w;
	struct owner b;
	int fd;

	(void)state;
	tell_story(story, 0, total);
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	b.appetite = 0;
	for (size_t sent = 0; sent < total; sent += step) {
		assert_int_equal(send(fd, story + sent, step, 0), step);
		until(&w, stream_unread(b.stream) == sent + step);
	}
	b.appetite = 1000; /* and shrinks again */
	while (b.got.length < total) {
		unsigned before = b.deliveries;

		stream_resume(b.stream);
		until(&w, b.deliveries > before);
	}
	assert_story(buf_span(&b.got).at, 0, total);
	close(fd);
	owner_fini(&b);
	world_fini(&w);
}

static void a_paused_stream_hears_nothing_and_loses_nothing(void **state)
{
	struct world w;
	struct owner a, b;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	stream_pause(b.stream);
	stream_pause(b.stream);
	say_text(&a, "while paused");
	some_turns(&w);
	assert_int_equal(b.deliveries, 0);
	stream_resume(b.stream);
	until(&w, b.deliveries == 1);
	assert_got(&b, "while paused");

	b.pause_on_bytes = true;
	b.appetite = 1;
	say_text(&a, "xyz");
	until(&w, b.deliveries == 2);
	some_turns(&w);
	assert_int_equal(b.deliveries, 2);
	for (unsigned n = 3; n <= 4; n++) { /* one letter for each resume, none from the kernel needed */
		stream_resume(b.stream);
		until(&w, b.deliveries == n);
		some_turns(&w);
		assert_int_equal(b.deliveries, n);
	}
	assert_got(&b, "while pausedxyz");
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_paused_stream_does_not_collect_from_the_kernel(void **state)
{
	static uint8_t story[8 << 20];
	struct world w;
	struct owner b;
	int fd;
	size_t sent = 0;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	tell_story(story, 0, sizeof story);
	b.appetite = 100;
	b.pause_on_bytes = true;
	for (int i = 0; i < 120; i++) { /* together less than the least of what one read brings */
		ssize_t n = send(fd, story + sent, sizeof story - sent, MSG_DONTWAIT);
		unsigned before = b.deliveries;

		sent += n > 0 ? (size_t)n : 0;
		until(&w, stream_unread(b.stream) > 0);
		stream_resume(b.stream);
		until(&w, b.deliveries > before);
		assert_true(stream_unread(b.stream) <= LOOP_READ);
	}
	assert_story(buf_span(&b.got).at, 0, b.got.length);
	close(fd);
	owner_fini(&b);
	world_fini(&w);
}

struct pair {
	struct owner owner;
	struct parcel *ends[2]; /* the first is the owner's stream */
};

static void pair_init(struct world *w, struct pair *p)
{
	owner_init(&p->owner);
	assert_true(parcel_pair(p->ends));
	p->owner.stream = stream_attach(w->loop, &p->ends[0], NULL, &p->owner);
	assert_non_null(p->owner.stream);
}

static void pair_fini(struct pair *p)
{
	owner_fini(&p->owner);
	parcel_free(&p->ends[1]);
}

/* Those who wait are sent more than one receive takes, all at once, and want no more than the first part of it for now. */
static void those_who_pause_in_the_middle_take_nothing_from_those_who_work(void **state)
{
	enum { waiters = 300, workers = 60, length = 40000 };
	static uint8_t story[length];
	static struct pair waiting[waiters], working[workers];
	struct world w;
	unsigned long before;

	(void)state;
	tell_story(story, 0, length);
	world_init(&w, ROAD_IPV4);
	for (int i = 0; i < workers; i++)
		pair_init(&w, &working[i]);
	for (int i = 0; i < waiters; i++) {
		pair_init(&w, &waiting[i]);
		waiting[i].owner.pause_on_bytes = true;
		world_turn(&w); /* it listens from now on */
		assert_int_equal(send(waiting[i].ends[1]->fd, story, length, 0), length);
		until(&w, waiting[i].owner.deliveries == 1);
	}
	some_turns(&w);
	for (int i = 0; i < workers; i++)
		assert_int_equal(send(working[i].ends[1]->fd, story, 13, 0), 13);
	before = w.turns;
	for (int i = 0; i < workers; i++)
		until(&w, working[i].owner.got.length == 13);
	/* One at a time they would take as many turns as they are. */
	assert_in_range(w.turns - before, 1, workers / 2);
	for (int i = 0; i < waiters; i++) {
		waiting[i].owner.pause_on_bytes = false;
		stream_resume(waiting[i].owner.stream);
		until(&w, waiting[i].owner.got.length == length);
		assert_story(buf_span(&waiting[i].owner.got).at, 0, length);
		pair_fini(&waiting[i]);
	}
	for (int i = 0; i < workers; i++)
		pair_fini(&working[i]);
	world_fini(&w);
}

static void a_hangup_is_told_once_while_paused_and_the_bytes_still_come(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		stream_pause(b.stream);
		assert_int_equal(send(fd, "last words", 10, 0), 10);
		close(fd);
		until(&w, b.hangups == 1);
		some_turns(&w);
		stream_pause(b.stream);
		some_turns(&w);
		assert_int_equal(b.hangups, 1);
		assert_int_equal(b.deliveries + b.ended, 0);
		stream_resume(b.stream);
		until(&w, b.ended);
		assert_got(&b, "last words");
		assert_int_equal(b.error, 0);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void a_pause_after_the_end_came_in_tells_the_hangup(void **state)
{
	struct world w;
	struct owner b;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	b.pause_on_bytes = true;
	b.appetite = 3;
	assert_int_equal(send(fd, "query, goodbye", 14, 0), 14);
	close(fd);
	until(&w, b.hangups == 1);
	assert_int_equal(b.ended, 0);
	assert_int_equal(stream_unread(b.stream), 11);
	b.pause_on_bytes = false;
	b.appetite = SIZE_MAX;
	stream_resume(b.stream);
	until(&w, b.ended);
	assert_got(&b, "query, goodbye");
	owner_fini(&b);
	world_fini(&w);
}

static void the_end_is_told_even_if_bytes_stay_unread(void **state)
{
	struct world w;
	struct owner b;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	b.appetite = 0;
	assert_int_equal(send(fd, "half a mess", 11, 0), 11);
	until(&w, b.deliveries == 1);
	close(fd);
	until(&w, b.ended);
	assert_int_equal(stream_unread(b.stream), 11);
	owner_fini(&b);
	world_fini(&w);
}

static void a_block_refuses_what_no_memory_can_hold(void **state)
{
	struct block *b = NULL;

	(void)state;
	assert_false(block_reserve(&b, SIZE_MAX));
	assert_null(b);
	assert_true(block_add(&b, "abc", 3));
	assert_false(block_reserve(&b, SIZE_MAX - 2));
	assert_int_equal(b->length, 3);
	block_consume(&b, 3);
	assert_null(b);
	block_consume(&b, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_consumed_comes_again_in_front_of_the_next),
		cmocka_unit_test(a_late_consume_is_as_good),
		cmocka_unit_test(a_megabyte_can_be_collected_unread),
		cmocka_unit_test(an_unread_tail_grows_in_small_steps_over_every_bound),
		cmocka_unit_test(a_paused_stream_hears_nothing_and_loses_nothing),
		cmocka_unit_test(a_paused_stream_does_not_collect_from_the_kernel),
		cmocka_unit_test(those_who_pause_in_the_middle_take_nothing_from_those_who_work),
		cmocka_unit_test(a_hangup_is_told_once_while_paused_and_the_bytes_still_come),
		cmocka_unit_test(a_pause_after_the_end_came_in_tells_the_hangup),
		cmocka_unit_test(the_end_is_told_even_if_bytes_stay_unread),
		cmocka_unit_test(a_block_refuses_what_no_memory_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
