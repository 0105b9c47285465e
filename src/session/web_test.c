#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/web.h"

static bool local(const char *host)
{
	return web_host_is_local(span_text(host));
}

static void only_names_that_no_name_server_has_are_local(void **state)
{
	(void)state;
	assert_true(local("localhost"));
	assert_true(local("LocalHost:6433"));
	assert_true(local("127.0.0.1"));
	assert_true(local("127.0.0.1:6433"));
	assert_true(local("127.1.2.3:1"));
	assert_true(local("[::1]"));
	assert_true(local("[::1]:6433"));
	assert_false(local(""));
	assert_false(local("evil.example"));
	assert_false(local("evil.example:6433"));
	assert_false(local("localhost.evil.example"));
	assert_false(local("127.0.0.1.evil.example"));
	assert_false(local("10.0.0.1:6433"));
	assert_false(local("[::2]:6433"));
	assert_false(local("::1"));
	assert_false(local("[127.0.0.1]:1"));
	assert_false(local("[::1"));
	assert_false(local("[::1]6433"));
	assert_false(local("["));
	assert_false(local("[]"));
	assert_false(local(":"));
	assert_false(local("localhost:"));
	assert_false(local("localhost:0"));
	assert_false(local("localhost:65536"));
	assert_false(local("localhost:80:80"));
	assert_false(local("localhost:evil"));
	assert_false(local("localhost@evil.example"));
	assert_false(local("localhost, localhost"));
	assert_false(web_host_is_local(span_of("localhost\0.evil", 15)));
	assert_false(web_host_is_local(span_of("127.0.0.1\0.evil", 15)));
	assert_false(local("localhostlocalhostlocalhostlocalhostlocalhostlocalhostlocalhostlocalhost"));
}

static bool origin(const char *from, const char *host, bool secure)
{
	return web_origin_is(span_text(from), span_text(host), secure);
}

static void an_origin_is_the_very_place_that_was_asked(void **state)
{
	(void)state;
	assert_true(origin("http://localhost:6433", "localhost:6433", false));
	assert_true(origin("https://db.example", "DB.example", true));
	assert_false(origin("http://localhost:6433", "localhost:6433", true));
	assert_false(origin("http://localhost:6434", "localhost:6433", false));
	assert_false(origin("http://evil.example", "localhost:6433", false));
	assert_false(origin("null", "localhost:6433", false));
	assert_false(origin("", "", false));
	assert_false(origin("http:/", "x", false));
}

static void a_cookie_is_found_among_others(void **state)
{
	struct span value = { 0 };

	(void)state;
	assert_true(web_cookie(span_text("a=1; pgweir=xyz; b=2"), "pgweir", &value));
	assert_true(span_is(value, "xyz"));
	assert_true(web_cookie(span_text("pgweir="), "pgweir", &value));
	assert_int_equal(value.length, 0);
	assert_true(web_cookie(span_text(";;; pgweir=a=b"), "pgweir", &value));
	assert_true(span_is(value, "a=b"));
	assert_false(web_cookie(span_text("xpgweir=1; pgweirx=2; PGWEIR=3"), "pgweir", &value));
	assert_false(web_cookie(span_text(""), "pgweir", &value));
	assert_false(web_cookie(span_text("; ; ="), "pgweir", &value));
}

static void a_field_is_decoded_whole_or_not_at_all(void **state)
{
	char out[8] = "before";

	(void)state;
	assert_true(web_field(span_text("user=a%20b+c&password=%C3%A4%26"), "user", out, sizeof out));
	assert_string_equal(out, "a b c");
	assert_true(web_field(span_text("user=a&password=%c3%A4%26"), "password", out, sizeof out));
	assert_string_equal(out, "\xc3\xa4&");
	assert_true(web_field(span_text("a=1&a=2"), "a", out, sizeof out)); /* the first */
	assert_string_equal(out, "1");
	assert_true(web_field(span_text("a"), "a", out, sizeof out));
	assert_string_equal(out, "");
	assert_true(web_field(span_text("a=1234567"), "a", out, sizeof out));
	assert_false(web_field(span_text("a=12345678"), "a", out, sizeof out));
	assert_string_equal(out, "");
	assert_false(web_field(span_text("a=%"), "a", out, sizeof out));
	assert_false(web_field(span_text("a=%2"), "a", out, sizeof out));
	assert_false(web_field(span_text("a=%zz"), "a", out, sizeof out));
	assert_false(web_field(span_text("a=x%00y"), "a", out, sizeof out));
	assert_false(web_field(span_text("b=1"), "a", out, sizeof out));
	assert_false(web_field(span_text(""), "a", out, sizeof out));
	assert_false(web_field(span_of("a=x\0y", 5), "a", out, sizeof out));
}

static bool open_metrics(const char *accept)
{
	return web_wants_openmetrics(span_text(accept));
}

static void openmetrics_is_told_to_who_prefers_it(void **state)
{
	(void)state;
	assert_true(open_metrics(
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
		"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_true(open_metrics("application/openmetrics-text"));
	assert_false(open_metrics("text/plain, application/openmetrics-text; version=1.0.0; q=0.9"));
	assert_false(open_metrics("application/openmetrics-text; version=0.0.1"));
	assert_false(open_metrics("application/openmetrics-text; q=0"));
	assert_false(open_metrics("application/openmetrics-text; q=nonsense"));
	assert_false(open_metrics("application/openmetrics-text; q=0.12345"));
	assert_false(open_metrics("*/*"));
	assert_false(open_metrics(""));
	assert_false(open_metrics(";;,,;q=,="));
}

static void a_type_has_parameters_or_not(void **state)
{
	(void)state;
	assert_true(web_type_is(span_text("application/x-www-form-urlencoded"), "application/x-www-form-urlencoded"));
	assert_true(web_type_is(
		span_text("Application/X-WWW-form-urlencoded ; charset=utf-8"), "application/x-www-form-urlencoded"));
	assert_false(web_type_is(span_text("text/plain"), "application/x-www-form-urlencoded"));
	assert_false(web_type_is(span_text(""), "application/x-www-form-urlencoded"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_names_that_no_name_server_has_are_local),
		cmocka_unit_test(an_origin_is_the_very_place_that_was_asked),
		cmocka_unit_test(a_cookie_is_found_among_others),
		cmocka_unit_test(a_field_is_decoded_whole_or_not_at_all),
		cmocka_unit_test(openmetrics_is_told_to_who_prefers_it),
		cmocka_unit_test(a_type_has_parameters_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
