#include "tool/doctor_python_state.h"

#include <stdlib.h>

/* The words of Python as far as literals need them. */

/* White space and comments; within brackets lines go on. */
void python_skip_space(struct python_file *f)
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
		} else if (*f->at == '\\' &&
			(python_letter(f, 1) == '\n' || (python_letter(f, 1) == '\r' && python_letter(f, 2) == '\n'))) {
			f->at += python_letter(f, 1) == '\n' ? 2 : 3;
			f->line++;
		} else if (*f->at == ' ' || *f->at == '\t' || *f->at == '\r' || *f->at == '\f') {
			f->at++;
		} else {
			return;
		}
	}
}

bool python_take(struct python_file *f, char c)
{
	python_skip_space(f);
	if (python_letter(f, 0) != (uint8_t)c)
		return false;
	f->at++;
	return true;
}

bool python_at_word(struct python_file *f, const char *word)
{
	size_t length = strlen(word);

	python_skip_space(f);
	return (size_t)(f->end - f->at) >= length && memcmp(f->at, word, length) == 0 &&
		!python_is_name_letter(python_letter(f, length));
}

bool python_take_word(struct python_file *f, const char *word)
{
	if (!python_at_word(f, word))
		return false;
	f->at += strlen(word);
	return true;
}

struct span python_take_name(struct python_file *f)
{
	const uint8_t *start;

	python_skip_space(f);
	start = f->at;
	if (python_is_digit(python_letter(f, 0)))
		return span_of(start, 0);
	while (f->at < f->end && python_is_name_letter(*f->at))
		f->at++;
	return span_of(start, (size_t)(f->at - start));
}

/* ---- texts ---- */

/* How long the prefix of a text is (r, b, u, f and pairs of them), with the quote behind it; -1: no text begins here. */
int python_prefix(const struct python_file *f, bool *raw, bool *formatted)
{
	int n = 0;

	*raw = *formatted = false;
	for (; n < 3; n++) {
		uint8_t c = python_letter(f, (size_t)n) | 0x20;

		if (python_letter(f, (size_t)n) == '"' || python_letter(f, (size_t)n) == '\'')
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
	uint8_t c = python_letter(f, 1);
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
void python_take_literal(struct python_file *f, struct buf *text, bool raw)
{
	uint8_t quote = python_letter(f, 0);
	bool triple = python_letter(f, 1) == quote && python_letter(f, 2) == quote;

	f->at += triple ? 3 : 1;
	while (f->at < f->end) {
		if (*f->at == quote && (!triple || (python_letter(f, 1) == quote && python_letter(f, 2) == quote))) {
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

struct python_value *python_read_text(struct python_file *f)
{
	struct buf text = { 0 };
	struct python_value *value;
	bool raw, formatted, known = true;
	unsigned line = f->line;
	int prefix;

	while (python_skip_space(f), (prefix = python_prefix(f, &raw, &formatted)) >= 0) {
		size_t before = text.length;

		f->at += prefix;
		python_take_literal(f, &text, raw);
		if (formatted && text.length > before && memchr(buf_span(&text).at + before, '{', text.length - before))
			known = false;
	}
	value = python_text_new(f, known ? PYTHON_TEXT : PYTHON_UNKNOWN, buf_span(&text));
	if (value != &python_unknown)
		value->line = line;
	buf_fini(&text);
	return value;
}

struct python_value *python_read_number(struct python_file *f)
{
	char digits[64];
	size_t n = 0;
	char *end;
	double number;

	while (f->at < f->end && (python_is_name_letter(*f->at) || *f->at == '.')) {
		if (*f->at != '_' && n < sizeof digits - 1)
			digits[n++] = (char)*f->at;
		f->at++;
	}
	digits[n] = 0;
	number = strtod(digits, &end);
	return *end || n == 0 ? python_value_new(f, PYTHON_UNKNOWN) : python_number_new(f, number);
}
