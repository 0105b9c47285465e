#include "tool/doctor_python.h"

#include <stdlib.h>

#include "base/text.h"
#include "tool/doctor_python_state.h"

/* A settings module is a program, and programs of strangers are not run to find out what they say. Nearly all settings are literals
 * though, so this reads literals, and what little stands around them in practice:
 *
 *   NAME = literal          NAME["key"]["key"] = literal          NAME += [...]          NAME.update(...)    (left alone)
 *   os.environ.get("NAME", literal), env("NAME", default=literal), config(...)     the literal, marked as a fallback
 *   int(...), str(...), dict(key=...), 60 * 10, "a" "b", {**OTHER, ...}, a or b, a if ... else b
 *   anything(...)           kept as a call with its arguments, for whoever knows the function
 *
 * Everything else is UNKNOWN, and the reader goes on behind it: at the next comma, bracket or line. It never fails but for memory;
 * depth and the number of values are bounded, so that a hostile file costs little.
 *
 * doctor_python_value.c has the values and what can be computed from them, doctor_python_word.c the letters, names, numbers and texts,
 * and this file what they make together. */

#define DEPTH_MAX 48

static struct python_value *read_expression(struct python_file *f);

/* ---- brackets ---- */

/* Go on to what ends this expression: a comma, a closing bracket, or the line's end outside of brackets. */
static void skip_rest(struct python_file *f)
{
	unsigned deep = 0;
	bool raw, formatted;

	for (python_skip_space(f); f->at < f->end; python_skip_space(f)) {
		uint8_t c = *f->at;
		int prefix = python_prefix(f, &raw, &formatted);

		if (prefix >= 0) {
			struct buf nothing = { 0 };

			f->at += prefix;
			python_take_literal(f, &nothing, raw);
			buf_fini(&nothing);
			continue;
		}
		if (deep == 0 && (c == ',' || c == ')' || c == ']' || c == '}' || c == '\n'))
			return;
		if (c == '(' || c == '[' || c == '{') {
			deep++;
			f->brackets++;
		} else if (c == ')' || c == ']' || c == '}') {
			deep--;
			f->brackets--;
		}
		if (python_is_name_letter(c))
			while (f->at < f->end && python_is_name_letter(*f->at))
				f->at++;
		else
			f->at++;
	}
	/* Brackets that the file never closes. */
	f->brackets -= deep;
}

static struct python_value *read_list(struct python_file *f, char closing)
{
	struct python_value *list = python_value_new(f, PYTHON_LIST), *item;
	bool comma = false;

	f->at++;
	f->brackets++;
	while (f->at < f->end && !python_take(f, closing)) {
		const uint8_t *before = f->at;

		item = read_expression(f);
		skip_rest(f); /* a comprehension */
		python_put(f, list, NULL, item);
		if (python_take(f, ','))
			comma = true;
		if (f->at == before && f->at < f->end)
			f->at++;
	}
	f->brackets--;
	/* (value) is the value; (value,) is a tuple. */
	if (closing == ')' && !comma && list->items && !list->items->next)
		return list->items->value;
	return list;
}

static struct python_value *read_dict(struct python_file *f)
{
	struct python_value *dict = python_value_new(f, PYTHON_DICT), *key, *value;

	f->at++;
	f->brackets++;
	while (f->at < f->end && !python_take(f, '}')) {
		const uint8_t *before = f->at;

		if (python_letter(f, 0) == '*' && python_letter(f, 1) == '*') {
			f->at += 2;
			python_put_all(f, dict, read_expression(f));
		} else {
			key = read_expression(f);
			if (python_take(f, ':')) {
				value = read_expression(f);
				python_put(f, dict, key, value);
			}
		}
		skip_rest(f);
		python_take(f, ',');
		if (f->at == before && f->at < f->end)
			f->at++;
	}
	f->brackets--;
	return dict;
}

static void read_arguments(struct python_file *f, struct python_value *call)
{
	f->at++;
	f->brackets++;
	while (f->at < f->end && !python_take(f, ')')) {
		const uint8_t *before = f->at;
		struct span name = python_take_name(f);
		struct python_value *key = NULL;

		if (name.length && python_take(f, '=') && python_letter(f, 0) != '=')
			key = python_text_new(f, PYTHON_TEXT, name);
		else
			f->at = before;
		python_put(f, call, key, read_expression(f));
		skip_rest(f);
		python_take(f, ',');
		if (f->at == before && f->at < f->end)
			f->at++;
	}
	f->brackets--;
}

/* ---- names and calls ---- */

static struct root *find_root(const struct python_file *f, struct span name)
{
	for (size_t i = 0; i < f->root_count; i++) {
		if (span_is(name, f->roots[i].name))
			return (struct root *)&f->roots[i];
	}
	return NULL;
}

/* Whether a call asks the environment for a value, so that its default is what the file itself says. */
static bool asks_environment(const char *name)
{
	static const char *const names[] = { "os.environ.get", "environ.get", "os.getenv", "getenv", "env", "config",
		"env.str", "env.int", "env.bool", "env.float", "env.list", "decouple.config", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static struct python_value *finish_call(struct python_file *f, struct python_value *call)
{
	const struct python_value *value;
	const char *name = call->text ? call->text : "";

	if (call->kind != PYTHON_CALL)
		return call;
	if (strcmp(name, "dict") == 0) {
		struct python_value *dict = python_value_new(f, PYTHON_DICT);

		python_put_all(f, dict, call);
		return dict;
	}
	if (asks_environment(name)) {
		value = python_get(call, "default");
		if (!value && call->items && call->items->next && !call->items->next->key)
			value = call->items->next->value;
		return value ? python_as_fallback(f, value) : python_value_new(f, PYTHON_UNKNOWN);
	}
	value = python_at(call, 0);
	if (value &&
		(strcmp(name, "int") == 0 || strcmp(name, "str") == 0 || strcmp(name, "float") == 0 ||
			strcmp(name, "bool") == 0))
		return python_convert(f, name, value);
	return call;
}

/* A name with what hangs on it: .attribute, (arguments), [key]. */
static struct python_value *read_name(struct python_file *f)
{
	char dotted[128];
	struct span name = python_take_name(f);
	struct root *root = find_root(f, name);
	struct python_value *value = root ? root->value : python_text_new(f, PYTHON_UNKNOWN, name);
	size_t length = text_copy_span(dotted, sizeof dotted, name);

	for (;;) {
		if (python_take(f, '.')) {
			name = python_take_name(f);
			length += text_format(dotted + length, sizeof dotted - length, ".%.*s", (int)name.length,
				(const char *)name.at);
			value = python_text_new(f, PYTHON_UNKNOWN, span_text(dotted));
		} else if (python_letter(f, 0) == '(') {
			struct python_value *call = python_text_new(f, PYTHON_CALL, span_text(dotted));

			read_arguments(f, call);
			value = finish_call(f, call);
			length = text_copy(dotted, sizeof dotted, "?");
		} else if (python_letter(f, 0) == '[') {
			struct python_value *key;
			const struct python_value *found;

			f->at++;
			f->brackets++;
			key = read_expression(f);
			skip_rest(f);
			python_take(f, ']');
			f->brackets--;
			found = key->kind == PYTHON_TEXT ? python_get(value, key->text) : NULL;
			value = found ? (struct python_value *)found : python_value_new(f, PYTHON_UNKNOWN);
			length = text_copy(dotted, sizeof dotted, "?");
		} else {
			return value;
		}
	}
}

/* ---- expressions ---- */

static struct python_value *read_primary(struct python_file *f)
{
	struct python_value *value;
	bool raw, formatted;

	python_skip_space(f);
	if (f->at >= f->end)
		return python_value_new(f, PYTHON_UNKNOWN);
	if (python_prefix(f, &raw, &formatted) >= 0)
		return python_read_text(f);
	if (python_is_digit(*f->at) || (*f->at == '.' && python_is_digit(python_letter(f, 1))))
		return python_read_number(f);
	if (python_take(f, '-')) {
		/* One sign is what settings have; more of them are not worth a recursion. */
		python_skip_space(f);
		if (!python_is_digit(python_letter(f, 0)) && python_letter(f, 0) != '.')
			return python_value_new(f, PYTHON_UNKNOWN);
		value = python_read_number(f);
		return value->kind == PYTHON_NUMBER ? python_number_new(f, -value->number) : value;
	}
	if (*f->at == '{')
		return read_dict(f);
	if (*f->at == '[')
		return read_list(f, ']');
	if (*f->at == '(')
		return read_list(f, ')');
	if (python_take_word(f, "None"))
		return python_value_new(f, PYTHON_NONE);
	if (python_take_word(f, "True"))
		return python_bool_new(f, true);
	if (python_take_word(f, "False"))
		return python_bool_new(f, false);
	if (python_is_name_letter(*f->at))
		return read_name(f);
	return python_value_new(f, PYTHON_UNKNOWN);
}

static bool ends_expression(struct python_file *f)
{
	python_skip_space(f);
	return f->at >= f->end || memchr(",:)]}\n", *f->at, 6) || python_at_word(f, "else");
}

/* Left to right, without precedence between + and *: settings say 60 * 10, hardly ever more. */
static struct python_value *read_expression(struct python_file *f)
{
	struct python_value *value, *other;

	if (f->depth >= DEPTH_MAX) {
		skip_rest(f);
		return python_value_new(f, PYTHON_UNKNOWN);
	}
	f->depth++;
	value = read_primary(f);
	for (;;) {
		uint8_t c;

		python_skip_space(f);
		c = python_letter(f, 0);
		if ((c == '*' && python_letter(f, 1) != '*') || c == '+' || c == '-' ||
			(c == '/' && python_letter(f, 1) != '/') || c == '|') {
			f->at++;
			value = python_compute(f, value, (char)c, read_primary(f));
		} else if (python_take_word(f, "or")) {
			other = read_expression(f);
			if (value->kind == PYTHON_UNKNOWN || value->kind == PYTHON_NONE)
				value = python_as_fallback(f, other);
		} else if (python_take_word(f, "if")) {
			/* Of "a if condition else b" we take a, where it is known. */
			read_expression(f);
			other = python_take_word(f, "else") ? read_expression(f) : python_value_new(f, PYTHON_UNKNOWN);
			value = python_as_fallback(f, value->kind == PYTHON_UNKNOWN ? other : value);
		} else {
			break;
		}
	}
	python_skip_space(f);
	if (!ends_expression(f) && python_letter(f, 0) != ';' &&
		(python_letter(f, 0) != '=' || python_letter(f, 1) == '=')) {
		/* A comparison, an operator that we do not compute, a comprehension. */
		if (!python_at_word(f, "for") && !python_at_word(f, "async"))
			value = python_value_new(f, PYTHON_UNKNOWN);
		while (!ends_expression(f)) {
			const uint8_t *before = f->at;

			read_primary(f);
			if (f->at == before && f->at < f->end)
				f->at++;
		}
	}
	f->depth--;
	return value;
}

/* ---- statements ---- */

static void skip_line(struct python_file *f)
{
	unsigned brackets = f->brackets;

	f->brackets = 0;
	skip_rest(f);
	while (f->at < f->end && *f->at != '\n') {
		f->at++;
		skip_rest(f);
	}
	f->brackets = brackets;
}

/* NAME[key][key]: the dict in which the last key is to be set; NULL: not one of ours. */
static struct python_value *walk_keys(struct python_file *f, struct python_value *value, struct python_value **key)
{
	*key = NULL;
	while (python_letter(f, 0) == '[') {
		if (*key) {
			struct python_value *inner = (struct python_value *)python_get(value, (*key)->text);

			if (!inner) {
				inner = python_value_new(f, PYTHON_DICT);
				python_put(f, value, *key, inner);
			}
			value = inner;
		}
		f->at++;
		f->brackets++;
		*key = read_expression(f);
		skip_rest(f);
		python_take(f, ']');
		f->brackets--;
		python_skip_space(f);
		if (!value || (value->kind != PYTHON_DICT && value->kind != PYTHON_CALL) || (*key)->kind != PYTHON_TEXT)
			return NULL;
	}
	return value;
}

static void set_root(struct python_file *f, struct span name, struct python_value *value, bool conditional)
{
	struct root *root = find_root(f, name);

	if (!root) {
		if (f->root_count == ROOTS_MAX || name.length >= sizeof f->roots->name)
			return;
		root = &f->roots[f->root_count++];
		text_copy_span(root->name, sizeof root->name, name);
	} else if (conditional && !root->conditional && root->value->kind != PYTHON_UNKNOWN) {
		return;
	}
	root->value = value;
	root->conditional = conditional;
}

/* NAME = ..., NAME: type = ..., NAME[..] = ..., NAME += ...; anything else is left to skip_line. */
static void read_statement(struct python_file *f, bool indented)
{
	struct span name = python_take_name(f);
	struct root *root = find_root(f, name);
	struct python_value *into, *key, *value;
	bool adds;

	python_skip_space(f);
	if (name.length == 0)
		return;
	into = root ? root->value : NULL;
	if (python_letter(f, 0) == '[') {
		into = walk_keys(f, into, &key);
		if (!into || !python_take(f, '=') || python_letter(f, 0) == '=')
			return;
		f->conditional += indented;
		value = read_expression(f);
		if (!indented || !python_get(into, key->text))
			python_put(f, into, key, value);
		return;
	}
	if (python_letter(f, 0) == ':') {
		f->at++;
		while (f->at < f->end && *f->at != '=' && *f->at != '\n')
			f->at++;
	}
	adds = python_letter(f, 0) == '+' && python_letter(f, 1) == '=';
	if (adds)
		f->at++;
	if (!python_take(f, '=') || python_letter(f, 0) == '=')
		return;
	f->conditional += indented;
	value = read_expression(f);
	if (adds) {
		if (into)
			set_root(f, name, python_compute(f, into, '+', value), false);
		return;
	}
	/* A, B = ... and A = B = ... are beyond us; a line that goes on with a comma is a tuple. */
	set_root(f, name, value, indented);
}

struct python_file *python_read(struct span text)
{
	struct python_file *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->at = text.at;
	f->end = text.at + text.length;
	f->line = 1;
	while (f->at < f->end) {
		const uint8_t *start = f->at;

		python_skip_space(f);
		f->brackets = f->depth = 0;
		read_statement(f, f->at > start && (*start == ' ' || *start == '\t'));
		skip_line(f);
		if (f->at < f->end && *f->at == '\n') {
			f->line++;
			f->at++;
		} else if (f->at == start) {
			f->at++;
		}
	}
	return f;
}

const struct python_value *python_global(const struct python_file *f, const char *name)
{
	const struct root *root = find_root(f, span_text(name));

	return root ? root->value : NULL;
}

unsigned python_conditional(const struct python_file *f)
{
	return f->conditional;
}
