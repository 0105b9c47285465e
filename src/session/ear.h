#ifndef PGWEIR_SESSION_EAR_H
#define PGWEIR_SESSION_EAR_H

#include "session/topics.h"
#include "wire/message.h"

/* What the connection that listens for all clients of a database says and is told, once it is logged in: queries, each of which is
 * answered by a ReadyForQuery, and notifications at any time. Pure. */

enum ear_edge {
	EAR_MORE,     /* wait for more bytes */
	EAR_HEARD,    /* a NotificationResponse: call again with the rest */
	EAR_ANSWERED, /* the oldest query that was not answered yet is: call again with the rest */
	EAR_BROKEN    /* a query was refused, or this is not PostgreSQL: `problem` */
};

struct ear_talk {
	bool refused;
	char sqlstate[6], problem[160];
	struct span note;           /* EAR_HEARD: all of it; borrowed from the bytes */
	struct span topic, payload; /* likewise */
	uint32_t process;
};

enum ear_edge ear_take(struct ear_talk *, struct span bytes, size_t *used);

/* Append the first query: hear these topics (may be none), for as long as it takes. What postgresql.conf, ALTER ROLE or ALTER DATABASE
 * say for applications would end a connection that only waits (idle_session_timeout, 14), or interrupt it. `version` is the server's. */
void ear_begin(struct writer *, int version, const struct topics *);

/* Append a query: hear these topics (may be none), and then say `payload` to the topic `mark`, unless that is NULL. All of it happens at
 * once, or nothing of it. */
void ear_listen(struct writer *, const struct topics *, const char *mark, const char *payload);
void ear_unlisten(struct writer *, const struct topics *);

/* Append a query whose answer comes behind every notification that was sent before: PostgreSQL reads them before it is ready again. */
void ear_wait(struct writer *);

#endif
