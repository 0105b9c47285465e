/* A client's login, as the client sees it: what it says, in whatever portions it comes, and what it is answered. Its passwords are
 * proven by auth/proof, our own other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/proof.h"
#include "auth/secrets.h"
#include "base/text.h"
#include "session/client.h"
#include "wire/frame.h"
#include "wire/startup.h"

#define USERS "\"ada\" \"lovelace\"\n\"boss\" \"secret\"\n\"looker\" \"glass\"\n\"pgbouncer\" \"x\"\n"

static struct params_book *book;
static struct config *config;
static struct secrets *secrets;
static struct client *client;
static struct buf out, said;
static enum client_edge edge;
static enum client_tls offered;
static size_t portion; /* how many bytes arrive at a time */

static struct config *make_config(const char *settings, enum manner manner)
{
	char text[1000], error[500];
	struct config_source source = { .file = "test.ini", .manner = manner };
	struct config *made;

	text_format(text, sizeof text, "[databases]\nshop =\n[pgbouncer]\n%s\n", settings);
	source.text = span_text(text);
	made = config_parse(&source, error, sizeof error);
	if (!made)
		fail_msg("%s", error);
	return made;
}

static void hang_up(void)
{
	client_free(client);
	config_drop(config);
	secrets_drop(secrets);
	client = NULL;
	config = NULL;
	secrets = NULL;
	buf_clear(&out);
	buf_clear(&said);
}

/* A new connection to a pooler with these settings. */
static void connect_to(const char *settings, enum manner manner, bool local_owner)
{
	static const uint8_t process_random[32] = { 3, 1, 4 }, random[64] = { 1, 5, 9, 2, 6 };
	char error[200];
	struct client_setup setup = { .params = book,
		.process_random = process_random,
		.random = random,
		.peer_host = "10.0.0.7:4711",
		.local_owner = local_owner,
		.tls = offered };

	hang_up();
	config = make_config(settings, manner);
	secrets = secrets_parse(span_text(USERS), error, sizeof error);
	assert_non_null(secrets);
	setup.config = config;
	setup.secrets = secrets;
	client = client_new(&setup);
	assert_non_null(client);
	edge = CLIENT_MORE;
}

/* What was said and not yet taken arrives, in memory of just its size. */
static void arrive(void)
{
	size_t used, seen = 0;

	edge = CLIENT_MORE;
	while (edge == CLIENT_MORE && seen < said.length) {
		size_t length = said.length - seen < portion ? said.length : seen + portion;
		uint8_t *copy = malloc(length);

		assert_non_null(copy);
		memcpy(copy, buf_span(&said).at, length);
		edge = client_take(client, span_of(copy, length), &used, &out);
		free(copy);
		assert_true(used <= length);
		buf_consume(&said, used);
		seen = used ? 0 : length;
	}
}

static void say(const void *bytes, size_t n)
{
	assert_true(buf_add(&said, bytes, n));
	arrive();
}

/* Pairs of keys and values, ended by NULL. */
static void say_startup(uint32_t protocol, const char *const *words)
{
	struct startup_pair pairs[16];
	struct writer w = writer_to(&said);
	size_t n = 0;

	for (; words[n * 2]; n++)
		pairs[n] = (struct startup_pair){ span_text(words[n * 2]), span_text(words[n * 2 + 1]) };
	message_startup(&w, protocol, pairs, n);
	arrive();
}

#define STARTUP(...) say_startup(STARTUP_PROTOCOL(3, 0), (const char *const[]){ __VA_ARGS__, NULL })

/* The next message we were sent, taken off `out`. */
static char heard(struct buf *body)
{
	struct frame frame = { 0 };

	buf_clear(body);
	if (out.length == 0)
		return 0;
	assert_int_equal(frame_peek(buf_span(&out), &frame), FRAME_HERE);
	assert_true(out.length >= FRAME_HEADER + (size_t)frame.body);
	assert_true(buf_add(body, buf_span(&out).at + FRAME_HEADER, frame.body));
	buf_consume(&out, FRAME_HEADER + frame.body);
	return frame.type;
}

static void is_refused(const char *sqlstate, const char *message)
{
	struct complaint_fields fields;
	struct buf body = { 0 };

	assert_int_equal(edge, CLIENT_REFUSED);
	assert_int_equal(heard(&body), 'E');
	assert_true(message_read_complaint(buf_span(&body), &fields));
	if (!span_is(fields.message, message) || !span_is(fields.sqlstate, sqlstate))
		fail_msg("it said %.*s %.*s, not %s %s", (int)fields.sqlstate.length, (const char *)fields.sqlstate.at,
			(int)fields.message.length, (const char *)fields.message.at, sqlstate, message);
	assert_true(span_is(fields.severity, "FATAL"));
	assert_int_equal(out.length, 0);
	assert_string_equal(client_facts(client)->refusal, message);
	buf_fini(&body);
}

static const char *asked(const char *name)
{
	return params_get(client_facts(client)->params, span_text(name));
}

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

/* ---- hello ---- */

static void encryption_is_declined_and_the_login_goes_on(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47 }, gss[] = { 0, 0, 0, 8, 4, 210, 22, 48 };

	(void)state;
	for (portion = 1; portion < 100; portion += 98) {
		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(ssl, sizeof ssl);
		assert_int_equal(edge, CLIENT_MORE);
		assert_int_equal(out.length, 1);
		assert_int_equal(*buf_span(&out).at, 'N');
		buf_clear(&out);
		say(gss, sizeof gss);
		assert_int_equal(edge, CLIENT_MORE);
		assert_int_equal(*buf_span(&out).at, 'N');
		buf_clear(&out);
		STARTUP("user", "ada", "database", "shop");
		assert_int_equal(edge, CLIENT_ENTERS);
		assert_true(span_is(client_facts(client)->user, "ada"));
		assert_true(span_is(client_facts(client)->database, "shop"));
		assert_false(client_facts(client)->console);
		assert_int_equal(client_facts(client)->protocol, STARTUP_PROTOCOL(3, 0));
	}
}

static void encryption_is_agreed_to_once_and_then_the_login_goes_on(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47 };

	(void)state;
	offered = CLIENT_TLS_MAY;
	for (portion = 1; portion < 100; portion += 98) {
		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(ssl, sizeof ssl);
		assert_int_equal(edge, CLIENT_SECURE);
		assert_false(client_facts(client)->direct);
		assert_int_equal(out.length, 1);
		assert_int_equal(*buf_span(&out).at, 'S');
		buf_clear(&out);
		assert_true(client_secured(client, &(struct client_channel){ 0 }));
		STARTUP("user", "ada", "database", "shop");
		assert_int_equal(edge, CLIENT_ENTERS);

		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(ssl, sizeof ssl);
		assert_true(client_secured(client, &(struct client_channel){ 0 }));
		buf_clear(&out);
		say(ssl, sizeof ssl);
		is_refused("08P01", "SSL request inside an encrypted connection");
	}
	connect_to("", MANNER_PGWEIR, false);
	portion = 100;
	say("\0\0\0\10\4\322\26\57and a startup packet", 28);
	is_refused("08P01", "received unencrypted data after SSL request");
	offered = CLIENT_TLS_NEVER;
}

static void a_certificate_is_enough_for_who_it_names_and_the_file_knows(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47 };
	static const struct {
		const char *names;
		size_t length;
		bool good;
		enum manner manner;
		const char *user, *refusal; /* NULL: in */
	} cases[] = {
		{ "ada", 4, true, MANNER_PGWEIR, "ada", NULL },
		{ "x\0ada", 6, true, MANNER_PGWEIR, "ada", NULL },
		{ "ada", 4, false, MANNER_PGWEIR, "ada", "certificate authentication failed for user \"ada\"" },
		{ "ada", 4, true, MANNER_PGWEIR, "boss", "certificate authentication failed for user \"boss\"" },
		{ "", 0, true, MANNER_PGWEIR, "ada", "certificate authentication failed for user \"ada\"" },
		{ "ada", 4, true, MANNER_PGBOUNCER, "boss", "TLS certificate name mismatch" },
		{ "ghost", 6, true, MANNER_PGWEIR, "ghost", "password authentication failed for user \"ghost\"" },
	};

	(void)state;
	offered = CLIENT_TLS_MUST;
	portion = 100;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct client_channel channel = { .certificate = cases[i].good,
			.names = span_of(cases[i].names, cases[i].length) };

		connect_to("auth_type = cert\nclient_tls_sslmode = verify-full", cases[i].manner, false);
		say(ssl, sizeof ssl);
		assert_true(client_secured(client, &channel));
		buf_clear(&out);
		STARTUP("user", cases[i].user, "database", "shop");
		assert_int_equal(edge, CLIENT_ENTERS);
		edge = client_admit(client, &out);
		if (!cases[i].refusal)
			assert_int_equal(edge, CLIENT_PROVEN);
		else
			assert_string_equal(client_facts(client)->refusal, cases[i].refusal);
	}
	offered = CLIENT_TLS_NEVER;
}

static void tls_that_begins_by_itself_is_known_by_its_first_byte(void **state)
{
	(void)state;
	offered = CLIENT_TLS_MUST;
	portion = 1;
	connect_to("", MANNER_PGWEIR, false);
	say("\26", 1);
	assert_int_equal(edge, CLIENT_SECURE);
	assert_true(client_facts(client)->direct);
	assert_int_equal(out.length, 0);
	assert_int_equal(said.length, 1); /* it is the handshake's */
	offered = CLIENT_TLS_NEVER;
	portion = 100;
	connect_to("", MANNER_PGWEIR, false);
	say("\26\3\1\2\0\1\0\1", 8);
	is_refused("08P01", "invalid length of startup packet");
}

static void who_must_encrypt_and_does_not_is_refused_but_for_a_cancel(void **state)
{
	static const uint8_t cancel[] = { 0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 1, 2, 3, 4 };

	(void)state;
	offered = CLIENT_TLS_MUST;
	portion = 100;
	connect_to("", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "database", "shop");
	is_refused("08P01", "SSL required");
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "database", "shop");
	is_refused("28000", "SSL required");
	connect_to("", MANNER_PGWEIR, false);
	say(cancel, sizeof cancel);
	assert_int_equal(edge, CLIENT_CANCEL);
	offered = CLIENT_TLS_NEVER;
}

/* Somebody on the way could have put them there (CVE-2021-23214 was of that kind). */
static void bytes_behind_a_request_for_encryption_are_refused(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47, 'x' }, gss[] = { 0, 0, 0, 8, 4, 210, 22, 48, 0 };

	(void)state;
	portion = 100;
	connect_to("", MANNER_PGWEIR, false);
	say(ssl, sizeof ssl);
	is_refused("08P01", "received unencrypted data after SSL request");
	connect_to("", MANNER_PGWEIR, false);
	say(gss, sizeof gss);
	is_refused("08P01", "received unencrypted data after GSSAPI encryption request");
}

static void a_packet_that_is_too_long_is_refused_by_its_header(void **state)
{
	static const struct {
		uint8_t bytes[8];
		const char *sqlstate, *message;
	} hellos[] = {
		{ { 0, 0, 0x27, 0x11, 0, 3, 0, 0 }, "08P01", "invalid length of startup packet" },
		{ { 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T' }, "08P01", "invalid length of startup packet" },
		{ { 0, 0, 0, 8, 0, 2, 0, 0 }, "0A000", "old V2 protocol not supported" },
		{ { 0, 0, 0, 8, 0, 4, 0, 1 }, "0A000", "unsupported frontend protocol 4.1: server supports 3.0 to 3.2" },
		{ { 0, 0, 0, 8, 0, 3, 0, 0 }, "08P01",
			"invalid startup packet layout: expected terminator as last byte" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
		portion = 1 + i % 2 * 7;
		connect_to("", MANNER_PGWEIR, false);
		say(hellos[i].bytes, sizeof hellos[i].bytes);
		is_refused(hellos[i].sqlstate, hellos[i].message);
		connect_to("", MANNER_PGBOUNCER, false);
		say(hellos[i].bytes, sizeof hellos[i].bytes);
		is_refused("08P01", hellos[i].message);
	}
}

static void a_cancel_request_says_whom_and_proves_it(void **state)
{
	struct writer w = writer_to(&said);

	(void)state;
	portion = 1;
	connect_to("", MANNER_PGWEIR, false);
	w = writer_to(&said);
	message_cancel(&w, 4711, span_text("0123456789abcdef"));
	arrive();
	assert_int_equal(edge, CLIENT_CANCEL);
	assert_int_equal(client_facts(client)->cancel_process, 4711);
	assert_true(span_is(client_facts(client)->cancel_secret, "0123456789abcdef"));
	assert_int_equal(out.length, 0);
}

/* ---- startup parameters ---- */

static void the_database_is_named_as_the_user_unless_it_is_named(void **state)
{
	(void)state;
	portion = 1000;
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_true(span_is(client_facts(client)->database, "ada"));
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("database", "shop");
	is_refused("28000", "no PostgreSQL user name specified in startup packet");
	connect_to("", MANNER_PGBOUNCER, false);
	STARTUP("user", "", "database", "shop");
	is_refused("08P01", "no username supplied");
}

static void an_unknown_parameter_is_carried_or_refused_by_manner(void **state)
{
	(void)state;
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "statement_timeout", "5s", "application_name", "web");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_string_equal(asked("statement_timeout"), "5s");
	assert_string_equal(asked("application_name"), "web");
	assert_int_equal(params_count(client_facts(client)->params), 2);
	connect_to("", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "statement_timeout", "5s");
	is_refused("08P01", "unsupported startup parameter: statement_timeout");
	connect_to("ignore_startup_parameters = extra_float_digits, statement_timeout", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "STATEMENT_TIMEOUT", "5s", "timezone", "UTC", "intervalstyle", "iso_8601");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_null(asked("statement_timeout"));
	assert_string_equal(asked("TimeZone"), "UTC");
	assert_string_equal(asked("IntervalStyle"), "iso_8601");
}

static void options_are_parameters_and_lose_against_those_given_alone(void **state)
{
	(void)state;
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "search_path", "alone", "options",
		"-c search_path=inside --statement-timeout=7 -c application_name=a\\ b -cgeqo=off");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_string_equal(asked("search_path"), "alone");
	assert_string_equal(asked("statement_timeout"), "7");
	assert_string_equal(asked("application_name"), "a b");
	assert_string_equal(asked("geqo"), "off");
}

static void options_that_are_not_settings_are_refused(void **state)
{
	(void)state;
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "options", "-c geqo=off -B 100");
	is_refused("42601", "invalid command-line argument for server process: -B");
	connect_to("", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "options", "-B 100");
	is_refused(
		"08P01", "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed");
	connect_to("", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "options", "-c geqo=off");
	is_refused("08P01", "unsupported startup parameter in options: geqo");
	connect_to("ignore_startup_parameters = options", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "options", "-B 100 -c geqo=off -c datestyle=ISO");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_null(asked("geqo"));
	assert_string_equal(asked("DateStyle"), "ISO");
}

static void replication_is_read_as_postgresql_reads_it(void **state)
{
	static const struct {
		const char *said;
		enum replication kind;
	} cases[] = {
		{ "", REPLICATION_NONE },
		{ "0", REPLICATION_NONE },
		{ "off", REPLICATION_NONE },
		{ "of", REPLICATION_NONE },
		{ "N", REPLICATION_NONE },
		{ "fal", REPLICATION_NONE },
		{ "1", REPLICATION_PHYSICAL },
		{ "on", REPLICATION_PHYSICAL },
		{ "TRUE", REPLICATION_PHYSICAL },
		{ "t", REPLICATION_PHYSICAL },
		{ "ye", REPLICATION_PHYSICAL },
		{ "database", REPLICATION_LOGICAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		connect_to("", MANNER_PGWEIR, false);
		STARTUP("user", "ada", "replication", cases[i].said);
		assert_int_equal(edge, CLIENT_ENTERS);
		assert_int_equal(client_facts(client)->replication, cases[i].kind);
		assert_null(asked("replication"));
	}
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "replication", "o");
	is_refused("22023", "invalid value for parameter \"replication\": \"o\"");
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "database", "pgweir", "replication", "true");
	is_refused("0A000", "the console has nothing to replicate");
}

static void the_clients_address_is_added_to_its_name_when_that_is_set(void **state)
{
	(void)state;
	connect_to("application_name_add_host = 1", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "application_name", "web");
	assert_string_equal(asked("application_name"), "web - 10.0.0.7:4711");
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	char name[USER_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof name);
	name[USER_NAME_MAX + 1] = '\0';
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", name);
	is_refused("28000", "username too long");
	name[USER_NAME_MAX] = '\0';
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", name);
	assert_int_equal(edge, CLIENT_ENTERS);
}

/* ---- versions ---- */

static void the_protocol_is_brought_down_to_what_we_speak(void **state)
{
	static const struct {
		unsigned minor, spoken;
		bool negotiated;
	} versions[] = { { 0, 0, false }, { 1, 0, true }, { 2, 2, false }, { 3, 2, true }, { 9, 2, true } };
	struct buf body = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		connect_to("auth_type = trust", MANNER_PGWEIR, false);
		say_startup(STARTUP_PROTOCOL(3, versions[i].minor), (const char *const[]){ "user", "ada", NULL });
		assert_int_equal(edge, CLIENT_ENTERS);
		assert_int_equal(client_facts(client)->protocol, STARTUP_PROTOCOL(3, versions[i].spoken));
		edge = client_admit(client, &out);
		assert_int_equal(edge, CLIENT_PROVEN);
		if (versions[i].negotiated) {
			assert_int_equal(heard(&body), 'v');
			assert_int_equal(body.length, 8);
			assert_int_equal(buf_span(&body).at[3], versions[i].spoken);
		}
		assert_int_equal(out.length, 0);
	}
	buf_fini(&body);
}

static void options_of_the_protocol_that_we_do_not_know_are_named(void **state)
{
	static const uint8_t expected[] = "\0\3\0\0\0\0\0\2_pq_.a\0_pq_.shine";
	struct buf body = { 0 };

	(void)state;
	connect_to("auth_type = trust", MANNER_PGBOUNCER, false);
	STARTUP("user", "ada", "_pq_.a", "1", "_pq_.shine", "on");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_int_equal(params_count(client_facts(client)->params), 0);
	assert_int_equal(client_admit(client, &out), CLIENT_PROVEN);
	assert_int_equal(heard(&body), 'v');
	assert_int_equal(body.length, sizeof expected);
	assert_memory_equal(buf_span(&body).at, expected, sizeof expected);
	buf_fini(&body);
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

static int set_up(void **state)
{
	(void)state;
	portion = 1000;
	book = params_book_new();
	return book ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	hang_up();
	buf_fini(&out);
	buf_fini(&said);
	params_book_free(book); /* checks that nothing of any login was left behind */
	return 0;
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest stories[] = {
		STORY(encryption_is_declined_and_the_login_goes_on),
		STORY(encryption_is_agreed_to_once_and_then_the_login_goes_on),
		STORY(a_certificate_is_enough_for_who_it_names_and_the_file_knows),
		STORY(tls_that_begins_by_itself_is_known_by_its_first_byte),
		STORY(who_must_encrypt_and_does_not_is_refused_but_for_a_cancel),
		STORY(bytes_behind_a_request_for_encryption_are_refused),
		STORY(a_packet_that_is_too_long_is_refused_by_its_header),
		STORY(a_cancel_request_says_whom_and_proves_it),
		STORY(the_database_is_named_as_the_user_unless_it_is_named),
		STORY(an_unknown_parameter_is_carried_or_refused_by_manner),
		STORY(options_are_parameters_and_lose_against_those_given_alone),
		STORY(options_that_are_not_settings_are_refused),
		STORY(replication_is_read_as_postgresql_reads_it),
		STORY(the_clients_address_is_added_to_its_name_when_that_is_set),
		STORY(a_name_that_is_too_long_is_refused),
		STORY(the_protocol_is_brought_down_to_what_we_speak),
		STORY(options_of_the_protocol_that_we_do_not_know_are_named),
		STORY(the_right_password_is_proven_by_every_method),
		STORY(a_wrong_password_and_an_unknown_user_are_refused_alike),
		STORY(trust_is_for_known_users_and_any_for_all),
		STORY(what_comes_instead_of_a_password_ends_the_login),
		STORY(the_console_is_for_those_who_are_named),
		STORY(the_owner_of_the_process_needs_no_password_for_the_console_alone),
		STORY(with_any_everybody_may_look_at_the_console),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
