#ifndef PGWEIR_SERVE_BREAKDOWNS_H
#define PGWEIR_SERVE_BREAKDOWNS_H

#include "core/breakdown.h"

/* SHOW BREAKDOWNS: what is counted by core/breakdown.h as the letter of the survey (serve/survey.c) goes round, and who the processes are,
 * which the keeper finds out. */
#define TOLD_PEERS_MAX 1024 /* TCP clients of this machine whose process is sought; others are counted without one */

struct guest;
struct breakdown_row;
struct origin_row;

/* A TCP client of this machine. */
struct told_peer {
	uint32_t client; /* its number in SHOW CLIENTS */
	uint32_t origin;
	uint8_t ip[16];
	bool six;
	uint16_t port;
	struct breakdown_counts counts;
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

/* At the keeper: whose sockets those are that were there at the last look. Zeroes at first. */
struct told_known {
	struct told_owner {
		uint32_t client, process, user;
		bool sought;
	} * owners; /* by client */
	size_t count;
	time_us walk_at; /* when /proc may be walked next, which takes long where many files are open: a hundredth of the time at most */
};
void told_known_fini(struct told_known *);

/* The processes of the peers, into the table; reads /proc where clients came since. Then the rows, in their order; those whose origin is
 * not among `origins` are left out. NULL, and *count 0: there are none, or memory is refused. */
struct breakdown_row *told_rows(
	struct told *, struct told_known *, const struct origin_row *origins, size_t origin_count, size_t *count);

#endif
