#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tool/stress_values.h"

static struct values *taken(const char *text)
{
	char error[300] = "";
	struct values *v = values_read(span_text(text), error, sizeof error);

	if (!v)
		fail_msg("%s: %s", text, error);
	return v;
}

static void each_socket_has_the_values_of_its_row(void **state)
{
	static const char *const tables[] = { "user,token\nada,1\nbob,2\n", "user,token\r\nada,1\r\nbob,2",
		"\"user\",token\nada,\"1\"\nbob,2\n" };

	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
		struct values *v = taken(tables[i]);

		assert_string_equal("ada", values_at(v, span_text("user"), 1));
		assert_string_equal("2", values_at(v, span_text("token"), 2));
		assert_string_equal("ada", values_at(v, span_text("user"), 3));
		assert_null(values_at(v, span_text("name"), 1));
		values_free(v);
	}
}

static void a_quoted_value_may_hold_commas_and_quotes(void **state)
{
	struct values *v = taken("a,b\n\"x, \"\"y\"\"\",\n");

	(void)state;
	assert_string_equal("x, \"y\"", values_at(v, span_text("a"), 1));
	assert_string_equal("", values_at(v, span_text("b"), 1));
	values_free(v);
}

static void what_is_no_table_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = { { "", "no row" }, { "a,b\n", "no row" }, { "a,b\n1\n", "line 2: each row" },
		{ "a\n1\n\"2\n", "line 3: a quote" },
		{ "a\nx\x1b[2J\n", "line 2: a quote without its end, or a control character" },
		{ "a\n1,2\n", "line 2" } };
	char error[300];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_null(values_read(span_text(cases[i].text), error, sizeof error));
		if (!strstr(error, cases[i].says))
			fail_msg("%s: %s", cases[i].text, error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_socket_has_the_values_of_its_row),
		cmocka_unit_test(a_quoted_value_may_hold_commas_and_quotes),
		cmocka_unit_test(what_is_no_table_is_refused_with_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
