#include <stdlib.h>

#include "base/text.h"
#include "io/private.h"

/* Bytes that must outlive a turn. Most are short tails that live for a turn or two and never grow.
 *
 * One that is secret stays so to its end, also when it grows and when the bytes behind are anybody's. */

void block_free(struct block **at)
{
	if (*at && (*at)->secret)
		secret_wipe((*at)->at, (*at)->capacity);
	free(*at);
	*at = NULL;
}

bool block_reserve(struct block **at, size_t n)
{
	struct block *b = *at;
	size_t capacity, need;

	if (n > SIZE_MAX / 4)
		return false;
	if (b && b->capacity - b->start - b->length >= n)
		return true;
	if (b && b->capacity - b->length >= n && b->start >= b->length) {
		memcpy(b->at, b->at + b->start, b->length);
		b->start = 0;
		return true;
	}
	need = block_length(b) + n;
	capacity = b ? b->capacity : 64;
	while (capacity < need) {
		if (capacity > SIZE_MAX / 4)
			return false;
		capacity *= 2;
	}
	if (!b)
		capacity = need; /* most tails are short-lived and never grow */
	b = malloc(sizeof *b + capacity);
	if (!b)
		return false;
	*b = (struct block){ .capacity = capacity };
	if (*at) {
		b->length = (*at)->length;
		b->secret = (*at)->secret;
		memcpy(b->at, (*at)->at + (*at)->start, b->length);
		block_free(at);
	}
	*at = b;
	return true;
}

bool block_add(struct block **at, const void *bytes, size_t n)
{
	if (!block_reserve(at, n))
		return false;
	memcpy((*at)->at + (*at)->start + (*at)->length, bytes, n);
	(*at)->length += n;
	return true;
}

void block_consume(struct block **at, size_t n)
{
	struct block *b = *at;

	check(n <= block_length(b));
	if (!b)
		return;
	b->start += n;
	b->length -= n;
	if (b->length == 0)
		block_free(at);
}
