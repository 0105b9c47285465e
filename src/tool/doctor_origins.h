#ifndef PGWEIR_TOOL_DOCTOR_ORIGINS_H
#define PGWEIR_TOOL_DOCTOR_ORIGINS_H

#include "tool/doctor_facts.h"

/* Sessions by origin: same user, database, application_name and address. The doctor's own sessions belong to none. */

struct origin_view {
	struct session *const *sessions; /* by birth, the oldest first; borrowed from the index */
	size_t count;
};

struct origin_index;

/* NULL: memory refused, or there are none. Borrows the server's sessions. */
struct origin_index *origin_index_new(const struct server_facts *);
void origin_index_free(struct origin_index *);
bool origin_at(const struct origin_index *, size_t i, struct origin_view *out);

/* "web of app@app from 10.0.0.7": as text for people, not escaped. Returns out. */
char *origin_name(const struct session *, char *out, size_t size);

/* What gives a leak away in a single picture: a session is born while siblings sit idle that nobody ever uses again. A pool would have
 * taken one of those. */
struct leak_sign {
	size_t idle; /* idle sessions whose whole life was one burst of `ORIGIN_BURST` after their birth */
	size_t born; /* sessions that were born while at least ORIGIN_SIBLINGS others had been idle for ORIGIN_QUIET, and still are */
	size_t moments;      /* at how many moments, ORIGIN_APART apart: one restart is not a habit */
	time_us oldest_idle; /* of those idle */
};
#define ORIGIN_BURST    (5 * SECOND_US)
#define ORIGIN_QUIET    (5 * SECOND_US)
#define ORIGIN_APART    (2 * SECOND_US)
#define ORIGIN_SIBLINGS 3
void origin_leak_sign(const struct origin_view *, struct leak_sign *);

#endif
