#include "view/snapshot.h"

#include <stdlib.h>

/* Lists that grow by half and never shrink: a snapshot is filled once, read once and thrown away. When memory is refused the
 * snapshot says so, keeps what it has, and its reader decides (the console answers with an error rather than with half a list). */

#define ROWS_SMALLEST 16

struct snapshot *snapshot_new(unsigned parts)
{
	struct snapshot *snapshot = calloc(1, sizeof *snapshot);

	if (snapshot)
		snapshot->parts = parts;
	return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	free(snapshot->clients);
	free(snapshot->servers);
	free(snapshot->pools);
	free(snapshot->databases);
	free(snapshot->users);
	free(snapshot->budgets);
	free(snapshot->stats);
	free(snapshot->settings);
	free(snapshot->leases);
	free(snapshot->origins);
	free(snapshot->leaks);
	free(snapshot->reaps);
	free(snapshot);
}

/* `list` with room for one more of `size` bytes, the new one zeroed and counted; NULL when memory is refused. */
static void *grow(struct snapshot *snapshot, void *list, size_t *count, size_t *capacity, size_t size)
{
	if (*count == *capacity) {
		size_t wanted = *capacity ? *capacity + *capacity / 2 : ROWS_SMALLEST;
		size_t bytes;
		void *larger = __builtin_mul_overflow(wanted, size, &bytes) ? NULL : realloc(list, bytes);

		if (!larger) {
			snapshot->refused_memory = true;
			return NULL;
		}
		list = larger;
		*capacity = wanted;
	}
	memset((char *)list + *count * size, 0, size);
	(*count)++;
	return list;
}

struct client_row *snapshot_client(struct snapshot *s)
{
	struct client_row *list = grow(s, s->clients, &s->client_count, &s->client_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->clients = list;
	return &list[s->client_count - 1];
}

struct server_row *snapshot_server(struct snapshot *s)
{
	struct server_row *list = grow(s, s->servers, &s->server_count, &s->server_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->servers = list;
	return &list[s->server_count - 1];
}

struct pool_row *snapshot_pool(struct snapshot *s)
{
	struct pool_row *list = grow(s, s->pools, &s->pool_count, &s->pool_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->pools = list;
	return &list[s->pool_count - 1];
}

struct database_row *snapshot_database(struct snapshot *s)
{
	struct database_row *list = grow(s, s->databases, &s->database_count, &s->database_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->databases = list;
	return &list[s->database_count - 1];
}

struct user_row *snapshot_user(struct snapshot *s)
{
	struct user_row *list = grow(s, s->users, &s->user_count, &s->user_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->users = list;
	return &list[s->user_count - 1];
}

struct budget_row *snapshot_budget(struct snapshot *s)
{
	struct budget_row *list = grow(s, s->budgets, &s->budget_count, &s->budget_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->budgets = list;
	return &list[s->budget_count - 1];
}

struct stats_row *snapshot_stats(struct snapshot *s)
{
	struct stats_row *list = grow(s, s->stats, &s->stats_count, &s->stats_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->stats = list;
	return &list[s->stats_count - 1];
}

struct config_row *snapshot_setting(struct snapshot *s)
{
	struct config_row *list = grow(s, s->settings, &s->setting_count, &s->setting_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->settings = list;
	return &list[s->setting_count - 1];
}

struct lease_row *snapshot_lease(struct snapshot *s)
{
	struct lease_row *list = grow(s, s->leases, &s->lease_count, &s->lease_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->leases = list;
	return &list[s->lease_count - 1];
}

/* A copy of the list; NULL when it is empty or memory is refused. */
static void *copy(struct snapshot *snapshot, const void *list, size_t *count, size_t given, size_t size)
{
	void *own = given > 0 ? malloc(given * size) : NULL;

	*count = own ? given : 0;
	if (own)
		memcpy(own, list, given * size);
	else if (given > 0)
		snapshot->refused_memory = true;
	return own;
}

void snapshot_leaks(struct snapshot *s, const struct origin_row *origins, size_t origin_count,
	const struct leak_row *leaks, size_t leak_count)
{
	s->origins = copy(s, origins, &s->origin_count, origin_count, sizeof *origins);
	s->leaks = copy(s, leaks, &s->leak_count, leak_count, sizeof *leaks);
	for (size_t i = 0; i < s->leak_count; i++)
		s->leaks_lasting += s->leaks[i].ended_wall == 0;
}

void snapshot_reaps(struct snapshot *s, const struct reap_row *reaps, size_t count)
{
	s->reaps = copy(s, reaps, &s->reap_count, count, sizeof *reaps);
}

struct pool_row *snapshot_pool_of(struct snapshot *snapshot, uint32_t id)
{
	size_t low = 0, high = snapshot->pool_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (snapshot->pools[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < snapshot->pool_count && snapshot->pools[low].id == id ? &snapshot->pools[low] : NULL;
}
