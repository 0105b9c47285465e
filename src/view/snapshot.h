#ifndef PGWEIR_VIEW_SNAPSHOT_H
#define PGWEIR_VIEW_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "base/meter.h"
#include "base/time.h"
#include "base/usage.h"

/* Everything that can be shown, at one moment, in plain values: no pointers into the living house. Workers add their parts one
 * after another; renderings (rows of the console now, metrics and pages later) only read it.
 * Times: `..._wall` since 1970, others are durations. */

enum snapshot_part {
	PART_CLIENTS = 1,
	PART_SERVERS = 2,
	PART_POOLS = 4,
	PART_STATS = 8,
	PART_LEASES = 16,
	PART_LEAKS = 32, /* and origins: as they were when last looked at, see serve/survey.c */
	PART_PINS = 64,  /* how many there are, by reason; the rows are in LEASES */
	PART_ALL = 127,
	PART_LEDGER = 128, /* a row with words for each client, so only for who asks for it */
	PART_USAGE = 256   /* a walk through the heap, likewise */
};

#define SNAPSHOT_NAME 64

enum client_state { CLIENT_ACTIVE, CLIENT_IDLE, CLIENT_WAITING, CLIENT_LOGIN, CLIENT_AT_DOOR, CLIENT_CONSOLE };

/* Of several hosts: load_balance_hosts. */
enum balance { BALANCE_NONE, BALANCE_ROUND_ROBIN, BALANCE_DISABLE };

enum row_replication { ROW_REPLICATION_NONE, ROW_REPLICATION_LOGICAL, ROW_REPLICATION_PHYSICAL };

struct client_row {
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME];
	enum client_state state;
	char address[112], local_address[112]; /* "127.0.0.1", "unix" */
	char tls[96];                          /* version/cipher/exchange; empty: plain */
	int port, local_port;
	time_us connected_wall, requested_wall;
	time_us wait;
	uint64_t id;         /* for KILL_CLIENT; 31 bits, as it is shown as an int4 */
	uint64_t link_id;    /* the server it holds; 0: none; 31 bits */
	uint32_t process_id; /* the peer's, for a unix socket */
	uint32_t statements; /* named prepared statements */
	bool in_transaction;
	int replication; /* enum row_replication */
};

enum server_row_state {
	SERVER_ROW_NEW,
	SERVER_ROW_IDLE,
	SERVER_ROW_ACTIVE,
	SERVER_ROW_TESTED,
	SERVER_ROW_USED,
	SERVER_ROW_CLOSING,
	SERVER_ROW_MOVING,
	SERVER_ROW_ORPHANED
};

struct server_row {
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME];
	enum server_row_state state;
	bool canceling;
	char address[112], local_address[112], tls[96];
	int port, local_port;
	time_us connected_wall, requested_wall;
	uint64_t id, link_id; /* 31 bits; link: the client that holds it, 0: none */
	uint32_t process_id;  /* PostgreSQL's */
	uint32_t statements;
	bool close_needed;
	int replication; /* enum row_replication */
};

struct stat_counters {
	uint64_t server_assignments, transactions, queries, received, sent;
	uint64_t transaction_time, query_time, wait_time; /* us */
	uint64_t client_parses, server_parses, binds, logins;
	uint64_t questions, pins; /* servers asked what is left in their session; leases that were pinned */
};

/* How long things took. */
struct pool_times {
	struct meter wait, lease, query, login;
};

struct pool_row {
	uint32_t id; /* the rows are in its order */
	char database[SNAPSHOT_NAME], user[SNAPSHOT_NAME];
	uint32_t clients, clients_active, clients_waiting, cancels_active, cancels_waiting; /* clients: logged in */
	uint32_t servers_active, servers_active_cancel, servers_being_canceled, servers_idle, servers_used,
		servers_tested, servers_login, servers_closing, servers_moving, servers_orphaned;
	time_us oldest_wait;
	int mode; /* enum pool_mode of config/config.h: 0 session, 1 transaction, 2 statement */
	enum balance balance;
	uint32_t size, reserve;
	time_us oldest_lease, median_lease;
	uint32_t full_target; /* 0: PostgreSQL has not said 53300 */
	bool failing;
	char failure[160];
	struct stat_counters total;
	struct pool_times times;
};

struct database_row {
	char name[SNAPSHOT_NAME], host[256], dbname[SNAPSHOT_NAME], force_user[SNAPSHOT_NAME];
	int port, pool_size, min_pool_size, reserve_pool_size;
	time_us server_lifetime;
	int mode; /* -1: not set for this database */
	enum balance balance;
	int max_connections, current_connections, max_client_connections, current_client_connections;
	bool paused, disabled, console;
};

struct user_row {
	char name[SNAPSHOT_NAME];
	int pool_size, reserve_pool_size; /* -1: not set */
	int mode;                         /* -1: not set */
	int max_connections, current_connections, max_client_connections, current_client_connections;
};

/* A host name that was looked up, and a zone whose serial number is watched. */
struct dns_host_row {
	char name[256], addresses[768];
	time_us left; /* until it is looked up again */
};
struct dns_zone_row {
	char name[256];
	uint32_t serial, names;
};

/* A process that passes cancel requests on with us; and those that are under way to it, since there were any. */
struct peer_row {
	int id;
	char host[256];
	int port, pool_size;
};
struct peer_pool_row {
	int id;
	uint32_t cancels_active, cancels_waiting, connections_active, connections_login;
};

/* One PostgreSQL server. What is not known is -1. */
struct budget_row {
	char host[256];
	int port;
	int connections_max, reserved, usable; /* usable: what is not reserved */
	/* Ours, all of them, and by what they do: the sum of those that follow. */
	uint32_t ours, lent, idle, dialing, cleaning, moving, closing, orphaned, monitor, listeners, visitors;
	int others, free, target, orphans;
	uint32_t waiting;        /* clients of its pools */
	time_us full_since_wall; /* 0: PostgreSQL has not said 53300 */
	char state[16], problem[160];
	bool failing; /* it can not be read, from the first attempt that failed until one that does not */
	time_us age;  /* of the last reading */
	char limits[512], others_by[768];
};

struct stats_row {
	char database[SNAPSHOT_NAME];
	struct stat_counters total;
	/* Per second over the last whole stats_period; times per transaction, query, assignment. */
	struct stat_counters average;
};

/* What strangers chose (names, statements) stands here as it is shown: escaped, and cut. */
#define SNAPSHOT_WORDS 200

struct origin_row {
	uint32_t id; /* 0: those for whom there was no room in the table */
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME], address[SNAPSHOT_NAME];
	char driver[12], process[SNAPSHOT_NAME];
	uint32_t process_id;
	uint32_t clients, parked, waiting, lent, quiet, silent, once, in_block, holding, unread;
	uint32_t rests_lent; /* in no SHOW; for who is told who holds servers */
	uint64_t logins, logouts, logins_while_quiet, reused, transactions, cancels, abandoned, dead_peers;
	time_us executing_time, in_block_time, oldest_quiet, oldest_hold, median_rest, median_life;
	char route[SNAPSHOT_NAME], statement[SNAPSHOT_WORDS];
	bool is_protected;
	uint32_t weight; /* where origins take turns */
	time_us parked_time, waiting_time, sending_time;
	uint64_t received, sent; /* bytes */
	uint32_t at_door;        /* logins that wait for room */
};

/* Who somebody is and where from; escaped. */
struct who_row {
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME], address[SNAPSHOT_NAME];
	int port;
	uint32_t origin;
};

/* A part of an origin: its clients of one process, TLS name, route ... */
struct breakdown_row {
	uint32_t origin;
	uint32_t rank; /* 0: the first to be shown where not all can be; none has that of another */
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME], address[SNAPSHOT_NAME];
	char by[12], value[128];
	uint32_t clients, quiet, in_block, holding;
	uint64_t transactions;
	time_us executing_time, in_block_time, oldest_quiet, oldest_hold;
	char trace[40]; /* of the oldest hold; empty: none, or not known */
};

struct leak_row {
	uint32_t id, origin;
	char pattern[8], name[80], family[12], severity[12];
	uint32_t confidence; /* percent */
	char user[SNAPSHOT_NAME], database[SNAPSHOT_NAME], application_name[SNAPSHOT_NAME], address[SNAPSHOT_NAME];
	char evidence[320], cure[400], route[SNAPSHOT_NAME], statement[SNAPSHOT_WORDS];
	uint32_t clients, servers;
	time_us oldest, exhausted_in;   /* exhausted_in 0: not foreseeable */
	double growth;                  /* per minute */
	time_us since_wall, ended_wall; /* ended_wall 0: it lasts */
};

/* A server that is lent. */
struct lease_row {
	uint64_t client, server; /* numbers as in CLIENTS and SERVERS */
	struct who_row who;
	uint32_t server_process_id;
	char state[24]; /* executing, idle in transaction, idle (a session's), sending, learning, checking */
	time_us age, in_state, transaction_age;
	uint32_t pool;
	uint32_t waiting;  /* clients that wait for a server of its pool */
	char waiters[640]; /* those of them who wait longest, in words; empty: nobody waits */
	char first[SNAPSHOT_WORDS], statement[SNAPSHOT_WORDS], route[SNAPSHOT_NAME], trace[40];
	char pin[160];                      /* why it outlives its transaction; empty: it does not */
	char pin_statement[SNAPSHOT_WORDS]; /* which statement made it so */
};

/* What a client has done so far. */
struct ledger_row {
	uint64_t client; /* its number, as in CLIENTS */
	struct who_row who;
	char state[24]; /* parked, waiting, or that of its lease */
	time_us connected_wall, age;
	time_us rest; /* how long it has owed nothing and been owed nothing; 0: it is at work */
	uint32_t bursts, transactions;
	time_us waited, executing, in_block, sending; /* of what has ended; `sending` with what goes on */
	uint64_t received, sent;                      /* bytes */
	char first[SNAPSHOT_WORDS], last[SNAPSHOT_WORDS];
	bool no_reap;
	time_us parked; /* all its rests, with the one that goes on */
};

/* A client that the reaper looked at. */
struct reap_row {
	time_us wall;
	uint32_t client;
	char pattern[8];
	struct who_row who;
	time_us idle;
	char outcome[12]; /* ended, told, would go, stays */
	char reason[64], statement[SNAPSHOT_WORDS];
	bool by_hand;
};

struct config_row {
	char key[48], value[512], standard[160];
	bool changeable;
};

struct snapshot {
	time_us wall, started_wall;
	unsigned parts; /* which were asked for: enum snapshot_part */
	bool pgbouncer; /* called by that name: VERSION and texts follow it */
	char version[64];
	struct client_row *clients;
	size_t client_count, client_capacity;
	struct server_row *servers;
	size_t server_count, server_capacity;
	struct pool_row *pools;
	size_t pool_count, pool_capacity;
	struct database_row *databases;
	size_t database_count, database_capacity;
	struct user_row *users;
	size_t user_count, user_capacity;
	struct snapshot_places {
		uint32_t *rows;
		size_t capacity;
	} user_places, stats_places; /* by name: see snapshot.c */
	struct budget_row *budgets;
	size_t budget_count, budget_capacity;
	struct peer_row *peers; /* these and the next two as whole lists, too */
	size_t peer_count;
	struct peer_pool_row *peer_pools;
	size_t peer_pool_count;
	struct dns_host_row *dns_hosts;
	size_t dns_host_count;
	struct dns_zone_row *dns_zones;
	size_t dns_zone_count;
	struct stats_row *stats;
	size_t stats_count, stats_capacity;
	struct config_row *settings;
	size_t setting_count, setting_capacity;
	struct lease_row *leases;
	size_t lease_count, lease_capacity;
	struct ledger_row *ledger;
	size_t ledger_count, ledger_capacity;
	struct origin_row *origins; /* these four are added as whole lists */
	size_t origin_count;
	struct breakdown_row *breakdowns;
	size_t breakdown_count;
	struct leak_row *leaks;
	size_t leak_count;
	uint32_t leaks_lasting; /* of them */
	struct reap_row *reaps;
	size_t reap_count;
	struct pin_count {
		char reason[20];
		uint32_t leases; /* that are pinned for it; a lease may have several reasons */
	} pins[16];
	size_t pin_count;
	/* totals */
	uint64_t reaped, noticed; /* clients that the reaper ended, and told, since the start */
	uint64_t reaped_in_vain;  /* how often it wanted to end somebody, and nobody could go */
	uint32_t clients_total, clients_login, clients_at_door, servers_total, names_pending;
	uint64_t door_waits, clients_max;
	uint32_t consoles; /* clients of the console, and what they have said since the start */
	uint64_t commands;
	bool paused, suspended, shutting_down;
	struct usage usage; /* of this process, with PART_USAGE */
	/* memory, for SHOW MEM: what of, size of one, how many used and free */
	struct memory_row {
		char name[32];
		uint32_t size, used, free;
	} memory[16];
	size_t memory_count;
	bool refused_memory; /* something could not be added */
};

struct snapshot *snapshot_new(unsigned parts);
void snapshot_free(struct snapshot *);

/* Add a zeroed row; NULL when memory is refused (noted in the snapshot). */
struct client_row *snapshot_client(struct snapshot *);
struct server_row *snapshot_server(struct snapshot *);
struct pool_row *snapshot_pool(struct snapshot *);
struct database_row *snapshot_database(struct snapshot *);
struct budget_row *snapshot_budget(struct snapshot *);
struct config_row *snapshot_setting(struct snapshot *);
struct lease_row *snapshot_lease(struct snapshot *);
struct ledger_row *snapshot_ledger(struct snapshot *);

/* The row of this name, which is added where it is not there; NULL: memory is refused, likewise. */
struct user_row *snapshot_user(struct snapshot *, const char *name, bool *is_new);
struct stats_row *snapshot_stats(struct snapshot *, const char *database);

/* Adds to the row of memory of that name, or begins it with what one of them has; every worker adds its own. */
void snapshot_memory(struct snapshot *, const char *name, uint64_t used, uint64_t bytes, uint64_t unused);

/* The row of this pool; NULL: it is not there. */
struct pool_row *snapshot_pool_of(struct snapshot *, uint32_t id);

/* Copies of these lists, once. */
void snapshot_leaks(struct snapshot *, const struct origin_row *, size_t, const struct leak_row *, size_t);
void snapshot_breakdowns(struct snapshot *, const struct breakdown_row *, size_t);
void snapshot_reaps(struct snapshot *, const struct reap_row *, size_t);

#endif
