#ifndef PGWEIR_SERVE_MONITOR_H
#define PGWEIR_SERVE_MONITOR_H

#include "serve/worker.h"

/* The monitoring connections: one to each PostgreSQL server that the configuration names, all held by the first worker. What
 * they read becomes the core's EVENT_BUDGET and the rows of SHOW BUDGET. */

/* What is true of a PostgreSQL server in the core: its host and port. False: the pools of this entry are at several. */
#define INSTANCE_NAME 300
bool instance_name(const struct database_settings *, char out[INSTANCE_NAME]);
void host_instance_name(const struct host *, char out[INSTANCE_NAME]);

/* The configuration in force says anew which servers there are, and as whom to log in. Only by the first worker. */
void monitors_configure(struct worker *);
void monitors_fini(struct worker *); /* says Terminate, and waits for nothing */
void monitors_visit(struct worker *, struct snapshot *);

/* How many other connections of ours there are at this server has changed (see serve/ears.h). */
void monitors_recount(struct worker *, const char *host, uint16_t port);

/* What the loop and the timers hand out. */
struct watch;
void monitor_connected(struct watch *);
void monitor_bytes(struct watch *, struct span);
void monitor_ended(struct watch *, int error);
void monitor_rings(struct timer *);
void monitor_resolved(struct worker *, struct resolve_letter *); /* the letter stays the caller's */

/* True: the letter answers a question of a monitor's, not of a channel's. */
bool monitor_asked(const struct resolve_letter *);

#endif
