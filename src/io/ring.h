#ifndef PGWEIR_IO_RING_H
#define PGWEIR_IO_RING_H

#include "io/private.h"

/* What a loop over io_uring does in another way than one over epoll alone. Called only where `loop->ring` is not NULL. How it works is told
 * in ring.c. */

/* NULL: the kernel refused, or is too old (before 6.1); errno says which. The ring belongs to the thread that waits first. */
struct ring *ring_new(struct loop *);
/* Ends all that is under way, and frees the streams that were held for it. */
void ring_free(struct ring **);

/* ---- a stream's life ---- */

/* Room for the work of one more. False: memory refused. To be called before each birth. */
bool ring_reserve(struct ring *);
/* What it has for the ring lies behind it. */
size_t ring_part_size(void);
void ring_part_begin(struct stream *);
/* Its socket is connected: receive from now on. `is_blocking`: it is one already. */
void ring_open(struct stream *, bool is_blocking);
/* It is given up to another loop: what was received and not read is put to its unread bytes. False: memory refused, and it can not go on. */
bool ring_leave(struct stream *);
/* It dies. Its descriptor is closed after this. */
void ring_end(struct stream *);
/* It is dead and in no queue. True: the kernel still names it, and the ring frees it later. */
bool ring_buries(struct stream *);
/* Epoll knows it from now on; returns whether it did before. */
bool ring_told_epoll(struct stream *);
bool ring_is_in_epoll(const struct stream *);

/* ---- receiving ---- */

/* Its owner pauses: what came and was not given out by the end of the turn is kept elsewhere, for others need what it lies in. */
void ring_rest(struct stream *);
/* Receive, after a pause. */
void ring_want(struct stream *);
/* The next bytes, as recv has it: 0 at the end, -1 with errno. RING_ASK: recv itself is to be called. */
#define RING_ASK (-2)
ssize_t ring_receive(struct stream *, void *into, size_t room);
/* The next bytes where they lie, borrowed until ring_return. Empty: ring_receive has to tell. */
struct span ring_lend(struct stream *);
void ring_return(struct ring *);

/* ---- sending ---- */

/* Send this at the end of the turn, in one call with all others'. False: it is too much, or memory was refused; nothing was taken. */
bool ring_send(struct stream *, const struct piece *, size_t count);
/* What is unsent waits for nothing but the end of the turn. */
bool ring_holds_unsent(const struct stream *);
/* Send that now. */
void ring_push(struct stream *);

static inline void stream_push(struct stream *s)
{
	if (s->loop->ring)
		ring_push(s);
}

/* ---- a turn ---- */

/* Prepare what has come together: before the dead are buried, since they may be among it. */
void ring_gather(struct ring *);
/* Submit it, and wait for completions for at most this long (-1: no limit, 0: only look). */
void ring_wait(struct ring *, int milliseconds);
/* Epoll has something to say too; it said all. */
bool ring_epoll_speaks(const struct ring *);
void ring_epoll_said_all(struct ring *);

#endif
