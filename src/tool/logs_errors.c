#include "tool/logs_errors.h"

/* The first row that fits is taken, so a longer text stands above a shorter one that it begins with. The texts are those of PostgreSQL
 * 12 to 17, PgBouncer 1.18 to 1.25, pgweir, libpq and the drivers of Python;
 * with what the pools and drivers of Rails, Node, Java and Go say of their own. Else these quote PostgreSQL's. */

const struct logs_error logs_errors[] = {
	{ AREA_FULL, "too-many-clients", "PostgreSQL is full", { "sorry, too many clients already" },
		"All max_connections of PostgreSQL are taken, even the places set aside for superusers. Whoever comes next is refused, the "
		"administrator too.",
		"Find out who holds them: pgweir top URL, or pgweir doctor URL --watch 60 for a leak. Put a pooler in front whose pools add up to "
		"less than max_connections. A higher max_connections alone buys hours when something leaks." },
	{ AREA_FULL, "slots-reserved", "PostgreSQL is full for ordinary roles",
		{ "remaining connection slots are reserved" },
		"max_connections less the reserved places are taken; superusers (or members of pg_use_reserved_connections) can still log in.",
		"Log in as superuser while it lasts and look who holds them: pgweir top URL. End what was left behind with pgweir reap URL, "
		"which lists first. Then as for \"PostgreSQL is full\"." },
	{ AREA_FULL, "role-limit", "a role's connection limit", { "too many connections for role " },
		"The role has as many connections as its CONNECTION LIMIT allows.",
		"Look whether its application leaks (pgweir doctor URL --watch 60); else ALTER ROLE ... CONNECTION LIMIT, or a smaller pool." },
	{ AREA_FULL, "database-limit", "a database's connection limit", { "too many connections for database " },
		"The database has as many connections as its CONNECTION LIMIT allows.",
		"Find out which application holds them (pgweir top URL); else ALTER DATABASE ... CONNECTION LIMIT." },
	{ AREA_FULL, "walsenders-full", "no place for replication",
		{ "number of requested standby connections exceeds max_wal_senders" },
		"All max_wal_senders are taken: a standby, a backup or a subscriber can not connect.",
		"SELECT * FROM pg_stat_replication: is one left over from a standby that went away? Raise max_wal_senders if not." },
	{ AREA_FULL, "max-client-conn", "the pooler takes no more clients",
		{ "no more connections allowed (max_client_conn)", "client connections exceeded (",
			"too many clients are connected to the pooler" },
		"The pooler has reached a limit of clients. PostgreSQL may be idle behind it: this limit counts sockets, and applications that "
		"keep connections open use it up at rest.",
		"Count the clients by application (SHOW CLIENTS, pgweir top URL). If they only rest, raise max_client_conn and the limit of open "
		"files; if their number grows without an end, it is a leak. Behind pgweir clients that rest are not counted." },
	{ AREA_FULL, "query-wait-timeout", "waited in vain for a server", { "query_wait_timeout" },
		"A client waited for a server of its pool for query_wait_timeout, and none came free: all were lent to others for that long.",
		"Find out who held them: long transactions, or clients idle in a transaction (SHOW LEASES of pgweir, pgweir top URL). Shorten "
		"those before making the pool larger." },
	{ AREA_FULL, "pool-exhausted", "the application's own pool is empty",
		{ "couldn't get a connection after ", "QueuePool limit of size ",
			"*Connection is not available, request timed out after", "connection pool exhausted",
			"timeout exceeded when trying to connect", "pool timeout",
			"could not obtain a connection from the pool within ",
			"Timed out fetching a new connection from the connection pool",
			"Knex: Timeout acquiring a connection" },
		"The pool inside the application gave up waiting: all of its connections are in use, or were never given back. Neither pooler nor "
		"PostgreSQL refused anything.",
		"Look for a connection that is not returned when an error occurs, or that is held during a call to somebody else; compare the "
		"pool's size with the number of threads or tasks." },
	{ AREA_FULL, "out-of-descriptors", "out of file descriptors",
		{ "out of file descriptors", "could not fork new process for connection", "*Too many open files",
			"accept() failed" },
		"The operating system refuses more files, sockets or processes to this service.",
		"Raise LimitNOFILE= and TasksMax= of its unit (ulimit -n), for a pooler to max_client_conn and pools together, and some." },
	{ AREA_FULL, "out-of-memory", "out of memory", { "out of memory", "could not resize shared memory segment" },
		"A process of the database or of the pooler got no memory.",
		"Fewer connections, or less work_mem for each: every backend may take it several times over. Look for the kernel's OOM killer in "
		"dmesg." },

	{ AREA_LOGIN, "wrong-password", "wrong password",
		{ "password authentication failed", "SASL authentication failed", "\"trust\" authentication failed",
			"no such user", "auth failed", "Peer authentication failed for user " },
		"The secret is wrong, or the user does not exist; PostgreSQL does not tell which to the client, but its own log has a DETAIL. "
		"Of a pooler: the user is not in auth_file, or an md5 secret meets SCRAM; pgweir's log says which of it, in brackets.",
		"Compare the secret of the application, of the pooler's auth_file and of pg_authid; RELOAD the pooler after a change. Many "
		"addresses and many users: somebody is guessing, close the port to them." },
	{ AREA_LOGIN, "no-password", "no password came",
		{ "fe_sendauth: no password supplied", "empty password returned by client" },
		"A password was asked for and the application had none.",
		"Is the environment variable or the secret there, in this very process? Look at PGPASSWORD, ~/.pgpass and DATABASE_URL." },
	{ AREA_LOGIN, "pooler-secret", "the pooler can not log in to PostgreSQL",
		{ "wrong password type", "invalid server signature", "server login failed: wrong password",
			"cannot do SCRAM authentication" },
		"PostgreSQL asked for SCRAM and the pooler has no secret that fits: an md5 hash does not do, and a SCRAM verifier does only when it "
		"is the same on both sides.",
		"Copy the role's rolpassword from pg_authid into auth_file, or give the database's entry a password=." },
	{ AREA_LOGIN, "no-hba-entry", "no line of pg_hba.conf fits",
		{ "no pg_hba.conf entry for ", "pg_hba.conf rejects connection", "no authentication method is found",
			"login rejected" },
		"Nothing in pg_hba.conf allows this user, from this address, to this database, with or without encryption as the message says.",
		"Add a line for just that, above the more general ones, and SELECT pg_reload_conf(). \"no encryption\" in the message: the client "
		"came without TLS, so set sslmode=require there." },
	{ AREA_LOGIN, "no-database", "there is no such database",
		{ "database \"*\" does not exist", "no such database" },
		"The name is wrong, or a pooler has no entry for it in [databases].",
		"Compare it with \\l in psql or with SHOW DATABASES of the pooler. Without a name drivers take the user's." },
	{ AREA_LOGIN, "no-role", "there is no such role",
		{ "role \"*\" does not exist", "role \"*\" is not permitted to log in" },
		"The role was not made, or has no LOGIN. Often a health check as root or postgres.",
		"CREATE ROLE ... LOGIN, or correct the user; pg_isready needs none." },
	{ AREA_LOGIN, "no-right", "no right to connect",
		{ "permission denied for database", "*User does not have CONNECT privilege",
			"user \"*\" may not use the console", "not allowed" },
		"The user exists, but may not connect to this database (or to the pooler's console).",
		"GRANT CONNECT ON DATABASE ... TO ...; for the console: admin_users or stats_users." },
	{ AREA_LOGIN, "startup-parameter", "a startup parameter is refused",
		{ "unsupported startup parameter", "unsupported options startup parameter",
			"unrecognized configuration parameter" },
		"The driver asks for a setting at login (options=-c statement_timeout=..., extra_float_digits) that PgBouncer does not carry.",
		"Take it out and use ALTER ROLE ... SET instead. ignore_startup_parameters lets the login pass and drops the setting without a "
		"word, a timeout too. pgweir carries it." },
	{ AREA_LOGIN, "login-timeout", "the login took too long",
		{ "client_login_timeout", "canceling authentication due to timeout", "login timeout" },
		"The client connected and did not complete its login in time: a port scan or health check that says nothing, a slow password "
		"method, or a pooler that had no server for it.",
		"One address only: a health check; let it speak the protocol. Many: look at the pooler's pools and at the machine's load." },
	{ AREA_LOGIN, "tls", "TLS went wrong",
		{ "*SSL error", "could not accept SSL connection", "server does not support SSL, but SSL was required",
			"SSL required", "*certificate verify failed", "TLS handshake failed" },
		"Client and server do not agree on encryption, or one does not trust the other's certificate.",
		"Compare sslmode of the client with ssl of the server; sslrootcert must hold the authority that signed, and verify-full needs the "
		"host's name in the certificate." },
	{ AREA_LOGIN, "not-postgres", "somebody who speaks something else",
		{ "invalid length of startup packet", "incomplete startup packet", "unsupported frontend protocol",
			"invalid startup packet", "bad packet header", "unexpected response from login query" },
		"What came was no login of PostgreSQL's protocol: a browser, a port scan, or a health check that connects and leaves.",
		"Harmless from a balancer of your own. From addresses that you do not know: the port should not be open to them." },

	{ AREA_REACH, "refused", "nobody listens there",
		{ "Connection refused", "*connect failed: Connection refused",
			"could not connect to server: Connection refused", "*Connect call failed",
			"connect ECONNREFUSED", "connection refused" },
		"The machine answers, and no process listens at that address and port: not started, crashed, or listening elsewhere.",
		"Is it running? Does listen_addresses (listen_addr) name that address, and is the port right? In a container localhost is the "
		"container itself." },
	{ AREA_REACH, "no-socket", "there is no such socket file",
		{ "No such file or directory", "could not connect to server: No such file or directory" },
		"The client wants a unix socket, and no server has one in that folder.",
		"Is the server up? Compare unix_socket_directories (unix_socket_dir) with the client's host; with host=127.0.0.1 it goes over TCP." },
	{ AREA_REACH, "unreachable", "the network does not lead there",
		{ "No route to host", "Network is unreachable", "Connection timed out", "connection timeout expired",
			"timeout expired", "connect timeout", "Connection terminated due to connection timeout",
			"The connection attempt failed", "Can't reach database server at " },
		"Packets were not answered: a firewall, a wrong address, a machine that is down, or one so loaded that it accepts nobody.",
		"Try the port from the same machine. Security groups and network policies drop without a word; a full backlog looks the same." },
	{ AREA_REACH, "unknown-host", "the host's name is not known",
		{ "could not translate host name", "*Name or service not known", "*Temporary failure in name resolution",
			"server DNS lookup failed", "getaddrinfo", "DNS lookup failed" },
		"The name of the host does not resolve, from where it was asked for.",
		"getent hosts NAME in that very container. If it comes and goes: the resolver is overloaded, or the name has just moved." },
	{ AREA_REACH, "starting", "PostgreSQL is starting up",
		{ "the database system is starting up", "the database system is not yet accepting connections",
			"the database system is in recovery mode" },
		"PostgreSQL runs and does not serve yet. \"In recovery mode\" after it was up: a backend crashed and all were ended.",
		"Wait. If it comes back: look above in PostgreSQL's log for \"was terminated by signal\", 9 is often the OOM killer." },
	{ AREA_REACH, "shutting-down", "it is shutting down",
		{ "the database system is shutting down", "pooler is shutting down", "the pooler is shutting down",
			"server shutting down" },
		"Somebody stops the service; new connections are refused until it is back.",
		"Wait, or connect to another host. Unexpected: who stopped it? Its unit's journal tells." },
	{ AREA_REACH, "server-login-failing", "the pooler reaches no PostgreSQL",
		{ "server login has been failing", "connect failed", "server login failed", "connection to server at",
			"login failed" },
		"The pooler's last login to PostgreSQL failed, and clients are told so until it tries again (server_login_retry).",
		"The error behind it is the one to look at: the lines about the server (S-...) in the pooler's log, or PostgreSQL's own." },
	{ AREA_REACH, "disabled", "the database is closed at the pooler",
		{ "database \"*\" is disabled", "database removed" },
		"An administrator closed it (DISABLE, KILL), or a reload took it out of the configuration.",
		"ENABLE or RESUME on the console; ask who did it." },

	{ AREA_LOST, "client-lost-in-transaction", "a client vanished within a transaction",
		{ "unexpected EOF on client connection with an open transaction" },
		"The client's process or its network ended in the middle of a transaction; PostgreSQL rolled it back.",
		"Was it killed (a deploy, the OOM killer, a worker's timeout)? Let workers finish their request before they end." },
	{ AREA_LOST, "client-lost", "a client vanished",
		{ "could not receive data from client", "could not send data to client", "connection to client lost",
			"unexpected eof", "client unexpected eof", "unexpected EOF on client connection" },
		"The connection ended without a goodbye: the process was killed, or something between cut it.",
		"A few at each deploy are normal. At a steady rate after the same idle time: a balancer or firewall cuts idle connections; set "
		"tcp_keepalives_idle (tcp_keepidle) below its limit." },
	{ AREA_LOST, "server-lost", "the server closed the connection",
		{ "server closed the connection unexpectedly", "server conn crashed?", "SSL SYSCALL error",
			"SSL connection has been closed unexpectedly", "Connection reset by peer",
			"Connection terminated unexpectedly", "PQconsumeInput() server closed",
			"An I/O error occurred while sending to the backend" },
		"What the client was connected to (a pooler, or PostgreSQL) ended the connection in the middle.",
		"Look at the same second in that one's log: a restart, a crash, a timeout, or pgweir reap. Idle ones alone: a firewall between." },
	{ AREA_LOST, "connection-already-closed", "a connection was used after its end",
		{ "connection already closed", "the connection is closed", "connection is closed",
			"consuming input failed", "connection was closed in the middle of operation",
			"This connection has been closed", "no connection to the server", "bad connection",
			"Client has encountered a connection error and is not queryable" },
		"The application holds a connection that has ended some time ago, and notices only now.",
		"CONN_HEALTH_CHECKS = True for Django (4.1), pool_pre_ping for SQLAlchemy, check= for psycopg_pool, pool.on(\"error\") for node-postgres; and look above for what ended "
		"it." },
	{ AREA_LOST, "terminated-by-admin", "ended by an administrator",
		{ "terminating connection due to administrator command", "admin forced disconnect" },
		"pg_terminate_backend, a KILL on the console, or a shutdown ended the session.",
		"Who did it? A cron job that \"kills idle connections\" ends listeners and a pooler's servers as well: use pgweir reap, which "
		"spares them." },
	{ AREA_LOST, "reaped", "ended by pgweir's leak guard",
		{ "terminating connection: the leak guard ended", "this connection looks forgotten" },
		"pgweir found that the origin of this client leaks, and ended it (REAP, or leak_action).",
		"The hint in the message and SHOW LEAKS have the cure; doc/leaks.md explains the pattern." },
	{ AREA_LOST, "recovery-conflict", "ended by a standby",
		{ "terminating connection due to conflict with recovery",
			"canceling statement due to conflict with recovery" },
		"A query on a standby was in the way of changes that had to be replayed.",
		"hot_standby_feedback, or a longer max_standby_streaming_delay; long reports elsewhere." },
	{ AREA_LOST, "crash", "PostgreSQL crashed",
		{ "server process (PID *) was terminated by signal", "terminating any other active server processes",
			"terminating connection because of crash" },
		"A backend died, and all others were ended with it, since shared memory may be damaged.",
		"Signal 9: the OOM killer (dmesg); fewer connections or less work_mem. Signal 11: an extension or a bug; keep the core file." },

	{ AREA_TIMEOUT, "idle-in-transaction", "idle in a transaction for too long",
		{ "terminating connection due to idle-in-transaction timeout", "idle transaction timeout" },
		"A session began a transaction, then did nothing until the limit: it held a connection, locks and vacuum back.",
		"Find the code that does something slow (an HTTP call, a prompt to a model) between the query and the commit, and commit before." },
	{ AREA_TIMEOUT, "idle-session", "idle for too long",
		{ "terminating connection due to idle-session timeout", "client_idle_timeout", "idle timeout" },
		"A session outside any transaction did nothing until the limit.",
		"If it was a pool's: let the pool's own limit be shorter than this one. If it was left behind: a leak, well ended." },
	{ AREA_TIMEOUT, "statement-timeout", "a statement took too long",
		{ "canceling statement due to statement timeout", "query timeout", "query_timeout" },
		"statement_timeout or query_timeout ended a statement.",
		"EXPLAIN it; or it waited for a lock: set log_lock_waits = on, and a lock_timeout shorter than this one." },
	{ AREA_TIMEOUT, "transaction-timeout", "a transaction took too long",
		{ "terminating connection due to transaction timeout", "transaction timeout" },
		"The limit for a whole transaction ended it.",
		"Do the work in parts, or give this role a longer limit." },
	{ AREA_TIMEOUT, "lock-timeout", "waited in vain for a lock",
		{ "canceling statement due to lock timeout", "deadlock detected" },
		"Somebody else held the lock until the limit, or two held what the other wanted.",
		"log_lock_waits names who holds it; often a transaction that is idle. Take locks in one order." },
	{ AREA_TIMEOUT, "suspended", "cut off by a pause", { "suspend_timeout", "pause_timeout" },
		"The pooler was suspended or taken over, and this client was still busy.", "Nothing, if it was meant." },

	{ AREA_POOLING, "prepared-statement", "a prepared statement is not there",
		{ "prepared statement \"*\" does not exist", "prepared statement \"*\" already exists",
			"prepared statement did not exist", "prepared statement name is already in use",
			"unnamed prepared statement does not exist" },
		"The driver prepared it on another server connection than the one it has now: transaction pooling without support for it.",
		"PgBouncer before 1.21: switch it off in the driver (prepare_threshold=None, statement_cache_size=0, prepareThreshold=0). Newer: "
		"max_prepared_statements. pgweir carries them." },
	{ AREA_POOLING, "cursor", "a cursor is not there",
		{ "cursor \"*\" does not exist", "portal \"*\" does not exist" },
		"A cursor outlived its transaction, behind a pooler that lends a server for one transaction only.",
		"DISABLE_SERVER_SIDE_CURSORS = True in Django's DATABASES; elsewhere read the cursor within one transaction." },
	{ AREA_POOLING, "statement-pooling", "a transaction in statement pooling",
		{ "transaction blocks not allowed in statement pooling mode", "PQexec disallowed" },
		"This pool gives every statement another server, and the application wants a transaction.",
		"pool_mode = transaction for this database or user." },
	{ AREA_POOLING, "protocol", "broken protocol",
		{ "lost synchronization with server", "invalid message length", "unknown message type", "unknown pkt",
			"failed to parse packet", "invalid frontend message type", "protocol violation" },
		"The bytes on a connection are no messages of PostgreSQL's: often one connection used by two threads or by a forked child.",
		"Open connections after the fork, one for each thread; behind a pooler look whether it is a known fault of its version." },
};

const uint32_t logs_errors_count = sizeof logs_errors / sizeof logs_errors[0];

/* Whether `text` begins with `pattern`, in which * stands for anything. Each * takes as little as will do, and never gives back: one way
 * through the text, so that a line costs no more than its length. */
static bool begins(struct span text, const char *pattern)
{
	while (*pattern) {
		bool star = *pattern == '*';
		const char *word = pattern + star, *end = strchr(word, '*');
		size_t length = end ? (size_t)(end - word) : strlen(word);
		const uint8_t *found = star ? memmem(text.at, text.length, word, length) : text.at;

		if (!found || (!star && (text.length < length || memcmp(text.at, word, length) != 0)))
			return false;
		text = span_skip(text, (size_t)(found - text.at) + length);
		pattern = word + length;
	}
	return true;
}

int logs_error_find(struct span message)
{
	if (message.length == 0)
		return -1;
	for (uint32_t i = 0; i < logs_errors_count; i++) {
		for (int p = 0; p < LOGS_PATTERNS && logs_errors[i].patterns[p]; p++) {
			if (begins(message, logs_errors[i].patterns[p]))
				return (int)i;
		}
	}
	return -1;
}
