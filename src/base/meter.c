#include "base/meter.h"

#include "base/check.h"

/* From a transaction's first step to five minutes, about three to a power of ten where most of them lie. */
static const time_us bounds[METER_BUCKETS - 1] = { 100, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000 };

/* The first bucket for values of so many bits; which of them is its bucket is one comparison more, or two. */
static const uint8_t first_of[64] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 13, 14,
	15, 16, 17, 17, 17, [30 ... 63] = METER_BUCKETS - 1 };

time_us meter_bound(unsigned i)
{
	check(i < METER_BUCKETS);
	return i < METER_BUCKETS - 1 ? bounds[i] : 0;
}

void meter_add(struct meter *meter, time_us value)
{
	unsigned at;

	if (value < 0)
		value = 0;
	at = value > 0 ? first_of[64 - (unsigned)__builtin_clzll((uint64_t)value)] : 0;
	while (at < METER_BUCKETS - 1 && value > bounds[at])
		at++;
	meter->sum += (uint64_t)value;
	meter->buckets[at]++;
}

void meter_merge(struct meter *into, const struct meter *from)
{
	into->sum += from->sum;
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t meter_count(const struct meter *meter)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		count += meter->buckets[i];
	return count;
}

struct meter meter_since(const struct meter *now, const struct meter *before)
{
	struct meter since = { .sum = now->sum - before->sum };

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		since.buckets[i] = now->buckets[i] - before->buckets[i];
	return since;
}

time_us meter_quantile(const struct meter *meter, unsigned permille)
{
	uint64_t count = meter_count(meter), seen = 0,
		 rank = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;

	if (count == 0)
		return 0;
	for (unsigned i = 0; i < METER_BUCKETS - 1; i++) {
		seen += meter->buckets[i];
		if (seen > 0 && seen >= rank)
			return bounds[i];
	}
	return bounds[METER_BUCKETS - 2];
}
