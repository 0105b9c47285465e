#include "io/tcp_table.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Both ways of reading the table, against sockets that are open here. */

static int tcp_socket(int family, bool listens, uint16_t to)
{
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(to)
	};
	struct sockaddr_in four = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(to)
	};
	const struct sockaddr *at = family == AF_INET6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t size = family == AF_INET6 ? sizeof six : sizeof four;
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd >= 0 && (listens ? bind(fd, at, size) == 0 && listen(fd, 8) == 0 : connect(fd, at, size) == 0))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct tcp_address address_of(int fd, bool remote)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof at;

	assert_int_equal(remote ? getpeername(fd, (struct sockaddr *)&at, &size)
				: getsockname(fd, (struct sockaddr *)&at, &size),
		0);
	if (at.ss_family == AF_INET6) {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)&at;

		return tcp_address_of(six->sin6_addr.s6_addr, true, ntohs(six->sin6_port));
	}
	return tcp_address_of(
		(uint8_t *)&((struct sockaddr_in *)&at)->sin_addr, false, ntohs(((struct sockaddr_in *)&at)->sin_port));
}

/* How often it is told of a socket with these two ends and of the user and inode that it has. */
static unsigned times_told(struct tcp_table *table, int fd)
{
	struct tcp_address local = address_of(fd, false), remote = address_of(fd, true);
	struct tcp_socket told;
	struct stat found;
	unsigned count = 0;

	assert_non_null(table);
	assert_int_equal(fstat(fd, &found), 0);
	while (tcp_table_next(table, &told)) {
		assert_true(told.inode > 0);
		count += tcp_address_order(&told.local, &local) == 0 && tcp_address_order(&told.remote, &remote) == 0 &&
			told.inode == (int64_t)found.st_ino && told.user == geteuid();
	}
	assert_false(tcp_table_next(table, &told));
	tcp_table_close(table);
	return count;
}

static void both_ways_tell_of_each_open_socket_once(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int many[700];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int listener = tcp_socket(families[i], true, 0), seen;
		uint16_t port;

		if (listener < 0)
			continue; /* a machine without IPv6 */
		port = address_of(listener, false).port;
		/* More than one datagram holds. */
		for (size_t k = 0; k < sizeof many / sizeof many[0]; k++) {
			many[k] = tcp_socket(families[i], false, port);
			close(accept(listener, NULL, NULL));
			assert_true(many[k] >= 0);
		}
		seen = many[sizeof many / sizeof many[0] / 2];
		/* Others come and go meanwhile, and either way may leave one out then. */
		for (int left = 50; left > 0 && times_told(tcp_table_open(families[i] == AF_INET6), seen) != 1; left--)
			assert_true(left > 1);
		for (int left = 50; left > 0 && times_told(tcp_table_open_text(families[i] == AF_INET6), seen) != 1;
			left--)
			assert_true(left > 1);
		for (size_t k = 0; k < sizeof many / sizeof many[0]; k++)
			close(many[k]);
		close(listener);
	}
}

static void an_address_is_the_same_in_either_family(void **state)
{
	static const uint8_t four[] = { 10, 0, 0, 1 }, mapped[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
	struct tcp_address a = tcp_address_of(four, false, 5432), b = tcp_address_of(mapped, true, 5432);

	(void)state;
	assert_int_equal(tcp_address_order(&a, &b), 0);
	b.port = 5433;
	assert_true(tcp_address_order(&a, &b) < 0 && tcp_address_order(&b, &a) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_tell_of_each_open_socket_once),
		cmocka_unit_test(an_address_is_the_same_in_either_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
