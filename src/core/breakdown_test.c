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

static void a_table_of_nothing_is_fine(void **state)
{
	(void)state;
	breakdowns_sort(&table);
	assert_int_equal(table.count, 0);
	breakdowns_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_values_of_an_origin_are_one_row),
		cmocka_unit_test(the_oldest_hold_brings_its_trace),
		cmocka_unit_test(however_many_values_come_there_is_a_bound_and_nobody_is_lost),
		cmocka_unit_test(a_table_of_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
