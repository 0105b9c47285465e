#ifndef PGWEIR_AUTH_SECRETS_H
#define PGWEIR_AUTH_SECRETS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/span.h"

/* The users of auth_file and their secrets, as one immutable, counted value: a reload makes a new one.
 * File form: "user" "secret" per line, "" stands for a quote, ';' begins a comment line, the rest of a line is ignored. */

enum secret_kind {
	SECRET_NONE, /* an empty secret: this user can not log in by password */
	SECRET_PLAIN,
	SECRET_MD5,  /* "md5" and 32 hexadecimal digits of md5(password + user) */
	SECRET_SCRAM /* "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey" */
};

#define SCRAM_KEY_LENGTH 32
#define SCRAM_SALT_MAX   256
#define SECRET_MAX       65530 /* bytes of a secret */
#define USER_NAME_MAX    127

struct scram_verifier {
	uint32_t iterations;
	uint16_t salt_length;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored_key[SCRAM_KEY_LENGTH], server_key[SCRAM_KEY_LENGTH];
};

struct secret {
	enum secret_kind kind;
	char *text; /* terminated, as in the file; wiped when freed */
	_Atomic(struct scram_verifier *)
		verifier; /* SECRET_SCRAM: parsed. SECRET_PLAIN: made at first need, see secret_verifier */
};

struct secrets;

/* Read the text of an auth_file. On a broken line: NULL, and `error` says the line and what is wrong with it. */
struct secrets *secrets_parse(struct span text, char *error, size_t error_size);
struct secrets *secrets_keep(struct secrets *);
void secrets_drop(struct secrets *);

/* The rules of auth_hba_file, which live as long as the users: given before anybody else has the value. NULL: there are none. */
struct hba;
void secrets_take_hba(struct secrets *, struct hba *);
const struct hba *secrets_hba(const struct secrets *);

/* The user's secret, borrowed as long as `secrets` is kept; NULL when there is no such user. */
const struct secret *secrets_find(const struct secrets *, struct span user);

/* The name of user `i` in the file's order, borrowed; NULL: there are not so many. For SHOW USERS. */
const char *secrets_name(const struct secrets *, size_t i);

/* A value with this one user, whose secret came from elsewhere. NULL: memory refused. */
struct secrets *secrets_one(struct span user, struct span secret);

/* What a user who is not there pretends to have, so that he can not be told from one who is: a SCRAM secret, with the share of those in the
 * file; iterations and the salt's length are those of some secret there, 0: those of verifiers that we make. Always the same for one name in
 * one process (`process` as in login.h). For login_setup.mock. */
struct secret_mock {
	bool scram;
	uint32_t iterations;
	size_t salt_length;
};
struct secret_mock secrets_mock(const struct secrets *, struct span user, const uint8_t process[32]);

/* Who is like this one, SCRAM or not. */
struct secret_mock secret_mock_like(const struct secret *);

/* Make a secret from its text ("md5...", "SCRAM-SHA-256$..." or plain); for [databases] password=. False: refused memory. */
bool secret_init(struct secret *, struct span text);
void secret_fini(struct secret *);

/* The SCRAM verifier of a SCRAM or plain secret, made once for a plain one from `salt` and `iterations` and then kept
 * (thread-safe: the first maker wins). NULL for the other kinds. */
const struct scram_verifier *secret_verifier(const struct secret *, const uint8_t salt[16], uint32_t iterations);

/* SCRAM client keys recovered from successful logins, so that servers can be reached by pass-through: kept with the secrets,
 * thread-safe, wiped with them. get: false when none was recovered for this user yet. */
void secrets_put_client_key(struct secrets *, struct span user, const uint8_t key[SCRAM_KEY_LENGTH]);
bool secrets_get_client_key(const struct secrets *, struct span user, uint8_t key[SCRAM_KEY_LENGTH]);

#endif
