/* Which pattern a leak is called by: stories of one origin, told in facts. */
#include "core/leak_helper_test.h"

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

static void those_that_are_pinned_to_servers_cost_servers(void **state)
{
	struct bench *b = *state;

	b->facts.servers_limit = 100;
	for (unsigned i = 0; i < 12; i++) {
		b->facts.rests_lent = b->facts.lent = b->facts.servers_lent = b->facts.clients / 5 * 4;
		lose(b, 5, true);
	}
	assert_leak(b, "L1");
	assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
	assert_int_equal(leak_of(b)->servers, 44);
	/* 56 left, 60 a minute. */
	assert_true(leak_of(b)->exhausted_in > 50 * SECOND_US && leak_of(b)->exhausted_in < 60 * SECOND_US);
	/* A few of them are no more than that. */
	b->facts.rests_lent = 3;
	rest(b, 1);
	assert_int_equal(leak_of(b)->family, FAMILY_CLIENT);
	assert_int_equal(leak_of(b)->servers, 3);
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
		b->facts.rests_lent += 4;
		lose(b, 4, true);
	}
	assert_leak(b, "L22");
	/* Each has its server. */
	assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
	assert_int_equal(leak_of(b)->servers, 56);
}

/* In session mode each that is left keeps a server, and the next ones wait long before there are many. */
static void fill_sessions(struct bench *b)
{
	b->facts.session_mode = true;
	for (unsigned i = 0; i < 10; i++) {
		b->facts.servers_lent = b->facts.kept = b->facts.rests_lent = b->facts.quiet + 2;
		lose(b, 2, true);
	}
	assert_int_equal(b->facts.quiet, b->facts.servers_limit);
	assert_null(leak_of(b));
}

/* At each look two more come, and wait. */
static void knock(struct bench *b, unsigned looks)
{
	while (looks--) {
		b->facts.logins_while_quiet += 2;
		b->facts.entering += 2;
		b->facts.pool_waiting += 2;
		rest(b, 1);
	}
}

static void sessions_that_keep_a_whole_pool_from_their_own_are_told_as_soon_as_one_waits(void **state)
{
	struct bench *b = *state;

	fill_sessions(b);
	knock(b, 2);
	assert_leak(b, "L1");
	assert_int_equal(leak_of(b)->family, FAMILY_SERVER);
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT);
	assert_int_equal(leak_of(b)->servers, 20);
	assert_non_null(strstr(leak_of(b)->evidence, "others of this origin that wait for the servers these hold: 4"));
	/* It is told once: that for a moment nobody waits changes nothing. */
	for (unsigned i = 0; i < 5; i++) {
		knock(b, 3);
		b->facts.entering = b->facts.pool_waiting = 0;
		rest(b, 20);
	}
	assert_int_equal(b->news_count, 1);
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT);
}

static void sessions_that_keep_a_whole_pool_are_no_leak_for_that(void **state)
{
	struct bench *b = *state;

	/* Nobody waits. */
	fill_sessions(b);
	rest(b, 100);
	assert_null(leak_of(b));
	/* Others wait. */
	b->facts.pool_waiting = 10;
	rest(b, 100);
	assert_null(leak_of(b));
	/* All of them came at once, as a pool's do, and then others of it, who wait. */
	end(state);
	begin(state);
	b = *state;
	b->facts.session_mode = true;
	b->facts.servers_lent = b->facts.kept = b->facts.rests_lent = 20;
	lose(b, 20, true);
	knock(b, 100);
	assert_null(leak_of(b));
	/* They are used. */
	end(state);
	begin(state);
	b = *state;
	b->facts.reused = 18;
	fill_sessions(b);
	b->facts.once = b->facts.kept = 2;
	knock(b, 100);
	assert_null(leak_of(b));
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
	assert_non_null(strstr(leak_of(b)->evidence, "2 more begin every 1 min"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(clients_that_ask_once_and_are_left_are_told_within_a_minute),
		STORY(those_that_are_pinned_to_servers_cost_servers),
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
		STORY(sessions_that_keep_a_whole_pool_from_their_own_are_told_as_soon_as_one_waits),
		STORY(sessions_that_keep_a_whole_pool_are_no_leak_for_that),
		STORY(a_habit_of_long_holds_is_respected_up_to_a_bound),
		STORY(calls_inside_a_transaction_are_told_by_what_they_cost),
		STORY(holds_in_equal_steps_are_a_scheduled_task),
		STORY(a_result_that_nobody_reads_is_told),
		STORY(the_catalogue_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
