#include "config/ini.h"

#include "base/text.h"

/* PgBouncer's file, as its users write it:
 *
 *   ; comment           # comment          only as the first thing on a line
 *   [section]           what follows on its line is as on a line of its own: mostly a comment
 *   key = value         the rest of the line, trimmed; quotes and later ; or # are part of the value
 *   'odd key!' = value  single quotes around keys with other letters than A-Z a-z 0-9 _ . - *
 *   %include FILE
 *
 * Every line stands for itself: nothing continues on the next one. */

void ini_init(struct ini *i, struct span text)
{
	*i = (struct ini){ .rest = text };
	/* Editors on Windows begin with a byte order mark. */
	if (span_begins(text, "\xef\xbb\xbf"))
		i->rest = span_skip(text, 3);
}

void ini_fini(struct ini *i)
{
	buf_wipe(&i->quoted);
}

static enum ini_kind bad(struct ini *i, const char *problem)
{
	i->problem = problem;
	return INI_BAD;
}

static bool is_bare(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
		c == '-' || c == '*';
}

static enum ini_kind take_section(struct ini *i, struct span line)
{
	const uint8_t *end = memchr(line.at, ']', line.length);

	if (!end)
		return bad(i, "the section's ']' is missing");
	i->key = text_trim(span_of(line.at + 1, (size_t)(end - line.at - 1)));
	if (i->key.length == 0)
		return bad(i, "the section has no name");
	if (end + 1 != line.at + line.length) {
		i->rest = span_of(end + 1, (size_t)(i->rest.at + i->rest.length - end - 1));
		i->behind = true;
	}
	return INI_SECTION;
}

static enum ini_kind take_directive(struct ini *i, struct span line)
{
	static const char include[] = "%include";
	size_t length = sizeof include - 1;

	if (line.length < length || memcmp(line.at, include, length) != 0 ||
		(line.length > length && line.at[length] != ' ' && line.at[length] != '\t'))
		return bad(i, "the only directive is %include FILE");
	i->value = text_trim(span_skip(line, length));
	if (i->value.length == 0)
		return bad(i, "%include needs a file name");
	return INI_INCLUDE;
}

/* 'key' with '' for a quote inside; the opening quote is the line's first letter. */
static const char *take_quoted_key(struct ini *i, struct span *line)
{
	struct span rest = span_skip(*line, 1);

	buf_clear(&i->quoted);
	for (;;) {
		const uint8_t *quote = rest.length ? memchr(rest.at, '\'', rest.length) : NULL;
		size_t n = quote ? (size_t)(quote - rest.at) : 0;
		bool doubled = quote && n + 1 < rest.length && quote[1] == '\'';

		if (!quote)
			return "the key's closing ' is missing";
		if (!buf_add(&i->quoted, rest.at, doubled ? n + 1 : n))
			return "memory is refused";
		rest = span_skip(rest, doubled ? n + 2 : n + 1);
		if (!doubled)
			break;
	}
	*line = rest;
	i->key = buf_span(&i->quoted);
	return i->key.length ? NULL : "the key is empty";
}

static enum ini_kind take_pair(struct ini *i, struct span line)
{
	size_t n = 0;

	if (line.at[0] == '\'') {
		const char *problem = take_quoted_key(i, &line);

		if (problem)
			return bad(i, problem);
	} else {
		while (n < line.length && is_bare(line.at[n]))
			n++;
		i->key = span_of(line.at, n);
		line = span_skip(line, n);
		if (n == 0)
			return bad(i,
				"expected a key, a [section], a comment or %include "
				"(a key with other letters than A-Z a-z 0-9 _ . - * needs single quotes)");
	}
	line = text_trim(line);
	if (line.length == 0 || line.at[0] != '=')
		return bad(i,
			line.length == 0 ? "expected '=' after the key"
					 : "expected '=' after the key (a key with other letters than "
					   "A-Z a-z 0-9 _ . - * needs single quotes)");
	i->value = text_trim(span_skip(line, 1));
	return INI_PAIR;
}

enum ini_kind ini_next(struct ini *i)
{
	while (i->rest.length > 0) {
		const uint8_t *end = memchr(i->rest.at, '\n', i->rest.length);
		size_t length = end ? (size_t)(end - i->rest.at) : i->rest.length;
		struct span line = text_trim(span_of(i->rest.at, length));

		i->line += !i->behind;
		i->behind = false;
		i->rest = span_skip(i->rest, end ? length + 1 : length);
		i->key = i->value = span_of("", 0);
		if (line.length == 0 || line.at[0] == ';' || line.at[0] == '#')
			continue;
		if (memchr(line.at, 0, line.length))
			return bad(i, "a zero byte: this is not a text file");
		if (line.at[0] == '[')
			return take_section(i, line);
		if (line.at[0] == '%')
			return take_directive(i, line);
		return take_pair(i, line);
	}
	return INI_END;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span skip_spaces(struct span text)
{
	while (text.length > 0 && is_space(text.at[0]))
		text = span_skip(text, 1);
	return text;
}

enum pair_result pair_take(struct span *list, struct span *key, char *value, const char **problem)
{
	struct span rest = skip_spaces(*list);
	char *to = value;
	size_t n = 0;

	*problem = NULL;
	if (rest.length == 0)
		return PAIR_END;
	while (n < rest.length && !is_space(rest.at[n]) && rest.at[n] != '=')
		n++;
	*key = span_of(rest.at, n);
	rest = skip_spaces(span_skip(rest, n));
	if (n == 0 || rest.length == 0 || rest.at[0] != '=') {
		*problem = "expected key=value";
		return PAIR_BAD;
	}
	rest = skip_spaces(span_skip(rest, 1));
	if (rest.length > 0 && rest.at[0] == '\'') {
		for (rest = span_skip(rest, 1);; rest = span_skip(rest, 1)) {
			if (rest.length > 1 && rest.at[0] == '\'' && rest.at[1] == '\'')
				rest = span_skip(rest, 1);
			else if (rest.length == 0 || rest.at[0] == '\'')
				break;
			*to++ = (char)rest.at[0];
		}
		if (rest.length == 0) {
			*problem = "the value's closing ' is missing";
			return PAIR_BAD;
		}
		rest = span_skip(rest, 1);
		if (rest.length > 0 && !is_space(rest.at[0])) {
			*problem = "a space must follow the value's closing '";
			return PAIR_BAD;
		}
	} else {
		for (; rest.length > 0 && !is_space(rest.at[0]); rest = span_skip(rest, 1))
			*to++ = (char)rest.at[0];
	}
	*to = 0;
	if (to == value) {
		*problem = "the value is empty";
		return PAIR_BAD;
	}
	*list = rest;
	return PAIR_TAKEN;
}
