#ifndef PGWEIR_BASE_SPAN_H
#define PGWEIR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes: somebody else owns them, and a span never outlives its owner's promise. */
struct span {
	const uint8_t *at;
	size_t length;
};

static inline struct span span_of(const void *at, size_t length)
{
	return (struct span){ .at = at, .length = length };
}

static inline struct span span_text(const char *text)
{
	return span_of(text, strlen(text));
}

/* The rest of `span` after its first `n` bytes; n must not exceed its length. */
static inline struct span span_skip(struct span span, size_t n)
{
	return span_of(span.at + n, span.length - n);
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

static inline bool span_is(struct span span, const char *text)
{
	return span_equal(span, span_text(text));
}

static inline bool span_is_ascii(struct span span)
{
	for (size_t i = 0; i < span.length; i++)
		if (span.at[i] >= 0x80)
			return false;
	return true;
}

static inline bool span_begins(struct span span, const char *text)
{
	size_t length = strlen(text);

	return span.length >= length && memcmp(span.at, text, length) == 0;
}

#endif
