#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "tool/doctor_rules.h"

/* Each rule with facts in which it finds something, and with nearly the same facts in which it must keep still. */

static struct doctor_facts facts;
static struct doctor_report report;

static int clear(void **state)
{
	(void)state;
	doctor_facts_fini(&facts);
	memset(&facts, 0, sizeof facts);
	return 0;
}

/* ---- facts ---- */

static struct app_database *app(void)
{
	struct app_database *a = &facts.apps[facts.app_count++];

	*a = (struct app_database){
		.source = "settings.py", .alias = "default", .line = 5, .port = 6432, .django = true, .user = "app"
	};
	return a;
}

static struct pooler_file *ini(const char *more)
{
	struct pooler_file *file = &facts.files[facts.file_count++];
	char text[600], error[300];
	struct config_source source = { .file = "pgbouncer.ini", .manner = MANNER_PGBOUNCER };

	text_format(text, sizeof text,
		"[databases]\nshop = host=127.0.0.1\n[pgbouncer]\nlisten_port = 6432\npool_mode = transaction\n%s\n",
		more);
	source.text = span_text(text);
	*file = (struct pooler_file){ .path = "pgbouncer.ini" };
	file->config = config_parse(&source, error, sizeof error);
	if (!file->config)
		fail_msg("%s", error);
	return file;
}

static struct server_facts *server(size_t sessions)
{
	struct server_facts *s = &facts.servers[facts.server_count++];

	*s = (struct server_facts){ .name = "postgresql://h/d",
		.reached = true,
		.sees_all = true,
		.version = 150004,
		.max_connections = 100,
		.superuser_reserved = 3,
		.keepalives_idle = 30,
		.client_check_interval = SECOND_US,
		.statement_timeout = SECOND_US,
		.idle_in_transaction_timeout = SECOND_US,
		.scram = true,
		.session_count = sessions };
	s->sessions = calloc(sessions + 1, sizeof *s->sessions);
	for (size_t i = 0; i < sessions; i++) {
		s->sessions[i] = (struct session){ .pid = (int)i + 100,
			.user = "app",
			.database = "shop",
			.application = "web",
			.address = "10.0.0.7",
			.state = "idle",
			.query = "SELECT ?",
			.age = 3600 * SECOND_US,
			.query_age = SECOND_US,
			.transaction_age = -1,
			.state_age = SECOND_US,
			.birth = SECOND_US,
			.last_change = 3600 * SECOND_US };
	}
	return s;
}

static struct console_facts *console(void)
{
	struct console_facts *c = &facts.consoles[facts.console_count++];

	*c = (struct console_facts){ .name = "postgresql://h:6432/pgbouncer",
		.reached = true,
		.transaction = true,
		.port = 6432,
		.max_client_conn = 1000,
		.clients = 10 };
	c->pools = calloc(1, sizeof *c->pools);
	c->pool_count = 1;
	c->pools[0] = (struct console_pool){ .database = "shop",
		.user = "app",
		.mode = "transaction",
		.servers_active = 2,
		.servers_idle = 3,
		.clients_active = 8,
		.size = 5,
		.reserve = 0 };
	return c;
}

/* A session that lives since `birth` seconds and has been idle since one second after. */
static void leak(struct session *s, int birth)
{
	s->birth = birth * SECOND_US;
	s->last_change = s->birth + SECOND_US;
	s->age = (1000 - birth) * SECOND_US;
	s->state_age = s->query_age = s->age - SECOND_US;
}

static void sign(enum code_sign what, unsigned count)
{
	facts.code.counts[what] = count;
	facts.code.files_with[what] = 1;
	facts.code.examples[what][0] = (struct code_example){ .file = "a.py", .line = 1, .text = "text" };
}

/* ---- each rule, with something to find (bad) and without ---- */

static void full(bool bad)
{
	server(0)->full = bad;
}
static void pooler_full(bool bad)
{
	console()->full = bad;
}

static void watched(bool bad)
{
	facts.leak_count = bad;
	text_copy(facts.leaks[0].origin, sizeof facts.leaks[0].origin, "web of app@shop from 10.0.0.7");
	facts.leaks[0].leak = (struct leak){ .pattern = leak_pattern_of("L1"), .confidence = 90, .evidence = "so" };
}

static void named(bool bad)
{
	struct console_facts *c = console();

	c->leaks = calloc(1, sizeof *c->leaks);
	c->leak_count = bad;
	text_copy(c->leaks[0].origin, sizeof c->leaks[0].origin, "web of app@shop from 10.0.0.7");
	text_copy(c->leaks[0].pattern, sizeof c->leaks[0].pattern, "L9");
	text_copy(c->leaks[0].cure, sizeof c->leaks[0].cure, "Use a short session.");
}

static void demand(bool bad)
{
	struct session *s = server(bad ? 6 : 4)->sessions;

	s[0].process = s[1].process = 10;
	s[2].process = 11;
	text_copy(s[3].address, sizeof s[3].address, "10.0.0.8");
}

/* Nine sessions born 10 s apart, each used once; else all born at once, as a pool is. */
static void leaked(bool bad)
{
	struct server_facts *s = server(9);

	for (int i = 0; i < 9; i++)
		leak(&s->sessions[i], bad ? 10 * i : 0);
}

static void persistent(bool bad)
{
	struct app_database *a = app();

	a->asgi = ANSWER_YES;
	a->max_age_set = true;
	a->max_age = bad ? 300 : 0;
}

static void options_refused(bool bad)
{
	ini("");
	text_copy(app()->options, 100, bad ? "-c statement_timeout=30000" : "-c TimeZone=UTC");
}

static void options_dropped(bool bad)
{
	ini(bad ? "ignore_startup_parameters = extra_float_digits, options"
		: "ignore_startup_parameters = extra_float_digits");
	text_copy(app()->options, 100, "-c statement_timeout=30000");
}

static void in_transaction(bool bad)
{
	struct session *s = server(1)->sessions;

	text_copy(s->state, sizeof s->state, "idle in transaction");
	s->state_age = (bad ? 90 : 2) * SECOND_US;
}

static void near_limit(bool bad)
{
	server(bad ? 95 : 40);
}

static void max_client_conn(bool bad)
{
	persistent(true);
	ini(bad ? "max_client_conn = 100" : "max_client_conn = 5000");
}

static void clients_near_limit(bool bad)
{
	console()->clients = bad ? 900 : 500;
}

static void pools_exceed(bool bad)
{
	ini(bad ? "default_pool_size = 80\nreserve_pool_size = 20" : "default_pool_size = 20");
	server(0);
}

static void md5(bool bad)
{
	struct pooler_file *file = ini("auth_type = md5");

	file->secrets_read = true;
	file->secrets_md5 = bad;
	file->secrets_plain = !bad;
	server(0);
}

static void cursors(bool bad)
{
	ini("");
	app()->no_server_side_cursors = !bad;
}

static void kill_idle(bool bad)
{
	sign(CODE_KILL_IDLE, bad);
}

static void clients_wait(bool bad)
{
	struct console_pool *pool = console()->pools;

	pool->clients_waiting = bad ? 3 : 0;
	pool->max_wait = 5 * SECOND_US;
}

/* Two backends of the pooler's address, of which the console knows one or both. */
static void abandoned(bool bad)
{
	struct session *s = server(2)->sessions;
	struct console_facts *c = console();

	for (int i = 0; i < 2; i++) {
		text_copy(s[i].state, sizeof s[i].state, "active");
		s[i].query_age = 20 * SECOND_US;
	}
	c->server_pids = calloc(2, sizeof(int));
	c->server_pids[0] = 100;
	c->server_pids[1] = 101;
	c->server_pid_count = bad ? 1 : 2;
}

static void advisory(bool bad)
{
	struct session *s = server(1)->sessions;

	s->locks_advisory = true;
	s->state_age = (bad ? 60 : 1) * SECOND_US;
}

static void silent(bool bad)
{
	struct server_facts *s = server(4);

	for (int i = 0; i < 4; i++)
		s->sessions[i].query_age = bad ? -1 : SECOND_US;
}

static void listeners(bool bad)
{
	struct server_facts *s = server(6);

	for (int i = 0; i < (bad ? 6 : 2); i++)
		text_copy(s->sessions[i].query, 100, "LISTEN news");
}

static void prepared(bool bad)
{
	struct server_facts *s = server(0);

	s->prepared_transactions = 1;
	s->oldest_prepared = (bad ? 600 : 5) * SECOND_US;
}

static void superuser(bool bad)
{
	struct server_facts *s = server(4);

	for (int i = 0; i < 4; i++)
		s->sessions[i].superuser = bad;
}

static void pool_and_age(bool bad)
{
	persistent(true);
	facts.apps[0].pool = bad;
}

static void need(bool bad)
{
	struct server_facts *s = server(bad ? 40 : 0);

	s->samples = 20;
	s->seconds = 2;
	s->active = 0.5;
}

static void deadlock(bool bad)
{
	ini("default_pool_size = 20");
	facts.tasks = bad ? 20 : 19;
	facts.held = 2;
}

static void threads(bool bad)
{
	sign(CODE_THREAD, bad);
}
static void transaction_guard(bool bad)
{
	server(0)->idle_in_transaction_timeout = bad ? 0 : 60 * SECOND_US;
}
static void ladder(bool bad)
{
	ini(bad ? "query_wait_timeout = 120" : "query_wait_timeout = 8");
}
static void session_mode(bool bad)
{
	ini(bad ? "pool_mode = session" : "");
}
static void descriptors(bool bad)
{
	ini("max_client_conn = 5000")->descriptors = bad ? 1024 : 65536;
}
static void raised(bool bad)
{
	sign(CODE_RAISE_MAX, bad);
}

static void too_large(bool bad)
{
	facts.cores = 4;
	ini(bad ? "default_pool_size = 20" : "default_pool_size = 9");
}

static void one_address(bool bad)
{
	struct server_facts *s = server(60);

	for (int i = 0; !bad && i < 30; i++)
		text_copy(s->sessions[i].address, 20, "10.0.0.8");
}

static void dead_peers(bool bad)
{
	server(0)->keepalives_idle = bad ? 7200 : 60;
}
static void statement_guard(bool bad)
{
	server(0)->statement_timeout = bad ? 0 : SECOND_US;
}
static void close_old(bool bad)
{
	sign(CODE_CLOSE_OLD, bad);
}
static void blind(bool bad)
{
	sign(CODE_BLIND_STRESS, bad);
}
static void sync_to_async(bool bad)
{
	sign(CODE_SYNC_TO_ASYNC, bad);
}

static void health(bool bad)
{
	persistent(true);
	facts.apps[0].health_checks_set = bad;
}

static void unnamed(bool bad)
{
	if (bad)
		app();
	else
		text_copy(app()->application_name, 10, "web");
}

static void open_door(bool bad)
{
	ini(bad ? "auth_type = trust\nlisten_addr = 127.0.0.1, 0.0.0.0"
		: "auth_type = trust\nlisten_addr = 127.0.0.1, ::1");
}

static void limit_below_pool(bool bad)
{
	struct server_facts *s = server(0);

	ini("default_pool_size = 20\nreserve_pool_size = 5");
	text_copy(s->user, sizeof s->user, "app");
	text_copy(s->database, sizeof s->database, "shop");
	s->role_limit = bad ? 24 : 25;
}

/* The first host and the second, as they were found. */
static void hosts(enum doctor_answer first, enum doctor_answer second)
{
	ini("server_connect_timeout = 3\n[databases]\nwide = host=db1,db2\n[pgbouncer]");
	for (int i = 0; i < 2; i++) {
		struct server_facts *s = server(0);

		text_copy(s->host, sizeof s->host, i ? "db2" : "db1");
		s->port = 5432;
		s->in_recovery = i ? second : first;
		s->read_only = ANSWER_NO;
		s->reached = s->in_recovery != ANSWER_UNKNOWN;
	}
}

static void standby_among(bool bad)
{
	hosts(ANSWER_NO, bad ? ANSWER_YES : ANSWER_NO);
}

static void no_host_suits(bool bad)
{
	hosts(ANSWER_NO, ANSWER_NO);
	facts.files[0].config->databases[1].target = bad ? TARGET_STANDBY : TARGET_PREFER_STANDBY;
}

static void host_missing(bool bad)
{
	hosts(bad ? ANSWER_UNKNOWN : ANSWER_NO, ANSWER_NO);
}

static void two_primaries(bool bad)
{
	hosts(ANSWER_NO, bad ? ANSWER_NO : ANSWER_YES);
	facts.files[0].config->databases[1].target = TARGET_PRIMARY;
}

static void slow_to_leave(bool bad)
{
	hosts(ANSWER_NO, ANSWER_NO);
	facts.files[0].config->server_connect_timeout = bad ? 15 * SECOND_US : 3 * SECOND_US;
}

static const struct {
	const char *number;
	void (*make)(bool bad);
	enum finding_level level;
} cases[] = {
	{ "D01", full, LEVEL_DANGER },
	{ "D02", pooler_full, LEVEL_DANGER },
	{ "D03", leaked, LEVEL_WARNING },
	{ "D04", persistent, LEVEL_DANGER },
	{ "D05", options_refused, LEVEL_DANGER },
	{ "D06", options_dropped, LEVEL_DANGER },
	{ "D07", in_transaction, LEVEL_DANGER },
	{ "D08", near_limit, LEVEL_DANGER },
	{ "D09", max_client_conn, LEVEL_DANGER },
	{ "D10", clients_near_limit, LEVEL_DANGER },
	{ "D11", pools_exceed, LEVEL_DANGER },
	{ "D12", md5, LEVEL_DANGER },
	{ "D13", cursors, LEVEL_DANGER },
	{ "D14", kill_idle, LEVEL_DANGER },
	{ "D15", clients_wait, LEVEL_DANGER },
	{ "D16", abandoned, LEVEL_DANGER },
	{ "D17", advisory, LEVEL_WARNING },
	{ "D18", silent, LEVEL_WARNING },
	{ "D19", listeners, LEVEL_WARNING },
	{ "D20", prepared, LEVEL_WARNING },
	{ "D21", superuser, LEVEL_WARNING },
	{ "D22", pool_and_age, LEVEL_DANGER },
	{ "D23", need, LEVEL_WARNING },
	{ "D24", deadlock, LEVEL_WARNING },
	{ "D25", threads, LEVEL_WARNING },
	{ "D26", transaction_guard, LEVEL_WARNING },
	{ "D27", ladder, LEVEL_WARNING },
	{ "D28", session_mode, LEVEL_WARNING },
	{ "D29", descriptors, LEVEL_DANGER },
	{ "D30", raised, LEVEL_WARNING },
	{ "D31", too_large, LEVEL_NOTE },
	{ "D32", one_address, LEVEL_WARNING },
	{ "D33", dead_peers, LEVEL_NOTE },
	{ "D34", statement_guard, LEVEL_NOTE },
	{ "D35", close_old, LEVEL_NOTE },
	{ "D36", blind, LEVEL_WARNING },
	{ "D37", sync_to_async, LEVEL_NOTE },
	{ "D38", health, LEVEL_NOTE },
	{ "D39", unnamed, LEVEL_NOTE },
	{ "D40", watched, LEVEL_DANGER },
	{ "D41", named, LEVEL_DANGER },
	{ "D42", demand, LEVEL_NOTE },
	{ "D43", limit_below_pool, LEVEL_WARNING },
	{ "D44", open_door, LEVEL_DANGER },
	{ "D45", standby_among, LEVEL_DANGER },
	{ "D46", no_host_suits, LEVEL_DANGER },
	{ "D47", host_missing, LEVEL_WARNING },
	{ "D48", two_primaries, LEVEL_DANGER },
	{ "D49", slow_to_leave, LEVEL_NOTE },
};

static const struct finding *look_for(const char *number)
{
	doctor_report_fini(&report);
	doctor_look(&facts, &report);
	for (size_t i = 0; i < report.count; i++) {
		if (strcmp(report.findings[i].rule->number, number) == 0)
			return &report.findings[i];
	}
	return NULL;
}

static void each_rule_finds_its_fault_and_keeps_still_without_it(void **state)
{
	const struct finding *finding;

	assert_int_equal(sizeof cases / sizeof *cases, doctor_rules_count);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		clear(state);
		cases[i].make(true);
		finding = look_for(cases[i].number);
		if (!finding)
			fail_msg("%s finds nothing", cases[i].number);
		if (finding->level != cases[i].level)
			fail_msg("%s is a %s", cases[i].number, level_name(finding->level));
		if (!*finding->subject || !*finding->evidence || !*finding->edit)
			fail_msg("%s says too little", cases[i].number);
		clear(state);
		cases[i].make(false);
		finding = look_for(cases[i].number);
		if (finding && finding->level != LEVEL_NOTE)
			fail_msg("%s finds something where there is nothing: %s", cases[i].number, finding->evidence);
		if (finding && strcmp(cases[i].number, "D11") != 0)
			fail_msg("%s has a word to say where there is nothing: %s", cases[i].number, finding->evidence);
	}
	doctor_report_fini(&report);
}

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
	unnamed(true);
	near_limit(true);
	ladder(true);
	look_for("");
	for (size_t i = 1; i < report.count; i++)
		assert_true(report.findings[i - 1].level >= report.findings[i].level);
	assert_int_equal(report.findings[0].level, LEVEL_DANGER);
	assert_int_equal(report.findings[report.count - 1].level, LEVEL_NOTE);
	doctor_report_fini(&report);
}

static void numbers_and_names_are_given_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < doctor_rules_count; i++) {
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(doctor_rules[i].number, doctor_rules[j].number);
			assert_string_not_equal(doctor_rules[i].name, doctor_rules[j].name);
		}
	}
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
	cursors(true);
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_rule_finds_its_fault_and_keeps_still_without_it, clear),
		cmocka_unit_test_teardown(an_application_is_counted_by_machine_and_process, clear),
		cmocka_unit_test_teardown(entries_count_at_the_server_they_lead_to, clear),
		cmocka_unit_test_teardown(a_pool_of_the_application_is_a_danger_where_somebody_waits, clear),
		cmocka_unit_test_teardown(danger_comes_first, clear),
		cmocka_unit_test(numbers_and_names_are_given_once),
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
