/* Our login to a server that may be anything: in portions, out of order, too long, without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "session/server.h"
#include "wire/frame.h"
#include "wire/startup.h"

static struct params_book *book;
static struct server *server;
static struct secret secret;
static struct buf out, said;
static struct writer w;
static size_t portion;

static void call_with(const char *password)
{
	static const uint8_t random[32] = { 1, 6, 1, 8 };
	struct startup_pair extra = { span_text("application_name"), span_text("pool") };
	struct server_setup setup = { .user = span_text("ada"),
		.database = span_text("shop"),
		.secret = &secret,
		.random = random,
		.extra = &extra,
		.extra_count = 1,
		.params = book };

	server_login_free(server);
	secret_fini(&secret);
	assert_true(secret_init(&secret, span_text(password)));
	buf_clear(&out);
	buf_clear(&said);
	w = writer_to(&said);
	server = server_login_new(&setup, &out);
	assert_non_null(server);
}

static void call(void)
{
	call_with("lovelace");
}

static void whatever_is_asked_for_goes_into_the_startup_packet(void **state)
{
	struct startup_pair extra[40];
	char names[40][16];
	struct server_setup setup = { .user = span_text("ada"),
		.database = span_text("shop"),
		.random = (const uint8_t[32]){ 1 },
		.extra = extra,
		.extra_count = 40,
		.params = book };
	struct startup startup;
	struct span key, value;
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		text_format(names[i], sizeof names[i], "setting_%zu", i);
		extra[i] = (struct startup_pair){ span_text(names[i]), span_text(names[i] + 8) };
	}
	server_login_free(server);
	buf_clear(&out);
	server = server_login_new(&setup, &out);
	assert_non_null(server);
	startup_parse(buf_span(&out), &startup);
	assert_int_equal(startup.kind, STARTUP_LOGIN);
	while (startup_next(&startup, &key, &value))
		assert_true(count++ < 2 || (span_is(key, names[count - 3]) && span_is(value, names[count - 3] + 8)));
	assert_int_equal(count, 42);
}

/* What the server said arrives, in memory of just its size. */
static enum server_edge arrive(void)
{
	enum server_edge edge = SERVER_MORE;
	size_t used, seen = 0;

	assert_true(writer_ok(&w));
	while (edge == SERVER_MORE && seen < said.length) {
		size_t length = said.length - seen < portion ? said.length : seen + portion;
		uint8_t *copy = malloc(length);

		assert_non_null(copy);
		memcpy(copy, buf_span(&said).at, length);
		edge = server_login_take(server, span_of(copy, length), &used, &out);
		free(copy);
		assert_true(used <= length);
		buf_consume(&said, used);
		seen = used ? 0 : length;
	}
	return edge;
}

static void header(char type, uint32_t length)
{
	write_u8(&w, (uint8_t)type);
	write_u32(&w, length);
}

static void accept_login(void)
{
	message_authentication(&w, 0, span_of(NULL, 0));
}

static void is_refused(const char *sqlstate, const char *problem, bool told)
{
	assert_int_equal(arrive(), SERVER_REFUSED);
	assert_string_equal(server_login_facts(server)->problem, problem);
	assert_string_equal(server_login_facts(server)->sqlstate, sqlstate);
	assert_int_equal(server_login_facts(server)->told, told);
}

#define BROKEN "the server broke the protocol of the login"

static void we_say_who_we_are_and_learn_what_it_reports(void **state)
{
	struct startup startup;
	struct span key, value;

	(void)state;
	for (portion = 1; portion < 10000; portion *= 7) {
		call();
		startup_parse(buf_span(&out), &startup);
		assert_int_equal(startup.kind, STARTUP_LOGIN);
		assert_int_equal(startup.protocol, STARTUP_PROTOCOL(3, 0));
		assert_true(startup_next(&startup, &key, &value) && span_is(key, "user") && span_is(value, "ada"));
		assert_true(startup_next(&startup, &key, &value) && span_is(key, "database") && span_is(value, "shop"));
		assert_true(startup_next(&startup, &key, &value) && span_is(key, "application_name"));
		assert_false(startup_next(&startup, &key, &value));
		accept_login();
		message_parameter_status(&w, "TimeZone", "UTC");
		message_parameter_status(&w, "TimeZone", "GMT");
		message_backend_key(&w, 4711, span_text("four"));
		message_ready(&w, 'I');
		write_bytes(&w, "Z", 1); /* not the login's any more */
		assert_int_equal(arrive(), SERVER_READY);
		assert_int_equal(said.length, 1);
		assert_string_equal(params_get(server_login_facts(server)->reported, span_text("timezone")), "GMT");
		assert_int_equal(server_login_facts(server)->process_id, 4711);
		assert_int_equal(server_login_facts(server)->secret_length, 4);
		assert_memory_equal(server_login_facts(server)->secret, "four", 4);
	}
}

static void a_password_is_sent_when_it_is_asked_for(void **state)
{
	struct frame frame;

	(void)state;
	call();
	buf_clear(&out);
	message_authentication(&w, 3, span_of(NULL, 0));
	assert_int_equal(arrive(), SERVER_MORE);
	assert_int_equal(frame_peek(buf_span(&out), &frame), FRAME_HERE);
	assert_int_equal(frame.type, 'p');
	assert_int_equal(frame.body, sizeof "lovelace");
	assert_memory_equal(buf_span(&out).at + FRAME_HEADER, "lovelace", sizeof "lovelace");
	accept_login();
	message_ready(&w, 'I');
	assert_int_equal(arrive(), SERVER_READY);
}

static void refuse_by(const char *routine)
{
	static const char fields[] = "SFATAL\0VFATAL\0C53300\0Mzu viele Verbindungen";
	size_t mark = message_begin(&w, 'E');

	write_bytes(&w, fields, sizeof fields);
	if (routine) {
		write_u8(&w, 'R');
		write_string(&w, routine);
	}
	write_u8(&w, 0);
	message_end(&w, mark);
}

static void whose_limit_was_met_is_told_in_every_language(void **state)
{
	static const struct {
		const char *routine;
		enum server_limit limit;
	} cases[] = { { "InitProcess", LIMIT_OF_SERVER }, { "InitializeSessionUserId", LIMIT_OF_ROLE },
		{ "CheckMyDatabase", LIMIT_OF_DATABASE }, { NULL, LIMIT_OF_SERVER } };

	(void)state;
	portion = 7;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		call();
		refuse_by(cases[i].routine);
		is_refused("53300", "zu viele Verbindungen", true);
		assert_int_equal(server_login_facts(server)->limit, cases[i].limit);
	}
}

static void the_servers_own_words_are_kept(void **state)
{
	struct complaint complaint = { .severity = SEVERITY_FATAL,
		.sqlstate = SQLSTATE_TOO_MANY_CONNECTIONS,
		.message = "sorry, too many clients already" };
	char longer[1000];

	(void)state;
	portion = 3;
	call();
	message_complaint(&w, &complaint);
	is_refused("53300", "sorry, too many clients already", true);
	/* After its proof too, and cut where we have no more room. */
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	complaint.message = longer;
	call();
	accept_login();
	message_complaint(&w, &complaint);
	assert_int_equal(arrive(), SERVER_REFUSED);
	assert_int_equal(strlen(server_login_facts(server)->problem), sizeof server_login_facts(server)->problem - 1);
	assert_string_equal(server_login_facts(server)->sqlstate, "53300");
}

/* A server's error may lack its fields (PgBouncer crashed on that: CVE-2026-6666). */
static void an_error_without_words_is_one_too(void **state)
{
	(void)state;
	call();
	header('E', 5);
	write_u8(&w, 0);
	is_refused("08006", "the server refused the login without words", true);
	call();
	header('E', 4 + 7);
	write_bytes(&w, "C123\0\0\0", 7);
	assert_int_equal(arrive(), SERVER_REFUSED);
	assert_string_equal(server_login_facts(server)->sqlstate, "08006");
	call();
	header('E', 4 + 3);
	write_bytes(&w, "Mno", 3); /* no end */
	is_refused("08006", "the server refused the login without words", false);
}

static void nobody_is_ready_before_the_proof_is_over(void **state)
{
	(void)state;
	call();
	message_ready(&w, 'I');
	is_refused("08P01", BROKEN, false);
	call();
	message_authentication(&w, 3, span_of(NULL, 0));
	message_ready(&w, 'I');
	is_refused("08P01", BROKEN, false);
	/* In a transaction from the start, or with a body of another length. */
	call();
	accept_login();
	message_ready(&w, 'T');
	is_refused("08P01", BROKEN, false);
	call();
	accept_login();
	header('Z', 6);
	write_bytes(&w, "II", 2);
	is_refused("08P01", BROKEN, false);
	call();
	accept_login();
	header('Z', 4);
	is_refused("08P01", BROKEN, false);
}

/* PostgreSQL's own server never does; one that plays it, to learn what a password unlocks, may. */
static void a_server_that_skips_its_own_proof_is_not_believed(void **state)
{
	(void)state;
	call();
	message_authentication(&w, 10, span_of("SCRAM-SHA-256\0", 15));
	assert_int_equal(arrive(), SERVER_MORE);
	accept_login();
	assert_int_equal(arrive(), SERVER_REFUSED);
	assert_string_equal(server_login_facts(server)->sqlstate, "28000");
	assert_true(strlen(server_login_facts(server)->problem) > 0);
}

static void no_message_is_longer_than_a_login_has(void **state)
{
	(void)state;
	for (portion = 1; portion < 100; portion += 98) {
		call();
		header('S', 0x7fffffff);
		is_refused("08P01", "the server sent a message that is too long for a login", false);
		call();
		header('S', 16384 + 5);
		is_refused("08P01", "the server sent a message that is too long for a login", false);
		call();
		header('R', 3);
		is_refused("08P01", "the server does not speak PostgreSQL's protocol", false);
		call();
		write_bytes(&w, "HTTP/1.1 400 Bad Request\r\n", 26);
		is_refused("08P01", "the server sent a message that is too long for a login", false);
		call();
		write_bytes(&w, "\xff\xff\xff\xff\xff\xff", 6);
		is_refused("08P01", "the server does not speak PostgreSQL's protocol", false);
	}
}

static void a_flood_of_parameters_is_cut(void **state)
{
	char name[20];

	(void)state;
	call();
	accept_login();
	for (int i = 0; i < 128; i++) {
		text_format(name, sizeof name, "parameter_%d", i);
		message_parameter_status(&w, name, "x");
	}
	assert_int_equal(arrive(), SERVER_MORE);
	assert_int_equal(params_count(server_login_facts(server)->reported), 128);
	message_parameter_status(&w, "one_more", "x");
	is_refused("08P01", BROKEN, false);
}

static void what_does_not_belong_into_a_login_ends_it(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} strange[] = {
		{ "T\0\0\0\6\0\0", 7 }, /* rows */
		{ "1\0\0\0\4", 5 },     /* ParseComplete */
		{ "S\0\0\0\7TZ\0", 8 }, /* ParameterStatus without a value */
		{ "S\0\0\0\4", 5 },     /* ... without anything */
		{ "K\0\0\0\6\0\1", 7 }, /* BackendKeyData without a key */
		{ "\0\0\0\0\4", 5 },
		{ "R\0\0\0\10\0\0\0\0", 9 }, /* it lets us in twice */
		{ "R\0\0\0\10\0\0\0\3", 9 }, /* it asks for a password when we are in */
		{ "R\0\0\0\12\0\0\0\12X\0", 11 },
	};
	char *secret_of_300 = malloc(300);

	(void)state;
	assert_non_null(secret_of_300);
	memset(secret_of_300, 'k', 300);
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		call();
		accept_login();
		write_bytes(&w, strange[i].bytes, strange[i].length);
		is_refused("08P01", BROKEN, false);
	}
	call();
	accept_login();
	header('K', 4 + 4 + 300);
	write_u32(&w, 1);
	write_bytes(&w, secret_of_300, 300);
	is_refused("08P01", BROKEN, false);
	free(secret_of_300);
}

static void notices_are_passed_over(void **state)
{
	struct complaint notice = {
		.severity = SEVERITY_NOTICE, .sqlstate = SQLSTATE_SUCCESS, .message = "collation version mismatch"
	};

	(void)state;
	call();
	message_complaint(&w, &notice);
	accept_login();
	message_complaint(&w, &notice);
	message_negotiate(&w, STARTUP_PROTOCOL(3, 0), 0, span_of(NULL, 0));
	message_ready(&w, 'I');
	assert_int_equal(arrive(), SERVER_READY);
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
	server_login_free(server);
	server = NULL;
	secret_fini(&secret);
	secret = (struct secret){ 0 };
	buf_fini(&out);
	buf_fini(&said);
	params_book_free(book); /* checks that no set was left behind */
	return 0;
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest stories[] = {
		STORY(whatever_is_asked_for_goes_into_the_startup_packet),
		STORY(we_say_who_we_are_and_learn_what_it_reports),
		STORY(a_password_is_sent_when_it_is_asked_for),
		STORY(the_servers_own_words_are_kept),
		STORY(whose_limit_was_met_is_told_in_every_language),
		STORY(an_error_without_words_is_one_too),
		STORY(nobody_is_ready_before_the_proof_is_over),
		STORY(a_server_that_skips_its_own_proof_is_not_believed),
		STORY(no_message_is_longer_than_a_login_has),
		STORY(a_flood_of_parameters_is_cut),
		STORY(what_does_not_belong_into_a_login_ends_it),
		STORY(notices_are_passed_over),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
