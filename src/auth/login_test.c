#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "auth/digest.h"
#include "auth/login.h"
#include "base/text.h"

/* One side only: bodies are written by hand, as a driver with a mind of its own would. */

#define NONCE "rOprNGfwEbeRWgbNEkqO"

static const uint8_t zeros[64], process[32];

struct visit {
	struct login *login;
	struct buf out;
	struct writer w;
	enum login_result result;
	struct secret secret;
};

static struct span binding;

static void begin(struct visit *v, enum auth_method method, const char *text)
{
	*v = (struct visit){ 0 };
	v->w = writer_to(&v->out);
	if (text)
		assert_true(secret_init(&v->secret, span_text(text)));
	v->login = login_new(&(struct login_setup){ .method = method,
				     .user = span_text("app"),
				     .secret = text ? &v->secret : NULL,
				     .scram_iterations = 4096,
				     .random = login_draws(method) ? zeros : NULL,
				     .binding = binding,
				     .process = process },
		&v->w, &v->result);
	assert_non_null(v->login);
}

static enum login_result take(struct visit *v, const void *body, size_t length)
{
	buf_clear(&v->out);
	v->result = login_take(v->login, span_of(body, length), &v->w);
	assert_true(writer_ok(&v->w));
	return v->result;
}

static void end(struct visit *v)
{
	login_free(v->login);
	buf_fini(&v->out);
	if (v->secret.text)
		secret_fini(&v->secret);
}

static void assert_out(struct visit *v, const void *bytes, size_t length)
{
	assert_int_equal(v->out.length, length);
	if (length > 0)
		assert_memory_equal(buf_span(&v->out).at, bytes, length);
}

static void the_first_request_is_the_methods(void **state)
{
	struct visit v;

	(void)state;
	begin(&v, AUTH_ANY, NULL);
	assert_int_equal(v.result, LOGIN_OK);
	assert_out(&v, "", 0);
	end(&v);
	begin(&v, AUTH_TRUST, "");
	assert_int_equal(v.result, LOGIN_OK);
	end(&v);
	begin(&v, AUTH_TRUST, NULL);
	assert_int_equal(v.result, LOGIN_FAILED);
	assert_string_equal(login_refusal(v.login), "\"trust\" authentication failed");
	end(&v);
	begin(&v, AUTH_PLAIN, "x");
	assert_out(&v, "R\0\0\0\x08\0\0\0\x03", 9);
	end(&v);
	begin(&v, AUTH_MD5, "x");
	assert_out(&v, "R\0\0\0\x0c\0\0\0\x05\0\0\0\0", 13);
	end(&v);
	begin(&v, AUTH_SCRAM, "x");
	assert_out(&v, "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0", 24);
	end(&v);
}

static void cleartext_passwords_are_whole_packets(void **state)
{
	static const struct {
		const char *body;
		size_t length;
		enum login_result result;
		const char *problem;
	} cases[] = {
		{ "pencil", 7, LOGIN_OK, "" },
		{ "pencil", 6, LOGIN_BROKEN, "invalid password packet" },
		{ "pencil\0x", 8, LOGIN_BROKEN, "invalid password packet" },
		{ "", 1, LOGIN_BROKEN, "empty password returned by client" },
		{ "", 0, LOGIN_BROKEN, "invalid password packet" },
		{ "penci", 6, LOGIN_FAILED, "" },
		{ "pencils", 8, LOGIN_FAILED, "" },
	};
	static char large[SECRET_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct visit v;

		begin(&v, AUTH_PLAIN, "pencil");
		assert_int_equal(take(&v, cases[i].body, cases[i].length), cases[i].result);
		assert_string_equal(login_problem(v.login), cases[i].problem);
		end(&v);
	}
	memset(large, 'x', SECRET_MAX + 1);
	for (size_t over = 0; over < 2; over++) {
		struct visit v;

		begin(&v, AUTH_PLAIN, "pencil");
		assert_int_equal(take(&v, large + 1 - over, SECRET_MAX + 1 + over), over ? LOGIN_BROKEN : LOGIN_FAILED);
		assert_string_equal(login_problem(v.login), over ? "password too long" : "");
		end(&v);
	}
}

/* PostgreSQL: "md5" + md5(md5(password + user) + salt). */
static void md5_is_answered_as_postgresql_answers_it(void **state)
{
	char body[3 + MD5_HEX_LENGTH + 1] = "md5", inner[MD5_HEX_LENGTH + 1];
	static const char *const secrets[] = { "secret", "md56a422f785c9e20873908ce25d1736ae2" };

	(void)state;
	assert_true(md5_hex(inner, span_text("secret"), span_text("app")));
	assert_true(md5_hex(body + 3, span_text(inner), span_of(zeros, 4)));
	for (size_t i = 0; i < 2; i++) {
		struct visit v;

		begin(&v, AUTH_MD5, secrets[i]);
		assert_int_equal(take(&v, body, sizeof body), LOGIN_OK);
		end(&v);
		begin(&v, AUTH_MD5, secrets[i]);
		body[20] ^= 1;
		assert_int_equal(take(&v, body, sizeof body), LOGIN_FAILED);
		body[20] ^= 1;
		end(&v);
		/* The secret as it is stored is not the answer. */
		begin(&v, AUTH_MD5, secrets[i]);
		assert_int_equal(take(&v, secrets[1], strlen(secrets[1]) + 1), LOGIN_FAILED);
		end(&v);
	}
}

/* A SASLInitialResponse of SCRAM-SHA-256. */
static size_t initial(uint8_t *out, const char *message)
{
	uint32_t length = (uint32_t)strlen(message);

	memcpy(out, "SCRAM-SHA-256", 14);
	for (int i = 0; i < 4; i++)
		out[14 + i] = (uint8_t)(length >> (24 - 8 * i));
	memcpy(out + 18, message, length);
	return 18 + length;
}

static void odd_first_messages_are_named(void **state)
{
	static const struct {
		const char *message, *problem;
	} cases[] = {
		{ "n,,n=,r=" NONCE, NULL },
		{ "y,,n=,r=" NONCE, NULL },
		{ "n,,n=somebody,r=" NONCE, NULL },
		{ "n,,n=,r=" NONCE ",x=extension", NULL },
		{ "p=tls-server-end-point,,n=,r=" NONCE,
			"client requires SCRAM channel binding, but it is not supported" },
		{ "n,a=admin,n=,r=" NONCE, "client uses authorization identity, but it is not supported" },
		{ "n,,m=must,n=,r=" NONCE, "client requires an unsupported SCRAM extension" },
		{ "", "malformed SCRAM message" },
		{ "n", "malformed SCRAM message" },
		{ "n,", "malformed SCRAM message" },
		{ "n,,", "malformed SCRAM message" },
		{ "q,,n=,r=" NONCE, "malformed SCRAM message" },
		{ "n,x,n=,r=" NONCE, "malformed SCRAM message" },
		{ "n,,r=" NONCE, "malformed SCRAM message" },
		{ "n,,n=", "malformed SCRAM message" },
		{ "n,,n=,r=" NONCE ",", "malformed SCRAM message" },
		{ "n,,n=,r=", "non-printable characters in SCRAM nonce, or too many" },
		{ "n,,n=,r=a\x01z", "non-printable characters in SCRAM nonce, or too many" },
	};
	uint8_t body[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct visit v;

		begin(&v, AUTH_SCRAM, NULL);
		take(&v, body, initial(body, cases[i].message));
		if (cases[i].problem) {
			assert_int_equal(v.result, LOGIN_BROKEN);
			assert_string_equal(login_problem(v.login), cases[i].problem);
			assert_out(&v, "", 0);
		} else {
			assert_int_equal(v.result, LOGIN_MORE);
			/* Eighteen zero bytes are our nonce here. */
			assert_memory_equal(
				buf_span(&v.out).at + 5, "\0\0\0\x0br=" NONCE "AAAAAAAAAAAAAAAAAAAAAAAA,s=", 53);
		}
		end(&v);
	}
}

/* A SASLInitialResponse of SCRAM-SHA-256-PLUS. */
static size_t initial_bound(uint8_t *out, const char *message)
{
	size_t length = initial(out, message);

	memmove(out + 18, out + 13, length - 13);
	memcpy(out + 13, "-PLUS", 5);
	return length + 5;
}

static void odd_bindings_are_named(void **state)
{
	static const struct {
		bool plus;
		const char *message, *problem;
	} cases[] = {
		{ true, "p=tls-server-end-point,,n=,r=" NONCE, NULL },
		{ false, "n,,n=,r=" NONCE, NULL },
		{ false, "p=tls-server-end-point,,n=,r=" NONCE,
			"client chose SCRAM-SHA-256 without channel binding, but binds its message to the channel" },
		{ true, "n,,n=,r=" NONCE,
			"client chose SCRAM-SHA-256-PLUS, but does not bind its message to the channel" },
		{ true, "y,,n=,r=" NONCE,
			"client supports SCRAM channel binding, but believes that it is not offered here: it is" },
		{ false, "y,,n=,r=" NONCE,
			"client supports SCRAM channel binding, but believes that it is not offered here: it is" },
		{ true, "p=tls-unique,,n=,r=" NONCE, "client requires an unsupported kind of SCRAM channel binding" },
		{ true, "p=,,n=,r=" NONCE, "client requires an unsupported kind of SCRAM channel binding" },
		{ true, "p=tls-server-end-point,a=admin,n=,r=" NONCE,
			"client uses authorization identity, but it is not supported" },
		{ true, "p=tls-server-end-point", "malformed SCRAM message" },
		{ true, "p,,n=,r=" NONCE, "malformed SCRAM message" },
	};
	uint8_t body[256];
	struct visit v;

	(void)state;
	binding = span_text("the hash of a certificate");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin(&v, AUTH_SCRAM, NULL);
		assert_out(&v, "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 43);
		take(&v, body, cases[i].plus ? initial_bound(body, cases[i].message) : initial(body, cases[i].message));
		assert_int_equal(v.result, cases[i].problem ? LOGIN_BROKEN : LOGIN_MORE);
		if (cases[i].problem)
			assert_string_equal(login_problem(v.login), cases[i].problem);
		end(&v);
	}
	binding = span_of(NULL, 0);
	begin(&v, AUTH_SCRAM, NULL);
	take(&v, body, initial_bound(body, cases[0].message));
	assert_string_equal(login_problem(v.login), "client selected an invalid SASL authentication mechanism");
	end(&v);
}

static void odd_envelopes_are_named(void **state)
{
	uint8_t body[8192] = { 0 };
	size_t length;
	struct visit v;

	(void)state;
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, "SCRAM-SHA-1\0\0\0\0\0", 16), LOGIN_BROKEN);
	assert_string_equal(login_problem(v.login), "client selected an invalid SASL authentication mechanism");
	end(&v);
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, "SCRAM-SHA-256-PLUS\0\0\0\0\0", 23), LOGIN_BROKEN);
	assert_string_equal(login_problem(v.login), "client selected an invalid SASL authentication mechanism");
	end(&v);
	length = initial(body, "n,,n=,r=" NONCE);
	for (size_t cut = 0; cut < length; cut++) {
		begin(&v, AUTH_SCRAM, "x");
		assert_int_equal(take(&v, body, cut), LOGIN_BROKEN);
		assert_string_equal(login_problem(v.login), "invalid SASL initial response");
		end(&v);
	}
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, body, length + 1), LOGIN_BROKEN);
	end(&v);
	/* A length that is negative, but not -1. */
	memcpy(body + 14, "\xff\xff\xff\xfe", 4);
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, body, length), LOGIN_BROKEN);
	end(&v);
	/* A message longer than any honest one. */
	memset(body + 18, 'x', sizeof body - 18);
	memcpy(body + 14, "\0\0\x1f\xee", 4);
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, body, sizeof body), LOGIN_BROKEN);
	assert_string_equal(login_problem(v.login), "malformed SCRAM message");
	end(&v);
}

static void a_client_may_wait_for_an_empty_challenge(void **state)
{
	struct visit v;

	(void)state;
	begin(&v, AUTH_SCRAM, "x");
	assert_int_equal(take(&v, "SCRAM-SHA-256\0\xff\xff\xff\xff", 18), LOGIN_MORE);
	assert_out(&v, "R\0\0\0\x08\0\0\0\x0b", 9);
	assert_int_equal(take(&v, "n,,n=,r=" NONCE, 28), LOGIN_MORE);
	assert_memory_equal(buf_span(&v.out).at + 5, "\0\0\0\x0br=" NONCE, 26);
	end(&v);
}

#define WHOLE NONCE "AAAAAAAAAAAAAAAAAAAAAAAA"
#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static void odd_final_messages_are_named(void **state)
{
	static const struct {
		const char *message, *problem;
	} cases[] = {
		{ "c=biws,r=" WHOLE "," PROOF, NULL },
		{ "c=biws,r=" WHOLE ",x=y," PROOF, NULL },
		{ "c=eSws,r=" WHOLE "," PROOF, "unexpected SCRAM channel-binding attribute in client-final-message" },
		{ "c=biws,r=" NONCE "," PROOF, "invalid SCRAM response: nonce does not match" },
		{ "c=biws,r=" WHOLE "A," PROOF, "invalid SCRAM response: nonce does not match" },
		{ "c=biws,r=" WHOLE, "malformed SCRAM message" },
		{ "c=biws,r=" WHOLE ",", "malformed SCRAM message" },
		{ "c=biws,r=" WHOLE "," PROOF ",x=y", "malformed SCRAM message" },
		{ "c=biws,r=" WHOLE ",p=abc", "malformed SCRAM message" },
		{ "c=biws,r=" WHOLE ",p=Zm9v", "malformed SCRAM message" },
		{ "r=" WHOLE ",c=biws," PROOF, "malformed SCRAM message" },
		{ PROOF, "malformed SCRAM message" },
		{ "", "malformed SCRAM message" },
	};
	uint8_t body[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct visit v;

		begin(&v, AUTH_SCRAM, NULL);
		assert_int_equal(take(&v, body, initial(body, "n,,n=,r=" NONCE)), LOGIN_MORE);
		take(&v, cases[i].message, strlen(cases[i].message));
		assert_int_equal(v.result, cases[i].problem ? LOGIN_BROKEN : LOGIN_FAILED);
		assert_string_equal(login_problem(v.login), cases[i].problem ? cases[i].problem : "");
		assert_out(&v, "", 0);
		end(&v);
	}
}

/* "y": the client could bind the channel, but believes that we can not; it says so once more in its last message. */
static void the_channel_flag_must_be_repeated(void **state)
{
	uint8_t body[256];

	(void)state;
	for (int repeated = 0; repeated < 2; repeated++) {
		const char *final = repeated ? "c=eSws,r=" WHOLE "," PROOF : "c=biws,r=" WHOLE "," PROOF;
		struct visit v;

		begin(&v, AUTH_SCRAM, NULL);
		assert_int_equal(take(&v, body, initial(body, "y,,n=,r=" NONCE)), LOGIN_MORE);
		assert_int_equal(take(&v, final, strlen(final)), repeated ? LOGIN_FAILED : LOGIN_BROKEN);
		end(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_request_is_the_methods),
		cmocka_unit_test(cleartext_passwords_are_whole_packets),
		cmocka_unit_test(md5_is_answered_as_postgresql_answers_it),
		cmocka_unit_test(odd_first_messages_are_named),
		cmocka_unit_test(odd_bindings_are_named),
		cmocka_unit_test(odd_envelopes_are_named),
		cmocka_unit_test(a_client_may_wait_for_an_empty_challenge),
		cmocka_unit_test(odd_final_messages_are_named),
		cmocka_unit_test(the_channel_flag_must_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
