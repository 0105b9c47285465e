/* What is under way to a client's names for its prepared statements.
 *
 *   Parse "a", Close "a"  -> pending: "a" becomes 7, "a" is gone     names: as the server has answered so far
 *   ParseComplete         -> names: "a" is 7
 *   an error before them  -> the server skips both, and they never were
 *
 * Within a batch, what is sent behind a change may count on it: whatever skips one skips the other. A message of a later batch may not, since
 * nobody knows yet whether the change was skipped; it waits in its client's stream for the answer, which the Sync before it makes
 * come. The unnamed statement is one of the names here, the empty one; a Query takes it away.
 *
 * DEALLOCATE ALL and DISCARD ALL change every name, if they succeed, and what was prepared on the server too. So whatever uses a name
 * behind them waits, also within their batch: a Flush makes the answer come. */
#include <stdlib.h>

#include "base/check.h"
#include "base/table.h"
#include "base/text.h"
#include "serve/relay.h"

struct pending {
	struct pending *next;
	struct statement *after; /* counted; NULL: the name is gone */
	uint64_t number;         /* a later one has a greater */
	uint32_t batch, id;      /* id: of `after` */
	uint8_t kind;            /* enum pending_kind */
	bool complete;           /* of a Query: its statement has succeeded */
	char *name;
	UT_hash_handle by_name, by_id;
};

/* From so many on they are found by tables: a walk along all of them would be too long to be made for each message of a long pipeline. */
#define FEW_CHANGES 32

/* Oldest first. The tables have the newest for each name, and for each statement: since the oldest goes first, one that is not there
 * any more has no other in the list. */
struct changes {
	struct pending *oldest, *newest;
	struct pending *names, *ids;             /* the tables */
	struct pending *query, *query_all, *all; /* the newest of these kinds; NULL: none is in the list */
	uint64_t number, bytes;                  /* bytes: of the names that come, as name_bytes has it */
	uint32_t count, named;                   /* named: names that come */
	bool in_tables;
};

static bool is_coming(const struct pending *change)
{
	return change->after && *change->name;
}

bool pending_is_none(const struct guest *guest)
{
	return !guest->changes || !guest->changes->oldest;
}

static uint32_t count_named(const struct guest *guest)
{
	return guest->changes ? guest->changes->named : 0;
}

bool pending_reserve(struct guest *guest)
{
	return names_reserve(&guest->names, count_named(guest) + 1);
}

uint64_t pending_bytes(const struct guest *guest)
{
	return names_bytes(&guest->names) + (guest->changes ? guest->changes->bytes : 0);
}

/* ---- the list and its tables ---- */

/* False: memory refused, and it is in no table. */
static bool put_in_tables(struct changes *changes, struct pending *made)
{
	struct pending *before;
	bool refused = false;

	if (made->kind == PENDING_ALL)
		return true; /* it has no name */
	HASH_FIND(by_name, changes->names, made->name, strlen(made->name), before);
	if (before)
		HASH_DELETE(by_name, changes->names, before);
	HASH_ADD_KEYPTR(by_name, changes->names, made->name, (unsigned)strlen(made->name), made);
	if (refused || !made->after)
		return !refused;
	HASH_FIND(by_id, changes->ids, &made->id, sizeof made->id, before);
	if (before)
		HASH_DELETE(by_id, changes->ids, before);
	HASH_ADD(by_id, changes->ids, id, sizeof made->id, made);
	if (refused)
		HASH_DELETE(by_name, changes->names, made);
	return !refused;
}

static void take_from_tables(struct changes *changes, struct pending *oldest)
{
	struct pending *found;

	HASH_FIND(by_name, changes->names, oldest->name, strlen(oldest->name), found);
	if (found == oldest)
		HASH_DELETE(by_name, changes->names, oldest);
	if (!oldest->id)
		return;
	HASH_FIND(by_id, changes->ids, &oldest->id, sizeof oldest->id, found);
	if (found == oldest)
		HASH_DELETE(by_id, changes->ids, oldest);
}

/* False: memory refused, and it is nowhere. */
static bool enter(struct changes *changes, struct pending *made)
{
	struct pending *at;
	bool ok = true;

	if (changes->count == FEW_CHANGES && !changes->in_tables) {
		changes->in_tables = true;
		for (at = changes->oldest; ok && at; at = at->next)
			ok = put_in_tables(changes, at);
	}
	if (!ok || (changes->in_tables && !put_in_tables(changes, made)))
		return false;
	changes->count++;
	made->number = ++changes->number;
	if (is_coming(made)) {
		changes->named++;
		changes->bytes += name_bytes(span_text(made->name), made->after);
	}
	switch ((enum pending_kind)made->kind) {
	case PENDING_NAME:
		break;
	case PENDING_QUERY:
		changes->query = made;
		break;
	case PENDING_QUERY_ALL:
		changes->query_all = made;
		break;
	case PENDING_ALL:
		changes->all = made;
		break;
	}
	if (changes->newest)
		changes->newest->next = made;
	else
		changes->oldest = made;
	changes->newest = made;
	return true;
}

static struct pending *take_oldest(struct changes *changes)
{
	struct pending *oldest = changes->oldest;

	changes->oldest = oldest->next;
	if (!changes->oldest)
		changes->newest = NULL;
	changes->count--;
	if (changes->in_tables)
		take_from_tables(changes, oldest);
	if (is_coming(oldest)) {
		changes->named--;
		changes->bytes -= name_bytes(span_text(oldest->name), oldest->after);
	}
	if (changes->query == oldest)
		changes->query = NULL;
	if (changes->query_all == oldest)
		changes->query_all = NULL;
	if (changes->all == oldest)
		changes->all = NULL;
	return oldest;
}

static bool add(struct guest *guest, enum pending_kind kind, struct span name, struct statement *after)
{
	struct pending *made = calloc(1, sizeof *made);
	char *copy = names_text(name);

	if (!guest->changes)
		guest->changes = calloc(1, sizeof *guest->changes);
	if (!made || !copy || !guest->changes || (after && name.length > 0 && !pending_reserve(guest)))
		goto refused;
	made->after = after;
	made->id = after ? after->id : 0;
	made->batch = guest->channel->batch;
	made->kind = (uint8_t)kind;
	made->name = copy;
	if (!enter(guest->changes, made))
		goto refused;
	if (after)
		(void)statement_keep(after);
	return true;
refused:
	free(made);
	names_text_free(copy);
	guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
	return false;
}

bool pending_add(struct guest *guest, struct span name, struct statement *after)
{
	return add(guest, PENDING_NAME, name, after);
}

bool pending_add_end(struct guest *guest, enum pending_kind kind, struct span name)
{
	return add(guest, kind, name, NULL);
}

/* ---- what is under way ---- */

static bool concerns(const struct pending *change, struct span name)
{
	switch ((enum pending_kind)change->kind) {
	case PENDING_NAME:
		return span_is(name, change->name);
	case PENDING_QUERY:
		return name.length == 0 || span_is(name, change->name);
	case PENDING_QUERY_ALL:
		return true;
	case PENDING_ALL:
		return name.length > 0;
	}
	return true;
}

static const struct pending *later(const struct pending *a, const struct pending *b)
{
	return !a || (b && b->number > a->number) ? b : a;
}

/* The last change to this name; NULL: none is under way. */
static const struct pending *find_last(const struct guest *guest, struct span name)
{
	const struct changes *changes = guest->changes;
	const struct pending *found = NULL, *at;
	struct pending *named;

	if (pending_is_none(guest))
		return NULL;
	if (!changes->in_tables) {
		for (at = changes->oldest; at; at = at->next)
			if (concerns(at, name))
				found = at;
		return found;
	}
	HASH_FIND(by_name, changes->names, name.at, name.length, named);
	found = later(named, changes->query_all);
	return later(found, name.length > 0 ? changes->all : changes->query);
}

struct statement *pending_get(const struct guest *guest, struct span name)
{
	const struct pending *last = find_last(guest, name);

	if (last)
		return last->after;
	return name.length > 0 ? names_get(&guest->names, name) : guest->unnamed;
}

struct statement *pending_look(const struct guest *guest, struct span name, struct shape **told)
{
	const struct pending *last = find_last(guest, name);

	*told = NULL;
	return last ? last->after : names_look(&guest->names, name, told);
}

bool pending_unsure(const struct guest *guest, struct span name)
{
	const struct pending *last = find_last(guest, name);

	return last && (last->batch != guest->channel->batch || last->kind == PENDING_ALL);
}

bool pending_changes(const struct guest *guest, struct span name)
{
	return find_last(guest, name) != NULL;
}

static bool comes(const struct changes *changes, uint32_t id)
{
	struct pending *found;

	if (changes->in_tables) {
		HASH_FIND(by_id, changes->ids, &id, sizeof id, found);
		return found;
	}
	for (found = changes->oldest; found; found = found->next)
		if (found->id == id)
			return true;
	return false;
}

bool pending_has(const struct guest *guest, uint32_t id)
{
	struct span name;

	return (!pending_is_none(guest) && comes(guest->changes, id)) ||
		(names_find(&guest->names, id, &name) && pending_get(guest, name));
}

static void apply(struct guest *guest, struct pending *change)
{
	struct span name = span_text(change->name);

	/* The names themselves go when the server says DEALLOCATE ALL: see relay_server.c. */
	if (change->kind == PENDING_ALL)
		return;
	if (change->kind == PENDING_QUERY && change->complete)
		names_remove(&guest->names, name);
	if (name.length == 0 || change->kind == PENDING_QUERY) {
		statement_drop(guest->unnamed);
		guest->unnamed = change->after;
		change->after = NULL;
		return;
	}
	names_remove(&guest->names, name);
	if (change->after) {
		names_give(&guest->names, change->name, change->after);
		relay_name_shape(guest, name, change->after);
		change->name = NULL;
		change->after = NULL;
	}
}

static void let_go(struct guest *guest)
{
	if (!guest->names_held)
		return;
	guest->names_held = false;
	if (guest->stream)
		stream_resume(guest->stream);
}

static void pop(struct guest *guest, bool happened)
{
	struct pending *oldest = take_oldest(guest->changes);

	if (happened)
		apply(guest, oldest);
	statement_drop(oldest->after);
	names_text_free(oldest->name);
	free(oldest);
	if (pending_is_none(guest))
		guest->changes->in_tables = false;
}

void pending_done(struct guest *guest, bool happened)
{
	check(!pending_is_none(guest));
	pop(guest, happened);
	let_go(guest);
}

bool pending_next(const struct guest *guest, struct span *name)
{
	if (pending_is_none(guest) || !*guest->changes->oldest->name)
		return false;
	*name = span_text(guest->changes->oldest->name);
	return true;
}

void pending_complete(struct guest *guest)
{
	guest->changes->oldest->complete = true;
}

enum step pending_hold(struct guest *guest)
{
	if (guest->changes && guest->changes->all && guest->channel->track.open)
		relay_header(outbox_room(&guest->worker->to_server, FRAME_HEADER), 'H', 0);
	guest->names_held = true;
	stream_pause(guest->stream);
	return STEP_WAIT;
}

void pending_resume(struct guest *guest)
{
	let_go(guest);
}

void pending_forget_names(struct guest *guest)
{
	if (count_named(guest) > 0)
		names_clear(&guest->names);
	else
		names_fini(&guest->names);
}

void pending_clear(struct guest *guest)
{
	while (!pending_is_none(guest))
		pop(guest, false);
	free(guest->changes);
	guest->changes = NULL;
	let_go(guest);
}
