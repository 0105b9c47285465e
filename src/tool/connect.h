#ifndef PGWEIR_TOOL_CONNECT_H
#define PGWEIR_TOOL_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <libpq-fe.h>

#include "base/time.h"

/* A tool's connection to PostgreSQL: libpq underneath, every wait bounded. A connection is ended with PQfinish, a result with PQclear. */

enum connect_trouble {
	CONNECT_FINE,
	CONNECT_BAD_URL, /* it cannot be read: the user's mistake */
	CONNECT_FAILED,
	CONNECT_FULL, /* 53300: no slot is left for this role */
};

struct connect_error {
	enum connect_trouble trouble;
	char text[2000]; /* what, where, and what to do next; lines without a newline at the end */
};

/* Whether a URL or "key=value ..." can be read at all, which needs no server. False: `error`. */
bool connect_reads(const char *url, struct connect_error *error);

/* Log in with a URL or "key=value ..." within `most`, as `program` in pg_stat_activity. Nothing is set in the session: it may be a pooler's
 * console, or a server that a pooler lends to others afterwards. NULL: `error`. */
PGconn *connect_open(const char *url, const char *program, time_us most, struct connect_error *error);

/* Whether this is PostgreSQL itself: behind a pooler the process that answers is not the one that was named at login.
 * False as well when it did not answer: then `error` has a text. */
bool connect_is_direct(PGconn *, char *error, size_t error_size);

/* Prepare a session that is ours alone (connect_is_direct): names mean pg_catalog's, text comes as its bytes are (whoever shows it escapes
 * it), times in UTC, statements end after this time. False: `error`. */
#define CONNECT_STATEMENT_SECONDS 15
bool connect_prepare(PGconn *, char *error, size_t error_size);

/* Ask one statement with text parameters (none: several statements, of which the last one counts). NULL: `error` says why, in
 * PostgreSQL's own words where there are any; `sqlstate` (may be NULL) gets five letters, or "". */
PGresult *connect_ask(PGconn *, const char *sql, int count, const char *const *values, char sqlstate[6], char *error,
	size_t error_size);

/* Whether the connection can still be used. */
bool connect_lives(const PGconn *);

/* Nothing, for this long. */
void connect_rest(time_us);

#endif
