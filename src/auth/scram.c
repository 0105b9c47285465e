#include "auth/scram.h"

#include "auth/saslprep.h"
#include "base/check.h"
#include "base/text.h"

/* SCRAM in one picture; every arrow to the right is a hash that can not be undone:
 *
 *   password --PBKDF2(salt, iterations)--> SaltedPassword --HMAC "Client Key"--> ClientKey --SHA-256--> StoredKey
 *                                                         --HMAC "Server Key"--> ServerKey
 *
 * Who has StoredKey and ServerKey (the verifier) can check a client and prove himself a server. A client proves that it
 * has ClientKey by sending it under a mask that only owners of StoredKey can take off:
 *
 *   proof = ClientKey xor HMAC(StoredKey, all messages)
 *
 * so that we, who check the proof, see ClientKey afterwards: that is what pass-through lives on. */

void scram_stored_key(uint8_t stored[SCRAM_KEY_LENGTH], const uint8_t client_key[SCRAM_KEY_LENGTH])
{
	sha256(stored, span_of(client_key, SCRAM_KEY_LENGTH), span_of(NULL, 0));
}

bool scram_keys_make(struct scram_keys *keys, struct span password, struct span salt, uint32_t iterations)
{
	uint8_t salted[SCRAM_KEY_LENGTH];
	struct buf prepared = { 0 };

	if (!saslprep(&prepared, password)) {
		buf_wipe(&prepared);
		return false;
	}
	pbkdf2_sha256(salted, buf_span(&prepared), salt, iterations);
	buf_wipe(&prepared);
	hmac_sha256(keys->client_key, span_of(salted, sizeof salted), span_text("Client Key"));
	hmac_sha256(keys->server_key, span_of(salted, sizeof salted), span_text("Server Key"));
	scram_stored_key(keys->stored_key, keys->client_key);
	secret_wipe(salted, sizeof salted);
	return true;
}

/* Everything before the first `end`, taken off the front with it. */
static bool take_until(struct span *text, char end, struct span *out)
{
	const uint8_t *found = text->length ? memchr(text->at, end, text->length) : NULL;

	if (!found)
		return false;
	*out = span_of(text->at, (size_t)(found - text->at));
	*text = span_skip(*text, out->length + 1);
	return true;
}

bool scram_iterations_read(struct span text, uint32_t *out)
{
	uint32_t value = 0;

	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || value > SCRAM_ITERATIONS_MAX / 10)
			return false;
		value = value * 10 + (text.at[i] - '0');
	}
	*out = value;
	return value >= 1 && value <= SCRAM_ITERATIONS_MAX;
}

bool scram_verifier_parse(struct scram_verifier *v, struct span text)
{
	struct span mechanism, iterations, salt, stored;
	int length;

	if (!take_until(&text, '$', &mechanism) || !span_is(mechanism, SCRAM_MECHANISM) ||
		!take_until(&text, ':', &iterations) || !scram_iterations_read(iterations, &v->iterations) ||
		!take_until(&text, '$', &salt) || !take_until(&text, ':', &stored))
		return false;
	length = base64_read(v->salt, sizeof v->salt, salt);
	if (length <= 0)
		return false;
	v->salt_length = (uint16_t)length;
	return base64_read(v->stored_key, SCRAM_KEY_LENGTH, stored) == SCRAM_KEY_LENGTH &&
		base64_read(v->server_key, SCRAM_KEY_LENGTH, text) == SCRAM_KEY_LENGTH;
}

static void mask(uint8_t out[SCRAM_KEY_LENGTH], const uint8_t in[SCRAM_KEY_LENGTH],
	const uint8_t stored_key[SCRAM_KEY_LENGTH], struct span messages)
{
	uint8_t signature[SCRAM_KEY_LENGTH];

	hmac_sha256(signature, span_of(stored_key, SCRAM_KEY_LENGTH), messages);
	for (size_t i = 0; i < SCRAM_KEY_LENGTH; i++)
		out[i] = in[i] ^ signature[i];
	secret_wipe(signature, sizeof signature);
}

void scram_proof(uint8_t proof[SCRAM_KEY_LENGTH], const uint8_t client_key[SCRAM_KEY_LENGTH], struct span messages)
{
	uint8_t stored_key[SCRAM_KEY_LENGTH];

	scram_stored_key(stored_key, client_key);
	mask(proof, client_key, stored_key, messages);
	secret_wipe(stored_key, sizeof stored_key);
}

bool scram_proof_fits(const uint8_t proof[SCRAM_KEY_LENGTH], const uint8_t stored_key[SCRAM_KEY_LENGTH],
	struct span messages, uint8_t client_key[SCRAM_KEY_LENGTH])
{
	uint8_t stored[SCRAM_KEY_LENGTH];

	mask(client_key, proof, stored_key, messages);
	scram_stored_key(stored, client_key);
	return secret_equal(stored, stored_key, sizeof stored);
}

bool scram_take(struct span *message, char name, struct span *value)
{
	struct span rest = *message;

	if (rest.length < 2 || rest.at[0] != (uint8_t)name || rest.at[1] != '=')
		return false;
	rest = span_skip(rest, 2);
	if (take_until(&rest, ',', value)) {
		/* A comma promises another attribute. */
		if (rest.length == 0)
			return false;
	} else {
		*value = rest;
		rest = span_skip(rest, rest.length);
	}
	*message = rest;
	return true;
}

bool scram_nonce_ok(struct span nonce)
{
	if (nonce.length == 0 || nonce.length > SCRAM_NONCE_MAX)
		return false;
	for (size_t i = 0; i < nonce.length; i++) {
		if (nonce.at[i] <= ' ' || nonce.at[i] > '~' || nonce.at[i] == ',')
			return false;
	}
	return true;
}

const char *scram_header(char flag)
{
	switch (flag) {
	case 'p':
		return "p=" SCRAM_BINDING ",,";
	case 'y':
		return "y,,";
	default:
		return "n,,";
	}
}

void scram_channel_write(char out[SCRAM_CHANNEL_LENGTH + 1], char flag, struct span binding)
{
	uint8_t bytes[sizeof "p=" SCRAM_BINDING ",," + SCRAM_BINDING_MAX];
	const char *header = scram_header(flag);
	size_t length = strlen(header);

	check(binding.length <= SCRAM_BINDING_MAX);
	memcpy(bytes, header, length);
	if (flag == 'p' && binding.length > 0) {
		memcpy(bytes + length, binding.at, binding.length);
		length += binding.length;
	}
	base64_write(out, bytes, length);
}
