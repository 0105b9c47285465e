#include "kinds.h"

#include "base/check.h"

/* Who leaks, and who only looks like it. Numbers are drawn from what the catalogue's sources report, and some way beyond. */

#define MS  MILLISECOND_US
#define S   SECOND_US
#define MIN (60 * SECOND_US)

static unsigned pick(struct rng *rng, unsigned least, unsigned most)
{
	return least + (unsigned)rng_below(rng, most - least + 1);
}

static time_us span(struct rng *rng, time_us least, time_us most)
{
	return draw(rng, (struct range){ least, most });
}

/* Per second, small rates as likely as large ones. */
static double rate(struct rng *rng, double least, double most)
{
	return (double)draw(rng, (struct range){ (time_us)(least * 1e6), (time_us)(most * 1e6) }) / 1e6;
}

static struct range steady(time_us value)
{
	return (struct range){ value, value };
}

/* One quick question. */
static struct life asks_once(enum ending ending)
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

static struct source *add_source(struct play *play, struct source source)
{
	check(play->sources_count < SOURCES_MOST);
	if (source.until == 0)
		source.until = FOREVER;
	play->sources[play->sources_count] = source;
	return &play->sources[play->sources_count++];
}

static struct app_pool *add_pool(struct play *play, struct app_pool pool, time_us opens, time_us within)
{
	check(play->pools_count < POOLS_MOST);
	play->pools[play->pools_count] = pool;
	play->pool_opens[play->pools_count] = opens;
	play->pool_opens_within[play->pools_count] = within;
	return &play->pools[play->pools_count++];
}

/* A request of a web application. */
static struct life web_work(struct rng *rng)
{
	struct life work = asks_once(ENDS_STAYING);

	work.statements = pick(rng, 1, 6);
	work.execute = (struct range){ 1 * MS, span(rng, 5 * MS, 500 * MS) };
	work.think = (struct range){ 1 * MS, span(rng, 2 * MS, 200 * MS) };
	return work;
}

/* A healthy pool with some traffic. */
static void healthy_pool(struct rng *rng, struct play *play, unsigned least, unsigned most, double requests)
{
	add_pool(play,
		(struct app_pool){ .least = least,
			.most = most,
			.pick = rng_chance(rng, 500) ? PICK_LAST : PICK_FIRST,
			.work = web_work(rng),
			.greets = rng_chance(rng, 500) },
		0, span(rng, 100 * MS, 10 * S));
	if (requests > 0)
		add_source(play,
			(struct source){
				.rhythm = AT_RANDOM, .rate = requests, .from = S, .pool = (int)play->pools_count - 1 });
}

/* A leaking origin often has a healthy part as well. */
static void perhaps_a_pool(struct rng *rng, struct play *play)
{
	if (rng_chance(rng, 500))
		healthy_pool(rng, play, pick(rng, 1, 15), 15, rng_chance(rng, 700) ? rate(rng, 0.02, 10) : 0);
}

/* ---- clients that are left ---- */

static struct source *trickle(struct rng *rng, struct play *play, double least, double most)
{
	struct source source = {
		.rhythm = AT_RANDOM, .rate = rate(rng, least, most), .pool = -1, .life = asks_once(ENDS_STAYING)
	};

	source.life.lost = true;
	source.life.execute.most = span(rng, 10 * MS, 2 * S);
	source.life.statements = pick(rng, 1, 4);
	source.life.bursts = rng_chance(rng, 300) ? pick(rng, 2, 5) : 1;
	source.from = rng_chance(rng, 300) ? 0 : span(rng, S, 10 * MIN);
	if (rng_chance(rng, 250))
		source.swing = span(rng, 2 * MIN, 30 * MIN);
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
	unsigned size = threads[rng_below(rng, 4)] * pick(rng, 1, 6);
	struct app_pool pool = { .pick = PICK_FIRST, .work = asks_once(ENDS_STAYING), .greets = true };
	double fast = rate(rng, 0.4, 3);
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
		(struct source){ .rate = (double)pool.least / 600.0 * rate(rng, 1, 5), .from = filled, .pool = 0 });
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
		.every = { 15 * S, span(rng, 20 * S, 90 * S) },
		.spread = 800 * MS,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	play->driver = rng_chance(rng, 700) ? DRIVER_NODE : DRIVER_UNKNOWN;
	source.least = source.most = pick(rng, 3, 17);
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
		.every = { 8 * S, span(rng, 10 * S, 60 * S) },
		.spread = 20 * S,
		.pool = -1,
		.life = asks_once(ENDS_STAYING) };

	play->driver = DRIVER_LIBPQ;
	play->runtime = rng_chance(rng, 500) ? RUNTIME_CELERY : RUNTIME_DJANGO_Q;
	source.least = 1;
	source.most = pick(rng, 1, 4);
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
	struct source source = { .rate = rate(rng, least, most), .pool = -1, .life = asks_once(ENDS_HOLDING) };

	source.life.lost = true;
	source.life.hold = hold;
	source.life.statements = pick(rng, 1, 3);
	source.from = span(rng, S, 5 * MIN);
	play->length = source.from + 15 * MIN;
	play->servers_limit = pick(rng, 20, 200);
	perhaps_a_pool(rng, play);
	return add_source(play, source);
}

static void make_l9(struct rng *rng, struct play *play)
{
	play->driver = rng_chance(rng, 800) ? DRIVER_LIBPQ : DRIVER_UNKNOWN;
	holders(rng, play, 0.02, 0.3, (struct range){ 4 * MIN, 60 * MIN });
}

static void make_l10(struct rng *rng, struct play *play)
{
	static const enum leak_driver drivers[] = { DRIVER_LIBPQ, DRIVER_ASYNCPG, DRIVER_NODE, DRIVER_UNKNOWN };
	time_us least = span(rng, 5 * S, 15 * S);

	play->driver = drivers[rng_below(rng, 4)];
	holders(rng, play, 0.08, 1, (struct range){ least, span(rng, 2 * least, 60 * S) });
}

static void make_l11(struct rng *rng, struct play *play)
{
	play->driver = DRIVER_ASYNCPG;
	holders(rng, play, 0.005, 0.2, steady(FOREVER));
}

static void make_l12(struct rng *rng, struct play *play)
{
	time_us every = span(rng, 30 * S, 3 * MIN);
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { every, every + 500 * MS },
		.spread = 500 * MS,
		.from = 10 * S,
		.pool = -1,
		.life = asks_once(ENDS_HOLDING) };

	play->driver = rng_chance(rng, 500) ? DRIVER_LIBPQ : DRIVER_ASYNCPG;
	source.least = source.most = pick(rng, 1, 3);
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

	play->driver = DRIVER_LIBPQ;
	source.from = span(rng, 10 * S, 5 * MIN);
	source.least = source.most = pick(rng, 1, 2);
	source.life.lost = true;
	source.life.hold = steady(FOREVER);
	add_source(play, source);
	healthy_pool(rng, play, 10, 20, rate(rng, 0.1, 10));
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
	struct source source = { .rate = rate(rng, 0.02, 1), .pool = -1, .life = asks_once(ENDS_VANISHING) };

	source.life.lost = true;
	source.life.stay = (struct range){ 100 * MS, 5 * MIN };
	source.life.bursts = pick(rng, 1, 3);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

static void make_l24(struct rng *rng, struct play *play)
{
	struct source source = { .rate = rate(rng, 0.02, 1), .pool = -1, .life = asks_once(ENDS_ABANDONING) };

	source.life.lost = true;
	source.life.execute = (struct range){ 2 * S, span(rng, 3 * S, 2 * MIN) };
	source.from = span(rng, S, 3 * MIN);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

static void make_l25(struct rng *rng, struct play *play)
{
	struct source source = { .rate = rate(rng, 0.005, 1), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.locks = source.life.lost = true;
	source.from = span(rng, S, 3 * MIN);
	add_source(play, source);
	perhaps_a_pool(rng, play);
	play->length = 15 * MIN;
}

/* Busy for more than a day, with no night in it; then its own pool is dry. */
static void make_l7(struct rng *rng, struct play *play)
{
	healthy_pool(rng, play, pick(rng, 4, 10), 10, 0);
	play->pools[0].work.statements = 1;
	add_source(play, (struct source){ .rate = rate(rng, 0.5, 1), .from = S, .until = 26 * 60 * MIN, .pool = 0 });
	play->length = 28 * 60 * MIN;
}

/* ---- healthy ---- */

static void make_rest(struct rng *rng, struct play *play)
{
	unsigned size = pick(rng, 1, 100);

	healthy_pool(rng, play, size, size, 0);
	if (rng_chance(rng, 300))
		add_source(play,
			(struct source){
				.rate = rate(rng, 1, 20), .from = S, .until = span(rng, 10 * S, 5 * MIN), .pool = 0 });
	play->length = span(rng, 30 * MIN, 180 * MIN);
}

static void make_batch(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(60 * MIN),
		.pool = -1,
		.from = span(rng, S, 5 * MIN),
		.life = asks_once(ENDS_LEAVING) };

	source.least = source.most = pick(rng, 1, 4);
	source.life.statements = pick(rng, 20, 200);
	source.life.execute = (struct range){ 500 * MS, span(rng, 5 * S, 60 * S) };
	source.life.think = (struct range){ 5 * MS, span(rng, 100 * MS, 20 * S) };
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

/* Several processes behind one address, replaced one after another. */
static void make_deploy(struct rng *rng, struct play *play)
{
	unsigned processes = pick(rng, 1, POOLS_MOST / 2), size = pick(rng, 2, 40),
		 least = rng_chance(rng, 700) ? size : 1;
	time_us begins = span(rng, MIN, 10 * MIN), apart = span(rng, S, MIN), overlap = span(rng, 5 * S, 5 * MIN);
	bool old_news = rng_chance(rng, 500);

	for (unsigned i = 0; i < 2 * processes; i++) {
		bool old = i < processes;
		time_us opens = old ? (time_us)i * 300 * MS : begins + (time_us)(i - processes) * apart;

		add_pool(play,
			(struct app_pool){ .least = least,
				.most = size,
				.pick = PICK_LAST,
				.work = web_work(rng),
				.greets = old_news },
			opens, span(rng, 100 * MS, 3 * S));
		if (old)
			play->pool_closes[i] = begins + (time_us)i * apart + overlap;
	}
	if (rng_chance(rng, 700)) {
		for (unsigned i = 0; i < 2 && i < processes; i++) {
			add_source(play, (struct source){ .rate = rate(rng, 0.05, 5), .from = S, .pool = (int)i });
			add_source(play,
				(struct source){ .rate = rate(rng, 0.05, 5), .from = S, .pool = (int)(processes + i) });
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
	source.life.bursts = pick(rng, 1, 6);
	source.life.rest = (struct range){ 5 * S, 5 * MIN };
	source.life.statements = pick(rng, 1, 2);
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

	source.life.bursts = pick(rng, 0, 2);
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
	add_source(play, (struct source){ .rate = rate(rng, 5, 200), .pool = -1, .life = asks_once(ENDS_LEAVING) });
	if (rng_chance(rng, 500))
		healthy_pool(rng, play, 20, 20, 0);
	play->length = 5 * MIN;
}

static void make_slow_readers(struct rng *rng, struct play *play)
{
	struct source source = { .rate = rate(rng, 0.02, 0.3), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.stalls = pick(rng, 3, 60);
	source.life.stall = (struct range){ 100 * MS, 29 * S };
	add_source(play, source);
	play->length = 20 * MIN;
}

static void make_wave(struct rng *rng, struct play *play)
{
	struct source source = { .rhythm = IN_CLUMPS,
		.every = { 6 * MIN, 15 * MIN },
		.pool = -1,
		.from = span(rng, S, 2 * MIN),
		.life = asks_once(ENDS_LEAVING) };

	source.least = 20;
	source.most = pick(rng, 30, 400);
	source.spread = span(rng, S, 30 * S);
	source.life.bursts = pick(rng, 1, 3);
	source.life.rest = (struct range){ S, 30 * S };
	source.life.stay = (struct range){ 10 * S, 5 * MIN };
	play->runtime = rng_chance(rng, 500) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	add_source(play, source);
	play->length = 30 * MIN;
}

/* Websockets that each have a connection, and come and go. */
static void make_sockets(struct rng *rng, struct play *play)
{
	struct source source = { .rate = rate(rng, 0.05, 3), .pool = -1, .life = asks_once(ENDS_LEAVING) };

	source.life.bursts = pick(rng, 1, 4);
	source.life.rest = (struct range){ S, 30 * S };
	source.life.stay = (struct range){ S, span(rng, 20 * S, 4 * MIN) };
	play->runtime = rng_chance(rng, 500) ? RUNTIME_ASGI : RUNTIME_UNKNOWN;
	add_source(play, source);
	play->length = 30 * MIN;
}

static void make_cron(struct rng *rng, struct play *play)
{
	time_us every = span(rng, 20 * S, 10 * MIN);
	struct source source = { .rhythm = IN_CLUMPS,
		.every = steady(every),
		.least = 1,
		.most = pick(rng, 1, 30),
		.pool = -1,
		.spread = span(rng, 100 * MS, 5 * S),
		.life = asks_once(ENDS_LEAVING) };

	source.life.statements = pick(rng, 1, 10);
	source.life.execute = (struct range){ 10 * MS, span(rng, 100 * MS, 10 * S) };
	source.life.stay = (struct range){ 1 * MS, span(rng, 10 * MS, 20 * S) };
	add_source(play, source);
	play->length = 40 * MIN;
}

static void make_rare_bursts(struct rng *rng, struct play *play)
{
	unsigned size = pick(rng, 5, 60);

	healthy_pool(rng, play, rng_chance(rng, 500) ? size : 1, size, 0);
	add_source(play,
		(struct source){ .rhythm = IN_CLUMPS,
			.every = { MIN, 12 * MIN },
			.least = 1,
			.most = 2 * size,
			.spread = span(rng, 100 * MS, 20 * S),
			.from = 20 * S,
			.pool = 0 });
	play->length = 90 * MIN;
}

static void make_autoscale(struct rng *rng, struct play *play)
{
	unsigned processes = pick(rng, 1, 4);

	for (unsigned i = 0; i < processes; i++) {
		healthy_pool(rng, play, pick(rng, 1, 4), pick(rng, 10, 60), rate(rng, 0.5, 20));
		play->pools[i].idle = span(rng, 10 * S, 10 * MIN);
		play->pools[i].work.execute.most = span(rng, 100 * MS, 3 * S);
		play->sources[i].swing = span(rng, 5 * MIN, 30 * MIN);
	}
	play->length = 40 * MIN;
}

static void make_recycling(struct rng *rng, struct play *play)
{
	unsigned size = pick(rng, 5, 50);

	healthy_pool(rng, play, size, size, rng_chance(rng, 500) ? rate(rng, 0.01, 5) : 0);
	play->pools[0].lifetime = span(rng, MIN, 30 * MIN);
	play->length = 90 * MIN;
}

/* Threads or worker processes with one connection each, made when they are first asked. */
static void make_lazy_threads(struct rng *rng, struct play *play)
{
	add_pool(play, (struct app_pool){ .most = pick(rng, 4, 100), .pick = PICK_OWN, .work = web_work(rng) }, 0, 0);
	add_source(play, (struct source){ .rate = rate(rng, 0.05, 3), .from = S, .pool = 0 });
	play->driver = rng_chance(rng, 700) ? DRIVER_LIBPQ : DRIVER_UNKNOWN;
	play->length = 40 * MIN;
}

/* Transactions that think between their statements, but not for long. */
static void make_thinking(struct rng *rng, struct play *play)
{
	healthy_pool(rng, play, pick(rng, 2, 20), 20, rate(rng, 0.2, 4));
	play->pools[0].work.statements = pick(rng, 2, 5);
	play->pools[0].work.think = (struct range){ 100 * MS, span(rng, 500 * MS, 3 * S) };
	play->length = 20 * MIN;
}

/* Busy for long, then not at all: the work is done. */
static void make_done(struct rng *rng, struct play *play)
{
	unsigned size = pick(rng, 3, 30);

	healthy_pool(rng, play, rng_chance(rng, 500) ? size : 1, size, 0);
	add_source(play,
		(struct source){
			.rate = rate(rng, 0.5, 10), .from = S, .until = span(rng, 10 * MIN, 180 * MIN), .pool = 0 });
	play->length = play->sources[0].until + 60 * MIN;
}

/* Two days with their nights. */
static void make_nights(struct rng *rng, struct play *play)
{
	unsigned size = pick(rng, 3, 10);

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
	healthy_pool(rng, play, pick(rng, 2, 10), 10, rate(rng, 0.05, 5));
	play->length = 60 * MIN;
}

const struct kind kinds[] = {
	{ "L1", "L1", FAMILY_CLIENT, 50, 30, make_l1 },
	{ "L3", "L3", FAMILY_CLIENT, 50, 15, make_l3 },
	{ "L5", "L5", FAMILY_CLIENT, 60, 20, make_l5 },
	{ "L6", "L6", FAMILY_CLIENT, 30, 15, make_l6 },
	{ "L7", "L7", FAMILY_NOT_US, 1, 1, make_l7 },
	{ "L9", "L9", FAMILY_SERVER, 1, 15, make_l9 },
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
	{ "a pool at rest", NULL, FAMILY_CLIENT, 0, 25, make_rest },
	{ "a nightly batch", NULL, FAMILY_CLIENT, 0, 20, make_batch },
	{ "a long report", NULL, FAMILY_CLIENT, 0, 10, make_report },
	{ "a rolling deploy", NULL, FAMILY_CLIENT, 0, 40, make_deploy },
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
	{ "thinking transactions", NULL, FAMILY_CLIENT, 0, 15, make_thinking },
};
const size_t kinds_count = sizeof kinds / sizeof *kinds;
