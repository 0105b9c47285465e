#ifndef PGWEIR_CORE_BREAKDOWN_H
#define PGWEIR_CORE_BREAKDOWN_H

#include "base/span.h"
#include "base/time.h"

/* What the clients of each origin are, seen closer: counted by process, by the name in their certificate, and by what the comment of
 * their statement says. A table that is made anew at each look. Clients choose most of the values, so it is bounded whatever they send:
 * BREAKDOWN_VALUES of one origin and kind, BREAKDOWNS_MAX of all; the others of their kind are counted together. Pure. */
#define BREAKDOWN_VALUES 32
#define BREAKDOWNS_MAX   16384
#define BREAKDOWN_VALUE  64
#define BREAKDOWN_TRACE  33

enum breakdown_by { BY_PROCESS, BY_TLS_NAME, BY_ROUTE, BY_CONTROLLER, BY_ACTION, BY_JOB, BREAKDOWN_KINDS };

struct breakdown_counts {
	uint32_t clients, quiet, in_block, holding; /* as in struct leak_facts */
	uint64_t transactions;                      /* this and the next two: of these clients, since their logins */
	time_us executing, in_block_time;
	time_us oldest_quiet, oldest_hold;
	char trace[BREAKDOWN_TRACE]; /* of the oldest hold */
};

struct breakdown {
	uint32_t origin; /* its number */
	enum breakdown_by by;
	char value[BREAKDOWN_VALUE]; /* empty: all those that found no place */
	struct breakdown_counts counts;
	uint32_t siblings;           /* where `value` is empty: how many values have a place */
	uint32_t rank, rank_of_kind; /* see breakdowns_rank */
};

/* What makes an origin's rows worth their place. */
struct breakdown_weight {
	uint32_t origin;
	bool leaks;
	uint32_t forgotten, clients; /* quiet and holding ones; all */
	size_t at;                   /* the caller's: which of his origins it is */
};

struct breakdowns {
	struct breakdown *rows;
	size_t count, capacity;
	uint32_t *places; /* by hash: the row's index and 1; 0: none */
};

/* Zeroes are an empty table. */
void breakdowns_fini(struct breakdowns *);

/* Add these counts to the row of this value, which is cut where it is too long; none for an empty one. False: memory refused, or the
 * table has no room even for those without a place. */
bool breakdowns_add(
	struct breakdowns *, uint32_t origin, enum breakdown_by, struct span value, const struct breakdown_counts *);

/* In the order in which they are shown: by origin and kind, those with most quiet and holding clients first, those without a place last;
 * what counts nobody is dropped. Nothing can be added from then on. */
void breakdowns_sort(struct breakdowns *);

/* Give each row of a sorted table its rank among all, and among those of its kind: from 0, for readers who have no room for all. Leaks
 * come first, then who has forgotten most; but origins and kinds take turns. Weights are put in the order of their origins; an origin
 * without one weighs nothing. Where memory is refused, all stay in the table's order. */
void breakdowns_rank(struct breakdowns *, struct breakdown_weight *, size_t count);

#endif
