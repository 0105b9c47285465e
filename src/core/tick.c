#include "core/state.h"

/* What time brings, looked at when a TICK comes:
 *
 *   a lost server that was waited for long enough      -> its slot is free
 *   a server that rested for server_idle_timeout       -> CLOSE, not below the pool's least
 *   a resting server older than server_lifetime        -> CLOSE, spaced lifetime/size apart so that they do not all go at once
 *   the end of a pause after a failed dial             -> DIAL for who waits
 *   the same, and nobody waits any more                -> PostgreSQL is taken for full no longer
 *   a waiter older than reserve_pool_timeout           -> DIAL from the reserve
 *   fewer servers than the least                       -> DIAL, one at a time
 *   an origin whose rate lets its next login in        -> ADMIT
 *   a client that has waited long enough for one server -> it waits for any
 *   a pool that nobody has used for long               -> FORGET
 *
 * The deadline is kept by lowering it: whoever makes something due calls tick_hurry with the time, which costs one comparison. Nothing
 * raises it but a TICK, which looks at every pool. So it is never too late; the audit computes it in full and compares. */

void tick_hurry(struct core *core, time_us due)
{
	check(due >= 0);
	if (due && (core->deadline == 0 || due < core->deadline))
		core->deadline = due;
}

static time_us lifetime_gap(const struct pool *pool)
{
	return pool->rules.size ? pool->rules.lifetime / pool->rules.size : 0;
}

time_us lifetime_due(const struct server *s)
{
	const struct pool *pool = s->pool;
	time_us due = s->born + pool->rules.lifetime;

	if (pool->rules.lifetime == 0)
		return 0;
	if (pool->last_lifetime_close && due < pool->last_lifetime_close + lifetime_gap(pool))
		due = pool->last_lifetime_close + lifetime_gap(pool);
	return due;
}

bool lifetime_over(const struct core *core, const struct server *s)
{
	if (s->pool->rules.lifetime == 0)
		return s->used;
	return lifetime_due(s) <= core->now;
}

static void sooner(time_us *due, time_us candidate)
{
	*due = time_sooner(*due, candidate);
}

static struct server *last_of(const struct pool *pool, enum server_state state)
{
	const struct link *list = &pool->by_state[state];

	return link_empty(list) ? NULL : link_owner(list->prev, struct server, link);
}

static struct server *first_of(const struct pool *pool, enum server_state state)
{
	const struct link *list = &pool->by_state[state];

	return link_empty(list) ? NULL : link_owner(list->next, struct server, link);
}

/* A server that rested too long and may go. */
static struct server *idle_too_long(const struct core *core, const struct pool *pool, time_us *due)
{
	struct server *s = last_of(pool, SERVER_IDLE);

	*due = 0;
	if (!s || core->rules.server_idle_timeout == 0 || pool_staying(pool) <= pool_least(pool))
		return NULL;
	*due = s->since + core->rules.server_idle_timeout;
	return *due <= core->now ? s : NULL;
}

static struct server *orphan_too_long(const struct core *core, const struct pool *pool, time_us *due)
{
	struct server *s = first_of(pool, SERVER_ORPHANED);

	*due = s ? s->since + core->rules.orphan_timeout : 0;
	return s && *due <= core->now ? s : NULL;
}

time_us tick_pool_due(const struct core *core, const struct pool *pool)
{
	const struct link *idle = &pool->by_state[SERVER_IDLE];
	time_us due = 0, candidate;

	orphan_too_long(core, pool, &candidate);
	sooner(&due, candidate);
	idle_too_long(core, pool, &candidate);
	sooner(&due, candidate);
	for (struct link *l = idle->next; l != idle; l = l->next)
		sooner(&due, lifetime_due(link_owner(l, struct server, link)));
	sooner(&due, dial_due(core, pool));
	sooner(&due, dial_min_due(core, pool));
	sooner(&due, dial_full_due(core, pool));
	sooner(&due, forget_due(core, pool));
	sooner(&due, heirs_due(pool));
	return due;
}

void tick_all_due(struct core *core)
{
	for (uint32_t i = 0; i < core->pools_count; i++)
		tick_hurry(core, tick_pool_due(core, core->pools[i]));
	tick_hurry(core, porches_due(core));
}

static void tick_pool(struct core *core, struct pool *pool)
{
	struct link *idle = &pool->by_state[SERVER_IDLE];
	struct server *s;
	time_us due;

	while ((s = orphan_too_long(core, pool, &due)) != NULL)
		server_gone(core, &s);
	while ((s = idle_too_long(core, pool, &due)) != NULL)
		server_close(core, s, CLOSE_IDLE);
	for (struct link *l = idle->prev, *before; l != idle; l = before) {
		s = link_owner(l, struct server, link);
		before = l->prev;
		if (lifetime_over(core, s)) {
			pool->last_lifetime_close = core->now;
			server_close(core, s, CLOSE_LIFETIME);
		}
	}
	heirs_tick(core, pool);
	due = dial_full_due(core, pool);
	if (due && due <= core->now)
		dial_full_over(core, pool);
	if (dial_wanted(pool))
		limits_hunger(core, pool);
}

void tick(struct core *core, const struct event *event)
{
	(void)event;
	if (core->deadline == 0 || core->now < core->deadline)
		return;
	for (uint32_t i = 0; i < core->pools_count; i++)
		tick_pool(core, core->pools[i]);
	limits_turns(core);
	for (uint32_t i = 0; i < core->pools_count; i++)
		dial_keep_min(core, core->pools[i]);
	for (uint32_t i = 0; i < core->pools_count; i++)
		forget_unused(core, core->pools[i]);
	porches_open(core);
	core->deadline = 0;
	tick_all_due(core);
}
