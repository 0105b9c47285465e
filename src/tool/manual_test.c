#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tool/manual.h"

/* Not inlined, since gcc then takes what open_memstream was given for a dangling pointer. */
__attribute__((noinline)) static char *said(void (*say)(const char *, FILE *), const char *name)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	say(name, to);
	fclose(to);
	return text;
}

static void say_commands(const char *name, FILE *to)
{
	(void)name;
	manual_commands(to);
}

static void fits(const char *name, char *text)
{
	unsigned lines = 0;

	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		lines++;
		if (strlen(line) > MANUAL_WIDTH)
			fail_msg("pgweir %s --help has a line of %zu letters: %s", name, strlen(line), line);
	}
	if (lines > MANUAL_LINES)
		fail_msg("pgweir %s --help has %u lines", name, lines);
}

static void every_help_fits_a_screen_and_ends_with_an_example(void **state)
{
	char *text;

	(void)state;
	for (size_t i = 0; i < manual_count; i++) {
		const char *example;

		text = said(manual_help, manuals[i].name);
		example = strstr(text, "\nExample:  pgweir ");
		if (!example || strstr(example + 1, "\n\n"))
			fail_msg("pgweir %s --help ends without an example", manuals[i].name);
		fits(manuals[i].name, text);
		free(text);
	}
	text = said(say_commands, NULL);
	fits("", text);
	free(text);
}

static void every_option_has_a_name_and_a_meaning(void **state)
{
	(void)state;
	for (size_t i = 0; i < manual_count; i++) {
		for (size_t o = 0; o < manuals[i].option_count; o++) {
			const struct manual_option *option = &manuals[i].options[o];
			const char *at = option->names;
			char name[40];

			assert_true(manual_long_name(&at, name, sizeof name) || option->names[0] == '-');
			assert_true(strlen(option->what) > 0);
			/* What takes a value says so, and the other way round. */
			if ((strpbrk(option->names, " =[") != NULL && !strchr(option->names, ',')) !=
					(option->value != VALUE_NONE) &&
				!strchr(option->names, ','))
				fail_msg("pgweir %s: %s", manuals[i].name, option->names);
		}
	}
}

static void long_names_are_found_one_by_one(void **state)
{
	const char *at = "-o, --output FILE, --out=X";
	char name[40];

	(void)state;
	assert_true(manual_long_name(&at, name, sizeof name));
	assert_string_equal(name, "output");
	assert_true(manual_long_name(&at, name, sizeof name));
	assert_string_equal(name, "out");
	assert_false(manual_long_name(&at, name, sizeof name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_help_fits_a_screen_and_ends_with_an_example),
		cmocka_unit_test(every_option_has_a_name_and_a_meaning),
		cmocka_unit_test(long_names_are_found_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
