/* Metrics as they are written. What promtool says of them is asked by the live tests. */

#include "view/helper_test.h"
#include "view/metrics.h"
#include "view/metrics_table.h"


static const char *write_text(enum metrics_form form)
{
	buf_clear(&out);
	assert_true(metrics_write(&out, snapshot, form));
	return text();
}

static struct pool_row *add_pool(const char *database, const char *user)
{
	struct pool_row *row = snapshot_pool(snapshot);

	assert_non_null(row);
	row->id = (uint32_t)snapshot->pool_count - 1;
	text_copy(row->database, sizeof row->database, database);
	text_copy(row->user, sizeof row->user, user);
	return row;
}

static void has(const char *page, const char *line)
{
	const char *at = strstr(page, line);

	if (!at || (at > page && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("there is no line %s in:\n%.6000s", line, page);
}

static void has_not(const char *page, const char *part)
{
	if (strstr(page, part))
		fail_msg("there is %s", part);
}

static size_t count(const char *page, const char *part)
{
	size_t n = 0;

	for (const char *at = page; (at = strstr(at, part)); at++)
		n++;
	return n;
}

static void a_pool_has_its_lines(void **state)
{
	struct pool_row *pool = add_pool("app", "web");
	const char *page;

	(void)state;
	pool->servers_active = 3;
	pool->servers_idle = 2;
	pool->oldest_wait = 1500000;
	pool->failing = true;
	pool->total.queries = 18446744073709551615u;
	pool->total.transaction_time = 2000001;
	page = write_text(METRICS_TEXT);
	has(page, "# HELP pgweir_pool_servers Servers of the pool, by what they do.");
	has(page, "# TYPE pgweir_pool_servers gauge");
	assert_int_equal(count(page, "# TYPE pgweir_pool_servers "), 1);
	has(page, "pgweir_pool_servers{database=\"app\",user=\"web\",state=\"lent\"} 3");
	has(page, "pgweir_pool_servers{database=\"app\",user=\"web\",state=\"idle\"} 2");
	has(page, "pgweir_pool_oldest_wait_seconds{database=\"app\",user=\"web\"} 1.500000");
	has(page, "pgweir_pool_failing{database=\"app\",user=\"web\"} 1");
	has(page, "# TYPE pgweir_pool_queries_total counter");
	has(page, "pgweir_pool_queries_total{database=\"app\",user=\"web\"} 18446744073709551615");
	has(page, "pgweir_pool_transaction_seconds_total{database=\"app\",user=\"web\"} 2.000001");
	has(page, "pgbouncer_requests_total{database=\"app\"} 18446744073709551615");
	has(page, "pgweir_pools 1");
	has_not(page, "(others)");
}

static void a_histogram_adds_up(void **state)
{
	struct pool_row *pool = add_pool("app", "web");
	const char *page;

	(void)state;
	meter_add(&pool->times.wait, 50);
	meter_add(&pool->times.wait, 100);
	meter_add(&pool->times.wait, 3000);
	meter_add(&pool->times.wait, SECOND_US);
	meter_add(&pool->times.wait, 1000 * SECOND_US);
	page = write_text(METRICS_TEXT);
	has(page, "# TYPE pgweir_pool_wait_seconds histogram");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"0.0001\"} 2");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"0.0025\"} 2");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"0.005\"} 3");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"1.0\"} 4");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"300.0\"} 4");
	has(page, "pgweir_pool_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"+Inf\"} 5");
	has(page, "pgweir_pool_wait_seconds_sum{database=\"app\",user=\"web\"} 1001.003150");
	has(page, "pgweir_pool_wait_seconds_count{database=\"app\",user=\"web\"} 5");
}

static void hostile_names_stay_inside_their_quotes(void **state)
{
	struct leak_row leak = {
		.pattern = "L1", .user = "\xff\xc3", .application_name = "a\\x0a\"} 1\n", .confidence = 66
	};
	const char *page;

	(void)state;
	add_pool("new\nline", "quo\"te")->clients = 1;
	add_pool("back\\slash", "\x1b[31m\t\x7f")->clients = 2;
	add_pool("\xff\xfe\xc3", "\xe2\x80\xae")->clients = 3;
	snapshot_leaks(snapshot, NULL, 0, &leak, 1);
	page = write_text(METRICS_TEXT);
	has(page, "pgweir_pool_clients{database=\"new\\\\x0aline\",user=\"quo\\\"te\"} 1");
	has(page, "pgweir_pool_clients{database=\"back\\\\\\\\slash\",user=\"\\\\x1b[31m\\\\x09\\\\x7f\"} 2");
	has(page, "pgweir_pool_clients{database=\"\\\\xff\\\\xfe\\\\xc3\",user=\"\\\\u{202e}\"} 3");
	has(page,
		"pgweir_leak_confidence_ratio{database=\"\",user=\"\xef\xbf\xbd\xef\xbf\xbd\",application_name=\"a\\\\x0a\\\"} 1\\n\","
		"address=\"\",pattern=\"L1\",family=\"\"} 0.66");
	for (const char *line = page; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		assert_true(*line == '#' || strncmp(line, "pgweir_", 7) == 0 || strncmp(line, "process_", 8) == 0 ||
			strncmp(line, "pgbouncer_", 10) == 0);
}

static void beyond_a_hundred_pools_the_others_share_a_line(void **state)
{
	const char *page;
	char name[20];

	(void)state;
	for (int i = 0; i < 250; i++) {
		struct pool_row *pool;

		text_format(name, sizeof name, "db%d", i);
		pool = add_pool(name, "web");
		pool->clients = 2;
		pool->oldest_wait = i * SECOND_US;
		meter_add(&pool->times.wait, 1);
	}
	page = write_text(METRICS_TEXT);
	assert_int_equal(count(page, "\npgweir_pool_clients{"), METRICS_NAMED + 1);
	has(page, "pgweir_pool_clients{database=\"db99\",user=\"web\"} 2");
	has(page, "pgweir_pool_clients{database=\"(others)\",user=\"(others)\"} 300");
	has(page, "pgweir_pool_oldest_wait_seconds{database=\"(others)\",user=\"(others)\"} 249.000000");
	has(page, "pgweir_pool_wait_seconds_count{database=\"(others)\",user=\"(others)\"} 150");
	has(page, "pgbouncer_requests_total{database=\"(others)\"} 0");
	has_not(page, "db100");
}

static void no_two_lines_have_the_same_labels(void **state)
{
	const char *page;

	(void)state;
	/* Names of which only what is told of them is the same, and one that calls itself the others. */
	add_pool("same", "cut")->clients = 1;
	add_pool("same", "cut")->clients = 2;
	add_pool("(others)", "(others)")->clients = 4;
	page = write_text(METRICS_TEXT);
	has(page, "pgweir_pool_clients{database=\"same\",user=\"cut\"} 3");
	has(page, "pgweir_pool_clients{database=\"(others)\",user=\"(others)\"} 4");
	assert_int_equal(count(page, "\npgweir_pool_clients{"), 2);
}

static void the_largest_origins_are_named(void **state)
{
	struct origin_row *rows = calloc(150, sizeof *rows);
	const char *page;

	(void)state;
	for (uint32_t i = 0; i < 150; i++) {
		rows[i].clients = i + 1;
		text_format(rows[i].application_name, sizeof rows[i].application_name, "app%u", i);
	}
	snapshot_leaks(snapshot, rows, 150, NULL, 0);
	free(rows);
	page = write_text(METRICS_TEXT);
	has(page, "pgweir_origin_clients{database=\"\",user=\"\",application_name=\"app149\",address=\"\"} 150");
	has(page, "pgweir_origin_clients{database=\"\",user=\"\",application_name=\"app50\",address=\"\"} 51");
	has_not(page, "\"app49\"");
	has(page,
		"pgweir_origin_clients{database=\"(others)\",user=\"(others)\",application_name=\"(others)\",address=\"(others)\"} 1275");
}

static void what_is_not_known_or_is_over_has_no_line(void **state)
{
	struct leak_row leaks[2] = { { .pattern = "L1", .clients = 5 }, { .pattern = "L2", .ended_wall = 1 } };
	struct budget_row *budget = snapshot_budget(snapshot);
	const char *page;

	(void)state;
	budget->usable = -1;
	budget->others = 7;
	budget->port = 5432;
	text_copy(budget->host, sizeof budget->host, "db.example");
	snapshot_leaks(snapshot, NULL, 0, leaks, 2);
	page = write_text(METRICS_TEXT);
	has(page, "pgweir_budget_other_connections{host=\"db.example\",port=\"5432\"} 7");
	has_not(page, "\npgweir_budget_usable_connections{");
	has(page, "pgweir_budget_failing{host=\"db.example\",port=\"5432\"} 0");
	has(page, "pgweir_leaks 1");
	assert_int_equal(count(page, "\npgweir_leak_clients{"), 1);
	has_not(page, "\npgweir_leak_exhausted_in_seconds{");
}

static void openmetrics_has_its_names_and_its_end(void **state)
{
	const char *page;

	(void)state;
	add_pool("app", "web");
	page = write_text(METRICS_OPEN);
	has(page, "# TYPE pgweir_pool_queries counter");
	has(page, "pgweir_pool_queries_total{database=\"app\",user=\"web\"} 0");
	assert_string_equal(page + strlen(page) - 6, "# EOF\n");
	has_not(write_text(METRICS_TEXT), "# EOF");
}

static void the_microseconds_are_for_pgbouncers_users(void **state)
{
	(void)state;
	add_pool("app", "web")->total.query_time = 5;
	has_not(write_text(METRICS_TEXT), "query_microseconds");
	snapshot->pgbouncer = true;
	has(write_text(METRICS_TEXT), "pgbouncer_query_microseconds_total{database=\"app\"} 5");
}

static void the_table_is_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < metrics_count; i++) {
		const char *total = strstr(metrics[i].name, "_total");

		/* Of one name follow one another, with one text. */
		for (size_t j = 0; j < i; j++)
			if (strcmp(metrics[i].name, metrics[j].name) == 0) {
				assert_string_equal(metrics[i].name, metrics[i - 1].name);
				assert_string_equal(metrics[i].help, metrics[i - 1].help);
				assert_ptr_equal(metrics[i].scope, metrics[i - 1].scope);
				assert_non_null(metrics[i].more);
			}
		assert_true((total && total[6] == 0) == (metrics[i].type == METRIC_COUNTER));
		assert_true((metrics[i].value == VALUE_METER) == (metrics[i].type == METRIC_HISTOGRAM));
		assert_null(strpbrk(metrics[i].help, "\\\n\""));
	}
}

static void each_form_has_its_type(void **state)
{
	(void)state;
	assert_string_equal(metrics_content_type(METRICS_TEXT), "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(
		metrics_content_type(METRICS_OPEN), "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_pool_has_its_lines, begin_anew),
		cmocka_unit_test_setup(a_histogram_adds_up, begin_anew),
		cmocka_unit_test_setup(hostile_names_stay_inside_their_quotes, begin_anew),
		cmocka_unit_test_setup(beyond_a_hundred_pools_the_others_share_a_line, begin_anew),
		cmocka_unit_test_setup(no_two_lines_have_the_same_labels, begin_anew),
		cmocka_unit_test_setup(the_largest_origins_are_named, begin_anew),
		cmocka_unit_test_setup(what_is_not_known_or_is_over_has_no_line, begin_anew),
		cmocka_unit_test_setup(openmetrics_has_its_names_and_its_end, begin_anew),
		cmocka_unit_test_setup(the_microseconds_are_for_pgbouncers_users, begin_anew),
		cmocka_unit_test_setup(the_table_is_in_order, begin_anew),
		cmocka_unit_test_setup(each_form_has_its_type, begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
