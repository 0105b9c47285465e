#ifndef PGWEIR_BASE_INTERN_H
#define PGWEIR_BASE_INTERN_H

#include "base/span.h"

/* Texts that many objects share, held once and counted. Equal texts from the same table have equal pointers.
 * Not thread-safe by itself: whoever shares a table locks around it (see session/texts for the process-wide ones). */
struct text {
	uint64_t hash;
	uint32_t references, length;
	struct text *next;
	char at[]; /* terminated */
};

struct intern {
	struct text **table;
	size_t capacity, count, bytes;
};

void intern_init(struct intern *);

/* Every text must have been dropped (checked). */
void intern_fini(struct intern *);

/* The shared text, counted once more; NULL when memory is refused. */
struct text *intern_take(struct intern *, struct span);
void intern_keep(struct text *);
void intern_drop(struct intern *, struct text *);

#endif
