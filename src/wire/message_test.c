#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "wire/frame.h"
#include "wire/message.h"

static struct buf out;
static struct writer w;

static struct writer *fresh(void)
{
	buf_clear(&out);
	w = writer_to(&out);
	return &w;
}

/* What was built is these bytes, with nothing before or after. */
#define ASSERT_BYTES(literal) \
	do { \
		assert_true(writer_ok(&w)); \
		assert_int_equal(out.length, sizeof(literal) - 1); \
		assert_memory_equal(buf_span(&out).at, literal, sizeof(literal) - 1); \
	} while (0)

static struct span body(void)
{
	struct frame f = { 0 };

	assert_int_equal(frame_peek(buf_span(&out), &f), FRAME_HERE);
	assert_int_equal(f.body + FRAME_HEADER, out.length);
	return span_skip(buf_span(&out), FRAME_HEADER);
}

static void messages_to_clients_have_their_bytes(void **state)
{
	(void)state;
	message_authentication(fresh(), 0, (struct span){ 0 });
	ASSERT_BYTES("R\0\0\0\10\0\0\0\0");
	message_authentication(fresh(), 5, span_text("salt"));
	ASSERT_BYTES("R\0\0\0\14\0\0\0\5salt");
	message_parameter_status(fresh(), "a", "bc");
	ASSERT_BYTES("S\0\0\0\11a\0bc\0");
	message_backend_key(fresh(), 258, span_text("wxyz"));
	ASSERT_BYTES("K\0\0\0\14\0\0\1\2wxyz");
	message_ready(fresh(), 'T');
	ASSERT_BYTES("Z\0\0\0\5T");
	message_command_complete(fresh(), "SHOW");
	ASSERT_BYTES("C\0\0\0\11SHOW\0");
	message_empty(fresh(), '1');
	ASSERT_BYTES("1\0\0\0\4");
	message_negotiate(fresh(), 2, 2, span_of("_pq_.a\0_pq_.b", 14));
	ASSERT_BYTES("v\0\0\0\32\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0");
	message_negotiate(fresh(), 3 << 16, 0, span_of(NULL, 0)); /* the whole version number will do too */
	ASSERT_BYTES("v\0\0\0\14\0\3\0\0\0\0\0\0");
}

static void messages_to_servers_have_their_bytes(void **state)
{
	const struct startup_pair pairs[] = { { span_text("user"), span_text("bob") } };

	(void)state;
	message_startup(fresh(), 3 << 16, pairs, 1);
	ASSERT_BYTES("\0\0\0\22\0\3\0\0user\0bob\0\0");
	message_cancel(fresh(), 1, span_text("abcd"));
	ASSERT_BYTES("\0\0\0\20\4\322\26\56\0\0\0\1abcd");
	message_query(fresh(), span_text("select 1"));
	ASSERT_BYTES("Q\0\0\0\15select 1\0");
	message_parse(fresh(), span_text("s1"), span_of("select 1\0\0\0", 11));
	ASSERT_BYTES("P\0\0\0\22s1\0select 1\0\0\0");
	message_close_statement(fresh(), span_text("s1"));
	ASSERT_BYTES("C\0\0\0\10Ss1\0");
}

static void rows_have_a_description_and_values(void **state)
{
	static const struct column columns[] = { { "n", COLUMN_INT4 }, { "t", COLUMN_TEXT } };
	size_t mark;

	(void)state;
	message_row_description(fresh(), columns, 2);
	ASSERT_BYTES("T\0\0\0\56\0\2"
		     "n\0\0\0\0\0\0\0\0\0\0\27\0\4\377\377\377\377\0\0"
		     "t\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0");
	mark = message_row_begin(fresh(), 4);
	message_row_int(&w, -42);
	message_row_text(&w, NULL);
	message_row_text(&w, "");
	message_row_span(&w, span_text("x"));
	message_row_end(&w, mark);
	ASSERT_BYTES("D\0\0\0\32\0\4\0\0\0\003-42\377\377\377\377\0\0\0\0\0\0\0\1x");
	mark = message_row_begin(fresh(), 1);
	message_row_int(&w, INT64_MIN);
	message_row_end(&w, mark);
	ASSERT_BYTES("D\0\0\0\36\0\1\0\0\0\24-9223372036854775808");
}

static void a_complaint_reads_back(void **state)
{
	struct complaint c = {
		.severity = SEVERITY_FATAL,
		.sqlstate = SQLSTATE_TOO_MANY_CONNECTIONS,
		.message = "no",
		.hint = "wait",
	};
	struct complaint_fields f;

	(void)state;
	message_complaint(fresh(), &c);
	ASSERT_BYTES("E\0\0\0\44SFATAL\0VFATAL\0C53300\0Mno\0Hwait\0\0");
	assert_true(message_read_complaint(body(), &f));
	assert_true(span_is(f.severity, "FATAL"));
	assert_true(span_is(f.sqlstate, "53300"));
	assert_true(span_is(f.message, "no"));
	assert_int_equal(f.detail.length, 0);
	assert_true(span_is(f.hint, "wait"));
	c.severity = SEVERITY_WARNING;
	c.detail = "d";
	message_complaint(fresh(), &c);
	assert_int_equal(buf_span(&out).at[0], 'N');
	assert_true(message_read_complaint(body(), &f));
	assert_true(span_is(f.detail, "d"));
}

static void a_complaint_may_be_translated_old_or_broken(void **state)
{
	struct complaint_fields f;

	(void)state;
	assert_true(message_read_complaint(span_of("SFEHLER\0VERROR\0XYZ\0\0", 20), &f));
	assert_true(span_is(f.severity, "ERROR"));
	assert_true(message_read_complaint(span_of("SFATAL\0C57P01\0\0", 15), &f));
	assert_true(span_is(f.severity, "FATAL"));
	assert_true(span_is(f.sqlstate, "57P01"));
	assert_true(message_read_complaint(span_of("SFATAL\0C57P\0\0", 13), &f));
	assert_int_equal(f.sqlstate.length, 0);
	assert_true(message_read_complaint(span_of("SFATAL\0C57P011\0\0", 16), &f));
	assert_int_equal(f.sqlstate.length, 0);
	assert_true(message_read_complaint(span_of("\0", 1), &f));
	assert_false(message_read_complaint(span_of("", 0), &f));
	assert_false(message_read_complaint(span_of("SFATAL\0", 7), &f));
	assert_false(message_read_complaint(span_of("SFATAL", 6), &f));
	assert_false(message_read_complaint(span_of("\0x", 2), &f));
}

static void a_parse_is_checked_to_its_last_byte(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool good;
	} cases[] = {
		{ "n\0q\0\0\0", 6, true },
		{ "\0\0\0\0", 4, true },
		{ "n\0q\0\0\2\0\0\0\27\0\0\0\31", 14, true },
		{ "n\0q\0\0\2\0\0\0\27\0\0\0", 13, false },    /* a type too short */
		{ "n\0q\0\0\1\0\0\0\27\0\0\0\31", 14, false }, /* a type too many */
		{ "n\0q\0\0\0x", 7, false },
		{ "n\0q\0\0", 5, false },
		{ "n\0q\0", 4, false },
		{ "n\0q", 3, false },
		{ "n\0", 2, false },
		{ "n", 1, false },
		{ "", 0, false },
		{ "n\0q\0\377\377", 6, false },
	};
	struct span name, tail;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t *copy = malloc(cases[i].n + 1);

		memcpy(copy, cases[i].bytes, cases[i].n);
		assert_int_equal(message_read_parse(span_of(copy, cases[i].n), &name, &tail), cases[i].good);
		if (cases[i].good) {
			/* What a replay sends is what came. */
			message_parse(fresh(), name, tail);
			assert_true(span_equal(body(), span_of(copy, cases[i].n)));
		}
		free(copy);
	}
}

static void other_bodies_are_read_or_refused(void **state)
{
	struct span a, b, c;
	uint32_t process_id;
	char kind;

	(void)state;
	assert_true(message_read_bind(span_of("p\0s\0\0\0\0\0\0\0", 10), &a, &b, &c));
	assert_true(span_is(a, "p") && span_is(b, "s") && c.length == 6);
	assert_true(message_read_bind(span_of("\0\0", 2), &a, &b, &c));
	assert_false(message_read_bind(span_of("p\0s", 3), &a, &b, &c));
	assert_true(message_read_target(span_of("Sname\0", 6), &kind, &a));
	assert_true(kind == 'S' && span_is(a, "name"));
	assert_true(message_read_target(span_of("P\0", 2), &kind, &a));
	assert_false(message_read_target(span_of("X\0", 2), &kind, &a));
	assert_false(message_read_target(span_of("S", 1), &kind, &a));
	assert_false(message_read_target(span_of("S\0\0", 3), &kind, &a));
	assert_true(message_read_parameter_status(span_of("a\0b\0", 4), &a, &b));
	assert_true(span_is(a, "a") && span_is(b, "b"));
	assert_false(message_read_parameter_status(span_of("a\0b", 3), &a, &b));
	assert_true(message_read_backend_key(span_of("\0\0\1\0abcd", 8), &process_id, &a));
	assert_true(process_id == 256 && span_is(a, "abcd"));
	assert_false(message_read_backend_key(span_of("\0\0\1\0abc", 7), &process_id, &a));
	assert_false(message_read_backend_key(span_of("\0\0", 2), &process_id, &a));
	assert_true(message_read_notification(span_of("\0\0\1\0jobs\0go\0", 12), &process_id, &a, &b));
	assert_true(process_id == 256 && span_is(a, "jobs") && span_is(b, "go"));
	assert_true(message_read_notification(span_of("\0\0\1\0jobs\0\0", 10), &process_id, &a, &b));
	assert_true(span_is(b, ""));
	assert_false(message_read_notification(span_of("\0\0\1\0jobs\0go", 11), &process_id, &a, &b));
	assert_false(message_read_notification(span_of("\0\0\1\0jobs\0go\0x", 13), &process_id, &a, &b));
	assert_false(message_read_notification(span_of("\0\0\1\0\0go\0", 8), &process_id, &a, &b));
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&out);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_to_clients_have_their_bytes),
		cmocka_unit_test(messages_to_servers_have_their_bytes),
		cmocka_unit_test(rows_have_a_description_and_values),
		cmocka_unit_test(a_complaint_reads_back),
		cmocka_unit_test(a_complaint_may_be_translated_old_or_broken),
		cmocka_unit_test(a_parse_is_checked_to_its_last_byte),
		cmocka_unit_test(other_bodies_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
