#include "view/metrics_table.h"

/* To add a metric: a row here, and doc/metrics.md made anew (tools/gendoc). What it tells is a member of a row of the snapshot.
 *
 * Counters must never fall, so the lines of pools and databases are named in the order in which their pools came to be, which never
 * changes; the lines of origins and leaks are gauges, and may come and go. */

/* clang-format off */

static bool leak_lasts(const void *row)
{
	return ((const struct leak_row *)row)->ended_wall == 0;
}

static uint32_t origin_weight(const void *row)
{
	return ((const struct origin_row *)row)->clients;
}

static uint32_t leak_weight(const void *row)
{
	return ((const struct leak_row *)row)->confidence;
}

#define ROWS(pointer, number) \
	.list = offsetof(struct snapshot, pointer), .count = offsetof(struct snapshot, number), .size = sizeof *((struct snapshot *)0)->pointer
#define INSIDE(array, number) \
	.list = offsetof(struct snapshot, array), .count = offsetof(struct snapshot, number), .size = sizeof *((struct snapshot *)0)->array, .inside = true

#define LABEL(NAME, ROW, MEMBER, ...) { .name = NAME, .offset = offsetof(struct ROW, MEMBER), __VA_ARGS__ }

static const struct metric_scope process = { .inside = true, .one = true, .size = sizeof(struct snapshot) };
static const struct metric_scope build = { .inside = true, .one = true, .size = sizeof(struct snapshot),
	.labels = { LABEL("version", snapshot, version, .raw = true) } };
static const struct metric_scope pool = { ROWS(pools, pool_count), .labels = {
	LABEL("database", pool_row, database, .raw = true), LABEL("user", pool_row, user, .raw = true) } };
static const struct metric_scope pools_database = { ROWS(pools, pool_count), .labels = {
	LABEL("database", pool_row, database, .raw = true) } };
static const struct metric_scope database = { ROWS(databases, database_count), .labels = {
	LABEL("database", database_row, name, .raw = true) } };
static const struct metric_scope origin = { ROWS(origins, origin_count), .weight = origin_weight, .labels = {
	LABEL("database", origin_row, database), LABEL("user", origin_row, user),
	LABEL("application_name", origin_row, application_name), LABEL("address", origin_row, address) } };
static const struct metric_scope leak = { ROWS(leaks, leak_count), .shown = leak_lasts, .weight = leak_weight, .labels = {
	LABEL("database", leak_row, database), LABEL("user", leak_row, user),
	LABEL("application_name", leak_row, application_name), LABEL("address", leak_row, address),
	LABEL("pattern", leak_row, pattern), LABEL("family", leak_row, family) } };
static const struct metric_scope server = { ROWS(budgets, budget_count), .labels = {
	LABEL("host", budget_row, host, .raw = true), LABEL("port", budget_row, port, .number = true) } };
static const struct metric_scope memory = { INSIDE(memory, memory_count), .labels = {
	LABEL("kind", memory_row, name) } };
static const struct metric_scope pin = { INSIDE(pins, pin_count), .labels = {
	LABEL("reason", pin_count, reason) } };

#define PROCESS(NAME, TYPE, VALUE, MEMBER, HELP, ...) \
	{ .name = NAME, .type = METRIC_##TYPE, .scope = &process, .value = VALUE_##VALUE, .offset = offsetof(struct snapshot, MEMBER), .help = HELP, __VA_ARGS__ }
#define POOL(NAME, TYPE, VALUE, MEMBER, HELP, ...) \
	{ .name = NAME, .type = METRIC_##TYPE, .scope = &pool, .value = VALUE_##VALUE, .offset = offsetof(struct pool_row, MEMBER), .help = HELP, __VA_ARGS__ }
#define OF_DATABASE(NAME, TYPE, VALUE, MEMBER, HELP, ...) \
	{ .name = NAME, .type = METRIC_##TYPE, .scope = &pools_database, .value = VALUE_##VALUE, .offset = offsetof(struct pool_row, MEMBER), .help = HELP, __VA_ARGS__ }
#define DATABASE(NAME, TYPE, VALUE, MEMBER, HELP, ...) \
	{ .name = NAME, .type = METRIC_##TYPE, .scope = &database, .value = VALUE_##VALUE, .offset = offsetof(struct database_row, MEMBER), .help = HELP, __VA_ARGS__ }
#define ORIGIN(NAME, MEMBER, HELP) \
	{ .name = NAME, .type = METRIC_GAUGE, .scope = &origin, .value = VALUE_U32, .offset = offsetof(struct origin_row, MEMBER), .help = HELP }
#define LEAK(NAME, VALUE, MEMBER, FOLD, HELP) \
	{ .name = NAME, .type = METRIC_GAUGE, .scope = &leak, .value = VALUE_##VALUE, .offset = offsetof(struct leak_row, MEMBER), .fold = FOLD_##FOLD, .help = HELP }
#define SERVER(NAME, VALUE, MEMBER, HELP, ...) \
	{ .name = NAME, .type = METRIC_GAUGE, .scope = &server, .value = VALUE_##VALUE, .offset = offsetof(struct budget_row, MEMBER), .help = HELP, __VA_ARGS__ }
#define STATE(word) .more = "state=\"" word "\""
#define POOL_SERVERS "Servers of the pool, by what they do."
#define OUR_SERVERS  "Our connections to this PostgreSQL server, by what they do."

const struct metric metrics[] = {
	{ .name = "pgweir_build_info", .type = METRIC_GAUGE, .scope = &build, .value = VALUE_ONE, .help = "Always 1; the label tells the version." },
	PROCESS("pgweir_start_time_seconds", GAUGE, TIME, started_wall, "When the process began, since 1970."),
	PROCESS("pgweir_paused", GAUGE, BOOL, paused, "1: everything is paused."),
	PROCESS("pgweir_draining", GAUGE, BOOL, shutting_down, "1: it shuts down, and waits for clients or servers."),
	PROCESS("pgweir_clients", GAUGE, U32, clients_total, "Clients that are connected."),
	PROCESS("pgweir_clients_limit", GAUGE, U64, clients_max, "Clients that the limit of open files has room for."),
	PROCESS("pgweir_clients_logging_in", GAUGE, U32, clients_login, "Clients that log in."),
	PROCESS("pgweir_clients_at_door", GAUGE, U32, clients_at_door, "Clients for whose login there is no room yet."),
	PROCESS("pgweir_door_waits_total", COUNTER, U64, door_waits, "Logins that had to wait for room."),
	PROCESS("pgweir_servers", GAUGE, U32, servers_total, "Connections to PostgreSQL."),
	PROCESS("pgweir_pools", GAUGE, SIZE, pool_count, "Pools: pairs of a database and a user."),
	PROCESS("pgweir_reaped_clients_total", COUNTER, U64, reaped, "Clients that the leak guard or REAP has ended."),
	PROCESS("pgweir_reaper_in_vain_total", COUNTER, U64, reaped_in_vain, "Looks at a leaking origin at which room was needed and none of its clients could be ended."),
	PROCESS("pgweir_noticed_clients_total", COUNTER, U64, noticed, "Clients that the leak guard has told of their leak."),

	POOL("pgweir_pool_clients", GAUGE, U32, clients, "Clients that are logged in."),
	POOL("pgweir_pool_clients_waiting", GAUGE, U32, clients_waiting, "Clients that wait for a server."),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_active, POOL_SERVERS, STATE("lent")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_idle, POOL_SERVERS, STATE("idle")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_login, POOL_SERVERS, STATE("dialing")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_tested, POOL_SERVERS, STATE("cleaning")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_moving, POOL_SERVERS, STATE("moving")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_closing, POOL_SERVERS, STATE("closing")),
	POOL("pgweir_pool_servers", GAUGE, U32, servers_orphaned, POOL_SERVERS, STATE("orphaned")),
	POOL("pgweir_pool_size", GAUGE, U32, size, "Most servers that it may have; 0: no limit."),
	POOL("pgweir_pool_reserve", GAUGE, U32, reserve, "Servers beyond that for clients that have waited long."),
	POOL("pgweir_pool_failing", GAUGE, BOOL, failing, "1: the last login to PostgreSQL failed, and it has no server."),
	POOL("pgweir_pool_oldest_wait_seconds", GAUGE, TIME, oldest_wait, "How long the client has waited that has waited the longest; 0: nobody waits.", .fold = FOLD_MOST),
	POOL("pgweir_pool_oldest_lease_seconds", GAUGE, TIME, oldest_lease, "How long the server is lent that is lent the longest; 0: none is.", .fold = FOLD_MOST),
	POOL("pgweir_pool_leases_total", COUNTER, U64, total.server_assignments, "Servers lent to clients."),
	POOL("pgweir_pool_transactions_total", COUNTER, U64, total.transactions, "Transactions that ended."),
	POOL("pgweir_pool_queries_total", COUNTER, U64, total.queries, "Queries."),
	POOL("pgweir_pool_transaction_seconds_total", COUNTER, US, total.transaction_time, "Time in transactions."),
	POOL("pgweir_pool_received_bytes_total", COUNTER, U64, total.received, "Bytes from clients."),
	POOL("pgweir_pool_sent_bytes_total", COUNTER, U64, total.sent, "Bytes to clients."),
	POOL("pgweir_pool_logins_total", COUNTER, U64, total.logins, "Clients that logged in."),
	POOL("pgweir_pool_client_parses_total", COUNTER, U64, total.client_parses, "Named statements that clients prepared."),
	POOL("pgweir_pool_server_parses_total", COUNTER, U64, total.server_parses, "Named statements that were prepared on servers."),
	POOL("pgweir_pool_binds_total", COUNTER, U64, total.binds, "Executions of named statements."),
	POOL("pgweir_pool_questions_total", COUNTER, U64, total.questions, "Times that a server was asked what a client left in its session."),
	POOL("pgweir_pool_pins_total", COUNTER, U64, total.pins, "Leases that were pinned, since the session holds state on the server."),
	POOL("pgweir_pool_wait_seconds", HISTOGRAM, METER, times.wait, "How long clients waited for a server, with those that waited for nothing."),
	POOL("pgweir_pool_lease_seconds", HISTOGRAM, METER, times.lease, "How long servers were lent."),
	POOL("pgweir_pool_query_seconds", HISTOGRAM, METER, times.query, "How long PostgreSQL took from a query to the end of its answer."),
	POOL("pgweir_pool_login_seconds", HISTOGRAM, METER, times.login, "How long logins of clients took, from the connection on."),

	{ .name = "pgweir_pins", .type = METRIC_GAUGE, .scope = &pin, .value = VALUE_U32, .offset = offsetof(struct pin_count, leases), .help = "Leases that are pinned now, by the reason; a lease may have several." },

	PROCESS("pgweir_leaks", GAUGE, U32, leaks_lasting, "Leaks that last."),
	LEAK("pgweir_leak_confidence_ratio", PERCENT, confidence, MOST, "How sure the verdict is, 0 to 1."),
	LEAK("pgweir_leak_clients", U32, clients, SUM, "Clients that leak."),
	LEAK("pgweir_leak_servers", U32, servers, SUM, "Servers that they hold."),
	LEAK("pgweir_leak_oldest_seconds", TIME, oldest, MOST, "How long the oldest of them has been left."),
	LEAK("pgweir_leak_growth_clients_per_second", MINUTES, growth, SUM, "By how many it grows."),
	LEAK("pgweir_leak_exhausted_in_seconds", TIME_IF, exhausted_in, LEAST, "When nothing will be left, where that can be foreseen."),

	ORIGIN("pgweir_origin_clients", clients, "Clients of the origin."),
	ORIGIN("pgweir_origin_clients_waiting", waiting, "Those that wait for a server."),
	ORIGIN("pgweir_origin_clients_lent", lent, "Those that hold a server."),
	ORIGIN("pgweir_origin_clients_quiet", quiet, "Those that have rested for leak_quiet."),
	ORIGIN("pgweir_origin_clients_holding", holding, "Those that hold a server and have done nothing with it for leak_hold."),

	SERVER("pgweir_budget_usable_connections", INT, usable, "Connections that PostgreSQL has for users without privileges."),
	SERVER("pgweir_budget_other_connections", INT, others, "Those that others than this pooler have."),
	SERVER("pgweir_budget_free_connections", INT, free, "Those that nobody has."),
	SERVER("pgweir_budget_target_connections", INT, target, "Most that are taken here beside the others."),
	SERVER("pgweir_budget_orphan_connections", INT, orphans, "Backends of ours there that we own no more."),
	SERVER("pgweir_budget_clients_waiting", U32, waiting, "Clients that wait for a server there."),
	SERVER("pgweir_budget_servers", U32, lent, OUR_SERVERS, STATE("lent")),
	SERVER("pgweir_budget_servers", U32, idle, OUR_SERVERS, STATE("idle")),
	SERVER("pgweir_budget_servers", U32, dialing, OUR_SERVERS, STATE("dialing")),
	SERVER("pgweir_budget_servers", U32, cleaning, OUR_SERVERS, STATE("cleaning")),
	SERVER("pgweir_budget_servers", U32, moving, OUR_SERVERS, STATE("moving")),
	SERVER("pgweir_budget_servers", U32, closing, OUR_SERVERS, STATE("closing")),
	SERVER("pgweir_budget_servers", U32, orphaned, OUR_SERVERS, STATE("orphaned")),
	SERVER("pgweir_budget_servers", U32, monitor, OUR_SERVERS, STATE("monitor")),
	SERVER("pgweir_budget_servers", U32, listeners, OUR_SERVERS, STATE("listener")),
	SERVER("pgweir_budget_servers", U32, visitors, OUR_SERVERS, STATE("visitor")),
	SERVER("pgweir_budget_failing", BOOL, failing, "1: the monitor can not reach or read it; SHOW BUDGET has the reason (problem)."),
	SERVER("pgweir_budget_reading_age_seconds", TIME_IF, age, "How old the last reading is.", .fold = FOLD_MOST),

	DATABASE("pgweir_database_paused", GAUGE, BOOL, paused, "1: this database is paused."),
	DATABASE("pgweir_database_disabled", GAUGE, BOOL, disabled, "1: this database is disabled."),
	{ .name = "pgweir_memory_bytes", .type = METRIC_GAUGE, .scope = &memory, .value = VALUE_MEMORY, .help = "Memory in use, by what it is used for." },

	PROCESS("pgweir_heap_bytes", GAUGE, U64_IF, usage.heap, "Memory that is allocated and not freed, with what threads keep ready; what it has of the machine is process_resident_memory_bytes."),

	PROCESS("process_cpu_seconds_total", COUNTER, US, usage.processor, "Time that its threads had a processor."),
	PROCESS("process_resident_memory_bytes", GAUGE, U64_IF, usage.resident, "What of its memory is in the machine's."),
	PROCESS("process_virtual_memory_bytes", GAUGE, U64_IF, usage.addressable, "What of its memory has an address."),
	PROCESS("process_open_fds", GAUGE, U64_IF, usage.files, "Files and connections that are open."),
	PROCESS("process_max_fds", GAUGE, U64_IF, usage.files_limit, "How many may be open."),
	PROCESS("process_start_time_seconds", GAUGE, TIME, started_wall, "When the process began, since 1970."),

	PROCESS("pgbouncer_databases", GAUGE, SIZE, database_count, "Databases of the configuration."),
	PROCESS("pgbouncer_users", GAUGE, SIZE, user_count, "Users that are known."),
	PROCESS("pgbouncer_pools", GAUGE, SIZE, pool_count, "Pools."),
	PROCESS("pgbouncer_used_clients", GAUGE, U32, clients_total, "Clients."),
	PROCESS("pgbouncer_login_clients", GAUGE, U32, clients_login, "Clients that log in."),
	PROCESS("pgbouncer_free_clients", GAUGE, ZERO, wall, "Always 0: nothing is kept in reserve."),
	PROCESS("pgbouncer_used_servers", GAUGE, U32, servers_total, "Connections to PostgreSQL."),
	PROCESS("pgbouncer_free_servers", GAUGE, ZERO, wall, "Always 0: nothing is kept in reserve."),
	PROCESS("pgbouncer_dns_names", GAUGE, SIZE, dns_host_count, "Host names that are remembered."),
	PROCESS("pgbouncer_dns_zones", GAUGE, SIZE, dns_zone_count, "Zones whose serial numbers are watched."),
	PROCESS("pgbouncer_dns_queries", GAUGE, U32, names_pending, "Host names and zones that are being looked up."),
	PROCESS("pgbouncer_dns_pending", GAUGE, ZERO, wall, "Always 0."),
	POOL("pgbouncer_active_clients", GAUGE, U32, clients_active, "Clients that hold a server or rest (cl_active)."),
	POOL("pgbouncer_waiting_clients", GAUGE, U32, clients_waiting, "Clients that wait for a server (cl_waiting)."),
	OF_DATABASE("pgbouncer_requests_total", COUNTER, U64, total.queries, "Queries."),
	OF_DATABASE("pgbouncer_received_bytes_total", COUNTER, U64, total.received, "Bytes from clients."),
	OF_DATABASE("pgbouncer_sent_bytes_total", COUNTER, U64, total.sent, "Bytes to clients."),
	OF_DATABASE("pgbouncer_query_microseconds_total", COUNTER, U64, total.query_time, "Time that queries took.", .pgbouncer = true),
	DATABASE("pgbouncer_pool_size", GAUGE, INT, pool_size, "Most servers of a pool of this database."),
	DATABASE("pgbouncer_reserve_pool", GAUGE, INT, reserve_pool_size, "Servers beyond that."),
};
/* clang-format on */

const size_t metrics_count = sizeof metrics / sizeof *metrics;
