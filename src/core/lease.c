#include "core/state.h"

/* A lease: one server lent to one client, from the first message that needs it until the server is proven free, or is
 * lost. Opened here and closed here, nowhere else; each adds its length to the pool's histogram when it closes.
 *
 *      lease_open                                 lease_close
 *   client waits or comes     LENT: s->holder == c          client parks (its record goes)
 *   server free          ---> c->server == s, WANT_LENT --> server goes to its next state at once
 *
 * The pool's median lease is what "one turn" means where fairness needs a length of time. It is an estimate that
 * costs two additions: each lease longer than it raises it by a part, each shorter one lowers it by the same part, so it comes to
 * rest where half are longer. The part is large while few leases are known. */

static time_us median_after(const struct pool *pool, time_us length)
{
	time_us median = pool->median_lease;
	time_us step = median / (pool->leases < 16 ? 4 : 32) + 1;

	if (pool->leases <= 1)
		return length;
	if (length > median)
		return length - median < step ? length : median + step;
	if (length < median)
		return median - length < step ? length : median - step;
	return median;
}

void lease_open(struct core *core, struct server *s, struct client *c)
{
	struct pool *pool = s->pool;
	struct effect *effect;
	struct line *line = c->line;
	time_us waited = core->now - c->since;

	check(c->pool == pool && line && line->pool == pool);
	check(c->ref.worker == s->worker);
	check(!s->close_needed && !s->close_told);
	check(!pool_paused(core, pool));
	if (c->want == WANT_WAITS) {
		/* A server that was mailed for its origin was that one's turn when it was sent. */
		if (s->line != line)
			line_takes_turn(line);
	}
	check(c->server == NULL);

	effect = effect_for(core, EFFECT_LEND, c->ref);
	effect->server = s->id;
	effect->pool = pool->id;
	effect->waited = waited;
	effect->check = s->rested && core->rules.check_on && core->now - s->rested_since >= core->rules.check_delay;

	server_lend(core, s, line);
	if (c->want == WANT_WAITS)
		waiters_remove(core, c);
	check(c->want == WANT_NOTHING);
	c->line = line;
	s->rested = false;
	s->used = true;
	s->holder = c;
	c->server = s;
	c->want = WANT_LENT;
	core->lent++;
	if (!pool->lengths)
		pool->lengths = core_memory(sizeof(*pool->lengths));
	histogram_add(&pool->lengths->waits, waited);
}

void lease_close(struct core *core, struct server *s)
{
	struct pool *pool = s->pool;
	struct client *c = s->holder;
	time_us length = core->now - s->since;

	check(s->state == SERVER_LENT);
	check(c && c->server == s && c->want == WANT_LENT);
	check(length >= 0);
	pool->leases++;
	pool->median_lease = median_after(pool, length);
	histogram_add(&pool->lengths->leases, length);
	s->holder = NULL;
	c->server = NULL;
	c->pool = NULL;
	c->line = NULL;
	c->want = WANT_NOTHING;
	check(core->lent > 0);
	core->lent--;
	client_rest(core, c);
}
