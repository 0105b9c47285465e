/* Rows and descriptions that answer what we ask of a server that is lent, or about to be: what is left in its session, what its catalogue says, what it
 * is, what a statement looks like. They come from whoever is at the other end. The input: one byte that chooses the question, and bodies of
 * messages, each with two bytes of its length.
 *
 * A description says the same in whatever portions it comes, and what a row tells is bounded. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "session/catalog.h"
#include "session/question.h"
#include "session/suit.h"
#include "wire/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct params_book *book;

/* The next body, in memory of just its size, so that a read past it is caught. */
static bool next(struct span *rest, struct span *body)
{
	size_t length;
	uint8_t *copy;

	if (rest->length < 2)
		return false;
	length = (size_t)rest->at[0] << 8 | rest->at[1];
	*rest = span_skip(*rest, 2);
	if (length > rest->length)
		length = rest->length;
	copy = malloc(length ? length : 1);
	check(copy);
	if (length > 0)
		memcpy(copy, rest->at, length);
	*body = span_of(copy, length);
	*rest = span_skip(*rest, length);
	return true;
}

static void drop(struct span body)
{
	free((void *)(uintptr_t)body.at);
}

static void read_answer(uint32_t marks, struct span rest)
{
	struct question question = { .marks = marks, .user = "ada" };
	struct params *empty = params_empty(book);
	struct answer answer;
	struct span body;
	bool good = true;

	answer_begin(&answer, &question, empty);
	while (good && next(&rest, &body)) {
		good = answer_row(&answer, body);
		drop(body);
		check(params_count(answer.settings) <= 200);
		check(answer.topics.count <= TOPICS_SHARED_MAX + 1);
	}
	answer_end(&answer);
	check(answer.pins < 1u << PINS && !answer.refused);
	answer_fini(&answer);
	params_drop(empty);
}

static void read_catalog(struct span rest)
{
	struct catalog *catalog = catalog_new();
	struct span body;
	struct look look = { 0 };
	bool good = true;

	check(catalog);
	while (good && next(&rest, &body)) {
		good = catalog_row(catalog, body);
		drop(body);
	}
	check(!catalog_refused(catalog));
	catalog_names(catalog, &look);
	check(look.count <= LOOK_NAMES);
	catalog_look(catalog, span_text("INSERT INTO a VALUES (f(1), b(2) + 3)"), &look);
	check(look.count <= LOOK_NAMES && catalog_equal(catalog, catalog));
	catalog_drop(catalog);
}

static void read_natures(struct span rest)
{
	struct span body;

	while (next(&rest, &body)) {
		struct nature nature = nature_read(body);

		check(!nature.standby || (nature.known && nature.read_only));
		drop(body);
	}
}

static void read_shapes(char type, struct span rest)
{
	struct shape_reader whole, parts;
	struct span body;

	while (next(&rest, &body)) {
		shape_begin(&whole, type);
		shape_read(&whole, body);
		check(shape_end(&whole) != 0);
		shape_begin(&parts, type);
		for (size_t at = 0, n; at < body.length; at += n) {
			n = 1 + body.at[at] % 7;
			n = n < body.length - at ? n : body.length - at;
			shape_read(&parts, span_of(body.at + at, n));
		}
		check(shape_end(&parts) == shape_end(&whole));
		drop(body);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest;

	if (!book)
		book = params_book_new();
	check(book);
	if (size == 0)
		return 0;
	rest = span_of(data + 1, size - 1);
	switch (data[0] & 7) {
	case 0:
		read_answer(LOOK_SETTINGS, rest);
		break;
	case 1:
		read_answer(LOOK_UNKNOWN, rest);
		break;
	case 2:
		read_answer(LOOK_LISTEN | LOOK_TEMPORARY, rest);
		break;
	case 3:
		read_catalog(rest);
		break;
	case 4:
		read_natures(rest);
		break;
	default:
		read_shapes("tTn"[data[0] & 7 ? (data[0] & 7) - 5 : 0], rest);
		break;
	}
	return 0;
}
