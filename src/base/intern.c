#include "base/intern.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* A chained hash table of counted texts. The text carries its hash, so that growing never reads it
 * again and a look-up compares bytes only where all 64 bits agree. When memory for a larger table is
 * refused the chains just get longer; only memory for a text itself can fail a take. */

#define TABLE_SMALLEST 64

void intern_init(struct intern *in)
{
	*in = (struct intern){ 0 };
}

void intern_fini(struct intern *in)
{
	check(in->count == 0);
	check(in->bytes == 0);
	free(in->table);
	intern_init(in);
}

static struct text **chain(const struct intern *in, uint64_t hash)
{
	return &in->table[hash & (in->capacity - 1)];
}

static void grow(struct intern *in)
{
	struct intern larger = { .capacity = in->capacity ? in->capacity * 2 : TABLE_SMALLEST };

	larger.table = calloc(larger.capacity, sizeof *larger.table);
	if (larger.table == NULL)
		return;
	for (size_t i = 0; i < in->capacity; i++) {
		struct text *text = in->table[i];

		while (text) {
			struct text *next = text->next, **to = chain(&larger, text->hash);

			text->next = *to;
			*to = text;
			text = next;
		}
	}
	free(in->table);
	in->table = larger.table;
	in->capacity = larger.capacity;
}

struct text *intern_take(struct intern *in, struct span span)
{
	uint64_t hash = hash_bytes(span);
	struct text *text, **to;

	if (in->count >= in->capacity)
		grow(in);
	if (in->table == NULL || span.length >= UINT32_MAX - sizeof *text)
		return NULL;
	to = chain(in, hash);
	for (text = *to; text; text = text->next) {
		if (text->hash == hash && span_equal(span_of(text->at, text->length), span)) {
			intern_keep(text);
			return text;
		}
	}
	text = malloc(sizeof *text + span.length + 1);
	if (text == NULL)
		return NULL;
	*text = (struct text){ .hash = hash, .references = 1, .length = (uint32_t)span.length, .next = *to };
	if (span.length > 0)
		memcpy(text->at, span.at, span.length);
	text->at[span.length] = 0;
	*to = text;
	in->count++;
	in->bytes += sizeof *text + span.length + 1;
	return text;
}

void intern_keep(struct text *text)
{
	check(text->references > 0 && text->references < UINT32_MAX);
	text->references++;
}

void intern_drop(struct intern *in, struct text *text)
{
	struct text **at;

	if (text == NULL)
		return;
	check(text->references > 0);
	if (--text->references > 0)
		return;
	for (at = chain(in, text->hash); *at != text; at = &(*at)->next)
		check(*at != NULL);
	*at = text->next;
	check(in->count > 0);
	in->count--;
	in->bytes -= sizeof *text + text->length + 1;
	free(text);
}
