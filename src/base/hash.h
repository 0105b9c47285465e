#ifndef PGWEIR_BASE_HASH_H
#define PGWEIR_BASE_HASH_H

#include "base/span.h"

/* 64-bit keyed hash (SipHash-1-3) of bytes: names and texts come from clients, who must not be able to choose collisions. */
uint64_t hash_bytes(struct span);

/* A hash of a few bytes of it, and of no key: for tables of one place for each, where whoever chooses texts that share one takes the longer way, and
 * nothing else comes of it. */
uint64_t hash_glance(struct span);

/* Set once at start from io/entropy (the simulator: from its seed); zero until then. */
void hash_set_key(uint64_t k0, uint64_t k1);

#endif
