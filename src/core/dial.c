#include "base/text.h"
#include "core/state.h"

/* Opening servers.
 *
 *   wanted:   somebody waits for whom no mail and no other dial is under way, or the pool has fewer than its least
 *   allowed:  not paused; not in a pause after a failure; fewer than DIALS_AT_ONCE under way; the pool's own size
 *             (and its reserve, once the oldest waiter has waited long enough); then the limits shared with others
 *
 * What a failure does:
 *
 *   FULL       PostgreSQL has no slot (53300), for anybody or for this role or database. Clients never hear of it: they wait, our
 *              target shrinks to what lives, and one dial at a time asks again after 100 ms, 200 ms ... 5 s. Each success raises
 *              the target by one and asks on at once; the state ends when nobody waits for more: after a success, or when the
 *              pause is over, and the next refusal is a first one. A neighbour that rests and counts against the same limit makes room; for a pool that has no
 *              server at all also one that comes free, in turns as between hungry pools. One in each pause, since it may be no
 *              help.
 *   TEMPORARY  it starts up or shuts down, or no host is what is wanted: pauses as before, but of a second at most; clients wait.
 *   (greeting) it logged in, and was lost before it was ready: as TEMPORARY.
 *   GREETING   likewise, and connect_query was under way. PostgreSQL ends all when it shuts down, so once proves nothing; GREETINGS_MOST
 *              times without one that was ready between them are REFUSED.
 *   REFUSED    anything else. A pool without a live server can not serve, so its waiters are told, and so is everybody
 *              who comes within login_retry; with live servers they go on waiting, and without login_retry the pauses are
 *              those of TEMPORARY. */

#define GREETINGS_MOST 3

#define PAUSE_LEAST    (100 * MILLISECOND_US)
#define PAUSE_MOST     (5 * SECOND_US)
#define PAUSE_AWAY \
	SECOND_US /* the most while it starts, shuts down or moves to another host: it may be there any moment */

bool dial_wanted(const struct pool *pool)
{
	return pool->waiting && waiters_uncovered(pool) > pool->count[SERVER_DIALING];
}

static bool reserve_open(const struct core *core, const struct pool *pool)
{
	const struct client *oldest;

	if (pool->rules.reserve == 0 || core->rules.reserve_timeout == 0)
		return false;
	oldest = waiters_oldest(pool);
	return oldest && oldest->since + core->rules.reserve_timeout <= core->now;
}

enum dial_answer dial_allowed(const struct core *core, const struct pool *pool)
{
	uint32_t dialing = pool->count[SERVER_DIALING], size = pool->rules.size;

	if (pool_paused(core, pool) || core->now < pool->retry_at)
		return DIAL_NOT_NOW;
	if (dialing >= (pool->full_since ? 1 : DIALS_AT_ONCE))
		return DIAL_NOT_NOW;
	if (size && pool->servers >= size) {
		if (!reserve_open(core, pool) || pool->servers >= size + pool->rules.reserve)
			return DIAL_NOT_NOW;
	}
	for (unsigned i = 0; i < SCOPES; i++) {
		if (scope_full(pool->scopes[i]))
			return DIAL_SHARED;
	}
	return DIAL_NOW;
}

void dial_one(struct core *core, struct pool *pool, uint32_t worker)
{
	struct server *s;
	struct effect *effect;

	check(dial_allowed(core, pool) == DIAL_NOW);
	s = server_new(core, pool, worker);
	effect = effect_add(core, EFFECT_DIAL, worker);
	effect->server = s->id;
	effect->pool = pool->id;
}

void dial_more(struct core *core, struct pool *pool)
{
	while (dial_wanted(pool)) {
		switch (dial_allowed(core, pool)) {
		case DIAL_NOW:
			dial_one(core, pool, waiters_next_dial(pool)->ref.worker);
			break;
		case DIAL_SHARED:
			limits_hunger(core, pool);
			while (limits_make_room(core, pool))
				;
			return;
		case DIAL_NOT_NOW:
			return;
		}
	}
}

/* min_size holds for a pool that somebody uses. */
uint32_t pool_least(const struct pool *pool)
{
	const struct core_pool_rules *rules = &pool->rules;

	if (pool->clients == 0 && !rules->keep_min)
		return 0;
	return rules->size && rules->min_size > rules->size ? rules->size : rules->min_size;
}

void dial_keep_min(struct core *core, struct pool *pool)
{
	time_us due = dial_min_due(core, pool);

	if (due == 0 || due > core->now)
		return;
	pool->next_worker = (pool->next_worker + 1) % pool->workers;
	dial_one(core, pool, pool->next_worker);
}

time_us dial_min_due(const struct core *core, const struct pool *pool)
{
	time_us due = core->now;

	if (pool_staying(pool) >= pool_least(pool) || pool->count[SERVER_DIALING])
		return 0;
	if (pool->database->disabled || pool_paused(core, pool) || core->shutting_down)
		return 0;
	if (pool->rules.size && pool->servers >= pool->rules.size)
		return 0;
	for (unsigned i = 0; i < SCOPES; i++) {
		if (scope_full(pool->scopes[i]))
			return 0;
	}
	if (due < pool->retry_at)
		due = pool->retry_at;
	return due < pool->keep_at ? pool->keep_at : due;
}

/* When time alone makes a dial possible that is wanted now. */
time_us dial_due(const struct core *core, const struct pool *pool)
{
	uint32_t size = pool->rules.size;
	time_us due;

	if (!dial_wanted(pool) || pool_paused(core, pool))
		return 0;
	if (pool->count[SERVER_DIALING] >= (pool->full_since ? 1 : DIALS_AT_ONCE))
		return 0;
	due = pool->retry_at;
	if (size && pool->servers >= size) {
		time_us opens = waiters_oldest(pool)->since + core->rules.reserve_timeout;

		if (core->rules.reserve_timeout == 0 || pool->servers >= size + pool->rules.reserve)
			return 0;
		if (opens > due)
			due = opens;
	}
	return due > core->now ? due : 0;
}

static void failure_over(struct pool *pool)
{
	pool->failed = false;
	pool->greetings_failed = 0;
	pool->retry_at = pool->keep_at = pool->pause = 0;
}

struct pool *dial_succeeded(struct core *core, struct server *s)
{
	struct pool *pool = s->pool;

	check(s->state == SERVER_DIALING);
	s->born = core->now;
	failure_over(pool);
	pool->room_at = 0;
	if (pool->full_since && pool->full_target < pool_live(pool) + 1)
		pool->full_target = pool_live(pool) + 1;
	return pool;
}

void dial_next(struct core *core, struct pool *pool)
{
	dial_more(core, pool);
	if (!dial_wanted(pool))
		dial_full_over(core, pool);
	limits_freed(core, pool);
	tick_hurry(core, tick_pool_due(core, pool));
}

/* Others of its servers may serve all who waited, and nobody asks PostgreSQL again. A neighbour that made room ends the pause, but whether
 * that was any help nobody has tried: it is remembered for as long as the pause would have been. */
time_us dial_full_due(const struct core *core, const struct pool *pool)
{
	time_us due = pool->retry_at > pool->room_at ? pool->retry_at : pool->room_at;

	if (!pool->full_since || pool->waiting || pool_live(pool) < pool_least(pool))
		return 0;
	return due > core->now ? due : core->now;
}

void dial_full_over(struct core *core, struct pool *pool)
{
	if (!pool->full_since)
		return;
	core->full_pools--;
	pool->full_since = pool->full_target = 0;
	pool->room_at = pool->pause = 0;
}

bool dial_refuses(const struct core *core, const struct pool *pool)
{
	return pool->failed && pool->failure == FAILURE_REFUSED && core->now < pool->retry_at && pool_live(pool) == 0;
}

void dial_again(struct core *core, struct pool *pool)
{
	if (!pool->failed || pool->failure != FAILURE_REFUSED)
		return;
	failure_over(pool);
	tick_hurry(core, core->now);
}

/* Tell a client why its pool can not be reached: one that waits, or, as was `known` when it came, one that was about to. */
void dial_refuse(struct core *core, struct client *c, bool known)
{
	struct pool *pool = c->pool;
	struct effect *effect = effect_for(core, EFFECT_REFUSE, c->ref);

	effect->refusal = REFUSAL_FAILED;
	effect->known = known;
	effect->pool = pool->id;
	text_copy(effect->sqlstate, sizeof(effect->sqlstate), pool->sqlstate);
	text_copy(effect->text, sizeof(effect->text), pool->failure_text);
	if (c->want != WANT_NOTHING)
		waiters_remove(core, c);
	c->pool = NULL;
	client_rest(core, c);
}

static void refuse_all(struct core *core, struct pool *pool)
{
	struct client *c;

	while ((c = waiters_any(pool)) != NULL)
		dial_refuse(core, c, false);
	check(pool->waiting == 0 && pool->kept == 0 && pool->heirs_count == 0);
}

/* Longer each time, but once for all dials that failed together. */
static void pause_dialing(struct core *core, struct pool *pool, time_us most)
{
	if (core->now < pool->retry_at)
		return;
	pool->pause = pool->pause ? pool->pause * 2 : PAUSE_LEAST;
	if (pool->pause > most)
		pool->pause = most;
	pool->retry_at = core->now + pool->pause;
}

static void failure_full(struct core *core, struct pool *pool)
{
	if (!pool->full_since) {
		pool->full_since = core->now;
		core->full_pools++;
	}
	pool->full_target = pool_live(pool) ? pool_live(pool) : 1;
	pause_dialing(core, pool, PAUSE_MOST);
	limits_relieve(core, pool);
	tick_hurry(core, dial_full_due(core, pool));
}

static void failure_refused(struct core *core, struct pool *pool)
{
	/* Nobody waits for these: even without login_retry they need not be tried without end. */
	pool->keep_at = core->now + SECOND_US;
	if (pool_live(pool) > 0 && core->rules.login_retry == 0)
		pause_dialing(core, pool, PAUSE_AWAY); /* nor does who goes on waiting need that */
	else
		pool->retry_at = core->now + core->rules.login_retry;
	if (pool_live(pool) == 0)
		refuse_all(core, pool);
}

void dial_greeting_failed(struct core *core, struct pool *pool)
{
	pool->failures++;
	pause_dialing(core, pool, PAUSE_AWAY);
}

void dial_failed(struct core *core, const struct event *event)
{
	struct server *s = server_of(core, event->server);
	struct pool *pool;
	bool wanted_end;

	if (!s)
		return;
	check(s->state == SERVER_DIALING || s->state == SERVER_CLOSING);
	pool = s->pool;
	wanted_end = s->close_told;
	if (!event->stays)
		server_gone(core, &s);
	else if (s->state == SERVER_DIALING)
		server_enter(core, s, SERVER_CLOSING);
	if (!wanted_end) {
		pool->failures++;
		pool->failed = true;
		pool->failure = event->failure;
		text_copy(pool->failure_text, sizeof(pool->failure_text), event->text ? event->text : "");
		text_copy(pool->sqlstate, sizeof(pool->sqlstate), event->sqlstate ? event->sqlstate : "08006");
		switch (event->failure) {
		case FAILURE_FULL:
			pool->full = event->full;
			failure_full(core, pool);
			break;
		case FAILURE_TEMPORARY:
			pause_dialing(core, pool, PAUSE_AWAY);
			break;
		case FAILURE_GREETING:
			if (++pool->greetings_failed < GREETINGS_MOST) {
				pause_dialing(core, pool, PAUSE_AWAY);
				break;
			}
			pool->failure = FAILURE_REFUSED;
			failure_refused(core, pool);
			break;
		case FAILURE_REFUSED:
			failure_refused(core, pool);
			break;
		}
	}
	limits_freed(core, pool);
}
