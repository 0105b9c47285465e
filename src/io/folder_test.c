#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "io/file.h"
#include "io/private.h"

static char home[] = "/tmp/pgweir-folder.XXXXXX";

static void make(const char *name)
{
	char path[256];
	FILE *file;

	text_format(path, sizeof path, "%s/%s", home, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
}

static void make_folder(const char *name)
{
	char path[256];

	text_format(path, sizeof path, "%s/%s", home, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state)
{
	char from[256];

	(void)state;
	assert_non_null(mkdtemp(home));
	make_folder("b");
	make_folder("node_modules");
	make("b/two.py");
	make("a.py");
	make("node_modules/theirs.js");
	make(".hidden");
	text_format(from, sizeof from, "%s/b/circle", home);
	return symlink("..", from);
}

static int tear_down(void **state)
{
	static const char *const names[] = { "b/circle", "b/two.py", "a.py", "node_modules/theirs.js", ".hidden", "b",
		"node_modules" };
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		text_format(path, sizeof path, "%s/%s", home, names[i]);
		remove(path);
	}
	return rmdir(home);
}

static void a_folder_is_told_in_order_without_links_and_foreign_code(void **state)
{
	struct buf paths = { 0 };
	char expected[256], error[256];
	const char *second;
	bool cut;

	(void)state;
	assert_int_equal(folder_list(home, 10, &paths, &cut, error, sizeof error), 2);
	assert_false(cut);
	text_format(expected, sizeof expected, "%s/a.py", home);
	assert_string_equal((const char *)paths.at, expected);
	second = (const char *)paths.at + strlen(expected) + 1;
	text_format(expected, sizeof expected, "%s/b/two.py", home);
	assert_string_equal(second, expected);
	buf_fini(&paths);
}

static void more_files_than_wanted_are_cut_and_that_is_said(void **state)
{
	struct buf paths = { 0 };
	char error[256];
	bool cut;

	(void)state;
	assert_int_equal(folder_list(home, 1, &paths, &cut, error, sizeof error), 1);
	assert_true(cut);
	buf_fini(&paths);
}

static void what_is_no_folder_is_an_error(void **state)
{
	struct buf paths = { 0 };
	char error[256] = "";
	bool cut;

	(void)state;
	assert_int_equal(folder_list("/nowhere/at/all", 1, &paths, &cut, error, sizeof error), -1);
	assert_non_null(strstr(error, "/nowhere/at/all"));
	assert_int_equal(path_is_folder("/nowhere/at/all"), -1);
	assert_int_equal(path_is_folder(home), 1);
}

static void names_are_counted_but_for_hidden_ones(void **state)
{
	char path[256];

	(void)state;
	assert_int_equal(folder_count(home), 3);
	text_format(path, sizeof path, "%s/none", home);
	assert_int_equal(folder_count(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_is_told_in_order_without_links_and_foreign_code),
		cmocka_unit_test(more_files_than_wanted_are_cut_and_that_is_said),
		cmocka_unit_test(what_is_no_folder_is_an_error),
		cmocka_unit_test(names_are_counted_but_for_hidden_ones),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
