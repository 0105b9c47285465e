#ifndef PGWEIR_SESSION_LOOK_AGAIN_H
#define PGWEIR_SESSION_LOOK_AGAIN_H

#include "session/look.h"

/* The texts of Queries that were looked at last, and what was seen. A look takes some twenty instructions for each byte of a text, and whether it was
 * looked at before is known for less than one: applications say many a text again, word for word. One that never comes again costs the copy. Belongs to
 * one thread. */
struct catalog;
struct looked_text;

struct look_memory {
	struct looked_text
		*places; /* made at first need; NULL: none yet, or memory was refused, and nothing is remembered */
};

void look_memory_init(struct look_memory *);
void look_memory_fini(struct look_memory *);

/* As catalog_look. */
bool look_again(struct look_memory *, const struct catalog *, struct span text, struct look *);

#endif
