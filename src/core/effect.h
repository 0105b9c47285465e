#ifndef PGWEIR_CORE_EFFECT_H
#define PGWEIR_CORE_EFFECT_H

#include "core/event.h"

/* What the core asks for in return. Each effect is for one worker; who fed the event performs its own and mails the others'.
 * Mail takes time: an effect that names a client or server which is gone by then is dropped by who reads it. LEND never needs
 * mail: it answers an event of the worker that performs it. */

enum effect_kind {
	EFFECT_ADMIT, /* client: go on with the login */
	EFFECT_REFUSE, /* client: tell it `refusal` (for FAILED also sqlstate and text). One that waited and stays: feed GIVES_UP,
	                * for it may have begun to want anew while this was in the mail */
	EFFECT_LEND, /* server to client, both of this worker; `check`: ask the server first whether it lives; `waited` */
	EFFECT_DIAL,  /* server: open a connection for `pool`; the id is reserved and counted from now on */
	EFFECT_MOVE,  /* server: detach it and mail it to worker `to`, where ARRIVED is fed */
	EFFECT_CLOSE, /* server: say Terminate; `reason`; feed CLOSING (and LOST at its end). Once per server, but again when it then says READY. For KILL it may be lent, cleaning or dialing; for replication also lent */
	EFFECT_LEAVE, /* server, `reason`: it must close and is lent to a whole session, which ends between two transactions. Once per server */
	EFFECT_EXPEL, /* client: close it; `refusal` says why (KILL). Generation 0: every client of `database` on this worker, in whatever state */
	EFFECT_FORGET, /* pool: nobody has used it for long: forget what was counted for it, and what its servers report. To every worker */
	EFFECT_SUSPEND, /* read nothing more, and feed SUSPENDED with this number when all that waits is sent. To every worker */
	EFFECT_RESUME, /* ... read on, unless a suspension with a higher number was heard of already; of one with this number is not to be taken notice any more */
	EFFECT_ANSWER, /* client (a console): its command on `database` is done, or not possible (`problem`, one of those below, or NULL) */
	EFFECT_QUIT /* everything that shutdown waits for is gone */
};

/* What a console is told that can not have its way; the names of databases are the console's to add. */
#define PROBLEM_ALREADY_PAUSED      "already suspended/paused"
#define PROBLEM_NOT_PAUSED          "pooler is not paused/suspended"
#define PROBLEM_DATABASE_NOT_PAUSED "database is not paused"
#define PROBLEM_NO_DATABASE         "no such database"
#define PROBLEM_DATABASE_REQUIRED   "a database is required"
#define PROBLEM_DATABASES_PAUSED    "cannot suspend with paused databases"
#define PROBLEM_RESUMED             "resumed before the pause was complete"
#define PROBLEM_CANCELED            "canceling statement due to user request"

enum refusal {
	REFUSAL_NONE,
	REFUSAL_MAX_CLIENTS,          /* no more connections allowed (max_client_conn) */
	REFUSAL_MAX_DATABASE_CLIENTS, /* client connections exceeded (max_db_client_connections) */
	REFUSAL_MAX_USER_CLIENTS,     /* client connections exceeded (max_user_client_connections) */
	REFUSAL_MAX_ORIGIN_CLIENTS, /* its origin has as many clients as it may (max_origin_clients, limit_counts = all) */
	REFUSAL_FAILED,             /* servers of this pool can not be reached: sqlstate and text of the failure */
	REFUSAL_KILLED,             /* KILL or the database is gone from the configuration */
	REFUSAL_DISABLED,           /* database is disabled */
	REFUSAL_SHUTDOWN            /* we are shutting down */
};

enum close_reason {
	CLOSE_NONE,
	CLOSE_IDLE,      /* server_idle_timeout */
	CLOSE_LIFETIME,  /* server_lifetime */
	CLOSE_MAKE_ROOM, /* another pool needs the slot under a shared limit */
	CLOSE_PAUSE,
	CLOSE_KILL,
	CLOSE_RECONNECT, /* RECONNECT or the database's configuration changed */
	CLOSE_VACATED,   /* somebody may want to drop its database, and nobody is in it */
	CLOSE_UNFIT,     /* its worker said so */
	CLOSE_SHRINK,    /* more servers than the limits now allow */
	CLOSE_SHUTDOWN
};

struct effect {
	enum effect_kind kind;
	uint32_t worker; /* who performs it */
	struct client_ref client;
	server_id server;
	pool_id pool;         /* NO_POOL where none is meant */
	database_id database; /* ANSWER and EXPEL; NO_DATABASE: all */
	uint32_t to, suspension;
	bool check;
	bool known; /* REFUSAL_FAILED: it had failed before this client came */
	enum refusal refusal;
	enum close_reason reason;
	time_us waited;
	const char *problem;         /* static */
	char sqlstate[6], text[160]; /* REFUSAL_FAILED */
};

/* Grows as needed; the caller owns and reuses it. */
struct effects {
	struct effect *list;
	size_t count, capacity;
};

void effects_fini(struct effects *);

#endif
