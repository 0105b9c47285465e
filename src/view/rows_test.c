/* SHOW as rows. What is sent is read back as a client would read it, and compared with PgBouncer's columns as they were seen in a
 * run of it: the lists below were not made from the tables under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/text.h"
#include "view/rows.h"

#define CELLS   48
#define RECORDS 64

/* An answer as a client has it. NULL cells are NULL. */
static struct answer {
	char columns[4096]; /* "name:type name:type ..." */
	size_t column_count, row_count;
	char *cells[RECORDS][CELLS];
	char tag[32];
} answer;

static struct snapshot *snapshot;

static void forget(void)
{
	for (size_t i = 0; i < RECORDS; i++)
		for (size_t j = 0; j < CELLS; j++)
			free(answer.cells[i][j]);
	memset(&answer, 0, sizeof answer);
}

static int set_up(void **state)
{
	(void)state;
	snapshot = snapshot_new(PART_ALL);
	return snapshot ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	forget();
	snapshot_free(snapshot);
	return 0;
}

static void read_description(struct reader *r)
{
	uint16_t width, type;
	size_t n = 0;

	answer.column_count = read_u16(r);
	assert_in_range(answer.column_count, 1, CELLS);
	for (size_t i = 0; i < answer.column_count; i++) {
		struct span name = read_string(r);

		assert_int_equal(read_u32(r), 0);
		assert_int_equal(read_u16(r), 0);
		type = (uint16_t)read_u32(r);
		width = read_u16(r);
		assert_int_equal(width, type == 23 ? 4 : type == 20 ? 8 : UINT16_MAX);
		assert_int_equal(read_u32(r), UINT32_MAX);
		assert_int_equal(read_u16(r), 0);
		n += text_format(answer.columns + n, sizeof answer.columns - n, "%s%.*s:%u", i ? " " : "",
			(int)name.length, (const char *)name.at, type);
	}
}

static void read_row(struct reader *r)
{
	assert_in_range(answer.row_count, 0, RECORDS - 1);
	assert_int_equal(read_u16(r), answer.column_count);
	for (size_t i = 0; i < answer.column_count; i++) {
		int32_t length = read_i32(r);
		struct span value;

		if (length == -1)
			continue;
		assert_true(length >= 0);
		value = read_bytes(r, (size_t)length);
		assert_true(reader_ok(r));
		answer.cells[answer.row_count][i] = strndup((const char *)value.at, value.length);
	}
	answer.row_count++;
}

static void read_answer(struct span bytes)
{
	struct reader all = reader_of(bytes), body;
	bool described = false, complete = false;

	forget();
	while (reader_left(&all) > 0) {
		uint8_t type = read_u8(&all);
		uint32_t length = read_u32(&all);

		assert_true(length >= 4);
		body = reader_of(read_bytes(&all, length - 4));
		assert_true(reader_ok(&all));
		assert_false(complete);
		switch (type) {
		case 'T':
			assert_false(described);
			described = true;
			read_description(&body);
			break;
		case 'D':
			assert_true(described);
			read_row(&body);
			break;
		case 'C':
			complete = true;
			text_copy_span(answer.tag, sizeof answer.tag, read_string(&body));
			break;
		default:
			fail_msg("a message of type %c", type);
		}
		assert_true(reader_done(&body));
	}
	assert_true(described && complete);
	assert_string_equal(answer.tag, "SHOW");
}

static void show(const char *what)
{
	struct buf text = { 0 };
	struct writer w = writer_to(&text);

	rows_show(&w, snapshot, what);
	assert_true(writer_ok(&w));
	read_answer(buf_span(&text));
	buf_fini(&text);
}

/* The value in the column of that name. */
static const char *cell(size_t row, const char *column)
{
	const char *at = answer.columns;

	assert_in_range(row, 0, answer.row_count - 1);
	for (size_t i = 0; i < answer.column_count; i++) {
		size_t length = strlen(column);

		if (strncmp(at, column, length) == 0 && at[length] == ':')
			return answer.cells[row][i];
		at = strchr(at, ' ');
		if (!at)
			break;
		at++;
	}
	fail_msg("no column %s in %s", column, answer.columns);
	return NULL;
}

/* A row as psql -A would print it, NULL as "(null)". */
static const char *line(size_t row)
{
	static char text[4096];
	size_t n = 0;

	assert_in_range(row, 0, answer.row_count - 1);
	for (size_t i = 0; i < answer.column_count; i++)
		n += text_format(text + n, sizeof text - n, "%s%s", i ? "|" : "",
			answer.cells[row][i] ? answer.cells[row][i] : "(null)");
	return text;
}

/* ---- columns ---- */

#define LINE \
	"type:25 user:25 database:25 replication:25 state:25 addr:25 port:23 local_addr:25 local_port:23 connect_time:25 " \
	"request_time:25 wait:23 wait_us:23 close_needed:23 ptr:25 link:25 remote_pid:23 tls:25 application_name:25 " \
	"prepared_statements:23 id:23"
#define SOCKET LINE " recv_pos:23 pkt_pos:23 pkt_remain:23 send_pos:23 send_remain:23 pkt_avail:23 send_avail:23"
#define FIRST_SUMS \
	"database:25 server_assignment_count:1700 xact_count:1700 query_count:1700 bytes_received:1700 bytes_sent:1700 " \
	"xact_time:1700 query_time:1700 wait_time:1700 "

/* The only difference: the last seven columns of POOLS are ours. */
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
		"statement:25 protected:25 weight:23 parked_time:1700 waiting_time:1700 sending_time:1700 received:20 sent:20",
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

/* ---- rows ---- */

/* 2026-11-23 12:46:43 UTC */
#define MOMENT (1795438003 * SECOND_US)

static struct client_row *client(enum client_state how)
{
	struct client_row *row = snapshot_client(snapshot);

	assert_non_null(row);
	row->state = how;
	return row;
}

static struct server_row *server(enum server_row_state how)
{
	struct server_row *row = snapshot_server(snapshot);

	assert_non_null(row);
	row->state = how;
	return row;
}

static void what_replicates_is_shown_as_that(void **state)
{
	(void)state;
	client(CLIENT_ACTIVE)->replication = ROW_REPLICATION_LOGICAL;
	server(SERVER_ROW_ACTIVE)->replication = ROW_REPLICATION_PHYSICAL;
	show("sockets");
	assert_non_null(strstr(line(0), "|logical|"));
	assert_non_null(strstr(line(1), "|physical|"));
}

static void a_client_is_shown_with_all_it_has(void **state)
{
	struct client_row *row = client(CLIENT_WAITING);

	(void)state;
	text_copy(row->user, sizeof row->user, "anna");
	text_copy(row->database, sizeof row->database, "shop");
	text_copy(row->application_name, sizeof row->application_name, "psql");
	text_copy(row->address, sizeof row->address, "127.0.0.1");
	text_copy(row->local_address, sizeof row->local_address, "unix");
	row->port = 44452;
	row->local_port = 6432;
	row->connected_wall = MOMENT + 999999;
	row->requested_wall = MOMENT + SECOND_US;
	row->wait = 3 * SECOND_US + 45;
	row->id = 0x0100000200000003;
	row->link_id = 0x4000000500000006;
	row->process_id = 4711;
	row->statements = 12;
	show("clients");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(line(0),
		"C|anna|shop|none|waiting|127.0.0.1|44452|unix|6432|2026-11-23 12:46:43 UTC|2026-11-23 12:46:44 UTC|3|45|0|"
		"0x100000200000003|0x4000000500000006|4711||psql|12|72057602627862531");
}

static void a_client_without_database_and_times_has_none(void **state)
{
	(void)state;
	client(CLIENT_IDLE);
	show("clients");
	assert_null(cell(0, "database"));
	assert_string_equal(cell(0, "connect_time"), "");
	assert_string_equal(cell(0, "link"), "");
	assert_string_equal(cell(0, "user"), "");
}

static void a_number_is_written_whole(void **state)
{
	struct client_row *row = client(CLIENT_IDLE);

	(void)state;
	row->port = INT32_MIN;
	row->local_port = 10;
	row->process_id = UINT32_MAX;
	row->id = INT32_MAX;
	show("clients");
	assert_string_equal(cell(0, "port"), "-2147483648");
	assert_string_equal(cell(0, "local_port"), "10");
	assert_string_equal(cell(0, "remote_pid"), "4294967295");
	assert_string_equal(cell(0, "id"), "2147483647");
	assert_string_equal(cell(0, "ptr"), "0x7fffffff");
}

static void a_client_that_logs_in_is_a_socket_but_no_client_yet(void **state)
{
	static const char *const as_client[] = { "active", "idle", "waiting", "waiting", "idle" };
	static const char *const as_socket[] = { "cl_active", "cl_active", "cl_waiting", "cl_login", "cl_waiting",
		"cl_active" };

	(void)state;
	for (int i = CLIENT_ACTIVE; i <= CLIENT_CONSOLE; i++)
		client((enum client_state)i);
	show("clients");
	assert_int_equal(answer.row_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(cell(i, "state"), as_client[i]);
	show("sockets");
	assert_int_equal(answer.row_count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(cell(i, "state"), as_socket[i]);
}

static void a_server_is_shown_with_all_it_has(void **state)
{
	struct server_row *row = server(SERVER_ROW_ACTIVE);

	(void)state;
	text_copy(row->user, sizeof row->user, "anna");
	text_copy(row->database, sizeof row->database, "shop");
	text_copy(row->application_name, sizeof row->application_name, "app");
	text_copy(row->address, sizeof row->address, "::1");
	text_copy(row->local_address, sizeof row->local_address, "::2");
	row->port = 5432;
	row->local_port = 50000;
	row->connected_wall = MOMENT;
	row->requested_wall = MOMENT + 60 * SECOND_US;
	row->id = 0x4000000500000006;
	row->link_id = 1;
	row->process_id = 99;
	row->statements = 3;
	row->close_needed = true;
	show("servers");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(line(0),
		"S|anna|shop|none|active|::1|5432|::2|50000|2026-11-23 12:46:43 UTC|2026-11-23 12:47:43 UTC|0|0|1|"
		"0x4000000500000006|0x1|99||app|3|4611686039902224390");
}

static void a_server_has_its_states_word(void **state)
{
	static const char *const words[] = { "new", "idle", "active", "tested", "used", "closing", "moving",
		"orphaned" };
	static const char *const sockets[] = { "sv_login", "sv_idle", "sv_active", "sv_tested", "sv_used", "sv_closing",
		"sv_moving", "sv_orphaned" };

	(void)state;
	for (int i = SERVER_ROW_NEW; i <= SERVER_ROW_ORPHANED; i++)
		server((enum server_row_state)i);
	server(SERVER_ROW_IDLE)->canceling = true;
	server(SERVER_ROW_ACTIVE)->canceling = true;
	show("servers");
	assert_int_equal(answer.row_count, 10);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(cell(i, "state"), words[i]);
	assert_string_equal(cell(8, "state"), "being_canceled");
	assert_string_equal(cell(9, "state"), "active");
	show("sockets");
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(cell(i, "state"), sockets[i]);
}

static void sockets_are_clients_and_then_servers(void **state)
{
	(void)state;
	server(SERVER_ROW_IDLE);
	server(SERVER_ROW_ACTIVE);
	client(CLIENT_IDLE);
	client(CLIENT_ACTIVE);
	show("sockets");
	assert_int_equal(answer.row_count, 4);
	assert_string_equal(cell(0, "type"), "C");
	assert_string_equal(cell(1, "type"), "C");
	assert_string_equal(cell(2, "type"), "S");
	assert_string_equal(cell(3, "type"), "S");
	assert_string_equal(cell(3, "send_avail"), "0");
	show("active_sockets");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(cell(0, "state"), "cl_active");
	assert_string_equal(cell(1, "state"), "sv_active");
}

static void a_pool_is_shown_with_all_it_has(void **state)
{
	struct pool_row *row = snapshot_pool(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct pool_row){ .database = "shop",
		.user = "anna",
		.clients_active = 1,
		.clients_waiting = 2,
		.cancels_active = 3,
		.cancels_waiting = 4,
		.servers_active = 5,
		.servers_active_cancel = 6,
		.servers_being_canceled = 7,
		.servers_idle = 8,
		.servers_used = 9,
		.servers_tested = 10,
		.servers_login = 11,
		.oldest_wait = 12 * SECOND_US + 13,
		.mode = 1,
		.hosts_stay = true,
		.servers_closing = 14,
		.servers_moving = 15,
		.servers_orphaned = 16,
		.clients = 17,
		.oldest_lease = 18 * SECOND_US,
		.median_lease = 19,
		.failing = true,
		.failure = "no route to host",
		.total = { .questions = 20, .pins = 21 },
		.size = 22 };
	row = snapshot_pool(snapshot);
	assert_non_null(row);
	text_copy(row->failure, sizeof row->failure, "long ago");
	show("pools");
	assert_string_equal(line(0),
		"shop|anna|1|2|3|4|5|6|7|8|9|10|11|12|13|transaction|disable|14|15|16|17|18000000|19|no route to host|20|21|22");
	assert_string_equal(line(1), "||0|0|0|0|0|0|0|0|0|0|0|0|0|session|round-robin|0|0|0|0|0|0||0|0|0");
}

static void a_budget_shows_what_is_known_and_nothing_for_the_rest(void **state)
{
	struct budget_row *row = snapshot_budget(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct budget_row){ .host = "10.0.0.1",
		.port = 5432,
		.connections_max = 100,
		.reserved = 3,
		.usable = 97,
		.ours = 37,
		.lent = 2,
		.idle = 3,
		.dialing = 4,
		.cleaning = 5,
		.moving = 6,
		.closing = 7,
		.orphaned = 7,
		.monitor = 1,
		.listeners = 2,
		.visitors = 3,
		.others = 12,
		.free = 50,
		.target = 81,
		.orphans = 2,
		.waiting = 9,
		.full_since_wall = MOMENT,
		.age = 1500000 };
	text_copy(row->state, sizeof row->state, "reads");
	text_copy(row->limits, sizeof row->limits, "role job: 2 of 2");
	text_copy(row->others_by, sizeof row->others_by, "cron: 12");
	row = snapshot_budget(snapshot);
	assert_non_null(row);
	*row = (struct budget_row){ .connections_max = -1,
		.reserved = -1,
		.usable = -1,
		.others = -1,
		.free = -1,
		.target = -1,
		.orphans = -1,
		.age = -1 };
	show("budget");
	assert_string_equal(line(0),
		"10.0.0.1|5432|100|3|97|37|2|3|4|5|6|7|7|1|12|50|81|2|9|2026-11-23 12:46:43 UTC|reads||1500000|role job: 2 of "
		"2|cron: 12|2|3");
	assert_string_equal(
		line(1), "|0|(null)|(null)|(null)|0|0|0|0|0|0|0|0|0|(null)|(null)|(null)|(null)|0||||(null)|||0|0");
}

static void setting(const char *key, const char *value, const char *standard, bool changeable)
{
	struct config_row *row = snapshot_setting(snapshot);

	assert_non_null(row);
	text_copy(row->key, sizeof row->key, key);
	text_copy(row->value, sizeof row->value, value);
	text_copy(row->standard, sizeof row->standard, standard);
	row->changeable = changeable;
}

static void the_console_is_listed_after_the_databases(void **state)
{
	struct database_row *row = snapshot_database(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct database_row){ .name = "shop",
		.host = "db1,db2",
		.port = 5432,
		.dbname = "shop_main",
		.force_user = "anna",
		.pool_size = 1,
		.min_pool_size = 2,
		.reserve_pool_size = 3,
		.server_lifetime = 4 * SECOND_US,
		.mode = 2,
		.hosts_stay = true,
		.max_connections = 5,
		.current_connections = 6,
		.max_client_connections = 7,
		.current_client_connections = 8,
		.paused = true,
		.disabled = true };
	row = snapshot_database(snapshot);
	assert_non_null(row);
	row->mode = -1;
	setting("listen_port", "7001", "6432", false);
	setting("server_lifetime", "1800", "3600", true);
	show("databases");
	assert_int_equal(answer.row_count, 3);
	assert_string_equal(line(0), "shop|db1,db2|5432|shop_main|anna|1|2|3|4|statement|disable|5|6|7|8|1|1");
	assert_string_equal(line(1), "|(null)|0||(null)|0|0|0|0|(null)|round-robin|0|0|0|0|0|0");
	assert_string_equal(
		line(2), "pgbouncer|(null)|7001|pgbouncer|pgbouncer|2|0|0|1800|statement|(null)|0|0|0|0|0|0");
}

static void a_console_that_was_listed_is_not_listed_twice(void **state)
{
	struct database_row *row = snapshot_database(snapshot);

	(void)state;
	assert_non_null(row);
	text_copy(row->name, sizeof row->name, "pgbouncer");
	row->console = true;
	show("databases");
	assert_int_equal(answer.row_count, 1);
}

static void what_is_not_set_for_a_user_is_empty(void **state)
{
	bool is_new;
	struct user_row *row = snapshot_user(snapshot, "anna", &is_new);

	(void)state;
	assert_non_null(row);
	*row = (struct user_row){
		.name = "anna", .pool_size = -1, .reserve_pool_size = -1, .mode = -1, .max_connections = 1
	};
	row = snapshot_user(snapshot, "bert", &is_new);
	assert_non_null(row);
	*row = (struct user_row){ .name = "bert",
		.pool_size = 20,
		.reserve_pool_size = 0,
		.mode = 0,
		.max_connections = 1,
		.current_connections = 2,
		.max_client_connections = 3,
		.current_client_connections = 4 };
	show("users");
	assert_string_equal(line(0), "anna|||(null)|1|0|0|0");
	assert_string_equal(line(1), "bert|       20|        0|session|1|2|3|4");
}

static void names_are_shown_as_pgbouncer_shows_them(void **state)
{
	(void)state;
	snapshot->dns_hosts = calloc(1, sizeof *snapshot->dns_hosts);
	snapshot->dns_zones = calloc(1, sizeof *snapshot->dns_zones);
	assert_true(snapshot->dns_hosts && snapshot->dns_zones);
	snapshot->dns_host_count = snapshot->dns_zone_count = 1;
	snapshot->dns_hosts[0] = (struct dns_host_row){ .name = "db.x", .addresses = "10.0.0.1,::1", .left = 7900000 };
	snapshot->dns_zones[0] = (struct dns_zone_row){ .name = "x", .serial = 4294967295, .names = 1 };
	show("dns_hosts");
	assert_string_equal(line(0), "db.x|7|10.0.0.1,::1");
	show("dns_zones");
	assert_string_equal(line(0), "x|4294967295|1");
}

static void peers_are_shown_as_pgbouncer_shows_them(void **state)
{
	(void)state;
	snapshot->peers = calloc(1, sizeof *snapshot->peers);
	snapshot->peer_pools = calloc(1, sizeof *snapshot->peer_pools);
	assert_true(snapshot->peers && snapshot->peer_pools);
	snapshot->peer_count = snapshot->peer_pool_count = 1;
	snapshot->peers[0] = (struct peer_row){ .id = 7, .host = "/tmp/seven", .port = 6432, .pool_size = 20 };
	snapshot->peer_pools[0] = (struct peer_pool_row){
		.id = 7, .cancels_active = 1, .cancels_waiting = 2, .connections_active = 3, .connections_login = 4
	};
	show("peers");
	assert_string_equal(line(0), "7|/tmp/seven|6432|20");
	show("peer_pools");
	assert_string_equal(line(0), "7|1|2|3|4");
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

/* ---- the snapshot ---- */

static void rows_keep_their_values_while_a_list_grows(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct client_row *row = client(CLIENT_ACTIVE);

		assert_int_equal(row->port, 0);
		assert_int_equal(row->id, 0);
		assert_string_equal(row->user, "");
		row->port = i;
		row->id = UINT64_MAX;
		memset(row->user, 'x', sizeof row->user - 1);
	}
	assert_int_equal(snapshot->client_count, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(snapshot->clients[i].port, i);
	assert_false(snapshot->refused_memory);
}

static void a_name_stands_once_however_many_there_are(void **state)
{
	char name[100];
	bool is_new;

	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 3000; i++) {
			struct user_row *user;

			text_format(name, sizeof name, "user %d", i);
			user = snapshot_user(snapshot, name, &is_new);
			assert_int_equal(is_new, round == 0);
			assert_string_equal(user->name, name);
			snapshot_stats(snapshot, name)->total.queries++;
		}
	assert_int_equal(snapshot->user_count, 3000);
	assert_int_equal(snapshot->stats_count, 3000);
	assert_string_equal(snapshot->stats[2999].database, "user 2999");
	for (int i = 0; i < 3000; i++)
		assert_int_equal(snapshot->stats[i].total.queries, 2);
	/* Cut, as rows have it. */
	memset(name, 'x', sizeof name - 1);
	name[99] = 0;
	assert_non_null(snapshot_user(snapshot, name, &is_new));
	assert_true(is_new);
	name[80] = 0;
	assert_int_equal(strlen(snapshot_user(snapshot, name, &is_new)->name), SNAPSHOT_NAME - 1);
	assert_false(is_new);
	assert_non_null(snapshot_user(snapshot, "", &is_new));
	assert_true(is_new);
}

static void a_pool_is_found_by_its_number(void **state)
{
	(void)state;
	assert_null(snapshot_pool_of(snapshot, 0));
	for (uint32_t id = 1; id < 20; id += 2)
		snapshot_pool(snapshot)->id = id;
	for (uint32_t id = 0; id < 22; id++)
		if (id % 2 && id < 20)
			assert_int_equal(snapshot_pool_of(snapshot, id)->id, id);
		else
			assert_null(snapshot_pool_of(snapshot, id));
}

static struct user_row *add_anna(struct snapshot *to)
{
	bool is_new;

	return snapshot_user(to, "anna", &is_new);
}

static struct stats_row *add_shop(struct snapshot *to)
{
	return snapshot_stats(to, "shop");
}

/* A list said to be so long that its next size cannot be asked for. */
static void refused_memory_is_said_and_what_was_there_stays(void **state)
{
	(void)state;
	client(CLIENT_ACTIVE)->port = 7;
	snapshot->client_count = snapshot->client_capacity = SIZE_MAX / sizeof(struct client_row);
	assert_null(snapshot_client(snapshot));
	assert_true(snapshot->refused_memory);
	snapshot->client_count = snapshot->client_capacity = 1;
	assert_int_equal(snapshot->clients[0].port, 7);

#define REFUSES(list, count, capacity, add) \
	snapshot->refused_memory = false; \
	snapshot->count = snapshot->capacity = SIZE_MAX / sizeof *snapshot->list; \
	assert_null(add(snapshot)); \
	assert_true(snapshot->refused_memory); \
	snapshot->count = snapshot->capacity = 0
	REFUSES(servers, server_count, server_capacity, snapshot_server);
	REFUSES(pools, pool_count, pool_capacity, snapshot_pool);
	REFUSES(databases, database_count, database_capacity, snapshot_database);
	REFUSES(users, user_count, user_capacity, add_anna);
	REFUSES(stats, stats_count, stats_capacity, add_shop);
	REFUSES(settings, setting_count, setting_capacity, snapshot_setting);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	snapshot_free(NULL);
}

static void what_does_not_apply_to_a_leak_is_null(void **state)
{
	static const struct leak_row leaks[2] = {
		{ .id = 1,
			.pattern = "L1",
			.clients = 96,
			.growth = 1.5,
			.exhausted_in = 90 * SECOND_US,
			.ended_wall = SECOND_US },
		{ .id = 2, .pattern = "L9", .oldest = 1500000, .route = "/chat" },
	};

	(void)state;
	snapshot_leaks(snapshot, NULL, 0, leaks, 2);
	show("leaks");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][15], "1.500");
	assert_string_equal(answer.cells[0][16], "90.000");
	assert_string_equal(answer.cells[0][18], "1970-01-01 00:00:01 UTC");
	assert_null(answer.cells[0][19]);
	assert_string_equal(answer.cells[1][14], "1.500");
	assert_null(answer.cells[1][16]);
	assert_null(answer.cells[1][18]);
	assert_string_equal(answer.cells[1][19], "/chat");
}

static void parts_of_an_origin_are_told_with_their_figures(void **state)
{
	static const struct breakdown_row rows[2] = {
		{ .origin = 3, .by = "route", .value = "/chat", .clients = 9, .quiet = 8, .oldest_quiet = 1500000 },
		{ .origin = 3, .by = "job", .value = "(other)", .holding = 1, .oldest_hold = SECOND_US, .trace = "0af7" },
	};

	(void)state;
	snapshot_breakdowns(snapshot, rows, 2);
	show("breakdowns");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][5], "route");
	assert_string_equal(answer.cells[0][6], "/chat");
	assert_string_equal(answer.cells[0][7], "9");
	assert_string_equal(answer.cells[0][8], "8");
	assert_string_equal(answer.cells[0][14], "1.500");
	assert_null(answer.cells[0][15]);
	assert_null(answer.cells[0][16]);
	assert_null(answer.cells[1][14]);
	assert_string_equal(answer.cells[1][15], "1.000");
	assert_string_equal(answer.cells[1][16], "0af7");
}

static void only_leases_with_a_reason_are_pins(void **state)
{
	struct lease_row *lease;

	(void)state;
	lease = snapshot_lease(snapshot);
	lease->client = 7;
	lease = snapshot_lease(snapshot);
	lease->client = 8;
	text_copy(lease->pin, sizeof lease->pin, "a reason");
	show("leases");
	assert_int_equal(answer.row_count, 2);
	show("pins");
	assert_int_equal(answer.row_count, 1);
	assert_string_equal(answer.cells[0][0], "8");
	assert_string_equal(answer.cells[0][6], "a reason");
}

static void a_client_at_work_has_no_rest(void **state)
{
	struct ledger_row *row;

	(void)state;
	row = snapshot_ledger(snapshot);
	row->client = 7;
	row->rest = 1500000;
	row->sent = 5000000000;
	text_copy(row->first, sizeof row->first, "SELECT ?");
	snapshot_ledger(snapshot)->client = 8;
	show("ledger");
	assert_int_equal(answer.row_count, 2);
	assert_string_equal(answer.cells[0][0], "7");
	assert_string_equal(answer.cells[0][10], "1.500");
	assert_string_equal(answer.cells[0][18], "5000000000");
	assert_string_equal(answer.cells[0][19], "SELECT ?");
	assert_string_equal(answer.cells[0][21], "no");
	assert_null(answer.cells[1][10]);
	assert_null(answer.cells[1][19]);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest stories[] = {
		STORY(every_show_has_pgbouncers_columns_in_its_order),
		STORY(a_show_knows_which_parts_it_reads),
		STORY(what_there_is_not_is_not_known),
		STORY(the_names_are_those_of_the_shows_and_help),
		STORY(what_replicates_is_shown_as_that),
		STORY(a_client_is_shown_with_all_it_has),
		STORY(a_client_without_database_and_times_has_none),
		STORY(a_number_is_written_whole),
		STORY(a_client_that_logs_in_is_a_socket_but_no_client_yet),
		STORY(a_server_is_shown_with_all_it_has),
		STORY(a_server_has_its_states_word),
		STORY(sockets_are_clients_and_then_servers),
		STORY(a_pool_is_shown_with_all_it_has),
		STORY(a_budget_shows_what_is_known_and_nothing_for_the_rest),
		STORY(the_console_is_listed_after_the_databases),
		STORY(a_console_that_was_listed_is_not_listed_twice),
		STORY(what_is_not_set_for_a_user_is_empty),
		STORY(names_are_shown_as_pgbouncer_shows_them),
		STORY(peers_are_shown_as_pgbouncer_shows_them),
		STORY(lists_counts_what_there_is),
		STORY(under_pgbouncers_name_the_console_is_a_pool_too),
		STORY(what_is_paused_is_not_active),
		STORY(statistics_are_totals_and_then_averages),
		STORY(totals_add_up_over_databases_and_times_are_weighed),
		STORY(totals_of_nothing_are_zero),
		STORY(under_pgbouncers_name_its_version_is_told),
		STORY(settings_are_shown_in_their_order),
		STORY(more_memory_than_an_int4_holds_is_its_largest),
		STORY(rows_keep_their_values_while_a_list_grows),
		STORY(a_name_stands_once_however_many_there_are),
		STORY(a_pool_is_found_by_its_number),
		STORY(refused_memory_is_said_and_what_was_there_stays),
		STORY(what_does_not_apply_to_a_leak_is_null),
		STORY(parts_of_an_origin_are_told_with_their_figures),
		STORY(only_leases_with_a_reason_are_pins),
		STORY(a_client_at_work_has_no_rest),
		STORY(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
