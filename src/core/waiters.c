#include "core/state.h"

/* Who waits, and whose turn it is.
 *
 *   pool.at[0].waiters   a(10) -- d(40) -- e(55)     incoming 1: a is covered
 *   pool.at[1].waiters   b(20)
 *   pool.at[2].waiters   c(30) -- f(60)
 *
 * Each worker's clients wait in the order in which they began to want; one that must want again (its server proved
 * dead) goes back to where it stood. A server that becomes free at worker 0 serves a; it would go by mail to b only if
 * b had waited one median lease longer than a. So nobody is overtaken by a client that came more than one median lease
 * later, and most servers stay where they are: mail wakes a thread, which costs a third of a transaction.
 *
 * A waiter for whom a server is on its way by mail is covered: the first `incoming` of each worker. Being covered is
 * counted, not promised: whatever server gets to the worker first serves the first, so a waiter that leaves leaves
 * nothing behind. Walking over the covered costs as many steps as servers are in the mail to one worker: few. */

void waiters_add(struct core *core, struct client *c, struct pool *pool, time_us since)
{
	struct pool_worker *at = &pool->at[c->ref.worker];
	struct link *place = at->waiters.prev;

	check(c->want == WANT_NOTHING);
	check(c->stage == STAGE_LOGIN || c->stage == STAGE_SETTLED);
	c->pool = pool;
	c->since = since;
	c->want = WANT_WAITS;
	/* Who comes back is among the oldest, so it looks from the front; who is new looks once, at the end. */
	if (place != &at->waiters && link_owner(place, struct client, link)->since > since) {
		place = &at->waiters;
		while (link_owner(place->next, struct client, link)->since <= since)
			place = place->next;
	}
	link_after(place, &c->link);
	at->waiting++;
	pool->waiting++;
	core->waiting++;
}

void waiters_remove(struct core *core, struct client *c)
{
	struct pool *pool = c->pool;
	struct pool_worker *at = &pool->at[c->ref.worker];

	check(c->want == WANT_WAITS);
	check(at->waiting > 0 && pool->waiting > 0 && core->waiting > 0);
	link_remove(&c->link);
	c->want = WANT_NOTHING;
	at->waiting--;
	pool->waiting--;
	core->waiting--;
	/* The reserve opens for the oldest: when that one goes, the next one's time counts. */
	if (pool->waiting && pool->rules.reserve)
		tick_hurry(core, dial_due(core, pool));
}

/* The waiter behind `skip` others of this worker, or NULL. */
static struct client *waiter_at(const struct pool_worker *at, uint32_t skip)
{
	struct link *place = at->waiters.next;

	if (at->waiting <= skip)
		return NULL;
	while (skip--)
		place = place->next;
	check(place != &at->waiters);
	return link_owner(place, struct client, link);
}

struct client *waiters_oldest(const struct pool *pool)
{
	struct client *oldest = NULL;

	if (pool->waiting == 0)
		return NULL;
	for (uint32_t w = 0; w < pool->workers; w++) {
		struct client *c = waiter_at(&pool->at[w], 0);

		if (c && (!oldest || c->since < oldest->since))
			oldest = c;
	}
	check(oldest != NULL);
	return oldest;
}

uint32_t waiters_uncovered(const struct pool *pool)
{
	uint32_t uncovered = 0;

	if (pool->waiting == 0)
		return 0;
	for (uint32_t w = 0; w < pool->workers; w++) {
		const struct pool_worker *at = &pool->at[w];

		uncovered += at->waiting > at->incoming ? at->waiting - at->incoming : 0;
	}
	return uncovered;
}

struct client *waiters_next(const struct pool *pool, uint32_t worker)
{
	struct client *local, *remote = NULL;

	if (pool->waiting == 0)
		return NULL;
	check(worker < pool->workers);
	local = waiter_at(&pool->at[worker], 0);
	if (pool->waiting == pool->at[worker].waiting)
		return local;
	for (uint32_t w = 0; w < pool->workers; w++) {
		struct client *c = w == worker ? NULL : waiter_at(&pool->at[w], pool->at[w].incoming);

		if (c && (!remote || c->since < remote->since))
			remote = c;
	}
	if (!local)
		return remote;
	return remote && remote->since + pool->median_lease < local->since ? remote : local;
}

struct client *waiters_next_dial(const struct pool *pool)
{
	struct client *next = NULL;
	const struct pool_worker *fullest = &pool->at[0];

	for (uint32_t w = 0; w < pool->workers; w++) {
		const struct pool_worker *at = &pool->at[w];
		struct client *c = waiter_at(at, at->incoming + at->dialing);

		if (c && (!next || c->since < next->since))
			next = c;
		if (at->waiting > fullest->waiting)
			fullest = at;
	}
	/* What is under way may be under way to the wrong workers: then one more is for whoever waits. */
	return next ? next : waiter_at(fullest, 0);
}
