#ifndef PGWEIR_SERVE_CENSUS_H
#define PGWEIR_SERVE_CENSUS_H

/* What the files of the census share among themselves; see the essay in census.c. How one begins and goes on is in worker.h. */
struct letter_census;
struct snapshot;
struct worker;

/* At the first worker: what the house knows. */
void census_house(struct worker *, struct letter_census *);

/* At each worker: what it knows itself, but for the counters. */
void census_own(struct worker *, struct snapshot *);

#endif
