/* The book of what PostgreSQL has answered about users.
 *
 * An entry of the table:  ASKED --answer--> KNOWN (a secret, or nobody) --too old, or doubted, or RELOAD--> ASKED by the next login
 *                           +----failure---> gone
 * There are at most ENTRIES_MOST of them, those answered longest ago go first.
 *
 * Beside it, for each pool, what servers log in with there. */
#include "serve/lookup_book.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "io/thread.h"

#define ENTRIES_MOST 8192
#define WAITING_MOST 16384 /* for one answer */

struct lookups *lookups_new(void)
{
	struct lookups *made = locked_new(sizeof *made);

	if (!made)
		return NULL;
	for (size_t i = 0; i < LOOKUP_BUCKETS; i++)
		link_init(&made->buckets[i]);
	link_init(&made->ages);
	return made;
}

void entry_free(struct lookups *lookups, struct entry *entry)
{
	link_remove(&entry->bucket);
	link_remove(&entry->age);
	lookups->count--;
	secrets_drop(entry->found);
	roles_drop(entry->roles);
	free(entry->waiting);
	free(entry->user);
	free(entry);
}

void lookups_free(struct lookups *lookups)
{
	if (!lookups)
		return;
	for (size_t i = 0; i < LOOKUP_BUCKETS; i++)
		while (!link_empty(&lookups->buckets[i]))
			entry_free(lookups, link_owner(lookups->buckets[i].next, struct entry, bucket));
	for (uint32_t i = 0; i < lookups->pool_capacity; i++)
		secrets_drop(lookups->pools[i]);
	free(lookups->pools);
	lock_free(lookups->lock);
	free(lookups);
}

static struct link *bucket_of(struct lookups *lookups, uint64_t scope, struct span user)
{
	return &lookups->buckets[(scope * 3 + hash_bytes(user)) % LOOKUP_BUCKETS];
}

struct entry *entry_find(struct lookups *lookups, uint64_t scope, struct span user)
{
	struct link *head = bucket_of(lookups, scope, user), *at;

	for (at = head->next; at != head; at = at->next) {
		struct entry *entry = link_owner(at, struct entry, bucket);

		if (entry->scope == scope && span_equal(span_text(entry->user), user))
			return entry;
	}
	return NULL;
}

struct entry *entry_make(struct lookups *lookups, uint64_t scope, struct span user)
{
	struct entry *entry = calloc(1, sizeof *entry);

	if (entry)
		entry->user = strndup((const char *)user.at, user.length);
	if (!entry || !entry->user) {
		free(entry);
		return NULL;
	}
	if (lookups->count >= ENTRIES_MOST && !link_empty(&lookups->ages))
		entry_free(lookups, link_owner(lookups->ages.next, struct entry, age));
	entry->scope = scope;
	link_init(&entry->age);
	link_last(bucket_of(lookups, scope, user), &entry->bucket);
	lookups->count++;
	return entry;
}

bool entry_is_fresh(const struct entry *entry, const struct worker *worker)
{
	time_us keep = entry->found || entry->roles ? worker->config->auth_query_keep
						    : worker->config->auth_query_keep_none;

	return !entry->asked && !entry->doubted && entry->generation == worker->generation &&
		worker->now < entry->answered + keep;
}

bool entry_add_waiting(struct entry *entry, struct client_ref who)
{
	size_t capacity = entry->waiting_capacity ? entry->waiting_capacity * 2 : 8;
	struct client_ref *grown;

	if (entry->waiting_count == WAITING_MOST)
		return false;
	if (entry->waiting_count == entry->waiting_capacity) {
		grown = realloc(entry->waiting, capacity * sizeof *grown);
		if (!grown)
			return false;
		entry->waiting = grown;
		entry->waiting_capacity = capacity;
	}
	entry->waiting[entry->waiting_count++] = who;
	return true;
}

struct secret_mock lookups_pretend(const struct lookups *lookups, struct span user)
{
	uint64_t place = hash_bytes(user) >> 32, all = (uint64_t)lookups->scram_found + lookups->other_found;
	struct secret_mock mock = lookups->like;

	mock.scram = all == 0 || place * all < (uint64_t)lookups->scram_found << 32;
	return mock;
}

/* ---- pools ---- */

void lookup_keep(struct worker *worker, pool_id pool, struct secrets *found)
{
	struct lookups *lookups = worker->house->lookups;
	struct secrets *old = NULL, **pools;

	lock_take(lookups->lock);
	pools = array_reach(lookups->pools, &lookups->pool_capacity, pool, sizeof(struct secrets *));
	if (pools) {
		lookups->pools = pools;
		old = lookups->pools[pool];
		lookups->pools[pool] = secrets_keep(found);
	}
	lock_drop(lookups->lock);
	secrets_drop(old);
}

struct secrets *lookup_secrets(struct worker *worker, pool_id pool)
{
	struct lookups *lookups = worker->house->lookups;
	struct secrets *found = NULL;

	lock_take(lookups->lock);
	if (pool < lookups->pool_capacity && lookups->pools[pool])
		found = secrets_keep(lookups->pools[pool]);
	lock_drop(lookups->lock);
	return found;
}
