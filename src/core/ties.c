#include "core/ties.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Of each client it is known when it was last at work, to the millisecond; of each thread, in which of the windows between two looks it
 * has run. Whoever used the client ran then:
 *
 *   windows   |  a c  |  c  |     | b c  | a b c |      the threads that ran
 *   client    |   x   |     |     |      |   x   |      it was at work
 *   suspects      a c                        a c        whoever ran each time
 *
 * A client that is tied to a thread keeps a suspect for ever. One that is dealt out loses them all: it is loose. Threads that nearly always
 * run (the event loop's) are no suspects, for they would be everybody's.
 *
 * Keeping a suspect says something only where it need not have been so. Two things are asked for before it counts as a proof:
 *
 *   chance   of the suspects and the threads that ran there are so few that one picked at random would be among them in half of all
 *            cases at most. When all threads ran, nothing is learned.
 *   mixing   meanwhile the client was at work at the same moment as several others. Threads that wait in a line, and a pool whose
 *            connections wait in a line as long, meet in the same pairs for as long as one request follows another; what parts them is a
 *            crowd, in which neither line moves in step with the other. (Seen with psycopg_pool and Python's executor, 16 of each: pairs
 *            were kept while single requests went on, and of 327 clients in crowds 24 had the thread that they had before.)
 */

#define WINDOWS       128
#define WAKE          (250 * MILLISECOND_US) /* within this after its answer left us, a thread has run to take it */
#define EARLY         (50 * MILLISECOND_US) /* and within this before it, to ask, and the event loop's to send it there */
#define CROWD         3                     /* clients at work at the same moment, for a mixing */
#define CROWD_SPAN    (50 * MILLISECOND_US)
#define CONSTANT_MOST 2  /* the event loop's, and one that has its own rhythm */
#define CROWDS        16 /* that are remembered */
#define CROWD_PROOFS  2  /* clients that kept their thread, for a crowd that counts */
#define USED_LEAST    16 /* times at work, until it can be said who nearly always runs */

struct set {
	uint64_t words[TIES_THREADS / 64];
};

struct window {
	time_us from, until;
	struct set ran;
};

struct thread_seen {
	uint32_t number; /* 0: none */
	uint64_t ran;
	time_us gone;
	uint32_t used,
		used_before; /* how often it ran when a client was at work; of all such times, those before it came */
};

struct client_seen {
	uint32_t number;
	time_us rested;
	struct set suspects;
	time_us mixed;       /* when it was last in a crowd; 0: not since it was last found with its thread */
	struct set foreseen; /* its suspects before that crowd */
	bool known, loose;
	uint32_t proofs;
};

/* A crowd after which clients were found with the thread that they had before it. */
struct crowd {
	time_us at;
	uint32_t proofs;
};

struct ties {
	struct thread_seen threads[TIES_THREADS];
	struct window windows[WINDOWS];
	unsigned first, count;
	time_us looked;
	struct client_seen clients[TIES_CLIENTS];
	size_t client_count;
	struct crowd crowds[CROWDS];
	uint32_t used, loose;
};

struct ties *ties_new(void)
{
	return calloc(1, sizeof(struct ties));
}

void ties_free(struct ties *ties)
{
	free(ties);
}

static void set_put(struct set *set, size_t i)
{
	set->words[i / 64] |= (uint64_t)1 << (i % 64);
}

static void set_drop(struct set *set, size_t i)
{
	set->words[i / 64] &= ~((uint64_t)1 << (i % 64));
}

static bool set_has(const struct set *set, size_t i)
{
	return set->words[i / 64] >> (i % 64) & 1;
}

static struct set set_both(const struct set *a, const struct set *b)
{
	struct set both;

	for (size_t i = 0; i < TIES_THREADS / 64; i++)
		both.words[i] = a->words[i] & b->words[i];
	return both;
}

static void set_add(struct set *set, const struct set *more)
{
	for (size_t i = 0; i < TIES_THREADS / 64; i++)
		set->words[i] |= more->words[i];
}

static unsigned set_size(const struct set *set)
{
	unsigned size = 0;

	for (size_t i = 0; i < TIES_THREADS / 64; i++)
		size += (unsigned)__builtin_popcountll(set->words[i]);
	return size;
}

static struct window *window_at(struct ties *ties, unsigned i)
{
	return &ties->windows[(ties->first + i) % WINDOWS];
}

/* ---- threads ---- */

/* A place that no window speaks of any more; TIES_THREADS: none. */
static size_t free_place(struct ties *ties)
{
	time_us oldest = ties->count > 0 ? window_at(ties, 0)->from : ties->looked;

	for (size_t i = 0; i < TIES_THREADS; i++)
		if (!ties->threads[i].number && ties->threads[i].gone <= oldest)
			return i;
	return TIES_THREADS;
}

static size_t place_of(const struct ties *ties, uint32_t number)
{
	size_t i = 0;

	while (i < TIES_THREADS && ties->threads[i].number != number)
		i++;
	return i;
}

/* Threads that have been at work, but for those that nearly always are, of which there are *constant. */
static struct set players(const struct ties *ties, unsigned *constant)
{
	struct set set = { { 0 } };

	*constant = 0;

	for (size_t i = 0; i < TIES_THREADS; i++) {
		const struct thread_seen *thread = &ties->threads[i];
		uint32_t used = ties->used - thread->used_before;

		if (!thread->number || thread->used == 0)
			continue;
		if (used < USED_LEAST || thread->used * 16 <= used * 15)
			set_put(&set, i);
		else
			++*constant;
	}
	return set;
}

/* Its clients have no thread any more, and begin anew. */
static void thread_ends(struct ties *ties, size_t place, time_us now)
{
	unsigned constant;
	struct set all, left;

	ties->threads[place] = (struct thread_seen){ .gone = now };
	all = players(ties, &constant);
	for (size_t i = 0; i < ties->client_count; i++) {
		struct client_seen *client = &ties->clients[i];

		set_drop(&client->suspects, place);
		set_drop(&client->foreseen, place);
		left = set_both(&client->suspects, &all);
		if (set_size(&left) > 0)
			continue;
		client->known = false;
		client->mixed = 0;
		client->proofs = 0;
	}
}

void ties_look(struct ties *ties, time_us now, const struct tie_thread *threads, size_t count)
{
	struct window window = { .from = ties->looked, .until = now };
	bool here[TIES_THREADS] = { false };
	size_t place;

	for (size_t i = 0; i < count && i <= TIES_THREADS; i++) {
		place = place_of(ties, threads[i].number);
		if (place == TIES_THREADS)
			place = free_place(ties);
		if (place == TIES_THREADS) {
			memset(ties, 0, sizeof *ties);
			return;
		}
		if (!ties->threads[place].number)
			ties->threads[place] = (struct thread_seen){
				.number = threads[i].number, .ran = threads[i].ran + 1, .used_before = ties->used
			};
		if (ties->threads[place].ran != threads[i].ran || threads[i].ready)
			set_put(&window.ran, place);
		ties->threads[place].ran = threads[i].ran;
		here[place] = true;
	}
	for (place = 0; place < TIES_THREADS; place++)
		if (ties->threads[place].number && !here[place])
			thread_ends(ties, place, now);
	if (ties->looked > 0) {
		if (ties->count == WINDOWS) {
			ties->first = (ties->first + 1) % WINDOWS;
			ties->count--;
		}
		*window_at(ties, ties->count++) = window;
	}
	ties->looked = now;
}

/* ---- clients ---- */

/* Who ran when this client's last work ended. False: it is too long ago. */
static bool who_ran(struct ties *ties, time_us rested, struct set *ran)
{
	struct window *window;

	*ran = (struct set){ { 0 } };
	for (unsigned i = 0; i < ties->count; i++) {
		window = window_at(ties, i);
		if (window->until < rested - EARLY || window->from > rested + WAKE)
			continue;
		set_add(ran, &window->ran);
	}
	if (ties->count == 0 || window_at(ties, 0)->from > rested - EARLY)
		return false;
	ties->used++;
	for (size_t i = 0; i < TIES_THREADS; i++)
		ties->threads[i].used += ties->threads[i].number && set_has(ran, i);
	return true;
}

/* Whether as many suspects, of so many threads, would be met by chance more than every other time. */
static bool is_likely(unsigned suspects, unsigned ran, unsigned all)
{
	double missed = 1;

	for (unsigned i = 0; i < ran; i++)
		missed *= 1 - (double)suspects / (double)all;
	return missed < 0.5;
}

/* In place of the one with fewest. */
static void note_proof(struct ties *ties, time_us crowd)
{
	struct crowd *least = &ties->crowds[0];

	for (size_t i = 0; i < CROWDS; i++) {
		struct crowd *known = &ties->crowds[i];

		if (known->proofs > 0 && crowd >= known->at - 2 * CROWD_SPAN && crowd <= known->at + 2 * CROWD_SPAN) {
			known->proofs++;
			return;
		}
		if (known->proofs < least->proofs)
			least = known;
	}
	*least = (struct crowd){ .at = crowd, .proofs = 1 };
}

static void judge_client(struct ties *ties, struct client_seen *client, const struct set *ran)
{
	unsigned constant;
	struct set all = players(ties, &constant), before = set_both(&client->foreseen, &all),
		   there = set_both(ran, &all), left = set_both(&client->suspects, &there);

	if (!client->known) {
		client->known = true;
		client->suspects = *ran;
		return;
	}
	if (client->loose)
		return;
	client->suspects = set_both(&client->suspects, ran);
	/* Where more than these nearly always run, it is the threads that are asked for that do, and nothing can be told. */
	if (ties->used < USED_LEAST || constant > CONSTANT_MOST)
		return;
	if (set_size(&left) == 0) {
		client->loose = true;
		ties->loose++;
	} else if (client->mixed && !is_likely(set_size(&before), set_size(&there), set_size(&all))) {
		client->proofs++;
		note_proof(ties, client->mixed);
		client->mixed = 0;
	}
}

/* What is remembered of each of these, in their order; the others are forgotten. False: there are too many. */
static bool settle(struct ties *ties, const struct tie_client *clients, size_t count)
{
	static const struct client_seen nobody;
	struct client_seen *seen = count <= TIES_CLIENTS ? calloc(TIES_CLIENTS, sizeof *seen) : NULL;

	if (!seen)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct client_seen *known = &nobody;

		for (size_t j = 0; j < ties->client_count && known == &nobody; j++)
			if (ties->clients[j].number == clients[i].number)
				known = &ties->clients[j];
		seen[i] = *known;
		seen[i].number = clients[i].number;
	}
	memcpy(ties->clients, seen, sizeof ties->clients);
	ties->client_count = count;
	free(seen);
	return true;
}

static unsigned crowd_around(const struct tie_client *clients, size_t count, time_us rested)
{
	unsigned crowd = 0;

	for (size_t i = 0; i < count; i++)
		crowd += clients[i].rested >= rested - CROWD_SPAN && clients[i].rested <= rested + CROWD_SPAN;
	return crowd;
}

struct tie_facts ties_judge(struct ties *ties, const struct tie_client *clients, size_t count)
{
	struct tie_facts facts = { 0 };
	struct set ran, before;
	bool known;

	if (!settle(ties, clients, count))
		return facts;
	for (size_t i = 0; i < count; i++) {
		struct client_seen *client = &ties->clients[i];
		time_us rested = clients[i].rested;

		if (rested == client->rested || rested == 0 || rested + WAKE > ties->looked)
			continue;
		client->rested = rested;
		before = client->suspects;
		known = client->known;
		if (who_ran(ties, rested, &ran))
			judge_client(ties, client, &ran);
		if (known && crowd_around(clients, count, rested) >= CROWD) {
			client->mixed = rested;
			client->foreseen = before;
		}
	}
	for (size_t i = 0; i < count; i++) {
		facts.tied += !ties->clients[i].loose && ties->clients[i].proofs > 0;
		facts.proofs += ties->clients[i].loose ? 0 : ties->clients[i].proofs;
	}
	for (size_t i = 0; i < CROWDS; i++)
		facts.crowds += ties->crowds[i].proofs >= CROWD_PROOFS;
	facts.loose = ties->loose;
	return facts;
}
