#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "auth/saslprep.h"
#include "auth/scram.h"

/* The conversation of RFC 7677, section 3. */
#define RFC_FIRST  "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_FINAL  "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static void the_conversation_of_rfc_7677_comes_out_the_same(void **state)
{
	struct span messages = span_text(RFC_FIRST "," RFC_SERVER "," RFC_FINAL);
	uint8_t salt[16], proof[SCRAM_KEY_LENGTH], signature[SCRAM_KEY_LENGTH], recovered[SCRAM_KEY_LENGTH];
	char text[BASE64_LENGTH(SCRAM_KEY_LENGTH) + 1];
	struct scram_keys keys;

	(void)state;
	assert_int_equal(base64_read(salt, sizeof salt, span_text("W22ZaJ0SNY7soEsUEjb6gQ==")), 16);
	assert_true(scram_keys_make(&keys, span_text("pencil"), span_of(salt, sizeof salt), 4096));
	scram_proof(proof, keys.client_key, messages);
	base64_write(text, proof, sizeof proof);
	assert_string_equal(text, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	hmac_sha256(signature, span_of(keys.server_key, sizeof keys.server_key), messages);
	base64_write(text, signature, sizeof signature);
	assert_string_equal(text, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

	/* The other side: the proof fits, and gives the client key away. */
	assert_true(scram_proof_fits(proof, keys.stored_key, messages, recovered));
	assert_memory_equal(recovered, keys.client_key, sizeof recovered);
	proof[31] ^= 1;
	assert_false(scram_proof_fits(proof, keys.stored_key, messages, recovered));
}

/* The keys of 'pencil' with the salt of RFC 7677, and what must not be taken for a verifier. */
#define KEYS "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void verifiers_are_read_strictly(void **state)
{
	static const char *const wrong[] = { "", "SCRAM-SHA-256", "SCRAM-SHA-256$4096",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==", "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS,
		"SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS, "SCRAM-SHA-256$-1:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS,
		"SCRAM-SHA-256$99999999999999999999:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS,
		"SCRAM-SHA-256$10000001:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS, "SCRAM-SHA-256$:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS,
		"SCRAM-SHA-256$4096:" KEYS, "SCRAM-SHA-256$4096:W22Z?J0SNY7soEsUEjb6gQ==" KEYS,
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS "=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6" };
	struct scram_verifier v;
	struct scram_keys keys;

	(void)state;
	assert_true(scram_verifier_parse(&v, span_text("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==" KEYS)));
	assert_int_equal(v.iterations, 4096);
	assert_int_equal(v.salt_length, 16);
	assert_true(scram_keys_make(&keys, span_text("pencil"), span_of(v.salt, v.salt_length), v.iterations));
	assert_memory_equal(keys.stored_key, v.stored_key, SCRAM_KEY_LENGTH);
	assert_memory_equal(keys.server_key, v.server_key, SCRAM_KEY_LENGTH);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		if (scram_verifier_parse(&v, span_text(wrong[i])))
			fail_msg("taken for a verifier: %s", wrong[i]);
	}
}

static void assert_prepared(const char *password, const char *expected)
{
	struct buf out = { 0 };

	assert_true(saslprep(&out, span_text(password)));
	assert_true(span_is(buf_span(&out), expected));
	buf_wipe(&out);
}

/* RFC 4013, section 3. */
static void passwords_are_prepared_as_rfc_4013_says(void **state)
{
	(void)state;
	assert_prepared("user", "user");
	assert_prepared("USER", "USER");
	assert_prepared("I\xc2\xadX", "IX");   /* soft hyphen: mapped to nothing */
	assert_prepared("\xc2\xaa", "a");      /* feminine ordinal: NFKC */
	assert_prepared("\xe2\x85\xa8", "IX"); /* roman nine: NFKC */
	assert_prepared("a\xc2\xa0z", "a z");  /* another space becomes a plain one */
	assert_prepared("p\xc3\xa4ss", "p\xc3\xa4ss");
	assert_prepared("pa\xcc\x88ss", "p\xc3\xa4ss"); /* composed */
}

static void passwords_that_can_not_be_prepared_are_used_as_they_stand(void **state)
{
	(void)state;
	assert_prepared("\x07", "\x07");
	assert_prepared("\xc3\xa4\x07", "\xc3\xa4\x07"); /* a control character is prohibited */
	assert_prepared("\xd8\xa7\x31", "\xd8\xa7\x31"); /* RFC 4013: fails the bidirectional check */
	assert_prepared("\xe4\xf6\xfc", "\xe4\xf6\xfc"); /* LATIN1, not UTF-8 */
	assert_prepared("a\xc2", "a\xc2");               /* cut in the middle of a letter */
	assert_prepared("\xc2\xad", "\xc2\xad");         /* nothing would be left of it */
	/* Not assigned in Unicode 3.2: then the letter before it is left alone too. */
	assert_prepared("\xc2\xaa\xf0\x9f\x98\x80", "\xc2\xaa\xf0\x9f\x98\x80");
}

static void letters_that_grow_find_room(void **state)
{
	char in[3 * 200 + 1], *expected = test_calloc(200 * 33 + 1, 1);
	/* U+FDFA becomes eighteen letters of 33 bytes. */
	static const char grown[] =
		"\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7\xd9\x84\xd9\x84\xd9\x87 \xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 "
		"\xd9\x88\xd8\xb3\xd9\x84\xd9\x85";

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		memcpy(in + 3 * i, "\xef\xb7\xba", 4);
		memcpy(expected + (sizeof grown - 1) * i, grown, sizeof grown);
	}
	assert_int_equal(sizeof grown - 1, 33);
	assert_prepared(in, expected);
	test_free(expected);
}

static void attributes_are_taken_in_their_order(void **state)
{
	struct span message = span_text("r=abc,s=x=y,i=1"), value;

	(void)state;
	assert_false(scram_take(&message, 's', &value));
	assert_true(scram_take(&message, 'r', &value));
	assert_true(span_is(value, "abc"));
	assert_true(scram_take(&message, 's', &value));
	assert_true(span_is(value, "x=y"));
	assert_true(scram_take(&message, 'i', &value));
	assert_true(span_is(value, "1"));
	assert_false(scram_take(&message, 'i', &value));
	message = span_text("r=abc,");
	assert_false(scram_take(&message, 'r', &value));
	message = span_text("r");
	assert_false(scram_take(&message, 'r', &value));
	message = span_of(NULL, 0);
	assert_false(scram_take(&message, 'r', &value));
}

static void nonces_and_counts_have_bounds(void **state)
{
	char nonce[SCRAM_NONCE_MAX + 2];
	uint32_t n;

	(void)state;
	memset(nonce, 'x', sizeof nonce);
	assert_true(scram_nonce_ok(span_of(nonce, SCRAM_NONCE_MAX)));
	assert_false(scram_nonce_ok(span_of(nonce, SCRAM_NONCE_MAX + 1)));
	assert_false(scram_nonce_ok(span_of(nonce, 0)));
	assert_false(scram_nonce_ok(span_text("a b")));
	assert_false(scram_nonce_ok(span_text("a\x7f")));
	assert_false(scram_nonce_ok(span_text("a\xc3\xa4")));
	assert_true(scram_iterations_read(span_text("1"), &n));
	assert_true(scram_iterations_read(span_text("10000000"), &n));
	assert_int_equal(n, 10000000);
	assert_false(scram_iterations_read(span_text("10000001"), &n));
	assert_false(scram_iterations_read(span_text("4294967297"), &n));
	assert_false(scram_iterations_read(span_text("0"), &n));
	assert_false(scram_iterations_read(span_text(""), &n));
	assert_false(scram_iterations_read(span_text("+5"), &n));
	assert_false(scram_iterations_read(span_text("0x10"), &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_conversation_of_rfc_7677_comes_out_the_same),
		cmocka_unit_test(verifiers_are_read_strictly),
		cmocka_unit_test(passwords_are_prepared_as_rfc_4013_says),
		cmocka_unit_test(passwords_that_can_not_be_prepared_are_used_as_they_stand),
		cmocka_unit_test(letters_that_grow_find_room),
		cmocka_unit_test(attributes_are_taken_in_their_order),
		cmocka_unit_test(nonces_and_counts_have_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
