/* Texts that are said again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"
#include "base/writer.h"
#include "session/catalog.h"
#include "session/look_again.h"

static void add(struct catalog *catalog, const char *name, const char *marks, const char *where)
{
	const char *values[] = { name, marks, where };
	struct buf body = { 0 };
	struct writer w = writer_to(&body);

	write_u16(&w, 3);
	for (int i = 0; i < 3; i++) {
		write_u32(&w, (uint32_t)strlen(values[i]));
		write_span(&w, span_text(values[i]));
	}
	assert_true(writer_ok(&w) && catalog_row(catalog, buf_span(&body)));
	buf_fini(&body);
}

static void compare(struct look_memory *memory, const struct catalog *catalog, struct span text)
{
	struct look wanted, look;
	bool added = catalog_look(catalog, text, &wanted);

	assert_int_equal(look_again(memory, catalog, text, &look), added);
	assert_int_equal(look.marks, wanted.marks);
	assert_int_equal(look.prepared, wanted.prepared);
	assert_int_equal(look.made, wanted.made);
	assert_int_equal(look.count, wanted.count);
	for (unsigned i = 0; i < look.count; i++) {
		assert_string_equal(look.names[i].name, wanted.names[i].name);
		assert_int_equal(look.names[i].kind, wanted.names[i].kind);
	}
}

/* Whatever was said before, to whichever database. */
static void what_is_remembered_is_what_a_look_says(void **state)
{
	static const char *const texts[] = { "SELECT 1", "SELECT 2", "INSERT INTO orders VALUES (%u)",
		"SELECT * FROM locking WHERE a = %u", "SELECT mine(%u)", "CREATE TEMP TABLE orders%u (a int)",
		"PREPARE p%u AS INSERT INTO orders VALUES (1)", "SET app.last = %u", "SELECT pg_advisory_lock(%u)",
		"ALTER ROLE anna PASSWORD '%u'", "BEGIN", "", "LISTEN a%u", "SELECT 'now', %u", "RESET ALL",
		"DO $$x$$" };
	struct catalog *shop = catalog_new(), *none = catalog_new();
	struct look_memory memory;
	struct rng rng;
	char text[80];

	(void)state;
	add(shop, "orders", "s", "w");
	add(shop, "locking", "l", "r");
	look_memory_init(&memory);
	rng_seed(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		const char *form = texts[rng_below(&rng, sizeof texts / sizeof texts[0])];
		const char *gap = strstr(form, "%u");
		size_t length;

		length = gap ? text_format(text, sizeof text, "%.*s%u%s", (int)(gap - form), form,
				       (unsigned)rng_below(&rng, 40), gap + 2)
			     : text_copy(text, sizeof text, form);
		compare(&memory, rng_chance(&rng, 500) ? shop : none, span_of(text, length));
	}
	look_memory_fini(&memory);
	catalog_drop(shop);
	catalog_drop(none);
}

static void a_long_text_is_looked_at_each_time(void **state)
{
	struct catalog *catalog = catalog_new();
	struct look_memory memory;
	static char text[3000];

	(void)state;
	look_memory_init(&memory);
	for (size_t length = 990; length < 1010; length++) {
		memset(text, ' ', length);
		memcpy(text + length - 13, "LISTEN a_name", 13);
		for (int turn = 0; turn < 3; turn++)
			compare(&memory, catalog, span_of(text, length));
	}
	look_memory_fini(&memory);
	catalog_drop(catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_remembered_is_what_a_look_says),
		cmocka_unit_test(a_long_text_is_looked_at_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
