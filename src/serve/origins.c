/* How many clients each origin has: enough to know, near the limit of descriptors, whose new logins are to wait.
 *
 * An origin is clients that come from the same code: same user, database, application_name at login, address. The table holds a hash
 * and a count for each, in a fixed number of slots; origins that find no slot are counted together. Under the house's lock. */
#include "serve/origins.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

#define PROBES 16

static struct origin *look(struct origins *origins, uint64_t key, bool make)
{
	struct origin *free_slot = NULL;
	size_t i;

	for (i = 0; i < PROBES; i++) {
		struct origin *at = &origins->table[(key + i) % ORIGINS_MAX];

		if (at->count > 0 && at->key == key)
			return at;
		if (at->count == 0 && !free_slot)
			free_slot = at;
	}
	if (!make)
		return NULL;
	if (!free_slot)
		return &origins->others;
	free_slot->key = key;
	return free_slot;
}

uint64_t origin_key(struct span user, struct span database, const char *application_name, const char *address)
{
	uint64_t parts[4] = { hash_bytes(user), hash_bytes(database),
		hash_bytes(span_text(application_name ? application_name : "")), hash_bytes(span_text(address)) };
	uint64_t key = hash_bytes(span_of(parts, sizeof parts));

	return key ? key : 1;
}

void origin_enter(struct origins *origins, uint64_t key)
{
	look(origins, key, true)->count++;
}

void origin_leave(struct origins *origins, uint64_t key)
{
	struct origin *origin = look(origins, key, false);

	/* Who came when the table was full was counted with the others. */
	if (!origin)
		origin = &origins->others;
	if (origin->count > 0)
		origin->count--;
}

bool origin_is_largest(struct origins *origins, uint64_t key)
{
	const struct origin *own = look(origins, key, false);
	size_t i;

	if (!own)
		return false;
	for (i = 0; i < ORIGINS_MAX; i++)
		if (origins->table[i].count > own->count)
			return false;
	return true;
}
