#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/from_url.h"

static struct from_url from;
static char error[400];

static bool read_setup(struct from_url_setup setup)
{
	from_url_fini(&from);
	error[0] = 0;
	return from_url_read(&from, &setup, error, sizeof error);
}

#define READ(...) read_setup((struct from_url_setup){ __VA_ARGS__ })

static const char * override(const char *key)
{
	for (size_t i = 0; i < from.override_count; i++) {
		if (strcmp(from.overrides[i].key, key) == 0)
			return from.overrides[i].value;
	}
	return "(none)";
}

static struct config *parse(void)
{
	struct config_source source = {
		.overrides = from.overrides, .override_count = from.override_count, .text = span_text("")
	};

	return config_parse(&source, error, sizeof error);
}

static void a_url_is_a_configuration(void **state)
{
	const struct database_settings *database;
	struct config *config;

	(void)state;
	assert_true(READ(.url = "postgresql://app:s%20e'c%22ret@db.example:5433/shop"));
	assert_string_equal(override("databases.shop"), "host='db.example' port='5433'");
	assert_string_equal(override("listen_addr"), "127.0.0.1");
	assert_string_equal(override("listen_port"), "6432");
	assert_string_equal(override("auth_type"), "scram-sha-256");
	assert_string_equal(from.users, "\"app\" \"s e'c\"\"ret\"");
	config = parse();
	assert_non_null(config);
	database = config_database(config, span_text("shop"));
	assert_non_null(database);
	assert_string_equal(database->hosts[0].name, "db.example");
	assert_int_equal(database->hosts[0].port, 5433);
	assert_null(config_database(config, span_text("other")));
	assert_int_equal(config->pool_mode, POOL_TRANSACTION);
	config_drop(config);
}

static void without_a_database_it_is_any(void **state)
{
	struct config *config;

	(void)state;
	assert_true(READ(.url = "postgres://app:x@h", .port = "6000"));
	assert_string_equal(override("databases.*"), "host='h' port='6000'");
	config = parse();
	assert_non_null(config_database(config, span_text("whatever")));
	config_drop(config);
}

static void what_the_url_leaves_out_comes_from_the_environment(void **state)
{
	(void)state;
	assert_true(READ(.url = "postgresql:///", .user = "me", .password = "word", .host = "/run/postgresql",
		.database = "d"));
	assert_string_equal(override("databases.d"), "host='/run/postgresql' port='5432'");
	assert_string_equal(from.users, "\"me\" \"word\"");
	assert_true(READ(.url = "postgresql://you:own@h/e", .user = "me", .password = "word", .database = "d"));
	assert_string_equal(from.user, "you");
	assert_string_equal(from.password, "own");
	assert_string_equal(from.database, "e");
	assert_false(READ(.url = "postgresql://h/d"));
	assert_string_equal(error, "the URL: it names no user");
}

static void without_a_password_it_listens_on_loopback_alone(void **state)
{
	(void)state;
	assert_true(READ(.url = "postgresql://app@h/d"));
	assert_string_equal(override("auth_type"), "trust");
	assert_true(READ(.url = "postgresql://app@h/d", .listen = "[::1]:7000"));
	assert_string_equal(override("listen_addr"), "::1");
	assert_false(READ(.url = "postgresql://app@h/d", .listen = "0.0.0.0:6432"));
	assert_non_null(strstr(error, "without a password"));
	assert_true(READ(.url = "postgresql://app:p@h/d", .listen = "0.0.0.0:6432"));
}

static void listen_takes_an_address_a_port_or_both(void **state)
{
	static const struct {
		const char *listen, *address, *port;
	} cases[] = { { "127.0.0.2", "127.0.0.2", "6432" }, { "7001", "127.0.0.1", "7001" }, { "*:7001", "*", "7001" },
		{ "::1", "::1", "6432" }, { ":7002", "127.0.0.1", "7002" }, { "[::]:7003", "::", "7003" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_true(READ(.url = "postgresql://app:p@h/d", .listen = cases[i].listen));
		assert_string_equal(override("listen_addr"), cases[i].address);
		assert_string_equal(override("listen_port"), cases[i].port);
	}
	assert_false(READ(.url = "postgresql://app:p@h/d", .listen = "127.0.0.1:http"));
	assert_string_equal(error, "--listen: \"http\" is no port from 1 to 65535");
}

static void parameters_are_obeyed_named_or_refused(void **state)
{
	(void)state;
	assert_true(READ(.url = "postgresql://app:p@/d?host=a,b&port=5555&connect_timeout=3&application_name=web%201"
				"&conn_max_age=60&options=-cx%3D1&sslmode=prefer"));
	assert_string_equal(override("databases.d"), "application_name='web 1' host='a,b' port='5555'");
	assert_string_equal(override("server_connect_timeout"), "3");
	assert_string_equal(from.ignored, "conn_max_age, options");
	assert_false(READ(.url = "postgresql://app:p@h/d?sslmod=disable"));
	assert_string_equal(error, "the URL: its parameter \"sslmod\" is unknown; did you mean \"sslmode\"?");
}

/* Whether TLS is built or not: what the URL asks for is set, or it is an error, and never left out. */
static void a_wish_for_safety_is_never_dropped(void **state)
{
	(void)state;
	if (READ(.url = "postgresql://app:p@h/d?sslmode=verify-full"))
		assert_string_equal(override("server_tls_sslmode"), "verify-full");
	else
		assert_non_null(strstr(error, "sslmode can not be kept"));
}

static void no_error_repeats_the_password(void **state)
{
	(void)state;
	assert_false(READ(.url = "postgresql://app:se/cret@h:5432/d"));
	assert_null(strstr(error, "cret"));
	assert_non_null(strstr(error, "%2F"));
	assert_false(READ(.url = "postgresql://app:se%0acret@h:5432/d"));
	assert_null(strstr(error, "cret"));
	assert_false(READ(.url = "mysql://app:secret@h/d"));
	assert_null(strstr(error, "secret"));
}

static int forget(void **state)
{
	(void)state;
	from_url_fini(&from);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_a_configuration),
		cmocka_unit_test(without_a_database_it_is_any),
		cmocka_unit_test(what_the_url_leaves_out_comes_from_the_environment),
		cmocka_unit_test(without_a_password_it_listens_on_loopback_alone),
		cmocka_unit_test(listen_takes_an_address_a_port_or_both),
		cmocka_unit_test(parameters_are_obeyed_named_or_refused),
		cmocka_unit_test(a_wish_for_safety_is_never_dropped),
		cmocka_unit_test(no_error_repeats_the_password),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
