#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "auth/digest.h"
#include "base/rng.h"

static struct span unhex(const char *text, uint8_t *out)
{
	size_t n = 0;

	for (; text[2 * n]; n++) {
		unsigned value = 0;

		for (int i = 0; i < 2; i++) {
			char c = text[2 * n + (size_t)i];

			value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		out[n] = (uint8_t)value;
	}
	return span_of(out, n);
}

static void sha256_gives_what_the_standard_says(void **state)
{
	uint8_t out[SHA256_LENGTH], expected[SHA256_LENGTH];

	(void)state;
	sha256(out, span_text("a"), span_text("bc"));
	unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", expected);
	assert_memory_equal(out, expected, sizeof out);
	sha256(out, span_of(NULL, 0), span_of(NULL, 0));
	unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", expected);
	assert_memory_equal(out, expected, sizeof out);
}

/* RFC 4231, cases 2 and 6: a short key, and one longer than a block. */
static void hmac_gives_what_rfc_4231_says(void **state)
{
	uint8_t out[SHA256_LENGTH], expected[SHA256_LENGTH], key[131];

	(void)state;
	hmac_sha256(out, span_text("Jefe"), span_text("what do ya want for nothing?"));
	unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", expected);
	assert_memory_equal(out, expected, sizeof out);
	memset(key, 0xaa, sizeof key);
	hmac_sha256(out, span_of(key, sizeof key), span_text("Test Using Larger Than Block-Size Key - Hash Key First"));
	unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", expected);
	assert_memory_equal(out, expected, sizeof out);
}

/* RFC 7914, section 11; the first block of each. */
static void pbkdf2_gives_what_rfc_7914_says(void **state)
{
	uint8_t out[SHA256_LENGTH], expected[SHA256_LENGTH];

	(void)state;
	pbkdf2_sha256(out, span_text("passwd"), span_text("salt"), 1);
	unhex("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc", expected);
	assert_memory_equal(out, expected, sizeof out);
	pbkdf2_sha256(out, span_text("Password"), span_text("NaCl"), 80000);
	unhex("4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56", expected);
	assert_memory_equal(out, expected, sizeof out);
}

static void pbkdf2_agrees_with_openssl(void **state)
{
	uint8_t password[200], salt[100], ours[SHA256_LENGTH], theirs[SHA256_LENGTH];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7677);
	for (int i = 0; i < 300; i++) {
		size_t p = rng_below(&rng, sizeof password + 1), s = rng_below(&rng, sizeof salt + 1);
		uint32_t iterations = 1 + (uint32_t)rng_below(&rng, 20);

		rng_fill(&rng, password, p);
		rng_fill(&rng, salt, s);
		pbkdf2_sha256(ours, span_of(password, p), span_of(salt, s), iterations);
		assert_int_equal(PKCS5_PBKDF2_HMAC((char *)password, (int)p, salt, (int)s, (int)iterations,
					 EVP_sha256(), sizeof theirs, theirs),
			1);
		assert_memory_equal(ours, theirs, sizeof ours);
	}
}

static void md5_is_postgresqls(void **state)
{
	char out[MD5_HEX_LENGTH + 1];

	(void)state;
	assert_true(md5_hex(out, span_text(""), span_text("")));
	assert_string_equal(out, "d41d8cd98f00b204e9800998ecf8427e");
	/* What CREATE ROLE app PASSWORD 'secret' stores under password_encryption = md5, without its "md5". */
	assert_true(md5_hex(out, span_text("secret"), span_text("app")));
	assert_string_equal(out, "6a422f785c9e20873908ce25d1736ae2");
}

/* RFC 4648, section 10. */
static void base64_gives_what_rfc_4648_says(void **state)
{
	static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar" };
	static const char *const coded[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char text[16];
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		assert_int_equal(base64_write(text, plain[i], strlen(plain[i])), strlen(coded[i]));
		assert_string_equal(text, coded[i]);
		assert_int_equal(BASE64_LENGTH(strlen(plain[i])), strlen(coded[i]));
		assert_int_equal(base64_read(bytes, sizeof bytes, span_text(coded[i])), strlen(plain[i]));
		assert_memory_equal(bytes, plain[i], strlen(plain[i]));
	}
}

static void base64_with_anything_odd_is_refused(void **state)
{
	static const char *const odd[] = { "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\n",
		"Zm9-", "Zg==Zg==", "Z=g=", "Zg==\xff\xff\xff\xff" };
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		assert_int_equal(base64_read(bytes, sizeof bytes, span_text(odd[i])), -1);
}

static void base64_never_writes_beyond_its_room(void **state)
{
	uint8_t bytes[5] = { 1, 2, 3, 4, 5 };

	(void)state;
	assert_int_equal(base64_read(bytes, 4, span_text("Zm9vYmE=")), -1);
	assert_int_equal(bytes[4], 5);
	assert_int_equal(base64_read(bytes, 5, span_text("Zm9vYmE=")), 5);
	assert_int_equal(base64_read(bytes, 0, span_text("Zg==")), -1);
	assert_int_equal(base64_read(bytes, 0, span_text("")), 0);
}

static void base64_of_random_bytes_reads_back(void **state)
{
	uint8_t bytes[64], back[64];
	char text[BASE64_LENGTH(64) + 1];
	struct rng rng;

	(void)state;
	rng_seed(&rng, 4648);
	for (int i = 0; i < 2000; i++) {
		size_t n = rng_below(&rng, sizeof bytes + 1), length;

		rng_fill(&rng, bytes, n);
		length = base64_write(text, bytes, n);
		assert_int_equal(base64_read(back, sizeof back, span_of(text, length)), n);
		assert_memory_equal(back, bytes, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_gives_what_the_standard_says),
		cmocka_unit_test(hmac_gives_what_rfc_4231_says),
		cmocka_unit_test(pbkdf2_gives_what_rfc_7914_says),
		cmocka_unit_test(pbkdf2_agrees_with_openssl),
		cmocka_unit_test(md5_is_postgresqls),
		cmocka_unit_test(base64_gives_what_rfc_4648_says),
		cmocka_unit_test(base64_with_anything_odd_is_refused),
		cmocka_unit_test(base64_never_writes_beyond_its_room),
		cmocka_unit_test(base64_of_random_bytes_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
