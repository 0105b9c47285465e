#ifndef PGWEIR_AUTH_SCRAM_H
#define PGWEIR_AUTH_SCRAM_H

#include "auth/digest.h"
#include "auth/secrets.h"
#include "base/buf.h"

/* What both sides of SCRAM-SHA-256 share (RFC 5802, RFC 7677, and "SASL Authentication" in PostgreSQL's protocol
 * chapter): keys, proofs and the shape of messages. Private to auth/. */

#define SCRAM_MECHANISM      "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"   /* bound to the TLS connection */
#define SCRAM_BINDING        "tls-server-end-point" /* RFC 5929, the only kind that PostgreSQL has */
#define SCRAM_BINDING_MAX    64
#define SCRAM_NONCE_BYTES    18  /* random bytes in a nonce of ours, as PostgreSQL has it */
#define SCRAM_NONCE_MAX      512 /* of the other side's; drivers send 24 to 64 */
#define SCRAM_MESSAGE_MAX    4096
#define SCRAM_ITERATIONS_MAX 10000000
#define SCRAM_SALT_LENGTH    16 /* of verifiers that we make */

struct scram_keys {
	uint8_t client_key[SCRAM_KEY_LENGTH], stored_key[SCRAM_KEY_LENGTH], server_key[SCRAM_KEY_LENGTH];
};

/* The keys of a plain password. False: memory refused. */
bool scram_keys_make(struct scram_keys *, struct span password, struct span salt, uint32_t iterations);

/* StoredKey from ClientKey. */
void scram_stored_key(uint8_t stored[SCRAM_KEY_LENGTH], const uint8_t client_key[SCRAM_KEY_LENGTH]);

/* "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey". False: it is not one. */
bool scram_verifier_parse(struct scram_verifier *, struct span text);

/* Client: proof = ClientKey xor HMAC(StoredKey, messages). */
void scram_proof(uint8_t proof[SCRAM_KEY_LENGTH], const uint8_t client_key[SCRAM_KEY_LENGTH], struct span messages);

/* Server: does this proof belong to StoredKey? Always gives the ClientKey it stands for. */
bool scram_proof_fits(const uint8_t proof[SCRAM_KEY_LENGTH], const uint8_t stored_key[SCRAM_KEY_LENGTH],
	struct span messages, uint8_t client_key[SCRAM_KEY_LENGTH]);

/* Take the attribute `name` ("r=...") off the front of a message, with the comma behind it. False: it is not there. */
bool scram_take(struct span *message, char name, struct span *value);

/* What a client thinks of channel binding (RFC 5802, section 6): 'n': it can not, 'y': it could, but we seem not to, 'p': bound. The
 * header of client-first that says so; and attribute c= of client-final, which repeats it with the binding, in base64, terminated. */
#define SCRAM_CHANNEL_LENGTH BASE64_LENGTH(sizeof "p=" SCRAM_BINDING ",," + SCRAM_BINDING_MAX)
const char *scram_header(char flag);
void scram_channel_write(char out[SCRAM_CHANNEL_LENGTH + 1], char flag, struct span binding);

/* Printable ASCII without comma, not empty, not beyond SCRAM_NONCE_MAX (RFC 5802, section 7, "printable"). */
bool scram_nonce_ok(struct span nonce);

/* 1 to SCRAM_ITERATIONS_MAX in plain decimal. */
bool scram_iterations_read(struct span text, uint32_t *out);

#endif
