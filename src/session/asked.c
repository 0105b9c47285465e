/* The letters of "currval" and "lastval" are looked for wherever they stand, in comments and strings too: what is not followed by what is known here is
 * another way to ask. So a text that does ask is never taken for one that asks for something else. */
#include "session/asked.h"

#include "base/reader.h"
#include "base/text.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(uint8_t c)
{
	return c == '_' || c == '$' || c == '"' || c >= 0x80 || (c >= '0' && c <= '9') ||
		((c | 32) >= 'a' && (c | 32) <= 'z');
}

static void skip_blanks(struct span *at)
{
	while (at->length > 0 && is_blank(at->at[0]))
		*at = span_skip(*at, 1);
}

/* Behind blanks, this sign. */
static bool take(struct span *at, const char *sign)
{
	size_t length = strlen(sign);

	skip_blanks(at);
	if (at->length < length || memcmp(at->at, sign, length) != 0)
		return false;
	*at = span_skip(*at, length);
	return true;
}

void asked_quote(char *out, struct span name)
{
	size_t n = strlen(out);

	if (n + 4 > ASKED_NAME_MAX)
		return;
	out[n++] = '"';
	for (size_t i = 0; i < name.length && n + 4 < ASKED_NAME_MAX; i++) {
		out[n++] = (char)name.at[i];
		if (name.at[i] == '"')
			out[n++] = '"';
	}
	out[n++] = '"';
	out[n] = 0;
}

/* One part of a name, as regclass reads it, behind what `out` has. Names that would be cut are not known. */
static bool take_part(struct span *text, char *out)
{
	char part[64];
	size_t n = 0;
	bool quoted = text->length > 0 && text->at[0] == '"';

	if (quoted)
		*text = span_skip(*text, 1);
	for (; text->length > 0 && n < sizeof part; *text = span_skip(*text, 1)) {
		uint8_t c = text->at[0];

		if (quoted ? c == '"' : !is_word(c) || c == '"' || c >= 0x80)
			break;
		part[n++] = (char)(!quoted && c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	if (n == 0 || n == sizeof part || (!quoted && part[0] >= '0' && part[0] <= '9'))
		return false;
	if (quoted) {
		if (text->length == 0)
			return false;
		*text = span_skip(*text, 1);
	}
	asked_quote(out, span_of(part, n));
	return true;
}

/* name or schema.name. */
static bool read_name(struct span text, char out[ASKED_NAME_MAX])
{
	out[0] = 0;
	if (!take_part(&text, out))
		return false;
	if (text.length == 0)
		return true;
	if (text.at[0] != '.')
		return false;
	text = span_skip(text, 1);
	memcpy(out + strlen(out), ".", 2);
	return take_part(&text, out) && text.length == 0;
}

/* The value of a parameter, if all are texts. */
static bool read_parameter(struct span values, unsigned number, struct span *value)
{
	struct reader r = reader_of(values);
	uint16_t formats = read_u16(&r), count;

	for (uint16_t i = 0; i < formats && reader_ok(&r); i++)
		if (read_u16(&r) != 0)
			return false;
	count = read_u16(&r);
	if (number < 1 || number > count)
		return false;
	*value = span_of("", 0);
	for (unsigned i = 0; i < number; i++) {
		int32_t length = read_i32(&r);

		if (length < 0 && i + 1 == number)
			return false;
		*value = read_bytes(&r, length > 0 ? (size_t)length : 0);
	}
	return reader_ok(&r);
}

/* ::regclass, ::text */
static bool take_casts(struct span *at)
{
	while (take(at, "::")) {
		size_t n = 0;

		skip_blanks(at);
		while (n < at->length && is_word(at->at[n]))
			n++;
		if (!text_equal_nocase(span_of(at->at, n), span_text("regclass")) &&
			!text_equal_nocase(span_of(at->at, n), span_text("text")))
			return false;
		*at = span_skip(*at, n);
	}
	return true;
}

/* Behind "currval(". */
static bool take_name(struct span *at, struct span values, char out[ASKED_NAME_MAX])
{
	struct span value;

	if (take(at, "'")) {
		const uint8_t *end = memchr(at->at, '\'', at->length);

		if (!end)
			return false;
		value = span_of(at->at, (size_t)(end - at->at));
		*at = span_skip(*at, value.length + 1);
		if (memchr(value.at, '\\', value.length))
			return false;
	} else if (take(at, "$")) {
		unsigned number = 0;

		for (; at->length > 0 && at->at[0] >= '0' && at->at[0] <= '9' && number < 10000;
			*at = span_skip(*at, 1))
			number = number * 10 + (at->at[0] - '0');
		if (!read_parameter(values, number, &value))
			return false;
	} else {
		return false;
	}
	return read_name(value, out) && take_casts(at) && take(at, ")");
}

bool asked_each(struct span text, struct span values, bool (*each)(void *context, const char *name), void *context)
{
	char name[ASKED_NAME_MAX];
	bool any = false;

	for (size_t i = 0; i + 7 <= text.length; i++) {
		bool last = text_equal_nocase(span_of(text.at + i, 7), span_text("lastval"));
		struct span at = span_skip(text, i + 7);

		if (!last && !text_equal_nocase(span_of(text.at + i, 7), span_text("currval")))
			continue;
		if ((i > 0 && is_word(text.at[i - 1])) || !take(&at, "("))
			return false;
		if (last ? !take(&at, ")") : !take_name(&at, values, name))
			return false;
		if (!each(context, last ? NULL : name))
			return false;
		any = true;
	}
	return any;
}
