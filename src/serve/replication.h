#ifndef PGWEIR_SERVE_REPLICATION_H
#define PGWEIR_SERVE_REPLICATION_H

#include "serve/worker.h"

/* Clients that asked for a connection for replication: each has a server of its own, which was never another's and never will be. */

/* The core wants a server for such a pool: the place is free at once, and nothing is connected yet. */
void replication_dial(struct channel *);

/* The place is lent: connect as this client asked for. */
void replication_lend(struct channel *, struct guest *);

/* More startup parameters for its login, on top of those in `setup`. What it made is to be freed; NULL: memory refused. */
struct startup_pair *replication_startup(const struct channel *, struct server_setup *);

/* It is logged in. */
void replication_ready(struct channel *);

/* It could not be connected, or nobody wants it any more before it was: its client, if there is one, is told. */
void replication_failed(struct channel *, const char *sqlstate, const char *text);

#endif
