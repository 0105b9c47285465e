/* Dialing a stream, and whom it leads to: see stream.c. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"
#include "io/ring.h"

/* ---- the peer's address ---- */

bool stream_pack_peer(struct stream *s, const struct address *a)
{
	s->family = a->family & 7;
	s->port = a->port;
	s->scope = a->scope;
	if (a->family != ADDRESS_UNIX) {
		memcpy(s->ip, a->ip, sizeof s->ip);
		return true;
	}
	s->process = a->process;
	s->user = a->user;
	s->path = NULL;
	if (a->path[0]) {
		s->path = strdup(a->path);
		return s->path != NULL;
	}
	return true;
}

void stream_unpack_peer(const struct stream *s, struct address *out)
{
	*out = (struct address){ .family = s->family, .port = s->port, .scope = s->scope };
	if (s->family != ADDRESS_UNIX) {
		memcpy(out->ip, s->ip, sizeof out->ip);
		return;
	}
	out->process = s->process;
	out->user = s->user;
	if (s->path)
		text_copy(out->path, sizeof out->path, s->path);
}

const struct address *stream_peer(const struct stream *s)
{
	stream_unpack_peer(s, &s->loop->peer);
	return &s->loop->peer;
}

const struct address *stream_local(const struct stream *s)
{
	address_of_socket(s->fd, &s->loop->local);
	return &s->loop->local;
}

/* ---- dialing ---- */

/* The end is known without reading: ENDED with this error comes in the next turn. */
static void fail(struct stream *s, int error)
{
	s->error = (uint16_t)error;
	set_flag(s, FLAG_FAILED | FLAG_OVER);
	loop_queue(s->loop, s);
}

static void begin_connect(struct stream *s)
{
	struct loop *loop = s->loop;
	struct sockaddr_storage at;
	struct address peer;
	socklen_t length;

	stream_unpack_peer(s, &peer);
	length = address_to_kernel(&peer, &at);
	link_remove(&s->place);
	if (connect(s->fd, (struct sockaddr *)&at, length) == 0) {
		set_flag(s, FLAG_DIALED_NOW);
		loop_queue(loop, s);
	} else if (errno == EAGAIN && s->family == ADDRESS_UNIX) {
		/* Its queue is full, and no event will say when it is not: try again soon, as a blocking connect would. */
		if (link_empty(&loop->redials) && loop->redial_at <= clock_now())
			loop->redial_at = clock_now() + 10 * MILLISECOND_US;
		link_last(&loop->redials, &s->place);
		return;
	} else if (errno != EINPROGRESS) {
		link_last(&loop->streams, &s->place);
		fail(s, errno);
		return;
	}
	link_last(&loop->streams, &s->place);
	if (!stream_tell_epoll(s, EPOLL_CTL_ADD)) {
		clear_flag(s, FLAG_DIALED_NOW);
		fail(s, errno);
	}
}

void stream_redial(struct stream *s)
{
	begin_connect(s);
}

struct stream *stream_dial(
	struct loop *loop, const struct address *to, const struct stream_options *options, void *owner)
{
	static const int families[] = { [ADDRESS_IPV4] = AF_INET, [ADDRESS_IPV6] = AF_INET6, [ADDRESS_UNIX] = AF_UNIX };
	struct stream *s;
	int why;

	check(to->family >= ADDRESS_IPV4 && to->family <= ADDRESS_UNIX);
	s = stream_new(loop, owner);
	if (!s)
		return NULL;
	if (!stream_pack_peer(s, to)) {
		errno = ENOMEM;
		goto refused;
	}
	s->fd = socket(families[to->family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		goto refused;
	socket_set_buffers(s->fd, options);
	if (s->family != ADDRESS_UNIX) {
		socket_set_number(s->fd, IPPROTO_TCP, TCP_NODELAY, 1);
		socket_set_tcp(s->fd, options);
		set_flag(s, FLAG_ARMED);
	}
	s->state = STREAM_DIALING;
	begin_connect(s);
	return s;

refused:
	why = errno;
	stream_drop(s);
	errno = why;
	return NULL;
}

/* A dialed stream: is it open, or what went wrong? */
bool stream_step_dialing(struct stream *s, struct completion *out)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (has_flag(s, FLAG_OVER))
		return stream_say_ended(s, out);
	if (!has_flag(s, FLAG_DIALED_NOW)) {
		struct sockaddr_storage name;
		socklen_t name_length = sizeof name;

		if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
			error = errno;
		if (error == 0 && getpeername(s->fd, (struct sockaddr *)&name, &name_length) != 0) {
			if (!has_flag(s, FLAG_HANGUP))
				return false; /* not yet */
			error = ECONNREFUSED;
		}
	}
	/* A TCP socket can meet itself when nobody listens on a port that the kernel may also choose for it. */
	if (error == 0 && s->family != ADDRESS_UNIX) {
		struct address peer, local;

		stream_unpack_peer(s, &peer);
		address_of_socket(s->fd, &local);
		if (address_equal(&peer, &local))
			error = ECONNREFUSED;
	}
	if (error) {
		s->error = (uint16_t)error;
		set_flag(s, FLAG_OVER | FLAG_FAILED);
		return stream_say_ended(s, out);
	}
	s->state = STREAM_OPEN;
	clear_flag(s, FLAG_DIALED_NOW | FLAG_BLOCKED);
	if (s->loop->ring)
		ring_open(s, false);
	if (!s->unsent && has_flag(s, FLAG_SHUT_ASKED))
		stream_shut_now(s);
	if (!s->secure)
		return stream_say(s, out, DONE_CONNECTED);
	if (!tls_connected(s)) {
		s->error = ENOMEM;
		set_flag(s, FLAG_OVER | FLAG_FAILED);
		return stream_say_ended(s, out);
	}
	return tls_step(s, out);
}
