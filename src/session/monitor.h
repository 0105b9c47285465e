#ifndef PGWEIR_SESSION_MONITOR_H
#define PGWEIR_SESSION_MONITOR_H

#include "base/writer.h"

/* What the monitoring connection asks PostgreSQL, and what the answers mean, as a pure conversation: who uses the server, and how
 * many may. A reading is four queries in one send, each with an answer of its own, so that what is refused or hidden takes nothing
 * else with it. (PostgreSQL manual: pg_stat_activity; "Connection Settings"; pg_roles.rolconnlimit, pg_database.datconnlimit.) */

#define MONITOR_NAME   64 /* a name of PostgreSQL's has at most 63 bytes */
#define MONITOR_LIMITS 64 /* roles, and as many databases: the smallest limits first */

enum monitor_part { MONITOR_SETTINGS, MONITOR_ROLES, MONITOR_DATABASES, MONITOR_BACKENDS };
#define MONITOR_PARTS ((unsigned)MONITOR_BACKENDS + 1)

/* A role or database with a connection limit of its own. */
struct monitor_limit {
	bool is_role;
	char name[MONITOR_NAME];
	uint32_t max, used;
};

/* A connection of some client to PostgreSQL. Names have no control characters and no broken UTF-8. */
struct monitor_backend {
	uint32_t process_id;
	char user[MONITOR_NAME], database[MONITOR_NAME], application[MONITOR_NAME];
	int64_t started; /* us since 1970 by its clock, with its process id its identity; 0: we may not see it */
	int64_t age;     /* us; -1: we may not see it */
};

enum monitor_edge {
	MONITOR_MORE,    /* wait for more bytes */
	MONITOR_BACKEND, /* one of the backends: call again with the rest */
	MONITOR_READ,    /* the reading is complete */
	MONITOR_BROKEN   /* this is not PostgreSQL, or it means harm: `problem` */
};

/* One reading; zeroed by monitor_ask. */
struct reading {
	unsigned part;                      /* being answered */
	unsigned known;                     /* 1 << part: answered without an error */
	bool refused;                       /* the part being answered has failed */
	uint32_t connections_max, reserved; /* reserved: superuser_reserved_connections and reserved_connections */
	struct monitor_limit limits[2 * MONITOR_LIMITS];
	size_t limit_count;
	uint32_t backends; /* so far */
	bool hidden;       /* of some backends we see that they are there, and little more */
	struct monitor_backend backend;
	char sqlstate[6], problem[160]; /* of the last part that failed, or what is broken */
};

/* Write the queries of a reading, which begins now. */
void monitor_ask(struct writer *, struct reading *);
enum monitor_edge monitor_take(struct reading *, struct span bytes, size_t *used);
bool monitor_knows(const struct reading *, enum monitor_part);

#endif
