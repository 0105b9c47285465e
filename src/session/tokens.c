/* Tokens are read one after the other, with PostgreSQL's rules of comments and quotes (parser/scan.l as facts). */
#include "session/tokens.h"

/* Letters as they are folded, digits, and what else a word may have behind its first byte; 0: the word is over. A table, since every byte of
 * every statement comes by here. */
/* clang-format off */
static const uint8_t word_bytes[256] = {
	['$'] = '$', ['_'] = '_',
	['0'] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
	['A'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
	'x', 'y', 'z',
	['a'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
	'x', 'y', 'z',
#define ROW(c) (c), (c) + 1, (c) + 2, (c) + 3, (c) + 4, (c) + 5, (c) + 6, (c) + 7
	[0x80] = ROW(0x80), ROW(0x88), ROW(0x90), ROW(0x98), ROW(0xa0), ROW(0xa8), ROW(0xb0), ROW(0xb8),
	ROW(0xc0), ROW(0xc8), ROW(0xd0), ROW(0xd8), ROW(0xe0), ROW(0xe8), ROW(0xf0), ROW(0xf8),
#undef ROW
};
/* clang-format on */

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool begins_word(uint8_t c)
{
	return word_bytes[c] > '9'; /* no digit and no dollar */
}

static bool is_word(uint8_t c)
{
	return word_bytes[c] != 0;
}

static bool next_is(const struct tokens *t, size_t n, uint8_t c)
{
	return (size_t)(t->end - t->at) > n && t->at[n] == c;
}

/* Behind what is nested, or at the end. */
static void skip_comment(struct tokens *t)
{
	size_t depth = 1;

	t->at += 2;
	while (t->at < t->end && depth > 0) {
		if (*t->at == '/' && next_is(t, 1, '*')) {
			depth++;
			t->at += 2;
		} else if (*t->at == '*' && next_is(t, 1, '/')) {
			depth--;
			t->at += 2;
		} else {
			t->at++;
		}
	}
}

static void skip_space(struct tokens *t)
{
	while (t->at < t->end) {
		if (is_blank(*t->at)) {
			t->at++;
		} else if (*t->at == '-' && next_is(t, 1, '-')) {
			while (t->at < t->end && *t->at != '\n' && *t->at != '\r')
				t->at++;
		} else if (*t->at == '/' && next_is(t, 1, '*')) {
			skip_comment(t);
		} else {
			return;
		}
	}
}

static void add_byte(struct token *token, size_t *n, uint8_t c)
{
	if (*n + 1 < sizeof token->text && c != 0)
		token->text[(*n)++] = (char)c;
	else
		token->whole = false;
}

/* At the opening quote. */
static void take_quoted(struct tokens *t, enum token_kind kind, bool escapes)
{
	struct token *token = t->token;
	const uint8_t *at = t->at, *end = t->end;
	uint8_t quote = *at++, c;
	size_t n = 0;

	token->kind = kind;
	token->whole = true;
	for (; at < end; at++) {
		c = *at;
		if (c == quote) {
			if (!escapes && kind == TOKEN_STRING && at[-1] == '\\')
				t->doubt = true;
			at++;
			if (at == end || *at != quote)
				break;
		} else if (escapes && c == '\\') {
			/* A trail byte of some client encodings looks like a backslash. */
			if (at[-1] >= 0x80)
				t->doubt = true;
			token->whole = false;
			token->escaped = true;
			if (++at == end)
				break;
			continue;
		}
		add_byte(token, &n, c);
	}
	token->text[n] = 0;
	t->at = at;
}

/* Where a dollar quote's tag (which has no dollar but at its ends) comes again; NULL: nowhere. Each byte is compared once. */
static const uint8_t *find_tag(const uint8_t *at, const uint8_t *end, const uint8_t *tag, size_t n)
{
	while ((at = memchr(at, '$', (size_t)(end - at))) != NULL && (size_t)(end - at) >= n) {
		if (memcmp(at, tag, n) == 0)
			return at;
		at++;
	}
	return NULL;
}

/* At a dollar: a string between two equal tags, a parameter, or just a sign. */
static void take_dollar(struct tokens *t)
{
	const uint8_t *tag = t->at, *from;
	size_t n = 1;

	if (next_is(t, 1, '$') || ((size_t)(t->end - t->at) > 1 && begins_word(t->at[1])))
		while (t->at + n < t->end && t->at[n] != '$' && is_word(t->at[n]))
			n++;
	if (!next_is(t, n, '$')) {
		t->token->kind = TOKEN_NUMBER;
		for (t->at++; t->at < t->end && is_digit(*t->at); t->at++)
			;
		return;
	}
	n++;
	from = find_tag(tag + n, t->end, tag, n);
	t->token->kind = TOKEN_STRING;
	if (from && (size_t)(from - tag) - n < sizeof t->token->text) {
		memcpy(t->token->text, tag + n, (size_t)(from - tag) - n);
		t->token->text[from - tag - (ptrdiff_t)n] = 0;
	}
	t->at = from ? from + n : t->end;
}

static void take_word(struct tokens *t)
{
	struct token *token = t->token;
	const uint8_t *at = t->at; /* kept apart: what is written may lie anywhere, for all the compiler knows */
	size_t n = 0;
	uint8_t c;

	token->kind = TOKEN_WORD;
	token->whole = true;
	for (; at < t->end && (c = word_bytes[*at]) != 0; at++)
		if (n + 1 < sizeof token->text)
			token->text[n++] = (char)c;
		else
			token->whole = false;
	token->text[n] = 0;
	t->at = at;
	/* E'', B'', X'', N'' and U&'', U&"" */
	if (n == 1 && next_is(t, 0, '\'') && strchr("ebxn", token->text[0])) {
		take_quoted(t, TOKEN_STRING, token->text[0] == 'e' || (t->escapes && token->text[0] == 'n'));
	} else if (n == 1 && token->text[0] == 'u' && next_is(t, 0, '&') &&
		(next_is(t, 1, '\'') || next_is(t, 1, '"'))) {
		t->at++;
		t->unread = t->unread || *t->at == '"';
		take_quoted(t, *t->at == '"' ? TOKEN_NAME : TOKEN_STRING, false);
		token->whole = false;
		token->escaped = true;
	}
}

void tokens_next(struct tokens *t)
{
	struct token *token = t->token == &t->two[0] ? &t->two[1] : &t->two[0];
	uint8_t c;

	t->token = token;
	skip_space(t);
	token->text[0] = 0;
	token->sign = 0;
	token->whole = token->escaped = false;
	if (t->at == t->end) {
		token->kind = TOKEN_END;
		return;
	}
	c = *t->at;
	if (begins_word(c)) {
		take_word(t);
	} else if (c == '\'') {
		take_quoted(t, TOKEN_STRING, t->escapes);
	} else if (c == '"') {
		take_quoted(t, TOKEN_NAME, false);
	} else if (c == '$') {
		take_dollar(t);
	} else if (is_digit(c)) {
		/* Letters behind it are a word of their own up to PostgreSQL 14; later they are a part of it, or an error. */
		token->kind = TOKEN_NUMBER;
		while (t->at < t->end && (is_digit(*t->at) || *t->at == '.'))
			t->at++;
	} else {
		token->kind = TOKEN_SIGN;
		token->sign = c;
		t->at++;
		/* A cast is one sign; the colon of a slice is another. */
		if (c == ':' && next_is(t, 0, ':'))
			t->at++;
		else if (c == ':')
			token->sign = ' ';
	}
}

void tokens_begin(struct tokens *t, struct span text)
{
	t->at = text.at;
	t->end = text.at + text.length;
	t->token = &t->two[0];
	t->doubt = t->unread = t->escapes = false;
}

bool tokens_contain(struct span text, const char *word)
{
	size_t n = 0;

	for (size_t i = 0; i < text.length && word[n]; i++)
		n = word_bytes[text.at[i]] == word[n] ? n + 1 : word_bytes[text.at[i]] == word[0];
	return word[n] == 0;
}
