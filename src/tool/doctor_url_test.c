#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/doctor_url.h"

static struct app_database app;
static char error[128];

static bool read(const char *url)
{
	app = (struct app_database){ 0 };
	error[0] = 0;
	return url_read(span_text(url), &app, error, sizeof error);
}

static void a_url_is_taken_apart(void **state)
{
	(void)state;
	assert_true(read(
		"postgres://us%40er:pa%3Ass@db.example:6432/shop?conn_max_age=600&options=-c%20statement_timeout%3D30000&application_name=web+1"));
	assert_string_equal(app.user, "us@er");
	assert_string_equal(app.host, "db.example");
	assert_int_equal(app.port, 6432);
	assert_string_equal(app.name, "shop");
	assert_true(app.max_age_set && app.max_age == 600 && app.django);
	assert_string_equal(app.options, "-c statement_timeout=30000");
	assert_string_equal(app.application_name, "web 1");
	assert_true(read("postgresql://[::1]:5433/x"));
	assert_string_equal(app.host, "::1");
	assert_int_equal(app.port, 5433);
	assert_true(read("postgresql:///x?host=/run/postgresql&port=6000&conn_max_age=None"));
	assert_string_equal(app.host, "/run/postgresql");
	assert_int_equal(app.port, 6000);
	assert_true(app.max_age == MAX_AGE_FOREVER);
}

static void only_postgresqls_schemes_count(void **state)
{
	(void)state;
	assert_true(url_is_postgres(span_text("postgresql+asyncpg://h/d")));
	assert_true(url_is_postgres(span_text("postgis://h/d")));
	assert_false(url_is_postgres(span_text("mysql://h/d")));
	assert_false(url_is_postgres(span_text("settings.py")));
	assert_false(url_is_postgres(span_text("")));
}

static void a_broken_url_says_how_and_never_repeats_itself(void **state)
{
	(void)state;
	assert_false(read("postgres://u:se/cret@h:5432/d"));
	assert_non_null(strstr(error, "port"));
	assert_null(strstr(error, "cret"));
	assert_false(read("postgres://h/d?conn_max_age=often"));
	assert_non_null(strstr(error, "conn_max_age"));
	assert_false(read("no scheme"));
	assert_false(read("postgres://h:99999/d"));
}

static void people_never_see_the_password(void **state)
{
	char out[256];

	(void)state;
	url_for(span_text("postgres://u:secret@h:1/d?conn_max_age=5&password=secret&sslmode=require"), false, out,
		sizeof out);
	assert_string_equal(out, "postgresql://u@h:1/d?sslmode=require");
	url_for(span_text("postgres://u:secret@h:1/d?conn_max_age=5&sslmode=require"), true, out, sizeof out);
	assert_string_equal(out, "postgresql://u:secret@h:1/d?sslmode=require");
	url_for(span_text("postgis://[::1]/d"), true, out, sizeof out);
	assert_string_equal(out, "postgresql://[::1]/d");
	assert_int_equal(url_for(span_text("postgres://host.example/database"), true, out, 20), 19);
}

static void options_are_told_one_by_one(void **state)
{
	struct span at = span_text(
		"-c statement_timeout=30s  -cwork_mem=4MB --idle-in-transaction-session-timeout=5 junk");
	char name[64], value[64];

	(void)state;
	assert_true(options_next(&at, name, sizeof name, value, sizeof value));
	assert_string_equal(name, "statement_timeout");
	assert_string_equal(value, "30s");
	assert_true(options_next(&at, name, sizeof name, value, sizeof value));
	assert_string_equal(name, "work_mem");
	assert_true(options_next(&at, name, sizeof name, value, sizeof value));
	assert_string_equal(name, "idle_in_transaction_session_timeout");
	assert_false(options_next(&at, name, sizeof name, value, sizeof value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_apart),
		cmocka_unit_test(only_postgresqls_schemes_count),
		cmocka_unit_test(a_broken_url_says_how_and_never_repeats_itself),
		cmocka_unit_test(people_never_see_the_password),
		cmocka_unit_test(options_are_told_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
