/* The configuration changes while we serve: RELOAD reads everything again, SET changes one setting of what is in force. Each makes a new
 * configuration whole and puts it in the old one's place, or fails and changes nothing. */
#include "serve/reload.h"

#include "auth/login.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/supervisor.h"
#include "serve/hba.h"
#include "serve/load.h"
#include "serve/log_forms.h"
#include "serve/mail.h"

static enum log_level level_of(const struct serve_setup *setup, const struct config *config)
{
	int verbose = setup->verbose > config->verbose ? setup->verbose : config->verbose;

	return verbose >= 2 ? LOG_NOISE : verbose == 1 ? LOG_DEBUG : LOG_LOG;
}

/* How the log speaks, and where else. */
void reload_log(const struct serve_setup *setup, const struct config *config)
{
	log_set_level(level_of(setup, config));
	logfile_format((enum log_format)config->log_format);
	logfile_syslog(config->syslog ? SYSLOG_PATH : NULL, config->syslog_facility, config->syslog_ident);
}

struct told {
	char *text;
	size_t size;
};

/* Into the log, and to who asked for the RELOAD, whole lines as far as there is room. */
static void tell_both(void *context, const char *line)
{
	const struct told *told = context;
	size_t length = strlen(told->text);

	load_warn(NULL, line);
	if (length + strlen(line) + 2 <= told->size)
		text_format(told->text + length, told->size - length, "%s%s", length > 0 ? "\n" : "", line);
}

/* What only a restart may change stays as it is, whatever the file says now: what is shown is what holds. True: `error` says what that was. */
static bool hold(struct house *house, struct config **config, char *error, size_t error_size)
{
	struct config *old = house_config(house, NULL);
	struct told told = { error, error_size };

	error[0] = '\0';
	*config = config_hold(config, old, tell_both, &told, error, error_size);
	config_drop(old);
	return *config != NULL;
}

/* The file in force, or the one that conffile leads to. */
static bool load_again(const struct serve_setup *setup, struct house *house, const struct tls_pair *before,
	struct config **config, struct secrets **secrets, struct tls_pair *tls, char *error, size_t error_size)
{
	struct config *old = house_config(house, NULL);
	const char *file = old->conffile[0] ? old->conffile : old->file;
	bool loaded;

	if (file && old->file && strcmp(file, old->file) != 0)
		log_line(LOG_LOG, "conffile: reading \"%s\" in place of \"%s\"", file, old->file);
	loaded = load(setup, file, before, config, secrets, tls, error, error_size);
	config_drop(old);
	return loaded;
}

static bool read_again(const struct serve_setup *setup, struct house *house, char *error, size_t error_size)
{
	struct config *config;
	struct secrets *secrets;
	struct tls_pair before = house_tls(house), tls;
	bool loaded = load_again(setup, house, &before, &config, &secrets, &tls, error, error_size);

	tls_pair_drop(&before);
	if (loaded && !hold(house, &config, error, error_size)) {
		secrets_drop(secrets);
		tls_pair_drop(&tls);
		loaded = false;
	}
	if (!loaded) {
		log_line(LOG_ERROR, "RELOAD failed, nothing was changed: %s", error);
		return false;
	}
	if (!logfile_open(config->logfile, !setup->quiet && !setup->daemon, error, error_size)) {
		log_line(LOG_ERROR, "RELOAD failed, nothing was changed: %s", error);
		config_drop(config);
		secrets_drop(secrets);
		tls_pair_drop(&tls);
		return false;
	}
	reload_log(setup, config);
	log_doubts(config, secrets, house->clients_max);
	house_configure(house, config, secrets, tls);
	log_line(LOG_LOG, "configuration reloaded");
	return true;
}

bool reload(const struct serve_setup *setup, struct house *house, char *error, size_t error_size)
{
	bool ok;

	supervisor_say("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now());
	ok = read_again(setup, house, error, error_size);
	if (ok)
		supervisor_say("READY=1\nSTATUS=Serving, configuration reloaded");
	else
		supervisor_say("READY=1\nSTATUS=Serving; RELOAD failed: %s", error);
	return ok;
}

/* Files are read again only for a setting that is about them: SET of another must not fail for their sake. */
static bool settle_tls(const struct config *config, const char *key, const struct tls_pair *before,
	struct tls_pair *out, char *error, size_t error_size)
{
	if (strncmp(key, "client_tls", 10) == 0 || strncmp(key, "server_tls", 10) == 0)
		return tls_load(config, before, out, error, error_size);
	if (!tls_agrees(config, error, error_size))
		return false;
	*out = tls_pair_keep(before);
	return true;
}

/* SET conffile: what can not be served from is found out now, not by the next RELOAD. What is wrong with it is for the log alone, since
 * that may quote a line of any file that we can read. */
static bool try_file(const struct serve_setup *setup, const char *file, const struct tls_pair *before, char *error,
	size_t error_size)
{
	struct config *config;
	struct secrets *secrets;
	struct tls_pair tls;

	if (!load(setup, file, before, &config, &secrets, &tls, error, error_size)) {
		log_line(LOG_ERROR, "SET conffile failed, nothing was changed: %s", error);
		text_format(error, error_size, "conffile: \"%.100s\" can not be served from; the log says why", file);
		return false;
	}
	config_drop(config);
	secrets_drop(secrets);
	tls_pair_drop(&tls);
	return true;
}

bool reload_with(const struct serve_setup *setup, struct house *house, const struct letter_command *command,
	char *error, size_t error_size)
{
	struct tls_pair before = house_tls(house), tls = { 0 };
	struct secrets *secrets;
	struct config *old = house_config(house, &secrets), *config;

	config = config_with(old, command->key, command->value, error, error_size);
	config_drop(old);
	if (config && config->auth_type == AUTH_HBA && !secrets_hba(secrets)) {
		text_format(
			error, error_size, "auth_type = hba: write it and auth_hba_file into the file, then RELOAD");
		config_drop(config);
		config = NULL;
	}
	if (config && config->auth_type == AUTH_LDAP && !directory_agrees(config, error, error_size)) {
		config_drop(config);
		config = NULL;
	}
	if (config && strcmp(command->key, "conffile") == 0 && config->conffile[0] &&
		!try_file(setup, config->conffile, &before, error, error_size)) {
		config_drop(config);
		config = NULL;
	}
	if (config && !settle_tls(config, command->key, &before, &tls, error, error_size)) {
		config_drop(config);
		config = NULL;
	}
	tls_pair_drop(&before);
	if (!config) {
		secrets_drop(secrets);
		return false;
	}
	if (strcmp(command->key, "resolv_conf") == 0)
		load_look_at_names(config);
	reload_log(setup, config);
	house_configure(house, config, secrets, tls);
	return true;
}
