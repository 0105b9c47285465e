/* SHA-256 through OpenSSL's old functions: they own no memory and can not fail, and PBKDF2 on top of
 * SHA256_Transform is the fastest there is (see below). OpenSSL 3 marks them deprecated in favour of EVP,
 * whose contexts live on the heap and whose every call may be refused. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "auth/digest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "base/text.h"

/* PBKDF2 is a chain of HMACs under one key, and an HMAC of 32 bytes is two compressions once the key's two
 * blocks are done:
 *
 *   password -> [ipad block] -> inner state --+            copied for every turn, never computed again
 *            -> [opad block] -> outer state --|--+
 *                                             v  |
 *   turn:  block of (last 32 bytes + padding) -> inner -> block -> outer -> next 32 bytes, xor into the result
 *
 * The padding never changes, so both blocks are laid out once. PKCS5_PBKDF2_HMAC gives the same bytes and takes
 * five times as long, most of it for copying its contexts. */

bool md5_hex(char out[MD5_HEX_LENGTH + 1], struct span a, struct span b)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	bool done;

	done = md5 && EVP_DigestInit_ex(md5, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(md5, a.at, a.length) == 1 &&
		EVP_DigestUpdate(md5, b.at, b.length) == 1 && EVP_DigestFinal_ex(md5, sum, NULL) == 1;
	EVP_MD_CTX_free(md5);
	for (size_t i = 0; i < MD5_HEX_LENGTH / 2; i++) {
		out[2 * i] = done ? digits[sum[i] >> 4] : '-';
		out[2 * i + 1] = done ? digits[sum[i] & 15] : '-';
	}
	out[MD5_HEX_LENGTH] = 0;
	secret_wipe(sum, sizeof sum);
	return done;
}

void sha256(uint8_t out[SHA256_LENGTH], struct span a, struct span b)
{
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, a.at, a.length);
	SHA256_Update(&sha, b.at, b.length);
	SHA256_Final(out, &sha);
	secret_wipe(&sha, sizeof sha);
}

/* What HMAC's key leaves behind: both hashes with their first block taken in. */
struct hmac_key {
	SHA256_CTX inner, outer;
};

static void hmac_key_init(struct hmac_key *k, struct span key)
{
	uint8_t block[SHA256_CBLOCK] = { 0 };

	if (key.length > sizeof block)
		sha256(block, key, span_of(NULL, 0));
	else if (key.length > 0)
		memcpy(block, key.at, key.length);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36;
	SHA256_Init(&k->inner);
	SHA256_Update(&k->inner, block, sizeof block);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&k->outer);
	SHA256_Update(&k->outer, block, sizeof block);
	secret_wipe(block, sizeof block);
}

static void hmac_with(const struct hmac_key *k, uint8_t out[SHA256_LENGTH], struct span a, struct span b)
{
	SHA256_CTX sha = k->inner;
	uint8_t sum[SHA256_LENGTH];

	SHA256_Update(&sha, a.at, a.length);
	SHA256_Update(&sha, b.at, b.length);
	SHA256_Final(sum, &sha);
	sha = k->outer;
	SHA256_Update(&sha, sum, sizeof sum);
	SHA256_Final(out, &sha);
	secret_wipe(sum, sizeof sum);
	secret_wipe(&sha, sizeof sha);
}

void hmac_sha256(uint8_t out[SHA256_LENGTH], struct span key, struct span text)
{
	struct hmac_key k;

	hmac_key_init(&k, key);
	hmac_with(&k, out, text, span_of(NULL, 0));
	secret_wipe(&k, sizeof k);
}

/* One compression over `block`, from the state that the key left; the sum replaces the block's first half. */
static inline void compress(const SHA256_CTX *keyed, uint8_t block[SHA256_CBLOCK])
{
	SHA256_CTX sha = *keyed;

	SHA256_Transform(&sha, block);
	for (int i = 0; i < 8; i++) {
		uint32_t word = __builtin_bswap32(sha.h[i]);

		memcpy(block + 4 * i, &word, 4);
	}
}

void pbkdf2_sha256(uint8_t out[SHA256_LENGTH], struct span password, struct span salt, uint32_t iterations)
{
	static const uint8_t first_block[4] = { 0, 0, 0, 1 };
	/* Room for the sum, then SHA-256's padding: one bit, zeros, and the length of key block and sum in bits. */
	uint8_t block[SHA256_CBLOCK] = { [SHA256_LENGTH] = 0x80,
		[62] = (SHA256_CBLOCK + SHA256_LENGTH) * 8 >> 8,
		[63] = (SHA256_CBLOCK + SHA256_LENGTH) * 8 & 0xff };
	struct hmac_key k;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "compress() swaps bytes for little-endian machines");
	check(iterations > 0);
	hmac_key_init(&k, password);
	hmac_with(&k, block, salt, span_of(first_block, sizeof first_block));
	memcpy(out, block, SHA256_LENGTH);
	while (--iterations > 0) {
		compress(&k.inner, block);
		compress(&k.outer, block);
		for (size_t i = 0; i < SHA256_LENGTH; i++)
			out[i] ^= block[i];
	}
	secret_wipe(block, sizeof block);
	secret_wipe(&k, sizeof k);
}

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_write(char *out, const void *bytes, size_t n)
{
	const uint8_t *in = bytes;
	char *to = out;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)in[i] << 16;

		if (i + 1 < n)
			three |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < n)
			three |= in[i + 2];
		*to++ = base64_letters[three >> 18];
		*to++ = base64_letters[three >> 12 & 63];
		*to++ = i + 1 < n ? base64_letters[three >> 6 & 63] : '=';
		*to++ = i + 2 < n ? base64_letters[three & 63] : '=';
	}
	*to = 0;
	return (size_t)(to - out);
}

/* The value of a letter, or 64. No table: keys and proofs pass here, and a table's cache lines could tell of them. */
static unsigned base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int base64_read(uint8_t *out, size_t size, struct span text)
{
	size_t n = 0, padding = 0;

	if (text.length % 4 != 0 || text.length > (size_t)INT32_MAX)
		return -1;
	while (padding < 2 && text.length > padding && text.at[text.length - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.length; i += 4) {
		size_t letters = i + 4 == text.length ? 4 - padding : 4;
		uint32_t four = 0;

		for (size_t j = 0; j < letters; j++) {
			unsigned value = base64_value(text.at[i + j]);

			if (value > 63)
				return -1;
			four |= value << (18 - 6 * j);
		}
		/* One spelling for each value: bits that fall off the end must be zero. */
		if ((letters == 2 && (four & 0xffff)) || (letters == 3 && (four & 0xff)))
			return -1;
		if (letters - 1 > size - n)
			return -1;
		for (size_t j = 0; j + 1 < letters; j++)
			out[n++] = (uint8_t)(four >> (16 - 8 * j));
	}
	return (int)n;
}
