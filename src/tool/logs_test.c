#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/text.h"
#include "tool/logs_count.h"
#include "tool/logs_errors.h"

/* Lines as the programs write them (the live tests have the programs themselves write), and what is understood of each. */

static void expect(struct span found, const char *wanted)
{
	char text[200];

	text_copy_span(text, sizeof text, found);
	assert_string_equal(text, wanted);
}

static void every_writer_s_line_is_taken_apart(void **state)
{
	static const struct {
		const char *line;
		enum logs_source source;
		const char *key, *user, *database, *address, *application;
	} rows[] = {
		{ "2026-11-25 10:00:01.123 UTC [77] app@shop FATAL:  sorry, too many clients already", LOGS_POSTGRESQL,
			"too-many-clients", "app", "shop", "", "" },
		{ "2026-11-25 10:00:01 CET [77]: [1-1] user=app,db=shop,app=web,client=10.0.0.7 FATAL:  remaining connection slots are reserved "
		  "for non-replication superuser connections",
			LOGS_POSTGRESQL, "slots-reserved", "app", "shop", "10.0.0.7", "web" },
		{ "FATAL:  password authentication failed for user \"mallory\"", LOGS_POSTGRESQL, "wrong-password",
			"mallory", "", "", "" },
		{ "1764064801.123 [1] FATAL:  no pg_hba.conf entry for host \"10.0.0.9\", user \"a\", database \"b\", no encryption",
			LOGS_POSTGRESQL, "no-hba-entry", "a", "b", "10.0.0.9", "" },
		{ "2026-11-25 10:00:01.123 UTC,\"app\",\"shop\",77,\"10.0.0.7:5123\",6741.4d,1,\"startup\",2026-11-25 10:00:01 "
		  "UTC,3/1,0,FATAL,53300,\"sorry, too many clients already\",,,,,,,,,\"web \"\"x\"\"\",\"client backend\",,0",
			LOGS_POSTGRESQL, "too-many-clients", "app", "shop", "10.0.0.7", "web \"x\"" },
		{ "{\"timestamp\":\"2026-11-25 10:00:01.123 UTC\",\"user\":\"app\",\"dbname\":\"shop\",\"remote_host\":\"10.0.0.7\","
		  "\"error_severity\":\"FATAL\",\"state_code\":\"3D000\",\"message\":\"database \\\"shop\\\" does not exist\"}",
			LOGS_POSTGRESQL, "no-database", "app", "shop", "10.0.0.7", "" },
		{ "2026-11-23 12:46:43.857 UTC [9] WARNING C-0x5617ba7481e0: shop/app@127.0.0.1:44452 pooler error: query_wait_timeout",
			LOGS_PGBOUNCER, "query-wait-timeout", "app", "shop", "127.0.0.1", "" },
		{ "2026-11-23 12:46:43.857 UTC [9] LOG S-0x5617ba7481e0: shop/app@127.0.0.1:5432 closing because: server conn crashed? "
		  "(age=3s)",
			LOGS_PGBOUNCER, "server-lost", "app", "shop", "", "" },
		{ "2026-11-23 12:46:43.857 UTC [9] WARNING C-0.12.3: (nodb)/(nouser)@[::1]:44452 pooler error: no such database: x",
			LOGS_PGWEIR, "no-database", "", "", "::1", "" },
		{ "django.db.utils.OperationalError: connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  sorry, too many "
		  "clients already",
			LOGS_DJANGO, "too-many-clients", "", "", "", "" },
		{ "psycopg.OperationalError: connection failed: Connection refused", LOGS_DJANGO, "refused", "", "", "",
			"" },
		{ "org.postgresql.util.PSQLException: FATAL: sorry, too many clients already", LOGS_APPLICATION,
			"too-many-clients", "", "", "", "" },
		{ "ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds))",
			LOGS_APPLICATION, "pool-exhausted", "", "", "", "" },
		{ "PG::UnableToSend: no connection to the server", LOGS_APPLICATION, "connection-already-closed", "",
			"", "", "" },
		{ "PG::ConnectionBad: PQconsumeInput() server closed the connection unexpectedly", LOGS_APPLICATION,
			"server-lost", "", "", "", "" },
		{ "Error: Connection terminated unexpectedly", LOGS_APPLICATION, "server-lost", "", "", "", "" },
		{ "Error: Connection terminated due to connection timeout", LOGS_APPLICATION, "unreachable", "", "", "",
			"" },
		{ "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full.",
			LOGS_APPLICATION, "pool-exhausted", "", "", "", "" },
		{ "Invalid `prisma.user.findMany()` invocation: Timed out fetching a new connection from the connection pool.",
			LOGS_APPLICATION, "pool-exhausted", "", "", "", "" },
		{ "org.postgresql.util.PSQLException: An I/O error occurred while sending to the backend.",
			LOGS_APPLICATION, "server-lost", "", "", "", "" },
		{ "org.postgresql.util.PSQLException: This connection has been closed.", LOGS_APPLICATION,
			"connection-already-closed", "", "", "", "" },
		{ "2026/11/26 12:00:00 pq: sorry, too many clients already", LOGS_APPLICATION, "too-many-clients", "",
			"", "", "" },
		{ "2026/11/26 12:00:00 dial tcp 127.0.0.1:5432: connect: connection refused", LOGS_APPLICATION,
			"refused", "", "", "", "" },
		{ "2026/11/26 12:00:00 driver: bad connection", LOGS_APPLICATION, "connection-already-closed", "", "",
			"", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct logs_line line;
		char text[600];

		print_message("%s\n", rows[i].line);
		logs_line_read(text, text_copy(text, sizeof text, rows[i].line), 0, &line);
		assert_int_equal(line.source, rows[i].source);
		assert_true(line.error >= 0);
		assert_string_equal(logs_errors[line.error].key, rows[i].key);
		expect(line.user, rows[i].user);
		expect(line.database, rows[i].database);
		expect(line.address, rows[i].address);
		expect(line.application, rows[i].application);
	}
}

static void what_only_quotes_an_error_is_none(void **state)
{
	static const char *const lines[] = {
		"2026-11-25 10:00:01 UTC [7] app@shop STATEMENT:  select 'FATAL:  sorry, too many clients already'",
		"2026-11-25 10:00:01 UTC [7] app@shop LOG:  statement: select 'sorry, too many clients already'",
		"2026-11-25 10:00:01 UTC [7] app@shop DETAIL:  Connection refused",
		"\tsorry, too many clients already",
		"a visitor wrote: sorry, too many clients already",
		"2026-11-23 12:46:43.857 UTC [9] LOG C-0x5617ba7481e0: shop/app@127.0.0.1:44452 login attempt: db=shop user=app tls=no",
		"2026-11-23 12:46:43.857 UTC [9] LOG C-0x5617ba7481e0: shop/app@127.0.0.1:44452 closing because: client close request",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct logs_line line;
		char text[600];

		print_message("%s\n", lines[i]);
		logs_line_read(text, text_copy(text, sizeof text, lines[i]), 0, &line);
		assert_int_equal(line.error, -1);
		assert_false(line.severe);
	}
}

static void times_of_all_forms_are_the_same_moment(void **state)
{
	static const char *const texts[] = { "2026-11-25 10:00:01.5 UTC", "2026-11-25T10:00:01,500Z",
		"2026-11-25 11:00:01.500+01", "[25/Nov/2026 10:00:01.500 +0000]", "x 1795600801.500 y",
		"2026-11-25T05:30:01.500-04:30" };
	time_us when;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		print_message("%s\n", texts[i]);
		assert_true(logs_time_find(span_text(texts[i]), 0, &when));
		assert_int_equal(when, 1795600801500000);
	}
	assert_false(logs_time_find(span_text("2026-13-25 10:00:01"), 0, &when));
	assert_false(logs_time_find(span_text("Nov 25 10:00:01 host"), 0, &when));
}

static void a_time_without_a_year_is_of_the_last_that_fits(void **state)
{
	static const struct {
		const char *latest, *text, *is;
	} cases[] = { { "2026-11-26 12:00:00 UTC", "Nov 25 10:00:01 host postgres[7]: x", "2026-11-25 10:00:01" },
		{ "2026-01-02 12:00:00 UTC", "Dec 31 23:59:59 host", "2025-12-31 23:59:59" },
		{ "2026-11-26 12:00:00 UTC", "Nov  6 10:00:01 host", "2026-11-06 10:00:01" },
		{ "2026-11-26 12:00:00 UTC", "Nov 25 10:00:09 host [3-1] 2026-11-25 10:00:01 UTC",
			"2026-11-25 10:00:01" } };
	static const char *const bad[] = { "Nov 45 10:00:01", "Nov 00 10:00:01", "Nox 25 10:00:01", "Nov 25 24:00:01",
		"Nov 25 10:00" };
	time_us latest, when;
	char shown[24];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_true(logs_time_find(span_text(cases[i].latest), 0, &latest));
		assert_true(logs_time_find(span_text(cases[i].text), latest, &when));
		assert_string_equal(cases[i].is, logs_time_text(shown, when));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(logs_time_find(span_text(bad[i]), latest, &when));
}

static void count_text(struct logs_count *count, const char *line)
{
	char text[600];

	logs_count_line(count, text, text_copy(text, sizeof text, line));
}

static void one_failure_told_twice_is_counted_once(void **state)
{
	struct logs_count *count = logs_count_new(0, 0);
	const struct logs_group *const *groups;

	(void)state;
	count_text(count,
		"2026-11-25 10:00:01 UTC [9] WARNING C-0x1: shop/app@10.0.0.7:1 pooler error: query_wait_timeout");
	count_text(count,
		"2026-11-25 10:00:01 UTC [9] LOG C-0x1: shop/app@10.0.0.7:1 closing because: query_wait_timeout (age=1s)");
	count_text(count, "psycopg2.OperationalError: FATAL:  sorry, too many clients already");
	count_text(count, "The above exception was the direct cause of the following exception:");
	count_text(count, "django.db.utils.OperationalError: FATAL:  sorry, too many clients already");
	count_text(count,
		"2026-11-25 10:00:02 UTC [9] WARNING C-0x2: shop/app@10.0.0.7:1 pooler error: query_wait_timeout");
	assert_int_equal(logs_count_groups(count, &groups), 2);
	assert_int_equal(groups[0]->count, 2);
	assert_string_equal(logs_errors[groups[0]->error].key, "query-wait-timeout");
	assert_int_equal(groups[1]->count, 1);
	logs_count_free(count);
}

static void names_without_number_need_bounded_memory_and_the_frequent_one_stays(void **state)
{
	struct logs_count *count = logs_count_new(0, 0);
	const struct logs_group *const *groups;
	char line[300];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		text_format(line, sizeof line,
			"2026-11-%02d %02d:%02d:01 UTC [1] user=u%d,db=shop FATAL:  sorry, too many clients already",
			1 + i / 1440 % 28, i / 60 % 24, i % 60, i % 3 ? i : 0);
		count_text(count, line);
	}
	for (int i = 0; i < 1000; i++) {
		text_format(line, sizeof line, "FATAL:  unheard of %c%c", 'a' + i / 26 % 26, 'a' + i % 26);
		count_text(count, line);
	}
	assert_int_equal(logs_count_groups(count, &groups), 1 + UNKNOWN_MAX);
	assert_int_equal(groups[0]->count, 20000);
	assert_string_equal(groups[0]->who[WHO_USER].rows[0].text, "u0");
	assert_true(groups[0]->who[WHO_USER].rough);
	assert_true(groups[0]->minutes_used <= MINUTES_MAX);
	assert_true(logs_count_totals(count).unknown_more > 0);
	logs_count_free(count);
}

static void what_is_older_than_asked_for_is_left_out_and_counted(void **state)
{
	struct logs_count *count;
	time_us since;

	(void)state;
	assert_true(logs_time_find(span_text("2026-11-25 10:00:00 UTC"), 0, &since));
	count = logs_count_new(since, 0);
	count_text(count, "FATAL:  sorry, too many clients already");
	count_text(count, "2026-11-25 09:59:59 UTC FATAL:  sorry, too many clients already");
	count_text(count, "2026-11-25 10:00:00 UTC FATAL:  sorry, too many clients already");
	assert_int_equal(logs_count_totals(count).errors, 1);
	assert_int_equal(logs_count_totals(count).older, 1);
	assert_int_equal(logs_count_totals(count).undated, 1);
	logs_count_free(count);
}

static void every_row_of_the_table_can_be_reached(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < logs_errors_count; i++) {
		for (int p = 0; p < LOGS_PATTERNS && logs_errors[i].patterns[p]; p++) {
			char text[200];

			text_copy(text, sizeof text, logs_errors[i].patterns[p]);
			print_message("%s: %s\n", logs_errors[i].key, text);
			assert_int_equal(logs_error_find(span_text(text)), i);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_writer_s_line_is_taken_apart),
		cmocka_unit_test(what_only_quotes_an_error_is_none),
		cmocka_unit_test(times_of_all_forms_are_the_same_moment),
		cmocka_unit_test(a_time_without_a_year_is_of_the_last_that_fits),
		cmocka_unit_test(one_failure_told_twice_is_counted_once),
		cmocka_unit_test(names_without_number_need_bounded_memory_and_the_frequent_one_stays),
		cmocka_unit_test(what_is_older_than_asked_for_is_left_out_and_counted),
		cmocka_unit_test(every_row_of_the_table_can_be_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
