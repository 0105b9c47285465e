/* What a client says before its proof, and what it is answered. */
#include "session/client_helper_test.h"

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

static void encryption_of_either_kind_is_asked_for_once(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47 }, gss[] = { 0, 0, 0, 8, 4, 210, 22, 48 };

	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(order & 1 ? ssl : gss, 8);
		if (order & 2)
			say(order & 1 ? gss : ssl, 8);
		assert_int_equal(edge, CLIENT_MORE);
		buf_clear(&out);
		say(order & 1 ? ssl : gss, 8);
		is_refused("0A000",
			order & 1 ? "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2"
				  : "unsupported frontend protocol 1234.5680: server supports 3.0 to 3.2");
	}
}

static void encryption_is_agreed_to_once_and_then_the_login_goes_on(void **state)
{
	static const uint8_t ssl[] = { 0, 0, 0, 8, 4, 210, 22, 47 }, gss[] = { 0, 0, 0, 8, 4, 210, 22, 48 };

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

		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(ssl, sizeof ssl);
		assert_true(client_secured(client, &(struct client_channel){ 0 }));
		buf_clear(&out);
		say(gss, sizeof gss);
		is_refused("08P01", "GSSAPI encryption request inside an encrypted connection");

		connect_to("auth_type = md5", MANNER_PGWEIR, false);
		say(gss, sizeof gss);
		buf_clear(&out);
		say("\26\3\1\2\0\1\0\1", 8);
		is_refused("08P01", "invalid length of startup packet");
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
		{ "ada", 4, false, MANNER_PGWEIR, "ada", "connection requires a valid client certificate" },
		{ "ada", 4, true, MANNER_PGWEIR, "boss", "certificate authentication failed for user \"boss\"" },
		{ "", 0, true, MANNER_PGWEIR, "ada", "certificate authentication failed for user \"ada\"" },
		{ "ada", 4, true, MANNER_PGBOUNCER, "boss",
			"certificate authentication failed (TLS certificate name mismatch)" },
		{ "ada", 4, false, MANNER_PGBOUNCER, "ada",
			"certificate authentication failed (TLS client certificate required)" },
		{ "ghost", 6, true, MANNER_PGWEIR, "ghost",
			"password authentication failed for user \"ghost\" (auth_file: no such user)" },
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
		{ { 0, 0, 0x27, 0x15, 0, 3, 0, 0 }, "08P01", "invalid length of startup packet" },
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

static void nothing_behind_a_cancel_request_is_looked_at(void **state)
{
	struct writer w = writer_to(&said);
	size_t used;

	(void)state;
	connect_to("", MANNER_PGWEIR, false);
	message_cancel(&w, 4711, span_text("0123"));
	message_cancel(&w, 4712, span_text("4567"));
	arrive();
	assert_int_equal(edge, CLIENT_CANCEL);
	assert_int_equal(said.length, 16);
	assert_int_equal(client_take(client, buf_span(&said), &used, &out), CLIENT_MORE);
	assert_int_equal(used, 0);
	assert_int_equal(client_facts(client)->cancel_process, 4711);
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
	connect_to("", MANNER_PGWEIR, false);
	STARTUP("user", "ada", "options", "-c work_mem=3MB", "options", "-c geqo=off");
	assert_int_equal(edge, CLIENT_ENTERS);
	assert_string_equal(asked("geqo"), "off");
	assert_null(asked("work_mem"));
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
	STARTUP("user", "ada", "replication", "");
	is_refused("22023", "invalid value for parameter \"replication\": \"\"");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(encryption_is_declined_and_the_login_goes_on),
		STORY(encryption_of_either_kind_is_asked_for_once),
		STORY(encryption_is_agreed_to_once_and_then_the_login_goes_on),
		STORY(a_certificate_is_enough_for_who_it_names_and_the_file_knows),
		STORY(tls_that_begins_by_itself_is_known_by_its_first_byte),
		STORY(who_must_encrypt_and_does_not_is_refused_but_for_a_cancel),
		STORY(bytes_behind_a_request_for_encryption_are_refused),
		STORY(a_packet_that_is_too_long_is_refused_by_its_header),
		STORY(a_cancel_request_says_whom_and_proves_it),
		STORY(nothing_behind_a_cancel_request_is_looked_at),
		STORY(the_database_is_named_as_the_user_unless_it_is_named),
		STORY(an_unknown_parameter_is_carried_or_refused_by_manner),
		STORY(options_are_parameters_and_lose_against_those_given_alone),
		STORY(options_that_are_not_settings_are_refused),
		STORY(replication_is_read_as_postgresql_reads_it),
		STORY(the_clients_address_is_added_to_its_name_when_that_is_set),
		STORY(a_name_that_is_too_long_is_refused),
		STORY(the_protocol_is_brought_down_to_what_we_speak),
		STORY(options_of_the_protocol_that_we_do_not_know_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
