/* The shared ledger alone: src/core behind one lock, and many threads that lend from one pool as workers do. No sockets.
 *
 *   thread:  WANTS -> (LEND | wait) ... work for a while ... READY -> (LEND to the next | MOVE by mail | rest)
 *
 * What it shows: how many leases a second the core allows, whatever the rest costs; how long a thread waits for the lock; and what
 * of it is left when each lease has work beside it that nobody shares, as a transaction's system calls are. */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "core/core.h"

#define THREADS_MAX 64
#define CLIENTS     32 /* of each thread */

struct slot {
	bool wants, holds;
	server_id server;
};

struct party {
	pthread_t thread;
	uint32_t index, next, lent_count;
	struct slot clients[CLIENTS];
	uint32_t lent[CLIENTS]; /* clients that hold a server, a ring */
	uint32_t lent_first;
	struct effects spare;
	uint64_t leases, waits, moves;
	double waited, cpu;

	pthread_mutex_t mail_lock;
	server_id *mail;
	size_t mail_count, mail_capacity;
	atomic_size_t mailed;
};

static struct core *core;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct party parties[THREADS_MAX];
static atomic_bool stop, go;
static pool_id pool;
static long work_ns;

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static time_us now_us(void)
{
	return (time_us)(seconds_of(CLOCK_MONOTONIC) * 1e6);
}

static void post(uint32_t to, server_id server)
{
	struct party *p = &parties[to];

	pthread_mutex_lock(&p->mail_lock);
	if (p->mail_count == p->mail_capacity) {
		p->mail_capacity = p->mail_capacity ? p->mail_capacity * 2 : 64;
		p->mail = realloc(p->mail, p->mail_capacity * sizeof *p->mail);
		check(p->mail != NULL);
	}
	p->mail[p->mail_count++] = server;
	atomic_store(&p->mailed, p->mail_count);
	pthread_mutex_unlock(&p->mail_lock);
}

static void step(struct party *, struct event);

static void perform(struct party *p, const struct effect *e)
{
	struct slot *c = &p->clients[e->client.client.slot % CLIENTS];

	switch (e->kind) {
	case EFFECT_LEND:
		check(e->worker == p->index && c->wants);
		c->wants = false;
		c->holds = true;
		c->server = e->server;
		p->lent[(p->lent_first + p->lent_count++) % CLIENTS] = e->client.client.slot;
		break;
	case EFFECT_DIAL:
		if (e->worker == p->index)
			step(p, (struct event){ .kind = EVENT_SERVER_READY, .server = e->server, .process_id = 1 });
		else
			check(!"servers are dialed before the threads begin");
		break;
	case EFFECT_MOVE:
		p->moves++;
		post(e->to, e->server);
		break;
	default:
		break;
	}
}

static void step(struct party *p, struct event event)
{
	struct effects mine = p->spare; /* performing may step again, with another list */

	p->spare = (struct effects){ 0 };
	mine.count = 0;
	event.now = now_us();
	event.worker = p->index;
	if (pthread_mutex_trylock(&lock) != 0) {
		double before = seconds_of(CLOCK_MONOTONIC);

		pthread_mutex_lock(&lock);
		p->waited += seconds_of(CLOCK_MONOTONIC) - before;
		p->waits++;
	}
	core_step(core, &event, &mine);
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < mine.count; i++)
		perform(p, &mine.list[i]);
	effects_fini(&p->spare);
	p->spare = mine;
}

static void read_mail(struct party *p)
{
	server_id server;

	while (atomic_load(&p->mailed) > 0) {
		pthread_mutex_lock(&p->mail_lock);
		server = p->mail[--p->mail_count];
		atomic_store(&p->mailed, p->mail_count);
		pthread_mutex_unlock(&p->mail_lock);
		step(p, (struct event){ .kind = EVENT_SERVER_ARRIVED, .server = server });
	}
}

static void work(void)
{
	double until = seconds_of(CLOCK_THREAD_CPUTIME_ID) + (double)work_ns / 1e9;

	while (work_ns > 0 && seconds_of(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static void want(struct party *p)
{
	uint32_t n = p->next++ % CLIENTS;
	struct slot *c = &p->clients[n];

	if (c->wants || c->holds)
		return;
	c->wants = true;
	step(p,
		(struct event){ .kind = EVENT_CLIENT_WANTS,
			.client = { p->index, { n, 1 } },
			.pool = pool,
			.since = now_us(),
			.origin = 1 + n % 4,
			.group = 1 + n % 4 });
}

static void give_back(struct party *p)
{
	struct slot *c;

	if (p->lent_count == 0) {
		sched_yield();
		return;
	}
	c = &p->clients[p->lent[p->lent_first]];
	p->lent_first = (p->lent_first + 1) % CLIENTS;
	p->lent_count--;
	c->holds = false;
	work();
	p->leases++;
	step(p, (struct event){ .kind = EVENT_SERVER_READY, .server = c->server });
}

static void *run(void *argument)
{
	struct party *p = argument;
	double began;

	while (!atomic_load(&go))
		sched_yield();
	began = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	while (!atomic_load(&stop)) {
		read_mail(p);
		want(p);
		give_back(p);
	}
	p->cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - began;
	return NULL;
}

static void begin(uint32_t threads, uint32_t servers)
{
	struct core_setup setup = { .workers = threads, .servers_max = servers + 1 };
	struct core_rules rules = { .limit_counts = COUNT_BUSY };
	struct core_pool_rules pool_rules = {
		.size = servers, .fair = true, .lifetime = 3600 * SECOND_US, .instance = NO_INSTANCE
	};
	struct database_rules database_rules = { 0 };
	struct effects effects = { 0 };

	core = core_new(&setup);
	core_set_rules(core, &rules, now_us(), &effects);
	pool = core_pool(core, core_database(core, span_text("d"), &database_rules), span_text("u"), &pool_rules);
	effects_fini(&effects);
	for (uint32_t i = 0; i < threads; i++) {
		parties[i] = (struct party){ .index = i };
		pthread_mutex_init(&parties[i].mail_lock, NULL);
	}
	/* Servers are dialed by who waits: each thread's share of them. */
	for (uint32_t i = 0; i < threads; i++)
		for (uint32_t n = 0; n < (servers + threads - 1) / threads && n < CLIENTS; n++)
			want(&parties[i]);
}

static void report(uint32_t threads, double seconds, bool last)
{
	uint64_t leases = 0, waits = 0, moves = 0;
	double waited = 0, cpu = 0;

	for (uint32_t i = 0; i < threads; i++) {
		leases += parties[i].leases;
		waits += parties[i].waits;
		moves += parties[i].moves;
		waited += parties[i].waited;
		cpu += parties[i].cpu;
	}
	printf("  {\"threads\": %u, \"work_us\": %.1f, \"leases_per_second\": %.0f, \"cpu_us_per_lease\": %.3f, "
	       "\"lock_wait_us_per_lease\": %.3f, \"lock_waits_per_lease\": %.4f, \"mail_per_lease\": %.4f}%s\n",
		threads, (double)work_ns / 1e3, (double)leases / seconds, cpu * 1e6 / (double)leases,
		waited * 1e6 / (double)leases, (double)waits / (double)leases, (double)moves / (double)leases,
		last ? "" : ",");
}

static void measure(uint32_t threads, uint32_t servers, double seconds, bool last)
{
	struct timespec nap = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
	double began;

	atomic_store(&stop, false);
	atomic_store(&go, false);
	begin(threads, servers);
	for (uint32_t i = 0; i < threads; i++)
		check(pthread_create(&parties[i].thread, NULL, run, &parties[i]) == 0);
	began = seconds_of(CLOCK_MONOTONIC);
	atomic_store(&go, true);
	nanosleep(&nap, NULL);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i < threads; i++)
		pthread_join(parties[i].thread, NULL);
	report(threads, seconds_of(CLOCK_MONOTONIC) - began, last);
	for (uint32_t i = 0; i < threads; i++) {
		pthread_mutex_destroy(&parties[i].mail_lock);
		free(parties[i].mail);
		effects_fini(&parties[i].spare);
	}
	core_free(core);
}

static double number(const char *text, double least, double most, const char *what)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || n < least || n > most) {
		fprintf(stderr, "ledger: --%s takes a number from %g to %g, not \"%s\"\n", what, least, most, text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seconds", required_argument, NULL, 's' },
		{ "servers", required_argument, NULL, 'n' }, { "work", required_argument, NULL, 'w' },
		{ "threads", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 } };
	static const uint32_t all[] = { 1, 2, 4, 8 };
	double seconds = 2, works[] = { 0, 8 };
	size_t works_count = 2;
	uint32_t servers = 20, threads = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			seconds = number(optarg, 0.01, 3600, "seconds");
			break;
		case 'n':
			servers = (uint32_t)number(optarg, 1, 1000, "servers");
			break;
		case 'w':
			works[0] = number(optarg, 0, 100000, "work");
			works_count = 1;
			break;
		case 't':
			threads = (uint32_t)number(optarg, 1, THREADS_MAX, "threads");
			break;
		default:
			fprintf(stderr,
				"usage: ledger [--threads N] [--servers N] [--work MICROSECONDS] [--seconds S]\n");
			return 2;
		}
	}
	printf("[\n");
	for (size_t w = 0; w < works_count; w++) {
		work_ns = (long)(works[w] * 1000);
		for (size_t i = 0; i < (threads ? 1 : sizeof all / sizeof all[0]); i++)
			measure(threads ? threads : all[i], servers, seconds,
				w + 1 == works_count && (threads || i + 1 == sizeof all / sizeof all[0]));
	}
	printf("]\n");
	return 0;
}
