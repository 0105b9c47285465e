#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"
#include "core/breakdown.h"

static struct breakdowns table;

static void add(uint32_t origin, enum breakdown_by by, const char *value, uint32_t quiet)
{
	struct breakdown_counts counts = { .clients = 1, .quiet = quiet, .transactions = 2 };

	assert_true(breakdowns_add(&table, origin, by, span_text(value), &counts));
}

static uint64_t clients_of(uint32_t origin, enum breakdown_by by)
{
	uint64_t clients = 0;

	for (size_t i = 0; i < table.count; i++)
		if (table.rows[i].origin == origin && table.rows[i].by == by)
			clients += table.rows[i].counts.clients;
	return clients;
}

static void expect(size_t at, uint32_t origin, enum breakdown_by by, const char *value, uint32_t clients)
{
	assert_true(at < table.count);
	assert_int_equal(table.rows[at].origin, origin);
	assert_int_equal(table.rows[at].by, by);
	assert_string_equal(table.rows[at].value, value);
	assert_int_equal(table.rows[at].counts.clients, clients);
}

static void equal_values_of_an_origin_are_one_row(void **state)
{
	(void)state;
	add(7, BY_ROUTE, "/b", 0);
	add(7, BY_ROUTE, "/a", 1);
	add(7, BY_ROUTE, "/a", 1);
	add(7, BY_JOB, "/a", 0);
	add(3, BY_ROUTE, "/a", 0);
	add(7, BY_ROUTE, "/c", 0);
	add(7, BY_ROUTE, "/c", 0);
	add(7, BY_ROUTE, "/c", 0);
	breakdowns_sort(&table);
	assert_int_equal(table.count, 5);
	expect(0, 3, BY_ROUTE, "/a", 1);
	expect(1, 7, BY_ROUTE, "/a", 2); /* quiet ones come first */
	expect(2, 7, BY_ROUTE, "/c", 3);
	expect(3, 7, BY_ROUTE, "/b", 1);
	expect(4, 7, BY_JOB, "/a", 1);
	assert_int_equal(table.rows[1].counts.transactions, 4);
	breakdowns_fini(&table);
}

static void the_oldest_hold_brings_its_trace(void **state)
{
	struct breakdown_counts counts = {
		.clients = 1, .holding = 1, .oldest_hold = 5, .oldest_quiet = 9, .trace = "old"
	};

	(void)state;
	assert_true(breakdowns_add(&table, 1, BY_ROUTE, span_text("/a"), &counts));
	counts = (struct breakdown_counts){ .clients = 1, .holding = 1, .oldest_hold = 3, .trace = "young" };
	assert_true(breakdowns_add(&table, 1, BY_ROUTE, span_text("/a"), &counts));
	breakdowns_sort(&table);
	assert_string_equal(table.rows[0].counts.trace, "old");
	assert_int_equal(table.rows[0].counts.oldest_hold, 5);
	assert_int_equal(table.rows[0].counts.oldest_quiet, 9);
	assert_int_equal(table.rows[0].counts.holding, 2);
	breakdowns_fini(&table);
}

static void however_many_values_come_there_is_a_bound_and_nobody_is_lost(void **state)
{
	char value[200];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		text_format(value, sizeof value, "/page/%u", i);
		add(1, BY_ROUTE, value, 0);
	}
	for (unsigned i = 0; i < 5; i++)
		add(1, BY_ROUTE, "/page/3", 0); /* it has its place */
	add(1, BY_JOB, "mailer", 0);            /* another kind is not concerned */
	breakdowns_sort(&table);
	assert_int_equal(table.count, BREAKDOWN_VALUES + 2);
	expect(0, 1, BY_ROUTE, "/page/3", 6);
	expect(BREAKDOWN_VALUES, 1, BY_ROUTE, "", 1000 - BREAKDOWN_VALUES);
	assert_int_equal(clients_of(1, BY_ROUTE), 1005);
	breakdowns_fini(&table);
	/* Of many origins. */
	for (uint32_t origin = 1; origin <= 1025; origin++)
		for (unsigned i = 0; i < 30; i++) {
			text_format(value, sizeof value, "%u", i);
			add(origin, BY_PROCESS, value, 0);
		}
	assert_in_range(table.count, 1025, BREAKDOWNS_MAX / 2 + 1025);
	assert_int_equal(clients_of(1025, BY_PROCESS), 30);
	assert_int_equal(clients_of(1, BY_PROCESS), 30);
	breakdowns_fini(&table);
	/* Those that are alike in what is kept of them are one. */
	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = 0;
	add(1, BY_ROUTE, value, 0);
	value[sizeof value - 2] = 'y';
	add(1, BY_ROUTE, value, 0);
	breakdowns_sort(&table);
	assert_int_equal(table.count, 1);
	breakdowns_fini(&table);
}

/* Which row comes `rank`th. */
static const struct breakdown *ranked(uint32_t rank)
{
	for (size_t i = 0; i < table.count; i++)
		if (table.rows[i].rank == rank)
			return &table.rows[i];
	fail_msg("no row has the rank %u", rank);
	return NULL;
}

static void expect_rank(uint32_t rank, uint32_t origin, enum breakdown_by by, const char *value)
{
	const struct breakdown *row = ranked(rank);

	assert_int_equal(row->origin, origin);
	assert_int_equal(row->by, by);
	assert_string_equal(row->value, value);
}

static void who_leaks_comes_first_and_every_kind_has_its_turn(void **state)
{
	struct breakdown_weight weights[] = { { .origin = 9, .forgotten = 2, .clients = 40 },
		{ .origin = 4, .forgotten = 9, .clients = 9 }, { .origin = 700, .leaks = true, .clients = 3 },
		{ .origin = 5, .forgotten = 9, .clients = 50 } };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add(9, BY_PROCESS, i ? "busy" : "idle", i == 0);
	add(4, BY_ROUTE, "/small", 1);
	add(5, BY_PROCESS, "1", 9);
	add(5, BY_PROCESS, "2", 8);
	add(5, BY_JOB, "mailer", 0);
	add(6, BY_JOB, "nobody has weighed it", 90);
	add(700, BY_ROUTE, "/leaks", 3);
	add(700, BY_ROUTE, "/too", 2);
	add(700, BY_JOB, "cron", 0);
	breakdowns_sort(&table);
	breakdowns_rank(&table, weights, 4);
	expect_rank(0, 700, BY_ROUTE, "/leaks");
	expect_rank(1, 700, BY_ROUTE, "/too"); /* a leak has more turns than others have */
	expect_rank(2, 700, BY_JOB, "cron");
	expect_rank(3, 5, BY_PROCESS, "1"); /* then who has forgotten most, and has most clients */
	expect_rank(4, 5, BY_JOB, "mailer");
	expect_rank(5, 4, BY_ROUTE, "/small");
	expect_rank(6, 9, BY_PROCESS, "idle");
	expect_rank(7, 6, BY_JOB, "nobody has weighed it");
	expect_rank(8, 5, BY_PROCESS, "2"); /* and then what is second in its kind */
	expect_rank(9, 9, BY_PROCESS, "busy");
	assert_int_equal(ranked(8)->rank_of_kind, 2);
	assert_int_equal(ranked(5)->rank_of_kind, 2);
	breakdowns_fini(&table);
}

static void no_leak_takes_all_places(void **state)
{
	struct breakdown_weight weights[41];
	uint32_t others = 0;
	char value[16];

	(void)state;
	for (uint32_t origin = 0; origin <= 40; origin++) {
		weights[origin] = (struct breakdown_weight){ .origin = origin, .leaks = origin < 10, .clients = 99 };
		for (unsigned i = 0; i < 30; i++) {
			text_format(value, sizeof value, "%u", i);
			add(origin, BY_PROCESS, value, 1);
		}
	}
	breakdowns_sort(&table);
	breakdowns_rank(&table, weights, 41);
	for (uint32_t rank = 0; rank < 120; rank++)
		others += ranked(rank)->origin >= 10;
	assert_int_equal(others, 31); /* one row of each, and ten leaks have more than eight of the 120 each */
	breakdowns_fini(&table);
}

static void a_table_of_nothing_is_fine(void **state)
{
	(void)state;
	breakdowns_sort(&table);
	breakdowns_rank(&table, NULL, 0);
	assert_int_equal(table.count, 0);
	breakdowns_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_values_of_an_origin_are_one_row),
		cmocka_unit_test(the_oldest_hold_brings_its_trace),
		cmocka_unit_test(however_many_values_come_there_is_a_bound_and_nobody_is_lost),
		cmocka_unit_test(who_leaks_comes_first_and_every_kind_has_its_turn),
		cmocka_unit_test(no_leak_takes_all_places),
		cmocka_unit_test(a_table_of_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
