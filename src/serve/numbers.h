#ifndef PGWEIR_SERVE_NUMBERS_H
#define PGWEIR_SERVE_NUMBERS_H

#include "core/event.h"
#include "serve/ahead.h"
#include "session/look.h"
#include "wire/frame.h"

/* Numbers of sequences that were taken in a server's session, and who may be told them by currval and lastval: who took them. Where
 * servers change hands, everybody else's are discarded before a client asks: see numbers.c. */

struct guest;
struct channel;

/* A channel's; all zero: nobody has taken any. */
struct numbers {
	bool strange; /* some of somebody else may be there */
	bool took;    /* the lease's client may have taken some */
	bool ran;     /* that, or it ran what is not known to take none */
	bool touched; /* it may have locked sequences of which it took none */
	bool apart;   /* they are being discarded by a Query of its own */
	enum numbers_proof { PROOF_NONE, PROOF_ASKED, PROOF_HERE } proof; /* of what it asks for: see numbers.c */
	enum numbers_whose { NUMBERS_NOBODYS, NUMBERS_ONES, NUMBERS_OF_MANY } whose;
	struct client_ref taker; /* the one */
};

/* A statement is to be sent next: its marks, its text, and what a Bind says behind its names. */
struct numbers_asked {
	uint32_t marks;
	bool extended;
	struct span text, values;
};
enum ahead numbers_before(struct guest *, const struct numbers_asked *);

/* It is sent. True: its client keeps the server for a number that it may have taken there, since its application asks for numbers. */
bool numbers_mark(struct channel *, uint32_t marks);

/* When it is to be looked whether the lease's client rests with a server that it keeps for its numbers alone, while others wait for one; 0: it
 * keeps none for that. And the look: then it goes back, with the numbers in it. */
time_us numbers_due(const struct channel *);
void numbers_yield(struct channel *);

/* It is sent, and it is not known that it takes none. */
void numbers_mix(struct channel *);

/* Nobody looks at the statements of this lease. */
void numbers_unwatched(struct channel *);

/* The message with which a client that holds nothing begins a lease: does it ask for a number that may be on the server guest->numbers_at? */
bool numbers_wanted(const struct guest *, struct span in, struct frame);

/* Before the first statement of a lease. False: memory refused. */
bool numbers_begin(struct channel *);

void numbers_discarded(struct channel *); /* the server says so */
bool numbers_row(
	struct channel *, struct span body); /* of the answer to TAG_PROOF. False: the server can not be trusted */
void numbers_proven(struct channel *);       /* its end */
void numbers_part(struct channel *);         /* the lease ends */

#endif
