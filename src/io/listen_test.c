#include "io/helper_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"

/* Listeners: whom they let in, what they leave behind, and what they do when there is no room. */

static void a_port_in_use_is_an_error_that_says_where(void **state)
{
	struct address at;
	struct listener *first, *second;
	char error[256] = "", text[ADDRESS_TEXT], expected[256];

	(void)state;
	for (int road = ROAD_IPV4; road <= ROAD_IPV6; road++) {
		road_address((enum road)road, &at);
		first = listener_open(
			&at, &(struct listen_setup){ .backlog = 5, .defer_accept = true }, error, sizeof error);
		assert_non_null(first);
		at = *listener_address(first);
		assert_int_not_equal(at.port, 0);
		second = listener_open(&at, &(struct listen_setup){ .backlog = 5 }, error, sizeof error);
		assert_null(second);
		text_format(
			expected, sizeof expected, "could not listen on %s: address in use: ", address_text(&at, text));
		assert_memory_equal(error, expected, strlen(expected));
		listener_close(&first);
		assert_null(first);
	}
	listener_close(&first);
	assert_true(address_parse("192.0.2.1", 0, &at)); /* an address for documentation: nobody has it */
	assert_null(listener_open(&at, &(struct listen_setup){ 0 }, error, sizeof error));
	assert_string_equal(error, "could not listen on 192.0.2.1:0: no such address on this machine");
}

/* Root is refused nothing, so the words are asked for. */
static void what_is_not_permitted_says_what_to_do(void **state)
{
	struct address at;

	(void)state;
	assert_true(address_parse("127.0.0.1", 80, &at));
	assert_non_null(strstr(listen_reason(&at, EACCES), "a port below 1024 takes root or CAP_NET_BIND_SERVICE"));
	assert_true(address_unix("/run/none", 80, &at));
	assert_non_null(strstr(listen_reason(&at, EACCES), "the folder must be writable"));
	assert_non_null(strstr(listen_reason(&at, ENOENT), "no such folder"));
}

static void ports_can_be_shared_when_asked(void **state)
{
	struct address at;
	struct listen_setup setup = { .reuse_port = true };
	struct listener *first, *second;
	char error[256];

	(void)state;
	road_address(ROAD_IPV4, &at);
	first = listener_open(&at, &setup, error, sizeof error);
	assert_non_null(first);
	second = listener_open(listener_address(first), &setup, error, sizeof error);
	assert_non_null(second);
	listener_close(&first);
	listener_close(&second);
}

static void both_families_can_listen_on_one_port(void **state)
{
	struct address four, six;
	struct listener *first, *second;
	char error[256];

	(void)state;
	assert_true(address_parse("0.0.0.0", 0, &four));
	first = listener_open(&four, &(struct listen_setup){ 0 }, error, sizeof error);
	assert_non_null(first);
	assert_true(address_parse("::", listener_address(first)->port, &six));
	second = listener_open(&six, &(struct listen_setup){ 0 }, error, sizeof error);
	assert_non_null(second);
	listener_close(&first);
	listener_close(&second);
}

static void a_left_over_socket_file_is_replaced_a_living_one_is_not(void **state)
{
	struct address at;
	struct sockaddr_storage name;
	socklen_t length;
	struct listener *l, *second;
	struct stat before, after;
	char error[256] = "", text[ADDRESS_TEXT], expected[256];
	int fd;

	(void)state;
	road_address(ROAD_UNIX, &at);
	length = address_to_kernel(&at, &name);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
	assert_int_equal(listen(fd, 5), 0);
	close(fd); /* and leave the file, as a process that was killed does */
	assert_int_equal(stat(at.path, &before), 0);

	l = listener_open(&at, &(struct listen_setup){ .backlog = 5, .unix_mode = 0640 }, error, sizeof error);
	assert_string_equal(error, "");
	assert_non_null(l);
	assert_int_equal(stat(at.path, &after), 0);
	assert_int_equal(after.st_mode & 07777, 0640);
	close(raw_dial(&at));

	second = listener_open(&at, &(struct listen_setup){ .backlog = 5 }, error, sizeof error);
	assert_null(second);
	text_format(
		expected, sizeof expected, "could not listen on %s: unix socket is in use", address_text(&at, text));
	assert_string_equal(error, expected);
	close(raw_dial(&at)); /* the living one is undisturbed */

	listener_close(&l);
	assert_int_equal(stat(at.path, &after), -1);
	remove_folder_of(&at);
}

static void only_its_own_file_is_removed(void **state)
{
	struct address at;
	struct listener *old, *new;
	struct stat file;
	char error[256] = "";
	int fd;

	(void)state;
	road_address(ROAD_UNIX, &at);
	old = listener_open(&at, &(struct listen_setup){ 0 }, error, sizeof error);
	assert_non_null(old);
	assert_int_equal(unlink(at.path), 0); /* somebody tidied up, and somebody else took the place */
	new = listener_open(&at, &(struct listen_setup){ 0 }, error, sizeof error);
	assert_non_null(new);
	listener_close(&old);
	assert_int_equal(stat(at.path, &file), 0);
	listener_close(&new);
	assert_int_equal(stat(at.path, &file), -1);

	fd = open(at.path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_null(listener_open(&at, &(struct listen_setup){ 0 }, error, sizeof error));
	assert_non_null(strstr(error, "a file that is not a socket has this name"));
	assert_int_equal(errno, 0);
	assert_int_equal(stat(at.path, &file), 0);
	unlink(at.path);
	remove_folder_of(&at);
	assert_null(listener_open(&at, &(struct listen_setup){ 0 }, error, sizeof error));
	assert_non_null(strstr(error, "no such folder"));
	assert_int_equal(errno, ENOENT);
}

static void a_group_is_set_or_named_as_unknown(void **state)
{
	struct address at;
	struct listener *l;
	struct stat file;
	char error[256] = "", number[24];
	const struct group *own;

	(void)state;
	road_address(ROAD_UNIX, &at);
	assert_null(listener_open(&at, &(struct listen_setup){ .unix_group = "no such group" }, error, sizeof error));
	assert_non_null(strstr(error, "there is no group \"no such group\""));
	assert_int_equal(stat(at.path, &file), -1); /* nothing is left behind */
	own = getgrgid(getegid());
	assert_non_null(own);
	l = listener_open(&at, &(struct listen_setup){ .unix_group = own->gr_name }, error, sizeof error);
	assert_non_null(l);
	listener_close(&l);
	text_format(number, sizeof number, "%u", geteuid() == 0 ? 12345 : (unsigned)getegid());
	l = listener_open(&at, &(struct listen_setup){ .unix_group = number }, error, sizeof error);
	assert_non_null(l);
	assert_int_equal(stat(at.path, &file), 0);
	assert_int_equal(file.st_gid, strtoul(number, NULL, 10));
	listener_close(&l);
	remove_folder_of(&at);
}

static void everybody_gets_in_who_came_at_once(void **state)
{
	enum { people = 200 };
	static struct owner owners[people];
	int fds[people];
	struct world w;

	(void)state;
	world_init(&w, ROAD_IPV4);
	for (int i = 0; i < people; i++) {
		owner_init(&owners[i]);
		expect_newcomer(&w, &owners[i]);
		fds[i] = raw_dial(listener_address(w.door));
	}
	until(&w, w.arrived == people);
	for (int i = 0; i < people; i++) {
		close(fds[i]);
		owner_fini(&owners[i]);
	}
	world_fini(&w);
}

static void every_newcomer_enters_one_of_two_loops(void **state)
{
	enum { people = 100 };
	struct world w;
	struct loop *second = test_loop();
	int fds[people];
	unsigned arrived = 0;
	time_us give_up = clock_now() + 30 * SECOND_US;

	(void)state;
	world_init(&w, ROAD_IPV4);
	assert_true(listener_watch(w.door, second));
	for (int i = 0; i < people; i++)
		fds[i] = raw_dial(listener_address(w.door));
	while (arrived < people) {
		struct loop *loops[] = { w.loop, second };

		assert_true(clock_now() < give_up);
		for (int i = 0; i < 2; i++) {
			struct completion done;

			loop_wait(loops[i], clock_now() + MILLISECOND_US);
			while (loop_next(loops[i], &done)) {
				assert_int_equal(done.kind, DONE_ACCEPTED);
				assert_ptr_equal(done.listener, w.door);
				arrived++;
				parcel_free(&done.parcel);
			}
		}
	}
	some_turns(&w); /* world_take fails if one more is accepted */
	for (int i = 0; i < people; i++)
		close(fds[i]);
	listener_unwatch(w.door, second);
	listener_unwatch(w.door, second); /* not watching: nothing happens */
	loop_free(second);
	world_fini(&w);
}

static void unwatching_in_the_middle_of_a_turn_leaves_the_others_at_the_door(void **state)
{
	struct world w;
	struct completion done;
	int one, two;

	(void)state;
	world_init(&w, ROAD_IPV4);
	one = raw_dial(listener_address(w.door));
	two = raw_dial(listener_address(w.door));
	do {
		loop_wait(w.loop, clock_now() + SECOND_US);
	} while (!loop_next(w.loop, &done));
	parcel_free(&done.parcel);
	listener_unwatch(w.door, w.loop);
	assert_false(loop_next(w.loop, &done));
	loop_wait(w.loop, clock_now() + 5 * MILLISECOND_US);
	assert_false(loop_next(w.loop, &done));
	assert_true(listener_watch(w.door, w.loop));
	do {
		loop_wait(w.loop, clock_now() + SECOND_US);
	} while (!loop_next(w.loop, &done));
	assert_int_equal(done.kind, DONE_ACCEPTED);
	parcel_free(&done.parcel);
	close(one);
	close(two);
	world_fini(&w);
}

static unsigned complaints;

static void count_complaints(enum log_level level, const char *line)
{
	if (level == LOG_WARNING && strstr(line, "could not accept a connection on "))
		complaints++;
}

static void without_descriptors_the_door_waits_and_opens_again(void **state)
{
	struct world w;
	struct owner b;
	struct rlimit limit, low;
	unsigned long turns;
	int fd;
	time_us began;

	(void)state;
	world_init(&w, ROAD_IPV4);
	owner_init(&b);
	expect_newcomer(&w, &b);
	fd = raw_dial(listener_address(w.door));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 3; /* every descriptor from here on is one too many */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	log_set_sink(count_complaints);
	turns = w.turns;
	began = clock_now();
	while (clock_now() - began < 250 * MILLISECOND_US) {
		w.turns++;
		loop_wait(w.loop, clock_now() + SECOND_US);
		assert_false(loop_next(w.loop, &(struct completion){ 0 }));
	}
	turns = w.turns - turns;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	log_set_sink(NULL);
	assert_int_equal(complaints, 1);
	assert_true(turns < 20); /* it slept; a loop that spins makes thousands */
	until(&w, b.stream);
	say_text(&b, "welcome");
	close(fd);
	until(&w, b.ended);
	owner_fini(&b);
	world_fini(&w);
}

static void signals_come_as_completions(void **state)
{
	struct loop *loop = test_loop();
	struct completion done;
	int expected[] = { SIGHUP, SIGTERM };
	bool seen[2] = { 0 };
	time_us give_up = clock_now() + 30 * SECOND_US;

	(void)state;
	assert_true(loop_signals(loop));
	assert_int_equal(kill(getpid(), expected[0]), 0);
	assert_int_equal(kill(getpid(), expected[1]), 0);
	while (!seen[0] || !seen[1]) {
		loop_wait(loop, clock_now() + SECOND_US);
		while (loop_next(loop, &done)) {
			assert_int_equal(done.kind, DONE_SIGNAL);
			for (int i = 0; i < 2; i++)
				if (done.error == expected[i])
					seen[i] = true;
		}
		assert_true(clock_now() < give_up);
	}
	assert_int_equal(kill(getpid(), SIGHUP), 0); /* and again */
	do {
		loop_wait(loop, clock_now() + SECOND_US);
		assert_true(clock_now() < give_up);
	} while (!loop_next(loop, &done));
	assert_int_equal(done.error, SIGHUP);
	loop_free(loop);
}

static void wait_ends_at_its_deadline_and_not_before(void **state)
{
	struct loop *loop = test_loop();
	time_us deadline = clock_now() + 30 * MILLISECOND_US;

	(void)state;
	loop_wait(loop, deadline);
	assert_true(clock_now() >= deadline);
	loop_wait(loop, clock_now() - SECOND_US); /* in the past: only a look */
	assert_false(loop_next(loop, &(struct completion){ 0 }));
	loop_free(loop);
	loop_free(NULL);
}

/* What the kernel says of one of a socket's options. */
static int option_of(const struct stream *s, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof value;

	assert_int_equal(getsockopt(s->fd, level, name, &value, &length), 0);
	return value;
}

/* The next newcomer at this door, taken in with these options. */
static struct stream *newcomer(
	struct loop *loop, const struct address *door, const struct stream_options *o, int *knocker)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_kernel(door, &name);
	struct completion done;

	*knocker = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*knocker, (struct sockaddr *)&name, length), 0);
	do
		loop_wait(loop, clock_now() + SECOND_US);
	while (!loop_next(loop, &done));
	assert_int_equal(done.kind, DONE_ACCEPTED);
	return stream_attach(loop, &done.parcel, o, NULL);
}

static void newcomers_have_the_options_of_the_door_unless_they_have_changed(void **state)
{
	struct stream_options before = { .keepalive = true, .keepidle = 33, .user_timeout_ms = 5000 }, after = { 0 };
	struct listen_setup setup = { .backlog = 5, .options = before };
	struct loop *loop = test_loop();
	struct listener *l;
	struct address at;
	struct stream *s;
	char error[256];
	int knocker;

	(void)state;
	assert_true(address_parse("127.0.0.1", 0, &at));
	l = listener_open(&at, &setup, error, sizeof error);
	assert_non_null(l);
	assert_true(listener_watch(l, loop));
	for (int reloaded = 0; reloaded < 2; reloaded++) {
		s = newcomer(loop, listener_address(l), reloaded ? &after : &before, &knocker);
		assert_non_null(s);
		assert_true(option_of(s, IPPROTO_TCP, TCP_NODELAY) != 0);
		assert_int_equal(option_of(s, SOL_SOCKET, SO_KEEPALIVE), !reloaded);
		assert_int_equal(option_of(s, IPPROTO_TCP, TCP_USER_TIMEOUT), reloaded ? 0 : 5000);
		if (!reloaded)
			assert_int_equal(option_of(s, IPPROTO_TCP, TCP_KEEPIDLE), 33);
		stream_close(&s);
		close(knocker);
	}
	listener_unwatch(l, loop);
	listener_close(&l);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_in_use_is_an_error_that_says_where),
		cmocka_unit_test(what_is_not_permitted_says_what_to_do),
		cmocka_unit_test(ports_can_be_shared_when_asked),
		cmocka_unit_test(both_families_can_listen_on_one_port),
		cmocka_unit_test(newcomers_have_the_options_of_the_door_unless_they_have_changed),
		cmocka_unit_test(a_left_over_socket_file_is_replaced_a_living_one_is_not),
		cmocka_unit_test(only_its_own_file_is_removed),
		cmocka_unit_test(a_group_is_set_or_named_as_unknown),
		cmocka_unit_test(everybody_gets_in_who_came_at_once),
		cmocka_unit_test(every_newcomer_enters_one_of_two_loops),
		cmocka_unit_test(unwatching_in_the_middle_of_a_turn_leaves_the_others_at_the_door),
		cmocka_unit_test(without_descriptors_the_door_waits_and_opens_again),
		cmocka_unit_test(signals_come_as_completions),
		cmocka_unit_test(wait_ends_at_its_deadline_and_not_before),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
