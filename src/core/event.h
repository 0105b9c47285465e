#ifndef PGWEIR_CORE_EVENT_H
#define PGWEIR_CORE_EVENT_H

#include "base/slots.h"
#include "base/time.h"

/* What the core is told. Every event carries the time at which it happened; where workers' clocks disagree by a moment, the
 * core's time stands still for it. Events about a server that the core has forgotten mean nothing. */

struct client_ref {
	uint32_t worker;
	struct handle client; /* in that worker's table */
};

typedef struct handle server_id; /* a slot of the core's own table; workers keep their sessions under the same id */
typedef uint32_t pool_id;
typedef uint32_t database_id;
typedef uint32_t instance_id; /* one PostgreSQL server, as its host and port tell */
#define NO_POOL     ((pool_id)-1)
#define NO_DATABASE ((database_id)-1) /* "all databases" in commands */
#define NO_INSTANCE ((instance_id)-1) /* not known, or one of several */

/* The heaviest that an origin may be. */
#define WEIGHT_MOST 100

enum event_kind {
	/* clients */
	EVENT_CLIENT_ENTERS, /* client, origin: a new connection wants to log in -> ADMIT now or later, or REFUSE (limit_counts = all) */
	EVENT_CLIENT_NAMED, /* client, pool: the login is proven              -> REFUSE when a client limit of its database or user is full (PgBouncer's meaning), else ADMIT */
	EVENT_CLIENT_SETTLED, /* client: the login is complete; it is parked now */
	/* client: gone, also from the door or while waiting; never while it uses a server (end its lease first). Once for each ENTERS,
	 * also after REFUSE and EXPEL. `named` and `pool` say how far it came: as whom it was ADMITted the second time; `origin` is as
	 * at ENTERS */
	EVENT_CLIENT_LEFT,
	EVENT_CLIENT_WANTS, /* client, pool, since, origin, group, weight: needs a server -> LEND, or waits (DIAL, MOVE, CLOSE may help it), or
	                     * REFUSE. Means nothing when it waits already. `server`: rather this one than another, for which it
	                     * waits a while; generation 0: any */
	/* client: waits no longer (timeout, cancel), but stays. Means nothing when it does not wait (KILL, FAILED were faster).
	 * LEFT and GIVES_UP may cross a LEND that is not carried out yet: that LEND is in vain, and answered by READY for its
	 * server (or LOST). A LEND whose server ended before it was carried out is answered by WANTS with the old `since` */
	EVENT_CLIENT_GIVES_UP,
	/* servers */
	EVENT_SERVER_READY, /* server: logged in, or proven free and clean; nobody holds it -> LEND, MOVE, CLOSE or it is idle. Ends its lease.
	                         * In answer to MOVE: it can not be moved now, and stays with its worker */
	EVENT_SERVER_CLEANING, /* server: its lease is over, but it must still finish, roll back or reset; READY or LOST follows */
	EVENT_SERVER_ARRIVED, /* server: came by mail to `worker` (answers MOVE) -> LEND, or it is idle there */
	EVENT_SERVER_FAILED, /* server: the dial or its login failed; `failure`, `sqlstate`, `text`. Its slot is free; or it `stays`: PostgreSQL may have a
	                      * backend for it still, and it counts until LOST */
	EVENT_SERVER_CLOSING, /* server: we said Terminate; it counts until LOST */
	EVENT_SERVER_UNFIT, /* server: it is not what its pool wants any more -> CLOSE now if nobody holds it, else when it is given back */
	EVENT_SERVER_LOST, /* server: its end is known (`proven`), or only its link is cut: then it stays counted for orphan_timeout */
	EVENT_VACATE, /* pool: a client of it may drop a database; see vacate.c */
	/* people */
	EVENT_PAUSE,
	EVENT_SUSPEND, /* of everything, always */
	EVENT_RESUME,
	EVENT_KILL,
	EVENT_RECONNECT,
	EVENT_WAIT_CLOSE,
	EVENT_EXPEL, /* as KILL, whatever is paused, but nobody is answered and nothing stays paused: this database has left the configuration */
	EVENT_DISABLE,
	EVENT_ENABLE,        /* database or NO_DATABASE; `client` asks -> ANSWER now or later */
	EVENT_SUSPENDED,     /* worker, suspension: answers SUSPEND, when all is sent */
	EVENT_CONSOLES_LEFT, /* the last console is gone that could end a suspension: it ends */
	EVENT_SHUTDOWN,      /* mode: wait for servers or clients -> QUIT when done */
	EVENT_ASKER_LEFT, /* client: the console that waits for an ANSWER is gone. A PAUSE or SUSPEND it was waiting for is undone, unless another waits for the same */
	EVENT_ASKER_CANCELS, /* client: likewise, but it is there and wants its ANSWER. Nothing, where that is on its way already */
	/* instance, budget, aside: what was read of a PostgreSQL server. `aside` connections of ours are in no pool. With a budget of 0
	 * or more that many may be had, those aside among them: the limit of all pools there, but never below what they hold now, nor
	 * so low that nobody could ask again. BUDGET_UNKNOWN: no such limit */
	EVENT_BUDGET,
	/* instance: a server that core_visit counted there is gone, or was never there */
	EVENT_VISITOR_LEFT,
	EVENT_TICK /* time passed: look at what is due (see core_deadline) */
};

enum server_failure {
	FAILURE_FULL, /* 53300, 53400: PostgreSQL has no slot (`full` says for whom): back-pressure, never told to a client */
	FAILURE_TEMPORARY, /* 57P03: starting up or shutting down: try again soon, clients wait */
	FAILURE_GREETING,  /* connect_query ended it: as TEMPORARY, but time after time as REFUSED */
	FAILURE_REFUSED /* anything else: clients of a pool without live servers are told; no new dial before login_retry */
};

/* Whose limit was met: that of the whole PostgreSQL server, or one that was set for this role or this database there. */
enum full_of { FULL_SERVER, FULL_ROLE, FULL_DATABASE };

#define BUDGET_UNKNOWN (-1)

enum shutdown_mode { SHUTDOWN_SERVERS, SHUTDOWN_CLIENTS, SHUTDOWN_NOW };

struct event {
	enum event_kind kind;
	time_us now;
	struct client_ref client;
	pool_id pool;
	database_id database;
	server_id server;
	time_us since; /* WANTS: when the client began to want (it keeps its place when it must want again) */
	/* Hashes: of user, database, application_name at login and address; and of user and address alone, which the first decides.
	 * 0: not known; all of those are one origin, which no limit of origins binds. */
	uint64_t origin, group;
	uint32_t weight; /* WANTS: of this origin among others, 1 to WEIGHT_MOST; 0 is taken for 1 */
	uint32_t worker, suspension;
	bool named, proven;
	bool stays; /* FAILED */
	enum server_failure failure;
	enum full_of full;
	enum shutdown_mode mode;
	uint32_t process_id; /* READY: by which PostgreSQL knows it; the core only keeps it. 0: not told */
	instance_id instance;
	int64_t budget; /* BUDGET */
	uint32_t aside;
	const char *sqlstate, *text; /* FAILED: borrowed; copied by the core */
};

#endif
