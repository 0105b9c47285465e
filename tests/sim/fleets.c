#include "kinds.h"

/* Who only looks like it, and is many: fleets that grow, and people who come to work. */

/* One process after another, behind one address (a container's, a gateway's), each with a pool of its own; the work is dealt to all. */
void make_scaling_out(struct rng *rng, struct play *play)
{
	unsigned first = pick_count(rng, 1, 6), most = pick_count(rng, first + 4, POOLS_MOST);
	time_us every = pick_span(rng, 15 * S, 2 * MIN), at = 0;
	struct app_pool pool = { .least = pick_count(rng, 0, 10),
		.pick = (enum pick)rng_below(rng, PICK_OWN),
		.work = web_work(rng),
		.greets = rng_chance(rng, 500) };

	pool.most = pool.least + pick_count(rng, pool.least == 0, 10);
	if (rng_chance(rng, 300))
		pool.idle = pick_span(rng, 10 * S, 10 * MIN);
	for (unsigned i = 0; i < most; i++) {
		if (i >= first)
			at += rng_chance(rng, 500) ? every : pick_span(rng, every / 2, 2 * every);
		add_pool(play, pool, i < first ? (time_us)i * 500 * MS : 5 * MIN + at, pick_span(rng, 50 * MS, 3 * S));
	}
	/* It grows since there is work. */
	add_source(play, (struct source){ .rate = most * pick_rate(rng, 0.05, 0.5), .from = 20 * S, .pool = ANY_POOL });
	play->driver = (enum leak_driver)rng_below(rng, DRIVER_GO + 1);
	if (play->driver == DRIVER_ASYNCPG || play->driver == DRIVER_LIBPQ)
		play->runtime = rng_chance(rng, 500) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	play->length = 5 * MIN + at + 5 * MIN;
}

/* Two sets that live side by side; which of them is asked changes. */
void make_two_sets(struct rng *rng, struct play *play)
{
	unsigned processes = pick_count(rng, 1, POOLS_MOST / 4), size = pick_count(rng, 1, 20);
	time_us begins = pick_span(rng, MIN, 30 * MIN), apart = pick_span(rng, 100 * MS, 2 * S);

	for (unsigned set = 0; set < 3; set++)
		for (unsigned i = 0; i < processes; i++)
			add_pool(play,
				(struct app_pool){ .least = rng_chance(rng, 500) ? size : 1,
					.most = size,
					.pick = (enum pick)rng_below(rng, PICK_OWN),
					.work = web_work(rng),
					.greets = rng_chance(rng, 500) },
				(time_us)set * begins + (time_us)i * apart, pick_span(rng, 100 * MS, 3 * S));
	add_source(play, (struct source){ .rate = pick_rate(rng, 0.05, 20), .from = 2 * S, .pool = ANY_POOL });
	play->length = 3 * begins + 20 * MIN;
}

/* People who come to work, each with a tool that opens several connections and uses one; at noon or at night they leave. */
void make_analysts(struct rng *rng, struct play *play)
{
	unsigned people = pick_count(rng, 4, 80);
	time_us morning = pick_span(rng, 30 * MIN, 3 * 60 * MIN);
	double rate = (double)people / ((double)morning / 1e6);
	struct life window = asks_once(ENDS_LEAVING);

	play->driver = rng_chance(rng, 700) ? DRIVER_JDBC : DRIVER_LIBPQ;
	play->runtime = rng_chance(rng, 500) ? RUNTIME_GUI : RUNTIME_UNKNOWN;
	window.stay = (struct range){ 60 * MIN, 8 * 60 * MIN };
	/* What it reads the tables' names by, and a tab that was opened and forgotten. */
	add_source(play, (struct source){ .rate = rate, .pool = -1, .from = S, .until = morning, .life = window });
	window.bursts = pick_count(rng, 2, 30);
	window.rest = (struct range){ 10 * S, pick_span(rng, MIN, 30 * MIN) };
	add_source(play, (struct source){ .rate = rate, .pool = -1, .from = S, .until = morning, .life = window });
	window.bursts = pick_count(rng, 1, 5);
	add_source(play, (struct source){ .rate = rate, .pool = -1, .from = S, .until = morning, .life = window });
	play->length = morning + 60 * MIN;
}

/* Workers that each listen, started one after another. */
void make_listening_workers(struct rng *rng, struct play *play)
{
	struct source source = {
		.rhythm = IN_CLUMPS, .every = steady(FOREVER), .pool = -1, .life = asks_once(ENDS_STAYING)
	};

	source.least = source.most = pick_count(rng, 8, 60);
	source.spread = pick_span(rng, 100 * MS, 30 * S);
	source.life.listens = true;
	play->session_mode = rng_chance(rng, 300);
	add_source(play, source);
	healthy_pool(rng, play, pick_count(rng, 1, 10), 10, pick_rate(rng, 0.05, 5));
	play->length = 40 * MIN;
}

/* Functions that are kept warm, a connection each: work goes to the one that was warm last; those that are not asked are frozen, and end. */
void make_functions(struct rng *rng, struct play *play)
{
	unsigned zones = pick_count(rng, 1, 3);
	time_us swing = pick_span(rng, 10 * MIN, 3 * 60 * MIN);

	for (unsigned i = 0; i < zones; i++)
		add_pool(play,
			(struct app_pool){ .most = pick_count(rng, 20, 200),
				.pick = PICK_LAST,
				.work = web_work(rng),
				.idle = pick_span(rng, 5 * MIN, 20 * MIN) },
			0, 0);
	for (unsigned i = 0; i < zones; i++) {
		play->pools[i].work.execute = (struct range){ 10 * MS, pick_span(rng, 50 * MS, 5 * S) };
		add_source(play,
			(struct source){ .rate = pick_rate(rng, 0.05, 10), .from = S, .swing = swing, .pool = (int)i });
	}
	play->driver = rng_chance(rng, 600) ? DRIVER_NODE : DRIVER_UNKNOWN;
	play->length = swing + 20 * MIN;
}

/* Many processes, each with a pool that grows when it has to: the last members of each are seldom asked. */
void make_many_small_pools(struct rng *rng, struct play *play)
{
	unsigned processes = pick_count(rng, 4, POOLS_MOST), most = pick_count(rng, 2, 20);
	enum pick pick = (enum pick)rng_below(rng, PICK_OWN);
	time_us idle = rng_chance(rng, 500) ? pick_span(rng, 10 * S, 30 * MIN) : 0;
	struct life work = web_work(rng);

	work.execute.most = pick_span(rng, 100 * MS, 3 * S);
	for (unsigned i = 0; i < processes; i++)
		add_pool(play,
			(struct app_pool){
				.least = 0, .most = most, .pick = pick, .work = work, .greets = true, .idle = idle },
			0, 0);
	add_source(play,
		(struct source){ .rate = pick_rate(rng, 0.1, 40),
			.from = S,
			.swing = rng_chance(rng, 600) ? pick_span(rng, 10 * MIN, 120 * MIN) : 0,
			.pool = ANY_POOL });
	play->driver = (enum leak_driver)rng_below(rng, DRIVER_GO + 1);
	play->length = 60 * MIN;
}

/* Each customer has a pool of their own, made when somebody of theirs comes. */
void make_customers(struct rng *rng, struct play *play)
{
	unsigned customers = pick_count(rng, 5, POOLS_MOST);
	unsigned size = pick_count(rng, 1, 5);

	for (unsigned i = 0; i < customers; i++)
		add_pool(play,
			(struct app_pool){ .least = rng_chance(rng, 500) ? size : 0,
				.most = size,
				.pick = (enum pick)rng_below(rng, PICK_OWN),
				.work = web_work(rng),
				.greets = true },
			S + (time_us)rng_below(rng, 60 * MIN), 200 * MS);
	add_source(play, (struct source){ .rate = pick_rate(rng, 0.05, 10), .from = S, .pool = ANY_POOL });
	play->driver = (enum leak_driver)rng_below(rng, DRIVER_GO + 1);
	play->length = 90 * MIN;
}
