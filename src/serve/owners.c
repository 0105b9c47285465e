/* Whose socket it is stays so as long as a client is connected, so each is sought until it is found, or a few times in vain: what the kernel lists
 * while connections come and go may leave one out. One walk through /proc serves all who came since the last
 * one, whether their origin's process is wanted (SHOW ORIGINS) or their own (SHOW BREAKDOWNS), and the next one waits for a hundred times
 * as long as that one worked. */
#include "serve/owners.h"

#include <stdlib.h>

#include "io/clock.h"
#include "serve/worker.h"

#define WALK_PAUSE 100 /* times as long as a walk through /proc worked, before the next one */
#define TRIES_MOST 3

struct other_end other_end_of(const struct guest *guest)
{
	const struct address *peer = stream_peer(guest->stream);
	struct other_end end = { .client = guest->number,
		.local = guest->habits.local,
		.at = { .six = peer->family == ADDRESS_IPV6,
			.port = peer->port,
			.to_port = guest->habits.local ? stream_local(guest->stream)->port : 0,
			.user = UINT32_MAX } };

	memcpy(end.at.ip, peer->ip, sizeof end.at.ip);
	if (peer->family == ADDRESS_UNIX) {
		end.at.process = peer->process;
		end.at.user = peer->user;
	}
	return end;
}

void owners_fini(struct owners *owners)
{
	free(owners->list);
	*owners = (struct owners){ 0 };
}

struct owner *owners_room(size_t most)
{
	return calloc(most + 1, sizeof(struct owner));
}

void owners_want(struct owner *room, size_t *count, const struct other_end *end)
{
	room[(*count)++] = (struct owner){ .client = end->client, .at = end->at };
}

static int compare(const void *a, const void *b)
{
	uint32_t one = ((const struct owner *)a)->client, other = ((const struct owner *)b)->client;

	return one < other ? -1 : one > other;
}

static struct owner *find(const struct owners *owners, uint32_t client)
{
	struct owner key = { .client = client };

	return owners->count > 0 ? bsearch(&key, owners->list, owners->count, sizeof key, compare) : NULL;
}

/* Sorted, everybody once, with the answers of the last look. How many are left. */
static size_t settle(const struct owners *before, struct owner *wanted, size_t count)
{
	size_t kept = 0;

	if (count > 0)
		qsort(wanted, count, sizeof *wanted, compare);
	for (size_t i = 0; i < count; i++) {
		const struct owner *known;

		if (kept > 0 && wanted[kept - 1].client == wanted[i].client)
			continue;
		known = find(before, wanted[i].client);
		wanted[kept++] = known ? *known : wanted[i];
	}
	return kept;
}

static void walk(struct owners *owners)
{
	struct process_peer *asked = calloc(owners->count + 1, sizeof *asked);
	time_us before = clock_worked();
	size_t count = 0, i;

	for (i = 0; asked && i < owners->count; i++)
		if (!owners->list[i].sought)
			asked[count++] = owners->list[i].at;
	if (count > 0 && clock_now() >= owners->walk_at) {
		processes_of_peers(asked, count);
		owners->walk_at = clock_now() + WALK_PAUSE * (clock_worked() - before);
		count = 0;
		for (i = 0; i < owners->count; i++) {
			if (owners->list[i].sought)
				continue;
			owners->list[i].at = asked[count++];
			owners->list[i].sought = owners->list[i].at.user != UINT32_MAX ||
				++owners->list[i].tries == TRIES_MOST;
		}
	}
	free(asked);
}

void owners_seek(struct owners *owners, struct owner **wanted, size_t count)
{
	count = settle(owners, *wanted, count);
	free(owners->list);
	owners->list = *wanted;
	owners->count = count;
	*wanted = NULL;
	walk(owners);
}

const struct process_peer *owners_find(const struct owners *owners, uint32_t client)
{
	const struct owner *owner = find(owners, client);

	return owner && owner->sought ? &owner->at : NULL;
}

void owners_forget(struct owners *owners, uint32_t client)
{
	struct owner *owner = find(owners, client);

	if (owner)
		*owner = (struct owner){ .client = client, .at = owner->at };
}
