/* The tables of SHOW as JSON. */

#include "view/helper_test.h"
#include "view/json.h"


static void a_text_of_whoever_is_a_string(void **state)
{
	(void)state;
	assert_true(json_text(&out, span_of("a\"b\\c\n\0\x1b\x7f \xc3\xa4 \xff\xe2\x82 \xed\xa0\x80 end", 24)));
	assert_string_equal(text(),
		"\"a\\\"b\\\\c\\u000a\\u0000\\u001b\\u007f \xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd end\"");
}

static void numbers_are_numbers_and_null_is_null(void **state)
{
	struct leak_row leak = {
		.id = 3, .pattern = "L1", .confidence = 87, .user = "a\"b", .growth = -1.5, .oldest = SECOND_US
	};
	uint64_t left_out = 9;

	(void)state;
	snapshot_leaks(snapshot, NULL, 0, &leak, 1);
	assert_true(json_rows(&out, snapshot, "leaks", 10, &left_out));
	assert_int_equal(left_out, 0);
	assert_non_null(strstr(text(), "[\n{\"id\":3,\"pattern\":\"L1\",\"name\":\"\","));
	assert_non_null(strstr(text(), ",\"confidence\":87,"));
	assert_non_null(strstr(text(), ",\"user\":\"a\\\"b\","));
	assert_non_null(strstr(text(), ",\"oldest\":1.000,\"growth_per_minute\":-1.500,\"exhausted_in\":null,"));
}

static void what_is_no_number_is_none(void **state)
{
	struct leak_row leak = { .growth = 1e308 * 10 }; /* infinite */
	uint64_t left_out;

	(void)state;
	snapshot_leaks(snapshot, NULL, 0, &leak, 1);
	assert_true(json_rows(&out, snapshot, "leaks", 10, &left_out));
	assert_non_null(strstr(text(), "\"growth_per_minute\":null"));
}

static void rows_beyond_the_most_are_counted(void **state)
{
	uint64_t left_out;
	size_t rows = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		text_format(snapshot_pool(snapshot)->database, SNAPSHOT_NAME, "db%d", i);
	assert_true(json_rows(&out, snapshot, "pools", 3, &left_out));
	assert_int_equal(left_out, 2);
	for (const char *at = text(); (at = strstr(at, "{\"database\"")); at++)
		rows++;
	assert_int_equal(rows, 3);
	buf_clear(&out);
	assert_true(json_rows(&out, snapshot, "leases", 3, &left_out));
	assert_string_equal(text(), "[]");
}

static void breakdowns_are_chosen_by_rank_and_shown_in_their_order(void **state)
{
	static const uint32_t ranks[5] = { 3, 1, 4, 0, 2 };
	struct breakdown_row rows[5] = { 0 };
	const char *first, *second, *third;
	uint64_t left_out;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		rows[i] = (struct breakdown_row){ .origin = 10 + i, .rank = ranks[i], .by = "route" };
	snapshot_breakdowns(snapshot, rows, 5);
	assert_true(json_rows(&out, snapshot, "breakdowns", 3, &left_out));
	assert_int_equal(left_out, 2);
	first = strstr(text(), "{\"origin\":11,");
	second = strstr(text(), "{\"origin\":13,");
	third = strstr(text(), "{\"origin\":14,");
	assert_true(first && first < second && second < third);
	assert_null(strstr(text(), "{\"origin\":10,"));
	assert_null(strstr(text(), "{\"origin\":12,"));
	buf_clear(&out);
	assert_true(json_rows(&out, snapshot, "breakdowns", 5, &left_out));
	assert_int_equal(left_out, 0);
	assert_non_null(strstr(text(), "{\"origin\":12,"));
}

static void a_snapshot_has_every_table_and_says_how_much_it_left_out(void **state)
{
	static const char *const keys[] = { "\"version\":\"pgweir x\"", "\"time\":100.500", "\"started\":40.000",
		"\"uptime\":60.500", "\"draining\":true", "\"paused\":false", "\"clients\":7", "\"pools\":[",
		"\"stats\":[", "\"budget\":[", "\"origins\":[", "\"leases\":[", "\"pins\":[", "\"leaks\":[",
		"\"reaps\":[", "\"mem\":[", "\"left_out\":{\"pools\":2}}" };

	(void)state;
	text_copy(snapshot->version, sizeof snapshot->version, "pgweir x");
	snapshot->wall = 100 * SECOND_US + SECOND_US / 2;
	snapshot->started_wall = 40 * SECOND_US;
	snapshot->shutting_down = true;
	snapshot->clients_total = 7;
	for (int i = 0; i < JSON_ROWS_MOST + 2; i++)
		assert_non_null(snapshot_pool(snapshot));
	assert_true(json_snapshot(&out, snapshot));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		assert_non_null(strstr(text(), keys[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_text_of_whoever_is_a_string, begin_anew),
		cmocka_unit_test_setup(numbers_are_numbers_and_null_is_null, begin_anew),
		cmocka_unit_test_setup(what_is_no_number_is_none, begin_anew),
		cmocka_unit_test_setup(rows_beyond_the_most_are_counted, begin_anew),
		cmocka_unit_test_setup(breakdowns_are_chosen_by_rank_and_shown_in_their_order, begin_anew),
		cmocka_unit_test_setup(a_snapshot_has_every_table_and_says_how_much_it_left_out, begin_anew),
	};


	return cmocka_run_group_tests(tests, NULL, end);
}
