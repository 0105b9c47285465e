/* Shared statements, a client's names for them, and what each server has.
 *
 *   client "q1" --names--> statement 7 (text, types) --prepared--> server has "PGWEIR_7"
 *
 * The client's table is open addressing with two pointers an entry, because a parked client with a hundred names should cost little.
 * The server's is small and needs an order of use: uthash keeps both. */
#include "session/statements.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"
#include "base/text.h"
#include "io/thread.h"
#include "session/catalog.h"
#include "session/look.h"
#include "session/params.h"

#define BOOK_SLOTS 65536
#define LOOKED     (1u << 31)

struct shared {
	struct statement public;
	struct statement_book *book;
	struct shared *next;
	uint64_t hash;
	struct params *reading; /* counted; NULL: it is kept for its text alone, or apart */
	unsigned version;       /* of the catalogue */
	bool apart;
	atomic_uint references;
	atomic_uint marks;     /* LOOKED: and those of the look */
	atomic_ullong beneath; /* a catalogue's id, and in the last bit whether it has anything of this text */
	uint8_t bytes[];
};

struct statement_book {
	struct lock *lock; /* first: see locked_new */
	uint32_t last_id;
	bool came_round;
	uint64_t count, bytes;
	char prefix[12];
	struct shared *table[BOOK_SLOTS];
};

static struct shared *shared_of(struct statement *statement)
{
	return link_owner(statement, struct shared, public);
}

struct statement_book *statement_book_new(const char *prefix)
{
	struct statement_book *book = locked_new(sizeof *book);

	if (!book)
		return NULL;
	text_copy(book->prefix, sizeof book->prefix, prefix);
	return book;
}

void statement_book_free(struct statement_book *book)
{
	if (!book)
		return;
	check(book->count == 0);
	lock_free(book->lock);
	free(book);
}

static bool id_in_use(const struct statement_book *book, uint32_t id)
{
	const struct shared *shared;
	size_t i;

	for (i = 0; i < BOOK_SLOTS; i++)
		for (shared = book->table[i]; shared; shared = shared->next)
			if (shared->public.id == id)
				return true;
	return false;
}

/* Numbers come round after four billion texts; from then on those that still stand for something are passed over. */
static uint32_t next_id(struct statement_book *book)
{
	do {
		book->last_id++;
		if (book->last_id > STATEMENT_ID_LAST) {
			book->last_id = 1;
			book->came_round = true;
		}
	} while (book->came_round && id_in_use(book, book->last_id));
	return book->last_id;
}

/* One text that many read each in their own way is not all in one place. */
static uint64_t hash_of(struct span tail, const struct params *reading, unsigned version)
{
	uint64_t mixed[] = { hash_bytes(tail), (uint64_t)(uintptr_t)reading, version };

	return hash_bytes(span_of(mixed, sizeof mixed));
}

/* Nor are those of their own, which nobody looks for. */
static uint64_t hash_apart(uint32_t id)
{
	return hash_bytes(span_of(&id, sizeof id));
}

static struct shared *shared_make(struct statement_book *book, struct span tail)
{
	struct shared *made = malloc(sizeof *made + tail.length);

	if (!made)
		return NULL;
	memcpy(made->bytes, tail.at, tail.length);
	made->public.id = next_id(book);
	made->public.tail = made->bytes;
	made->public.tail_length = (uint32_t)tail.length;
	made->book = book;
	made->reading = NULL;
	made->version = 0;
	made->apart = false;
	atomic_init(&made->references, 1);
	atomic_init(&made->marks, 0);
	atomic_init(&made->beneath, 0);
	book->count++;
	book->bytes += sizeof *made + tail.length;
	return made;
}

struct statement *statement_take(
	struct statement_book *book, struct span tail, struct params *reading, unsigned version)
{
	uint64_t hash = hash_of(tail, reading, version);
	struct shared **head = &book->table[hash % BOOK_SLOTS], *found;

	lock_take(book->lock);
	for (found = *head; found; found = found->next)
		if (found->hash == hash && !found->apart && found->reading == reading && found->version == version &&
			found->public.tail_length == tail.length && memcmp(found->bytes, tail.at, tail.length) == 0)
			break;
	if (found) {
		atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
	} else {
		found = shared_make(book, tail);
		if (found) {
			found->hash = hash;
			found->reading = reading ? params_keep(reading) : NULL;
			found->version = version;
			found->next = *head;
			*head = found;
		}
	}
	lock_drop(book->lock);
	return found ? &found->public : NULL;
}

struct statement *statement_take_apart(struct statement_book *book, struct span tail)
{
	struct shared **head, *made;

	lock_take(book->lock);
	made = shared_make(book, tail);
	if (made) {
		made->hash = hash_apart(made->public.id);
		head = &book->table[made->hash % BOOK_SLOTS];
		made->apart = true;
		made->next = *head;
		*head = made;
	}
	lock_drop(book->lock);
	return made ? &made->public : NULL;
}

static const struct shared *shared_seen(const struct statement *statement)
{
	return (const struct shared *)(const void *)statement; /* `public` is its first member */
}

bool statement_suits(const struct statement *statement, const struct params *reading)
{
	const struct shared *shared = shared_seen(statement);

	return shared->apart || (reading && shared->reading == reading);
}

bool statement_is_apart(const struct statement *statement)
{
	return shared_seen(statement)->apart;
}

bool statement_is_current(const struct statement *statement, unsigned version)
{
	const struct shared *shared = shared_seen(statement);

	return !shared->apart && shared->version == version;
}

struct span statement_text(const struct statement *statement)
{
	const uint8_t *zero = memchr(statement->tail, 0, statement->tail_length);

	return span_of(statement->tail, zero ? (size_t)(zero - statement->tail) : statement->tail_length);
}

uint32_t statement_marks(struct statement *statement)
{
	struct shared *shared = shared_of(statement);
	unsigned marks = atomic_load_explicit(&shared->marks, memory_order_relaxed);
	struct look look;

	if (!(marks & LOOKED)) {
		look_at(statement_text(statement), &look);
		/* Two that look at once see the same. */
		marks = look.marks | (look.prepared ? LOOK_PREPARE : 0) | LOOKED;
		atomic_store_explicit(&shared->marks, marks, memory_order_relaxed);
	}
	return marks & ~LOOKED;
}

bool statement_touches(struct statement *statement, const struct catalog *catalog)
{
	struct shared *shared = shared_of(statement);
	unsigned long long seen = atomic_load_explicit(&shared->beneath, memory_order_relaxed);
	struct look look;

	if (seen >> 1 != catalog_id(catalog)) {
		look_at(statement_text(statement), &look);
		seen = (unsigned long long)catalog_id(catalog) << 1 |
			catalog_look(catalog, statement_text(statement), &look);
		atomic_store_explicit(&shared->beneath, seen, memory_order_relaxed);
	}
	return seen & 1;
}

struct statement *statement_keep(struct statement *statement)
{
	check(atomic_fetch_add_explicit(&shared_of(statement)->references, 1, memory_order_relaxed) > 0);
	return statement;
}

/* As params_drop: only the last reference needs the lock. */
void statement_drop(struct statement *statement)
{
	struct shared *shared, **at;
	struct statement_book *book;
	struct params *reading = NULL;
	unsigned seen;

	if (!statement)
		return;
	shared = shared_of(statement);
	seen = atomic_load_explicit(&shared->references, memory_order_acquire);
	while (seen > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &shared->references, &seen, seen - 1, memory_order_acq_rel, memory_order_acquire))
			return;
	book = shared->book;
	lock_take(book->lock);
	if (atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) == 1) {
		at = &book->table[shared->hash % BOOK_SLOTS];
		while (*at != shared) {
			check(*at);
			at = &(*at)->next;
		}
		*at = shared->next;
		book->count--;
		book->bytes -= sizeof *shared + shared->public.tail_length;
		reading = shared->reading;
		free(shared);
	}
	lock_drop(book->lock);
	params_drop(reading);
}

/* Each Bind has one: by printf it took more instructions than all else that is done about a Bind. */
size_t statement_name_of(const struct statement_book *book, uint32_t id, char out[STATEMENT_NAME])
{
	size_t length = text_copy(out, STATEMENT_NAME, book->prefix);
	char digits[10]; /* of 2^32 */
	unsigned count = 0;

	_Static_assert(sizeof book->prefix + sizeof digits <= STATEMENT_NAME, "a prefix and a number have room");
	do
		digits[count++] = (char)('0' + id % 10);
	while ((id /= 10) > 0);
	while (count > 0)
		out[length++] = digits[--count];
	out[length] = 0;
	return length;
}

size_t statement_name(const struct statement *statement, char out[STATEMENT_NAME])
{
	return statement_name_of(shared_seen(statement)->book, statement->id, out);
}

const char *statement_prefix(const struct statement_book *book)
{
	return book->prefix;
}

void statement_book_counts(struct statement_book *book, uint64_t *statements, uint64_t *bytes)
{
	lock_take(book->lock);
	*statements = book->count;
	*bytes = book->bytes;
	lock_drop(book->lock);
}

/* ---- a client's names ---- */

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

/* ---- what a server has ---- */

struct prepared_entry {
	uint32_t id, batch, owed; /* owed: Parse messages sent and not answered */
	bool ready;
	bool doubt; /* sent again before the first was answered: whether it exists is known only when the last is answered well */
	struct statement *statement;
	struct link use; /* oldest first */
	UT_hash_handle hh;
};

struct prepared {
	struct prepared_entry *entries;
	struct link use;
	size_t count;
};

struct prepared *prepared_new(void)
{
	struct prepared *prepared = calloc(1, sizeof *prepared);

	if (prepared)
		link_init(&prepared->use);
	return prepared;
}

static struct prepared_entry *prepared_find(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry;

	HASH_FIND(hh, prepared->entries, &id, sizeof id, entry);
	return entry;
}

/* The entry goes; its reference to the statement is handed to the caller. */
static struct statement *prepared_take_out(struct prepared *prepared, struct prepared_entry *entry)
{
	struct statement *statement = entry->statement;

	HASH_DEL(prepared->entries, entry);
	link_remove(&entry->use);
	prepared->count--;
	free(entry);
	return statement;
}

static void prepared_clear(struct prepared *prepared, bool owed_too)
{
	struct link *at, *next;

	for (at = prepared->use.next; at != &prepared->use; at = next) {
		struct prepared_entry *entry = link_owner(at, struct prepared_entry, use);

		next = at->next;
		if (owed_too || entry->owed == 0)
			statement_drop(prepared_take_out(prepared, entry));
	}
}

void prepared_forget(struct prepared *prepared)
{
	prepared_clear(prepared, false);
}

void prepared_free(struct prepared *prepared)
{
	if (!prepared)
		return;
	prepared_clear(prepared, true);
	check(prepared->count == 0);
	free(prepared);
}

enum prepared_state prepared_look(struct prepared *prepared, const struct statement *statement, uint32_t batch)
{
	struct prepared_entry *entry = prepared_find(prepared, statement->id);

	if (!entry)
		return PREPARED_NONE;
	link_remove(&entry->use);
	link_last(&prepared->use, &entry->use);
	if (entry->ready)
		return PREPARED_READY;
	return entry->batch == batch ? PREPARED_PENDING : PREPARED_DOUBTFUL;
}

bool prepared_sent(struct prepared *prepared, struct statement *statement, uint32_t batch)
{
	struct prepared_entry *entry = prepared_find(prepared, statement->id);
	bool refused = false;

	if (!entry) {
		entry = calloc(1, sizeof *entry);
		if (!entry)
			return false;
		entry->id = statement->id;
		entry->statement = statement_keep(statement);
		HASH_ADD(hh, prepared->entries, id, sizeof entry->id, entry);
		if (refused) {
			statement_drop(entry->statement);
			free(entry);
			return false;
		}
		link_init(&entry->use);
		link_last(&prepared->use, &entry->use);
		prepared->count++;
	}
	entry->doubt = entry->doubt || entry->owed > 0;
	entry->owed++;
	entry->ready = false;
	entry->batch = batch;
	return true;
}

void prepared_done(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry || entry->owed == 0 || --entry->owed > 0)
		return;
	entry->ready = true;
	entry->doubt = false;
}

void prepared_failed(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry || entry->owed == 0)
		return;
	entry->owed--;
	if (!entry->doubt)
		statement_drop(prepared_take_out(prepared, entry));
}

bool prepared_doubt(struct prepared *prepared, uint32_t id)
{
	struct prepared_entry *entry = prepared_find(prepared, id);

	if (!entry)
		return false;
	entry->ready = false;
	entry->doubt = true;
	entry->batch = 0;
	return true;
}

struct statement *prepared_excess(struct prepared *prepared, size_t most)
{
	struct link *at;

	if (prepared->count <= most)
		return NULL;
	for (at = prepared->use.next; at != &prepared->use; at = at->next) {
		struct prepared_entry *entry = link_owner(at, struct prepared_entry, use);

		if (entry->ready)
			return prepared_take_out(prepared, entry);
	}
	return NULL;
}

size_t prepared_count(const struct prepared *prepared)
{
	return prepared->count;
}
