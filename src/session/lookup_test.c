#include "session/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/secrets.h"
#include "base/rng.h"

/* A row of values; a negative length is NULL. */
struct value {
	const char *text;
	int length;
};

static struct buf row_of(uint16_t columns, const struct value *values, size_t count)
{
	struct buf row = { 0 };
	struct writer w = writer_to(&row);

	write_u16(&w, columns);
	for (size_t i = 0; i < count; i++) {
		write_u32(&w, (uint32_t)values[i].length);
		if (values[i].length > 0)
			write_bytes(&w, values[i].text, (size_t)values[i].length);
	}
	assert_true(writer_ok(&w));
	return row;
}

static const char *read_of(
	uint16_t columns, const struct value *values, size_t count, struct buf *row, struct span *secret)
{
	*row = row_of(columns, values, count);
	return lookup_read(buf_span(row), span_text("web"), secret);
}

static void the_name_is_bound_and_never_part_of_the_statement(void **state)
{
	static const char expected[] = "P\0\0\0\x1c\0SELECT a,$1\0\0\1\0\0\0\x19"
				       "x";
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	struct span said;

	(void)state;
	lookup_write(&w, "SELECT a,$1", span_text("'; DROP"));
	assert_true(writer_ok(&w));
	said = buf_span(&out);
	assert_int_equal(said.at[0], 'P');
	assert_memory_equal(said.at + 5, expected + 5, 1 + 12 + 2 + 4);
	assert_int_equal(said.at[24], 'B');
	assert_non_null(memmem(said.at + 24, said.length - 24, "\0\0\0\7'; DROP", 11));
	assert_memory_equal(said.at + said.length - 5, "S\0\0\0\4", 5);
	buf_fini(&out);
}

static void a_row_is_a_name_and_a_secret(void **state)
{
	struct value good[] = { { "web", 3 }, { "sesame", 6 } }, none[] = { { "web", 3 }, { NULL, -1 } },
		     empty[] = { { "web", 3 }, { "", 0 } };
	struct span secret;
	struct buf row;

	(void)state;
	assert_null(read_of(2, good, 2, &row, &secret));
	assert_true(span_is(secret, "sesame"));
	buf_fini(&row);
	assert_null(read_of(2, none, 2, &row, &secret));
	assert_null(secret.at);
	buf_fini(&row);
	assert_null(read_of(2, empty, 2, &row, &secret));
	assert_non_null(secret.at);
	assert_int_equal(secret.length, 0);
	buf_fini(&row);
}

static void any_other_row_is_refused(void **state)
{
	static char huge[SECRET_MAX + 1];
	const struct {
		uint16_t columns;
		struct value values[3];
		size_t count;
	} rows[] = {
		{ 1, { { "web", 3 } }, 1 },
		{ 3, { { "web", 3 }, { "a", 1 }, { "b", 1 } }, 3 },
		{ 2, { { "web", 3 }, { "a", 1 }, { "b", 1 } }, 3 },
		{ 2, { { "web", 3 } }, 1 },
		{ 2, { { NULL, -1 }, { "a", 1 } }, 2 },
		{ 2, { { "Web", 3 }, { "a", 1 } }, 2 },
		{ 2, { { "webx", 4 }, { "a", 1 } }, 2 },
		{ 2, { { "", 0 }, { "a", 1 } }, 2 },
		{ 2, { { "web", 3 }, { "a\0b", 3 } }, 2 },
		{ 2, { { "web", 3 }, { huge, sizeof huge } }, 2 },
		{ 0, { { NULL, -1 } }, 0 },
	};
	struct span secret;
	struct buf row;

	(void)state;
	for (size_t i = 0; i < sizeof huge; i++)
		huge[i] = 'a';
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_non_null(read_of(rows[i].columns, rows[i].values, rows[i].count, &row, &secret));
		assert_null(secret.at);
		buf_fini(&row);
	}
}

static void any_bytes_are_read_within_their_bounds(void **state)
{
	struct value good[] = { { "web", 3 }, { "sesame", 6 } };
	struct buf row = row_of(2, good, 2);
	struct span whole = buf_span(&row), secret;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t length = rng_below(&rng, whole.length + 1);
		uint8_t *bytes = malloc(length + 1);
		const char *problem;

		assert_non_null(bytes);
		if (length > 0)
			memcpy(bytes, whole.at, length);
		for (unsigned j = 0; length > 0 && j < i % 4; j++)
			bytes[rng_below(&rng, length)] = (uint8_t)rng_below(&rng, 256);
		problem = lookup_read(span_of(bytes, length), span_text("web"), &secret);
		if (!problem && secret.at && secret.length > 0)
			assert_true(secret.at >= bytes && secret.at + secret.length <= bytes + length);
		free(bytes);
	}
	buf_fini(&row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_name_is_bound_and_never_part_of_the_statement),
		cmocka_unit_test(a_row_is_a_name_and_a_secret),
		cmocka_unit_test(any_other_row_is_refused),
		cmocka_unit_test(any_bytes_are_read_within_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
