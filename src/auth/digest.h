#ifndef PGWEIR_AUTH_DIGEST_H
#define PGWEIR_AUTH_DIGEST_H

#include "base/span.h"

/* The hashes that passwords are checked with, and base64. Private to auth/. */

#define SHA256_LENGTH  32
#define MD5_HEX_LENGTH 32

/* md5(a followed by b) as 32 lower-case digits and a zero. False: this machine's OpenSSL refuses MD5 (FIPS). */
bool md5_hex(char out[MD5_HEX_LENGTH + 1], struct span a, struct span b);

void sha256(uint8_t out[SHA256_LENGTH], struct span a, struct span b);

/* HMAC-SHA-256 (RFC 2104). `out` may be the key. */
void hmac_sha256(uint8_t out[SHA256_LENGTH], struct span key, struct span text);

/* PBKDF2 with HMAC-SHA-256 for one block of output (RFC 8018, section 5.2; RFC 5802 calls it Hi). iterations > 0. */
void pbkdf2_sha256(uint8_t out[SHA256_LENGTH], struct span password, struct span salt, uint32_t iterations);

/* The size of `n` bytes as base64, without a zero. */
#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(n) characters and a zero. Returns the length. */
size_t base64_write(char *out, const void *bytes, size_t n);

/* Strict: padded, nothing foreign, no stray bits. Returns the length, or -1 when malformed or longer than `size`. */
int base64_read(uint8_t *out, size_t size, struct span text);

#endif
