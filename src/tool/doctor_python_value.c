#include "tool/doctor_python_state.h"

#include <stdlib.h>

#include "base/text.h"

/* Values of the reader of Python literals: made, filled, combined, freed. They belong to their file and do not change but for items that are
 * put into dicts, so they may be shared, as Python's own are. Their number is bounded. */

#define VALUES_MAX 20000

struct python_value python_unknown = { .kind = PYTHON_UNKNOWN };

/* Never NULL: where memory or the bound ends, what follows is unknown. */
struct python_value *python_value_new(struct python_file *f, enum python_kind kind)
{
	struct python_value *value = f->values < VALUES_MAX ? calloc(1, sizeof *value) : NULL;

	if (!value) {
		f->refused = true;
		return &python_unknown;
	}
	f->values++;
	value->kind = kind;
	value->line = f->line;
	value->older = f->all_values;
	f->all_values = value;
	return value;
}

void python_set_text(struct python_file *f, struct python_value *value, struct span text)
{
	if (value == &python_unknown)
		return;
	free(value->text);
	value->text = malloc(text.length + 1);
	if (!value->text) {
		f->refused = true;
		value->kind = PYTHON_UNKNOWN;
		return;
	}
	if (text.length)
		memcpy(value->text, text.at, text.length);
	value->text[text.length] = 0;
}

struct python_value *python_text_new(struct python_file *f, enum python_kind kind, struct span text)
{
	struct python_value *value = python_value_new(f, kind);

	python_set_text(f, value, text);
	return value;
}

struct python_value *python_number_new(struct python_file *f, double number)
{
	struct python_value *value = python_value_new(f, PYTHON_NUMBER);

	if (value != &python_unknown)
		value->number = number;
	return value;
}

struct python_value *python_bool_new(struct python_file *f, bool truth)
{
	struct python_value *value = python_value_new(f, PYTHON_BOOL);

	if (value != &python_unknown)
		value->truth = truth;
	return value;
}

static bool same_key(const struct python_value *a, const struct python_value *b)
{
	return a && b && a->kind == PYTHON_TEXT && b->kind == PYTHON_TEXT && strcmp(a->text, b->text) == 0;
}

/* Put an item at the end, or in the place of the one with its key. */
void python_put(struct python_file *f, struct python_value *into, struct python_value *key, struct python_value *value)
{
	struct python_item **place = &into->items, *item;

	if (into == &python_unknown)
		return;
	for (; *place; place = &(*place)->next) {
		if (same_key((*place)->key, key)) {
			(*place)->value = value;
			return;
		}
	}
	item = f->values < VALUES_MAX ? calloc(1, sizeof *item) : NULL;
	if (!item) {
		f->refused = true;
		return;
	}
	f->values++;
	*item = (struct python_item){ .key = key, .value = value, .older = f->all_items };
	f->all_items = item;
	*place = item;
}

void python_put_all(struct python_file *f, struct python_value *into, const struct python_value *from)
{
	if (into == from)
		return;
	for (const struct python_item *item = from->items; item; item = item->next)
		python_put(f, into, item->key, item->value);
}

/* int("600") and the like. */
struct python_value *python_convert(struct python_file *f, const char *to, const struct python_value *value)
{
	struct python_value *result = NULL;
	char *end, number[32];
	double parsed;

	if (strcmp(to, "str") == 0 && value->kind == PYTHON_NUMBER) {
		text_format(number, sizeof number, "%g", value->number);
		result = python_text_new(f, PYTHON_TEXT, span_text(number));
	} else if ((strcmp(to, "int") == 0 || strcmp(to, "float") == 0) && value->kind == PYTHON_TEXT) {
		parsed = strtod(value->text, &end);
		if (end != value->text && !*end)
			result = python_number_new(f, parsed);
	} else if (strcmp(to, "bool") == 0 && value->kind == PYTHON_NUMBER) {
		result = python_bool_new(f, value->number != 0);
	} else if (strcmp(to, "bool") != 0) {
		return (struct python_value *)value;
	}
	if (!result)
		return python_value_new(f, PYTHON_UNKNOWN);
	if (value->fallback && result != &python_unknown)
		result->fallback = true;
	return result;
}

struct python_value *python_as_fallback(struct python_file *f, const struct python_value *value)
{
	struct python_value *copy = python_value_new(f, value->kind);

	if (copy == &python_unknown)
		return copy;
	copy->truth = value->truth;
	copy->number = value->number;
	copy->line = value->line;
	copy->items = value->items;
	copy->fallback = true;
	if (value->text)
		python_set_text(f, copy, span_text(value->text));
	return copy;
}

struct python_value *python_compute(
	struct python_file *f, const struct python_value *a, char what, const struct python_value *b)
{
	if (a->kind == PYTHON_NUMBER && b->kind == PYTHON_NUMBER) {
		switch (what) {
		case '*':
			return python_number_new(f, a->number * b->number);
		case '+':
			return python_number_new(f, a->number + b->number);
		case '-':
			return python_number_new(f, a->number - b->number);
		case '/':
			return b->number != 0 ? python_number_new(f, a->number / b->number)
					      : python_value_new(f, PYTHON_UNKNOWN);
		default:
			break;
		}
	}
	if ((what == '+' && a->kind == PYTHON_LIST && b->kind == PYTHON_LIST) ||
		(what == '|' && a->kind == PYTHON_DICT && b->kind == PYTHON_DICT)) {
		struct python_value *both = python_value_new(f, a->kind);

		python_put_all(f, both, a);
		python_put_all(f, both, b);
		return both;
	}
	return python_value_new(f, PYTHON_UNKNOWN);
}

void python_free(struct python_file *f)
{
	if (!f)
		return;
	for (struct python_value *value = f->all_values, *older; value; value = older) {
		older = value->older;
		free(value->text);
		free(value);
	}
	for (struct python_item *item = f->all_items, *older; item; item = older) {
		older = item->older;
		free(item);
	}
	free(f);
}

const struct python_value *python_get(const struct python_value *value, const char *key)
{
	if (!value)
		return NULL;
	for (const struct python_item *item = value->items; item; item = item->next) {
		if (item->key && item->key->kind == PYTHON_TEXT && strcmp(item->key->text, key) == 0)
			return item->value;
	}
	return NULL;
}

const struct python_value *python_at(const struct python_value *value, size_t i)
{
	if (!value)
		return NULL;
	for (const struct python_item *item = value->items; item; item = item->next) {
		if (i-- == 0)
			return item->value;
	}
	return NULL;
}

const char *python_text(const struct python_value *value)
{
	return value && value->kind == PYTHON_TEXT ? value->text : "";
}
