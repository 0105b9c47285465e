/* Threads and their connections, for core/ties.h: the process as it is, and what the keeper would have seen of it.
 *
 *   jobs --> a thread (those that rest wait in a line, on a stack, or anyhow) --> a connection: its own, or one of a pool (likewise)
 *
 * What no detector knows is drawn: how many of each there are, as often as not equally many; how long a connection is kept; whether jobs come in
 * crowds, one by one, or several in the air that began at different moments; whether some need no connection; whether the thread of Django's
 * requests uses the same ones.
 *
 * Threads that begin at once do not reach the pool in the order in which they began: each takes its turn with the interpreter. */
#include "threads.h"

#include <stdio.h>

#include "base/check.h"
#include "core/leak.h"
#include "core/ties.h"
#include "kinds.h"

#define MOST        40 /* threads, and connections */
#define EVENTS_MOST 512
#define LENGTH      (4 * MIN)
#define LOOP_THREAD MOST /* the event loop's; the next one runs Django's requests, then those of the pool itself */
#define PAGE_THREAD (MOST + 1)
#define POOL_THREAD (MOST + 2)
#define THREADS     (MOST + 3)

enum deal { DEAL_OLDEST, DEAL_LATEST, DEAL_ANY };

enum what { CROWD_COMES, ONE_COMES, PAGE_COMES, THREAD_ASKS, ANSWER_COMES, THREAD_GIVES_BACK, THREAD_RESTS };
struct event {
	time_us at;
	enum what what;
	unsigned who;
};

/* What waits in a line. */
struct line {
	unsigned at[2 * MOST + 2];
	unsigned count;
};

struct process {
	struct rng rng;
	bool tied, pages, twice;
	enum deal threads_deal, pool_deal;
	unsigned threads_most, pool_most, jobs_without; /* permille */
	struct range hold, crowds, ones;
	time_us crowd_within;
	unsigned crowd_most;

	unsigned threads, connections;
	struct line resting, idle, waiting; /* threads; connections; threads that wait for one */
	unsigned queued;                    /* jobs that wait for a thread */
	unsigned of[THREADS];               /* 1 and the connection that the thread has; 0: none */
	unsigned asked[THREADS];            /* questions of this job so far */
	uint64_t ran[THREADS];
	time_us rested[MOST + 1];

	struct event events[EVENTS_MOST];
	unsigned count;
};

static void line_put(struct line *line, unsigned who)
{
	check(line->count < sizeof line->at / sizeof *line->at);
	line->at[line->count++] = who;
}

static unsigned line_take(struct rng *rng, struct line *line, enum deal deal)
{
	unsigned i = deal == DEAL_OLDEST ? 0
		: deal == DEAL_LATEST    ? line->count - 1
					 : pick_count(rng, 0, line->count - 1);
	unsigned who = line->at[i];

	for (line->count--; i < line->count; i++)
		line->at[i] = line->at[i + 1];
	return who;
}

static void later(struct process *p, time_us at, enum what what, unsigned who)
{
	check(p->count < EVENTS_MOST);
	p->events[p->count++] = (struct event){ at, what, who };
}

static struct event next_event(struct process *p)
{
	struct event next;
	unsigned first = 0;

	for (unsigned i = 1; i < p->count; i++)
		if (p->events[i].at < p->events[first].at)
			first = i;
	next = p->events[first];
	p->events[first] = p->events[--p->count];
	return next;
}

/* ---- jobs ---- */

static void begin(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	p->asked[thread] = 0;
	if (thread < MOST && rng_chance(&p->rng, p->jobs_without))
		later(p, now + pick_span(&p->rng, MS, 50 * MS), THREAD_RESTS, thread);
	else
		later(p, now + pick_span(&p->rng, 100, 5 * MS), THREAD_ASKS, thread);
}

static void job_comes(struct process *p, time_us now)
{
	p->ran[LOOP_THREAD]++;
	if (p->resting.count > 0)
		begin(p, line_take(&p->rng, &p->resting, p->threads_deal), now);
	else if (p->threads < p->threads_most)
		begin(p, p->threads++, now);
	else
		p->queued += p->queued < MOST;
}

static void ask(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	later(p, now + pick_span(&p->rng, MS, 10 * MS), ANSWER_COMES, thread);
}

/* It has its own, or takes one, or waits for one. */
static void take_connection(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	if (!p->of[thread] && p->idle.count > 0) {
		p->of[thread] = 1 + line_take(&p->rng, &p->idle, p->pool_deal);
	} else if (!p->of[thread] && (p->tied || p->connections < p->pool_most)) {
		p->of[thread] = ++p->connections;
		p->ran[POOL_THREAD] += !p->tied;
	}
	if (p->of[thread])
		ask(p, thread, now);
	else
		line_put(&p->waiting, thread);
}

static void give_back(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	if (!p->tied && p->waiting.count > 0) {
		unsigned next = line_take(&p->rng, &p->waiting, DEAL_OLDEST);

		p->of[next] = p->of[thread];
		p->of[thread] = 0;
		ask(p, next, now);
	} else if (!p->tied) {
		line_put(&p->idle, p->of[thread] - 1);
		p->of[thread] = 0;
	}
	later(p, now + pick_span(&p->rng, 50, MS), THREAD_RESTS, thread);
}

static void answer_comes(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	p->rested[p->of[thread] - 1] = now;
	if (++p->asked[thread] == 1 && p->twice)
		later(p, now + draw(&p->rng, p->hold), THREAD_ASKS, thread);
	else
		later(p, now + (p->twice ? 100 : draw(&p->rng, p->hold)), THREAD_GIVES_BACK, thread);
}

static void rest(struct process *p, unsigned thread, time_us now)
{
	p->ran[thread]++;
	p->ran[LOOP_THREAD]++;
	if (thread == PAGE_THREAD)
		return;
	if (p->queued > 0) {
		p->queued--;
		begin(p, thread, now);
	} else {
		line_put(&p->resting, thread);
	}
}

static void crowd_comes(struct process *p, time_us now)
{
	unsigned size = pick_count(&p->rng, 2, p->crowd_most);

	for (unsigned i = 0; i < size; i++)
		later(p, now + (time_us)rng_below(&p->rng, (uint64_t)p->crowd_within), ONE_COMES, 1);
	later(p, now + draw(&p->rng, p->crowds), CROWD_COMES, 0);
}

static void happen(struct process *p, const struct event *event)
{
	switch (event->what) {
	case CROWD_COMES:
		crowd_comes(p, event->at);
		return;
	case ONE_COMES: /* who 0: and the next one will */
		job_comes(p, event->at);
		if (event->who == 0)
			later(p, event->at + draw(&p->rng, p->ones), ONE_COMES, 0);
		return;
	case PAGE_COMES:
		p->ran[LOOP_THREAD]++;
		begin(p, PAGE_THREAD, event->at);
		later(p, event->at + 30 * S + pick_span(&p->rng, S, 5 * S), PAGE_COMES, 0);
		return;
	case THREAD_ASKS:
		if (p->asked[event->who] > 0)
			ask(p, event->who, event->at);
		else
			take_connection(p, event->who, event->at);
		return;
	case ANSWER_COMES:
		answer_comes(p, event->who, event->at);
		return;
	case THREAD_GIVES_BACK:
		give_back(p, event->who, event->at);
		return;
	case THREAD_RESTS:
		rest(p, event->who, event->at);
		return;
	}
}

/* ---- the looks ---- */

static void look(const struct process *p, struct ties *ties, time_us now)
{
	struct tie_thread seen[THREADS];
	size_t count = 0;

	for (unsigned i = 0; i < THREADS; i++)
		if (i >= MOST || i < p->threads)
			seen[count++] = (struct tie_thread){ .number = i + 1, .ran = p->ran[i] };
	ties_look(ties, now, seen, count);
}

static struct tie_facts judge(const struct process *p, struct ties *ties)
{
	struct tie_client clients[MOST + 1];

	for (unsigned i = 0; i < p->connections; i++)
		clients[i] = (struct tie_client){ .number = i + 1, .rested = p->rested[i] };
	return ties_judge(ties, clients, p->connections);
}

static void draw_process(struct process *p)
{
	struct rng *rng = &p->rng;

	p->tied = rng_chance(rng, 300);
	p->threads_most = pick_count(rng, 5, MOST);
	p->threads_deal = (enum deal)rng_below(rng, 3);
	p->pool_deal = (enum deal)rng_below(rng, 3);
	p->pool_most = rng_chance(rng, 500) ? p->threads_most : pick_count(rng, 5, MOST);
	if (p->tied)
		p->pool_most = MOST + 1;
	p->pages = rng_chance(rng, 300);
	p->twice = rng_chance(rng, 400);
	p->jobs_without = rng_chance(rng, 700) ? 0 : pick_count(rng, 10, 500);
	p->hold.least = pick_span(rng, 100, 300 * MS);
	p->hold.most = rng_chance(rng, 500) ? p->hold.least : pick_span(rng, p->hold.least, 5 * S);
	p->crowds.least = pick_span(rng, 2 * S, 20 * S);
	p->crowds.most = 2 * p->crowds.least;
	p->crowd_most = pick_count(rng, 3, p->threads_most + p->threads_most / 2);
	p->crowd_within = pick_span(rng, MS, 30 * MS);
	p->ones.least = pick_span(rng, 10 * MS, 2 * S);
	p->ones.most = p->ones.least + pick_span(rng, MS, 2 * S);
	/* Some start with all that they will ever have. */
	if (!p->tied && rng_chance(rng, 500))
		for (; p->connections < p->pool_most; p->connections++)
			line_put(&p->idle, p->connections);
	later(p, pick_span(rng, S, 5 * S), CROWD_COMES, 0);
	later(p, pick_span(rng, S, 5 * S), ONE_COMES, 0);
	if (p->pages)
		later(p, S, PAGE_COMES, 0);
}

struct threads_outcome threads_play(uint64_t seed, bool verbose)
{
	static const struct leak_rules rules = { .period = 5 * S, .quiet = 5 * S, .hold = 30 * S, .siblings = 5 };
	struct process p = { .threads = 0 };
	struct threads_outcome outcome = { .tied = false };
	struct ties *ties = ties_new();
	struct leak_book *book = leak_book_new();
	time_us look_at = 0, judge_at = rules.period;

	check(ties && book);
	rng_seed(&p.rng, seed);
	draw_process(&p);
	outcome.tied = p.tied;
	outcome.crowded = p.threads_most >= 10 && p.crowd_most >= 8 && p.ones.least >= 300 * MS &&
		p.ones.most <= 2 * S && p.hold.most <= S && p.crowds.most <= 20 * S;
	while (judge_at < LENGTH) {
		struct event event = next_event(&p);

		for (; look_at < event.at; look_at += 200 * MS + (time_us)rng_below(&p.rng, 100 * MS)) {
			look(&p, ties, look_at);
			if (look_at < judge_at)
				continue;
			struct tie_facts found = judge(&p, ties);
			struct leak_facts facts = { .origin = 1,
				.runtime = RUNTIME_ASGI,
				.clients = p.connections,
				.parked = p.connections,
				.quiet = p.connections,
				.django = p.connections,
				.logins = p.connections,
				.tied = found.tied,
				.tie_proofs = found.proofs,
				.tie_crowds = found.crowds,
				.loose = found.loose > 2 ? found.loose - 2 : 0 };
			struct leak_change change;

			if (verbose)
				printf("# %3.0f s: %u threads, %u clients, %u tied, %u proofs after %u crowds, %u loose\n",
					(double)look_at / 1e6, p.threads, p.connections, found.tied, found.proofs,
					found.crowds, found.loose);
			if (leak_step(book, &rules, look_at, &facts, 1, &change, 1) > 0 && change.kind == LEAK_BEGAN) {
				outcome.named = true;
				outcome.wrong |= change.leak.pattern != leak_pattern_of("L3");
			}
			judge_at += rules.period;
		}
		happen(&p, &event);
	}
	if (verbose)
		printf("# %s, %u threads (deal %d), pool of %u (deal %d)%s%s: %s\n", p.tied ? "tied" : "a pool",
			p.threads_most, (int)p.threads_deal, p.pool_most, (int)p.pool_deal, p.pages ? ", pages" : "",
			p.twice ? ", twice" : "", outcome.named ? "named" : "not named");
	ties_free(ties);
	leak_book_free(book);
	return outcome;
}
