#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static char last[8192];
static enum log_level last_level;
static int lines;

static void remember(enum log_level level, const char *line)
{
	last_level = level;
	snprintf(last, sizeof last, "%s", line);
	lines++;
}

static void a_line_reaches_the_sink_whole(void **state)
{
	(void)state;
	lines = 0;
	log_line(LOG_WARNING, "%s has %d", "pool", 3);
	assert_int_equal(lines, 1);
	assert_int_equal(last_level, LOG_WARNING);
	assert_string_equal(last, "pool has 3");
	assert_string_equal(log_level_name(LOG_WARNING), "WARNING");
}

static void what_is_not_wanted_is_not_said(void **state)
{
	(void)state;
	lines = 0;
	assert_true(log_wants(LOG_LOG));
	assert_false(log_wants(LOG_DEBUG));
	log_line(LOG_DEBUG, "quiet");
	assert_int_equal(lines, 0);
	log_set_level(LOG_NOISE);
	log_line(LOG_DEBUG, "loud");
	assert_int_equal(lines, 1);
	log_set_level(LOG_LOG);
}

static void a_newline_cannot_begin_a_record(void **state)
{
	(void)state;
	log_line(LOG_LOG, "user=x\n2026 FATAL forged\n\nend\n\n");
	assert_string_equal(last, "user=x\n\t2026 FATAL forged\n\t\n\tend");
}

static void nothing_in_a_line_commands_a_terminal(void **state)
{
	(void)state;
	log_line(LOG_LOG, "%s", "\x1b[2Jcaf\xc3\xa9\a\b\x7f\tend");
	assert_string_equal(last, "?[2Jcaf\xc3\xa9???\tend");
	/* Nor do the control characters above ASCII, in one byte or two, half a letter, or what turns the direction of writing. */
	log_line(LOG_LOG, "%s",
		"\x9b[31m\xc2\x9b[31m\xc2\x85|\xff\xc3z|\xe2\x80\xae"
		"cod\xe2\x81\xa9|\xe2\x80\xa8|\xed\xa0\x80|\xf0\x9f\x90\x98|\xe2\x82");
	assert_string_equal(last, "?[31m?[31m?|??z|?cod?|?|???|\xf0\x9f\x90\x98|??");
}

static void a_line_too_long_is_cut_and_says_so(void **state)
{
	static char text[6000];

	(void)state;
	memset(text, 'y', sizeof text - 1);
	log_line(LOG_LOG, "%s", text);
	assert_int_equal(strlen(last), 4095);
	assert_string_equal(last + 4092, "...");
	assert_int_equal(last[4091], 'y');
	memset(text, '\n', sizeof text - 2);
	log_line(LOG_LOG, "%s", text);
	assert_true(strlen(last) <= 4095);
	assert_string_equal(last + strlen(last) - 3, "...");
	for (const char *at = last; (at = strchr(at, '\n')) != NULL; at++)
		assert_int_equal(at[1], '\t');
}

static int set_up(void **state)
{
	(void)state;
	log_set_sink(remember);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_reaches_the_sink_whole),
		cmocka_unit_test(what_is_not_wanted_is_not_said),
		cmocka_unit_test(a_newline_cannot_begin_a_record),
		cmocka_unit_test(nothing_in_a_line_commands_a_terminal),
		cmocka_unit_test(a_line_too_long_is_cut_and_says_so),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
