/* One place for each database. Its version grows whenever what it knows may be wrong or is new, and that is how workers and leases notice.
 *
 *   unknown --a server reads--> known --ten seconds--> read again: the same, or a new version
 *      ^                          |  ^
 *      |                          +--+ a CREATE or ALTER that leaves nothing, by what is known
 *      +-- any other is sent: unknown until its transaction is over and the catalogue was read after that
 *
 * That such a one leaves nothing holds as long as what was known then does. Should that change before its transaction is over (a function whose name it has is replaced), it is one of
 * those others from then on: `drafting` counts them, `round` tells them from those that come later.
 *
 * A reading counts only if the version is still the one it began with, and one that was interrupted not at all. A lease that looked at its statements while nothing was known, or
 * with an earlier version than that at its end (its statement may have waited for the lock that the ALTER held), is blind: it reads for
 * itself, and then asks about everything. When it may not read, since somebody is still changing things or too much was read of late, its server is
 * cleaned before anybody else has it. */
#include "serve/catalogs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/hash.h"
#include "io/thread.h"
#include "serve/channel.h"
#include "serve/relay.h"

#define READ_EVERY (10 * SECOND_US)
#define READ_SHARE 200              /* ... and for no more than this part of the time */
#define READ_BURST SECOND_US        /* after changes: as much at once, */
#define READ_BUSY  10               /* and then for this part of the time */
#define READ_LOST  (60 * SECOND_US) /* whoever began has not ended: somebody else may */
#define READ_LIMIT (20 * SECOND_US) /* what the query allows itself (session/catalog_query.c) */

#define ASKERS_MAX 64

struct catalog_place {
	atomic_uint version;
	atomic_uint meaning; /* grows with it, and whenever names may mean something else */
	atomic_uint askers;  /* applications that ask for numbers of sequences; more than ASKERS_MAX: all do */
	_Atomic(uint64_t) asker[ASKERS_MAX]; /* hashes of their users and names */
	unsigned defining;                   /* leases that are changing it */
	unsigned drafting;                   /* ... or what names mean in it, and nothing that it knows */
	unsigned round;                      /* of these; the ones of an earlier round have become the former */
	struct catalog *known;               /* or what was, while it is not fresh */
	bool fresh, reading, warned;
	time_us began, again;
	time_us spent; /* reading, less what time has made good since `began` */
};

struct catalogs {
	struct lock *lock;             /* first: see locked_new */
	struct catalog_place **places; /* by database_id */
	uint32_t capacity;
};

struct catalogs *catalogs_new(void)
{
	return locked_new(sizeof(struct catalogs));
}

void catalogs_free(struct catalogs *catalogs)
{
	if (!catalogs)
		return;
	for (uint32_t i = 0; i < catalogs->capacity; i++) {
		if (catalogs->places[i])
			catalog_drop(catalogs->places[i]->known);
		free(catalogs->places[i]);
	}
	free(catalogs->places);
	lock_free(catalogs->lock);
	free(catalogs);
}

/* What is known is another than it was, or nothing. Under the lock. */
static void turn(struct catalog_place *place)
{
	place->defining += place->drafting;
	place->drafting = 0;
	place->round++;
	atomic_fetch_add(&place->version, 1);
	atomic_fetch_add(&place->meaning, 1);
}

static void make_unknown(struct catalog_place *place)
{
	place->fresh = false;
	turn(place);
}

void catalogs_forget(struct catalogs *catalogs, database_id id)
{
	lock_take(catalogs->lock);
	if (id < catalogs->capacity && catalogs->places[id])
		make_unknown(catalogs->places[id]);
	lock_drop(catalogs->lock);
}

/* Under the lock. NULL: memory refused. */
static struct catalog_place *place_of(struct catalogs *catalogs, database_id id)
{
	struct catalog_place **places = array_reach(
		catalogs->places, &catalogs->capacity, id, sizeof(struct catalog_place *));

	if (!places)
		return NULL;
	catalogs->places = places;
	if (!catalogs->places[id]) {
		catalogs->places[id] = calloc(1, sizeof **catalogs->places);
		if (catalogs->places[id]) {
			atomic_init(&catalogs->places[id]->version, 1);
			atomic_init(&catalogs->places[id]->meaning, 1);
		}
	}
	return catalogs->places[id];
}

/* ---- a view's share ---- */

static bool has_place(struct house *house, struct pool_view *view)
{
	if (view->place)
		return true;
	lock_take(house->catalogs->lock);
	view->place = place_of(house->catalogs, view->database_id);
	lock_drop(house->catalogs->lock);
	return view->place != NULL;
}

static void renew(struct house *house, struct pool_view *view)
{
	struct catalog_place *place = view->place;

	if (atomic_load(&place->version) == view->catalog_version)
		return;
	lock_take(house->catalogs->lock);
	catalog_drop(view->catalog);
	view->catalog_version = atomic_load(&place->version);
	view->catalog = place->fresh && place->defining == 0 ? catalog_keep(place->known) : NULL;
	view->catalog_again = place->again;
	lock_drop(house->catalogs->lock);
}

void catalogs_part(struct pool_view *view)
{
	catalog_drop(view->catalog);
	view->catalog = NULL;
}

const struct catalog *catalogs_see(struct guest *guest)
{
	struct channel *channel = guest->channel;
	struct house *house = channel->worker->house;
	struct pool_view *view = channel_view(channel);

	if (!has_place(house, view))
		return NULL;
	renew(house, view);
	if (channel->remains.seen_version == 0)
		channel->remains.seen_version = view->catalog_version;
	return view->catalog;
}

unsigned catalogs_meaning(const struct guest *guest)
{
	struct pool_view *view = channel_view(guest->channel);

	return has_place(guest->worker->house, view) ? atomic_load(&view->place->meaning) : 0;
}

/* What an application is known by here, wherever it runs: its hosts come and go, and so do the numbers of processes in a name. */
static uint64_t asker_of(const struct guest *guest)
{
	const char *name = guest->startup ? params_get(guest->startup, span_text("application_name")) : NULL;
	char letters[64];
	size_t length = 0;
	uint64_t parts[2];

	for (; name && *name && length < sizeof letters; name++)
		if (*name < '0' || *name > '9')
			letters[length++] = *name;
	parts[0] = guest->user ? guest->user->hash : 0;
	parts[1] = hash_bytes(span_of(letters, length));
	return hash_bytes(span_of(parts, sizeof parts));
}

static bool is_asker(const struct catalog_place *place, uint64_t asker)
{
	unsigned count = atomic_load_explicit(&place->askers, memory_order_acquire);

	if (count > ASKERS_MAX)
		return true;
	for (unsigned i = 0; i < count; i++)
		if (atomic_load_explicit(&place->asker[i], memory_order_relaxed) == asker)
			return true;
	return false;
}

bool catalogs_asks_numbers(const struct guest *guest)
{
	const struct catalog_place *place = channel_view(guest->channel)->place;

	/* Mostly nobody does, and this is asked of every INSERT. */
	return place && atomic_load_explicit(&place->askers, memory_order_relaxed) > 0 &&
		is_asker(place, asker_of(guest));
}

void catalogs_tell_numbers(const struct guest *guest)
{
	struct house *house = guest->worker->house;
	struct pool_view *view = channel_view(guest->channel);
	struct catalog_place *place;
	uint64_t asker = asker_of(guest);
	unsigned count;

	if (!has_place(house, view) || is_asker(view->place, asker))
		return;
	place = view->place;
	lock_take(house->catalogs->lock);
	count = atomic_load(&place->askers);
	if (!is_asker(place, asker)) {
		if (count < ASKERS_MAX)
			atomic_store_explicit(&place->asker[count], asker, memory_order_relaxed);
		atomic_store_explicit(&place->askers, count + 1, memory_order_release);
	}
	lock_drop(house->catalogs->lock);
}

/* ---- changes ---- */

void catalogs_outdated(struct channel *channel)
{
	struct pool_view *view = channel_view(channel);

	if (has_place(channel->worker->house, view))
		atomic_fetch_add(&view->place->meaning, 1);
}

/* What this lease counted for counts no more. True: it changed only what names mean, and still does. Under the lock. */
static bool uncount(struct catalog_place *place, const struct remains *r)
{
	bool drafts = r->defines == DEFINES_AS_SAID && r->round == place->round;
	unsigned *count = drafts ? &place->drafting : &place->defining;

	check(*count > 0);
	--*count;
	return drafts;
}

/* Under the lock. */
static void begin_change(struct catalog_place *place, struct remains *r)
{
	if (r->defines != DEFINES_NOTHING)
		(void)uncount(place, r);
	r->defines = DEFINES_ANYTHING;
	place->defining++;
	make_unknown(place);
}

void catalogs_change(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct pool_view *view = channel_view(channel);

	if (channel->remains.defines == DEFINES_ANYTHING || !has_place(house, view))
		return;
	lock_take(house->catalogs->lock);
	begin_change(view->place, &channel->remains);
	lock_drop(house->catalogs->lock);
}

void catalogs_draft(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct pool_view *view = channel_view(channel);
	struct catalog_place *place;

	if (channel->remains.defines == DEFINES_ANYTHING || !has_place(house, view))
		return;
	place = view->place;
	lock_take(house->catalogs->lock);
	/* It was looked at with what this view has; another worker may have learned of something else just now. */
	if (!view->catalog || view->catalog_version != atomic_load(&place->version)) {
		begin_change(place, &channel->remains);
	} else if (channel->remains.defines == DEFINES_NOTHING) {
		channel->remains.defines = DEFINES_AS_SAID;
		channel->remains.round = place->round;
		place->drafting++;
	}
	atomic_fetch_add(&place->meaning, 1);
	lock_drop(house->catalogs->lock);
}

void catalogs_lose(struct channel *channel)
{
	channel->remains.drops = true;
	catalogs_outdated(channel);
}

static void end_change(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct catalog_place *place = channel_view(channel)->place;
	struct remains *r = &channel->remains;

	if (r->drops)
		catalogs_outdated(channel);
	r->drops = false;
	if (r->defines == DEFINES_NOTHING)
		return;
	lock_take(house->catalogs->lock);
	if (uncount(place, r))
		atomic_fetch_add(&place->meaning, 1);
	else
		make_unknown(place);
	r->defines = DEFINES_NOTHING;
	lock_drop(house->catalogs->lock);
}

bool catalogs_held(struct channel *channel)
{
	struct pool_view *view = channel_view(channel);
	unsigned seen = channel->remains.seen_version;

	end_change(channel);
	if (seen == 0 || !view->place)
		return true;
	channel->remains.seen_version = 0;
	return seen == atomic_load(&view->place->version);
}

void catalogs_leave(struct channel *channel)
{
	end_change(channel);
	channel->remains.seen_version = 0;
}

/* ---- reading ---- */

/* Under the lock. */
static bool must_read(const struct catalog_place *place, enum catalog_need need, time_us now)
{
	bool alone = !place->reading || now >= place->began + READ_LOST;

	if (place->fresh)
		return now >= place->again && alone;
	if (need == CATALOG_FIRST && !place->known)
		return true;
	return place->defining == 0 && place->spent < READ_BURST && (need == CATALOG_BLIND || alone);
}

/* Whether this channel reads it now. */
static bool is_due(struct channel *channel, enum catalog_need need, struct catalog_reading *reading)
{
	struct house *house = channel->worker->house;
	struct pool_view *view = channel_view(channel);
	struct catalog_place *place;
	time_us now = channel->worker->now;
	bool due;

	if (!has_place(house, view))
		return false;
	renew(house, view);
	if (view->catalog && now < view->catalog_again)
		return false;
	place = view->place;
	lock_take(house->catalogs->lock);
	place->spent -= (now - place->began) / READ_BUSY;
	if (place->spent < 0)
		place->spent = 0;
	due = must_read(place, need, now);
	if (due) {
		place->reading = true;
		place->began = now;
		reading->version = atomic_load(&place->version);
		reading->meaning = atomic_load(&place->meaning);
	}
	view->catalog_again = place->again;
	lock_drop(house->catalogs->lock);
	return due;
}

bool catalogs_read(struct channel *channel, enum catalog_need need)
{
	struct catalog_reading *reading = &channel->remains.reading;
	struct buf text = { 0 };
	struct catalog_reading begun = { .since = channel->worker->now };
	bool ok;

	if (reading->catalog)
		return true;
	if (!is_due(channel, need, &begun))
		return false;
	*reading = begun;
	reading->catalog = catalog_new();
	ok = reading->catalog && catalog_write(params_server_version(channel->reported), &text) &&
		channel_ask(channel, buf_span(&text), TAG_CATALOG);
	buf_fini(&text);
	if (!ok)
		channel_break(channel, "out of memory");
	return true;
}

bool catalogs_name(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct pool_view *view = channel_view(channel);
	struct catalog *known = NULL;
	struct look look = { 0 };
	bool fresh = false;

	if (!has_place(house, view))
		return false;
	lock_take(house->catalogs->lock);
	if (view->place->known)
		known = catalog_keep(view->place->known);
	fresh = view->place->fresh;
	lock_drop(house->catalogs->lock);
	if (known)
		catalog_names(known, &look);
	remains_name(channel, &look);
	catalog_drop(known);
	return fresh;
}

void catalogs_row(struct channel *channel, struct span body)
{
	struct catalog_reading *reading = &channel->remains.reading;

	if (reading->catalog && !catalog_row(reading->catalog, body))
		reading->failed = true;
}

/* A cancel or a lock_timeout of who had the server, or no memory here: the next one may read it. Its own limit says that nobody can. */
static bool was_interrupted(const struct channel *channel)
{
	const struct catalog_reading *reading = &channel->remains.reading;

	if (!channel->setup_failed)
		return catalog_refused(reading->catalog);
	return channel->worker->now < reading->since + READ_LIMIT &&
		(strcmp(channel->sqlstate, SQLSTATE_QUERY_CANCELED) == 0 ||
			strcmp(channel->sqlstate, SQLSTATE_LOCK_NOT_AVAILABLE) == 0);
}

/* Put what was read in its place. True: it failed for the first time. */
static bool enter(struct catalog_place *place, struct catalog_reading *reading, bool interrupted, time_us now)
{
	time_us took = now - reading->since;
	bool complain = false;

	place->reading = false;
	place->spent += took;
	if (interrupted || reading->version != atomic_load(&place->version))
		return false;
	place->again = now + (took * READ_SHARE > READ_EVERY ? took * READ_SHARE : READ_EVERY);
	if (reading->failed) {
		complain = !place->warned;
		place->warned = true;
		/* What was known stays; nobody could work if everything were suspected for good. */
		if (!place->known) {
			place->known = catalog_new();
			if (!place->known)
				return complain;
			catalog_doubt(place->known);
		}
	} else {
		place->warned = false;
		if (place->fresh && catalog_equal(place->known, reading->catalog))
			return false;
		catalog_drop(place->known);
		place->known = reading->catalog;
		reading->catalog = NULL;
	}
	/* Something was made meanwhile that leaves nothing by what was known before. */
	if (reading->meaning != atomic_load(&place->meaning))
		place->again = now;
	place->fresh = true;
	turn(place);
	return complain;
}

void catalogs_answered(struct channel *channel)
{
	struct house *house = channel->worker->house;
	struct catalog_reading *reading = &channel->remains.reading;
	struct pool_view *view = channel_view(channel);
	bool complain;

	check(reading->catalog && view->place);
	reading->failed = reading->failed || channel->setup_failed;
	lock_take(house->catalogs->lock);
	complain = enter(view->place, reading, was_interrupted(channel), channel->worker->now);
	lock_drop(house->catalogs->lock);
	if (complain)
		channel_log(channel, LOG_WARNING,
			"the catalogue could not be read (%s): what triggers, views and functions leave in a session is "
			"not noticed until it can (see doc/transparency.md)",
			channel->setup_failed ? channel->problem : "not what was asked for");
	channel->setup_failed = false;
	catalog_drop(reading->catalog);
	*reading = (struct catalog_reading){ 0 };
}

void catalogs_fini(struct channel *channel)
{
	struct catalog_reading *reading = &channel->remains.reading;
	struct house *house;

	if (!channel->remains.defines && !channel->remains.drops && !reading->catalog)
		return; /* one that never came to be has no worker yet */
	end_change(channel);
	if (!reading->catalog)
		return;
	house = channel->worker->house;
	lock_take(house->catalogs->lock);
	channel_view(channel)->place->reading = false;
	lock_drop(house->catalogs->lock);
	catalog_drop(reading->catalog);
	*reading = (struct catalog_reading){ 0 };
}
