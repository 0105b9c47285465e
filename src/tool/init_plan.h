#ifndef PGWEIR_TOOL_INIT_PLAN_H
#define PGWEIR_TOOL_INIT_PLAN_H

#include "tool/doctor_facts.h"

/* Sizes that fit a PostgreSQL server, from what was read of it. Pure: the same facts give the same sizes. */

struct init_plan {
	int usable; /* slots, without the reserved ones and some head-room */
	int direct; /* sessions now that are not this user's at this database: they will stay where they are */
	int own;    /* those that are: they will come through pgweir */
	int most;   /* servers that pgweir may have: what is left, and no more than role and database may */
	int limit;  /* of role or database, the one that decided `most`; 0: neither */
	bool limit_is_role;
	int good;                   /* for the machine: 2 x cores + 1; where the cores are not known, 20 */
	int need;                   /* for the work that was measured; 0: it was not, or there was none */
	int pool, reserve, clients; /* default_pool_size, reserve_pool_size, max_client_conn */
};

/* `cores` of the database's machine, 0: not known. server->user and ->database are who will be pooled. */
void init_plan_make(const struct server_facts *, int cores, struct init_plan *);

#endif
