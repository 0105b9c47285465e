#ifndef PGWEIR_SESSION_DRIVER_H
#define PGWEIR_SESSION_DRIVER_H

#include "session/params.h"

/* Which driver logged in, by what it asks for at startup (doc/decisions/0005-driver-fingerprints.md). A guess: whoever wants to can
 * look like another. */
enum driver { SPOKEN_UNKNOWN, SPOKEN_LIBPQ, SPOKEN_ASYNCPG, SPOKEN_NODE, SPOKEN_JDBC, SPOKEN_GO };

/* How it spoke, which the values do not tell. */
struct driver_manner {
	bool encoding_early; /* client_encoding stood in front of the user or the database */
	bool style_capital;  /* the date style's key was spelled as PostgreSQL spells it, DateStyle */
};

enum driver driver_guess(const struct params *asked, struct driver_manner);

#endif
