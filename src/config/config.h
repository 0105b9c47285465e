#ifndef PGWEIR_CONFIG_CONFIG_H
#define PGWEIR_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/span.h"
#include "base/time.h"

/* The whole configuration as one immutable, counted value. A reload makes a new one from the file and the command
 * line's overrides, or fails with a message and changes nothing. Times are microseconds whatever the file's unit. */

enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT };
enum manner { MANNER_PGWEIR, MANNER_PGBOUNCER }; /* under which name we were called */

/* How much of a session follows its client from server to server when they change hands (doc/transparency.md). */
enum transparency { TRANSPARENCY_UNSET = -1, TRANSPARENCY_OFF, TRANSPARENCY_PROTOCOL, TRANSPARENCY_FULL };
/* Towards clients ALLOW and PREFER say the same, and so do the two VERIFYs; towards servers ALLOW says PREFER. */
enum sslmode {
	SSLMODE_DISABLE,
	SSLMODE_ALLOW,
	SSLMODE_PREFER,
	SSLMODE_REQUIRE,
	SSLMODE_VERIFY_CA,
	SSLMODE_VERIFY_FULL
};
enum limit_counts { LIMIT_BUSY, LIMIT_ALL };

/* -1 in a number and POOL_UNSET mean "not said here, ask the next wider". */
#define UNSET      (-1)
#define POOL_UNSET ((enum pool_mode) - 1)

#define HOSTS_MAX  32 /* of one database */

/* Which servers suit a database: libpq's target_session_attrs. */
enum target { TARGET_ANY, TARGET_READ_WRITE, TARGET_READ_ONLY, TARGET_PRIMARY, TARGET_STANDBY, TARGET_PREFER_STANDBY };

struct host {
	char *name; /* name, address, "/dir" or "@abstract" */
	uint16_t port;
};

/* What is done about a leak: it is only told, its clients are told too, or they are ended. */
enum leak_action { ACTION_UNSET = -1, ACTION_OBSERVE, ACTION_NOTICE, ACTION_RECLAIM };

struct database_settings {
	enum leak_action leak_action;
	char *name;   /* "*" for the fallback entry */
	char *dbname; /* on the server; NULL: the name the client asked for */
	struct host *hosts;
	size_t host_count; /* at least 1; a missing host= is unix_socket_dir, and /tmp where that is empty */
	bool hosts_stay;   /* load_balance_hosts=disable */
	enum target target;
	char *user, *password;                      /* forced; NULL: the client's own */
	char *auth_user, *auth_query, *auth_dbname; /* NULL: as the settings */
	int pool_size, min_pool_size, reserve_pool_size, max_connections, max_client_connections, max_origin_servers;
	enum pool_mode pool_mode;
	enum transparency transparency;
	time_us server_lifetime, query_wait_timeout; /* UNSET */
	char *connect_query;
	char *client_encoding, *datestyle, *timezone, *application_name; /* for the server's startup packet */
	unsigned line; /* where it stands in the file; 0: command line */
};

struct user_settings {
	char *name;
	enum leak_action leak_action;
	int pool_size, reserve_pool_size, max_connections, max_client_connections;
	enum pool_mode pool_mode;
	enum transparency transparency;
	time_us query_timeout, idle_transaction_timeout, transaction_timeout, client_idle_timeout, query_wait_timeout;
	unsigned line;
};

/* A process that shares clients with us, where cancel requests go that are meant for it. */
#define PEER_ID_MAX 16383
struct peer_settings {
	int id; /* 1 to PEER_ID_MAX */
	char *host;
	int port;
	int pool_size; /* UNSET */
	unsigned line;
};

/* One line of SHOW CONFIG; and how SET finds its key. */
struct setting_view {
	const char *key;
	char value[512];
	const char *standard; /* the default as text */
	bool reloadable;
};

struct config {
	/* [pgbouncer]; one field per setting that is built. The table in schema.c maps keys to fields. Texts are never NULL:
	 * what is not set is empty. */
	char *listen_addr;
	int listen_port, listen_backlog, so_reuseport;
	int peer_id; /* 0: alone */
	char *unix_socket_dir, *unix_socket_group;
	int unix_socket_mode;
	char *auth_type_text; /* as written */
	int auth_type; /* enum auth_method of auth/login.h by number: any trust plain md5 scram hba cert pam ldap */
	char *auth_ldap_options, *auth_pam_service;
	char *auth_hba_file, *auth_ident_file, *login_notify_message;
	char *auth_file, *admin_users, *stats_users;
	char *auth_user, *auth_query, *auth_dbname, *auth_query_search_path;
	time_us auth_query_keep, auth_query_keep_none, auth_query_timeout;
	int scram_iterations;
	enum pool_mode pool_mode;
	int default_pool_size, min_pool_size, reserve_pool_size;
	int max_client_conn, max_db_connections, max_user_connections, max_db_client_connections,
		max_user_client_connections;
	time_us reserve_pool_timeout;
	time_us query_wait_timeout, query_wait_notify, query_timeout, idle_transaction_timeout, transaction_timeout;
	time_us client_idle_timeout, client_login_timeout;
	time_us server_lifetime, server_idle_timeout, server_connect_timeout, server_login_retry, server_check_delay;
	char *server_check_query; /* "<empty>" is kept as an empty text with server_check_on; "" means no check */
	bool server_check_on;
	char *server_reset_query;
	int server_reset_query_always, server_round_robin, server_fast_close;
	time_us sequence_hold;
	time_us cancel_wait_timeout, suspend_timeout, autodb_idle_timeout, pool_idle_timeout;
	time_us dns_max_ttl, dns_nxdomain_ttl, dns_zone_check_period;
	char *resolv_conf;
	char *ignore_startup_parameters, *track_extra_parameters;
	int application_name_add_host, disable_pqexec;
	int max_prepared_statements;
	int64_t max_packet_size;
	int log_connections, log_disconnections, log_pooler_errors, log_stats, verbose;
	time_us stats_period;
	char *conffile; /* the file that RELOAD reads; empty: `file` again */
	char *logfile, *pidfile, *user, *syslog_ident;
	int syslog, syslog_facility, log_format; /* the facility by number; enum log_format of io/logline.h by number */
	int tcp_defer_accept, tcp_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl, tcp_socket_buffer,
		tcp_user_timeout;
	enum sslmode client_tls_sslmode, server_tls_sslmode;
	char *client_tls_key_file, *client_tls_cert_file, *client_tls_ca_file;
	char *client_tls_protocols, *client_tls_ciphers, *client_tls13_ciphers;
	char *client_tls_ecdhcurve, *client_tls_dheparams;
	char *server_tls_key_file, *server_tls_cert_file, *server_tls_ca_file;
	char *server_tls_protocols, *server_tls_ciphers, *server_tls13_ciphers;
	/* ours */
	char *client_tls_crl_file, *server_tls_crl_file;
	int server_tls_negotiation; /* 0: asked for as PostgreSQL has it, 1: direct */
	int workers;                /* 0: one per core */
	int io_engine;              /* enum loop_engine of io/loop.h by number */
	enum limit_counts client_limit_counts;
	int64_t statement_text_max; /* bytes; longer statements stream through */
	time_us server_orphan_timeout;
	enum transparency transparency;
	int abandoned_query;  /* 0 auto, 1 cancel, 2 finish */
	int origin_fairness;  /* 0 off, 1 on */
	char *origin_weights; /* "web=4, report=1" */
	int max_origin_clients, max_origin_servers, origin_login_rate, address_login_rate; /* 0: no limit */
	time_us leak_interval, leak_quiet, leak_hold;
	int leak_siblings;
	enum leak_action leak_action;
	char *leak_action_patterns; /* "L1=reclaim, L9=notice" */
	time_us reap_grace;
	int reap_pressure, reap_relief, reap_batch, reap_hourly, reap_share;
	char *monitor_user, *monitor_dbname;
	time_us monitor_interval; /* 0: no monitoring connection */
	int shared_listen;
	int64_t listen_queue_max;
	int64_t client_statements_max; /* bytes; 0: no limit */
	int server_budget;             /* 1: what it reads limits the servers */
	char *http_listen, *http_tls_cert_file, *http_tls_key_file;

	enum manner manner;
	struct database_settings *databases; /* sorted by name, as are the users; each name once */
	size_t database_count;
	struct user_settings *users;
	size_t user_count;
	struct peer_settings *peers; /* sorted by id, each once */
	size_t peer_count;
	char *file; /* where it was read from; NULL: none */

	struct config_private *private; /* values of settings known but not built, counts, arena */
};

/* One `-o key=value`; "databases.NAME=...", "users.NAME=..." and "peers.ID=..." set an entry of that section. */
struct config_override {
	const char *key, *value;
};

struct config_source {
	const char *file; /* for messages; and relative %include is from the current directory, as PgBouncer does */
	struct span text;
	const struct config_override *overrides;
	size_t override_count;
	enum manner manner;
	/* Reads an included file whole into a malloc'ed, terminated text; false with a reason in `error`. */
	bool (*read_file)(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size);
	void *context;
	/* Told each thing that is odd but no error ("auth_hba_file (line 12): known, but not built yet; ignored"). */
	void (*warn)(void *context, const char *line);
};

/* Parse all or nothing. NULL: `error` has file, line, what is wrong and, for an unknown key, the nearest known one. */
struct config *config_parse(const struct config_source *, char *error, size_t error_size);
struct config *config_keep(struct config *); /* thread-safe count */
void config_drop(struct config *);

/* A new configuration with one setting changed, as SET on the console does. NULL: `error` says why (unknown key, not reloadable, bad value). */
struct config *config_with(const struct config *, const char *key, const char *value, char *error, size_t error_size);

/* What RELOAD puts in force: `fresh`, in which what only a restart may change is as it is in `old`; each such setting is told to `warn`.
 * `fresh` is taken. NULL: `error`. */
struct config *config_hold(struct config **fresh, const struct config *old,
	void (*warn)(void *context, const char *line), void *context, char *error, size_t error_size);

/* The console's names: no server is behind them. */
static inline bool config_is_console(const char *database)
{
	return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

/* Row `i` of SHOW CONFIG, in PgBouncer's order, ours at the end. False: no more. */
bool config_view(const struct config *, size_t i, struct setting_view *out);

/* The entry for a database a client asked for: its own or the "*" one; NULL: there is none. "pgbouncer" and "pgweir" never match. */
const struct database_settings *config_database(const struct config *, struct span name);
const struct user_settings *config_user(const struct config *, struct span name); /* NULL: none */
const struct peer_settings *config_peer(const struct config *, uint32_t id);      /* NULL: none */
int config_peer_size(const struct config *, const struct peer_settings *); /* how many connections to it at most */

/* Where the secret of a user is asked for who is not in auth_file: what the entry says beats the settings. The console has no entry; only
 * auth_dbname can say where it asks. False: nowhere. Borrowed. */
struct auth_lookup {
	const char *database;     /* the entry of [databases] where it is asked; NULL: that of the client */
	const char *user, *query; /* as whom, and what */
	const char *search_path;  /* to be set for it; NULL: the user's own */
};
bool config_auth_lookup(const struct config *, struct span database, struct auth_lookup *out);

/* What holds for a pool of this database entry and this user (user beats database beats global; the pool's user, so a forced one). */
struct pool_rules {
	enum pool_mode mode;
	enum transparency transparency;
	int size, min_size, reserve_size;
	int database_connections_max, user_connections_max, origin_servers_max; /* 0: no limit */
	time_us server_lifetime, query_wait_timeout, query_timeout, idle_transaction_timeout, transaction_timeout,
		client_idle_timeout;
};
void config_pool_rules(
	const struct config *, const struct database_settings *, struct span user, struct pool_rules *out);

/* What is done about a leak by clients of this database and user, as they call themselves: the user's action beats the database's, that the
 * global one. And what is done about one of this pattern ("L1"), which beats them all. */
enum leak_action config_leak_action(const struct config *, struct span database, struct span user);
enum leak_action config_pattern_action(const struct config *, const char *pattern, enum leak_action otherwise);

/* How much an origin of this application_name weighs where origins take turns (origin_weights): 1 to ORIGIN_WEIGHT_MOST. */
#define ORIGIN_WEIGHT_MOST 100
unsigned config_origin_weight(const struct config *, struct span application_name);

/* `user` stands in the comma list (admin_users, stats_users, ignore_startup_parameters); '*' never matches. Case folded when asked. */
bool config_list_has(const char *list, struct span word, bool nocase);

#endif
