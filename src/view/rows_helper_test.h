#ifndef PGWEIR_VIEW_ROWS_HELPER_TEST_H
#define PGWEIR_VIEW_ROWS_HELPER_TEST_H

#include "base/reader.h"
#include "view/helper_test.h"
#include "view/rows.h"

/* What the tests of SHOW share: what is sent is read back as a client would read it. */

#define CELLS   48
#define RECORDS 64

/* An answer as a client has it. NULL cells are NULL. */
static struct answer {
	char columns[4096]; /* "name:type name:type ..." */
	size_t column_count, row_count;
	char *cells[RECORDS][CELLS];
	char tag[32];
} answer;

static inline void forget(void)
{
	for (size_t i = 0; i < RECORDS; i++)
		for (size_t j = 0; j < CELLS; j++)
			free(answer.cells[i][j]);
	memset(&answer, 0, sizeof answer);
}

static inline int tear_down(void **state)
{
	forget();
	return end(state);
}

static inline void read_description(struct reader *r)
{
	uint16_t width, type;
	size_t n = 0;

	answer.column_count = read_u16(r);
	assert_in_range(answer.column_count, 1, CELLS);
	for (size_t i = 0; i < answer.column_count; i++) {
		struct span name = read_string(r);

		assert_int_equal(read_u32(r), 0);
		assert_int_equal(read_u16(r), 0);
		type = (uint16_t)read_u32(r);
		width = read_u16(r);
		assert_int_equal(width, type == 23 ? 4 : type == 20 ? 8 : UINT16_MAX);
		assert_int_equal(read_u32(r), UINT32_MAX);
		assert_int_equal(read_u16(r), 0);
		n += text_format(answer.columns + n, sizeof answer.columns - n, "%s%.*s:%u", i ? " " : "",
			(int)name.length, (const char *)name.at, type);
	}
}

static inline void read_row(struct reader *r)
{
	assert_in_range(answer.row_count, 0, RECORDS - 1);
	assert_int_equal(read_u16(r), answer.column_count);
	for (size_t i = 0; i < answer.column_count; i++) {
		int32_t length = read_i32(r);
		struct span value;

		if (length == -1)
			continue;
		assert_true(length >= 0);
		value = read_bytes(r, (size_t)length);
		assert_true(reader_ok(r));
		answer.cells[answer.row_count][i] = strndup((const char *)value.at, value.length);
	}
	answer.row_count++;
}

static inline void read_answer(struct span bytes)
{
	struct reader all = reader_of(bytes), body;
	bool described = false, complete = false;

	forget();
	while (reader_left(&all) > 0) {
		uint8_t type = read_u8(&all);
		uint32_t length = read_u32(&all);

		assert_true(length >= 4);
		body = reader_of(read_bytes(&all, length - 4));
		assert_true(reader_ok(&all));
		assert_false(complete);
		switch (type) {
		case 'T':
			assert_false(described);
			described = true;
			read_description(&body);
			break;
		case 'D':
			assert_true(described);
			read_row(&body);
			break;
		case 'C':
			complete = true;
			text_copy_span(answer.tag, sizeof answer.tag, read_string(&body));
			break;
		default:
			fail_msg("a message of type %c", type);
		}
		assert_true(reader_done(&body));
	}
	assert_true(described && complete);
	assert_string_equal(answer.tag, "SHOW");
}

static inline void show_by(void (*rows)(struct writer *, const struct snapshot *, const char *), const char *what)
{
	struct writer w;

	buf_clear(&out);
	w = writer_to(&out);
	rows(&w, snapshot, what);
	assert_true(writer_ok(&w));
	read_answer(buf_span(&out));
}

static inline void show(const char *what)
{
	show_by(rows_show, what);
}

/* The value in the column of that name. */
static inline const char *cell(size_t row, const char *column)
{
	const char *at = answer.columns;

	assert_in_range(row, 0, answer.row_count - 1);
	for (size_t i = 0; i < answer.column_count; i++) {
		size_t length = strlen(column);

		if (strncmp(at, column, length) == 0 && at[length] == ':')
			return answer.cells[row][i];
		at = strchr(at, ' ');
		if (!at)
			break;
		at++;
	}
	fail_msg("no column %s in %s", column, answer.columns);
	return NULL;
}

/* A row as psql -A would print it, NULL as "(null)". */
static inline const char *line(size_t row)
{
	static char joined[4096];
	size_t n = 0;

	assert_in_range(row, 0, answer.row_count - 1);
	for (size_t i = 0; i < answer.column_count; i++)
		n += text_format(joined + n, sizeof joined - n, "%s%s", i ? "|" : "",
			answer.cells[row][i] ? answer.cells[row][i] : "(null)");
	return joined;
}

/* 2026-11-23 12:46:43 UTC */
#define MOMENT (1795438003 * SECOND_US)

static inline void setting(const char *key, const char *value, const char *standard, bool changeable)
{
	struct config_row *row = snapshot_setting(snapshot);

	assert_non_null(row);
	text_copy(row->key, sizeof row->key, key);
	text_copy(row->value, sizeof row->value, value);
	text_copy(row->standard, sizeof row->standard, standard);
	row->changeable = changeable;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, begin_anew, tear_down)

#endif
