#include <stdlib.h>

#include "core/state.h"

/* The ledger: which servers there are, in which state, and every count that follows from it.
 *
 *            dial
 *             |
 *             v      ready                    wants
 *         DIALING ----------> IDLE -------------------------> LENT <--+
 *             |              ^ | ^                            | | |   | wants, next waiter
 *             |        ready | | | arrived      over, unclean | | +---+
 *             |              | | +-------- MOVING <-----------|-+  ready, for a waiter elsewhere
 *             |          CLEANING <------------|--------------+
 *             |              |  |              |              |
 *      failed |              v  v              v              v
 *             |            CLOSING (we said Terminate) or its link was cut
 *             |              |                              |
 *             v              v lost                         v lost, not proven
 *           gone <------- (gone) <--- lost, time ------- ORPHANED
 *
 * A server is counted against pool, database, user and the whole from server_new (before anybody connects) to
 * server_gone (its end is known, or was waited for long enough). Nothing else counts it, so the limits are true
 * at PostgreSQL. Always: a server is in exactly one list of its pool, by its state; one that is LENT names its
 * holder and is named by it; one that is IDLE is in its worker's list too. What an origin holds is counted here as well. */

#define TO(state) (1u << (unsigned)(state))

static const unsigned edges[SERVER_STATES] = {
	/* clang-format off */
	[SERVER_DIALING]  = TO(SERVER_IDLE) | TO(SERVER_LENT) | TO(SERVER_MOVING) | TO(SERVER_CLOSING) | TO(SERVER_ORPHANED),
	[SERVER_IDLE]     = TO(SERVER_LENT) | TO(SERVER_MOVING) | TO(SERVER_CLEANING) | TO(SERVER_CLOSING) | TO(SERVER_ORPHANED),
	[SERVER_LENT]     = TO(SERVER_IDLE) | TO(SERVER_LENT) | TO(SERVER_MOVING) | TO(SERVER_CLEANING) | TO(SERVER_CLOSING) | TO(SERVER_ORPHANED),
	[SERVER_CLEANING] = TO(SERVER_IDLE) | TO(SERVER_LENT) | TO(SERVER_MOVING) | TO(SERVER_CLOSING) | TO(SERVER_ORPHANED),
	[SERVER_MOVING]   = TO(SERVER_IDLE) | TO(SERVER_LENT) | TO(SERVER_MOVING) | TO(SERVER_CLEANING) | TO(SERVER_CLOSING) | TO(SERVER_ORPHANED),
	[SERVER_CLOSING]  = TO(SERVER_ORPHANED),
	[SERVER_ORPHANED] = 0,
	/* clang-format on */
};

static bool is_leaving(enum server_state state)
{
	return state == SERVER_CLOSING || state == SERVER_ORPHANED;
}

/* What the origin that it was lent to, or is mailed for, holds. */
static void line_counts(struct core *core, struct server *s, int change)
{
	if (!s->line)
		return;
	if (s->state == SERVER_MOVING)
		line_promised(core, s->line, s->to, change);
	else
		line_lent(core, s->line, change);
}

/* What the limits that its pool is under know of a state. */
static void scopes_count(struct pool *pool, enum server_state state, uint32_t change)
{
	if (state != SERVER_IDLE && !is_leaving(state))
		return;
	for (unsigned i = 0; i < SCOPES; i++) {
		struct scope *scope = pool->scopes[i];

		if (state == SERVER_IDLE)
			scope->idle += change;
		else
			scope->leaving += change;
		check(scope->idle <= scope->servers && scope->leaving <= scope->servers);
	}
}

/* Into the list and the counts of its state. `worker`, `to` and `line` are as they will be. */
static void ledger_add(struct core *core, struct server *s)
{
	struct pool *pool = s->pool;
	struct link *list = &pool->by_state[s->state];

	if (s->state == SERVER_IDLE) {
		link_first(list, &s->link);
		link_first(&pool->at[s->worker].idle, &s->local);
	} else {
		link_last(list, &s->link);
	}
	pool->count[s->state]++;
	pool->at[s->worker].dialing += s->state == SERVER_DIALING;
	pool->at[s->to].incoming += s->state == SERVER_MOVING;
	scopes_count(pool, s->state, 1);
	line_counts(core, s, 1);
}

static void ledger_remove(struct core *core, struct server *s)
{
	struct pool *pool = s->pool;

	check(pool->count[s->state] > 0);
	check(s->state != SERVER_DIALING || pool->at[s->worker].dialing > 0);
	check(s->state != SERVER_MOVING || pool->at[s->to].incoming > 0);
	link_remove(&s->link);
	link_remove(&s->local);
	pool->count[s->state]--;
	pool->at[s->worker].dialing -= s->state == SERVER_DIALING;
	pool->at[s->to].incoming -= s->state == SERVER_MOVING;
	scopes_count(pool, s->state, -1u);
	line_counts(core, s, -1);
}

struct server *server_new(struct core *core, struct pool *pool, uint32_t worker)
{
	struct server *s = core_memory(sizeof(*s));

	check(worker < core->setup.workers);
	*s = (struct server){ .pool = pool, .worker = worker, .to = worker, .state = SERVER_DIALING };
	s->born = s->since = core->now;
	link_init(&s->link);
	link_init(&s->local);
	check(slots_add(&core->servers, s, &s->id));
	for (unsigned i = 0; i < SCOPES; i++)
		pool->scopes[i]->servers++;
	pool->servers++;
	pool_used(pool);
	ledger_add(core, s);
	return s;
}

/* It does not make room any more, or not soon. */
static struct pool *take_room_back(struct server *s)
{
	struct pool *pool = s->room_for;

	if (pool) {
		check(pool->rooms > 0);
		pool->rooms--;
		s->room_for = NULL;
	}
	return pool;
}

static void enter(struct core *core, struct server *s, enum server_state state, uint32_t to, struct line *line)
{
	check(edges[s->state] & TO(state));
	check(s->holder == NULL);
	if (is_leaving(state))
		heir_lost(core, s);
	if (state == SERVER_ORPHANED)
		(void)take_room_back(s); /* its slot may be long in coming: another one is asked for */
	ledger_remove(core, s);
	s->to = to;
	s->line = line;
	s->state = state;
	s->since = core->now;
	ledger_add(core, s);
}

void server_enter(struct core *core, struct server *s, enum server_state state)
{
	check(state != SERVER_MOVING && state != SERVER_LENT);
	/* What is cleaned is still busy for who made it dirty. */
	enter(core, s, state, s->worker, state == SERVER_CLEANING && s->state == SERVER_LENT ? s->line : NULL);
}

void server_lend(struct core *core, struct server *s, struct line *line)
{
	check(line->pool == s->pool);
	enter(core, s, SERVER_LENT, s->worker, line);
}

void server_mail(struct core *core, struct server *s, uint32_t to, struct line *line)
{
	check(to < core->setup.workers && line->pool == s->pool);
	enter(core, s, SERVER_MOVING, to, line);
}

void server_unlend(struct core *core, struct server *s)
{
	check(s->state == SERVER_LENT || s->state == SERVER_CLEANING);
	check(s->holder == NULL);
	line_counts(core, s, -1);
	s->line = NULL;
}

void server_gone(struct core *core, struct server **taken)
{
	struct server *s = *taken;
	struct pool *pool = s->pool, *refused = take_room_back(s);

	*taken = NULL;
	check(s->holder == NULL);
	heir_lost(core, s);
	ledger_remove(core, s);
	for (unsigned i = 0; i < SCOPES; i++) {
		check(pool->scopes[i]->servers > 0);
		pool->scopes[i]->servers--;
	}
	limits_fit(pool->scopes[SCOPE_INSTANCE]);
	check(pool->servers > 0);
	pool->servers--;
	/* It paused because PostgreSQL had no slot for it, and this was one. */
	if (refused && refused->full_since) {
		refused->retry_at = 0;
		limits_hunger(core, refused);
		tick_hurry(core, dial_full_due(core, refused));
	}
	slots_remove(&core->servers, s->id);
	free(s);
	pool_left(core, pool);
}

struct server *server_of(const struct core *core, server_id id)
{
	return slots_get(&core->servers, id);
}

uint32_t pool_staying(const struct pool *pool)
{
	return pool->servers - pool->count[SERVER_CLOSING] - pool->count[SERVER_ORPHANED];
}

uint32_t pool_live(const struct pool *pool)
{
	return pool_staying(pool) - pool->count[SERVER_DIALING];
}
