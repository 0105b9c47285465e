#ifndef PGWEIR_SERVE_TEXTS_H
#define PGWEIR_SERVE_TEXTS_H

#include "base/intern.h"

/* Statements as they are remembered of clients: without literals, with their comments, cut, each text once. Belongs to one worker.
 * Bounded: beyond TEXTS_BYTES_MAX new ones are not kept. */
#define TEXT_BYTES_MAX  256 /* of a statement as it was sent */
#define TEXTS_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define TEXTS_RECENT    512

struct texts {
	struct intern intern;
	struct recent {
		uint32_t length, marks;
		struct text *text; /* counted; NULL: the place is empty */
		char raw[TEXT_BYTES_MAX];
	} * recent; /* TEXTS_RECENT of them, made at first need */
};

void texts_init(struct texts *);
void texts_fini(struct texts *); /* every text must have been dropped */

/* What a statement is, by its words. */
#define TEXT_LISTENS 1u /* LISTEN */
#define TEXT_LOCKS   2u /* takes an advisory lock of the session's */
#define TEXT_SETS    4u /* SET, or its function: what drivers begin with, which says nothing about the code that follows */
#define TEXT_ZONE    8u  /* ... the time zone, in the words in which Django begins each of its connections */
#define TEXT_CONFIG  16u /* ... by the function, as Django does since 4.2, and hardly anybody else */

/* The text of this statement, counted, and its marks. NULL: memory refused, or the ceiling is reached. */
struct text *texts_take(struct texts *, struct span raw, unsigned *marks);
/* A name, as it is, likewise. */
struct text *texts_name(struct texts *, struct span name);
/* A user's name, whole, and whatever the ceiling: there are no more of them than clients. NULL: memory refused. */
struct text *texts_user(struct texts *, struct span name);
void texts_drop(struct texts *, struct text *);

#endif
