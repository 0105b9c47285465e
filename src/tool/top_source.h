#ifndef PGWEIR_TOOL_TOP_SOURCE_H
#define PGWEIR_TOOL_TOP_SOURCE_H

#include "tool/connect.h"
#include "tool/top_model.h"

/* Where `pgweir top` looks: the console of pgweir or PgBouncer, or PostgreSQL itself. */
struct top_source {
	const char *url; /* borrowed */
	PGconn *connection;
	struct connect_error trouble; /* of the last login, whole; without a connection */
	enum top_kind kind;
	bool plain;     /* this console has no SHOW LEASES: it is not asked again, since it logs each refusal */
	bool inside;    /* ask what origins consist of, which may be thousands of rows */
	char from[120]; /* host and port, safe to be shown */
};

/* One look; logs in first where that is needed. `view` keeps what it had when this fails: false, and `problem` says why in one line. */
bool top_source_look(struct top_source *, struct top_view *, char *problem, size_t problem_size);
void top_source_close(struct top_source *);

/* What REAP of pgweir's console would end, or did end, of this client: a sentence. `act`: do it. False: it
 * was refused, or without `act`, this client would stay. */
bool top_source_reap(struct top_source *, int64_t client, bool act, char *said, size_t said_size);

#endif
