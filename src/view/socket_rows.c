/* The connections themselves: SHOW CLIENTS, SERVERS, SOCKETS and ACTIVE_SOCKETS. All four share one list of columns. */
#include "base/check.h"
#include "view/table.h"

static void put_client_type(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)row;
	(void)offset;
	(void)show;
	put_bytes(w, "C");
}

static void put_server_type(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	(void)row;
	(void)offset;
	(void)show;
	put_bytes(w, "S");
}

/* Who waits at the door waits; PgBouncer has no door, and its word is the one that dashboards know. A client of the console holds
 * no server: idle. SOCKETS knows no idle client: it is active there, in PgBouncer as here. */
static void put_client_state(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	static const char *const words[][2] = {
		[CLIENT_ACTIVE] = { "active", "cl_active" },
		[CLIENT_IDLE] = { "idle", "cl_active" },
		[CLIENT_WAITING] = { "waiting", "cl_waiting" },
		[CLIENT_LOGIN] = { "login", "cl_login" },
		[CLIENT_AT_DOOR] = { "waiting", "cl_waiting" },
		[CLIENT_CONSOLE] = { "idle", "cl_active" },
	};
	enum client_state state = *(const enum client_state *)member(row, offset);

	check((size_t)state < sizeof words / sizeof *words);
	put_bytes(w, words[state][show->sockets]);
}

static void put_server_state(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	static const char *const words[][2] = {
		[SERVER_ROW_NEW] = { "new", "sv_login" },
		[SERVER_ROW_IDLE] = { "idle", "sv_idle" },
		[SERVER_ROW_ACTIVE] = { "active", "sv_active" },
		[SERVER_ROW_TESTED] = { "tested", "sv_tested" },
		[SERVER_ROW_USED] = { "used", "sv_used" },
		[SERVER_ROW_CLOSING] = { "closing", "sv_closing" },
		[SERVER_ROW_MOVING] = { "moving", "sv_moving" },
		[SERVER_ROW_ORPHANED] = { "orphaned", "sv_orphaned" },
	};
	const struct server_row *server = row;

	(void)offset;
	check((size_t)server->state < sizeof words / sizeof *words);
	if (server->canceling && server->state == SERVER_ROW_IDLE)
		put_bytes(w, show->sockets ? "sv_being_canceled" : "being_canceled");
	else
		put_bytes(w, words[server->state][show->sockets]);
}

/* Where PgBouncer's SHOW CLIENTS does not list a client (it has not logged in yet), ours does not either; SOCKETS lists all. */
static bool client_shown(const void *row)
{
	const struct client_row *client = row;

	return client->state != CLIENT_LOGIN;
}

static bool client_busy(const void *row)
{
	const struct client_row *client = row;

	return client->state != CLIENT_IDLE && client->state != CLIENT_CONSOLE;
}

static bool server_busy(const void *row)
{
	const struct server_row *server = row;

	return server->state != SERVER_ROW_IDLE && server->state != SERVER_ROW_USED;
}

/* clang-format off */
static const struct column socket_columns[] = {
	{ "type", TEXT }, { "user", TEXT }, { "database", TEXT }, { "replication", TEXT }, { "state", TEXT },
	{ "addr", TEXT }, { "port", INT4 }, { "local_addr", TEXT }, { "local_port", INT4 },
	{ "connect_time", TEXT }, { "request_time", TEXT }, { "wait", INT4 }, { "wait_us", INT4 },
	{ "close_needed", INT4 }, { "ptr", TEXT }, { "link", TEXT }, { "remote_pid", INT4 }, { "tls", TEXT },
	{ "application_name", TEXT }, { "prepared_statements", INT4 },
	{ "id", INT4 },
	/* the rest is for SOCKETS only */
	{ "recv_pos", INT4 }, { "pkt_pos", INT4 }, { "pkt_remain", INT4 }, { "send_pos", INT4 }, { "send_remain", INT4 },
	{ "pkt_avail", INT4 }, { "send_avail", INT4 },
};
#define LINE_COLUMNS 21

#define CLIENT(put, name) { put, offsetof(struct client_row, name) }
static const struct field client_fields[] = {
	{ put_client_type, 0 }, CLIENT(put_text, user), CLIENT(put_text_or_null, database), CLIENT(put_replication, replication),
	CLIENT(put_client_state, state), CLIENT(put_text, address), CLIENT(put_int, port),
	CLIENT(put_text, local_address), CLIENT(put_int, local_port), CLIENT(put_wall, connected_wall),
	CLIENT(put_wall, requested_wall), CLIENT(put_seconds, wait), CLIENT(put_microseconds, wait), { put_zero, 0 },
	CLIENT(put_pointer, id), CLIENT(put_pointer, link_id), CLIENT(put_u32, process_id), CLIENT(put_text, tls),
	CLIENT(put_text, application_name), CLIENT(put_u32, statements), CLIENT(put_u64, id),
	{ put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 },
};

#define SERVER(put, name) { put, offsetof(struct server_row, name) }
static const struct field server_fields[] = {
	{ put_server_type, 0 }, SERVER(put_text, user), SERVER(put_text_or_null, database), SERVER(put_replication, replication),
	SERVER(put_server_state, state), SERVER(put_text, address), SERVER(put_int, port),
	SERVER(put_text, local_address), SERVER(put_int, local_port), SERVER(put_wall, connected_wall),
	SERVER(put_wall, requested_wall), { put_zero, 0 }, { put_zero, 0 }, SERVER(put_bit, close_needed),
	SERVER(put_pointer, id), SERVER(put_pointer, link_id), SERVER(put_u32, process_id), SERVER(put_text, tls),
	SERVER(put_text, application_name), SERVER(put_u32, statements), SERVER(put_u64, id),
	{ put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 }, { put_zero, 0 },
};
/* clang-format on */

static const struct source clients = { LIST(clients, client_count), .fields = client_fields, .shown = client_shown };
static const struct source client_sockets = { LIST(clients, client_count), .fields = client_fields };
static const struct source busy_client_sockets = { LIST(clients, client_count), .fields = client_fields,
	.shown = client_busy };
static const struct source servers = { LIST(servers, server_count), .fields = server_fields };
static const struct source busy_server_sockets = { LIST(servers, server_count), .fields = server_fields,
	.shown = server_busy };

static const struct show shows[] = {
	{ "active_sockets", PART_CLIENTS | PART_SERVERS, COLUMNS(socket_columns),
		.sources = { &busy_client_sockets, &busy_server_sockets }, .sockets = true },
	{ "clients", PART_CLIENTS, .columns = socket_columns, .column_count = LINE_COLUMNS, .sources = { &clients } },
	{ "servers", PART_SERVERS, .columns = socket_columns, .column_count = LINE_COLUMNS, .sources = { &servers } },
	{ "sockets", PART_CLIENTS | PART_SERVERS, COLUMNS(socket_columns), .sources = { &client_sockets, &servers },
		.sockets = true },
};
const struct show_list socket_shows = SHOWS(shows);

FILLS(client_fields, socket_columns);
FILLS(server_fields, socket_columns);
