#include "base/histogram.h"

#include "base/check.h"

/* Buckets: 0 to 7 us one each, then eight to every power of two. With e the place of a value's highest
 * bit and s the three bits below it, the bucket is (e - 2) * 8 + s:
 *
 *   value   0 1 .. 7 | 8 9 .. 15 | 16-17 18-19 .. 30-31 | 32-35 .. 60-63 | ...
 *   bucket  0 1 .. 7 | 8 9 .. 15 | 16    17    .. 23    | 24    .. 31    | ...
 *
 * so a bucket is at most an eighth as wide as its values are large. */

#define LAST (HISTOGRAM_BUCKETS - 1)

static unsigned bucket_of(uint64_t value)
{
	unsigned high, bucket;

	if (value < 8)
		return (unsigned)value;
	high = 63 - (unsigned)__builtin_clzll(value);
	bucket = (high - 2) * 8 + ((unsigned)(value >> (high - 3)) & 7);
	return bucket < LAST ? bucket : LAST;
}

void histogram_add(struct histogram *h, time_us value)
{
	if (value < 0)
		value = 0;
	h->count++;
	h->sum += (uint64_t)value;
	if (value > h->max)
		h->max = value;
	h->buckets[bucket_of((uint64_t)value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

time_us histogram_quantile(const struct histogram *h, unsigned permille)
{
	uint64_t rank, seen = 0;

	if (h->count == 0)
		return 0;
	if (permille > 1000)
		permille = 1000;
	/* The rank rounded up, in two steps that cannot overflow. */
	rank = h->count / 1000 * permille + (h->count % 1000 * permille + 999) / 1000;
	if (rank == 0)
		rank = 1;
	for (unsigned i = 0; i < LAST; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			return histogram_bucket_bound(i) < h->max ? histogram_bucket_bound(i) : h->max;
	}
	/* The last bucket has no bound but the largest value seen. */
	return h->max;
}

time_us histogram_bucket_bound(unsigned i)
{
	check(i < HISTOGRAM_BUCKETS);
	if (i < 8)
		return i;
	return ((time_us)(9 + i % 8) << (i / 8 - 1)) - 1;
}
