#ifndef SIM_JUDGE_PARTS_H
#define SIM_JUDGE_PARTS_H

#include "judge.h"

/* What the judge's files share among themselves: judge.c has the limits in force, judge_backends.c what PostgreSQL gets, judge_clients.c what
 * clients are told, judge_books.c the books of workers and core, judge_order.c who is served before whom. */

struct judge {
	struct house *house;
	struct limits limits, old_limits; /* in force; and the largest of a short time before */
	time_us limits_since, began_at;
	const char *removed; /* the database without an entry, since limits_since; NULL: none */
	bool removes;        /* there was one */
	const char *greets;  /* where connect_query may make servers useless */
};
extern struct judge judge;

/* ---- judge.c ---- */

/* What may be there at this moment: for a while after a reload also what the limits before it let in. */
struct limits judge_bounds(void);

/* ---- judge_backends.c ---- */

bool judge_counts(const struct backend *); /* the pooler can not but know of it */

/* ---- judge_books.c ---- */

bool judge_books(void); /* false: a worker stops, and nothing can be said any more */

/* ---- judge_order.c ---- */

void judge_order(void); /* what happened since it was asked last */

#endif
