#ifndef PGWEIR_SERVE_BEHIND_H
#define PGWEIR_SERVE_BEHIND_H

#include <stddef.h>
#include <stdint.h>

/* Who waits behind whom: the clients that wait longest for a server of each pool, as SHOW LEASES names them. */
struct worker;
struct snapshot;

/* What the letter of the census carries of it. */
struct behind {
	struct behind_client *clients;
	size_t count, capacity;
};
void behind_fini(struct behind *);

/* At the first worker, under the house's lock: who waits longest for this pool. */
void behind_pool(struct behind *, const struct worker *, uint32_t pool);

/* At each worker: what its own of them are called. Whoever waits no more is left out. */
void behind_visit(struct behind *, const struct worker *);

/* At the last worker: into the rows of leases. */
void behind_finish(const struct behind *, struct snapshot *);

#endif
