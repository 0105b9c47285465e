#ifndef PGWEIR_BASE_METER_H
#define PGWEIR_BASE_METER_H

#include "base/time.h"

/* Counts of durations for whoever asks again and again and looks at the difference: nothing wraps, and the bounds are round numbers that
 * never change. Small, where base/histogram is fine; and with a sum, where base/spread has none. */
#define METER_BUCKETS 19

struct meter {
	uint64_t sum; /* us */
	uint64_t buckets[METER_BUCKETS];
};

/* The longest duration that bucket `i` holds; of the last, which holds all that is longer, 0. */
time_us meter_bound(unsigned i);

void meter_add(struct meter *, time_us value);
void meter_merge(struct meter *into, const struct meter *from);
uint64_t meter_count(const struct meter *);

/* What was added since the meter was as `before`. */
struct meter meter_since(const struct meter *now, const struct meter *before);

/* What `permille` of 1000 values do not exceed, told by its bucket's bound (of the last: that of the one before); 0 when empty. */
time_us meter_quantile(const struct meter *, unsigned permille);

#endif
