#include "core/state.h"

/* Limits that pools share, and how pools give way to each other. They are people's wishes, but for one: what a PostgreSQL server
 * has room for, which is read there again and again (see limits_budget).
 *
 *   database "app", at most 3        pool app/web   [idle] [lent]
 *                                    pool app/job   [lent]           2 wait: hungry
 *
 * A pool is hungry when somebody waits for whom nothing is under way, its own size would allow a dial, and only a limit it
 * shares with others forbids it (its database's, its user's, its PostgreSQL server's, or the whole). Room is made for it by closing servers of others under the
 * same limit: the longest idle first; when none rests, one that comes free where nobody has a better claim. A claim
 * is better when it is older by less than a turn: a server's own pool keeps it until the hungry pool's waiter has waited one
 * median lease (at least 20 ms: a new connection is dear) longer than its own next waiter. No pool is made to close below
 * its least, but for one server to a pool that has none at all: min_pool_size is a wish, to be served a promise.
 *
 * A slot that comes free goes to the hungry pool whose waiter has waited longest; so they take turns. `rooms` counts
 * what closes for a pool already, so that one waiter costs one server. */

#define TURN_LEAST (20 * MILLISECOND_US)

static uint32_t counted(const struct scope *scope)
{
	return scope->servers + scope->aside + scope->visitors;
}

bool scope_full(const struct scope *scope)
{
	return scope->max && counted(scope) >= scope->max;
}

static bool scope_over(const struct scope *scope)
{
	return scope->max && counted(scope) - scope->leaving > scope->max;
}

bool pool_over(const struct pool *pool)
{
	if (pool->rules.size && pool_staying(pool) > pool->rules.size + pool->rules.reserve)
		return true;
	for (unsigned i = 0; i < SCOPES; i++) {
		if (scope_over(pool->scopes[i]))
			return true;
	}
	return false;
}

void limits_hunger(struct core *core, struct pool *pool)
{
	if (!pool->is_hungry)
		link_last(&core->hungry, &pool->hungry);
	pool->is_hungry = true;
}

static void sate(struct pool *pool)
{
	link_remove(&pool->hungry);
	pool->is_hungry = false;
}

/* More must close for it than closes already. */
static bool wants_room(const struct core *core, const struct pool *pool)
{
	uint32_t coming = pool->count[SERVER_DIALING] + pool->rooms;

	return coming < DIALS_AT_ONCE && waiters_uncovered(pool) > coming && dial_allowed(core, pool) == DIAL_SHARED;
}

/* May this pool be made to close a server for `hungry`? */
static bool may_give(const struct pool *pool, const struct pool *hungry)
{
	bool starves = pool_staying(hungry) == 0 && hungry->rooms == 0;

	return starves || pool_staying(pool) > pool_least(pool);
}

static struct server *longest_idle(const struct scope *scope, enum scope_kind kind, const struct pool *hungry)
{
	struct server *longest = NULL;

	if (scope->idle == 0)
		return NULL;
	for (struct link *l = scope->pools.next; l != &scope->pools; l = l->next) {
		struct pool *pool = link_owner(l - kind, struct pool, scope_links);
		struct server *s;

		if (pool == hungry || pool->count[SERVER_IDLE] == 0 || !may_give(pool, hungry))
			continue;
		s = link_owner(pool->by_state[SERVER_IDLE].prev, struct server, link);
		check(s->state == SERVER_IDLE);
		if (!longest || s->since < longest->since)
			longest = s;
	}
	return longest;
}

/* Close what stands in the way of one dial, one server in each limit that is full; `offered`, which nobody holds, before any
 * that rests. Nothing is closed in vain: false when a limit has nothing to give. */
static bool make_room(struct core *core, struct pool *hungry, struct server *offered)
{
	struct server *give[SCOPES] = { NULL };

	for (unsigned i = 0; i < SCOPES; i++) {
		struct scope *scope = hungry->scopes[i];

		if (!scope_full(scope))
			continue;
		if (offered && offered->pool->scopes[i] == scope)
			give[i] = offered;
		else
			give[i] = longest_idle(scope, (enum scope_kind)i, hungry);
		if (!give[i])
			return false;
	}
	for (unsigned i = 0; i < SCOPES; i++) {
		if (!give[i] || give[i]->close_told)
			continue;
		give[i]->room_for = hungry;
		hungry->rooms++;
		server_close(core, give[i], CLOSE_MAKE_ROOM);
	}
	return true;
}

bool limits_make_room(struct core *core, struct pool *pool)
{
	return wants_room(core, pool) && make_room(core, pool, NULL);
}

/* Where the one that rests would be a slot for this pool. Of a pool at several PostgreSQL servers it is not known which of them
 * was full; a neighbour in its database is likely to be there. */
static enum scope_kind full_scope(const struct core *core, const struct pool *pool)
{
	if (pool->full == FULL_ROLE)
		return SCOPE_USER;
	if (pool->full == FULL_DATABASE || pool->scopes[SCOPE_INSTANCE] == &core->nowhere)
		return SCOPE_DATABASE;
	return SCOPE_INSTANCE;
}

/* Its going ends the pause of `refused`. Whether that was any help, only the next dial tells: it was none where the slots that are left
 * are not for its role, or others are faster. So it asks for one in each pause, long as that has become; else both pools would close
 * and dial as fast as they can, and neither be served. */
static void make_refused_room(struct core *core, struct pool *refused, struct server *s)
{
	s->room_for = refused;
	refused->rooms++;
	refused->room_at = core->now + refused->pause;
	server_close(core, s, CLOSE_MAKE_ROOM);
}

void limits_relieve(struct core *core, struct pool *pool)
{
	enum scope_kind kind = full_scope(core, pool);
	struct server *s;

	if (pool->rooms || core->now < pool->room_at || !dial_wanted(pool))
		return;
	s = longest_idle(pool->scopes[kind], kind, pool);
	/* A user may have pools elsewhere too, which are no help. */
	if (!s || s->pool->scopes[SCOPE_INSTANCE] != pool->scopes[SCOPE_INSTANCE])
		return;
	make_refused_room(core, pool, s);
}

/* Would closing a server of `pool` help `hungry`? */
static bool shares_full(const struct pool *pool, const struct pool *hungry)
{
	for (unsigned i = 0; i < SCOPES; i++) {
		if (pool->scopes[i] == hungry->scopes[i] && scope_full(pool->scopes[i]))
			return true;
	}
	return false;
}

bool limits_yield(struct core *core, struct server *s, const struct client *next)
{
	struct pool *pool = s->pool, *hungriest = NULL;
	time_us turn = pool->median_lease > TURN_LEAST ? pool->median_lease : TURN_LEAST;
	time_us since = 0, own_since = 0;

	/* Where origins take turns, the next may be young: then the pool's claim is that of its oldest, as it was when the slot was given
	 * to it. Were it the next one's, two pools could hand a slot to and fro and serve nobody. */
	if (next)
		own_since = pool->rules.fair ? waiters_oldest(pool)->since : next->since;
	for (struct link *l = core->hungry.next; l != &core->hungry; l = l->next) {
		struct pool *other = link_owner(l, struct pool, hungry);
		time_us other_since;

		if (other == pool || !shares_full(pool, other) || !wants_room(core, other) || !may_give(pool, other))
			continue;
		other_since = waiters_next_dial(other)->since;
		if (next && other_since + turn >= own_since)
			continue;
		if (!hungriest || other_since < since) {
			hungriest = other;
			since = other_since;
		}
	}
	return hungriest && make_room(core, hungriest, s);
}

/* It could not dial even if `s` were gone: another limit of its own is full. */
static bool blocked_elsewhere(const struct pool *pool, const struct server *s)
{
	for (unsigned i = 0; i < SCOPES; i++) {
		if (pool->scopes[i] != s->pool->scopes[i] && scope_full(pool->scopes[i]))
			return true;
	}
	return false;
}

/* A pool without a server whose dial PostgreSQL refused, for a limit of its own under which `s` counts as well: we do not know that
 * limit's number, so nobody is hungry for it, and a busy neighbour would keep every slot for ever. */
static struct pool *refused_beside(struct core *core, const struct server *s, const struct client *next)
{
	time_us turn = s->pool->median_lease > TURN_LEAST ? s->pool->median_lease : TURN_LEAST, since = 0;
	struct pool *best = NULL;

	for (uint32_t i = 0; i < core->pools_count; i++) {
		struct pool *pool = core->pools[i];
		enum scope_kind kind;
		time_us pool_since;

		if (!pool->full_since || pool == s->pool || pool_staying(pool) || pool->rooms ||
			core->now < pool->room_at || !dial_wanted(pool) || pool_paused(core, pool))
			continue;
		kind = full_scope(core, pool);
		if (pool->scopes[kind] != s->pool->scopes[kind] ||
			pool->scopes[SCOPE_INSTANCE] != s->pool->scopes[SCOPE_INSTANCE] || blocked_elsewhere(pool, s))
			continue;
		pool_since = waiters_next_dial(pool)->since;
		if (next && pool_since + turn >= waiters_oldest(s->pool)->since)
			continue;
		if (!best || pool_since < since) {
			best = pool;
			since = pool_since;
		}
	}
	return best;
}

bool limits_yield_refused(struct core *core, struct server *s, const struct client *next)
{
	/* One for replication is a place, in which nothing is connected before it is lent: there is no slot behind it to give. */
	struct pool *pool = s->pool->rules.replication ? NULL : refused_beside(core, s, next);

	if (!pool)
		return false;
	make_refused_room(core, pool, s);
	return true;
}

/* The hungry pool that may dial now and whose waiter has waited longest; forgets those that are hungry no more. */
static struct pool *whose_turn(struct core *core)
{
	struct pool *best = NULL;
	time_us since = 0;

	for (struct link *l = core->hungry.next, *after; l != &core->hungry; l = after) {
		struct pool *pool = link_owner(l, struct pool, hungry);
		enum dial_answer answer = dial_wanted(pool) ? dial_allowed(core, pool) : DIAL_NOT_NOW;

		after = l->next;
		if (answer == DIAL_NOT_NOW) {
			sate(pool);
			tick_hurry(core, dial_due(core, pool));
		} else if (answer == DIAL_NOW) {
			time_us pool_since = waiters_next_dial(pool)->since;

			if (!best || pool_since < since) {
				best = pool;
				since = pool_since;
			}
		}
	}
	return best;
}

void limits_turns(struct core *core)
{
	struct pool *pool;

	while ((pool = whose_turn(core)) != NULL)
		dial_one(core, pool, waiters_next_dial(pool)->ref.worker);
	for (struct link *l = core->hungry.next; l != &core->hungry; l = l->next) {
		while (limits_make_room(core, link_owner(l, struct pool, hungry)))
			;
	}
}

void limits_freed(struct core *core, struct pool *pool)
{
	if (dial_wanted(pool))
		limits_hunger(core, pool);
	limits_turns(core);
	tick_hurry(core, dial_due(core, pool));
	for (struct link *l = core->keepers.next; l != &core->keepers; l = l->next)
		tick_hurry(core, dial_min_due(core, link_owner(l, struct pool, keeper)));
}

/* The limits were lowered: what rests beyond them closes now, what is lent when it comes back. */
void limits_shrink(struct core *core)
{
	for (uint32_t i = 0; i < core->pools_count; i++) {
		struct pool *pool = core->pools[i];

		while (pool->count[SERVER_IDLE] && pool_over(pool))
			server_close(
				core, link_owner(pool->by_state[SERVER_IDLE].prev, struct server, link), CLOSE_SHRINK);
	}
}

/* What was read of a PostgreSQL server: the most that we may have there from now on. What we hold is there already, so nothing is
 * closed for it; and one that could be asked for always remains, because others may have gone the moment after. */
/* What was read, but no less than is there, nor so little that nobody could ask again. */
static uint32_t fitting(const struct scope *scope)
{
	uint32_t least = scope->aside + scope->visitors + (scope->servers ? scope->servers : 1);

	return scope->room > least ? scope->room : least;
}

void limits_fit(struct scope *scope)
{
	if (scope->max)
		scope->max = fitting(scope);
}

void limits_budget(struct core *core, const struct event *event)
{
	struct scope *scope;

	check(event->instance < core->instances_count);
	check(event->budget >= BUDGET_UNKNOWN && event->budget < INT32_MAX);
	scope = &core->instances[event->instance]->scope;
	scope->aside = event->aside;
	scope->max = 0;
	if (event->budget != BUDGET_UNKNOWN) {
		scope->room = (uint32_t)event->budget;
		scope->max = fitting(scope);
	}
	for (struct link *l = scope->pools.next; l != &scope->pools; l = l->next) {
		struct pool *pool = link_owner(l - SCOPE_INSTANCE, struct pool, scope_links);

		/* It paused because there was no slot, and now there are some. */
		if (pool->failed && pool->failure == FAILURE_FULL && pool->full == FULL_SERVER && scope->max &&
			!scope_full(scope))
			pool->retry_at = 0; /* but should it be refused again, its pause goes on growing */
		if (dial_wanted(pool))
			limits_hunger(core, pool);
	}
	limits_turns(core);
	tick_all_due(core);
}

/* ---- how a pool is bounded ---- */

/* What closes for it at others under this limit, if it asks: what rests there beyond their least. */
static uint32_t to_be_had(const struct scope *scope, enum scope_kind kind, const struct pool *pool)
{
	uint32_t sum = 0;

	if (scope->idle == 0)
		return 0;
	for (const struct link *l = scope->pools.next; l != &scope->pools; l = l->next) {
		const struct pool *other = link_owner(l - kind, struct pool, scope_links);
		uint32_t staying = pool_staying(other), least = pool_least(other), most;

		if (other == pool || other->count[SERVER_IDLE] == 0 || staying <= least)
			continue;
		most = staying - least;
		sum += other->count[SERVER_IDLE] < most ? other->count[SERVER_IDLE] : most;
	}
	return sum;
}

/* Never 0, which would mean that there is no limit: of nothing it could have one. */
static void bound_by(uint32_t *most, enum pool_bound *bound, uint32_t limit, enum pool_bound by)
{
	if (*most > 0 && *most <= limit)
		return;
	*most = limit ? limit : 1;
	*bound = by;
}

uint32_t limits_most(const struct pool *pool, enum pool_bound *bound)
{
	static const enum pool_bound bounds[SCOPES] = { [SCOPE_ALL] = BOUND_TOTAL,
		[SCOPE_DATABASE] = BOUND_DATABASE,
		[SCOPE_USER] = BOUND_USER,
		[SCOPE_PAIR] = BOUND_SIZE,
		[SCOPE_INSTANCE] = BOUND_INSTANCE };
	uint32_t most = 0;

	*bound = BOUND_NONE;
	if (pool->rules.size)
		bound_by(&most, bound, pool->rules.size + pool->rules.reserve, BOUND_SIZE);
	for (unsigned i = 0; i < SCOPES; i++) {
		const struct scope *scope = pool->scopes[i];
		uint32_t others;

		if (!scope->max)
			continue;
		others = counted(scope) - pool->servers;
		if (most && others + most <= scope->max)
			continue; /* there is more room than it may take */
		others -= to_be_had(scope, (enum scope_kind)i, pool);
		bound_by(&most, bound, scope->max > others ? scope->max - others : 0, bounds[i]);
	}
	if (pool->full_since)
		bound_by(&most, bound, pool->full_target, BOUND_FULL);
	return most;
}

/* For whom a server of `pool` that came free would be closed: see limits_yield and limits_yield_refused. */
uint32_t limits_beside(const struct core *core, const struct pool *pool)
{
	uint32_t sum = 0;

	for (const struct link *l = core->hungry.next; l != &core->hungry; l = l->next) {
		const struct pool *other = link_owner(l, struct pool, hungry);

		if (other != pool && dial_wanted(other) && !pool_paused(core, other) && shares_full(pool, other) &&
			may_give(pool, other))
			sum += waiters_uncovered(other);
	}
	for (uint32_t i = 0; core->full_pools > 0 && !pool->rules.replication && i < core->pools_count; i++) {
		const struct pool *other = core->pools[i];
		enum scope_kind kind;

		if (!other->full_since || other->is_hungry || other == pool || pool_staying(other) ||
			!dial_wanted(other) || pool_paused(core, other))
			continue;
		kind = full_scope(core, other);
		if (other->scopes[kind] == pool->scopes[kind] &&
			other->scopes[SCOPE_INSTANCE] == pool->scopes[SCOPE_INSTANCE])
			sum += waiters_uncovered(other);
	}
	return sum;
}

/* ---- servers of pools that have several hosts ---- */

/* They never take the place that is kept for one to ask with, but where nobody else is they may be the one. */
bool core_visit(struct core *core, instance_id id)
{
	struct scope *scope;

	check(id < core->instances_count);
	scope = &core->instances[id]->scope;
	if (scope->max && counted(scope) >= scope->room && scope->servers + scope->visitors > 0)
		return false;
	scope->visitors++;
	return true;
}

void limits_visitor_left(struct core *core, const struct event *event)
{
	struct scope *scope;

	check(event->instance < core->instances_count);
	scope = &core->instances[event->instance]->scope;
	check(scope->visitors > 0);
	scope->visitors--;
	limits_fit(scope);
	limits_turns(core);
	tick_all_due(core);
}
