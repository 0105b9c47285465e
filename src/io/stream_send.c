/* A stream's sending side: see stream.c. */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "io/private.h"
#include "io/ring.h"

_Static_assert(sizeof(struct piece) == sizeof(struct iovec) &&
		offsetof(struct piece, at) == offsetof(struct iovec, iov_base) &&
		offsetof(struct piece, length) == offsetof(struct iovec, iov_len),
	"a piece is an iovec by another name");

/* Epoll is to say when the kernel takes more, or need not any more. False: it can not. */
static bool arm(struct stream *s, bool on)
{
	bool known = !s->loop->ring || ring_is_in_epoll(s);

	if (known ? s->family != ADDRESS_UNIX || has_flag(s, FLAG_ARMED) == on : !on)
		return true;
	if (on)
		set_flag(s, FLAG_ARMED);
	else
		clear_flag(s, FLAG_ARMED);
	return stream_tell_epoll(s, EPOLL_CTL_MOD);
}

/* Sending is over; what the peer still says is read to the end before the owner is told. ROOM stays owed: an owner that paused may wait
 * for it, and hear of nothing else. */
static void send_failed(struct stream *s, int error)
{
	free(s->unsent);
	s->unsent = NULL;
	clear_flag(s, FLAG_BLOCKED);
	(void)arm(s, false);
	if (has_flag(s, FLAG_FAILED))
		return;
	if (!has_flag(s, FLAG_OVER))
		s->error = (uint16_t)error;
	set_flag(s, FLAG_FAILED | FLAG_HANGUP | FLAG_READABLE);
	loop_queue(s->loop, s);
}

/* The kernel took less than it was given. */
static void block(struct stream *s)
{
	set_flag(s, FLAG_BLOCKED);
	if (!arm(s, true))
		send_failed(s, errno);
}

void stream_shut_now(struct stream *s)
{
	set_flag(s, FLAG_SHUT_DONE);
	(void)shutdown(s->fd, SHUT_WR); /* fails only if the connection is gone, and then reading says so */
}

bool stream_flush(struct stream *s)
{
	struct block *b = s->unsent;
	ssize_t sent;

	if (!b || has_flag(s, FLAG_BLOCKED) || (s->loop->ring && ring_holds_unsent(s)))
		return false;
	do {
		sent = send(s->fd, b->at + b->start, b->length, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN) {
		send_failed(s, errno);
		return false;
	}
	if (sent > 0) {
		stream_speaks(s);
		block_consume(&s->unsent, (size_t)sent);
	}
	if (s->unsent) {
		block(s);
		return false;
	}
	(void)arm(s, false);
	if (has_flag(s, FLAG_SHUT_ASKED) && !has_flag(s, FLAG_SHUT_DONE))
		stream_shut_now(s);
	return true;
}

/* Queue what remains of these pieces after their first `skip` bytes. */
static bool queue_pieces(struct stream *s, const struct piece *pieces, size_t count, size_t skip)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += pieces[i].length;
	if (total == skip)
		return true;
	if (!block_reserve(&s->unsent, total - skip))
		return false;
	set_flag(s, FLAG_ROOM);
	for (size_t i = 0; i < count; i++) {
		size_t part = skip < pieces[i].length ? skip : pieces[i].length;

		skip -= part;
		if (pieces[i].length > part)
			check(block_add(&s->unsent, (const uint8_t *)pieces[i].at + part, pieces[i].length - part));
	}
	return true;
}

/* As many pieces as one call takes. Returns the bytes sent, or -1 after an error. */
static ssize_t send_pieces(struct stream *s, const struct piece *pieces, size_t count)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)pieces,
		.msg_iovlen = count,
	};
	ssize_t sent;

	do {
		if (count == 1)
			sent = send(s->fd, pieces->at, pieces->length, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			sent = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	stream_speaks(s);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN)
		return 0;
	send_failed(s, errno);
	return -1;
}

#define PIECES_PER_CALL 1024 /* the kernel's own bound, UIO_MAXIOV */

bool stream_write(struct stream *s, const struct piece *pieces, size_t count)
{
	check(s->state <= STREAM_ENDED && !has_flag(s, FLAG_SHUT_ASKED));
	return s->secure ? tls_write(s, pieces, count) : stream_write_plain(s, pieces, count);
}

/* Nothing is to be sent before it but what waits for the end of the turn too. */
static bool may_wait_for_the_turn(const struct stream *s)
{
	return s->state != STREAM_DIALING && (!s->unsent || ring_holds_unsent(s));
}

bool stream_write_plain(struct stream *s, const struct piece *pieces, size_t count)
{
	if (has_flag(s, FLAG_FAILED))
		return true;
	if (s->loop->ring && may_wait_for_the_turn(s)) {
		if (ring_send(s, pieces, count))
			return true;
		ring_push(s);
		if (has_flag(s, FLAG_FAILED))
			return true;
	}
	if (s->unsent || s->state == STREAM_DIALING)
		return queue_pieces(s, pieces, count, 0);
	while (count > 0) {
		size_t some = count < PIECES_PER_CALL ? count : PIECES_PER_CALL, total = 0;
		ssize_t sent;

		for (size_t i = 0; i < some; i++)
			total += pieces[i].length;
		if (total > 0) {
			sent = send_pieces(s, pieces, some);
			if (sent < 0)
				return true;
			if ((size_t)sent < total) {
				if (!queue_pieces(s, pieces, count, (size_t)sent))
					return false;
				block(s);
				return true;
			}
		}
		pieces += some;
		count -= some;
	}
	return true;
}

void stream_shut(struct stream *s)
{
	check(s->state <= STREAM_ENDED);
	if (has_flag(s, FLAG_SHUT_ASKED))
		return;
	if (s->secure)
		tls_goodbye(s);
	stream_push(s);
	set_flag(s, FLAG_SHUT_ASKED);
	if (!s->unsent && s->state != STREAM_DIALING && !has_flag(s, FLAG_FAILED))
		stream_shut_now(s);
}
