#ifndef PGWEIR_TOOL_DOCTOR_URL_H
#define PGWEIR_TOOL_DOCTOR_URL_H

#include "tool/doctor_facts.h"

/* A connection URL, as DATABASE_URL holds it: scheme://user:password@host:port/name?key=value&... Knows libpq's parameters and those
 * that dj-database-url reads (conn_max_age, conn_health_checks, disable_server_side_cursors). */

/* Whether the text has a scheme that stands for PostgreSQL: postgres, postgresql, postgis, timescale, pgsql, also with +driver. */
bool url_is_postgres(struct span text);

/* Take a URL apart into `app` (source and alias are the caller's). False: it is broken, and `error` says how; no part of it is repeated
 * there, since it may hold a password. */
bool url_read(struct span text, struct app_database *app, char *error, size_t error_size);

/* The URL without its password, and without the parameters that libpq does not know, for libpq and for people: `with_password` says for
 * whom. Returns the length; `out` is cut when it is too small. */
size_t url_for(struct span text, bool with_password, char *out, size_t size);

/* The parameters in an "options" text that set something: calls back for each -c name=value or --name=value. False: it has none. `name` is
 * terminated and cut at its size; *at is where to go on, starting with the whole text. */
bool options_next(struct span *at, char *name, size_t name_size, char *value, size_t value_size);

#endif
