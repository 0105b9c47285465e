/* Who waits behind whom.
 *
 *   first worker:  the core says who waits longest for each pool --> handles
 *   each worker:   handles of its own clients ---------------------> names, as they are shown
 *   last worker:   names of a pool --------------------------------> the row of each lease of that pool
 *
 * A lease holds up nobody in particular: whoever waits for its pool would take the next server that comes back, whichever it is. So all
 * leases of a pool have the same clients behind them. A few are named; there may be thousands, and a row is read by people. */
#include "serve/behind.h"

#include <stdlib.h>

#include "base/text.h"
#include "serve/worker.h"

#define NAMED 3 /* of those who wait for a pool */

struct behind_client {
	pool_id pool;
	struct client_ref ref;
	uint32_t number; /* 0: it waits no more, or its worker was not asked yet */
	time_us waits;
	struct who_row who;
};

void behind_fini(struct behind *behind)
{
	free(behind->clients);
	*behind = (struct behind){ 0 };
}

/* The list goes by pools, since these are visited one after another, and in a pool by how long they wait. */
void behind_pool(struct behind *behind, const struct worker *worker, pool_id pool)
{
	struct waiter_picture waiters[NAMED];
	size_t found = core_pool_waiters(worker->house->core, pool, waiters, NAMED);

	if (behind->count + found > behind->capacity) {
		size_t capacity = behind->capacity ? 2 * behind->capacity : 4 * (size_t)NAMED;
		struct behind_client *more = realloc(behind->clients, capacity * sizeof *more);

		if (!more)
			return; /* they are counted all the same */
		behind->clients = more;
		behind->capacity = capacity;
	}
	for (size_t i = 0; i < found; i++)
		behind->clients[behind->count++] = (struct behind_client){ .pool = pool, .ref = waiters[i].client };
}

/* Or it would be told what servers report, before it is in. */
static bool waits(const struct guest *guest)
{
	return guest->state == GUEST_WAITING || (guest->state == GUEST_LEARNING && !guest->channel);
}

void behind_visit(struct behind *behind, const struct worker *worker)
{
	for (size_t i = 0; i < behind->count; i++) {
		struct behind_client *client = &behind->clients[i];
		const struct guest *guest = client->ref.worker == worker->index
			? slots_get(&worker->guests, client->ref.client)
			: NULL;

		if (!guest || !waits(guest) || guest->pool != client->pool)
			continue;
		client->number = guest->number;
		client->waits = worker->now - guest->wants_since;
		guest_who(guest, &client->who);
	}
}

static size_t put_client(char *out, size_t size, const struct behind_client *client)
{
	const struct who_row *who = &client->who;
	char age[40], port[16] = "";

	text_duration(age, sizeof age, client->waits);
	if (who->port > 0)
		text_format(port, sizeof port, ":%d", who->port);
	return text_format(out, size, "client %u of origin %u, \"%s\" at %s%s, for %s", client->number, who->origin,
		who->application_name[0] ? who->application_name : who->user, who->address, port, age);
}

/* The first of this pool, or of one behind it. */
static size_t first_of(const struct behind *behind, pool_id pool)
{
	size_t from = 0, to = behind->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (behind->clients[middle].pool < pool)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static void put_pool(const struct behind *behind, struct lease_row *row)
{
	size_t length = 0;
	uint32_t named = 0;

	for (size_t i = first_of(behind, row->pool); i < behind->count && behind->clients[i].pool == row->pool; i++) {
		const struct behind_client *client = &behind->clients[i];

		if (client->number == 0)
			continue;
		if (named++ > 0)
			length += text_format(row->waiters + length, sizeof row->waiters - length, "; ");
		length += put_client(row->waiters + length, sizeof row->waiters - length, client);
	}
	if (named > 0 && row->waiting > named)
		text_format(row->waiters + length, sizeof row->waiters - length, "; and %u more", row->waiting - named);
}

void behind_finish(const struct behind *behind, struct snapshot *snapshot)
{
	const struct lease_row *last = NULL;

	for (size_t i = 0; behind->count > 0 && i < snapshot->lease_count; i++) {
		struct lease_row *row = &snapshot->leases[i];

		if (row->waiting == 0)
			continue;
		if (last && last->pool == row->pool)
			text_copy(row->waiters, sizeof row->waiters, last->waiters);
		else
			put_pool(behind, row);
		last = row;
	}
}
