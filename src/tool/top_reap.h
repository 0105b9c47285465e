#ifndef PGWEIR_TOOL_TOP_REAP_H
#define PGWEIR_TOOL_TOP_REAP_H

#include "tool/reap.h"

/* `r` of `pgweir top` on PostgreSQL itself: what `pgweir reap` would do with one session, by its guards, its statements and its audit. */
struct top_reap {
	struct reap_options options;
	struct reap_view view; /* of the dry run; its first session alone is meant */
};

void top_reap_init(struct top_reap *);
void top_reap_fini(struct top_reap *);

/* The dry run: whether this process would end, and why or why not, as a sentence with strangers' words in it as they are. True: it would,
 * and top_reap_act ends this very session and no other. The connection's session is prepared for it (connect_prepare). */
bool top_reap_plan(struct top_reap *, PGconn *, int64_t process, char *said, size_t said_size);

/* End what was planned, if it still is what it was, and say what came of it. Takes `wait` of the options at most, for a running statement
 * twice that. One line of JSON goes to `audit` of the options. */
void top_reap_act(struct top_reap *, PGconn *, char *said, size_t said_size);

#endif
