#include "kinds.h"

#include "base/check.h"

/* What the kinds are made of. */

unsigned pick_count(struct rng *rng, unsigned least, unsigned most)
{
	return least + (unsigned)rng_below(rng, most - least + 1);
}

time_us pick_span(struct rng *rng, time_us least, time_us most)
{
	return draw(rng, (struct range){ least, most });
}

/* Per second, small rates as likely as large ones. */
double pick_rate(struct rng *rng, double least, double most)
{
	return (double)draw(rng, (struct range){ (time_us)(least * 1e6), (time_us)(most * 1e6) }) / 1e6;
}

struct range steady(time_us value)
{
	return (struct range){ value, value };
}

/* One quick question. */
struct life asks_once(enum ending ending)
{
	return (struct life){ .bursts = 1,
		.statements = 1,
		.first = { 1 * MS, 300 * MS },
		.execute = { 1 * MS, 80 * MS },
		.think = { 1 * MS, 20 * MS },
		.rest = { 10 * MS, 300 * MS },
		.stay = { 1 * MS, 20 * MS },
		.ending = ending };
}

struct source *add_source(struct play *play, struct source source)
{
	check(play->sources_count < SOURCES_MOST);
	if (source.until == 0)
		source.until = FOREVER;
	play->sources[play->sources_count] = source;
	return &play->sources[play->sources_count++];
}

void add_flow(struct play *play, struct visit_flow flow)
{
	check(play->flows_count < FLOWS_MOST);
	if (flow.until == 0)
		flow.until = FOREVER;
	play->flows[play->flows_count++] = flow;
}

struct app_pool *add_pool(struct play *play, struct app_pool pool, time_us opens, time_us within)
{
	check(play->pools_count < POOLS_MOST);
	play->pools[play->pools_count] = pool;
	play->pool_opens[play->pools_count] = opens;
	play->pool_opens_within[play->pools_count] = within;
	return &play->pools[play->pools_count++];
}

/* A request of a web application. */
struct life web_work(struct rng *rng)
{
	struct life work = asks_once(ENDS_STAYING);

	work.statements = pick_count(rng, 1, 6);
	work.execute = (struct range){ 1 * MS, pick_span(rng, 5 * MS, 500 * MS) };
	work.think = (struct range){ 1 * MS, pick_span(rng, 2 * MS, 200 * MS) };
	return work;
}

/* A healthy pool with some traffic. */
void healthy_pool(struct rng *rng, struct play *play, unsigned least, unsigned most, double requests)
{
	add_pool(play,
		(struct app_pool){ .least = least,
			.most = most,
			.pick = rng_chance(rng, 500) ? PICK_LAST : PICK_FIRST,
			.work = web_work(rng),
			.greets = rng_chance(rng, 500) },
		0, pick_span(rng, 100 * MS, 10 * S));
	if (requests > 0)
		add_source(play,
			(struct source){
				.rhythm = AT_RANDOM, .rate = requests, .from = S, .pool = (int)play->pools_count - 1 });
}
