#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

static char folder[] = "/tmp/file_write_test.XXXXXX", path[64], error[400];

static void expect(const char *content, mode_t mode)
{
	struct stat seen;
	char *text;
	size_t length;

	assert_true(file_read(path, 100, &text, &length, error, sizeof error));
	assert_string_equal(text, content);
	free(text);
	assert_int_equal(stat(path, &seen), 0);
	assert_int_equal(seen.st_mode & 0777, mode);
}

static void a_secret_is_readable_by_nobody_else(void **state)
{
	(void)state;
	umask(022);
	assert_true(file_write(path, "one", 3, true, false, error, sizeof error));
	expect("one", 0600);
}

static void what_is_there_stays_unless_it_may_be_replaced(void **state)
{
	(void)state;
	assert_false(file_write(path, "two", 3, false, false, error, sizeof error));
	assert_non_null(strstr(error, path));
	expect("one", 0600);
	assert_true(file_write(path, "two", 3, false, true, error, sizeof error));
	expect("two", 0644);
}

static void nothing_is_left_beside_it(void **state)
{
	(void)state;
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	assert_false(file_write(path, "x", 1, false, false, error, sizeof error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_readable_by_nobody_else),
		cmocka_unit_test(what_is_there_stays_unless_it_may_be_replaced),
		cmocka_unit_test(nothing_is_left_beside_it),
	};

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/file", folder);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
