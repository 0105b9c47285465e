#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/refusal_test.h"
#include "base/rng.h"
#include "core/leak_state.h"

/* Stories of one origin, told in facts. tests/sim/origins.c tells thousands, from the lives of clients. */

#define NEWS_MOST 64

static const struct leak_rules rules = {
	.period = 5 * SECOND_US, .quiet = 5 * SECOND_US, .hold = 30 * SECOND_US, .siblings = 5
};

struct bench {
	struct leak_book *book;
	struct leak_facts facts;
	time_us now;
	struct leak_change news[NEWS_MOST];
	size_t news_count;
};

static int begin(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->book = leak_book_new();
	b->facts = (struct leak_facts){ .origin = 7, .clients_limit = 1000, .servers_limit = 20 };
	/* It has looked before; who comes now is new. */
	leak_step(b->book, &rules, 0, NULL, 0, NULL, 0);
	*state = b;
	return 0;
}

static int end(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	free(b);
	return 0;
}

static void look(struct bench *b)
{
	b->now += rules.period;
	b->facts.clients_total = b->facts.clients;
	b->news_count += leak_step(
		b->book, &rules, b->now, &b->facts, 1, b->news + b->news_count, NEWS_MOST - b->news_count);
}

/* `count` clients log in, ask once (or never) and are left; looked at after they have become quiet. */
static void lose(struct bench *b, uint32_t count, bool ask)
{
	struct leak_facts *f = &b->facts;

	f->logins += count;
	f->logins_while_quiet += f->quiet >= rules.siblings ? count : 0;
	f->clients += count;
	f->parked += count;
	f->quiet += count;
	f->transactions += ask ? count : 0;
	*(ask ? &f->once : &f->silent) += count;
	f->oldest_quiet += rules.period;
	look(b);
}

static void rest(struct bench *b, unsigned looks)
{
	while (looks--) {
		b->facts.oldest_quiet += b->facts.quiet ? rules.period : 0;
		b->facts.oldest_hold += b->facts.holding ? rules.period : 0;
		b->facts.in_block_time += b->facts.in_block * rules.period;
		look(b);
	}
}

/* More clients sit idle in a transaction, and have for leak_hold. */
static void hold(struct bench *b, uint32_t count)
{
	b->facts.clients += count;
	b->facts.lent += count;
	b->facts.servers_lent += count;
	b->facts.in_block += count;
	b->facts.holding += count;
	if (b->facts.oldest_hold < rules.hold)
		b->facts.oldest_hold = rules.hold;
}

static const struct leak *leak_of(struct bench *b)
{
	const struct leak *leak = leak_at(b->book, 0);

	return leak && !leak->ended ? leak : NULL;
}

#define assert_leak(b, wanted) \
	do { \
		assert_non_null(leak_of(b)); \
		assert_string_equal(leak_of(b)->pattern->number, wanted); \
	} while (0)

static void clients_that_ask_once_and_are_left_are_told_within_a_minute(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 12; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	assert_int_equal(leak_of(b)->family, FAMILY_CLIENT);
	assert_int_equal(leak_of(b)->severity, SEVERITY_GROWING);
	assert_int_equal(b->news_count, 1);
	assert_non_null(strstr(leak_of(b)->evidence, "60 of 60 quiet clients asked at most once"));
}

static void what_kind_of_program_it_is_decides_between_equal_signs(void **state)
{
	static const struct {
		enum leak_driver driver;
		enum leak_runtime runtime;
		bool ask;
		const char *number;
	} table[] = {
		{ DRIVER_LIBPQ, RUNTIME_ASGI, true, "L1" },
		{ DRIVER_LIBPQ, RUNTIME_GEVENT, true, "L6" },
		{ DRIVER_LIBPQ, RUNTIME_CELERY, true, "L19" },
		{ DRIVER_LIBPQ, RUNTIME_DJANGO_Q, true, "L19" },
		{ DRIVER_ASYNCPG, RUNTIME_UNKNOWN, true, "L5" },
		{ DRIVER_NODE, RUNTIME_UNKNOWN, true, "L14" },
		{ DRIVER_NODE, RUNTIME_UNKNOWN, false, "L15" },
		{ DRIVER_LIBPQ, RUNTIME_UNKNOWN, false, "L21" },
		{ DRIVER_GO, RUNTIME_UNKNOWN, true, "L17" },
		{ DRIVER_JDBC, RUNTIME_UNKNOWN, true, "L18" },
		{ DRIVER_JDBC, RUNTIME_GUI, true, "L26" },
	};
	struct bench *b;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		end(state);
		begin(state);
		b = *state;
		b->facts.driver = table[i].driver;
		b->facts.runtime = table[i].runtime;
		for (unsigned look_number = 0; look_number < 14; look_number++)
			lose(b, 4 + look_number % 2, table[i].ask);
		assert_leak(b, table[i].number);
		assert_int_equal(leak_of(b)->family, FAMILY_CLIENT);
	}
}

/* Five are lost for each look, of Django under an ASGI server; `soon` leave at once, `alike` of them after the same statement, and `unused`
 * after a rest. */
static void assert_named_beside(void **state, uint32_t soon, uint32_t alike, uint32_t unused, const char *number)
{
	struct bench *b;

	end(state);
	begin(state);
	b = *state;
	b->facts.runtime = RUNTIME_ASGI;
	b->facts.driver = DRIVER_LIBPQ;
	for (unsigned i = 0; i < 14; i++) {
		b->facts.left_soon += soon;
		b->facts.left_alike += alike;
		b->facts.left_unused += unused;
		b->facts.django += 5;
		lose(b, 5, true);
	}
	assert_leak(b, number);
}

static void what_is_closed_beside_the_lost_ones_tells_why_they_are(void **state)
{
	assert_named_beside(state, 0, 0, 0, "L1");
	assert_named_beside(state, 1, 1, 0, "L4");
	assert_named_beside(state, 3, 0, 0, "L5"); /* those that are closed had other work */
	assert_named_beside(state, 1, 1, 4, "L1"); /* what garbage collection closes, it closes late as well */
}

/* Two come at each of four looks and are left; then all but two end. Their process has so many threads; 0: it can not be seen. */
static void grow_a_tooth(struct bench *b, bool django, uint32_t threads)
{
	uint32_t gone;

	for (unsigned i = 0; i < 4; i++) {
		b->facts.django += django ? 2 : 0;
		b->facts.process_clients = threads ? b->facts.clients + 2 : 0;
		b->facts.process_threads = threads;
		lose(b, 2, true);
	}
	gone = b->facts.clients - 2;
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.once = 2;
	b->facts.django = django ? 2 : 0;
	b->facts.process_clients = b->facts.process_threads = 0; /* so few are not looked at */
	b->facts.logouts += gone;
	b->facts.left_unused += gone;
	look(b);
}

static void connections_that_only_garbage_collection_ends_are_told_by_their_teeth(void **state)
{
	struct bench *b = *state;

	b->facts.runtime = RUNTIME_ASGI;
	for (unsigned i = 0; i < 2; i++)
		grow_a_tooth(b, true, 1);
	assert_null(leak_of(b));
	for (unsigned i = 0; i < 4; i++)
		grow_a_tooth(b, true, 1);
	assert_leak(b, "L1");
	assert_int_equal(leak_of(b)->family, FAMILY_CLIENT);
	assert_non_null(strstr(leak_of(b)->evidence, "ended at once"));
	assert_non_null(strstr(leak_of(b)->evidence, "had 10 connections and threads: 1"));
	assert_int_equal(b->news_count, 1);
}

static void assert_teeth_are_no_leak(void **state, bool django, uint32_t threads)
{
	struct bench *b;

	end(state);
	begin(state);
	b = *state;
	b->facts.runtime = RUNTIME_ASGI;
	for (unsigned i = 0; i < 12; i++) {
		grow_a_tooth(b, django, threads);
		assert_null(leak_of(b));
	}
}

static void teeth_of_what_is_not_django_are_nobodys_leak(void **state)
{
	assert_teeth_are_no_leak(state, false, 1);
}

static void teeth_of_clients_that_have_a_thread_each_are_nobodys_leak(void **state)
{
	assert_teeth_are_no_leak(state, true, 12);
	/* And where the process can not be seen, nobody says that they have none. */
	assert_teeth_are_no_leak(state, true, 0);
}

/* Five are lost for each look, of a process that has `threads` more with each, and `idle` that have nothing to do with it. */
static void assert_named_with_threads(void **state, uint32_t threads, uint32_t idle, const char *number)
{
	struct bench *b;

	end(state);
	begin(state);
	b = *state;
	b->facts.runtime = RUNTIME_ASGI;
	b->facts.driver = DRIVER_LIBPQ;
	b->facts.process_threads = idle;
	for (unsigned i = 0; i < 14; i++) {
		b->facts.process_clients += 5;
		b->facts.process_threads += threads;
		lose(b, 5, true);
	}
	assert_leak(b, number);
	/* No more come: nobody is told anything else. */
	b->news_count = 0;
	for (unsigned i = 0; i < 60; i++)
		look(b);
	assert_leak(b, number);
}

static void clients_that_came_with_a_thread_each_are_those_of_the_programs_own_threads(void **state)
{
	assert_named_with_threads(state, 5, 2, "L5");
	assert_named_with_threads(state, 0, 2, "L1");
	assert_named_with_threads(state, 0, 100, "L1"); /* a large pool of threads that does other things */
	assert_named_with_threads(state, 2, 2, "L1");
}

static void a_steady_stream_is_no_clump(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 100; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	assert_int_equal(b->news_count, 2); /* it began, and a thousand clients are near */
}

static void few_and_slow_ones_of_an_unknown_program_are_threads(void **state)
{
	struct bench *b = *state;

	/* Two a minute. */
	for (unsigned i = 0; i < 60; i++) {
		lose(b, 1, true);
		rest(b, 5);
	}
	assert_leak(b, "L5");
}

static void growth_that_stops_while_the_program_works_is_a_pool_of_threads(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 16; i++)
		lose(b, 4, true);
	assert_leak(b, "L1");
	for (unsigned i = 0; i < 20; i++) {
		b->facts.transactions++;
		b->facts.reused++;
		b->facts.once--;
		rest(b, 1);
	}
	assert_leak(b, "L3");
	assert_int_equal(leak_of(b)->clients, 64);
}

/* A pool's, or those of threads: what ties them is seen from outside (core/ties.h). */
static void clients_that_are_tied_to_threads_are_told_without_any_growth(void **state)
{
	struct bench *b = *state;

	b->facts.runtime = RUNTIME_ASGI;
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.django = 18;
	b->facts.tied = 12;
	b->facts.tie_proofs = 30;
	b->facts.tie_crowds = 6;
	b->facts.loose = 4; /* too many of them change */
	rest(b, 3);
	assert_int_equal(b->news_count, 0);
	b->facts.loose = 1;
	b->facts.tie_crowds = 2; /* a single crowd may leave them as they were */
	rest(b, 3);
	assert_int_equal(b->news_count, 0);
	b->facts.tie_crowds = 6;
	b->facts.django = 4; /* other programs keep connections for their threads on purpose */
	rest(b, 3);
	assert_int_equal(b->news_count, 0);
	b->facts.django = 18;
	rest(b, 1);
	assert_leak(b, "L3");
	assert_int_equal(leak_of(b)->clients, 18);
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_in_range(leak_of(b)->confidence, 60, 85);
	assert_non_null(strstr(leak_of(b)->evidence, "each used by one thread of their process only: 12;"));
}

static void growth_that_stops_while_the_program_sleeps_is_no_plateau(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 16; i++)
		lose(b, 4, true);
	rest(b, 100);
	assert_leak(b, "L1");
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_non_null(strstr(leak_of(b)->evidence, "no more are being added"));
}

static void clumps_of_one_size_are_pools_made_anew(void **state)
{
	static const unsigned pauses[] = { 5, 3, 6, 4, 7, 3, 5, 6, 4, 5 };
	struct bench *b = *state;

	b->facts.driver = DRIVER_NODE;
	for (unsigned i = 0; i < 10; i++) {
		lose(b, 10, true);
		rest(b, pauses[i]);
	}
	assert_leak(b, "L16");
}

static void listeners_are_told_by_their_last_statement(void **state)
{
	struct bench *b = *state;

	b->facts.session_mode = true;
	for (unsigned i = 0; i < 14; i++) {
		b->facts.listeners += 4;
		b->facts.servers_lent += 4;
		lose(b, 4, true);
	}
	assert_leak(b, "L22");
	/* Each has its server. */
	assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
	assert_int_equal(leak_of(b)->servers, 56);
}

static void a_hold_beyond_the_habit_is_told_within_a_minute(void **state)
{
	static const struct {
		enum leak_driver driver;
		uint32_t holds, failed;
		const char *number;
	} table[] = { { DRIVER_ASYNCPG, 1, 1, "L11" }, { DRIVER_ASYNCPG, 5, 3, "L11" }, { DRIVER_ASYNCPG, 5, 1, "L9" },
		{ DRIVER_ASYNCPG, 1, 0, "L13" }, { DRIVER_NODE, 2, 2, "L14" }, { DRIVER_JDBC, 1, 0, "L18" },
		{ DRIVER_GO, 1, 0, "L17" }, { DRIVER_LIBPQ, 1, 0, "L13" }, { DRIVER_LIBPQ, 5, 0, "L9" },
		{ DRIVER_UNKNOWN, 2, 0, "L13" } };
	struct bench *b;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		end(state);
		begin(state);
		b = *state;
		b->facts.driver = table[i].driver;
		b->facts.clients = b->facts.parked = 10;
		for (unsigned j = 0; j < 1000; j++)
			spread_add(&b->facts.blocks, 20 * MILLISECOND_US);
		rest(b, 20);
		assert_null(leak_of(b));
		hold(b, table[i].holds);
		b->facts.failed = table[i].failed;
		rest(b, 1); /* 35 s: it may still come back */
		assert_null(leak_of(b));
		rest(b, 4);
		assert_leak(b, table[i].number);
		assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
		assert_int_equal(leak_of(b)->servers, table[i].holds);
	}
}

static void a_habit_of_long_holds_is_respected_up_to_a_bound(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 100; i++)
		spread_add(&b->facts.blocks, 40 * SECOND_US);
	b->facts.transactions = 100;
	rest(b, 60);
	hold(b, 1);
	rest(b, 17); /* 115 s */
	assert_null(leak_of(b));
	rest(b, 2);
	assert_leak(b, "L13");
}

static void calls_inside_a_transaction_are_told_by_what_they_cost(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 20; i++) {
		spread_add(&b->facts.blocks, 12 * SECOND_US);
		b->facts.transactions++;
		b->facts.in_block_time += 12 * SECOND_US;
		b->facts.executing_time += 100 * MILLISECOND_US;
		look(b);
	}
	assert_leak(b, "L10");
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	b->facts.servers_lent = 20;
	b->facts.pool_waiting = 3;
	rest(b, 2);
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT);
}

static void holds_in_equal_steps_are_a_scheduled_task(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 7; i++) {
		hold(b, 2);
		rest(b, 12);
	}
	assert_leak(b, "L12");
	assert_non_null(strstr(leak_of(b)->evidence, "2 more begin to every 1 min"));
}

static void a_result_that_nobody_reads_is_told(void **state)
{
	struct bench *b = *state;

	b->facts.clients = b->facts.lent = b->facts.servers_lent = b->facts.unread = 1;
	b->facts.oldest_unread = rules.hold;
	look(b);
	assert_null(leak_of(b));
	b->facts.oldest_unread += 10 * SECOND_US;
	look(b);
	assert_leak(b, "L17");
	assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
}

static void what_is_counted_is_told_and_ends_when_it_stops(void **state)
{
	struct bench *b = *state;

	look(b);
	b->facts.dead_peers = 2;
	b->facts.abandoned = 2;
	look(b);
	assert_null(leak_of(b));
	b->facts.dead_peers = 3;
	look(b);
	assert_leak(b, "L23");
	b->facts.abandoned = 5;
	look(b);
	b->facts.session_locks = 1;
	look(b);
	assert_int_equal(b->news_count, 3);
	assert_string_equal(leak_at(b->book, 1)->pattern->number, "L24");
	assert_string_equal(leak_at(b->book, 2)->pattern->number, "L25");
	rest(b, 200);
	assert_null(leak_of(b));
	assert_int_equal(b->news_count, 6);
}

static void a_leak_that_ends_is_said_to_have_ended_once(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 14; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.once = 3;
	b->facts.logouts = 67;
	rest(b, 5);
	assert_leak(b, "L1");
	rest(b, 1);
	assert_null(leak_of(b));
	assert_int_equal(b->news[b->news_count - 1].kind, LEAK_ENDED);
	/* It is shown for a while, then forgotten. */
	assert_non_null(leak_at(b->book, 0));
	assert_int_equal(leak_at(b->book, 0)->ended, b->now);
	rest(b, 130);
	assert_null(leak_at(b->book, 0));
	assert_int_equal(b->news[b->news_count - 1].kind, LEAK_ENDED);
}

/* Holds as long as they may be; then everybody leaves, and it begins anew. How many looks it then takes until they are told. */
static unsigned looks_after_leaving(struct bench *b, bool at_once)
{
	struct leak_facts *f = &b->facts;
	unsigned looks = 0;

	for (unsigned i = 0; i < 50; i++)
		spread_add(&f->blocks, 10 * MILLISECOND_US);
	hold(b, 5);
	rest(b, 30);
	assert_non_null(leak_of(b));
	while (f->clients > 0) {
		uint32_t gone = at_once ? f->clients : 1;

		for (uint32_t i = 0; i < gone; i++)
			spread_add(&f->blocks, f->oldest_hold);
		f->logouts += gone;
		f->clients -= gone;
		f->lent -= gone;
		f->servers_lent -= gone;
		f->in_block -= gone;
		f->holding -= gone;
		look(b);
	}
	f->oldest_hold = 0;
	rest(b, 20);
	assert_null(leak_of(b));
	hold(b, 5);
	for (f->oldest_hold = rules.hold; !leak_of(b) && looks < 100; looks++)
		rest(b, 1);
	return looks;
}

static void what_a_restart_ends_is_no_habit(void **state)
{
	assert_in_range(looks_after_leaving(*state, true), 1, 4);
}

static void what_ends_one_by_one_is_a_habit(void **state)
{
	assert_in_range(looks_after_leaving(*state, false), 10, 99);
}

static void a_hold_that_comes_and_goes_does_not_flap(void **state)
{
	struct bench *b = *state;

	look(b);
	hold(b, 1);
	rest(b, 4);
	assert_leak(b, "L13");
	for (unsigned i = 0; i < 20; i++) {
		/* Ended, and soon there is the next one. */
		b->facts.in_block = b->facts.holding = b->facts.lent = b->facts.servers_lent = 0;
		b->facts.oldest_hold = 0;
		b->facts.clients = 0;
		rest(b, 3);
		hold(b, 1);
		rest(b, 3);
	}
	assert_int_equal(b->news_count, 1);
}

static void severity_follows_growth_and_who_waits(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 4; i++) {
		hold(b, 1);
		rest(b, 3);
	}
	for (unsigned i = 0; i < 4; i++) {
		hold(b, 1);
		rest(b, 3);
	}
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT); /* 12 left, 4 a minute */
	assert_true(leak_of(b)->exhausted_in > 100 * SECOND_US && leak_of(b)->exhausted_in < 300 * SECOND_US);
	rest(b, 200);
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_int_equal(leak_of(b)->exhausted_in, 0);
}

static void the_forecast_is_what_is_left_by_the_slope(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 40; i++)
		lose(b, 2, true);
	/* 80 of 1000 clients, 24 a minute: 38 minutes. */
	assert_true(leak_of(b)->growth > 23.5 && leak_of(b)->growth < 24.5);
	assert_true(leak_of(b)->exhausted_in > 37 * 60 * SECOND_US && leak_of(b)->exhausted_in < 40 * 60 * SECOND_US);
	b->facts.clients_limit = 0;
	rest(b, 1);
	assert_int_equal(leak_of(b)->exhausted_in, 0);
}

static void confidence_only_rises(void **state)
{
	struct bench *b = *state;
	unsigned before = 0;

	for (unsigned i = 0; i < 60; i++) {
		lose(b, 3, true);
		if (!leak_of(b))
			continue;
		assert_true(leak_of(b)->confidence >= before);
		before = leak_of(b)->confidence;
	}
	assert_true(before > 80 && before < 100);
}

static void a_full_pool_at_rest_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 20, true);
	rest(b, 5000);
	end(state);
	begin(state);
	b = *state;
	lose(b, 100, false);
	rest(b, 5000);
	assert_int_equal(b->news_count, 0);
}

static void a_deploy_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 40, true);
	rest(b, 100);
	/* One after another, the new ones come, and later the old ones leave. */
	for (unsigned i = 0; i < 10; i++)
		lose(b, 4, true);
	rest(b, 20);
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.once = 40;
	b->facts.logouts = 40;
	rest(b, 500);
	assert_int_equal(b->news_count, 0);
}

static void clients_that_are_replaced_get_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 30, true);
	for (unsigned i = 0; i < 5000; i++) {
		b->facts.logins++;
		b->facts.logouts++;
		b->facts.logins_while_quiet++;
		rest(b, 1);
	}
	assert_int_equal(b->news_count, 0);
}

static void short_clients_get_no_verdict(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 500; i++) {
		b->facts.logins += 1000;
		b->facts.logouts += 1000;
		b->facts.transactions += 1000;
		for (unsigned j = 0; j < 1000; j++)
			spread_add(&b->facts.lifetimes, 3 * MILLISECOND_US);
		look(b);
	}
	assert_int_equal(b->news_count, 0);
}

static void a_batch_that_works_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	b->facts.clients = b->facts.lent = b->facts.servers_lent = 1;
	for (unsigned i = 0; i < 1000; i++) {
		b->facts.executing_time += 4 * SECOND_US;
		b->facts.in_block_time += SECOND_US;
		spread_add(&b->facts.blocks, SECOND_US);
		look(b);
	}
	assert_int_equal(b->news_count, 0);
}

/* Busy every hour of a day and a night, with rests of seconds. */
static void be_busy(struct bench *b, time_us for_long)
{
	b->facts.clients = b->facts.parked = 10;
	for (time_us t = 0; t < for_long; t += rules.period) {
		b->facts.transactions += 5;
		spread_add(&b->facts.gaps, 6 * SECOND_US);
		look(b);
	}
}

static void a_pool_run_dry_is_a_hint_and_ends_with_the_first_word(void **state)
{
	struct bench *b = *state;

	be_busy(b, 25 * 3600 * SECOND_US);
	assert_null(leak_of(b));
	b->facts.quiet = 10;
	rest(b, 125);
	assert_leak(b, "L7");
	assert_int_equal(leak_of(b)->family, FAMILY_NOT_US);
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_true(leak_of(b)->confidence <= 25);
	b->facts.transactions++;
	b->facts.quiet = 9;
	rest(b, 6);
	assert_null(leak_of(b));
}

static void a_pool_that_rests_is_no_hint_of_anything(void **state)
{
	struct bench *b = *state;

	/* Not known for a night. */
	be_busy(b, 23 * 3600 * SECOND_US);
	rest(b, 200);
	assert_null(leak_of(b));
	/* Known to rest at night. */
	end(state);
	begin(state);
	b = *state;
	for (unsigned i = 0; i < 100; i++)
		spread_add(&b->facts.gaps, 6 * 3600 * SECOND_US);
	be_busy(b, 25 * 3600 * SECOND_US);
	rest(b, 200);
	assert_null(leak_of(b));
	/* Somebody waits: then it is no pool of theirs. */
	end(state);
	begin(state);
	b = *state;
	be_busy(b, 25 * 3600 * SECOND_US);
	b->facts.pool_waiting = 1;
	rest(b, 200);
	assert_null(leak_of(b));
}

static void an_origin_that_vanishes_ends_its_leaks(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 14; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	b->now += rules.period;
	/* No room to say so: then it has not happened yet. */
	assert_int_equal(leak_step(b->book, &rules, b->now, NULL, 0, NULL, 0), 0);
	assert_leak(b, "L1");
	b->now += rules.period;
	assert_int_equal(leak_step(b->book, &rules, b->now, NULL, 0, b->news, NEWS_MOST), 1);
	assert_int_equal(b->news[0].kind, LEAK_ENDED);
	assert_int_equal(b->news[0].leak.origin, 7);
	assert_null(leak_of(b));
}

static void news_that_find_no_room_wait(void **state)
{
	struct bench *b = *state;

	b->news_count = NEWS_MOST;
	for (unsigned i = 0; i < 20; i++)
		lose(b, 5, true);
	assert_null(leak_of(b));
	b->news_count = 0;
	lose(b, 5, true);
	assert_leak(b, "L1");
	assert_int_equal(b->news_count, 1);
}

static void thousands_of_origins_are_kept_apart(void **state)
{
	enum { MANY = 3000 };
	struct bench *b = *state;
	struct leak_facts *facts = calloc(MANY, sizeof(*facts));
	struct leak_change *news = calloc(MANY, sizeof(*news));
	size_t count = 0;

	for (unsigned step = 1; step <= 16; step++) {
		for (uint32_t i = 0; i < MANY; i++) {
			struct leak_facts *f = &facts[i];

			f->origin = i;
			/* Every third leaks. */
			f->clients = f->quiet = f->parked = i % 3 ? 20 : 4 * step;
			f->once = f->quiet;
			f->logins = f->clients;
			f->logins_while_quiet = i % 3 || step < 3 ? 0 : 4 * (step - 2);
		}
		count += leak_step(b->book, &rules, step * rules.period, facts, MANY, news, MANY);
		for (size_t i = 0; i < count && step == 16; i++)
			assert_non_null(leak_at(b->book, i));
	}
	assert_int_equal(count, MANY / 3);
	for (size_t i = 0; leak_at(b->book, i); i++)
		assert_int_equal(leak_at(b->book, i)->origin % 3, 0);
	/* Gone at once, and what is shown of them is bounded. */
	assert_int_equal(leak_step(b->book, &rules, 17 * rules.period, NULL, 0, news, MANY), MANY / 3);
	for (count = 0; leak_at(b->book, count); count++)
		;
	assert_int_equal(count, 64);
	free(facts);
	free(news);
}

static void the_same_facts_give_the_same_verdicts(void **state)
{
	struct bench *b = *state;
	struct leak before;

	for (unsigned i = 0; i < 30; i++)
		lose(b, 2 + i % 4, i % 3);
	before = *leak_of(b);
	end(state);
	begin(state);
	b = *state;
	for (unsigned i = 0; i < 30; i++)
		lose(b, 2 + i % 4, i % 3);
	assert_int_equal(before.since, leak_of(b)->since);
	assert_int_equal(before.exhausted_in, leak_of(b)->exhausted_in);
	assert_string_equal(before.evidence, leak_of(b)->evidence);
}

static void who_was_there_before_us_has_a_past_that_is_no_news(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	b->book = leak_book_new();
	b->facts.session_locks = b->facts.dead_peers = b->facts.abandoned = 1000;
	b->facts.logins = b->facts.logins_while_quiet = 1000;
	b->facts.clients = b->facts.quiet = b->facts.once = b->facts.parked = 900;
	rest(b, 300);
	assert_int_equal(b->news_count, 0);
}

static void refused_memory_makes_it_see_less_and_never_fail(void **state)
{
#ifdef OTHER_HEAP
	(void)state;
	skip();
#else
	struct bench *b = *state;
	unsigned told = 0;

	for (long granted = 0; granted < 6; granted++) {
		end(state);
		begin(state);
		b = *state;
		left = granted;
		armed = true;
		for (unsigned i = 0; i < 14; i++)
			lose(b, 5, true);
		told += b->news_count;
		left = 100;
		for (unsigned i = 0; i < 14; i++)
			lose(b, 5, true);
		armed = false;
		assert_leak(b, "L1");
		assert_int_equal(b->news_count, 1);
	}
	/* Sometimes it was refused and sometimes not, else this tests nothing. */
	assert_in_range(told, 1, 5);
#endif
}

static void no_threshold_at_all_is_taken_for_the_least_that_is_seen(void **state)
{
	struct bench *b = *state;
	struct leak_rules none = { .period = 5 * SECOND_US };

	b->facts.clients = b->facts.in_block = b->facts.holding = 1;
	b->facts.oldest_hold = 30 * SECOND_US;
	assert_int_equal(leak_step(b->book, &none, rules.period, &b->facts, 1, b->news, NEWS_MOST), 1);
	assert_leak(b, "L13");
}

static void evidence_fits_whatever_the_figures(void **state)
{
	struct verdict v;
	struct signs signs = { .now = (time_us)1 << 60,
		.sprouts = true,
		.even = true,
		.clump = UINT32_MAX,
		.births = UINT32_MAX,
		.revived = UINT32_MAX,
		.window = (time_us)1 << 60,
		.outlier = true,
		.habit = (time_us)1 << 60,
		.dead = UINT32_MAX,
		.abandoned = UINT32_MAX,
		.locks = UINT32_MAX,
		.cancels = UINT32_MAX,
		.silence = true,
		.silent_for = (time_us)1 << 60,
		.beat_size = UINT32_MAX,
		.slow_blocks = UINT32_MAX,
		.hold_percent = 100 };
	struct leak_facts facts = { .clients = UINT32_MAX,
		.quiet = UINT32_MAX,
		.silent = UINT32_MAX / 2,
		.once = UINT32_MAX / 2,
		.listeners = UINT32_MAX / 2,
		.holding = UINT32_MAX,
		.in_block = UINT32_MAX,
		.unread = UINT32_MAX,
		.oldest_quiet = (time_us)1 << 60,
		.oldest_hold = (time_us)1 << 60,
		.oldest_unread = (time_us)1 << 60 };
	struct visits_memory visits = { .process = UINT32_MAX,
		.in_use = UINT32_MAX,
		.most_waiting = UINT32_MAX,
		.last = { .idle_for = (time_us)1 << 60, .since = UINT32_MAX, .longest = (time_us)1 << 60 } };
	struct course course = { 0 };

	(void)state;
	signs.visits = &visits;
	for (unsigned shape = 0; shape < 3; shape++) {
		visits.begins = shape == 0;
		signs.beat = shape == 1 ? (time_us)1 << 60 : 0;
		signs.slow = signs.outlier = shape == 2;
		signs.outlier = shape != 2;
		for (unsigned track = 0; track < TRACKS; track++) {
			verdict_of((enum track)track, &signs, &rules, &facts, &course, &v);
			assert_true(v.begins);
			assert_in_range(strlen(v.evidence), 20, sizeof v.evidence - 2);
			assert_in_range(v.confidence, 1, 97);
		}
	}
}

static void the_catalogue_is_whole(void **state)
{
	(void)state;
	assert_int_equal(leak_patterns_count, 28);
	for (size_t i = 0; i < leak_patterns_count; i++) {
		char number[24];

		snprintf(number, sizeof number, "L%zu", i + 1);
		assert_ptr_equal(leak_pattern_of(number), &leak_patterns[i]);
		assert_true(leak_patterns[i].name && leak_patterns[i].cause && leak_patterns[i].looks &&
			leak_patterns[i].cure);
	}
	assert_null(leak_pattern_of("L29"));
}

static void a_slope_is_not_moved_by_odd_samples(void **state)
{
	struct sample samples[HISTORY_LENGTH];
	struct trend trend;

	(void)state;
	for (unsigned i = 0; i < HISTORY_LENGTH; i++)
		samples[i] = (struct sample){ .at = i * rules.period, .unused = i % 6 == 3 ? 5000 : 10 * i };
	trend = history_trend(samples, HISTORY_LENGTH, sample_unused);
	assert_true(trend.slope > 1.9 && trend.slope < 2.1);
	assert_true(trend.robust);
	for (unsigned i = 0; i < HISTORY_LENGTH; i++)
		samples[i].unused = i % 2 ? 100 : 50;
	assert_false(history_trend(samples, HISTORY_LENGTH, sample_unused).robust);
	assert_false(history_trend(samples, 1, sample_unused).robust);
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void the_slope_is_the_median_of_all_pairs(void **state)
{
	struct sample samples[HISTORY_LENGTH];
	double slopes[HISTORY_LENGTH * HISTORY_LENGTH];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (unsigned round = 0; round < 1000; round++) {
		unsigned count = 2 + (unsigned)rng_below(&rng, HISTORY_LENGTH - 1), n = 0;

		for (unsigned i = 0; i < count; i++)
			samples[i] = (struct sample){ .at = i * SECOND_US,
				.unread = (uint32_t)rng_below(&rng, 1 + round) };
		for (unsigned i = 0; i < count; i++)
			for (unsigned j = i + 1; j < count; j++)
				slopes[n++] = ((double)samples[j].unread - (double)samples[i].unread) / (double)(j - i);
		qsort(slopes, n, sizeof(*slopes), compare_doubles);
		assert_true(history_trend(samples, count, sample_unread).slope == slopes[n / 2]);
	}
}

static void history_reaches_back_for_hours_and_ends_now(void **state)
{
	struct history *history = calloc(1, sizeof(*history));
	struct sample tail[HISTORY_LENGTH];

	(void)state;
	assert_int_equal(history_tail(history, 0, 10, tail), 0);
	assert_null(history_before(history, SECOND_US));
	for (unsigned i = 0; i < 6000; i++) {
		history_add(history, &(struct sample){ .at = i * rules.period, .logins = i });
		for (unsigned level = 0; level < HISTORY_LEVELS; level++) {
			unsigned count = history_tail(history, level, HISTORY_LENGTH, tail);

			assert_int_equal(tail[count - 1].logins, i);
			for (unsigned j = 1; j < count; j++)
				assert_true(tail[j].at > tail[j - 1].at);
		}
	}
	assert_int_equal(history_before(history, 60 * SECOND_US)->at, (5999 - 12) * rules.period);
	assert_true(history_before(history, (time_us)1 << 60)->at <= 6000 * rules.period - 6 * 3600 * SECOND_US);
	free(history);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		STORY(clients_that_ask_once_and_are_left_are_told_within_a_minute),
		STORY(what_kind_of_program_it_is_decides_between_equal_signs),
		STORY(what_is_closed_beside_the_lost_ones_tells_why_they_are),
		STORY(connections_that_only_garbage_collection_ends_are_told_by_their_teeth),
		STORY(teeth_of_what_is_not_django_are_nobodys_leak),
		STORY(teeth_of_clients_that_have_a_thread_each_are_nobodys_leak),
		STORY(clients_that_came_with_a_thread_each_are_those_of_the_programs_own_threads),
		STORY(a_steady_stream_is_no_clump),
		STORY(few_and_slow_ones_of_an_unknown_program_are_threads),
		STORY(growth_that_stops_while_the_program_works_is_a_pool_of_threads),
		STORY(clients_that_are_tied_to_threads_are_told_without_any_growth),
		STORY(growth_that_stops_while_the_program_sleeps_is_no_plateau),
		STORY(clumps_of_one_size_are_pools_made_anew),
		STORY(listeners_are_told_by_their_last_statement),
		STORY(a_hold_beyond_the_habit_is_told_within_a_minute),
		STORY(a_habit_of_long_holds_is_respected_up_to_a_bound),
		STORY(calls_inside_a_transaction_are_told_by_what_they_cost),
		STORY(holds_in_equal_steps_are_a_scheduled_task),
		STORY(a_result_that_nobody_reads_is_told),
		STORY(what_is_counted_is_told_and_ends_when_it_stops),
		STORY(a_leak_that_ends_is_said_to_have_ended_once),
		STORY(what_a_restart_ends_is_no_habit),
		STORY(what_ends_one_by_one_is_a_habit),
		STORY(a_hold_that_comes_and_goes_does_not_flap),
		STORY(severity_follows_growth_and_who_waits),
		STORY(the_forecast_is_what_is_left_by_the_slope),
		STORY(confidence_only_rises),
		STORY(a_full_pool_at_rest_gets_no_verdict),
		STORY(a_deploy_gets_no_verdict),
		STORY(clients_that_are_replaced_get_no_verdict),
		STORY(short_clients_get_no_verdict),
		STORY(a_batch_that_works_gets_no_verdict),
		STORY(a_pool_run_dry_is_a_hint_and_ends_with_the_first_word),
		STORY(a_pool_that_rests_is_no_hint_of_anything),
		STORY(an_origin_that_vanishes_ends_its_leaks),
		STORY(news_that_find_no_room_wait),
		STORY(thousands_of_origins_are_kept_apart),
		STORY(the_same_facts_give_the_same_verdicts),
		STORY(who_was_there_before_us_has_a_past_that_is_no_news),
		STORY(refused_memory_makes_it_see_less_and_never_fail),
		STORY(no_threshold_at_all_is_taken_for_the_least_that_is_seen),
		STORY(evidence_fits_whatever_the_figures),
		STORY(the_catalogue_is_whole),
		STORY(a_slope_is_not_moved_by_odd_samples),
		STORY(the_slope_is_the_median_of_all_pairs),
		STORY(history_reaches_back_for_hours_and_ends_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
