#ifndef PGWEIR_SERVE_PEERING_H
#define PGWEIR_SERVE_PEERING_H

#include "serve/worker.h"

/* Processes that share clients, behind one port (so_reuseport) or one balancer, and pass cancel requests on to one another ([peers]). */

/* The process id of a client, where there is a peer_id; its secret is made to go with it. Its seat is still to be taken. */
uint32_t peering_name(struct guest *);

/* A cancel request came in by this connection. NULL: it is on its way, and the connection is told when it has arrived (LETTER_CANCELLED);
 * else why not. */
const char *cancel_route(struct guest *asker);

/* ---- of the first worker, which has all connections to peers ---- */

struct courier;

struct letter_forward {
	struct letter letter;
	struct client_ref asker;
	uint32_t peer, process_id;
	size_t secret_length;
	uint8_t secret[256];
};
void peering_take(struct worker *, struct letter_forward *); /* takes it */

void peering_configure(struct worker *); /* a new configuration is in force */
void peering_resolved(struct worker *, const struct resolve_letter *);
void courier_take(struct courier *, const struct completion *);
void courier_rings(struct timer *);
void peering_visit(struct worker *, struct snapshot *);
void peering_fini(struct worker *);

#endif
