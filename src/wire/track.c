#include "wire/track.h"

#include <stdlib.h>

#include "base/check.h"

/* The ledger of what one server owes.
 *
 *    sent to the server, in order                         track_push adds here
 *   +--------+--------+--------+------+----------+------+   v
 *   | Parse  | Bind   | Execute| Sync | Execute  | Sync |
 *   +--------+--------+--------+------+----------+------+
 *     ^ head: every reply is matched against this one and pops it when it was the last
 *
 * PostgreSQL answers strictly in order, so one queue is enough; what makes it hard is what is NOT answered:
 *
 *  - After an error in an extended message, everything up to the next Sync. Those entries move to `dropped`
 *    when the error arrives. If no Sync is queued yet, `skipping` says that the server eats all that comes
 *    until there is one.
 *  - While COPY IN runs, Syncs. The server eats them up to CopyDone or CopyFail, which is why those leave a
 *    mark (COPY_END) in the queue. When the copy completes, the Syncs before its mark go with it:
 *
 *      libpq:  P B D E S          ('G' comes)   data, CopyDone, S         'C' comes
 *      queue:  E S                              E S mark S                      S
 *
 *    When the copy fails instead, the server may have failed before or after it ate such a Sync. Both give
 *    the same bytes up to here, so nobody outside can tell. We take the Sync for eaten, which it nearly always is,
 *    and set `suspect`; from then on a ReadyForQuery too many is let through to the same client, and the server
 *    is never lent to another.
 *  - Marks themselves. One that reaches the head ends no copy (it came late, after the server failed the
 *    copy, or none ever ran): the server ignores such a message and the mark vanishes.
 *
 * What a reply proves is checked as hard as the protocol allows: a Query needs at least one answer before its
 * ReadyForQuery, a Describe of a statement its parameters before its row. A server whose replies are off by one
 * is found at the first message, before a row goes to the wrong client.
 *
 * What always holds:
 *   - a mark is never at the head; a fake is at the head only until track_fake was called;
 *   - `copy_in`: the head is a QUERY or an EXECUTE; `copy_both`: the head is a QUERY;
 *   - `skipping`: nothing is queued;
 *   - `dropped` has room for all that is queued, so an error never needs memory. */

#define RING_SMALLEST 16

/* Bits of track_entry.flags that are ours; callers never see them. */
#define ANSWERED   0x80         /* a QUERY or FUNCTION: something that may stand alone before 'Z' was said */
#define PARAMETERS 0x40         /* a DESCRIBE_STATEMENT: 't' was said */
#define FAILED     TRACK_FAILED /* a QUERY or FUNCTION: it had its 'E', only 'Z' can follow */
#define PRIVATE    (ANSWERED | PARAMETERS | FAILED)

/* What may answer each kind, besides 'E', 'N', 'A' and 'S': by a message's type, the kinds that it goes on with, and those that it finishes. */
#define OF(kind)  (1u << (unsigned)(kind))
#define BY_PORTAL (OF(TRACK_DESCRIBE_STATEMENT) | OF(TRACK_DESCRIBE_PORTAL))
#define BY_ROWS   (OF(TRACK_QUERY) | OF(TRACK_EXECUTE))
#define BY_OURS   (OF(TRACK_SET) | OF(TRACK_BEGIN))
static const struct {
	uint16_t on, last;
} answers[256] = {
	['1'] = { .on = BY_OURS, .last = OF(TRACK_PARSE) },
	['2'] = { .on = BY_OURS, .last = OF(TRACK_BIND) },
	['3'] = { .last = OF(TRACK_CLOSE) | BY_OURS },
	['C'] = { .on = OF(TRACK_QUERY) | BY_OURS, .last = OF(TRACK_EXECUTE) },
	['D'] = { .on = BY_ROWS | OF(TRACK_SET) },
	['G'] = { .on = BY_ROWS },
	['H'] = { .on = BY_ROWS },
	['I'] = { .on = OF(TRACK_QUERY), .last = OF(TRACK_EXECUTE) },
	['T'] = { .on = OF(TRACK_QUERY), .last = BY_PORTAL },
	['V'] = { .on = OF(TRACK_FUNCTION) },
	['W'] = { .on = OF(TRACK_QUERY) },
	['c'] = { .on = BY_ROWS },
	['d'] = { .on = BY_ROWS },
	['n'] = { .last = BY_PORTAL },
	['s'] = { .last = OF(TRACK_EXECUTE) },
	['t'] = { .on = OF(TRACK_DESCRIBE_STATEMENT) },
};

static bool answers_kind(uint16_t kinds, unsigned kind)
{
	return kinds >> kind & 1;
}

/* The lists are short, and the likely ones come first. */
static bool one_of(char type, const char *types)
{
	while (*types && *types != type)
		types++;
	return *types != 0;
}

/* These end in a ReadyForQuery. */
static bool ends_batch(unsigned kind)
{
	return kind == TRACK_SYNC || kind == TRACK_QUERY || kind == TRACK_FUNCTION;
}

void track_init(struct track *t)
{
	*t = (struct track){ 0 };
}

void track_fini(struct track *t)
{
	free(t->ring);
	free(t->dropped);
	track_init(t);
}

static struct track_entry *at(const struct track *t, uint32_t i)
{
	return &t->ring[(t->head + i) & (t->capacity - 1)];
}

static struct track_entry pop(struct track *t)
{
	struct track_entry entry;

	check(t->count > 0);
	entry = *at(t, 0);
	t->head = (t->head + 1) & (t->capacity - 1);
	t->count--;
	entry.flags &= (uint8_t)~PRIVATE;
	return entry;
}

/* Marks that reached the head ended no copy. */
static void settle(struct track *t)
{
	while (t->count > 0 && at(t, 0)->kind == TRACK_COPY_END)
		pop(t);
}

static bool grow_ring(struct track *t)
{
	uint32_t capacity = t->capacity ? t->capacity * 2 : RING_SMALLEST;
	struct track_entry *ring = malloc(capacity * sizeof *ring);

	if (ring == NULL)
		return false;
	for (uint32_t i = 0; i < t->count; i++)
		ring[i] = *at(t, i);
	free(t->ring);
	t->ring = ring;
	t->capacity = capacity;
	t->head = 0;
	return true;
}

/* Make `dropped` able to hold `n` more. */
static bool reserve_dropped(struct track *t, uint32_t n)
{
	uint32_t capacity = t->dropped_capacity ? t->dropped_capacity : RING_SMALLEST;
	struct track_entry *dropped;

	if (t->dropped_head + t->dropped_count + n <= t->dropped_capacity)
		return true;
	while (capacity < t->dropped_count + n)
		capacity *= 2;
	dropped = malloc(capacity * sizeof *dropped);
	if (dropped == NULL)
		return false;
	if (t->dropped_count > 0)
		memcpy(dropped, t->dropped + t->dropped_head, t->dropped_count * sizeof *dropped);
	free(t->dropped);
	t->dropped = dropped;
	t->dropped_capacity = capacity;
	t->dropped_head = 0;
	return true;
}

/* Room for this was made when the entry was pushed. */
static void drop(struct track *t, struct track_entry entry)
{
	check(t->dropped_head + t->dropped_count < t->dropped_capacity);
	t->dropped[t->dropped_head + t->dropped_count++] = entry;
}

bool track_push(struct track *t, enum track_kind kind, unsigned flags, uint32_t tag)
{
	struct track_entry entry = { .kind = (uint8_t)kind, .flags = (uint8_t)flags, .tag = tag };

	check(kind <= TRACK_BEGIN);
	check((flags & ~(unsigned)(TRACK_OURS | TRACK_FAKE | TRACK_AGAIN | TRACK_NAMES)) == 0);
	check(!(flags & TRACK_FAKE) || kind == TRACK_PARSE || kind == TRACK_CLOSE);
	if (kind == TRACK_COPY_END && t->count == 0)
		return true;
	if (t->count + t->dropped_count >= TRACK_MAX || !reserve_dropped(t, t->count + 1))
		return false;
	if (t->skipping && kind != TRACK_SYNC) {
		drop(t, entry);
		return true;
	}
	if (t->count == t->capacity && !grow_ring(t))
		return false;
	*at(t, t->count) = entry;
	t->count++;
	if (ends_batch(kind))
		t->open = t->executes = false;
	else if (kind != TRACK_COPY_END && kind != TRACK_SET && kind != TRACK_BEGIN)
		t->open = true;
	t->executes = t->executes || (kind == TRACK_EXECUTE && !(flags & TRACK_OURS));
	t->skipping = false;
	return true;
}

static struct track_reply breach(struct track *t, struct track_reply reply)
{
	t->suspect = true;
	reply.verdict = TRACK_BREACH;
	return reply;
}

/* Where the running copy's mark is in the queue, or 0 when what the client sent behind the head cannot be
 * a copy that was ended: only Syncs (and what we answer ourselves) may come before. */
static uint32_t find_mark(const struct track *t)
{
	for (uint32_t i = 1; i < t->count; i++) {
		const struct track_entry *entry = at(t, i);

		if (entry->kind == TRACK_COPY_END)
			return i;
		if (entry->kind != TRACK_SYNC && !(entry->flags & TRACK_FAKE))
			return 0;
	}
	return 0;
}

/* Take the Syncs and marks among the first `n` entries behind the head out of the queue. What stays moves
 * towards the back, as most that is queued lies behind. Returns how many Syncs there were. */
static uint32_t take_out(struct track *t, uint32_t n)
{
	uint32_t to = n, syncs = 0;

	for (uint32_t i = n + 1; i-- > 0;) {
		struct track_entry entry = *at(t, i);

		if (entry.kind == TRACK_SYNC && i > 0)
			syncs++;
		else if (entry.kind != TRACK_COPY_END)
			*at(t, to--) = entry;
	}
	/* `to` is one before the head, and wraps to -1 when nothing was taken out. */
	t->head = (t->head + to + 1) & (t->capacity - 1);
	t->count -= to + 1;
	return syncs;
}

/* The copy ended well, so the server has read up to the mark. False: there is none, so it cannot have. */
static bool complete_copy(struct track *t)
{
	uint32_t mark = find_mark(t);

	if (mark == 0)
		return false;
	t->copy_in = false;
	if (take_out(t, mark) == 0)
		return true;
	/* If the only Sync was eaten, the batch is open again. */
	for (uint32_t i = 0; i < t->count; i++) {
		if (ends_batch(at(t, i)->kind))
			return true;
	}
	t->open = t->executes = true;
	return true;
}

/* The copy failed somewhere between 'G' and its mark, or after that. */
static void abandon_copy(struct track *t)
{
	uint32_t last = find_mark(t);

	t->copy_in = false;
	if (last == 0) {
		while (last + 1 < t->count &&
			(at(t, last + 1)->kind == TRACK_SYNC || at(t, last + 1)->flags & TRACK_FAKE))
			last++;
	}
	if (take_out(t, last) > 0)
		t->suspect = true;
}

/* The server eats all that follows, up to a Sync. */
static void skip(struct track *t)
{
	while (t->count > 0 && at(t, 0)->kind != TRACK_SYNC) {
		struct track_entry entry = pop(t);

		if (entry.kind != TRACK_COPY_END)
			drop(t, entry);
	}
	t->skipping = t->count == 0;
}

static struct track_reply take_error(struct track *t, struct track_reply reply)
{
	reply.failed = true;
	if (!reply.owed) {
		/* Only a server that is about to end speaks unasked. */
		t->suspect = true;
		return reply;
	}
	if (t->copy_in)
		abandon_copy(t);
	if (ends_batch(reply.entry.kind)) {
		at(t, 0)->flags |= ANSWERED | FAILED;
		return reply;
	}
	pop(t);
	reply.finished = true;
	skip(t);
	return reply;
}

/* May the oldest entry be answered by ReadyForQuery now? */
static bool ready_is_due(const struct track *t)
{
	const struct track_entry *head;

	if (t->count == 0 || t->copy_in)
		return false;
	head = at(t, 0);
	if (!ends_batch(head->kind))
		return false;
	return head->kind == TRACK_SYNC || head->flags & ANSWERED || t->copy_both;
}

static struct track_reply take_ready(struct track *t, struct track_reply reply, char status)
{
	bool first = t->status == 0;

	if (!one_of(status, "ITE"))
		return breach(t, reply);
	if (ready_is_due(t)) {
		t->status = status;
		t->copy_both = false;
		pop(t);
		settle(t);
		reply.finished = true;
		return reply;
	}
	if (first && !reply.owed) {
		t->status = status;
		reply.verdict = TRACK_KEEP;
		return reply;
	}
	if (!t->suspect)
		return breach(t, reply);
	/* A Sync that we took for eaten. */
	t->status = status;
	t->skipping = false;
	return reply;
}

static bool rows_are_due(const struct track *t, const struct track_entry *head)
{
	return (head->kind == TRACK_QUERY || head->kind == TRACK_EXECUTE) && !(head->flags & FAILED) && !t->copy_in;
}

struct track_reply track_take(struct track *t, char type, char status)
{
	struct track_reply reply = { .verdict = TRACK_FORWARD };
	struct track_entry *head = NULL;
	bool last;

	if (t->count > 0) {
		head = at(t, 0);
		check(!(head->flags & TRACK_FAKE));
		reply.owed = true;
		reply.entry = *head;
		reply.entry.flags &= (uint8_t)~PRIVATE;
	}
	if (type == 'N' || type == 'A' || type == 'S')
		return reply;
	if (head && head->flags & TRACK_OURS)
		reply.verdict = TRACK_KEEP;
	/* Rows are most of what a server says; what follows would let them through as well. */
	if (type == 'D' && head && rows_are_due(t, head))
		return reply;
	if (type == 'E')
		return take_error(t, reply);
	if (type == 'Z')
		return take_ready(t, reply, status);
	if (t->copy_both)
		return reply;
	if (head == NULL || head->flags & FAILED)
		return breach(t, reply);
	last = answers_kind(answers[(uint8_t)type].last, head->kind);
	if (!last && !answers_kind(answers[(uint8_t)type].on, head->kind))
		return breach(t, reply);
	if (head->kind == TRACK_DESCRIBE_STATEMENT && last != ((head->flags & PARAMETERS) != 0))
		return breach(t, reply);
	if (t->copy_in && (type != 'C' || !complete_copy(t)))
		return breach(t, reply);

	head = at(t, 0);
	if (type == 't')
		head->flags |= PARAMETERS;
	else if (type == 'G')
		t->copy_in = true;
	else if (type == 'W')
		t->copy_both = true;
	if (one_of(type, "CIV"))
		head->flags |= ANSWERED;
	if (last) {
		if (head->kind == TRACK_BEGIN)
			t->status = 'T';
		pop(t);
		settle(t);
		reply.finished = true;
	}
	return reply;
}

bool track_take_plain_one(struct track *t, char type)
{
	const struct track_entry *head = t->count > 0 ? at(t, 0) : NULL;

	if (!head || head->flags != 0 || head->kind != (type == '2' ? TRACK_BIND : TRACK_DESCRIBE_PORTAL))
		return false;
	pop(t);
	settle(t);
	return true;
}

bool track_take_fake(struct track *t, struct track_entry *out)
{
	*out = pop(t);
	settle(t);
	return true;
}

bool track_dropped(struct track *t, struct track_entry *out)
{
	if (t->dropped_count == 0)
		return false;
	*out = t->dropped[t->dropped_head++];
	if (--t->dropped_count == 0)
		t->dropped_head = 0;
	return true;
}

bool track_guards(const struct track *t)
{
	for (uint32_t i = 0; i < t->count && (at(t, i)->flags & TRACK_OURS); i++)
		if (at(t, i)->kind == TRACK_SET || at(t, i)->kind == TRACK_BEGIN)
			return true;
	return false;
}

uint32_t track_readies(const struct track *t)
{
	uint32_t owed = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct track_entry *e = &t->ring[(t->head + i) % t->capacity];

		owed += !(e->flags & TRACK_OURS) &&
			(e->kind == TRACK_QUERY || e->kind == TRACK_FUNCTION || e->kind == TRACK_SYNC);
	}
	return owed;
}

bool track_copies(const struct track *t)
{
	uint32_t mark = t->copy_in ? find_mark(t) : 0;

	if (mark == 0 || at(t, 0)->kind != TRACK_EXECUTE)
		return t->copy_in && mark == 0;
	for (uint32_t i = mark + 1; i < t->count; i++)
		if (ends_batch(at(t, i)->kind))
			return false;
	return true;
}

void track_reset(struct track *t)
{
	char status = t->status;

	check(track_idle(t) && !t->suspect);
	track_fini(t);
	t->status = status;
}
