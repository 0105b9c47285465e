#ifndef PGWEIR_SIM_KINDS_H
#define PGWEIR_SIM_KINDS_H

#include "lives.h"

/* The kinds of origins, leaking and healthy. Each draws its sizes, rates, times and hints from the generator. */
struct kind {
	const char *name;
	const char *truth;       /* the number of the pattern; NULL: healthy */
	enum leak_family family; /* what it costs, in transaction mode */
	unsigned enough;         /* that many lost connections (or happenings) are enough to tell it */
	unsigned weight;         /* how often, relative to the others */
	void (*make)(struct rng *, struct play *);
};
extern const struct kind kinds[];
extern const size_t kinds_count;

#endif
