#ifndef SIM_STATEMENT_H
#define SIM_STATEMENT_H

#include "session.h"

/* One statement of a session, and what its messages share. Private to the session: session.c has the messages that ask for it, interrupted.c
 * those that are cancelled. */

enum outcome { DONE, FAILED, WAITS };

/* Run it. `simple`: by a Query. `most` bounds the rows of an Execute (0: all), of which `*at_row` were sent before. */
enum outcome session_run(struct session *, const char *text, struct bytes *out, bool simple, const char *parameter,
	unsigned most, unsigned *at_row);

/* The transaction around it: an implicit one begins with it, an error fails it, and it ends well or not. */
void session_begins(struct session *);
void session_fails(struct session *, struct bytes *out, const char *sqlstate, const char *message);
void session_ends(struct session *, bool well);

extern const char session_aborted[];

/* ---- session.c ---- */

const char *session_string_at(struct span *rest); /* NULL: it has no end */
struct prepared *session_statement(struct session *, const char *name);
struct portal *session_portal(struct session *, const char *name);
bool session_ends_block(const char *text); /* it may be said in a block that has failed */
void session_drop_unnamed(struct session *);

/* The next statement of the query at hand, up to a semicolon outside quotes. False: there is none. */
bool session_next(struct session *, char *out, size_t size);
void session_end_query(struct session *, struct bytes *out);

/* Of a COPY IN: and what follows it. */
void session_copy_fails(struct session *, struct bytes *out, const char *sqlstate, const char *message);

#endif
