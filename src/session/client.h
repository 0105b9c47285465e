#ifndef PGWEIR_SESSION_CLIENT_H
#define PGWEIR_SESSION_CLIENT_H

#include "auth/hba.h"
#include "base/buf.h"
#include "config/config.h"
#include "session/driver.h"
#include "session/params.h"
#include "wire/message.h"

/* A client's login as a pure conversation: bytes in; bytes and edges out. It ends when the client has proven who it is; what
 * follows (which pool, what the server reports) is said by those who know.
 *
 *   HELLO --startup--> [edge ENTERS] --admit--> (ASKING [edge ASKS] --found-->) PROVING --proof--> [edge PROVEN]
 *     |                    (JUDGING [edges ASKS_ROLES, ASKS_HOST] --told-->)       (VOUCHING [edge VOUCHES] --vouched--> [edge PROVEN])
 *     | SSLRequest: 'S', [edge SECURE] --client_secured--> HELLO, once; or 'N', stay, as for GSSENCRequest
 *     | CancelRequest: [edge CANCEL]                +-- refused: [edge REFUSED] after the last words were written
 */
struct secrets;

enum client_edge {
	CLIENT_MORE, /* nothing to report; wait for more bytes */
	CLIENT_SECURE, /* 'S' was written: send it, begin TLS, then client_secured; `direct`: TLS began by itself, nothing was used */
	CLIENT_CANCEL,     /* a cancel request: cancel_process and cancel_secret are set; close without an answer */
	CLIENT_ENTERS,     /* a startup packet was understood: ask the door, then client_admit */
	CLIENT_ASKS_ROLES, /* a rule of auth_hba_file depends on its roles: find them out, then client_told_roles */
	CLIENT_ASKS_HOST,  /* ... on the name of its host: client_told_host */
	CLIENT_ASKS,       /* its secret is not known here: ask auth_query (config_auth_lookup), then client_found */
	CLIENT_VOUCHES,    /* PAM or LDAP is to be asked about its password (client_question), then client_vouched */
	CLIENT_PROVEN,     /* user and database are set; the client is who it says */
	CLIENT_REFUSED,    /* the reason was written to `out`: send it, then close. `refusal` has it for the log */
	CLIENT_GONE        /* close without a word */
};

/* Whether a connection is one for replication (PostgreSQL manual 55.4), and of which kind. */
enum replication { REPLICATION_NONE, REPLICATION_LOGICAL, REPLICATION_PHYSICAL };

enum client_tls { CLIENT_TLS_NEVER, CLIENT_TLS_MAY, CLIENT_TLS_MUST };

struct client_setup {
	struct config *config;   /* kept (counted) as long as the conversation lasts */
	struct secrets *secrets; /* kept too; may be NULL: no users are known */
	struct params_book *params;
	const uint8_t *process_random; /* 32 bytes, see auth/login.h */
	const uint8_t *random;         /* 64 fresh bytes, copied; NULL: none, where login_draws says no of auth_type */
	const char *peer_host; /* for application_name_add_host and a refusal by auth_hba_file, else NULL; copied */
	struct hba_peer peer;  /* for auth_type=hba; copied */
	enum client_tls tls;
	bool local_owner; /* a unix socket whose peer runs as we do: may be `pgbouncer` without a password */
};

struct client;                                          /* the conversation */
struct client *client_new(const struct client_setup *); /* NULL: memory refused */
void client_free(struct client *);                      /* wipes */

/* Feed unread bytes. `used` is how many are done with. */
enum client_edge client_take(struct client *, struct span bytes, size_t *used, struct buf *out);

/* TLS stands, as was asked for. What is known of it; copied. */
struct client_channel {
	struct span binding; /* see auth/login.h */
	bool certificate;    /* the client has shown a good one, with these names: see auth/hba.h */
	struct span names;
};
bool client_secured(struct client *, const struct client_channel *); /* false: memory refused */

/* The door is open: begin the proof. */
enum client_edge client_admit(struct client *, struct buf *out);

/* What was found out for a rule; NULL: nobody can tell, and the log says why. Kept (counted); copied. */
enum client_edge client_told_roles(struct client *, struct roles *, struct buf *out);
enum client_edge client_told_host(struct client *, const char *host, struct buf *out);

/* What auth_query found: this user alone; NULL: nobody, who goes through the same motions as `mock`. Kept (counted). */
enum client_edge client_found(struct client *, struct secrets *found, struct secret_mock mock, struct buf *out);

/* What is to be asked: all is borrowed until client_vouched or client_free. */
struct client_question {
	enum auth_method method; /* AUTH_PAM, AUTH_LDAP */
	struct span password;
	const char *options; /* PAM: the service's name, or empty; LDAP: see base/directory.h */
};
void client_question(const struct client *, struct client_question *);
enum client_edge client_vouched(struct client *, bool yes, struct buf *out);

/* Say no in the right form (and what the log gets). Always returns CLIENT_REFUSED. */
enum client_edge client_refuse(struct client *, const struct complaint *, struct buf *out);

/* What the startup packet said; valid from ENTERS on, owned by the conversation. */
struct client_facts {
	struct span user, database;
	struct params *params; /* what it asked for: settings of `options` and startup keys */
	uint32_t protocol;     /* the one in use: 3.0 or 3.2 */
	enum replication replication;
	bool console;       /* it asked for one of our own databases */
	bool console_admin; /* once PROVEN: may do more than SHOW */
	bool direct;        /* with SECURE */
	struct driver_manner manner;
	uint32_t cancel_process;
	struct span cancel_secret;
	const char *refusal;
	bool looked_up;        /* auth_query was asked */
	struct secrets *found; /* ... and knew the user; owned by the conversation */
	bool nobody;           /* its proof is for show: no such user is known. For the log alone */
};
const struct client_facts *client_facts(const struct client *);

/* Nobody logs in; it is only to be found out what the secret of this user of the console is. Before anything else. False: memory refused. */
bool client_about(struct client *, struct span user);

/* After PROVEN: the welcome. What the server reported (may be NULL), the cancel key, ReadyForQuery. False: memory refused. */
bool client_welcome(
	struct client *, const struct params *reported, uint32_t process_id, struct span secret, struct buf *out);

#endif
