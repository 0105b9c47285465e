#include "tool/doctor_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "base/text.h"
#include "io/address.h"
#include "io/clock.h"
#include "io/file.h"

/* Five questions, each of which may be refused without harm to the others, then samples. Without pg_read_all_stats the sessions of
 * other users show their user and their database and nothing else; then `sees_all` is false and the rules keep still about states. */

static const char sessions_sql[] =
	"SELECT a.pid, u.rolname AS user, d.datname AS database, a.application_name AS application,"
	" coalesce(host(a.client_addr), CASE WHEN a.client_port = -1 THEN 'unix socket' END) AS address, a.client_port AS port,"
	" a.state, a.wait_event, left(a.query, 8000) AS query, u.rolsuper AS superuser,"
	" a.pid = pg_backend_pid() OR a.application_name = 'pgweir doctor' AS ours, a.backend_xid IS NOT NULL AS writes,"
	" (extract(epoch FROM clock_timestamp() - a.backend_start) * 1000000)::bigint AS age,"
	" (extract(epoch FROM clock_timestamp() - a.query_start) * 1000000)::bigint AS query_age,"
	" (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000)::bigint AS transaction_age,"
	" (extract(epoch FROM clock_timestamp() - a.state_change) * 1000000)::bigint AS state_age,"
	" (extract(epoch FROM a.backend_start) * 1000000)::bigint AS birth,"
	" (extract(epoch FROM a.state_change) * 1000000)::bigint AS last_change,"
	" EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted) AS locks_advisory,"
	" a.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w WHERE w.wait_event_type = 'Lock') AS blocks_others"
	" FROM pg_stat_activity a LEFT JOIN pg_roles u ON u.oid = a.usesysid LEFT JOIN pg_database d ON d.oid = a.datid"
	" WHERE a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL)"
	" ORDER BY a.backend_start";

static const char settings_sql[] =
	"SELECT name, CASE WHEN name = 'tcp_keepalives_idle' THEN setting ELSE reset_val END AS setting, source FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections',"
	" 'reserved_connections', 'statement_timeout', 'idle_in_transaction_session_timeout', 'client_connection_check_interval',"
	" 'tcp_keepalives_idle', 'password_encryption', 'server_version_num')";

/* A role or a database may have a guard that we, logged in as another, do not see. */
static const char guards_sql[] = "SELECT count(*) FILTER (WHERE c LIKE 'idle_in_transaction_session_timeout=%') AS idle,"
				 " count(*) FILTER (WHERE c LIKE 'statement_timeout=%') AS statement"
				 " FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE c NOT LIKE '%=0'";

static const char rights_sql[] =
	"SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,"
	" inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr() AS local,"
	" coalesce(inet_server_port(), current_setting('port')::integer) AS port, inet_client_port() AS client_port";

static const char limits_sql[] =
	"SELECT pg_is_in_recovery() AS in_recovery, current_setting('default_transaction_read_only') = 'on' AS read_only,"
	" r.rolname AS user, d.datname AS database, greatest(r.rolconnlimit, 0) AS role_limit,"
	" greatest(d.datconnlimit, 0) AS database_limit FROM pg_roles r, pg_database d"
	" WHERE r.rolname = current_user AND d.datname = current_database()";

static const char secrets_sql[] =
	"SELECT count(*) FILTER (WHERE rolpassword LIKE 'SCRAM-SHA-256$%') AS scram, count(*) FILTER (WHERE rolpassword LIKE 'md5%') AS md5"
	" FROM pg_authid WHERE rolcanlogin";

static const char prepared_sql[] =
	"SELECT count(*), (extract(epoch FROM now() - min(prepared)) * 1000000)::bigint AS oldest FROM pg_prepared_xacts";

static const char sample_sql[] =
	"SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS holding,"
	" (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database) AS transactions"
	" FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'pgweir doctor'";

static bool is_true(const PGresult *result, int row, const char *column)
{
	return *cell(result, row, column) == 't';
}

static time_us age(const PGresult *result, int row, const char *column)
{
	int64_t value = cell_number(result, row, column);

	if (!*cell(result, row, column))
		return -1;
	return value > 0 ? value : 0;
}

bool server_read_sessions(struct server_facts *server, PGconn *connection, char *problem, size_t problem_size)
{
	PGresult *rows = ask_server(connection, sessions_sql, problem, problem_size);
	size_t count = rows ? (size_t)PQntuples(rows) : 0;
	struct session *sessions = rows ? calloc(count + 1, sizeof *sessions) : NULL;

	if (!sessions) {
		PQclear(rows);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct session *s = &sessions[i];
		int row = (int)i;

		s->pid = (int)cell_number(rows, row, "pid");
		text_copy(s->user, sizeof s->user, cell(rows, row, "user"));
		text_copy(s->database, sizeof s->database, cell(rows, row, "database"));
		text_copy(s->application, sizeof s->application, cell(rows, row, "application"));
		text_copy(s->address, sizeof s->address, cell(rows, row, "address"));
		text_copy(s->state, sizeof s->state, cell(rows, row, "state"));
		text_copy(s->wait_event, sizeof s->wait_event, cell(rows, row, "wait_event"));
		redact_sql(s->query, sizeof s->query, span_text(cell(rows, row, "query")));
		s->port = (int)cell_number(rows, row, "port");
		s->age = age(rows, row, "age");
		s->query_age = age(rows, row, "query_age");
		s->transaction_age = age(rows, row, "transaction_age");
		s->state_age = age(rows, row, "state_age");
		s->birth = cell_number(rows, row, "birth");
		s->last_change = cell_number(rows, row, "last_change");
		s->superuser = is_true(rows, row, "superuser");
		s->ours = is_true(rows, row, "ours");
		s->writes = is_true(rows, row, "writes");
		s->locks_advisory = is_true(rows, row, "locks_advisory");
		s->blocks_others = is_true(rows, row, "blocks_others");
	}
	PQclear(rows);
	free(server->sessions);
	server->sessions = sessions;
	server->session_count = count;
	return true;
}

/* The end of a session's client, if it is on this machine. */
static bool has_end_here(const struct session *s, uint16_t server_port, struct process_peer *out)
{
	struct address address;

	if (s->ours || s->port <= 0 || s->port > UINT16_MAX ||
		(strncmp(s->address, "127.", 4) != 0 && strcmp(s->address, "::1") != 0) ||
		!address_parse(s->address, (uint16_t)s->port, &address))
		return false;
	*out = (struct process_peer){
		.six = address.family == ADDRESS_IPV6, .port = address.port, .to_port = server_port
	};
	memcpy(out->ip, address.ip, sizeof out->ip);
	return true;
}

static void seek_processes(struct server_facts *server)
{
	struct process_peer *peers = calloc(server->session_count + 1, sizeof *peers);
	struct session **whose = calloc(server->session_count + 1, sizeof(struct session *));
	size_t count = 0;

	for (size_t i = 0; peers && whose && i < server->session_count; i++)
		if (has_end_here(&server->sessions[i], server->own_port, &peers[count]))
			whose[count++] = &server->sessions[i];
	if (count > 0)
		processes_of_peers(peers, count);
	for (size_t i = 0; i < count; i++)
		whose[i]->process = peers[i].process;
	free(whose);
	free(peers);
}

static void take_setting(struct server_facts *server, const char *name, const char *setting, const char *source)
{
	int64_t value = strtoll(setting, NULL, 10);

	if (strcmp(name, "max_connections") == 0) {
		server->max_connections = (int)value;
		server->max_connections_set = strcmp(source, "default") != 0 && value != 100;
	} else if (strcmp(name, "superuser_reserved_connections") == 0) {
		server->superuser_reserved = (int)value;
	} else if (strcmp(name, "reserved_connections") == 0) {
		server->reserved = (int)value;
	} else if (strcmp(name, "statement_timeout") == 0) {
		server->statement_timeout = value * MILLISECOND_US;
	} else if (strcmp(name, "idle_in_transaction_session_timeout") == 0) {
		server->idle_in_transaction_timeout = value * MILLISECOND_US;
	} else if (strcmp(name, "client_connection_check_interval") == 0) {
		server->client_check_interval = value * MILLISECOND_US;
	} else if (strcmp(name, "tcp_keepalives_idle") == 0) {
		server->keepalives_idle = (int)value;
	} else if (strcmp(name, "password_encryption") == 0) {
		server->scram = strcmp(setting, "scram-sha-256") == 0;
	} else if (strcmp(name, "server_version_num") == 0) {
		server->version = (int)value;
	}
}

/* PostgreSQL sees our own socket, and not that of a tunnel whose end is on PostgreSQL's machine. */
static bool is_straight(PGconn *connection, int64_t client_port)
{
	struct address own;

	address_of_socket(PQsocket(connection), &own);
	return own.family == ADDRESS_UNIX || own.port == client_port;
}

static void read_settings(struct server_facts *server, PGconn *connection)
{
	PGresult *rows = ask_server(connection, settings_sql, server->problem, sizeof server->problem);
	char unseen[256];

	for (int i = 0; rows && i < PQntuples(rows); i++)
		take_setting(server, cell(rows, i, "name"), cell(rows, i, "setting"), cell(rows, i, "source"));
	PQclear(rows);
	rows = ask_server(connection, guards_sql, unseen, sizeof unseen);
	if (rows) {
		server->role_guards_idle = (unsigned)cell_number(rows, 0, "idle");
		server->role_guards_statement = (unsigned)cell_number(rows, 0, "statement");
		PQclear(rows);
	}
	rows = ask_server(connection, rights_sql, unseen, sizeof unseen);
	if (rows) {
		server->sees_all = is_true(rows, 0, "sees_all");
		server->local = is_true(rows, 0, "local") &&
			(server->pooled || is_straight(connection, cell_number(rows, 0, "client_port")));
		server->own_port = (uint16_t)cell_number(rows, 0, "port");
		PQclear(rows);
	}
	rows = ask_server(connection, limits_sql, unseen, sizeof unseen);
	if (rows) {
		server->in_recovery = is_true(rows, 0, "in_recovery") ? ANSWER_YES : ANSWER_NO;
		server->read_only = is_true(rows, 0, "read_only") ? ANSWER_YES : ANSWER_NO;
		text_copy(server->user, sizeof server->user, cell(rows, 0, "user"));
		text_copy(server->database, sizeof server->database, cell(rows, 0, "database"));
		server->role_limit = (int)cell_number(rows, 0, "role_limit");
		server->database_limit = (int)cell_number(rows, 0, "database_limit");
		PQclear(rows);
	}
	/* Only superusers see secrets; nobody else needs to be told so. */
	rows = ask_server(connection, secrets_sql, unseen, sizeof unseen);
	if (rows) {
		server->secrets_read = true;
		server->secrets_scram = (unsigned)cell_number(rows, 0, "scram");
		server->secrets_md5 = (unsigned)cell_number(rows, 0, "md5");
		PQclear(rows);
	}
	rows = ask_server(connection, prepared_sql, unseen, sizeof unseen);
	if (rows) {
		server->prepared_transactions = (unsigned)cell_number(rows, 0, "count");
		server->oldest_prepared = cell_number(rows, 0, "oldest");
		PQclear(rows);
	}
}

static void sample(struct server_facts *server, PGconn *connection, double seconds)
{
	time_us began = clock_now(), until = began + (time_us)(seconds * 1e6);
	double first = 0, last = 0, active = 0, holding = 0;
	unsigned n = 0;

	do {
		char unseen[256];
		PGresult *row = ask_server(connection, sample_sql, unseen, sizeof unseen);

		if (!row)
			break;
		active += cell_real(row, 0, "active");
		holding += cell_real(row, 0, "holding");
		last = cell_real(row, 0, "transactions");
		if (n++ == 0)
			first = last;
		PQclear(row);
		connect_rest(100 * MILLISECOND_US);
	} while (clock_now() < until);
	if (n == 0)
		return;
	server->samples = n;
	server->seconds = (double)(clock_now() - began) / 1e6;
	server->active = active / n;
	server->in_transaction = holding / n;
	/* Our own samples are transactions too. */
	if (last - first > n)
		server->transactions_per_second = (last - first - n) / server->seconds;
}

/* It let us in and told nothing. A pooler does that whose servers are all lent. */
static void say_silent(struct server_facts *server, const char *problem)
{
	char why[sizeof server->problem];

	one_line(why, sizeof why, *problem ? problem : server->problem);
	text_format(server->problem, sizeof server->problem, "it let us in, and then did not tell its settings%s%s%s",
		*why ? ": " : "", why,
		strstr(why, "query_wait_timeout")
			? " That is a pooler with no server to lend: its console tells who has them (the same URL with the database pgbouncer)"
			: "");
}

void server_read(struct server_facts *server, const char *url, double seconds)
{
	struct connect_error error;
	PGconn *connection = connect_open(url, "pgweir doctor", DOCTOR_LOGIN_US, &error);
	char problem[1000];

	if (!connection) {
		server->full = error.trouble == CONNECT_FULL;
		server->pooler_full = strstr(error.text, "max_client_conn") != NULL;
		first_line(server->problem, sizeof server->problem, error.text);
		return;
	}
	server->pooled = !connect_is_direct(connection, problem, sizeof problem) && !problem[0];
	if (!problem[0])
		read_settings(server, connection);
	/* Without its settings nothing is known of it, and what is not known must not be taken for 0. */
	server->reached = server->version > 0 && server->max_connections > 0;
	if (!server->reached) {
		say_silent(server, problem);
		PQfinish(connection);
		return;
	}
	if (!server_read_sessions(server, connection, problem, sizeof problem))
		text_format(server->problem, sizeof server->problem, "its sessions cannot be seen: %.400s", problem);
	else if (!server->sees_all)
		text_copy(server->problem, sizeof server->problem,
			"other users' sessions are hidden from this user; GRANT pg_read_all_stats to it to have them looked at");
	if (server->local)
		seek_processes(server);
	sample(server, connection, seconds);
	PQfinish(connection);
}
