/* What ParameterStatus messages a login gets is known once a server was asked with the same parameters: the next login of that kind
 * needs no server. All workers share what one has learnt. An application_name of plain characters is reported as it was asked for
 * (PostgreSQL cuts it at 63 bytes), so it is left out of what must be learnt: a thousand clients with a thousand names are one kind.
 *
 * It is forgotten when a server logs in that is another than the one before (upgraded, or at another host), and when one says that it was
 * promoted. A server says that only when it is asked something, and a client that looks for a primary leaves without asking; so what a
 * standby told is believed for STANDBY_BELIEVED_US, and then the next login asks it again, while others still are told what is known. So are all where a
 * server would have to be waited for. */
#include <stdlib.h>

#include "base/array.h"
#include "serve/worker.h"

#define NAME_BYTES_MAX      63
#define STANDBY_BELIEVED_US (2 * SECOND_US)

static const char application_name[] = "application_name";

/* The parameters without a plain application_name, which is returned in `name`; counted. */
static struct params *kind_of(struct params *wanted, const char **name)
{
	struct params *kind = params_keep(wanted);
	const char *at;

	*name = params_get(wanted, span_text(application_name));
	for (at = *name; at && *at; at++)
		if (*at < 32 || *at > 126)
			*name = NULL;
	if (*name && !params_remove(&kind, span_text(application_name)))
		*name = NULL;
	return kind;
}

static struct welcomes *welcomes_of(struct house *house, pool_id id)
{
	struct welcomes *welcomes = array_reach(house->welcomes, &house->welcome_capacity, id, sizeof *welcomes);

	if (!welcomes)
		return NULL;
	house->welcomes = welcomes;
	return &house->welcomes[id];
}

static void welcomes_clear(struct welcomes *welcomes)
{
	size_t i;

	for (i = 0; i < WELCOMES; i++) {
		params_drop(welcomes->list[i].wanted);
		params_drop(welcomes->list[i].reported);
	}
	params_drop(welcomes->logged);
	*welcomes = (struct welcomes){ 0 };
}

bool reports_standby(const struct params *reported)
{
	const char *said = reported ? params_get(reported, span_text("in_hot_standby")) : NULL;

	return said && strcmp(said, "on") == 0;
}

static struct welcome *find_welcome(struct welcomes *welcomes, const struct params *kind)
{
	for (size_t i = 0; i < WELCOMES; i++)
		if (welcomes->list[i].reported && welcomes->list[i].wanted == kind)
			return &welcomes->list[i];
	return NULL;
}

/* The reported set with this name in it, cut as PostgreSQL cuts it. NULL: memory refused. */
static struct params *with_name(struct params *reported, const char *name)
{
	size_t length = strlen(name);
	struct params *set = params_keep(reported);

	if (length > NAME_BYTES_MAX)
		length = NAME_BYTES_MAX;
	if (params_put(&set, span_text(application_name), span_of(name, length)))
		return set;
	params_drop(set);
	return NULL;
}

struct params *pool_welcome(struct worker *worker, struct pool_view *view, struct params *wanted)
{
	struct house *house = worker->house;
	const char *name;
	struct params *kind = kind_of(wanted, &name), *reported = NULL, *named;
	struct welcomes *welcomes;
	struct welcome *known;

	lock_take(house->lock);
	welcomes = welcomes_of(house, view->id);
	known = welcomes ? find_welcome(welcomes, kind) : NULL;
	if (known && known->standby && worker->now >= known->learnt + STANDBY_BELIEVED_US &&
		core_pool_is_at_hand(house->core, view->id))
		known->learnt = worker->now;
	else if (known)
		reported = params_keep(known->reported);
	lock_drop(house->lock);
	params_drop(kind);
	if (!reported || !name)
		return reported;
	named = with_name(reported, name);
	params_drop(reported);
	return named;
}

void pool_learn(struct worker *worker, struct pool_view *view, struct params *wanted, struct params *reported)
{
	struct house *house = worker->house;
	const char *name;
	struct params *kind = kind_of(wanted, &name), *plain = params_keep(reported);
	struct welcomes *welcomes;
	struct welcome *welcome, old = { 0 };

	bool ours = !(name && view->database && view->database->application_name);

	/* Without a name of its own a client is told the empty one, unless the database is configured with one. What can not be told
	 * without this client's name is not learnt. */
	if (name && ours)
		ours = params_put(&plain, span_text(application_name), span_text(""));
	lock_take(house->lock);
	welcomes = welcomes_of(house, view->id);
	if (welcomes && ours) {
		welcome = find_welcome(welcomes, kind);
		if (!welcome)
			welcome = &welcomes->list[welcomes->next++ % WELCOMES];
		old = *welcome;
		*welcome = (struct welcome){ params_keep(kind), params_keep(plain), worker->now,
			reports_standby(plain) };
	}
	lock_drop(house->lock);
	params_drop(old.wanted);
	params_drop(old.reported);
	params_drop(kind);
	params_drop(plain);
}

void pool_forget(struct worker *worker, pool_id id)
{
	struct house *house = worker->house;
	struct welcomes gone = { 0 };

	lock_take(house->lock);
	if (id < house->welcome_capacity) {
		gone = house->welcomes[id];
		house->welcomes[id] = (struct welcomes){ 0 };
	}
	lock_drop(house->lock);
	welcomes_clear(&gone);
}

/* That something was learnt stays (`next`): the pool's clients wait for a server that can not be reached. Under the lock. */
static void outdate(struct welcomes *welcomes, struct params *logged, struct welcomes *gone)
{
	*gone = *welcomes;
	*welcomes = (struct welcomes){ .next = gone->next, .logged = logged };
}

void pool_logged_in(struct worker *worker, pool_id id, struct params *reported)
{
	struct house *house = worker->house;
	struct welcomes *welcomes, gone = { 0 };

	lock_take(house->lock);
	welcomes = welcomes_of(house, id);
	if (welcomes && welcomes->logged && welcomes->logged != reported)
		outdate(welcomes, params_keep(reported), &gone);
	else if (welcomes && !welcomes->logged)
		welcomes->logged = params_keep(reported);
	lock_drop(house->lock);
	welcomes_clear(&gone);
}

void pool_turned(struct worker *worker, pool_id id)
{
	struct house *house = worker->house;
	struct welcomes *welcomes, gone = { 0 };

	lock_take(house->lock);
	welcomes = welcomes_of(house, id);
	if (welcomes)
		outdate(welcomes, NULL, &gone);
	lock_drop(house->lock);
	welcomes_clear(&gone);
}

bool pool_is_known(struct worker *worker, pool_id id)
{
	struct house *house = worker->house;
	const struct pool_view *view = worker->views[id], *other;
	bool known, moves = view->database && (view->database->host_count > 1 || view->database->target != TARGET_ANY);

	lock_take(house->lock);
	known = id < house->welcome_capacity && house->welcomes[id].next > 0;
	/* A database with several hosts is expected to move: then it was there for its users who are new, too. */
	for (uint32_t i = 0; moves && !known && i < worker->view_capacity && i < house->welcome_capacity; i++) {
		other = worker->views[i];
		known = other && other->database_id == view->database_id && house->welcomes[i].next > 0;
	}
	lock_drop(house->lock);
	return known;
}

void house_welcomes_fini(struct house *house)
{
	uint32_t i;

	for (i = 0; i < house->welcome_capacity; i++)
		welcomes_clear(&house->welcomes[i]);
	free(house->welcomes);
	house->welcomes = NULL;
	house->welcome_capacity = 0;
}
