#include "view/helper_test.h"
#include "view/chart.h"

static struct chart *chart;
static time_us wall;

static int forget(void **state)
{
	chart_free(chart);
	chart = NULL;
	return end(state);
}

static int begin_chart(void **state)
{
	chart_free(chart);
	chart = chart_new();
	wall = 1000 * SECOND_US;
	return chart ? begin_anew(state) : -1;
}

static struct pool_row *add_pool(uint32_t id, uint32_t lent)
{
	struct pool_row *pool = snapshot_pool(snapshot);

	pool->id = id;
	pool->servers_active = lent;
	text_format(pool->database, sizeof pool->database, "db%u", id);
	text_copy(pool->user, sizeof pool->user, "web");
	return pool;
}

static void sample(void)
{
	snapshot->wall = wall += CHART_INTERVAL;
	chart_add(chart, snapshot);
}

static void has(const char *part)
{
	buf_clear(&out);
	assert_true(chart_json(&out, chart));
	if (!strstr(text(), part))
		fail_msg("there is no %s in\n%.3000s", part, text());
}

static size_t count(const char *part)
{
	size_t n = 0;

	has("");
	for (const char *at = (const char *)buf_span(&out).at; (at = strstr(at, part)); at++)
		n++;
	return n;
}

static void nothing_is_a_history_too(void **state)
{
	(void)state;
	has("{\"interval\":10,\n\"times\":[],\n\"process\":{\"lent\":[],");
	has("\"pools\":[]}");
}

static void counters_become_rates_and_waits_a_quantile(void **state)
{
	struct pool_row *pool = add_pool(0, 3);

	(void)state;
	pool->servers_idle = 2;
	pool->clients_waiting = 1;
	pool->clients = 9;
	pool->total.queries = 500;
	snapshot->clients_total = 10;
	sample();
	pool->total.queries = 1500;
	meter_add(&pool->times.wait, 2000);
	sample();
	sample();
	has("\"times\":[1010.000,1020.000,1030.000]");
	has("\"process\":{\"lent\":[3,3,3],\"idle\":[2,2,2],\"waiting\":[1,1,1],\"clients\":[10,10,10],"
	    "\"queries_per_second\":[null,100.0,0.0],\"wait_p99\":[null,0.002500,null]}");
	has("{\"database\":\"db0\",\"user\":\"web\",\"lent\":[3,3,3],\"idle\":[2,2,2],\"waiting\":[1,1,1],\"clients\":[9,9,9],"
	    "\"queries_per_second\":[null,100.0,0.0],\"wait_p99\":[null,0.002500,null]}");
}

static void an_hour_is_kept_and_no_more(void **state)
{
	struct pool_row *pool = add_pool(0, 0);

	(void)state;
	for (uint32_t i = 0; i < CHART_LENGTH + 5; i++) {
		pool->servers_active = i;
		sample();
	}
	has("\"times\":[1060.000,1070.000,");
	has("\"process\":{\"lent\":[5,6,7,");
	has(",363,364],\"idle\"");
}

static void a_pool_that_came_later_has_nothing_before(void **state)
{
	(void)state;
	add_pool(0, 1);
	sample();
	add_pool(7, 4)->total.queries = 100000;
	sample();
	sample();
	has("{\"database\":\"db7\",\"user\":\"web\",\"lent\":[null,4,4],\"idle\":[null,0,0],");
	has("\"queries_per_second\":[null,null,0.0],\"wait_p99\":[null,null,null]}]");
}

static void the_largest_pools_have_a_series_and_who_flickers_takes_nobodys(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < CHART_POOLS + 3; i++)
		add_pool(i, 10);
	sample();
	assert_int_equal(count("\"database\""), CHART_POOLS);
	snapshot->pools[CHART_POOLS].servers_active = 15;
	sample();
	assert_int_equal(count("\"db20\""), 0);
	snapshot->pools[CHART_POOLS].servers_active = 40;
	sample();
	assert_int_equal(count("\"db20\""), 1);
	assert_int_equal(count("\"database\""), CHART_POOLS);
	has("{\"database\":\"db20\",\"user\":\"web\",\"lent\":[null,null,40],");
	/* The whole has them all. */
	has("\"process\":{\"lent\":[230,235,260],");
}

static void a_name_is_a_text(void **state)
{
	(void)state;
	text_copy(add_pool(0, 1)->database, SNAPSHOT_NAME, "a\"\n\xff");
	sample();
	has("{\"database\":\"a\\\"\\u000a\xef\xbf\xbd\",");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_a_history_too, begin_chart),
		cmocka_unit_test_setup(counters_become_rates_and_waits_a_quantile, begin_chart),
		cmocka_unit_test_setup(an_hour_is_kept_and_no_more, begin_chart),
		cmocka_unit_test_setup(a_pool_that_came_later_has_nothing_before, begin_chart),
		cmocka_unit_test_setup(the_largest_pools_have_a_series_and_who_flickers_takes_nobodys, begin_chart),
		cmocka_unit_test_setup(a_name_is_a_text, begin_chart),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
