#ifndef PGWEIR_BASE_BUF_H
#define PGWEIR_BASE_BUF_H

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
bool buf_reserve(struct buf *, size_t n);

/* Append. False: memory is refused, nothing changed. */
bool buf_add(struct buf *, const void *bytes, size_t n);
bool buf_add_span(struct buf *, struct span);

/* Where the next byte goes; valid for what buf_reserve promised. buf_grew says how many were written. */
uint8_t *buf_end(struct buf *);
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
