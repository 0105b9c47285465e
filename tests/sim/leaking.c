#include "kinds.h"

/* Who leaks. Numbers are drawn from what the catalogue's sources report, and some way beyond. */

/* A leaking origin often has a healthy part as well. */
static void perhaps_a_pool(struct rng *rng, struct play *play)
{
	if (rng_chance(rng, 500))
		healthy_pool(
			rng, play, pick_count(rng, 1, 15), 15, rng_chance(rng, 700) ? pick_rate(rng, 0.02, 10) : 0);
}

/* ---- clients that are left ---- */

static struct source *trickle(struct rng *rng, struct play *play, double least, double most)
{
	struct source source = {
		.rhythm = AT_RANDOM, .rate = pick_rate(rng, least, most), .pool = -1, .life = asks_once(ENDS_STAYING)
	};

	source.life.lost = true;
	source.life.execute.most = pick_span(rng, 10 * MS, 2 * S);
	source.life.statements = pick_count(rng, 1, 4);
	source.life.bursts = rng_chance(rng, 300) ? pick_count(rng, 2, 5) : 1;
	source.from = rng_chance(rng, 300) ? 0 : pick_span(rng, S, 10 * MIN);
	if (rng_chance(rng, 250))
		source.swing = pick_span(rng, 2 * MIN, 30 * MIN);
	play->length = source.from + (time_us)(90.0 / source.rate * 1e6) + 6 * MIN;
	/* As a load generator does it, or a poll. */
	if (rng_chance(rng, 200)) {
		source.rhythm = IN_CLUMPS;
		source.least = source.most = 1;
		source.every = steady((time_us)(1e6 / source.rate));
	}
	perhaps_a_pool(rng, play);
	return add_source(play, source);
}

static void make_l1(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_LIBPQ;
	play->runtime = rng_chance(rng, 600) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	trickle(rng, play, play->runtime == RUNTIME_ASGI ? 0.05 : 0.35, 10);
}

static void make_l3(struct rng *rng, struct play *play)
{
	static const unsigned threads[] = { 8, 12, 20, 32 };
	unsigned size = threads[rng_below(rng, 4)] * pick_count(rng, 1, 6);
	struct app_pool pool = { .pick = PICK_FIRST, .work = asks_once(ENDS_STAYING), .greets = true };
	double fast = pick_rate(rng, 0.4, 3);
	time_us filled;

	while (size < 32)
		size *= 2;
	/* One that is full within a minute and then rests looks like any pool, and is taken for one. */
	if (fast > (double)size / 90)
		fast = (double)size / 90;
	filled = (time_us)((double)size / fast * 1e6);
	play->driver = DRIVER_LIBPQ;
	play->runtime = rng_chance(rng, 600) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	/* Threads are new until there are enough; then they take turns, slowly. */
	pool.most = size;
	add_pool(play, pool, 0, 0);
	add_source(play, (struct source){ .rate = fast, .until = filled, .pool = -1, .life = asks_once(ENDS_STAYING) })
		->life.lost = true;
	pool.least = 1 + size / 4;
	play->pools[0].least = pool.least;
	play->pools[0].most = pool.least;
	play->pool_opens_within[0] = filled;
	add_source(play,
		(struct source){ .rate = (double)pool.least / 600.0 * pick_rate(rng, 1, 5), .from = filled, .pool = 0 });
	play->length = filled + 15 * MIN;
}

static void make_l5(struct rng *rng, struct play *play)
{
	bool asyncpg = rng_chance(rng, 400);

	play->driver = asyncpg ? DRIVER_ASYNCPG : DRIVER_LIBPQ;
	trickle(rng, play, 0.005, asyncpg ? 5 : 0.04);
}

static void make_l6(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_LIBPQ;
	play->runtime = RUNTIME_GEVENT;
	trickle(rng, play, 0.05, 20);
}

/* In session mode each that is left keeps its server, and the next ones soon wait: the pool is full long before there are many of them. */
static void fill_sessions(struct rng *rng, struct play *play, double least, double most)
{
	play->driver = DRIVER_LIBPQ;
	play->session_mode = true;
	play->enters = rng_chance(rng, 500);
	play->servers_limit = pick_count(rng, 10, 40);
	trickle(rng, play, least, most);
	play->pools_count = 0;
	if (play->sources_count > 1)
		play->sources[0] = play->sources[1];
	play->sources_count = 1;
	play->enough = play->servers_limit + 12;
}

static void make_l1_sessions(struct rng *rng, struct play *play)
{
	fill_sessions(rng, play, 0.2, 0.6);
}

static void make_l5_sessions(struct rng *rng, struct play *play)
{
	fill_sessions(rng, play, 0.005, 0.04);
}

/* It grows, falls by a restart, and grows again: what is done about a leak whose cause nobody has found. */
static void be_restarted(struct rng *rng, struct play *play)
{
	const struct source *source = &play->sources[play->sources_count - 1];
	time_us enough = (time_us)(80.0 / source->rate * 1e6) + 2 * MIN;

	play->restarts = (struct range){ source->from + enough, source->from + pick_count(rng, 2, 5) * enough };
	play->length = play->restarts.most + 5 * enough;
}

static void make_l1_restarted(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_LIBPQ;
	play->runtime = RUNTIME_ASGI;
	trickle(rng, play, 0.05, 10);
	be_restarted(rng, play);
}

static void make_l14(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_NODE;
	trickle(rng, play, 0.05, 5);
}

static void make_l15(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_NODE;
	trickle(rng, play, 0.1, 5)->life.bursts = 0;
}

static void make_l16(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { 15 * S, pick_span(rng, 20 * S, 90 * S) },
		.spread = 800 * MS,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	play->driver = rng_chance(rng, 700) ? DRIVER_NODE : DRIVER_UNKNOWN;
	source.least = source.most = pick_count(rng, 3, 17);
	source.life.bursts = (unsigned)rng_below(rng, 2);
	source.life.lost = true;
	play->enough = 12 * source.least;
	add_source(play, source);
	play->length = 30 * MIN;
}

static void make_l17_idle(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_GO;
	trickle(rng, play, 0.05, 5);
}

static void make_l18_idle(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_JDBC;
	trickle(rng, play, 0.05, 5);
}

static void make_l19(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { 8 * S, pick_span(rng, 10 * S, 60 * S) },
		.spread = 20 * S,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	play->driver = DRIVER_LIBPQ;
	play->runtime = rng_chance(rng, 500) ? RUNTIME_CELERY : RUNTIME_DJANGO_Q;
	source.least = 1;
	source.most = pick_count(rng, 1, 4);
	source.life.lost = true;
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 60 * MIN;
}

static void make_l21(struct rng *rng, struct play *play)
{
	play->driver = rng_chance(rng, 700) ? DRIVER_LIBPQ : DRIVER_ASYNCPG;
	trickle(rng, play, 0.05, 5)->life.bursts = 0;
}

static void make_l22(struct rng *rng, struct play *play)
{
	struct source *source;

	play->driver = rng_chance(rng, 500) ? DRIVER_LIBPQ : DRIVER_NODE;
	play->session_mode = rng_chance(rng, 700);
	source = trickle(rng, play, 0.05, 3);
	source->life.bursts = 1;
	source->life.listens = true;
	/* The listeners are what it is for. */
	play->pools_count = 0;
	if (play->sources_count > 1)
		play->sources[0] = play->sources[1];
	play->sources_count = 1;
}

/* ---- servers that are held ---- */

static struct source *holders(struct rng *rng, struct play *play, double least, double most, struct range hold)
{
	struct source source = { .rate = pick_rate(rng, least, most), .pool = -1, .life = asks_once(ENDS_HOLDING) };

	source.life.lost = true;
	source.life.hold = hold;
	source.life.statements = pick_count(rng, 1, 3);
	source.from = pick_span(rng, S, 5 * MIN);
	play->length = source.from + 15 * MIN;
	play->servers_limit = pick_count(rng, 20, 200);
	perhaps_a_pool(rng, play);
	return add_source(play, source);
}

static void make_l9(struct rng *rng, struct play *play)
{
	static const enum leak_driver drivers[] = { DRIVER_LIBPQ, DRIVER_LIBPQ, DRIVER_ASYNCPG, DRIVER_UNKNOWN };

	play->driver = drivers[rng_below(rng, 4)];
	holders(rng, play, 0.02, 0.3, (struct range){ 4 * MIN, 60 * MIN });
}

static void make_l9_restarted(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_LIBPQ;
	holders(rng, play, 0.02, 0.3, (struct range){ 30 * MIN, 60 * MIN });
	play->restarts = (struct range){ play->sources[play->sources_count - 1].from + 6 * MIN, 20 * MIN };
	play->length += 60 * MIN;
}

static void make_l10(struct rng *rng, struct play *play)
{
	static const enum leak_driver drivers[] = { DRIVER_LIBPQ, DRIVER_ASYNCPG, DRIVER_NODE, DRIVER_UNKNOWN };
	time_us least = pick_span(rng, 5 * S, 15 * S);

	play->driver = drivers[rng_below(rng, 4)];
	holders(rng, play, 0.08, 1, (struct range){ least, pick_span(rng, 2 * least, 60 * S) });
}

static void make_l11(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_ASYNCPG;
	holders(rng, play, 0.005, 0.2, steady(FOREVER))->life.fails = true;
}

static void make_l12(struct rng *rng, struct play *play)
{
	time_us every = pick_span(rng, 30 * S, 3 * MIN);
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { every, every + 500 * MS },
		.spread = 500 * MS,
		.from = 10 * S,
		.pool = -1,
		.life = asks_once(ENDS_HOLDING) };

	play->driver = rng_chance(rng, 500) ? DRIVER_LIBPQ : DRIVER_ASYNCPG;
	source.least = source.most = pick_count(rng, 1, 3);
	source.life.lost = true;
	source.life.hold = steady(FOREVER);
	play->servers_limit = 100;
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 9 * every + MIN;
}

static void make_l13(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(FOREVER),
		.spread = 5 * MIN,
		.pool = -1,
		.life = asks_once(ENDS_HOLDING) };

	play->driver = rng_chance(rng, 700) ? DRIVER_LIBPQ : DRIVER_ASYNCPG;
	source.from = pick_span(rng, 10 * S, 5 * MIN);
	source.least = source.most = pick_count(rng, 1, 2);
	source.life.lost = true;
	source.life.hold = steady(FOREVER);
	add_source(play, source);
	healthy_pool(rng, play, 10, 20, pick_rate(rng, 0.1, 10));
	play->length = 20 * MIN;
}

static void make_l14_holds(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_NODE;
	holders(rng, play, 0.005, 0.1, steady(FOREVER));
}

static void make_l18_holds(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_JDBC;
	holders(rng, play, 0.005, 0.1, steady(FOREVER));
}

static void make_l17(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_GO;
	holders(rng, play, 0.005, 0.1, steady(FOREVER))->life.ending = rng_chance(rng, 700) ? ENDS_UNREAD
											    : ENDS_HOLDING;
}

static void make_l23(struct rng *rng, struct play *play)
{
	struct source source = { .rate = pick_rate(rng, 0.02, 1), .pool = -1, .life = asks_once(ENDS_VANISHING) };

	source.life.lost = true;
	source.life.stay = (struct range){ 100 * MS, 5 * MIN };
	source.life.bursts = pick_count(rng, 1, 3);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

static void make_l24(struct rng *rng, struct play *play)
{
	struct source source = { .rate = pick_rate(rng, 0.02, 1), .pool = -1, .life = asks_once(ENDS_ABANDONING) };

	source.life.lost = true;
	source.life.execute = (struct range){ 2 * S, pick_span(rng, 3 * S, 2 * MIN) };
	source.from = pick_span(rng, S, 3 * MIN);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

static void make_l25(struct rng *rng, struct play *play)
{
	struct source source = { .rate = pick_rate(rng, 0.005, 1), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.locks = source.life.lost = true;
	source.from = pick_span(rng, S, 3 * MIN);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

/* Busy for more than a day, with no night in it; then its own pool is dry. */
static void make_l7(struct rng *rng, struct play *play)
{
	healthy_pool(rng, play, pick_count(rng, 4, 10), 10, 0);
	play->pools[0].work.statements = 1;
	add_source(
		play, (struct source){ .rate = pick_rate(rng, 0.5, 1), .from = S, .until = 26 * 60 * MIN, .pool = 0 });
	play->length = 28 * 60 * MIN;
}

/* Its process can be seen: people go on coming, and wait. */
static void make_l7_seen(struct rng *rng, struct play *play)
{
	/* Whoever begins to look within five minutes has seen it live before. */
	time_us dry = pick_span(rng, 7 * MIN, 40 * MIN);
	double rate = pick_rate(rng, 0.6, 20);
	struct range patience = steady(rng_chance(rng, 500) ? 30 * S : 10 * MIN);

	healthy_pool(rng, play, pick_count(rng, 2, 10), 10, 0);
	play->pools[0].work.statements = 1;
	add_source(play, (struct source){ .rate = rate, .from = S, .until = dry, .pool = 0 });
	add_flow(play, (struct visit_flow){ .rate = rate, .from = S, .until = dry, .wait = { 2 * MS, 800 * MS } });
	add_flow(play, (struct visit_flow){ .rate = rate, .from = dry, .wait = patience, .lost = true });
	/* And some wait by habit. */
	if (rng_chance(rng, 300))
		add_flow(play,
			(struct visit_flow){
				.rate = rate * 0.02, .from = S, .wait = { S, 20 * S }, .unread = rng_chance(rng, 200) });
	play->length = dry + pick_span(rng, 4 * MIN, 20 * MIN);
}

const struct kind leaking_kinds[] = {
	{ "L1", "L1", FAMILY_CLIENT, 50, 30, make_l1 },
	{ "L1 restarted", "L1", FAMILY_CLIENT, 50, 15, make_l1_restarted },
	{ "L3", "L3", FAMILY_CLIENT, 50, 15, make_l3 },
	{ "L5", "L5", FAMILY_CLIENT, 60, 20, make_l5 },
	{ "L1 in sessions", "L1", FAMILY_CLIENT, 50, 10, make_l1_sessions },
	{ "L5 in sessions", "L5", FAMILY_CLIENT, 50, 10, make_l5_sessions },
	{ "L6", "L6", FAMILY_CLIENT, 30, 15, make_l6 },
	{ "L7", "L7", FAMILY_NOT_US, 1, 1, make_l7 },
	{ "L7 seen", "L7", FAMILY_NOT_US, 6, 20, make_l7_seen },
	{ "L9", "L9", FAMILY_SERVER, 1, 15, make_l9 },
	{ "L9 restarted", "L9", FAMILY_SERVER, 1, 8, make_l9_restarted },
	{ "L10", "L10", FAMILY_SERVER, 6, 20, make_l10 },
	{ "L11", "L11", FAMILY_SERVER, 1, 15, make_l11 },
	{ "L12", "L12", FAMILY_SERVER, 1, 15, make_l12 },
	{ "L13", "L13", FAMILY_SERVER, 1, 15, make_l13 },
	{ "L14 idle", "L14", FAMILY_CLIENT, 50, 8, make_l14 },
	{ "L14 in a block", "L14", FAMILY_SERVER, 1, 8, make_l14_holds },
	{ "L15", "L15", FAMILY_CLIENT, 50, 10, make_l15 },
	{ "L16", "L16", FAMILY_CLIENT, 50, 12, make_l16 },
	{ "L17 idle", "L17", FAMILY_CLIENT, 50, 8, make_l17_idle },
	{ "L17 unread or in a block", "L17", FAMILY_SERVER, 1, 12, make_l17 },
	{ "L18 idle", "L18", FAMILY_CLIENT, 50, 8, make_l18_idle },
	{ "L18 in a block", "L18", FAMILY_SERVER, 1, 8, make_l18_holds },
	{ "L19", "L19", FAMILY_CLIENT, 45, 12, make_l19 },
	{ "L21", "L21", FAMILY_CLIENT, 50, 10, make_l21 },
	{ "L22", "L22", FAMILY_CLIENT, 50, 12, make_l22 },
	{ "L23", "L23", FAMILY_CLIENT, 3, 10, make_l23 },
	{ "L24", "L24", FAMILY_SERVER, 3, 10, make_l24 },
	{ "L25", "L25", FAMILY_SERVER, 1, 10, make_l25 },
};
const size_t leaking_kinds_count = sizeof leaking_kinds / sizeof *leaking_kinds;
