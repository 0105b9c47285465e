/* Shared statements.
 *
 *   client "q1" --statement_names.c--> statement 7 (text, types) --prepared.c--> server has "PGWEIR_7"
 *
 * An unnamed statement lives until its client's next one, and an application says the same few in turn. So those that were taken last are kept for
 * a while (`recent`), with what was found out about their words, and are found there by a glance and a comparison. */
#include "session/statements.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/counted.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/text.h"
#include "io/thread.h"
#include "session/catalog.h"
#include "session/look.h"
#include "session/params.h"
#include "session/tokens.h"

#define BOOK_SLOTS       65536
#define RECENT           512
#define RECENT_BYTES_MAX 4096 /* of one: a longer one is not kept for its own sake */
/* In `marks`, beside those of a text's own words: what lies beneath those is not in it. */
#define LOOKED  (1u << 31)
#define PLANNED ((unsigned)LOOK_FREEZES)
#define FOLLOWS ((unsigned)LOOK_READS_ONCE)

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
	atomic_ullong looked;  /* a catalogue's id, and what its look says of this text: see statement_look */
	atomic_uint note;      /* the caller's */
	uint32_t text_length;  /* without its zero */
	uint8_t bytes[];
};

struct statement_book {
	struct lock *lock; /* first: see locked_new */
	uint32_t last_id;
	bool came_round;
	uint64_t count, bytes;
	char prefix[12];
	struct shared *table[BOOK_SLOTS];
	struct shared *recent[RECENT]; /* counted: kept for their text alone */
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
	for (size_t i = 0; i < RECENT; i++)
		if (book->recent[i])
			statement_drop(&book->recent[i]->public);
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
	const uint8_t *zero = memchr(tail.at, 0, tail.length);
	struct shared *made = malloc(sizeof *made + tail.length);

	if (!made)
		return NULL;
	memcpy(made->bytes, tail.at, tail.length);
	made->public.id = next_id(book);
	made->public.tail = made->bytes;
	made->public.tail_length = (uint32_t)tail.length;
	made->text_length = zero ? (uint32_t)(zero - tail.at) : (uint32_t)tail.length;
	made->book = book;
	made->reading = NULL;
	made->version = 0;
	made->apart = false;
	atomic_init(&made->references, 1);
	atomic_init(&made->marks, 0);
	atomic_init(&made->beneath, 0);
	atomic_init(&made->looked, 0);
	atomic_init(&made->note, 0);
	book->count++;
	book->bytes += sizeof *made + tail.length;
	return made;
}

static bool has_tail(const struct shared *shared, struct span tail)
{
	return shared->public.tail_length == tail.length && memcmp(shared->bytes, tail.at, tail.length) == 0;
}

/* With the book locked. NULL: memory refused. */
static struct shared *find_or_make(
	struct statement_book *book, struct span tail, struct params *reading, unsigned version, uint64_t hash)
{
	struct shared **head = &book->table[hash % BOOK_SLOTS], *found;

	for (found = *head; found; found = found->next)
		if (found->hash == hash && !found->apart && found->reading == reading && found->version == version &&
			has_tail(found, tail))
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
	return found;
}

struct statement *statement_take(
	struct statement_book *book, struct span tail, struct params *reading, unsigned version)
{
	uint64_t hash = hash_of(tail, reading, version);
	struct shared *found;

	lock_take(book->lock);
	found = find_or_make(book, tail, reading, version, hash);
	lock_drop(book->lock);
	return found ? &found->public : NULL;
}

/* NULL: it is not among the recent ones. */
static struct shared *take_recent(struct statement_book *book, struct span tail)
{
	struct shared *found;

	lock_take(book->lock);
	found = book->recent[hash_glance(tail) % RECENT];
	if (found && has_tail(found, tail))
		atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
	else
		found = NULL;
	lock_drop(book->lock);
	return found;
}

struct statement *statement_take_unnamed(struct statement_book *book, struct span tail)
{
	bool stays = tail.length <= RECENT_BYTES_MAX;
	struct shared *found = stays ? take_recent(book, tail) : NULL, **place, *before = NULL;
	uint64_t hash;

	if (found)
		return &found->public;
	hash = hash_of(tail, NULL, 0);
	lock_take(book->lock);
	found = find_or_make(book, tail, NULL, 0, hash);
	if (found && stays) {
		place = &book->recent[hash_glance(tail) % RECENT];
		before = *place;
		*place = found;
		atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
	}
	lock_drop(book->lock);
	if (before)
		statement_drop(&before->public);
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

uint32_t statement_newest(struct statement_book *book)
{
	uint32_t id;

	lock_take(book->lock);
	id = book->last_id;
	lock_drop(book->lock);
	return id;
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
	return span_of(statement->tail, shared_seen(statement)->text_length);
}

/* What PostgreSQL analyses, and does so again when the catalogue has changed; nothing else has columns that could be others then. */
static bool is_planned(const struct tokens *t)
{
	static const char *const words[] = { "select", "insert", "update", "delete", "merge", "values", "table", "with",
		"call" };

	return tokens_at_one_of(t, words, sizeof words / sizeof words[0]);
}

static bool follows(const struct tokens *t)
{
	return tokens_at_word(t, "fetch") || tokens_at_word(t, "execute");
}

/* Two that look at once see the same. */
static unsigned note_marks(struct statement *statement, unsigned marks)
{
	struct tokens t;

	tokens_begin(&t, statement_text(statement));
	do
		tokens_next(&t);
	while (tokens_at_sign(&t, '(') || tokens_at_sign(&t, ';'));
	marks |= LOOKED | (is_planned(&t) ? PLANNED : 0) | (follows(&t) ? FOLLOWS : 0);
	atomic_store_explicit(&shared_of(statement)->marks, marks, memory_order_relaxed);
	return marks;
}

static unsigned marks_of(struct statement *statement)
{
	unsigned marks = atomic_load_explicit(&shared_of(statement)->marks, memory_order_relaxed);
	struct look look;

	if (marks & LOOKED)
		return marks;
	look_at(statement_text(statement), &look);
	return note_marks(statement, look.marks | (look.prepared ? LOOK_PREPARE : 0));
}

uint32_t statement_marks(struct statement *statement)
{
	return marks_of(statement) & ~(LOOKED | PLANNED | FOLLOWS);
}

bool statement_keeps_columns(struct statement *statement)
{
	return marks_of(statement) & PLANNED;
}

bool statement_follows_session(struct statement *statement)
{
	return marks_of(statement) & FOLLOWS;
}

#define ADDED (1u << 31)
_Static_assert((unsigned)LOOK_FREEZES < ADDED, "the last of the marks");

bool statement_look(struct statement *statement, const struct catalog *catalog, struct look *look)
{
	struct shared *shared = shared_of(statement);
	unsigned long long seen = atomic_load_explicit(&shared->looked, memory_order_relaxed);
	bool added;

	if (seen >> 32 == catalog_id(catalog)) {
		look->marks = (uint32_t)seen & ~ADDED;
		look->prepared = look->made = look->count = 0;
		return seen & ADDED;
	}
	added = catalog_look(catalog, statement_text(statement), look);
	if (!(atomic_load_explicit(&shared->marks, memory_order_relaxed) & LOOKED))
		note_marks(statement, look->own);
	if (!look->prepared && !look->made && look->count == 0)
		atomic_store_explicit(&shared->looked,
			(unsigned long long)catalog_id(catalog) << 32 | (added ? ADDED : 0) | look->marks,
			memory_order_relaxed);
	return added;
}

bool statement_touches(struct statement *statement, const struct catalog *catalog)
{
	struct shared *shared = shared_of(statement);
	unsigned long long seen = atomic_load_explicit(&shared->beneath, memory_order_relaxed);
	struct look look;

	if (seen >> 1 != catalog_id(catalog)) {
		seen = (unsigned long long)catalog_id(catalog) << 1 | statement_look(statement, catalog, &look);
		atomic_store_explicit(&shared->beneath, seen, memory_order_relaxed);
	}
	return seen & 1;
}

unsigned statement_note(const struct statement *statement)
{
	return atomic_load_explicit(&shared_seen(statement)->note, memory_order_relaxed);
}

void statement_set_note(struct statement *statement, unsigned note)
{
	atomic_store_explicit(&shared_of(statement)->note, note, memory_order_relaxed);
}

struct statement *statement_keep(struct statement *statement)
{
	counted_keep(&shared_of(statement)->references);
	return statement;
}

void statement_drop(struct statement *statement)
{
	struct shared *shared, **at;
	struct statement_book *book;
	struct params *reading = NULL;

	if (!statement || counted_drop_early(&shared_of(statement)->references))
		return;
	shared = shared_of(statement);
	book = shared->book;
	lock_take(book->lock);
	if (counted_drop(&shared->references)) {
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
