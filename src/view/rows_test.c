/* SHOW as rows: every column of every SHOW, compared with PgBouncer's as they were seen in a run of it: the lists below were not made
 * from the tables under test. Then the SHOWs about the process itself. */
#include "view/rows_helper_test.h"

#define LINE \
	"type:25 user:25 database:25 replication:25 state:25 addr:25 port:23 local_addr:25 local_port:23 connect_time:25 " \
	"request_time:25 wait:23 wait_us:23 close_needed:23 ptr:25 link:25 remote_pid:23 tls:25 application_name:25 " \
	"prepared_statements:23 id:23"
#define SOCKET LINE " recv_pos:23 pkt_pos:23 pkt_remain:23 send_pos:23 send_remain:23 pkt_avail:23 send_avail:23"
#define FIRST_SUMS \
	"database:25 server_assignment_count:1700 xact_count:1700 query_count:1700 bytes_received:1700 bytes_sent:1700 " \
	"xact_time:1700 query_time:1700 wait_time:1700 "

/* The only differences: the last ten columns of POOLS are ours, and PgBouncer 1.25 does not count logins yet. */
static const struct expectation {
	const char *word, *columns;
	unsigned parts;
} expectations[] = {
	{ "clients", LINE, PART_CLIENTS },
	{ "servers", LINE, PART_SERVERS },
	{ "sockets", SOCKET, PART_CLIENTS | PART_SERVERS },
	{ "active_sockets", SOCKET, PART_CLIENTS | PART_SERVERS },
	{ "pools",
		"database:25 user:25 cl_active:23 cl_waiting:23 cl_active_cancel_req:23 cl_waiting_cancel_req:23 "
		"sv_active:23 sv_active_cancel:23 sv_being_canceled:23 sv_idle:23 sv_used:23 sv_tested:23 sv_login:23 "
		"maxwait:23 maxwait_us:23 pool_mode:25 load_balance_hosts:25 sv_closing:23 sv_moving:23 sv_orphaned:23 "
		"cl_total:23 oldest_lease_us:20 median_lease_us:20 failing:25 total_questions:20 total_pins:20 pool_size:23",
		PART_POOLS | PART_STATS },
	{ "peers", "peer_id:23 host:25 port:23 pool_size:23", 0 },
	{ "peer_pools", "peer_id:23 cl_active_cancel_req:23 cl_waiting_cancel_req:23 sv_active_cancel:23 sv_login:23",
		0 },
	{ "dns_hosts", "hostname:25 ttl:20 addrs:25", 0 },
	{ "dns_zones", "zonename:25 serial:20 count:23", 0 },
	{ "budget",
		"host:25 port:23 max_connections:23 reserved:23 usable:23 ours:23 lent:23 idle:23 dialing:23 cleaning:23 "
		"moving:23 closing:23 orphaned:23 monitor:23 others:23 free:23 target:23 orphans:23 cl_waiting:23 "
		"full_since:25 state:25 problem:25 age_us:20 limits:25 others_by:25 listeners:23 visitors:23",
		0 },
	{ "databases",
		"name:25 host:25 port:23 database:25 force_user:25 pool_size:23 min_pool_size:23 reserve_pool_size:23 "
		"server_lifetime:23 pool_mode:25 load_balance_hosts:25 max_connections:23 current_connections:23 "
		"max_client_connections:23 current_client_connections:23 paused:23 disabled:23",
		PART_POOLS },
	{ "users",
		"name:25 pool_size:25 reserve_pool_size:25 pool_mode:25 max_user_connections:23 current_connections:23 "
		"max_user_client_connections:23 current_client_connections:23",
		PART_POOLS },
	{ "lists", "list:25 items:23", PART_POOLS },
	{ "stats",
		"database:25 total_server_assignment_count:1700 total_xact_count:1700 total_query_count:1700 "
		"total_received:1700 total_sent:1700 total_xact_time:1700 total_query_time:1700 total_wait_time:1700 "
		"total_client_parse_count:1700 total_server_parse_count:1700 total_bind_count:1700 "
		"total_client_login_count:1700 avg_server_assignment_count:1700 avg_xact_count:1700 "
		"avg_query_count:1700 avg_recv:1700 avg_sent:1700 avg_xact_time:1700 avg_query_time:1700 "
		"avg_wait_time:1700 avg_client_parse_count:1700 avg_server_parse_count:1700 avg_bind_count:1700 "
		"avg_client_login_count:1700",
		PART_STATS },
	{ "stats_totals",
		FIRST_SUMS "client_parse_count:1700 server_parse_count:1700 bind_count:1700 client_login_count:1700",
		PART_STATS },
	{ "stats_averages",
		FIRST_SUMS "avg_client_parse_count:1700 avg_server_parse_count:1700 avg_bind_count:1700 "
			   "avg_client_login_count:1700",
		PART_STATS },
	{ "totals", "name:25 value:1700", PART_STATS },
	{ "config", "key:25 value:25 default:25 changeable:25", 0 },
	{ "state", "key:25 value:25", 0 },
	{ "mem", "name:25 size:23 used:23 free:23 memtotal:23", 0 },
	{ "version", "version:25", 0 },
	/* Ours alone. */
	{ "leaks",
		"id:23 pattern:25 name:25 family:25 confidence:23 severity:25 user:25 database:25 application_name:25 address:25 "
		"origin:23 evidence:25 clients:23 servers:23 oldest:1700 growth_per_minute:1700 exhausted_in:1700 since:25 "
		"ended:25 route:25 statement:25 cure:25",
		PART_LEAKS },
	{ "leases",
		"client:23 server:23 user:25 database:25 application_name:25 addr:25 port:23 origin:23 remote_pid:23 state:25 "
		"age:1700 in_state:1700 transaction_age:1700 waiting:23 first_statement:25 statement:25 route:25 trace_id:25 "
		"pin:25 waiters:25",
		PART_LEASES | PART_POOLS },
	{ "ledger",
		"client:23 user:25 database:25 application_name:25 addr:25 port:23 origin:23 state:25 connect_time:25 age:1700 "
		"rest:1700 bursts:23 transactions:23 waiting_time:1700 executing_time:1700 in_transaction_time:1700 "
		"sending_time:1700 received:20 sent:20 first_statement:25 last_statement:25 no_reap:25 parked_time:1700",
		PART_LEDGER },
	{ "origins",
		"id:23 user:25 database:25 application_name:25 address:25 driver:25 process:25 process_id:23 clients:23 parked:23 "
		"waiting:23 lent:23 quiet:23 silent:23 once:23 in_transaction:23 holding:23 unread:23 logins:20 logouts:20 "
		"logins_while_quiet:20 reused:20 transactions:20 cancels:20 abandoned:20 dead_peers:20 executing_time:1700 "
		"in_transaction_time:1700 oldest_quiet:1700 oldest_hold:1700 median_rest:1700 median_life:1700 route:25 "
		"statement:25 protected:25 weight:23 parked_time:1700 waiting_time:1700 sending_time:1700 received:20 sent:20 "
		"at_door:23",
		PART_LEAKS },
	{ "breakdowns",
		"origin:23 user:25 database:25 application_name:25 address:25 by:25 value:25 clients:23 quiet:23 "
		"in_transaction:23 holding:23 transactions:20 executing_time:1700 in_transaction_time:1700 oldest_quiet:1700 "
		"oldest_hold:1700 trace_id:25",
		PART_LEAKS },
	{ "pins",
		"client:23 server:23 user:25 database:25 application_name:25 origin:23 reason:25 age:1700 statement:25",
		PART_LEASES | PART_POOLS },
	{ "reaps",
		"at:25 client:23 origin:23 pattern:25 user:25 database:25 application_name:25 addr:25 port:23 idle:1700 "
		"outcome:25 reason:25 by_hand:25 statement:25",
		PART_LEAKS },
};
#define EXPECTATIONS (sizeof expectations / sizeof *expectations)

static void every_show_has_pgbouncers_columns_in_its_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXPECTATIONS; i++) {
		show(expectations[i].word);
		assert_string_equal(answer.columns, expectations[i].columns);
	}
}

/* What PgBouncer has not is taken out of what it has; a SHOW that is ours alone stays whole. */
static void without_ours_a_show_has_the_columns_of_pgbouncer_alone(void **state)
{
	static const char of_pools[] = " sv_closing:23 sv_moving:23 sv_orphaned:23 cl_total:23 oldest_lease_us:20 "
				       "median_lease_us:20 failing:25 total_questions:20 total_pins:20 pool_size:23";
	static const char *const ours[] = { of_pools, " total_client_login_count:1700", " avg_client_login_count:1700",
		" client_login_count:1700" };
	char wanted[4096];

	(void)state;
	assert_non_null(snapshot_pool(snapshot));
	assert_non_null(snapshot_stats(snapshot, "shop"));
	for (size_t i = 0; i < EXPECTATIONS; i++) {
		text_copy(wanted, sizeof wanted, expectations[i].columns);
		for (size_t j = 0; j < sizeof ours / sizeof *ours; j++) {
			char *at = strstr(wanted, ours[j]);

			if (at)
				memmove(at, at + strlen(ours[j]), strlen(at + strlen(ours[j])) + 1);
		}
		show_by(rows_show_bouncers, expectations[i].word);
		assert_string_equal(answer.columns, wanted);
	}
	show_by(rows_show_bouncers, "totals");
	assert_int_equal(answer.row_count, 22);
	assert_string_equal(line(10), "total_ps_bind_count|0");
	assert_string_equal(line(11), "avg_server_assignment_count|0");
}

static void a_show_knows_which_parts_it_reads(void **state)
{
	unsigned parts;

	(void)state;
	for (size_t i = 0; i < EXPECTATIONS; i++) {
		assert_true(rows_known(expectations[i].word, &parts));
		assert_int_equal(parts, expectations[i].parts);
		assert_true(rows_known(expectations[i].word, NULL));
	}
}

static void what_there_is_not_is_not_known(void **state)
{
	static const char *const none[] = { "", "help", "CLIENTS", "client", "clientss", "fds", "default_pool_size" };
	unsigned parts;

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_false(rows_known(none[i], &parts));
}

static void the_names_are_those_of_the_shows_and_help(void **state)
{
	const char *const *names = rows_names();
	bool help = false;
	size_t known = 0;

	(void)state;
	for (; *names; names++) {
		if (rows_known(*names, NULL))
			known++;
		else
			help = strcmp(*names, "help") == 0;
	}
	assert_true(help);
	assert_int_equal(known, EXPECTATIONS);
	assert_string_equal(text_nearest("clints", rows_names()), "clients");
}

static void lists_counts_what_there_is(void **state)
{
	static const char *const lines[] = { "databases|2", "users|3", "peers|3", "pools|1", "peer_pools|2",
		"free_clients|0", "used_clients|40", "login_clients|5", "free_servers|0", "used_servers|6",
		"dns_names|2", "dns_zones|1", "dns_queries|8", "dns_pending|0" };
	bool is_new;

	(void)state;
	assert_non_null(snapshot_database(snapshot));
	assert_non_null(snapshot_pool(snapshot));
	for (int i = 0; i < 6; i++)
		assert_non_null(snapshot_user(snapshot, (const char *[]){ "a", "b", "c" }[i % 3], &is_new));
	snapshot->peer_count = 3;
	snapshot->peer_pool_count = 2;
	snapshot->clients_total = 40;
	snapshot->clients_login = 5;
	snapshot->servers_total = 6;
	snapshot->dns_hosts = calloc(2, sizeof *snapshot->dns_hosts);
	snapshot->dns_zones = calloc(1, sizeof *snapshot->dns_zones);
	assert_true(snapshot->dns_hosts && snapshot->dns_zones);
	snapshot->dns_host_count = 2;
	snapshot->dns_zone_count = 1;
	snapshot->names_pending = 8;
	show("lists");
	assert_int_equal(answer.row_count, sizeof lines / sizeof *lines);
	for (size_t i = 0; i < answer.row_count; i++)
		assert_string_equal(line(i), lines[i]);
}

static void under_pgbouncers_name_the_console_is_a_pool_too(void **state)
{
	(void)state;
	snapshot->pgbouncer = true;
	snapshot->consoles = 3;
	snapshot->commands = 17;
	show("pools");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(cell(0, "database"), "pgbouncer");
	assert_string_equal(cell(0, "user"), "pgbouncer");
	assert_string_equal(cell(0, "cl_active"), "3");
	assert_string_equal(cell(0, "pool_mode"), "statement");
	show("stats");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(cell(0, "total_query_count"), "17");
	assert_string_equal(cell(0, "total_received"), "0");
	show("stats_totals");
	assert_string_equal(cell(0, "xact_count"), "17");
	show("users");
	assert_string_equal(cell(0, "name"), "pgbouncer");
	show("lists");
	assert_string_equal(line(1), "users|1");
	assert_string_equal(line(3), "pools|1");
}

static void what_is_paused_is_not_active(void **state)
{
	(void)state;
	show("state");
	assert_int_equal(answer.row_count, 3);
	assert_string_equal(line(0), "active|yes");
	assert_string_equal(line(1), "paused|no");
	assert_string_equal(line(2), "suspended|no");
	snapshot->paused = true;
	show("state");
	assert_string_equal(line(0), "active|no");
	assert_string_equal(line(1), "paused|yes");
	snapshot->paused = false;
	snapshot->suspended = true;
	show("state");
	assert_string_equal(line(0), "active|no");
	assert_string_equal(line(2), "suspended|yes");
}

static void under_pgbouncers_name_its_version_is_told(void **state)
{
	(void)state;
	text_copy(snapshot->version, sizeof snapshot->version, "pgweir 0.1.0");
	show("version");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(line(0), "pgweir 0.1.0");
	snapshot->pgbouncer = true;
	show("version");
	assert_string_equal(line(0), "PgBouncer 1.25.2");
}

static void settings_are_shown_in_their_order(void **state)
{
	(void)state;
	setting("pool_mode", "transaction", "session", true);
	setting("listen_addr", "", "", false);
	show("config");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(line(0), "pool_mode|transaction|session|yes");
	assert_string_equal(line(1), "listen_addr|||no");
}

static void more_memory_than_an_int4_holds_is_its_largest(void **state)
{
	(void)state;
	snapshot->memory[0] = (struct memory_row){ "client", 4000, 1000000, 1 };
	snapshot->memory[1] = (struct memory_row){ "server", 10, 2, 3 };
	snapshot->memory_count = 2;
	show("mem");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(line(0), "client|4000|1000000|1|2147483647");
	assert_string_equal(line(1), "server|10|2|3|50");
}

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(every_show_has_pgbouncers_columns_in_its_order),
		STORY(without_ours_a_show_has_the_columns_of_pgbouncer_alone),
		STORY(a_show_knows_which_parts_it_reads),
		STORY(what_there_is_not_is_not_known),
		STORY(the_names_are_those_of_the_shows_and_help),
		STORY(lists_counts_what_there_is),
		STORY(under_pgbouncers_name_the_console_is_a_pool_too),
		STORY(what_is_paused_is_not_active),
		STORY(under_pgbouncers_name_its_version_is_told),
		STORY(settings_are_shown_in_their_order),
		STORY(more_memory_than_an_int4_holds_is_its_largest),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
