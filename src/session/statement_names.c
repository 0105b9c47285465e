/* A client's names for shared statements (see statements.c): open addressing with two pointers an entry, because a parked client with a
 * hundred names should cost little. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "session/statements.h"

struct name_entry {
	char *name; /* NULL: free */
	struct statement *statement;
};

struct id_entry {
	char *name; /* the other table's; NULL: free */
	uint32_t id;
};

static uint32_t names_home(const struct names *names, struct span name)
{
	return (uint32_t)hash_bytes(name) & (names->capacity - 1);
}

static struct name_entry *names_look(const struct names *names, struct span name)
{
	uint32_t at;

	if (names->count == 0)
		return NULL;
	for (at = names_home(names, name); names->table[at].name; at = (at + 1) & (names->capacity - 1))
		if (span_is(name, names->table[at].name))
			return &names->table[at];
	return NULL;
}

struct statement *names_get(const struct names *names, struct span name)
{
	struct name_entry *entry = names_look(names, name);

	return entry ? entry->statement : NULL;
}

/* Its text among others, and what malloc adds to both. */
#define NAME_OVERHEAD 128

uint64_t name_bytes(struct span name, const struct statement *statement)
{
	return 2 * (sizeof(struct name_entry) + sizeof(struct id_entry)) + NAME_OVERHEAD + name.length +
		statement->tail_length;
}

/* From so many places on a search through all of them is too long to be made for each Parse. */
#define FEW_NAMES 256

static uint32_t id_home(const struct names *names, uint32_t id)
{
	return (id * 2654435761u) & (names->capacity - 1);
}

/* An id may stand here more than once: each has its place. */
static void ids_add(struct names *names, uint32_t id, char *name)
{
	uint32_t at = id_home(names, id);

	if (!names->ids)
		return;
	while (names->ids[at].name)
		at = (at + 1) & (names->capacity - 1);
	names->ids[at] = (struct id_entry){ name, id };
}

/* As names_take_out does it. */
static void ids_remove(struct names *names, uint32_t id, const char *name)
{
	uint32_t mask = names->capacity - 1, hole = id_home(names, id), at;

	if (!names->ids)
		return;
	while (names->ids[hole].name != name)
		hole = (hole + 1) & mask;
	for (at = (hole + 1) & mask; names->ids[at].name; at = (at + 1) & mask)
		if (((at - id_home(names, names->ids[at].id)) & mask) >= ((at - hole) & mask)) {
			names->ids[hole] = names->ids[at];
			hole = at;
		}
	names->ids[hole] = (struct id_entry){ 0 };
}

static void names_place(struct names *names, struct name_entry entry)
{
	uint32_t at = names_home(names, span_text(entry.name));

	while (names->table[at].name)
		at = (at + 1) & (names->capacity - 1);
	names->table[at] = entry;
	ids_add(names, entry.statement->id, entry.name);
}

bool names_reserve(struct names *names, uint32_t more)
{
	struct names grown = { .capacity = names->capacity, .count = names->count, .bytes = names->bytes };
	uint32_t i;

	while (names->count + more > grown.capacity / 4 * 3)
		grown.capacity = grown.capacity ? grown.capacity * 2 : 4;
	if (grown.capacity == names->capacity)
		return true;
	grown.table = calloc(grown.capacity, sizeof *grown.table);
	grown.ids = grown.capacity > FEW_NAMES ? calloc(grown.capacity, sizeof *grown.ids) : NULL;
	if (!grown.table || (grown.capacity > FEW_NAMES && !grown.ids)) {
		free(grown.table);
		free(grown.ids);
		return false;
	}
	for (i = 0; i < names->capacity; i++)
		if (names->table[i].name)
			names_place(&grown, names->table[i]);
	free(names->table);
	free(names->ids);
	*names = grown;
	return true;
}

void names_give(struct names *names, char *name, struct statement *statement)
{
	struct name_entry entry = { .name = name, .statement = statement };

	check(!names_look(names, span_text(name)) && names->count < names->capacity / 4 * 3);
	names_place(names, entry);
	names->count++;
	names->bytes += name_bytes(span_text(name), statement);
}

bool names_put(struct names *names, struct span name, struct statement *statement)
{
	char *copy;

	if (!names_reserve(names, 1))
		return false;
	copy = malloc(name.length + 1);
	if (!copy)
		return false;
	text_copy_span(copy, name.length + 1, name);
	names_give(names, copy, statement_keep(statement));
	return true;
}

/* Take the entry out and move back those behind it that were pushed past their home. */
static void names_take_out(struct names *names, uint32_t hole)
{
	uint32_t mask = names->capacity - 1, at = hole, home;

	names->bytes -= name_bytes(span_text(names->table[hole].name), names->table[hole].statement);
	ids_remove(names, names->table[hole].statement->id, names->table[hole].name);
	free(names->table[hole].name);
	statement_drop(names->table[hole].statement);
	names->count--;
	for (;;) {
		at = (at + 1) & mask;
		if (!names->table[at].name)
			break;
		home = names_home(names, span_text(names->table[at].name));
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			names->table[hole] = names->table[at];
			hole = at;
		}
	}
	names->table[hole] = (struct name_entry){ 0 };
}

void names_remove(struct names *names, struct span name)
{
	struct name_entry *entry = names_look(names, name);

	if (entry)
		names_take_out(names, (uint32_t)(entry - names->table));
}

bool names_have(const struct names *names, uint32_t id)
{
	struct span name;

	return names_find(names, id, &name);
}

bool names_find(const struct names *names, uint32_t id, struct span *name)
{
	uint32_t i;

	if (names->ids) {
		for (i = id_home(names, id); names->ids[i].name; i = (i + 1) & (names->capacity - 1))
			if (names->ids[i].id == id) {
				*name = span_text(names->ids[i].name);
				return true;
			}
		return false;
	}
	for (i = 0; i < names->capacity; i++)
		if (names->table[i].name && names->table[i].statement->id == id) {
			*name = span_text(names->table[i].name);
			return true;
		}
	return false;
}

void names_clear(struct names *names)
{
	uint32_t i;

	for (i = 0; i < names->capacity; i++) {
		if (!names->table[i].name)
			continue;
		free(names->table[i].name);
		statement_drop(names->table[i].statement);
		names->table[i] = (struct name_entry){ 0 };
	}
	if (names->ids)
		memset(names->ids, 0, names->capacity * sizeof *names->ids);
	names->count = 0;
	names->bytes = 0;
}

void names_fini(struct names *names)
{
	names_clear(names);
	free(names->table);
	free(names->ids);
	*names = (struct names){ 0 };
}
