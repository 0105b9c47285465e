#ifndef PGWEIR_BASE_SPREAD_H
#define PGWEIR_BASE_SPREAD_H

#include "base/time.h"

/* Counts of durations by powers of two: a small histogram, for things of which there are thousands. Bucket 0 holds what is below
 * 1 us, bucket i what is below 2^i us; the last holds all that is longer (about nine hours and more). */
#define SPREAD_BUCKETS 36

struct spread {
	uint32_t buckets[SPREAD_BUCKETS];
};

void spread_add(struct spread *, time_us value);
void spread_merge(struct spread *into, const struct spread *from);
/* `now` without what was there when `from` was taken. */
struct spread spread_since(const struct spread *now, const struct spread *from);
uint64_t spread_count(const struct spread *);

/* What `permille` of 1000 values do not exceed, told within a factor of two (the bucket's upper bound); 0 when empty. */
time_us spread_quantile(const struct spread *, unsigned permille);

#endif
