#include "visits.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"

#define PROCESS 811

struct visitor {
	time_us came, leaves;
	const struct visit_flow *flow;
};

struct street {
	const struct play *play;
	struct rng rng;
	time_us now, looked, worked;
	time_us next[FLOWS_MOST];
	struct visitor *visitors;
	size_t count, capacity;
};

static time_us draw_next(struct street *s, const struct visit_flow *flow)
{
	double even = (double)(rng_next(&s->rng) >> 11) / 9007199254740992.0;

	return (time_us)(-log(1 - even) / flow->rate * (double)SECOND_US) + 1;
}

struct street *street_new(const struct play *play, struct rng *rng)
{
	struct street *s;

	if (play->flows_count == 0)
		return NULL;
	s = calloc(1, sizeof *s);
	check(s);
	s->play = play;
	rng_seed(&s->rng, rng_next(rng));
	for (unsigned i = 0; i < play->flows_count; i++)
		s->next[i] = play->flows[i].from + draw_next(s, &play->flows[i]);
	return s;
}

void street_free(struct street *s)
{
	if (s)
		free(s->visitors);
	free(s);
}

static void come(struct street *s, const struct visit_flow *flow, time_us at)
{
	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->visitors = realloc(s->visitors, s->capacity * sizeof *s->visitors);
		check(s->visitors);
	}
	s->visitors[s->count++] = (struct visitor){ at, at + draw(&s->rng, flow->wait), flow };
}

unsigned street_until(struct street *s, time_us when)
{
	unsigned lost = 0;
	size_t kept = 0;

	for (unsigned i = 0; s && i < s->play->flows_count; i++) {
		const struct visit_flow *flow = &s->play->flows[i];

		for (; s->next[i] <= when && s->next[i] < flow->until; s->next[i] += draw_next(s, flow)) {
			come(s, flow, s->next[i]);
			lost += flow->lost;
		}
	}
	for (size_t i = 0; s && i < s->count; i++)
		if (s->visitors[i].leaves > when)
			s->visitors[kept++] = s->visitors[i];
	if (s) {
		s->count = kept;
		s->now = when;
	}
	return lost;
}

void street_facts(struct street *s, const struct leak_rules *rules, time_us idle_for, struct leak_visits *facts)
{
	bool works = false;

	*facts = (struct leak_visits){ .process = PROCESS, .idle_for = idle_for };
	for (size_t i = 0; i < s->count; i++) {
		const struct visitor *visitor = &s->visitors[i];
		time_us waits = s->now - visitor->came;

		works |= visitor->flow->computed;
		if (waits < LEAK_PATIENCE * rules->period)
			continue;
		facts->waiting++;
		facts->partners += visitor->flow->elsewhere;
		if (waits > idle_for)
			continue;
		facts->since++;
		facts->read += !visitor->flow->unread;
		facts->longest = waits > facts->longest ? waits : facts->longest;
	}
	s->worked += works ? s->now - s->looked : (s->now - s->looked) / 20;
	s->looked = s->now;
	facts->worked = s->worked;
}
