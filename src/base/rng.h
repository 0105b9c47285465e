#ifndef PGWEIR_BASE_RNG_H
#define PGWEIR_BASE_RNG_H

#include "base/span.h"

/* A seeded generator (xoshiro256**), for choices, never for secrets: those come from io/entropy. */
struct rng {
	uint64_t state[4];
};

void rng_seed(struct rng *, uint64_t seed);
uint64_t rng_next(struct rng *);

/* Uniform in 0..bound-1; bound > 0. */
uint64_t rng_below(struct rng *, uint64_t bound);

/* True with probability permille/1000. */
bool rng_chance(struct rng *, unsigned permille);
void rng_fill(struct rng *, void *, size_t);

#endif
