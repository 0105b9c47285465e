#ifndef PGWEIR_SERVE_NUMBERS_H
#define PGWEIR_SERVE_NUMBERS_H

#include "core/event.h"
#include "session/look.h"
#include "wire/frame.h"

/* Numbers of sequences that were taken in a server's session, and who may be told them by currval and lastval: who took them. Where
 * servers change hands, everybody else's are discarded before a client asks: see numbers.c. */

struct guest;
struct channel;
struct pool_view;

/* A channel's; all zero: nobody has taken any. */
struct numbers {
	bool strange; /* some of somebody else may be there */
	bool took;    /* the lease's client may have taken some */
	bool ran;     /* that, or it ran what is not known to take none */
	enum numbers_whose { NUMBERS_NOBODYS, NUMBERS_ONES, NUMBERS_OF_MANY } whose;
	struct client_ref taker; /* the one */
};

enum numbers_step {
	NUMBERS_GO,
	NUMBERS_WAIT, /* the message waits for what was sent before it; its stream is paused */
	NUMBERS_STOP  /* the client was ended */
};

/* A message with these marks is to be sent next, as one of the extended protocol or not. */
enum numbers_step numbers_before(struct guest *, uint32_t marks, bool extended, struct span text);

/* It is sent. */
void numbers_mark(struct channel *, uint32_t marks);

/* The message with which a client that holds nothing begins a lease: on which server are the numbers that it asks for? Generation 0: it asks for
 * none, or has none. */
server_id numbers_wanted(const struct guest *, struct span in, struct frame);

/* Whether this client's own are there, and nobody else's. */
bool numbers_own(const struct channel *);

/* Somebody in this database asks for numbers, so who takes some keeps the server. */
bool numbers_told(const struct pool_view *);

/* Before the first statement of a lease. False: memory refused. */
bool numbers_begin(struct channel *);

void numbers_discarded(struct channel *); /* the server says so */
void numbers_part(struct channel *);      /* the lease ends */

#endif
