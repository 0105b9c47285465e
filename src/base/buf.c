#include "base/buf.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

/* The one growing byte buffer. Taking from the front only moves `start`; the bytes move down when
 * room is wanted and at least as much was taken as waits, so each byte is moved at most once per
 * time it is passed over, however the two ends alternate. Growth is by doubling.
 *
 * A buffer that grows leaves its former memory to the heap unwiped. Whoever collects a secret
 * reserves enough for all of it first. */

#define BUF_SMALLEST 64

static bool buf_grow(struct buf *b, size_t wanted)
{
	size_t capacity = b->capacity ? b->capacity : BUF_SMALLEST;
	uint8_t *at;

	while (capacity < wanted) {
		if (capacity > SIZE_MAX / 4)
			return false;
		capacity *= 2;
	}
	at = malloc(capacity);
	if (at == NULL)
		return false;
	if (b->length > 0)
		memcpy(at, b->at + b->start, b->length);
	free(b->at);
	b->at = at;
	b->start = 0;
	b->capacity = capacity;
	return true;
}

bool buf_make_room(struct buf *b, size_t n)
{
	if (n > SIZE_MAX / 4 || b->length > SIZE_MAX / 4)
		return false;
	if (b->length + n <= b->capacity && b->start >= b->length) {
		memmove(b->at, b->at + b->start, b->length);
		b->start = 0;
		return true;
	}
	return buf_grow(b, b->length + n);
}

bool buf_add_span(struct buf *b, struct span span)
{
	return buf_add(b, span.at, span.length);
}

void buf_grew(struct buf *b, size_t n)
{
	check(n <= b->capacity - b->start - b->length);
	b->length += n;
}

void buf_consume(struct buf *b, size_t n)
{
	check(n <= b->length);
	b->length -= n;
	b->start = b->length > 0 ? b->start + n : 0;
}

void buf_clear(struct buf *b)
{
	b->start = b->length = 0;
}

struct span buf_span(const struct buf *b)
{
	return span_of(b->at ? b->at + b->start : NULL, b->length);
}

void buf_fini(struct buf *b)
{
	free(b->at);
	*b = (struct buf){ 0 };
}

void buf_wipe(struct buf *b)
{
	/* All of it: bytes that were consumed still lie there. */
	if (b->at)
		secret_wipe(b->at, b->capacity);
	buf_fini(b);
}
