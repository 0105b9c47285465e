#include "base/hash.h"

#include <endian.h>
#include <string.h>

/* SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) with one round per word
 * and three at the end: enough against chosen collisions in tables, and half the time of 2-4. */

static uint64_t key[2];

void hash_set_key(uint64_t k0, uint64_t k1)
{
	key[0] = k0;
	key[1] = k1;
}

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static inline uint64_t whole_word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return le64toh(word);
}

static inline uint64_t half_word_at(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof word);
	return le32toh(word);
}

/* Less than eight bytes. Two halves that may overlap, or three bytes that may be one: what is there twice is there in the same bits. */
static inline uint64_t last_word_at(const uint8_t *at, size_t n)
{
	if (n >= 4)
		return half_word_at(at) | half_word_at(at + n - 4) << (8 * (n - 4));
	if (n > 0)
		return (uint64_t)at[0] | (uint64_t)at[n / 2] << (8 * (n / 2)) | (uint64_t)at[n - 1] << (8 * (n - 1));
	return 0;
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

uint64_t hash_bytes(struct span span)
{
	const uint8_t *at = span.at;
	size_t left = span.length;
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};

	for (; left >= 8; at += 8, left -= 8)
		absorb(v, whole_word_at(at));
	absorb(v, last_word_at(at, left) | (uint64_t)span.length << 56);
	v[2] ^= 0xff;
	mix(v);
	mix(v);
	mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_glance(struct span span)
{
	uint64_t hash = span.length;

	if (span.length >= 8)
		hash += whole_word_at(span.at) * UINT64_C(0x9e3779b97f4a7c15) ^
			whole_word_at(span.at + span.length / 2 - 4) * UINT64_C(0xc2b2ae3d27d4eb4f) ^
			whole_word_at(span.at + span.length - 8);
	else
		hash += last_word_at(span.at, span.length);
	/* The last byte of a word is in the highest bits alone, whatever it was multiplied by. */
	hash ^= hash >> 32;
	return hash * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}
