#include "tool/doctor_file.h"

#include <stdlib.h>

#include "auth/secrets.h"
#include "base/text.h"
#include "io/file.h"

static bool read_include(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	(void)context;
	return file_read(path, DOCTOR_FILE_MOST, text, length, error, error_size);
}

static void read_secrets(struct pooler_file *file)
{
	struct secrets *secrets;
	const char *name;
	char *text;
	size_t length;

	if (!*file->config->auth_file)
		return;
	if (!file_read(file->config->auth_file, DOCTOR_FILE_MOST, &text, &length, file->secrets_problem,
		    sizeof file->secrets_problem))
		return;
	secrets = secrets_parse(span_of(text, length), file->secrets_problem, sizeof file->secrets_problem);
	secret_wipe(text, length);
	free(text);
	if (!secrets)
		return;
	file->secrets_read = true;
	for (size_t i = 0; (name = secrets_name(secrets, i)); i++) {
		const struct secret *secret = secrets_find(secrets, span_text(name));

		file->secrets_plain += secret && secret->kind == SECRET_PLAIN;
		file->secrets_md5 += secret && secret->kind == SECRET_MD5;
		file->secrets_scram += secret && secret->kind == SECRET_SCRAM;
	}
	secrets_drop(secrets);
}

static void add_open(struct pooler_file *file, const char *path)
{
	size_t length = strlen(file->for_all);

	if (path && *path && path_is_for_all(path))
		text_format(
			file->for_all + length, sizeof file->for_all - length, "%s%s", length > 0 ? ", " : "", path);
}

/* Passwords in the file itself count; those of its includes are in other files. */
static void read_modes(struct pooler_file *file, struct span text)
{
	const struct config *config = file->config;
	bool secret = config->auth_ldap_options && strstr(config->auth_ldap_options, "ldapbindpasswd");

	for (size_t i = 0; i < config->database_count && !secret; i++)
		secret = config->databases[i].password != NULL;
	if (secret &&
		(memmem(text.at, text.length, "password", 8) || memmem(text.at, text.length, "ldapbindpasswd", 14)))
		add_open(file, file->path);
	if (file->secrets_plain + file->secrets_md5 + file->secrets_scram > 0)
		add_open(file, config->auth_file);
	add_open(file, config->client_tls_key_file);
	add_open(file, config->server_tls_key_file);
	add_open(file, config->http_tls_key_file);
}

/* What the running process may open, where its pidfile leads to one. */
static void read_descriptors(struct pooler_file *file)
{
	char path[64], error[128], *text, *at;
	size_t length;
	int64_t pid;

	if (!*file->config->pidfile || !file_read(file->config->pidfile, 64, &text, &length, error, sizeof error))
		return;
	if (!text_to_i64(text_trim(span_of(text, length)), &pid) || pid <= 0)
		pid = 0;
	free(text);
	text_format(path, sizeof path, "/proc/%lld/limits", (long long)pid);
	if (pid == 0 || !file_read(path, DOCTOR_FILE_MOST, &text, &length, error, sizeof error))
		return;
	at = strstr(text, "Max open files");
	if (at)
		file->descriptors = strtoull(at + strlen("Max open files"), NULL, 10);
	free(text);
}

bool pooler_file_read(struct pooler_file *file, const struct config_source *source, char *error, size_t error_size)
{
	struct config_source whole = *source;

	whole.read_file = read_include;
	*file = (struct pooler_file){ .is_pgweir = source->manner == MANNER_PGWEIR };
	text_copy(file->path, sizeof file->path, source->file);
	file->config = config_parse(&whole, error, error_size);
	if (!file->config)
		return false;
	read_secrets(file);
	read_descriptors(file);
	read_modes(file, source->text);
	return true;
}
