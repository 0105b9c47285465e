#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "core/ties.h"

/* A process with an event loop's thread (number 1) and WORKERS others, each job of which uses one client. */
#define WORKERS 8
#define EVERY   (200 * MILLISECOND_US)

static struct {
	struct ties *ties;
	struct tie_thread threads[1 + WORKERS];
	struct tie_client clients[WORKERS];
	size_t thread_count;
	time_us now;
} b;

static int begin(void **state)
{
	(void)state;
	memset(&b, 0, sizeof b);
	b.ties = ties_new();
	assert_non_null(b.ties);
	b.thread_count = 1 + WORKERS;
	for (unsigned i = 0; i < b.thread_count; i++)
		b.threads[i].number = 100 + i;
	for (unsigned i = 0; i < WORKERS; i++)
		b.clients[i] = (struct tie_client){ .number = 1 + i, .rested = MILLISECOND_US };
	b.now = SECOND_US;
	ties_look(b.ties, b.now, b.threads, b.thread_count);
	return 0;
}

static int end(void **state)
{
	(void)state;
	ties_free(b.ties);
	return 0;
}

static void look(void)
{
	b.now += EVERY;
	ties_look(b.ties, b.now, b.threads, b.thread_count);
}

/* This worker's thread uses this client, in the middle between two looks. */
static void work(unsigned worker, unsigned client)
{
	b.threads[0].ran++;
	b.threads[1 + worker].ran++;
	b.clients[client].rested = b.now + EVERY / 2;
}

static struct tie_facts judge(void)
{
	return ties_judge(b.ties, b.clients, WORKERS);
}

/* Time passes, in which nobody does anything. */
static void pause_a_while(void)
{
	for (int i = 0; i < 3; i++)
		look();
}

static struct tie_facts alone(unsigned worker, unsigned client)
{
	work(worker, client);
	pause_a_while();
	return judge();
}

/* Four at once, from `first` on; each meets the client that lies `shift` further in the line of the four. */
static struct tie_facts crowd(unsigned first, unsigned shift)
{
	for (unsigned i = 0; i < 4; i++)
		work((first + i) % WORKERS, (first + (i + shift) % 4) % WORKERS);
	pause_a_while();
	return judge();
}

/* One by one, each twice, then crowds with single ones between them. */
static struct tie_facts live(unsigned rounds, unsigned shift)
{
	struct tie_facts facts = { 0 };

	for (unsigned i = 0; i < 3 * WORKERS; i++)
		facts = alone(i % WORKERS, i % WORKERS);
	assert_int_equal(facts.proofs, 0);
	assert_int_equal(facts.loose, 0);
	for (unsigned round = 1; round <= rounds; round++) {
		facts = crowd(0, shift * round);
		facts = crowd(4, shift * round);
		for (unsigned i = 0; i < WORKERS; i++)
			facts = alone(i, i / 4 * 4 + (i + shift * round) % 4);
	}
	return facts;
}

static void clients_that_keep_their_thread_through_crowds_are_tied(void **state)
{
	struct tie_facts facts = live(4, 0);

	(void)state;
	assert_int_equal(facts.tied, WORKERS);
	assert_int_equal(facts.loose, 0);
	assert_true(facts.proofs >= 3 * WORKERS);
	assert_true(facts.crowds >= 4);
}

static void clients_that_a_crowd_changes_are_loose(void **state)
{
	struct tie_facts facts = live(4, 1);

	(void)state;
	assert_int_equal(facts.tied, 0);
	assert_int_equal(facts.loose, WORKERS);
}

static void pairs_that_no_crowd_ever_met_prove_nothing(void **state)
{
	struct tie_facts facts = { 0 };

	(void)state;
	for (unsigned i = 0; i < 20 * WORKERS; i++)
		facts = alone(i % WORKERS, i % WORKERS);
	assert_int_equal(facts.tied, 0);
	assert_int_equal(facts.proofs, 0);
	assert_int_equal(facts.loose, 0);
}

static void when_all_threads_run_all_the_time_nothing_is_learned(void **state)
{
	struct tie_facts facts = { 0 };

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < WORKERS; i++)
			work(i, (i + round) % WORKERS);
		pause_a_while();
		facts = judge();
	}
	assert_int_equal(facts.tied, 0);
	assert_int_equal(facts.proofs, 0);
	assert_int_equal(facts.loose, 0);
}

static void a_thread_that_waits_for_a_processor_is_not_missed(void **state)
{
	struct tie_facts facts = live(4, 0);

	(void)state;
	b.threads[0].ran++;
	b.threads[1].ready = true;
	b.clients[0].rested = b.now + EVERY / 2;
	pause_a_while();
	facts = judge();
	assert_int_equal(facts.loose, 0);
}

static void a_client_whose_thread_ends_begins_anew(void **state)
{
	struct tie_facts facts = live(4, 0);

	(void)state;
	b.thread_count--; /* the last worker's */
	pause_a_while();
	facts = judge();
	assert_int_equal(facts.tied, WORKERS - 1);
	facts = alone(0, WORKERS - 1);
	assert_int_equal(facts.loose, 0);
}

static void of_too_many_threads_or_clients_nothing_is_said(void **state)
{
	static struct tie_thread many[TIES_THREADS + 1];
	static struct tie_client crowd_of[TIES_CLIENTS + 1];
	struct tie_facts facts = live(4, 0);

	(void)state;
	assert_int_equal(facts.tied, WORKERS);
	for (unsigned i = 0; i <= TIES_THREADS; i++)
		many[i].number = 1000 + i;
	for (unsigned i = 0; i <= TIES_CLIENTS; i++)
		crowd_of[i].number = 1000 + i;
	facts = ties_judge(b.ties, crowd_of, TIES_CLIENTS + 1);
	assert_int_equal(facts.tied, 0);
	ties_look(b.ties, b.now + EVERY, many, TIES_THREADS + 1);
	facts = judge();
	assert_int_equal(facts.tied, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(clients_that_keep_their_thread_through_crowds_are_tied),
		STORY(clients_that_a_crowd_changes_are_loose),
		STORY(pairs_that_no_crowd_ever_met_prove_nothing),
		STORY(when_all_threads_run_all_the_time_nothing_is_learned),
		STORY(a_thread_that_waits_for_a_processor_is_not_missed),
		STORY(a_client_whose_thread_ends_begins_anew),
		STORY(of_too_many_threads_or_clients_nothing_is_said),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
