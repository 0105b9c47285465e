#ifndef PGWEIR_SERVE_WATCH_H
#define PGWEIR_SERVE_WATCH_H

#include "serve/line.h"
#include "serve/monitor.h"
#include "session/monitor.h"

/* What the parts of a monitor share: monitor.c (one connection's life), reckoning.c (what a reading amounts to), watches.c (which
 * there are, and what is shown). Their promises to the rest are in monitor.h. */

#define WATCHES_MAX 64
#define GROUPS      8 /* of others, by user and application; the rest is one more */

/* What was said already; a bit each. */
enum said { SAID_NOBODY = 1, SAID_FAILED = 2, SAID_HIDDEN = 4, SAID_LACKING = 8, SAID_BETWEEN = 16, SAID_STALE = 32 };
#define SAID_KINDS 6

/* A server of ours as the core counts it, and whether its backend was among those that were read. */
struct owned {
	uint32_t process_id;
	server_id id;
	pool_id pool;
	enum server_state state;
	time_us born, since;
	bool elsewhere; /* its pool is at several PostgreSQL servers: maybe not at this one */
	bool seen;
};

/* A backend that was ours when it was last read as such. */
struct past {
	uint32_t process_id;
	unsigned strange; /* readings in a row in which nobody owned it */
	int64_t started;
};

struct pasts {
	struct past *list;
	size_t count, capacity;
};

struct group {
	char user[MONITOR_NAME], application[MONITOR_NAME];
	uint32_t count;
};

/* What one reading amounts to. */
struct tally {
	uint32_t ours;      /* backends of the pools that are counted here */
	uint32_t elsewhere; /* of pools at several servers: they take places here: see core_visit */
	uint32_t self, others, orphans;
	struct group groups[GROUPS + 1];
	size_t group_count;
};

struct watch {
	struct line line;
	bool on;    /* monitor_interval is not 0 */
	bool asked; /* LINE_OPEN: an answer is to come */
	unsigned said;
	uint64_t words[SAID_KINDS]; /* of each, which words it was, as a hash: a RELOAD forgets that it was said, not this */
	bool wanted;                /* by the configuration at hand */
	time_us all_seen_at; /* the last reading for which all of them that were expected were there was asked for then; 0: none yet */
	bool matched;    /* some of our servers were among its backends: their process ids are PostgreSQL's */
	bool between;    /* none were, though there should have been some */
	unsigned unseen; /* readings in a row of which that is true */
	bool asking_began;
	instance_id instance;
	char *host, *database, *user;
	unsigned candidate; /* which of those who could log in is tried */
	struct timer timer;
	time_us pause, retry_at, asked_at, read_at; /* read_at: when the last complete reading was asked for; 0: none */
	struct reading reading, last;               /* being read; complete */
	struct tally tally, counted;                /* likewise */
	struct owned *owned;
	size_t owned_count;
	struct pasts past, next;
	char problem[160];
};

struct monitors {
	struct watch *list[WATCHES_MAX];
	uint32_t count, numbers;
	bool too_many_said;
};

/* ---- monitor.c ---- */

/* Log it, unless that was done since the bit `what` was cleared, or in the same words since what it tells was otherwise. */
void watch_tell(struct watch *, enum said what, enum log_level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* End its connection, if there is one. */
void watch_leave(struct watch *);

/* Number `n` of those who could log in to this server, or NULL: a name, and the password of the entry that forces it or NULL.
 * Borrowed from the configuration, or from `view`. */
const char *watch_candidate(const struct watch *, unsigned n, struct setting_view *view, const char **password);
bool watch_is_at(const struct watch *, const struct database_settings *);

/* ---- reckoning.c ---- */

/* A reading begins, with its first row; goes on; is complete. False: memory refused. */
bool reckoning_begin(struct watch *);
void reckoning_add(struct watch *); /* reading.backend */
void reckoning_end(struct watch *);
void reckoning_drop(struct watch *);

/* Tell the core what there is room for, as far as that is believed now. */
void reckoning_tell(struct watch *);
time_us reckoning_stale_at(const struct watch *); /* 0: there is no reading */
int64_t reckoning_usable(const struct watch *);   /* connections that are not reserved */

#endif
