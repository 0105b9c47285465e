#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/stress_options.h"

static void taken(const char *url, enum stress_target target, const char *host, int port, const char *path)
{
	struct stress_plan plan = { 0 };
	char error[300] = "";

	if (!stress_url_read(url, &plan, error, sizeof error))
		fail_msg("%s: %s", url, error);
	assert_int_equal(target, plan.target);
	assert_string_equal(host, plan.host);
	assert_int_equal(port, plan.port);
	assert_string_equal(path, plan.path);
}

static void refused(const char *url)
{
	struct stress_plan plan = { 0 };
	char error[300] = "";

	assert_false(stress_url_read(url, &plan, error, sizeof error));
	assert_true(error[0] != 0);
}

static void a_url_says_what_where_and_how(void **state)
{
	struct stress_plan plan = { 0 };
	char error[300];

	(void)state;
	taken("ws://127.0.0.1:8000/ws/chat/", TARGET_WEBSOCKET, "127.0.0.1", 8000, "/ws/chat/");
	taken("ws://localhost", TARGET_WEBSOCKET, "localhost", 80, "/");
	taken("wss://[::1]/x?y={{i}}#z", TARGET_WEBSOCKET, "::1", 443, "/x?y={{i}}");
	taken("http://[::1]:8080?q", TARGET_HTTP, "::1", 8080, "/?q");
	taken("https://h", TARGET_HTTP, "h", 443, "/");
	assert_true(stress_url_read("postgresql://u@/d", &plan, error, sizeof error));
	assert_int_equal(TARGET_POSTGRES, plan.target);
}

static void a_url_that_says_something_else_is_refused(void **state)
{
	static const char *const urls[] = { "", "127.0.0.1", "ftp://h/", "ws:/h", "ws://", "ws://:80/",
		"ws://h:", "ws://h:0/", "ws://h:65536/", "ws://h:8x/", "ws://h:0x50/", "ws://[::1", "ws://[::1]80/",
		"ws://u:p@h/", "ws://h/a b", "ws://h/\x1b", "ws://h/\xc3\xa4" };

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
		refused(urls[i]);
}

static void only_this_machine_is_here(void **state)
{
	static const char *const here[] = { "127.0.0.1", "127.9.9.9", "::1", "localhost", "LocalHost",
		"/run/postgresql", "@abstract" };
	static const char *const elsewhere[] = { "", "10.0.0.1", "128.0.0.1", "::2", "fe80::1", "localhost.example.com",
		"example.com", "127.0.0.1.example.com", "0.0.0.0", "1270.0.0.1" };

	(void)state;
	for (size_t i = 0; i < sizeof here / sizeof here[0]; i++)
		assert_true(stress_host_is_here(here[i]));
	for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
		assert_false(stress_host_is_here(elsewhere[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_says_what_where_and_how),
		cmocka_unit_test(a_url_that_says_something_else_is_refused),
		cmocka_unit_test(only_this_machine_is_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
