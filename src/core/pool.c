#include <stdlib.h>

#include "core/state.h"

/* Databases, users, PostgreSQL servers and pools: made when a client first needs them, found again by name, and alive as long as
 * the core, so that ids in the hands of workers are never stale. Each database, user and PostgreSQL server is a scope (a limit
 * and its counts); the whole is one too, bounded by the descriptors we may have.
 *
 *   pool app/web ---- scopes[ALL], scopes[DATABASE] of "app", scopes[USER] of "web", scopes[INSTANCE] of "10.0.0.1:5432"
 *
 * A pool's PostgreSQL server may become another one with a new configuration. Its servers go along in the counts at once, though
 * those that are lent stay connected to the old one until their lease is over (whoever changes it lets them reconnect). So the
 * new one counts too many for a while, never too few. */

static void scope_init(struct scope *scope, uint32_t max)
{
	*scope = (struct scope){ .max = max };
	link_init(&scope->pools);
}

database_id core_database_find(const struct core *core, struct span name)
{
	struct database *database;

	HASH_FIND(hh, core->databases_by_name, name.at, name.length, database);
	return database ? database->id : NO_DATABASE;
}

/* The array grows by one place more, doubling now and then. */
static void *array_grown(void *array, uint32_t count, size_t size)
{
	void *grown = array;

	if (count == 0 || (count >= 8 && (count & (count - 1)) == 0) || count < 8)
		grown = realloc(array, (count < 8 ? count + 1 : (size_t)count * 2) * size);
	check(grown != NULL);
	return grown;
}

database_id core_database(struct core *core, struct span name, const struct database_rules *rules)
{
	struct database *database;
	database_id found = core_database_find(core, name);

	if (found != NO_DATABASE)
		return found;
	check(rules != NULL);
	database = core_memory(sizeof(*database) + name.length + 1);
	memcpy(database->name_bytes, name.at, name.length);
	database->name = span_of(database->name_bytes, name.length);
	database->id = core->databases_count;
	database->rules = *rules;
	scope_init(&database->scope, rules->servers_max);
	core->databases = array_grown(core->databases, core->databases_count, sizeof(struct database *));
	core->databases[core->databases_count++] = database;
	HASH_ADD_KEYPTR(hh, core->databases_by_name, database->name_bytes, name.length, database);
	check(core_database_find(core, name) == database->id);
	return database->id;
}

static struct user *user_take(struct core *core, struct span name)
{
	struct user *user;

	HASH_FIND(hh, core->users_by_name, name.at, name.length, user);
	if (user)
		return user;
	user = core_memory(sizeof(*user) + name.length + 1);
	memcpy(user->name_bytes, name.at, name.length);
	user->name = span_of(user->name_bytes, name.length);
	scope_init(&user->scope, 0);
	HASH_ADD_KEYPTR(hh, core->users_by_name, user->name_bytes, name.length, user);
	return user;
}

instance_id core_instance(struct core *core, struct span name)
{
	struct instance *instance;

	HASH_FIND(hh, core->instances_by_name, name.at, name.length, instance);
	if (instance)
		return instance->id;
	instance = core_memory(sizeof(*instance) + name.length + 1);
	memcpy(instance->name_bytes, name.at, name.length);
	instance->name = span_of(instance->name_bytes, name.length);
	instance->id = core->instances_count;
	scope_init(&instance->scope, 0);
	core->instances = array_grown(core->instances, core->instances_count, sizeof(struct instance *));
	core->instances[core->instances_count++] = instance;
	HASH_ADD_KEYPTR(hh, core->instances_by_name, instance->name_bytes, name.length, instance);
	return instance->id;
}

static struct scope *instance_scope(struct core *core, instance_id id)
{
	if (id == NO_INSTANCE)
		return &core->nowhere;
	check(id < core->instances_count);
	return &core->instances[id]->scope;
}

static void count_all(struct scope *scope, const struct pool *pool, bool add)
{
	uint32_t sign = add ? 1 : (uint32_t)-1;

	check(add || scope->servers >= pool->servers);
	scope->servers += sign * pool->servers;
	scope->leaving += sign * (pool->count[SERVER_CLOSING] + pool->count[SERVER_ORPHANED]);
	scope->idle += sign * pool->count[SERVER_IDLE];
}

static void go_to_instance(struct core *core, struct pool *pool, instance_id id)
{
	struct scope *from = pool->scopes[SCOPE_INSTANCE], *to = instance_scope(core, id);

	if (from == to)
		return;
	if (from) {
		count_all(from, pool, false);
		link_remove(&pool->scope_links[SCOPE_INSTANCE]);
		limits_fit(from);
	}
	count_all(to, pool, true);
	pool->scopes[SCOPE_INSTANCE] = to;
	link_last(&to->pools, &pool->scope_links[SCOPE_INSTANCE]);
}

static void take_rules(struct core *core, struct pool *pool, const struct core_pool_rules *rules)
{
	bool keeper = rules->min_size > 0;

	pool->rules = *rules;
	pool->user->scope.max = rules->user_servers_max;
	pool->scopes[SCOPE_PAIR]->max = rules->size ? rules->size + rules->reserve : 0;
	pool->user->clients_max = rules->user_clients_max;
	if (keeper && !pool->is_keeper)
		link_last(&core->keepers, &pool->keeper);
	else if (!keeper && pool->is_keeper)
		link_remove(&pool->keeper);
	pool->is_keeper = keeper;
	go_to_instance(core, pool, rules->instance);
}

static struct pool *pool_of_user(const struct database *database, const struct user *user, bool replication)
{
	const struct link *pools = &user->scope.pools;

	for (struct link *l = pools->next; l != pools; l = l->next) {
		struct pool *pool = link_owner(l - SCOPE_USER, struct pool, scope_links);

		if (pool->database == database && pool->rules.replication == replication)
			return pool;
	}
	return NULL;
}

pool_id core_pool(struct core *core, database_id database, struct span name, const struct core_pool_rules *rules)
{
	struct user *user;
	struct pool *pool, *twin;

	check(database < core->databases_count);
	user = user_take(core, name);
	check(rules != NULL);
	pool = pool_of_user(core->databases[database], user, rules->replication);
	if (pool)
		return pool->id;
	twin = pool_of_user(core->databases[database], user, !rules->replication);
	pool = core_memory(sizeof(*pool) + core->setup.workers * sizeof(pool->at[0]));
	pool->id = core->pools_count;
	pool->database = core->databases[database];
	pool->user = user;
	pool->workers = core->setup.workers;
	pool->scopes[SCOPE_ALL] = &core->scope;
	pool->scopes[SCOPE_DATABASE] = &pool->database->scope;
	pool->scopes[SCOPE_USER] = &user->scope;
	scope_init(&pool->pair, 0);
	pool->scopes[SCOPE_PAIR] = twin ? &twin->pair : &pool->pair;
	for (unsigned i = 0; i < SCOPE_INSTANCE; i++)
		link_last(&pool->scopes[i]->pools, &pool->scope_links[i]);
	link_init(&pool->scope_links[SCOPE_INSTANCE]);
	for (unsigned i = 0; i < SERVER_STATES; i++)
		link_init(&pool->by_state[i]);
	for (uint32_t w = 0; w < pool->workers; w++) {
		link_init(&pool->at[w].waiters);
		link_init(&pool->at[w].idle);
	}
	link_init(&pool->hungry);
	link_init(&pool->keeper);
	link_init(&pool->resting);
	link_init(&pool->heirs);
	take_rules(core, pool, rules);
	core->pools = array_grown(core->pools, core->pools_count, sizeof(struct pool *));
	core->pools[core->pools_count++] = pool;
	pool->unused_since = core->now;
	tick_hurry(core, tick_pool_due(core, pool));
	return pool->id;
}

/* ---- rules that change ---- */

static void rules_begin(struct core *core, time_us now, struct effects *effects)
{
	check(core->out == NULL);
	core->out = effects;
	if (now > core->now)
		core->now = now;
}

/* Less room: what rests beyond it closes. More room: who waits longest takes it. */
static void rules_end(struct core *core)
{
	if (core->loose_heirs)
		heirs_join(core);
	if (!link_empty(&core->roomy))
		lines_admit(core);
	limits_shrink(core);
	for (uint32_t i = 0; i < core->pools_count; i++) {
		struct pool *pool = core->pools[i];

		/* Where it is fair now, what is in the mail for one origin does not cover another. */
		if (pool->waiting && pool->count[SERVER_IDLE])
			lend_rescue(core, pool);
		if (dial_wanted(pool))
			limits_hunger(core, pool);
	}
	limits_turns(core);
	porches_open(core);
	tick_all_due(core);
	door_open(core);
	core->out = NULL;
}

void core_set_rules(struct core *core, const struct core_rules *rules, time_us now, struct effects *effects)
{
	rules_begin(core, now, effects);
	core->rules = *rules;
	rules_end(core);
}

/* Who must close and would wait for the end of a session need not any more, where fast_close is new. */
static void hurry_all(struct core *core, struct pool *pool)
{
	const struct link *lent = &pool->by_state[SERVER_LENT];

	for (struct link *l = lent->next; pool->rules.fast_close && l != lent; l = l->next) {
		struct server *s = link_owner(l, struct server, link);

		if (s->close_needed)
			server_hurry(core, s);
	}
}

void core_set_pool_rules(
	struct core *core, pool_id id, const struct core_pool_rules *rules, time_us now, struct effects *effects)
{
	check(id < core->pools_count && core->pools[id]->rules.replication == rules->replication);
	rules_begin(core, now, effects);
	take_rules(core, core->pools[id], rules);
	lines_limit(core, core->pools[id]);
	heirs_limit(core, core->pools[id]);
	hurry_all(core, core->pools[id]);
	rules_end(core);
}

void core_try_again(struct core *core, pool_id id, time_us now, struct effects *effects)
{
	check(id < core->pools_count);
	rules_begin(core, now, effects);
	dial_again(core, core->pools[id]);
	rules_end(core);
}

void core_set_database_rules(
	struct core *core, database_id id, const struct database_rules *rules, time_us now, struct effects *effects)
{
	check(id < core->databases_count);
	rules_begin(core, now, effects);
	core->databases[id]->rules = *rules;
	core->databases[id]->scope.max = rules->servers_max;
	rules_end(core);
}
