#ifndef PGWEIR_SERVE_EXTRAS_H
#define PGWEIR_SERVE_EXTRAS_H

#include "serve/worker.h"

/* What few clients have and none for long, kept apart so that a parked client costs little. guest->extras is never NULL: who has nothing of it
 * has that of all, which is empty. */
struct extras {
	struct letter_question *question; /* nobody is there: the HTTP thread wants to know a secret; see questions.h */
	struct asking *asking;            /* it asks PostgreSQL about its user, for itself and others */
	struct collect *collect;
	struct again *again;   /* names in use that were sent once more, for the error's text: see relay.h */
	struct again *former;  /* names that stood for another statement in what is not answered yet, for the same */
	struct ending *ending; /* portals that end a name, until their transaction ends: see relay_deallocate.c */
	time_us lost_since;    /* LEARNING: when it first lost the server that it learned from; 0: not yet */
};

extern const struct extras extras_none;

/* To write to; made if it has none, so NULL (memory refused) only then. Its own until extras_leave. */
struct extras *extras_of(struct guest *);

/* Give it back if nothing is in it. What is left of `lost_since` and `ending` goes with it. */
void extras_leave(struct guest *);

#endif
