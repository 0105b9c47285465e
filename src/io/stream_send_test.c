/* What a stream sends: to peers that are slow, and the last words to peers that still talk or listen no more. */
#include "io/helper_test.h"

#include <poll.h>

/* The peer reads a little at a time; what it gets is the whole story. */
static void a_slow_reader_gets_every_byte_and_room_is_told_at_the_end(void **state)
{
	enum { piece = 100000, pieces = 100 };
	static uint8_t story[piece];

	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		static uint8_t in[70001];
		uint64_t told = 0, heard = 0;
		int fd;
		bool queued_once = false;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		while (heard < (uint64_t)piece * pieces) {
			ssize_t n;

			if (told < (uint64_t)piece * pieces) {
				tell_story(story, told, piece);
				assert_true(stream_write(b.stream,
					(struct piece[]){ { story, 7 }, { story + 7, 0 }, { story + 7, piece - 7 } },
					3));
				told += piece;
			}
			queued_once |= stream_queued(b.stream) > 0;
			world_turn(&w);
			if (!queued_once && told < (uint64_t)piece * pieces)
				continue;
			n = recv(fd, in, sizeof in, MSG_DONTWAIT);
			if (n > 0) {
				assert_story(in, heard, (size_t)n);
				heard += (uint64_t)n;
			}
		}
		assert_true(queued_once);
		until(&w, b.rooms == 1);
		assert_int_equal(stream_queued(b.stream), 0);
		assert_null(b.stream->unsent);
		if (road == ROAD_UNIX)
			assert_false(b.stream->flags & FLAG_ARMED);
		assert_int_equal(recv(fd, in, sizeof in, MSG_DONTWAIT), -1);

		/* and it works again, without ROOM when all is taken at once */
		say_text(&b, "more");
		world_turn(&w);
		assert_int_equal(recv(fd, in, 4, MSG_WAITALL), 4);
		some_turns(&w);
		assert_int_equal(b.rooms, 1);
		close(fd);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void more_pieces_than_one_call_takes_are_all_sent(void **state)
{
	enum { count = 5000 };
	static struct piece pieces[count];
	static uint8_t story[count * 3];
	struct world w;
	struct owner a, b;

	(void)state;
	tell_story(story, 0, sizeof story);
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct piece){ story + i * 3, 3 };
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	assert_true(stream_write(a.stream, pieces, count));
	until(&w, b.got.length == sizeof story);
	assert_story(buf_span(&b.got).at, 0, sizeof story);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void what_is_written_before_the_connection_opens_is_sent_after(void **state)
{
	struct world w;
	struct owner a, b;

	(void)state;
	world_init(&w, ROAD_IPV4);
	owner_init(&a);
	owner_init(&b);
	expect_newcomer(&w, &b);
	a.stream = stream_dial(w.loop, listener_address(w.door), NULL, &a);
	say_text(&a, "early");
	say_text(&a, " bird");
	until(&w, b.got.length == 10);
	assert_got(&b, "early bird");
	assert_int_equal(a.connected, 1);
	until(&w, a.rooms == 1);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

/* The peer still sends when we say the last words: a plain close would make the kernel answer with a reset. */
static void finish_delivers_the_last_bytes_to_a_peer_that_still_talks(void **state)
{
	enum { total = 6 << 20 };
	static uint8_t story[total], in[100000];

	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		uint64_t heard = 0;
		ssize_t n = -1;
		int fd;
		time_us give_up = clock_now() + 30 * SECOND_US;

		world_init(&w, (enum road)road);
		tell_story(story, 0, total);
		fd = raw_join(&w, &b);
		stream_pause(b.stream);
		assert_true(send(fd, in, sizeof in, MSG_DONTWAIT) > 0);
		assert_true(stream_write(b.stream, &(struct piece){ story, total }, 1));
		assert_true(stream_queued(b.stream) > 0);
		stream_finish(&b.stream, 20 * SECOND_US);
		assert_null(b.stream);
		while (n != 0) {
			(void)send(fd, in, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
			world_turn(&w);
			n = recv(fd, in, sizeof in, MSG_DONTWAIT);
			assert_true(n >= 0 || errno == EAGAIN);
			if (n > 0) {
				assert_story(in, heard, (size_t)n);
				heard += (uint64_t)n;
			}
			assert_true(clock_now() < give_up);
		}
		assert_int_equal(heard, total);
		assert_false(link_empty(&w.loop->farewells)); /* it waits for our end */
		close(fd);
		until(&w, link_empty(&w.loop->farewells));
		assert_int_equal(b.ended, 0);
		world_fini(&w);
		buf_fini(&b.got);
	}
}

/* "psql < file": all questions, the end of input, and only then does it read. */
static void finish_delivers_the_last_bytes_to_a_peer_that_ended_sending(void **state)
{
	enum { total = 6 << 20 };
	static uint8_t story[total], in[100000];
	struct world w;
	struct owner b;
	uint64_t heard = 0;
	ssize_t n = -1;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	tell_story(story, 0, total);
	fd = raw_join(&w, &b);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	until(&w, b.ended);
	assert_int_equal(b.error, 0);
	assert_true(stream_write(b.stream, &(struct piece){ story, total }, 1));
	assert_true(stream_queued(b.stream) > 0);
	stream_finish(&b.stream, 20 * SECOND_US);
	while (n != 0) {
		world_turn(&w);
		n = recv(fd, in, sizeof in, MSG_DONTWAIT);
		assert_true(n >= 0 || errno == EAGAIN);
		if (n > 0) {
			assert_story(in, heard, (size_t)n);
			heard += (uint64_t)n;
		}
	}
	assert_int_equal(heard, total);
	until(&w, link_empty(&w.loop->farewells));
	close(fd);
	world_fini(&w);
}

/* A few bytes, which the kernel took at once: an error to a client that goes on sending its batch. */
static void a_short_last_word_survives_input_that_nobody_read(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		char in[100] = "";
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		stream_pause(b.stream);
		assert_int_equal(send(fd, "one, two", 8, 0), 8);
		some_turns(&w);
		say_text(&b, "FATAL: go away");
		stream_finish(&b.stream, 20 * SECOND_US);
		some_turns(&w);
		assert_int_equal(send(fd, "three", 5, MSG_NOSIGNAL), 5);
		some_turns(&w);
		assert_int_equal(recv(fd, in, sizeof in, 0), 14);
		assert_string_equal(in, "FATAL: go away");
		assert_int_equal(recv(fd, in, sizeof in, 0), 0);
		close(fd);
		until(&w, link_empty(&w.loop->farewells));
		world_fini(&w);
	}
}

static void finish_gives_up_at_its_limit(void **state)
{
	static uint8_t story[8 << 20];
	struct world w;
	struct owner b, c;
	int deaf, rude;

	(void)state;
	world_init(&w, ROAD_IPV4);
	deaf = raw_join(&w, &b);
	rude = raw_join(&w, &c);
	assert_true(stream_write(b.stream, &(struct piece){ story, sizeof story }, 1));
	stream_finish(&c.stream, 60 * MILLISECOND_US); /* nothing queued, but the peer never ends */
	stream_finish(&b.stream, 30 * MILLISECOND_US); /* never reads */
	assert_false(link_empty(&w.loop->farewells));
	until(&w, link_empty(&w.loop->farewells));
	owner_init(&b);
	stream_finish(&b.stream, SECOND_US); /* of nothing: fine */
	close(deaf);
	close(rude);
	world_fini(&w);
}

static void a_finished_stream_whose_peer_ended_already_is_gone_at_once(void **state)
{
	struct world w;
	struct owner b;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	close(fd);
	until(&w, b.ended);
	stream_finish(&b.stream, 3600 * SECOND_US);
	until(&w, link_empty(&w.loop->farewells));
	owner_fini(&b);
	world_fini(&w);
}

static void the_last_words_of_a_server_are_read_although_sending_failed(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		struct pollfd gone;
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		stream_pause(b.stream);
		assert_int_equal(send(fd, "FATAL: the end", 14, 0), 14);
		close(fd);
		/* the first write provokes a reset, the second finds it (a unix socket says so at once) */
		gone = (struct pollfd){ .fd = b.stream->fd, .events = 0 };
		say_text(&b, "a query");
		poll(&gone, 1, 5000);
		say_text(&b, "another");
		some_turns(&w);
		assert_int_equal(b.ended, 0);
		assert_int_equal(b.hangups, 1);
		say_text(&b, "swallowed");
		stream_resume(b.stream);
		until(&w, b.ended);
		assert_got(&b, "FATAL: the end");
		assert_int_not_equal(b.error, 0);
		say_text(&b, "swallowed too");
		assert_int_equal(stream_queued(b.stream), 0);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void who_pauses_is_told_of_room_when_what_was_queued_is_lost(void **state)
{
	static uint8_t much[1000000];

	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_UNIX; road += 2) {
		struct world w;
		struct owner b;
		int fd;

		world_init(&w, (enum road)road);
		fd = raw_join(&w, &b);
		stream_pause(b.stream);
		while (stream_queued(b.stream) == 0) {
			assert_true(stream_write(b.stream, &(struct piece){ much, sizeof much }, 1));
			some_turns(&w);
		}
		shutdown(fd, SHUT_WR);
		until(&w, b.hangups == 1);
		assert_int_equal(b.rooms, 0);
		close(fd); /* unread bytes are there: a reset */
		until(&w, b.rooms == 1);
		some_turns(&w);
		assert_int_equal(b.hangups, 1);
		assert_int_equal(b.ended, 0);
		stream_resume(b.stream);
		until(&w, b.ended);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void shut_sends_the_queue_and_then_the_end_while_reading_goes_on(void **state)
{
	enum { total = 6 << 20 };
	static uint8_t story[total], in[100000];
	struct world w;
	struct owner b;
	uint64_t heard = 0;
	ssize_t n = -1;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	tell_story(story, 0, total);
	assert_true(stream_write(b.stream, &(struct piece){ story, total }, 1));
	assert_true(stream_queued(b.stream) > 0);
	stream_shut(b.stream);
	stream_shut(b.stream);
	while (n != 0) {
		world_turn(&w);
		n = recv(fd, in, sizeof in, MSG_DONTWAIT);
		if (n > 0) {
			assert_story(in, heard, (size_t)n);
			heard += (uint64_t)n;
		}
	}
	assert_int_equal(heard, total);
	assert_int_equal(b.ended, 0);
	assert_int_equal(send(fd, "still here", 10, 0), 10);
	until(&w, b.got.length == 10);
	close(fd);
	until(&w, b.ended);
	assert_int_equal(b.error, 0);
	owner_fini(&b);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_reader_gets_every_byte_and_room_is_told_at_the_end),
		cmocka_unit_test(more_pieces_than_one_call_takes_are_all_sent),
		cmocka_unit_test(what_is_written_before_the_connection_opens_is_sent_after),
		cmocka_unit_test(finish_delivers_the_last_bytes_to_a_peer_that_still_talks),
		cmocka_unit_test(finish_delivers_the_last_bytes_to_a_peer_that_ended_sending),
		cmocka_unit_test(a_short_last_word_survives_input_that_nobody_read),
		cmocka_unit_test(finish_gives_up_at_its_limit),
		cmocka_unit_test(a_finished_stream_whose_peer_ended_already_is_gone_at_once),
		cmocka_unit_test(the_last_words_of_a_server_are_read_although_sending_failed),
		cmocka_unit_test(who_pauses_is_told_of_room_when_what_was_queued_is_lost),
		cmocka_unit_test(shut_sends_the_queue_and_then_the_end_while_reading_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
