#include "view/rows.h"

#include <inttypes.h>
#include <time.h>

#include "base/check.h"
#include "base/text.h"
#include "view/table.h"

/* Tables over code. A SHOW is a list of columns over one kind of row:
 *
 *   struct show      word, parts, sources ----.
 *   struct source    where the rows lie, which of them are shown, how each column is filled
 *   struct column    name, type               '-> one field per column: a function and an offset into the row
 *
 * SOCKETS has two sources under one list of columns: clients, then servers. SHOWs whose rows are no list of the snapshot (LISTS,
 * STATE, TOTALS, VERSION) make a few pairs of texts first, and those are their rows. DATABASES and MEM have rows from elsewhere.
 *
 * A field's function appends one value of a DataRow: its length and its text, or -1 for NULL. All values go as text; the types
 * only tell a driver what to make of them. */

/* ---- clients, servers and sockets ---- */

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

/* ---- pools, databases, users ---- */

/* clang-format off */
static const struct column pool_columns[] = {
	{ "database", TEXT }, { "user", TEXT }, { "cl_active", INT4 }, { "cl_waiting", INT4 },
	{ "cl_active_cancel_req", INT4 }, { "cl_waiting_cancel_req", INT4 }, { "sv_active", INT4 },
	{ "sv_active_cancel", INT4 }, { "sv_being_canceled", INT4 }, { "sv_idle", INT4 }, { "sv_used", INT4 },
	{ "sv_tested", INT4 }, { "sv_login", INT4 }, { "maxwait", INT4 }, { "maxwait_us", INT4 },
	{ "pool_mode", TEXT }, { "load_balance_hosts", TEXT },
	/* ours */
	{ "sv_closing", INT4 }, { "sv_moving", INT4 }, { "sv_orphaned", INT4 }, { "cl_total", INT4 },
	{ "oldest_lease_us", INT8 }, { "median_lease_us", INT8 }, { "failing", TEXT },
	{ "total_questions", INT8 }, { "total_pins", INT8 }, { "pool_size", INT4 },
};

static void put_failure(struct writer *, const void *, size_t, const struct show *);

#define POOL(put, name) { put, offsetof(struct pool_row, name) }
static const struct field pool_fields[] = {
	POOL(put_text, database), POOL(put_text, user), POOL(put_u32, clients_active), POOL(put_u32, clients_waiting),
	POOL(put_u32, cancels_active), POOL(put_u32, cancels_waiting), POOL(put_u32, servers_active),
	POOL(put_u32, servers_active_cancel), POOL(put_u32, servers_being_canceled), POOL(put_u32, servers_idle),
	POOL(put_u32, servers_used), POOL(put_u32, servers_tested), POOL(put_u32, servers_login),
	POOL(put_seconds, oldest_wait), POOL(put_microseconds, oldest_wait),
	POOL(put_mode, mode), POOL(put_hosts, hosts_stay),
	POOL(put_u32, servers_closing), POOL(put_u32, servers_moving), POOL(put_u32, servers_orphaned),
	POOL(put_u32, clients), POOL(put_time, oldest_lease), POOL(put_time, median_lease), { put_failure, 0 },
	POOL(put_u64, total.questions), POOL(put_u64, total.pins), POOL(put_u32, size),
};

static const struct column budget_columns[] = {
	{ "host", TEXT }, { "port", INT4 }, { "max_connections", INT4 }, { "reserved", INT4 }, { "usable", INT4 },
	{ "ours", INT4 }, { "lent", INT4 }, { "idle", INT4 }, { "dialing", INT4 }, { "cleaning", INT4 }, { "moving", INT4 },
	{ "closing", INT4 }, { "orphaned", INT4 }, { "monitor", INT4 }, { "others", INT4 }, { "free", INT4 },
	{ "target", INT4 }, { "orphans", INT4 }, { "cl_waiting", INT4 }, { "full_since", TEXT }, { "state", TEXT },
	{ "problem", TEXT }, { "age_us", INT8 }, { "limits", TEXT }, { "others_by", TEXT },
	{ "listeners", INT4 },
	{ "visitors", INT4 },
};

#define BUDGET(put, name) { put, offsetof(struct budget_row, name) }
static const struct field budget_fields[] = {
	BUDGET(put_text, host), BUDGET(put_int, port), BUDGET(put_known, connections_max), BUDGET(put_known, reserved),
	BUDGET(put_known, usable), BUDGET(put_u32, ours), BUDGET(put_u32, lent), BUDGET(put_u32, idle),
	BUDGET(put_u32, dialing), BUDGET(put_u32, cleaning), BUDGET(put_u32, moving), BUDGET(put_u32, closing),
	BUDGET(put_u32, orphaned), BUDGET(put_u32, monitor), BUDGET(put_known, others), BUDGET(put_known, free),
	BUDGET(put_known, target), BUDGET(put_known, orphans), BUDGET(put_u32, waiting), BUDGET(put_wall, full_since_wall),
	BUDGET(put_text, state), BUDGET(put_text, problem), BUDGET(put_known_time, age), BUDGET(put_text, limits),
	BUDGET(put_text, others_by), BUDGET(put_u32, listeners), BUDGET(put_u32, visitors),
};

static const struct column database_columns[] = {
	{ "name", TEXT }, { "host", TEXT }, { "port", INT4 }, { "database", TEXT }, { "force_user", TEXT },
	{ "pool_size", INT4 }, { "min_pool_size", INT4 }, { "reserve_pool_size", INT4 }, { "server_lifetime", INT4 },
	{ "pool_mode", TEXT }, { "load_balance_hosts", TEXT }, { "max_connections", INT4 },
	{ "current_connections", INT4 }, { "max_client_connections", INT4 }, { "current_client_connections", INT4 },
	{ "paused", INT4 }, { "disabled", INT4 },
};

static put_fn put_database_hosts;

#define DATABASE(put, name) { put, offsetof(struct database_row, name) }
static const struct field database_fields[] = {
	DATABASE(put_text, name), DATABASE(put_text_or_null, host), DATABASE(put_int, port), DATABASE(put_text, dbname),
	DATABASE(put_text_or_null, force_user), DATABASE(put_int, pool_size), DATABASE(put_int, min_pool_size),
	DATABASE(put_int, reserve_pool_size), DATABASE(put_seconds, server_lifetime), DATABASE(put_mode, mode),
	DATABASE(put_database_hosts, hosts_stay), DATABASE(put_int, max_connections),
	DATABASE(put_int, current_connections), DATABASE(put_int, max_client_connections),
	DATABASE(put_int, current_client_connections), DATABASE(put_bit, paused), DATABASE(put_bit, disabled),
};

static const struct column user_columns[] = {
	{ "name", TEXT }, { "pool_size", TEXT }, { "reserve_pool_size", TEXT }, { "pool_mode", TEXT },
	{ "max_user_connections", INT4 }, { "current_connections", INT4 },
	{ "max_user_client_connections", INT4 }, { "current_client_connections", INT4 },
};

static put_fn put_padded;

#define USER(put, name) { put, offsetof(struct user_row, name) }
static const struct field user_fields[] = {
	USER(put_text, name), USER(put_padded, pool_size), USER(put_padded, reserve_pool_size), USER(put_mode, mode),
	USER(put_int, max_connections), USER(put_int, current_connections),
	USER(put_int, max_client_connections), USER(put_int, current_client_connections),
};
/* clang-format on */

static void put_failure(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	const struct pool_row *pool = row;

	(void)offset;
	(void)show;
	put_bytes(w, pool->failing ? pool->failure : "");
}

static void put_database_hosts(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	const struct database_row *database = row;

	if (database->console)
		put_null(w);
	else
		put_hosts(w, row, offset, show);
}

/* A number that nobody set is an empty text, and one that somebody set is as wide as PgBouncer makes it. */
static void put_padded(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	int number = *(const int *)member(row, offset);
	char text[32] = "";

	(void)show;
	if (number >= 0)
		text_format(text, sizeof text, "%9d", number);
	put_bytes(w, text);
}

static const struct column dns_host_columns[] = { { "hostname", TEXT }, { "ttl", INT8 }, { "addrs", TEXT } };
static const struct field dns_host_fields[] = {
	{ put_text, offsetof(struct dns_host_row, name) },
	{ put_seconds, offsetof(struct dns_host_row, left) },
	{ put_text, offsetof(struct dns_host_row, addresses) },
};

static const struct column dns_zone_columns[] = { { "zonename", TEXT }, { "serial", INT8 }, { "count", INT4 } };
static const struct field dns_zone_fields[] = {
	{ put_text, offsetof(struct dns_zone_row, name) },
	{ put_u32, offsetof(struct dns_zone_row, serial) },
	{ put_u32, offsetof(struct dns_zone_row, names) },
};

static const struct column peer_columns[] = { { "peer_id", INT4 }, { "host", TEXT }, { "port", INT4 },
	{ "pool_size", INT4 } };
static const struct field peer_fields[] = {
	{ put_int, offsetof(struct peer_row, id) },
	{ put_text, offsetof(struct peer_row, host) },
	{ put_int, offsetof(struct peer_row, port) },
	{ put_int, offsetof(struct peer_row, pool_size) },
};

static const struct column peer_pool_columns[] = { { "peer_id", INT4 }, { "cl_active_cancel_req", INT4 },
	{ "cl_waiting_cancel_req", INT4 }, { "sv_active_cancel", INT4 }, { "sv_login", INT4 } };
static const struct field peer_pool_fields[] = {
	{ put_int, offsetof(struct peer_pool_row, id) },
	{ put_u32, offsetof(struct peer_pool_row, cancels_active) },
	{ put_u32, offsetof(struct peer_pool_row, cancels_waiting) },
	{ put_u32, offsetof(struct peer_pool_row, connections_active) },
	{ put_u32, offsetof(struct peer_pool_row, connections_login) },
};

static const struct source peers = { LIST(peers, peer_count), .fields = peer_fields };
static const struct source peer_pools = { LIST(peer_pools, peer_pool_count), .fields = peer_pool_fields };
static const struct source dns_hosts = { LIST(dns_hosts, dns_host_count), .fields = dns_host_fields };
static const struct source dns_zones = { LIST(dns_zones, dns_zone_count), .fields = dns_zone_fields };
static const struct source pools = { LIST(pools, pool_count), .fields = pool_fields };
static const struct source budgets = { LIST(budgets, budget_count), .fields = budget_fields };
static const struct source databases = { LIST(databases, database_count), .fields = database_fields };
static const struct source users = { LIST(users, user_count), .fields = user_fields };

/* The console is listed among the databases, as tools know it from PgBouncer. */
static void more_databases(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct database_row row = { .name = "pgbouncer",
		.dbname = "pgbouncer",
		.force_user = "pgbouncer",
		.pool_size = 2,
		.mode = 2,
		.console = true };
	int64_t number;

	for (size_t i = 0; i < snapshot->database_count; i++)
		if (snapshot->databases[i].console)
			return;
	for (size_t i = 0; i < snapshot->setting_count; i++) {
		struct span value = span_text(snapshot->settings[i].value);
		time_us lifetime;

		if (strcmp(snapshot->settings[i].key, "listen_port") == 0 && text_to_i64(value, &number))
			row.port = (int)number;
		if (strcmp(snapshot->settings[i].key, "server_lifetime") == 0 && text_to_time(value, &lifetime))
			row.server_lifetime = lifetime;
	}
	put_row(w, show, database_fields, &row);
}

/* Under its name also where PgBouncer counts the console as a pool: a pooler that nobody has used yet is not without rows. */
static void more_pools(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct pool_row row = { .database = "pgbouncer",
		.user = "pgbouncer",
		.clients = snapshot->consoles,
		.clients_active = snapshot->consoles,
		.mode = 2,
		.size = 2 };

	if (snapshot->pgbouncer)
		put_row(w, show, pool_fields, &row);
}

static void more_users(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct user_row row = { .name = "pgbouncer", .pool_size = -1, .reserve_pool_size = -1, .mode = -1 };

	for (size_t i = 0; i < snapshot->user_count; i++)
		if (strcmp(snapshot->users[i].name, row.name) == 0)
			return;
	if (snapshot->pgbouncer)
		put_row(w, show, user_fields, &row);
}

/* ---- statistics ---- */

/* clang-format off */
static const struct column stats_columns[] = {
	{ "database", TEXT },
	{ "total_server_assignment_count", NUMERIC }, { "total_xact_count", NUMERIC }, { "total_query_count", NUMERIC },
	{ "total_received", NUMERIC }, { "total_sent", NUMERIC }, { "total_xact_time", NUMERIC },
	{ "total_query_time", NUMERIC }, { "total_wait_time", NUMERIC }, { "total_client_parse_count", NUMERIC },
	{ "total_server_parse_count", NUMERIC }, { "total_bind_count", NUMERIC }, { "total_client_login_count", NUMERIC },
	{ "avg_server_assignment_count", NUMERIC }, { "avg_xact_count", NUMERIC }, { "avg_query_count", NUMERIC },
	{ "avg_recv", NUMERIC }, { "avg_sent", NUMERIC }, { "avg_xact_time", NUMERIC },
	{ "avg_query_time", NUMERIC }, { "avg_wait_time", NUMERIC }, { "avg_client_parse_count", NUMERIC },
	{ "avg_server_parse_count", NUMERIC }, { "avg_bind_count", NUMERIC }, { "avg_client_login_count", NUMERIC },
};

static const struct column totals_columns[] = {
	{ "database", TEXT },
	{ "server_assignment_count", NUMERIC }, { "xact_count", NUMERIC }, { "query_count", NUMERIC },
	{ "bytes_received", NUMERIC }, { "bytes_sent", NUMERIC }, { "xact_time", NUMERIC }, { "query_time", NUMERIC },
	{ "wait_time", NUMERIC }, { "client_parse_count", NUMERIC }, { "server_parse_count", NUMERIC },
	{ "bind_count", NUMERIC }, { "client_login_count", NUMERIC },
};

/* The last four have a prefix and the others have none: so it is in PgBouncer. */
static const struct column averages_columns[] = {
	{ "database", TEXT },
	{ "server_assignment_count", NUMERIC }, { "xact_count", NUMERIC }, { "query_count", NUMERIC },
	{ "bytes_received", NUMERIC }, { "bytes_sent", NUMERIC }, { "xact_time", NUMERIC }, { "query_time", NUMERIC },
	{ "wait_time", NUMERIC }, { "avg_client_parse_count", NUMERIC }, { "avg_server_parse_count", NUMERIC },
	{ "avg_bind_count", NUMERIC }, { "avg_client_login_count", NUMERIC },
};

#define STATS(name) { put_u64, offsetof(struct stats_row, name) }
#define STATS_OF(set) \
	STATS(set.server_assignments), STATS(set.transactions), STATS(set.queries), STATS(set.received), STATS(set.sent), \
	STATS(set.transaction_time), STATS(set.query_time), STATS(set.wait_time), STATS(set.client_parses), \
	STATS(set.server_parses), STATS(set.binds), STATS(set.logins)
static const struct field stats_fields[] = {
	{ put_text, offsetof(struct stats_row, database) }, STATS_OF(total), STATS_OF(average),
};
static const struct field totals_fields[] = { { put_text, offsetof(struct stats_row, database) }, STATS_OF(total) };
static const struct field averages_fields[] = { { put_text, offsetof(struct stats_row, database) }, STATS_OF(average) };
/* clang-format on */

/* Commands of the console are its queries and transactions; it moves no bytes of clients. */
static void more_stats(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct stats_row row = { .database = "pgbouncer",
		.total = { .queries = snapshot->commands, .transactions = snapshot->commands } };

	if (snapshot->pgbouncer)
		put_row(w, show, show->sources[0]->fields, &row);
}

static const struct source stats = { LIST(stats, stats_count), .fields = stats_fields };
static const struct source stats_totals = { LIST(stats, stats_count), .fields = totals_fields };
static const struct source stats_averages = { LIST(stats, stats_count), .fields = averages_fields };

/* ---- settings and memory ---- */

/* clang-format off */
static const struct column config_columns[] = {
	{ "key", TEXT }, { "value", TEXT }, { "default", TEXT }, { "changeable", TEXT },
};
static const struct field config_fields[] = {
	{ put_text, offsetof(struct config_row, key) }, { put_text, offsetof(struct config_row, value) },
	{ put_text, offsetof(struct config_row, standard) }, { put_yes_no, offsetof(struct config_row, changeable) },
};

static const struct column memory_columns[] = {
	{ "name", TEXT }, { "size", INT4 }, { "used", INT4 }, { "free", INT4 }, { "memtotal", INT4 },
};

static put_fn put_memory_total;

static const struct field memory_fields[] = {
	{ put_text, offsetof(struct memory_row, name) }, { put_u32, offsetof(struct memory_row, size) },
	{ put_u32, offsetof(struct memory_row, used) }, { put_u32, offsetof(struct memory_row, free) },
	{ put_memory_total, 0 },
};
/* clang-format on */

/* An int4, since programs read by type: more than that is said to be the most that can be said. */
static void put_memory_total(struct writer *w, const void *row, size_t offset, const struct show *show)
{
	const struct memory_row *memory = row;
	uint64_t total = (uint64_t)memory->size * ((uint64_t)memory->used + memory->free);

	(void)offset;
	(void)show;
	put_unsigned(w, total < INT32_MAX ? total : INT32_MAX);
}

static void more_memory(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	for (size_t i = 0; i < snapshot->memory_count; i++)
		put_row(w, show, memory_fields, &snapshot->memory[i]);
}

static const struct source settings = { LIST(settings, setting_count), .fields = config_fields };

/* ---- pairs ---- */

static const struct field pair_fields[] = {
	{ put_text, offsetof(struct pair, name) },
	{ put_text, offsetof(struct pair, value) },
};
static const struct column version_columns[] = { { "version", TEXT } };
static const struct column list_columns[] = { { "list", TEXT }, { "items", INT4 } };
static const struct column state_columns[] = { { "key", TEXT }, { "value", TEXT } };
static const struct column sum_columns[] = { { "name", TEXT }, { "value", NUMERIC } };

static void pair_number(struct pair *pair, const char *name, uint64_t number)
{
	text_copy(pair->name, sizeof pair->name, name);
	text_format(pair->value, sizeof pair->value, "%" PRIu64, number);
}

static void pair_yes_no(struct pair *pair, const char *name, bool yes)
{
	text_copy(pair->name, sizeof pair->name, name);
	text_copy(pair->value, sizeof pair->value, yes ? "yes" : "no");
}

static size_t make_version(const struct snapshot *snapshot, struct pair *pairs)
{
	/* Under its name we answer what its tools expect of it: some parse this text and refuse what they do not know. */
	text_copy(pairs->name, sizeof pairs->name, snapshot->pgbouncer ? "PgBouncer 1.25.2" : snapshot->version);
	return 1;
}

/* One more than are configured: the console is a database to PgBouncer's counting, and its user and pool are one too. */
static size_t make_lists(const struct snapshot *snapshot, struct pair *pairs)
{
	size_t n = 0;

	pair_number(&pairs[n++], "databases", snapshot->database_count + 1);
	pair_number(&pairs[n++], "users", snapshot->user_count + snapshot->pgbouncer);
	pair_number(&pairs[n++], "peers", snapshot->peer_count);
	pair_number(&pairs[n++], "pools", snapshot->pool_count + snapshot->pgbouncer);
	pair_number(&pairs[n++], "peer_pools", snapshot->peer_pool_count);
	pair_number(&pairs[n++], "free_clients", 0);
	pair_number(&pairs[n++], "used_clients", snapshot->clients_total);
	pair_number(&pairs[n++], "login_clients", snapshot->clients_login);
	pair_number(&pairs[n++], "free_servers", 0);
	pair_number(&pairs[n++], "used_servers", snapshot->servers_total);
	pair_number(&pairs[n++], "dns_names", snapshot->dns_host_count);
	pair_number(&pairs[n++], "dns_zones", snapshot->dns_zone_count);
	pair_number(&pairs[n++], "dns_queries", snapshot->names_pending);
	pair_number(&pairs[n++], "dns_pending", 0);
	check(n <= PAIRS_MAX);
	return n;
}

static size_t make_state(const struct snapshot *snapshot, struct pair *pairs)
{
	pair_yes_no(&pairs[0], "active", !snapshot->paused && !snapshot->suspended);
	pair_yes_no(&pairs[1], "paused", snapshot->paused);
	pair_yes_no(&pairs[2], "suspended", snapshot->suspended);
	return 3;
}

/* Counters and rates add up over databases. An average time does not: it is weighed by how often the thing timed happened, where
 * less than once a second still weighs one. */
struct sum {
	const char *name;
	size_t counter;
	bool time;
	size_t weight;
};

/* clang-format off */
#define COUNTER(name, member) { name, offsetof(struct stat_counters, member), false, 0 }
#define TIMES(name, member, of) { name, offsetof(struct stat_counters, member), true, offsetof(struct stat_counters, of) }
static const struct sum sums[] = {
	COUNTER("server_assignment_count", server_assignments),
	COUNTER("xact_count", transactions),
	COUNTER("query_count", queries),
	COUNTER("client_bytes", received),
	COUNTER("server_bytes", sent),
	TIMES("xact_time", transaction_time, transactions),
	TIMES("query_time", query_time, queries),
	TIMES("wait_time", wait_time, server_assignments),
	COUNTER("ps_client_parse_count", client_parses),
	COUNTER("ps_server_parse_count", server_parses),
	COUNTER("ps_bind_count", binds),
	COUNTER("client_login_count", logins),
};
/* clang-format on */
#define SUMS (sizeof sums / sizeof *sums)

static uint64_t counter(const struct stat_counters *counters, size_t offset)
{
	return *(const uint64_t *)member(counters, offset);
}

static uint64_t weighed(const struct snapshot *snapshot, const struct sum *sum)
{
	double total = 0, weights = 0;

	for (size_t i = 0; i < snapshot->stats_count; i++) {
		uint64_t time = counter(&snapshot->stats[i].average, sum->counter);
		uint64_t weight = counter(&snapshot->stats[i].average, sum->weight);

		if (weight == 0 && time > 0)
			weight = 1;
		total += (double)time * (double)weight;
		weights += (double)weight;
	}
	return weights > 0 ? (uint64_t)(total / weights) : 0;
}

static size_t make_totals(const struct snapshot *snapshot, struct pair *pairs)
{
	char name[48];

	for (size_t i = 0; i < SUMS; i++) {
		uint64_t total = 0, average = 0;

		for (size_t j = 0; j < snapshot->stats_count; j++) {
			total += counter(&snapshot->stats[j].total, sums[i].counter);
			average += counter(&snapshot->stats[j].average, sums[i].counter);
		}
		if (sums[i].time)
			average = weighed(snapshot, &sums[i]);
		text_format(name, sizeof name, "total_%s", sums[i].name);
		pair_number(&pairs[i], name, total);
		text_format(name, sizeof name, "avg_%s", sums[i].name);
		pair_number(&pairs[SUMS + i], name, average);
	}
	return 2 * SUMS;
}

_Static_assert(2 * SUMS <= PAIRS_MAX, "SHOW TOTALS has room");

/* ---- the tables ---- */

static const struct show shows[] = {
	{ "active_sockets", PART_CLIENTS | PART_SERVERS, COLUMNS(socket_columns),
		.sources = { &busy_client_sockets, &busy_server_sockets }, .sockets = true },
	{ "budget", 0, COLUMNS(budget_columns), .sources = { &budgets } },
	{ "clients", PART_CLIENTS, .columns = socket_columns, .column_count = LINE_COLUMNS, .sources = { &clients } },
	{ "config", 0, COLUMNS(config_columns), .sources = { &settings } },
	{ "databases", PART_POOLS, COLUMNS(database_columns), .sources = { &databases }, .more = more_databases },
	{ "dns_hosts", 0, COLUMNS(dns_host_columns), .sources = { &dns_hosts } },
	{ "dns_zones", 0, COLUMNS(dns_zone_columns), .sources = { &dns_zones } },
	{ "lists", PART_POOLS, COLUMNS(list_columns), .make = make_lists },
	{ "mem", 0, COLUMNS(memory_columns), .more = more_memory },
	{ "peer_pools", 0, COLUMNS(peer_pool_columns), .sources = { &peer_pools } },
	{ "peers", 0, COLUMNS(peer_columns), .sources = { &peers } },
	{ "pools", PART_POOLS | PART_STATS, COLUMNS(pool_columns), .sources = { &pools }, .more = more_pools },
	{ "servers", PART_SERVERS, .columns = socket_columns, .column_count = LINE_COLUMNS, .sources = { &servers } },
	{ "sockets", PART_CLIENTS | PART_SERVERS, COLUMNS(socket_columns), .sources = { &client_sockets, &servers },
		.sockets = true },
	{ "state", 0, COLUMNS(state_columns), .make = make_state },
	{ "stats", PART_STATS, COLUMNS(stats_columns), .sources = { &stats }, .more = more_stats },
	{ "stats_averages", PART_STATS, COLUMNS(averages_columns), .sources = { &stats_averages }, .more = more_stats },
	{ "stats_totals", PART_STATS, COLUMNS(totals_columns), .sources = { &stats_totals }, .more = more_stats },
	{ "totals", PART_STATS, COLUMNS(sum_columns), .make = make_totals },
	{ "users", PART_POOLS, COLUMNS(user_columns), .sources = { &users }, .more = more_users },
	{ "version", 0, COLUMNS(version_columns), .make = make_version },
};
#define SHOWS (sizeof shows / sizeof *shows)

FILLS(client_fields, socket_columns);
FILLS(server_fields, socket_columns);
FILLS(pool_fields, pool_columns);
FILLS(budget_fields, budget_columns);
FILLS(peer_fields, peer_columns);
FILLS(peer_pool_fields, peer_pool_columns);
FILLS(dns_host_fields, dns_host_columns);
FILLS(dns_zone_fields, dns_zone_columns);
FILLS(database_fields, database_columns);
FILLS(user_fields, user_columns);
FILLS(stats_fields, stats_columns);
FILLS(totals_fields, totals_columns);
FILLS(averages_fields, averages_columns);
FILLS(config_fields, config_columns);
FILLS(memory_fields, memory_columns);
FILLS(pair_fields, list_columns);
FILLS(pair_fields, state_columns);
FILLS(pair_fields, sum_columns);

const struct show *show_find(const char *word)
{
	for (size_t i = 0; i < SHOWS; i++)
		if (strcmp(shows[i].word, word) == 0)
			return &shows[i];
	for (size_t i = 0; i < leak_shows_count; i++)
		if (strcmp(leak_shows[i].word, word) == 0)
			return &leak_shows[i];
	return NULL;
}

bool rows_known(const char *what, unsigned *parts)
{
	const struct show *show = show_find(what);

	if (parts)
		*parts = show ? show->parts : 0;
	return show != NULL;
}

const char *const *rows_names(void)
{
	static const char *const names[] = { "active_sockets", "breakdowns", "budget", "clients", "config", "databases",
		"dns_hosts", "dns_zones", "help", "leaks", "leases", "ledger", "lists", "mem", "origins", "peer_pools",
		"peers", "pins", "pools", "reaps", "servers", "sockets", "state", "stats", "stats_averages",
		"stats_totals", "totals", "users", "version", NULL };

	return names;
}

/* ---- messages ---- */

static void describe(struct writer *w, const struct show *show)
{
	size_t mark = message_begin(w, 'T');

	write_u16(w, (uint16_t)show->column_count);
	for (size_t i = 0; i < show->column_count; i++) {
		enum type type = show->columns[i].type;

		write_string(w, show->columns[i].name);
		write_u32(w, 0); /* of no table */
		write_u16(w, 0); /* and no column of it */
		write_u32(w, type);
		write_u16(w, type == INT4 ? 4 : type == INT8 ? 8 : UINT16_MAX);
		write_u32(w, UINT32_MAX); /* no modifier */
		write_u16(w, 0);          /* as text */
	}
	message_end(w, mark);
}

static void put_source(
	struct writer *w, const struct snapshot *snapshot, const struct show *show, const struct source *source)
{
	const char *rows;
	size_t count;

	memcpy(&rows, member(snapshot, source->list), sizeof rows);
	memcpy(&count, member(snapshot, source->count), sizeof count);
	for (size_t i = 0; i < count && writer_ok(w); i++) {
		const void *row = rows + i * source->size;

		if (!source->shown || source->shown(row))
			put_row(w, show, source->fields, row);
	}
}

void rows_show(struct writer *w, const struct snapshot *snapshot, const char *what)
{
	rows_answer(w, snapshot, what, "SHOW");
}

void rows_answer(struct writer *w, const struct snapshot *snapshot, const char *what, const char *tag)
{
	const struct show *show = show_find(what);
	size_t mark;

	check(show != NULL);
	describe(w, show);
	show_rows(w, snapshot, show);
	mark = message_begin(w, 'C');
	write_string(w, tag);
	message_end(w, mark);
}

void show_rows(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct pair pairs[PAIRS_MAX];
	size_t count = show->make ? show->make(snapshot, pairs) : 0, i;

	for (i = 0; i < count; i++)
		put_row(w, show, pair_fields, &pairs[i]);
	for (i = 0; i < sizeof show->sources / sizeof *show->sources && show->sources[i]; i++)
		put_source(w, snapshot, show, show->sources[i]);
	if (show->more)
		show->more(w, snapshot, show);
}
