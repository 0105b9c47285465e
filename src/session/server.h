#ifndef PGWEIR_SESSION_SERVER_H
#define PGWEIR_SESSION_SERVER_H

#include "auth/secrets.h"
#include "base/buf.h"
#include "session/params.h"
#include "wire/message.h"

/* Our login to a PostgreSQL server as a pure conversation, from the startup packet to the first ReadyForQuery. */

enum server_edge {
	SERVER_MORE,   /* wait for more bytes */
	SERVER_READY,  /* logged in: see the facts */
	SERVER_REFUSED /* the server said no, or can not be trusted: sqlstate and problem are set */
};

struct server_setup {
	struct span user, database;
	const struct secret *secret;      /* borrowed until the login is over; NULL: none */
	const uint8_t *client_key;        /* SCRAM pass-through, or NULL; copied */
	const uint8_t *random;            /* 32 fresh bytes */
	struct span binding;              /* of TLS, see auth/proof.h; empty: none */
	const struct startup_pair *extra; /* more startup parameters */
	size_t extra_count;
	struct params_book *params;
};

struct server;

/* Writes the startup packet. NULL: memory refused. */
struct server *server_login_new(const struct server_setup *, struct buf *out);
void server_login_free(struct server *); /* wipes */
enum server_edge server_login_take(struct server *, struct span bytes, size_t *used, struct buf *out);

#define SERVER_SECRET_MAX 256
/* So many parameters a server may report, at its login and later; PostgreSQL 18 has 16, extensions a few more. */
#define SERVER_REPORTED_MAX 128
struct server_facts {
	struct params *reported; /* what it reported; owned by the conversation */
	uint32_t process_id;
	uint8_t secret[SERVER_SECRET_MAX];
	size_t secret_length;
	char sqlstate[6];
	char problem[160];
	bool told; /* sqlstate and problem are the server's own words */
	/* Whose limit of connections was met, when it refused for that (53300): the texts are translated, so PostgreSQL's routines
	 * tell (InitializeSessionUserId in miscinit.c, CheckMyDatabase in postinit.c). */
	enum server_limit { LIMIT_OF_SERVER, LIMIT_OF_ROLE, LIMIT_OF_DATABASE } limit;
};
const struct server_facts *server_login_facts(const struct server *);

#endif
