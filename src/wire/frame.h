#ifndef PGWEIR_WIRE_FRAME_H
#define PGWEIR_WIRE_FRAME_H

#include "base/span.h"

/* Every message after startup is a type byte, a four-byte length that counts itself, and a body.
 * (PostgreSQL manual, "Message Formats".) */
#define FRAME_HEADER 5

enum frame_result { FRAME_HERE, FRAME_MORE, FRAME_BAD };

struct frame {
	char type;
	uint32_t body; /* bytes after the header; up to 2^31 - 5 */
};

/* Look at the header at the front of `bytes`. MORE: fewer than five bytes. BAD: a length below four or above 2^31 - 1. */
static inline enum frame_result frame_peek(struct span bytes, struct frame *out)
{
	uint32_t length;

	if (bytes.length < FRAME_HEADER)
		return FRAME_MORE;
	length = (uint32_t)bytes.at[1] << 24 | (uint32_t)bytes.at[2] << 16 | (uint32_t)bytes.at[3] << 8 | bytes.at[4];
	if (length < 4 || length > 0x7fffffffu)
		return FRAME_BAD;
	out->type = (char)bytes.at[0];
	out->body = length - 4;
	return FRAME_HERE;
}

/* The whole message at the front of `bytes`, which one of our servers says. MORE: not all of it is here. BAD: `problem` says why there will be
 * none, as where its body is longer than `most`. */
static inline enum frame_result frame_whole(struct span bytes, uint32_t most, struct frame *out, const char **problem)
{
	enum frame_result result = frame_peek(bytes, out);

	if (result == FRAME_BAD) {
		*problem = "the server does not speak PostgreSQL's protocol";
	} else if (result == FRAME_HERE && out->body > most) {
		*problem = "the server sent a message that is too long";
		result = FRAME_BAD;
	} else if (result == FRAME_HERE && bytes.length - FRAME_HEADER < out->body) {
		result = FRAME_MORE;
	}
	return result;
}

#endif
