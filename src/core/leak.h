#ifndef PGWEIR_CORE_LEAK_H
#define PGWEIR_CORE_LEAK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/spread.h"

/* Names leaks: every few seconds facts about all origins go in, verdicts come out. No clock, no sockets, no randomness: the same facts
 * give the same verdicts, in the process, in a scenario and in the simulator. */

/* What speaks to us, as far as its login and the names it gives to things tell. */
enum leak_driver { DRIVER_UNKNOWN, DRIVER_LIBPQ, DRIVER_ASYNCPG, DRIVER_NODE, DRIVER_JDBC, DRIVER_GO };

/* What kind of program it is: by the command line of a peer on this machine, or by application_name. */
enum leak_runtime {
	RUNTIME_UNKNOWN,
	RUNTIME_ASGI,   /* daphne, uvicorn, hypercorn, or gunicorn with their workers */
	RUNTIME_GEVENT, /* gunicorn or celery with gevent or eventlet */
	RUNTIME_CELERY,
	RUNTIME_DJANGO_Q,
	RUNTIME_GUI /* DBeaver, pgAdmin, psql: people, who come one at a time */
};

/* Of the process of one of an origin's clients, where that is seen: who has come to it and waits, see leak_visits.c. A visitor waits when
 * what it said last has had no answer for LEAK_PATIENCE periods or longer. */
#define LEAK_PATIENCE 2
struct leak_visits {
	uint32_t process; /* 0: nothing is known at this look */
	time_us idle_for; /* each of its clients, all of them of this origin, has rested for so long; 0: one does not rest */
	uint32_t waiting; /* visitors that wait */
	uint32_t since,
		read; /* of them: those who said it after the last rest began; of these: to all of whose words it has listened */
	time_us longest;   /* of `since` */
	uint32_t partners; /* others for whom it waits for as long, or to whom it is connecting */
	time_us worked;    /* for how long its threads have worked, or waited for a processor */
};

/* A client that is used and goes on being used: so many looks after its login it was at work, again or still, and within the last so many. */
#define LEAK_REGULAR_SPAN   6
#define LEAK_REGULAR_LATELY 24

/* One origin at one moment, all workers' shares summed. */
struct leak_facts {
	uint32_t origin; /* its number; not given again while the process lives */
	enum leak_driver driver;
	enum leak_runtime runtime;
	bool keeps_locks; /* a session lock keeps its server for its client; else whoever is lent it next has the lock */
	bool session_mode; /* its leases last as long as its clients; who rests outside a block counts as parked there too */
	uint32_t entering; /* in session mode: who logs in and waits for a server of its own; they are no clients yet */

	/* As it is now. A client is `quiet` when it has been parked for leak_quiet; a burst is what lies between two such rests. */
	uint32_t clients, parked, waiting, lent;
	uint32_t quiet;      /* clients that are quiet now; of them: */
	uint32_t silent;     /* ... never asked anything since their login */
	uint32_t once;       /* ... had exactly one burst */
	uint32_t kept;       /* silent or once, and in session mode: they keep a server */
	uint32_t listeners;  /* ... whose last statement was a LISTEN (in session mode they hold their server) */
	uint32_t django;     /* ... that began as Django's connections do */
	uint32_t regulars;   /* clients that go on being used: LEAK_REGULAR_SPAN */
	uint32_t in_block;   /* clients that are idle in a transaction at this moment */
	uint32_t holding;    /* of them: for leak_hold at least */
	uint32_t failed;     /* of those: in a block that an error has failed, so that only a ROLLBACK can follow */
	uint32_t rests_lent; /* clients that rest and keep their server: pinned, or in session mode */
	uint32_t unread; /* clients that have not read a reply for leak_hold at least, their server waiting for them */
	time_us oldest_quiet, oldest_hold, oldest_unread;
	/* Of the process of one of its clients, where that can be seen: how many threads it has, and how many connections to us, those of other
	 * origins too. 0: not known. */
	uint32_t process_threads, process_clients;
	struct leak_visits visits;
	/* Of its clients whose process's threads can be seen, see core/ties.h: each used by one thread only, how often that was seen where a pool
	 * would have changed them, and those that are used by several. */
	uint32_t tied, tie_proofs, tie_crowds, loose;

	/* Since it is known; these only grow. */
	uint64_t logins, logouts;
	uint64_t logins_while_quiet; /* logins while at least leak_siblings clients of the origin were quiet; of who enters, when that began */
	uint64_t reused; /* clients that began a second burst */
	uint64_t transactions;
	uint64_t left_soon;     /* clients that left within half of leak_quiet after their only burst */
	uint64_t left_alike;    /* ... which had begun with the statement that most of those that stay began with */
	uint64_t left_unused;   /* clients that left after a rest of leak_quiet, having had one burst at most */
	uint64_t cancels;       /* clients that went away in the middle of a statement or a block */
	uint64_t abandoned;     /* statements whose client went away and that went on at PostgreSQL */
	uint64_t dead_peers;    /* clients whose network went away without a word */
	uint64_t session_locks; /* session advisory locks taken in transaction mode */
	time_us executing_time, in_block_time; /* of its leases */
	struct spread gaps;                    /* rests that ended: how long a client that comes back was away */
	struct spread lifetimes;               /* of clients that left */
	struct spread blocks;                  /* idle in transaction, each time it ended: how long that was */

	/* What it could exhaust. */
	uint32_t clients_limit; /* of all clients that may be connected; 0: no limit is known */
	uint32_t clients_total; /* of all origins */
	/* The same of whichever it will reach first: that one, or what its database, its user or the origin itself may have. 0: that one. */
	uint32_t next_limit, next_total;
	uint32_t servers_limit; /* of its pool, as things are: by its size, or by what others leave of a limit that it shares with them */
	uint32_t servers_lent; /* of its pool, by all origins */
	uint32_t pool_waiting; /* clients that wait for a server of its pool, or for its part of such a limit */
};

enum leak_family {
	FAMILY_CLIENT, /* costs sockets here; harmless to PostgreSQL */
	FAMILY_SERVER, /* holds servers: costs everybody */
	FAMILY_NOT_US  /* neither the pooler nor PostgreSQL */
};

/* A row of the table of patterns; `number` is that of the catalogue ("L1"). doc/leaks.md is made from it. */
struct leak_pattern {
	const char *number, *name;
	enum leak_family family; /* what it costs as a rule; a verdict has its own, see there */
	const char *cause;       /* whose connection nobody ends, and why */
	const char *looks;       /* what one sees of it, here or at PostgreSQL */
	const char *sign; /* how it is told; NULL: nothing on the wire tells it, so there are no verdicts of it */
	const char *cure; /* one or two sentences: what to change */
};
extern const struct leak_pattern leak_patterns[];
extern const size_t leak_patterns_count;

/* The row of this number, or NULL. */
const struct leak_pattern *leak_pattern_of(const char *number);

enum leak_severity {
	SEVERITY_LOW,
	SEVERITY_GROWING,
	SEVERITY_URGENT
}; /* urgent: somebody waits for it, or it ends soon */

/* What is left behind; the family says what that costs. */
enum leak_of { LEAK_OF_CLIENTS, LEAK_OF_HOLDS, LEAK_OF_RESULTS, LEAK_OF_STATEMENTS, LEAK_OF_OTHERS };

#define LEAK_EVIDENCE 320

struct leak {
	uint32_t number; /* of this verdict; not given again */
	uint32_t origin;
	enum leak_of of;
	const struct leak_pattern *pattern;
	enum leak_family family; /* what it costs here: in session mode a forgotten client holds a server as well */
	enum leak_severity severity;
	unsigned confidence;          /* percent; a hint never has more than 25 */
	char evidence[LEAK_EVIDENCE]; /* one sentence with its figures */
	uint32_t clients, servers;    /* held */
	time_us oldest;               /* age of the oldest client or hold */
	double growth;                /* clients or servers more, per minute */
	time_us exhausted_in;         /* at this growth; 0: not foreseeable */
	time_us since, ended;         /* ended 0: it lasts */
};

enum leak_change_kind { LEAK_BEGAN, LEAK_CHANGED, LEAK_ENDED }; /* CHANGED: its severity or its pattern */
struct leak_change {
	enum leak_change_kind kind;
	struct leak leak;
};

/* All durations of the detector are multiples of these, so that a test may run it faster and not otherwise. */
struct leak_rules {
	time_us period;    /* how often leak_step is called: leak_interval; not 0 */
	time_us quiet;     /* leak_quiet */
	time_us hold;      /* leak_hold; less than `period` is taken for `period` */
	uint32_t siblings; /* leak_siblings */
};

struct leak_book; /* what is remembered of every origin; bounded by the number of origins in the facts */
struct leak_book *leak_book_new(void); /* NULL: memory refused */
void leak_book_free(struct leak_book *);

/* Before the first step: what was counted until then happened just now. Else it may be of any age, and is not news. */
void leak_book_fresh(struct leak_book *);

/* Look at all origins. `facts` has one row for each that is known; an origin that has no row any more is forgotten, and its leaks end.
 * Up to `capacity` changes are written to `changes`; returns how many. What finds no room there waits for the next step. Refused memory
 * makes it see less, never fail. */
size_t leak_step(struct leak_book *, const struct leak_rules *, time_us now, const struct leak_facts *facts,
	size_t count, struct leak_change *changes, size_t capacity);

size_t leaks_lasting(const struct leak_book *);

/* Walk the leaks, those that last first, then those that ended a short time ago. NULL at the end. Borrowed until the next step. */
const struct leak *leak_at(const struct leak_book *, size_t i);

#endif
