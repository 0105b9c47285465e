#ifndef PGWEIR_SESSION_CLIENT_STATE_H
#define PGWEIR_SESSION_CLIENT_STATE_H

#include "session/client.h"

/* What the files of a client's login share among themselves: client_hello.c has what comes before the proof, client.c the rest. */

enum client_state {
	STATE_HELLO,
	STATE_SECURING,
	STATE_ENTERING,
	STATE_JUDGING,
	STATE_ASKING,
	STATE_PROVING,
	STATE_VOUCHING,
	STATE_PROVEN,
	STATE_OVER
};

/* What few clients need. */
struct client_rare {
	uint8_t cancel_secret[256];
	char system_user[128], host[256];
	struct buf unknown; /* protocol options that it asks for, each with its zero */
	size_t unknown_count;
};

/* There is one for each connection that has not logged in yet; malloc keeps what has less than 1,032 bytes at hand. */
struct client {
	enum client_state state;
	struct config *config;
	struct secrets *secrets;
	struct params_book *book;
	struct login *login;
	enum auth_method method; /* by which it proves itself */
	unsigned rule;           /* of auth_hba_file, which said so */
	struct secret_mock mock; /* of who was looked up in vain */
	struct client_facts facts;
	char *user, *database;
	uint8_t random[64], process_random[32];
	bool has_random;
	char peer_host[160];
	struct hba_peer peer;
	struct client_rare *rare; /* see client_rare */
	struct roles *roles;
	bool local_owner;
	enum client_tls tls;
	bool secure;
	bool asked_ssl, asked_gss; /* for encryption: each may be asked for once */
	uint8_t binding[64];
	size_t binding_length;
	struct buf names; /* in its certificate */
	uint32_t asked;   /* the protocol asked for */
	char refusal[256];
};

_Static_assert(sizeof(struct client) <= 1032, "as is said above");

/* NULL: memory refused. */
struct client_rare *client_rare(struct client *);

/* End it with this message. */
enum client_edge refuse(struct client *, struct buf *out, const char *sqlstate, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static inline bool bouncer(const struct client *client)
{
	return client->config->manner == MANNER_PGBOUNCER;
}

static inline enum client_edge out_of_memory(struct client *client, struct buf *out)
{
	return refuse(client, out, SQLSTATE_OUT_OF_MEMORY, "out of memory");
}

/* Bytes in STATE_HELLO; `used`: how many are done with. */
enum client_edge client_take_hello(struct client *, struct span bytes, size_t *used, struct buf *out);

#endif
