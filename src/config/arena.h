#ifndef PGWEIR_CONFIG_ARENA_H
#define PGWEIR_CONFIG_ARENA_H

#include "base/span.h"

/* Memory that lives and dies with one configuration. Wiped when freed: passwords are among it. All zero is an
 * empty one. Private to config/. */
struct arena {
	struct arena_chunk *chunks;
};

/* Zeroed and aligned for anything; NULL: memory refused. */
void *arena_take(struct arena *, size_t n);

/* A terminated copy; NULL: memory refused. */
char *arena_text(struct arena *, struct span);

void arena_fini(struct arena *);

#endif
