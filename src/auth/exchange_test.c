#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "auth/digest.h"
#include "auth/login.h"
#include "auth/proof.h"
#include "auth/scram.h"
#include "base/reader.h"
#include "base/rng.h"
#include "base/text.h"

/* Both directions against each other: `login` plays PostgreSQL for `proof`, and `proof` plays the driver. Whatever one
 * writes is unframed here, may be bent on its way, and is given to the other. */

#define SCRAM \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const uint8_t process[32] = { 1, 2, 3 };

struct talk {
	enum auth_method method;
	const char *user, *client_user; /* NULL: the same */
	const struct secret *server_has, *client_has;
	const uint8_t *client_key;
	struct secret_mock mock;
	const char *server_binding, *client_binding; /* NULL: no TLS on that side */
	const char *listed; /* what somebody in between makes of the list of mechanisms; NULL: nothing */
	uint64_t seed;
	/* Bend message `bend_at` (0: none): cut to a length, or with `bent_byte` changed. */
	unsigned bend_at;
	struct rng *bender;

	enum login_result login;
	enum proof_result proof;
	char problem[256], refusal[128], broken[128];
	bool has_key;
	uint8_t key[SCRAM_KEY_LENGTH];
	char password[128];
	unsigned messages;
	struct buf transcript;
};

/* Take one message off `from` and give its body, possibly bent. */
static bool next_body(struct talk *t, struct buf *from, char type, struct buf *body)
{
	struct reader r = reader_of(buf_span(from));
	struct span span;
	uint32_t length;

	if (from->length == 0)
		return false;
	assert_int_equal(read_u8(&r), type);
	length = read_u32(&r);
	assert_true(length >= 4);
	span = read_bytes(&r, length - 4);
	assert_true(reader_ok(&r));
	buf_clear(body);
	assert_true(buf_add_span(body, span));
	assert_true(buf_add(&t->transcript, &type, 1) && buf_add_span(&t->transcript, span));
	buf_consume(from, length + 1);
	if (++t->messages == t->bend_at && body->length > 0) {
		uint8_t *at = buf_end(body) - body->length;

		if (rng_chance(t->bender, 300))
			body->length = rng_below(t->bender, body->length);
		else
			at[rng_below(t->bender, body->length)] ^= (uint8_t)(1 << rng_below(t->bender, 8));
	}
	return true;
}

static void run(struct talk *t)
{
	struct buf to_client = { 0 }, to_server = { 0 }, body = { 0 };
	struct writer down = writer_to(&to_client), up = writer_to(&to_server);
	uint8_t random[64];
	struct rng rng;
	struct login *l;
	struct proof *p;
	bool ok_sent = false;

	rng_seed(&rng, t->seed);
	rng_fill(&rng, random, sizeof random);
	l = login_new(&(struct login_setup){ .method = t->method,
			      .user = span_text(t->user),
			      .secret = t->server_has,
			      .mock = t->mock,
			      .binding = span_text(t->server_binding ? t->server_binding : ""),
			      .scram_iterations = 4096,
			      .random = random,
			      .process = process },
		&down, &t->login);
	rng_fill(&rng, random, sizeof random);
	p = proof_new(&(struct proof_setup){ .user = span_text(t->client_user ? t->client_user : t->user),
		.secret = t->client_has,
		.client_key = t->client_key,
		.binding = span_text(t->client_binding ? t->client_binding : ""),
		.random = random });
	t->proof = PROOF_MORE;
	t->messages = 0;
	buf_clear(&t->transcript);
	for (int turn = 0; turn < 20 && t->proof == PROOF_MORE; turn++) {
		if (t->login == LOGIN_OK && !ok_sent && to_client.length == 0) {
			size_t mark = message_begin(&down, 'R');

			write_u32(&down, 0);
			message_end(&down, mark);
			ok_sent = true;
		}
		if (!next_body(t, &to_client, 'R', &body))
			break;
		if (t->listed && t->messages == 1) {
			body.length = 4;
			assert_true(buf_add(&body, t->listed, strlen(t->listed) + 1) && buf_add(&body, "", 1));
		}
		t->proof = proof_take(p, buf_span(&body), &up);
		if (t->proof == PROOF_MORE && t->login == LOGIN_MORE && next_body(t, &to_server, 'p', &body))
			t->login = login_take(l, buf_span(&body), &down);
	}
	text_copy(t->problem, sizeof t->problem, proof_problem(p));
	text_copy(t->refusal, sizeof t->refusal, login_refusal(l));
	text_copy(t->broken, sizeof t->broken, login_problem(l));
	t->has_key = login_client_key(l, t->key);
	text_copy_span(t->password, sizeof t->password, login_password(l));
	login_free(l);
	proof_free(p);
	buf_fini(&to_client);
	buf_fini(&to_server);
	buf_fini(&body);
}

static void done(struct talk *t)
{
	buf_fini(&t->transcript);
}

static struct secret secret(const char *text)
{
	struct secret s;

	assert_true(secret_init(&s, span_text(text)));
	return s;
}

static void the_right_password_gets_in_by_every_method(void **state)
{
	struct secret plain = secret("pencil"), md5 = secret("md5f0d7c5ef3c1f4fd0f1b2d9a0c4a6a3a5"),
		      scram = secret(SCRAM);
	char text[3 + MD5_HEX_LENGTH + 1] = "md5";
	static const enum auth_method methods[] = { AUTH_ANY, AUTH_TRUST, AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM };

	(void)state;
	secret_fini(&md5);
	md5_hex(text + 3, span_text("pencil"), span_text("app"));
	md5 = secret(text);
	for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
		const struct secret *kept[] = { &plain, &md5, &scram };

		for (size_t k = 0; k < 3; k++) {
			struct talk t = { .method = methods[m],
				.user = "app",
				.server_has = kept[k],
				.client_has = &plain,
				.seed = m * 3 + k };
			bool fits = !(methods[m] == AUTH_SCRAM && kept[k] == &md5);

			run(&t);
			assert_int_equal(t.login, fits ? LOGIN_OK : LOGIN_FAILED);
			assert_int_equal(t.proof, fits ? PROOF_OK : PROOF_MORE);
			assert_string_equal(t.password, methods[m] == AUTH_PLAIN ? "pencil" : "");
			assert_int_equal(t.has_key,
				fits && (methods[m] == AUTH_SCRAM || (methods[m] == AUTH_MD5 && kept[k] == &scram)));
			done(&t);
		}
	}
	secret_fini(&plain);
	secret_fini(&md5);
	secret_fini(&scram);
}

static void a_wrong_password_does_not(void **state)
{
	struct secret right = secret("pencil"), wrong = secret("pencil2"), scram = secret(SCRAM);
	static const struct {
		enum auth_method method;
		const char *refusal;
	} cases[] = { { AUTH_PLAIN, "password authentication failed" }, { AUTH_MD5, "password authentication failed" },
		{ AUTH_SCRAM, "SASL authentication failed" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct talk t = {
			.method = cases[i].method, .user = "app", .server_has = &right, .client_has = &wrong, .seed = i
		};

		run(&t);
		assert_int_equal(t.login, LOGIN_FAILED);
		assert_string_equal(t.refusal, cases[i].refusal);
		assert_string_equal(t.password, "");
		assert_false(t.has_key);
		t.server_has = &scram;
		run(&t);
		assert_int_equal(t.login, LOGIN_FAILED);
		assert_false(t.has_key);
		done(&t);
	}
	secret_fini(&right);
	secret_fini(&wrong);
	secret_fini(&scram);
}

static void passwords_of_any_letters_work_by_scram(void **state)
{
	static const char *const words[] = { "p\xc3\xa4ss", "I\xc2\xadX", "\xe4\xf6\xfc", " ", "a\x07z",
		"\xd8\xa7\x31" };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct secret s = secret(words[i]), same = secret(words[i]);
		struct talk t = {
			.method = AUTH_SCRAM, .user = "app", .server_has = &s, .client_has = &same, .seed = i
		};

		run(&t);
		assert_int_equal(t.login, LOGIN_OK);
		assert_int_equal(t.proof, PROOF_OK);
		secret_fini(&s);
		secret_fini(&same);
		done(&t);
	}
}

#define CERTIFICATE "the hash of the server's certificate"
#define ANOTHER     "the hash of another's, who sits between"

static void who_can_is_bound_to_the_channel_and_nobody_sits_between(void **state)
{
	static const struct {
		const char *server, *client, *listed, *chosen; /* chosen: what the client sends then */
		bool in;
		const char *broken;
	} cases[] = {
		{ NULL, NULL, NULL, "SCRAM-SHA-256", true, "" },
		{ CERTIFICATE, NULL, NULL, "SCRAM-SHA-256", true, "" }, /* a driver that can not */
		{ NULL, CERTIFICATE, NULL, "SCRAM-SHA-256", true, "" }, /* a server that can not */
		{ CERTIFICATE, CERTIFICATE, NULL, "SCRAM-SHA-256-PLUS", true, "" },
		{ CERTIFICATE, ANOTHER, NULL, "SCRAM-SHA-256-PLUS", false, "SCRAM channel binding check failed" },
		{ ANOTHER, CERTIFICATE, NULL, "SCRAM-SHA-256-PLUS", false, "SCRAM channel binding check failed" },
		{ CERTIFICATE, CERTIFICATE, "SCRAM-SHA-256", "SCRAM-SHA-256", false,
			"client supports SCRAM channel binding, but believes that it is not offered here: it is" },
		{ NULL, CERTIFICATE, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS", false,
			"client selected an invalid SASL authentication mechanism" },
	};
	struct secret plain = secret("pencil"), scram = secret(SCRAM);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct talk t = { .method = AUTH_SCRAM,
			.user = "app",
			.server_has = i % 2 ? &scram : &plain,
			.client_has = &plain,
			.server_binding = cases[i].server,
			.client_binding = cases[i].client,
			.listed = cases[i].listed,
			.seed = i };
		const uint8_t *at;

		run(&t);
		assert_int_equal(t.login, cases[i].in ? LOGIN_OK : LOGIN_BROKEN);
		assert_int_equal(t.proof, cases[i].in ? PROOF_OK : PROOF_MORE);
		assert_string_equal(t.broken, cases[i].broken);
		assert_int_equal(t.has_key, cases[i].in);
		at = memchr(buf_span(&t.transcript).at, 'p', t.transcript.length);
		assert_non_null(at);
		assert_memory_equal(at + 1, cases[i].chosen, strlen(cases[i].chosen) + 1);
		done(&t);
	}
	secret_fini(&plain);
	secret_fini(&scram);
}

/* What pass-through lives on: the key that a client's login leaves opens a server that has the same verifier. */
static void the_recovered_key_opens_a_server(void **state)
{
	struct secret plain = secret("pencil"), scram = secret(SCRAM),
		      md5 = secret("md56a422f785c9e20873908ce25d1736ae2");
	struct secret other = secret(
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	struct talk client = {
		.method = AUTH_SCRAM, .user = "app", .server_has = &scram, .client_has = &plain, .seed = 1
	};
	struct talk server = {
		.method = AUTH_SCRAM, .user = "app", .server_has = &scram, .client_has = &scram, .seed = 2
	};

	(void)state;
	run(&client);
	assert_int_equal(client.login, LOGIN_OK);
	assert_true(client.has_key);
	server.client_key = client.key;
	run(&server);
	assert_int_equal(server.login, LOGIN_OK);
	assert_int_equal(server.proof, PROOF_OK);

	server.server_has = &other;
	run(&server);
	assert_int_equal(server.proof, PROOF_FAILED);
	assert_non_null(strstr(server.problem, "salt or iterations differ"));

	server.server_has = &scram;
	server.client_key = NULL;
	run(&server);
	assert_int_equal(server.proof, PROOF_FAILED);
	assert_true(strncmp(server.problem, "server login failed: wrong password type", 40) == 0);

	server.client_has = &md5;
	run(&server);
	assert_true(strncmp(server.problem, "server login failed: wrong password type", 40) == 0);
	server.client_has = NULL;
	run(&server);
	assert_true(strncmp(server.problem, "server login failed: wrong password type", 40) == 0);
	secret_fini(&plain);
	secret_fini(&scram);
	secret_fini(&other);
	secret_fini(&md5);
	done(&client);
	done(&server);
}

/* The messages that we sent, without what is random in them: types, lengths and constants. */
static void assert_same_shape(struct buf *a, struct buf *b)
{
	struct span x = buf_span(a), y = buf_span(b);

	assert_int_equal(x.length, y.length);
	for (size_t i = 0; i < x.length; i++) {
		/* Nonces and salts differ; letters stay letters, and nothing else changes. */
		bool random = x.at[i] >= '+' && y.at[i] >= '+';

		assert_true(x.at[i] == y.at[i] || random);
	}
}

/* A verifier with more iterations and a longer salt than ours is not told by them from a name that is not there. */
static void a_stranger_has_the_iterations_and_salt_of_the_file(void **state)
{
	static const char file[] =
		"\"app\" \"SCRAM-SHA-256$20000:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==$"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n";
	static const enum auth_method methods[] = { AUTH_MD5, AUTH_SCRAM };
	char error[100];
	struct secrets *secrets = secrets_parse(span_text(file), error, sizeof error);
	struct secret wrong = secret("nope");

	(void)state;
	assert_non_null(secrets);
	for (size_t m = 0; m < 2; m++) {
		struct talk known = { .method = methods[m],
			.user = "app",
			.server_has = secrets_find(secrets, span_text("app")),
			.client_has = &wrong,
			.seed = 9 };
		struct talk stranger = { .method = methods[m],
			.user = "nobody",
			.client_has = &wrong,
			.seed = 9,
			.mock = secrets_mock(secrets, span_text("nobody"), process) };

		run(&known);
		run(&stranger);
		assert_int_equal(known.login, LOGIN_FAILED);
		assert_int_equal(stranger.login, LOGIN_FAILED);
		assert_same_shape(&known.transcript, &stranger.transcript);
		assert_string_equal(known.refusal, stranger.refusal);
		done(&known);
		done(&stranger);
	}
	secret_fini(&wrong);
	secrets_drop(secrets);
}

static void a_stranger_is_not_told_from_a_wrong_password(void **state)
{
	struct secret right = secret("pencil"), wrong = secret("nope"), scram = secret(SCRAM), none = secret("");
	static const enum auth_method methods[] = { AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM };

	(void)state;
	for (size_t m = 0; m < 3; m++) {
		/* One random source for all: then even the bytes must be the same, but for the salt of the user's own. */
		struct talk known = {
			.method = methods[m], .user = "app", .server_has = &right, .client_has = &wrong, .seed = 9
		};
		struct talk stranger = { .method = methods[m], .user = "app", .client_has = &wrong, .seed = 9 };
		struct talk empty = {
			.method = methods[m], .user = "app", .server_has = &none, .client_has = &wrong, .seed = 9
		};
		struct talk verifier = {
			.method = methods[m], .user = "app", .server_has = &scram, .client_has = &wrong, .seed = 9
		};

		run(&known);
		run(&stranger);
		run(&empty);
		assert_int_equal(known.login, LOGIN_FAILED);
		assert_int_equal(stranger.login, LOGIN_FAILED);
		assert_int_equal(empty.login, LOGIN_FAILED);
		assert_true(span_equal(buf_span(&known.transcript), buf_span(&stranger.transcript)));
		assert_true(span_equal(buf_span(&known.transcript), buf_span(&empty.transcript)));
		assert_string_equal(known.refusal, stranger.refusal);
		assert_string_equal(known.refusal, empty.refusal);

		run(&verifier);
		stranger.mock = secret_mock_like(&scram);
		run(&stranger);
		assert_int_equal(verifier.login, LOGIN_FAILED);
		assert_int_equal(stranger.login, LOGIN_FAILED);
		assert_same_shape(&verifier.transcript, &stranger.transcript);
		assert_string_equal(verifier.refusal, stranger.refusal);
		done(&known);
		done(&stranger);
		done(&empty);
		done(&verifier);
	}
	secret_fini(&right);
	secret_fini(&wrong);
	secret_fini(&scram);
	secret_fini(&none);
}

/* A stranger who comes back sees the same salt, another stranger another. */
static void mock_salts_belong_to_names(void **state)
{
	char salts[3][64];
	static const char *const users[] = { "ghost", "ghost", "spirit" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct secret any = secret("x");
		struct talk t = { .method = AUTH_SCRAM, .user = users[i], .client_has = &any, .seed = 100 + i };
		struct span transcript;
		const uint8_t *at;

		run(&t);
		transcript = buf_span(&t.transcript);
		at = memmem(transcript.at, transcript.length, ",s=", 3);
		assert_non_null(at);
		text_copy_span(salts[i], 3 + 24 + 1, span_of(at, 3 + 24));
		secret_fini(&any);
		done(&t);
	}
	assert_string_equal(salts[0], salts[1]);
	assert_string_not_equal(salts[0], salts[2]);
}

static void seeded_pairs_agree_or_refuse_as_they_should(void **state)
{
	static const enum auth_method methods[] = { AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM };
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1812);
	for (int i = 0; i < 150; i++) {
		char word[40], other[40], user[20];
		struct secret s, c;
		bool same = rng_chance(&rng, 500);
		struct talk t = { .method = methods[rng_below(&rng, 3)], .seed = rng_next(&rng) };

		for (size_t n = 0; n < sizeof word - 1; n++)
			word[n] = (char)(1 + rng_below(&rng, 255));
		word[1 + rng_below(&rng, 38)] = 0;
		text_copy(other, sizeof other, word);
		if (!same)
			other[0] ^= 0x41;
		if (!other[0])
			other[0] = 1;
		text_format(user, sizeof user, "u%u", (unsigned)rng_below(&rng, 1000));
		s = secret(word);
		c = secret(other);
		t.user = user;
		t.server_has = &s;
		t.client_has = &c;
		run(&t);
		assert_int_equal(t.login == LOGIN_OK, strcmp(word, other) == 0);
		secret_fini(&s);
		secret_fini(&c);
		done(&t);
	}
}

/* One bit flipped or one message cut, anywhere: nobody crashes, and nobody is let in who proved nothing. */
static void bent_messages_never_crash_and_never_prove_anything(void **state)
{
	struct secret plain = secret("pencil"), scram = secret(SCRAM), cached = secret("pencil");
	static const enum auth_method methods[] = { AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM };
	struct rng bender;
	unsigned broken = 0, failed = 0, refused = 0;
	uint8_t key[SCRAM_KEY_LENGTH];
	struct talk first = { .method = AUTH_SCRAM, .user = "app", .server_has = &scram, .client_has = &plain };

	(void)state;
	run(&first);
	memcpy(key, first.key, sizeof key);
	done(&first);
	rng_seed(&bender, 31415);
	for (unsigned i = 0; i < 6000; i++) {
		enum auth_method method = methods[i % 3];
		/* The key instead of the password saves the PBKDF2 of every turn. */
		struct talk t = { .method = method,
			.user = "app",
			.server_has = method == AUTH_SCRAM ? &scram : &cached,
			.client_has = method == AUTH_SCRAM ? &scram : &plain,
			.client_key = key,
			.server_binding = i % 2 ? CERTIFICATE : NULL,
			.client_binding = i % 4 > 1 ? CERTIFICATE : NULL,
			.seed = i,
			.bend_at = 1 + (unsigned)rng_below(&bender, 6),
			.bender = &bender };

		run(&t);
		assert_true(t.proof != PROOF_FAILED || strncmp(t.problem, "server login failed: ", 21) == 0);
		if (t.login == LOGIN_BROKEN)
			assert_true(strlen(t.broken) > 0);
		/* Only a bent extension that nobody reads, or a bend beyond the last message, leaves both content;
		 * by SCRAM every byte of the conversation is signed, but for the mechanism that was offered and not chosen. */
		if (method == AUTH_SCRAM && t.messages >= t.bend_at && !(t.bend_at == 1 && t.server_binding))
			assert_false(t.login == LOGIN_OK && t.proof == PROOF_OK);
		broken += t.login == LOGIN_BROKEN;
		failed += t.login == LOGIN_FAILED;
		refused += t.proof == PROOF_FAILED;
		done(&t);
	}
	assert_true(broken > 100 && failed > 100 && refused > 100);
	secret_fini(&plain);
	secret_fini(&scram);
	secret_fini(&cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_password_gets_in_by_every_method),
		cmocka_unit_test(a_wrong_password_does_not),
		cmocka_unit_test(passwords_of_any_letters_work_by_scram),
		cmocka_unit_test(who_can_is_bound_to_the_channel_and_nobody_sits_between),
		cmocka_unit_test(the_recovered_key_opens_a_server),
		cmocka_unit_test(a_stranger_has_the_iterations_and_salt_of_the_file),
		cmocka_unit_test(a_stranger_is_not_told_from_a_wrong_password),
		cmocka_unit_test(mock_salts_belong_to_names),
		cmocka_unit_test(seeded_pairs_agree_or_refuse_as_they_should),
		cmocka_unit_test(bent_messages_never_crash_and_never_prove_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
