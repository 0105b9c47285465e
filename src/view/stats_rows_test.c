/* What was counted, as SHOW tells it. */
#include "view/rows_helper_test.h"

/* Counters from `first` on, one more each. */
static struct stat_counters counters(uint64_t first)
{
	struct stat_counters c = { .server_assignments = first,
		.transactions = first + 1,
		.queries = first + 2,
		.received = first + 3,
		.sent = first + 4,
		.transaction_time = first + 5,
		.query_time = first + 6,
		.wait_time = first + 7,
		.client_parses = first + 8,
		.server_parses = first + 9,
		.binds = first + 10,
		.logins = first + 11 };
	return c;
}

static void statistics_are_totals_and_then_averages(void **state)
{
	struct stats_row *row = snapshot_stats(snapshot, "shop");

	(void)state;
	assert_non_null(row);
	*row = (struct stats_row){ .database = "shop", .total = counters(100), .average = counters(200) };
	show("stats");
	assert_string_equal(line(0),
		"shop|100|101|102|103|104|105|106|107|108|109|110|111|200|201|202|203|204|205|206|207|208|209|210|211");
	show("stats_totals");
	assert_string_equal(line(0), "shop|100|101|102|103|104|105|106|107|108|109|110|111");
	show("stats_averages");
	assert_string_equal(line(0), "shop|200|201|202|203|204|205|206|207|208|209|210|211");
	row->total.received = UINT64_MAX;
	show("stats_totals");
	assert_string_equal(cell(0, "bytes_received"), "18446744073709551615");
}

static void totals_add_up_over_databases_and_times_are_weighed(void **state)
{
	static const char *const lines[] = { "total_server_assignment_count|1100", "total_xact_count|1102",
		"total_query_count|1104", "total_client_bytes|1106", "total_server_bytes|1108", "total_xact_time|1110",
		"total_query_time|1112", "total_wait_time|1114", "total_ps_client_parse_count|1116",
		"total_ps_server_parse_count|1118", "total_ps_bind_count|1120", "total_client_login_count|1122",
		"avg_server_assignment_count|0", "avg_xact_count|4", "avg_query_count|10", "avg_client_bytes|50",
		"avg_server_bytes|0", "avg_xact_time|175", "avg_query_time|40", "avg_wait_time|15",
		"avg_ps_client_parse_count|0", "avg_ps_server_parse_count|0", "avg_ps_bind_count|0",
		"avg_client_login_count|0" };
	struct stats_row *row = snapshot_stats(snapshot, "a");

	(void)state;
	assert_non_null(row);
	*row = (struct stats_row){ .database = "a",
		.total = counters(100),
		/* 1 of 100 us and 3 of 200 us; 10 of 40 us and none; two that happen less than once a second */
		.average = { .transactions = 1,
			.transaction_time = 100,
			.queries = 10,
			.query_time = 40,
			.received = 20,
			.wait_time = 10 } };
	row = snapshot_stats(snapshot, "b");
	assert_non_null(row);
	*row = (struct stats_row){ .database = "b",
		.total = counters(1000),
		.average = { .transactions = 3, .transaction_time = 200, .received = 30, .wait_time = 20 } };
	show("totals");
	assert_int_equal(answer.row_count, 24);
	for (size_t i = 0; i < 24; i++)
		assert_string_equal(line(i), lines[i]);
}

static void totals_of_nothing_are_zero(void **state)
{
	(void)state;
	show("totals");
	assert_int_equal(answer.row_count, 24);
	for (size_t i = 0; i < 24; i++)
		assert_string_equal(cell(i, "value"), "0");
}

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(statistics_are_totals_and_then_averages),
		STORY(totals_add_up_over_databases_and_times_are_weighed),
		STORY(totals_of_nothing_are_zero),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
