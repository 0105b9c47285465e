#ifndef PGWEIR_SERVE_BREAKDOWNS_H
#define PGWEIR_SERVE_BREAKDOWNS_H

#include "core/breakdown.h"
#include "serve/owners.h"

/* SHOW BREAKDOWNS: what is counted by core/breakdown.h as the letter of the survey (serve/survey.c) goes round, and who the processes are,
 * which the keeper finds out. */
#define TOLD_PEERS_MAX 1024 /* TCP clients of this machine whose process is sought; others are counted without one */

struct guest;
struct report;

/* A TCP client of this machine. */
struct told_peer {
	struct other_end end;
	uint32_t origin;
	time_us rest; /* for how long it has rested; 0: it does not */
	struct breakdown_counts counts;
	time_us rested; /* when its last work ended; 0: it is at work */
};

/* What the letter carries. */
struct told {
	struct breakdowns table;
	struct told_peer *peers;
	size_t peer_count, peer_capacity;
};

void told_fini(struct told *);

/* At the workers: this client, which has arrived and is not ending. */
void told_look(struct told *, const struct guest *);

/* At the keeper: the processes of the peers, as far as they are known, into the table; then its rows into the report, in their order and
 * with their ranks. Rows whose origin the report does not have are left out; none are there where memory is refused. */
void told_rows(struct told *, const struct owners *, struct report *);

#endif
