/* A table with open addressing. The first row of an origin and kind is that of the values that found no place (its value is empty); it
 * knows how many have one. */
#include "core/breakdown.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

#define PLACES (2 * BREAKDOWNS_MAX)

/* Those for values without a place must not fail for want of room that values took. */
#define VALUES_MAX (BREAKDOWNS_MAX / 2)

void breakdowns_fini(struct breakdowns *table)
{
	free(table->rows);
	free(table->places);
	*table = (struct breakdowns){ 0 };
}

static uint64_t key_of(const struct breakdown *row)
{
	uint64_t parts[3] = { row->origin, (uint64_t)row->by, hash_bytes(span_text(row->value)) };

	return hash_bytes(span_of(parts, sizeof parts));
}

static uint32_t *place_of(const struct breakdowns *table, const struct breakdown *key)
{
	for (size_t i = (size_t)key_of(key) % PLACES;; i = (i + 1) % PLACES) {
		const struct breakdown *row = table->places[i] ? &table->rows[table->places[i] - 1] : NULL;

		if (!row || (row->origin == key->origin && row->by == key->by && strcmp(row->value, key->value) == 0))
			return &table->places[i];
	}
}

/* The row of this key, made where there is none and `most` are not passed. NULL: no room, or memory refused. */
static struct breakdown *row_of(struct breakdowns *table, const struct breakdown *key, size_t most)
{
	uint32_t *place = place_of(table, key);

	if (*place)
		return &table->rows[*place - 1];
	if (table->count >= most)
		return NULL;
	if (table->count == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : 64;
		struct breakdown *rows = realloc(table->rows, capacity * sizeof *rows);

		if (!rows)
			return NULL;
		table->rows = rows;
		table->capacity = capacity;
	}
	table->rows[table->count] = *key;
	*place = (uint32_t)++table->count;
	return &table->rows[table->count - 1];
}

static void sum(struct breakdown_counts *to, const struct breakdown_counts *from)
{
	to->clients += from->clients;
	to->quiet += from->quiet;
	to->in_block += from->in_block;
	to->holding += from->holding;
	to->transactions += from->transactions;
	to->executing += from->executing;
	to->in_block_time += from->in_block_time;
	if (from->oldest_quiet > to->oldest_quiet)
		to->oldest_quiet = from->oldest_quiet;
	if (from->oldest_hold <= to->oldest_hold)
		return;
	to->oldest_hold = from->oldest_hold;
	memcpy(to->trace, from->trace, sizeof to->trace);
}

bool breakdowns_add(struct breakdowns *table, uint32_t origin, enum breakdown_by by, struct span value,
	const struct breakdown_counts *counts)
{
	struct breakdown key = { .origin = origin, .by = by }, *rest, *row = NULL;
	size_t rest_at;

	if (!table->places)
		table->places = calloc(PLACES, sizeof *table->places);
	rest = table->places ? row_of(table, &key, BREAKDOWNS_MAX) : NULL;
	if (!rest)
		return false;
	rest_at = (size_t)(rest - table->rows);
	text_copy_span(key.value, sizeof key.value, value);
	if (key.value[0]) {
		bool room = rest->siblings < BREAKDOWN_VALUES;
		size_t before = table->count;

		row = row_of(table, &key, room ? VALUES_MAX : 0);
		rest = &table->rows[rest_at];
		rest->siblings += (uint32_t)(table->count - before);
	}
	sum(row ? &row->counts : &rest->counts, counts);
	return true;
}

static int compare(const void *one, const void *other)
{
	const struct breakdown *a = one, *b = other;
	uint32_t forgotten_a = a->counts.quiet + a->counts.holding, forgotten_b = b->counts.quiet + b->counts.holding;

	if (a->origin != b->origin)
		return a->origin < b->origin ? -1 : 1;
	if (a->by != b->by)
		return a->by < b->by ? -1 : 1;
	if (!a->value[0] != !b->value[0])
		return a->value[0] ? -1 : 1;
	if (forgotten_a != forgotten_b)
		return forgotten_a > forgotten_b ? -1 : 1;
	if (a->counts.clients != b->counts.clients)
		return a->counts.clients > b->counts.clients ? -1 : 1;
	return strcmp(a->value, b->value);
}

void breakdowns_sort(struct breakdowns *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].counts.clients > 0)
			table->rows[kept++] = table->rows[i];
	table->count = kept;
	free(table->places);
	table->places = NULL;
	if (kept > 0)
		qsort(table->rows, kept, sizeof *table->rows, compare);
}

/* In one turn an origin shows one row of each kind, one that leaks LEAK_ROWS of them. */
#define LEAK_ROWS 8

struct place {
	struct breakdown *row;
	const struct breakdown_weight *weight;
	uint32_t turn;
};

static int compare_origins(const void *one, const void *other)
{
	const struct breakdown_weight *a = one, *b = other;

	return (a->origin > b->origin) - (a->origin < b->origin);
}

/* Rows of one origin stay together within a turn, in the order in which they are shown. */
static int compare_places(const void *one, const void *other)
{
	const struct place *a = one, *b = other;

	if (a->turn != b->turn)
		return a->turn < b->turn ? -1 : 1;
	if (a->weight->leaks != b->weight->leaks)
		return a->weight->leaks ? -1 : 1;
	if (a->weight->forgotten != b->weight->forgotten)
		return a->weight->forgotten > b->weight->forgotten ? -1 : 1;
	if (a->weight->clients != b->weight->clients)
		return a->weight->clients > b->weight->clients ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static void order(
	const struct breakdowns *table, struct place *places, const struct breakdown_weight *weights, size_t count)
{
	static const struct breakdown_weight none = { 0 };
	uint32_t depth = 0;
	size_t at = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct breakdown *row = &table->rows[i];

		depth = i > 0 && row[-1].origin == row->origin && row[-1].by == row->by ? depth + 1 : 0;
		while (at < count && weights[at].origin < row->origin)
			at++;
		places[i].row = row;
		places[i].weight = at < count && weights[at].origin == row->origin ? &weights[at] : &none;
		places[i].turn = places[i].weight->leaks ? depth / LEAK_ROWS : depth;
	}
	qsort(places, table->count, sizeof *places, compare_places);
}

void breakdowns_rank(struct breakdowns *table, struct breakdown_weight *weights, size_t count)
{
	struct place *places = table->count > 0 ? calloc(table->count, sizeof *places) : NULL;
	uint32_t of_kind[BREAKDOWN_KINDS] = { 0 };

	if (count > 0)
		qsort(weights, count, sizeof *weights, compare_origins);
	if (places)
		order(table, places, weights, count);
	for (size_t i = 0; i < table->count; i++) {
		struct breakdown *row = places ? places[i].row : &table->rows[i];

		row->rank = (uint32_t)i;
		row->rank_of_kind = of_kind[row->by]++;
	}
	free(places);
}
