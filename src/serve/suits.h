#ifndef PGWEIR_SERVE_SUITS_H
#define PGWEIR_SERVE_SUITS_H

#include "serve/worker.h"

/* Is a server what its database wants (target_session_attrs), and is it still: see the drawing in suits.c. */

#define TAG_NATURE 12 /* in wire/track, after those of remains.h: our question what the server is */

/* It has just logged in. True: go on. False: it was asked, or another host is tried. */
bool suits_at_login(struct channel *);

/* CHANNEL_GREETING, and nothing is owed. True: go on with connect_query. False: this was about its nature, and is seen to. */
bool suits_settle(struct channel *);

/* CHANNEL_CLEANING, and nothing is owed: what became doubtful is asked. True: it may be set free. */
bool suits_clean(struct channel *);

void suits_row(struct channel *, struct span row); /* of the answer to TAG_NATURE */
void suits_parameter(struct channel *, struct span name, struct span value);
void suits_error(struct channel *, struct span sqlstate);

/* Servers at this address, of this database (NO_DATABASE: of all whose host has this name), close when they come free, in all workers. */
void leave_address(struct worker *, const struct leave *);
void leave_letter(struct worker *, struct letter *);

/* Names are looked up as the configuration says, and what they lose is left; only by the first worker. */
void leave_configure(struct worker *);
void leave_lost(struct worker *, struct letter *);

/* It came by mail: was its address left meanwhile? */
void leave_late(struct channel *);

#endif
