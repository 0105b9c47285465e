#include <string.h>

#include "base/text.h"
#include "io/address.h"
#include "tool/stress_options.h"

static bool complain(char *error, size_t size, const char *url, const char *what)
{
	char shown[200];

	text_escape(shown, sizeof shown, span_text(url));
	text_format(error, size, "%s: %s", shown, what);
	return false;
}

bool stress_host_is_here(const char *host)
{
	static const uint8_t six[16] = { [15] = 1 };
	struct address address;

	if (host[0] == '/' || host[0] == '@')
		return true;
	if (text_equal_nocase(span_text(host), span_text("localhost")))
		return true;
	if (!address_parse(host, 0, &address))
		return false;
	return address.family == ADDRESS_IPV4 ? address.ip[0] == 127 : memcmp(address.ip, six, sizeof six) == 0;
}

/* host, host:port, [::1]:port. */
static bool read_authority(struct span text, struct stress_plan *plan)
{
	const uint8_t *end = text.at + text.length, *colon;
	int64_t port = plan->tls ? 443 : 80;
	struct span host = text;

	if (text.length > 0 && text.at[0] == '[') {
		const uint8_t *close = memchr(text.at, ']', text.length);

		if (!close)
			return false;
		host = span_of(text.at + 1, (size_t)(close - text.at) - 1);
		colon = close + 1 < end ? close + 1 : NULL;
		if (colon && *colon != ':')
			return false;
	} else {
		colon = memchr(text.at, ':', text.length);
		if (colon)
			host.length = (size_t)(colon - text.at);
	}
	if (colon &&
		(colon + 1 == end || *(colon + 1) < '1' || *(colon + 1) > '9' ||
			!text_to_i64(span_of(colon + 1, (size_t)(end - colon) - 1), &port) || port > 65535))
		return false;
	if (host.length == 0 || host.length >= sizeof plan->host)
		return false;
	text_copy_span(plan->host, sizeof plan->host, host);
	plan->port = (int)port;
	return true;
}

static bool is_path_letter(uint8_t c)
{
	return c > ' ' && c < 0x7f;
}

bool stress_url_read(const char *url, struct stress_plan *plan, char *error, size_t error_size)
{
	static const struct {
		const char *scheme;
		enum stress_target target;
		bool tls;
	} schemes[] = { { "ws://", TARGET_WEBSOCKET, false }, { "wss://", TARGET_WEBSOCKET, true },
		{ "http://", TARGET_HTTP, false }, { "https://", TARGET_HTTP, true },
		{ "postgresql://", TARGET_POSTGRES, false }, { "postgres://", TARGET_POSTGRES, false } };
	const char *rest = NULL;
	struct span authority, path;

	plan->url = url;
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && !rest; i++) {
		if (strncmp(url, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
			continue;
		plan->target = schemes[i].target;
		plan->tls = schemes[i].tls;
		rest = url + strlen(schemes[i].scheme);
	}
	if (!rest)
		return complain(error, error_size, url,
			"a target begins with ws://, wss://, http://, https:// or postgresql://");
	if (plan->target == TARGET_POSTGRES)
		return true;
	authority = span_of(rest, strcspn(rest, "/?#"));
	path = span_of(rest + authority.length, strcspn(rest + authority.length, "#"));
	if (memchr(authority.at, '@', authority.length))
		return complain(
			error, error_size, url, "put the password into a header: --header 'Authorization: ...'");
	if (!read_authority(authority, plan))
		return complain(error, error_size, url, "the part after :// is HOST, HOST:PORT or [IPV6]:PORT");
	if (path.length + 2 > sizeof plan->path)
		return complain(error, error_size, url, "the path is longer than 998 letters");
	for (size_t i = 0; i < path.length; i++) {
		if (!is_path_letter(path.at[i]))
			return complain(error, error_size, url,
				"a path has no spaces, control characters or other than ASCII: write %20 and so on");
	}
	text_format(plan->path, sizeof plan->path, "%s%.*s", path.length > 0 && path.at[0] == '/' ? "" : "/",
		(int)path.length, (const char *)path.at);
	return true;
}
