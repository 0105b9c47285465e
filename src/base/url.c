#include "base/url.h"

#include "base/text.h"

struct span span_upto(struct span *rest, char end)
{
	const uint8_t *found = rest->length ? memchr(rest->at, end, rest->length) : NULL;
	struct span before = *rest;

	if (!found) {
		*rest = span_of(rest->at + rest->length, 0);
		return before;
	}
	before.length = (size_t)(found - rest->at);
	*rest = span_skip(*rest, before.length + 1);
	return before;
}

bool url_split(struct span text, struct url *url)
{
	const uint8_t *at;
	struct span rest, authority;

	*url = (struct url){ 0 };
	text = text_trim(text);
	at = text.length ? memmem(text.at, text.length, "://", 3) : NULL;
	if (!at)
		return false;
	url->scheme = span_of(text.at, (size_t)(at - text.at));
	rest = span_skip(text, url->scheme.length + 3);
	authority = span_upto(&rest, '?');
	url->query = rest;
	rest = authority;
	authority = span_upto(&rest, '/');
	url->name = rest;
	at = authority.length ? memrchr(authority.at, '@', authority.length) : NULL;
	if (at) {
		struct span user = span_of(authority.at, (size_t)(at - authority.at));

		authority = span_skip(authority, user.length + 1);
		url->has_password = user.length && memchr(user.at, ':', user.length);
		url->user = span_upto(&user, ':');
		url->password = user;
	}
	if (authority.length && authority.at[0] == '[') {
		authority = span_skip(authority, 1);
		url->host = span_upto(&authority, ']');
		span_upto(&authority, ':');
		url->port = authority;
	} else {
		url->host = span_upto(&authority, ':');
		url->port = authority;
	}
	return true;
}

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int url_byte(struct span from)
{
	int high, low;

	if (from.length < 3 || from.at[0] != '%')
		return -1;
	high = hex(from.at[1]);
	low = hex(from.at[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void url_decode(struct span from, char *out, size_t size, bool plus_is_space)
{
	size_t n = 0;

	for (size_t i = 0; i < from.length && n + 1 < size; i++) {
		int decoded = url_byte(span_skip(from, i));
		uint8_t c = from.at[i];

		if (decoded >= 0) {
			c = (uint8_t)decoded;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c)
			out[n++] = (char)c;
	}
	out[n] = 0;
}

bool url_parameter(struct span *query, struct span *key, struct span *value)
{
	if (query->length == 0)
		return false;
	*value = span_upto(query, '&');
	*key = span_upto(value, '=');
	return true;
}
