#include "session/web.h"

#include "base/text.h"
#include "io/address.h"

/* Readers of header values: straight lines over a span, no memory of their own. */

/* Take what stands before `mark` off the front; all of it where there is no mark. */
static struct span take_until(struct span *rest, char mark)
{
	const uint8_t *at = rest->length ? memchr(rest->at, mark, rest->length) : NULL;
	struct span taken = span_of(rest->at, at ? (size_t)(at - rest->at) : rest->length);

	*rest = span_skip(*rest, at ? taken.length + 1 : taken.length);
	return taken;
}

static bool is_port(struct span text)
{
	int64_t number;

	return text.length <= 5 && text_to_i64(text, &number) && number > 0 && number < 65536;
}

bool web_host_is_local(struct span host)
{
	struct span name = host, port;
	struct address address;
	char text[64];

	if (host.length == 0 || host.length >= sizeof text)
		return false;
	if (host.at[0] == '[') {
		name = span_skip(host, 1);
		port = name;
		name = take_until(&port, ']');
		if (name.length + 1 == host.length || (port.length > 0 && port.at[0] != ':'))
			return false;
		port = port.length > 0 ? span_skip(port, 1) : span_text("1");
	} else {
		bool bare = !memchr(host.at, ':', host.length);

		port = host;
		name = take_until(&port, ':');
		if (bare)
			port = span_text("1");
	}
	if (!is_port(port))
		return false;
	if (text_equal_nocase(name, span_text("localhost")))
		return true;
	text_copy_span(text, sizeof text, name);
	return strlen(text) == name.length && address_parse(text, 0, &address) && address_is_loopback(&address) &&
		(address.family == ADDRESS_IPV6) == (host.at[0] == '[');
}

bool web_origin_is(struct span origin, struct span host, bool secure)
{
	struct span scheme = span_text(secure ? "https://" : "http://");

	return origin.length == scheme.length + host.length && span_equal(span_of(origin.at, scheme.length), scheme) &&
		text_equal_nocase(span_skip(origin, scheme.length), host);
}

bool web_cookie(struct span header, const char *name, struct span *value)
{
	while (header.length > 0) {
		struct span pair = text_trim(take_until(&header, ';')), key = take_until(&pair, '=');

		if (span_is(key, name)) {
			*value = pair;
			return true;
		}
	}
	return false;
}

static int digit_of(uint8_t c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

/* False: broken, too long, or with a zero byte inside. */
static bool decode(struct span from, char *out, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < from.length; i++) {
		int c = from.at[i] == '+' ? ' ' : from.at[i];

		if (c == '%') {
			if (from.length - i < 3 || digit_of(from.at[i + 1]) < 0 || digit_of(from.at[i + 2]) < 0)
				return false;
			c = digit_of(from.at[i + 1]) * 16 + digit_of(from.at[i + 2]);
			i += 2;
		}
		if (c == 0 || length + 1 >= size)
			return false;
		out[length++] = (char)c;
	}
	out[length] = 0;
	return true;
}

bool web_field(struct span form, const char *name, char *out, size_t size)
{
	out[0] = 0;
	while (form.length > 0) {
		struct span pair = take_until(&form, '&'), key = take_until(&pair, '=');

		if (span_is(key, name) && decode(pair, out, size))
			return true;
		if (span_is(key, name))
			break;
	}
	secret_wipe(out, size); /* half a password is none */
	return false;
}

bool web_type_is(struct span header, const char *type)
{
	return text_equal_nocase(text_trim(take_until(&header, ';')), span_text(type));
}

/* "0", "0.5", "1.000" in thousandths; what is none weighs nothing. */
static int weight_of(struct span text)
{
	int weight, unit = 100;

	if (text.length == 0 || text.length > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
		(text.length > 1 && text.at[1] != '.'))
		return 0;
	weight = (text.at[0] - '0') * 1000;
	for (size_t i = 2; i < text.length; i++, unit /= 10) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return 0;
		weight += (text.at[i] - '0') * unit;
	}
	return weight > 1000 ? 1000 : weight;
}

bool web_wants_openmetrics(struct span accept)
{
	int plain = 0, open = 0;

	while (accept.length > 0) {
		struct span range = take_until(&accept, ','), type = text_trim(take_until(&range, ';'));
		int weight = 1000;
		bool version = true;

		while (range.length > 0) {
			struct span value = text_trim(take_until(&range, ';')), key = take_until(&value, '=');

			if (span_is(key, "q"))
				weight = weight_of(value);
			else if (span_is(key, "version"))
				version = span_is(value, "1.0.0");
		}
		if (text_equal_nocase(type, span_text("application/openmetrics-text")) && version && weight > open)
			open = weight;
		else if (text_equal_nocase(type, span_text("text/plain")) && weight > plain)
			plain = weight;
	}
	return open > 0 && open >= plain;
}
