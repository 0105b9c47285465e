#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/doctor_scan.h"

static struct code_facts code;

static unsigned count(enum code_sign sign, const char *text, enum scan_as as)
{
	code = (struct code_facts){ 0 };
	scan_text(&code, "file", span_text(text), as);
	return code.counts[sign];
}

static void a_termination_is_unguarded_until_it_names_kind_self_and_whom(void **state)
{
	(void)state;
	assert_int_equal(
		count(CODE_KILL_IDLE, "SELECT pg_terminate_backend(pid)\nFROM pg_stat_activity\nWHERE state = 'idle';",
			SCAN_PROSE),
		1);
	assert_int_equal(code.examples[CODE_KILL_IDLE][0].line, 1);
	assert_int_equal(
		count(CODE_KILL_IDLE,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity\n WHERE backend_type = 'client backend'\n"
			" AND pid <> pg_backend_pid() AND usename = 'app' AND state = 'idle';",
			SCAN_PROSE),
		0);
	/* One pid is somebody's decision; and a guard in the next statement guards nothing. */
	assert_int_equal(count(CODE_KILL_IDLE, "SELECT pg_terminate_backend(4711);", SCAN_PROSE), 0);
	assert_int_equal(
		count(CODE_KILL_IDLE,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity; SELECT backend_type, pg_backend_pid(), usename;",
			SCAN_PROSE),
		1);
}

static void words_count_where_they_are_used(void **state)
{
	(void)state;
	assert_int_equal(count(CODE_CLOSE_OLD, "from django.db import close_old_connections\nclose_old_connections()\n",
				 SCAN_PYTHON),
		1);
	assert_int_equal(code.examples[CODE_CLOSE_OLD][0].line, 2);
	assert_int_equal(count(CODE_CLOSE_OLD, "# close_old_connections()\n", SCAN_PYTHON), 0);
	assert_int_equal(count(CODE_THREAD, "await asyncio.to_thread(work)\nsync_to_async(f, thread_sensitive=False)\n",
				 SCAN_PYTHON),
		2);
	assert_int_equal(count(CODE_THREAD, "sync_to_async(f, thread_sensitive=True)\n", SCAN_PYTHON), 0);
	assert_int_equal(count(CODE_SYNC_TO_ASYNC, "@database_sync_to_async\n", SCAN_PYTHON), 1);
}

static void settings_count_with_their_value(void **state)
{
	(void)state;
	assert_int_equal(count(CODE_RAISE_MAX, "max_connections = 200  # more\n", SCAN_PROSE), 1);
	assert_true(code.max_connections == 200);
	assert_int_equal(count(CODE_RAISE_MAX, "max_connections = 100\nmax_connections is a limit\n", SCAN_PROSE), 0);
	assert_int_equal(
		count(CODE_PERSISTENT, "'CONN_MAX_AGE': 300,\n\"CONN_MAX_AGE\": None\n'CONN_MAX_AGE': 0\n", SCAN_PROSE),
		2);
	assert_true(code.conn_max_age == MAX_AGE_FOREVER);
	assert_int_equal(count(CODE_PERSISTENT, "'CONN_MAX_AGE': 300,\n", SCAN_SETTINGS), 0);
}

static void a_stress_test_is_blind_unless_it_looks_at_the_database(void **state)
{
	static const char blind[] =
		"text\n```python\nx\n```\nmore\n```python\nasync with websockets.connect(u) as w:\n  await asyncio.gather(*t)\n```\n"
		"SELECT * FROM pg_stat_activity;\n";

	(void)state;
	assert_int_equal(count(CODE_BLIND_STRESS, blind, SCAN_PROSE), 1);
	assert_int_equal(code.examples[CODE_BLIND_STRESS][0].line, 7);
	assert_int_equal(count(CODE_BLIND_STRESS,
				 "websockets.connect(u)\nasyncio.gather(*t)\nSELECT count(*) FROM pg_stat_activity\n",
				 SCAN_PYTHON),
		0);
	assert_int_equal(count(CODE_BLIND_STRESS, "websockets.connect(u)\n", SCAN_PYTHON), 0);
}

static void examples_are_few_and_counts_are_whole(void **state)
{
	static char many[40 * 30];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 30; i++) {
		memcpy(many + n, "close_old_connections()\n", 24);
		n += 24;
	}
	assert_int_equal(count(CODE_CLOSE_OLD, many, SCAN_PYTHON), 30);
	assert_int_equal(code.files_with[CODE_CLOSE_OLD], 1);
	scan_text(&code, "other", span_text(many), SCAN_PYTHON);
	assert_int_equal(code.counts[CODE_CLOSE_OLD], 60);
	assert_int_equal(code.files_with[CODE_CLOSE_OLD], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_termination_is_unguarded_until_it_names_kind_self_and_whom),
		cmocka_unit_test(words_count_where_they_are_used),
		cmocka_unit_test(settings_count_with_their_value),
		cmocka_unit_test(a_stress_test_is_blind_unless_it_looks_at_the_database),
		cmocka_unit_test(examples_are_few_and_counts_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
