/* Logging in as a client: trust, cleartext, md5 and SCRAM-SHA-256 (RFC 5802,
 * RFC 7677; without channel binding). Messages are collected whole, since a
 * login is small and seldom. See load.h. */
#include "load.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { HASH = 32, IN_MAX = 16384 };

struct login {
	const char *user, *database, *password, *options, *application;
	uint8_t out[1024];
	uint8_t in[IN_MAX];
	size_t in_length;
	char nonce[32], first_bare[64];
	char error[200];
};

struct login *login_new(
	const char *user, const char *database, const char *password, const char *options, const char *application)
{
	struct login *l = must_have(calloc(1, sizeof(*l)));

	l->user = user;
	l->database = database;
	l->password = password;
	l->options = options;
	l->application = application;
	return l;
}

void login_free(struct login *l)
{
	free(l);
}

static size_t put_pair(uint8_t *at, const char *name, const char *value)
{
	size_t length = strlen(name) + 1, more = strlen(value) + 1;

	if (length + more > 300)
		die("%s is too long", name);
	memcpy(at, name, length);
	memcpy(at + length, value, more);
	return length + more;
}

struct login_answer login_hello(struct login *l)
{
	size_t length = 8;

	length += put_pair(l->out + length, "user", l->user);
	length += put_pair(l->out + length, "database", l->database);
	if (l->options != NULL)
		length += put_pair(l->out + length, "options", l->options);
	if (l->application != NULL)
		length += put_pair(l->out + length, "application_name", l->application);
	l->out[length++] = 0;
	be32_put(l->out, (uint32_t)length);
	be32_put(l->out + 4, 3 << 16);
	return (struct login_answer){ .bytes = l->out, .length = length };
}

void login_error_text(const uint8_t *body, size_t length, char *text, size_t size)
{
	const char *state = "?", *words = "?";

	for (size_t at = 0; at < length && body[at] != 0; at += strlen((const char *)body + at) + 1) {
		if (body[at] == 'C')
			state = (const char *)body + at + 1;
		else if (body[at] == 'M')
			words = (const char *)body + at + 1;
	}
	snprintf(text, size, "%s: %s", state, words);
}

/* ---- proofs ---- */

static size_t put_password(struct login *l, const void *body, size_t length)
{
	l->out[0] = 'p';
	be32_put(l->out + 1, (uint32_t)length + 4);
	memmove(l->out + 5, body, length);
	return length + 5;
}

static void md5_hex(const void *first, size_t first_length, const void *second, size_t second_length, char *hex)
{
	EVP_MD_CTX *md = must_have(EVP_MD_CTX_new());
	uint8_t digest[16];

	EVP_DigestInit_ex(md, EVP_md5(), NULL);
	EVP_DigestUpdate(md, first, first_length);
	EVP_DigestUpdate(md, second, second_length);
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static size_t answer_md5(struct login *l, const uint8_t *salt)
{
	char inner[33], outer[36] = "md5";

	md5_hex(l->password, strlen(l->password), l->user, strlen(l->user), inner);
	md5_hex(inner, 32, salt, 4, outer + 3);
	return put_password(l, outer, 36);
}

static size_t answer_sasl(struct login *l)
{
	uint8_t body[128], random[18];
	char first[80];
	int length;

	if (RAND_bytes(random, sizeof(random)) != 1)
		die("no randomness");
	EVP_EncodeBlock((unsigned char *)l->nonce, random, sizeof(random));
	snprintf(l->first_bare, sizeof(l->first_bare), "n=,r=%s", l->nonce);
	length = snprintf(first, sizeof(first), "n,,%s", l->first_bare);
	memcpy(body, "SCRAM-SHA-256", 14);
	be32_put(body + 14, (uint32_t)length);
	memcpy(body + 18, first, (size_t)length);
	return put_password(l, body, 18 + (size_t)length);
}

static void hmac(const uint8_t *key, const char *text, uint8_t *out)
{
	unsigned length = HASH;

	HMAC(EVP_sha256(), key, HASH, (const unsigned char *)text, strlen(text), out, &length);
}

/* Copy the value of the attribute at *at and step behind its comma. */
static bool take_attribute(const char **at, const char *name, char *value, size_t size)
{
	size_t length;

	if (strncmp(*at, name, 2) != 0)
		return false;
	*at += 2;
	length = strcspn(*at, ",");
	if (length >= size)
		return false;
	memcpy(value, *at, length);
	value[length] = '\0';
	*at += length + ((*at)[length] == ',');
	return true;
}

/* server-first: r=NONCE,s=SALT,i=COUNT. Returns 0 if it is not that. */
static size_t answer_scram(struct login *l, const char *server_first)
{
	char nonce[128], salt64[128], count[16], final_bare[200], words[800], proof64[64];
	uint8_t salt[128], salted[HASH], client_key[HASH], stored[HASH], signature[HASH];
	int salt_length;
	long iterations;
	unsigned length = HASH;
	const char *server_at = server_first;

	if (!take_attribute(&server_at, "r=", nonce, sizeof(nonce)) ||
		!take_attribute(&server_at, "s=", salt64, sizeof(salt64)) ||
		!take_attribute(&server_at, "i=", count, sizeof(count)))
		return 0;
	iterations = strtol(count, NULL, 10);
	if (iterations < 1 || iterations > 10000000)
		return 0;
	salt_length = EVP_DecodeBlock(salt, (const unsigned char *)salt64, (int)strlen(salt64));
	for (size_t at = strlen(salt64); at > 0 && salt64[at - 1] == '='; at--)
		salt_length--;
	if (salt_length < 0 ||
		PKCS5_PBKDF2_HMAC(l->password, (int)strlen(l->password), salt, salt_length, (int)iterations,
			EVP_sha256(), HASH, salted) != 1)
		return 0;
	snprintf(final_bare, sizeof(final_bare), "c=biws,r=%s", nonce);
	snprintf(words, sizeof(words), "%s,%s,%s", l->first_bare, server_first, final_bare);
	hmac(salted, "Client Key", client_key);
	EVP_Digest(client_key, HASH, stored, &length, EVP_sha256(), NULL);
	hmac(stored, words, signature);
	for (int i = 0; i < HASH; i++)
		signature[i] ^= client_key[i];
	EVP_EncodeBlock((unsigned char *)proof64, signature, HASH);
	snprintf(words, sizeof(words), "%s,p=%s", final_bare, proof64);
	return put_password(l, words, strlen(words));
}

static size_t answer_authentication(struct login *l, const uint8_t *body, size_t length)
{
	char text[400];

	switch (be32_get(body)) {
	case 3:
		return put_password(l, l->password, strlen(l->password) + 1);
	case 5:
		return answer_md5(l, body + 4);
	case 10:
		return answer_sasl(l);
	case 11:
		snprintf(text, sizeof(text), "%.*s", (int)(length - 4), (const char *)body + 4);
		return answer_scram(l, text);
	default:
		return 0; /* ok, and the server's last word of SCRAM, which a benchmark believes */
	}
}

struct login_answer login_take(struct login *l, const uint8_t *bytes, size_t length)
{
	struct login_answer answer = { .bytes = l->out };
	size_t at = 0;

	if (length > IN_MAX - l->in_length)
		return (struct login_answer){ .failed = "the server says too much at login" };
	memcpy(l->in + l->in_length, bytes, length);
	l->in_length += length;
	while (l->in_length - at >= 5 && l->in_length - at > be32_get(l->in + at + 1)) {
		const uint8_t *body = l->in + at + 5;
		size_t size = be32_get(l->in + at + 1);

		if (size < 4)
			return (struct login_answer){ .failed = "the server speaks something else" };
		size -= 4;
		if (l->in[at] == 'R' && size >= 4) {
			answer.length = answer_authentication(l, body, size);
		} else if (l->in[at] == 'E') {
			login_error_text(body, size, l->error, sizeof(l->error));
			return (struct login_answer){ .failed = l->error };
		} else if (l->in[at] == 'Z') {
			answer.ready = true;
		}
		at += 5 + size;
	}
	memmove(l->in, l->in + at, l->in_length - at);
	l->in_length -= at;
	return answer;
}
