#ifndef SIM_CANCELS_H
#define SIM_CANCELS_H

#include "people.h"

/* Cancel requests: a connection each, which brings a key. In some runs the house is the first of a group of peers; the second is played
 * here, the third is down. */
void cancels_draw(void);     /* before the house is configured */
bool cancels_of_peers(void); /* the house has neighbours */
void cancels_begin(void);
void cancels_rest(void); /* everybody is gone: nothing is under way any more */
void cancels_end(void);

/* The lines of the configuration that name the group. `plain`: all of it, always. */
size_t cancels_peers_lines(char *out, size_t size);

void cancel_for(struct person *);                /* somebody asks to cancel what it runs */
void cancels_look_at_key(const struct person *); /* it was told its key */

#endif
