#ifndef PGWEIR_BASE_READER_H
#define PGWEIR_BASE_READER_H

#include "base/span.h"

/* Reads network-order fields from a span in a straight line; ask once at the end
 * whether all of them were there. After the first miss every read gives zero or empty. */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

struct reader reader_of(struct span);
uint8_t read_u8(struct reader *);
uint16_t read_u16(struct reader *);
uint32_t read_u32(struct reader *);
int32_t read_i32(struct reader *);

/* The next `n` bytes, borrowed. */
struct span read_bytes(struct reader *, size_t n);

/* A zero-terminated string without its zero, borrowed; at[length] is the zero. A missing zero is bad. */
struct span read_string(struct reader *);

size_t reader_left(const struct reader *);

/* Every read so far found its bytes. */
bool reader_ok(const struct reader *);

/* reader_ok, and nothing is left. */
bool reader_done(const struct reader *);

#endif
