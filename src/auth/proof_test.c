#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "auth/proof.h"
#include "base/text.h"

/* A server with bad intentions: bodies of 'R' messages written by hand. */

static const uint8_t zeros[32];
#define OURS "AAAAAAAAAAAAAAAAAAAAAAAA" /* our nonce: eighteen zero bytes */
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

struct visit {
	struct proof *proof;
	struct buf out;
	struct writer w;
	struct secret secret;
	enum proof_result result;
};

static void begin(struct visit *v, const char *text)
{
	*v = (struct visit){ 0 };
	v->w = writer_to(&v->out);
	assert_true(secret_init(&v->secret, span_text(text)));
	v->proof = proof_new(&(struct proof_setup){ .user = span_text("app"), .secret = &v->secret, .random = zeros });
	assert_non_null(v->proof);
}

static enum proof_result take(struct visit *v, uint8_t request, const char *data, size_t length)
{
	uint8_t body[16384] = { 0, 0, 0, request };

	assert_true(length <= sizeof body - 4);
	if (length > 0)
		memcpy(body + 4, data, length);
	buf_clear(&v->out);
	v->result = proof_take(v->proof, span_of(body, 4 + length), &v->w);
	return v->result;
}

static enum proof_result take_text(struct visit *v, uint8_t request, const char *text)
{
	return take(v, request, text, strlen(text));
}

static void end(struct visit *v)
{
	proof_free(v->proof);
	buf_fini(&v->out);
	secret_fini(&v->secret);
}

static void begin_scram(struct visit *v)
{
	begin(v, "pencil");
	assert_int_equal(take(v, 10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 34), PROOF_MORE);
	assert_int_equal(v->out.length, 5 + 14 + 4 + 32);
	assert_memory_equal(buf_span(&v->out).at, "p\0\0\0\x36SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=" OURS, 55);
}

static void assert_problem(struct visit *v, const char *words)
{
	assert_int_equal(v->result, PROOF_FAILED);
	assert_true(strncmp(proof_problem(v->proof), "server login failed: ", 21) == 0);
	if (!strstr(proof_problem(v->proof), words))
		fail_msg("\"%s\" does not say: %s", proof_problem(v->proof), words);
}

static void trust_is_taken_as_it_comes(void **state)
{
	struct visit v;

	(void)state;
	begin(&v, "");
	assert_int_equal(take(&v, 0, "", 0), PROOF_OK);
	assert_int_equal(v.out.length, 0);
	end(&v);
	begin(&v, "x");
	take(&v, 0, "x", 1);
	assert_problem(&v, "malformed AuthenticationOk");
	end(&v);
}

static void cleartext_and_md5_are_answered(void **state)
{
	struct visit v;

	(void)state;
	begin(&v, "secret");
	assert_int_equal(take(&v, 3, "", 0), PROOF_MORE);
	assert_int_equal(v.out.length, 12);
	assert_memory_equal(buf_span(&v.out).at, "p\0\0\0\x0bsecret", 12);
	assert_int_equal(take(&v, 0, "", 0), PROOF_OK);
	end(&v);
	for (int i = 0; i < 2; i++) {
		/* md5(md5("secret" + "app") + "salt") */
		begin(&v, i ? "md56a422f785c9e20873908ce25d1736ae2" : "secret");
		assert_int_equal(take(&v, 5, "salt", 4), PROOF_MORE);
		assert_int_equal(v.out.length, 5 + 36);
		assert_memory_equal(buf_span(&v.out).at, "p\0\0\0\x28md57f097e06031b34893c20e25a0e68242c", 5 + 36);
		assert_int_equal(take(&v, 0, "", 0), PROOF_OK);
		end(&v);
	}
}

static void what_we_can_not_answer_is_named(void **state)
{
	static const struct {
		uint8_t request;
		const char *secret, *data;
		size_t length;
		const char *words;
	} cases[] = {
		{ 3, "md56a422f785c9e20873908ce25d1736ae2", "", 0, "wrong password type" },
		{ 3, "", "", 0, "wrong password type" },
		{ 5, "", "salt", 4, "wrong password type" },
		{ 5, "x", "sal", 3, "malformed" },
		{ 5, "x", "salts", 5, "malformed" },
		{ 3, "x", "y", 1, "malformed" },
		{ 10, "md56a422f785c9e20873908ce25d1736ae2", "SCRAM-SHA-256\0", 15, "wrong password type" },
		{ 10, "x", "SCRAM-SHA-1\0", 13, "no SASL mechanism" },
		{ 10, "x", "", 1, "no SASL mechanism" },
		{ 10, "x", "", 0, "malformed" },
		{ 10, "x", "SCRAM-SHA-256", 14, "malformed" },
		{ 10, "x", "SCRAM-SHA-256", 13, "malformed" },
		{ 10, "x", "SCRAM-SHA-256\0\0x", 16, "malformed" },
		{ 11, "x", "r=x", 3, "out of place" },
		{ 12, "x", "v=x", 3, "out of place" },
		{ 7, "x", "", 0, "GSSAPI" },
		{ 9, "x", "", 0, "SSPI" },
		{ 2, "x", "", 0, "Kerberos" },
		{ 99, "x", "", 0, "authentication 99" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct visit v;

		begin(&v, cases[i].secret);
		take(&v, cases[i].request, cases[i].data, cases[i].length);
		assert_problem(&v, cases[i].words);
		assert_int_equal(v.out.length, 0);
		end(&v);
	}
}

static void a_request_without_a_number_is_malformed(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4; n++) {
		struct visit v;

		begin(&v, "x");
		v.result = proof_take(v.proof, span_of("\0\0\0\0", n), &v.w);
		assert_problem(&v, "malformed");
		end(&v);
	}
}

static void hostile_challenges_are_refused(void **state)
{
	static char long_nonce[1000], long_salt[1000], long_message[6000];
	const struct {
		const char *message, *words;
	} cases[] = {
		{ "r=" OURS "x,s=" SALT ",i=0", "iteration count" },
		{ "r=" OURS "x,s=" SALT ",i=10000001", "iteration count" },
		{ "r=" OURS "x,s=" SALT ",i=4294967297", "iteration count" },
		{ "r=" OURS "x,s=" SALT ",i=-1", "iteration count" },
		{ "r=" OURS "x,s=" SALT ",i=", "iteration count" },
		{ "r=" OURS ",s=" SALT ",i=1", "does not begin with ours" },
		{ "r=x" OURS ",s=" SALT ",i=1", "does not begin with ours" },
		{ "r=,s=" SALT ",i=1", "malformed" },
		{ "r=" OURS "x,s=,i=1", "salt" },
		{ "r=" OURS "x,s=####,i=1", "salt" },
		{ "s=" SALT ",i=1", "malformed" },
		{ "r=" OURS "x,i=1", "malformed" },
		{ "r=" OURS "x,s=" SALT, "malformed" },
		{ "m=x,r=" OURS "x,s=" SALT ",i=1", "extension" },
		{ "", "malformed" },
		{ long_nonce, "nonce is malformed or too long" },
		{ long_salt, "salt is malformed or too long" },
		{ long_message, "too long" },
	};
	struct visit v;

	(void)state;
	text_format(long_nonce, sizeof long_nonce, "r=" OURS "%0600d,s=" SALT ",i=1", 1);
	text_format(long_salt, sizeof long_salt, "r=" OURS "x,s=%0400d,i=1", 1);
	text_format(long_message, sizeof long_message, "r=" OURS "x,s=" SALT ",i=1,x=%05000d", 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin_scram(&v);
		take_text(&v, 11, cases[i].message);
		assert_problem(&v, cases[i].words);
		assert_int_equal(v.out.length, 0);
		end(&v);
	}
}

static void a_server_that_proves_nothing_is_not_believed(void **state)
{
	static const char challenge[] = "r=" OURS "x,s=" SALT ",i=4096";
	struct visit v;

	(void)state;
	/* Accepted right after the mechanism was chosen. */
	begin_scram(&v);
	take(&v, 0, "", 0);
	assert_problem(&v, "without proving");
	end(&v);
	/* Accepted after our proof, without a signature. */
	begin_scram(&v);
	assert_int_equal(take_text(&v, 11, challenge), PROOF_MORE);
	take(&v, 0, "", 0);
	assert_problem(&v, "without proving");
	end(&v);
	/* A signature of somebody who does not know the password. */
	begin_scram(&v);
	assert_int_equal(take_text(&v, 11, challenge), PROOF_MORE);
	take_text(&v, 12, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_problem(&v, "invalid server signature");
	end(&v);
	begin_scram(&v);
	assert_int_equal(take_text(&v, 11, challenge), PROOF_MORE);
	take_text(&v, 12, "v=");
	assert_problem(&v, "malformed");
	end(&v);
	/* The same challenge twice, or another kind of request in the middle. */
	begin_scram(&v);
	assert_int_equal(take_text(&v, 11, challenge), PROOF_MORE);
	take_text(&v, 11, challenge);
	assert_problem(&v, "out of place");
	end(&v);
	begin_scram(&v);
	take(&v, 3, "", 0);
	assert_problem(&v, "out of place");
	end(&v);
	begin(&v, "pencil");
	assert_int_equal(take(&v, 3, "", 0), PROOF_MORE);
	take(&v, 10, "SCRAM-SHA-256\0", 15);
	assert_problem(&v, "out of place");
	end(&v);
}

static void what_a_server_says_is_made_fit_for_a_log(void **state)
{
	struct visit v;

	(void)state;
	begin_scram(&v);
	assert_int_equal(take_text(&v, 11, "r=" OURS "x,s=" SALT ",i=1"), PROOF_MORE);
	take_text(&v, 12, "e=other-error\n\x1b[2J");
	assert_problem(&v, "the server says: other-error??[2J");
	end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trust_is_taken_as_it_comes),
		cmocka_unit_test(cleartext_and_md5_are_answered),
		cmocka_unit_test(what_we_can_not_answer_is_named),
		cmocka_unit_test(a_request_without_a_number_is_malformed),
		cmocka_unit_test(hostile_challenges_are_refused),
		cmocka_unit_test(a_server_that_proves_nothing_is_not_believed),
		cmocka_unit_test(what_a_server_says_is_made_fit_for_a_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
