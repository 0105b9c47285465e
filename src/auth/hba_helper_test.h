#ifndef PGWEIR_AUTH_HBA_HELPER_TEST_H
#define PGWEIR_AUTH_HBA_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/hba.h"
#include "base/text.h"

/* What the stories of rules share: addresses, the files that a file may name, and how one is parsed and asked. */

static char warnings[2048];

static void warn(const char *line)
{
	size_t length = strlen(warnings);

	text_format(warnings + length, sizeof warnings - length, "%s\n", line);
}

/* Enough of addresses for these stories; serve/ brings the real one. */
static bool parse_ip(struct span span, uint8_t ip[16], unsigned *length)
{
	char text[64], *at = text;

	if (span.length >= sizeof text)
		return false;
	text_copy_span(text, sizeof text, span);
	for (unsigned i = 0; i < 4; i++) {
		unsigned long part = strtoul(at, &at, 10);

		ip[i] = (uint8_t)part;
		if (part > 255 || *at != (i < 3 ? '.' : 0))
			break;
		if (i == 3) {
			*length = 4;
			return true;
		}
		at++;
	}
	if (strcmp(text, "::1") != 0 && strcmp(text, "fd00::") != 0)
		return false;
	memset(ip, 0, 16);
	if (text[0] == ':')
		ip[15] = 1;
	else
		ip[0] = 0xfd;
	*length = 16;
	return true;
}

/* Other files, by their paths. */
static const struct {
	const char *path, *text;
} files[] = {
	{ "team", "anna, bert # the team\n@more\n" },
	{ "more", "carl\n" },
	{ "round", "@round\n" },
	{ "circle", "include circle\n" },
	{ "etc/more.conf", "\nlocal more all trust\ninclude deep/deep.conf\nlocal last @names trust\n" },
	{ "etc/deep/deep.conf", "local deep @names reject\n" },
	{ "etc/deep/names", "anna\n" },
	{ "etc/names", "bert\n" },
	{ "etc/bad.conf", "# nothing\nlocal all\n" },
	{ "etc/maps", "staff root \"all\"\n" },
	{ "etc/d/1.conf", "local one all trust\n" },
	{ "etc/d/2.conf", "local two all reject\n" },
};

static enum hba_file_read read_file(
	void *context, const char *path, char **text, size_t *length, char *error, size_t size)
{
	(void)context;
	if (strcmp(path, "etc/locked.conf") == 0) {
		text_format(error, size, "it is locked");
		return HBA_FILE_BAD;
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (strcmp(files[i].path, path) != 0)
			continue;
		*text = strdup(files[i].text);
		*length = strlen(*text);
		return HBA_FILE_READ;
	}
	text_format(error, size, "there is no such file");
	return HBA_FILE_MISSING;
}

static bool list_folder(void *context, const char *path, struct buf *names, char *error, size_t size)
{
	(void)context;
	if (strcmp(path, "etc/d") == 0)
		return buf_add(names, "1.conf\0002.conf", 14);
	text_format(error, size, "there is no such folder");
	return false;
}

static const char *base = "hba.conf";
static bool roles_can_be_asked = true;

static struct hba *parse(const char *rules, const char *maps, bool lenient, char error[256])
{
	struct hba_source source = { .text = span_text(rules),
		.name = base,
		.ident_text = span_text(maps ? maps : ""),
		.ident_name = maps ? "ident.conf" : NULL,
		.warn = lenient ? warn : NULL,
		.read_file = read_file,
		.list_folder = list_folder,
		.roles = roles_can_be_asked,
		.parse_ip = parse_ip };

	warnings[0] = error[0] = 0;
	return hba_parse(&source, error, 256);
}

/* Rules with nothing wrong in them. */
static struct hba *accepted(const char *rules, const char *maps)
{
	char error[256];
	struct hba *hba = parse(rules, maps, false, error);

	assert_string_equal(error, "");
	assert_non_null(hba);
	return hba;
}

/* What is known of the peer beside that. */
static struct hba_peer known;

/* "md5:3": the method and the line that decided. From a system user ("@anna"), an address, or one with TLS ("+127.0.0.1"), or
 * with a good certificate as well ("#anna": for this name, and anna.example); for physical replication ("~127.0.0.1"). */
static const char *judge(const struct hba *hba, const char *from, const char *database, const char *user)
{
	static const char *const methods[] = { "any", "trust", "password", "md5", "scram-sha-256" };
	static const char *const verdicts[] = {
		[HBA_REJECT] = "reject",
		[HBA_PEER_FAILED] = "stranger",
		[HBA_CERTIFICATE_MISSING] = "uncertified",
		[HBA_CERTIFICATE_FAILED] = "impostor",
		[HBA_ASK_HOST] = "host?",
		[HBA_ASK_ROLES] = "roles?",
		[HBA_HOST_UNKNOWN] = "no host",
		[HBA_ROLES_UNKNOWN] = "no roles",
	};
	static char said[64];
	char names[100];
	size_t names_length;
	struct hba_peer peer = known;
	enum auth_method method = AUTH_ANY;
	enum hba_verdict verdict;
	unsigned rule;

	if (from[0] == '@')
		peer.system_user = from + 1;
	else if (from[0] == '#') {
		names_length = text_format(names, sizeof names, "%s", from + 1) + 1;
		names_length += text_format(names + names_length, sizeof names - names_length, "%s.example", from + 1) +
			1;
		peer.names = span_of(names, names_length);
		peer.certificate = peer.encrypted = parse_ip(span_text("127.0.0.1"), peer.ip, &peer.ip_length);
	} else if (from[0] == '+')
		peer.encrypted = parse_ip(span_text(from + 1), peer.ip, &peer.ip_length);
	else if (from[0] == '~')
		peer.replication = parse_ip(span_text(from + 1), peer.ip, &peer.ip_length);
	else if (from[0])
		assert_true(parse_ip(span_text(from), peer.ip, &peer.ip_length));
	verdict = hba_judge(hba, &peer, span_text(database), span_text(user), &method, &rule);
	if (verdict == HBA_NONE) {
		assert_int_equal(rule, 0);
		return "none";
	}
	text_format(said, sizeof said, "%s:%u", verdict == HBA_METHOD ? methods[method] : verdicts[verdict],
		hba_line(hba, rule));
	return said;
}

#endif
