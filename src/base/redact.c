#include "base/redact.h"

/* What a statement says without whom it says it about.
 *
 * One pass, by the rules of PostgreSQL's scanner (src/backend/parser/scan.l), of which only those matter that decide where a literal
 * begins and ends:
 *
 *   '...'             ends at the first ' that is not doubled; B, X, N or U& in front belongs to it
 *   E'...'            the same, and a backslash takes the next byte with it
 *   $tag$...$tag$     ends where its own tag comes again; the tag may be empty; $1 is a parameter
 *   12 1.5e-3 0x1f    a number, where no identifier has begun: t1 is none
 *   "..."             an identifier, kept
 *   -- and / *        comments, the second kind nested; kept, for they say which code sent the statement
 *
 * With standard_conforming_strings off, a backslash in a plain '...' takes the next byte with it as well, and whoever reads the text
 * later cannot know the setting. The two readings part at \' alone, and a wrong guess takes text for literals and literals for
 * text from there on. So there nothing more is told. */

struct scan {
	struct span in;
	size_t at; /* the next byte to read */
	char *out;
	size_t length, room; /* room: without the zero at the end */
};

static int peek(const struct scan *s, size_t ahead)
{
	return ahead < s->in.length - s->at ? s->in.at[s->at + ahead] : -1;
}

static bool more(const struct scan *s)
{
	return s->at < s->in.length && s->length < s->room;
}

static void put(struct scan *s, char c)
{
	if (s->length < s->room)
		s->out[s->length++] = c;
}

static void keep(struct scan *s)
{
	uint8_t c = s->in.at[s->at++];

	put(s, c ? (char)c : ' ');
}

static void keep_two(struct scan *s)
{
	keep(s);
	if (more(s))
		keep(s);
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* Bytes of other scripts may stand in identifiers, as in scan.l. */
static bool begins_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool continues_name(int c)
{
	return begins_name(c) || is_digit(c) || c == '$';
}

/* Up to and including what ends the line. */
static void keep_line(struct scan *s)
{
	while (more(s)) {
		bool last = peek(s, 0) == '\n';

		keep(s);
		if (last)
			return;
	}
}

static void keep_comment(struct scan *s)
{
	size_t depth = 0;

	while (more(s)) {
		int step = 0;

		if (peek(s, 0) == '/' && peek(s, 1) == '*')
			step = 1;
		else if (peek(s, 0) == '*' && peek(s, 1) == '/')
			step = -1;
		if (step == 0) {
			keep(s);
			continue;
		}
		keep_two(s);
		if (step < 0 && --depth == 0)
			return;
		depth += step > 0;
	}
}

/* A doubled " inside ends one and begins the next, which comes to the same. */
static void keep_quoted_name(struct scan *s)
{
	do
		keep(s);
	while (more(s) && peek(s, 0) != '"');
	if (more(s))
		keep(s);
}

/* Past a literal whose first quote is next. */
static void drop_string(struct scan *s, bool escapes)
{
	s->at++;
	while (s->at < s->in.length) {
		uint8_t c = s->in.at[s->at++];

		if (c == '\\' && escapes) {
			s->at += s->at < s->in.length;
		} else if (c == '\\' && peek(s, 0) == '\'') {
			s->at = s->in.length;
		} else if (c == '\'') {
			if (peek(s, 0) != '\'')
				break;
			s->at++;
		}
	}
	put(s, '?');
}

/* The length of a $tag$ that is next, or 0. */
static size_t tag_length(const struct scan *s)
{
	size_t n = 1;

	if (begins_name(peek(s, 1))) {
		while (peek(s, n) != '$' && continues_name(peek(s, n)))
			n++;
	}
	return peek(s, n) == '$' ? n + 1 : 0;
}

/* Past a literal whose tag of `n` bytes is next. */
static void drop_dollar_string(struct scan *s, size_t n)
{
	const uint8_t *tag = s->in.at + s->at, *end;

	s->at += n;
	end = memmem(s->in.at + s->at, s->in.length - s->at, tag, n);
	s->at = end ? (size_t)(end - s->in.at) + n : s->in.length;
	put(s, '?');
}

/* Letters that stick to a number are junk to PostgreSQL, and dropped with it. */
static void drop_number(struct scan *s)
{
	bool hexadecimal = peek(s, 0) == '0' && (peek(s, 1) | 0x20) == 'x';

	for (;;) {
		int c = peek(s, 0), next = peek(s, 1);

		if (c == '.' && next == '.')
			break; /* 1..10, in PL/pgSQL */
		if (!hexadecimal && (c | 0x20) == 'e' && (next == '+' || next == '-') && is_digit(peek(s, 2)))
			s->at++;
		else if (!begins_name(c) && !is_digit(c) && c != '.')
			break;
		s->at++;
	}
	put(s, '?');
}

/* A name, or the letter in front of a literal. */
static void keep_name(struct scan *s)
{
	int c = peek(s, 0) | 0x20;

	if (peek(s, 1) == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
		s->at++;
		drop_string(s, c == 'e');
		return;
	}
	if (c == 'u' && peek(s, 1) == '&' && peek(s, 2) == '\'') {
		s->at += 2;
		drop_string(s, false);
		return;
	}
	while (more(s) && continues_name(peek(s, 0)))
		keep(s);
}

/* How many bytes a UTF-8 sequence has that begins so; 1 where none can. */
static size_t sequence_length(uint8_t lead)
{
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 1;
}

/* Take back the beginning of a sequence whose rest found no room. */
static void mend_end(struct scan *s)
{
	size_t back = 1;

	while (back < 4 && back < s->length && ((uint8_t)s->out[s->length - back] & 0xc0) == 0x80)
		back++;
	if (s->length > 0 && sequence_length((uint8_t)s->out[s->length - back]) > back)
		s->length -= back;
}

size_t redact_sql(char *out, size_t size, struct span sql)
{
	struct scan s = { .in = sql, .out = out, .room = size > 0 ? size - 1 : 0 };
	size_t tag;

	if (size == 0)
		return 0;
	while (more(&s)) {
		int c = peek(&s, 0), next = peek(&s, 1);

		if (c == '-' && next == '-')
			keep_line(&s);
		else if (c == '/' && next == '*')
			keep_comment(&s);
		else if (c == '"')
			keep_quoted_name(&s);
		else if (c == '\'')
			drop_string(&s, false);
		else if (c == '$' && (tag = tag_length(&s)) > 0)
			drop_dollar_string(&s, tag);
		else if (c == '$' && is_digit(next))
			do
				keep(&s);
			while (more(&s) && is_digit(peek(&s, 0)));
		else if (c == '.' && next == '.')
			keep_two(&s);
		else if (is_digit(c) || (c == '.' && is_digit(next)))
			drop_number(&s);
		else if (begins_name(c))
			keep_name(&s);
		else
			keep(&s);
	}
	if (s.at < sql.length)
		mend_end(&s);
	out[s.length] = 0;
	return s.length;
}
