#ifndef PGWEIR_TOOL_STRESS_CANCEL_H
#define PGWEIR_TOOL_STRESS_CANCEL_H

#include <libpq-fe.h>
#include <stdbool.h>

/* Cancel requests, many at once: libpq waits for each until its connection is closed, so each has a thread, and the load waits for none. */
struct cancels;
struct cancels *cancels_new(void);

/* Ask that what runs on this connection be cancelled. False: too many are under way already; ask again later. */
bool cancels_send(struct cancels *, PGconn *);

/* Those that are not answered within two seconds are left to end with the process. */
void cancels_free(struct cancels *);

#endif
