#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/private.h"
#include "io/ring.h"

/* A stream between two loops. What it has of the kernel is its descriptor; the rest is a few words and the bytes that nobody has read or
 * taken yet. */

/* What a stream that moves has to remember. Readiness is not among it: the new loop's epoll says it anew. */
#define FLAGS_MOVED (FLAG_ROOM | FLAG_FAILED | FLAG_OVER | FLAG_SHUT_ASKED | FLAG_SHUT_DONE)

void parcel_free(struct parcel **at)
{
	struct parcel *p = *at;

	*at = NULL;
	if (!p)
		return;
	close(p->fd);
	block_free(&p->unread);
	free(p->unsent);
	tls_free(&p->tls);
	free(p);
}

bool parcel_pair(struct parcel *pair[2])
{
	int ends[2];

	for (unsigned i = 0; i < 2; i++)
		pair[i] = calloc(1, sizeof *pair[i]);
	if (!pair[0] || !pair[1] || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
		free(pair[0]);
		free(pair[1]);
		pair[0] = pair[1] = NULL;
		return false;
	}
	for (unsigned i = 0; i < 2; i++) {
		pair[i]->fd = ends[i];
		pair[i]->peer = (struct address){ .family = ADDRESS_UNIX, .user = UINT32_MAX };
	}
	return true;
}

const struct address *parcel_peer(const struct parcel *p)
{
	return &p->peer;
}

struct stream *stream_attach(struct loop *loop, struct parcel **at, const struct stream_options *options, void *owner)
{
	struct parcel *p = *at;
	struct stream *s = stream_new(loop, owner);

	*at = NULL;
	if (!s)
		goto refused;
	if (p->tls && !tls_has_bench(loop))
		goto refused_stream;
	if (!stream_pack_peer(s, &p->peer))
		goto refused_stream;
	s->flags = p->flags;
	s->error = p->error;
	s->state = STREAM_OPEN;
	stream_speaks(s); /* what may be under way moves with it */
	if (p->unsent)
		set_flag(s, FLAG_BLOCKED);
	if (s->family != ADDRESS_UNIX || p->unsent)
		set_flag(s, FLAG_ARMED);
	s->fd = p->fd;
	if ((!loop->ring || p->unsent) && !stream_tell_epoll(s, EPOLL_CTL_ADD)) {
		s->fd = -1;
		goto refused_stream;
	}
	if (loop->ring)
		ring_open(s, p->blocking);
	if (options && s->family == ADDRESS_UNIX) {
		socket_set_buffers(s->fd, options);
	} else if (options && !socket_options_equal(options, &p->options)) {
		if (p->options.keepalive && !options->keepalive)
			socket_set_number(s->fd, SOL_SOCKET, SO_KEEPALIVE, 0);
		if (p->options.user_timeout_ms > 0 && options->user_timeout_ms <= 0)
			socket_set_number(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
		socket_set_buffers(s->fd, options);
		socket_set_tcp(s->fd, options);
	}
	if (!p->tls)
		s->unread = p->unread;
	else
		tls_arrive(s, &p->tls);
	s->unsent = p->unsent;
	free(p);
	if (*stream_unread_at(s))
		set_flag(s, FLAG_AGAIN);
	if (*stream_unread_at(s) || has_flag(s, FLAG_OVER | FLAG_FAILED | FLAG_ROOM))
		loop_queue(loop, s);
	return s;

refused_stream:
	stream_drop(s);
refused:
	parcel_free(&p);
	return NULL;
}

struct parcel *stream_detach(struct stream **at)
{
	struct stream *s = *at;
	struct loop *loop = s->loop;
	struct block **unread = stream_unread_at(s);
	struct parcel *p;

	check(s->state == STREAM_OPEN && (!s->secure || tls_stood(s)));
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	if (s->loop->lent == s) {
		size_t before = block_length(*unread);
		size_t rest = s->loop->lent_bytes.length - s->loop->lent_consumed;

		/* like loop_settle, but a refusal leaves everything as it is */
		if (!s->loop->lent_block && rest > 0) {
			check(before == 0);
			if (!stream_keep(s, unread, span_skip(s->loop->lent_bytes, s->loop->lent_consumed))) {
				free(p);
				return NULL;
			}
			s->loop->lent = NULL;
		}
		loop_settle(s->loop);
	}
	stream_push(s);
	if (!loop->ring) {
		check(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, s->fd, NULL) == 0);
	} else if (!ring_leave(s)) {
		free(p);
		return NULL;
	}
	p->blocking = loop->ring != NULL;
	p->fd = s->fd;
	p->flags = s->flags & FLAGS_MOVED;
	p->error = s->error;
	if (s->secure)
		p->tls = s->tls;
	else
		p->unread = s->unread;
	p->unsent = s->unsent;
	stream_unpack_peer(s, &p->peer);
	s->secure = false;
	s->unread = s->unsent = NULL;
	s->fd = -1;
	stream_die(s);
	*at = NULL;
	return p;
}
