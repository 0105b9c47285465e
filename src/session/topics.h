#ifndef PGWEIR_SESSION_TOPICS_H
#define PGWEIR_SESSION_TOPICS_H

#include "base/buf.h"

/* A set of names that somebody LISTENs to. PostgreSQL calls such a name a channel; here a channel is a server, so these are topics.
 * Names are compared byte by byte, as PostgreSQL does once a statement was read. All zero is the empty set. */
struct topics {
	char **names; /* in order */
	size_t count;
};

/* More than this one client does not share: each lease of such a client begins with a LISTEN for each. */
#define TOPICS_SHARED_MAX 256

void topics_fini(struct topics *);

/* Add; one that is there stays. False: memory refused. */
bool topics_add(struct topics *, struct span name);
bool topics_add_all(struct topics *, const struct topics *from);
bool topics_has(const struct topics *, struct span name);
void topics_remove(struct topics *, struct span name); /* if it is there */
bool topics_equal(const struct topics *, const struct topics *);

/* Append `verb "name";` for each: LISTEN or UNLISTEN. False: memory refused. */
bool topics_write(const struct topics *, const char *verb, struct buf *out);

#endif
