#include "tool/doctor_helper_test.h"

/* What a finding says: how grave it is where, what is counted, what is spared, and what may be copied from it. That each rule finds its
 * fault, and nothing without it, is in doctor_rules_test.c. */

static void an_application_is_counted_by_machine_and_process(void **state)
{
	const struct finding *finding;

	(void)state;
	demand(true);
	finding = look_for("D42");
	assert_non_null(finding);
	assert_string_equal(finding->evidence,
		"It has 6 connections, 0 of them at work: 5 from 10.0.0.7 (2 processes here, 2 of one at most), 1 from 10.0.0.8.");
	assert_non_null(strstr(finding->edit, "max_client_conn  of 15 at least"));
	facts.servers[0].pooled = true;
	assert_null(look_for("D42"));
	doctor_report_fini(&report);
}

static void a_pool_that_postgresql_keeps_small_is_told_who_is_there(void **state)
{
	struct console_pool *pool = console()->pools;

	(void)state;
	pool->clients_waiting = 1;
	pool->servers_active = 1;
	pool->size = 20;
	text_copy(facts.consoles[0].no_room, 300, "No room for more servers at PostgreSQL h:1: others have 22");
	assert_non_null(strstr(look_for("D15")->evidence, "1 client waits, "));
	assert_non_null(strstr(look_for("D15")->evidence, "; 1 server is lent, "));
	assert_non_null(strstr(look_for("D15")->evidence, "others have 22."));
	assert_non_null(strstr(look_for("D15")->edit, "pgweir reap"));
	/* One that has all its servers waits for those. */
	pool->servers_active = 20;
	assert_null(strstr(look_for("D15")->evidence, "others have 22"));
	assert_non_null(strstr(look_for("D15")->edit, "what the lent servers do"));
	doctor_report_fini(&report);
}

static void entries_count_at_the_server_they_lead_to(void **state)
{
	(void)state;
	ini("default_pool_size = 60\n[databases]\nother = host=10.0.0.9\n[pgbouncer]");
	text_copy(server(0)->host, 128, "127.0.0.1");
	text_copy(server(0)->host, 128, "10.0.0.9");
	facts.servers[0].port = facts.servers[1].port = 5432;
	assert_int_equal(look_for("D11")->level, LEVEL_NOTE);
	facts.servers[0].host[0] = 0;
	assert_int_equal(look_for("D11")->level, LEVEL_DANGER);
	doctor_report_fini(&report);
}

/* 0 is no limit, and not a small one. */
static void a_pool_without_a_size_fits_nowhere(void **state)
{
	(void)state;
	ini("default_pool_size = 0\npool_mode = session");
	server(0);
	assert_int_equal(look_for("D11")->level, LEVEL_DANGER);
	assert_non_null(strstr(look_for("D11")->evidence, "No limit says how many servers"));
	assert_non_null(strstr(look_for("D28")->evidence, "as many sessions as there are clients"));
	doctor_report_fini(&report);
}

static void what_each_database_may_have_is_never_said_to_be_none(void **state)
{
	char settings[4000] = "default_pool_size = 2\n[databases]\n";
	size_t n = strlen(settings);

	(void)state;
	for (int i = 0; i < 60; i++)
		n += text_format(settings + n, sizeof settings - n, "tenant_%d = host=127.0.0.1\n", i);
	ini(settings);
	server(0);
	assert_non_null(strstr(look_for("D11")->edit, "max_db_connections = 1 for each database"));
	clear(state);
	for (int i = 60; i < 99; i++)
		n += text_format(settings + n, sizeof settings - n, "tenant_%d = host=127.0.0.1\n", i);
	ini(settings);
	server(0);
	assert_non_null(strstr(look_for("D11")->edit, "Not one server for each database"));
	doctor_report_fini(&report);
}

/* A hint of an application's own pool is a note. Where its visitors were seen to wait, nobody there is served. */
static void a_pool_of_the_application_is_a_danger_where_somebody_waits(void **state)
{
	(void)state;
	named(true);
	facts.consoles[0].leaks[0].not_us = true;
	assert_int_equal(look_for("D41")->level, LEVEL_DANGER);
	assert_null(strstr(look_for("D41")->edit, "REAP"));
	facts.consoles[0].leaks[0].low = true;
	assert_int_equal(look_for("D41")->level, LEVEL_NOTE);
	doctor_report_fini(&report);
}

static void danger_comes_first(void **state)
{
	(void)state;
	app();
	server(95);
	ini("query_wait_timeout = 120");
	look_for("");
	for (size_t i = 1; i < report.count; i++)
		assert_true(report.findings[i - 1].level >= report.findings[i].level);
	assert_int_equal(report.findings[0].level, LEVEL_DANGER);
	assert_int_equal(report.findings[report.count - 1].level, LEVEL_NOTE);
	doctor_report_fini(&report);
}

static void pgweir_takes_what_pgbouncer_refuses(void **state)
{
	(void)state;
	options_refused(true);
	max_client_conn(true);
	facts.files[0].is_pgweir = facts.files[1].is_pgweir = true;
	facts.files[0].config->client_limit_counts = facts.files[1].config->client_limit_counts = LIMIT_BUSY;
	assert_null(look_for("D05"));
	assert_null(look_for("D09"));
	doctor_report_fini(&report);
}

/* It raises its own limit to the hard one, so the 1024 of a service are not what it has. */
static void descriptors_are_those_of_the_programs_own_unit(void **state)
{
	const struct finding *finding;

	(void)state;
	ini("max_client_conn = 2000");
	finding = look_for("D29");
	assert_non_null(finding);
	assert_non_null(strstr(finding->edit, "systemctl edit pgbouncer"));
	facts.files[0].is_pgweir = true;
	assert_null(look_for("D29"));
	facts.files[0].descriptors = 1024;
	finding = look_for("D29");
	assert_non_null(finding);
	assert_non_null(strstr(finding->edit, "systemctl edit pgweir "));
	doctor_report_fini(&report);
}

static void an_application_that_goes_elsewhere_is_warned_and_not_accused(void **state)
{
	(void)state;
	options_refused(true);
	ini("");
	app();
	facts.apps[0].port = facts.apps[1].port = 5432;
	assert_int_equal(look_for("D05")->level, LEVEL_WARNING);
	assert_int_equal(look_for("D13")->level, LEVEL_WARNING);
	doctor_report_fini(&report);
}

static void a_deploy_and_a_pool_at_rest_are_no_leak(void **state)
{
	struct server_facts *s = server(40);

	(void)state;
	/* The old processes' pools, and ten minutes later the new ones'. */
	for (int i = 0; i < 40; i++)
		leak(&s->sessions[i], i < 20 ? 0 : 600);
	assert_null(look_for("D03"));
	doctor_report_fini(&report);
}

static void a_session_that_is_used_again_is_no_leak(void **state)
{
	(void)state;
	leaked(true);
	for (size_t i = 0; i < 9; i++)
		facts.servers[0].sessions[i].last_change = 900 * SECOND_US;
	assert_null(look_for("D03"));
	doctor_report_fini(&report);
}

static void siblings_that_work_are_no_idle_ones(void **state)
{
	struct server_facts *s = server(8);

	(void)state;
	for (int i = 0; i < 8; i++) {
		leak(&s->sessions[i], i < 3 ? 0 : 10 + 2 * i);
		if (i < 3)
			text_copy(s->sessions[i].state, sizeof s->sessions[i].state, "active");
	}
	assert_null(look_for("D03"));
	doctor_report_fini(&report);
}

static void what_is_copied_from_the_report_is_quoted(void **state)
{
	char out[64], tiny[8];

	(void)state;
	assert_string_equal(sql_name("app", out, sizeof out), "app");
	assert_string_equal(sql_name("a\"; DROP", out, sizeof out), "\"a\"\"; DROP\"");
	assert_string_equal(sql_text("it's", out, sizeof out), "'it''s'");
	assert_string_equal(shell_word("postgresql://u@h:1/d", out, sizeof out), "postgresql://u@h:1/d");
	assert_string_equal(shell_word("a'$(reboot)", out, sizeof out), "'a'\\''$(reboot)'");
	assert_string_equal(sql_name("LONG NAME", tiny, sizeof tiny), "\"LONG\"");
}

static void the_figures_of_need_are_those_of_the_formula(void **state)
{
	struct server_facts *s = server(30);
	const struct finding *finding;

	(void)state;
	s->samples = 10;
	s->seconds = 2;
	s->active = 1;
	s->in_transaction = 8;
	/* 9 + 2 x 3 = 15 are needed; 1 + 2 x 1 = 3 would be. */
	finding = look_for("D23");
	assert_non_null(strstr(finding->evidence, "You use 30 connections. You need about 15"));
	assert_non_null(strstr(finding->evidence, "You would need about 3 if"));
	assert_int_equal(server_usable(s), 100 - 3 - 10);
	doctor_report_fini(&report);
	s->session_count = 1;
	assert_non_null(strstr(look_for("D23")->evidence, "You use 1 connection. You need"));
	doctor_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_application_is_counted_by_machine_and_process, clear),
		cmocka_unit_test_teardown(a_pool_that_postgresql_keeps_small_is_told_who_is_there, clear),
		cmocka_unit_test_teardown(entries_count_at_the_server_they_lead_to, clear),
		cmocka_unit_test_teardown(a_pool_without_a_size_fits_nowhere, clear),
		cmocka_unit_test_teardown(what_each_database_may_have_is_never_said_to_be_none, clear),
		cmocka_unit_test_teardown(a_pool_of_the_application_is_a_danger_where_somebody_waits, clear),
		cmocka_unit_test_teardown(danger_comes_first, clear),
		cmocka_unit_test_teardown(pgweir_takes_what_pgbouncer_refuses, clear),
		cmocka_unit_test_teardown(descriptors_are_those_of_the_programs_own_unit, clear),
		cmocka_unit_test_teardown(an_application_that_goes_elsewhere_is_warned_and_not_accused, clear),
		cmocka_unit_test_teardown(a_deploy_and_a_pool_at_rest_are_no_leak, clear),
		cmocka_unit_test_teardown(a_session_that_is_used_again_is_no_leak, clear),
		cmocka_unit_test_teardown(siblings_that_work_are_no_idle_ones, clear),
		cmocka_unit_test(what_is_copied_from_the_report_is_quoted),
		cmocka_unit_test_teardown(the_figures_of_need_are_those_of_the_formula, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
