#include <stdlib.h>

#include "core/state.h"

/* Pools that nobody uses are forgotten after a while: what was counted for them, and that they are shown.
 *
 *             a client is named, a server dialed, somebody waits
 *   UNUSED --------------------------------------------------------> IN USE
 *     |    <--------------------------------------------------------
 *     |             the last of all these is gone                      ^
 *     | pool_idle_timeout since then;                                   |
 *     | or autodb_idle_timeout since all pools                          |
 *     v of a database that came by * are unused                         |
 *   FORGOTTEN ----------------------------------------------------------+
 *
 * Its id stays, since workers hold ids without asking, and it begins anew under it: with all figures at nothing. What a forgotten pool
 * still costs is its names and some hundred bytes. One that min_size keeps servers for is in use even while none can be opened. */

static bool has_somebody(const struct pool *pool)
{
	return pool->clients || pool->servers || pool->waiting || pool->kept || pool->heirs_count;
}

void pool_used(struct pool *pool)
{
	if (pool->in_use)
		return;
	pool->in_use = true;
	pool->forgotten = false;
	pool->database->pools_in_use++;
}

void pool_left(struct core *core, struct pool *pool)
{
	struct database *database = pool->database;

	if (!pool->in_use || has_somebody(pool))
		return;
	pool->in_use = false;
	pool->unused_since = core->now;
	check(database->pools_in_use > 0);
	database->pools_in_use--;
	database->unused_since = core->now;
	tick_hurry(core, forget_due(core, pool));
	if (database->pools_in_use == 0 && database->rules.automatic && core->rules.autodb_idle_timeout)
		tick_hurry(core, core->now + core->rules.autodb_idle_timeout);
}

time_us forget_due(const struct core *core, const struct pool *pool)
{
	const struct core_rules *rules = &core->rules;
	const struct database *database = pool->database;
	time_us due = 0, automatic = 0;

	if (pool->in_use || pool->forgotten || pool_least(pool) > 0)
		return 0;
	if (rules->pool_idle_timeout)
		due = pool->unused_since + rules->pool_idle_timeout;
	if (rules->autodb_idle_timeout && database->rules.automatic && database->pools_in_use == 0)
		automatic = database->unused_since + rules->autodb_idle_timeout;
	return time_sooner(due, automatic);
}

static void tell_workers(struct core *core, const struct pool *pool)
{
	for (uint32_t w = 0; w < core->setup.workers; w++)
		effect_add(core, EFFECT_FORGET, w)->pool = pool->id;
}

void forget_unused(struct core *core, struct pool *pool)
{
	time_us due = forget_due(core, pool);

	if (due == 0 || core->now < due)
		return;
	check(!has_somebody(pool));
	pool->forgotten = true;
	lines_forget(pool);
	free(pool->lengths);
	pool->lengths = NULL;
	pool->leases = pool->failures = 0;
	pool->median_lease = pool->last_lifetime_close = 0;
	pool->failed = false;
	pool->retry_at = pool->room_at = pool->pause = 0;
	dial_full_over(core, pool);
	tell_workers(core, pool);
}
