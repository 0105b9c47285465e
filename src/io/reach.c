#include "io/reach.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* 0, or the errno of what went wrong. */
static int reach_one(const struct addrinfo *at, time_us most)
{
	int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol), trouble = 0;
	socklen_t size = sizeof trouble;
	struct pollfd waited = { .fd = fd, .events = POLLOUT };

	if (fd < 0)
		return errno;
	if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
		trouble = errno;
		if (trouble == EINPROGRESS) {
			if (poll(&waited, 1, (int)(most / MILLISECOND_US)) != 1)
				trouble = ETIMEDOUT;
			else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &size) != 0)
				trouble = errno;
		}
	}
	close(fd);
	return trouble;
}

bool host_reach(const char *host, int port, time_us most, char *error, size_t error_size)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char service[12];
	int trouble;

	text_format(service, sizeof service, "%d", port);
	trouble = getaddrinfo(host, service, &hints, &found);
	if (trouble != 0) {
		text_copy(error, error_size, gai_strerror(trouble));
		return false;
	}
	for (const struct addrinfo *at = found; at; at = at->ai_next) {
		trouble = reach_one(at, most);
		if (trouble == 0)
			break;
	}
	freeaddrinfo(found);
	if (trouble != 0)
		text_copy(error, error_size, strerror(trouble));
	return trouble == 0;
}

bool address_is_ours(const char *address, char *error, size_t error_size)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found = NULL;
	int trouble = getaddrinfo(address, "0", &hints, &found), fd;

	if (trouble != 0) {
		text_copy(error, error_size, gai_strerror(trouble));
		return false;
	}
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
	trouble = fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
	if (trouble != 0)
		text_copy(error, error_size, strerror(trouble));
	return trouble == 0;
}
