/* Clients, servers and sockets as SHOW tells them. */
#include "view/rows_helper_test.h"

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

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(what_replicates_is_shown_as_that),
		STORY(a_client_is_shown_with_all_it_has),
		STORY(a_client_without_database_and_times_has_none),
		STORY(a_number_is_written_whole),
		STORY(a_client_that_logs_in_is_a_socket_but_no_client_yet),
		STORY(a_server_is_shown_with_all_it_has),
		STORY(a_server_has_its_states_word),
		STORY(sockets_are_clients_and_then_servers),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
