#include "tool/top_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/text.h"
#include "tool/doctor_ask.h"
#include "tool/memory.h"
#include "tool/table.h"

/* Columns are found by name, so that any version will do. What each can tell:
 *
 *     pgweir       pools, origins, leases with their statements, verdicts on leaks
 *     PgBouncer    pools, and its clients: those that have a server are leases; no statements
 *     PostgreSQL   sessions: those that do something or are in a transaction are leases, with statements and who blocks whom */

#define LOGIN_US         (5 * SECOND_US)
#define LONG_IDLE        60 /* seconds idle in a transaction after which a bare PostgreSQL's is told as a sign */
#define TAKE(to, column) text_copy(to, sizeof(to), cell(rows, i, column))

/* The tables of one look, made whole before they replace those of the look before. */
static size_t rows_of(const PGresult *rows)
{
	return rows ? (size_t)PQntuples(rows) : 0;
}

static bool is_console(const char *database)
{
	return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

static void read_pools(struct top_view *view, const PGresult *rows, const PGresult *users, const PGresult *databases)
{
	view->pools = memory_new(rows_of(rows), sizeof view->pools[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_pool *pool = &view->pools[view->pool_count];

		if (is_console(cell(rows, i, "database")))
			continue;
		view->pool_count++;
		TAKE(pool->database, "database");
		TAKE(pool->user, "user");
		pool->lent = (int)cell_number(rows, i, "sv_active");
		pool->idle = (int)(cell_number(rows, i, "sv_idle") + cell_number(rows, i, "sv_used"));
		pool->waiting = (int)cell_number(rows, i, "cl_waiting");
		pool->longest_wait = cell_real(rows, i, "maxwait") + cell_real(rows, i, "maxwait_us") / 1e6;
		TAKE(pool->failing, "failing");
		pool->limit = console_pool_size(rows, i, users, databases);
	}
}

/* Why clients wait while their pools may have more servers is known to nobody else. No pool knows that PostgreSQL is gone before somebody asks for a server; the monitor does. That it is not let in is another matter. */
static void read_budget(struct top_view *view, const PGresult *rows)
{
	static const char *const ways[] = { "connection to server", "could not translate" };

	for (int i = 0; i < (int)rows_of(rows) && !view->no_room[0]; i++) {
		if (!console_has_no_room(rows, i, view->no_room, sizeof view->no_room))
			view->no_room[0] = 0;
	}
	for (int i = 0; i < (int)rows_of(rows) && !view->unreached[0]; i++) {
		const char *problem = cell(rows, i, "problem");

		if (strcmp(cell(rows, i, "state"), "failed") != 0 || cell_number(rows, i, "ours") > 0)
			continue;
		for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
			if (strncmp(problem, ways[w], strlen(ways[w])) == 0)
				text_copy(view->unreached, sizeof view->unreached, problem);
	}
}

static void read_leaks(struct top_view *view, const PGresult *rows)
{
	view->leaks = memory_new(rows_of(rows), sizeof view->leaks[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_leak *leak = &view->leaks[view->leak_count];
		char end[40], age[40];

		if (*cell(rows, i, "ended"))
			continue;
		view->leak_count++;
		text_copy(end, sizeof end, "");
		if (cell_real(rows, i, "exhausted_in") > 1) /* else it has come: the severity says so */
			text_format(end, sizeof end, ", ends badly in %s",
				text_duration(age, sizeof age, (time_us)(cell_real(rows, i, "exhausted_in") * 1e6)));
		text_format(leak->title, sizeof leak->title, "LEAK %.8s, %lld %%, %.10s%s:", cell(rows, i, "pattern"),
			(long long)cell_number(rows, i, "confidence"), cell(rows, i, "severity"), end);
		text_format(leak->who, sizeof leak->who, "%s/%s \"%s\" at %s", cell(rows, i, "database"),
			cell(rows, i, "user"), cell(rows, i, "application_name"), cell(rows, i, "address"));
		TAKE(leak->evidence, "evidence");
		TAKE(leak->cure, "cure");
		TAKE(leak->name, "name");
		TAKE(leak->since, "since");
		TAKE(leak->route, "route");
		TAKE(leak->statement, "statement");
	}
}

static void read_origins(struct top_view *view, const PGresult *rows)
{
	view->origins = memory_new(rows_of(rows), sizeof view->origins[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_origin *origin = &view->origins[i];

		view->origin_count++;
		origin->id = cell_number(rows, i, "id");
		TAKE(origin->database, "database");
		TAKE(origin->user, "user");
		TAKE(origin->application, "application_name");
		TAKE(origin->address, "address");
		origin->clients = (int)cell_number(rows, i, "clients");
		origin->lent = (int)cell_number(rows, i, "lent");
		origin->waiting = (int)cell_number(rows, i, "waiting");
	}
}

static void read_leases(struct top_view *view, const PGresult *rows)
{
	view->leases = memory_new(rows_of(rows), sizeof view->leases[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_lease *lease = &view->leases[i];

		view->lease_count++;
		lease->client = cell_number(rows, i, "client");
		lease->origin = cell_number(rows, i, "origin");
		lease->process = cell_number(rows, i, "remote_pid");
		TAKE(lease->database, "database");
		TAKE(lease->user, "user");
		TAKE(lease->application, "application_name");
		TAKE(lease->address, "addr");
		TAKE(lease->state, "state");
		TAKE(lease->statement, *cell(rows, i, "statement") ? "statement" : "first_statement");
		TAKE(lease->first, "first_statement");
		TAKE(lease->pin, "pin");
		lease->age = cell_real(rows, i, "age");
		lease->in_state = cell_real(rows, i, "in_state");
		lease->waiting = (int)cell_number(rows, i, "waiting");
		TAKE(lease->waiters, "waiters");
	}
}

static void read_parts(struct top_view *view, const PGresult *rows)
{
	view->parts = memory_new(rows_of(rows), sizeof view->parts[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_part *part = &view->parts[view->part_count++];

		part->origin = cell_number(rows, i, "origin");
		TAKE(part->by, "by");
		TAKE(part->value, "value");
		part->clients = (int)cell_number(rows, i, "clients");
		part->quiet = (int)cell_number(rows, i, "quiet");
		part->holding = (int)cell_number(rows, i, "holding");
		part->oldest_quiet = cell_real(rows, i, "oldest_quiet");
		part->oldest_hold = cell_real(rows, i, "oldest_hold");
	}
}

/* The origin of these words, made where there is none yet; the list has room. */
static struct top_origin *origin_of(struct top_view *view, const PGresult *rows, int i, const char *address)
{
	struct top_origin *origin;

	for (size_t o = 0; o < view->origin_count; o++) {
		origin = &view->origins[o];
		if (strncmp(origin->database, cell(rows, i, "database"), TOP_NAME - 1) == 0 &&
			strncmp(origin->user, cell(rows, i, "user"), TOP_NAME - 1) == 0 &&
			strncmp(origin->application, cell(rows, i, "application_name"), TOP_NAME - 1) == 0 &&
			strncmp(origin->address, cell(rows, i, address), TOP_NAME - 1) == 0)
			return origin;
	}
	origin = &view->origins[view->origin_count++];
	TAKE(origin->database, "database");
	TAKE(origin->user, "user");
	TAKE(origin->application, "application_name");
	TAKE(origin->address, address);
	return origin;
}

static int waiting_for_pool(const struct top_view *view, const struct top_lease *lease)
{
	for (size_t i = 0; i < view->pool_count; i++) {
		if (strcmp(view->pools[i].database, lease->database) == 0 &&
			strcmp(view->pools[i].user, lease->user) == 0)
			return view->pools[i].waiting;
	}
	return 0;
}

/* PgBouncer's SHOW CLIENTS: who has a server has a link. */
static void read_clients(struct top_view *view, const PGresult *rows)
{
	view->origins = memory_new(rows_of(rows), sizeof view->origins[0]);
	view->leases = memory_new(rows_of(rows), sizeof view->leases[0]);
	for (int i = 0; i < (int)rows_of(rows); i++) {
		struct top_origin *origin;
		struct top_lease *lease;

		if (is_console(cell(rows, i, "database")))
			continue;
		origin = origin_of(view, rows, i, "addr");
		origin->clients++;
		origin->waiting += strcmp(cell(rows, i, "state"), "waiting") == 0;
		if (!*cell(rows, i, "link"))
			continue;
		origin->lent++;
		lease = &view->leases[view->lease_count++];
		TAKE(lease->database, "database");
		TAKE(lease->user, "user");
		TAKE(lease->application, "application_name");
		TAKE(lease->address, "addr");
		TAKE(lease->state, "state");
		lease->process = cell_number(rows, i, "remote_pid");
		lease->age = lease->in_state = -1;
		lease->waiting = waiting_for_pool(view, lease);
	}
}

static bool look_at_console(struct top_source *source, struct top_view *view, char *problem, size_t size)
{
	PGresult *pools = ask(source->connection, "SHOW POOLS", problem, size), *databases = NULL, *leases = NULL,
		 *users = NULL, *more = NULL;
	char unseen[400];
	bool fine;

	databases = pools ? ask(source->connection, "SHOW DATABASES", problem, size) : NULL;
	if (databases && !source->plain && connect_lives(source->connection))
		leases = ask(source->connection, "SHOW LEASES", unseen, sizeof unseen);
	fine = databases && connect_lives(source->connection);
	if (fine) {
		source->plain = leases == NULL;
		view->kind = source->kind = leases ? TOP_PGWEIR : TOP_PGBOUNCER;
		/* Where pools do not tell their size, users may have one of their own. */
		if (PQfnumber(pools, "pool_size") < 0)
			users = ask(source->connection, "SHOW USERS", unseen, sizeof unseen);
		read_pools(view, pools, users, databases);
		PQclear(users);
		fine = connect_lives(source->connection);
	}
	if (fine && leases) {
		more = ask(source->connection, "SHOW BUDGET", unseen, sizeof unseen);
		read_budget(view, more);
		PQclear(more);
		read_leases(view, leases);
		more = ask(source->connection, "SHOW ORIGINS", problem, size);
		read_origins(view, more);
		fine = more != NULL;
		PQclear(more);
		more = fine ? ask(source->connection, "SHOW LEAKS", problem, size) : NULL;
		read_leaks(view, more);
		fine = more != NULL;
		if (fine && source->inside) {
			PQclear(more);
			more = ask(source->connection, "SHOW BREAKDOWNS", problem, size);
			read_parts(view, more);
			fine = more != NULL;
		}
	} else if (fine) {
		more = ask(source->connection, "SHOW CLIENTS", problem, size);
		read_clients(view, more);
		fine = more != NULL;
	}
	PQclear(more);
	PQclear(leases);
	PQclear(databases);
	PQclear(pools);
	return fine;
}

/* From who may not look into the sessions of others, the types of their backends are hidden as well; those of processes that are no
 * sessions have no database. */
#define ONE_SESSION "(a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL))"

static const char sessions_sql[] =
	"SELECT a.pid, coalesce(a.datname, '') AS database, coalesce(a.usename, '') AS \"user\","
	" coalesce(a.application_name, '') AS application_name,"
	" coalesce(host(a.client_addr), CASE WHEN a.backend_type IS NULL THEN '' ELSE 'local' END) AS address,"
	" CASE WHEN a.backend_type IS NULL THEN 'hidden' ELSE coalesce(a.state, 'starting') END AS state, left(a.query, 280) AS statement,"
	" extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start)) AS age,"
	" extract(epoch FROM clock_timestamp() - a.state_change) AS in_state,"
	" coalesce((pg_blocking_pids(a.pid))[1], 0) AS behind"
	" FROM pg_stat_activity a WHERE " ONE_SESSION " AND a.pid <> pg_backend_pid() ORDER BY a.pid LIMIT 5000";

static const char slots_sql[] =
	"SELECT count(*) AS used, current_setting('max_connections')::int AS most,"
	" current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0) AS kept"
	" FROM pg_stat_activity a WHERE " ONE_SESSION;

static void read_slots(struct top_view *view, const PGresult *rows)
{
	view->used = (int)cell_number(rows, 0, "used");
	view->most = (int)cell_number(rows, 0, "most");
	view->kept = (int)cell_number(rows, 0, "kept");
	if (view->used >= view->most - view->kept)
		text_format(view->no_room, sizeof view->no_room,
			"Full: %d of the %d connections of PostgreSQL are taken, with this one%s", view->used,
			view->most, view->kept > 0 ? ", and the others are not for ordinary users" : "");
}

static struct top_pool *pool_of(struct top_view *view, const PGresult *rows, int i)
{
	struct top_pool *pool;

	for (size_t p = 0; p < view->pool_count; p++) {
		pool = &view->pools[p];
		if (strcmp(pool->database, cell(rows, i, "database")) == 0 &&
			strcmp(pool->user, cell(rows, i, "user")) == 0)
			return pool;
	}
	pool = &view->pools[view->pool_count++];
	TAKE(pool->database, "database");
	TAKE(pool->user, "user");
	pool->limit = view->most;
	return pool;
}

/* One look proves no leak; what it shows is told as what it is. */
static void tell_sign(struct top_view *view, const struct top_lease *lease, double idle)
{
	struct top_leak *sign = &view->leaks[view->leak_count++];
	char age[40];

	text_format(sign->title, sizeof sign->title, "IDLE IN TRANSACTION");
	text_format(sign->who, sizeof sign->who, "process %lld, %s/%s \"%s\" at %s", (long long)lease->process,
		lease->database, lease->user, lease->application, lease->address);
	text_format(sign->evidence, sizeof sign->evidence, "has done nothing for %s; its last statement: %s",
		text_duration(age, sizeof age, (time_us)(idle * 1e6)), lease->statement);
}

static bool look_at_server(struct top_source *source, struct top_view *view, char *problem, size_t size)
{
	PGresult *slots = ask_server(source->connection, slots_sql, problem, size);
	PGresult *rows = slots ? ask_server(source->connection, sessions_sql, problem, size) : NULL;
	size_t count = rows_of(rows);

	if (!rows) {
		PQclear(slots);
		return false;
	}
	read_slots(view, slots);
	PQclear(slots);
	view->kind = source->kind = TOP_POSTGRESQL;
	view->pools = memory_new(count, sizeof view->pools[0]);
	view->origins = memory_new(count, sizeof view->origins[0]);
	view->leases = memory_new(count, sizeof view->leases[0]);
	view->leaks = memory_new(count, sizeof view->leaks[0]);
	for (int i = 0; i < (int)count; i++) {
		struct top_pool *pool = pool_of(view, rows, i);
		struct top_origin *origin = origin_of(view, rows, i, "address");
		bool idle = strcmp(cell(rows, i, "state"), "idle") == 0, waits = cell_number(rows, i, "behind") != 0;
		struct top_lease *lease;

		origin->clients++;
		if (strcmp(cell(rows, i, "state"), "hidden") == 0) {
			view->hidden++;
			continue;
		}
		pool->idle += idle;
		pool->lent += !idle;
		pool->waiting += waits;
		origin->lent += !idle;
		origin->waiting += waits;
		if (idle)
			continue;
		lease = &view->leases[view->lease_count++];
		TAKE(lease->database, "database");
		TAKE(lease->user, "user");
		TAKE(lease->application, "application_name");
		TAKE(lease->address, "address");
		TAKE(lease->state, "state");
		redact_sql(lease->statement, sizeof lease->statement, span_text(cell(rows, i, "statement")));
		lease->process = cell_number(rows, i, "pid");
		lease->age = cell_real(rows, i, "age");
		lease->in_state = cell_real(rows, i, "in_state");
		lease->behind = cell_number(rows, i, "behind");
		if (waits && lease->age > pool->longest_wait)
			pool->longest_wait = lease->age;
		if (strncmp(lease->state, "idle in", 7) == 0 && lease->in_state > LONG_IDLE)
			tell_sign(view, lease, lease->in_state);
	}
	for (size_t i = 0; i < view->lease_count; i++) {
		for (size_t other = 0; other < view->lease_count; other++)
			view->leases[i].waiting += view->leases[other].behind == view->leases[i].process;
	}
	PQclear(rows);
	return true;
}

static bool log_in(struct top_source *source, char *problem, size_t size)
{
	char where[100];

	source->connection = connect_open(source->url, "pgweir top", LOGIN_US, &source->trouble);
	if (!source->connection) {
		first_line(problem, size, source->trouble.text);
		return false;
	}
	text_format(where, sizeof where, "%.60s:%.10s", PQhost(source->connection), PQport(source->connection));
	show_text(source->from, sizeof source->from, 0, span_text(where));
	return true;
}

bool top_source_look(struct top_source *source, struct top_view *view, char *problem, size_t size)
{
	struct top_view new = { .kind = view->kind };
	bool fine;

	problem[0] = 0;
	if (!source->connection && !log_in(source, problem, size))
		return false;
	fine = is_console(PQdb(source->connection)) ? look_at_console(source, &new, problem, size)
						    : look_at_server(source, &new, problem, size);
	if (!fine) {
		if (!problem[0])
			text_copy(problem, size, "the connection was lost");
		top_view_fini(&new);
		top_source_close(source);
		return false;
	}
	top_view_fini(view);
	*view = new;
	return true;
}

void top_source_close(struct top_source *source)
{
	PQfinish(source->connection);
	source->connection = NULL;
	source->plain = false; /* what comes back may be another program */
}

bool top_source_reap(struct top_source *source, int64_t client, bool act, char *said, size_t size)
{
	char sql[80], problem[400] = "the connection was lost";
	PGresult *rows;
	bool fine;

	text_format(sql, sizeof sql, "REAP %sCLIENT %lld", act ? "" : "DRY RUN ", (long long)client);
	rows = source->connection ? ask(source->connection, sql, problem, sizeof problem) : NULL;
	if (!rows) {
		text_format(said, size, "%s: %s", sql, problem);
		return false;
	}
	if (PQntuples(rows) == 0)
		text_format(said, size, "%s: nobody", sql);
	else
		text_format(said, size, "%s: %s: %s", sql, cell(rows, 0, "outcome"), cell(rows, 0, "reason"));
	fine = act || strcmp(cell(rows, 0, "outcome"), "would go") == 0;
	PQclear(rows);
	return fine;
}
