#include "io/visitors.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/file.h"

/* This process is the server, its visitor and its partner's client at once, over the loopback interface. */

#define LIMIT_US (20 * SECOND_US)

struct pair {
	int near, far; /* far: accepted */
	struct sockaddr_in at;
};

static int listen_here(struct sockaddr_in *at)
{
	socklen_t length = sizeof *at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, length), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &length), 0);
	return fd;
}

static struct pair connect_to(int listener, const struct sockaddr_in *to)
{
	struct pair pair = { .near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	socklen_t length = sizeof pair.at;

	assert_int_equal(connect(pair.near, (const struct sockaddr *)to, sizeof *to), 0);
	assert_int_equal(getsockname(pair.near, (struct sockaddr *)&pair.at, &length), 0);
	pair.far = accept(listener, NULL, NULL);
	assert_true(pair.far >= 0);
	return pair;
}

static void end_pair(struct pair *pair)
{
	close(pair->near);
	close(pair->far);
}

static struct visited look(const struct pair *own, time_us patience, time_us newest)
{
	struct visited visited = {
		.process = process_id(), .port = ntohs(own->at.sin_port), .patience = patience, .newest = newest
	};

	memcpy(visited.ip, &own->at.sin_addr, 4);
	visitors_look(&visited, 1);
	return visited;
}

/* Until as many are seen to wait. */
static struct visited look_until(const struct pair *own, uint32_t waiting, time_us patience)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	time_us until = clock_now() + LIMIT_US;
	struct visited visited = look(own, patience, LIMIT_US);

	while (visited.known && visited.waiting != waiting && clock_now() < until) {
		nanosleep(&pause, NULL);
		visited = look(own, patience, LIMIT_US);
	}
	assert_true(visited.known);
	assert_int_equal(visited.waiting, waiting);
	return visited;
}

static void say(int from, int to)
{
	char word;

	assert_int_equal(send(from, "?", 1, 0), 1);
	assert_int_equal(recv(to, &word, 1, 0), 1);
}

static void who_waits_for_an_answer_is_seen_until_it_comes(void **state)
{
	struct sockaddr_in at;
	int listener = listen_here(&at);
	struct pair own = connect_to(listener, &at), visitor = connect_to(listener, &at),
		    silent = connect_to(listener, &at);
	struct visited visited = look_until(&own, 0, 50 * MILLISECOND_US);

	(void)state;
	assert_int_equal(visited.partners, 0);
	/* Its word is read, and not answered. The other end of it is this process as well, which waits for a partner. */
	say(visitor.near, visitor.far);
	visited = look_until(&own, 1, 50 * MILLISECOND_US);
	assert_int_equal(visited.since, 1);
	assert_int_equal(visited.read, 1);
	assert_true(visited.longest >= 50 * MILLISECOND_US && visited.longest < LIMIT_US);
	assert_int_equal(visited.partners, 1);
	/* It came before the time that is asked about; it has not waited for so long. */
	visited = look(&own, 50 * MILLISECOND_US, 1);
	assert_int_equal(visited.waiting, 1);
	assert_int_equal(visited.since, 0);
	assert_int_equal(look(&own, 3600 * SECOND_US, LIMIT_US).waiting, 0);
	/* One more, of whose words one is left unread. */
	assert_int_equal(send(silent.near, "?", 1, 0), 1);
	visited = look_until(&own, 2, 50 * MILLISECOND_US);
	assert_int_equal(visited.read, 1);
	say(visitor.far, visitor.near);
	visited = look_until(&own, 1, 50 * MILLISECOND_US);
	assert_int_equal(visited.read, 0);
	say(silent.far, silent.near);
	assert_int_equal(look_until(&own, 0, 50 * MILLISECOND_US).partners, 0);
	end_pair(&silent);
	end_pair(&visitor);
	end_pair(&own);
	close(listener);
}

/* As Java's are: an address of IPv4, in a socket of IPv6. */
static void a_process_is_known_by_a_connection_of_the_other_family(void **state)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
		.sin6_addr = { { { [10] = 0xff, [11] = 0xff, 127, 0, 0, 1 } } } };
	socklen_t length = sizeof to;
	struct sockaddr_in at;
	struct pair own = { .near = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	int listener = listen_here(&at);

	(void)state;
	if (own.near < 0)
		skip(); /* a machine without IPv6 */
	to.sin6_port = at.sin_port;
	assert_int_equal(connect(own.near, (struct sockaddr *)&to, length), 0);
	assert_int_equal(getsockname(own.near, (struct sockaddr *)&to, &length), 0);
	own.at = (struct sockaddr_in){ .sin_port = to.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	own.far = accept(listener, NULL, NULL);
	assert_true(look(&own, SECOND_US, SECOND_US).known);
	own.at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	/* The other end has that port as well, and not that address. */
	assert_false(look(&own, SECOND_US, SECOND_US).known);
	end_pair(&own);
	close(listener);
}

static void a_process_that_has_the_connection_no_more_is_not_looked_at(void **state)
{
	struct sockaddr_in at;
	int listener = listen_here(&at);
	struct pair own = connect_to(listener, &at);
	struct visited visited = look(&own, SECOND_US, SECOND_US);

	(void)state;
	assert_true(visited.known);
	visited.process = 0x7ffffff0;
	visitors_look(&visited, 1);
	assert_false(visited.known);
	end_pair(&own);
	assert_false(look(&own, SECOND_US, SECOND_US).known);
	close(listener);
}

static void work_is_seen(void **state)
{
	struct sockaddr_in at;
	int listener = listen_here(&at);
	struct pair own = connect_to(listener, &at);
	time_us before = look(&own, SECOND_US, SECOND_US).worked, begun = clock_worked(),
		until = clock_now() + LIMIT_US;

	(void)state;
	while (clock_worked() < begun + 50 * MILLISECOND_US && clock_now() < until)
		continue;
	assert_true(look(&own, SECOND_US, SECOND_US).worked >= before + 40 * MILLISECOND_US);
	end_pair(&own);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_for_an_answer_is_seen_until_it_comes),
		cmocka_unit_test(a_process_is_known_by_a_connection_of_the_other_family),
		cmocka_unit_test(a_process_that_has_the_connection_no_more_is_not_looked_at),
		cmocka_unit_test(work_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
