#include "config/schema.h"

#include "base/check.h"
#include "base/text.h"

/* Every setting that PgBouncer has, in the order in which it shows them, then ours. A field of struct config has the
 * name of its key; what has no field is known by name, so that its file can be read and its user be told.
 *
 * To add a setting: a field in config.h, a row here, and doc/settings.md made anew (tools/gendoc). */

/* clang-format off */

static const struct setting_word auth_types[] = {
	/* The numbers of enum auth_method in auth/login.h, which stands beside us and is not included. */
	{ "any", 0 }, { "trust", 1 }, { "plain", 2 }, { "md5", 3 }, { "scram-sha-256", 4 }, { "hba", 5 },
	{ "cert", 6 }, { "pam", 7 }, { "ldap", 8 }, { NULL, 0 }
};

static const struct setting_word pool_modes[] = {
	{ "session", POOL_SESSION }, { "transaction", POOL_TRANSACTION }, { "statement", POOL_STATEMENT }, { NULL, 0 }
};

static const struct setting_word transparency_words[] = {
	{ "full", TRANSPARENCY_FULL }, { "protocol", TRANSPARENCY_PROTOCOL }, { "off", TRANSPARENCY_OFF }, { NULL, 0 }
};

static const struct setting_word sslmodes[] = {
	{ "disable", SSLMODE_DISABLE }, { "allow", SSLMODE_ALLOW }, { "prefer", SSLMODE_PREFER }, { "require", SSLMODE_REQUIRE },
	{ "verify-ca", SSLMODE_VERIFY_CA }, { "verify-full", SSLMODE_VERIFY_FULL }, { NULL, 0 }
};

static const struct setting_word negotiations[] = { { "postgres", 0 }, { "direct", 1 }, { NULL, 0 } };

static const struct setting_word limit_words[] = { { "busy", LIMIT_BUSY }, { "all", LIMIT_ALL }, { NULL, 0 } };

static const struct setting_word abandoned_words[] = { { "auto", 0 }, { "cancel", 1 }, { "finish", 2 }, { NULL, 0 } };

/* RFC 5424, 6.2.1. */
static const struct setting_word facility_words[] = {
	{ "auth", 4 }, { "authpriv", 10 }, { "daemon", 3 }, { "user", 1 }, { "local0", 16 }, { "local1", 17 }, { "local2", 18 },
	{ "local3", 19 }, { "local4", 20 }, { "local5", 21 }, { "local6", 22 }, { "local7", 23 }, { NULL, 0 }
};

/* The numbers of enum log_format in io/logline.h and of enum loop_engine in io/loop.h, which stand beside us and are not included. */
static const struct setting_word log_formats[] = { { "pgbouncer", 0 }, { "logfmt", 1 }, { "json", 2 }, { NULL, 0 } };
static const struct setting_word engine_words[] = { { "epoll", 0 }, { "io_uring", 1 }, { NULL, 0 } };

static const struct setting_word off_on[] = { { "off", 0 }, { "on", 1 }, { "0", 0 }, { "1", 1 }, { NULL, 0 } };
static const struct setting_word action_words[] = { { "observe", ACTION_OBSERVE }, { "notice", ACTION_NOTICE }, { "reclaim", ACTION_RECLAIM }, { NULL, 0 } };
static const struct setting_word budget_words[] = { { "off", 0 }, { "auto", 1 }, { NULL, 0 } };

static const struct setting_word target_words[] = {
	{ "any", TARGET_ANY },
	{ "read-write", TARGET_READ_WRITE },
	{ "read-only", TARGET_READ_ONLY },
	{ "primary", TARGET_PRIMARY },
	{ "standby", TARGET_STANDBY },
	{ "prefer-standby", TARGET_PREFER_STANDBY },
	{ NULL, 0 },
};
static const struct setting_word balance_words[] = { { "round-robin", 0 }, { "disable", 1 }, { NULL, 0 } };

#define DEFAULT_AUTH_QUERY \
	"SELECT rolname, CASE WHEN rolvaliduntil < current_timestamp THEN NULL ELSE rolpassword END FROM pg_authid " \
	"WHERE rolname=$1 AND rolcanlogin"

#define LIVE  true  /* RELOAD and SET change it */
#define FIXED false

/* A setting with a field of its name. */
#define ROW(name, TYPE, UNIT, STANDARD, RELOAD, SINCE, WHAT, ...) \
	{ .key = #name, .type = TYPE, .unit = UNIT, .standard = STANDARD, .reloadable = RELOAD, .since = SINCE, \
	  .what = WHAT, .built = BUILT, .offset = offsetof(struct config, name), \
	  .size = sizeof ((struct config *)0)->name, __VA_ARGS__ }

/* One without. */
#define USELESS(name, TYPE, UNIT, STANDARD, RELOAD, SINCE, WHAT, LACKING, ...) \
	{ .key = #name, .type = TYPE, .unit = UNIT, .standard = STANDARD, .reloadable = RELOAD, .since = SINCE, \
	  .what = WHAT, .built = NOT_NEEDED, .lacking = LACKING, __VA_ARGS__ }


const struct setting schema_settings[] = {
	ROW(admin_users, TYPE_TEXT, "list", "", LIVE, "1.0", "Users who may do everything on the console."),
	ROW(application_name_add_host, TYPE_BOOL, "0/1", "0", LIVE, "1.6", "Append the client's address to application_name when it logs in."),
	ROW(auth_dbname, TYPE_TEXT, "name", "", LIVE, "1.19.0", "The database, by its name here, on which auth_query runs; empty: the one that the client asked for."),
	ROW(auth_file, TYPE_TEXT, "path", "", LIVE, "1.0", "The file of users and their secrets; read again on RELOAD."),
	ROW(auth_hba_file, TYPE_TEXT, "path", "", LIVE, "1.7", "The file of rules for auth_type=hba ([who may come in](hba.md)); read again on RELOAD."),
	ROW(auth_ident_file, TYPE_TEXT, "path", "", LIVE, "1.23.0", "The file of name maps for peer and cert rules of auth_hba_file; read again on RELOAD."),
	ROW(auth_ldap_options, TYPE_TEXT, "string", "", LIVE, "1.25.0", "How to reach the directory for auth_type=ldap ([PAM and LDAP](ldap-pam.md))."),
	ROW(auth_query, TYPE_TEXT, "SQL", DEFAULT_AUTH_QUERY, LIVE, "1.6", "The query that finds the secret of a user who is not in auth_file ([auth-query.md](auth-query.md)); empty: none is asked."),
	ROW(auth_type, TYPE_WORD, "word", "md5", LIVE, "1.0", "How clients prove who they are.", .words = auth_types),
	ROW(auth_user, TYPE_TEXT, "name", "", LIVE, "1.8", "The user who runs auth_query; empty: only users of auth_file can log in."),
	ROW(autodb_idle_timeout, TYPE_TIME, "s", "3600", LIVE, "1.3.1", "Forget the pools and the statistics of a database that came from the * entry when it has had no client and no server for this long; 0: never."),
	ROW(cancel_wait_timeout, TYPE_TIME, "s", "10", LIVE, "1.19.0", "Give up forwarding a cancel request after this; 0: never."),
	ROW(client_idle_timeout, TYPE_TIME, "s", "0", LIVE, "1.0", "Close a client that has been idle and without a server for this long; 0: never."),
	ROW(client_login_timeout, TYPE_TIME, "s", "60", LIVE, "1.0.3", "Close a client that has not logged in within this time; 0: never."),
	ROW(client_tls13_ciphers, TYPE_TEXT, "list", "", LIVE, "1.25.0", "Cipher suites of TLS 1.3 towards clients; empty: OpenSSL's own."),
	ROW(client_tls_ca_file, TYPE_TEXT, "path", "", LIVE, "1.7", "Who signs the certificates of clients; with it they are asked for one."),
	ROW(client_tls_cert_file, TYPE_TEXT, "path", "", LIVE, "1.7", "The certificate shown to clients, and behind it those that lead to its authority; read again on RELOAD."),
	ROW(client_tls_ciphers, TYPE_TEXT, "list", "default", LIVE, "1.7", "Ciphers of TLS 1.2 and older towards clients: default, secure, fast, normal, all, or as OpenSSL writes them."),
	ROW(client_tls_dheparams, TYPE_TEXT, "word", "auto", LIVE, "1.7", "Parameters of the DHE key exchange: auto, legacy, or none for no DHE."),
	ROW(client_tls_ecdhcurve, TYPE_TEXT, "name", "auto", LIVE, "1.7", "Curves of the ECDH key exchange: auto, OpenSSL's names, or none for no ECDHE with TLS 1.2."),
	ROW(client_tls_key_file, TYPE_TEXT, "path", "", LIVE, "1.7", "The private key of client_tls_cert_file; read again on RELOAD."),
	ROW(client_tls_protocols, TYPE_TEXT, "list", "secure", LIVE, "1.7", "Versions of TLS spoken with clients: secure (1.2 and 1.3), all, or a list as tlsv1.2,tlsv1.3."),
	ROW(client_tls_sslmode, TYPE_WORD, "word", "disable", LIVE, "1.7", "Whether clients may (allow, prefer) or must (require) use TLS, and must have a certificate of client_tls_ca_file (verify-ca, verify-full); [TLS](tls.md).", .words = sslmodes),
	ROW(conffile, TYPE_TEXT, "path", "", LIVE, "1.0", "The file that RELOAD reads; SET takes none that could not be served from. Not set: the one that was read last, at first that of the command line."),
	ROW(default_pool_size, TYPE_INT, "servers", "20", LIVE, "1.0", "Most servers of one pool (database and user); 0: no limit."),
	ROW(disable_pqexec, TYPE_BOOL, "0/1", "0", FIXED, "1.4", "Refuse the simple query protocol."),
	ROW(dns_max_ttl, TYPE_TIME, "s", "15", LIVE, "1.4", "How long the addresses of a host name are kept at most, if its own TTL is longer ([names](failover.md#names))."),
	ROW(dns_nxdomain_ttl, TYPE_TIME, "s", "15", LIVE, "1.6", "How long it is remembered that a host name was not found."),
	ROW(dns_zone_check_period, TYPE_TIME, "s", "0", LIVE, "1.5", "How often the serial numbers of DNS zones are looked at; 0: never."),
	ROW(idle_transaction_timeout, TYPE_TIME, "s", "0", LIVE, "1.5", "Close a client that has been idle inside a transaction for this long; 0: never."),
	ROW(ignore_startup_parameters, TYPE_TEXT, "list", "", LIVE, "1.2", "Startup parameters that are dropped in silence; options drops those inside options that are not known."),
	USELESS(job_name, TYPE_TEXT, "name", "pgbouncer", FIXED, "1.0", "A label for the process.", "nothing is labelled with it"),
	ROW(listen_addr, TYPE_TEXT, "list", "", FIXED, "1.0", "Addresses to listen on, or names, which are looked up at the start; *: all of them, empty: only the unix socket. One that is named twice counts once."),
	ROW(listen_backlog, TYPE_INT, "count", "128", FIXED, "1.3.3", "How many connections the kernel queues until they are accepted."),
	ROW(listen_port, TYPE_INT, "port", "6432", FIXED, "1.0", "The TCP port, and the number in the unix socket's name.", .least = 1, .most = 65535),
	ROW(log_connections, TYPE_BOOL, "0/1", "1", LIVE, "1.0.3", "Log logins and new connections to servers."),
	ROW(log_disconnections, TYPE_BOOL, "0/1", "1", LIVE, "1.0.3", "Log why connections end."),
	ROW(log_pooler_errors, TYPE_BOOL, "0/1", "1", LIVE, "1.0.3", "Log the errors that clients are sent."),
	ROW(log_stats, TYPE_BOOL, "0/1", "1", LIVE, "1.11.0", "Log a line of statistics every stats_period."),
	ROW(logfile, TYPE_TEXT, "path", "", LIVE, "1.0", "The log file, opened anew on RELOAD; empty: standard error only."),
	ROW(login_notify_message, TYPE_TEXT, "string", "", LIVE, "after 1.25", "A notice for every client that logs in."),
	ROW(max_client_conn, TYPE_INT, "clients", "100", LIVE, "1.0", "Most clients; client_limit_counts says which ones count."),
	ROW(max_db_client_connections, TYPE_INT, "clients", "0", LIVE, "1.24.0", "Most clients of one database; 0: no limit."),
	ROW(max_db_connections, TYPE_INT, "servers", "0", LIVE, "1.6", "Most servers of one database over all its pools; 0: no limit."),
	ROW(max_packet_size, TYPE_BYTES, "bytes", "2147483647", LIVE, "1.5.3", "A client that sends a longer message is closed.", .least = 1024, .most = 2147483647),
	ROW(max_prepared_statements, TYPE_INT, "count", "200", LIVE, "1.21.0", "Named prepared statements kept on each server; 0: they are not followed from server to server."),
	ROW(max_user_client_connections, TYPE_INT, "clients", "0", LIVE, "1.24.0", "Most clients of one user; 0: no limit."),
	ROW(max_user_connections, TYPE_INT, "servers", "0", LIVE, "1.6", "Most servers of one user over all his pools; 0: no limit."),
	ROW(min_pool_size, TYPE_INT, "servers", "0", LIVE, "1.5", "Servers that a pool keeps even when idle, once it has a forced user or has had a client."),
	ROW(peer_id, TYPE_INT, "number", "0", LIVE, "1.19.0", "The number of this process in a group of peers that pass cancel requests on to one another ([peers](peers.md)); 0: it is alone.", .most = PEER_ID_MAX),
	ROW(pidfile, TYPE_TEXT, "path", "", FIXED, "1.0", "A file for the number of the process."),
	USELESS(pkt_buf, TYPE_INT, "bytes", "4096", FIXED, "1.0", "The size of a connection's buffer.", "buffers belong to workers, not to connections"),
	ROW(pool_mode, TYPE_WORD, "word", "session", LIVE, "1.0", "When a server comes back: at the end of the session, the transaction or the statement. A change to or from session is for those who log in from then on, and replaces servers.", .words = pool_modes),
	ROW(pool_idle_timeout, TYPE_TIME, "s", "0", LIVE, "after 1.25", "Forget a pool and its statistics when it has had no client and no server for this long; 0: never."),
	ROW(query_timeout, TYPE_TIME, "s", "0", LIVE, "1.0", "Close client and server when one query runs for longer; 0: never."),
	ROW(query_wait_notify, TYPE_SECONDS, "s", "5", LIVE, "1.25.0", "Tell a client by a notice when it has waited for a server for this long; 0: never."),
	ROW(query_wait_timeout, TYPE_TIME, "s", "120", LIVE, "1.3.2", "Close a client that has waited for a server for this long; 0: never."),
	ROW(reserve_pool_size, TYPE_INT, "servers", "0", LIVE, "1.3.1", "Additional servers of a pool whose clients wait."),
	ROW(reserve_pool_timeout, TYPE_TIME, "s", "5", LIVE, "1.3.1", "How long a client waits before the reserve is used; 0: it is never used."),
	ROW(resolv_conf, TYPE_TEXT, "path", "", LIVE, "1.12.0", "A file to use instead of /etc/resolv.conf."),
	USELESS(sbuf_loopcnt, TYPE_INT, "count", "5", LIVE, "1.3.1", "How often one connection is read from in a turn of the loop.", "a turn has a budget of its own"),
	ROW(scram_iterations, TYPE_INT, "count", "4096", LIVE, "1.25.0", "PBKDF2 rounds for SCRAM with users whose secret is a plain password.", .least = 1, .most = 10000000),
	ROW(server_check_delay, TYPE_TIME, "s", "30", LIVE, "1.0", "A server that has been idle for longer is checked before it is lent."),
	ROW(server_check_query, TYPE_CHECK_QUERY, "SQL", "<empty>", LIVE, "1.0", "The query for that check; <empty>: an empty query, nothing: no check."),
	ROW(server_connect_timeout, TYPE_TIME, "s", "15", LIVE, "1.0", "Give up a connection to a server that has not logged in within this time; 0: never."),
	ROW(server_fast_close, TYPE_BOOL, "0/1", "0", LIVE, "1.9.0", "In session mode, a server that must close (RECONNECT, a database whose entry changed, an address that a name has lost) does so at the end of its client's transaction already, and the client is closed with it; 0: when the client leaves."),
	ROW(server_idle_timeout, TYPE_TIME, "s", "600", LIVE, "1.0", "Close a server that has been idle for this long; 0: never."),
	ROW(server_lifetime, TYPE_TIME, "s", "3600", LIVE, "1.0", "Close a server that is older than this when it is not lent; 0: use each once."),
	ROW(server_login_retry, TYPE_TIME, "s", "15", LIVE, "1.0", "Wait this long after a failed connection before the next one is tried; RELOAD and RECONNECT end that wait."),
	ROW(server_reset_query, TYPE_TEXT, "SQL", "DISCARD ALL", LIVE, "1.1", "Run when a client gives its server back in session mode. Where it fails the server is closed, and the log says why (PostgreSQL takes DISCARD ALL beside no other statement)."),
	ROW(server_reset_query_always, TYPE_BOOL, "0/1", "0", LIVE, "1.6.1", "Run server_reset_query in every pool mode."),
	ROW(server_round_robin, TYPE_BOOL, "0/1", "0", LIVE, "1.1", "Lend the server that has been idle the longest instead of the shortest."),
	ROW(server_tls13_ciphers, TYPE_TEXT, "list", "", LIVE, "1.25.0", "Cipher suites of TLS 1.3 towards servers; empty: OpenSSL's own."),
	ROW(server_tls_ca_file, TYPE_TEXT, "path", "", LIVE, "1.7", "Who signs the certificates of servers; empty: the system's own authorities."),
	ROW(server_tls_cert_file, TYPE_TEXT, "path", "", LIVE, "1.7", "The certificate shown to servers."),
	ROW(server_tls_ciphers, TYPE_TEXT, "list", "default", LIVE, "1.7", "Ciphers of TLS 1.2 and older towards servers, as client_tls_ciphers."),
	ROW(server_tls_key_file, TYPE_TEXT, "path", "", LIVE, "1.7", "The private key of server_tls_cert_file."),
	ROW(server_tls_protocols, TYPE_TEXT, "list", "secure", LIVE, "1.7", "Versions of TLS spoken with servers, as client_tls_protocols."),
	ROW(server_tls_sslmode, TYPE_WORD, "word", "prefer", LIVE, "1.7", "Whether to use TLS towards servers: not (disable), where they have it (allow, prefer), always (require), with a certificate of server_tls_ca_file (verify-ca) for their host (verify-full); [TLS](tls.md).", .words = sslmodes),
	USELESS(service_name, TYPE_TEXT, "name", "", FIXED, "1.3.1", "The name as a Windows service.", "there are no Windows services here", .hidden = true),
	ROW(so_reuseport, TYPE_BOOL, "0/1", "0", FIXED, "1.12.0", "Let several processes share the TCP port ([peers](peers.md)); their unix sockets must differ."),
	ROW(stats_period, TYPE_SECONDS, "s", "60", LIVE, "1.0", "The time over which averages are taken, and between lines of statistics in the log.", .least = 1, .most = 86400),
	ROW(stats_users, TYPE_TEXT, "list", "", LIVE, "1.0", "Users who may look at the console but change nothing."),
	ROW(suspend_timeout, TYPE_TIME, "s", "10", LIVE, "1.2", "How long SUSPEND waits for somebody to take what waits to be sent to him, before it closes that connection; 0: for ever."),
	ROW(syslog, TYPE_BOOL, "0/1", "0", LIVE, "1.2", "Log to syslog too."),
	ROW(syslog_facility, TYPE_WORD, "word", "daemon", LIVE, "1.2", "The facility for syslog.", .words = facility_words),
	ROW(syslog_ident, TYPE_TEXT, "name", "pgweir", LIVE, "1.4", "The program name for syslog.", .standard_pgbouncer = "pgbouncer"),
	ROW(tcp_defer_accept, TYPE_INT, "0/1", "1", LIVE, "1.0", "Accept a connection only when its first bytes are there, or after a second (TCP_DEFER_ACCEPT); 0: at once."),
	ROW(tcp_keepalive, TYPE_BOOL, "0/1", "1", LIVE, "1.0", "Let the kernel probe idle TCP connections (SO_KEEPALIVE)."),
	ROW(tcp_keepcnt, TYPE_INT, "count", "3", LIVE, "1.0", "Probes without an answer before a connection is given up (TCP_KEEPCNT); 0: the system's default.", .standard_pgbouncer = "0"),
	ROW(tcp_keepidle, TYPE_INT, "s", "10", LIVE, "1.0", "Idle time before the first probe (TCP_KEEPIDLE); 0: the system's default. With tcp_keepcnt times tcp_keepintvl it is also how long a peer may acknowledge nothing while bytes are under way.", .standard_pgbouncer = "0"),
	ROW(tcp_keepintvl, TYPE_INT, "s", "5", LIVE, "1.0", "Time between probes (TCP_KEEPINTVL); 0: the system's default.", .standard_pgbouncer = "0"),
	ROW(tcp_socket_buffer, TYPE_INT, "bytes", "0", LIVE, "1.0", "The kernel's buffers of a TCP connection (SO_SNDBUF, SO_RCVBUF); 0: the system's default."),
	ROW(tcp_user_timeout, TYPE_INT, "ms", "0", LIVE, "1.13.0", "How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT); 0: the system's default. Linux ends a connection then whose peer is alive too, but does not read for so long."),
	ROW(track_extra_parameters, TYPE_TEXT, "list", "IntervalStyle", FIXED, "1.20.0", "Parameters beside the usual ones that each client keeps for itself; servers must report them."),
	ROW(transaction_timeout, TYPE_TIME, "s", "0", LIVE, "1.25.0", "Close client and server when one transaction lasts longer; 0: never."),
	ROW(unix_socket_dir, TYPE_TEXT, "path", "/tmp", FIXED, "1.0", "The directory of the unix socket, also towards servers without host=; @ at its front: abstract, empty: none."),
	ROW(unix_socket_group, TYPE_TEXT, "name", "", FIXED, "1.5.1", "The group that owns the unix socket."),
	ROW(unix_socket_mode, TYPE_MODE, "octal", "0777", FIXED, "1.5.1", "Who may use the unix socket, as for chmod.", .most = 0777),
	ROW(user, TYPE_TEXT, "name", "", FIXED, "1.2", "Become this system user as soon as the configuration is read: the log, the pid file and the unix socket are made by it, and RELOAD reads as it: a warning at the start names what it can not read."),
	ROW(verbose, TYPE_INT, "level", "0", LIVE, "1.0", "How much to log beyond the usual; 1: debugging, 2: noise.", .most = 9),

	ROW(workers, TYPE_INT, "threads", "0", FIXED, "pgweir", "Threads that serve connections; 0: one per core, as many as this process may use. More cost CPU and gain nothing: a warning at the start says so.", .most = 256),
	ROW(io_engine, TYPE_WORD, "word", "epoll", FIXED, "pgweir", "The kernel's interface for the bytes of connections; io_uring needs Linux 6.1 and leave to use it, else it is epoll, with a warning.", .words = engine_words),
	ROW(client_limit_counts, TYPE_WORD, "word", "busy", LIVE, "pgweir", "Which clients max_client_conn counts: those that log in, wait or hold a server, or all.", .words = limit_words, .standard_pgbouncer = "all"),
	ROW(statement_text_max, TYPE_BYTES, "bytes", "1048576", LIVE, "pgweir", "A longer prepared statement is not kept for other servers: it streams through, and its client keeps the server until it is closed.", .least = 0, .most = 1073741824),
	ROW(server_orphan_timeout, TYPE_TIME, "s", "60", LIVE, "pgweir", "How long a server whose connection was cut, or whose login took too long, still counts when PostgreSQL can not be asked whether it is gone."),
	ROW(abandoned_query, TYPE_WORD, "word", "auto", LIVE, "pgweir", "What happens to a query whose client went away: auto cancels it when it would roll back or only reads, or cancel, or finish.", .words = abandoned_words),
	ROW(transparency, TYPE_WORD, "word", "full", LIVE, "pgweir", "What follows a client from server to server: full: all that its session holds, or it keeps its server; protocol: what PostgreSQL reports, and a SET is undone at the end; off: what PostgreSQL reports (doc/transparency.md).", .words = transparency_words, .standard_pgbouncer = "off"),
	ROW(origin_fairness, TYPE_WORD, "word", "on", LIVE, "pgweir", "on: who waits in a pool takes turns by user and address, then by origin; off: first come, first served.", .words = off_on, .standard_pgbouncer = "off"),
	ROW(origin_weights, TYPE_WEIGHTS, "list", "", LIVE, "pgweir", "How much origins of these application_names weigh where they take turns: web=4, report=1, *=2; of weight 4 one gets four times the servers of one of weight 1. Who is not named and no * is for weighs 1."),
	ROW(max_origin_clients, TYPE_INT, "clients", "0", LIVE, "pgweir", "Most clients of one origin (user, database, application_name at login, address); 0: no limit."),
	ROW(max_origin_servers, TYPE_INT, "servers", "0", LIVE, "pgweir", "Most servers of a pool that are lent to one origin at once; 0: no limit."),
	ROW(origin_login_rate, TYPE_INT, "logins/s", "0", LIVE, "pgweir", "Logins of one origin that are let in each second, and at most at once; 0: no limit.", .most = 1000000),
	ROW(address_login_rate, TYPE_INT, "logins/s", "0", LIVE, "pgweir", "Logins from one address, of whatever user, that go on to their proof each second, and at most at once; others wait. For IPv6 of one network (/64). 0: no limit.", .most = 1000000),
	ROW(leak_interval, TYPE_TIME, "s", "5", LIVE, "pgweir", "How often all origins are looked at for leaks; 0: never."),
	ROW(leak_quiet, TYPE_TIME, "s", "5", LIVE, "pgweir", "A client that has rested for this long is quiet; what lies between two such rests is one burst."),
	ROW(leak_hold, TYPE_TIME, "s", "30", LIVE, "pgweir", "A client that is idle in a transaction, or reads nothing of its answer, for this long holds its server."),
	ROW(leak_siblings, TYPE_INT, "clients", "5", LIVE, "pgweir", "A login counts as needless while at least this many clients of its origin are quiet.", .least = 1, .most = 1000000),
	ROW(leak_action, TYPE_WORD, "word", "observe", LIVE, "pgweir", "What is done about a leak: observe tells of it, notice also tells its clients, reclaim ends them, carefully (doc/leaks.md).", .words = action_words),
	ROW(leak_action_patterns, TYPE_ACTIONS, "list", "", LIVE, "pgweir", "As leak_action, for single patterns, whatever database and user say: L1=reclaim, L9=notice."),
	ROW(reap_grace, TYPE_TIME, "s", "30", LIVE, "pgweir", "How long a client that would be ended is marked before it is; any byte of it clears the mark."),
	ROW(reap_pressure, TYPE_INT, "percent", "80", LIVE, "pgweir", "Clients that rest are ended only when at least this share of all that may be connected are; 0: at any time.", .most = 100),
	ROW(reap_relief, TYPE_INT, "percent", "60", LIVE, "pgweir", "... and only until less than this share are.", .most = 100),
	ROW(reap_batch, TYPE_INT, "clients", "10", LIVE, "pgweir", "Most clients that are ended for one leak at each leak_interval."),
	ROW(reap_hourly, TYPE_INT, "clients", "500", LIVE, "pgweir", "Most clients that are ended in an hour."),
	ROW(reap_share, TYPE_INT, "percent", "50", LIVE, "pgweir", "Most of one origin's quiet clients that are ended at each leak_interval; at least one.", .least = 1, .most = 100),
	ROW(auth_query_keep, TYPE_TIME, "s", "30", LIVE, "pgweir", "How long what auth_query found is believed without asking again; RELOAD forgets it at once.", .standard_pgbouncer = "0"),
	ROW(auth_query_keep_none, TYPE_TIME, "s", "3", LIVE, "pgweir", "... and that it found nobody.", .standard_pgbouncer = "0"),
	ROW(auth_query_search_path, TYPE_TEXT, "list", "", LIVE, "pgweir", "The search_path under which auth_query runs; empty: pg_catalog for the query that is the default, else that of auth_user at PostgreSQL. No client can change it."),
	ROW(auth_query_timeout, TYPE_TIME, "s", "10", LIVE, "pgweir", "How long auth_query may take; after that it is cancelled, and who waits for it is refused. 0: as long as client_login_timeout lets its client wait."),
	ROW(auth_pam_service, TYPE_TEXT, "name", "", LIVE, "pgweir", "The service that PAM is asked for; empty: the program's name, pgweir or pgbouncer ([PAM and LDAP](ldap-pam.md))."),
	ROW(log_format, TYPE_WORD, "word", "pgbouncer", LIVE, "pgweir", "How a line of the log is written: as PgBouncer does, or as logfmt or json for programs that read it.", .words = log_formats),
	ROW(monitor_user, TYPE_TEXT, "name", "", LIVE, "pgweir", "As whom the monitoring connection of each PostgreSQL server logs in; empty: auth_user, or a user whose password is known."),
	ROW(monitor_dbname, TYPE_TEXT, "name", "", LIVE, "pgweir", "To which database it logs in; empty: one of the entries that lead to that server, or postgres."),
	ROW(monitor_interval, TYPE_TIME, "s", "5", LIVE, "pgweir", "How often it reads who uses the server; 0: there is none.", .standard_pgbouncer = "0"),
	ROW(client_tls_crl_file, TYPE_TEXT, "path", "", LIVE, "pgweir", "Which certificates of clients were revoked: a list (CRL, as PEM) of each authority in client_tls_ca_file; read again on RELOAD ([TLS](tls.md#revoked-certificates))."),
	ROW(server_tls_crl_file, TYPE_TEXT, "path", "", LIVE, "pgweir", "The same for certificates of servers, with server_tls_sslmode = verify-ca or verify-full."),
	ROW(server_tls_negotiation, TYPE_WORD, "word", "postgres", LIVE, "pgweir", "How TLS towards servers begins: postgres asks first; direct does not, and saves a round trip (PostgreSQL 17 and newer, with server_tls_sslmode = require or stricter).", .words = negotiations),
	ROW(server_budget, TYPE_WORD, "word", "auto", LIVE, "pgweir", "auto: no more servers than PostgreSQL has room for beside everybody else, as far as the monitoring connection tells; off: the other limits alone.", .words = budget_words, .standard_pgbouncer = "off"),
	ROW(http_listen, TYPE_TEXT, "address:port", "", FIXED, "pgweir", "Where metrics, health and JSON are told over HTTP ([http.md](http.md)): 127.0.0.1:6433; empty: nowhere. Beyond this machine only with TLS."),
	ROW(http_tls_cert_file, TYPE_TEXT, "path", "", FIXED, "pgweir", "The certificate of http_listen, with those that lead to its root, as PEM; makes it https."),
	ROW(http_tls_key_file, TYPE_TEXT, "path", "", FIXED, "pgweir", "The private key of http_tls_cert_file."),
	ROW(shared_listen, TYPE_BOOL, "0/1", "1", LIVE, "pgweir", "1: with transparency = full, clients that LISTEN share one server connection for each database; 0: each keeps a server of its own (doc/transparency.md)."),
	ROW(listen_queue_max, TYPE_BYTES, "bytes", "67108864", LIVE, "pgweir", "The most bytes of notifications that wait for clients which LISTEN, over all of them (and 256 kB for each): what is more is dropped, and the client is told how many.", .least = 0, .most = 1099511627776),
	ROW(sequence_hold, TYPE_TIME, "s", "1", LIVE, "pgweir", "While others wait for a server, a client that keeps one for nothing but currval and lastval gives it back once it has rested for this long ([pins](transparency.md#pins)); 0: never."),
	ROW(client_statements_max, TYPE_BYTES, "bytes", "67108864", LIVE, "pgweir", "The most bytes that one client's named prepared statements may take in the pooler (text, name, and 200 bytes for each): one more is refused, as an error (53400), until it closes some; 0: no limit.", .least = 0, .most = 1099511627776),
};

const size_t schema_settings_count = sizeof schema_settings / sizeof *schema_settings;

/* Entries: the field's name is given, since keys and fields differ. */
#define KEY(NAME, TYPE, UNIT, STANDARD, SINCE, WHAT, STRUCT, FIELD, ...) \
	{ .key = NAME, .type = TYPE, .unit = UNIT, .standard = STANDARD, .since = SINCE, .what = WHAT, .built = BUILT, \
	  .reloadable = LIVE, .offset = offsetof(struct STRUCT, FIELD), \
	  .size = sizeof ((struct STRUCT *)0)->FIELD, __VA_ARGS__ }
#define DATABASE(FIELD) database_settings, FIELD
#define USER(FIELD)     user_settings, FIELD
#define PEER(FIELD)     peer_settings, FIELD
#define KEY2(NAME, TYPE, UNIT, STANDARD, SINCE, WHAT, ...) KEY(NAME, TYPE, UNIT, STANDARD, SINCE, WHAT, __VA_ARGS__)

const struct setting schema_database_keys[] = {
	KEY2("dbname", TYPE_TEXT, "name", "the entry's name", "1.0", "The database's name on the server.", DATABASE(dbname)),
	KEY2("host", TYPE_HOSTS, "list", "unix_socket_dir", "1.0", "Where the server is: names, addresses, /directories or @abstract sockets; several, with commas between, take turns ([failover](failover.md)).", DATABASE(hosts)),
	KEY2("port", TYPE_PORT, "port", "5432", "1.0", "Its port, and the number in its unix socket's name; of several hosts one for all, or a list of as many.", DATABASE(hosts), .least = 1, .most = 65535),
	KEY2("user", TYPE_TEXT, "name", "the client's", "1.0", "Log in to the server as this user for all clients: one pool.", DATABASE(user)),
	KEY2("password", TYPE_TEXT, "secret", "auth_file's", "1.0", "The password of that user.", DATABASE(password)),
	KEY2("auth_user", TYPE_TEXT, "name", "auth_user", "1.6", "As the setting, for this database.", DATABASE(auth_user)),
	KEY2("auth_query", TYPE_TEXT, "SQL", "auth_query", "1.22.0", "As the setting, for this database.", DATABASE(auth_query)),
	KEY2("auth_dbname", TYPE_TEXT, "name", "auth_dbname", "1.19.0", "As the setting, for this database.", DATABASE(auth_dbname)),
	KEY2("pool_size", TYPE_INT, "servers", "default_pool_size", "1.0", "Most servers of a pool of this database.", DATABASE(pool_size), .least = -1, .most = INT32_MAX),
	KEY2("min_pool_size", TYPE_INT, "servers", "min_pool_size", "1.16.0", "As the setting, for this database.", DATABASE(min_pool_size), .least = -1, .most = INT32_MAX),
	KEY2("reserve_pool_size", TYPE_INT, "servers", "reserve_pool_size", "1.24.0", "As the setting, for this database.", DATABASE(reserve_pool_size), .least = -1, .most = INT32_MAX, .alias = "reserve_pool"),
	KEY2("connect_query", TYPE_TEXT, "SQL", "", "1.2", "Run on each new server before it is lent; errors are logged. One that leaves a transaction open, ends the server or takes longer than server_connect_timeout is a login that failed.", DATABASE(connect_query)),
	KEY2("pool_mode", TYPE_WORD, "word", "pool_mode", "1.6", "As the setting, for this database.", DATABASE(pool_mode), .words = pool_modes),
	KEY2("transparency", TYPE_WORD, "word", "transparency", "pgweir", "As the setting, for this database.", DATABASE(transparency), .words = transparency_words),
	KEY2("query_wait_timeout", TYPE_SECONDS, "s", "query_wait_timeout", "after 1.25", "As the setting, for this database, in whole seconds; -1: as the setting.", DATABASE(query_wait_timeout), .least = -1),
	KEY2("leak_action", TYPE_WORD, "word", "leak_action", "pgweir", "As the setting, for this database.", DATABASE(leak_action), .words = action_words),
	KEY2("load_balance_hosts", TYPE_WORD, "word", "round-robin", "1.24.0", "Which of several hosts a new server is at: they take turns (round-robin), or one is kept until it fails (disable).", DATABASE(hosts_stay), .words = balance_words),
	KEY2("target_session_attrs", TYPE_WORD, "word", "any", "pgweir", "Which of its hosts' servers suit, as in libpq ([failover](failover.md)).", DATABASE(target), .words = target_words),
	KEY2("max_db_connections", TYPE_INT, "servers", "max_db_connections", "1.6", "As the setting, for this database.", DATABASE(max_connections), .least = -1, .most = INT32_MAX),
	KEY2("max_db_client_connections", TYPE_INT, "clients", "max_db_client_connections", "1.24.0", "As the setting, for this database.", DATABASE(max_client_connections), .least = -1, .most = INT32_MAX),
	KEY2("max_origin_servers", TYPE_INT, "servers", "max_origin_servers", "pgweir", "As the setting, for this database.", DATABASE(max_origin_servers), .least = -1, .most = INT32_MAX),
	KEY2("server_lifetime", TYPE_SECONDS_WIDER, "s", "server_lifetime", "1.23.0", "As the setting, for this database, in whole seconds; 0 or -1: as the setting.", DATABASE(server_lifetime), .least = -1),
	KEY2("client_encoding", TYPE_TEXT, "name", "", "1.0", "Sent to the server at login.", DATABASE(client_encoding)),
	KEY2("datestyle", TYPE_TEXT, "string", "", "1.0", "Sent to the server at login.", DATABASE(datestyle)),
	KEY2("timezone", TYPE_TEXT, "string", "", "1.1", "Sent to the server at login.", DATABASE(timezone)),
	KEY2("application_name", TYPE_TEXT, "string", "", "1.4", "Sent to the server at login.", DATABASE(application_name)),
};

const size_t schema_database_keys_count = sizeof schema_database_keys / sizeof *schema_database_keys;

const struct setting schema_user_keys[] = {
	KEY2("pool_mode", TYPE_WORD, "word", "the database's", "1.6", "As the setting, for the pools of this user.", USER(pool_mode), .words = pool_modes),
	KEY2("transparency", TYPE_WORD, "word", "the database's", "pgweir", "As the setting, for the pools of this user.", USER(transparency), .words = transparency_words),
	KEY2("leak_action", TYPE_WORD, "word", "the database's", "pgweir", "As the setting, for clients of this user.", USER(leak_action), .words = action_words),
	KEY2("pool_size", TYPE_INT, "servers", "the database's", "1.23.0", "Most servers of a pool of this user.", USER(pool_size), .least = -1, .most = INT32_MAX),
	KEY2("reserve_pool_size", TYPE_INT, "servers", "the database's", "1.24.0", "As the setting, for the pools of this user.", USER(reserve_pool_size), .least = -1, .most = INT32_MAX),
	KEY2("max_user_connections", TYPE_INT, "servers", "max_user_connections", "1.6", "As the setting, for this user.", USER(max_connections), .least = -1, .most = INT32_MAX),
	KEY2("max_user_client_connections", TYPE_INT, "clients", "max_user_client_connections", "1.24.0", "As the setting, for this user.", USER(max_client_connections), .least = -1, .most = INT32_MAX),
	KEY2("query_timeout", TYPE_SECONDS_WIDER, "s", "query_timeout", "1.24.0", "As the setting, in whole seconds; 0 or -1: as the setting.", USER(query_timeout), .least = -1),
	KEY2("idle_transaction_timeout", TYPE_SECONDS_WIDER, "s", "idle_transaction_timeout", "1.24.0", "As the setting, in whole seconds; 0 or -1: as the setting.", USER(idle_transaction_timeout), .least = -1),
	KEY2("client_idle_timeout", TYPE_SECONDS_WIDER, "s", "client_idle_timeout", "1.24.0", "As the setting, in whole seconds; 0 or -1: as the setting.", USER(client_idle_timeout), .least = -1),
	KEY2("transaction_timeout", TYPE_SECONDS_WIDER, "s", "transaction_timeout", "1.25.0", "As the setting, in whole seconds; 0 or -1: as the setting.", USER(transaction_timeout), .least = -1),
	KEY2("query_wait_timeout", TYPE_SECONDS, "s", "the database's", "after 1.25", "As the setting, in whole seconds; -1: as the database has it.", USER(query_wait_timeout), .least = -1),
};

const size_t schema_user_keys_count = sizeof schema_user_keys / sizeof *schema_user_keys;

const struct setting schema_peer_keys[] = {
	KEY2("host", TYPE_TEXT, "name", "", "1.19.0", "Where the peer is: a name, an address or the /directory of its unix socket.", PEER(host)),
	KEY2("port", TYPE_INT, "port", "6432", "1.19.0", "Its port, and the number in its unix socket's name.", PEER(port), .least = 1, .most = 65535),
	KEY2("pool_size", TYPE_INT, "count", "default_pool_size", "1.19.0", "Most cancel requests that are under way to it at once; others wait.", PEER(pool_size), .least = -1, .most = INT32_MAX),
};

const size_t schema_peer_keys_count = sizeof schema_peer_keys / sizeof *schema_peer_keys;

/* clang-format on */

const struct setting *schema_find(const struct setting *rows, size_t count, struct span key)
{
	for (size_t i = 0; i < count; i++) {
		if (span_is(key, rows[i].key) || (rows[i].alias && span_is(key, rows[i].alias)))
			return &rows[i];
	}
	return NULL;
}

const char *schema_nearest(const struct setting *rows, size_t count, const char *key)
{
	const char *keys[sizeof schema_settings / sizeof *schema_settings + 1]; /* the longest of the tables */
	size_t n = 0;

	check(count < sizeof keys / sizeof *keys);
	for (size_t i = 0; i < count; i++) {
		if (!rows[i].hidden)
			keys[n++] = rows[i].key;
	}
	keys[n] = NULL;
	return text_nearest(key, keys);
}

const char *schema_standard(const struct setting *row, enum manner manner)
{
	return manner == MANNER_PGBOUNCER && row->standard_pgbouncer ? row->standard_pgbouncer : row->standard;
}
