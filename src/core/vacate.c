#include "core/state.h"

/* Room for who drops a database.
 *
 * DROP DATABASE, ALTER DATABASE RENAME and CREATE DATABASE from a template are refused while others are connected to that database
 * (PostgreSQL's source: CountOtherDBBackends). An application whose clients have left it is right to expect that nobody is; but idle
 * servers of ours are. PostgreSQL waits five seconds for others to leave, so it is enough that they begin to when the statement comes:
 *
 *   VACATE: for five seconds,   an idle server of a database without clients closes
 *                               one that becomes free there closes
 *                               when the last client of a database leaves, its idle servers close
 *
 * A database that has clients keeps its servers, and PostgreSQL refuses, as it would directly. Which database is meant is not asked: one that
 * nobody is in misses its servers hardly. A pool of a minimum size would only dial again, and keeps them. */

#define VACATE_US (5 * SECOND_US)

static bool is_time(const struct core *core, const struct pool *pool)
{
	return core->now < pool->scopes[SCOPE_INSTANCE]->vacate_until;
}

/* Who waits though the database has no client wants to know of PostgreSQL whether one may come in (auth_query): he is served first, or
 * one server after the other would be dialed for him. */
bool pool_vacated(const struct core *core, const struct pool *pool)
{
	return is_time(core, pool) && pool->database->clients == 0 && pool->waiting == 0 && !pool->is_keeper;
}

static void vacate_all(struct core *core, struct scope *instance)
{
	for (struct link *l = instance->pools.next; l != &instance->pools; l = l->next) {
		struct pool *pool = link_owner(l - SCOPE_INSTANCE, struct pool, scope_links);

		if (pool_vacated(core, pool))
			pool_close_idle(core, pool, CLOSE_VACATED);
	}
}

void vacate(struct core *core, const struct event *event)
{
	struct scope *instance;

	check(event->pool < core->pools_count);
	instance = core->pools[event->pool]->scopes[SCOPE_INSTANCE];
	instance->vacate_until = core->now + VACATE_US;
	vacate_all(core, instance);
}

void vacate_left(struct core *core, struct pool *pool)
{
	if (is_time(core, pool) && pool->database->clients == 0)
		vacate_all(core, pool->scopes[SCOPE_INSTANCE]);
}
