/* What happens to an origin, in order of time: a heap of what is to come. Here are the sources of logins and requests, the pools inside the application
 * that requests meet, restarts, and what the pooler could note of it all. What a client does once it is there is in lives.c. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "lives_parts.h"
#include "visits.h"

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

void *stage_grow(void *old, size_t count, size_t size)
{
	void *more = realloc(old, count * size);

	check(more);
	return more;
}

static bool is_before(const struct happening *a, const struct happening *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void stage_plan(struct stage *s, time_us at, enum act act, uint32_t who, uint32_t age)
{
	struct happening new = { .at = at, .order = s->order++, .act = act, .who = who, .age = age };
	size_t i = s->heap_count++;

	if (at >= FOREVER) {
		s->heap_count--;
		return;
	}
	if (i == s->heap_capacity) {
		s->heap_capacity = s->heap_capacity ? 2 * s->heap_capacity : 64;
		s->heap = stage_grow(s->heap, s->heap_capacity, sizeof(*s->heap));
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

/* What a member of a pool is before any request. */
static uint32_t member_in(struct stage *s, uint32_t pool, int slot)
{
	struct life life = s->play->pools[pool].work;
	uint32_t who;

	life.bursts = s->play->pools[pool].greets;
	life.first = (struct range){ 1000, 50000 };
	who = life_begins(s, &life, (int)pool, slot);
	if (s->play->pools[pool].lifetime)
		life_plan(s,
			s->play->pools[pool].lifetime +
				(time_us)rng_below(s->rng, 1 + (uint64_t)s->play->pools[pool].lifetime / 10),
			ACT_IDLE, who);
	return who;
}

static void ask_of_member(struct stage *s, uint32_t who)
{
	if (s->people[who].state == PARKED)
		life_asks(s, who);
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
		life_ends(s, who);
		if (s->open[pool] && s->sizes[pool] < rules->least)
			member_in(s, pool, -1);
		return;
	}
	if (rules->idle && s->now - p->parked >= rules->idle && s->sizes[pool] > rules->least)
		life_ends(s, who);
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
		life_begins(s, &source->life, -1, -1);
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
			stage_plan(s,
				s->now + (source->spread ? (time_us)rng_below(s->rng, (uint64_t)source->spread) : 0),
				ACT_LOGIN, number, 0);
		stage_plan(s, s->now + draw(s->rng, source->every), ACT_SOURCE, number, 0);
		return;
	}
	/* Thinned: as often as at its height, and then not always. */
	if (!source->swing ||
		uniform(s->rng) < 0.5 + 0.5 * sin(2 * 3.14159265 * (double)s->now / (double)source->swing))
		one_of(s, source);
	stage_plan(s, s->now + draw_wait(s->rng, rate), ACT_SOURCE, number, 0);
}

static void open_pool(struct stage *s, uint32_t pool)
{
	s->open[pool] = true;
	for (unsigned i = 0; i < s->play->pools[pool].least; i++)
		stage_plan(s, s->now + (time_us)rng_below(s->rng, 1 + (uint64_t)s->play->pool_opens_within[pool]),
			ACT_REQUEST, pool, 1);
}

static void close_pool(struct stage *s, uint32_t pool)
{
	s->open[pool] = false;
	for (uint32_t i = 0; i < s->people_count; i++)
		if ((s->people[i].state == PARKED || s->people[i].state == ENTERING) && s->people[i].pool == (int)pool)
			life_ends(s, i);
}

/* Its processes end, in the middle of whatever they do, and begin again. */
static void restart(struct stage *s)
{
	for (uint32_t i = 0; i < s->people_count; i++)
		if (s->people[i].state != GONE)
			life_ends(s, i);
	for (uint32_t i = 0; i < s->play->pools_count; i++)
		if (s->open[i])
			stage_plan(s, s->now + 2 * SECOND_US, ACT_OPEN, i, 0);
	s->restarts++;
	s->lost_since = 0;
	stage_plan(s, s->now + draw(s->rng, s->play->restarts), ACT_RESTART, 0, 0);
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
	if (h->act == ACT_IDLE)
		idle(s, h->who);
	else
		life_goes_on(s, h->act, h->who);
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
		stage_plan(s, play->pool_opens[i], ACT_OPEN, i, 0);
		if (play->pool_closes[i])
			stage_plan(s, play->pool_closes[i], ACT_CLOSE, i, 0);
	}
	for (uint32_t i = 0; i < play->sources_count; i++)
		stage_plan(s, play->sources[i].from, ACT_SOURCE, i, 0);
	s->street = street_new(play, rng);
	if (play->restarts.most > 0)
		stage_plan(s, draw(rng, play->restarts), ACT_RESTART, 0, 0);
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
		life_lost(s);
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
		if (life_is_quiet(s, p)) {
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
