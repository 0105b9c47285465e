#include "base/text.h"

#include <stdio.h>

/* Small work on text that several layers need: formatting without overruns, numbers as configuration
 * files write them, nearest names for error messages, SQL quoting, and secrets.
 *
 * Everything is ASCII by rule, never by locale: a pooler must read a file the same way on every machine. */

size_t text_copy_span(char *out, size_t size, struct span from)
{
	size_t n = from.length;

	if (size == 0)
		return 0;
	if (n > size - 1)
		n = size - 1;
	if (n > 0)
		memcpy(out, from.at, n);
	out[n] = 0;
	return n;
}

size_t text_copy(char *out, size_t size, const char *from)
{
	return text_copy_span(out, size, span_text(from));
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
	va_list arguments;
	int n;

	if (size == 0)
		return 0;
	va_start(arguments, format);
	n = vsnprintf(out, size, format, arguments);
	va_end(arguments);
	if (n < 0) {
		out[0] = 0;
		return 0;
	}
	return (size_t)n < size ? (size_t)n : size - 1;
}

bool buf_format(struct buf *b, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	/* One more than is kept: vsnprintf writes its zero there. */
	if (n < 0 || !buf_reserve(b, (size_t)n + 1))
		return false;
	va_start(arguments, format);
	vsnprintf((char *)buf_end(b), (size_t)n + 1, format, arguments);
	va_end(arguments);
	buf_grew(b, (size_t)n);
	return true;
}

/* The value of a digit in any base up to 16, or 16. */
static unsigned digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

bool text_to_i64(struct span text, int64_t *out)
{
	bool negative = false;
	uint64_t value = 0, most;
	unsigned base = 10;

	if (text.length > 0 && (text.at[0] == '-' || text.at[0] == '+')) {
		negative = text.at[0] == '-';
		text = span_skip(text, 1);
	}
	if (text.length > 2 && text.at[0] == '0' && (text.at[1] | 0x20) == 'x') {
		base = 16;
		text = span_skip(text, 2);
	} else if (text.length > 1 && text.at[0] == '0') {
		base = 8;
		text = span_skip(text, 1);
	}
	if (text.length == 0)
		return false;
	most = (uint64_t)INT64_MAX + negative;
	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = digit_value(text.at[i]);

		if (digit >= base || value > (most - digit) / base)
			return false;
		value = value * base + digit;
	}
	/* In this order the smallest value is negated without passing through a sum that does not exist. */
	*out = negative ? (value == 0 ? 0 : -(int64_t)(value - 1) - 1) : (int64_t)value;
	return true;
}

bool text_to_time(struct span text, time_us *out)
{
	const time_us most = (time_us)10 * 366 * 24 * 3600 * SECOND_US;
	time_us whole = 0, part = 0, unit = SECOND_US;
	bool point = false, digits = false, rest = false;

	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = digit_value(text.at[i]);

		if (text.at[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (digit > 9)
			return false;
		digits = true;
		if (!point) {
			whole = whole * 10 + digit;
			if (whole > most / SECOND_US)
				return false;
		} else if (unit > 1) {
			unit /= 10;
			part += digit * unit;
		} else {
			rest = rest || digit > 0;
		}
	}
	if (!digits)
		return false;
	/* Rounded up: zero often means "no limit", and a short time must not turn into it. */
	*out = whole * SECOND_US + part + rest;
	return *out <= most;
}

bool text_to_duration(struct span text, time_us *out)
{
	static const struct {
		const char *name;
		time_us us;
	} units[] = { { "ms", MILLISECOND_US }, { "s", SECOND_US }, { "m", 60 * SECOND_US }, { "min", 60 * SECOND_US },
		{ "h", 3600 * SECOND_US }, { "d", 86400 * SECOND_US } };
	const time_us most = (time_us)10 * 366 * 24 * 3600 * SECOND_US;
	struct span number = text, unit;
	time_us seconds;

	while (number.length > 0 && number.at[number.length - 1] >= 'a' && number.at[number.length - 1] <= 'z')
		number.length--;
	unit = span_skip(text, number.length);
	number = text_trim(number);
	if (!text_to_time(number, &seconds))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (!span_is(unit, units[i].name))
			continue;
		if (units[i].us < SECOND_US) /* rounded up, as text_to_time does */
			*out = (seconds + SECOND_US / units[i].us - 1) / (SECOND_US / units[i].us);
		else if (seconds > most / (units[i].us / SECOND_US))
			return false;
		else
			*out = seconds * (units[i].us / SECOND_US);
		return true;
	}
	return false;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span text_trim(struct span text)
{
	while (text.length > 0 && is_space(text.at[0]))
		text = span_skip(text, 1);
	while (text.length > 0 && is_space(text.at[text.length - 1]))
		text.length--;
	return text;
}

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool text_equal_nocase(struct span a, struct span b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++) {
		if (fold(a.at[i]) != fold(b.at[i]))
			return false;
	}
	return true;
}

#define WORD_MAX 128

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* The usual table of distances between beginnings, of which three rows are kept: swapping neighbours
 * looks two rows back. Words beyond WORD_MAX are not names anybody mistyped; they count as far apart. */
unsigned text_distance(const char *a, const char *b, unsigned limit)
{
	size_t length_a = strlen(a), length_b = strlen(b);
	unsigned rows[3][WORD_MAX + 1];
	size_t apart = length_a > length_b ? length_a - length_b : length_b - length_a;

	if (apart > limit || length_a > WORD_MAX || length_b > WORD_MAX)
		return strcmp(a, b) == 0 ? 0 : limit + 1;
	for (size_t j = 0; j <= length_b; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= length_a; i++) {
		const unsigned *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
		unsigned *row = rows[i % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= length_b; j++) {
			row[j] = smaller(above[j - 1] + (a[i - 1] != b[j - 1]), smaller(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = smaller(row[j], above2[j - 2] + 1);
		}
	}
	return smaller(rows[length_a % 3][length_b], limit + 1);
}

const char *text_nearest(const char *word, const char *const *candidates)
{
	/* A third of the letters may be wrong, and never more than three. */
	unsigned limit = (unsigned)(strlen(word) < 9 ? strlen(word) / 3 : 3), best;
	const char *nearest = NULL;

	if (limit == 0)
		limit = 1;
	best = limit + 1;
	for (; *candidates; candidates++) {
		unsigned distance = text_distance(word, *candidates, limit);

		if (distance < best) {
			best = distance;
			nearest = *candidates;
		}
	}
	return nearest;
}

/* Append with every byte of `doubled` written twice. A zero byte cannot be said in SQL. */
static bool add_doubled(struct buf *b, struct span text, const char *doubled)
{
	uint8_t *to;
	size_t n = 0;

	if (text.length > SIZE_MAX / 8 || !buf_reserve(b, text.length * 2))
		return false;
	to = buf_end(b);
	for (size_t i = 0; i < text.length; i++) {
		if (text.at[i] == 0)
			return false;
		if (strchr(doubled, text.at[i]))
			to[n++] = text.at[i];
		to[n++] = text.at[i];
	}
	buf_grew(b, n);
	return true;
}

size_t text_fits(struct span text, size_t most)
{
	size_t n = text.length;

	if (n > most)
		for (n = most; n > 1 && (text.at[n] & 0xc0) == 0x80;)
			n--;
	return n;
}

const char *text_plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* Doubling backslashes is safe in every encoding whose later bytes are never ASCII, which are all that a
 * PostgreSQL database may have. */
bool buf_add_literal(struct buf *b, struct span value)
{
	size_t before = b->length;

	if (buf_add(b, "E'", 2) && add_doubled(b, value, "'\\") && buf_add(b, "'", 1))
		return true;
	b->length = before;
	return false;
}

bool buf_add_identifier(struct buf *b, struct span name)
{
	size_t before = b->length;

	if (buf_add(b, "\"", 1) && add_doubled(b, name, "\"") && buf_add(b, "\"", 1))
		return true;
	b->length = before;
	return false;
}

char *text_duration(char *out, size_t size, time_us duration)
{
	const char *sign = duration < 0 ? "-" : "";
	uint64_t us = duration < 0 ? 0 - (uint64_t)duration : (uint64_t)duration;
	uint64_t s = us / 1000000, ms = us / 1000;
	struct {
		uint64_t many;
		const char *unit;
	} large, small;

	/* Cut, never rounded: 59.96 s must not read 60.0 s. */
	if (us < 1000) {
		text_format(out, size, "%s%llu us", sign, (unsigned long long)us);
		return out;
	}
	if (s == 0) {
		text_format(out, size, "%s%llu ms", sign, (unsigned long long)ms);
		return out;
	}
	if (s < 60) {
		text_format(out, size, ms / 100 % 10 ? "%s%llu.%llu s" : "%s%llu s", sign, (unsigned long long)s,
			(unsigned long long)(ms / 100 % 10));
		return out;
	}
	if (s < 3600) {
		large.many = s / 60, large.unit = "min";
		small.many = s % 60, small.unit = "s";
	} else if (s < 86400) {
		large.many = s / 3600, large.unit = "h";
		small.many = s / 60 % 60, small.unit = "min";
	} else {
		large.many = s / 86400, large.unit = "d";
		small.many = s / 3600 % 24, small.unit = "h";
	}
	if (small.many == 0)
		text_format(out, size, "%s%llu %s", sign, (unsigned long long)large.many, large.unit);
	else
		text_format(out, size, "%s%llu %s %llu %s", sign, (unsigned long long)large.many, large.unit,
			(unsigned long long)small.many, small.unit);
	return out;
}

bool secret_equal(const void *a, const void *b, size_t length)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < length; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

void secret_wipe(void *secret, size_t length)
{
	if (length > 0)
		explicit_bzero(secret, length);
}

size_t text_utf8(struct span from)
{
	uint8_t c = from.at[0], next = from.length > 1 ? from.at[1] : 0;
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	if (n == 0 || from.length < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((from.at[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for what they say, half of a pair, or beyond the last. */
	if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
		(c == 0xf4 && next > 0x8f))
		return 0;
	return n;
}

bool text_is_unseen(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = { { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x600, 0x605 }, { 0x61c, 0x61c }, { 0x6dd, 0x6dd },
		{ 0x70f, 0x70f }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f },
		{ 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xe0000, 0x10ffff } };

	/* Nearly all text lies before the first of them. */
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && code >= ranges[i].first; i++)
		if (code <= ranges[i].last)
			return true;
	return false;
}

static uint32_t code_of(const uint8_t *at, size_t length)
{
	uint32_t code = length == 1 ? at[0] : at[0] & (0xffU >> (length + 1));

	for (size_t i = 1; i < length; i++)
		code = code << 6 | (at[i] & 0x3f);
	return code;
}

static bool is_control(uint32_t code)
{
	return code < ' ' || (code >= 0x7f && code < 0xa0);
}

void text_tame(char *text)
{
	struct span from = span_text(text);
	char *to = text;

	while (from.length > 0) {
		size_t n = text_utf8(from);
		uint32_t code = n ? code_of(from.at, n) : 0;

		if (n == 0 || text_is_unseen(code) || (is_control(code) && code != '\n' && code != '\t')) {
			*to++ = '?';
		} else {
			memmove(to, from.at, n);
			to += n;
		}
		from = span_skip(from, n ? n : 1);
	}
	*to = 0;
}

size_t text_escape(char *out, size_t size, struct span from)
{
	size_t length = 0;

	if (size == 0)
		return 0;
	while (from.length > 0) {
		size_t n = text_utf8(from), wanted = n;
		uint32_t code = n ? code_of(from.at, n) : 0;
		char escaped[12];

		if (n == 0 || is_control(code)) {
			n = 1;
			wanted = text_format(escaped, sizeof escaped, "\\x%02x", from.at[0]);
		} else if (text_is_unseen(code)) {
			wanted = text_format(escaped, sizeof escaped, "\\u{%x}", (unsigned)code);
		} else if (from.at[0] == '\\') {
			wanted = text_format(escaped, sizeof escaped, "\\\\");
		} else {
			memcpy(escaped, from.at, n);
		}
		if (length + wanted >= size)
			break;
		memcpy(out + length, escaped, wanted);
		length += wanted;
		from = span_skip(from, n);
	}
	out[length] = 0;
	return length;
}
