#ifndef PGWEIR_SERVE_ORIGINS_H
#define PGWEIR_SERVE_ORIGINS_H

#include <stdatomic.h>

#include "base/span.h"
#include "config/config.h"
#include "core/leak.h"
#include "serve/habits.h"
#include "serve/owners.h"

/* Who our clients are: the table of origins, see the essay in origins.c. An origin's place in the table is for ever; what it stands for
 * changes, under the house's lock, when it has no clients. Its shares belong to the workers, one each. */
#define ORIGINS_MAX  1024
#define ORIGIN_NAME  64
#define ORIGIN_WORDS 200

/* One worker's share of an origin: only that worker looks at it. */
struct share {
	uint32_t number; /* of the origin that it counts for; another than the place's: it is out of date */
	struct leak_facts facts;
	/* What most clients that look forgotten began with (by majority vote), and most of those that rest after they came back; what the oldest hold is
	 * doing, and of what the result is that is unread for longest. */
	char voted[ORIGIN_WORDS], voted_again[ORIGIN_WORDS], held[ORIGIN_WORDS], unread[ORIGIN_WORDS];
	char abandoned[ORIGIN_WORDS]; /* which statement went on without its client last */
	uint32_t votes, votes_again;
	struct account gone, leaving,
		here;        /* of clients that have left; during a survey that had counted them; that are here */
	uint32_t at_door;    /* clients that wait there */
	uint32_t quiet_said; /* what of this share is in origin.quiet */
	uint32_t pool;       /* pool_id of one of its clients, and that one's other end */
	struct other_end end;
	enum leak_action action; /* what its database and user have for leaks */
};

struct origin {
	uint64_t key;      /* 0: the place was never used */
	uint32_t number;   /* for SHOW ORIGINS; never given again. 0: those that found no place */
	uint32_t clients;  /* connected now */
	time_us seen;      /* when the last one came or left */
	atomic_uint quiet; /* of all workers, when they last looked */
	char user[ORIGIN_NAME], database[ORIGIN_NAME], application_name[ORIGIN_NAME], address[ORIGIN_NAME];
	char process[ORIGIN_NAME]; /* the command line of a client of this machine; empty: not known */
	uint32_t process_id;
	bool process_sought;
	uint8_t process_misses; /* clients that were gone when they were sought */
	enum leak_driver driver;
	enum leak_runtime runtime;
	atomic_uint weight;       /* where origins take turns */
	atomic_bool is_protected; /* PROTECT ORIGIN: nothing of it is ever reaped */
	atomic_bool arrived;      /* somebody of it has logged in */
	atomic_bool says_django;  /* somebody of it has begun as Django does */
	struct share **shares;    /* by worker */
};

struct origins {
	struct origin *table[ORIGINS_MAX];
	struct origin others;
	uint32_t workers, numbers;
};

void origins_init(struct origins *, uint32_t workers);
void origins_fini(struct origins *);

struct origin_name {
	struct span user, database;
	const char *application_name; /* may be NULL */
	const char *address;
	enum leak_driver driver;
};

/* Django asks for client_encoding at its login as node-postgres does, and is told apart by what it says first. Under the house's lock. */
enum leak_driver origin_driver(const struct origin *);
void origin_says_django(struct origin *); /* by any worker */

/* Neither is ever 0. `group`: of all who share user and address. */
struct origin_keys {
	uint64_t origin, group;
};
struct origin_keys origin_keys(const struct origin_name *);

/* Count a client under its origin; the caller locks. Never NULL: `others` when no place is free or memory is refused. */
struct origin *origin_enter(struct origins *, const struct origin_name *, uint64_t key, time_us now);
void origin_leave(struct origin *, time_us now);

/* A statement as it is kept of an origin: without its literals. */
void origin_words(char out[ORIGIN_WORDS], struct span statement);

/* No origin has more clients than this one has; false when it has none. The caller locks. */
bool origin_is_largest(const struct origins *, uint64_t key);

struct config;

/* How much it weighs by this configuration. The caller locks. */
void origin_weigh(struct origin *, const struct config *);
void origins_weigh(struct origins *, const struct config *); /* all of them */

/* What kind of program this is, by its command line (may be empty) and the name it gives itself. */
enum leak_runtime origin_runtime(const char *process, const char *application_name);

/* The place of this number; NULL: it is gone. The caller locks. */
struct origin *origin_of_number(struct origins *, uint32_t number);

/* The calling worker's share, begun anew when the place changed its meaning. NULL: memory refused. No lock is needed for an origin
 * that has clients: what it stands for does not change. */
struct share *origin_share(struct origin *, uint32_t worker);

#endif
