#include "io/passage.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"

/* Descriptors come in the order in which they were sent, at the latest with the bytes that they were sent with; a message of the kernel's
 * never has those of two sends. So who reads a row finds its descriptor here. */

#define READ_BYTES       4096
#define DESCRIPTORS_MOST 64 /* in one message; more than anybody sends, and what is beyond it the kernel closes */
#define DESCRIPTORS_KEPT 1024

struct passage {
	int fd;
	time_us patience;
	struct buf unread;
	size_t first, count;
	int descriptors[DESCRIPTORS_KEPT];
};

static bool fail(char *error, size_t size, const char *what, const char *why)
{
	text_format(error, size, "%s: %s", what, why);
	return false;
}

struct passage *passage_open(const struct address *at, time_us patience, bool *nobody, char *error, size_t error_size)
{
	struct sockaddr_storage name;
	socklen_t length = address_to_kernel(at, &name);
	struct passage *p = calloc(1, sizeof *p);
	char where[ADDRESS_TEXT];
	int number;

	check(at->family == ADDRESS_UNIX);
	*nobody = false;
	if (!p) {
		fail(error, error_size, address_text(at, where), strerror(ENOMEM));
		return NULL;
	}
	p->patience = patience;
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* To a unix socket it is made at once, or it waits for room in the queue of one who listens. */
	if (p->fd >= 0 && connect(p->fd, (struct sockaddr *)&name, length) == 0)
		return p;
	number = errno;
	*nobody = number == ENOENT || number == ECONNREFUSED;
	fail(error, error_size, address_text(at, where), strerror(number));
	passage_close(&p);
	return NULL;
}

void passage_close(struct passage **at)
{
	struct passage *p = *at;
	int fd;

	*at = NULL;
	if (!p)
		return;
	while ((fd = passage_descriptor(p)) >= 0)
		close(fd);
	if (p->fd >= 0)
		close(p->fd);
	buf_fini(&p->unread);
	free(p);
}

bool passage_send(struct passage *p, struct span bytes, char *error, size_t error_size)
{
	while (bytes.length > 0) {
		ssize_t sent = send(p->fd, bytes.at, bytes.length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return fail(error, error_size, "could not send", strerror(errno));
		bytes = span_skip(bytes, (size_t)sent);
	}
	return true;
}

static bool wait_readable(struct passage *p, char *error, size_t error_size)
{
	time_us deadline = clock_now() + p->patience;

	for (;;) {
		struct pollfd what = { .fd = p->fd, .events = POLLIN };
		time_us left = deadline - clock_now();
		int n = left <= 0 ? 0 : poll(&what, 1, (int)(left / MILLISECOND_US) + 1);

		if (n > 0)
			return true;
		if (n == 0 && left <= 0)
			return fail(error, error_size, "it does not answer", strerror(ETIMEDOUT));
		if (n < 0 && errno != EINTR)
			return fail(error, error_size, "could not wait", strerror(errno));
	}
}

static void keep_descriptors(struct passage *p, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (p->first + p->count < DESCRIPTORS_KEPT)
				p->descriptors[p->first + p->count++] = fd;
			else
				close(fd);
		}
	}
}

bool passage_receive(struct passage *p, struct span *all, char *error, size_t error_size)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(DESCRIPTORS_MOST * sizeof(int))];
	uint8_t bytes[READ_BYTES];
	struct iovec room = { bytes, sizeof bytes };
	struct msghdr message;
	ssize_t got;

	do {
		if (!wait_readable(p, error, error_size))
			return false;
		message = (struct msghdr){
			.msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
		};
		got = recvmsg(p->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got < 0)
		return fail(error, error_size, "could not receive", strerror(errno));
	keep_descriptors(p, &message);
	if (got == 0)
		return fail(error, error_size, "it closed the connection", "end of file");
	if (!buf_add(&p->unread, bytes, (size_t)got))
		return fail(error, error_size, "could not receive", strerror(ENOMEM));
	*all = buf_span(&p->unread);
	return true;
}

void passage_consume(struct passage *p, size_t n)
{
	buf_consume(&p->unread, n);
}

int passage_descriptor(struct passage *p)
{
	if (p->count == 0)
		return -1;
	p->count--;
	return p->descriptors[p->first++];
}
