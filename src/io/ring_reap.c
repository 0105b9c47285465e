/* What the kernel says: see ring.c. */
#include <stdlib.h>

#include "io/ring_private.h"

void ring_keep(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);

	while (part->first != NO_CHUNK) {
		struct chunk *chunk = &ring->chunks[part->first];

		if (!stream_keep(s, &part->kept, span_of(chunk_at(ring, part->first) + chunk->start, chunk->length)))
			return; /* then it stays where it is */
		chunk_return(ring, chunk_take(ring, part));
	}
}

static void add_chunk(struct ring *ring, struct stream *s, uint16_t chunk, uint32_t length)
{
	struct ring_part *part = part_of(s);
	bool full = length == (group_of(chunk) == GROUP_SMALL ? SMALL_SIZE : BIG_SIZE);

	ring->chunks[chunk] = (struct chunk){ .next = NO_CHUNK, .length = length };
	if (part->first == NO_CHUNK)
		part->first = chunk;
	else
		ring->chunks[part->last].next = chunk;
	part->last = chunk;
	if (full && !part->bulk) {
		part->bulk = true;
		part->unwanted = part->armed;
	} else if (length < SMALL_SIZE && !part->armed) {
		part->bulk = false;
	}
	set_flag(s, FLAG_READABLE);
	if (!has_flag(s, FLAG_PAUSED)) {
		loop_queue(s->loop, s);
		return;
	}
	ring_keep(ring, s);
	part->unwanted = part->armed;
}

static void take_end(struct stream *s, int error)
{
	struct ring_part *part = part_of(s);

	part->ended = true;
	part->error = (uint16_t)error;
	set_flag(s, FLAG_READABLE | FLAG_HANGUP);
	if (!has_flag(s, FLAG_PAUSED) || !has_flag(s, FLAG_TOLD))
		loop_queue(s->loop, s);
}

static void take_received(struct ring *ring, struct stream *s, const struct io_uring_cqe *cqe)
{
	struct ring_part *part = part_of(s);
	uint16_t chunk = cqe->flags & IORING_CQE_F_BUFFER ? (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT)
							  : NO_CHUNK;

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		part->armed = part->unwanted = false;
		ring->armed--;
	}
	/* Nobody is there to read it, or will. */
	if (chunk != NO_CHUNK && (cqe->res <= 0 || s->state == STREAM_DEAD || s->state == STREAM_ENDED)) {
		if (cqe->res > 0)
			stream_wipe(s, chunk_at(ring, chunk), (size_t)cqe->res);
		chunk_return(ring, chunk);
		chunk = NO_CHUNK;
	}
	if (s->state == STREAM_DEAD) {
		if (part->held && !part->armed) {
			link_remove(&s->place);
			ring->streams--;
			free(s);
		}
		return;
	}
	if (chunk != NO_CHUNK)
		add_chunk(ring, s, chunk, (uint32_t)cqe->res);
	else if (cqe->res == 0 ||
		(cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -ENOBUFS && cqe->res != -EINTR &&
			cqe->res != -EAGAIN))
		take_end(s, -cqe->res);
	if (!part->armed || part->unwanted)
		ring_list(s);
}

/* Not all of it was taken; the kernel is asked again, without the ring, what it has to say to the rest. */
static void take_refused_send(struct stream *s, int result)
{
	struct ring_part *part = part_of(s);

	if (!part->sends)
		return;
	part->sends = false;
	if (result > 0)
		block_consume(&s->unsent, (size_t)result);
	if (!s->unsent)
		return;
	set_flag(s, FLAG_ROOM);
	stream_flush(s);
}

/* What there was no room for waits in the kernel, and comes when it is asked for. */
static bool fetch_the_rest(struct ring *ring)
{
	if (!io_uring_cq_has_overflow(&ring->uring))
		return false;
	ring_check_entered(io_uring_get_events(&ring->uring));
	return true;
}

void ring_reap(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, count;

	do {
		count = 0;
		io_uring_for_each_cqe(&ring->uring, head, cqe)
		{
			struct stream *s = (struct stream *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);

			count++;
			switch ((enum tag)(cqe->user_data & TAG_MASK)) {
			case TAG_RECEIVE:
				take_received(ring, s, cqe);
				break;
			case TAG_SEND:
				take_refused_send(s, cqe->res);
				break;
			case TAG_WAKE:
				ring->wake_armed = cqe->flags & IORING_CQE_F_MORE;
				break;
			case TAG_EPOLL:
				ring->epoll_armed = cqe->flags & IORING_CQE_F_MORE;
				ring->epoll_speaks = true;
				break;
			case TAG_CANCEL:
			case TAG_MASK:
				break;
			}
		}
		io_uring_cq_advance(&ring->uring, count);
	} while (count > 0 || fetch_the_rest(ring));
}
