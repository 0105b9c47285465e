#include "view/snapshot.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"

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
	free(snapshot->peers);
	free(snapshot->peer_pools);
	free(snapshot->dns_hosts);
	free(snapshot->dns_zones);
	free(snapshot->stats);
	free(snapshot->user_places.rows);
	free(snapshot->stats_places.rows);
	free(snapshot->settings);
	free(snapshot->leases);
	free(snapshot->ledger);
	free(snapshot->origins);
	free(snapshot->breakdowns);
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

/* ---- lists in which a name stands once ----
 *
 * With ten thousand users, to look for each among those before would take seconds, and a worker does nothing else meanwhile. So the places
 * of rows are found by a hash of the name, which is the first member of the row; a place holds the row's number and one more. */

_Static_assert(offsetof(struct user_row, name) == 0 && offsetof(struct stats_row, database) == 0, "names come first");

struct places {
	struct snapshot_places *of;
	const void *list;
	size_t size; /* of a row */
};

static const char *name_at(const struct places *places, uint32_t row)
{
	return (const char *)places->list + (row - 1) * places->size;
}

/* Where this name stands, or where it would. */
static uint32_t *place_of(const struct places *places, const char *name)
{
	size_t mask = places->of->capacity - 1, at = hash_bytes(span_text(name)) & mask;

	while (places->of->rows[at] && strcmp(name_at(places, places->of->rows[at]), name) != 0)
		at = (at + 1) & mask;
	return &places->of->rows[at];
}

/* Room for one more; at most half of it is taken. */
static bool make_places(struct snapshot *snapshot, const struct places *places, size_t count)
{
	struct snapshot_places before = *places->of;

	if (2 * (count + 1) <= before.capacity)
		return true;
	places->of->capacity = before.capacity ? before.capacity * 2 : 2 * ROWS_SMALLEST;
	places->of->rows = calloc(places->of->capacity, sizeof *places->of->rows);
	if (!places->of->rows) {
		*places->of = before;
		snapshot->refused_memory = true;
		return false;
	}
	for (size_t i = 0; i < before.capacity; i++)
		if (before.rows[i])
			*place_of(places, name_at(places, before.rows[i])) = before.rows[i];
	free(before.rows);
	return true;
}

/* The row of this name, cut as rows have it; a new one where there is none. NULL: memory refused. */
static void *row_of_name(struct snapshot *s, struct snapshot_places *of, void **list, size_t *count, size_t *capacity,
	size_t size, const char *name, bool *is_new)
{
	struct places places = { of, *list, size };
	char cut[SNAPSHOT_NAME];
	uint32_t *place;
	void *grown;

	text_copy(cut, sizeof cut, name);
	if (!make_places(s, &places, *count))
		return NULL;
	place = place_of(&places, cut);
	*is_new = *place == 0;
	if (*place)
		return (char *)*list + (*place - 1) * size;
	grown = grow(s, *list, count, capacity, size);
	if (!grown)
		return NULL;
	*list = grown;
	*place = (uint32_t)*count;
	memcpy((char *)grown + (*count - 1) * size, cut, sizeof cut);
	return (char *)grown + (*count - 1) * size;
}

struct user_row *snapshot_user(struct snapshot *s, const char *name, bool *is_new)
{
	void *list = s->users,
	     *row = row_of_name(
		     s, &s->user_places, &list, &s->user_count, &s->user_capacity, sizeof *s->users, name, is_new);

	s->users = list;
	return row;
}

struct stats_row *snapshot_stats(struct snapshot *s, const char *database)
{
	bool is_new;
	void *list = s->stats,
	     *row = row_of_name(s, &s->stats_places, &list, &s->stats_count, &s->stats_capacity, sizeof *s->stats,
		     database, &is_new);

	s->stats = list;
	return row;
}

/* ---- the others ---- */

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

struct budget_row *snapshot_budget(struct snapshot *s)
{
	struct budget_row *list = grow(s, s->budgets, &s->budget_count, &s->budget_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->budgets = list;
	return &list[s->budget_count - 1];
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

struct ledger_row *snapshot_ledger(struct snapshot *s)
{
	struct ledger_row *list = grow(s, s->ledger, &s->ledger_count, &s->ledger_capacity, sizeof *list);

	if (!list)
		return NULL;
	s->ledger = list;
	return &list[s->ledger_count - 1];
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

void snapshot_breakdowns(struct snapshot *s, const struct breakdown_row *breakdowns, size_t count)
{
	s->breakdowns = copy(s, breakdowns, &s->breakdown_count, count, sizeof *breakdowns);
}

void snapshot_reaps(struct snapshot *s, const struct reap_row *reaps, size_t count)
{
	s->reaps = copy(s, reaps, &s->reap_count, count, sizeof *reaps);
}

void snapshot_memory(struct snapshot *snapshot, const char *name, uint64_t used, uint64_t bytes, uint64_t unused)
{
	struct memory_row *row = snapshot->memory;

	while (row < snapshot->memory + snapshot->memory_count && strcmp(row->name, name) != 0)
		row++;
	if (row == snapshot->memory + sizeof snapshot->memory / sizeof *row)
		return;
	if (row == snapshot->memory + snapshot->memory_count) {
		snapshot->memory_count++;
		text_copy(row->name, sizeof row->name, name);
		row->size = (uint32_t)bytes;
	}
	row->used += (uint32_t)used;
	row->free += (uint32_t)unused;
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
