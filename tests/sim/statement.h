#ifndef SIM_STATEMENT_H
#define SIM_STATEMENT_H

#include "session.h"

/* One statement of a session. Private to the session: session.c has the messages that ask for it. */

enum outcome { DONE, FAILED, WAITS };

/* Run it. `simple`: by a Query. `most` bounds the rows of an Execute (0: all), of which `*at_row` were sent before. */
enum outcome session_run(struct session *, const char *text, struct bytes *out, bool simple, const char *parameter,
	unsigned most, unsigned *at_row);

/* The transaction around it: an implicit one begins with it, an error fails it, and it ends well or not. */
void session_begins(struct session *);
void session_fails(struct session *, struct bytes *out, const char *sqlstate, const char *message);
void session_ends(struct session *, bool well);

extern const char session_aborted[];

#endif
