#ifndef PGWEIR_AUTH_PROOF_H
#define PGWEIR_AUTH_PROOF_H

#include "auth/secrets.h"
#include "base/writer.h"

/* We prove who we are, to a PostgreSQL server: the other side of login.h. Feed it every 'R' message. The server may be hostile:
 * every length is checked, iteration counts are bounded (1 to 10,000,000), the server's own proof is verified. */

enum proof_result {
	PROOF_MORE,  /* something may have been written; wait for the next message */
	PROOF_OK,    /* AuthenticationOk, and the server proved itself if it was to */
	PROOF_FAILED /* proof_problem says why, in words for the log and the client */
};

struct proof_setup {
	struct span user;
	const struct secret *secret; /* NULL or SECRET_NONE: only trust works */
	const uint8_t *client_key;   /* SCRAM pass-through key or NULL */
	const uint8_t *random;       /* 32 fresh random bytes */
	struct span binding;         /* as in login.h, from the server's certificate; copied */
};

struct proof;
struct proof *proof_new(const struct proof_setup *); /* copies what it needs; NULL: memory refused */
enum proof_result proof_take(struct proof *, struct span body, struct writer *);
const char *proof_problem(
	const struct proof *);   /* "server login failed: wrong password type", "... invalid server signature" ... */
void proof_free(struct proof *); /* wipes */

#endif
