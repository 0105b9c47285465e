#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/text.h"
#include "tool/memory.h"
#include "tool/top_model.h"

/* Two pools, two origins of which one holds three servers, and a name that would command the terminal. */
static struct top_view view_new(void)
{
	struct top_view view = { .pool_count = 2, .origin_count = 2, .lease_count = 3, .leak_count = 1 };

	view.pools = memory_new(2, sizeof view.pools[0]);
	view.origins = memory_new(2, sizeof view.origins[0]);
	view.leases = memory_new(3, sizeof view.leases[0]);
	view.leaks = memory_new(1, sizeof view.leaks[0]);
	view.pools[0] = (struct top_pool){ .database = "quiet", .user = "app", .idle = 1, .limit = 4 };
	view.pools[1] = (struct top_pool){
		.database = "shop", .user = "app", .lent = 3, .idle = 1, .waiting = 2, .limit = 4
	};
	view.origins[0] = (struct top_origin){
		.database = "shop", .user = "app", .application = "idle", .address = "10.0.0.1", .clients = 9
	};
	view.origins[1] = (struct top_origin){ .database = "shop",
		.user = "app",
		.application = "\x1b[31mred",
		.address = "10.0.0.2",
		.clients = 3,
		.lent = 3,
		.waiting = 2 };
	for (int i = 0; i < 3; i++) {
		view.leases[i] = (struct top_lease){ .client = 10 + i,
			.process = 100 + i,
			.database = "shop",
			.user = "app",
			.application = "\x1b[31mred",
			.address = "10.0.0.2",
			.state = "executing",
			.age = i,
			.waiting = i == 0 ? 2 : 0 };
		if (i == 0)
			text_copy(view.leases[i].waiters, sizeof view.leases[i].waiters,
				"client 17 of origin 3, \"\x1b[2Jweb\" at 10.0.0.9, for 2.5 s");
		text_format(view.leases[i].statement, sizeof view.leases[i].statement, "SELECT '\u00e4', %d", i);
	}
	text_copy(view.leaks[0].title, TOP_NAME, "LEAK L12, 90 %, urgent:");
	text_copy(view.leaks[0].evidence, sizeof view.leaks[0].evidence, "idle in a transaction");
	text_copy(view.leaks[0].name, sizeof view.leaks[0].name, "a script that never commits");
	text_copy(view.leaks[0].since, sizeof view.leaks[0].since, "2026-11-27 19:03:22 UTC");
	text_copy(view.leaks[0].statement, sizeof view.leaks[0].statement, "SELECT ?");
	return view;
}

static size_t letters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((uint8_t)*text & 0xc0) != 0x80;
	return count;
}

static const char *line_with(const struct top_page *page, const char *words)
{
	for (size_t i = 0; i < page->count; i++) {
		if (strstr(page->lines[i].text, words))
			return page->lines[i].text;
	}
	return NULL;
}

static void every_size_holds_its_lines_and_no_control_character(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_origin red = view.origins[1];

	(void)state;
	view.hidden = 3;
	view.used = view.most = 30;
	view.pools[1].limit = 0;
	text_copy(view.no_room, sizeof view.no_room,
		"PostgreSQL at \x1b[31m has no room for more: others have 22 of its 27 (\u202e\n: 22)");
	view.parts = memory_new(9, sizeof view.parts[0]);
	for (; view.part_count < 9; view.part_count++)
		view.parts[view.part_count] = (struct top_part){
			.by = "ro\x1bute", .value = "/\u202e\n\x7f", .holding = 3
		};
	top_past_add(&past, &view);
	for (int width = 1; width < 300; width += width < 60 ? 1 : 37) {
		for (int height = 1; height < 60; height += 7) {
			for (int how = 0; how < 8; how++) {
				struct top_screen screen = { .width = width,
					.height = height,
					.ascii = how & 1,
					.list = how >> 1 ? TOP_LEASES : TOP_ORIGINS,
					.in_lease = how >> 1 == 2,
					.drilled = how >> 1 == 3,
					.of = red,
					.lease = { .client = 10, .process = 100 },
					.keys = "q end" };
				struct top_page page;

				top_lay(&page, &view, &past, &screen);
				assert_true(page.count <= (size_t)height);
				for (size_t i = 0; i < page.count; i++) {
					assert_true(letters(page.lines[i].text) <= (size_t)width);
					for (const char *c = page.lines[i].text; *c; c++) {
						assert_true((uint8_t)*c >= ' ' && *c != 127);
						assert_false((how & 1) && (uint8_t)*c > 127);
					}
				}
				top_page_fini(&page);
			}
		}
	}
	top_view_fini(&view);
}

static void who_holds_most_and_whose_pool_waits_comes_first(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 120, .height = 40 };
	struct top_page page;

	(void)state;
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(view.pools[0].database, "shop");
	assert_string_equal(page.chosen_origin.application, "\x1b[31mred");
	assert_non_null(line_with(&page, "3 lent, 2 idle, 2 waiting"));
	assert_non_null(line_with(&page, "LEAK L12"));
	assert_non_null(line_with(&page, ", since 2026-11-27 19:03"));
	assert_non_null(line_with(&page, "a script that never commits: idle in a transaction; statement SELECT ?"));
	assert_non_null(line_with(&page, "\\x1b[31mred"));
	top_page_fini(&page);
	screen.sort = SORT_NAME;
	screen.chosen = 99;
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(page.chosen_origin.application, "idle");
	assert_int_equal(screen.chosen, 1);
	top_page_fini(&page);
	top_view_fini(&view);
}

static void among_those_who_hold_nothing_who_waits_comes_first(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 120, .height = 40 };
	struct top_page page;

	(void)state;
	for (size_t i = 0; i < view.origin_count; i++)
		view.origins[i].lent = view.origins[i].waiting = 0;
	view.origins[0].clients = 1;
	view.origins[0].waiting = 1;
	view.origins[1].clients = 500;
	text_copy(view.origins[0].application, sizeof view.origins[0].application, "waits");
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(page.chosen_origin.application, "waits");
	top_page_fini(&page);
	top_view_fini(&view);
}

static void a_cure_that_is_longer_than_its_lines_says_so(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 40, .height = 40 };
	struct top_page page;

	(void)state;
	text_copy(view.leaks[0].cure, sizeof view.leaks[0].cure,
		"Close the connection in the thread that opened it, or give that thread none of its own to begin with.");
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "  Close the connection in the thread"));
	assert_non_null(line_with(&page, "  that opened it, or give that ..."));
	top_page_fini(&page);
	screen.width = 120;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "to begin with."));
	assert_null(line_with(&page, "..."));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void going_into_an_origin_shows_its_leases_and_the_filter_narrows_them(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = {
		.width = 120, .height = 40, .list = TOP_LEASES, .drilled = true, .of = view.origins[1]
	};
	struct top_page page;

	(void)state;
	screen.sort = SORT_WAITING;
	top_lay(&page, &view, &past, &screen);
	assert_int_equal(page.rows, 3);
	assert_int_equal(page.chosen_client, 10);
	top_page_fini(&page);
	text_copy(screen.filter, sizeof screen.filter, ", 2");
	top_lay(&page, &view, &past, &screen);
	assert_int_equal(page.rows, 1);
	assert_int_equal(page.chosen_process, 102);
	top_page_fini(&page);
	screen.of = view.origins[0];
	screen.filter[0] = 0;
	top_lay(&page, &view, &past, &screen);
	assert_int_equal(page.rows, 0);
	top_page_fini(&page);
	top_view_fini(&view);
}

/* What the page of the lease of this client and process says. */
static void lay_lease_page(struct top_page *page, struct top_view *view, int64_t client, int64_t process)
{
	static struct top_past past;
	struct top_screen screen = {
		.width = 120, .height = 40, .in_lease = true, .lease = { .client = client, .process = process }
	};

	top_lay(page, view, &past, &screen);
}

static void a_pool_for_which_no_server_can_be_opened_says_why(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 90, .height = 40 };
	struct top_page page;

	(void)state;
	top_lay(&page, &view, &past, &screen);
	assert_null(line_with(&page, "no server can be opened"));
	top_page_fini(&page);
	for (size_t i = 0; i < view.pool_count; i++)
		text_format(view.pools[i].failing, sizeof view.pools[i].failing, "refused\x1b %zu", i);
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(line_with(&page, "no server can be opened"), "  no server can be opened: refused\\x1b 0");
	assert_null(line_with(&page, "refused\\x1b 1")); /* once, of who waits */
	top_page_fini(&page);
	screen.height = 0;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "refused\\x1b 1"));
	top_page_fini(&page);
	screen = (struct top_screen){ .width = 60, .height = 8, .keys = "q end" };
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "no server can be opened"));
	assert_non_null(line_with(&page, "\\x1b[31mred"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void that_postgresql_is_gone_is_said_before_a_pool_knows(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 90, .height = 40 };
	struct top_page page;

	(void)state;
	text_copy(view.unreached, sizeof view.unreached, "connection to server at \x1b[31m");
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(line_with(&page, "can not be reached"),
		"  PostgreSQL can not be reached: connection to server at \\x1b[31m");
	top_page_fini(&page);
	/* What a pool has met itself says as much. */
	text_copy(view.pools[0].failing, sizeof view.pools[0].failing, "refused");
	top_lay(&page, &view, &past, &screen);
	assert_null(line_with(&page, "can not be reached"));
	assert_non_null(line_with(&page, "no server can be opened: refused"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void what_keeps_a_pool_below_its_size_is_said_where_that_is_why_clients_wait(void **state)
{
	static const char words[] = "No room for more servers at PostgreSQL 10.0.0.1:5432: others have 22 of its 27";
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 90, .height = 40 };
	struct top_page page;

	(void)state;
	text_copy(view.no_room, sizeof view.no_room, words);
	/* The pool whose clients wait has all that it may have. */
	top_lay(&page, &view, &past, &screen);
	assert_null(line_with(&page, "No room"));
	top_page_fini(&page);
	view.pools[0].limit = 9; /* the waiting one is first by now */
	top_lay(&page, &view, &past, &screen);
	assert_string_equal(line_with(&page, "No room") + 2, words);
	top_page_fini(&page);
	view.pools[0].waiting = 0;
	top_lay(&page, &view, &past, &screen);
	assert_null(line_with(&page, "No room"));
	top_page_fini(&page);
	/* A bare PostgreSQL has no pools that wait: who is refused is not there. */
	view.kind = TOP_POSTGRESQL;
	view.used = view.most = 30;
	view.hidden = 1;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "No room"));
	assert_non_null(line_with(&page, "30 of 30 connections"));
	assert_non_null(line_with(&page, "1 session is hidden from this user"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void figures_are_told_whole_and_columns_are_no_wider_than_what_is_in_them(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 80, .height = 12 };
	struct top_page page;

	(void)state;
	top_past_add(&past, &view);
	text_copy(view.pools[1].database, TOP_NAME, "a_database_with_a_long_name");
	view.pools[1].longest_wait = 1234.5;
	view.leak_count = 0;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "3 lent, 1 idle of 4, 2 waiting (1234.5 s)"));
	top_page_fini(&page);
	screen = (struct top_screen){ .width = 400, .height = 7 };
	top_lay(&page, &view, &past, &screen);
	assert_true(letters(line_with(&page, "10.0.0.1")) < 130);
	top_page_fini(&page);
	screen.height = 8;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "and 1 more pool"));
	assert_null(line_with(&page, "and 1 more pools"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void an_origin_tells_what_it_consists_of(void **state)
{
	static const char *const kinds[] = { "process", "route", "job" };
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 120, .height = 40, .list = TOP_LEASES, .drilled = true };
	struct top_page page;

	(void)state;
	view.origins[1].id = 3;
	screen.of = view.origins[1];
	view.parts = memory_new(61, sizeof view.parts[0]);
	view.parts[view.part_count++] = (struct top_part){
		.origin = 2, .by = "route", .value = "elsewhere", .clients = 1
	};
	for (size_t i = 0; i < 60; i++) {
		struct top_part *part = &view.parts[view.part_count++];

		*part = (struct top_part){ .origin = 3, .clients = 9, .quiet = i == 1 ? 4 : 0 };
		text_copy(part->by, sizeof part->by, kinds[i / 20]);
		text_format(part->value, sizeof part->value, "\x1b[2J\u202e<b>%zu", i);
	}
	view.parts[21].holding = 2;
	view.parts[21].oldest_hold = 7.5;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "process    \\x1b[2J\\u{202e}<b>0 "));
	assert_non_null(line_with(&page, "9 clients, 4 quiet"));
	assert_non_null(line_with(&page, "9 clients, 2 idle in transaction, the longest for 7.5 s"));
	assert_non_null(line_with(&page, "job        \\x1b[2J\\u{202e}<b>40 "));
	assert_non_null(line_with(&page, "and 48 more: SHOW BREAKDOWNS")); /* four of each */
	assert_null(line_with(&page, "elsewhere"));
	assert_null(line_with(&page, "\x1b"));
	assert_non_null(line_with(&page, "3 leases of one origin")); /* below it */
	top_page_fini(&page);
	screen.drilled = false;
	top_lay(&page, &view, &past, &screen);
	assert_null(line_with(&page, "SHOW BREAKDOWNS"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void a_lease_tells_all_of_itself_and_who_waits_behind_it(void **state)
{
	struct top_view view = view_new();
	struct top_page page;

	(void)state;
	text_copy(view.leases[0].first, sizeof view.leases[0].first, "BEGIN");
	text_copy(view.leases[0].pin, sizeof view.leases[0].pin, "temporary");
	view.leases[0].in_state = 12;
	lay_lease_page(&page, &view, 10, 100);
	assert_int_equal(page.rows, 1);
	assert_int_equal(page.chosen_client, 10);
	assert_non_null(line_with(&page, "state        executing for 12"));
	assert_non_null(line_with(&page, "pinned by    temporary"));
	assert_non_null(line_with(&page, "  BEGIN"));
	assert_non_null(line_with(&page, "2 wait for a server of its pool"));
	assert_non_null(line_with(&page, "     2 \\x1b[31mred  shop/app at 10.0.0.2"));
	assert_non_null(line_with(&page, "  client 17 of origin 3, \"\\x1b[2Jweb\" at 10.0.0.9, for 2.5 s"));
	assert_null(line_with(&page, "10.0.0.1")); /* waits for nothing */
	top_page_fini(&page);
	/* Both have to be so: numbers are given again. */
	lay_lease_page(&page, &view, 10, 101);
	assert_int_equal(page.rows, 0);
	assert_non_null(line_with(&page, "this lease is over"));
	top_page_fini(&page);
	/* PostgreSQL knows whose lock it is. */
	view.kind = TOP_POSTGRESQL;
	view.leases[1].behind = 100;
	view.leases[0].waiting = 1;
	lay_lease_page(&page, &view, 10, 100);
	assert_non_null(line_with(&page, "1 waits for its locks"));
	assert_non_null(line_with(&page, "    101 "));
	top_page_fini(&page);
	lay_lease_page(&page, &view, 11, 101);
	assert_non_null(line_with(&page, "it waits for a lock of process 100"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void the_past_of_a_pool_is_told_in_few_letters_and_its_peak_is_not_lost(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 120, .height = 40, .ascii = true };
	struct top_page page;

	(void)state;
	for (int i = 0; i < TOP_SAMPLES + 10; i++) {
		view.pools[1].lent = 0;
		view.pools[1].waiting = i == 12 ? 4 : 0;
		top_past_add(&past, &view);
	}
	top_lay(&page, &view, &past, &screen);
	/* Ten of a hundred are forgotten; the third of those that are left shares its letter with others. */
	assert_non_null(line_with(&page, "] #___________________ 0 lent"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static size_t rows_with(const struct top_page *page, const char *words)
{
	size_t count = 0;

	for (size_t i = 0; i < page->count; i++)
		count += strstr(page->lines[i].text, words) != NULL;
	return count;
}

static void a_low_screen_has_the_chosen_row_and_a_usual_one_several(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 20, .height = 5, .keys = "q end" };
	struct top_page page;

	(void)state;
	top_lay(&page, &view, &past, &screen);
	assert_non_null(line_with(&page, "LEAK L12"));
	assert_non_null(line_with(&page, "   3 \\x1b"));
	top_page_fini(&page);
	screen = (struct top_screen){ .width = 80, .height = 24, .keys = "q end", .list = TOP_LEASES };
	top_lay(&page, &view, &past, &screen);
	assert_int_equal(3, rows_with(&page, "executing"));
	assert_int_equal(2, rows_with(&page, "SELECT ?, 2") + rows_with(&page, "SELECT '\u00e4', 2"));
	top_page_fini(&page);
	top_view_fini(&view);
}

static void letters_of_two_columns_take_two(void **state)
{
	static struct top_past past;
	struct top_view view = view_new();
	struct top_screen screen = { .width = 80, .height = 30 };
	struct top_page page;

	(void)state;
	text_copy(view.origins[0].application, TOP_NAME,
		"\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e");
	text_copy(view.origins[1].application, TOP_NAME, "\u65e5e\u0301");
	top_lay(&page, &view, &past, &screen);
	/* Twenty columns for a name: ten of these letters; and three with seventeen blanks behind them. */
	assert_non_null(line_with(&page, "  \u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5\u672c\u8a9e\u65e5 shop/app"));
	assert_non_null(line_with(&page, "  \u65e5e\u0301                  shop/app"));
	top_page_fini(&page);
	top_view_fini(&view);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_holds_its_lines_and_no_control_character),
		cmocka_unit_test(who_holds_most_and_whose_pool_waits_comes_first),
		cmocka_unit_test(among_those_who_hold_nothing_who_waits_comes_first),
		cmocka_unit_test(a_cure_that_is_longer_than_its_lines_says_so),
		cmocka_unit_test(going_into_an_origin_shows_its_leases_and_the_filter_narrows_them),
		cmocka_unit_test(a_pool_for_which_no_server_can_be_opened_says_why),
		cmocka_unit_test(that_postgresql_is_gone_is_said_before_a_pool_knows),
		cmocka_unit_test(what_keeps_a_pool_below_its_size_is_said_where_that_is_why_clients_wait),
		cmocka_unit_test(figures_are_told_whole_and_columns_are_no_wider_than_what_is_in_them),
		cmocka_unit_test(an_origin_tells_what_it_consists_of),
		cmocka_unit_test(a_lease_tells_all_of_itself_and_who_waits_behind_it),
		cmocka_unit_test(a_low_screen_has_the_chosen_row_and_a_usual_one_several),
		cmocka_unit_test(letters_of_two_columns_take_two),
		cmocka_unit_test(the_past_of_a_pool_is_told_in_few_letters_and_its_peak_is_not_lost),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
