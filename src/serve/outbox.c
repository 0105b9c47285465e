/* What is to be sent in one call. Pieces that follow one another in memory are one piece; what must be written here first lies in the
 * scratch. Nothing is held back for long: an outbox is begun and ended within one completion. */
#include "base/check.h"
#include "serve/worker.h"

void outbox_begin(struct outbox *o, struct stream *stream)
{
	check(o->count == 0 && o->used == 0 && !o->active);
	o->active = true;
	o->stream = stream;
	o->sent = 0;
	o->failed = false;
}

bool outbox_flush(struct outbox *o)
{
	if (o->count > 0 && !o->failed && !stream_write(o->stream, o->pieces, o->count))
		o->failed = true;
	o->count = 0;
	o->used = 0;
	return !o->failed;
}

bool outbox_end(struct outbox *o)
{
	bool ok = outbox_flush(o);

	o->active = false;
	o->stream = NULL;
	return ok;
}

bool outbox_is_for(const struct outbox *o, const struct stream *stream)
{
	return o->active && stream && o->stream == stream;
}

void outbox_hurry(struct worker *worker, const struct stream *stream)
{
	if (outbox_is_for(&worker->to_client, stream))
		outbox_flush(&worker->to_client);
	if (outbox_is_for(&worker->to_server, stream))
		outbox_flush(&worker->to_server);
}

void outbox_add_piece(struct outbox *o, const void *at, size_t length)
{
	if (length == 0)
		return;
	o->sent += length;
	if (o->count == OUTBOX_PIECES)
		outbox_flush(o);
	o->pieces[o->count++] = (struct piece){ .at = at, .length = length };
}

uint8_t *outbox_room(struct outbox *o, size_t length)
{
	uint8_t *room;

	check(length <= OUTBOX_SCRATCH);
	if (o->used + length > OUTBOX_SCRATCH || o->count == OUTBOX_PIECES)
		outbox_flush(o);
	room = o->scratch + o->used;
	o->used += length;
	outbox_add(o, room, length);
	return room;
}

void outbox_copy(struct outbox *o, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		size_t n = length < OUTBOX_SCRATCH ? length : OUTBOX_SCRATCH;

		memcpy(outbox_room(o, n), at, n);
		at += n;
		length -= n;
	}
}
