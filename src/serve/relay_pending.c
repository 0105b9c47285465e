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
#include "base/text.h"
#include "serve/relay.h"

struct pending {
	struct pending *next;
	struct statement *after; /* counted; NULL: the name is gone */
	uint32_t batch;
	uint8_t kind;  /* enum pending_kind */
	bool complete; /* of a Query: its statement has succeeded */
	char *name;
};

static uint32_t count_named(const struct guest *guest)
{
	const struct pending *at;
	uint32_t named = 0;

	for (at = guest->pending; at; at = at->next)
		named += at->after && *at->name;
	return named;
}

bool pending_reserve(struct guest *guest)
{
	return names_reserve(&guest->names, count_named(guest) + 1);
}

static bool add(struct guest *guest, enum pending_kind kind, struct span name, struct statement *after)
{
	struct pending *made = malloc(sizeof *made);
	char *copy = malloc(name.length + 1);

	if (!made || !copy || (after && name.length > 0 && !pending_reserve(guest))) {
		free(made);
		free(copy);
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return false;
	}
	made->next = NULL;
	made->after = after ? statement_keep(after) : NULL;
	made->batch = guest->channel->batch;
	made->kind = (uint8_t)kind;
	made->complete = false;
	made->name = copy;
	text_copy_span(copy, name.length + 1, name);
	if (guest->pending_last)
		guest->pending_last->next = made;
	else
		guest->pending = made;
	guest->pending_last = made;
	return true;
}

bool pending_add(struct guest *guest, struct span name, struct statement *after)
{
	return add(guest, PENDING_NAME, name, after);
}

bool pending_add_end(struct guest *guest, enum pending_kind kind, struct span name)
{
	return add(guest, kind, name, NULL);
}

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

/* The last change to this name; NULL: none is under way. */
static const struct pending *find_last(const struct guest *guest, struct span name)
{
	const struct pending *found = NULL, *at;

	for (at = guest->pending; at; at = at->next)
		if (concerns(at, name))
			found = at;
	return found;
}

struct statement *pending_get(const struct guest *guest, struct span name)
{
	const struct pending *last = find_last(guest, name);

	if (last)
		return last->after;
	return name.length > 0 ? names_get(&guest->names, name) : guest->unnamed;
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

bool pending_has(const struct guest *guest, uint32_t id)
{
	const struct pending *at = guest->pending;
	struct span name;

	while (at && (!at->after || at->after->id != id))
		at = at->next;
	/* Nearly always there is none; the rest looks at all names. */
	return at ||
		(names_have(&guest->names, id) && names_find(&guest->names, id, &name) && pending_get(guest, name));
}

void pending_look_unnamed(struct guest *guest)
{
	/* Not at those before it: a RESET that is not run must not be made good. */
	struct statement *last = pending_get(guest, span_of("", 0));

	if (last)
		remains_look_statement(guest, last);
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
	struct pending *oldest = guest->pending;

	guest->pending = oldest->next;
	if (!guest->pending)
		guest->pending_last = NULL;
	if (happened)
		apply(guest, oldest);
	statement_drop(oldest->after);
	free(oldest->name);
	free(oldest);
}

void pending_done(struct guest *guest, bool happened)
{
	check(guest->pending);
	pop(guest, happened);
	let_go(guest);
}

void pending_complete(struct guest *guest)
{
	guest->pending->complete = true;
}

enum step pending_hold(struct guest *guest)
{
	const struct pending *at = guest->pending;

	while (at && at->kind != PENDING_ALL)
		at = at->next;
	if (at && guest->channel->track.open)
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
	while (guest->pending)
		pop(guest, false);
	let_go(guest);
}
