#include "io/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
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
 *           of the peer's end.
 * The end.  The kernel may name a stream until its receive has said its last word. So a closed stream's receive is cancelled, and its
 *           memory waits for that word (`held`). Its socket ends with it, which is in the turn's own io_uring_enter.
 * Moving.   A stream that goes to another loop takes nothing of the ring with it: its receive is ended first, and what came by then
 *           is put to its unread bytes.
 *
 * Sockets are blocking here, since the kernel would otherwise not wait with a receive (every call of our own says MSG_DONTWAIT).
 *
 * What always holds between two calls of ring_wait: all completions were reaped, also those for which there was no room, and no send is
 * under way. */

enum { SMALL_COUNT = 512, SMALL_SIZE = 16384, BIG_COUNT = 32, BIG_SIZE = LOOP_READ, CHUNKS = SMALL_COUNT + BIG_COUNT };
enum { SUBMISSIONS = 1024, COMPLETIONS = 8192 };
enum group { GROUP_SMALL, GROUP_BIG };
enum tag { TAG_RECEIVE, TAG_SEND, TAG_CANCEL, TAG_WAKE, TAG_EPOLL, TAG_MASK = 7 };

#define NO_CHUNK UINT16_MAX

struct chunk {
	uint16_t next;
	uint32_t start, length;
};

struct stock {
	struct io_uring_buf_ring *ring;
	unsigned count;
	int returned; /* not yet told to the kernel */
};

/* Behind each stream of a loop with a ring. */
struct ring_part {
	struct block *kept;   /* received while it was paused; before the chunks */
	uint16_t first, last; /* its chunks */
	uint16_t error;       /* with `ended` */
	bool listed : 1;      /* in ring->chores */
	bool armed : 1;       /* the kernel has a receive of it */
	bool unwanted : 1;    /* which is to be cancelled */
	bool bulk : 1;
	bool ended : 1;    /* a receive said end of file or an error */
	bool sends : 1;    /* what is unsent waits for the end of the turn */
	bool in_epoll : 1; /* epoll knows it */
	bool held : 1;     /* dead, and in ring->held */
};

struct ring {
	struct io_uring uring;
	struct loop *loop;
	struct stock stocks[2];
	struct chunk chunks[CHUNKS];
	uint8_t *memory;
	uint16_t lent; /* the chunk that the owner is looking at */
	bool enabled, wake_armed, epoll_armed, epoll_speaks;
	size_t armed;                      /* receives */
	struct stream **chores, **senders; /* streams with something for this turn's call */
	size_t chore_count, sender_count, streams, capacity;
	struct link held;
};

static struct ring_part *part_of(const struct stream *s)
{
	return (struct ring_part *)(uintptr_t)(s + 1);
}

size_t ring_part_size(void)
{
	return sizeof(struct ring_part);
}

/* ---- chunks ---- */

static enum group group_of(uint16_t chunk)
{
	return chunk < SMALL_COUNT ? GROUP_SMALL : GROUP_BIG;
}

static uint8_t *chunk_at(const struct ring *ring, uint16_t chunk)
{
	return chunk < SMALL_COUNT
		? ring->memory + (size_t)chunk * SMALL_SIZE
		: ring->memory + (size_t)SMALL_COUNT * SMALL_SIZE + (size_t)(chunk - SMALL_COUNT) * BIG_SIZE;
}

static void chunk_return(struct ring *ring, uint16_t chunk)
{
	struct stock *stock = &ring->stocks[group_of(chunk)];

	io_uring_buf_ring_add(stock->ring, chunk_at(ring, chunk),
		group_of(chunk) == GROUP_SMALL ? SMALL_SIZE : BIG_SIZE, chunk, io_uring_buf_ring_mask(stock->count),
		stock->returned++);
}

static void tell_returned(struct ring *ring)
{
	for (int i = 0; i < 2; i++) {
		io_uring_buf_ring_advance(ring->stocks[i].ring, ring->stocks[i].returned);
		ring->stocks[i].returned = 0;
	}
}

static uint16_t chunk_take(struct ring *ring, struct ring_part *part)
{
	uint16_t chunk = part->first;

	part->first = ring->chunks[chunk].next;
	return chunk;
}

static bool has_bytes(const struct ring_part *part)
{
	return part->kept || part->first != NO_CHUNK;
}

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

/* What the kernel may refuse for the moment; whoever asked asks again. */
static void check_entered(int result)
{
	check(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM ||
		result == -ETIME);
}

static void submit(struct ring *ring)
{
	check_entered(io_uring_submit(&ring->uring));
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

static void prepare_cancel(struct ring *ring, struct stream *s)
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

/* ---- streams ---- */

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

static void list(struct stream *s)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);

	if (part->listed)
		return;
	check(ring->chore_count < ring->capacity);
	part->listed = true;
	ring->chores[ring->chore_count++] = s;
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
	list(s);
}

void ring_want(struct stream *s)
{
	struct ring_part *part = part_of(s);

	if (!part->armed)
		list(s);
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
		prepare_cancel(ring, s);
		part->unwanted = false;
	}
	if (s->state == STREAM_DEAD)
		return;
	if (part->sends)
		prepare_send(ring, s);
	if (wants_bytes(s))
		prepare_receive(ring, s);
	else if (needs_epoll(s))
		(void)stream_tell_epoll(s, EPOLL_CTL_ADD);
}

/* ---- what the kernel says ---- */

static void keep(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);

	while (part->first != NO_CHUNK) {
		struct chunk *chunk = &ring->chunks[part->first];

		if (!block_add(&part->kept, chunk_at(ring, part->first) + chunk->start, chunk->length))
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
	keep(ring, s);
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
		list(s);
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
	check_entered(io_uring_get_events(&ring->uring));
	return true;
}

static void reap(struct ring *ring)
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

/* ---- a turn ---- */

void ring_gather(struct ring *ring)
{
	tell_returned(ring);
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
	check_entered(result);
	while (io_uring_sq_ready(&ring->uring) > 0)
		submit(ring);
	reap(ring);
	end_sends(ring);
}

/* Until the kernel has said its last word about it. Each round brings one: the receive's, or that there was nothing to cancel, since it was
 * just being done. */
static void disarm(struct ring *ring, struct stream *s)
{
	struct ring_part *part = part_of(s);

	while (part->armed) {
		prepare_cancel(ring, s);
		check_entered(io_uring_submit_and_wait(&ring->uring, 1));
		reap(ring);
	}
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
			reap(ring);
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
		list(s);
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
	list(s);
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
			list(s);
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
	free(part->kept);
	part->kept = NULL;
	while (part->first != NO_CHUNK)
		chunk_return(ring, chunk_take(ring, part));
	part->unwanted = part->armed;
	if (part->armed)
		list(s);
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
