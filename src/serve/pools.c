/* What this worker knows of each pool: its rules and where its servers are, from the configuration in force here; and this worker's share
 * of the counters.
 *
 * A view is made once and lives as long as the worker; a new configuration only renews what it says. */
#include <stdlib.h>

#include "base/array.h"
#include "base/hash.h"
#include "serve/catalogs.h"
#include "serve/monitor.h"
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
		.keep_min = settings && settings->user && strcmp(settings->user, view->user) == 0,
		.fast_close = config->server_fast_close && rules->mode == POOL_SESSION,
		.fair = config->origin_fairness,
		.origin_servers_max = (uint32_t)rules->origin_servers_max,
		.replication = view->replication,
	};
	*database = (struct database_rules){
		.servers_max = (uint32_t)rules->database_connections_max,
		.clients_max = (uint32_t)clients,
		.automatic = settings && strcmp(settings->name, "*") == 0,
	};
}

/* The PostgreSQL server of its pools; under the house's lock. */
static instance_id instance_of(struct house *house, const struct pool_view *view)
{
	char name[INSTANCE_NAME];

	return instance_name(view->database, name) ? core_instance(house->core, span_text(name)) : NO_INSTANCE;
}

/* A connection for replication is its client's, as it is, for as long as it lasts; what goes over it has no end that a limit could be for. */
static void for_replication(struct pool_rules *rules)
{
	rules->mode = POOL_SESSION;
	rules->transparency = TRANSPARENCY_OFF;
	rules->min_size = 0;
	rules->query_timeout = rules->transaction_timeout = rules->idle_transaction_timeout = 0;
}

static void renew(struct worker *worker, struct pool_view *view)
{
	bool sessions = view->rules.mode == POOL_SESSION;

	view->database = config_database(worker->config, span_text(view->database_name));
	if (view->database)
		config_pool_rules(worker->config, view->database, span_text(view->user), &view->rules);
	if (view->replication)
		for_replication(&view->rules);
	view->exchanged = view->generation > 0 && (view->rules.mode == POOL_SESSION) != sessions;
	if (view->exchanged)
		atomic_store(&worker->house->modes_mixed, true);
	view->generation = worker->generation;
}

static bool place(struct worker *worker, struct pool_view *view)
{
	struct pool_view **views = array_reach(worker->views, &worker->view_capacity, view->id, sizeof *views);

	if (!views)
		return false;
	worker->views = views;
	worker->views[view->id] = view;
	return true;
}

static void view_free(struct pool_view *view)
{
	if (!view)
		return;
	catalogs_part(view);
	free(view->database_name);
	free(view->user);
	free(view);
}

static struct pool_view *view_new(struct worker *worker, struct span database, struct span user, bool replication)
{
	struct pool_view *view = calloc(1, sizeof *view);

	if (!view)
		return NULL;
	view->id = NO_POOL;
	view->replication = replication;
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
	view = known ? view_new(worker, picture.database_name, picture.user, picture.rules.replication) : NULL;
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

/* Where the view of this pool is remembered: most logins are for few pools. */
static struct pool_view **known_place(struct worker *worker, struct span database, struct span user)
{
	return &worker->views_known[(hash_bytes(database) * 3 + hash_bytes(user)) % VIEWS_KNOWN];
}

static bool view_is_of(const struct worker *worker, const struct pool_view *view,
	const struct database_settings *settings, struct span database, struct span user, bool replication)
{
	return view && view->replication == replication && view->generation == worker->generation &&
		view->database == settings && span_equal(span_text(view->database_name), database) &&
		span_equal(span_text(view->user), user);
}

static struct pool_view *view_as(
	struct worker *worker, struct span database, struct span user, bool replication, bool *unknown)
{
	const struct database_settings *settings = config_database(worker->config, database);
	struct house *house = worker->house;
	struct core_pool_rules pool_rules;
	struct database_rules database_rules;
	struct pool_view *view, **known;
	pool_id id = NO_POOL;

	*unknown = !settings;
	if (!settings)
		return NULL;
	known = known_place(worker, database, user);
	if (view_is_of(worker, *known, settings, database, user, replication))
		return *known;
	view = view_new(worker, database, user, replication);
	if (!view)
		return NULL;
	core_rules_of(view, &pool_rules, &database_rules, worker->config);
	lock_take(house->lock);
	view->database_id = core_database(house->core, database, &database_rules);
	if (view->database_id != NO_DATABASE) {
		/* A command may have named the database before anybody used it. */
		core_set_database_rules(house->core, view->database_id, &database_rules, worker->now, &worker->effects);
		pool_rules.instance = instance_of(house, view);
		id = core_pool(house->core, view->database_id, user, &pool_rules);
	}
	lock_drop(house->lock);
	if (id == NO_POOL || (id < worker->view_capacity && worker->views[id])) {
		view_free(view);
		if (id != NO_POOL)
			*known = worker->views[id];
		return id == NO_POOL ? NULL : worker->views[id];
	}
	view->id = id;
	if (!place(worker, view)) {
		view_free(view);
		return NULL;
	}
	*known = view;
	return view;
}

/* The user whom the entry forces, or this one. */
static struct span user_there(const struct worker *worker, struct span database, struct span user)
{
	const struct database_settings *settings = config_database(worker->config, database);

	return settings && settings->user ? span_text(settings->user) : user;
}

struct pool_view *pool_view_for(struct worker *worker, struct span database, struct span user, bool *unknown)
{
	return view_as(worker, database, user_there(worker, database, user), false, unknown);
}

struct pool_view *pool_view_replication(struct worker *worker, struct span database, struct span user, bool *unknown)
{
	/* The other one comes first, whose row of SHOW POOLS counts for both. */
	if (!pool_view_for(worker, database, user, unknown))
		return NULL;
	return view_as(worker, database, user_there(worker, database, user), true, unknown);
}

struct pool_view *pool_view_as(struct worker *worker, struct span database, struct span user, bool *unknown)
{
	return view_as(worker, database, user, false, unknown);
}

/* A pool with a forced user and a minimum is kept filled before anybody logs in: it must exist for that. */
static void keep_minimum(struct worker *worker)
{
	const struct config *config = worker->config;
	size_t i;

	for (i = 0; worker->index == 0 && i < config->database_count; i++) {
		const struct database_settings *database = &config->databases[i];
		int least = database->min_pool_size != UNSET ? database->min_pool_size : config->min_pool_size;
		bool unknown;

		if (database->user && least > 0 && strcmp(database->name, "*") != 0)
			(void)pool_view_for(worker, span_text(database->name), span_text(database->user), &unknown);
	}
	worker_wake_core(worker);
}

/* ---- a new configuration ---- */

static bool text_differs(const char *a, const char *b)
{
	return a != b && (!a || !b || strcmp(a, b) != 0);
}

/* Servers made by the one entry are not what the other asks for. */
static bool leads_elsewhere(const struct database_settings *a, const struct database_settings *b)
{
	size_t i;

	if (!a || !b)
		return a != b;
	if (a->host_count != b->host_count || a->target != b->target || text_differs(a->dbname, b->dbname) ||
		text_differs(a->user, b->user) || text_differs(a->password, b->password) ||
		text_differs(a->connect_query, b->connect_query) ||
		text_differs(a->client_encoding, b->client_encoding) || text_differs(a->datestyle, b->datestyle) ||
		text_differs(a->timezone, b->timezone) || text_differs(a->application_name, b->application_name))
		return true;
	for (i = 0; i < a->host_count; i++)
		if (a->hosts[i].port != b->hosts[i].port || strcmp(a->hosts[i].name, b->hosts[i].name) != 0)
			return true;
	return false;
}

/* Servers of databases whose entry leads elsewhere now are replaced, and what their logins report is learnt anew; everything else stays. */
static void reconnect_changed(struct worker *worker, const struct config *before)
{
	struct house *house = worker->house;
	struct event event = { .now = worker->now };
	struct pool_picture picture;

	for (pool_id id = 0;; id++) {
		struct span name;
		bool known;

		lock_take(house->lock);
		known = core_pool_picture(house->core, id, &picture);
		lock_drop(house->lock);
		if (!known)
			break;
		name = picture.database_name;
		if (!leads_elsewhere(config_database(before, name), config_database(worker->config, name)))
			continue;
		pool_forget(worker, id);
		catalogs_forget(house->catalogs, picture.database);
		event.database = picture.database;
		/* Where the entry has left, nobody can be served any more, and so nobody is left. */
		event.kind = config_database(worker->config, name) ? EVENT_RECONNECT : EVENT_EXPEL;
		worker_step(worker, &event);
	}
}

/* What was dialed by the one configuration is not encrypted as the other wants it. */
static bool encrypts_otherwise(const struct config *a, const struct config *b)
{
	return a->server_tls_sslmode != b->server_tls_sslmode ||
		a->server_tls_negotiation != b->server_tls_negotiation ||
		text_differs(a->server_tls_ca_file, b->server_tls_ca_file) ||
		text_differs(a->server_tls_crl_file, b->server_tls_crl_file) ||
		text_differs(a->server_tls_key_file, b->server_tls_key_file) ||
		text_differs(a->server_tls_cert_file, b->server_tls_cert_file) ||
		text_differs(a->server_tls_protocols, b->server_tls_protocols) ||
		text_differs(a->server_tls_ciphers, b->server_tls_ciphers) ||
		text_differs(a->server_tls13_ciphers, b->server_tls13_ciphers);
}

/* Who asks for encryption by RELOAD must not find servers of before without it, an hour later. Each worker says so when it dials by the
 * new settings: what others dialed by the old ones until then is among those. */
static void reconnect_all(struct worker *worker)
{
	const struct event event = { .kind = EVENT_RECONNECT, .now = worker->now, .database = NO_DATABASE };

	worker_step(worker, &event);
}

/* A session leaves what its reset query spares, and who shares a server what is asked about before the next one's statements: the plans of functions,
 * say. The one is not looked for where servers are shared, nor the other in sessions, so neither gets a server that the other had. Each worker says so: until
 * then it lends by the former mode. */
static void reconnect_exchanged(struct worker *worker)
{
	struct event event = { .kind = EVENT_RECONNECT, .now = worker->now };

	for (uint32_t i = 0; i < worker->view_capacity; i++) {
		struct pool_view *view = worker->views[i];

		if (!view || !view->exchanged)
			continue;
		view->exchanged = false;
		event.database = view->database_id;
		worker_step(worker, &event);
	}
}

void pool_views_configure(struct worker *worker, const struct config *before)
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
		core_rules_of(view, &pool_rules, &database_rules, worker->config);
		lock_take(house->lock);
		pool_rules.instance = instance_of(house, view);
		core_set_pool_rules(house->core, view->id, &pool_rules, worker->now, &worker->effects);
		core_set_database_rules(house->core, view->database_id, &database_rules, worker->now, &worker->effects);
		/* Each worker says so: what others dialed until then was by what stood there before. */
		if (before != worker->config)
			core_try_again(house->core, view->id, worker->now, &worker->effects);
		lock_drop(house->lock);
	}
	if (worker->index == 0 && before != worker->config)
		reconnect_changed(worker, before);
	if (before != worker->config && encrypts_otherwise(before, worker->config))
		reconnect_all(worker);
	if (before != worker->config)
		reconnect_exchanged(worker);
	keep_minimum(worker);
}

/* Counters begin anew. What its servers report was learnt from servers that have been gone for long. */
void pool_unused(struct worker *worker, pool_id id)
{
	struct pool_view *view = id < worker->view_capacity ? worker->views[id] : NULL;

	if (!view)
		return;
	view->stats = view->marked = view->last_period = (struct stat_counters){ 0 };
	view->times = (struct pool_times){ 0 };
	view->unused = true;
	if (worker->index == 0)
		pool_forget(worker, id);
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
