#ifndef PGWEIR_SERVE_PLACES_H
#define PGWEIR_SERVE_PLACES_H

#include "serve/worker.h"

/* Where an ear listens: one database of one PostgreSQL server. The house numbers these places, so that all workers mean the same one,
 * whatever their configuration says meanwhile. A place keeps its number as long as the process lives. */
struct place {
	char host[256], database[256]; /* as the configuration calls them */
	uint16_t port;
};

#define PLACES_MAX HOUSE_EARS

/* Where the servers of this database go. `name`: what its users call it. False: to several PostgreSQL servers, or to none. */
bool place_of(const struct database_settings *, const char *name, struct place *);

/* For comparison; never 0. */
uint64_t place_key(const struct place *);

/* The number of the place of this pool, in any thread. False: it has none, or there are too many places. */
bool place_number(struct house *, const struct pool_view *, uint32_t *out);

/* ... of the place where this server is, which is not that of its pool for as long as a RELOAD takes to be known everywhere. */
bool place_number_of_server(const struct channel *, uint32_t *out);

/* What has this number. */
struct place place_numbered(struct house *, uint32_t number);
void places_fini(struct house *);

#endif
