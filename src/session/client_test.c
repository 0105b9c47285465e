/* How a client proves who it is, and who may use the console, as the client sees it. */
#include "auth/proof.h"
#include "session/client_helper_test.h"

/* Prove to know this password, whatever proof is asked for. Returns what the first request was. */
static uint32_t prove(const char *user, const char *password)
{
	static const uint8_t random[32] = { 2, 7, 1, 8 };
	struct secret secret;
	struct proof_setup setup = { .user = span_text(user), .secret = &secret, .random = random };
	struct buf body = { 0 };
	uint32_t first = 0;
	struct proof *proof;

	assert_true(secret_init(&secret, span_text(password)));
	proof = proof_new(&setup);
	assert_non_null(proof);
	edge = client_admit(client, &out);
	for (char type; edge == CLIENT_MORE && (type = heard(&body)) != 0;) {
		struct writer w = writer_to(&said);

		if (type == 'v')
			continue;
		assert_int_equal(type, 'R');
		if (!first)
			first = buf_span(&body).at[3];
		if (proof_take(proof, buf_span(&body), &w) == PROOF_FAILED)
			fail_msg("%s", proof_problem(proof));
		assert_true(said.length > 0);
		arrive();
	}
	proof_free(proof);
	secret_fini(&secret);
	buf_fini(&body);
	return first;
}

/* ---- proofs ---- */

static const struct method {
	const char *setting;
	uint32_t request;
} methods[] = { { "auth_type = plain", 3 }, { "auth_type = md5", 5 }, { "auth_type = scram-sha-256", 10 } };

static void the_right_password_is_proven_by_every_method(void **state)
{
	struct buf body = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		portion = i % 2 ? 1 : 1000;
		connect_to(methods[i].setting, MANNER_PGWEIR, false);
		STARTUP("user", "ada", "database", "shop");
		assert_int_equal(prove("ada", "lovelace"), methods[i].request);
		assert_int_equal(edge, CLIENT_PROVEN);
		/* SCRAM's last word, the server's own proof, may wait in front of the welcome. */
		while (out.length > 0)
			assert_int_equal(heard(&body), 'R');
		assert_true(client_welcome(client, NULL, 7, span_text("four"), &out));
		assert_int_equal(heard(&body), 'R');
		assert_int_equal(heard(&body), 'K');
		assert_int_equal(body.length, 8);
		assert_int_equal(heard(&body), 'Z');
		assert_int_equal(out.length, 0);
	}
	buf_fini(&body);
}

static void a_wrong_password_and_an_unknown_user_are_refused_alike(void **state)
{
	static const char *const users[] = { "ada", "nobody" };
	char message[100];

	(void)state;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		for (size_t j = 0; j < 2; j++) {
			connect_to(methods[i].setting, MANNER_PGWEIR, false);
			STARTUP("user", users[j], "database", "shop");
			assert_int_equal(prove(users[j], "babbage"), methods[i].request);
			text_format(
				message, sizeof message, "password authentication failed for user \"%s\"", users[j]);
			is_refused("28P01", message);
			connect_to(methods[i].setting, MANNER_PGBOUNCER, false);
			STARTUP("user", users[j], "database", "shop");
			prove(users[j], "babbage");
			is_refused("08P01", i == 2 ? "SASL authentication failed" : "password authentication failed");
		}
}

static void the_log_alone_is_told_why_a_password_did_not_do(void **state)
{
	static const struct {
		const char *user, *method, *why;
	} cases[] = {
		{ "ada", "md5", " (auth_file: wrong password)" },
		{ "ada", "scram-sha-256", " (auth_file: wrong password)" },
		{ "nobody", "plain", " (auth_file: no such user)" },
		{ "nobody", "scram-sha-256", " (auth_file: no such user)" },
		{ "empty", "md5", " (auth_file: no password for this user)" },
		{ "old", "scram-sha-256", " (auth_file: an md5 secret, which does not do for scram-sha-256)" },
	};
	char message[100], setting[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		text_format(setting, sizeof setting, "auth_type = %s", cases[i].method);
		text_format(message, sizeof message, "password authentication failed for user \"%s\"", cases[i].user);
		connect_to(setting, MANNER_PGWEIR, false);
		STARTUP("user", cases[i].user, "database", "shop");
		prove(cases[i].user, "babbage");
		is_refused("28P01", message);
		assert_memory_equal(client_facts(client)->refusal, message, strlen(message));
		assert_string_equal(client_facts(client)->refusal + strlen(message), cases[i].why);
	}
}

static void trust_is_for_known_users_and_any_for_all(void **state)
{
	(void)state;
	connect_to("auth_type = trust", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
	connect_to("auth_type = trust", MANNER_PGBOUNCER, false);
	STARTUP("user", "nobody");
	edge = client_admit(client, &out);
	is_refused("08P01", "\"trust\" authentication failed");
	connect_to("auth_type = any", MANNER_PGWEIR, false);
	STARTUP("user", "nobody");
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
}

static void what_comes_instead_of_a_password_ends_the_login(void **state)
{
	static const uint8_t query[] = "Q\0\0\0\015SELECT 1", huge[] = { 'p', 0, 0, 0x20, 5 },
			     broken[] = { 'p', 0, 0, 0, 3 }, terminate[] = { 'X', 0, 0, 0, 4 };

	(void)state;
	portion = 1;
	connect_to("auth_type = md5", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	edge = client_admit(client, &out);
	buf_clear(&out);
	say(query, sizeof query);
	is_refused("08P01", "expected password response, got message type 81");
	connect_to("auth_type = md5", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	edge = client_admit(client, &out);
	buf_clear(&out);
	say(huge, sizeof huge);
	is_refused("08P01", "invalid password packet size");
	connect_to("auth_type = md5", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	edge = client_admit(client, &out);
	buf_clear(&out);
	say(broken, sizeof broken);
	is_refused("08P01", "invalid message length");
	connect_to("auth_type = md5", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	edge = client_admit(client, &out);
	buf_clear(&out);
	say(terminate, sizeof terminate);
	assert_int_equal(edge, CLIENT_GONE);
	assert_int_equal(out.length, 0);
}

/* ---- the console ---- */

static void the_console_is_for_those_who_are_named(void **state)
{
	static const char settings[] = "auth_type = md5\nadmin_users = boss\nstats_users = looker";
	static const char *const databases[] = { "pgbouncer", "pgweir" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		connect_to(settings, MANNER_PGWEIR, false);
		STARTUP("user", "boss", "database", databases[i]);
		assert_true(client_facts(client)->console);
		prove("boss", "secret");
		assert_int_equal(edge, CLIENT_PROVEN);
		assert_true(client_facts(client)->console_admin);
		connect_to(settings, MANNER_PGWEIR, false);
		STARTUP("user", "looker", "database", databases[i]);
		prove("looker", "glass");
		assert_int_equal(edge, CLIENT_PROVEN);
		assert_false(client_facts(client)->console_admin);
		connect_to(settings, MANNER_PGWEIR, false);
		STARTUP("user", "ada", "database", databases[i]);
		prove("ada", "lovelace");
		is_refused("42501",
			"user \"ada\" may not use the console: it is neither in admin_users nor in stats_users");
		connect_to(settings, MANNER_PGBOUNCER, false);
		STARTUP("user", "ada", "database", databases[i]);
		prove("ada", "lovelace");
		is_refused("08P01", "not allowed");
	}
}

static void the_owner_of_the_process_needs_no_password_for_the_console_alone(void **state)
{
	(void)state;
	connect_to("auth_type = md5", MANNER_PGWEIR, true);
	STARTUP("user", "pgbouncer", "database", "pgbouncer");
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
	assert_true(client_facts(client)->console_admin);
	/* Not for a database, not as somebody else, not from elsewhere. */
	connect_to("auth_type = md5", MANNER_PGWEIR, true);
	STARTUP("user", "pgbouncer", "database", "shop");
	assert_int_equal(client_admit(client, &out), CLIENT_MORE);
	connect_to("auth_type = md5\nadmin_users = boss", MANNER_PGWEIR, true);
	STARTUP("user", "boss", "database", "pgbouncer");
	assert_int_equal(client_admit(client, &out), CLIENT_MORE);
	connect_to("auth_type = md5", MANNER_PGWEIR, false);
	STARTUP("user", "pgbouncer", "database", "pgbouncer");
	assert_int_equal(client_admit(client, &out), CLIENT_MORE);
}

static void with_any_everybody_may_look_at_the_console(void **state)
{
	(void)state;
	connect_to("auth_type = any\nadmin_users = boss", MANNER_PGBOUNCER, false);
	STARTUP("user", "somebody", "database", "pgbouncer");
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
	assert_false(client_facts(client)->console_admin);
	connect_to("auth_type = any\nadmin_users = boss", MANNER_PGBOUNCER, false);
	STARTUP("user", "boss", "database", "pgbouncer");
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
	assert_true(client_facts(client)->console_admin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_right_password_is_proven_by_every_method),
		STORY(a_wrong_password_and_an_unknown_user_are_refused_alike),
		STORY(the_log_alone_is_told_why_a_password_did_not_do),
		STORY(trust_is_for_known_users_and_any_for_all),
		STORY(what_comes_instead_of_a_password_ends_the_login),
		STORY(the_console_is_for_those_who_are_named),
		STORY(the_owner_of_the_process_needs_no_password_for_the_console_alone),
		STORY(with_any_everybody_may_look_at_the_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
