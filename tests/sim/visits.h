#ifndef PGWEIR_SIM_VISITS_H
#define PGWEIR_SIM_VISITS_H

#include "lives.h"

/* The visitors of an origin's process, where that is a server itself: who comes, and for how long they have no answer. Whether an answer
 * asks anything of the database is for the sources of the play to say; these are seen from outside. */
struct street;
struct street *street_new(const struct play *, struct rng *);
void street_free(struct street *);

/* Everybody who comes until `when`. How many of them came to a pool that had run dry. */
unsigned street_until(struct street *, time_us when);

/* What a look at the process says, whose clients have all rested for `idle_for`. */
void street_facts(struct street *, const struct leak_rules *, time_us idle_for, struct leak_visits *);

#endif
