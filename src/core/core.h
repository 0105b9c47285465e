#ifndef PGWEIR_CORE_CORE_H
#define PGWEIR_CORE_CORE_H

#include "base/histogram.h"
#include "core/effect.h"

/* The decisions: who gets which server, who waits, what is opened and closed, within which limits. One value for the whole
 * process; whoever shares it locks around every call. No clock, no sockets, no randomness: the same events give the same effects. */
struct core;

struct core_setup {
	uint32_t workers, servers_max; /* servers_max: the most servers ever (descriptor bound) */
};
struct core *core_new(const struct core_setup *);
void core_free(struct core *);

/* Rules that hold for everything. May change at any time (RELOAD). */
enum core_limit_counts { COUNT_BUSY, COUNT_ALL };
struct core_rules {
	enum core_limit_counts limit_counts;
	uint32_t clients_max; /* max_client_conn; 0: no limit */
	bool round_robin;     /* server_round_robin: longest idle first, else last used first */
	time_us server_idle_timeout, login_retry, reserve_timeout,
		orphan_timeout; /* 0: never / off (orphans: not counted at all) */
	time_us check_delay;    /* 0: every server that rested is checked */
	bool check_on;
	time_us pool_idle_timeout;   /* a pool that nobody uses is forgotten after that; 0: never */
	time_us autodb_idle_timeout; /* likewise, all pools of a database that nobody uses, if it is `automatic` */
	uint32_t origin_clients_max; /* of one origin; 0: no limit */
	uint32_t origin_login_rate;  /* logins of one origin each second, and so many at once; 0: no limit */
};
void core_set_rules(struct core *, const struct core_rules *, time_us now, struct effects *);

/* A database as clients name it; made at first need, found again by name (then `rules` is not looked at: see
 * core_set_database_rules). Lives as long as the core. */
struct database_rules {
	uint32_t servers_max, clients_max; /* 0: no limit */
	bool automatic;                    /* it has no entry of its own but that of * */
};
database_id core_database(struct core *, struct span name, const struct database_rules *);
database_id core_database_find(const struct core *, struct span name); /* NO_DATABASE */

/* The pool of (database, user); made at first need, found again (then `rules` is not looked at: see core_set_pool_rules).
 * The limits of the user are shared by all its pools: the rules set last hold. Lives as long as the core. */
struct core_pool_rules {
	uint32_t size, min_size, reserve;            /* size 0: no limit */
	uint32_t user_servers_max, user_clients_max; /* over all pools of this user name; 0: no limit */
	time_us lifetime;                            /* 0: each server serves one lease */
	bool keep_min;                               /* the user is forced: min_size holds without clients too */
	bool fast_close; /* a lent server that must close: between two transactions, and its client goes with it */
	bool fair;       /* groups and origins take turns; else first come, first served, whoever it is */
	uint32_t origin_servers_max; /* lent at once to one origin of this pool; 0: no limit */
	/* For replication: a pool of its own beside the other of this database and user; `size` and `reserve` are the same for both, and
	 * bound both together. None of its servers rests: each serves one lease, and closes where nobody wants it. It can not be
	 * changed later. */
	bool replication;
	instance_id instance; /* where its servers are; NO_INSTANCE: at several, or it is not known */
};
pool_id core_pool(struct core *, database_id, struct span user, const struct core_pool_rules *);
void core_set_pool_rules(struct core *, pool_id, const struct core_pool_rules *, time_us now, struct effects *);
void core_set_database_rules(struct core *, database_id, const struct database_rules *, time_us now, struct effects *);

/* Somebody has read the configuration anew, and may have mended what this pool's servers were refused for: nobody is told of that any more
 * before it was tried again. */
void core_try_again(struct core *, pool_id, time_us now, struct effects *);

/* A PostgreSQL server, by any name that tells it from others; made at first need, found again. Lives as long as the core, and
 * limits nothing until EVENT_BUDGET says so. */
instance_id core_instance(struct core *, struct span name);

/* Tell it what happened; it appends what is to be done. */
void core_step(struct core *, const struct event *, struct effects *);

/* When a TICK is due; 0: nothing is due whatever time passes. Never later than the first thing that is due; it may be
 * earlier (a server that was to be closed was lent again): such a TICK does nothing and makes it exact. */
time_us core_deadline(const struct core *);

/* What a pool looks like now: for SHOW, and for what a client is told that waited too long. */
struct pool_picture {
	database_id database;
	struct span database_name, user; /* owned by the core */
	struct core_pool_rules rules;
	uint32_t waiting, lent, idle, dialing, cleaning, moving, closing,
		orphaned;           /* servers, but for `waiting`: clients */
	uint32_t kept;              /* of those who wait: until others of their origin give a server back */
	uint32_t clients;           /* logged in */
	time_us oldest_wait_since;  /* 0: nobody waits */
	time_us oldest_lease_since; /* 0: nothing is lent */
	time_us median_lease;
	uint64_t leases, failures;
	bool forgotten; /* nobody has used it for long: it is not shown */
	bool failing;   /* the last dial failed and nothing lives */
	char failure[160], sqlstate[6];
	time_us full_since; /* PostgreSQL said 53300 and our target is shrunk; 0: not */
	uint32_t full_target;
	struct histogram waits, lease_times;
};
uint32_t core_pools(const struct core *);
bool core_pool_picture(const struct core *, pool_id, struct pool_picture *out); /* false: this id is not in use */

/* What bounds a pool as things are: its own rules and the limits that it shares, of which others have their part. */
enum pool_bound {
	BOUND_NONE,
	BOUND_SIZE,
	BOUND_DATABASE, /* max_db_connections */
	BOUND_USER,     /* max_user_connections */
	BOUND_INSTANCE, /* what its PostgreSQL server has room for */
	BOUND_TOTAL,    /* servers_max of the whole */
	BOUND_FULL      /* PostgreSQL said 53300 */
};
struct pool_reach {
	enum pool_bound bound;   /* the tightest; of equals its own */
	uint32_t servers_most;   /* the most servers that it could have now; 0: no limit */
	uint32_t waiting_beside; /* clients of other pools that wait for what this one holds of a limit they share */
	uint32_t clients,
		clients_most; /* of its database or its user, whichever lets fewer more in; most 0: no limit */
};
bool core_pool_reach(const struct core *, pool_id, struct pool_reach *out); /* false: this id is not in use */

/* Somebody waits for a server of this pool, or for what it holds of a limit that it shares. */
bool core_pool_is_wanted(const struct core *, pool_id);

/* Whoever wants one of its servers need not wait for somebody: one rests, or none is open and one would be dialed. */
bool core_pool_is_at_hand(const struct core *, pool_id);

/* Of two limits the one with less room, what is said of how near the end is: `count` of `most` becomes `more` of `limit` if that is it. 0: no
 * limit. */
void core_nearer_limit(uint32_t *count, uint32_t *most, uint32_t more, uint32_t limit);

/* For what this client waits, if it does. */
enum client_waits {
	WAITS_NOT,
	WAITS_AT_PORCH, /* to log in: until others of its origin leave, or for its rate */
	WAITS_AT_DOOR,  /* to log in */
	WAITS_ANY,      /* for a server */
	WAITS_KEPT      /* ... until others of its origin give one back */
};
enum client_waits core_client_waits(const struct core *, struct client_ref);

/* Those who wait longest for a server of this pool, the longest first, `most` at most; also who waits for its own origin's (kept). Returns how
 * many. */
struct waiter_picture {
	struct client_ref client;
	time_us since;
};
size_t core_pool_waiters(const struct core *, pool_id, struct waiter_picture *out, size_t most);

struct database_picture {
	struct span name;
	struct database_rules rules;
	uint32_t servers, clients;
	bool paused, disabled, kill_paused;
	bool forgotten; /* all its pools are, or it has none */
};
uint32_t core_databases(const struct core *);
bool core_database_picture(const struct core *, database_id, struct database_picture *out);

/* One PostgreSQL server: the servers of all pools there, by state, and what limits them. */
struct instance_picture {
	struct span name; /* owned by the core */
	uint32_t servers, lent, idle, dialing, cleaning, moving, closing, orphaned;
	uint32_t aside;     /* ours too, in no pool */
	uint32_t visitors;  /* ours too, of pools that have several hosts */
	uint32_t target;    /* the most that all of these may be; 0: no limit is known */
	uint32_t waiting;   /* clients of these pools */
	time_us full_since; /* PostgreSQL said 53300 to one of the pools, the first time since then; 0: not */
};

/* A pool that has several hosts is at none of these instances, and chooses one for each server when it dials. Then it asks here, and true: the
 * server has a place there until EVENT_VISITOR_LEFT. False: there is no room. */
bool core_visit(struct core *, instance_id);
bool core_instance_picture(const struct core *, instance_id, struct instance_picture *out);

struct server_picture {
	pool_id pool;
	instance_id instance; /* its pool's */
	uint32_t process_id;  /* 0: not logged in yet */
	uint32_t worker;
	enum server_state {
		SERVER_DIALING,
		SERVER_IDLE,
		SERVER_LENT,
		SERVER_CLEANING,
		SERVER_MOVING,
		SERVER_CLOSING,
		SERVER_ORPHANED
	} state;
	time_us born, since; /* state since */
	struct client_ref holder;
	bool close_needed;
};
bool core_server_picture(const struct core *, server_id, struct server_picture *out);
server_id core_server_next(const struct core *, uint32_t *slot); /* walk; generation 0 at the end */

struct totals_picture {
	uint32_t clients, at_door, logging_in, waiting, lent, servers;
	uint64_t door_waits;
	bool paused, suspended, shutting_down;
	bool killed; /* KILL of everything left a database paused */
};
void core_totals(const struct core *, struct totals_picture *out);

/* User-wide counts for SHOW USERS; false: this user is not known to the core. */
bool core_user_counts(const struct core *, struct span user, uint32_t *servers, uint32_t *clients);

/* Checks every invariant at full cost; for the simulator, the tests and a debug command. Crashes with a report when one is broken. */
void core_audit(const struct core *);

#endif
