#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/reap.h"

#define MINUTE_US (60 * SECOND_US)

static const struct reap_order automatic = { FAMILY_CLIENT, false, 5 * SECOND_US, 30 * SECOND_US, 30 * SECOND_US };
static const struct reap_order by_hand = { FAMILY_CLIENT, true, 5 * SECOND_US, 30 * SECOND_US, 30 * SECOND_US };
static const struct reap_order holds = { FAMILY_SERVER, false, 5 * SECOND_US, 30 * SECOND_US, 30 * SECOND_US };
static const struct reap_subject forgotten = { .bursts = 1, .rested = 10 * MINUTE_US };
static const struct reap_subject holder = { .holds_server = true, .in_block = true, .bursts = 4, .held = 5 * MINUTE_US };

static enum reap_verdict judged(struct reap_subject subject, struct reap_order order)
{
	return reap_judge(&subject, &order);
}

static void nobody_goes_who_was_not_marked_before(void **state)
{
	struct reap_subject subject = forgotten;

	(void)state;
	assert_int_equal(judged(subject, automatic), REAP_MARK);
	subject.marked = 29 * SECOND_US;
	assert_int_equal(judged(subject, automatic), REAP_WAIT);
	subject.marked = 30 * SECOND_US;
	assert_int_equal(judged(subject, automatic), REAP_GOES);
	subject = holder;
	assert_int_equal(judged(subject, holds), REAP_MARK);
	subject.marked = MINUTE_US;
	assert_int_equal(judged(subject, holds), REAP_GOES);
}

static void who_has_written_has_more_time(void **state)
{
	struct reap_subject subject = holder;

	(void)state;
	subject.marks = MARK_WRITES;
	subject.held = 89 * SECOND_US;
	assert_int_equal(judged(subject, holds), REAP_MARK);
	subject.marked = MINUTE_US;
	assert_int_equal(judged(subject, holds), REAP_WAIT);
	subject.held = 90 * SECOND_US;
	assert_int_equal(judged(subject, holds), REAP_GOES);
	/* Nor is one that rests outside of a transaction a writer. */
	subject = forgotten;
	subject.marks = MARK_WRITES;
	subject.marked = MINUTE_US;
	assert_int_equal(judged(subject, automatic), REAP_GOES);
}

static void an_administrator_needs_no_mark_but_obeys_what_protects(void **state)
{
	struct reap_subject subject = forgotten;

	(void)state;
	assert_int_equal(judged(subject, by_hand), REAP_GOES);
	subject.bursts = 9;
	assert_int_equal(judged(subject, by_hand), REAP_GOES);
	subject.owes = true;
	assert_int_equal(judged(subject, by_hand), KEEP_BUSY);
	subject = forgotten;
	subject.is_protected = true;
	assert_int_equal(judged(subject, by_hand), KEEP_PROTECTED);
	subject = forgotten;
	subject.is_unheard = true;
	assert_int_equal(judged(subject, by_hand), KEEP_UNHEARD);
	subject.is_exempt = true;
	assert_int_equal(judged(subject, by_hand), KEEP_EXEMPT);
}

static void who_came_back_before_is_kept(void **state)
{
	struct reap_subject subject = forgotten;

	(void)state;
	subject.bursts = 2;
	subject.marked = MINUTE_US;
	assert_int_equal(judged(subject, automatic), KEEP_IN_USE);
	subject.bursts = 0;
	assert_int_equal(judged(subject, automatic), REAP_GOES);
	subject.rested = 4 * SECOND_US;
	assert_int_equal(judged(subject, automatic), KEEP_IN_USE);
}

static void families_are_not_confused(void **state)
{
	(void)state;
	assert_int_equal(judged(forgotten, holds), KEEP_OTHER);
	assert_int_equal(judged(holder, automatic), KEEP_OTHER);
}

static void what_its_end_would_destroy_protects_a_client(void **state)
{
	static const struct {
		unsigned mark;
		enum reap_verdict verdict;
	} cases[] = { { MARK_COPY, KEEP_COPY }, { MARK_LISTENS, KEEP_LISTENS }, { MARK_LOCKS, KEEP_LOCKS },
		{ MARK_CURSOR, KEEP_CURSOR }, { MARK_PREPARED, KEEP_PREPARED }, { MARK_UNSEEN, KEEP_UNSEEN } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct reap_subject subject = holder;
		struct reap_order order = holds;

		subject.marked = MINUTE_US;
		subject.marks = cases[i].mark;
		assert_int_equal(judged(subject, order), cases[i].verdict);
		order.by_hand = true;
		assert_int_equal(judged(subject, order), cases[i].verdict);
		/* Somebody else hears for it; all else is a server's, and a client that rests without one is not kept by it. */
		subject = forgotten;
		subject.marks = cases[i].mark;
		subject.hears = cases[i].mark == MARK_LISTENS;
		assert_int_equal(judged(subject, by_hand),
			subject.hears                        ? KEEP_LISTENS
				: cases[i].mark == MARK_COPY ? KEEP_COPY
							     : REAP_GOES);
	}
}

static void statements_are_marked_by_their_words(void **state)
{
	static const struct {
		const char *sql;
		unsigned marks;
	} cases[] = {
		{ "SELECT 1", 0 },
		{ "listen jobs", MARK_LISTENS },
		{ "/* tag */ LISTEN jobs", MARK_LISTENS },
		{ "SELECT pg_advisory_lock(1)", MARK_LOCKS },
		{ "SELECT PG_TRY_ADVISORY_LOCK(1)", MARK_LOCKS },
		{ "DECLARE c CURSOR WITH HOLD FOR SELECT 1", MARK_CURSOR },
		{ "declare c cursor with hold for select 1", MARK_CURSOR },
		{ "Declare c Cursor With Hold For Select 1", MARK_CURSOR },
		{ "/* jobs */ Declare c Cursor With Hold For Select 1", MARK_CURSOR },
		{ "/* jobs */ Listen jobs", MARK_LISTENS },
		{ "-- h\nlIST; Hol; liste", 0 },
		{ "DECLARE c CURSOR FOR SELECT 1", 0 },
		{ "PREPARE TRANSACTION 'x'", MARK_PREPARED },
		{ "PREPARE x AS SELECT 1", 0 },
		{ "DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", MARK_LOCKS },
		{ "INSERT INTO t VALUES (1)", MARK_WRITES },
		{ "update t set a = 1", MARK_WRITES },
		{ "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone", MARK_WRITES },
		{ "With gone As (Delete From t Returning *) Select * From gone", MARK_WRITES },
		{ "WITH a AS (SELECT updated FROM t) SELECT * FROM a", 0 },
		{ "TRUNCATE t", MARK_WRITES },
		{ "DELETE FROM t WHERE pg_advisory_xact_lock(1)", MARK_LOCKS | MARK_WRITES },
		{ "", 0 },
		/* Several in one text. */
		{ "SELECT 1; LISTEN jobs", MARK_LISTENS },
		{ "INSERT INTO t VALUES (1);Listen jobs;", MARK_LISTENS | MARK_WRITES },
		{ "SELECT 1; SELECT 2;;\n listen jobs", MARK_LISTENS },
		{ "SELECT 1 /* ; see */; LISTEN jobs", MARK_LISTENS },
		{ "SELECT 1; /* a; see */ LISTEN jobs", MARK_LISTENS },
		{ "select 1;declare c cursor with hold for select 1", MARK_CURSOR },
		{ "WITH a AS (SELECT 1) SELECT 2; PREPARE TRANSACTION 'x'", MARK_PREPARED },
		{ "LISTEN jobs; PREPARE TRANSACTION 'x'; INSERT INTO t VALUES (1)",
			MARK_LISTENS | MARK_PREPARED | MARK_WRITES },
		{ "SELECT hold FROM t; SELECT 1;", 0 },
		{ "SELECT hold, listen FROM t; \n;", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(reap_marks(span_text(cases[i].sql), false), cases[i].marks);
	assert_int_equal(reap_marks(span_text("SELECT 1"), true), MARK_UNSEEN);
}

static const struct reap_rules rules = { .pressure = 80, .relief = 60, .batch = 5, .hourly = 12, .share = 50 };

static void sockets_are_reaped_only_under_pressure_and_down_to_relief(void **state)
{
	struct reap_budget budget = { 0 };
	struct leak_facts facts = { .clients_limit = 100, .clients_total = 79, .quiet = 70 };

	(void)state;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 0);
	facts.clients_total = 80;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 5);
	facts.clients_total = 60;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 5);
	facts.clients_total = 59;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 0);
	facts.clients_total = 75;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 0);
}

static void holds_are_ended_only_for_those_who_wait(void **state)
{
	struct reap_budget budget = { 0 };
	struct leak_facts facts = { .clients_limit = 100, .clients_total = 99, .holding = 20 };

	(void)state;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_SERVER, &facts), 0);
	facts.pool_waiting = 2;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_SERVER, &facts), 2);
	facts.pool_waiting = 50;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_SERVER, &facts), 5);
	facts.holding = 4;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_SERVER, &facts), 2);
	facts.holding = 1;
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_SERVER, &facts), 1);
}

static void an_hour_has_its_budget(void **state)
{
	struct reap_budget budget = { 0 };
	struct leak_facts facts = { .clients_limit = 100, .clients_total = 99, .quiet = 90 };

	(void)state;
	reap_spend(&budget, 0);
	assert_int_equal(reap_allows(&budget, &rules, SECOND_US, FAMILY_CLIENT, &facts), 5);
	reap_spend(&budget, 10);
	assert_int_equal(reap_allows(&budget, &rules, 2 * SECOND_US, FAMILY_CLIENT, &facts), 2);
	reap_spend(&budget, 2);
	assert_int_equal(reap_allows(&budget, &rules, 3 * SECOND_US, FAMILY_CLIENT, &facts), 0);
	assert_int_equal(reap_allows(&budget, &rules, 61 * MINUTE_US, FAMILY_CLIENT, &facts), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_goes_who_was_not_marked_before),
		cmocka_unit_test(who_has_written_has_more_time),
		cmocka_unit_test(an_administrator_needs_no_mark_but_obeys_what_protects),
		cmocka_unit_test(who_came_back_before_is_kept),
		cmocka_unit_test(families_are_not_confused),
		cmocka_unit_test(what_its_end_would_destroy_protects_a_client),
		cmocka_unit_test(statements_are_marked_by_their_words),
		cmocka_unit_test(sockets_are_reaped_only_under_pressure_and_down_to_relief),
		cmocka_unit_test(holds_are_ended_only_for_those_who_wait),
		cmocka_unit_test(an_hour_has_its_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
