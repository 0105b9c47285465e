#ifndef PGWEIR_SERVE_HOSTS_H
#define PGWEIR_SERVE_HOSTS_H

#include "serve/worker.h"

/* The hosts of a database, one after the other: see the essay in hosts.c. A channel has `tries` from tries_begin until tries_end, or
 * until it is buried. */

/* False: memory refused. */
bool tries_begin(struct channel *, const struct database_settings *);

/* Where it is tried now; NULL: the configuration has other hosts by now. */
const struct host *tries_host(const struct channel *, const struct database_settings *);

/* Where it is connected to is still what the configuration says. */
bool tries_hold(const struct channel *, const struct database_settings *);

/* A place at the PostgreSQL server that is tried now, where the database has several: true, and it is this channel's until host_leave. False:
 * there is no room (server_budget). A database with one host has its places from the core. */
bool host_visit(struct channel *, const struct database_settings *, const struct host *);
void host_leave(struct channel *);

/* What failed there (failure, full, sqlstate, text). True: it is worth while to try other addresses and hosts. */
bool tries_failed(struct channel *, const struct database_settings *, const struct event *failed);

/* On to the next host. False: that was the last one. */
bool tries_next(struct channel *, const struct database_settings *);

/* What all failures together amount to, for the core; borrowed. */
void tries_amount(const struct channel *, struct event *);

/* It is there, but not what is wanted. */
void tries_unsuited(struct channel *);
bool tries_take_any(const struct channel *); /* nobody suits, and nobody need (prefer-standby) */

/* It is logged in. */
void tries_end(struct channel *, const struct database_settings *);

/* Later: its host is not what is wanted any more. */
void hosts_note_failed(struct channel *);

#endif
