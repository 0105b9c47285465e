#ifndef PGWEIR_SERVE_SUSPEND_H
#define PGWEIR_SERVE_SUSPEND_H

#include "io/loop.h"

/* SUSPEND in one worker. The drawing is in suspend.c. */
struct worker;
struct guest;

struct suspension {
	uint32_t number;  /* the core's; 0: none */
	time_us deadline; /* until all must be sent (suspend_timeout); 0: it is, or that may take as long as it likes */
	bool sent;        /* all is; the core knows */
	bool doors_open;  /* new connections are accepted all the same: see suspend_doors_change */
};

/* Each may be said by another worker, and so come by mail in another order than the core said it: what a number is for is told by the number. */
void suspend_begin(struct worker *, uint32_t number); /* nothing where this one is over already */
void suspend_end(struct worker *, uint32_t number);   /* read on; nothing where a later one holds */

/* While it is suspended. True: these bytes wait until it ends. */
bool suspend_holds(const struct completion *);

/* Likewise, at the end of a turn: is all sent? */
void suspend_look(struct worker *);

/* Which listeners are watched is about to change: as it was before. */
void suspend_doors_change(struct worker *);

/* Consoles that may say RESUME. With the last one a suspension ends, for no other could come in. */
void suspend_console_comes(struct guest *);
void suspend_console_goes(struct guest *);

#endif
