#include "lives.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "visits.h"

/* Lives of clients, as happenings in order of time.
 *
 *              asks            lent              done
 *   PARKED ----------> WAITING -----> EXECUTING ----------+--> PARKED
 *     ^                                 ^   |             |
 *     |                     thinks over |   | more to say |
 *     |                                 |   v             |
 *     |                                IN_BLOCK           +--> UNREAD, STALLED -> PARKED
 *     +------------------------------------------------------------------------
 *
 * In session mode a client keeps the server that it was lent once; it may have to wait for it at its login (ENTERING), before which it is no client.
 *
 * A happening carries the age of its client, so that one which came too late for its client is nobody's. */

enum state { GONE, ENTERING, PARKED, WAITING, EXECUTING, IN_BLOCK, UNREAD };

enum act {
	ACT_SOURCE,
	ACT_LOGIN,
	ACT_REQUEST,
	ACT_ASK,
	ACT_TIRED,
	ACT_DONE,
	ACT_THOUGHT,
	ACT_READS,
	ACT_LEAVE,
	ACT_CUT,
	ACT_NOTICED,
	ACT_IDLE,
	ACT_OPEN,
	ACT_CLOSE,
	ACT_RESTART
};

struct happening {
	time_us at;
	uint64_t order;
	enum act act;
	uint32_t who, age; /* a client, source or pool */
};

struct person {
	enum state state;
	uint32_t age;
	struct life life;
	int pool, slot;
	time_us login, since, parked;
	unsigned bursts, left, statements, stalls;
	bool cut, abandons, ends, old;
	bool server, asks; /* of a session: it has one; it asks as soon as it is in */
};

struct stage {
	const struct play *play;
	struct leak_rules rules;
	struct rng *rng;
	time_us now;
	struct happening *heap;
	size_t heap_count, heap_capacity;
	uint64_t order;
	struct person *people;
	uint32_t people_count, people_capacity, *free_places, free_count;
	uint32_t *waiting, waiting_count, waiting_capacity;
	uint32_t lent;
	uint32_t *threads[POOLS_MOST]; /* PICK_OWN: each thread's client + 1 */
	uint32_t sizes[POOLS_MOST];
	bool open[POOLS_MOST];
	time_us lost[LOST_MOST];
	unsigned lost_count, restarts, lost_since;
	bool lost_before;
	struct street *street;
	struct leak_facts facts; /* the counters */
};

static double uniform(struct rng *rng)
{
	return (double)(rng_next(rng) >> 11) / 9007199254740992.0;
}

time_us draw(struct rng *rng, struct range range)
{
	double low = range.least > 1000 ? (double)range.least : 1000, high = (double)range.most;

	if (range.least >= range.most)
		return range.least;
	return (time_us)(low * pow(high / low, uniform(rng)));
}

static time_us draw_wait(struct rng *rng, double rate)
{
	return (time_us)(-log(1 - uniform(rng)) / rate * (double)SECOND_US) + 1;
}

static void *grow(void *old, size_t count, size_t size)
{
	void *more = realloc(old, count * size);

	check(more);
	return more;
}

static bool is_before(const struct happening *a, const struct happening *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void plan(struct stage *s, time_us at, enum act act, uint32_t who, uint32_t age)
{
	struct happening new = { .at = at, .order = s->order++, .act = act, .who = who, .age = age };
	size_t i = s->heap_count++;

	if (at >= FOREVER) {
		s->heap_count--;
		return;
	}
	if (i == s->heap_capacity) {
		s->heap_capacity = s->heap_capacity ? 2 * s->heap_capacity : 64;
		s->heap = grow(s->heap, s->heap_capacity, sizeof(*s->heap));
	}
	for (; i > 0 && is_before(&new, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = new;
}

static struct happening take_first(struct stage *s)
{
	struct happening first = s->heap[0], last = s->heap[--s->heap_count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < s->heap_count && is_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (child >= s->heap_count || !is_before(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

static void plan_for(struct stage *s, time_us after, enum act act, uint32_t who)
{
	plan(s, after >= FOREVER ? FOREVER : s->now + after, act, who, s->people[who].age);
}

static bool is_quiet(const struct stage *s, const struct person *p)
{
	return p->state == PARKED && s->now - p->parked >= s->rules.quiet;
}

static void note_lost(struct stage *s)
{
	s->lost_since++;
	if (s->now < s->play->found)
		s->lost_before = true;
	else if (s->lost_count < LOST_MOST)
		s->lost[s->lost_count++] = s->now;
}

/* A server for whoever waits longest. */
static void execute(struct stage *s, uint32_t who);
static void be_in(struct stage *s, uint32_t who);

static void serve_next(struct stage *s)
{
	while (s->waiting_count > 0 && s->lent < s->play->servers_limit) {
		uint32_t who = s->waiting[0];

		s->waiting_count--;
		memmove(s->waiting, s->waiting + 1, s->waiting_count * sizeof(*s->waiting));
		s->lent++;
		s->people[who].server = s->play->session_mode;
		if (s->people[who].state == ENTERING)
			be_in(s, who);
		else
			execute(s, who);
	}
}

static void wait_for_server(struct stage *s, uint32_t who)
{
	if (s->waiting_count == s->waiting_capacity) {
		s->waiting_capacity = s->waiting_capacity ? 2 * s->waiting_capacity : 16;
		s->waiting = grow(s->waiting, s->waiting_capacity, sizeof(*s->waiting));
	}
	s->waiting[s->waiting_count++] = who;
	if (s->play->session_mode)
		plan_for(s, 60 * SECOND_US, ACT_TIRED, who);
	serve_next(s);
}

static void give_back(struct stage *s)
{
	check(s->lent > 0);
	s->lent--;
}

static void end_person(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];

	if (p->state != ENTERING) {
		s->facts.logouts++;
		spread_add(&s->facts.lifetimes, s->now - p->login);
	}
	if (p->state == IN_BLOCK) {
		spread_add(&s->facts.blocks, s->now - p->since);
		s->facts.in_block_time += s->now - p->since;
	}
	if (p->pool >= 0) {
		s->sizes[p->pool]--;
		if (p->slot >= 0)
			s->threads[p->pool][p->slot] = 0;
	}
	for (uint32_t i = 0; (p->state == WAITING || p->state == ENTERING) && i < s->waiting_count; i++) {
		if (s->waiting[i] != who)
			continue;
		s->waiting_count--;
		memmove(&s->waiting[i], &s->waiting[i + 1], (s->waiting_count - i) * sizeof(*s->waiting));
		break;
	}
	if (s->play->session_mode ? p->server : p->state == EXECUTING || p->state == IN_BLOCK || p->state == UNREAD)
		give_back(s);
	p->server = false;
	p->state = GONE;
	p->age++;
	s->free_places[s->free_count++] = who;
	serve_next(s);
}

/* It is logged in, and begins to live. */
static void be_in(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	const struct life *life = &p->life;

	s->facts.logins++;
	p->state = PARKED;
	p->login = p->parked = s->now;
	if (p->asks)
		plan_for(s, 0, ACT_ASK, who);
	else if (life->bursts > 0)
		plan_for(s, draw(s->rng, life->first), ACT_ASK, who);
	else if (p->pool < 0 && life->ending == ENDS_LEAVING)
		plan_for(s, draw(s->rng, life->stay), ACT_LEAVE, who);
	else if (life->ending == ENDS_VANISHING)
		plan_for(s, draw(s->rng, life->stay), ACT_CUT, who);
}

/* Who logs in finds as many quiet ones as there are. */
static uint32_t log_in(struct stage *s, const struct life *life, int pool, int slot)
{
	uint32_t quiet = 0, who;
	struct person *p;

	for (uint32_t i = 0; i < s->people_count; i++)
		quiet += is_quiet(s, &s->people[i]);
	s->facts.logins_while_quiet += quiet >= s->rules.siblings;
	if (s->free_count > 0) {
		who = s->free_places[--s->free_count];
	} else {
		if (s->people_count == s->people_capacity) {
			s->people_capacity = s->people_capacity ? 2 * s->people_capacity : 64;
			s->people = grow(s->people, s->people_capacity, sizeof(*s->people));
			s->free_places = grow(s->free_places, s->people_capacity, sizeof(*s->free_places));
		}
		who = s->people_count++;
		s->people[who] = (struct person){ 0 };
	}
	p = &s->people[who];
	*p = (struct person){
		.age = p->age, .state = ENTERING, .life = *life, .pool = pool, .slot = slot, .left = life->bursts
	};
	if (pool >= 0)
		s->sizes[pool]++;
	if (life->lost && life->ending == ENDS_STAYING)
		note_lost(s);
	if (s->play->enters)
		wait_for_server(s, who);
	else
		be_in(s, who);
	return who;
}

static void ask(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	time_us rest = s->now - p->parked;

	check(p->state == PARKED);
	if (p->bursts == 0) {
		p->bursts = 1;
	} else if (rest >= s->rules.quiet) {
		spread_add(&s->facts.gaps, rest);
		p->bursts++;
		s->facts.reused += p->bursts == 2;
	}
	p->statements = p->life.statements;
	p->stalls = p->life.stalls;
	p->left -= p->left > 0;
	p->ends = p->left == 0 && p->pool < 0;
	p->state = WAITING;
	if (p->server)
		execute(s, who);
	else
		wait_for_server(s, who);
}

static void execute(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	time_us lasts = draw(s->rng, p->life.execute);

	p->state = EXECUTING;
	p->since = s->now;
	plan_for(s, lasts, ACT_DONE, who);
	if (p->ends && p->life.ending == ENDS_ABANDONING) {
		p->abandons = true;
		if (p->life.lost)
			note_lost(s);
		s->facts.cancels++;
		s->facts.abandoned++;
	}
}

static void be_parked(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	const struct app_pool *pool = p->pool >= 0 ? &s->play->pools[p->pool] : NULL;

	s->facts.transactions++;
	s->facts.session_locks += p->life.locks;
	if (p->life.locks && p->life.lost)
		note_lost(s);
	p->state = PARKED;
	p->parked = s->now;
	if (!s->play->session_mode) {
		give_back(s);
		serve_next(s);
	}
	if (pool) {
		if (!s->open[p->pool] || (pool->lifetime && s->now - p->login >= pool->lifetime))
			plan_for(s, 0, ACT_LEAVE, who);
		else if (pool->idle)
			plan_for(s, pool->idle, ACT_IDLE, who);
		return;
	}
	if (!p->ends)
		plan_for(s, draw(s->rng, p->life.rest), ACT_ASK, who);
	else if (p->life.ending == ENDS_LEAVING || p->life.ending == ENDS_HOLDING)
		plan_for(s, draw(s->rng, p->life.stay), ACT_LEAVE, who);
	else if (p->life.ending == ENDS_VANISHING)
		plan_for(s, draw(s->rng, p->life.stay), ACT_CUT, who);
}

static void statement_done(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	bool holds = p->ends && p->life.ending == ENDS_HOLDING;

	s->facts.executing_time += s->now - p->since;
	if (p->abandons) {
		/* It had gone before; its server is done only now. */
		end_person(s, who);
		return;
	}
	p->since = s->now;
	p->statements -= p->statements > 0;
	if (p->statements > 0 || holds) {
		if (holds && p->statements == 0) {
			/* The last: what it does now is nothing. */
			if (p->life.lost)
				note_lost(s);
			p->life.ending = ENDS_LEAVING;
			p->statements = 1;
			p->state = IN_BLOCK;
			plan_for(s, draw(s->rng, p->life.hold), ACT_THOUGHT, who);
			return;
		}
		p->state = IN_BLOCK;
		plan_for(s, draw(s->rng, p->life.think), ACT_THOUGHT, who);
		return;
	}
	if (p->ends && p->life.ending == ENDS_UNREAD) {
		p->state = UNREAD;
		if (p->life.lost)
			note_lost(s);
		return;
	}
	if (p->stalls > 0) {
		p->state = UNREAD;
		plan_for(s, draw(s->rng, p->life.stall), ACT_READS, who);
		return;
	}
	be_parked(s, who);
}

static void thought(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];

	spread_add(&s->facts.blocks, s->now - p->since);
	s->facts.in_block_time += s->now - p->since;
	execute(s, who);
}

static void read_on(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];

	p->since = s->now;
	if (--p->stalls > 0)
		plan_for(s, draw(s->rng, p->life.stall), ACT_READS, who);
	else
		be_parked(s, who);
}

/* What a member of a pool is before any request. */
static uint32_t member_in(struct stage *s, uint32_t pool, int slot)
{
	struct life life = s->play->pools[pool].work;
	uint32_t who;

	life.bursts = s->play->pools[pool].greets;
	life.first = (struct range){ 1000, 50000 };
	who = log_in(s, &life, (int)pool, slot);
	if (s->play->pools[pool].lifetime)
		plan_for(s,
			s->play->pools[pool].lifetime +
				(time_us)rng_below(s->rng, 1 + (uint64_t)s->play->pools[pool].lifetime / 10),
			ACT_IDLE, who);
	return who;
}

static void ask_of_member(struct stage *s, uint32_t who)
{
	if (s->people[who].state == PARKED)
		ask(s, who);
	else if (s->people[who].state == ENTERING)
		s->people[who].asks = true;
}

static void request(struct stage *s, uint32_t pool)
{
	const struct app_pool *rules = &s->play->pools[pool];
	uint32_t found = UINT32_MAX, seen = 0;

	if (!s->open[pool])
		return;
	if (rules->pick == PICK_OWN) {
		uint32_t slot = (uint32_t)rng_below(s->rng, rules->most);

		if (!s->threads[pool][slot])
			s->threads[pool][slot] = 1 + member_in(s, pool, (int)slot);
		found = s->threads[pool][slot] - 1;
		ask_of_member(s, found);
		return;
	}
	for (uint32_t i = 0; i < s->people_count; i++) {
		struct person *p = &s->people[i];

		if (p->state != PARKED || p->pool != (int)pool || p->cut)
			continue;
		seen++;
		if (found == UINT32_MAX || (rules->pick == PICK_ANY && rng_below(s->rng, seen) == 0) ||
			(rules->pick == PICK_LAST && p->parked > s->people[found].parked) ||
			(rules->pick == PICK_FIRST && p->parked < s->people[found].parked))
			found = i;
	}
	if (found == UINT32_MAX && s->sizes[pool] < rules->most)
		found = member_in(s, pool, -1);
	if (found != UINT32_MAX)
		ask_of_member(s, found);
}

/* A member of a pool rested for long, or is old. */
static void idle(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	uint32_t pool = (uint32_t)p->pool;
	const struct app_pool *rules = &s->play->pools[pool];

	if (p->state != PARKED)
		return;
	if (rules->lifetime && s->now - p->login >= rules->lifetime) {
		end_person(s, who);
		if (s->open[pool] && s->sizes[pool] < rules->least)
			member_in(s, pool, -1);
		return;
	}
	if (rules->idle && s->now - p->parked >= rules->idle && s->sizes[pool] > rules->least)
		end_person(s, who);
}

/* One of those that are open, as a balancer chooses it. */
static void request_anywhere(struct stage *s)
{
	uint32_t chosen = 0, seen = 0;

	for (uint32_t pool = 0; pool < s->play->pools_count; pool++)
		if (s->open[pool] && rng_below(s->rng, ++seen) == 0)
			chosen = pool;
	if (seen > 0)
		request(s, chosen);
}

static void one_of(struct stage *s, const struct source *source)
{
	if (source->pool == ANY_POOL)
		request_anywhere(s);
	else if (source->pool >= 0)
		request(s, (uint32_t)source->pool);
	else
		log_in(s, &source->life, -1, -1);
}

static void spring(struct stage *s, uint32_t number)
{
	const struct source *source = &s->play->sources[number];
	double rate = source->rate;

	if (s->now >= source->until)
		return;
	if (source->rhythm == IN_CLUMPS) {
		uint64_t count = source->least + rng_below(s->rng, source->most - source->least + 1);

		for (uint64_t i = 0; i < count; i++)
			plan(s, s->now + (source->spread ? (time_us)rng_below(s->rng, (uint64_t)source->spread) : 0),
				ACT_LOGIN, number, 0);
		plan(s, s->now + draw(s->rng, source->every), ACT_SOURCE, number, 0);
		return;
	}
	/* Thinned: as often as at its height, and then not always. */
	if (!source->swing ||
		uniform(s->rng) < 0.5 + 0.5 * sin(2 * 3.14159265 * (double)s->now / (double)source->swing))
		one_of(s, source);
	plan(s, s->now + draw_wait(s->rng, rate), ACT_SOURCE, number, 0);
}

static void open_pool(struct stage *s, uint32_t pool)
{
	s->open[pool] = true;
	for (unsigned i = 0; i < s->play->pools[pool].least; i++)
		plan(s, s->now + (time_us)rng_below(s->rng, 1 + (uint64_t)s->play->pool_opens_within[pool]),
			ACT_REQUEST, pool, 1);
}

static void close_pool(struct stage *s, uint32_t pool)
{
	s->open[pool] = false;
	for (uint32_t i = 0; i < s->people_count; i++)
		if ((s->people[i].state == PARKED || s->people[i].state == ENTERING) && s->people[i].pool == (int)pool)
			end_person(s, i);
}

/* Its processes end, in the middle of whatever they do, and begin again. */
static void restart(struct stage *s)
{
	for (uint32_t i = 0; i < s->people_count; i++)
		if (s->people[i].state != GONE)
			end_person(s, i);
	for (uint32_t i = 0; i < s->play->pools_count; i++)
		if (s->open[i])
			plan(s, s->now + 2 * SECOND_US, ACT_OPEN, i, 0);
	s->restarts++;
	s->lost_since = 0;
	plan(s, s->now + draw(s->rng, s->play->restarts), ACT_RESTART, 0, 0);
}

static void happen(struct stage *s, const struct happening *h)
{
	struct person *p = h->who < s->people_count ? &s->people[h->who] : NULL;

	switch (h->act) {
	case ACT_SOURCE:
		spring(s, h->who);
		return;
	case ACT_LOGIN:
		one_of(s, &s->play->sources[h->who]);
		return;
	case ACT_REQUEST:
		if (s->open[h->who] && s->sizes[h->who] < s->play->pools[h->who].most)
			member_in(s, h->who, -1);
		return;
	case ACT_OPEN:
		open_pool(s, h->who);
		return;
	case ACT_CLOSE:
		close_pool(s, h->who);
		return;
	case ACT_RESTART:
		restart(s);
		return;
	default:
		break;
	}
	if (!p || p->age != h->age || p->state == GONE)
		return;
	if (p->cut && h->act != ACT_NOTICED)
		return;
	switch (h->act) {
	case ACT_ASK:
		if (p->state == PARKED)
			ask(s, h->who);
		return;
	case ACT_TIRED:
		if (p->state == WAITING || p->state == ENTERING)
			end_person(s, h->who);
		return;
	case ACT_DONE:
		statement_done(s, h->who);
		return;
	case ACT_THOUGHT:
		thought(s, h->who);
		return;
	case ACT_READS:
		read_on(s, h->who);
		return;
	case ACT_LEAVE:
		if (p->state == PARKED)
			end_person(s, h->who);
		return;
	case ACT_CUT:
		p->cut = true;
		if (p->life.lost)
			note_lost(s);
		plan_for(s, draw(s->rng, (struct range){ 15 * SECOND_US, 30 * SECOND_US }), ACT_NOTICED, h->who);
		return;
	case ACT_NOTICED:
		s->facts.dead_peers++;
		end_person(s, h->who);
		return;
	case ACT_IDLE:
		idle(s, h->who);
		return;
	default:
		check(!"an act of a client");
	}
}

struct stage *stage_new(const struct play *play, const struct leak_rules *rules, struct rng *rng)
{
	struct stage *s = calloc(1, sizeof(*s));

	check(s);
	s->play = play;
	s->rules = *rules;
	s->rng = rng;
	for (uint32_t i = 0; i < play->pools_count; i++) {
		if (play->pools[i].pick == PICK_OWN) {
			s->threads[i] = calloc(play->pools[i].most, sizeof(*s->threads[i]));
			check(s->threads[i]);
		}
		plan(s, play->pool_opens[i], ACT_OPEN, i, 0);
		if (play->pool_closes[i])
			plan(s, play->pool_closes[i], ACT_CLOSE, i, 0);
	}
	for (uint32_t i = 0; i < play->sources_count; i++)
		plan(s, play->sources[i].from, ACT_SOURCE, i, 0);
	s->street = street_new(play, rng);
	if (play->restarts.most > 0)
		plan(s, draw(rng, play->restarts), ACT_RESTART, 0, 0);
	return s;
}

void stage_free(struct stage *s)
{
	for (unsigned i = 0; i < POOLS_MOST; i++)
		free(s->threads[i]);
	street_free(s->street);
	free(s->heap);
	free(s->people);
	free(s->free_places);
	free(s->waiting);
	free(s);
}

void stage_until(struct stage *s, time_us when)
{
	while (s->heap_count > 0 && s->heap[0].at <= when) {
		struct happening h = take_first(s);

		s->now = h.at;
		happen(s, &h);
	}
	s->now = when;
	for (unsigned lost = street_until(s->street, when); lost > 0; lost--)
		note_lost(s);
}

static time_us later(time_us a, time_us b)
{
	return a > b ? a : b;
}

void stage_facts(struct stage *s, struct leak_facts *facts)
{
	time_us idle_for = FOREVER;

	*facts = s->facts;
	facts->driver = s->play->driver;
	facts->runtime = s->play->runtime;
	facts->session_mode = s->play->session_mode;
	for (uint32_t i = 0; i < s->people_count; i++) {
		const struct person *p = &s->people[i];
		time_us age = s->now - p->since, rested = p->state == PARKED ? p->parked : s->now;

		if (p->state == GONE || (p->abandons && p->state == EXECUTING))
			continue;
		if (p->state == ENTERING) {
			facts->entering++;
			continue;
		}
		facts->clients++;
		if (p->state != PARKED || s->now - p->parked < idle_for)
			idle_for = p->state == PARKED ? s->now - p->parked : 0;
		facts->parked += p->state == PARKED;
		facts->regulars += rested - p->login >= LEAK_REGULAR_SPAN * s->rules.period &&
			s->now - rested <= LEAK_REGULAR_LATELY * s->rules.period;
		facts->waiting += p->state == WAITING;
		facts->lent += p->server || p->state == EXECUTING || p->state == IN_BLOCK || p->state == UNREAD;
		facts->rests_lent += p->server && p->state == PARKED;
		if (is_quiet(s, p)) {
			facts->quiet++;
			facts->silent += p->bursts == 0;
			facts->once += p->bursts == 1;
			facts->kept += p->bursts <= 1 && p->server;
			facts->listeners += p->life.listens && p->bursts > 0;
			facts->oldest_quiet = later(facts->oldest_quiet, s->now - p->parked);
		}
		if (p->state == EXECUTING)
			facts->executing_time += age;
		if (p->state == IN_BLOCK) {
			facts->in_block++;
			facts->in_block_time += age;
			facts->holding += age >= s->rules.hold;
			facts->failed += age >= s->rules.hold && p->life.fails;
			facts->oldest_hold = later(facts->oldest_hold, age);
		}
		if (p->state == UNREAD && age >= s->rules.hold) {
			facts->unread++;
			facts->oldest_unread = later(facts->oldest_unread, age);
		}
	}
	facts->clients_limit = s->play->clients_limit;
	facts->clients_total = facts->clients;
	facts->servers_limit = s->play->servers_limit;
	facts->servers_lent = s->lent;
	facts->pool_waiting = s->waiting_count;
	if (s->street && facts->clients > 0)
		street_facts(s->street, &s->rules, idle_for, &facts->visits);
}

time_us stage_lost(const struct stage *s, unsigned nth)
{
	check(nth > 0);
	return nth <= s->lost_count ? s->lost[nth - 1] : FOREVER;
}

bool stage_lost_before(const struct stage *s)
{
	return s->lost_before;
}

unsigned stage_restarts(const struct stage *s, unsigned *lost)
{
	*lost = s->lost_since;
	return s->restarts;
}
