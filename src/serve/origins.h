#ifndef PGWEIR_SERVE_ORIGINS_H
#define PGWEIR_SERVE_ORIGINS_H

#include "base/span.h"

/* Counts of clients by origin; see the essay in origins.c. The caller locks. */
#define ORIGINS_MAX 1024

struct origins {
	struct origin {
		uint64_t key;
		uint32_t count; /* 0: the slot is free */
	} table[ORIGINS_MAX], others;
};

/* Never 0. `application_name` may be NULL. */
uint64_t origin_key(struct span user, struct span database, const char *application_name, const char *address);
void origin_enter(struct origins *, uint64_t key);
void origin_leave(struct origins *, uint64_t key);

/* No origin has more clients; false when it has none. */
bool origin_is_largest(struct origins *, uint64_t key);

#endif
