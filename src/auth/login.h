#ifndef PGWEIR_AUTH_LOGIN_H
#define PGWEIR_AUTH_LOGIN_H

#include "auth/secrets.h"
#include "base/writer.h"

/* A client proves who it is, to us: a pure conversation. No sockets, no clock; messages go out through a writer, the
 * client's 'p' messages come in as bodies. An unknown user goes through the same motions as a known one with a wrong
 * password, in the same shape and, as far as we can, the same time. */

enum auth_method {
	AUTH_ANY,
	AUTH_TRUST,
	AUTH_PLAIN,
	AUTH_MD5,
	AUTH_SCRAM,
	AUTH_HBA,  /* only as auth_type: a rule names one of the others */
	AUTH_CERT, /* likewise: TLS has proven it already, and who asks here has looked (hba_is_named) */
	AUTH_PAM,  /* a password in clear, which somebody else judges; who is unknown here may be known there */
	AUTH_LDAP
};

enum login_result {
	LOGIN_MORE,      /* wait for the client's next 'p' message */
	LOGIN_OK,        /* proven; AuthenticationOk is not written here, the session does that */
	LOGIN_ELSEWHERE, /* login_password is to be judged by PAM or LDAP; this conversation is over */
	LOGIN_FAILED,    /* wrong password, unknown user, or a secret that this method can not check */
	LOGIN_BROKEN     /* the client broke the protocol of the exchange: `login_problem` says how */
};

struct login_setup {
	enum auth_method method; /* AUTH_MD5 with a SCRAM secret becomes SCRAM, as PgBouncer does */
	struct span user;
	const struct secret *secret; /* borrowed during the conversation; NULL: unknown user */
	struct secret_mock
		mock; /* unknown user: what to pretend; SCRAM or not under AUTH_MD5 and AUTH_PLAIN. See secrets_mock */
	uint32_t scram_iterations;
	const uint8_t *
		random; /* 64 fresh random bytes: salts and nonces come from here; NULL: none, where login_draws says no */
	struct span
		binding; /* what ties it to this TLS connection (tls-server-end-point), copied; empty: there is nothing to tie it to */
	const uint8_t *
		process; /* 32 random bytes, the same for the life of the process: for mock exchanges and the salt of plain secrets */
};

struct login;

/* Does it take random bytes to log in by this method (HBA: by one that may be chosen)? */
bool login_draws(enum auth_method);

/* NULL: memory refused. Writes the first request (nothing for ANY and TRUST, which answer OK at once: TRUST only for a known user). */
struct login *login_new(const struct login_setup *, struct writer *, enum login_result *);
enum login_result login_take(struct login *, struct span body, struct writer *);
void login_free(struct login *); /* wipes */

/* After LOGIN_BROKEN, for the client: "client selected an invalid SASL authentication mechanism", "empty password returned by client" ... */
const char *login_problem(const struct login *);

/* After LOGIN_FAILED: "password authentication failed" and the like in PgBouncer's words, by method
 * ("trust" authentication failed / password authentication failed / SASL authentication failed). */
const char *login_refusal(const struct login *);

/* After LOGIN_FAILED, for the log alone, since it tells who is known: "no such user", "wrong password" ... NULL: PAM or a directory
 * has judged. */
const char *login_reason(const struct login *);

/* After LOGIN_OK by SCRAM: the client key recovered from the proof. False otherwise. */
bool login_client_key(const struct login *, uint8_t key[SCRAM_KEY_LENGTH]);

/* After LOGIN_ELSEWHERE, or LOGIN_OK by a cleartext password: the password itself, borrowed; empty otherwise. */
struct span login_password(const struct login *);

#endif
