#include "io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "base/text.h"
#include "io/private.h"

/* Addresses without the kernel's types, so that everything above io/ can hold, compare and print them, and the simulator
 * can make them up. A unix path starting with '@' is Linux's abstract name: the kernel sees a zero byte in its place.
 * PostgreSQL's own rule (libpq-connect, "host") is that such a folder makes names like "@folder/.s.PGSQL.5432". */

_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path == sizeof((struct address *)0)->path,
	"a path of ours fits the kernel's");

bool address_parse(const char *text, uint16_t port, struct address *out)
{
	char bare[INET6_ADDRSTRLEN];
	const char *percent = strchr(text, '%');

	*out = (struct address){ .port = port };
	if (inet_pton(AF_INET, text, out->ip) == 1) {
		out->family = ADDRESS_IPV4;
		return true;
	}
	if (percent) {
		char *end;
		unsigned long scope;

		if ((size_t)(percent - text) >= sizeof bare || percent[1] == 0)
			return false;
		text_copy_span(bare, sizeof bare, span_of(text, (size_t)(percent - text)));
		text = bare;
		scope = if_nametoindex(percent + 1);
		if (scope == 0) {
			scope = strtoul(percent + 1, &end, 10);
			if (*end || scope == 0 || scope > UINT32_MAX)
				return false;
		}
		out->scope = (uint32_t)scope;
	}
	if (inet_pton(AF_INET6, text, out->ip) == 1) {
		out->family = ADDRESS_IPV6;
		return true;
	}
	*out = (struct address){ .family = ADDRESS_NONE };
	return false;
}

bool address_unix(const char *folder, uint16_t port, struct address *out)
{
	*out = (struct address){ .family = ADDRESS_UNIX, .port = port };
	if (strlen(folder) + sizeof "/.s.PGSQL.65535" > sizeof out->path) {
		*out = (struct address){ .family = ADDRESS_NONE };
		return false;
	}
	text_format(out->path, sizeof out->path, "%s/.s.PGSQL.%u", folder, port);
	return true;
}

/* As inet_ntop, which goes by way of sprintf: every login asks for this text more than once. Returns its end. */
static char *ipv4_text(const uint8_t ip[4], char *out)
{
	for (int i = 0; i < 4; i++) {
		if (ip[i] >= 100)
			*out++ = (char)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*out++ = (char)('0' + ip[i] / 10 % 10);
		*out++ = (char)('0' + ip[i] % 10);
		*out++ = '.';
	}
	*--out = 0;
	return out;
}

static void port_text(uint16_t port, char *out)
{
	char digits[6];
	size_t n = sizeof digits;

	digits[--n] = 0;
	do
		digits[--n] = (char)('0' + port % 10);
	while (port /= 10);
	*out++ = ':';
	memcpy(out, digits + n, sizeof digits - n);
}

char *address_host_text(const struct address *a, char out[ADDRESS_TEXT])
{
	size_t n;

	switch (a->family) {
	case ADDRESS_IPV4:
		ipv4_text(a->ip, out);
		break;
	case ADDRESS_IPV6:
		inet_ntop(AF_INET6, a->ip, out, ADDRESS_TEXT);
		n = strlen(out);
		if (a->scope)
			text_format(out + n, ADDRESS_TEXT - n, "%%%u", a->scope);
		break;
	case ADDRESS_UNIX:
		text_copy(out, ADDRESS_TEXT, "unix");
		break;
	default:
		text_copy(out, ADDRESS_TEXT, "nowhere");
	}
	return out;
}

char *address_text(const struct address *a, char out[ADDRESS_TEXT])
{
	char host[ADDRESS_TEXT];

	switch (a->family) {
	case ADDRESS_IPV4:
		port_text(a->port, ipv4_text(a->ip, out));
		break;
	case ADDRESS_IPV6:
		snprintf(out, ADDRESS_TEXT, "[%.64s]:%u", address_host_text(a, host), a->port);
		break;
	case ADDRESS_UNIX:
		if (a->path[0])
			snprintf(out, ADDRESS_TEXT, "unix:%s", a->path);
		else
			text_copy(out, ADDRESS_TEXT, "unix");
		break;
	default:
		address_host_text(a, out);
	}
	return out;
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->family != b->family)
		return false;
	switch (a->family) {
	case ADDRESS_IPV4:
		return a->port == b->port && memcmp(a->ip, b->ip, 4) == 0;
	case ADDRESS_IPV6:
		return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
	case ADDRESS_UNIX:
		return strcmp(a->path, b->path) == 0;
	default:
		return true;
	}
}

bool address_covers(const struct address *a, const struct address *b)
{
	static const uint8_t all[sizeof a->ip];
	bool by_ip = a->family == ADDRESS_IPV4 || a->family == ADDRESS_IPV6;

	if (by_ip && a->family == b->family && a->port == b->port &&
		memcmp(a->ip, all, a->family == ADDRESS_IPV4 ? 4 : sizeof all) == 0)
		return true;
	return address_equal(a, b);
}

socklen_t address_to_kernel(const struct address *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)out;
	size_t length;

	memset(out, 0, sizeof *out);
	switch (a->family) {
	case ADDRESS_IPV4:
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof *in;
	case ADDRESS_IPV6:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		in6->sin6_scope_id = a->scope;
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof *in6;
	case ADDRESS_UNIX:
		length = strlen(a->path);
		un->sun_family = AF_UNIX;
		if (length == 0)
			return offsetof(struct sockaddr_un, sun_path); /* unnamed */
		memcpy(un->sun_path, a->path, length);
		if (a->path[0] == '@') {
			un->sun_path[0] = 0;
			return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
		}
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	default:
		check(!"an address has a family");
		return 0;
	}
}

/* ".../.s.PGSQL.5432" is 5432; any other name is 0. */
static uint16_t port_in_path(const char *path)
{
	static const char before[] = ".s.PGSQL.";
	const char *name = strrchr(path, '/');
	int64_t port;

	name = name ? name + 1 : path;
	if (strncmp(name, before, sizeof before - 1) != 0)
		return 0;
	if (!text_to_i64(span_text(name + sizeof before - 1), &port) || port < 0 || port > UINT16_MAX)
		return 0;
	return (uint16_t)port;
}

void address_of_socket(int descriptor, struct address *out)
{
	struct sockaddr_storage at;
	socklen_t length = sizeof at;

	if (getsockname(descriptor, (struct sockaddr *)&at, &length) != 0)
		length = 0;
	address_from_kernel(&at, length, out);
}

void address_from_kernel(const struct sockaddr_storage *from, socklen_t length, struct address *out)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)from;
	size_t n;

	*out = (struct address){ .family = ADDRESS_NONE };
	if (length < sizeof from->ss_family)
		return;
	switch (from->ss_family) {
	case AF_INET:
		out->family = ADDRESS_IPV4;
		out->port = ntohs(in->sin_port);
		memcpy(out->ip, &in->sin_addr, 4);
		break;
	case AF_INET6:
		out->family = ADDRESS_IPV6;
		out->port = ntohs(in6->sin6_port);
		out->scope = in6->sin6_scope_id;
		memcpy(out->ip, &in6->sin6_addr, 16);
		break;
	case AF_UNIX:
		out->family = ADDRESS_UNIX;
		n = length - offsetof(struct sockaddr_un, sun_path);
		if (length <= offsetof(struct sockaddr_un, sun_path))
			break;
		if (n > sizeof out->path - 1)
			n = sizeof out->path - 1;
		memcpy(out->path, un->sun_path, n);
		if (out->path[0] == 0)
			out->path[0] = '@';
		out->port = port_in_path(out->path);
		break;
	default:
		break;
	}
}

/* An address of IPv4 at a socket of both. */
static bool is_mapped(const struct address *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return a->family == ADDRESS_IPV6 && memcmp(a->ip, mapped, sizeof mapped) == 0;
}

bool address_is_loopback(const struct address *a)
{
	static const uint8_t six[16] = { [15] = 1 };

	if (a->family == ADDRESS_IPV4)
		return a->ip[0] == 127;
	return a->family == ADDRESS_IPV6 && (memcmp(a->ip, six, sizeof six) == 0 || (is_mapped(a) && a->ip[12] == 127));
}

uint64_t address_source(const struct address *a)
{
	uint64_t source = 0;

	if (a->family == ADDRESS_IPV4 || is_mapped(a))
		memcpy(&source, a->ip + (a->family == ADDRESS_IPV4 ? 0 : 12), 4);
	else if (a->family == ADDRESS_IPV6)
		memcpy(&source, a->ip, sizeof source);
	return source;
}

bool address_parse_place(const char *text, struct address *out)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char host[80];
	int64_t port;

	*out = (struct address){ .family = ADDRESS_NONE };
	if (!colon || length >= sizeof host || !text_to_i64(span_text(colon + 1), &port) || port < 0 || port > 65535)
		return false;
	if (length > 2 && text[0] == '[' && text[length - 1] == ']')
		text_copy_span(host, sizeof host, span_of(text + 1, length - 2));
	else
		text_copy_span(host, sizeof host, span_of(text, length));
	if (strcmp(host, "localhost") == 0)
		text_copy(host, sizeof host, "127.0.0.1");
	else if (strcmp(host, "*") == 0)
		text_copy(host, sizeof host, "0.0.0.0");
	/* An IPv6 address without brackets could as well end in the port. */
	return address_parse(host, (uint16_t)port, out) && (out->family == ADDRESS_IPV6) == (text[0] == '[');
}
