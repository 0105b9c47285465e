#include "core/state.h"

/* What becomes of a server that nobody holds, and of a client that wants one.
 *
 *   a client wants:  idle here? -> LEND    idle elsewhere? -> MOVE it here    else wait, and DIAL if limits allow,
 *                                                                                   or CLOSE another pool's to make room
 *   a server is free:  must it close? -> CLOSE   a hungrier pool under a shared limit? -> CLOSE
 *                      who is next? -> here: LEND, elsewhere: MOVE      nobody? -> it rests (IDLE)
 *
 * Always, between steps: where a pool is not paused, no server rests while somebody waits uncovered. So a newcomer that finds a
 * server resting overtakes nobody. A server is offered only by an event of the worker that owns it, which is why a LEND never
 * needs mail. A server in the mail is nobody's: what is decided about it meanwhile is carried out when it arrives. */

/* ---- servers that nobody holds ---- */

static enum close_reason must_close(struct core *core, const struct server *s)
{
	const struct pool *pool = s->pool;

	if (core->shutting_down && core->shutdown == SHUTDOWN_SERVERS)
		return CLOSE_SHUTDOWN;
	if (pool_paused(core, pool))
		return pool->database->kill_paused ? CLOSE_KILL : CLOSE_PAUSE;
	if (s->close_needed)
		return s->unfit ? CLOSE_UNFIT : CLOSE_RECONNECT;
	if (pool->rules.replication && s->used)
		return CLOSE_IDLE; /* it was one client's */
	if (pool_vacated(core, pool))
		return CLOSE_VACATED;
	if (pool_over(pool))
		return CLOSE_SHRINK;
	if (lifetime_over(core, s))
		return CLOSE_LIFETIME;
	return CLOSE_NONE;
}

void server_offer(struct core *core, struct server *s)
{
	struct client *next;
	enum close_reason reason;

	check(s->holder == NULL);
	if (s->close_told) {
		/* The word is on its way to the worker. */
		server_enter(core, s, SERVER_CLOSING);
		tick_hurry(core, dial_min_due(core, s->pool));
		return;
	}
	reason = must_close(core, s);
	if (reason != CLOSE_NONE) {
		if (reason == CLOSE_LIFETIME)
			s->pool->last_lifetime_close = core->now;
		server_close(core, s, reason);
		return;
	}
	if (s->heir && s->heir->ref.worker != s->worker) {
		server_move(core, s, s->heir);
		return;
	}
	if (s->heir) {
		lease_open(core, s, heir_take(core, s));
		return;
	}
	next = waiters_next(s->pool, s->worker, s->state == SERVER_MOVING ? s->line : NULL);
	if (!link_empty(&core->hungry) && limits_yield(core, s, next))
		return;
	if (core->full_pools && limits_yield_refused(core, s, next))
		return;
	if (next && next->ref.worker == s->worker) {
		lease_open(core, s, next);
	} else if (next) {
		server_move(core, s, next);
	} else if (s->pool->rules.replication) {
		server_close(core, s, CLOSE_IDLE);
	} else {
		server_enter(core, s, SERVER_IDLE);
		if (!s->rested)
			s->rested_since = core->now;
		s->rested = true;
		if (core->rules.server_idle_timeout)
			tick_hurry(core, core->now + core->rules.server_idle_timeout);
		tick_hurry(core, lifetime_due(s));
	}
}

void server_tell_close(struct core *core, struct server *s, enum close_reason reason)
{
	struct effect *effect = effect_add(core, EFFECT_CLOSE, s->worker);

	check(reason != CLOSE_NONE);
	effect->server = s->id;
	effect->pool = s->pool->id;
	effect->reason = reason;
	s->close_told = true;
}

void server_end_stream(struct core *core, struct server *s, enum close_reason reason)
{
	if (s->pool->rules.replication && s->state == SERVER_LENT && !s->close_told)
		server_tell_close(core, s, reason);
}

void server_hurry(struct core *core, struct server *s)
{
	struct effect *effect;

	check(s->close_needed);
	server_end_stream(core, s, s->unfit ? CLOSE_UNFIT : CLOSE_RECONNECT);
	if (!s->pool->rules.fast_close || s->state != SERVER_LENT || s->close_told || s->leave_told)
		return;
	effect = effect_add(core, EFFECT_LEAVE, s->worker);
	effect->server = s->id;
	effect->pool = s->pool->id;
	effect->reason = s->unfit ? CLOSE_UNFIT : CLOSE_RECONNECT;
	s->leave_told = true;
}

void server_close(struct core *core, struct server *s, enum close_reason reason)
{
	check(!s->close_told && s->holder == NULL);
	server_tell_close(core, s, reason);
	server_enter(core, s, SERVER_CLOSING);
	tick_hurry(core, dial_min_due(core, s->pool));
}

void server_move(struct core *core, struct server *s, struct client *to)
{
	struct effect *effect = effect_add(core, EFFECT_MOVE, s->worker);

	check(!s->close_needed && !s->close_told);
	effect->server = s->id;
	effect->pool = s->pool->id;
	effect->to = to->ref.worker;
	if (s->line != to->line)
		line_takes_turn(to->line);
	server_mail(core, s, to->ref.worker, to->line);
}

/* Servers that rest go where nothing is under way by mail any more. */
static void cover(struct core *core, struct pool *pool)
{
	const struct link *idle = &pool->by_state[SERVER_IDLE];

	while (!link_empty(idle) && (pool->rules.fair ? pool->turns.count : waiters_uncovered(pool))) {
		struct server *s = link_owner(idle->next, struct server, link);
		struct client *c = waiters_next(pool, s->worker, NULL);

		/* Had anybody waited where it rests, it would have been lent there; but who was kept and is so no more began to wait in
		 * somebody else's step. Only its owner may lend it: it goes round by mail, even to where it is. */
		check(c != NULL);
		server_move(core, s, c);
	}
}

/* A server that was under way does not come, or not to those who counted on it; or its slot is free. */
void lend_rescue(struct core *core, struct pool *pool)
{
	if (!pool_paused(core, pool))
		cover(core, pool);
	limits_freed(core, pool);
}

/* ---- clients ---- */

/* The idle server of `list` that the rules prefer, or NULL. */
static struct link *preferred(const struct core *core, const struct link *list)
{
	if (link_empty(list))
		return NULL;
	return core->rules.round_robin ? list->prev : list->next;
}

/* It is told of a dial that has failed before it came. Without login_retry nobody is: what pauses then is for those who have waited
 * where others held a server, and it is not theirs who come when none lives. */
static bool is_refused(struct core *core, struct pool *pool)
{
	if (pool_paused(core, pool) || !dial_refuses(core, pool))
		return false;
	if (core->rules.login_retry)
		return true;
	pool->retry_at = 0;
	tick_hurry(core, core->now);
	return false;
}

void lend_wants(struct core *core, const struct event *event)
{
	struct client *c = client_find(core, event->client);
	struct pool *pool;
	struct line *line;
	struct link *found;
	time_us since = event->since > 0 && event->since < core->now ? event->since : core->now;

	check(event->pool < core->pools_count);
	check(event->client.worker < core->setup.workers);
	pool = core->pools[event->pool];
	if (!c)
		c = client_make(core, event->client, STAGE_SETTLED);
	check(c->stage == STAGE_LOGIN || c->stage == STAGE_SETTLED);
	if (c->want != WANT_NOTHING)
		return; /* it waits, or its LEND is not carried out yet */
	if (core->shutting_down && core->shutdown != SHUTDOWN_CLIENTS) {
		effect_for(core, EFFECT_REFUSE, c->ref)->refusal = REFUSAL_SHUTDOWN;
		client_rest(core, c);
		return;
	}
	if (is_refused(core, pool)) {
		c->pool = pool;
		dial_refuse(core, c, true);
		return;
	}
	line = line_of(pool, event->origin, event->group, event->weight);
	if (!line_makes_room(core, line, since)) {
		line_keep(core, c, line, since);
		return;
	}
	if (pool_paused(core, pool)) {
		waiters_add(core, c, line, since);
		return;
	}
	if (heir_wants(core, c, line, since, event->server))
		return;
	found = preferred(core, &pool->at[c->ref.worker].idle);
	if (found && pool->at[c->ref.worker].waiting == 0) {
		c->pool = pool;
		c->line = line;
		c->since = since;
		lease_open(core, link_owner(found, struct server, local), c);
		return;
	}
	waiters_add(core, c, line, since);
	if (found) {
		/* Who waits here for a server in the mail came first; that one is for the newcomer. */
		struct client *next = waiters_next(pool, c->ref.worker, NULL);

		check(next->ref.worker == c->ref.worker);
		lease_open(core, link_owner(found, struct server, local), next);
		return;
	}
	found = preferred(core, &pool->by_state[SERVER_IDLE]);
	if (found) {
		server_move(core, link_owner(found, struct server, link), c);
	} else {
		dial_more(core, pool);
		tick_hurry(core, dial_due(core, pool));
	}
}

/* Its LEND is not carried out yet, and will be in vain: the server waits for its worker to find that out and say READY. */
void lend_take_back(struct core *core, struct client *c)
{
	struct server *s = c->server;

	check(c->want == WANT_LENT);
	lease_close(core, s);
	server_enter(core, s, SERVER_CLEANING);
}

void lend_gives_up(struct core *core, const struct event *event)
{
	struct client *c = client_find(core, event->client);

	if (!c || c->want == WANT_NOTHING)
		return;
	if (c->want == WANT_LENT) {
		lend_take_back(core, c);
		return;
	}
	waiters_remove(core, c);
	client_rest(core, c);
}

/* ---- events of servers ---- */

/* Its origin does not hold it while it is looked for whom it serves; and who of that origin was kept for it may be the one. */
static bool give_back(struct core *core, struct server *s)
{
	struct line *line = s->line;

	server_unlend(core, s);
	return line->kept_count && line_admit(core, line);
}

void lend_ready(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);
	struct pool *dialed = NULL, *pool;
	bool moving, admitted;

	if (!s || s->state == SERVER_ORPHANED || s->state == SERVER_IDLE)
		return;
	if (s->state == SERVER_CLOSING) {
		/* The word to close it came before the letter that asked for its dial, and meant nothing then. */
		server_tell_close(core, s, CLOSE_KILL);
		return;
	}
	if (s->state == SERVER_MOVING)
		heir_lost(core, s); /* it does not come */
	if (event->process_id)
		s->process_id = event->process_id;
	pool = s->pool;
	moving = s->state == SERVER_MOVING;
	if (s->state == SERVER_LENT)
		lease_close(core, s);
	else if (s->state == SERVER_DIALING)
		dialed = dial_succeeded(core, s);
	else if (moving)
		server_enter(core, s, SERVER_CLEANING); /* it covers nobody while it is looked for whom it serves */
	admitted = s->line && give_back(core, s);
	server_offer(core, s);
	if (dialed)
		dial_next(core, dialed);
	if (moving || admitted)
		lend_rescue(core, pool);
}

void lend_cleaning(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);
	bool moving;

	if (!s || s->state == SERVER_CLOSING || s->state == SERVER_ORPHANED || s->state == SERVER_CLEANING)
		return;
	if (s->state == SERVER_LENT)
		lease_close(core, s);
	s->rested = false;
	moving = s->state == SERVER_MOVING;
	server_enter(core, s, SERVER_CLEANING);
	if (moving)
		lend_rescue(core, s->pool);
}

void lend_arrived(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);
	struct pool *pool;

	if (!s)
		return;
	check(event->worker < core->setup.workers);
	if (s->state == SERVER_CLOSING || s->state == SERVER_ORPHANED)
		return;
	check(s->state == SERVER_MOVING && s->to == event->worker);
	pool = s->pool;
	s->worker = event->worker;
	server_offer(core, s);
	if (pool->waiting)
		lend_rescue(core, pool);
}

/* It serves nobody any more, and was not told to end. */
static void serves_no_more(struct core *core, struct server *s)
{
	if (s->state == SERVER_LENT)
		lease_close(core, s);
	if (s->state == SERVER_DIALING)
		dial_greeting_failed(core, s->pool);
}

void lend_closing(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);

	if (!s || s->state == SERVER_CLOSING || s->state == SERVER_ORPHANED)
		return;
	serves_no_more(core, s);
	s->close_told = true;
	server_enter(core, s, SERVER_CLOSING);
	lend_rescue(core, s->pool);
}

void lend_unfit(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);

	if (!s || s->close_needed || s->state == SERVER_CLOSING || s->state == SERVER_ORPHANED)
		return;
	s->close_needed = s->unfit = true;
	if (s->state == SERVER_IDLE)
		server_close(core, s, CLOSE_UNFIT);
	server_hurry(core, s);
}

void lend_lost(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);
	struct pool *pool;

	if (!s)
		return;
	pool = s->pool;
	serves_no_more(core, s);
	if (event->proven || core->rules.orphan_timeout == 0) {
		server_gone(core, &s);
	} else if (s->state != SERVER_ORPHANED) {
		server_enter(core, s, SERVER_ORPHANED);
		tick_hurry(core, core->now + core->rules.orphan_timeout);
	}
	lend_rescue(core, pool);
}
