#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tool/doctor_python.h"

static struct python_file *file;

static const struct python_value *read(const char *text, const char *name)
{
	python_free(file);
	file = python_read(span_text(text));
	assert_non_null(file);
	return python_global(file, name);
}

static int tear_down(void **state)
{
	(void)state;
	python_free(file);
	file = NULL;
	return 0;
}

static void literals_are_what_they_say(void **state)
{
	static const char text[] =
		"A = 'one' \"two\"\nB = 60 * 10  # ten minutes\nC = None\nD = -1.5\nE = True\nF = r'a\\n' 'b\\n'\n"
		"G = '''x\ny'''\nH: int = 1_000\n";

	(void)state;
	assert_string_equal(python_text(read(text, "A")), "onetwo");
	assert_true(python_global(file, "B")->number == 600);
	assert_int_equal(python_global(file, "C")->kind, PYTHON_NONE);
	assert_true(python_global(file, "D")->number == -1.5);
	assert_true(python_global(file, "E")->truth);
	assert_string_equal(python_text(python_global(file, "F")), "a\\nb\n");
	assert_string_equal(python_text(python_global(file, "G")), "x\ny");
	assert_int_equal(python_global(file, "G")->line, 7);
	assert_true(python_global(file, "H")->number == 1000);
	assert_int_equal(python_global(file, "H")->line, 9);
}

static void dicts_lists_and_names_lead_into_each_other(void **state)
{
	static const char text[] =
		"BASE = {'x': 1, 'y': [1, (2), (3,)]}\nALL = {**BASE, 'x': 2, 'z': BASE['y'],}\nALL['new']['deep'] = 'set'\n"
		"APPS = ['a']\nAPPS += ['b']\n";
	const struct python_value *all = read(text, "ALL");

	(void)state;
	assert_true(python_get(all, "x")->number == 2);
	assert_true(python_at(python_get(all, "y"), 1)->number == 2);
	assert_int_equal(python_at(python_get(all, "z"), 2)->kind, PYTHON_LIST);
	assert_string_equal(python_text(python_get(python_get(all, "new"), "deep")), "set");
	assert_true(python_get(python_global(file, "BASE"), "x")->number == 1);
	assert_string_equal(python_text(python_at(python_global(file, "APPS"), 1)), "b");
}

static void what_the_environment_may_change_is_a_fallback(void **state)
{
	static const char text[] =
		"A = os.environ.get('A', 'here')\nB = int(os.environ.get('B', '600'))\nC = os.environ['C']\n"
		"D = env('D', default=5)\nE = os.getenv('E') or 7\nF = 1 if DEBUG else 2\nG = os.environ.get('G', '0') == '1'\n";
	const struct python_value *a = read(text, "A");

	(void)state;
	assert_string_equal(python_text(a), "here");
	assert_true(a->fallback);
	assert_true(python_global(file, "B")->number == 600 && python_global(file, "B")->fallback);
	assert_int_equal(python_global(file, "C")->kind, PYTHON_UNKNOWN);
	assert_true(python_global(file, "D")->number == 5);
	assert_true(python_global(file, "E")->number == 7);
	assert_true(python_global(file, "F")->number == 1 && python_global(file, "F")->fallback);
	assert_int_equal(python_global(file, "G")->kind, PYTHON_UNKNOWN);
}

static void calls_are_kept_and_never_made(void **state)
{
	static const char text[] =
		"A = dj_database_url.config(default='postgres://h/d', conn_max_age=600)\nB = dict(x=1)\nC = open('x').read()\n";
	const struct python_value *a = read(text, "A");

	(void)state;
	assert_int_equal(a->kind, PYTHON_CALL);
	assert_string_equal(a->text, "dj_database_url.config");
	assert_true(python_get(a, "conn_max_age")->number == 600);
	assert_true(python_get(python_global(file, "B"), "x")->number == 1);
	assert_int_equal(python_global(file, "C")->kind, PYTHON_CALL);
}

static void a_condition_adds_what_nothing_else_sets(void **state)
{
	static const char text[] =
		"D = {'age': 0, 'options': {}}\nif X:\n    D['age'] = 600\n    D['options']['a'] = 1\nT = 1\nif Y:\n\tT = 2\n\tU = 3\n";
	const struct python_value *d = read(text, "D");

	(void)state;
	assert_true(python_get(d, "age")->number == 0);
	assert_true(python_get(python_get(d, "options"), "a")->number == 1);
	assert_true(python_global(file, "T")->number == 1);
	assert_true(python_global(file, "U")->number == 3);
	assert_int_equal(python_conditional(file), 4);
}

static void what_is_beyond_it_is_unknown_and_the_rest_is_read(void **state)
{
	static const char text[] =
		"A = {'f': f'{x}', 'l': lambda q: q, 'c': [i for i in range(3) if i], 'n': a.b[1:2].c, 'k': 1}\nB = 2\n"
		"def f(x={}):\n    return x\nC = \"unclosed\nD = 4\nE = ((((\nG = 5\n";
	const struct python_value *a = read(text, "A");

	(void)state;
	assert_int_equal(python_get(a, "f")->kind, PYTHON_UNKNOWN);
	assert_int_equal(python_get(a, "n")->kind, PYTHON_UNKNOWN);
	assert_true(python_get(a, "k")->number == 1);
	assert_true(python_global(file, "B")->number == 2);
	assert_true(python_global(file, "D")->number == 4);
}

static void depth_and_size_are_bounded(void **state)
{
	static char deep[200001];

	(void)state;
	for (size_t i = 0; i < sizeof deep - 1; i++)
		deep[i] = "A={["[i < 2 ? i : 2 + i % 2];
	assert_non_null(read(deep, "A"));
	memset(deep + 2, '-', sizeof deep - 3);
	assert_non_null(read(deep, "A"));
	for (size_t i = 2; i < sizeof deep - 1; i++)
		deep[i] = "[1,"[i == 2 ? 0 : 1 + i % 2];
	assert_non_null(read(deep, "A"));
}

/* Where a text ends within brackets, in memory that ends there too: a sanitizer or valgrind sees who reads on. */
static void nothing_is_read_behind_the_end(void **state)
{
	static const char *const texts[] = { "\xff[ {{ ", "A = {", "A = { ", "A = [ ", "A = f( ",
		"A = {'x': ", "A = {** ", "A = x[ " };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t length = strlen(texts[i]);
		char *exact = malloc(length);
		struct python_file *other;

		assert_non_null(exact);
		memcpy(exact, texts[i], length);
		other = python_read(span_of(exact, length));
		assert_non_null(other);
		python_free(other);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(literals_are_what_they_say, tear_down),
		cmocka_unit_test_teardown(dicts_lists_and_names_lead_into_each_other, tear_down),
		cmocka_unit_test_teardown(what_the_environment_may_change_is_a_fallback, tear_down),
		cmocka_unit_test_teardown(calls_are_kept_and_never_made, tear_down),
		cmocka_unit_test_teardown(a_condition_adds_what_nothing_else_sets, tear_down),
		cmocka_unit_test_teardown(what_is_beyond_it_is_unknown_and_the_rest_is_read, tear_down),
		cmocka_unit_test_teardown(depth_and_size_are_bounded, tear_down),
		cmocka_unit_test(nothing_is_read_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
