#include "auth/pattern.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"

/* The text is rewritten to what regcomp() understands, letter by letter, and refused where the two disagree: classes like \d get their
 * POSIX names; (?...), non-greedy quantifiers, back references, \m, \y and the like have no counterpart. Back references would also make
 * the time that a match takes depend on what strangers call themselves. */

struct pattern {
	regex_t regex;
};

struct rewriting {
	const char *at;
	struct buf out;
	unsigned long repeats; /* the product so far */
	char *error;
	size_t error_size;
};

static bool refuse(struct rewriting *r, const char *what)
{
	text_format(r->error, r->error_size, "%s", what);
	return false;
}

static bool put(struct rewriting *r, const char *text)
{
	return buf_add(&r->out, text, strlen(text)) || refuse(r, "memory is refused");
}

static bool put_one(struct rewriting *r, char c)
{
	return buf_add(&r->out, &c, 1) || refuse(r, "memory is refused");
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const char *class_of(char c, bool bracket)
{
	switch (c) {
	case 'd':
		return bracket ? "0-9" : "[0-9]";
	case 's':
		return bracket ? "[:space:]" : "[[:space:]]";
	case 'w':
		return bracket ? "[:alnum:]_" : "[[:alnum:]_]";
	case 'D':
		return bracket ? NULL : "[^0-9]";
	case 'S':
		return bracket ? NULL : "[^[:space:]]";
	case 'W':
		return bracket ? NULL : "[^[:alnum:]_]";
	default:
		return NULL;
	}
}

static bool take_escape(struct rewriting *r)
{
	const char *word = class_of(r->at[1], false);
	char c = r->at[1];

	if (!c)
		return refuse(r, "a backslash at its end");
	if (!word && is_word(c))
		return refuse(r, "of backslashes with a letter or number only \\d \\D \\s \\S \\w \\W are built");
	r->at += 2;
	if (word)
		return put(r, word);
	/* POSIX has no \- or \@: what is no operator stands for itself. */
	return (!strchr(".[]()*+?{}|^$\\", c) || put_one(r, '\\')) && put_one(r, c);
}

/* [...]; a backslash is a letter of the set for POSIX, and an escape for PostgreSQL. */
static bool take_bracket(struct rewriting *r)
{
	const char *word;

	if (!put_one(r, *r->at++))
		return false;
	if (*r->at == '^' && !put_one(r, *r->at++))
		return false;
	if (*r->at == ']' && !put_one(r, *r->at++))
		return false;
	for (; *r->at && *r->at != ']';) {
		if (*r->at == '[' && (r->at[1] == '=' || r->at[1] == '.'))
			return refuse(r, "[= =] and [. .] are not built");
		if (*r->at == '[' && r->at[1] == ':') {
			const char *end = strstr(r->at + 2, ":]");

			if (!end)
				return refuse(r, "[: is not closed");
			while (r->at < end + 2)
				if (!put_one(r, *r->at++))
					return false;
			continue;
		}
		if (*r->at == '\\') {
			word = class_of(r->at[1], true);
			if (!word && r->at[1] != '\\')
				return refuse(
					r, "in brackets of all backslashes only \\d, \\s, \\w and \\\\ are built");
			if (!put(r, word ? word : "\\"))
				return false;
			r->at += 2;
			continue;
		}
		if (!put_one(r, *r->at++))
			return false;
	}
	if (!*r->at)
		return refuse(r, "a bracket is not closed");
	return put_one(r, *r->at++);
}

/* {m}, {m,}, {m,n}: what is repeated costs memory as often, and repetitions of repetitions multiply. */
static bool take_braces(struct rewriting *r)
{
	char *end;
	unsigned long low = strtoul(r->at + 1, &end, 10), high = low;

	if (r->at[1] < '0' || r->at[1] > '9')
		return refuse(r, "behind { a number is missing");
	if (*end == ',' && end[1] >= '0' && end[1] <= '9')
		high = strtoul(end + 1, &end, 10);
	else if (*end == ',')
		end++;
	if (*end != '}')
		return refuse(r, "a brace is not closed");
	if (high < low)
		return refuse(r, "in {m,n} n is less than m");
	high = high ? high : 1;
	if (high > PATTERN_REPEAT_MOST || r->repeats * high > PATTERN_REPEAT_MOST)
		return refuse(r, "its {m,n} multiply to more than 1000");
	r->repeats *= high;
	for (; r->at <= end; r->at++)
		if (!put_one(r, *r->at))
			return false;
	return true;
}

static bool is_quantifier(char c)
{
	return c == '*' || c == '+' || c == '?' || c == '{';
}

static bool rewrite(struct rewriting *r)
{
	bool ok = true, atom = false; /* there is something that a quantifier may repeat */

	if (strncmp(r->at, "***", 3) == 0)
		return refuse(r, "*** at its beginning is not built");
	while (ok && *r->at) {
		char c = *r->at;

		if (c == '\\') {
			ok = take_escape(r);
		} else if (c == '[') {
			ok = take_bracket(r);
		} else if (c == '(' && r->at[1] == '?') {
			ok = refuse(r, "(?...) is not built");
		} else if (is_quantifier(c)) {
			if (!atom)
				ok = refuse(r, "a quantifier has nothing before it");
			else
				ok = c == '{' ? take_braces(r) : put_one(r, *r->at++);
			if (ok && *r->at == '?')
				ok = refuse(r, "non-greedy quantifiers are not built");
			else if (ok && is_quantifier(*r->at))
				ok = refuse(r, "a quantifier behind a quantifier");
		} else {
			ok = put_one(r, *r->at++);
			atom = !strchr("(|^", c);
			continue;
		}
		atom = true;
	}
	return ok && put_one(r, 0);
}

struct pattern *pattern_new(const char *text, char *error, size_t error_size)
{
	struct rewriting r = { .at = text, .repeats = 1, .error = error, .error_size = error_size };
	struct pattern *made = calloc(1, sizeof *made);
	int status;

	if (!made || !*text || !rewrite(&r)) {
		if (!made || !*text)
			text_format(error, error_size, made ? "it is empty" : "memory is refused");
		goto failed;
	}
	status = regcomp(&made->regex, (const char *)buf_span(&r.out).at, REG_EXTENDED);
	if (status != 0) {
		regerror(status, &made->regex, error, error_size);
		goto failed;
	}
	buf_fini(&r.out);
	return made;

failed:
	buf_fini(&r.out);
	free(made);
	return NULL;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	regfree(&pattern->regex);
	free(pattern);
}

size_t pattern_groups(const struct pattern *pattern)
{
	return pattern->regex.re_nsub;
}

bool pattern_fits(const struct pattern *pattern, struct span name, struct span *group)
{
	regmatch_t found[2] = { { 0, (regoff_t)name.length }, { -1, -1 } };
	bool fits = regexec(&pattern->regex, name.at ? (const char *)name.at : "", 2, found, REG_STARTEND) == 0;

	if (fits && group)
		*group = found[1].rm_so < 0
			? span_of("", 0)
			: span_of(name.at + found[1].rm_so, (size_t)(found[1].rm_eo - found[1].rm_so));
	return fits;
}
