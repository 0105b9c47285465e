#ifndef PGWEIR_SESSION_DRIVER_H
#define PGWEIR_SESSION_DRIVER_H

#include "session/params.h"

/* Which driver logged in, by what it asks for at startup (doc/decisions/0005-driver-fingerprints.md). A guess: whoever wants to can
 * look like another. */
enum driver { SPOKEN_UNKNOWN, SPOKEN_LIBPQ, SPOKEN_ASYNCPG, SPOKEN_NODE, SPOKEN_JDBC, SPOKEN_GO };

/* `encoding_early`: client_encoding stood in front of the user or the database. */
enum driver driver_guess(const struct params *asked, bool encoding_early);

#endif
