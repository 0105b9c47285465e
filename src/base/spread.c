#include "base/spread.h"

void spread_add(struct spread *spread, time_us value)
{
	unsigned bucket = value <= 0 ? 0 : 64 - (unsigned)__builtin_clzll((unsigned long long)value);

	if (bucket >= SPREAD_BUCKETS)
		bucket = SPREAD_BUCKETS - 1;
	spread->buckets[bucket]++;
}

void spread_merge(struct spread *into, const struct spread *from)
{
	for (unsigned i = 0; i < SPREAD_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

struct spread spread_since(const struct spread *now, const struct spread *from)
{
	struct spread since;

	for (unsigned i = 0; i < SPREAD_BUCKETS; i++)
		since.buckets[i] = now->buckets[i] - from->buckets[i];
	return since;
}

uint64_t spread_count(const struct spread *spread)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < SPREAD_BUCKETS; i++)
		count += spread->buckets[i];
	return count;
}

time_us spread_quantile(const struct spread *spread, unsigned permille)
{
	uint64_t count = spread_count(spread), seen = 0;

	for (unsigned i = 0; count > 0 && i < SPREAD_BUCKETS; i++) {
		seen += spread->buckets[i];
		if (seen * 1000 >= count * permille)
			return (time_us)1 << i;
	}
	return 0;
}
