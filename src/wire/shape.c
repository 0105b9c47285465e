/* FNV-1a over what matters. Nobody gains by a collision: it is a client's own statement before and after somebody's DDL. And there is none where
 * a single byte differs, as between two types of PostgreSQL's own with small numbers. */
#include "wire/shape.h"

#define BASIS 2166136261u
#define PRIME 16777619u

/* Behind a column's name: table (4 bytes), number there (2), type (4), its length (2) and modifier (4), format (2). */
#define BEHIND_NAME 18
#define TABLE       6
#define COUNT       2 /* bytes in front of all */

void shape_begin(struct shape_reader *r, char type)
{
	*r = (struct shape_reader){ .mixed = BASIS, .type = (uint8_t)type };
}

static void mix(struct shape_reader *r, uint8_t byte)
{
	r->mixed = (r->mixed ^ byte) * PRIME;
}

void shape_read(struct shape_reader *r, struct span body)
{
	for (size_t i = 0; i < body.length; i++, r->length++) {
		if (r->at == 0 || r->at > TABLE)
			mix(r, body.at[i]);
		if (r->type != 'T' || r->length < COUNT)
			continue;
		if (r->at == 0)
			r->at = body.at[i] == 0;
		else if (r->at++ == BEHIND_NAME)
			r->at = 0;
	}
}

uint32_t shape_end(const struct shape_reader *r)
{
	if (r->type == 'n' || (r->type == 't' && r->length <= COUNT))
		return SHAPE_NONE;
	return r->mixed > SHAPE_NONE ? r->mixed : SHAPE_NONE + 1;
}
