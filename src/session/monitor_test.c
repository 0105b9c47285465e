/* A reading of a server that may be anything: in portions, out of order, too long, without end, and full of strange names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "session/monitor.h"
#include "wire/frame.h"
#include "wire/message.h"

static struct reading reading;
static struct buf asked, said;
static struct writer w;
static size_t portion = 7;

static struct monitor_backend seen[8];
static unsigned seen_count;

static void ask(void)
{
	struct writer out;

	buf_clear(&asked);
	buf_clear(&said);
	out = writer_to(&asked);
	w = writer_to(&said);
	monitor_ask(&out, &reading);
	assert_true(writer_ok(&out));
	seen_count = 0;
}

static void row(const char *const values[], unsigned count)
{
	size_t mark = message_row_begin(&w, count);

	for (unsigned i = 0; i < count; i++)
		message_row_text(&w, values[i]);
	message_row_end(&w, mark);
}

#define ROW(...) \
	row((const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static void end_part(void)
{
	message_command_complete(&w, "SELECT");
	message_ready(&w, 'I');
}

static void refuse(const char *sqlstate, const char *text)
{
	message_complaint(&w, &(struct complaint){ .severity = SEVERITY_ERROR, .sqlstate = sqlstate, .message = text });
	message_ready(&w, 'I');
}

/* The first three parts, as a server of a hundred connections answers them. */
static void begin_well(void)
{
	ROW("100", "3", "2");
	end_part();
	ROW("job", "2");
	end_part();
	ROW("shop", "5");
	end_part();
}

/* What the server said arrives, in memory of just its size. */
static enum monitor_edge arrive(void)
{
	enum monitor_edge edge = MONITOR_MORE;
	size_t used, length = portion;

	assert_true(writer_ok(&w));
	while ((edge == MONITOR_MORE || edge == MONITOR_BACKEND) && said.length > 0) {
		size_t n = length < said.length ? length : said.length;
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, buf_span(&said).at, n);
		edge = monitor_take(&reading, span_of(copy, n), &used);
		free(copy);
		assert_true(used <= n);
		buf_consume(&said, used);
		if (edge == MONITOR_BACKEND && seen_count < 8)
			seen[seen_count++] = reading.backend;
		if (edge == MONITOR_MORE && used == 0 && n == said.length)
			break;
		length = used ? portion : length + portion;
	}
	return edge;
}

static void is_broken(const char *problem)
{
	assert_int_equal(arrive(), MONITOR_BROKEN);
	assert_string_equal(reading.problem, problem);
}

static void a_reading_tells_the_limits_and_everybody_who_is_there(void **state)
{
	struct frame frame = { 0 };
	unsigned queries = 0;

	(void)state;
	for (portion = 1; portion < 2000; portion *= 5) {
		ask();
		for (queries = 0; asked.length > 0; queries++) {
			assert_int_equal(frame_peek(buf_span(&asked), &frame), FRAME_HERE);
			assert_int_equal(frame.type, 'Q');
			buf_consume(&asked, FRAME_HEADER + frame.body);
		}
		assert_int_equal(queries, MONITOR_PARTS);
		message_parameter_status(&w, "TimeZone", "UTC");
		begin_well();
		ROW("4711", "job", "shop", "nightly", "1700000000000000", "5000000");
		ROW("4712", "web", "shop", "", "1700000000000001", "-3");
		ROW("4713", "job", "other", "", NULL, NULL);
		end_part();
		assert_int_equal(arrive(), MONITOR_READ);
		assert_int_equal(reading.connections_max, 100);
		assert_int_equal(reading.reserved, 5);
		assert_int_equal(seen_count, 3);
		assert_int_equal(seen[0].process_id, 4711);
		assert_string_equal(seen[0].user, "job");
		assert_string_equal(seen[0].database, "shop");
		assert_string_equal(seen[0].application, "nightly");
		assert_int_equal(seen[0].started, 1700000000000000);
		assert_int_equal(seen[0].age, 5000000);
		assert_int_equal(seen[1].age, -1);
		assert_int_equal(seen[2].started, 0);
		assert_true(reading.hidden);
		assert_int_equal(reading.backends, 3);
		assert_int_equal(reading.limit_count, 2);
		assert_true(reading.limits[0].is_role && reading.limits[0].max == 2 && reading.limits[0].used == 2);
		assert_true(!reading.limits[1].is_role && reading.limits[1].max == 5 && reading.limits[1].used == 2);
		for (unsigned part = 0; part < MONITOR_PARTS; part++)
			assert_true(monitor_knows(&reading, (enum monitor_part)part));
	}
	portion = 7;
}

static void what_is_refused_takes_nothing_else_with_it(void **state)
{
	(void)state;
	ask();
	refuse("42501", "permission denied for max_connections");
	end_part();
	refuse("42501", "permission denied for view pg_database");
	ROW("1", "a", "b", "c", "1", "1");
	end_part();
	assert_int_equal(arrive(), MONITOR_READ);
	assert_false(monitor_knows(&reading, MONITOR_SETTINGS));
	assert_true(monitor_knows(&reading, MONITOR_ROLES));
	assert_false(monitor_knows(&reading, MONITOR_DATABASES));
	assert_true(monitor_knows(&reading, MONITOR_BACKENDS));
	assert_string_equal(reading.sqlstate, "42501");
	assert_string_equal(reading.problem, "permission denied for view pg_database");
	/* The next reading knows nothing of this one. */
	ask();
	assert_int_equal(reading.known, 0);
	assert_string_equal(reading.problem, "");
}

static void rows_that_were_not_asked_for_end_it(void **state)
{
	static const char unexpected[] = "the server sent a row that was not asked for";
	static const char *const bad[][3] = { { "0", "3", "2" }, { "-1", "3", "2" }, { "many", "3", "2" },
		{ "99999999999999999999", "3", "2" }, { "262144", "3", "2" }, { "100", "-1", "2" }, { "100", "3", "" },
		{ NULL, "3", "2" }, { "100", NULL, "2" } };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ask();
		row(bad[i], 3);
		is_broken(unexpected);
	}
	ask();
	ROW("100", "3");
	is_broken(unexpected);
	ask();
	ROW("100", "3", "2");
	ROW("100", "3", "2");
	is_broken(unexpected);
	ask();
	begin_well();
	ROW("0", "a", "b", "c", "1", "1");
	is_broken(unexpected);
	ask();
	begin_well();
	ROW("1", "a", "b", "c", "soon", "1");
	is_broken(unexpected);
	ask();
	begin_well();
	ROW("1", "a", "b", "c", "1", "1", "more");
	is_broken(unexpected);
	/* A column that is longer than its row. */
	ask();
	begin_well();
	write_bytes(&w, "D\0\0\0\x0a\0\6\0\0\xff\xff", 11);
	is_broken(unexpected);
	ask();
	end_part();
	is_broken("the server did not say how many connections it takes");
}

static void a_server_that_says_too_much_is_not_listened_to(void **state)
{
	(void)state;
	ask();
	write_bytes(&w, "D\0\0\x40\0", 5);
	is_broken("the server sent a message that is too long");
	ask();
	write_bytes(&w, "D\0\0\0\3", 5);
	is_broken("the server does not speak PostgreSQL's protocol");
	ask();
	message_empty(&w, 'G');
	is_broken("the server broke the protocol");
	ask();
	refuse("42501", "no");
	begin_well();
	is_broken("the server sent a row that was not asked for");
	ask();
	ROW("100", "3", "2");
	end_part();
	for (unsigned i = 0; i <= MONITOR_LIMITS; i++)
		ROW("role", "1");
	is_broken("the server sent a row that was not asked for");
	ask();
	begin_well();
	end_part();
	assert_int_equal(arrive(), MONITOR_READ);
	w = writer_to(&said);
	message_ready(&w, 'I');
	is_broken("the server spoke without being asked");
}

static void rows_without_end_have_one(void **state)
{
	enum monitor_edge edge = MONITOR_MORE;
	size_t used;
	uint32_t rows = 0;

	(void)state;
	ask();
	begin_well();
	ROW("1", "a", "b", "c", "1", "1");
	portion = 1000;
	assert_int_equal(arrive(), MONITOR_BACKEND);
	portion = 7;
	buf_clear(&said);
	w = writer_to(&said);
	ROW("1", "a", "b", "c", "1", "1");
	while ((edge = monitor_take(&reading, buf_span(&said), &used)) == MONITOR_BACKEND && rows < 1000000)
		rows++;
	assert_int_equal(edge, MONITOR_BROKEN);
	assert_int_equal(rows, 262143);
}

static void strange_names_become_plain_ones(void **state)
{
	static const struct {
		const char *name, *shown;
	} names[] = {
		{ "plain", "plain" },
		{ "\x1b[2Jred\n", "?[2Jred?" },
		{ "J\xc3\xbcrgen", "J\xc3\xbcrgen" },
		{ "\xe2\x82\xac\xf0\x9f\x90\x98", "\xe2\x82\xac\xf0\x9f\x90\x98" },
		{ "a\xc3", "a?" },
		{ "\xff\xfe", "??" },
		{ "\xc0\xaf", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\x7f", "?" },
		{ "", "" },
		/* Cut at 63 bytes, and not inside a letter. */
		{ "0123456789012345678901234567890123456789012345678901234567890\xe2\x82\xac",
			"0123456789012345678901234567890123456789012345678901234567890" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
			"012345678901234567890123456789012345678901234567890123456789012" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		ask();
		begin_well();
		ROW("1", names[i].name, names[i].name, names[i].name, "1", "1");
		end_part();
		portion = 500;
		assert_int_equal(arrive(), MONITOR_READ);
		assert_string_equal(seen[0].user, names[i].shown);
		assert_string_equal(seen[0].application, names[i].shown);
	}
	portion = 7;
}

static int end(void **state)
{
	(void)state;
	buf_fini(&asked);
	buf_fini(&said);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reading_tells_the_limits_and_everybody_who_is_there),
		cmocka_unit_test(what_is_refused_takes_nothing_else_with_it),
		cmocka_unit_test(rows_that_were_not_asked_for_end_it),
		cmocka_unit_test(a_server_that_says_too_much_is_not_listened_to),
		cmocka_unit_test(rows_without_end_have_one),
		cmocka_unit_test(strange_names_become_plain_ones),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
