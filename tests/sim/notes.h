#ifndef SIM_NOTES_H
#define SIM_NOTES_H

#include "people.h"
#include "postgres.h"

/* LISTEN and NOTIFY of the simulated world: what was committed, who is told of it and when, and what a client may hear. Only some seeds
 * have any of it (notes_begin), drawn from a generator of their own, so that all others stay the stories that they were. */

void notes_draw(void);  /* before the house is there */
bool notes_begin(void); /* does anybody listen in this run? */
void notes_end(void);

/* Where "app" is led by the next configuration, as its entry says it. In some runs that changes again and again: to PostgreSQL by its other
 * name (two places, one database), to another database, or to several hosts, where no connection is shared. */
const char *notes_place(void);
bool notes_move(void);

/* ---- at PostgreSQL ---- */

void notes_committed(struct backend *); /* its transaction was, with what it said */
void notes_tell(struct backend *, struct bytes *out);

/* ---- at the clients ---- */

bool notes_compose(
	struct person *, const char *nonce, char *out, size_t size); /* a statement; false: it does not listen */
void notes_heard(struct person *, struct span body);                 /* a NotificationResponse */
bool notes_warned(struct person *, struct span body);                /* a WARNING about lost ones? */
void notes_ready(struct person *);                                   /* ReadyForQuery outside of a block */
void notes_discards(struct person *);                                /* it says DISCARD ALL */

#endif
