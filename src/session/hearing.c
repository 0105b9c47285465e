/*  While nothing changes:
 *
 *    ear:     o1 o2 o3 ...        each goes to the client, or is held while a transaction of its own is open
 *    server:  o3                  it listens too while it is lent; what it says is not passed on, but those with its own process id
 *                                 are the client's own, and counted: so many of the last ones in `held` get the client's process id
 *
 *  The client LISTENs to something new, and its server heard that commit. From then on the server is asked for its notifications, until
 *  a mark, sent by the ear once it hears the new topic too, has come from both sides:
 *
 *    ear:     o1 o2 o3 o4 MARK | n3 o5           held = o1..o4   later = n3 o5
 *    server:      n1 o3 n2 o4 MARK               local = n1 o3 n2 o4, the first of them being the first new one
 *
 *  Both tell of one sequence, so the last notifications of old topics in `held` are those in `local`. The client has
 *
 *             o1 o2  n1 o3 n2 o4  n3 o5          held without those at its end, local, later
 *
 *  When `held` has fewer, because some went to the client before the server's first new one came, they are left out of `local`.
 *  What the server says behind the mark stands in `local` until the mark has come from the ear: if the ear fails before, nobody else says it.
 */
#include "session/hearing.h"

#include <stdlib.h>

#include "base/reader.h"
#include "base/text.h"
#include "wire/message.h"

struct note {
	struct note *next;
	uint32_t process;
	bool old;    /* in `local`: the ear says it too */
	bool said;   /* ... and has said it */
	bool behind; /* in `local`: it came behind the mark */
	size_t length;
	uint8_t bytes[];
};

#define PROCESS_AT 5 /* in the message: behind type and length */

/* ---- lists ---- */

static void notes_fini(struct notes *n)
{
	struct note *note;

	while ((note = n->first)) {
		n->first = note->next;
		free(note);
	}
	*n = (struct notes){ 0 };
}

static void notes_put(struct notes *n, struct note *note)
{
	*(n->first ? n->last : &n->first) = note;
	n->last = &note->next;
	n->count++;
}

struct hearing *hearing_new(void)
{
	struct hearing *h = calloc(1, sizeof *h);

	if (h)
		h->bytes_max = HEARING_BYTES_MAX;
	return h;
}

void hearing_free(struct hearing *h)
{
	if (!h)
		return;
	topics_fini(&h->shared);
	topics_fini(&h->wanted);
	notes_fini(&h->held);
	notes_fini(&h->later);
	notes_fini(&h->local);
	free(h);
}

/* NULL: there is no room for it, which is counted. */
static struct note *make(struct hearing *h, struct span message, uint32_t process)
{
	struct note *note = NULL;
	size_t size = sizeof *note + message.length;

	if (h->bytes + size <= h->bytes_max)
		note = malloc(size);
	if (!note) {
		h->dropped++;
		return NULL;
	}
	h->bytes += size;
	*note = (struct note){ .process = process, .length = message.length };
	memcpy(note->bytes, message.at, message.length);
	return note;
}

static bool read_message(struct span message, uint32_t *process, struct span *topic, struct span *payload)
{
	return message.length > PROCESS_AT &&
		message_read_notification(span_skip(message, PROCESS_AT), process, topic, payload);
}

/* ---- in ---- */

void hearing_hold(struct hearing *h, struct span message, uint32_t server)
{
	struct span topic, payload;
	struct note *note;
	uint32_t process;

	if (!read_message(message, &process, &topic, &payload))
		return;
	if (h->removes && !topics_has(&h->wanted, topic))
		return;
	note = make(h, message, process);
	if (note)
		notes_put(h->marked_by_ear ? &h->later : &h->held, note);
	else if (process == server && !h->marked_by_ear)
		h->own_dropped++;
}

void hearing_mark_text(uint64_t token, char out[17])
{
	text_format(out, 17, "%016llx", (unsigned long long)token);
}

bool hearing_mark_read(struct span text, uint64_t *token)
{
	*token = 0;
	for (size_t i = 0; i < text.length; i++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, text.at[i]);

		if (!at || text.at[i] == 0)
			return false;
		*token = *token << 4 | (uint64_t)(at - digits);
	}
	return text.length == 16;
}

/* The ear says it as well, if it comes that far. */
static enum heard take_behind(struct hearing *h, struct span message, uint32_t process, bool old)
{
	uint64_t dropped = h->dropped;
	struct note *note = old && h->local.count == 0 ? NULL : make(h, message, process);

	h->dropped_behind += h->dropped - dropped;
	h->dropped = dropped;
	if (note) {
		note->old = old;
		note->behind = true;
		notes_put(&h->local, note);
	}
	return HEARD_NOTED;
}

enum heard hearing_take(struct hearing *h, struct span message, uint32_t server, const char *mark)
{
	struct span topic, payload;
	struct note *note;
	uint32_t process;
	uint64_t token;
	bool old;

	if (!read_message(message, &process, &topic, &payload))
		return HEARD_BROKEN;
	if (span_is(topic, mark))
		return hearing_mark_read(payload, &token) && token == h->token && h->state == HEARING_MOVES
			? HEARD_MARK
			: HEARD_NOTED;
	if (h->state == HEARING_DIRECT)
		return HEARD_DIRECT;
	old = topics_has(&h->shared, topic);
	if (h->marked_by_server)
		return take_behind(h, message, process, old);
	if (old && h->local.count == 0) {
		h->own += process == server;
		if (h->state != HEARING_FAILS)
			h->told = h->told_since = true;
		return HEARD_NOTED;
	}
	note = make(h, message, process);
	if (note) {
		note->old = old;
		notes_put(&h->local, note);
	}
	return HEARD_NOTED;
}

/* ---- out ---- */

bool hearing_is_empty(const struct hearing *h)
{
	return h->held.count == 0 && h->later.count == 0 && h->local.count == 0;
}

static bool put(struct note *note, bool is_own, uint32_t own, struct buf *out)
{
	uint8_t id[4] = { (uint8_t)(own >> 24), (uint8_t)(own >> 16), (uint8_t)(own >> 8), (uint8_t)own };

	if (is_own)
		memcpy(note->bytes + PROCESS_AT, id, sizeof id);
	return buf_add(out, note->bytes, note->length);
}

/* The first `count` of what the ear said; of those by this process, the last ones are the client's own. */
static bool write_held(struct hearing *h, size_t count, uint32_t process, uint32_t own, struct buf *out)
{
	size_t mine = h->own > h->own_dropped ? h->own - h->own_dropped : 0, alike = 0, i = 0;
	struct note *note;
	bool ok = true, is_own;

	for (note = h->held.first; note && i < count; note = note->next, i++)
		alike += note->process == process;
	for (note = h->held.first, i = 0; ok && note && i < count; note = note->next, i++) {
		is_own = note->process == process && alike <= mine;
		alike -= note->process == process;
		ok = put(note, is_own, own, out);
	}
	return ok;
}

/* Each note from `a` is one of the old ones from `b`, in this order; those are marked then. */
static bool find_all(const struct note *a, struct note *b)
{
	for (; b; b = b->next) {
		b->said = a && b->old && a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
		if (b->said)
			a = a->next;
	}
	return !a;
}

/* When the ear was lost on the way, or can not hear more, how far it has come is not known, nor what it missed: so many of the last ones in
 * `held` are in `local` too, which marks them. */
static size_t overlap(struct hearing *h)
{
	size_t count = h->held.count;

	for (const struct note *from = h->held.first; from; from = from->next, count--)
		if (find_all(from, h->local.first))
			return count;
	return 0;
}

/* What came behind the mark the ear says. They are the last ones. */
static void drop_behind(struct hearing *h)
{
	struct note **at = &h->local.first, *note;

	h->local.last = at;
	while ((note = *at) && !note->behind) {
		at = &note->next;
		h->local.last = at;
	}
	while ((note = *at)) {
		*at = note->next;
		h->local.count--;
		h->bytes -= sizeof *note + note->length;
		free(note);
	}
	h->dropped_behind = 0;
}

bool hearing_write(struct hearing *h, uint32_t process, uint32_t own, struct buf *out)
{
	bool fails = h->state == HEARING_FAILS;
	size_t old = 0, twice, before;
	struct note *note;
	bool ok;

	if (!fails)
		drop_behind(h);
	for (note = h->local.first; note; note = note->next)
		old += note->old;
	twice = fails ? overlap(h) : old < h->held.count ? old : h->held.count;
	before = old - twice; /* went to the client before */
	ok = write_held(h, h->held.count - twice, process, own, out);
	for (note = h->local.first; ok && note; note = note->next) {
		/* What the ear has not said then is left out: nothing twice, and the loss is told. */
		if (note->old && (fails ? !note->said : before > 0 && before--))
			continue;
		ok = put(note, note->process == process, own, out);
	}
	for (note = h->later.first; ok && note; note = note->next)
		ok = put(note, false, own, out);
	notes_fini(&h->held);
	notes_fini(&h->local);
	notes_fini(&h->later);
	h->own = h->own_dropped = 0;
	h->told = false;
	h->bytes = 0;
	return ok;
}

void hearing_remove(struct hearing *h)
{
	struct note **at = &h->held.first, *note;
	struct span topic, payload;
	uint32_t process;

	h->removes = true;
	h->held.last = &h->held.first;
	while ((note = *at)) {
		check(read_message(span_of(note->bytes, note->length), &process, &topic, &payload));
		if (topics_has(&h->wanted, topic)) {
			at = &note->next;
			h->held.last = at;
			continue;
		}
		*at = note->next;
		h->held.count--;
		h->bytes -= sizeof *note + note->length;
		free(note);
	}
}

void hearing_fail(struct hearing *h)
{
	h->state = HEARING_FAILS;
	h->marked_by_server = false;
	h->dropped += h->dropped_behind;
	h->dropped_behind = 0;
}

void hearing_settle(struct hearing *h)
{
	drop_behind(h);
	topics_fini(&h->shared);
	h->shared = h->wanted;
	h->wanted = (struct topics){ 0 };
	h->marked_by_ear = h->marked_by_server = h->changed = h->removes = false;
	h->state = HEARING_SHARED;
}
