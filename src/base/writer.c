#include "base/writer.h"

#include "base/check.h"

/* The reader's mirror: write on, ask once. A message that could not be written whole leaves no part
 * of itself behind, so that a caller who is refused memory still has a stream of whole messages.
 * Marks are counted from the first waiting byte, not addresses: the buffer moves when it grows. */

struct writer writer_to(struct buf *out)
{
	return (struct writer){ .out = out, .began = out->length };
}

static void give_up(struct writer *w)
{
	w->bad = true;
	w->out->length = w->began;
}

static inline void put(struct writer *w, const void *bytes, size_t n)
{
	if (likely(!w->bad) && !buf_add(w->out, bytes, n))
		give_up(w);
}

uint8_t *write_room(struct writer *w, size_t n)
{
	uint8_t *room;

	if (w->bad)
		return NULL;
	if (!buf_reserve(w->out, n)) {
		give_up(w);
		return NULL;
	}
	room = buf_end(w->out);
	w->out->length += n;
	return room;
}

void write_bytes(struct writer *w, const void *bytes, size_t n)
{
	put(w, bytes, n);
}

void write_u8(struct writer *w, uint8_t value)
{
	put(w, &value, 1);
}

void write_u16(struct writer *w, uint16_t value)
{
	const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(w, bytes, sizeof bytes);
}

void write_u32(struct writer *w, uint32_t value)
{
	const uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
		(uint8_t)value };

	put(w, bytes, sizeof bytes);
}

void write_span(struct writer *w, struct span span)
{
	put(w, span.at, span.length);
}

void write_string(struct writer *w, const char *text)
{
	put(w, text, strlen(text) + 1);
}

void write_string_span(struct writer *w, struct span span)
{
	const uint8_t *zero = span.length ? memchr(span.at, 0, span.length) : NULL;

	if (zero)
		span.length = (size_t)(zero - span.at);
	write_span(w, span);
	write_u8(w, 0);
}

size_t message_begin(struct writer *w, char type)
{
	size_t mark;

	if (type)
		write_u8(w, (uint8_t)type);
	mark = w->out->length;
	write_u32(w, 0);
	return mark;
}

void message_end(struct writer *w, size_t mark)
{
	struct buf *out = w->out;
	size_t length;
	uint8_t *at;

	if (w->bad)
		return;
	check(mark >= w->began && mark + 4 <= out->length);
	length = out->length - mark;
	if (length > 0x7fffffffu) {
		give_up(w);
		return;
	}
	at = out->at + out->start + mark;
	at[0] = (uint8_t)(length >> 24);
	at[1] = (uint8_t)(length >> 16);
	at[2] = (uint8_t)(length >> 8);
	at[3] = (uint8_t)length;
}

bool writer_ok(const struct writer *w)
{
	return !w->bad;
}
