#ifndef PGWEIR_SERVE_PLANS_H
#define PGWEIR_SERVE_PLANS_H

#include "serve/ahead.h"

/* What a server has read of the bodies of functions. It plans the statements of a body when they first run there, and what a literal or a function that
 * is called immutable came to then is said to whoever calls it later. So who has other settings gives up these plans first (DISCARD PLANS). */

struct params;
struct numbers_asked;

struct plans_read {
	enum {
		PLANS_NONE,  /* nobody has run such a body there */
		PLANS_KNOWN, /* all with these */
		PLANS_OWN,   /* all in this lease, or in the asked one's, with settings that are not known */
		PLANS_MIXED
	} state;
	struct params *reading;  /* what decides literals (session/reading.h) */
	struct params *settings; /* what such functions may ask for: all that the client wants */
};

/* A channel's; all zero is: nothing. */
struct plans {
	struct plans_read read,
		asked;  /* what is true; and what is, once DISCARD PLANS was said. NONE: it is not under way */
	unsigned batch; /* in which it was sent */
	bool apart;     /* it was a Query of its own, and nothing makes the server skip that */
};

/* Before a statement: DISCARD PLANS goes out in front of it where the server's plans are to be given up. `in_front`: whatever they are, since a temporary
 * object comes in front of what they mean. */
enum ahead plans_before(struct guest *, const struct numbers_asked *, bool in_front);

/* Whether this Query sets something that is to come before any snapshot of its transaction block, with other statements behind it. */
bool plans_would_hinder(const struct channel *, const struct numbers_asked *);

/* Whether it has to go in front of this text's batch, as a Query of its own: from 18 on the second statement of a batch is in a transaction block, and what
 * ends transactions itself (CALL, DO) may not do so there, and DECLARE is not refused. False: this batch has begun, or it is another statement. */
bool plans_come_apart(const struct channel *, struct span text);

void plans_discarded(struct channel *); /* the server says so */
void plans_part(struct channel *);      /* the lease ends */
void plans_fini(struct plans *);

#endif
