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
 * nothing behind. Walking over the covered costs as many steps as servers are in the mail to one worker: few.
 *
 * Where several origins wait in a pool that is fair, it is first whose turn it is (turns.c): the group's, then the origin's in it; and
 * only within that origin who came first, by the rule above. A server in the mail was sent for an origin, whose turn that was. Of
 * turns that are as near, one that can be had here is preferred to one elsewhere within the same bound: among the first eight, so that it
 * costs the same whoever waits. */

#define NEAR 8 /* turns that are looked at for one that is here */

/* Who comes back is among the oldest, so it looks from the front; who is new looks once, at the end. */
void link_by_since(struct link *list, struct link *l, time_us since, size_t offset)
{
#define SINCE(at) (((const struct client *)(const void *)((const char *)(at)-offset))->since)
	struct link *place = list->prev;

	if (place != list && SINCE(place) > since) {
		place = list;
		while (SINCE(place->next) <= since)
			place = place->next;
	}
	link_after(place, l);
}

void waiters_add(struct core *core, struct client *c, struct line *line, time_us since)
{
	struct pool *pool = line->pool;
	uint32_t worker = c->ref.worker;
	struct pool_worker *at = &pool->at[worker];

	check(c->want == WANT_NOTHING);
	check(c->stage == STAGE_LOGIN || c->stage == STAGE_SETTLED);
	c->pool = pool;
	c->line = line;
	c->since = since;
	c->want = WANT_WAITS;
	link_by_since(&at->waiters, &c->link, since, offsetof(struct client, link));
	link_by_since(&line->at[worker].waiters, &c->in_line, since, offsetof(struct client, in_line));
	at->waiting++;
	pool->waiting++;
	core->waiting++;
	pool_used(pool);
	line_waits(core, line, worker, 1);
}

void waiters_remove(struct core *core, struct client *c)
{
	struct pool *pool = c->pool;
	struct pool_worker *at = &pool->at[c->ref.worker];
	struct line *line = c->line;

	if (c->want == WANT_KEPT) {
		line_unkeep(core, c);
		return;
	}
	if (c->want == WANT_HEIR) {
		heir_remove(core, c);
		return;
	}
	check(c->want == WANT_WAITS);
	check(at->waiting > 0 && pool->waiting > 0 && core->waiting > 0);
	link_remove(&c->link);
	link_remove(&c->in_line);
	c->want = WANT_NOTHING;
	c->line = NULL;
	at->waiting--;
	pool->waiting--;
	core->waiting--;
	line_waits(core, line, c->ref.worker, -1);
	pool_left(core, pool);
	if (pool->waiting == 0 && pool->full_since)
		tick_hurry(core, dial_full_due(core, pool));
	/* The reserve opens for the oldest: when that one goes, the next one's time counts. */
	if (pool->waiting && pool->rules.reserve)
		tick_hurry(core, dial_due(core, pool));
}

/* The place behind `skip` others of the `count` in this list, or NULL. */
static struct link *place_at(const struct link *list, uint32_t count, uint32_t skip)
{
	struct link *place = list->next;

	if (count <= skip)
		return NULL;
	while (skip--)
		place = place->next;
	check(place != list);
	return place;
}

/* The waiter behind `skip` others of this worker, or NULL. */
static struct client *waiter_at(const struct pool_worker *at, uint32_t skip)
{
	struct link *place = place_at(&at->waiters, at->waiting, skip);

	return place ? link_owner(place, struct client, link) : NULL;
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

struct client *waiters_any(const struct pool *pool)
{
	const struct line *line = pool->kept ? pool->lines : NULL;

	if (pool->waiting)
		return waiters_oldest(pool);
	while (line && line->kept_count == 0)
		line = line->hh.next;
	if (!line)
		return pool->heirs_count ? link_owner(pool->heirs.next, struct client, link) : NULL;
	return link_owner(line->kept.next, struct client, in_line);
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

/* `other`, of another worker, goes before `local`. */
static bool overdue(const struct pool *pool, const struct client *other, const struct client *local)
{
	return other->since + pool->median_lease < local->since;
}

/* The waiter of this worker's behind `skip` others of its line, or NULL. */
static struct client *in_line_at(const struct line_worker *at, uint32_t skip)
{
	struct link *place = place_at(&at->waiters, at->waiting, skip);

	return place ? link_owner(place, struct client, in_line) : NULL;
}

/* As below, of one line. */
static struct client *line_next(const struct line *line, uint32_t worker)
{
	struct client *local = in_line_at(&line->at[worker], 0), *remote = NULL;

	if (local && line->waiting == line->at[worker].waiting)
		return local;
	for (uint32_t w = 0; w < line->pool->workers; w++) {
		struct client *c = w == worker ? NULL : in_line_at(&line->at[w], line->at[w].incoming);

		if (c && (!remote || c->since < remote->since))
			remote = c;
	}
	if (!local)
		return remote;
	return remote && overdue(line->pool, remote, local) ? remote : local;
}

/* Of the group whose turn it is: of the line whose turn it is there, or of one whose turn is as near and who waits here. */
static struct client *group_next(const struct group *group, uint32_t worker)
{
	struct turn *const *heap = group->turns.heap;
	struct client *next;

	check(group->turns.count > 0);
	next = line_next(link_owner(heap[0], struct line, turn), worker);
	check(next != NULL);
	for (uint32_t i = 1; next->ref.worker != worker && i < group->turns.count && i < NEAR; i++) {
		const struct line *line = link_owner(heap[i], struct line, turn);
		struct client *local = heap[i]->next == heap[0]->next && line->at[worker].waiting
			? line_next(line, worker)
			: NULL;

		if (local && local->ref.worker == worker && !overdue(group->pool, next, local))
			return local;
	}
	return next;
}

static struct client *turn_next(const struct pool *pool, uint32_t worker)
{
	struct turn *const *heap = pool->turns.heap;
	struct client *next = group_next(link_owner(heap[0], struct group, turn), worker);

	for (uint32_t i = 1; next->ref.worker != worker && i < pool->turns.count && i < NEAR; i++) {
		struct client *local = heap[i]->next == heap[0]->next
			? group_next(link_owner(heap[i], struct group, turn), worker)
			: NULL;

		if (local && local->ref.worker == worker && !overdue(pool, next, local))
			return local;
	}
	return next;
}

struct client *waiters_next(const struct pool *pool, uint32_t worker, const struct line *promised)
{
	struct client *local, *remote = NULL;

	if (pool->waiting == 0)
		return NULL;
	check(worker < pool->workers);
	if (pool->rules.fair) {
		if (promised && promised->at[worker].waiting)
			return line_next(promised, worker);
		if (pool->turns.count)
			return turn_next(pool, worker);
	}
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
	return remote && overdue(pool, remote, local) ? remote : local;
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
