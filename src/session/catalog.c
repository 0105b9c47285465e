/* Names in a table with open addressing: each word of a statement is looked up, so a miss must be cheap. */
#include "session/catalog.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/reader.h"
#include "base/text.h"
#include "session/tokens.h"

#define NAMES_MAX 65536 /* 5 MB; beyond it every name is one */

/* What is there of it: by any use, by statements that write, and by those that make a trigger of it. */
struct entry {
	char name[LOOK_NAME_BYTES]; /* empty: free */
	uint32_t always, writing, triggers;
};

struct catalog {
	atomic_uint references;
	uint32_t id;
	struct entry *table;
	uint32_t capacity, count;
	bool hides, overflows;              /* some name leaves something; not all names are here */
	struct token_sets sets;             /* those that do, and what else is to be told of a text */
	bool refused;                       /* memory was: some name is missing */
	uint32_t always, writing, commands; /* whatever the names are */
	uint32_t any;                       /* of all names together */
	uint32_t told;                      /* of all rows */
	uint32_t foreign; /* of all with letters beyond ASCII: clients may write them in another encoding */
	char (*settings)[LOOK_NAME_BYTES];
	uint32_t setting_count;
	uint64_t digest; /* of all rows, in whatever order */
};

static const char *const writers[] = { "insert", "update", "delete", "merge", "copy", "truncate" };

static atomic_uint last_id;

struct catalog *catalog_new(void)
{
	struct catalog *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	atomic_init(&made->references, 1);
	look_sets_begin(&made->sets);
	for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
		word_set_add(&made->sets.told, span_text(writers[i]));
	do
		made->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	while (made->id == 0);
	return made;
}

void catalog_doubt(struct catalog *catalog)
{
	catalog->always |= LOOK_CALLS;
}

struct catalog *catalog_keep(struct catalog *catalog)
{
	check(atomic_fetch_add_explicit(&catalog->references, 1, memory_order_relaxed) > 0);
	return catalog;
}

void catalog_drop(struct catalog *catalog)
{
	if (!catalog || atomic_fetch_sub_explicit(&catalog->references, 1, memory_order_acq_rel) > 1)
		return;
	free(catalog->table);
	free(catalog->settings);
	free(catalog);
}

bool catalog_refused(const struct catalog *catalog)
{
	return catalog->refused;
}

uint32_t catalog_id(const struct catalog *catalog)
{
	return catalog->id;
}

bool catalog_empty(const struct catalog *catalog)
{
	return !catalog->hides && !catalog->always && !catalog->writing && !catalog->commands;
}

bool catalog_tells(const struct catalog *catalog, uint32_t marks)
{
	return catalog->told & marks;
}

bool catalog_equal(const struct catalog *a, const struct catalog *b)
{
	return a->digest == b->digest && a->count == b->count && a->setting_count == b->setting_count;
}

/* ---- rows ---- */

static const struct letter {
	char letter;
	uint32_t marks;
} letters[] = {
	{ 's', LOOK_SETTINGS },
	{ 't', LOOK_TEMPORARY },
	{ 'c', LOOK_CURSOR },
	{ 'l', LOOK_LOCK },
	{ 'p', LOOK_PREPARE },
	{ 'n', LOOK_LISTEN },
	{ 'q', LOOK_CURRVAL },
	{ 'k', LOOK_SEQUENCE },
	{ 'v', LOOK_TOUCHES },
	{ 'g', LOOK_FOR_GOOD },
	{ 'u', LOOK_UNNAMED | LOOK_SETTINGS },
	{ 'x', LOOK_UNKNOWN },
	{ 'r', LOOK_READS_ONCE },
	{ 'i', LOOK_FREEZES },
};

/* 0: it is none of these. */
static uint32_t marks_of(struct span text)
{
	uint32_t marks = 0;
	size_t i, k;

	for (i = 0; i < text.length; i++) {
		for (k = 0; k < sizeof letters / sizeof letters[0] && letters[k].letter != text.at[i]; k++)
			;
		if (k == sizeof letters / sizeof letters[0])
			return 0;
		marks |= letters[k].marks;
	}
	return marks;
}

static struct entry *find(const struct catalog *catalog, struct span name)
{
	uint32_t at = (uint32_t)hash_bytes(name) & (catalog->capacity - 1);

	while (catalog->table[at].name[0] && !span_is(name, catalog->table[at].name))
		at = (at + 1) & (catalog->capacity - 1);
	return &catalog->table[at];
}

static bool grow(struct catalog *catalog)
{
	struct catalog grown = { .capacity = catalog->capacity ? catalog->capacity * 2 : 16 };
	uint32_t i;

	if (catalog->count * 2 < catalog->capacity)
		return true;
	grown.table = calloc(grown.capacity, sizeof *grown.table);
	if (!grown.table) {
		catalog->refused = true;
		return false;
	}
	for (i = 0; i < catalog->capacity; i++)
		if (catalog->table[i].name[0])
			*find(&grown, span_text(catalog->table[i].name)) = catalog->table[i];
	free(catalog->table);
	catalog->table = grown.table;
	catalog->capacity = grown.capacity;
	return true;
}

static void copy_name(char to[LOOK_NAME_BYTES], struct span name)
{
	memcpy(to, name.at, name.length);
	to[name.length] = 0;
}

/* NULL: there is no room for it. */
static struct entry *enter(struct catalog *catalog, struct span name)
{
	struct entry *entry;

	if (catalog->count == NAMES_MAX) {
		catalog->overflows = true;
		return NULL;
	}
	if (!grow(catalog))
		return NULL;
	entry = find(catalog, name);
	if (!entry->name[0]) {
		copy_name(entry->name, name);
		catalog->count++;
	}
	return entry;
}

static bool add_name(struct catalog *catalog, struct span name, uint32_t marks, bool always)
{
	struct entry *entry = enter(catalog, name);

	if (!entry) {
		*(always ? &catalog->always : &catalog->writing) |= marks;
		return !catalog->refused;
	}
	*(always ? &entry->always : &entry->writing) |= marks;
	if (marks) {
		catalog->hides = true;
		word_set_add(&catalog->sets.told, name);
	}
	catalog->any |= marks;
	catalog->foreign |= !span_is_ascii(name) ? marks : 0;
	return true;
}

/* Nobody calls it, so it hides nothing before it is a trigger of something. */
static bool add_trigger(struct catalog *catalog, struct span name, uint32_t marks)
{
	struct entry *entry = enter(catalog, name);

	if (entry)
		entry->triggers |= marks;
	return !catalog->refused;
}

/* More of them than a look can name, and what they are set to is not followed. */
static bool add_setting(struct catalog *catalog, struct span name)
{
	void *grown;

	if (catalog->setting_count == LOOK_NAMES)
		return true;
	grown = realloc(catalog->settings, (catalog->setting_count + 1) * sizeof *catalog->settings);
	if (!grown) {
		catalog->refused = true;
		return false;
	}
	catalog->settings = grown;
	copy_name(catalog->settings[catalog->setting_count++], name);
	return true;
}

bool catalog_row(struct catalog *catalog, struct span body)
{
	struct reader r = reader_of(body);
	uint16_t columns = read_u16(&r);
	struct span part[3] = { 0 };
	uint32_t marks;
	size_t i;

	for (i = 0; i < 3; i++)
		part[i] = read_bytes(&r, read_u32(&r));
	if (!reader_done(&r) || columns != 3 || part[2].length != 1 || part[0].length >= LOOK_NAME_BYTES ||
		memchr(part[0].at, 0, part[0].length))
		return false;
	catalog->digest += hash_bytes(body);
	marks = marks_of(part[1]);
	catalog->told |= marks;
	if (part[2].at[0] == 's')
		return part[0].length > 0 && add_setting(catalog, part[0]);
	if (part[2].at[0] == 'f')
		return part[0].length > 0 && add_name(catalog, part[0], 0, true);
	if (part[2].at[0] == 't')
		return part[0].length > 0 && (marks || part[1].length == 0) && add_trigger(catalog, part[0], marks);
	if (!marks || !memchr("rwd", part[2].at[0], 3))
		return false;
	if (part[2].at[0] == 'd')
		catalog->commands |= marks;
	else if (part[0].length == 0)
		catalog->always |= marks;
	else
		return add_name(catalog, part[0], marks, part[2].at[0] == 'r');
	return true;
}

/* ---- a look ---- */

struct beneath {
	const struct catalog *catalog;
	uint32_t always, writing;
	bool writes;
	const struct entry *last; /* that was found: one table's name stands in front of each of its columns */
};

static bool is_writer(struct span word)
{
	for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
		if (span_is(word, writers[i]))
			return true;
	return false;
}

static void look_beneath(void *context, struct span name)
{
	struct beneath *b = context;
	const struct entry *entry;

	if (name.length == 0 || (b->last && span_is(name, b->last->name)))
		return;
	b->writes = b->writes || is_writer(name);
	if (b->catalog->count > 0) {
		entry = find(b->catalog, name);
		b->last = entry->name[0] ? entry : b->last;
		b->always |= entry->always;
		b->writing |= entry->writing;
	}
	if (b->catalog->foreign && !span_is_ascii(name))
		b->always |= b->catalog->foreign;
}

static void look_named(void *context, struct span name)
{
	struct beneath *b = context;
	const struct entry *entry;

	if (name.length == 0 || b->catalog->count == 0)
		return;
	entry = find(b->catalog, name);
	b->always |= entry->always | entry->triggers;
	b->writing |= entry->writing;
	if (!span_is_ascii(name))
		b->always |= b->catalog->foreign;
}

/* Whether what a CREATE or ALTER makes leaves nothing, for whichever statement comes to run it. Between things that are there and what it makes, what is left goes only
 * from a name in its text to another: where no name in it leaves anything, and no word of its own does, nothing that it makes and nothing that uses that will. An
 * event trigger may make more; one that can has a mark. An index leaves what its expressions do, whatever its table has. */
static bool leaves_nothing(const struct catalog *catalog, struct span text, const struct look *look)
{
	const uint32_t plain = LOOK_TEMPORARY | LOOK_IN_FRONT | LOOK_COMMAND | LOOK_DEFINES | LOOK_INDEXES |
		LOOK_CALLS | LOOK_INSERT | LOOK_EXECUTE | LOOK_CLOCK;
	struct beneath b = { .catalog = catalog };
	struct look again;

	if ((look->marks & ~plain) || catalog->always || catalog->writing || catalog->commands || catalog->overflows)
		return false;
	look_with_words(text, &again, look_named, &b);
	return !b.always && (!b.writing || !(look->marks & LOOK_DEFINES));
}

/* A temporary object is its client's own, and hardly ever known here: what is beneath all names of the words that say what it is made of, and what those say themselves where they are a
 * CREATE (SET search_path = pg_temp is none). What they set is not named again. */
static uint32_t made_of(const struct catalog *catalog, struct span text, const struct look *look)
{
	const uint32_t unseen = LOOK_UNNAMED | LOOK_UNKNOWN,
		       own = LOOK_CURSOR | LOOK_LOCK | LOOK_PREPARE | LOOK_LISTEN | LOOK_SEQUENCE | LOOK_CURRVAL |
		LOOK_FOR_GOOD | LOOK_HEAR | LOOK_TOUCHES | LOOK_ASKS_BENEATH;
	struct beneath b = { .catalog = catalog };
	uint32_t made = look->marks & unseen;
	struct look again;

	look_with_words(text, &again, look_named, &b);
	if (look->marks & LOOK_COMMAND) {
		made |= look->marks & own;
		made |= again.marks & LOOK_SETTINGS ? LOOK_SETTINGS | LOOK_UNNAMED : 0;
	}
	return made | b.always | b.writing;
}

void catalog_names(const struct catalog *catalog, struct look *look)
{
	if (catalog->setting_count == LOOK_NAMES)
		look->marks |= LOOK_UNNAMED;
	for (uint32_t i = 0; i < catalog->setting_count; i++)
		look_add_setting(look, catalog->settings[i]);
}

static bool knows_calls(const struct catalog *catalog, const struct look *look)
{
	for (unsigned i = 0; i < look->count; i++)
		if (look->names[i].kind == LOOK_NAME_CALL &&
			(catalog->count == 0 || !find(catalog, span_text(look->names[i].name))->name[0]))
			return catalog->overflows;
	return true;
}

/* False: nothing was added. */
static bool add_beneath(const struct catalog *catalog, struct span text, struct look *look)
{
	struct beneath b = { .catalog = catalog, .always = catalog->always, .writing = catalog->writing };
	bool empty = catalog_empty(catalog), sets;
	uint32_t found;

	/* Letters beyond ASCII may be another name's in the client's encoding: of these all are to be told. */
	look_for_words(text, look, catalog->foreign ? NULL : &catalog->sets, empty ? NULL : look_beneath, &b);
	look->own = look->marks | (look->prepared ? LOOK_PREPARE : 0);
	found = (look->marks & LOOK_CALLS) && !knows_calls(catalog, look) ? LOOK_UNKNOWN : 0;
	if (empty) {
		look->marks |= found;
		return found != 0;
	}
	found |= b.always | (b.writes ? b.writing : 0) | (look->marks & LOOK_COMMAND ? catalog->commands : 0);
	found |= look->marks & LOOK_UNREAD ? catalog->any : 0;
	found |= (look->marks | found) & LOOK_UNKNOWN ? catalog->any & (LOOK_READS_ONCE | LOOK_FREEZES) : 0;
	/* In time: what is heard is settled before its ReadyForQuery. */
	found |= found & LOOK_LISTEN ? LOOK_HEAR : 0;
	found |= found & LOOK_TEMPORARY ? LOOK_IN_FRONT : 0;
	found |= found & LOOK_CURRVAL ? LOOK_ASKS_BENEATH : 0;
	sets = found & (LOOK_SETTINGS | LOOK_UNKNOWN);
	look->marks |= found;
	if (sets)
		catalog_names(catalog, look);
	/* What an EXECUTE of it does later has no names of its own by then. */
	if (look->marks & LOOK_PREPARE)
		look->prepared |= found | (sets && catalog->setting_count > 0 ? LOOK_UNNAMED : 0);
	return found != 0;
}

bool catalog_look(const struct catalog *catalog, struct span text, struct look *look)
{
	bool added = add_beneath(catalog, text, look);

	if ((look->marks & (LOOK_DEFINES | LOOK_INDEXES)) && !leaves_nothing(catalog, text, look))
		look->marks |= LOOK_REDEFINES;
	if (look->marks & LOOK_IN_FRONT)
		look->made = made_of(catalog, text, look);
	return added;
}
