/* What a stream asks of the ring: see ring.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/ring_private.h"

/* ---- its part ---- */

size_t ring_part_size(void)
{
	return sizeof(struct ring_part);
}

bool ring_reserve(struct ring *ring)
{
	size_t capacity = ring->capacity ? ring->capacity * 2 : 64;
	struct stream **chores, **senders;

	if (ring->streams < ring->capacity) {
		ring->streams++;
		return true;
	}
	chores = realloc(ring->chores, capacity * sizeof(struct stream *));
	if (!chores)
		return false;
	ring->chores = chores;
	senders = realloc(ring->senders, capacity * sizeof(struct stream *));
	if (!senders)
		return false;
	ring->senders = senders;
	ring->capacity = capacity;
	ring->streams++;
	return true;
}

void ring_part_begin(struct stream *s)
{
	*part_of(s) = (struct ring_part){ .first = NO_CHUNK, .last = NO_CHUNK };
}

void ring_open(struct stream *s, bool is_blocking)
{
	struct ring_part *part = part_of(s);

	if (part->in_epoll && !has_flag(s, FLAG_BLOCKED)) {
		part->in_epoll = false;
		check(epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL) == 0);
	}
	if (!is_blocking)
		check(fcntl(s->fd, F_SETFL, 0) == 0);
	ring_list(s);
}

void ring_rest(struct stream *s)
{
	if (part_of(s)->first != NO_CHUNK)
		ring_list(s);
}

void ring_want(struct stream *s)
{
	struct ring_part *part = part_of(s);

	if (!part->armed)
		ring_list(s);
	else if (!part->bulk)
		part->unwanted = false;
}

bool ring_told_epoll(struct stream *s)
{
	struct ring_part *part = part_of(s);
	bool before = part->in_epoll;

	part->in_epoll = true;
	return before;
}

bool ring_is_in_epoll(const struct stream *s)
{
	return part_of(s)->in_epoll;
}

/* ---- receiving ---- */

/* What follows from having given out some: others first if there is more, and if there is not, the kernel is asked for it. */
static void note_given(struct stream *s)
{
	struct ring_part *part = part_of(s);

	if (has_bytes(part)) {
		set_flag(s, FLAG_FULL);
		return;
	}
	if (!part->ended)
		clear_flag(s, FLAG_READABLE);
	if (!part->armed)
		ring_list(s);
}

ssize_t ring_receive(struct stream *s, void *into, size_t room)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);
	size_t n = 0;

	if (part->kept) {
		n = part->kept->length < room ? part->kept->length : room;
		memcpy(into, part->kept->at + part->kept->start, n);
		block_consume(&part->kept, n);
	} else if (part->first != NO_CHUNK) {
		struct chunk *chunk = &ring->chunks[part->first];

		n = chunk->length < room ? chunk->length : room;
		memcpy(into, chunk_at(ring, part->first) + chunk->start, n);
		stream_wipe(s, chunk_at(ring, part->first) + chunk->start, n);
		chunk->start += (uint32_t)n;
		chunk->length -= (uint32_t)n;
		if (chunk->length == 0)
			chunk_return(ring, chunk_take(ring, part));
	}
	if (n > 0) {
		note_given(s);
		return (ssize_t)n;
	}
	if (part->ended) {
		clear_flag(s, FLAG_READABLE);
		set_flag(s, FLAG_OVER | FLAG_HANGUP);
		if (!has_flag(s, FLAG_FAILED))
			s->error = part->error;
		if (part->error)
			set_flag(s, FLAG_FAILED);
		errno = part->error;
		return part->error ? -1 : 0;
	}
	/* Sending failed: no more will come than has, and it is to be read to its end now. */
	if (has_flag(s, FLAG_FAILED))
		return RING_ASK;
	clear_flag(s, FLAG_READABLE);
	ring_want(s);
	errno = EAGAIN;
	return -1;
}

struct span ring_lend(struct stream *s)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);
	struct span bytes;

	check(ring->lent == NO_CHUNK);
	if (part->kept || part->first == NO_CHUNK)
		return span_of(NULL, 0);
	ring->lent = chunk_take(ring, part);
	bytes = span_of(chunk_at(ring, ring->lent) + ring->chunks[ring->lent].start, ring->chunks[ring->lent].length);
	note_given(s);
	return bytes;
}

void ring_return(struct ring *ring)
{
	if (ring->lent == NO_CHUNK)
		return;
	chunk_return(ring, ring->lent);
	ring->lent = NO_CHUNK;
}

/* ---- sending ---- */

#define SEND_MOST 16384 /* more is sent at once: copying it would cost what the call does */

bool ring_send(struct stream *s, const struct piece *pieces, size_t count)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += pieces[i].length;
	if (total == 0)
		return true;
	if (total + block_length(s->unsent) > SEND_MOST || !block_reserve(&s->unsent, total))
		return false;
	for (size_t i = 0; i < count; i++)
		check(block_add(&s->unsent, pieces[i].at, pieces[i].length));
	part_of(s)->sends = true;
	stream_speaks(s);
	ring_list(s);
	return true;
}

bool ring_holds_unsent(const struct stream *s)
{
	return part_of(s)->sends;
}

void ring_push(struct stream *s)
{
	struct ring_part *part = part_of(s);
	bool room = has_flag(s, FLAG_ROOM);

	if (!part->sends)
		return;
	part->sends = false;
	set_flag(s, FLAG_ROOM);
	stream_flush(s);
	if (!s->unsent && !room)
		clear_flag(s, FLAG_ROOM);
}

/* ---- leaving ---- */

/* Until the kernel has said its last word about it. Each round brings one: the receive's, or that there was nothing to cancel, since it was
 * just being done. */
static void disarm(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);

	while (part->armed) {
		ring_prepare_cancel(ring, s);
		ring_check_entered(io_uring_submit_and_wait(&ring->uring, 1));
		ring_reap(ring);
	}
}

bool ring_leave(struct stream *s)
{
	struct loop *loop = s->loop;
	struct ring_part *part = part_of(s);

	disarm(loop->ring, s);
	/* Not by way of the loop's buffer: the owner may be looking at another stream's bytes there. */
	while (has_bytes(part)) {
		struct block **unread = stream_unread_at(s), *b;
		ssize_t got;

		if (!block_reserve(unread, LOOP_READ)) {
			ring_list(s);
			return false;
		}
		b = *unread;
		got = s->secure ? tls_receive(s, b->at + b->start + b->length, LOOP_READ)
				: ring_receive(s, b->at + b->start + b->length, LOOP_READ);
		if (got > 0)
			b->length += (size_t)got;
	}
	if (block_length(*stream_unread_at(s)) == 0)
		block_consume(stream_unread_at(s), 0);
	if (part->ended && !has_flag(s, FLAG_OVER))
		(void)ring_receive(s, NULL, 0);
	if (part->in_epoll)
		check(epoll_ctl(loop->epoll, EPOLL_CTL_DEL, s->fd, NULL) == 0);
	part->in_epoll = false;
	return true;
}

void ring_end(struct stream *s)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);

	if (part->in_epoll && s->fd >= 0)
		(void)epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	part->in_epoll = part->sends = false;
	block_free(&part->kept);
	while (part->first != NO_CHUNK) {
		const struct chunk *chunk = &ring->chunks[part->first];

		stream_wipe(s, chunk_at(ring, part->first) + chunk->start, chunk->length);
		chunk_return(ring, chunk_take(ring, part));
	}
	part->unwanted = part->armed;
	if (part->armed)
		ring_list(s);
}

bool ring_buries(struct stream *s)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);

	if (!part->armed) {
		ring->streams--;
		return false;
	}
	part->held = true;
	link_last(&ring->held, &s->place);
	return true;
}
