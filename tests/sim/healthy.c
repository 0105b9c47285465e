#include "kinds.h"

/* Who only looks like it. */

static void make_rest(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 1, 100);

	healthy_pool(rng, play, size, size, 0);
	if (rng_chance(rng, 300))
		add_source(play,
			(struct source){ .rate = pick_rate(rng, 1, 20),
				.from = S,
				.until = pick_span(rng, 10 * S, 5 * MIN),
				.pool = 0 });
	play->length = pick_span(rng, 30 * MIN, 180 * MIN);
}

static void make_batch(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(60 * MIN),
		.pool = -1,
		.from = pick_span(rng, S, 5 * MIN),
		.life = asks_once(ENDS_LEAVING) };

	source.least = source.most = pick_count(rng, 1, 4);
	source.life.statements = pick_count(rng, 20, 200);
	source.life.execute = (struct range){ 500 * MS, pick_span(rng, 5 * S, 60 * S) };
	source.life.think = (struct range){ 5 * MS, pick_span(rng, 100 * MS, 20 * S) };
	add_source(play, source);
	play->length = 60 * MIN;
}

static void make_report(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(30 * MIN),
		.least = 1,
		.most = 3,
		.spread = MIN,
		.pool = -1,
		.life = asks_once(ENDS_LEAVING) };

	source.life.execute = (struct range){ 5 * MIN, 25 * MIN };
	add_source(play, source);
	play->length = 60 * MIN;
}

/* All its processes end and begin again, by a clock or because they crash. */
static void make_restarted(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 5, 100);

	healthy_pool(rng, play, rng_chance(rng, 600) ? size : pick_count(rng, 1, 5), size, pick_rate(rng, 0.1, 20));
	play->restarts.least = pick_span(rng, 20 * S, 10 * MIN);
	play->restarts.most = pick_count(rng, 1, 4) * play->restarts.least;
	play->length = pick_span(rng, 30 * MIN, 120 * MIN);
}

/* Several processes behind one address, replaced one after another. */
static void make_deploy(struct rng *rng, struct play *play)
{
	unsigned processes = pick_count(rng, 1, 8), size = pick_count(rng, 2, 40),
		 least = rng_chance(rng, 700) ? size : 1;
	time_us begins = pick_span(rng, MIN, 10 * MIN), apart = pick_span(rng, S, MIN),
		overlap = pick_span(rng, 5 * S, 5 * MIN);
	bool old_news = rng_chance(rng, 500);

	if (rng_chance(rng, 250)) {
		/* There is not room for all of the old and all of the new at a time. */
		play->session_mode = true;
		play->enters = rng_chance(rng, 500);
		play->servers_limit = processes * size + (unsigned)rng_below(rng, processes * size);
	}

	for (unsigned i = 0; i < 2 * processes; i++) {
		bool old = i < processes;
		time_us opens = old ? (time_us)i * 300 * MS : begins + (time_us)(i - processes) * apart;

		add_pool(play,
			(struct app_pool){ .least = least,
				.most = size,
				.pick = PICK_LAST,
				.work = web_work(rng),
				.greets = old_news },
			opens, pick_span(rng, 100 * MS, 3 * S));
		if (old)
			play->pool_closes[i] = begins + (time_us)i * apart + overlap;
	}
	if (rng_chance(rng, 700)) {
		for (unsigned i = 0; i < 2 && i < processes; i++) {
			add_source(play, (struct source){ .rate = pick_rate(rng, 0.05, 5), .from = S, .pool = (int)i });
			add_source(play,
				(struct source){
					.rate = pick_rate(rng, 0.05, 5), .from = S, .pool = (int)(processes + i) });
		}
	}
	play->length = begins + (time_us)processes * apart + overlap + 10 * MIN;
}

static void make_gui(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { MIN, 10 * MIN },
		.least = 1,
		.most = 5,
		.spread = 20 * S,
		.pool = -1,
		.until = 12 * MIN,
		.life = asks_once(ENDS_STAYING) };

	play->driver = rng_chance(rng, 500) ? DRIVER_JDBC : DRIVER_LIBPQ;
	play->runtime = RUNTIME_GUI;
	play->session_mode = rng_chance(rng, 400);
	source.life.bursts = pick_count(rng, 1, 6);
	source.life.rest = (struct range){ 5 * S, 5 * MIN };
	source.life.statements = pick_count(rng, 1, 2);
	source.life.think = (struct range){ S, 4 * MIN };
	add_source(play, source);
	play->length = 60 * MIN;
}

/* Five tabs, and nothing says that it is a tool for people. */
static void make_tabs(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(FOREVER),
		.least = 3,
		.most = 8,
		.spread = 5 * MIN,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	source.life.bursts = pick_count(rng, 0, 2);
	add_source(play, source);
	play->length = 60 * MIN;
}

static void make_listener(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(FOREVER),
		.least = 1,
		.most = 8,
		.spread = 10 * S,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	source.life.listens = true;
	play->session_mode = rng_chance(rng, 700);
	add_source(play, source);
	play->length = 60 * MIN;
}

static void make_pgbench(struct rng *rng, struct play *play)
{
	add_source(
		play, (struct source){ .rate = pick_rate(rng, 5, 200), .pool = -1, .life = asks_once(ENDS_LEAVING) });
	if (rng_chance(rng, 500))
		healthy_pool(rng, play, 20, 20, 0);
	play->length = 5 * MIN;
}

static void make_slow_readers(struct rng *rng, struct play *play)
{
	struct source source = { .rate = pick_rate(rng, 0.02, 0.3), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.stalls = pick_count(rng, 3, 60);
	source.life.stall = (struct range){ 100 * MS, 29 * S };
	add_source(play, source);
	play->length = 20 * MIN;
}

static void make_wave(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { 6 * MIN, 15 * MIN },
		.pool = -1,
		.from = pick_span(rng, S, 2 * MIN),
		.life = asks_once(ENDS_LEAVING) };

	source.least = 20;
	source.most = pick_count(rng, 30, 400);
	source.spread = pick_span(rng, S, 30 * S);
	source.life.bursts = pick_count(rng, 1, 3);
	source.life.rest = (struct range){ S, 30 * S };
	source.life.stay = (struct range){ 10 * S, 5 * MIN };
	play->runtime = rng_chance(rng, 500) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	add_source(play, source);
	play->length = 30 * MIN;
}

/* Websockets that each have a connection, and come and go. */
static void make_sockets(struct rng *rng, struct play *play)
{
	struct source source = { .rate = pick_rate(rng, 0.05, 3), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.bursts = pick_count(rng, 1, 4);
	source.life.rest = (struct range){ S, 30 * S };
	source.life.stay = (struct range){ S, pick_span(rng, 20 * S, 4 * MIN) };
	play->runtime = rng_chance(rng, 500) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	add_source(play, source);
	play->length = 30 * MIN;
}

static void make_cron(struct rng *rng, struct play *play)
{
	time_us every = pick_span(rng, 20 * S, 10 * MIN);
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(every),
		.least = 1,
		.most = pick_count(rng, 1, 30),
		.pool = -1,
		.spread = pick_span(rng, 100 * MS, 5 * S),
		.life = asks_once(ENDS_LEAVING) };

	source.life.statements = pick_count(rng, 1, 10);
	source.life.execute = (struct range){ 10 * MS, pick_span(rng, 100 * MS, 10 * S) };
	source.life.stay = (struct range){ 1 * MS, pick_span(rng, 10 * MS, 20 * S) };
	add_source(play, source);
	play->length = 40 * MIN;
}

static void make_rare_bursts(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 5, 60);

	healthy_pool(rng, play, rng_chance(rng, 500) ? size : 1, size, 0);
	add_source(play,
		(struct source){ .rhythm = IN_CLUMPS,
			.every = { MIN, 12 * MIN },
			.least = 1,
			.most = 2 * size,
			.spread = pick_span(rng, 100 * MS, 20 * S),
			.from = 20 * S,
			.pool = 0 });
	play->length = 90 * MIN;
}

static void make_autoscale(struct rng *rng, struct play *play)
{
	unsigned processes = pick_count(rng, 1, 4);

	for (unsigned i = 0; i < processes; i++) {
		healthy_pool(rng, play, pick_count(rng, 1, 4), pick_count(rng, 10, 60), pick_rate(rng, 0.5, 20));
		play->pools[i].idle = pick_span(rng, 10 * S, 10 * MIN);
		play->pools[i].work.execute.most = pick_span(rng, 100 * MS, 3 * S);
		play->sources[i].swing = pick_span(rng, 5 * MIN, 30 * MIN);
	}
	play->length = 40 * MIN;
}

static void make_recycling(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 5, 50);

	healthy_pool(rng, play, size, size, rng_chance(rng, 500) ? pick_rate(rng, 0.01, 5) : 0);
	play->pools[0].lifetime = pick_span(rng, MIN, 30 * MIN);
	play->length = 90 * MIN;
}

/* Threads or worker processes with one connection each, made when they are first asked. */
static void make_lazy_threads(struct rng *rng, struct play *play)
{
	add_pool(play, (struct app_pool){ .most = pick_count(rng, 4, 100), .pick = PICK_OWN, .work = web_work(rng) }, 0,
		0);
	add_source(play, (struct source){ .rate = pick_rate(rng, 0.05, 3), .from = S, .pool = 0 });
	play->driver = rng_chance(rng, 700) ? DRIVER_LIBPQ : DRIVER_UNKNOWN;
	play->length = 40 * MIN;
}

/* Transactions that think between their statements, but not for long. */
static void make_thinking(struct rng *rng, struct play *play)
{
	healthy_pool(rng, play, pick_count(rng, 2, 20), 20, pick_rate(rng, 0.2, 4));
	play->pools[0].work.statements = pick_count(rng, 2, 5);
	play->pools[0].work.think = (struct range){ 100 * MS, pick_span(rng, 500 * MS, 3 * S) };
	play->length = 20 * MIN;
}

/* Busy for long, then not at all: the work is done. */
static void make_done(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 3, 30);

	healthy_pool(rng, play, rng_chance(rng, 500) ? size : 1, size, 0);
	add_source(play,
		(struct source){ .rate = pick_rate(rng, 0.5, 10),
			.from = S,
			.until = pick_span(rng, 10 * MIN, 180 * MIN),
			.pool = 0 });
	play->length = play->sources[0].until + 60 * MIN;
}

/* Two days with their nights. */
static void make_nights(struct rng *rng, struct play *play)
{
	unsigned size = pick_count(rng, 3, 10);

	healthy_pool(rng, play, size, size, 0);
	play->pools[0].work.statements = 1;
	add_source(play, (struct source){ .rate = 0.5, .until = 15 * 60 * MIN, .pool = 0 });
	add_source(play, (struct source){ .rate = 0.5, .from = 23 * 60 * MIN, .until = 39 * 60 * MIN, .pool = 0 });
	play->length = 44 * 60 * MIN;
}

/* Somebody closes the laptop, somebody else the tab with the report. */
static void make_impatient(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { 13 * MIN, 20 * MIN },
		.least = 1,
		.most = 2,
		.spread = MIN,
		.pool = -1,
		.from = MIN,
		.life = asks_once(rng_chance(rng, 500) ? ENDS_VANISHING : ENDS_ABANDONING) };

	source.life.execute = (struct range){ S, MIN };
	source.life.stay = (struct range){ S, MIN };
	add_source(play, source);
	healthy_pool(rng, play, pick_count(rng, 2, 10), 10, pick_rate(rng, 0.05, 5));
	play->length = 60 * MIN;
}

/* A web application whose process can be seen; what asks the database comes and goes, and somebody else waits, by habit or from some
 * moment on. */
static void make_visited(struct rng *rng, struct play *play)
{
	time_us evening = pick_span(rng, 2 * MIN, 40 * MIN);
	double rate = pick_rate(rng, 0.05, 20), slow = pick_rate(rng, 0.05, 5);
	struct range waits = { pick_span(rng, 50 * MS, 20 * S), MIN };
	struct visit_flow others = { .rate = slow, .from = S, .wait = waits };

	healthy_pool(rng, play, pick_count(rng, 2, 10), 10, 0);
	play->length = evening + pick_span(rng, 4 * MIN, 20 * MIN);
	if (rng_chance(rng, 400))
		evening = 0; /* they go on asking */
	add_source(play, (struct source){ .rate = rate, .from = S, .until = evening, .pool = 0 });
	add_flow(play, (struct visit_flow){ .rate = rate, .from = S, .until = evening, .wait = { 2 * MS, 800 * MS } });
	switch (rng_below(rng, 5)) {
	case 0: /* pages that need no database */
		others.wait = (struct range){ MS, pick_span(rng, 5 * MS, 2 * S) };
		break;
	case 1: /* who waits for news came after the others had gone, or while they are there */
		others.from = evening ? evening + pick_span(rng, 30 * S, 3 * MIN) : pick_span(rng, MIN, 10 * MIN);
		break;
	case 2: /* a partner hangs, before anything is asked */
		others.from = evening;
		others.elsewhere = true;
		break;
	case 3: /* pictures are drawn */
		others.from = evening;
		others.computed = true;
		break;
	default: /* people who wait for news, all day long */
		others.from = S;
	}
	add_flow(play, others);
}

/* All that it does for some minutes is one computation, and nobody is even listened to. */
static void make_deaf(struct rng *rng, struct play *play)
{
	time_us begins = pick_span(rng, 2 * MIN, 20 * MIN), ends = begins + pick_span(rng, 10 * S, 2 * MIN);
	double rate = pick_rate(rng, 0.5, 20);

	healthy_pool(rng, play, pick_count(rng, 2, 10), 10, 0);
	add_source(play, (struct source){ .rate = rate, .from = S, .until = begins, .pool = 0 });
	add_source(play, (struct source){ .rate = rate, .from = ends, .pool = 0 });
	add_flow(play, (struct visit_flow){ .rate = rate, .from = S, .until = begins, .wait = { 2 * MS, 800 * MS } });
	add_flow(play,
		(struct visit_flow){
			.rate = rate, .from = begins, .until = ends, .wait = { S, ends - begins }, .unread = true });
	add_flow(play, (struct visit_flow){ .rate = rate, .from = ends, .wait = { 2 * MS, 800 * MS } });
	play->length = ends + 5 * MIN;
}

/* Pools of several processes that may together be larger than their pool here, in session mode: now and then one has to wait for a server that
 * another process's connection keeps. */
static void make_sessions(struct rng *rng, struct play *play)
{
	unsigned processes = pick_count(rng, 1, 6), most = pick_count(rng, 3, 30);

	play->session_mode = true;
	play->enters = rng_chance(rng, 500);
	play->servers_limit = pick_count(rng, 10, 40);
	for (unsigned i = 0; i < processes; i++)
		add_pool(play,
			(struct app_pool){ .least = pick_count(rng, 1, most),
				.most = most,
				.pick = rng_chance(rng, 600) ? PICK_LAST : PICK_FIRST,
				.work = web_work(rng),
				.greets = rng_chance(rng, 500),
				.idle = rng_chance(rng, 500) ? pick_span(rng, MIN, 20 * MIN) : 0 },
			S + (time_us)i * pick_span(rng, MS, 500 * MS), pick_span(rng, 100 * MS, 3 * S));
	for (unsigned i = 0; i < processes && i < SOURCES_MOST; i++)
		add_source(play,
			(struct source){ .rate = pick_rate(rng, 0.05, 5),
				.from = S,
				.swing = rng_chance(rng, 500) ? pick_span(rng, MIN, 30 * MIN) : 0,
				.pool = (int)i });
	play->length = 20 * MIN;
}

/* Short sessions that queue, beside some that rest. */
static void make_session_queue(struct rng *rng, struct play *play)
{
	struct source source = { .pool = -1, .from = S, .life = asks_once(ENDS_LEAVING) };

	play->session_mode = true;
	play->enters = rng_chance(rng, 500);
	play->servers_limit = pick_count(rng, 12, 40);
	healthy_pool(rng, play, play->servers_limit / 2 - 1, play->servers_limit / 2 - 1, pick_rate(rng, 0.01, 1));
	source.life.execute = (struct range){ 50 * MS, pick_span(rng, 200 * MS, 5 * S) };
	source.rate = pick_rate(rng, 0.2, 10);
	if (rng_chance(rng, 500))
		source.swing = pick_span(rng, 2 * MIN, 30 * MIN);
	add_source(play, source);
	play->length = 30 * MIN;
}

const struct kind healthy_kinds[] = {
	{ "a pool at rest", NULL, FAMILY_CLIENT, 0, 25, make_rest },
	{ "a nightly batch", NULL, FAMILY_CLIENT, 0, 20, make_batch },
	{ "a long report", NULL, FAMILY_CLIENT, 0, 10, make_report },
	{ "a rolling deploy", NULL, FAMILY_CLIENT, 0, 40, make_deploy },
	{ "an application that is restarted", NULL, FAMILY_CLIENT, 0, 25, make_restarted },
	{ "a tool for people", NULL, FAMILY_CLIENT, 0, 15, make_gui },
	{ "a few tabs", NULL, FAMILY_CLIENT, 0, 10, make_tabs },
	{ "listeners", NULL, FAMILY_CLIENT, 0, 10, make_listener },
	{ "pgbench -C", NULL, FAMILY_CLIENT, 0, 8, make_pgbench },
	{ "slow readers", NULL, FAMILY_CLIENT, 0, 15, make_slow_readers },
	{ "waves of websockets", NULL, FAMILY_CLIENT, 0, 30, make_wave },
	{ "short websockets", NULL, FAMILY_CLIENT, 0, 25, make_sockets },
	{ "cron", NULL, FAMILY_CLIENT, 0, 25, make_cron },
	{ "rare bursts", NULL, FAMILY_CLIENT, 0, 25, make_rare_bursts },
	{ "a pool that grows and shrinks", NULL, FAMILY_CLIENT, 0, 20, make_autoscale },
	{ "a pool that recycles", NULL, FAMILY_CLIENT, 0, 15, make_recycling },
	{ "threads that fill slowly", NULL, FAMILY_CLIENT, 0, 40, make_lazy_threads },
	{ "work that is done", NULL, FAMILY_CLIENT, 0, 15, make_done },
	{ "days and nights", NULL, FAMILY_CLIENT, 0, 1, make_nights },
	{ "impatient people", NULL, FAMILY_CLIENT, 0, 15, make_impatient },
	{ "a web application with visitors", NULL, FAMILY_CLIENT, 0, 60, make_visited },
	{ "a web application that is deaf for a while", NULL, FAMILY_CLIENT, 0, 10, make_deaf },
	{ "pools in session mode", NULL, FAMILY_CLIENT, 0, 20, make_sessions },
	{ "short sessions that queue", NULL, FAMILY_CLIENT, 0, 10, make_session_queue },
	{ "an autoscaler", NULL, FAMILY_CLIENT, 0, 20, make_scaling_out },
	{ "two sets side by side", NULL, FAMILY_CLIENT, 0, 15, make_two_sets },
	{ "people who come to work", NULL, FAMILY_CLIENT, 0, 15, make_analysts },
	{ "workers that listen", NULL, FAMILY_CLIENT, 0, 15, make_listening_workers },
	{ "functions", NULL, FAMILY_CLIENT, 0, 15, make_functions },
	{ "many small pools", NULL, FAMILY_CLIENT, 0, 20, make_many_small_pools },
	{ "a pool for each customer", NULL, FAMILY_CLIENT, 0, 15, make_customers },
	{ "thinking transactions", NULL, FAMILY_CLIENT, 0, 15, make_thinking },
};
const size_t healthy_kinds_count = sizeof healthy_kinds / sizeof *healthy_kinds;
