#ifndef PGWEIR_SERVE_VISITS_H
#define PGWEIR_SERVE_VISITS_H

#include "core/leak.h"

/* Who waits for our clients: those whose process can be seen, and is a server itself, see core/leak_visits.c. By the keeper, as a part of the
 * look at all origins. */
struct letter_survey;
struct owners;

/* Zeroes at first. */
struct visits {
	time_us look_at; /* not before: a hundredth of a processor at most */
	size_t next;     /* whose turn it is */
};

/* Fill in `visits` of the facts of some origins: of those on whose process nothing is to be said, it stays as it is, which is zeroes. */
void visits_look(struct visits *, const struct owners *, const struct leak_rules *, struct letter_survey *);

#endif
