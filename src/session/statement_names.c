/* A client's names for shared statements (see statements.c): open addressing with two pointers an entry, because a parked client with a
 * hundred names should cost little; and all of it behind one pointer, because most have none. */
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "session/statements.h"

/* Where `text` is leads here: nothing of an entry is longer for it. */
struct name {
	struct shape shape;
	char text[];
};

struct name_entry {
	char *name; /* a struct name's text; NULL: free */
	struct statement *statement;
};

struct id_entry {
	char *name; /* the other table's; NULL: free */
	uint32_t id;
};

struct name_table {
	struct id_entry *ids; /* of many names: whose id is whose, as many places */
	uint64_t bytes;
	uint32_t capacity, count; /* the capacity is a power of two */
	struct name_entry at[];
};

uint32_t names_count(const struct names *names)
{
	return names->table ? names->table->count : 0;
}

uint64_t names_bytes(const struct names *names)
{
	return names->table ? names->table->bytes : 0;
}

static uint32_t name_home(const struct name_table *table, struct span name)
{
	return (uint32_t)hash_bytes(name) & (table->capacity - 1);
}

static struct name_entry *look(struct name_table *table, struct span name)
{
	uint32_t at;

	if (!table || table->count == 0)
		return NULL;
	for (at = name_home(table, name); table->at[at].name; at = (at + 1) & (table->capacity - 1))
		if (span_is(name, table->at[at].name))
			return &table->at[at];
	return NULL;
}

struct statement *names_get(const struct names *names, struct span name)
{
	struct name_entry *entry = look(names->table, name);

	return entry ? entry->statement : NULL;
}

static struct name *name_of(char *text)
{
	return (struct name *)(void *)(text - offsetof(struct name, text));
}

struct statement *names_look(const struct names *names, struct span name, struct shape **shape)
{
	struct name_entry *entry = look(names->table, name);

	if (!entry)
		return NULL;
	*shape = &name_of(entry->name)->shape;
	return entry->statement;
}

char *names_text(struct span name)
{
	struct name *made = malloc(sizeof *made + name.length + 1);

	if (!made)
		return NULL;
	made->shape = (struct shape){ 0 };
	text_copy_span(made->text, name.length + 1, name);
	return made->text;
}

void names_text_free(char *text)
{
	if (text)
		free(name_of(text));
}

/* Its text among others, and what malloc adds to both. */
#define NAME_OVERHEAD 128

uint64_t name_bytes(struct span name, const struct statement *statement)
{
	return 2 * (sizeof(struct name_entry) + sizeof(struct id_entry)) + NAME_OVERHEAD + sizeof(struct name) +
		name.length + statement->tail_length;
}

/* From so many places on a search through all of them is too long to be made for each Parse. */
#define FEW_NAMES 256

static uint32_t id_home(const struct name_table *table, uint32_t id)
{
	return (id * 2654435761u) & (table->capacity - 1);
}

/* An id may stand here more than once: each has its place. */
static void add_id(struct name_table *table, uint32_t id, char *name)
{
	uint32_t at = id_home(table, id);

	if (!table->ids)
		return;
	while (table->ids[at].name)
		at = (at + 1) & (table->capacity - 1);
	table->ids[at] = (struct id_entry){ name, id };
}

/* As take_out does it. */
static void remove_id(struct name_table *table, uint32_t id, const char *name)
{
	uint32_t mask = table->capacity - 1, hole = id_home(table, id), at;

	if (!table->ids)
		return;
	for (; table->ids[hole].name != name; hole = (hole + 1) & mask)
		check(table->ids[hole].name); /* it is there, or this would go round for ever */
	for (at = (hole + 1) & mask; table->ids[at].name; at = (at + 1) & mask)
		if (((at - id_home(table, table->ids[at].id)) & mask) >= ((at - hole) & mask)) {
			table->ids[hole] = table->ids[at];
			hole = at;
		}
	table->ids[hole] = (struct id_entry){ 0 };
}

static void place(struct name_table *table, struct name_entry entry)
{
	uint32_t at = name_home(table, span_text(entry.name));

	while (table->at[at].name)
		at = (at + 1) & (table->capacity - 1);
	table->at[at] = entry;
	add_id(table, entry.statement->id, entry.name);
}

static void free_table(struct name_table *table)
{
	if (table)
		free(table->ids);
	free(table);
}

static struct name_table *new_table(uint32_t capacity)
{
	struct name_table *table = calloc(1, sizeof *table + capacity * sizeof *table->at);

	if (!table)
		return NULL;
	table->capacity = capacity;
	if (capacity <= FEW_NAMES)
		return table;
	table->ids = calloc(capacity, sizeof *table->ids);
	if (table->ids)
		return table;
	free(table);
	return NULL;
}

bool names_reserve(struct names *names, uint32_t more)
{
	struct name_table *old = names->table, *grown;
	uint32_t capacity = old ? old->capacity : 0;

	while (names_count(names) + more > capacity / 4 * 3)
		capacity = capacity ? capacity * 2 : 4;
	if (capacity == (old ? old->capacity : 0))
		return true;
	grown = new_table(capacity);
	if (!grown)
		return false;
	for (uint32_t i = 0; old && i < old->capacity; i++)
		if (old->at[i].name)
			place(grown, old->at[i]);
	grown->count = names_count(names);
	grown->bytes = names_bytes(names);
	free_table(old);
	names->table = grown;
	return true;
}

void names_give(struct names *names, char *name, struct statement *statement)
{
	struct name_table *table = names->table;

	check(table && table->count < table->capacity / 4 * 3 && !look(table, span_text(name)));
	place(table, (struct name_entry){ .name = name, .statement = statement });
	table->count++;
	table->bytes += name_bytes(span_text(name), statement);
}

bool names_put(struct names *names, struct span name, struct statement *statement)
{
	char *copy;

	if (!names_reserve(names, 1))
		return false;
	copy = names_text(name);
	if (!copy)
		return false;
	names_give(names, copy, statement_keep(statement));
	return true;
}

/* Take the entry out and move back those behind it that were pushed past their home. */
static void take_out(struct name_table *table, uint32_t hole)
{
	struct name_entry *gone = &table->at[hole];
	uint32_t mask = table->capacity - 1, at = hole, home;

	table->bytes -= name_bytes(span_text(gone->name), gone->statement);
	remove_id(table, gone->statement->id, gone->name);
	names_text_free(gone->name);
	statement_drop(gone->statement);
	table->count--;
	for (;;) {
		at = (at + 1) & mask;
		if (!table->at[at].name)
			break;
		home = name_home(table, span_text(table->at[at].name));
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			table->at[hole] = table->at[at];
			hole = at;
		}
	}
	table->at[hole] = (struct name_entry){ 0 };
}

void names_remove(struct names *names, struct span name)
{
	struct name_entry *entry = look(names->table, name);

	if (entry)
		take_out(names->table, (uint32_t)(entry - names->table->at));
}

bool names_have(const struct names *names, uint32_t id)
{
	struct span name;

	return names_find(names, id, &name);
}

bool names_find(const struct names *names, uint32_t id, struct span *name)
{
	const struct name_table *table = names->table;
	const char *found = NULL;

	if (!table)
		return false;
	if (table->ids) {
		for (uint32_t i = id_home(table, id); table->ids[i].name && !found; i = (i + 1) & (table->capacity - 1))
			if (table->ids[i].id == id)
				found = table->ids[i].name;
	} else {
		for (uint32_t i = 0; i < table->capacity && !found; i++)
			if (table->at[i].name && table->at[i].statement->id == id)
				found = table->at[i].name;
	}
	if (found)
		*name = span_text(found);
	return found != NULL;
}

void names_clear(struct names *names)
{
	struct name_table *table = names->table;

	if (!table)
		return;
	for (uint32_t i = 0; i < table->capacity; i++) {
		if (!table->at[i].name)
			continue;
		names_text_free(table->at[i].name);
		statement_drop(table->at[i].statement);
		table->at[i] = (struct name_entry){ 0 };
	}
	if (table->ids)
		memset(table->ids, 0, table->capacity * sizeof *table->ids);
	table->count = 0;
	table->bytes = 0;
}

void names_fini(struct names *names)
{
	names_clear(names);
	free_table(names->table);
	names->table = NULL;
}
