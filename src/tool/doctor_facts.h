#ifndef PGWEIR_TOOL_DOCTOR_FACTS_H
#define PGWEIR_TOOL_DOCTOR_FACTS_H

#include "base/time.h"
#include "config/config.h"
#include "core/leak.h"

/* Everything the doctor was told, as plain values: the readers fill it in, the rules look at it, and neither knows the other. Every text
 * may come from a stranger; it is bounded here and escaped where it is printed. Memory that is refused leaves a part out, and the
 * reader says so. */

#define DOCTOR_APPS_MAX     32
#define DOCTOR_FILES_MAX    16
#define DOCTOR_SERVERS_MAX  8
#define DOCTOR_EXAMPLES_MAX 3
#define DOCTOR_LEAKS_MAX    64 /* of one console, or of the watch */

enum doctor_answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

#define MAX_AGE_FOREVER (-1.0)

/* One way an application reaches a database: an entry of Django's DATABASES, or a URL. */
struct app_database {
	char source[256]; /* the file, or "DATABASE_URL" */
	unsigned line;
	char alias[64];
	char host[128], name[64], user[64], application_name[64];
	int port; /* 0: not said */
	bool django;
	enum doctor_answer asgi;
	char asgi_evidence[96];
	bool max_age_set;
	unsigned max_age_line;
	double max_age;        /* seconds; 0 is Django's default, MAX_AGE_FOREVER is None */
	bool max_age_fallback; /* unless the environment says otherwise */
	bool health_checks_set, health_checks;
	bool no_server_side_cursors;
	char options[512];      /* the startup parameter: "-c statement_timeout=30000" */
	double connect_timeout; /* seconds; 0: not said */
	bool keepalives;        /* any keepalives or tcp_user_timeout setting */
	bool pool;              /* Django's own (5.1), or SQLAlchemy's */
	double pool_max;
	bool atomic_requests;
};

/* A pgbouncer.ini or pgweir.ini. */
struct pooler_file {
	char path[256];
	struct config *config;
	bool is_pgweir;
	bool secrets_read; /* its auth_file; of the secrets in there: */
	unsigned secrets_plain, secrets_md5, secrets_scram;
	char secrets_problem[256];
	char for_all[600];    /* files with secrets that every user of this machine may read: "a, b"; "" */
	uint64_t descriptors; /* of the process that its pidfile names; 0: not known */
};

/* What source and prose show. */
enum code_sign {
	CODE_KILL_IDLE,     /* pg_terminate_backend over pg_stat_activity without guards */
	CODE_CLOSE_OLD,     /* close_old_connections() */
	CODE_THREAD,        /* to_thread, thread_sensitive=False: a connection for each thread of an executor */
	CODE_SYNC_TO_ASYNC, /* database_sync_to_async */
	CODE_RAISE_MAX,     /* max_connections = N as a remedy */
	CODE_BLIND_STRESS,  /* opens many sockets, never looks at the database */
	CODE_PERSISTENT,    /* CONN_MAX_AGE in prose or in a snippet */
	CODE_HEALTH_CHECKS, /* CONN_HEALTH_CHECKS, likewise */
	CODE_SIGNS
};

struct code_example {
	char file[192];
	unsigned line;
	char text[240];
};

struct code_facts {
	unsigned files, counts[CODE_SIGNS], files_with[CODE_SIGNS];
	struct code_example examples[CODE_SIGNS][DOCTOR_EXAMPLES_MAX];
	double max_connections, conn_max_age; /* the largest that is advised */
};

/* A PostgreSQL session, as pg_stat_activity shows it. Ages are as of the moment of the query; -1: it has none. */
struct session {
	int pid;
	char user[64], database[64], application[64], address[64], state[32], wait_event[32];
	char query[200]; /* literals redacted */
	int port;
	uint32_t process; /* of this machine, whose it is; 0: not known */
	time_us age, query_age, transaction_age, state_age;
	time_us birth, last_change; /* in the server's own time, for comparisons among sessions */
	bool superuser, ours, writes, locks_advisory, blocks_others;
};

struct server_facts {
	char name[128];     /* "app@localhost:5432/app", never a password */
	bool reached, full; /* full: refused with 53300 */
	bool pooler_full;   /* refused by a pooler in front, for its max_client_conn */
	char problem[700];  /* why it was not reached, or what we lack the rights for */
	int version;        /* 150004 */
	bool sees_all;      /* other users' sessions are not blanked out */
	bool pooled;        /* a pooler stands between: its sessions bear the names of its clients */
	bool local;         /* on this machine, so that its cores are ours */
	uint16_t own_port;  /* of its listener, whatever port was asked for */
	char host[128], user[64],
		database[64]; /* host: as a pooler's file names it, else ""; as whom we asked, and where */
	int port;
	enum doctor_answer in_recovery, read_only; /* a hot standby; default_transaction_read_only */
	int role_limit, database_limit;            /* CONNECTION LIMIT of those two; 0: none is known */
	int max_connections, superuser_reserved, reserved;
	bool max_connections_set;                                                      /* not the default of 100 */
	time_us statement_timeout, idle_in_transaction_timeout, client_check_interval; /* 0: off */
	int keepalives_idle;                              /* seconds; the kernel's where the server leaves it to it */
	unsigned role_guards_idle, role_guards_statement; /* roles or databases with such a timeout of their own */
	bool scram;                                       /* password_encryption */
	bool secrets_read;
	unsigned secrets_scram, secrets_md5; /* of roles that may log in */
	unsigned prepared_transactions;
	time_us oldest_prepared;
	struct session *sessions;
	size_t session_count;
	/* From samples: means over them. */
	unsigned samples;
	double seconds, active, in_transaction, transactions_per_second;
};

struct console_pool {
	char database[64], user[64], mode[16];
	int clients_active, clients_waiting, servers_active, servers_idle, servers_used;
	time_us max_wait;
	int size, reserve; /* 0: not known */
};

/* A row of SHOW LEAKS, in pgweir's own words. */
struct console_leak {
	char pattern[8], name[80], origin[320], evidence[320], cure[400], route[80], statement[200];
	bool not_us; /* the application's own pool: neither the pooler nor PostgreSQL */
	bool low;    /* it does not grow, and nobody waits for what it holds */
	bool ended;
	int64_t number;       /* of the origin, for REAP */
	int confidence;       /* percent */
	double growth;        /* per minute */
	time_us exhausted_in; /* 0: not foreseeable */
};

struct console_facts {
	char name[128];
	bool reached, full;
	char problem[256];
	bool is_pgweir;
	int port;
	char version[64];
	struct console_pool *pools;
	size_t pool_count;
	int max_client_conn;
	bool transaction;     /* pool_mode is not session */
	bool parked_are_free; /* pgweir's client_limit_counts = busy */
	unsigned clients;
	time_us query_wait_timeout;
	/* Rates of all databases together, over the console's own stats_period. */
	double transactions_per_second, queries_per_second, transaction_us, query_us;
	char no_room[300];          /* of a pgweir: PostgreSQL is full of others, and who they are; "" */
	struct console_leak *leaks; /* of a pgweir */
	size_t leak_count;
	int *server_pids; /* remote_pid of SHOW SERVERS */
	size_t server_pid_count;
};

/* A leak that --watch saw. */
struct watched_leak {
	char origin[320];
	char server[128];
	struct leak leak;
};

struct doctor_facts {
	struct app_database apps[DOCTOR_APPS_MAX];
	size_t app_count;
	struct pooler_file files[DOCTOR_FILES_MAX];
	size_t file_count;
	struct server_facts servers[DOCTOR_SERVERS_MAX];
	size_t server_count;
	struct console_facts consoles[DOCTOR_SERVERS_MAX];
	size_t console_count;
	struct code_facts code;
	struct watched_leak leaks[DOCTOR_LEAKS_MAX];
	size_t leak_count;
	int cores;               /* of the database's machine; 0: not known */
	int tasks, held;         /* tasks at once, and connections that one holds at once; 0: not known */
	int poolers;             /* processes of the pooler that share one file; 0: one */
	time_us request_timeout; /* of the application; 0: not known */
};

/* Free what the facts own. */
void doctor_facts_fini(struct doctor_facts *);

#endif
