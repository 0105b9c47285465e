#include <stdlib.h>

#include "core/state.h"

/* The origins of a pool: a line for each that waits there or holds servers, in a group with those of the same user and address.
 *
 *   pool.turns   group anna@10.0.0.7   turns   line "billing"   at[0]: a(10) d(40)   at[1]: b(20)      lent 3   kept: e(55)
 *                                              line "web"       at[0]: c(30)                           lent 0
 *                group anna@10.0.0.8   turns   line "web"       ...
 *
 * A line stands in its group's order, and the group in the pool's, while it has a waiter for whom no server is on its way. What it holds
 * (servers lent to it, cleaned after it, or on their way by mail for it) is counted by the ledger, which knows every step of a server.
 *
 * Where origins of the pool are limited (max_origin_servers), no more of one wait with the others than could be lent a server: the rest
 * are kept apart, in the line, so that for everybody else (dials, mail, limits of pools) they are not there. Always: lent + waiting of
 * a line stay within the limit, but for what was lent before it was lowered, and somebody is kept only while there is no room. Who is
 * kept is let in where a server comes back, before that server is offered, or at the end of the step.
 *
 * Keys are hashes already (serve/origins.c), and are not hashed again. A line that neither waits nor holds has nothing to remember; some rest all the same, longest first, so that an origin that comes and
 * goes costs no memory management, and the origin that came last is found without a search. Where nothing depends on origins
 * (not fair, no limit) all clients stand in one line. */

#define RESTING_MOST 256

/* ---- lines that come and go ---- */

static struct group *group_take(struct pool *pool, uint64_t key)
{
	struct group *group;

	HASH_FIND_BYHASHVALUE(hh, pool->groups, &key, sizeof key, (unsigned)key, group);
	if (group)
		return group;
	group = core_memory(sizeof(*group));
	group->key = key;
	group->pool = pool;
	HASH_ADD_BYHASHVALUE(hh, pool->groups, key, sizeof group->key, (unsigned)key, group);
	return group;
}

static struct line *line_new(struct pool *pool, uint64_t key, struct group *group)
{
	struct line *line = core_memory(sizeof(*line) + pool->workers * sizeof(line->at[0]));

	line->key = key;
	line->pool = pool;
	line->group = group;
	line->weight = 1;
	group->lines++;
	link_init(&line->kept);
	link_init(&line->roomy);
	for (uint32_t w = 0; w < pool->workers; w++)
		link_init(&line->at[w].waiters);
	link_last(&pool->resting, &line->resting);
	pool->resting_count++;
	HASH_ADD_BYHASHVALUE(hh, pool->lines, key, sizeof line->key, (unsigned)key, line);
	return line;
}

static void line_free(struct line *line)
{
	struct pool *pool = line->pool;
	struct group *group = line->group;

	check(!line->turn.held && !line->waiting && !line->kept_count && link_empty(&line->roomy));
	if (pool->line_last == line)
		pool->line_last = NULL;
	HASH_DELETE(hh, pool->lines, line);
	free(line);
	if (--group->lines)
		return;
	check(!group->turn.held && !group->turn.standing);
	HASH_DELETE(hh, pool->groups, group);
	turns_fini(&group->turns);
	free(group);
}

static void forget_longest(struct pool *pool)
{
	struct line *longest = link_owner(pool->resting.next, struct line, resting);

	link_remove(&longest->resting);
	pool->resting_count--;
	line_free(longest);
}

/* Whole servers stay whole: what is lost by dividing is added, so that three thirds are not less than one. */
uint64_t line_load(const struct line *line)
{
	return line->turn.held * ((LOAD_SERVER + line->weight - 1) / line->weight);
}

/* Its load is what its figures say now. */
static inline void load(struct line *line)
{
	struct group *group = line->group;
	uint64_t now = line_load(line);

	group->turn.load += now - line->turn.load;
	line->turn.load = now;
	if (group->turn.standing == 0)
		return;
	turn_held(&group->turns, &line->turn);
	turn_held(&line->pool->turns, &group->turn);
}

struct line *line_of(struct pool *pool, uint64_t origin, uint64_t group, uint32_t weight)
{
	struct line *line = pool->line_last;

	if (!pool->rules.fair && !pool->rules.origin_servers_max)
		origin = group = 0;
	if (!line || line->key != origin)
		HASH_FIND_BYHASHVALUE(hh, pool->lines, &origin, sizeof origin, (unsigned)origin, line);
	if (!line) {
		line = line_new(pool, origin, group_take(pool, group));
		if (pool->resting_count > RESTING_MOST)
			forget_longest(pool);
	}
	pool->line_last = line;
	/* All who are not known are one line, whatever each of them weighs. */
	weight = origin == 0 || weight == 0 ? 1 : weight;
	if (weight != line->weight) {
		check(weight <= WEIGHT_MOST);
		line->weight = weight;
		load(line);
	}
	return line;
}

void lines_free(struct pool *pool)
{
	struct line *line, *next;

	HASH_ITER(hh, pool->lines, line, next) {
		HASH_DELETE(hh, pool->lines, line);
		free(line);
	}
	for (struct group *group = pool->groups, *after; group; group = after) {
		after = group->hh.next;
		HASH_DELETE(hh, pool->groups, group);
		turns_fini(&group->turns);
		free(group);
	}
	turns_fini(&pool->turns);
}

void lines_forget(struct pool *pool)
{
	while (pool->resting_count)
		forget_longest(pool);
}

/* It is needed, or rests. */
static inline void settle(struct line *line)
{
	struct pool *pool = line->pool;
	bool rests = line->resting.next != &line->resting;
	bool needed = line->turn.held || line->waiting || line->kept_count || line->heirs;

	if (needed != rests)
		return;
	if (needed) {
		link_remove(&line->resting);
		pool->resting_count--;
	} else {
		link_remove(&line->roomy);
		link_last(&pool->resting, &line->resting);
		if (++pool->resting_count > RESTING_MOST)
			forget_longest(pool);
	}
}

/* ---- what it holds, and who waits ---- */

/* Something was given back, or a waiter left: is there somebody kept who may take the place? */
static inline void give_room(struct core *core, struct line *line)
{
	if (line->kept_count && link_empty(&line->roomy) && line_has_room(line))
		link_last(&core->roomy, &line->roomy);
}

static inline void hold(struct line *line, int change)
{
	struct group *group = line->group;

	check(change > 0 || (line->turn.held > 0 && group->turn.held > 0));
	line->turn.held += (uint32_t)change;
	group->turn.held += (uint32_t)change;
	load(line);
}

static uint32_t uncovered(const struct line_worker *at)
{
	return at->waiting > at->incoming ? at->waiting - at->incoming : 0;
}

static void stand(struct line *line, int change)
{
	struct group *group = line->group;
	bool line_stood = line->turn.standing > 0, group_stood = group->turn.standing > 0;

	line->turn.standing += (uint32_t)change;
	group->turn.standing += (uint32_t)change;
	if (line_stood != (line->turn.standing > 0))
		(line_stood ? turn_leaves : turn_stands)(&group->turns, &line->turn);
	if (group_stood != (group->turn.standing > 0))
		(group_stood ? turn_leaves : turn_stands)(&line->pool->turns, &group->turn);
}

void line_lent(struct core *core, struct line *line, int change)
{
	check(change > 0 || line->lent > 0);
	line->lent += (uint32_t)change;
	hold(line, change);
	if (change < 0)
		give_room(core, line);
	settle(line);
}

void line_promised(struct core *core, struct line *line, uint32_t worker, int change)
{
	struct line_worker *at = &line->at[worker];
	uint32_t before = uncovered(at);

	(void)core;
	check(change > 0 || (at->incoming > 0 && line->promised > 0));
	at->incoming += (uint32_t)change;
	line->promised += (uint32_t)change;
	stand(line, (int)(uncovered(at) - before));
	hold(line, change);
	settle(line);
}

void line_waits(struct core *core, struct line *line, uint32_t worker, int change)
{
	struct line_worker *at = &line->at[worker];
	uint32_t before = uncovered(at);

	check(change > 0 || (at->waiting > 0 && line->waiting > 0));
	at->waiting += (uint32_t)change;
	line->waiting += (uint32_t)change;
	stand(line, (int)(uncovered(at) - before));
	if (change < 0)
		give_room(core, line);
	settle(line);
}

void line_heirs(struct line *line, int change)
{
	check(change > 0 || line->heirs > 0);
	line->heirs += (uint32_t)change;
	settle(line);
}

void line_takes_turn(struct line *line)
{
	turn_take(&line->group->turns, &line->turn);
	turn_take(&line->pool->turns, &line->group->turn);
}

/* ---- as many as may be lent a server ---- */

bool line_has_room(const struct line *line)
{
	uint32_t most = line->pool->rules.origin_servers_max;

	/* What is not known is not one origin. */
	return most == 0 || line->key == 0 || line->lent + line->waiting < most;
}

void line_keep(struct core *core, struct client *c, struct line *line, time_us since)
{
	check(c->want == WANT_NOTHING);
	c->pool = line->pool;
	c->line = line;
	c->since = since;
	c->want = WANT_KEPT;
	link_by_since(&line->kept, &c->in_line, since, offsetof(struct client, in_line));
	line->kept_count++;
	line->pool->kept++;
	pool_used(line->pool);
	core->waiting++;
	settle(line);
}

void line_unkeep(struct core *core, struct client *c)
{
	struct line *line = c->line;

	check(c->want == WANT_KEPT && line->kept_count > 0 && line->pool->kept > 0 && core->waiting > 0);
	link_remove(&c->in_line);
	c->want = WANT_NOTHING;
	c->line = NULL;
	line->kept_count--;
	line->pool->kept--;
	core->waiting--;
	pool_left(core, line->pool);
	settle(line);
}

bool line_admit(struct core *core, struct line *line)
{
	bool any = false;

	link_remove(&line->roomy);
	while (line->kept_count && line_has_room(line)) {
		struct client *c = link_owner(line->kept.next, struct client, in_line);

		line_unkeep(core, c);
		waiters_add(core, c, line, c->since);
		any = true;
	}
	return any;
}

void lines_admit(struct core *core)
{
	while (!link_empty(&core->roomy)) {
		struct line *line = link_owner(core->roomy.next, struct line, roomy);
		struct pool *pool = line->pool;

		if (line_admit(core, line))
			lend_rescue(core, pool);
	}
}

/* The youngest of a line that waits. */
static struct client *youngest(const struct line *line)
{
	struct client *found = NULL;

	for (uint32_t w = 0; w < line->pool->workers; w++) {
		const struct line_worker *at = &line->at[w];
		struct client *c = at->waiting ? link_owner(at->waiters.prev, struct client, in_line) : NULL;

		if (c && (!found || c->since > found->since))
			found = c;
	}
	check(found != NULL);
	return found;
}

bool line_makes_room(struct core *core, struct line *line, time_us since)
{
	struct client *c;

	if (line_has_room(line))
		return true;
	/* Only who must want again comes with an old time: its place was given to the next of those who were kept. */
	c = line->waiting && since < core->now ? youngest(line) : NULL;
	if (!c || c->since <= since)
		return false;
	waiters_remove(core, c);
	line_keep(core, c, line, c->since);
	return true;
}

void lines_limit(struct core *core, struct pool *pool)
{
	uint32_t most = pool->rules.origin_servers_max;
	struct line *line, *next;

	HASH_ITER(hh, pool->lines, line, next) {
		while (most && line->key && line->waiting && line->lent + line->waiting > most) {
			struct client *c = youngest(line);

			waiters_remove(core, c);
			line_keep(core, c, line, c->since);
		}
		give_room(core, line);
	}
}
