#ifndef PGWEIR_SESSION_WORD_SET_H
#define PGWEIR_SESSION_WORD_SET_H

#include "base/span.h"

/* Which words are looked for: yes for each of them, and for some others. A word has a bit by its first byte, its last, and its length, so that
 * nearly all words of a statement are known not to matter by three numbers. */
struct word_set {
	uint64_t bits[64];
};

/* At least one byte, and less than 64. */
static inline unsigned word_set_place(uint8_t first, uint8_t last, size_t length)
{
	return (first * 61u + last * 7u + (unsigned)length * 257u) & 4095;
}

static inline void word_set_add(struct word_set *set, struct span word)
{
	unsigned place = word_set_place(word.at[0], word.at[word.length - 1], word.length);

	set->bits[place / 64] |= UINT64_C(1) << place % 64;
}

static inline bool word_set_may_have(const struct word_set *set, uint8_t first, uint8_t last, size_t length)
{
	unsigned place = word_set_place(first, last, length);

	return set->bits[place / 64] >> place % 64 & 1;
}

#endif
