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
#include "lives_parts.h"

#include <string.h>

#include "base/check.h"

void life_plan(struct stage *s, time_us after, enum act act, uint32_t who)
{
	stage_plan(s, after >= FOREVER ? FOREVER : s->now + after, act, who, s->people[who].age);
}

bool life_is_quiet(const struct stage *s, const struct person *p)
{
	return p->state == PARKED && s->now - p->parked >= s->rules.quiet;
}

void life_lost(struct stage *s)
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
		s->waiting = stage_grow(s->waiting, s->waiting_capacity, sizeof(*s->waiting));
	}
	s->waiting[s->waiting_count++] = who;
	if (s->play->session_mode)
		life_plan(s, 60 * SECOND_US, ACT_TIRED, who);
	serve_next(s);
}

static void give_back(struct stage *s)
{
	check(s->lent > 0);
	s->lent--;
}

void life_ends(struct stage *s, uint32_t who)
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
		life_plan(s, 0, ACT_ASK, who);
	else if (life->bursts > 0)
		life_plan(s, draw(s->rng, life->first), ACT_ASK, who);
	else if (p->pool < 0 && life->ending == ENDS_LEAVING)
		life_plan(s, draw(s->rng, life->stay), ACT_LEAVE, who);
	else if (life->ending == ENDS_VANISHING)
		life_plan(s, draw(s->rng, life->stay), ACT_CUT, who);
}

/* Who logs in finds as many quiet ones as there are. */
uint32_t life_begins(struct stage *s, const struct life *life, int pool, int slot)
{
	uint32_t quiet = 0, who;
	struct person *p;

	for (uint32_t i = 0; i < s->people_count; i++)
		quiet += life_is_quiet(s, &s->people[i]);
	s->facts.logins_while_quiet += quiet >= s->rules.siblings;
	if (s->free_count > 0) {
		who = s->free_places[--s->free_count];
	} else {
		if (s->people_count == s->people_capacity) {
			s->people_capacity = s->people_capacity ? 2 * s->people_capacity : 64;
			s->people = stage_grow(s->people, s->people_capacity, sizeof(*s->people));
			s->free_places = stage_grow(s->free_places, s->people_capacity, sizeof(*s->free_places));
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
		life_lost(s);
	if (s->play->enters)
		wait_for_server(s, who);
	else
		be_in(s, who);
	return who;
}

void life_asks(struct stage *s, uint32_t who)
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
	life_plan(s, lasts, ACT_DONE, who);
	if (p->ends && p->life.ending == ENDS_ABANDONING) {
		p->abandons = true;
		if (p->life.lost)
			life_lost(s);
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
		life_lost(s);
	p->state = PARKED;
	p->parked = s->now;
	if (!s->play->session_mode) {
		give_back(s);
		serve_next(s);
	}
	if (pool) {
		if (!s->open[p->pool] || (pool->lifetime && s->now - p->login >= pool->lifetime))
			life_plan(s, 0, ACT_LEAVE, who);
		else if (pool->idle)
			life_plan(s, pool->idle, ACT_IDLE, who);
		return;
	}
	if (!p->ends)
		life_plan(s, draw(s->rng, p->life.rest), ACT_ASK, who);
	else if (p->life.ending == ENDS_LEAVING || p->life.ending == ENDS_HOLDING)
		life_plan(s, draw(s->rng, p->life.stay), ACT_LEAVE, who);
	else if (p->life.ending == ENDS_VANISHING)
		life_plan(s, draw(s->rng, p->life.stay), ACT_CUT, who);
}

static void statement_done(struct stage *s, uint32_t who)
{
	struct person *p = &s->people[who];
	bool holds = p->ends && p->life.ending == ENDS_HOLDING;

	s->facts.executing_time += s->now - p->since;
	if (p->abandons) {
		/* It had gone before; its server is done only now. */
		life_ends(s, who);
		return;
	}
	p->since = s->now;
	p->statements -= p->statements > 0;
	if (p->statements > 0 || holds) {
		if (holds && p->statements == 0) {
			/* The last: what it does now is nothing. */
			if (p->life.lost)
				life_lost(s);
			p->life.ending = ENDS_LEAVING;
			p->statements = 1;
			p->state = IN_BLOCK;
			life_plan(s, draw(s->rng, p->life.hold), ACT_THOUGHT, who);
			return;
		}
		p->state = IN_BLOCK;
		life_plan(s, draw(s->rng, p->life.think), ACT_THOUGHT, who);
		return;
	}
	if (p->ends && p->life.ending == ENDS_UNREAD) {
		p->state = UNREAD;
		if (p->life.lost)
			life_lost(s);
		return;
	}
	if (p->stalls > 0) {
		p->state = UNREAD;
		life_plan(s, draw(s->rng, p->life.stall), ACT_READS, who);
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
		life_plan(s, draw(s->rng, p->life.stall), ACT_READS, who);
	else
		be_parked(s, who);
}

void life_goes_on(struct stage *s, enum act act, uint32_t who)
{
	struct person *p = &s->people[who];

	switch (act) {
	case ACT_ASK:
		if (p->state == PARKED)
			life_asks(s, who);
		return;
	case ACT_TIRED:
		if (p->state == WAITING || p->state == ENTERING)
			life_ends(s, who);
		return;
	case ACT_DONE:
		statement_done(s, who);
		return;
	case ACT_THOUGHT:
		thought(s, who);
		return;
	case ACT_READS:
		read_on(s, who);
		return;
	case ACT_LEAVE:
		if (p->state == PARKED)
			life_ends(s, who);
		return;
	case ACT_CUT:
		p->cut = true;
		if (p->life.lost)
			life_lost(s);
		life_plan(s, draw(s->rng, (struct range){ 15 * SECOND_US, 30 * SECOND_US }), ACT_NOTICED, who);
		return;
	case ACT_NOTICED:
		s->facts.dead_peers++;
		life_ends(s, who);
		return;
	default:
		check(!"an act of a client");
	}
}
