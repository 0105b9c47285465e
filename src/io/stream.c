#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/private.h"
#include "io/ring.h"

/* One connection.
 *
 *    stream_dial --> DIALING --CONNECTED--> OPEN <-- stream_attach
 *                       |                    | |
 *                       +------ENDED---------+ | stream_finish: the owner is forgotten
 *                               |            |  v
 *                             ENDED ------->  FINISHING --all is sent--> LINGERING
 *                               |                  |        the peer ended | or the limit passed
 *                               v                  v                       v
 *                             DEAD <---------------+-----------------------+        (stream_close: from anywhere)
 *
 *    unread:  bytes received that the owner did not consume. A block on the heap only while there are any.
 *             With stream_guard it is wiped before it is freed, and each place that its bytes came from when they have left it.
 *             A short one is copied in front of the next bytes in the loop's buffer; a long one (more than LOOP_FRONT)
 *             is read into directly, so that collecting n bytes copies them twice at most.
 *    unsent:  bytes that the kernel did not take. While there are any, writes go behind them.
 *
 * Reading.   READABLE says that recv may find something. It is set by an edge and cleared when a read proves the socket
 *            empty. Unread bytes are delivered together with new ones, or after a resume (AGAIN), and then alone: a
 *            client that sends faster than its owner consumes piles up in the kernel, not here.
 * Writing.   BLOCKED is set by a short send and cleared by the edge "writable". For TCP the kernel says so only after a
 *            short send, so the interest costs nothing and stays registered. A unix socket says so every time its peer
 *            reads, which would wake us for nothing once per transaction: there the interest is armed by a short send
 *            only, and disarmed after it (the one place where epoll_ctl is called again).
 * The end.   A peer that ends sending, and every error, comes as HANGUP; reading on finds out which it was. So that the
 *            last words of a server (FATAL: ...) are never lost, an error in sending ends nothing by itself: it is kept,
 *            reading goes on to the end, and then ENDED tells it.
 * Finishing. Closing a socket with unread input makes the kernel send a reset, which can destroy an error message that
 *            the peer has not read yet. So after the last byte the sending side is shut, and what still comes is thrown
 *            away until the peer ends too.
 *
 * The size matters, there may be a million of these: the peer's address is packed, the local one asked for on demand. */

_Static_assert(sizeof(struct stream) <= 88, "with malloc's 8 bytes a stream fills a chunk of 96");

size_t stream_size(const struct loop *loop)
{
	return sizeof(struct stream) + (loop->ring ? ring_part_size() : 0);
}

/* ---- birth and death ---- */

struct stream *stream_new(struct loop *loop, void *owner)
{
	struct stream *s = memory_zeroed(stream_size(loop));

	if (!s)
		return NULL;
	if (loop->ring && !ring_reserve(loop->ring)) {
		free(s);
		return NULL;
	}
	s->fd = -1;
	s->loop = loop;
	if (loop->ring)
		ring_part_begin(s);
	s->owner = owner;
	link_last(&loop->streams, &s->place);
	return s;
}

/* It has no owner any more, who may still be looking at bytes in its block. */
static void drop_unread(struct stream *s)
{
	struct loop *loop = s->loop;
	struct block **unread = stream_unread_at(s);

	if (loop->lent == s) {
		loop->lent = NULL;
		if (loop->lent_block) {
			loop->orphan = *unread;
			*unread = NULL;
		}
	}
	block_free(unread);
}

/* Free what it holds but for the descriptor. From now on nobody hears of it. */
void stream_die(struct stream *s)
{
	struct loop *loop = s->loop;

	check(s->state != STREAM_DEAD);
	drop_unread(s);
	if (loop->ring)
		ring_end(s);
	if (s->secure)
		tls_leave(s);
	free(s->unsent);
	s->unsent = NULL;
	if (s->family == ADDRESS_UNIX)
		free(s->path);
	s->path = NULL;
	s->owner = NULL;
	link_remove(&s->place);
	s->state = STREAM_DEAD;
	if (!has_flag(s, FLAG_QUEUED) && loop->now != s) {
		s->next = loop->grave;
		loop->grave = s;
	}
}

void stream_drop(struct stream *s)
{
	int fd = s->fd;

	/* Closing takes it out of the epoll set only if nobody else has it. A child has, that a PAM module has forked, until it runs its helper;
	 * for as long the kernel would tell of a stream that is no more. */
	if (fd >= 0)
		(void)epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, fd, NULL);
	stream_die(s);
	s->fd = -1;
	if (fd >= 0)
		close(fd);
}

void stream_close(struct stream **at)
{
	struct stream *s = *at;

	*at = NULL;
	if (!s)
		return;
	check(s->state <= STREAM_ENDED);
	stream_push(s);
	if (s->secure && s->state == STREAM_OPEN && !s->unsent)
		tls_goodbye(s);
	stream_push(s);
	stream_drop(s);
}

static uint32_t interest(const struct stream *s)
{
	return (s->loop->ring ? 0 : EPOLLIN) | EPOLLRDHUP | EPOLLET | (has_flag(s, FLAG_ARMED) ? EPOLLOUT : 0);
}

bool stream_tell_epoll(struct stream *s, int operation)
{
	struct epoll_event e = { .events = interest(s), .data.ptr = s };

	check(((uintptr_t)s & MARK_MASK) == 0);
	if (s->loop->ring)
		operation = ring_told_epoll(s) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	return epoll_ctl(s->loop->epoll, operation, s->fd, &e) == 0;
}

/* ---- the owner's small questions ---- */

void stream_set_owner(struct stream *s, void *owner)
{
	check(s->state <= STREAM_ENDED);
	s->owner = owner;
}

void *stream_owner(const struct stream *s)
{
	return s->owner;
}

size_t stream_unread(const struct stream *s)
{
	if (s->loop->lent == s)
		return s->loop->lent_bytes.length - s->loop->lent_consumed;
	return block_length(s->secure ? *tls_unread(s->tls) : s->unread);
}

size_t stream_queued(const struct stream *s)
{
	return s->loop->ring && ring_holds_unsent(s) ? 0 : block_length(s->unsent);
}

bool stream_is_paused(const struct stream *s)
{
	return has_flag(s, FLAG_PAUSED);
}

void stream_consume(struct stream *s, size_t n)
{
	struct loop *loop = s->loop;

	if (loop->lent != s) {
		block_consume(stream_unread_at(s), n);
		return;
	}
	check(n <= loop->lent_bytes.length - loop->lent_consumed);
	loop->lent_consumed += n;
}

void stream_pause(struct stream *s)
{
	check(s->state <= STREAM_ENDED);
	set_flag(s, FLAG_PAUSED); /* a hangup that is known already is on its way: the stream stands in a queue then */
	if (s->loop->ring)
		ring_rest(s);
}

void stream_resume(struct stream *s)
{
	check(s->state <= STREAM_ENDED);
	clear_flag(s, FLAG_PAUSED);
	if (s->state != STREAM_OPEN)
		return;
	if (stream_unread(s) > 0)
		set_flag(s, FLAG_AGAIN);
	if (has_flag(s, FLAG_AGAIN | FLAG_READABLE | FLAG_HANGUP | FLAG_OVER))
		loop_queue(s->loop, s);
	if (s->loop->ring)
		ring_want(s);
}

/* ---- secrets ---- */

void stream_guard(struct stream *s, bool on)
{
	s->secret = on;
	if (s->secure)
		tls_guard(s);
}

void stream_wipe(const struct stream *s, const void *bytes, size_t n)
{
	if (s->secret)
		secret_wipe((void *)(uintptr_t)bytes, n);
}

bool stream_keep(const struct stream *s, struct block **in, struct span bytes)
{
	bool kept = block_add(in, bytes.at, bytes.length);

	if (kept && s->secret) {
		(*in)->secret = true;
		stream_wipe(s, bytes.at, bytes.length);
	}
	return kept;
}

/* ---- finishing ---- */

void stream_finish(struct stream **at, time_us limit)
{
	struct stream *s = *at;
	struct loop *loop;
	struct link *before;

	*at = NULL;
	if (!s)
		return;
	check(s->state <= STREAM_ENDED);
	if (s->state == STREAM_DIALING || has_flag(s, FLAG_FAILED) || limit <= 0) {
		stream_drop(s);
		return;
	}
	loop = s->loop;
	drop_unread(s);
	if (s->secure) {
		tls_goodbye(s);
		tls_leave(s);
	}
	stream_push(s);
	if (has_flag(s, FLAG_FAILED)) {
		stream_drop(s);
		return;
	}
	if (!s->unsent && !has_flag(s, FLAG_SHUT_DONE))
		stream_shut_now(s);
	set_flag(s, FLAG_SHUT_ASKED | FLAG_READABLE);
	clear_flag(s, FLAG_PAUSED);
	s->state = s->unsent ? STREAM_FINISHING : STREAM_LINGERING;

	/* Sorted by deadline. Limits are mostly equal, so the place is mostly the last. */
	s->deadline = clock_now() + limit;
	link_remove(&s->place);
	for (before = loop->farewells.prev; before != &loop->farewells; before = before->prev)
		if (link_owner(before, struct stream, place)->deadline <= s->deadline)
			break;
	link_after(before, &s->place);
	loop_queue(loop, s);
}

/* ---- what the kernel says ---- */

void stream_event(struct stream *s, uint32_t events)
{
	bool wanted = false;

	if (s->state == STREAM_DEAD)
		return;
	if (events & EPOLLOUT) {
		if (s->state == STREAM_DIALING || has_flag(s, FLAG_BLOCKED))
			wanted = true;
		clear_flag(s, FLAG_BLOCKED);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		set_flag(s, FLAG_READABLE);
		wanted = wanted || !has_flag(s, FLAG_PAUSED);
	}
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		set_flag(s, FLAG_HANGUP);
		wanted = wanted || !has_flag(s, FLAG_TOLD);
	}
	if (wanted)
		loop_queue(s->loop, s);
}

bool stream_say(struct stream *s, struct completion *out, enum completion_kind kind)
{
	out->kind = kind;
	out->stream = s;
	out->owner = s->owner;
	return true;
}

bool stream_say_ended(struct stream *s, struct completion *out)
{
	s->state = STREAM_ENDED;
	out->error = s->error;
	return stream_say(s, out, DONE_ENDED);
}

/* Lend bytes to the owner: our buffer's, or the stream's own block. */
static bool say_bytes(struct stream *s, struct completion *out, struct span bytes, bool block)
{
	struct loop *loop = s->loop;

	s->turn = loop->turn;
	loop->lent = s;
	loop->lent_bytes = bytes;
	loop->lent_consumed = 0;
	loop->lent_block = block;
	out->bytes = bytes;
	return stream_say(s, out, DONE_BYTES);
}

ssize_t stream_receive(struct stream *s, void *into, size_t room)
{
	ssize_t got = s->loop->ring ? ring_receive(s, into, room) : RING_ASK;

	if (got != RING_ASK)
		return got;
	do {
		got = recv(s->fd, into, room, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got == (ssize_t)room) {
		set_flag(s, FLAG_FULL);
	} else if (got > 0) {
		/* The socket is empty now, unless an end or an error stands behind the bytes: that edge was said already. */
		if (!has_flag(s, FLAG_HANGUP))
			clear_flag(s, FLAG_READABLE);
	} else if (got < 0 && errno == EAGAIN) {
		clear_flag(s, FLAG_READABLE);
		if (has_flag(s, FLAG_FAILED))
			set_flag(s, FLAG_OVER);
	} else {
		clear_flag(s, FLAG_READABLE);
		set_flag(s, FLAG_OVER | FLAG_HANGUP);
		if (!has_flag(s, FLAG_FAILED))
			s->error = got < 0 ? (uint16_t)errno : 0;
		if (got < 0)
			set_flag(s, FLAG_FAILED);
	}
	return got;
}

static ssize_t receive(struct stream *s, uint8_t *into, size_t room)
{
	return s->secure ? tls_receive(s, into, room) : stream_receive(s, into, room);
}

static bool read_bytes_in(struct stream *s, struct completion *out)
{
	struct loop *loop = s->loop;
	uint8_t *into = loop->buffer + LOOP_FRONT;
	struct block **unread = stream_unread_at(s), *b = *unread;
	ssize_t got;

	if (loop->ring && !b && !s->secure) {
		struct span bytes = ring_lend(s);

		if (bytes.length > 0)
			return say_bytes(s, out, bytes, false);
	}
	if (block_length(b) > LOOP_FRONT) {
		if (!block_reserve(unread, LOOP_READ)) {
			s->error = ENOMEM;
			set_flag(s, FLAG_OVER | FLAG_FAILED);
			return false;
		}
		b = *unread;
		got = receive(s, b->at + b->start + b->length, LOOP_READ);
		if (got <= 0)
			return false;
		b->length += (size_t)got;
		return say_bytes(s, out, span_of(b->at + b->start, b->length), true);
	}
	got = receive(s, into, LOOP_READ);
	if (got <= 0)
		return false;
	if (b) {
		size_t tail = b->length;

		memcpy(into - tail, b->at + b->start, tail);
		into -= tail;
		got += (ssize_t)tail;
		block_consume(unread, tail);
	}
	return say_bytes(s, out, span_of(into, (size_t)got), false);
}

/* Nobody owns it any more: send the rest, then wait for the peer's end. */
static bool step_leaving(struct stream *s)
{
	stream_flush(s);
	if (s->state == STREAM_FINISHING && !s->unsent)
		s->state = STREAM_LINGERING;
	while (has_flag(s, FLAG_READABLE)) {
		ssize_t got = stream_receive(s, s->loop->buffer, LOOP_READ);

		if (got <= 0)
			break;
		stream_wipe(s, s->loop->buffer, (size_t)got);
		if (has_flag(s, FLAG_FULL)) {
			clear_flag(s, FLAG_FULL);
			loop_queue_later(s->loop, s);
			return false;
		}
	}
	if (has_flag(s, FLAG_FAILED) || (s->state == STREAM_LINGERING && has_flag(s, FLAG_OVER)))
		stream_drop(s);
	return false;
}

static bool step_open(struct stream *s, struct completion *out)
{
	struct loop *loop = s->loop;

	stream_flush(s);
	if (s->secure && !tls_stood(s))
		return tls_step(s, out);
	if (has_flag(s, FLAG_ROOM) && !s->unsent) {
		clear_flag(s, FLAG_ROOM);
		return stream_say(s, out, DONE_ROOM);
	}
	if (has_flag(s, FLAG_PAUSED)) {
		if (!has_flag(s, FLAG_HANGUP | FLAG_OVER) || has_flag(s, FLAG_TOLD))
			return false;
		set_flag(s, FLAG_TOLD);
		return stream_say(s, out, DONE_HANGUP);
	}
	/* One that had its bytes in this turn lets the others go first: else two that resume each other never end it. */
	if (s->turn == loop->turn && has_flag(s, FLAG_FULL | FLAG_AGAIN)) {
		clear_flag(s, FLAG_FULL);
		loop_queue_later(loop, s);
		return false;
	}
	clear_flag(s, FLAG_FULL);
	if (has_flag(s, FLAG_AGAIN)) {
		const struct block *unread = *stream_unread_at(s);

		clear_flag(s, FLAG_AGAIN);
		if (unread)
			return say_bytes(s, out, span_of(unread->at + unread->start, unread->length), true);
	}
	while (has_flag(s, FLAG_READABLE) && !has_flag(s, FLAG_OVER)) {
		if (read_bytes_in(s, out))
			return true;
		/* Much came, and nothing in it was for the owner: only with TLS. */
		if (has_flag(s, FLAG_FULL)) {
			clear_flag(s, FLAG_FULL);
			loop_queue_later(loop, s);
			return false;
		}
	}
	if (has_flag(s, FLAG_OVER))
		return stream_say_ended(s, out);
	return false;
}

bool stream_step(struct stream *s, struct completion *out)
{
	switch ((enum stream_state)s->state) {
	case STREAM_DIALING:
		return stream_step_dialing(s, out);
	case STREAM_OPEN:
		return step_open(s, out);
	case STREAM_ENDED:
		stream_flush(s);
		return false;
	case STREAM_FINISHING:
	case STREAM_LINGERING:
		return step_leaving(s);
	case STREAM_DEAD:
		break;
	}
	return false;
}
