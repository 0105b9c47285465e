#include "tool/doctor_console.h"

#include <stdlib.h>

#include "base/text.h"
#include "config/config.h"
#include "tool/doctor_ask.h"

/* Columns are found by name, so that any version will do; what a version does not have is zero or empty. */

static PGresult *show(struct console_facts *console, PGconn *connection, const char *what)
{
	char sql[64], problem[200];
	PGresult *rows;

	text_format(sql, sizeof sql, "SHOW %s", what);
	rows = ask(connection, sql, problem, sizeof problem);
	if (!rows && !*console->problem)
		text_format(console->problem, sizeof console->problem, "SHOW %s is refused: %s", what, problem);
	return rows;
}

static void read_config(struct console_facts *console, PGconn *connection, int *size, int *reserve)
{
	PGresult *rows = show(console, connection, "CONFIG");

	for (int i = 0; rows && i < PQntuples(rows); i++) {
		const char *key = cell(rows, i, "key"), *value = cell(rows, i, "value");

		if (strcmp(key, "max_client_conn") == 0) {
			console->max_client_conn = (int)strtol(value, NULL, 10);
		} else if (strcmp(key, "client_limit_counts") == 0) {
			/* Nobody else has this setting; under PgBouncer's name it is how we are told. */
			console->is_pgweir = true;
			console->parked_are_free = strcmp(value, "busy") == 0;
		} else if (strcmp(key, "pool_mode") == 0) {
			console->transaction = strcmp(value, "session") != 0;
		} else if (strcmp(key, "query_wait_timeout") == 0) {
			console->query_wait_timeout = (time_us)(strtod(value, NULL) * 1e6);
		} else if (strcmp(key, "default_pool_size") == 0) {
			*size = (int)strtol(value, NULL, 10);
		} else if (strcmp(key, "reserve_pool_size") == 0) {
			*reserve = (int)strtol(value, NULL, 10);
		}
	}
	PQclear(rows);
}

/* The reserve that its user has, else its database, else all. */
static int reserve_of(const PGresult *pools, int row, const PGresult *users, const PGresult *databases, int reserve)
{
	const char *own = cell_of(users, cell(pools, row, "user"), "reserve_pool_size");
	const char *name = cell(pools, row, "database");

	if (!*own)
		own = cell_of(databases, name, "reserve_pool_size");
	if (!*own)
		own = cell_of(databases, name, "reserve_pool");
	return *own ? (int)strtol(own, NULL, 10) : reserve;
}

static void read_pools(struct console_facts *console, PGconn *connection, int size, int reserve)
{
	PGresult *rows = show(console, connection, "POOLS"), *databases = show(console, connection, "DATABASES");
	PGresult *users = show(console, connection, "USERS");
	size_t count = rows ? (size_t)PQntuples(rows) : 0;

	console->pools = calloc(count + 1, sizeof *console->pools);
	for (size_t i = 0; console->pools && i < count; i++) {
		struct console_pool *pool = &console->pools[console->pool_count];
		int row = (int)i, own = console_pool_size(rows, row, users, databases);

		if (config_is_console(cell(rows, row, "database")))
			continue;
		console->pool_count++;
		text_copy(pool->database, sizeof pool->database, cell(rows, row, "database"));
		text_copy(pool->user, sizeof pool->user, cell(rows, row, "user"));
		text_copy(pool->mode, sizeof pool->mode, cell(rows, row, "pool_mode"));
		pool->clients_active = (int)cell_number(rows, row, "cl_active");
		pool->clients_waiting = (int)cell_number(rows, row, "cl_waiting");
		pool->servers_active = (int)cell_number(rows, row, "sv_active");
		pool->servers_idle = (int)cell_number(rows, row, "sv_idle");
		pool->servers_used = (int)cell_number(rows, row, "sv_used");
		pool->max_wait = cell_number(rows, row, "maxwait") * SECOND_US + cell_number(rows, row, "maxwait_us");
		pool->size = own > 0 || databases ? own : size;
		pool->reserve = reserve_of(rows, row, users, databases, reserve);
	}
	PQclear(users);
	PQclear(databases);
	PQclear(rows);
}

static void read_budget(struct console_facts *console, PGconn *connection)
{
	PGresult *rows = show(console, connection, "BUDGET");

	for (int i = 0; rows && i < PQntuples(rows) && !console->no_room[0]; i++) {
		if (!console_has_no_room(rows, i, console->no_room, sizeof console->no_room))
			console->no_room[0] = 0;
	}
	PQclear(rows);
}

static void read_stats(struct console_facts *console, PGconn *connection)
{
	PGresult *rows = show(console, connection, "STATS");
	double busy = 0, executing = 0;

	for (int i = 0; rows && i < PQntuples(rows); i++) {
		double transactions = cell_real(rows, i, "avg_xact_count"),
		       queries = cell_real(rows, i, "avg_query_count");

		if (config_is_console(cell(rows, i, "database")))
			continue;
		console->transactions_per_second += transactions;
		console->queries_per_second += queries;
		busy += transactions * cell_real(rows, i, "avg_xact_time");
		executing += queries * cell_real(rows, i, "avg_query_time");
	}
	PQclear(rows);
	if (console->transactions_per_second > 0)
		console->transaction_us = busy / console->transactions_per_second;
	if (console->queries_per_second > 0)
		console->query_us = executing / console->queries_per_second;
}

static void read_leak(struct console_leak *leak, const PGresult *rows, int row)
{
	char address[80] = "";

	if (*cell(rows, row, "address"))
		text_format(address, sizeof address, " from %s", cell(rows, row, "address"));
	text_format(leak->origin, sizeof leak->origin, "%s of %s@%s%s",
		*cell(rows, row, "application_name") ? cell(rows, row, "application_name") : "(no application_name)",
		cell(rows, row, "user"), cell(rows, row, "database"), address);
	text_copy(leak->pattern, sizeof leak->pattern, cell(rows, row, "pattern"));
	text_copy(leak->name, sizeof leak->name, cell(rows, row, "name"));
	text_copy(leak->evidence, sizeof leak->evidence, cell(rows, row, "evidence"));
	text_copy(leak->cure, sizeof leak->cure, cell(rows, row, "cure"));
	text_copy(leak->route, sizeof leak->route, cell(rows, row, "route"));
	text_copy(leak->statement, sizeof leak->statement, cell(rows, row, "statement"));
	leak->not_us = strcmp(cell(rows, row, "family"), "not us") == 0;
	leak->low = strcmp(cell(rows, row, "severity"), "low") == 0;
	leak->ended = *cell(rows, row, "ended") != 0;
	leak->number = cell_number(rows, row, "origin");
	leak->confidence = (int)cell_number(rows, row, "confidence");
	leak->growth = cell_real(rows, row, "growth_per_minute");
	leak->exhausted_in = (time_us)(cell_real(rows, row, "exhausted_in") * 1e6);
}

static void read_leaks(struct console_facts *console, PGconn *connection)
{
	PGresult *rows = show(console, connection, "LEAKS");
	size_t count = rows ? (size_t)PQntuples(rows) : 0;

	if (count > DOCTOR_LEAKS_MAX)
		count = DOCTOR_LEAKS_MAX; /* those that last come first */
	console->leaks = calloc(count + 1, sizeof *console->leaks);
	for (size_t i = 0; console->leaks && i < count; i++)
		read_leak(&console->leaks[console->leak_count++], rows, (int)i);
	PQclear(rows);
}

static void read_connections(struct console_facts *console, PGconn *connection)
{
	PGresult *rows = show(console, connection, "LISTS");
	size_t count;

	for (int i = 0; rows && i < PQntuples(rows); i++) {
		if (strcmp(cell(rows, i, "list"), "used_clients") == 0)
			console->clients = (unsigned)cell_number(rows, i, "items");
	}
	PQclear(rows);
	rows = show(console, connection, "SERVERS");
	count = rows ? (size_t)PQntuples(rows) : 0;
	console->server_pids = calloc(count + 1, sizeof *console->server_pids);
	for (size_t i = 0; console->server_pids && i < count; i++)
		console->server_pids[console->server_pid_count++] = (int)cell_number(rows, (int)i, "remote_pid");
	PQclear(rows);
}

void console_read(struct console_facts *console, const char *url)
{
	struct connect_error error;
	PGconn *connection = connect_open(url, "pgweir doctor", DOCTOR_LOGIN_US, &error);
	PGresult *version;
	int size = 0, reserve = 0;

	if (!connection) {
		console->full = error.trouble == CONNECT_FULL || strstr(error.text, "max_client_conn");
		first_line(console->problem, sizeof console->problem, error.text);
		return;
	}
	console->reached = true;
	version = show(console, connection, "VERSION");
	if (version)
		text_copy(console->version, sizeof console->version, cell(version, 0, "version"));
	PQclear(version);
	console->is_pgweir = strstr(console->version, "pgweir") != NULL;
	read_config(console, connection, &size, &reserve);
	read_pools(console, connection, size, reserve);
	read_stats(console, connection);
	read_connections(console, connection);
	if (console->is_pgweir) {
		read_budget(console, connection);
		read_leaks(console, connection);
	}
	PQfinish(connection);
}
