/* Where servers come from: SHOW POOLS, BUDGET, DATABASES and USERS, peers, and the names that were looked up. */
#include "base/text.h"
#include "view/table.h"

/* clang-format off */
static const struct column pool_columns[] = {
	{ "database", TEXT }, { "user", TEXT }, { "cl_active", INT4 }, { "cl_waiting", INT4 },
	{ "cl_active_cancel_req", INT4 }, { "cl_waiting_cancel_req", INT4 }, { "sv_active", INT4 },
	{ "sv_active_cancel", INT4 }, { "sv_being_canceled", INT4 }, { "sv_idle", INT4 }, { "sv_used", INT4 },
	{ "sv_tested", INT4 }, { "sv_login", INT4 }, { "maxwait", INT4 }, { "maxwait_us", INT4 },
	{ "pool_mode", TEXT }, { "load_balance_hosts", TEXT },
	{ "sv_closing", INT4 | OURS }, { "sv_moving", INT4 | OURS }, { "sv_orphaned", INT4 | OURS }, { "cl_total", INT4 | OURS },
	{ "oldest_lease_us", INT8 | OURS }, { "median_lease_us", INT8 | OURS }, { "failing", TEXT | OURS },
	{ "total_questions", INT8 | OURS }, { "total_pins", INT8 | OURS }, { "pool_size", INT4 | OURS },
};

static void put_failure(struct writer *, const void *, size_t, const struct show *);

#define POOL(put, name) { put, offsetof(struct pool_row, name) }
static const struct field pool_fields[] = {
	POOL(put_text, database), POOL(put_text, user), POOL(put_u32, clients_active), POOL(put_u32, clients_waiting),
	POOL(put_u32, cancels_active), POOL(put_u32, cancels_waiting), POOL(put_u32, servers_active),
	POOL(put_u32, servers_active_cancel), POOL(put_u32, servers_being_canceled), POOL(put_u32, servers_idle),
	POOL(put_u32, servers_used), POOL(put_u32, servers_tested), POOL(put_u32, servers_login),
	POOL(put_seconds, oldest_wait), POOL(put_microseconds, oldest_wait),
	POOL(put_mode, mode), POOL(put_hosts, balance),
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

#define DATABASE(put, name) { put, offsetof(struct database_row, name) }
static const struct field database_fields[] = {
	DATABASE(put_text, name), DATABASE(put_text_or_null, host), DATABASE(put_int, port), DATABASE(put_text, dbname),
	DATABASE(put_text_or_null, force_user), DATABASE(put_int, pool_size), DATABASE(put_int, min_pool_size),
	DATABASE(put_int, reserve_pool_size), DATABASE(put_seconds, server_lifetime), DATABASE(put_mode, mode),
	DATABASE(put_hosts, balance), DATABASE(put_int, max_connections),
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

static const struct show shows[] = {
	{ "budget", 0, COLUMNS(budget_columns), .sources = { &budgets } },
	{ "databases", PART_POOLS, COLUMNS(database_columns), .sources = { &databases }, .more = more_databases },
	{ "dns_hosts", 0, COLUMNS(dns_host_columns), .sources = { &dns_hosts } },
	{ "dns_zones", 0, COLUMNS(dns_zone_columns), .sources = { &dns_zones } },
	{ "peer_pools", 0, COLUMNS(peer_pool_columns), .sources = { &peer_pools } },
	{ "peers", 0, COLUMNS(peer_columns), .sources = { &peers } },
	{ "pools", PART_POOLS | PART_STATS, COLUMNS(pool_columns), .sources = { &pools }, .more = more_pools },
	{ "users", PART_POOLS, COLUMNS(user_columns), .sources = { &users }, .more = more_users },
};
const struct show_list pool_shows = SHOWS(shows);

FILLS(pool_fields, pool_columns);
FILLS(budget_fields, budget_columns);
FILLS(peer_fields, peer_columns);
FILLS(peer_pool_fields, peer_pool_columns);
FILLS(dns_host_fields, dns_host_columns);
FILLS(dns_zone_fields, dns_zone_columns);
FILLS(database_fields, database_columns);
FILLS(user_fields, user_columns);
