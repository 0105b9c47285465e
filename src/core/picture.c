#include "base/text.h"
#include "core/state.h"

/* Pictures: copies of what the core knows, for consoles, metrics and for the client that is told why it waited. They change
 * nothing, and what is in them is true of one moment under the lock of whoever asks. */

uint32_t core_pools(const struct core *core)
{
	return core->pools_count;
}

static time_us oldest_lease(const struct pool *pool)
{
	const struct link *lent = &pool->by_state[SERVER_LENT];

	return link_empty(lent) ? 0 : link_owner(lent->next, struct server, link)->since;
}

static time_us oldest_wait(const struct pool *pool)
{
	const struct client *oldest = waiters_oldest(pool);
	time_us since = oldest ? oldest->since : 0;

	for (const struct line *line = pool->kept ? pool->lines : NULL; line; line = line->hh.next) {
		time_us its = line->kept_count ? link_owner(line->kept.next, struct client, in_line)->since : 0;

		if (its && (since == 0 || its < since))
			since = its;
	}
	for (const struct link *l = pool->heirs.next; l != &pool->heirs; l = l->next) {
		time_us its = link_owner(l, struct client, link)->since;

		if (since == 0 || its < since)
			since = its;
	}
	return since;
}

bool core_pool_picture(const struct core *core, pool_id id, struct pool_picture *out)
{
	const struct pool *pool;

	if (id >= core->pools_count)
		return false;
	pool = core->pools[id];
	*out = (struct pool_picture){
		.database = pool->database->id,
		.database_name = pool->database->name,
		.user = pool->user->name,
		.rules = pool->rules,
		.waiting = pool->waiting + pool->kept + pool->heirs_count,
		.kept = pool->kept,
		.lent = pool->count[SERVER_LENT],
		.idle = pool->count[SERVER_IDLE],
		.dialing = pool->count[SERVER_DIALING],
		.cleaning = pool->count[SERVER_CLEANING],
		.moving = pool->count[SERVER_MOVING],
		.closing = pool->count[SERVER_CLOSING],
		.orphaned = pool->count[SERVER_ORPHANED],
		.clients = pool->clients,
		.oldest_wait_since = oldest_wait(pool),
		.oldest_lease_since = oldest_lease(pool),
		.median_lease = pool->median_lease,
		.leases = pool->leases,
		.failures = pool->failures,
		.failing = pool->failed && pool_live(pool) == 0,
		.full_since = pool->full_since,
		.full_target = pool->full_target,
		.forgotten = pool->forgotten,
	};
	if (pool->lengths) {
		out->waits = pool->lengths->waits;
		out->lease_times = pool->lengths->leases;
	}
	text_copy(out->failure, sizeof(out->failure), pool->failure_text);
	text_copy(out->sqlstate, sizeof(out->sqlstate), pool->sqlstate);
	return true;
}

void core_nearer_limit(uint32_t *count, uint32_t *most, uint32_t more, uint32_t limit)
{
	uint32_t room = limit > more ? limit - more : 0;

	if (limit == 0 || (*most > 0 && *most <= *count + room))
		return;
	*count = more;
	*most = limit;
}

bool core_pool_reach(const struct core *core, pool_id id, struct pool_reach *out)
{
	const struct pool *pool;

	if (id >= core->pools_count)
		return false;
	pool = core->pools[id];
	*out = (struct pool_reach){ .waiting_beside = limits_beside(core, pool) };
	out->servers_most = limits_most(pool, &out->bound);
	core_nearer_limit(
		&out->clients, &out->clients_most, pool->database->clients, pool->database->rules.clients_max);
	core_nearer_limit(&out->clients, &out->clients_most, pool->user->clients, pool->user->clients_max);
	return true;
}

bool core_pool_is_wanted(const struct core *core, pool_id id)
{
	return id < core->pools_count && (core->pools[id]->waiting > 0 || limits_beside(core, core->pools[id]) > 0);
}

bool core_pool_is_at_hand(const struct core *core, pool_id id)
{
	const struct pool *pool = id < core->pools_count ? core->pools[id] : NULL;

	return pool && !pool_paused(core, pool) && pool->waiting == 0 &&
		(pool->count[SERVER_IDLE] > 0 || pool->servers == 0);
}

enum client_waits core_client_waits(const struct core *core, struct client_ref ref)
{
	const struct client *c = client_find(core, ref);

	if (!c)
		return WAITS_NOT;
	if (c->stage == STAGE_PORCH)
		return WAITS_AT_PORCH;
	if (c->stage == STAGE_DOOR)
		return WAITS_AT_DOOR;
	if (c->want == WANT_KEPT)
		return WAITS_KEPT;
	return c->want == WANT_WAITS || c->want == WANT_HEIR ? WAITS_ANY : WAITS_NOT;
}

/* Into its place among those that wait as long or longer. False: all of them do, so whoever came later need not be asked. */
static bool rank(struct waiter_picture *out, size_t *count, size_t most, const struct client *client)
{
	size_t at = *count;

	while (at > 0 && out[at - 1].since > client->since)
		at--;
	if (at == most)
		return false;
	*count += *count < most;
	memmove(&out[at + 1], &out[at], (*count - at - 1) * sizeof *out);
	out[at] = (struct waiter_picture){ .client = client->ref, .since = client->since };
	return true;
}

size_t core_pool_waiters(const struct core *core, pool_id id, struct waiter_picture *out, size_t most)
{
	const struct pool *pool = id < core->pools_count ? core->pools[id] : NULL;
	size_t count = 0;

	for (uint32_t w = 0; pool && pool->waiting > 0 && w < pool->workers; w++) {
		const struct link *waiters = &pool->at[w].waiters;

		for (const struct link *l = waiters->next; l != waiters; l = l->next)
			if (!rank(out, &count, most, link_owner(l, struct client, link)))
				break;
	}
	for (const struct line *line = pool && pool->kept ? pool->lines : NULL; line; line = line->hh.next)
		for (const struct link *l = line->kept.next; l != &line->kept; l = l->next)
			if (!rank(out, &count, most, link_owner(l, struct client, in_line)))
				break;
	for (const struct link *l = pool ? pool->heirs.next : NULL; l && l != &pool->heirs; l = l->next)
		(void)rank(out, &count, most, link_owner(l, struct client, link));
	return count;
}

uint32_t core_databases(const struct core *core)
{
	return core->databases_count;
}

static bool is_forgotten(const struct database *database)
{
	const struct link *pools = &database->scope.pools;

	for (const struct link *l = pools->next; l != pools; l = l->next)
		if (!link_owner(l - SCOPE_DATABASE, struct pool, scope_links)->forgotten)
			return false;
	return true;
}

bool core_database_picture(const struct core *core, database_id id, struct database_picture *out)
{
	const struct database *database;

	if (id >= core->databases_count)
		return false;
	database = core->databases[id];
	*out = (struct database_picture){
		.name = database->name,
		.rules = database->rules,
		.servers = database->scope.servers,
		.clients = database->clients,
		.paused = database->paused,
		.disabled = database->disabled,
		.kill_paused = database->kill_paused,
		.forgotten = is_forgotten(database),
	};
	return true;
}

bool core_instance_picture(const struct core *core, instance_id id, struct instance_picture *out)
{
	const struct instance *instance;
	const struct scope *scope;

	if (id >= core->instances_count)
		return false;
	instance = core->instances[id];
	scope = &instance->scope;
	*out = (struct instance_picture){ .name = instance->name,
		.servers = scope->servers,
		.aside = scope->aside,
		.visitors = scope->visitors,
		.target = scope->max };
	for (const struct link *l = scope->pools.next; l != &scope->pools; l = l->next) {
		const struct pool *pool = link_owner(l - SCOPE_INSTANCE, struct pool, scope_links);

		out->lent += pool->count[SERVER_LENT];
		out->idle += pool->count[SERVER_IDLE];
		out->dialing += pool->count[SERVER_DIALING];
		out->cleaning += pool->count[SERVER_CLEANING];
		out->moving += pool->count[SERVER_MOVING];
		out->closing += pool->count[SERVER_CLOSING];
		out->orphaned += pool->count[SERVER_ORPHANED];
		out->waiting += pool->waiting;
		if (pool->full_since && (!out->full_since || pool->full_since < out->full_since))
			out->full_since = pool->full_since;
	}
	return true;
}

bool core_server_picture(const struct core *core, server_id id, struct server_picture *out)
{
	const struct server *s = server_of(core, id);

	if (!s)
		return false;
	*out = (struct server_picture){
		.pool = s->pool->id,
		.instance = s->pool->rules.instance,
		.process_id = s->process_id,
		.worker = s->worker,
		.state = s->state,
		.born = s->born,
		.since = s->since,
		.close_needed = s->close_needed,
	};
	if (s->holder)
		out->holder = s->holder->ref;
	return true;
}

server_id core_server_next(const struct core *core, uint32_t *slot)
{
	const struct server *s = slots_next(&core->servers, slot);

	return s ? s->id : (server_id){ 0 };
}

void core_totals(const struct core *core, struct totals_picture *out)
{
	*out = (struct totals_picture){
		.clients = core->clients_count,
		.at_door = core->at_porch + core->at_door,
		.logging_in = core->logging_in,
		.waiting = core->waiting,
		.lent = core->lent,
		.servers = core->scope.servers,
		.door_waits = core->door_waits,
		.paused = core->paused,
		.suspended = core->suspension != 0,
		.shutting_down = core->shutting_down,
	};
	for (uint32_t i = 0; i < core->databases_count; i++)
		out->killed = out->killed || core->databases[i]->kill_paused;
}

bool core_user_counts(const struct core *core, struct span name, uint32_t *servers, uint32_t *clients)
{
	const struct user *user;

	HASH_FIND(hh, core->users_by_name, name.at, name.length, user);
	if (!user)
		return false;
	*servers = user->scope.servers;
	*clients = user->clients;
	return true;
}
