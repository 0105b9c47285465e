#include "base/rng.h"

#include "base/check.h"

/* xoshiro256** by Blackman and Vigna, seeded through splitmix64 so that near seeds give unlike streams
 * and no seed gives the all-zero state. The same seed gives the same stream on every machine: a
 * simulator's run is named by its seed. */

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

void rng_seed(struct rng *r, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		r->state[i] = z ^ z >> 31;
	}
}

uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->state;
	uint64_t out = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
	uint64_t unfair, value;

	check(bound > 0);
	/* The lowest 2^64 mod bound values would come up once too often. */
	unfair = -bound % bound;
	do
		value = rng_next(r);
	while (value < unfair);
	return value % bound;
}

bool rng_chance(struct rng *r, unsigned permille)
{
	return rng_below(r, 1000) < permille;
}

void rng_fill(struct rng *r, void *out, size_t n)
{
	uint8_t *at = out;

	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = rng_next(r);

		for (size_t k = i; k < n && k < i + 8; k++) {
			at[k] = (uint8_t)word;
			word >>= 8;
		}
	}
}
