#include "io/helper_test.h"

/* What a stream that leaves for another loop does to those that stay. */

/* Whoever comes first in the turn is looked at while the other one leaves, of which more has come than a buffer holds. */
static void a_stream_that_leaves_touches_nothing_that_somebody_is_looking_at(void **state)
{
	enum { tail = 1000, total = 50000 };
	static uint8_t story[total];

	(void)state;
	tell_story(story, 0, total);
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct owner owners[2], *stays, *leaves;
		struct completion done;
		struct parcel *parcel;
		struct world w;
		int fds[2];

		world_init(&w, (enum road)road);
		for (int i = 0; i < 2; i++) {
			fds[i] = raw_join(&w, &owners[i]);
			owners[i].appetite =
				0; /* an unread tail: what comes next is put together in the loop's own buffer */
			assert_int_equal(send(fds[i], story, tail, 0), tail);
			until(&w, owners[i].last_length == tail);
		}
		for (int i = 0; i < 2; i++)
			assert_int_equal(send(fds[i], story + tail, total - tail, 0), total - tail);
		do
			loop_wait(w.loop, clock_now() + SECOND_US);
		while (!loop_next(w.loop, &done));
		assert_int_equal(done.kind, DONE_BYTES);
		assert_true(done.bytes.length > tail);
		stays = done.owner;
		leaves = stays == &owners[0] ? &owners[1] : &owners[0];

		parcel = stream_detach(&leaves->stream);
		assert_non_null(parcel);
		assert_story(done.bytes.at, 0, done.bytes.length);
		leaves->stream = stream_attach(w.loop, &parcel, NULL, leaves);
		assert_non_null(leaves->stream);
		stays->appetite = leaves->appetite = SIZE_MAX;
		stream_resume(stays->stream);
		for (int i = 0; i < 2; i++) {
			until(&w, owners[i].got.length == total);
			assert_story(buf_span(&owners[i].got).at, 0, total);
			owner_fini(&owners[i]);
			close(fds[i]);
		}
		world_fini(&w);
	}
}

/* The loop that it left has received for it until then: nothing of that may be lost, doubled or come in another order. */
static void a_stream_that_goes_to_and_fro_hears_the_whole_story(void **state)
{
	enum { total = 4 << 20 };
	static uint8_t story[total];

	(void)state;
	tell_story(story, 0, total);
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world worlds[2];
		struct owner o;
		struct parcel *parcel;
		size_t told = 0;
		int fd, here = 0;
		unsigned moves = 0;

		world_init(&worlds[0], (enum road)road);
		world_init(&worlds[1], ROAD_ABSTRACT);
		fd = raw_join(&worlds[0], &o);
		while (o.got.length < total) {
			size_t some = total - told < 100000 ? total - told : 100000;
			ssize_t n = send(fd, story + told, some, MSG_DONTWAIT);

			told += n > 0 ? (size_t)n : 0;
			o.appetite = moves % 3 ? 30000 : SIZE_MAX; /* also with unread bytes */
			world_turn(&worlds[here]);
			if (moves % 5 == 4) {
				stream_pause(o.stream);
				world_turn(&worlds[here]);
			}
			parcel = stream_detach(&o.stream);
			assert_non_null(parcel);
			here = !here;
			o.stream = stream_attach(worlds[here].loop, &parcel, NULL, &o);
			assert_non_null(o.stream);
			moves++;
		}
		assert_story(buf_span(&o.got).at, 0, total);
		assert_true(moves > 10);
		close(fd);
		until(&worlds[here], o.ended);
		owner_fini(&o);
		world_fini(&worlds[0]);
		world_fini(&worlds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_that_leaves_touches_nothing_that_somebody_is_looking_at),
		cmocka_unit_test(a_stream_that_goes_to_and_fro_hears_the_whole_story),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
