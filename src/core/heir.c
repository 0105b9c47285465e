#include "core/state.h"

/* A client that wants one server, since what it asks for is in that one's session and nowhere else: it is the heir.
 *
 *   wants server 3:  idle here -> LEND   idle elsewhere -> MOVE it here   lent, cleaned or in the mail -> its heir
 *   server 3 is free -> LEND it to its heir, before anybody else; it closes, or HEIR_PATIENCE is over -> the heir waits with the others
 *
 * An heir is not among those who wait, so no server is dialed, mailed or closed for it; a server has one heir at most. Where origins are limited
 * there is none, since one that comes into its server is not asked whether its origin has room. A server that goes leaves a loose heir, who
 * joins the others at the end of the step. */

/* Whoever holds the server may hold it for long. What is there can not be told then, and is an error. */
#define HEIR_PATIENCE (5 * SECOND_US)

static void add(struct core *core, struct client *c, struct server *s, struct line *line, time_us since)
{
	struct pool *pool = s->pool;

	check(c->want == WANT_NOTHING && !s->heir);
	c->pool = pool;
	c->line = line;
	c->since = since;
	c->want = WANT_HEIR;
	c->awaits = s;
	c->awaits_until = core->now + HEIR_PATIENCE;
	s->heir = c;
	link_last(&pool->heirs, &c->link);
	pool->heirs_count++;
	core->waiting++;
	pool_used(pool);
	line_heirs(line, 1);
	tick_hurry(core, c->awaits_until);
}

void heir_remove(struct core *core, struct client *c)
{
	struct pool *pool = c->pool;
	struct line *line = c->line;

	check(c->want == WANT_HEIR && pool->heirs_count > 0 && core->waiting > 0);
	if (c->awaits)
		c->awaits->heir = NULL;
	c->awaits = NULL;
	link_remove(&c->link);
	c->want = WANT_NOTHING;
	c->line = NULL;
	pool->heirs_count--;
	core->waiting--;
	pool_left(core, pool);
	line_heirs(line, -1);
}

struct client *heir_take(struct core *core, struct server *s)
{
	struct client *c = s->heir;
	struct line *line = c->line;

	heir_remove(core, c);
	c->pool = s->pool;
	c->line = line;
	return c;
}

bool heir_wants(struct core *core, struct client *c, struct line *line, time_us since, server_id wanted)
{
	struct server *s = wanted.generation ? server_of(core, wanted) : NULL;

	if (!s || s->pool != line->pool || s->heir || s->close_needed || s->close_told || s->pool->rules.replication ||
		s->pool->rules.origin_servers_max)
		return false;
	switch (s->state) {
	case SERVER_IDLE:
		if (s->worker == c->ref.worker) {
			c->pool = s->pool;
			c->line = line;
			c->since = since;
			lease_open(core, s, c);
			return true;
		}
		add(core, c, s, line, since);
		server_move(core, s, c);
		return true;
	case SERVER_LENT:
	case SERVER_CLEANING:
	case SERVER_MOVING:
		add(core, c, s, line, since);
		return true;
	case SERVER_DIALING:
	case SERVER_CLOSING:
	case SERVER_ORPHANED:
	default:
		return false;
	}
}

static void loosen(struct core *core, struct client *c)
{
	c->awaits->heir = NULL;
	c->awaits = NULL;
	core->loose_heirs++;
}

void heir_lost(struct core *core, struct server *s)
{
	if (s->heir)
		loosen(core, s->heir);
}

time_us heirs_due(const struct pool *pool)
{
	return pool->heirs_count ? link_owner(pool->heirs.next, struct client, link)->awaits_until : 0;
}

void heirs_limit(struct core *core, struct pool *pool)
{
	for (const struct link *l = pool->heirs.next; pool->rules.origin_servers_max && l != &pool->heirs;
		l = l->next) {
		struct client *c = link_owner(l, struct client, link);

		if (c->awaits)
			loosen(core, c);
	}
}

void heirs_tick(struct core *core, struct pool *pool)
{
	for (const struct link *l = pool->heirs.next; l != &pool->heirs; l = l->next) {
		struct client *c = link_owner(l, struct client, link);

		if (c->awaits && c->awaits_until <= core->now)
			loosen(core, c);
	}
}

static bool join(struct core *core, struct pool *pool)
{
	bool any = false;

	for (struct link *l = pool->heirs.next, *next; l != &pool->heirs; l = next) {
		struct client *c = link_owner(l, struct client, link);
		struct line *line = c->line;
		time_us since = c->since;

		next = l->next;
		if (c->awaits)
			continue;
		heir_remove(core, c);
		if (line_has_room(line)) {
			waiters_add(core, c, line, since);
			any = true;
		} else {
			line_keep(core, c, line, since);
		}
	}
	return any;
}

void heirs_join(struct core *core)
{
	core->loose_heirs = 0;
	for (uint32_t i = 0; i < core->pools_count; i++) {
		struct pool *pool = core->pools[i];

		if (pool->heirs_count && join(core, pool)) {
			lend_rescue(core, pool);
			tick_hurry(core, dial_due(core, pool));
		}
	}
}
