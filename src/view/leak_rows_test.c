/* Leaks, leases and ledgers as SHOW tells them. */
#include "view/rows_helper_test.h"

static void what_does_not_apply_to_a_leak_is_null(void **state)
{
	static const struct leak_row leaks[2] = {
		{ .id = 1,
			.pattern = "L1",
			.clients = 96,
			.growth = 1.5,
			.exhausted_in = 90 * SECOND_US,
			.ended_wall = SECOND_US },
		{ .id = 2, .pattern = "L9", .oldest = 1500000, .route = "/chat" },
	};

	(void)state;
	snapshot_leaks(snapshot, NULL, 0, leaks, 2);
	show("leaks");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][15], "1.500");
	assert_string_equal(answer.cells[0][16], "90.000");
	assert_string_equal(answer.cells[0][18], "1970-01-01 00:00:01 UTC");
	assert_null(answer.cells[0][19]);
	assert_string_equal(answer.cells[1][14], "1.500");
	assert_null(answer.cells[1][16]);
	assert_null(answer.cells[1][18]);
	assert_string_equal(answer.cells[1][19], "/chat");
}

static void parts_of_an_origin_are_told_with_their_figures(void **state)
{
	static const struct breakdown_row rows[2] = {
		{ .origin = 3, .by = "route", .value = "/chat", .clients = 9, .quiet = 8, .oldest_quiet = 1500000 },
		{ .origin = 3, .by = "job", .value = "(other)", .holding = 1, .oldest_hold = SECOND_US, .trace = "0af7" },
	};

	(void)state;
	snapshot_breakdowns(snapshot, rows, 2);
	show("breakdowns");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][5], "route");
	assert_string_equal(answer.cells[0][6], "/chat");
	assert_string_equal(answer.cells[0][7], "9");
	assert_string_equal(answer.cells[0][8], "8");
	assert_string_equal(answer.cells[0][14], "1.500");
	assert_null(answer.cells[0][15]);
	assert_null(answer.cells[0][16]);
	assert_null(answer.cells[1][14]);
	assert_string_equal(answer.cells[1][15], "1.000");
	assert_string_equal(answer.cells[1][16], "0af7");
}

static void only_leases_with_a_reason_are_pins(void **state)
{
	struct lease_row *lease;

	(void)state;
	lease = snapshot_lease(snapshot);
	lease->client = 7;
	lease = snapshot_lease(snapshot);
	lease->client = 8;
	text_copy(lease->pin, sizeof lease->pin, "a reason");
	show("leases");
	assert_int_equal(answer.row_count, 2);
	show("pins");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(answer.cells[0][0], "8");
	assert_string_equal(answer.cells[0][6], "a reason");
}

static void a_client_at_work_has_no_rest(void **state)
{
	struct ledger_row *row;

	(void)state;
	row = snapshot_ledger(snapshot);
	row->client = 7;
	row->rest = 1500000;
	row->sent = 5000000000;
	text_copy(row->first, sizeof row->first, "SELECT ?");
	snapshot_ledger(snapshot)->client = 8;
	show("ledger");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][0], "7");
	assert_string_equal(answer.cells[0][10], "1.500");
	assert_string_equal(answer.cells[0][18], "5000000000");
	assert_string_equal(answer.cells[0][19], "SELECT ?");
	assert_string_equal(answer.cells[0][21], "no");
	assert_null(answer.cells[1][10]);
	assert_null(answer.cells[1][19]);
}

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(what_does_not_apply_to_a_leak_is_null),
		STORY(parts_of_an_origin_are_told_with_their_figures),
		STORY(only_leases_with_a_reason_are_pins),
		STORY(a_client_at_work_has_no_rest),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
