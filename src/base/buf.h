#ifndef PGWEIR_BASE_BUF_H
#define PGWEIR_BASE_BUF_H

#include "base/check.h"
#include "base/span.h"

/* A growing byte buffer on the heap. All zero is a valid empty one that owns nothing.
 *
 *   at -> | taken (start) | waiting bytes (length) | room |   capacity
 *
 * Bytes are added at the end and consumed from the front; an empty buffer may give its
 * memory back with buf_fini and be used again. */
struct buf {
	uint8_t *at;
	size_t start, length, capacity;
};

/* Make room for `n` more bytes. False: memory is refused, nothing changed. */
bool buf_make_room(struct buf *, size_t n);
static inline bool buf_reserve(struct buf *b, size_t n)
{
	return likely(n <= b->capacity - b->start - b->length) || buf_make_room(b, n);
}

/* Where the next byte goes; valid for what buf_reserve promised. buf_grew says how many were written. */
static inline uint8_t *buf_end(struct buf *b)
{
	return b->at ? b->at + b->start + b->length : NULL;
}

/* Append. False: memory is refused, nothing changed. */
static inline bool buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0)
		return true;
	if (!buf_reserve(b, n))
		return false;
	memcpy(buf_end(b), bytes, n);
	b->length += n;
	return true;
}
bool buf_add_span(struct buf *, struct span);
void buf_grew(struct buf *, size_t n);

/* Forget the first `n` bytes (n <= length). */
void buf_consume(struct buf *, size_t n);

/* Forget all bytes, keep the memory. */
void buf_clear(struct buf *);

/* The bytes that wait; borrowed until the next change. */
struct span buf_span(const struct buf *);

/* Free the memory; the buffer is empty and usable again. */
void buf_fini(struct buf *);

/* As buf_fini, wiping the bytes first: for anything that held a secret. */
void buf_wipe(struct buf *);

#endif
