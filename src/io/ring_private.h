#ifndef PGWEIR_IO_RING_PRIVATE_H
#define PGWEIR_IO_RING_PRIVATE_H

#include <errno.h>
#include <liburing.h>

#include "io/ring.h"

/* What the three files of the ring share; how it works is told in ring.c.
 *
 *    ring.c           the ring itself: its birth, its turns, what is said to the kernel
 *    ring_reap.c      what the kernel says
 *    ring_stream.c    what a stream asks for */

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

static inline struct ring_part *part_of(const struct stream *s)
{
	return (struct ring_part *)(uintptr_t)(s + 1);
}

/* ---- chunks ---- */

static inline enum group group_of(uint16_t chunk)
{
	return chunk < SMALL_COUNT ? GROUP_SMALL : GROUP_BIG;
}

static inline uint8_t *chunk_at(const struct ring *ring, uint16_t chunk)
{
	return chunk < SMALL_COUNT
		? ring->memory + (size_t)chunk * SMALL_SIZE
		: ring->memory + (size_t)SMALL_COUNT * SMALL_SIZE + (size_t)(chunk - SMALL_COUNT) * BIG_SIZE;
}

static inline void chunk_return(struct ring *ring, uint16_t chunk)
{
	struct stock *stock = &ring->stocks[group_of(chunk)];

	io_uring_buf_ring_add(stock->ring, chunk_at(ring, chunk),
		group_of(chunk) == GROUP_SMALL ? SMALL_SIZE : BIG_SIZE, chunk, io_uring_buf_ring_mask(stock->count),
		stock->returned++);
}

static inline uint16_t chunk_take(struct ring *ring, struct ring_part *part)
{
	uint16_t chunk = part->first;

	part->first = ring->chunks[chunk].next;
	return chunk;
}

static inline bool has_bytes(const struct ring_part *part)
{
	return part->kept || part->first != NO_CHUNK;
}

/* ---- between the files ---- */

/* There is something to do for it at this turn's call. */
static inline void ring_list(struct stream *s)
{
	struct ring *ring = s->loop->ring;
	struct ring_part *part = part_of(s);

	if (part->listed)
		return;
	check(ring->chore_count < ring->capacity);
	part->listed = true;
	ring->chores[ring->chore_count++] = s;
}

/* What the kernel may refuse for the moment; whoever asked asks again. */
static inline void ring_check_entered(int result)
{
	check(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM ||
		result == -ETIME);
}

/* Its receive is to end; a completion will say so. */
void ring_prepare_cancel(struct ring *, struct stream *);
/* Hear all that the kernel has to say. */
void ring_reap(struct ring *);
/* Its chunks go back to the stock, and what is in them to memory of its own. */
void ring_keep(struct ring *, struct stream *);

#endif
