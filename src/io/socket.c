#include <netinet/in.h>
#include <netinet/tcp.h>

#include "io/private.h"

/* Options of sockets. */

void socket_set_number(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof value);
}

void socket_set_buffers(int fd, const struct stream_options *o)
{
	if (o && o->socket_buffer > 0) {
		socket_set_number(fd, SOL_SOCKET, SO_SNDBUF, o->socket_buffer);
		socket_set_number(fd, SOL_SOCKET, SO_RCVBUF, o->socket_buffer);
	}
}

void socket_set_tcp(int fd, const struct stream_options *o)
{
	if (!o)
		return;
	if (o->keepalive) {
		socket_set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		if (o->keepidle > 0)
			socket_set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
		if (o->keepintvl > 0)
			socket_set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
		if (o->keepcnt > 0)
			socket_set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
	}
	if (o->user_timeout_ms > 0)
		socket_set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout_ms);
}

bool socket_options_equal(const struct stream_options *a, const struct stream_options *b)
{
	return a->keepalive == b->keepalive && a->keepidle == b->keepidle && a->keepintvl == b->keepintvl &&
		a->keepcnt == b->keepcnt && a->user_timeout_ms == b->user_timeout_ms &&
		a->socket_buffer == b->socket_buffer;
}
