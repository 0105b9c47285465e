#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/refusal_test.h"
#include "base/text.h"
#include "config/config.h"

/* Memory is refused at every place in turn, and each time nothing may be left behind. Sanitizers bring a heap of their own,
 * whose leak check sees the other tests; there this one steps aside. */
#ifndef OTHER_HEAP

static bool read_file(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	(void)context;
	(void)path;
	*text = malloc(64);
	if (!*text) {
		text_copy(error, error_size, "memory is refused");
		return false;
	}
	*length = text_copy(*text, 64, "[databases]\nincluded = host=a,b,c\n");
	return true;
}

static void a_refused_configuration_leaves_nothing_behind(void **state)
{
	static const char text[] =
		"%include x\n'key '' quoted' = user=u password='p'\n[users]\njoe = pool_size=3\n[pgbouncer]\n"
		"max_client_conn = 5\nserver_reset_query = SELECT 1\n[peers]\n1 = host=a\n";
	struct config_override overrides[] = { { "databases.app", "host=a" }, { "workers", "2" } };
	struct config_source source = { .file = "test.ini",
		.text = span_text(text),
		.overrides = overrides,
		.override_count = 2,
		.read_file = read_file };
	char error[256];
	bool done = false;
	long granted = 0;

	(void)state;
	for (; !done && granted < 1000; granted++) {
		struct config *c, *next = NULL;

		held = 0;
		left = granted;
		error[0] = 0;
		armed = true;
		c = config_parse(&source, error, sizeof error);
		if (c)
			next = config_with(c, "max_client_conn", "6", error, sizeof error);
		armed = false;
		done = next != NULL;
		if (!done)
			assert_non_null(strstr(error, "memory is refused"));
		armed = true;
		config_drop(c);
		config_drop(next);
		armed = false;
		assert_int_equal(held, 0);
	}
	assert_true(done);
	assert_true(granted > 10);
}

#else

static void a_refused_configuration_leaves_nothing_behind(void **state)
{
	(void)state;
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_configuration_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
