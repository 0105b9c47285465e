#include "tool/doctor_helper_test.h"

/* Each rule with facts in which it finds something, and with nearly the same facts in which it must keep still. What more is to be said of a
 * finding is in doctor_findings_test.c. */

static void sign(enum code_sign what, unsigned count)
{
	facts.code.counts[what] = count;
	facts.code.files_with[what] = 1;
	facts.code.examples[what][0] = (struct code_example){ .file = "a.py", .line = 1, .text = "text" };
}

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

static void open_secrets(bool bad)
{
	text_copy(ini("")->for_all, 600, bad ? "/etc/pgbouncer/userlist.txt" : "");
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
	{ "D50", open_secrets, LEVEL_WARNING },
	{ "D45", standby_among, LEVEL_DANGER },
	{ "D46", no_host_suits, LEVEL_DANGER },
	{ "D47", host_missing, LEVEL_WARNING },
	{ "D48", two_primaries, LEVEL_DANGER },
	{ "D49", slow_to_leave, LEVEL_NOTE },
};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_rule_finds_its_fault_and_keeps_still_without_it, clear),
		cmocka_unit_test(numbers_and_names_are_given_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
