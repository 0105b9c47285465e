#include "tool/doctor_python.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"

/* A settings module is a program, and programs of strangers are not run to find out what they say. Nearly all settings are literals
 * though, so this reads literals, and what little stands around them in practice:
 *
 *   NAME = literal          NAME["key"]["key"] = literal          NAME += [...]          NAME.update(...)    (left alone)
 *   os.environ.get("NAME", literal), env("NAME", default=literal), config(...)     the literal, marked as a fallback
 *   int(...), str(...), dict(key=...), 60 * 10, "a" "b", {**OTHER, ...}, a or b, a if ... else b
 *   anything(...)           kept as a call with its arguments, for whoever knows the function
 *
 * Everything else is UNKNOWN, and the reader goes on behind it: at the next comma, bracket or line. It never fails but for memory;
 * depth and the number of values are bounded, so that a hostile file costs little. */

#define DEPTH_MAX  48
#define VALUES_MAX 20000
#define ROOTS_MAX  512

struct root {
	char name[64];
	struct python_value *value;
	bool conditional;
};

struct python_file {
	const uint8_t *at, *end;
	unsigned line, depth, brackets, values, conditional;
	bool refused;
	struct python_value *all_values;
	struct python_item *all_items;
	struct root roots[ROOTS_MAX];
	size_t root_count;
};

static struct python_value *read_expression(struct python_file *);

/* ---- values ---- */

static struct python_value unknown_value = { .kind = PYTHON_UNKNOWN };

/* Never NULL: where memory or the bound ends, what follows is unknown. */
static struct python_value *new_value(struct python_file *f, enum python_kind kind)
{
	struct python_value *value = f->values < VALUES_MAX ? calloc(1, sizeof *value) : NULL;

	if (!value) {
		f->refused = true;
		return &unknown_value;
	}
	f->values++;
	value->kind = kind;
	value->line = f->line;
	value->older = f->all_values;
	f->all_values = value;
	return value;
}

static void set_text(struct python_file *f, struct python_value *value, struct span text)
{
	if (value == &unknown_value)
		return;
	free(value->text);
	value->text = malloc(text.length + 1);
	if (!value->text) {
		f->refused = true;
		value->kind = PYTHON_UNKNOWN;
		return;
	}
	memcpy(value->text, text.at, text.length);
	value->text[text.length] = 0;
}

static struct python_value *new_text(struct python_file *f, enum python_kind kind, struct span text)
{
	struct python_value *value = new_value(f, kind);

	set_text(f, value, text);
	return value;
}

static struct python_value *new_number(struct python_file *f, double number)
{
	struct python_value *value = new_value(f, PYTHON_NUMBER);

	if (value != &unknown_value)
		value->number = number;
	return value;
}

static struct python_value *new_bool(struct python_file *f, bool truth)
{
	struct python_value *value = new_value(f, PYTHON_BOOL);

	if (value != &unknown_value)
		value->truth = truth;
	return value;
}

static bool same_key(const struct python_value *a, const struct python_value *b)
{
	return a && b && a->kind == PYTHON_TEXT && b->kind == PYTHON_TEXT && strcmp(a->text, b->text) == 0;
}

/* Put an item at the end, or in the place of the one with its key. */
static void put_item(
	struct python_file *f, struct python_value *into, struct python_value *key, struct python_value *value)
{
	struct python_item **place = &into->items, *item;

	if (into == &unknown_value)
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

static void put_all(struct python_file *f, struct python_value *into, const struct python_value *from)
{
	if (into == from)
		return;
	for (const struct python_item *item = from->items; item; item = item->next)
		put_item(f, into, item->key, item->value);
}

/* ---- letters ---- */

static bool is_name_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static uint8_t letter(const struct python_file *f, size_t ahead)
{
	return (size_t)(f->end - f->at) > ahead ? f->at[ahead] : 0;
}

/* White space and comments; within brackets lines go on. */
static void skip_space(struct python_file *f)
{
	while (f->at < f->end) {
		if (*f->at == '#') {
			while (f->at < f->end && *f->at != '\n')
				f->at++;
		} else if (*f->at == '\n') {
			if (f->brackets == 0)
				return;
			f->line++;
			f->at++;
		} else if (*f->at == '\\' && (letter(f, 1) == '\n' || (letter(f, 1) == '\r' && letter(f, 2) == '\n'))) {
			f->at += letter(f, 1) == '\n' ? 2 : 3;
			f->line++;
		} else if (*f->at == ' ' || *f->at == '\t' || *f->at == '\r' || *f->at == '\f') {
			f->at++;
		} else {
			return;
		}
	}
}

static bool take(struct python_file *f, char c)
{
	skip_space(f);
	if (letter(f, 0) != (uint8_t)c)
		return false;
	f->at++;
	return true;
}

static bool at_word(struct python_file *f, const char *word)
{
	size_t length = strlen(word);

	skip_space(f);
	return (size_t)(f->end - f->at) >= length && memcmp(f->at, word, length) == 0 &&
		!is_name_letter(letter(f, length));
}

static bool take_word(struct python_file *f, const char *word)
{
	if (!at_word(f, word))
		return false;
	f->at += strlen(word);
	return true;
}

static struct span take_name(struct python_file *f)
{
	const uint8_t *start;

	skip_space(f);
	start = f->at;
	if (is_digit(letter(f, 0)))
		return span_of(start, 0);
	while (f->at < f->end && is_name_letter(*f->at))
		f->at++;
	return span_of(start, (size_t)(f->at - start));
}

/* ---- texts ---- */

/* How long the prefix of a text is (r, b, u, f and pairs of them), with the quote behind it; -1: no text begins here. */
static int text_prefix(const struct python_file *f, bool *raw, bool *formatted)
{
	int n = 0;

	*raw = *formatted = false;
	for (; n < 3; n++) {
		uint8_t c = letter(f, (size_t)n) | 0x20;

		if (letter(f, (size_t)n) == '"' || letter(f, (size_t)n) == '\'')
			return n;
		if (c == 'r')
			*raw = true;
		else if (c == 'f')
			*formatted = true;
		else if (c != 'b' && c != 'u')
			return -1;
	}
	return -1;
}

static void add_escape(struct python_file *f, struct buf *text)
{
	static const char from[] = "ntr0\\'\"", to[] = "\n\t\r\0\\'\"";
	uint8_t c = letter(f, 1);
	const char *found = c ? strchr(from, c) : NULL;

	if (c == '\n') {
		f->line++;
	} else if (found) {
		if (!buf_add(text, &to[found - from], 1))
			f->refused = true;
	} else if (!buf_add(text, f->at, f->end - f->at > 1 ? 2 : 1)) { /* \x41 and the like stay as they are written */
		f->refused = true;
	}
	f->at += f->end - f->at > 1 ? 2 : 1;
}

/* One literal; its bytes are added to `text`. A literal that its line does not close ends with the line. */
static void take_literal(struct python_file *f, struct buf *text, bool raw)
{
	uint8_t quote = letter(f, 0);
	bool triple = letter(f, 1) == quote && letter(f, 2) == quote;

	f->at += triple ? 3 : 1;
	while (f->at < f->end) {
		if (*f->at == quote && (!triple || (letter(f, 1) == quote && letter(f, 2) == quote))) {
			f->at += triple ? 3 : 1;
			return;
		}
		if (*f->at == '\n') {
			if (!triple)
				return;
			f->line++;
		}
		if (*f->at == '\\' && !raw) {
			add_escape(f, text);
			continue;
		}
		if (!buf_add(text, f->at, 1))
			f->refused = true;
		f->at++;
	}
}

static struct python_value *read_text(struct python_file *f)
{
	struct buf text = { 0 };
	struct python_value *value;
	bool raw, formatted, known = true;
	unsigned line = f->line;
	int prefix;

	while (skip_space(f), (prefix = text_prefix(f, &raw, &formatted)) >= 0) {
		size_t before = text.length;

		f->at += prefix;
		take_literal(f, &text, raw);
		if (formatted && text.length > before && memchr(buf_span(&text).at + before, '{', text.length - before))
			known = false;
	}
	value = new_text(f, known ? PYTHON_TEXT : PYTHON_UNKNOWN, buf_span(&text));
	if (value != &unknown_value)
		value->line = line;
	buf_fini(&text);
	return value;
}

static struct python_value *read_number(struct python_file *f)
{
	char digits[64];
	size_t n = 0;
	char *end;
	double number;

	while (f->at < f->end && (is_name_letter(*f->at) || *f->at == '.')) {
		if (*f->at != '_' && n < sizeof digits - 1)
			digits[n++] = (char)*f->at;
		f->at++;
	}
	digits[n] = 0;
	number = strtod(digits, &end);
	return *end || n == 0 ? new_value(f, PYTHON_UNKNOWN) : new_number(f, number);
}

/* ---- brackets ---- */

/* Go on to what ends this expression: a comma, a closing bracket, or the line's end outside of brackets. */
static void skip_rest(struct python_file *f)
{
	unsigned deep = 0;
	bool raw, formatted;

	for (skip_space(f); f->at < f->end; skip_space(f)) {
		uint8_t c = *f->at;
		int prefix = text_prefix(f, &raw, &formatted);

		if (prefix >= 0) {
			struct buf nothing = { 0 };

			f->at += prefix;
			take_literal(f, &nothing, raw);
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
		if (is_name_letter(c))
			while (f->at < f->end && is_name_letter(*f->at))
				f->at++;
		else
			f->at++;
	}
	/* Brackets that the file never closes. */
	f->brackets -= deep;
}

static struct python_value *read_list(struct python_file *f, char closing)
{
	struct python_value *list = new_value(f, PYTHON_LIST), *item;
	bool comma = false;

	f->at++;
	f->brackets++;
	while (f->at < f->end && !take(f, closing)) {
		const uint8_t *before = f->at;

		item = read_expression(f);
		skip_rest(f); /* a comprehension */
		put_item(f, list, NULL, item);
		if (take(f, ','))
			comma = true;
		if (f->at == before)
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
	struct python_value *dict = new_value(f, PYTHON_DICT), *key, *value;

	f->at++;
	f->brackets++;
	while (f->at < f->end && !take(f, '}')) {
		const uint8_t *before = f->at;

		if (letter(f, 0) == '*' && letter(f, 1) == '*') {
			f->at += 2;
			put_all(f, dict, read_expression(f));
		} else {
			key = read_expression(f);
			if (take(f, ':')) {
				value = read_expression(f);
				put_item(f, dict, key, value);
			}
		}
		skip_rest(f);
		take(f, ',');
		if (f->at == before)
			f->at++;
	}
	f->brackets--;
	return dict;
}

static void read_arguments(struct python_file *f, struct python_value *call)
{
	f->at++;
	f->brackets++;
	while (f->at < f->end && !take(f, ')')) {
		const uint8_t *before = f->at;
		struct span name = take_name(f);
		struct python_value *key = NULL;

		if (name.length && take(f, '=') && letter(f, 0) != '=')
			key = new_text(f, PYTHON_TEXT, name);
		else
			f->at = before;
		put_item(f, call, key, read_expression(f));
		skip_rest(f);
		take(f, ',');
		if (f->at == before)
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

static struct python_value *as_fallback(struct python_file *f, const struct python_value *value)
{
	struct python_value *copy = new_value(f, value->kind);

	if (copy == &unknown_value)
		return copy;
	copy->truth = value->truth;
	copy->number = value->number;
	copy->line = value->line;
	copy->items = value->items;
	copy->fallback = true;
	if (value->text)
		set_text(f, copy, span_text(value->text));
	return copy;
}

/* int("600") and the like. */
static struct python_value *convert(struct python_file *f, const char *to, const struct python_value *value)
{
	struct python_value *result = NULL;
	char *end, number[32];
	double parsed;

	if (strcmp(to, "str") == 0 && value->kind == PYTHON_NUMBER) {
		text_format(number, sizeof number, "%g", value->number);
		result = new_text(f, PYTHON_TEXT, span_text(number));
	} else if ((strcmp(to, "int") == 0 || strcmp(to, "float") == 0) && value->kind == PYTHON_TEXT) {
		parsed = strtod(value->text, &end);
		if (end != value->text && !*end)
			result = new_number(f, parsed);
	} else if (strcmp(to, "bool") == 0 && value->kind == PYTHON_NUMBER) {
		result = new_bool(f, value->number != 0);
	} else if (strcmp(to, "bool") != 0) {
		return (struct python_value *)value;
	}
	if (!result)
		return new_value(f, PYTHON_UNKNOWN);
	if (value->fallback && result != &unknown_value)
		result->fallback = true;
	return result;
}

static struct python_value *finish_call(struct python_file *f, struct python_value *call)
{
	const struct python_value *value;
	const char *name = call->text ? call->text : "";

	if (call->kind != PYTHON_CALL)
		return call;
	if (strcmp(name, "dict") == 0) {
		struct python_value *dict = new_value(f, PYTHON_DICT);

		put_all(f, dict, call);
		return dict;
	}
	if (asks_environment(name)) {
		value = python_get(call, "default");
		if (!value && call->items && call->items->next && !call->items->next->key)
			value = call->items->next->value;
		return value ? as_fallback(f, value) : new_value(f, PYTHON_UNKNOWN);
	}
	value = python_at(call, 0);
	if (value &&
		(strcmp(name, "int") == 0 || strcmp(name, "str") == 0 || strcmp(name, "float") == 0 ||
			strcmp(name, "bool") == 0))
		return convert(f, name, value);
	return call;
}

/* A name with what hangs on it: .attribute, (arguments), [key]. */
static struct python_value *read_name(struct python_file *f)
{
	char dotted[128];
	struct span name = take_name(f);
	struct root *root = find_root(f, name);
	struct python_value *value = root ? root->value : new_text(f, PYTHON_UNKNOWN, name);
	size_t length = text_copy_span(dotted, sizeof dotted, name);

	for (;;) {
		if (take(f, '.')) {
			name = take_name(f);
			length += text_format(dotted + length, sizeof dotted - length, ".%.*s", (int)name.length,
				(const char *)name.at);
			value = new_text(f, PYTHON_UNKNOWN, span_text(dotted));
		} else if (letter(f, 0) == '(') {
			struct python_value *call = new_text(f, PYTHON_CALL, span_text(dotted));

			read_arguments(f, call);
			value = finish_call(f, call);
			length = text_copy(dotted, sizeof dotted, "?");
		} else if (letter(f, 0) == '[') {
			struct python_value *key;
			const struct python_value *found;

			f->at++;
			f->brackets++;
			key = read_expression(f);
			skip_rest(f);
			take(f, ']');
			f->brackets--;
			found = key->kind == PYTHON_TEXT ? python_get(value, key->text) : NULL;
			value = found ? (struct python_value *)found : new_value(f, PYTHON_UNKNOWN);
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

	skip_space(f);
	if (f->at >= f->end)
		return new_value(f, PYTHON_UNKNOWN);
	if (text_prefix(f, &raw, &formatted) >= 0)
		return read_text(f);
	if (is_digit(*f->at) || (*f->at == '.' && is_digit(letter(f, 1))))
		return read_number(f);
	if (take(f, '-')) {
		/* One sign is what settings have; more of them are not worth a recursion. */
		skip_space(f);
		if (!is_digit(letter(f, 0)) && letter(f, 0) != '.')
			return new_value(f, PYTHON_UNKNOWN);
		value = read_number(f);
		return value->kind == PYTHON_NUMBER ? new_number(f, -value->number) : value;
	}
	if (*f->at == '{')
		return read_dict(f);
	if (*f->at == '[')
		return read_list(f, ']');
	if (*f->at == '(')
		return read_list(f, ')');
	if (take_word(f, "None"))
		return new_value(f, PYTHON_NONE);
	if (take_word(f, "True"))
		return new_bool(f, true);
	if (take_word(f, "False"))
		return new_bool(f, false);
	if (is_name_letter(*f->at))
		return read_name(f);
	return new_value(f, PYTHON_UNKNOWN);
}

static struct python_value *compute(
	struct python_file *f, const struct python_value *a, char what, const struct python_value *b)
{
	if (a->kind == PYTHON_NUMBER && b->kind == PYTHON_NUMBER) {
		switch (what) {
		case '*':
			return new_number(f, a->number * b->number);
		case '+':
			return new_number(f, a->number + b->number);
		case '-':
			return new_number(f, a->number - b->number);
		case '/':
			return b->number != 0 ? new_number(f, a->number / b->number) : new_value(f, PYTHON_UNKNOWN);
		default:
			break;
		}
	}
	if ((what == '+' && a->kind == PYTHON_LIST && b->kind == PYTHON_LIST) ||
		(what == '|' && a->kind == PYTHON_DICT && b->kind == PYTHON_DICT)) {
		struct python_value *both = new_value(f, a->kind);

		put_all(f, both, a);
		put_all(f, both, b);
		return both;
	}
	return new_value(f, PYTHON_UNKNOWN);
}

static bool ends_expression(struct python_file *f)
{
	skip_space(f);
	return f->at >= f->end || memchr(",:)]}\n", *f->at, 6) || at_word(f, "else");
}

/* Left to right, without precedence between + and *: settings say 60 * 10, hardly ever more. */
static struct python_value *read_expression(struct python_file *f)
{
	struct python_value *value, *other;

	if (f->depth >= DEPTH_MAX) {
		skip_rest(f);
		return new_value(f, PYTHON_UNKNOWN);
	}
	f->depth++;
	value = read_primary(f);
	for (;;) {
		uint8_t c;

		skip_space(f);
		c = letter(f, 0);
		if ((c == '*' && letter(f, 1) != '*') || c == '+' || c == '-' || (c == '/' && letter(f, 1) != '/') ||
			c == '|') {
			f->at++;
			value = compute(f, value, (char)c, read_primary(f));
		} else if (take_word(f, "or")) {
			other = read_expression(f);
			if (value->kind == PYTHON_UNKNOWN || value->kind == PYTHON_NONE)
				value = as_fallback(f, other);
		} else if (take_word(f, "if")) {
			/* Of "a if condition else b" we take a, where it is known. */
			read_expression(f);
			other = take_word(f, "else") ? read_expression(f) : new_value(f, PYTHON_UNKNOWN);
			value = as_fallback(f, value->kind == PYTHON_UNKNOWN ? other : value);
		} else {
			break;
		}
	}
	skip_space(f);
	if (!ends_expression(f) && letter(f, 0) != ';' && (letter(f, 0) != '=' || letter(f, 1) == '=')) {
		/* A comparison, an operator that we do not compute, a comprehension. */
		if (!at_word(f, "for") && !at_word(f, "async"))
			value = new_value(f, PYTHON_UNKNOWN);
		while (!ends_expression(f)) {
			const uint8_t *before = f->at;

			read_primary(f);
			if (f->at == before)
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
	while (letter(f, 0) == '[') {
		if (*key) {
			struct python_value *inner = (struct python_value *)python_get(value, (*key)->text);

			if (!inner) {
				inner = new_value(f, PYTHON_DICT);
				put_item(f, value, *key, inner);
			}
			value = inner;
		}
		f->at++;
		f->brackets++;
		*key = read_expression(f);
		skip_rest(f);
		take(f, ']');
		f->brackets--;
		skip_space(f);
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
	struct span name = take_name(f);
	struct root *root = find_root(f, name);
	struct python_value *into, *key, *value;
	bool adds;

	skip_space(f);
	if (name.length == 0)
		return;
	into = root ? root->value : NULL;
	if (letter(f, 0) == '[') {
		into = walk_keys(f, into, &key);
		if (!into || !take(f, '=') || letter(f, 0) == '=')
			return;
		f->conditional += indented;
		value = read_expression(f);
		if (!indented || !python_get(into, key->text))
			put_item(f, into, key, value);
		return;
	}
	if (letter(f, 0) == ':') {
		f->at++;
		while (f->at < f->end && *f->at != '=' && *f->at != '\n')
			f->at++;
	}
	adds = letter(f, 0) == '+' && letter(f, 1) == '=';
	if (adds)
		f->at++;
	if (!take(f, '=') || letter(f, 0) == '=')
		return;
	f->conditional += indented;
	value = read_expression(f);
	if (adds) {
		if (into)
			set_root(f, name, compute(f, into, '+', value), false);
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

		skip_space(f);
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

const struct python_value *python_global(const struct python_file *f, const char *name)
{
	const struct root *root = find_root(f, span_text(name));

	return root ? root->value : NULL;
}

unsigned python_conditional(const struct python_file *f)
{
	return f->conditional;
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
