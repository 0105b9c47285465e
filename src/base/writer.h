#ifndef PGWEIR_BASE_WRITER_H
#define PGWEIR_BASE_WRITER_H

#include "base/buf.h"

/* Writes network-order fields to the end of a buf in a straight line; ask once at the end.
 * When memory is refused, `bad` is set and the buf is cut back to where the writer began. */
struct writer {
	struct buf *out;
	size_t began;
	bool bad;
};

struct writer writer_to(struct buf *);
void write_u8(struct writer *, uint8_t);
void write_u16(struct writer *, uint16_t);
void write_u32(struct writer *, uint32_t);
void write_bytes(struct writer *, const void *, size_t);
void write_span(struct writer *, struct span);

/* Room for `n` bytes that the caller fills at once, written already; NULL: memory is or was refused. */
uint8_t *write_room(struct writer *, size_t n);

/* The text and its zero. A zero inside a span given to write_string_span cuts it there. */
void write_string(struct writer *, const char *);
void write_string_span(struct writer *, struct span);

/* A PostgreSQL message: `type` (0 for none, as in startup packets), a length that message_end fills in.
 * Returns the mark that message_end wants. */
size_t message_begin(struct writer *, char type);
void message_end(struct writer *, size_t mark);

bool writer_ok(const struct writer *);

#endif
