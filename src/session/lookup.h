#ifndef PGWEIR_SESSION_LOOKUP_H
#define PGWEIR_SESSION_LOOKUP_H

#include "base/span.h"
#include "base/writer.h"

/* auth_query: what PostgreSQL is asked about a user who is not in auth_file, and what it answers, as bytes. The name goes as a
 * bound parameter, so that it is never part of the statement. */

/* Parse, Bind, Execute and Sync of the query; $1 is the user, as text. Nothing is left on the server but an unnamed statement. */
void lookup_write(struct writer *, const char *query, struct span user);

/* The body of a DataRow: a name, which must be the user's, and a secret. A secret of SQL's NULL has no `at`: nobody logs in with it.
 * Borrowed from the body. What is wrong with the row, for the log; NULL: nothing. */
const char *lookup_read(struct span body, struct span user, struct span *secret);

#endif
