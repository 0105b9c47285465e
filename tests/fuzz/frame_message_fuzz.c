#include <stdlib.h>

#include "base/check.h"
#include "wire/frame.h"
#include "wire/message.h"

/* A stream of messages from either side: framing never runs past the bytes, each body's parser says yes or
 * no, and what it says yes to is built again byte for byte. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each body in memory of just its size, so that a read past it is caught. */
static uint8_t *copy_of(struct span bytes)
{
	uint8_t *copy = malloc(bytes.length + 1);

	check(copy != NULL);
	if (bytes.length > 0)
		memcpy(copy, bytes.at, bytes.length);
	return realloc(copy, bytes.length ? bytes.length : 1);
}

static void same(struct buf *built, struct span body)
{
	struct frame f;

	check(frame_peek(buf_span(built), &f) == FRAME_HERE);
	check(f.body + FRAME_HEADER == built->length);
	check(span_equal(span_skip(buf_span(built), FRAME_HEADER), body));
	buf_clear(built);
}

static void read_all(struct span body)
{
	struct complaint_fields fields;
	struct span a, b, c;
	struct buf built = { 0 };
	struct writer w = writer_to(&built);
	uint32_t process_id;
	char kind;

	if (message_read_parse(body, &a, &b)) {
		message_parse(&w, a, b);
		same(&built, body);
	}
	if (message_read_parameter_status(body, &a, &b)) {
		message_parameter_status(&w, (const char *)a.at, (const char *)b.at); /* their zeros are in the body */
		same(&built, body);
	}
	if (message_read_backend_key(body, &process_id, &a)) {
		message_backend_key(&w, process_id, a);
		same(&built, body);
	}
	if (message_read_target(body, &kind, &a) && kind == 'S') {
		message_close_statement(&w, a);
		same(&built, body);
	}
	if (message_read_bind(body, &a, &b, &c))
		check(a.length + b.length + c.length + 2 == body.length);
	if (message_read_complaint(body, &fields))
		check(fields.message.length < body.length);
	buf_fini(&built);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = span_of(data, size);
	struct frame f;

	while (frame_peek(bytes, &f) == FRAME_HERE) {
		struct span body = span_skip(bytes, FRAME_HEADER);
		uint8_t *copy;

		if (f.body < body.length)
			body.length = f.body;
		copy = copy_of(body);
		read_all(span_of(copy, body.length));
		free(copy);
		bytes = span_skip(body, body.length);
		bytes.length = size - (size_t)(bytes.at - data);
	}
	return 0;
}
