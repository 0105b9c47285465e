#include "io/ring_private.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The loop over io_uring: what every transaction needs goes through the ring, what is rare stays with epoll.
 *
 *                 one io_uring_enter per turn
 *     gather:  sends, receives, cancels  -->  kernel  -->  reap:  received chunks, the wake-up, "epoll has something to say"
 *
 *    receiving:  a stream's receive stays armed (multishot) and owns no memory; what comes lies in a chunk, one of a common stock that
 *                the kernel fills. Chunks of a stream stand in line until its turn, are lent to the owner where they lie, and go back.
 *                Whoever fills chunks is asked for one large chunk at a time instead (`bulk`), so that it can not empty the stock.
 *    sending:    what is short is copied to the stream's unsent bytes, and all such are sent by the one call that also waits. Each of
 *                these sends is done or refused within that call (MSG_DONTWAIT), so that none is ever under way while anybody
 *                looks, and unsent bytes need no second owner. What is long is sent at once, uncopied, as without a ring.
 *    the rest:   listeners, signals, dialing, and streams that could not send all, are epoll's, whose descriptor is watched by the ring.
 *
 * Pausing.  The armed receive of a paused stream is left alone: mostly nothing comes. If something does, it is kept outside of the stock
 *           (`kept`), so that those who wait can not hold what those who work need, and the receive is cancelled; from then on epoll tells
 *           of the peer's end. What had come before the pause and was not given out is kept there too, at the turn's end.
 * The end.  The kernel may name a stream until its receive has said its last word. So a closed stream's receive is cancelled, and its
 *           memory waits for that word (`held`). Its socket ends with it, which is in the turn's own io_uring_enter.
 * Moving.   A stream that goes to another loop takes nothing of the ring with it: its receive is ended first, and what came by then
 *           is put to its unread bytes.
 *
 * Sockets are blocking here, since the kernel would otherwise not wait with a receive (every call of our own says MSG_DONTWAIT).
 *
 * What always holds between two calls of ring_wait: all completions were reaped, also those for which there was no room, and no send is
 * under way. */

/* ---- birth and death of the ring ---- */

static bool stock_new(struct ring *ring, enum group group, unsigned count)
{
	struct stock *stock = &ring->stocks[group];
	struct io_uring_buf_reg registration = { .ring_entries = count, .bgid = (uint16_t)group };

	stock->count = count;
	if (posix_memalign((void **)&stock->ring, 4096, count * sizeof(struct io_uring_buf)) != 0) {
		stock->ring = NULL;
		errno = ENOMEM;
		return false;
	}
	memset(stock->ring, 0, count * sizeof(struct io_uring_buf));
	registration.ring_addr = (uint64_t)(uintptr_t)stock->ring;
	errno = -io_uring_register_buf_ring(&ring->uring, &registration, 0);
	if (errno != 0)
		return false;
	io_uring_buf_ring_init(stock->ring);
	return true;
}

static void free_all(struct ring *ring)
{
	free(ring->stocks[GROUP_SMALL].ring);
	free(ring->stocks[GROUP_BIG].ring);
	free(ring->memory);
	free(ring->chores);
	free(ring->senders);
	free(ring);
}

struct ring *ring_new(struct loop *loop)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
			IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = COMPLETIONS,
	};
	struct ring *ring = calloc(1, sizeof *ring);
	int why;

	if (!ring)
		return NULL;
	ring->loop = loop;
	ring->lent = NO_CHUNK;
	link_init(&ring->held);
	errno = -io_uring_queue_init_params(SUBMISSIONS, &ring->uring, &params);
	if (errno != 0) {
		why = errno;
		free_all(ring);
		errno = why;
		return NULL;
	}
	ring->memory = malloc((size_t)SMALL_COUNT * SMALL_SIZE + (size_t)BIG_COUNT * BIG_SIZE);
	if (!ring->memory || !stock_new(ring, GROUP_SMALL, SMALL_COUNT) || !stock_new(ring, GROUP_BIG, BIG_COUNT))
		goto refused;
	for (uint16_t i = 0; i < CHUNKS; i++)
		chunk_return(ring, i);
	return ring;

refused:
	why = errno;
	io_uring_queue_exit(&ring->uring);
	free_all(ring);
	errno = why;
	return NULL;
}

/* ---- what is said to the kernel ---- */

static void submit(struct ring *ring)
{
	ring_check_entered(io_uring_submit(&ring->uring));
}

static struct io_uring_sqe *sqe_for(struct ring *ring, const void *about, enum tag tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	while (!sqe) {
		submit(ring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	/* The preparing functions of some versions clear it, so it is said again behind them. */
	sqe->user_data = (uint64_t)(uintptr_t)about | tag;
	return sqe;
}

static void prepare_receive(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);
	struct io_uring_sqe *sqe = sqe_for(ring, s, TAG_RECEIVE);
	uint64_t data = sqe->user_data;

	if (part->bulk)
		io_uring_prep_recv(sqe, s->fd, NULL, 0, 0);
	else
		io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = part->bulk ? GROUP_BIG : GROUP_SMALL;
	sqe->user_data = data;
	part->armed = true;
	part->unwanted = false;
	ring->armed++;
}

void ring_prepare_cancel(struct ring *ring, struct stream *s)
{
	struct io_uring_sqe *sqe = sqe_for(ring, NULL, TAG_CANCEL);

	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)s | TAG_RECEIVE, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = TAG_CANCEL;
}

/* A success says nothing; anything less than all is a completion with what was sent. */
static void prepare_send(struct ring *ring, struct stream *s)
{
	struct io_uring_sqe *sqe = sqe_for(ring, s, TAG_SEND);
	uint64_t data = sqe->user_data;

	io_uring_prep_send(sqe, s->fd, s->unsent->at + s->unsent->start, s->unsent->length,
		MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = data;
	ring->senders[ring->sender_count++] = s;
}

static void prepare_poll(struct ring *ring, int fd, enum tag tag)
{
	struct io_uring_sqe *sqe = sqe_for(ring, NULL, tag);

	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	sqe->user_data = tag;
}

/* ---- a turn ---- */

static bool wants_bytes(const struct stream *s)
{
	const struct ring_part *part = part_of(s);

	if (part->armed || part->ended || has_bytes(part) || has_flag(s, FLAG_OVER | FLAG_PAUSED))
		return false;
	return s->state == STREAM_OPEN || s->state == STREAM_FINISHING || s->state == STREAM_LINGERING;
}

/* Nothing is armed that would tell the end of a paused stream. */
static bool needs_epoll(const struct stream *s)
{
	const struct ring_part *part = part_of(s);

	return s->state == STREAM_OPEN && has_flag(s, FLAG_PAUSED) && !part->armed && !part->ended && !part->in_epoll &&
		!has_flag(s, FLAG_OVER | FLAG_HANGUP);
}

static void gather_one(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);

	if (part->armed && part->unwanted) {
		ring_prepare_cancel(ring, s);
		part->unwanted = false;
	}
	if (s->state == STREAM_DEAD)
		return;
	if (has_flag(s, FLAG_PAUSED) && part->first != NO_CHUNK)
		ring_keep(ring, s);
	if (part->sends)
		prepare_send(ring, s);
	if (wants_bytes(s))
		prepare_receive(ring, s);
	else if (needs_epoll(s))
		(void)stream_tell_epoll(s, EPOLL_CTL_ADD);
}

static void tell_returned(struct ring *ring)
{
	for (int i = 0; i < 2; i++) {
		io_uring_buf_ring_advance(ring->stocks[i].ring, ring->stocks[i].returned);
		ring->stocks[i].returned = 0;
	}
}

void ring_gather(struct ring *ring)
{
	ring->sender_count = 0;
	if (!ring->enabled) {
		/* liburing 2.3 has a function for it that its library does not export */
		check(syscall(SYS_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0);
		ring->enabled = true;
	}
	if (!ring->wake_armed)
		prepare_poll(ring, ring->loop->wake, TAG_WAKE);
	if (!ring->epoll_armed)
		prepare_poll(ring, ring->loop->epoll, TAG_EPOLL);
	ring->wake_armed = ring->epoll_armed = true;
	for (size_t i = 0; i < ring->chore_count; i++) {
		part_of(ring->chores[i])->listed = false;
		gather_one(ring, ring->chores[i]);
	}
	ring->chore_count = 0;
	tell_returned(ring);
}

/* What was to be sent was taken to the end, unless a completion said otherwise. */
static void end_sends(struct ring *ring)
{
	for (size_t i = 0; i < ring->sender_count; i++) {
		struct stream *s = ring->senders[i];
		struct ring_part *part = part_of(s);

		if (!part->sends)
			continue;
		part->sends = false;
		free(s->unsent);
		s->unsent = NULL;
		if (has_flag(s, FLAG_ROOM))
			loop_queue(s->loop, s);
	}
	ring->sender_count = 0;
}

bool ring_epoll_speaks(const struct ring *ring)
{
	return ring->epoll_speaks;
}

void ring_epoll_said_all(struct ring *ring)
{
	ring->epoll_speaks = false;
}

void ring_wait(struct ring *ring, int milliseconds)
{
	struct __kernel_timespec limit = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = (long long)(milliseconds % 1000) * 1000000,
	};
	struct io_uring_cqe *first;
	int result;

	if (milliseconds == 0)
		result = io_uring_submit_and_get_events(&ring->uring);
	else if (milliseconds < 0)
		result = io_uring_submit_and_wait(&ring->uring, 1);
	else
		result = io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &limit, NULL);
	ring_check_entered(result);
	while (io_uring_sq_ready(&ring->uring) > 0)
		submit(ring);
	ring_reap(ring);
	end_sends(ring);
}

void ring_free(struct ring **at)
{
	struct ring *ring = *at;
	struct io_uring_sqe *sqe;
	int result;

	*at = NULL;
	if (!ring)
		return;
	/* The kernel may fill chunks until all is cancelled. The end of a thread has done that for its ring already, and then the kernel
	 * refuses whoever else asks. */
	if (ring->enabled) {
		while (ring->armed > 0) {
			sqe = sqe_for(ring, NULL, TAG_CANCEL);
			io_uring_prep_cancel(sqe, NULL, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
			sqe->user_data = TAG_CANCEL;
			result = io_uring_submit_and_wait(&ring->uring, 1);
			if (result < 0 && result != -EINTR)
				break;
			ring_reap(ring);
		}
	}
	io_uring_queue_exit(&ring->uring);
	while (!link_empty(&ring->held)) {
		struct stream *s = link_owner(ring->held.next, struct stream, place);

		link_remove(&s->place);
		free(s);
	}
	free_all(ring);
}
