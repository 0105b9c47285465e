/* The judge, between turns: of those who wait nobody is overtaken beyond the bound, and no origin is passed over for ever. */
#include <string.h>

#include "judge_parts.h"
#include "serve/worker.h"

/* The last look at everybody who waits: whom was he behind? */
struct waiter {
	struct client_ref who;
	pool_id pool;
	time_us since,
		seen; /* seen: since when it is known to wait; later than `since` where a server was lent to it in vain */
	uint64_t origin, group;
};
static struct waiter waiters[2048];
static size_t waiter_count;

/* Of a group that waits and holds nothing: how often each other one was served meanwhile. */
struct passed {
	pool_id pool;
	uint64_t waits, served;
	unsigned count;
};
static struct passed passed[512];
static size_t passed_count;

/* Whose leases of this moment are counted: several turns may fall into one. */
static struct client_ref begun[256];
static size_t begun_count;
static time_us begun_at;

/* By pool: a server was in the mail after the last turn: its waiter is not counted as waiting. */
static bool was_moving[256];

static time_us median_of(pool_id id, bool *moving)
{
	struct pool_picture pool;

	*moving = !core_pool_picture(judge.house->core, id, &pool) || pool.moving > 0 || id >= 256 || was_moving[id];
	return pool.median_lease;
}

/* It waits as it did at the last look. */
static bool still_waits(const struct waiter *w)
{
	const struct guest *g = slots_get(&judge.house->workers[w->who.worker]->guests, w->who.client);

	return g && !g->channel && g->wants_since == w->since &&
		(g->state == GUEST_WAITING || g->state == GUEST_LEARNING);
}

/* When the core lent it its server: before a query that checks it was answered. */
static time_us decided_at(const struct guest *g)
{
	struct server_picture picture;

	return core_server_picture(judge.house->core, g->channel->id, &picture) && picture.state == SERVER_LENT
		? picture.since
		: 0;
}

/* Somebody who began to want at `since` is lent a server: nobody of his pool who still waits came much earlier. */
static void look_at_lease(const struct guest *g)
{
	bool moving;
	time_us bound = median_of(g->pool, &moving), decided = decided_at(g);

	for (size_t i = 0; i < waiter_count; i++) {
		const struct waiter *w = &waiters[i];

		if (w->pool != g->pool || (w->who.worker == g->worker->index && handle_equal(w->who.client, g->handle)))
			continue;
		/* Of one moment it is not known which came first: after RESUME one worker tells of its waiters when another has its server. */
		if (w->seen >= decided || !still_waits(w))
			continue;
		/* Where origins take turns, or one of them has as many servers as it may, only its own come in order. */
		if ((judge.limits.fair || judge.limits.origin_servers_max || judge.old_limits.origin_servers_max) &&
			w->origin != g->origin_key)
			continue;
		/* Within a worker strictly in order; the moment of a turn is one moment. */
		if (w->who.worker == g->worker->index
				? w->since < g->wants_since
				: !moving && w->since + bound + 20 * MILLISECOND_US < g->wants_since)
			broken("no one is overtaken beyond the bound",
				"worker %u, a client that began to want at %lld got a server before worker %u's that wants since %lld; median "
				"lease %lld",
				g->worker->index, (long long)g->wants_since, w->who.worker, (long long)w->since,
				(long long)bound);
	}
}

static unsigned servers_of(pool_id pool, uint64_t group, uint64_t origin)
{
	unsigned held = 0;
	uint32_t slot;
	struct guest *g;

	for (uint32_t i = 0; i < judge.house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&judge.house->workers[i]->guests, &slot)))
			held += g->channel && g->pool == pool && g->group == group &&
				(origin == 0 || g->origin_key == origin);
	}
	return held;
}

static bool waits(pool_id pool, uint64_t group)
{
	for (size_t i = 0; i < waiter_count; i++)
		if (waiters[i].pool == pool && waiters[i].group == group)
			return true;
	return false;
}

static void count_passed(pool_id pool, uint64_t waits, uint64_t served)
{
	/* A turn more where a server was dead, and what was in the mail for others. */
	unsigned most = 3 + (judge.house->worker_count > 1 ? 8 : 0);
	size_t i = 0;

	while (i < passed_count && (passed[i].pool != pool || passed[i].waits != waits || passed[i].served != served))
		i++;
	if (i == passed_count && i == sizeof passed / sizeof *passed)
		return;
	if (i == passed_count)
		passed[passed_count++] = (struct passed){ pool, waits, served, 0 };
	if (++passed[i].count > most)
		broken("no origin starves",
			"pool %u: a user at an address waits and holds nothing, and another was served %u times meanwhile",
			pool, passed[i].count);
}

static bool is_counted(const struct guest *g)
{
	if (begun_at != world.now)
		begun_count = 0;
	begun_at = world.now;
	for (size_t i = 0; i < begun_count; i++)
		if (begun[i].worker == g->worker->index && handle_equal(begun[i].client, g->handle))
			return true;
	if (begun_count < sizeof begun / sizeof *begun)
		begun[begun_count++] = guest_ref(g);
	return false;
}

/* A lease has begun: who waits since before, of others, and holds nothing? */
static void look_at_turn(const struct guest *g)
{
	unsigned most = judge_bounds().origin_servers_max;
	time_us decided = decided_at(g);
	struct pool_picture pool;

	if (most && servers_of(g->pool, g->group, g->origin_key) > most)
		broken("an origin has no more servers than it may", "pool %u: %u of %u", g->pool,
			servers_of(g->pool, g->group, g->origin_key), most);
	/* Who is kept may be so for a server that is cleaned after another of its origin. */
	if (is_counted(g) || !core_pool_picture(judge.house->core, g->pool, &pool) || pool.kept > 0)
		return;
	for (size_t i = 0; judge.limits.fair && i < waiter_count; i++) {
		const struct waiter *w = &waiters[i];
		bool again = w->seen > decided;

		for (size_t j = 0; j < i && !again; j++)
			again = waiters[j].pool == w->pool && waiters[j].group == w->group;
		if (!again && w->pool == g->pool && w->group != g->group && servers_of(w->pool, w->group, 0) == 0)
			count_passed(w->pool, w->group, g->group);
	}
}

/* Who was served (a lease may be over within a turn), holds a server or waits no more begins anew. */
static void forget_passed(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < passed_count; i++) {
		bool same = waits(passed[i].pool, passed[i].waits) &&
			servers_of(passed[i].pool, passed[i].waits, 0) == 0;

		for (size_t j = 0; j < waiter_count && same; j++)
			same = waiters[j].pool != passed[i].pool || waiters[j].group != passed[i].waits ||
				still_waits(&waiters[j]);
		if (same)
			passed[kept++] = passed[i];
	}
	passed_count = kept;
}

static time_us seen_before(const struct guest *g, const struct waiter *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].who.worker == g->worker->index && handle_equal(list[i].who.client, g->handle) &&
			list[i].since == g->wants_since)
			return list[i].seen;
	return world.now;
}
void judge_order(void)
{
	static struct waiter before[sizeof waiters / sizeof *waiters];
	size_t before_count;
	struct guest *g;
	uint32_t i, slot;

	for (i = 0; i < judge.house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&judge.house->workers[i]->guests, &slot)))
			if (g->channel && !g->channel->checking && g->channel->lent_since == world.now &&
				g->wants_since > 0) {
				look_at_lease(g);
				look_at_turn(g);
			}
	}
	for (i = 0; i < core_pools(judge.house->core) && i < 256; i++) {
		struct pool_picture pool;

		was_moving[i] = !core_pool_picture(judge.house->core, i, &pool) || pool.moving > 0;
	}
	forget_passed();
	memcpy(before, waiters, waiter_count * sizeof *waiters);
	before_count = waiter_count;
	waiter_count = 0;
	for (i = 0; i < judge.house->worker_count; i++) {
		slot = 0;
		while ((g = slots_next(&judge.house->workers[i]->guests, &slot)))
			if ((g->state == GUEST_WAITING || g->state == GUEST_LEARNING) && !g->channel &&
				waiter_count < sizeof waiters / sizeof *waiters)
				waiters[waiter_count++] = (struct waiter){ guest_ref(g), g->pool, g->wants_since,
					seen_before(g, before, before_count), g->origin_key, g->group };
	}
}
