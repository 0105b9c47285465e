#ifndef PGWEIR_TOOL_STRESS_WATCH_H
#define PGWEIR_TOOL_STRESS_WATCH_H

#include "tool/stress_timeline.h"
#include "tool/stress_verdict.h"

/* Looks at PostgreSQL and the pooler while the load runs: a thread of its own, so that neither ever waits for the other. */
struct watch;

/* Log in where the plan says, and begin to look every plan->sample. `zero` is the run's start. NULL: `error`; the user's mistake when
 * *usage. A plan with neither PostgreSQL nor a pooler is watched too: everything is unknown. */
struct watch *watch_start(const struct stress_plan *, time_us zero, bool *usage, char *error, size_t error_size);

/* The newest reading; false: there is none that was not taken yet. */
bool watch_take(struct watch *, struct stress_reading *);

/* What is known of PostgreSQL at the start: its max_connections, 0 unknown. */
int watch_max_connections(const struct watch *);

/* Stop looking. Afterwards: what it could not see, or lost sight of ("" if nothing); the sessions of the last look (none where a pooler's console was asked: they would be its servers), the names
 * that readings count by, and the number of the pattern that the pooler names. */
void watch_stop(struct watch *);
const char *watch_trouble(const struct watch *);
/* Whether no session that counts was ever there, and those of superusers came in the run; or none at all was there. */
bool watch_saw_superusers_alone(const struct watch *);
bool watch_saw_nobody(const struct watch *);
const struct stress_session *watch_sessions(const struct watch *, size_t *count);
const struct stress_names *watch_names(const struct watch *);
const char *watch_pattern(const struct watch *);
void watch_free(struct watch *);

#endif
