/* Interned sets of parameters.
 *
 *   book -> table[hash] -> set -> set        one allocation each: header, the pairs, then their texts
 *
 * The texts lie within the messages that tell a client of them, so that a login is told a whole set by one copy.
 *
 * A set is found or made under the book's lock; how it is counted is in base/counted.h. */
#include "session/params.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "base/check.h"
#include "base/counted.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/writer.h"
#include "io/thread.h"
#include "wire/frame.h"
#include "wire/message.h"

struct param {
	const char *name, *value;
};

struct params {
	struct params_book *book;
	struct params *next;
	uint64_t hash;
	size_t bytes;
	atomic_uint references;
	uint32_t count, said; /* said: bytes of its messages, behind the list */
	uint32_t initials; /* first letters of the names: mostly that is all there is to know of one that is not here */
	struct param list[];
};

#define TABLE_SLOTS 1024

struct params_book {
	struct lock *lock; /* first: see locked_new */
	uint64_t count, bytes;
	struct params *table[TABLE_SLOTS];
	struct params *empty;
};

static struct span of(const char *text)
{
	return span_text(text);
}

static int name_order(const char *a, struct span b)
{
	size_t i;

	for (i = 0; i < b.length; i++) {
		int x = a[i] >= 'A' && a[i] <= 'Z' ? a[i] + 32 : (unsigned char)a[i];
		int y = b.at[i] >= 'A' && b.at[i] <= 'Z' ? b.at[i] + 32 : b.at[i];

		if (x != y)
			return x - y;
	}
	return (unsigned char)a[i];
}

static uint32_t initial(char letter)
{
	return UINT32_C(1) << ((unsigned char)letter & 31);
}

static uint64_t set_hash(const struct param *list, size_t count)
{
	uint64_t hash = 0x9e3779b97f4a7c15u;
	size_t i;

	for (i = 0; i < count; i++) {
		hash = hash * 31 + hash_bytes(of(list[i].name));
		hash = hash * 31 + hash_bytes(of(list[i].value));
	}
	return hash;
}

static bool set_equal(const struct params *set, const struct param *list, size_t count)
{
	size_t i;

	if (set->count != count)
		return false;
	for (i = 0; i < count; i++)
		if (strcmp(set->list[i].name, list[i].name) != 0 || strcmp(set->list[i].value, list[i].value) != 0)
			return false;
	return true;
}

static struct params *set_make(struct params_book *book, uint64_t hash, const struct param *list, size_t count)
{
	size_t bytes = sizeof(struct params) + count * sizeof(struct param), i;
	struct buf said = { 0 };
	struct writer w = writer_to(&said);
	struct params *set;
	char *at;

	for (i = 0; i < count; i++)
		message_parameter_status(&w, list[i].name, list[i].value);
	bytes += said.length;
	set = writer_ok(&w) ? malloc(bytes) : NULL;
	if (!set) {
		buf_fini(&said);
		return NULL;
	}
	set->book = book;
	set->hash = hash;
	set->bytes = bytes;
	atomic_init(&set->references, 1);
	set->count = (uint32_t)count;
	set->said = (uint32_t)said.length;
	set->initials = 0;
	at = (char *)&set->list[count];
	if (said.length > 0)
		memcpy(at, buf_span(&said).at, said.length);
	buf_fini(&said);
	for (i = 0; i < count; i++) {
		set->list[i].name = at += FRAME_HEADER;
		set->initials |= initial(*at);
		set->list[i].value = at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return set;
}

/* Find the set or make it; counted once more either way. */
static struct params *set_take(struct params_book *book, const struct param *list, size_t count)
{
	uint64_t hash = set_hash(list, count);
	struct params **head = &book->table[hash % TABLE_SLOTS], *set;

	lock_take(book->lock);
	for (set = *head; set; set = set->next)
		if (set->hash == hash && set_equal(set, list, count))
			break;
	if (set) {
		atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
	} else {
		set = set_make(book, hash, list, count);
		if (set) {
			set->next = *head;
			*head = set;
			book->count++;
			book->bytes += set->bytes;
		}
	}
	lock_drop(book->lock);
	return set;
}

struct params_book *params_book_new(void)
{
	struct params_book *book = locked_new(sizeof *book);

	if (!book)
		return NULL;
	book->empty = set_take(book, NULL, 0);
	if (!book->empty) {
		lock_free(book->lock);
		free(book);
		return NULL;
	}
	return book;
}

void params_book_free(struct params_book *book)
{
	size_t i;

	if (!book)
		return;
	params_drop(book->empty);
	for (i = 0; i < TABLE_SLOTS; i++)
		check(!book->table[i]);
	lock_free(book->lock);
	free(book);
}

void params_book_counts(struct params_book *book, uint64_t *sets, uint64_t *bytes)
{
	lock_take(book->lock);
	*sets = book->count;
	*bytes = book->bytes;
	lock_drop(book->lock);
}

struct params *params_empty(struct params_book *book)
{
	return params_keep(book->empty);
}

struct params *params_keep(struct params *set)
{
	counted_keep(&set->references);
	return set;
}

void params_drop(struct params *set)
{
	struct params_book *book;
	struct params **at;

	if (!set || counted_drop_early(&set->references))
		return;
	book = set->book;
	lock_take(book->lock);
	if (counted_drop(&set->references)) {
		at = &book->table[set->hash % TABLE_SLOTS];
		while (*at != set) {
			check(*at);
			at = &(*at)->next;
		}
		*at = set->next;
		book->count--;
		book->bytes -= set->bytes;
		free(set);
	}
	lock_drop(book->lock);
}

static size_t set_find(const struct params *set, struct span name, bool *found)
{
	size_t low = 0, high = set->count;

	*found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = name_order(set->list[middle].name, name);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool params_put(struct params **set, struct span name, struct span value)
{
	const struct params *old = *set;
	struct params *made = NULL;
	char *texts = malloc(name.length + value.length + 2);
	struct param *list = malloc((old->count + 1) * sizeof *list);
	bool found;
	size_t at = set_find(old, name, &found), count = old->count + !found;

	if (texts && list) {
		text_copy_span(texts, name.length + 1, name);
		text_copy_span(texts + name.length + 1, value.length + 1, value);
		memcpy(list, old->list, at * sizeof *list);
		memcpy(list + at + 1, old->list + at + found, (old->count - at - found) * sizeof *list);
		list[at].name = found ? old->list[at].name : texts;
		list[at].value = texts + name.length + 1;
		made = set_take(old->book, list, count);
	}
	free(texts);
	free(list);
	if (!made)
		return false;
	params_drop(*set);
	*set = made;
	return true;
}

bool params_remove(struct params **set, struct span name)
{
	const struct params *old = *set;
	struct params *made = NULL;
	struct param *list;
	bool found;
	size_t at = set_find(old, name, &found);

	if (!found)
		return true;
	list = malloc(old->count * sizeof *list);
	if (list) {
		memcpy(list, old->list, at * sizeof *list);
		memcpy(list + at, old->list + at + 1, (old->count - at - 1) * sizeof *list);
		made = set_take(old->book, list, old->count - 1);
		free(list);
	}
	if (!made)
		return false;
	params_drop(*set);
	*set = made;
	return true;
}

const char *params_get(const struct params *set, struct span name)
{
	bool found;
	size_t at;

	if (name.length > 0 && !(set->initials & initial((char)name.at[0])))
		return NULL;
	at = set_find(set, name, &found);
	return found ? set->list[at].value : NULL;
}

time_us params_limit(const struct params *set, const char *name)
{
	const char *said = params_get(set, of(name));
	int64_t milliseconds;
	time_us limit;

	if (!said)
		return 0;
	if (text_to_i64(of(said), &milliseconds))
		return milliseconds > 0 && milliseconds <= INT32_MAX ? milliseconds * MILLISECOND_US : 0;
	return text_to_duration(of(said), &limit) ? limit : 0;
}

int params_server_version(const struct params *reported)
{
	const char *said = params_get(reported, span_text("server_version"));

	return said ? (int)strtol(said, NULL, 10) : 0;
}

uint64_t params_hash(const struct params *set)
{
	return set->hash;
}

size_t params_count(const struct params *set)
{
	return set->count;
}

void params_at(const struct params *set, size_t i, const char **name, const char **value)
{
	check(i < set->count);
	*name = set->list[i].name;
	*value = set->list[i].value;
}

struct span params_messages(const struct params *set)
{
	return span_of(&set->list[set->count], set->said);
}

/* In the order in which they are set: a new session_authorization takes the role with it. */
static const char *const roles[] = { "session_authorization", "role" };

bool params_is_role(const char *name)
{
	return strcasecmp(name, roles[0]) == 0 || strcasecmp(name, roles[1]) == 0;
}

static bool has_role(const struct params *set)
{
	return params_get(set, of(roles[0])) || params_get(set, of(roles[1]));
}

bool params_write(struct buf *out, const char *text)
{
	bool ok;

	if (span_is_ascii(of(text)))
		return buf_add_literal(out, of(text));
	ok = buf_format(out, "pg_catalog.convert_from(E'\\\\x");
	for (; ok && *text; text++)
		ok = buf_format(out, "%02x", (unsigned)(unsigned char)*text);
	return ok && buf_format(out, "',pg_catalog.getdatabaseencoding())");
}

static bool write_in_ascii(struct buf *out, const char *text, bool numbered)
{
	struct buf plain = { 0 };
	bool ok = true;

	for (; ok && *text; text++)
		if (!((unsigned char)*text & 0x80))
			ok = buf_add(&plain, text, 1);
		else if (numbered)
			ok = buf_format(&plain, "\\x%02x", (unsigned)(unsigned char)*text);
		else
			ok = buf_add(&plain, "?", 1);
	ok = ok && buf_add_literal(out, buf_span(&plain));
	buf_fini(&plain);
	return ok;
}

bool params_write_value(struct buf *out, const char *name, const char *value)
{
	if (!value)
		return buf_format(out, "NULL");
	if (strcasecmp(name, "application_name") != 0 || span_is_ascii(of(value)))
		return params_write(out, value);
	return buf_format(out,
		       "CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) "
		       "160000 THEN ") &&
		write_in_ascii(out, value, false) && buf_format(out, " ELSE ") && write_in_ascii(out, value, true) &&
		buf_format(out, " END");
}

/* Nothing of a value comes back: by then the client_encoding may have no letters for it. */
static bool add_set(const char *name, const char *value, bool *selecting, struct buf *out)
{
	bool ok = buf_format(out, *selecting ? "," : "SELECT ") && buf_format(out, "pg_catalog.set_config(") &&
		params_write(out, name) && buf_add(out, ",", 1) && params_write_value(out, name, value) &&
		buf_format(out, ",false) IS NULL");

	*selecting = true;
	return ok;
}

bool params_difference(const struct params *have, const struct params *want, struct buf *out)
{
	bool selecting = false, ok = true;
	size_t i;

	if (have == want)
		return true;
	/* Who has another role may not be allowed to change the rest: its own comes back first, the other last. */
	for (i = 0; has_role(have) && i < 2; i++)
		ok = ok && buf_format(out, "RESET %s", roles[i]) && buf_add(out, "", 1);
	for (i = 0; i < have->count; i++) {
		if (params_get(want, of(have->list[i].name)) || params_is_role(have->list[i].name))
			continue;
		ok = ok && add_set(have->list[i].name, NULL, &selecting, out);
	}
	for (i = 0; i < want->count; i++) {
		const char *now = params_get(have, of(want->list[i].name));

		if (params_is_role(want->list[i].name) || (now && strcmp(now, want->list[i].value) == 0))
			continue;
		ok = ok && add_set(want->list[i].name, want->list[i].value, &selecting, out);
	}
	for (i = 0; i < 2; i++) {
		const char *value = params_get(want, of(roles[i]));

		if (value)
			ok = ok && add_set(roles[i], value, &selecting, out);
	}
	return ok && (!selecting || buf_add(out, "", 1));
}
