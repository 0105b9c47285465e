#include "serve/load.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "io/file.h"
#include "serve/hba.h"
#include "serve/web.h"

/* From files to values. What holds secrets is wiped when it was read. */

#define FILE_MAX ((size_t)64 * 1024 * 1024)

void load_warn(void *context, const char *line)
{
	(void)context;
	log_line(LOG_WARNING, "%s", line);
}

static bool read_file(void *context, const char *path, char **text, size_t *length, char *error, size_t error_size)
{
	(void)context;
	return file_read(path, FILE_MAX, text, length, error, error_size);
}

/* The users of auth_file, else those that we were started with; NULL where there are neither. */
static bool load_users(const struct serve_setup *setup, const struct config *config, struct secrets **secrets,
	char *error, size_t error_size)
{
	char *text = NULL, reason[256];
	size_t length = 0;

	*secrets = NULL;
	if (!config->auth_file || !config->auth_file[0]) {
		if (setup->users)
			*secrets = secrets_parse(span_text(setup->users), error, error_size);
		return !setup->users || *secrets;
	}
	if (!file_read(config->auth_file, FILE_MAX, &text, &length, reason, sizeof reason)) {
		text_format(error, error_size, "auth_file: %s", reason);
		return false;
	}
	*secrets = secrets_parse(span_of(text, length), reason, sizeof reason);
	secret_wipe(text, length);
	free(text);
	if (!*secrets)
		text_format(error, error_size, "auth_file \"%s\": %s", config->auth_file, reason);
	return *secrets != NULL;
}

void load_look_at_names(const struct config *config)
{
	char *text, reason[256];
	size_t length;

	if (!config->resolv_conf[0])
		return;
	if (file_read(config->resolv_conf, FILE_MAX, &text, &length, reason, sizeof reason))
		free(text);
	else
		log_line(LOG_WARNING, "resolv_conf: %s; names are asked of 127.0.0.1", reason);
}

bool load(const struct serve_setup *setup, const char *file, const struct tls_pair *tls_before, struct config **config,
	struct secrets **secrets, struct tls_pair *tls, char *error, size_t error_size)
{
	struct config_source source = {
		.file = file,
		.overrides = setup->overrides,
		.override_count = setup->override_count,
		.manner = setup->manner,
		.read_file = read_file,
		.warn = load_warn,
	};
	char *text = NULL;
	size_t length = 0;

	*config = NULL;
	*secrets = NULL;
	if (file && !file_read(file, FILE_MAX, &text, &length, error, error_size))
		return false;
	source.text = span_of(text ? text : "", length);
	*config = config_parse(&source, error, error_size);
	if (text)
		secret_wipe(text, length);
	free(text);
	if (!*config)
		return false;
	if (web_settings_fit(*config, error, error_size) && load_users(setup, *config, secrets, error, error_size) &&
		hba_load(*config, secrets, error, error_size) &&
		tls_load(*config, tls_before, tls, error, error_size)) {
		load_look_at_names(*config);
		return true;
	}
	config_drop(*config);
	secrets_drop(*secrets);
	*config = NULL;
	*secrets = NULL;
	return false;
}
