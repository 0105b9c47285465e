#include "base/directory.h"

#include <string.h>

#include "base/text.h"
#include "base/url.h"

/* Words of a line become fields; the URI is put together at the end, from ldapurl or from ldapscheme, ldapserver and ldapport. A user's name
 * goes into a DN and into a filter only if no letter of it means anything there: what was refused can not be escaped wrongly. */

struct line {
	char server[512], scheme[8], url_host[256];
	unsigned port;
	bool has_url;
};

struct key {
	const char *name;
	size_t at, size;
};

#define KEY(NAME, FIELD) \
	{ \
		NAME, offsetof(struct directory, FIELD), sizeof((struct directory *)0)->FIELD \
	}
static const struct key keys[] = {
	KEY("ldapprefix", prefix),
	KEY("ldapsuffix", suffix),
	KEY("ldapbasedn", base),
	KEY("ldapbinddn", bind_dn),
	KEY("ldapbindpasswd", bind_password),
	KEY("ldapsearchattribute", attribute),
	KEY("ldapsearchfilter", filter),
};

static bool copy_whole(char *out, size_t size, const char *value, const char *name, char *error, size_t error_size)
{
	if (text_copy(out, size, value) == strlen(value))
		return true;
	text_format(error, error_size, "%s is longer than %zu bytes", name, size - 1);
	return false;
}

/* A part of a URL without its %XX. */
static bool decode(char *out, size_t size, const char *from, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			c = url_byte(span_of(from + i, length - i));
			if (c <= 0)
				return false;
			i += 2;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = 0;
	return true;
}

/* The part up to the next '?', and what follows it. */
static bool take_part(const char **rest, char *out, size_t size)
{
	const char *end = strchr(*rest, '?');
	size_t length = end ? (size_t)(end - *rest) : strlen(*rest);
	bool ok = decode(out, size, *rest, length);

	*rest += length + (end ? 1 : 0);
	return ok;
}

/* ldap[s]://HOST[:PORT]/BASE[?ATTRIBUTE[?SCOPE[?FILTER]]] (RFC 4516) */
static bool take_url(struct directory *d, struct line *line, const char *url, char *error, size_t error_size)
{
	const char *rest = url, *slash;
	char scope[8] = "";
	size_t host;

	text_format(error, error_size, "ldapurl is no ldap://HOST[:PORT]/BASE[?ATTRIBUTE[?SCOPE[?FILTER]]]");
	if (strncmp(rest, "ldaps://", 8) == 0)
		text_copy(line->scheme, sizeof line->scheme, "ldaps");
	else if (strncmp(rest, "ldap://", 7) != 0)
		return false;
	rest = strstr(rest, "://") + 3;
	slash = strchr(rest, '/');
	host = slash ? (size_t)(slash - rest) : strlen(rest);
	if (host == 0 || !decode(line->url_host, sizeof line->url_host, rest, host))
		return false;
	line->has_url = true;
	rest += host + (slash ? 1 : 0);
	if (!take_part(&rest, d->base, sizeof d->base) || !take_part(&rest, d->attribute, sizeof d->attribute) ||
		!take_part(&rest, scope, sizeof scope) || !take_part(&rest, d->filter, sizeof d->filter) || *rest)
		return false;
	d->search = true;
	if (strcmp(scope, "one") == 0)
		d->scope = 1;
	else if (strcmp(scope, "sub") == 0)
		d->scope = 2;
	else if (strcmp(scope, "") == 0 || strcmp(scope, "base") == 0)
		d->scope = 0;
	else
		return false;
	return true;
}

static bool take_pair(
	struct directory *d, struct line *line, const char *name, const char *value, char *error, size_t error_size)
{
	int64_t port;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(name, keys[i].name) == 0)
			return copy_whole((char *)d + keys[i].at, keys[i].size, value, name, error, error_size);
	if (strcmp(name, "ldapserver") == 0)
		return copy_whole(line->server, sizeof line->server, value, name, error, error_size);
	if (strcmp(name, "ldapurl") == 0)
		return take_url(d, line, value, error, error_size);
	if (strcmp(name, "ldapport") == 0) {
		if (text_to_i64(span_text(value), &port) && port >= 1 && port <= 65535) {
			line->port = (unsigned)port;
			return true;
		}
		text_format(error, error_size, "ldapport=%.40s is no port", value);
		return false;
	}
	if (strcmp(name, "ldapscheme") == 0) {
		if (strcmp(value, "ldap") == 0 || strcmp(value, "ldaps") == 0) {
			text_copy(line->scheme, sizeof line->scheme, value);
			return true;
		}
		text_format(error, error_size, "ldapscheme=%.40s: it is ldap or ldaps", value);
		return false;
	}
	if (strcmp(name, "ldaptls") == 0) {
		if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0) {
			d->start_tls = value[0] == '1';
			return true;
		}
		text_format(error, error_size, "ldaptls=%.40s: it is 0 or 1", value);
		return false;
	}
	text_format(error, error_size, "\"%.60s\" is no option of ldap", name);
	return false;
}

/* KEY=VALUE without its quotes. 1: there is one, 0: the end, -1: `error`. */
static int take_word(struct span *text, char *out, size_t size, char *error, size_t error_size)
{
	bool inside = false, began = false;
	size_t n = 0;

	while (text->length > 0 && strchr(" \t\r\n", text->at[0]) && text->at[0])
		*text = span_skip(*text, 1);
	while (text->length > 0 && (inside || !text->at[0] || !strchr(" \t\r\n", text->at[0]))) {
		uint8_t c = text->at[0];

		*text = span_skip(*text, 1);
		began = true;
		if (c == '"' && inside && text->length > 0 && text->at[0] == '"') {
			*text = span_skip(*text, 1);
		} else if (c == '"') {
			inside = !inside;
			continue;
		}
		if (c == 0 || n + 1 >= size) {
			text_format(error, error_size, c ? "an option is too long" : "a zero byte");
			return -1;
		}
		out[n++] = (char)c;
	}
	out[n] = 0;
	if (!inside)
		return began;
	text_format(error, error_size, "quotes are not closed");
	return -1;
}

/* ldap://HOST:PORT for each of the servers. */
static bool make_uri(struct directory *d, const struct line *line)
{
	const char *scheme = line->scheme[0] ? line->scheme : "ldap",
		   *rest = line->has_url ? line->url_host : line->server;
	size_t n = 0;

	while (*rest) {
		size_t length = strcspn(rest, " ");

		if (length > 0) {
			n += text_format(
				d->uri + n, sizeof d->uri - n, "%s%s://%.*s", n ? " " : "", scheme, (int)length, rest);
			if (line->port && !line->has_url)
				n += text_format(d->uri + n, sizeof d->uri - n, ":%u", line->port);
			if (n + 1 >= sizeof d->uri)
				return false;
		}
		rest += length + (rest[length] ? 1 : 0);
	}
	return n > 0;
}

/* What can not be meant together (PostgreSQL refuses the same). */
static const char *contradiction(const struct directory *d, const struct line *line)
{
	bool names = d->prefix[0] || d->suffix[0];
	bool searches = d->base[0] || d->bind_dn[0] || d->bind_password[0] || d->attribute[0] || d->filter[0] ||
		line->has_url;

	if (!line->has_url && !line->server[0])
		return "ldapserver is missing";
	if (line->has_url && (line->server[0] || line->port))
		return "ldapurl says the server and the port already";
	if (names && searches)
		return "ldapprefix and ldapsuffix are for simple bind, ldapbasedn and the like for search and bind: not both";
	if (!names && !searches)
		return "ldapbasedn, ldapprefix or ldapsuffix is needed";
	if (searches && !d->base[0])
		return "ldapbasedn is missing";
	if (d->attribute[0] && d->filter[0])
		return "ldapsearchattribute and ldapsearchfilter can not be used together";
	if (d->start_tls && strcmp(line->scheme, "ldaps") == 0)
		return "ldaptls=1 and ldaps are two ways of encryption: one of them";
	return NULL;
}

void directory_mask(struct span text, char *out, size_t size)
{
	static const char secret[] = "ldapbindpasswd";
	char word[1024], error[100];
	size_t n = 0;
	int took;

	*out = 0;
	do {
		struct span before = text;
		bool hidden;

		took = take_word(&text, word, sizeof word, error, sizeof error);
		hidden = took != 0 && strncmp(word, secret, sizeof secret - 1) == 0;
		before = text_trim(span_of(before.at, before.length - text.length));
		if (took < 0)
			n += text_format(out + n, size - n, "%s****", n ? " " : "");
		else if (took > 0)
			n += text_format(out + n, size - n, "%s%.*s%s", n ? " " : "", hidden ? 0 : (int)before.length,
				(const char *)before.at, hidden ? "ldapbindpasswd=****" : "");
		secret_wipe(word, sizeof word);
	} while (took > 0);
}

bool directory_parse(struct directory *d, struct span text, char *error, size_t error_size)
{
	struct line line = { 0 };
	char word[1024], *equals;
	const char *wrong;
	int took;

	memset(d, 0, sizeof *d);
	d->scope = 2;
	while ((took = take_word(&text, word, sizeof word, error, error_size)) > 0) {
		equals = strchr(word, '=');
		if (!equals) {
			text_format(error, error_size, "\"%.60s\" is no KEY=VALUE", word);
			return false;
		}
		*equals = 0;
		if (!take_pair(d, &line, word, equals + 1, error, error_size))
			return false;
	}
	secret_wipe(word, sizeof word);
	if (took < 0)
		return false;
	wrong = contradiction(d, &line);
	if (wrong) {
		text_format(error, error_size, "%s", wrong);
		return false;
	}
	d->search = d->base[0] != 0;
	if (!make_uri(d, &line)) {
		text_format(error, error_size, "ldapserver names no server, or too many");
		return false;
	}
	return true;
}

static bool is_plain(const char *user, const char *meaning)
{
	for (; *user; user++)
		if ((unsigned char)*user < 0x20 || *user == 0x7f || strchr(meaning, *user))
			return false;
	return true;
}

bool directory_name(const struct directory *d, const char *user, char *out, size_t size)
{
	size_t whole = strlen(d->prefix) + strlen(user) + strlen(d->suffix);

	return is_plain(user, ",+\"\\<>;=#") && whole < size &&
		text_format(out, size, "%s%s%s", d->prefix, user, d->suffix) == whole;
}

bool directory_filter(const struct directory *d, const char *user, char *out, size_t size)
{
	static const char variable[] = "$username";
	const char *rest = d->filter, *found;
	size_t n = 0;

	if (!is_plain(user, "*()\\/"))
		return false;
	if (!d->filter[0])
		return text_format(out, size, "(%s=%s)", d->attribute[0] ? d->attribute : "uid", user) + 1 < size;
	while ((found = strstr(rest, variable)) && n + 1 < size) {
		n += text_format(out + n, size - n, "%.*s%s", (int)(found - rest), rest, user);
		rest = found + sizeof variable - 1;
	}
	n += text_format(out + n, size - n, "%s", rest);
	return n + 1 < size;
}
