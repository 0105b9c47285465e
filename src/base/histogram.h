#ifndef PGWEIR_BASE_HISTOGRAM_H
#define PGWEIR_BASE_HISTOGRAM_H

#include "base/time.h"

/* Counts of durations in buckets that grow by powers of two, eight to a power:
 * every value is told within 12.5 %. From 1 us to about 4.7 hours; longer counts as the longest. */
#define HISTOGRAM_BUCKETS 256

struct histogram {
	uint64_t count, sum;
	time_us max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *, time_us value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `permille` of 1000 values do not exceed (bucket's upper bound, never above max); 0 when empty. */
time_us histogram_quantile(const struct histogram *, unsigned permille);

/* The largest value that bucket `i` holds. */
time_us histogram_bucket_bound(unsigned i);

#endif
