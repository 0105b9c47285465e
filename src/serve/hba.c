#include "serve/hba.h"

#include <stdlib.h>

#include "auth/hba.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/text.h"
#include "io/address.h"
#include "io/file.h"

/* The files of auth_type=hba. A file that can not be read or is wrong changes nothing: RELOAD fails and the rules before it stay. */

#define FILE_MOST  (16 << 20)
#define FILES_MOST 1000 /* in one folder */

static bool parse_ip(struct span span, uint8_t ip[16], unsigned *length)
{
	struct address address;
	char text[64];

	if (span.length >= sizeof text)
		return false;
	text_copy_span(text, sizeof text, span);
	if (!address_parse(text, 0, &address) || address.scope)
		return false;
	*length = address.family == ADDRESS_IPV4 ? 4 : 16;
	memcpy(ip, address.ip, *length);
	return true;
}

static enum hba_file_read read_other(
	void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	(void)context;
	if (file_read(path, FILE_MOST, text, length, error, error_size))
		return HBA_FILE_READ;
	return path_is_missing(path) ? HBA_FILE_MISSING : HBA_FILE_BAD;
}

static bool list_folder(void *context, const char *path, struct buf *names, char *error, size_t error_size)
{
	(void)context;
	return folder_names(path, ".conf", FILES_MOST, names, error, error_size);
}

/* Somebody holds for some database as whom PostgreSQL can be asked. */
static bool roles_can_be_asked(const struct config *config)
{
	bool can = config->auth_user[0] != 0;

	for (size_t i = 0; i < config->database_count; i++)
		can = can || (config->databases[i].auth_user && config->databases[i].auth_user[0]);
	return can;
}

static void warn(const char *line)
{
	log_line(LOG_WARNING, "%s", line);
}

static bool read_file(const char *key, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	char reason[256];

	if (file_read(path, FILE_MOST, text, length, reason, sizeof reason))
		return true;
	text_format(error, error_size, "%s: %s", key, reason);
	return false;
}

bool directory_agrees(const struct config *config, char *error, size_t error_size)
{
	struct directory directory;
	char reason[200];
	bool ok = directory_parse(&directory, span_text(config->auth_ldap_options), reason, sizeof reason);

	secret_wipe(&directory, sizeof directory);
	if (!ok)
		text_format(error, error_size, "auth_type = ldap: auth_ldap_options: %s", reason);
	return ok;
}

bool hba_load(const struct config *config, struct secrets **secrets, char *error, size_t error_size)
{
	struct hba_source source = { .name = config->auth_hba_file,
		.warn = config->manner == MANNER_PGBOUNCER ? warn : NULL,
		.read_file = read_other,
		.list_folder = list_folder,
		.roles = roles_can_be_asked(config),
		.parse_ip = parse_ip };
	char *text = NULL, *ident = NULL, reason[400];
	size_t length = 0, ident_length = 0;
	struct hba *hba = NULL;

	if (config->auth_type == AUTH_LDAP && !directory_agrees(config, error, error_size))
		return false;
	if (config->auth_type != AUTH_HBA)
		return true;
	if (!config->auth_hba_file[0]) {
		text_format(error, error_size, "auth_type = hba: auth_hba_file is not set");
		return false;
	}
	if (!*secrets)
		*secrets = secrets_parse(span_of("", 0), reason, sizeof reason);
	if (!read_file("auth_hba_file", config->auth_hba_file, &text, &length, error, error_size))
		return false;
	source.text = span_of(text, length);
	if (config->auth_ident_file[0]) {
		if (!read_file("auth_ident_file", config->auth_ident_file, &ident, &ident_length, error, error_size)) {
			free(text);
			return false;
		}
		source.ident_name = config->auth_ident_file;
		source.ident_text = span_of(ident, ident_length);
	}
	if (*secrets)
		hba = hba_parse(&source, reason, sizeof reason);
	else
		text_format(reason, sizeof reason, "memory is refused");
	free(text);
	free(ident);
	if (hba)
		secrets_take_hba(*secrets, hba);
	else
		text_format(error, error_size, "%s", reason);
	return hba != NULL;
}
