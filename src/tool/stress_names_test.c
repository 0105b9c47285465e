#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tool/stress_names.h"
#include "tool/stress_report.h"

static void a_name_keeps_its_place(void **state)
{
	struct stress_names names = { 0 };

	(void)state;
	assert_int_equal(0, names_place(&names, "web"));
	assert_int_equal(1, names_place(&names, ""));
	assert_int_equal(0, names_place(&names, "web"));
	assert_int_equal(1, names_place(&names, ""));
	assert_string_equal("(no name)", names.at[1]);
}

static void who_finds_no_place_is_with_the_others(void **state)
{
	struct stress_names names = { 0 };
	char name[20];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "worker %u", i);
		assert_int_equal(i < STRESS_NAMES - 1 ? i : STRESS_NAMES - 1, names_place(&names, name));
	}
	assert_int_equal(STRESS_NAMES, names.count);
	assert_string_equal("(others)", names.at[STRESS_NAMES - 1]);
	assert_int_equal(3, names_place(&names, "worker 3"));
}

static void the_most_is_told_and_the_last_that_was_seen(void **state)
{
	static const int seen[] = { 2, 9, UNKNOWN, 4, UNKNOWN };
	struct timeline t = { 0 };
	struct names_extent extent;

	(void)state;
	for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
		struct stress_sample s = { .at = (time_us)i, .reading = stress_reading_unknown };

		s.reading.sessions = seen[i];
		s.reading.of_name[1] = seen[i] == UNKNOWN ? 0 : seen[i];
		timeline_add(&t, &s);
	}
	extent = names_extent(&t, 1);
	assert_int_equal(9, extent.most);
	assert_int_equal(4, extent.last);
	timeline_fini(&t);
}

static void a_hostile_name_is_text_in_each_report_and_who_holds_more_stands_above(void **state)
{
	struct stress_plan plan = { .url = "ws://127.0.0.1/" };
	struct stress_result *r = calloc(1, sizeof *r);
	struct stress_sample s = { .reading = { .sessions = 3, .of_name = { 1, 2 } } };
	struct buf page = { 0 };
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	assert_non_null(r);
	assert_non_null(to);
	r->plan = &plan;
	names_place(&r->names, "<script>\x1b[2J\xff");
	names_place(&r->names, "web");
	timeline_add(&r->timeline, &s);
	names_html(r, &page);
	names_text(r, to);
	fclose(to);
	memory_got(buf_add(&page, "", 1) ? &page : NULL);
	assert_null(strstr((char *)page.at + page.start, "<script"));
	assert_non_null(strstr((char *)page.at + page.start, "&lt;script"));
	assert_non_null(strstr((char *)page.at + page.start, "class=\"line name1\""));
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "web"));
	assert_true(strstr(text, "web") < strstr(text, "<script"));
	assert_true(
		strstr((char *)page.at + page.start, ">web</td>") < strstr((char *)page.at + page.start, "&lt;script"));
	free(text);
	buf_fini(&page);
	timeline_fini(&r->timeline);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_keeps_its_place),
		cmocka_unit_test(who_finds_no_place_is_with_the_others),
		cmocka_unit_test(the_most_is_told_and_the_last_that_was_seen),
		cmocka_unit_test(a_hostile_name_is_text_in_each_report_and_who_holds_more_stands_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
