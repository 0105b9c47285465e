/* What this worker knows of each pool: its rules and where its servers are, from the configuration in force here; what a server
 * reports to a client that asks for certain parameters; and this worker's share of the counters.
 *
 * A view is made once and lives as long as the worker; a new configuration only renews what it says. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/worker.h"

static void core_rules_of(const struct pool_view *view, struct core_pool_rules *pool, struct database_rules *database,
	const struct config *config)
{
	const struct pool_rules *rules = &view->rules;
	const struct user_settings *user = config_user(config, span_text(view->user));
	const struct database_settings *settings = view->database;
	int clients = settings && settings->max_client_connections != UNSET ? settings->max_client_connections
									    : config->max_db_client_connections;

	*pool = (struct core_pool_rules){
		.size = (uint32_t)rules->size,
		.min_size = (uint32_t)rules->min_size,
		.reserve = (uint32_t)rules->reserve_size,
		.user_servers_max = (uint32_t)rules->user_connections_max,
		.user_clients_max = (uint32_t)(user && user->max_client_connections != UNSET
				? user->max_client_connections
				: config->max_user_client_connections),
		.lifetime = rules->server_lifetime,
		.keep_min = settings && settings->user,
	};
	*database = (struct database_rules){
		.servers_max = (uint32_t)rules->database_connections_max,
		.clients_max = (uint32_t)clients,
	};
}

static void renew(struct worker *worker, struct pool_view *view)
{
	view->database = config_database(worker->config, span_text(view->database_name));
	if (view->database)
		config_pool_rules(worker->config, view->database, span_text(view->user), &view->rules);
	view->generation = worker->generation;
}

static bool place(struct worker *worker, struct pool_view *view)
{
	uint32_t capacity = worker->view_capacity ? worker->view_capacity : 16;
	struct pool_view **grown;

	while (capacity <= view->id)
		capacity *= 2;
	if (capacity > worker->view_capacity) {
		grown = realloc(worker->views, capacity * sizeof *grown);
		if (!grown)
			return false;
		memset(grown + worker->view_capacity, 0, (capacity - worker->view_capacity) * sizeof *grown);
		worker->views = grown;
		worker->view_capacity = capacity;
	}
	worker->views[view->id] = view;
	return true;
}

static void view_free(struct pool_view *view)
{
	if (!view)
		return;
	pool_forget(view);
	free(view->database_name);
	free(view->user);
	free(view);
}

static struct pool_view *view_new(struct worker *worker, struct span database, struct span user)
{
	struct pool_view *view = calloc(1, sizeof *view);

	if (!view)
		return NULL;
	view->id = NO_POOL;
	view->database_name = strndup((const char *)database.at, database.length);
	view->user = strndup((const char *)user.at, user.length);
	if (!view->database_name || !view->user) {
		view_free(view);
		return NULL;
	}
	renew(worker, view);
	return view;
}

struct pool_view *pool_view(struct worker *worker, pool_id id)
{
	struct pool_view *view = id < worker->view_capacity ? worker->views[id] : NULL;
	struct pool_picture picture;
	struct database_picture database;
	bool known;

	if (view)
		return view;
	lock_take(worker->house->lock);
	known = core_pool_picture(worker->house->core, id, &picture) &&
		core_database_picture(worker->house->core, picture.database, &database);
	view = known ? view_new(worker, picture.database_name, picture.user) : NULL;
	lock_drop(worker->house->lock);
	if (!view)
		return NULL;
	view->id = id;
	view->database_id = picture.database;
	if (!place(worker, view)) {
		view_free(view);
		return NULL;
	}
	return view;
}

struct pool_view *pool_view_for(struct worker *worker, struct span database, struct span user, bool *unknown)
{
	const struct database_settings *settings = config_database(worker->config, database);
	struct house *house = worker->house;
	struct core_pool_rules pool_rules;
	struct database_rules database_rules;
	struct pool_view *view;
	pool_id id = NO_POOL;

	*unknown = !settings;
	if (!settings)
		return NULL;
	if (settings->user)
		user = span_text(settings->user);
	view = view_new(worker, database, user);
	if (!view)
		return NULL;
	core_rules_of(view, &pool_rules, &database_rules, worker->config);
	lock_take(house->lock);
	view->database_id = core_database(house->core, database, &database_rules);
	if (view->database_id != NO_DATABASE)
		id = core_pool(house->core, view->database_id, user, &pool_rules);
	lock_drop(house->lock);
	if (id == NO_POOL || (id < worker->view_capacity && worker->views[id])) {
		view_free(view);
		return id == NO_POOL ? NULL : worker->views[id];
	}
	view->id = id;
	if (!place(worker, view)) {
		view_free(view);
		return NULL;
	}
	return view;
}

void pool_views_configure(struct worker *worker)
{
	struct house *house = worker->house;
	struct core_pool_rules pool_rules;
	struct database_rules database_rules;
	uint32_t i;

	for (i = 0; i < worker->view_capacity; i++) {
		struct pool_view *view = worker->views[i];

		if (!view)
			continue;
		renew(worker, view);
		pool_forget(view); /* the server behind it may be another now */
		core_rules_of(view, &pool_rules, &database_rules, worker->config);
		lock_take(house->lock);
		core_set_pool_rules(house->core, view->id, &pool_rules, worker->now, &worker->effects);
		core_set_database_rules(house->core, view->database_id, &database_rules, worker->now, &worker->effects);
		lock_drop(house->lock);
	}
}

void pool_views_fini(struct worker *worker)
{
	uint32_t i;

	for (i = 0; i < worker->view_capacity; i++)
		view_free(worker->views[i]);
	free(worker->views);
	worker->views = NULL;
	worker->view_capacity = 0;
}

struct params *pool_welcome(struct pool_view *view, const struct params *wanted)
{
	size_t i;

	for (i = 0; i < WELCOMES; i++)
		if (view->welcomes[i].reported && view->welcomes[i].wanted == wanted)
			return view->welcomes[i].reported;
	return NULL;
}

void pool_learn(struct pool_view *view, struct params *wanted, struct params *reported)
{
	struct welcome *welcome = &view->welcomes[view->welcome_next++ % WELCOMES];

	params_drop(welcome->wanted);
	params_drop(welcome->reported);
	welcome->wanted = params_keep(wanted);
	welcome->reported = params_keep(reported);
}

void pool_forget(struct pool_view *view)
{
	size_t i;

	for (i = 0; i < WELCOMES; i++) {
		params_drop(view->welcomes[i].wanted);
		params_drop(view->welcomes[i].reported);
		view->welcomes[i] = (struct welcome){ 0 };
	}
}
