/* auth_hba_file and auth_ident_file: whatever they hold, an error or rules that can be judged. */
#include <stdlib.h>

#include "auth/hba.h"
#include "base/buf.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse_ip(struct span span, uint8_t ip[16], unsigned *length)
{
	if (span.length < 4)
		return false;
	*length = span.at[0] & 1 ? 4 : 16;
	for (unsigned i = 0; i < *length; i++)
		ip[i] = span.at[i % span.length];
	return true;
}

static void warn(const char *line)
{
	check(line[0] != 0);
}

/* Every other file is the same one. */
static enum hba_file_read read_file(
	void *context, const char *path, char **text, size_t *length, char *error, size_t size)
{
	const struct span *all = context;

	if (size > 0)
		error[0] = 0;
	if (path[0] == '?')
		return path[1] == '?' ? HBA_FILE_BAD : HBA_FILE_MISSING;
	*text = malloc(all->length + 1);
	check(*text);
	memcpy(*text, all->at, all->length);
	*length = all->length;
	return HBA_FILE_READ;
}

static bool list_folder(void *context, const char *path, struct buf *names, char *error, size_t size)
{
	(void)context;
	if (size > 0)
		error[0] = 0;
	return path[0] != '?' && buf_add(names, "a.conf\0b.conf", 14);
}

/* Whatever is not known ends in a question once, and never in a question about what is known. */
static void judge(const struct hba *hba, struct hba_peer peer, const struct roles *roles, const char *host)
{
	enum auth_method method;
	enum hba_verdict verdict;
	unsigned rule;

	while ((verdict = hba_judge(hba, &peer, span_text("d"), span_text("anna"), &method, &rule)) == HBA_ASK_HOST ||
		verdict == HBA_ASK_ROLES) {
		enum hba_known *known = verdict == HBA_ASK_HOST ? &peer.host_known : &peer.roles_known;

		check(*known == HBA_UNASKED);
		*known = (verdict == HBA_ASK_HOST ? host != NULL : roles != NULL) ? HBA_KNOWN : HBA_UNKNOWABLE;
		peer.host = host;
		peer.roles = roles;
	}
	check(verdict == HBA_NONE || hba_line(hba, rule) > 0);
	check(verdict != HBA_ROLES_UNKNOWN || peer.roles_known == HBA_UNKNOWABLE);
	check(verdict != HBA_HOST_UNKNOWN || peer.host_known == HBA_UNKNOWABLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size > 0 ? data[0] % (size + 0u) : 0;
	struct span names = size > 0 ? span_of(data, half < 40 ? half : 40) : span_of("", 0);
	struct hba_source source = { .text = span_of(data, half),
		.name = "hba",
		.ident_text = span_of(data + half, size - half),
		.ident_name = "ident",
		.warn = size & 1 ? warn : NULL,
		.read_file = read_file,
		.list_folder = list_folder,
		.roles = !(size & 2),
		.context = &names,
		.parse_ip = parse_ip };
	struct hba_peer peer = { .ip_length = size % 3 == 0 ? 0
			: size % 3 == 1                     ? 4
							    : 16,
		.system_user = "anna",
		.encrypted = size & 4,
		.certificate = size & 8,
		.names = names };
	char error[200] = "";
	struct hba *hba = hba_parse(&source, error, sizeof error);
	struct roles *roles = roles_new();

	check(hba || error[0]);
	check(roles && roles_add(roles, span_text("anna")) && roles_add(roles, span_text("staff")));
	if (hba) {
		judge(hba, peer, NULL, NULL);
		judge(hba, peer, roles, "db.example");
		judge(hba, peer, roles, "");
	}
	roles_drop(roles);
	hba_free(hba);
	return 0;
}
