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

/* What is asked about a user's roles, with the same parameter: itself and all it is a member of, also by others, whether it inherits or
 * not; that a superuser may do everything counts for nothing, as in PostgreSQL's own pg_hba.conf. A row has one name. */
extern const char lookup_roles_query[];
const char *lookup_read_role(struct span body, struct span *name);

#endif
