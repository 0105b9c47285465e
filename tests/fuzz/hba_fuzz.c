/* auth_hba_file and auth_ident_file: whatever they hold, an error or rules that can be judged. */
#include <stdlib.h>

#include "auth/hba.h"
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

static bool read_file(void *context, const char *path, char **text, size_t *length, char *error, size_t size)
{
	const struct span *all = context;

	(void)path;
	if (size > 0)
		error[0] = 0;
	*text = malloc(all->length + 1);
	check(*text);
	memcpy(*text, all->at, all->length);
	*length = all->length;
	return true;
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
	enum auth_method method;
	unsigned line;

	check(hba || error[0]);
	if (hba)
		(void)hba_judge(hba, &peer, span_text("d"), span_text("anna"), &method, &line);
	hba_free(hba);
	return 0;
}
