/* Tokens are read one after the other, with PostgreSQL's rules of comments and quotes (parser/scan.l as facts).
 *
 * Half of them are signs. The readers of the others are kept out of tokens_next (noinline, cold): with them in it, saving and restoring registers for
 * each sign was a quarter of the instructions it ran. */
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

/* What a byte begins; 0: a sign. */
enum beginning {
	BEGINS_SIGN,
	BEGINS_BLANK,
	BEGINS_WORD,
	BEGINS_NUMBER,
	BEGINS_STRING,
	BEGINS_NAME,
	BEGINS_DOLLAR,
	BEGINS_COMMENT
};

static const uint8_t beginnings[256] = {
	['\t' ... '\r'] = BEGINS_BLANK,
	[' '] = BEGINS_BLANK,
	['A' ... 'Z'] = BEGINS_WORD,
	['a' ... 'z'] = BEGINS_WORD,
	['_'] = BEGINS_WORD,
	[0x80 ... 0xff] = BEGINS_WORD,
	['0' ... '9'] = BEGINS_NUMBER,
	['\''] = BEGINS_STRING,
	['"'] = BEGINS_NAME,
	['$'] = BEGINS_DOLLAR,
	['-'] = BEGINS_COMMENT,
	['/'] = BEGINS_COMMENT,
};

static bool is_digit(uint8_t c)
{
	return beginnings[c] == BEGINS_NUMBER;
}

static bool is_word(uint8_t c)
{
	return word_bytes[c] != 0;
}

static bool next_is(const struct tokens *t, size_t n, uint8_t c)
{
	return (size_t)(t->end - t->at) > n && t->at[n] == c;
}

static bool are_next(const uint8_t *at, const uint8_t *end, const char *two)
{
	return end - at > 1 && at[0] == (uint8_t)two[0] && at[1] == (uint8_t)two[1];
}

/* Behind what is nested, or at the end. */
static const uint8_t *behind_comment(const uint8_t *at, const uint8_t *end)
{
	size_t depth = 0;

	do {
		if (are_next(at, end, "/*")) {
			depth++;
			at += 2;
		} else if (are_next(at, end, "*/")) {
			depth--;
			at += 2;
		} else {
			at++;
		}
	} while (at < end && depth > 0);
	return at;
}

/* Behind the comments and blanks that stand here. */
__attribute__((cold)) static const uint8_t *behind_comments(const uint8_t *at, const uint8_t *end)
{
	for (;;) {
		if (are_next(at, end, "--"))
			while (at < end && *at != '\n' && *at != '\r')
				at++;
		else if (are_next(at, end, "/*"))
			at = behind_comment(at, end);
		else if (at < end && beginnings[*at] == BEGINS_BLANK)
			at++;
		else
			return at;
	}
}

/* Its text, or as much of it as there is room for. */
static void set_text(struct tokens *t, const uint8_t *from, size_t n)
{
	struct token *token = t->token;

	token->whole = n < sizeof token->text;
	if (!token->whole)
		n = sizeof token->text - 1;
	if (t->end - from >= TOKEN_BYTES)
		memcpy(token->text, from, TOKEN_BYTES); /* a number that is known is copied without a call */
	else
		memcpy(token->text, from, n);
	token->text[n] = 0;
	token->length = (uint8_t)n;
}

static void add_byte(struct token *token, uint8_t c)
{
	if (token->length + 1u < sizeof token->text)
		token->text[token->length++] = (char)c;
	else
		token->whole = false;
}

/* At an opening quote behind which escapes or doubled quotes may stand: byte by byte. */
__attribute__((cold)) static void take_doubled(struct tokens *t, bool escapes)
{
	struct token *token = t->token;
	const uint8_t *at = t->at, *end = t->end;
	uint8_t quote = *at++, c;

	token->whole = true;
	token->length = 0;
	for (; at < end; at++) {
		c = *at;
		if (c == quote) {
			if (!escapes && token->kind == TOKEN_STRING && at[-1] == '\\')
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
		add_byte(token, c);
	}
	token->text[token->length] = 0;
	t->at = at;
}

/* At the opening quote. Most have nothing in them but what is meant, up to the next quote. */
__attribute__((noinline)) static void take_quoted(struct tokens *t, enum token_kind kind, bool escapes)
{
	const uint8_t *from = t->at + 1, *close;

	t->token->kind = kind;
	close = escapes ? NULL : memchr(from, from[-1], (size_t)(t->end - from));
	if (!close || (t->end - close > 1 && close[1] == *close)) {
		take_doubled(t, escapes);
		return;
	}
	t->doubt = t->doubt || (kind == TOKEN_STRING && close[-1] == '\\');
	set_text(t, from, (size_t)(close - from));
	t->at = close + 1;
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
__attribute__((noinline)) static void take_dollar(struct tokens *t)
{
	const uint8_t *tag = t->at, *from;
	size_t n = 1;

	if (next_is(t, 1, '$') || ((size_t)(t->end - t->at) > 1 && beginnings[t->at[1]] == BEGINS_WORD))
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
	if (from && (size_t)(from - tag) - n < sizeof t->token->text)
		set_text(t, tag + n, (size_t)(from - tag) - n);
	t->at = from ? from + n : t->end;
}

__attribute__((noinline)) static void take_word(struct tokens *t)
{
	struct token *token = t->token;
	const uint8_t *from = t->at, *at = from,
		      *end = t->end; /* kept apart: what is written may lie anywhere, for all the compiler knows */
	const uint8_t *room = end - at >= TOKEN_BYTES ? at + TOKEN_BYTES - 1 : end;
	size_t n;
	uint8_t c;

	for (; at < room && (c = word_bytes[*at]) != 0; at++)
		token->text[at - from] = (char)c;
	n = (size_t)(at - from);
	token->kind = TOKEN_WORD;
	token->text[n] = 0;
	token->length = (uint8_t)n;
	token->whole = at == end || !is_word(*at);
	while (at < end && is_word(*at))
		at++;
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

/* Letters behind it are a word of their own up to PostgreSQL 14; later they are a part of it, or an error. */
__attribute__((noinline)) static void take_number(struct tokens *t)
{
	const uint8_t *at = t->at;

	while (at < t->end && (is_digit(*at) || *at == '.'))
		at++;
	t->token->kind = TOKEN_NUMBER;
	t->at = at;
}

void tokens_next(struct tokens *t)
{
	struct token *token = t->token == &t->two[0] ? &t->two[1] : &t->two[0];
	const uint8_t *at = t->at, *end = t->end;
	enum beginning begins;

	while (at < end && beginnings[*at] == BEGINS_BLANK)
		at++;
	if (at < end && beginnings[*at] == BEGINS_COMMENT)
		at = behind_comments(at, end);
	token->kind = TOKEN_END;
	token->sign = token->length = 0;
	token->whole = token->escaped = false;
	token->text[0] = 0;
	t->token = token;
	t->at = at;
	if (at == end)
		return;
	begins = beginnings[*at];
	if (begins == BEGINS_WORD) {
		take_word(t);
	} else if (begins == BEGINS_NAME) {
		take_quoted(t, TOKEN_NAME, false);
	} else if (begins == BEGINS_STRING) {
		take_quoted(t, TOKEN_STRING, t->escapes);
	} else if (begins == BEGINS_DOLLAR) {
		take_dollar(t);
	} else if (begins == BEGINS_NUMBER) {
		take_number(t);
	} else {
		token->kind = TOKEN_SIGN;
		token->sign = *at;
		t->at = at + 1;
		/* A cast is one sign; the colon of a slice is another. */
		if (*at == ':' && next_is(t, 0, ':'))
			t->at++;
		else if (*at == ':')
			token->sign = ' ';
	}
}

/* What stands behind a quoted name that is over at `at`: its dot or comma; ' ': anything but what would make more of it than a name. */
static uint8_t sign_behind(const uint8_t *at, const uint8_t *end)
{
	if (at < end && (*at == '.' || *at == ','))
		return *at;
	/* A second quote is a part of it. */
	if (at < end && *at == '"')
		return 0;
	while (at < end && beginnings[*at] == BEGINS_BLANK)
		at++;
	return at == end || (*at != '(' && *at != '.' && beginnings[*at] != BEGINS_COMMENT) ? ' ' : 0;
}

struct passed tokens_pass_names(struct tokens *t, const struct token_sets *sets)
{
	struct passed passed = { .only_dots = true };
	const uint8_t *from = t->at, *end = t->end, *close, *behind;
	uint8_t first, last, sign;
	size_t length;
	bool quoted;

	while (passed.sign != ' ' && passed.told.length == 0) {
		while (from < end && beginnings[*from] == BEGINS_BLANK)
			from++;
		if (from == end)
			break;
		quoted = *from == '"';
		if (quoted) {
			from++;
			close = memchr(from, '"', (size_t)(end - from));
			if (!close || close == from)
				break;
			behind = close + 1;
			first = *from;
			last = close[-1];
			sign = sign_behind(behind, end);
		} else if (beginnings[*from] == BEGINS_WORD) {
			for (close = from + 1; close < end && is_word(*close); close++)
				;
			behind = close;
			first = word_bytes[*from];
			last = word_bytes[close[-1]];
			sign = behind < end && (*behind == '.' || *behind == ',') ? *behind : 0;
		} else {
			break;
		}
		length = (size_t)(close - from);
		if (!sign || length >= TOKEN_BYTES ||
			(first == 'p' && length > 2 && (from[1] | 32) == 'g' && from[2] == '_') ||
			word_set_may_have(&sets->met, first, last, length))
			break;
		if (word_set_may_have(&sets->told, first, last, length)) {
			if (!quoted)
				break;
			passed.told = span_of(from, length);
		}
		passed.sign = sign;
		passed.only_dots = passed.only_dots && sign == '.';
		from = t->at = behind + (sign != ' ');
	}
	return passed;
}

static void begin(struct tokens *t, const uint8_t *at, size_t length)
{
	t->at = at;
	t->end = at + length;
	t->token = &t->two[0];
	t->doubt = t->unread = t->escapes = false;
}

void tokens_begin(struct tokens *t, struct span text)
{
	begin(t, text.at, text.length > 0 ? strnlen((const char *)text.at, text.length) : 0);
}

/* Its end is known: a search for it from each call of a text would be as long as the square of that text. */
void tokens_begin_behind(struct tokens *t, const struct tokens *other, size_t most)
{
	size_t left = (size_t)(other->end - other->at);

	begin(t, other->at, left < most ? left : most);
}

bool tokens_contain(struct span text, const char *word)
{
	size_t n = 0;

	for (size_t i = 0; i < text.length && word[n]; i++)
		n = word_bytes[text.at[i]] == word[n] ? n + 1 : word_bytes[text.at[i]] == word[0];
	return word[n] == 0;
}
