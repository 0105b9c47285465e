/* The life of streams, over real sockets on the loopback: how they begin, whose turn it is, and how they end. */
#include "io/helper_test.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void bytes_go_both_ways_on_every_road(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_ABSTRACT; road++) {
		struct world w;
		struct owner a, b;

		world_init(&w, (enum road)road);
		join(&w, &a, &b);
		say_text(&a, "from the dialer");
		say_text(&b, "from the other");
		until(&w, a.got.length == 14 && b.got.length == 15);
		assert_got(&a, "from the other");
		assert_got(&b, "from the dialer");
		assert_int_equal(a.connected, 1);
		assert_int_equal(a.rooms + b.rooms, 0);
		stream_close(&a.stream);
		assert_null(a.stream);
		until(&w, b.ended);
		assert_int_equal(b.error, 0);
		owner_fini(&a);
		owner_fini(&b);
		world_fini(&w);
	}
}

static void a_stream_knows_both_addresses_to_the_end(void **state)
{
	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_ABSTRACT; road++) {
		struct world w;
		struct owner a, b;
		struct address door;

		world_init(&w, (enum road)road);
		door = *listener_address(w.door);
		join(&w, &a, &b);
		assert_true(address_equal(stream_peer(a.stream), &door));
		assert_true(address_equal(stream_local(b.stream), &door));
		if (door.family == ADDRESS_UNIX) {
			assert_int_equal(stream_peer(b.stream)->process, getpid());
			assert_int_equal(stream_peer(b.stream)->user, geteuid());
			assert_int_equal(stream_peer(b.stream)->port, 5432);
			assert_string_equal(stream_peer(b.stream)->path, "");
		} else {
			struct address local = *stream_local(a.stream);

			assert_true(address_equal(stream_peer(b.stream), &local));
		}
		stream_close(&b.stream);
		until(&w, a.ended);
		assert_true(address_equal(stream_peer(a.stream), &door));
		owner_fini(&a);
		owner_fini(&b);
		world_fini(&w);
	}
}

/* As a child has it that a PAM module forked: by its own descriptor of the same socket. */
static void one_that_somebody_else_has_too_is_heard_of_no_more_once_it_is_closed(void **state)
{
	struct epoll_event events[8];
	struct world w;
	struct owner a, b;
	int kept, count;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	some_turns(&w);
	kept = dup(b.stream->fd);
	assert_true(kept >= 0);
	stream_close(&b.stream);
	assert_int_equal(shutdown(a.stream->fd, SHUT_WR), 0); /* which the socket hears, whoever still has it */
	count = epoll_wait(w.loop->epoll, events, 8, 100);
	for (int i = 0; i < count; i++)
		assert_ptr_equal(events[i].data.ptr, a.stream);
	close(kept);
	stream_close(&a.stream);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_refused_dial_ends_with_its_error(void **state)
{
	struct world w;
	struct owner a;
	struct address nobody;
	char error[200];

	(void)state;
	world_init(&w, ROAD_IPV4);
	nobody = *listener_address(w.door);
	listener_unwatch(w.door, w.loop);
	listener_close(&w.door);
	owner_init(&a);
	a.stream = stream_dial(w.loop, &nobody, NULL, &a);
	assert_non_null(a.stream);
	until(&w, a.ended);
	assert_int_equal(a.error, ECONNREFUSED);
	assert_int_equal(a.connected, 0);
	owner_fini(&a);

	assert_true(address_unix("/no/such/folder", 5432, &nobody));
	owner_init(&a);
	a.stream = stream_dial(w.loop, &nobody, NULL, &a);
	assert_non_null(a.stream);
	until(&w, a.ended);
	assert_int_equal(a.error, ENOENT);
	owner_fini(&a);

	road_address(ROAD_IPV4, &nobody);
	w.door = listener_open(&nobody, &(struct listen_setup){ 0 }, error, sizeof error);
	assert_true(listener_watch(w.door, w.loop));
	world_fini(&w);
}

static void a_full_unix_queue_is_dialed_again_until_there_is_room(void **state)
{
	struct world w;
	struct owner a;
	struct address at;
	struct sockaddr_storage name;
	socklen_t length;
	int door, waiting[16];
	size_t count = 0;

	(void)state;
	world_init(&w, ROAD_IPV4);
	road_address(ROAD_ABSTRACT, &at);
	length = address_to_kernel(&at, &name);
	door = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&name, length), 0);
	assert_int_equal(listen(door, 0), 0);
	for (;;) {
		waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(waiting[count], (struct sockaddr *)&name, length) != 0)
			break;
		count++;
		assert_true(count < 15);
	}
	assert_int_equal(errno, EAGAIN);
	owner_init(&a);
	a.stream = stream_dial(w.loop, &at, NULL, &a);
	assert_non_null(a.stream);
	some_turns(&w);
	assert_int_equal(a.connected + a.ended, 0);
	close(accept(door, NULL, NULL));
	until(&w, a.connected);
	for (size_t i = 0; i <= count; i++)
		close(waiting[i]);
	close(door);
	owner_fini(&a);
	world_fini(&w);
}

/* Everybody has more than one read's worth; nobody is read twice before all were read once. */
static void a_hundred_streams_take_turns(void **state)
{
	enum { people = 100, each = 3 * LOOP_READ / 2 };
	static struct owner owners[people];
	static uint8_t story[each];
	int fds[people];
	struct world w;

	(void)state;
	world_init(&w, ROAD_IPV4);
	tell_story(story, 0, each);
	for (int i = 0; i < people; i++) {
		fds[i] = raw_join(&w, &owners[i]);
		stream_pause(owners[i].stream);
	}
	for (int i = 0; i < people; i++) {
		size_t sent = 0;

		while (sent < each) {
			ssize_t n = send(fds[i], story + sent, each - sent, MSG_DONTWAIT);

			if (n > 0)
				sent += (size_t)n;
			else
				world_turn(&w);
		}
	}
	for (int i = 0; i < people; i++)
		stream_resume(owners[i].stream);
	for (unsigned round = 1, whole = 0; whole < people; round++) {
		struct completion done;

		loop_wait(w.loop, clock_now() + SECOND_US);
		while (loop_next(w.loop, &done))
			world_take(&w, &done);
		whole = 0;
		for (int i = 0; i < people; i++) {
			whole += owners[i].got.length == each;
			assert_true(owners[i].deliveries <= round);
			assert_true(owners[i].last_length <= LOOP_READ);
			if (TEST_ENGINE != ENGINE_EPOLL || round > 2)
				continue;
			assert_int_equal(owners[i].deliveries, round);
			assert_int_equal(owners[i].last_length, round == 1 ? LOOP_READ : each - LOOP_READ);
		}
	}
	for (int i = 0; i < people; i++) {
		assert_story(buf_span(&owners[i].got).at, 0, each);
		owner_fini(&owners[i]);
		close(fds[i]);
	}
	world_fini(&w);
}

static void two_that_resume_each_other_do_not_hold_up_the_turn(void **state)
{
	struct world w;
	struct owner a, b;
	struct completion done;
	int deliveries = 0;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	say_text(&a, "to b");
	say_text(&b, "to a");
	a.appetite = b.appetite = 0;
	until(&w, a.deliveries && b.deliveries);
	stream_resume(a.stream);
	loop_wait(w.loop, 0);
	while (loop_next(w.loop, &done)) {
		assert_int_equal(done.kind, DONE_BYTES);
		assert_true(++deliveries <= 2);
		stream_resume(done.stream == a.stream ? b.stream : a.stream);
		stream_resume(done.stream);
	}
	assert_int_equal(deliveries, 2);
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void whoever_is_resumed_and_takes_all_wakes_nobody(void **state)
{
	struct world w;
	struct owner a, b;
	struct completion done;
	time_us slept;
	int deliveries = 0;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	say_text(&a, "to b");
	while (deliveries == 0) {
		loop_wait(w.loop, clock_now() + SECOND_US);
		while (loop_next(w.loop, &done)) {
			assert_int_equal(done.kind, DONE_BYTES);
			assert_ptr_equal(done.stream, b.stream);
			deliveries++;
			stream_resume(b.stream);
			stream_consume(b.stream, done.bytes.length);
		}
	}
	/* Nothing is under way: it sleeps to the end of the time that it is given. */
	slept = clock_now();
	loop_wait(w.loop, slept + 30 * MILLISECOND_US);
	assert_true(clock_now() - slept >= 20 * MILLISECOND_US);
	assert_false(loop_next(w.loop, &done));
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void whoever_is_closed_in_a_turn_is_not_heard_of_again(void **state)
{
	enum { people = 60 };
	static struct owner owners[people];
	int fds[people];
	struct world w;
	struct completion done;
	unsigned heard = 0;

	(void)state;
	world_init(&w, ROAD_IPV4);
	for (int i = 0; i < people; i++)
		fds[i] = raw_join(&w, &owners[i]);
	for (int i = 0; i < people; i++) {
		assert_int_equal(send(fds[i], "x", 1, 0), 1);
		if (i % 2)
			close(fds[i]);
	}
	/* The first that speaks closes itself and all the others, in the middle of the turn. */
	while (heard == 0) {
		loop_wait(w.loop, clock_now() + SECOND_US);
		while (loop_next(w.loop, &done)) {
			assert_int_equal(heard, 0);
			heard++;
			for (int i = 0; i < people; i++)
				stream_close(&owners[i].stream);
			assert_int_equal(done.bytes.at[0], 'x'); /* still readable */
		}
	}
	for (int i = 0; i < 10; i++) {
		loop_wait(w.loop, clock_now() + 2 * MILLISECOND_US);
		assert_false(loop_next(w.loop, &done));
	}
	for (int i = 0; i < people; i += 2) {
		char c;

		assert_true(recv(fds[i], &c, 1, 0) <= 0);
		close(fds[i]);
	}
	world_fini(&w);
}

static void bytes_in_a_block_stay_readable_after_a_close_in_the_same_turn(void **state)
{
	enum { total = LOOP_FRONT * 4 };
	static uint8_t story[total];
	struct world w;
	struct owner a, b;
	struct completion done;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	tell_story(story, 0, total);
	b.appetite = 0;
	assert_true(stream_write(a.stream, &(struct piece){ story, total }, 1));
	until(&w, stream_unread(b.stream) == total);
	stream_resume(b.stream);
	loop_wait(w.loop, clock_now() + SECOND_US);
	assert_true(loop_next(w.loop, &done));
	assert_int_equal(done.bytes.length, total);
	stream_close(&b.stream);
	assert_story(done.bytes.at, 0, total);
	assert_false(loop_next(w.loop, &done));
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void a_reset_is_an_end_with_an_error(void **state)
{
	struct world w;
	struct owner b;
	int fd;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	close(fd);
	until(&w, b.ended);
	assert_int_equal(b.error, ECONNRESET);
	owner_fini(&b);
	world_fini(&w);
}

static void options_reach_the_socket(void **state)
{
	struct stream_options o = { .keepalive = true, .keepidle = 33, .socket_buffer = 20000 };
	struct world w;
	struct owner a, b;
	int value = 0;
	socklen_t length = sizeof value;

	(void)state;
	world_init(&w, ROAD_IPV4);
	owner_init(&a);
	owner_init(&b);
	expect_newcomer(&w, &b);
	a.stream = stream_dial(w.loop, listener_address(w.door), &o, &a);
	until(&w, a.connected && b.stream);
	assert_int_equal(getsockopt(a.stream->fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length), 0);
	assert_int_equal(value, 1);
	assert_int_equal(getsockopt(a.stream->fd, IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, &value, &length), 0);
	assert_int_equal(value, 33);
	assert_int_equal(getsockopt(a.stream->fd, SOL_SOCKET, SO_SNDBUF, &value, &length), 0);
	assert_int_equal(value, 40000); /* the kernel doubles it, socket(7) */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			getsockopt(i ? a.stream->fd : b.stream->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &value, &length),
			0);
		assert_true(value != 0);
	}
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

static void an_owner_can_be_changed(void **state)
{
	struct world w;
	struct owner a, b, heir;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	heir = b;
	b.stream = NULL;
	assert_ptr_equal(stream_owner(heir.stream), &b);
	stream_set_owner(heir.stream, &heir);
	say_text(&a, "hello");
	until(&w, heir.got.length == 5);
	owner_fini(&a);
	owner_fini(&heir);
	world_fini(&w);
}

static void a_loop_that_ends_closes_what_is_in_it(void **state)
{
	struct world w;
	struct owner b, c;
	static uint8_t much[8 << 20];
	char byte;
	int fd, other;

	(void)state;
	world_init(&w, ROAD_IPV4);
	fd = raw_join(&w, &b);
	other = raw_join(&w, &c);
	b.appetite = 0;
	assert_int_equal(send(fd, "unread", 6, 0), 6);
	until(&w, b.deliveries == 1);
	assert_true(stream_write(b.stream, &(struct piece){ much, sizeof much }, 1));
	assert_true(stream_write(c.stream, &(struct piece){ much, sizeof much }, 1));
	stream_finish(&c.stream, SECOND_US);
	world_fini(&w);
	while (recv(fd, much, sizeof much, 0) > 0)
		;
	while (recv(other, much, sizeof much, 0) > 0)
		;
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
	close(other);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

static rlim_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* One stream's owner collects without end, another writes to a peer that does not read; a third has little to say. */
static void run_out_of_memory(void)
{
	static uint8_t much[40 << 20], in[10];
	struct rlimit little = { .rlim_max = RLIM_INFINITY };
	struct world w;
	struct owner greedy, writer, modest;
	int to_greedy, to_writer, to_modest;

	world_init(&w, ROAD_IPV4);
	to_greedy = raw_join(&w, &greedy);
	to_writer = raw_join(&w, &writer);
	to_modest = raw_join(&w, &modest);
	little.rlim_cur = address_space() + (6 << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	assert_false(stream_write(writer.stream, &(struct piece){ much, sizeof much }, 1));
	greedy.appetite = 0;
	while (!greedy.ended) {
		(void)send(to_greedy, much, sizeof much, MSG_DONTWAIT | MSG_NOSIGNAL);
		world_turn(&w);
	}
	assert_int_equal(greedy.error, ENOMEM);
	stream_close(&greedy.stream);
	stream_close(&writer.stream);
	assert_int_equal(send(to_modest, "alive?", 6, 0), 6);
	until(&w, modest.got.length == 6);
	say_text(&modest, "yes");
	world_turn(&w);
	assert_int_equal(recv(to_modest, in, 3, MSG_WAITALL), 3);
	close(to_greedy);
	close(to_writer);
	close(to_modest);
	owner_fini(&greedy);
	owner_fini(&writer);
	owner_fini(&modest);
	world_fini(&w);
}

static void refused_memory_ends_one_stream_and_spares_the_others(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (SANITIZED) /* their shadows have no room in a limited address space */
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60);
		run_out_of_memory();
		_exit(42); /* a failed assertion never comes here */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways_on_every_road),
		cmocka_unit_test(a_stream_knows_both_addresses_to_the_end),
		cmocka_unit_test(one_that_somebody_else_has_too_is_heard_of_no_more_once_it_is_closed),
		cmocka_unit_test(a_refused_dial_ends_with_its_error),
		cmocka_unit_test(a_full_unix_queue_is_dialed_again_until_there_is_room),
		cmocka_unit_test(a_hundred_streams_take_turns),
		cmocka_unit_test(two_that_resume_each_other_do_not_hold_up_the_turn),
		cmocka_unit_test(whoever_is_resumed_and_takes_all_wakes_nobody),
		cmocka_unit_test(whoever_is_closed_in_a_turn_is_not_heard_of_again),
		cmocka_unit_test(bytes_in_a_block_stay_readable_after_a_close_in_the_same_turn),
		cmocka_unit_test(a_reset_is_an_end_with_an_error),
		cmocka_unit_test(options_reach_the_socket),
		cmocka_unit_test(an_owner_can_be_changed),
		cmocka_unit_test(a_loop_that_ends_closes_what_is_in_it),
		cmocka_unit_test(refused_memory_ends_one_stream_and_spares_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
