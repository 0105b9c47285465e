#include "io/helper_test.h"

#include "io/logline.h"

static const char *line_of(enum log_format format, const char *words, size_t size)
{
	static char line[4200];
	size_t length = logline_write(line, size, format, LOG_WARNING, "2026-11-23 12:46:43.857 UTC", 4711, words);

	assert_int_equal(length, strlen(line));
	return line;
}

static void each_form_says_the_same(void **state)
{
	(void)state;
	assert_string_equal(line_of(LOG_FORMAT_PGBOUNCER, "it \"is\" so", 4200),
		"2026-11-23 12:46:43.857 UTC [4711] WARNING it \"is\" so");
	assert_string_equal(line_of(LOG_FORMAT_LOGFMT, "it \"is\" so", 4200),
		"time=\"2026-11-23 12:46:43.857 UTC\" level=WARNING pid=4711 msg=\"it \\\"is\\\" so\"");
	assert_string_equal(line_of(LOG_FORMAT_JSON, "it \"is\" so", 4200),
		"{\"timestamp\":\"2026-11-23 12:46:43.857 UTC\",\"pid\":4711,\"error_severity\":\"WARNING\","
		"\"message\":\"it \\\"is\\\" so\"}");
}

static void no_words_break_a_form(void **state)
{
	(void)state;
	assert_non_null(strstr(line_of(LOG_FORMAT_JSON, "a\\b\n\tc\1\x7f\xffz\xc3\xa4", 4200),
		"\"a\\\\b\\n\\tc\\u0001\\u007f\\ufffdz\xc3\xa4\"}"));
	assert_non_null(strstr(line_of(LOG_FORMAT_LOGFMT, "\" level=FATAL", 4200), "msg=\"\\\" level=FATAL\""));
}

static void long_words_are_cut_and_the_form_stays_whole(void **state)
{
	char words[301];

	(void)state;
	for (size_t i = 0; i < 300; i++)
		words[i] = i % 2 ? '"' : '\\';
	words[300] = 0;
	for (size_t size = 160; size < 200; size++) {
		const char *line = line_of(LOG_FORMAT_JSON, words, size);
		size_t length = strlen(line), slashes = 0;

		assert_true(length < size);
		assert_string_equal(line + length - 2, "\"}");
		while (line[length - 3 - slashes] == '\\')
			slashes++;
		assert_int_equal(slashes % 2 == 0 || line[length - 3] == '"', 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_says_the_same),
		cmocka_unit_test(no_words_break_a_form),
		cmocka_unit_test(long_words_are_cut_and_the_form_stays_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
