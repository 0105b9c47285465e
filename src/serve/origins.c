/* Who our clients are. An origin is clients that come from the same code: same user, database, application_name at login, address;
 * and, since many applications give no name, the same driver.
 *
 *   table[hash] -> origin --- number, names, clients          under the house's lock
 *                     |
 *                     +------ shares[worker] -> facts          that worker's own
 *
 * Whatever clients send, there are no more than ORIGINS_MAX of them, and those that find no place are one origin together. A place
 * is looked for near the hash; one whose clients are all gone keeps its story until another origin needs the place, those of whom nobody
 * ever logged in first, then the one that was left longest ago; one that is protected keeps its place.
 *
 * Counting happens with every transaction, on all workers, so each has a share of its own and nothing is locked. A share whose number
 * is not its place's any more is begun anew by its worker when it next needs it, and passed over by whoever sums up. */
#include "serve/origins.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/redact.h"
#include "base/text.h"
#include "config/config.h"

#define PROBES 16

void origins_init(struct origins *origins, uint32_t workers)
{
	*origins = (struct origins){ .workers = workers };
	text_copy(origins->others.user, ORIGIN_NAME, "(other)");
	text_copy(origins->others.database, ORIGIN_NAME, "(other)");
	origins->others.shares = calloc(workers, sizeof *origins->others.shares);
}

static void free_shares(struct origin *origin, uint32_t workers)
{
	for (uint32_t i = 0; origin->shares && i < workers; i++)
		free(origin->shares[i]);
	free(origin->shares);
	origin->shares = NULL;
}

void origins_fini(struct origins *origins)
{
	for (size_t i = 0; i < ORIGINS_MAX; i++) {
		if (!origins->table[i])
			continue;
		free_shares(origins->table[i], origins->workers);
		free(origins->table[i]);
	}
	free_shares(&origins->others, origins->workers);
}

static uint64_t hash_of(struct span part)
{
	return part.length > 0 ? hash_bytes(part) : 0;
}

static uint64_t key_of(const uint64_t *parts, size_t count)
{
	uint64_t key = hash_bytes(span_of(parts, count * sizeof *parts));

	return key ? key : 1;
}

struct origin_keys origin_keys(const struct origin_name *name)
{
	uint64_t parts[] = { hash_of(name->user), hash_of(span_text(name->address)), hash_of(name->database),
		hash_of(span_text(name->application_name ? name->application_name : "")), name->driver };

	return (struct origin_keys){ .origin = key_of(parts, sizeof parts / sizeof parts[0]),
		.group = key_of(parts, 2) };
}

enum leak_runtime origin_runtime(const char *process, const char *application_name)
{
	static const struct {
		const char *process, *name;
		enum leak_runtime runtime;
	} signs[] = {
		/* The first that fits: a worker's class says more than the server's name. */
		{ "gevent", NULL, RUNTIME_GEVENT },
		{ "eventlet", NULL, RUNTIME_GEVENT },
		{ "daphne", NULL, RUNTIME_ASGI },
		{ "uvicorn", NULL, RUNTIME_ASGI },
		{ "hypercorn", NULL, RUNTIME_ASGI },
		{ "qcluster", NULL, RUNTIME_DJANGO_Q },
		{ "celery", NULL, RUNTIME_CELERY },
		{ NULL, "DBeaver", RUNTIME_GUI },
		{ NULL, "pgAdmin", RUNTIME_GUI },
		{ NULL, "DataGrip", RUNTIME_GUI },
		{ NULL, "psql", RUNTIME_GUI },
	};

	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if ((signs[i].process && strstr(process, signs[i].process)) ||
			(signs[i].name && strncmp(application_name, signs[i].name, strlen(signs[i].name)) == 0))
			return signs[i].runtime;
	return RUNTIME_UNKNOWN;
}

/* What would be lost with it. Whoever has not logged in may have called himself anything. */
static unsigned worth(const struct origin *origin)
{
	if (!origin)
		return 1;
	return atomic_load(&origin->arrived) ? 2 : 0;
}

static bool is_better(const struct origin *place, const struct origin *other)
{
	if (worth(place) != worth(other))
		return worth(place) < worth(other);
	return place && place->seen < other->seen;
}

/* The place of this key, or the best one for it: where nobody ever logged in, else never used, else unused for longest. NULL: all are in use. */
static struct origin **place_of(struct origins *origins, uint64_t key)
{
	struct origin **best = NULL;

	for (size_t i = 0; i < PROBES; i++) {
		struct origin **at = &origins->table[(key + i) % ORIGINS_MAX];

		if (*at && (*at)->key == key)
			return at;
		/* What an administrator has said of it holds when it comes back. */
		if (*at && ((*at)->clients > 0 || atomic_load(&(*at)->is_protected)))
			continue;
		if (!best || is_better(*at, *best))
			best = at;
	}
	return best;
}

static bool make_place(struct origins *origins, struct origin **at)
{
	struct origin *origin = calloc(1, sizeof *origin);

	if (origin)
		origin->shares = calloc(origins->workers, sizeof *origin->shares);
	if (!origin || !origin->shares) {
		free(origin);
		return false;
	}
	*at = origin;
	return true;
}

static void begin(struct origins *origins, struct origin *origin, uint64_t key, const struct origin_name *name)
{
	origin->key = key;
	origin->number = ++origins->numbers;
	origin->driver = name->driver;
	origin->runtime = RUNTIME_UNKNOWN;
	origin->process[0] = 0;
	origin->process_id = 0;
	origin->process_sought = false;
	origin->process_misses = 0;
	atomic_store(&origin->is_protected, false);
	atomic_store(&origin->arrived, false);
	atomic_store(&origin->says_django, false);
	atomic_store(&origin->quiet, 0);
	text_copy_span(origin->user, ORIGIN_NAME, name->user);
	text_copy_span(origin->database, ORIGIN_NAME, name->database);
	text_copy(origin->application_name, ORIGIN_NAME, name->application_name ? name->application_name : "");
	text_copy(origin->address, ORIGIN_NAME, name->address);
	origin->runtime = origin_runtime("", origin->application_name);
}

enum leak_driver origin_driver(const struct origin *origin)
{
	return origin->driver == DRIVER_NODE && atomic_load(&origin->says_django) ? DRIVER_LIBPQ : origin->driver;
}

void origin_says_django(struct origin *origin)
{
	if (origin->number > 0 && !atomic_load(&origin->says_django))
		atomic_store(&origin->says_django, true);
}

struct origin *origin_enter(struct origins *origins, const struct origin_name *name, uint64_t key, time_us now)
{
	struct origin **at = place_of(origins, key), *origin = &origins->others;

	if (at && (*at || make_place(origins, at))) {
		origin = *at;
		if (origin->key != key)
			begin(origins, origin, key, name);
	}
	origin->clients++;
	origin->seen = now;
	return origin;
}

void origin_weigh(struct origin *origin, const struct config *config)
{
	atomic_store(&origin->weight, config_origin_weight(config, span_text(origin->application_name)));
}

void origins_weigh(struct origins *origins, const struct config *config)
{
	for (size_t i = 0; i < ORIGINS_MAX; i++)
		if (origins->table[i])
			origin_weigh(origins->table[i], config);
	origin_weigh(&origins->others, config);
}

void origin_leave(struct origin *origin, time_us now)
{
	check(origin->clients > 0);
	origin->clients--;
	origin->seen = now;
}

void origin_words(char out[ORIGIN_WORDS], struct span statement)
{
	char clean[ORIGIN_WORDS * 2];

	redact_sql(clean, sizeof clean, statement);
	text_copy(out, ORIGIN_WORDS, clean);
}

bool origin_is_largest(const struct origins *origins, uint64_t key)
{
	const struct origin *own = NULL;
	size_t i;

	for (i = 0; i < PROBES && !own; i++)
		if (origins->table[(key + i) % ORIGINS_MAX] && origins->table[(key + i) % ORIGINS_MAX]->key == key)
			own = origins->table[(key + i) % ORIGINS_MAX];
	if (!own || own->clients == 0)
		return false;
	for (i = 0; i < ORIGINS_MAX; i++)
		if (origins->table[i] && origins->table[i]->clients > own->clients)
			return false;
	return true;
}

struct origin *origin_of_number(struct origins *origins, uint32_t number)
{
	for (size_t i = 0; number > 0 && i < ORIGINS_MAX; i++)
		if (origins->table[i] && origins->table[i]->number == number)
			return origins->table[i];
	return NULL;
}

struct share *origin_share(struct origin *origin, uint32_t worker)
{
	struct share *share = origin->shares ? origin->shares[worker] : NULL;

	if (share && share->number == origin->number)
		return share;
	if (!share && origin->shares)
		share = origin->shares[worker] = calloc(1, sizeof *share);
	if (!share)
		return NULL;
	*share = (struct share){ .number = origin->number, .facts.origin = origin->number };
	return share;
}
