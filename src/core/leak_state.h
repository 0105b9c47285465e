#ifndef PGWEIR_CORE_LEAK_STATE_H
#define PGWEIR_CORE_LEAK_STATE_H

#include "core/leak.h"

/* What the files of the leak detector share among themselves; everybody else includes core/leak.h.
 *
 *   facts ---> history ---> signs ---> verdict ---> book ---> changes
 *              (leak_history)  (leak_signs)  (leak_patterns)  (leak)  */

/* One look at an origin. What only grows is kept modulo 2^32: only differences are asked for. */
struct sample {
	time_us at;
	uint32_t clients, unused, regulars, holding, unread; /* as they were; `unused`: quiet, and never came back */
	uint32_t logins, beside, reused, transactions;       /* `beside`: logins beside quiet siblings */
	uint32_t dead, abandoned, locks, cancels;
	uint32_t left_soon, left_alike, left_unused;
	uint32_t process_threads, process_clients; /* 0: not known */
	uint32_t executing_ms, in_block_ms;
};

/* Each level's samples lie HISTORY_STEP times further apart than the one's before: at a period of 5 s they reach back 2 min, 10 min, 1 h
 * and 6 h. */
#define HISTORY_LEVELS 4
#define HISTORY_STEP   6
#define HISTORY_LENGTH 24

struct history {
	struct {
		struct sample ring[HISTORY_LENGTH];
		unsigned first, count;
	} levels[HISTORY_LEVELS];
	uint64_t steps;
};

void history_add(struct history *, const struct sample *);

/* Up to `most` (at most HISTORY_LENGTH) samples of a level, oldest first; the last is always the latest of all. Returns how many. */
unsigned history_tail(const struct history *, unsigned level, unsigned most, struct sample *out);

/* The latest sample that is at least `age` older than the latest of all; the oldest there is when none is; NULL when there is none. */
const struct sample *history_before(const struct history *, time_us age);

/* How a figure moves, by Theil and Sen: the median of the slopes of all pairs, which a few odd samples do not move. */
struct trend {
	double slope; /* per second */
	bool robust;  /* it rises, and nearly all pairs say so */
};
struct trend history_trend(const struct sample *, unsigned count, uint32_t (*value)(const struct sample *));
uint32_t sample_unused(const struct sample *);
uint32_t sample_holding(const struct sample *);
uint32_t sample_unread(const struct sample *);

/* What was added to a spread lately: within the last one to two of its spans. */
#define RECENT_STEPS 24
struct recent {
	struct spread newer, older;
	unsigned age; /* steps since `newer` was taken */
};

/* Times and sizes of the last steps upward of a figure. */
#define RISES 8
struct rises {
	time_us at[RISES], until[RISES]; /* the first and the last look of each */
	uint32_t size[RISES];
	unsigned count;
	uint32_t highest; /* since the last fall: what a rise is measured from */
};

/* What can go wrong with an origin: at most one verdict of each at a time. */
enum track {
	TRACK_CLIENTS,   /* clients that nobody uses any more */
	TRACK_HOLDS,     /* servers held in a transaction by clients that do nothing */
	TRACK_UNREAD,    /* servers that wait for a client to read */
	TRACK_DEAD,      /* clients whose network went away */
	TRACK_ABANDONED, /* statements that go on without their client */
	TRACK_LOCKS,     /* session locks in transaction mode */
	TRACK_SILENCE,   /* a pool inside the application has run dry, or a hint that it may have */
	TRACKS
};

/* What one look says about one track. */
struct verdict {
	bool begins; /* it would begin a leak */
	bool lasts;  /* it would keep one that has begun */
	const struct leak_pattern *pattern;
	enum leak_family family;
	enum leak_severity severity;
	unsigned confidence;
	uint32_t clients, servers;
	time_us oldest, exhausted_in;
	time_us pace;  /* what lies between two lost clients now; 0: none is being lost */
	double growth; /* per minute */
	char evidence[LEAK_EVIDENCE];
};

/* A track's leak: NULL when there is none; and how long the facts have spoken for something else. */
struct course {
	struct leak *leak;
	uint32_t peak;           /* the most unused clients of this leak */
	time_us grown;           /* when it last grew */
	time_us pace;            /* what usually lay between two lost clients while it grew */
	unsigned calm;           /* steps in a row that would not keep it */
	unsigned other_severity; /* steps in a row that say another severity */
	unsigned other_pattern;  /* ... another pattern */
	const struct leak_pattern *next_pattern;
};

/* What is remembered of the process that its visitors come to, leak_visits.c. */
struct visits_memory {
	uint32_t process; /* 0: none was seen */
	time_us at;       /* when it was last looked at, and what was seen then */
	struct leak_visits last;
	/* Its habits: a bit for each of the last looks while it was in use, the latest the lowest: it had just asked; how long it ever rested
	 * between, lately; and the most that ever waited. */
	uint32_t in_use;
	time_us newer_rest, older_rest;
	unsigned rests; /* looks in `newer_rest` */
	uint32_t most_waiting, most_partners;
	/* Since its last query. */
	time_us silent_for;
	uint32_t silent_waiting, silent_partners;
	bool at_once;  /* the first to wait came when it fell silent */
	unsigned sure; /* looks in a row that say that it is drained */
	bool begins, lasts;
};

/* All that is remembered of one origin. */
struct origin_memory {
	uint32_t origin;
	uint64_t seen; /* the step of the book in which it last had a row */
	time_us known; /* since */
	struct history history;
	struct recent lifetimes, blocks;
	/* Of the last look, and what has ended by restarts while it leaked, see without_restarts. */
	struct spread last_lifetimes, last_blocks, cut_lifetimes, cut_blocks;
	uint32_t clients;
	struct rises rises, clumps; /* of what is held; of logins beside quiet siblings */
	time_us busy_since, active; /* busy without a pause since; the last time anything happened; 0: never */
	uint64_t transactions, logins, logouts;
	struct visits_memory visits;
	struct course courses[TRACKS];
};

/* The signs: what the facts and the history say, as figures. */
struct signs {
	time_us now, known; /* known: for how long */
	/* The clients' side: the best window of the history. */
	bool sprouts; /* clients are opened beside quiet ones and then left, on and on */
	bool teeth; /* they are opened one by one, left, and ended many at once, again and again, with no thread to own them */
	bool threaded;                         /* each came with a thread, which lives */
	bool tied;                             /* each is used by a thread of its own, always the same */
	uint32_t tooth_clients, tooth_threads; /* of the process, before the last many ended */
	bool even;                             /* ... in clumps of one size */
	uint32_t clump;                        /* their usual size */
	uint32_t births;                       /* logins beside quiet siblings in that window */
	uint32_t revived;                      /* clients that came back in it */
	uint32_t grown;                        /* unused clients more */
	uint32_t expected;                     /* clients that Little's law explains */
	time_us window;
	time_us rhythm; /* after so long a client of this origin is usually back: 0 when nothing is known */
	bool paused;    /* none was lost for six times what used to lie between two */
	bool flat;      /* ... while the origin is in use */
	/* The servers' side. */
	bool outlier;         /* a hold far beyond the origin's habit */
	bool slow;            /* holds that end, but keep servers from working */
	uint32_t slow_blocks; /* that ended lately */
	time_us slow_median;
	time_us habit;         /* what 99 of 100 blocks did not exceed */
	unsigned hold_percent; /* of leased time spent idle in a transaction, lately */
	time_us beat;          /* holds begin in equal steps this far apart; 0: they do not */
	uint32_t beat_size;
	/* Lately, that is in the last ten minutes at a period of 5 s. */
	uint32_t dead, abandoned, locks, cancels;
	uint32_t left_soon, left_alike, left_unused;
	/* Growth, by the shortest history that tells it. */
	struct trend unused_trend, holding_trend, unread_trend;
	bool silence; /* see leak_signs.c */
	time_us silent_for;
	const struct visits_memory *visits;
};

/* In session mode: whether those of its clients that were left keep half of its pool or more, all of which is lent, while others of it wait for a
 * server. Under PgBouncer's name who never asked keeps none. */
bool facts_starve(const struct leak_facts *);

void signs_read(const struct origin_memory *, const struct leak_rules *, time_us now, const struct leak_facts *,
	struct signs *);

/* What the signs mean for one track. `course` is what has been going on there. */
void verdict_of(enum track, const struct signs *, const struct leak_rules *, const struct leak_facts *,
	const struct course *, struct verdict *);

/* Who waits for the application, leak_visits.c: what a look says, and the verdict on it. */
void visits_remember(struct visits_memory *, const struct leak_rules *, time_us now, const struct leak_facts *);
void visits_verdict(
	const struct visits_memory *, const struct leak_rules *, const struct leak_facts *, struct verdict *);

/* The pattern that signs and hints speak for, leak_patterns.c. */
const struct leak_pattern *pattern_of_clients(
	const struct signs *, const struct leak_facts *, const struct leak_pattern *present);
const struct leak_pattern *pattern_of_holds(
	const struct signs *, const struct leak_facts *, const struct leak_pattern *present);

#endif
