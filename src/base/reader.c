#include "base/reader.h"

/* Parsing in straight lines: the parser reads on and asks once. A miss takes the reader to its end,
 * so that no later read can find bytes that belong to an earlier field. */

struct reader reader_of(struct span span)
{
	/* An empty span may have no address; a reader always has one, so that ends can be compared. */
	static const uint8_t nothing;
	const uint8_t *at = span.at ? span.at : &nothing;

	return (struct reader){ .at = at, .end = at + span.length };
}

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if ((size_t)(r->end - r->at) < n) {
		r->bad = true;
		r->at = r->end;
		return NULL;
	}
	r->at += n;
	return at;
}

uint8_t read_u8(struct reader *r)
{
	const uint8_t *at = take(r, 1);

	return at ? at[0] : 0;
}

uint16_t read_u16(struct reader *r)
{
	const uint8_t *at = take(r, 2);

	return at ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

uint32_t read_u32(struct reader *r)
{
	const uint8_t *at = take(r, 4);

	return at ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3] : 0;
}

int32_t read_i32(struct reader *r)
{
	return (int32_t)read_u32(r);
}

struct span read_bytes(struct reader *r, size_t n)
{
	const uint8_t *at = take(r, n);

	return at ? span_of(at, n) : span_of("", 0);
}

struct span read_string(struct reader *r)
{
	size_t left = reader_left(r);
	const uint8_t *zero = left ? memchr(r->at, 0, left) : NULL;
	struct span text;

	if (zero == NULL) {
		r->bad = true;
		r->at = r->end;
		return span_of("", 0);
	}
	text = span_of(r->at, (size_t)(zero - r->at));
	r->at = zero + 1;
	return text;
}

size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

bool reader_ok(const struct reader *r)
{
	return !r->bad;
}

bool reader_done(const struct reader *r)
{
	return !r->bad && r->at == r->end;
}
