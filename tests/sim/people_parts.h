#ifndef SIM_PEOPLE_PARTS_H
#define SIM_PEOPLE_PARTS_H

#include "people.h"

/* What the files of the clients share among themselves: people.c has their lives, talking.c what they say, hearing.c what they hear. */

extern struct people_ways people_ways; /* as given to people_begin */

/* ---- people.c ---- */

void person_flush(struct person *);       /* send what can be sent */
void person_talks_later(struct person *); /* soon it goes on with its script */
void person_is_over(struct person *);     /* its connection has ended */

/* ---- talking.c ---- */

void person_says(struct person *, char type, const void *body, size_t n);
void person_says_data(struct person *);                            /* all that a COPY is given, to its end */
void person_asks(struct person *, const char *text);               /* a Query */
void person_converses(struct person *);                            /* what comes next in its script */
const char *person_value(const struct person *, unsigned setting); /* that it sets it to, or asks for */
unsigned some_setting(bool reported);

/* ---- hearing.c ---- */

void person_hears(struct person *); /* every whole message that has come */

#endif
