#include <stdlib.h>
#include <string.h>

#include "auth/secrets.h"
#include "base/text.h"
#include "io/file.h"
#include "tool/check.h"
#include "tool/doctor_file.h"
#include "tool/doctor_server.h"
#include "tool/doctor_url.h"
#include "tool/memory.h"

/* As whom a server is asked: pgweir itself could log in as the forced user of an entry, or with a password that auth_file holds as it is.
 * SCRAM secrets are of no use here: they open PostgreSQL only once a client has shown what is behind them. */

struct access {
	char user[128], password[1024];
};

static bool first_known(const struct config *config, struct access *access)
{
	char error[256], *text;
	struct secrets *secrets;
	const char *name;
	size_t length;
	bool found = false;

	if (!*config->auth_file || !file_read(config->auth_file, DOCTOR_FILE_MOST, &text, &length, error, sizeof error))
		return false;
	secrets = secrets_parse(span_of(text, length), error, sizeof error);
	secret_wipe(text, length);
	free(text);
	for (size_t i = 0; secrets && !found && (name = secrets_name(secrets, i)); i++) {
		const struct secret *secret = secrets_find(secrets, span_text(name));

		found = secret && secret->kind == SECRET_PLAIN;
		if (found) {
			text_copy(access->user, sizeof access->user, name);
			text_copy(access->password, sizeof access->password, secret->text);
		} else if (i == 0) {
			text_copy(access->user, sizeof access->user,
				name); /* where PostgreSQL trusts us, a name is enough */
		}
	}
	secrets_drop(secrets);
	return found || *access->user;
}

/* key='value', as libpq reads it. */
static void add(struct buf *words, const char *key, const char *value)
{
	bool good = buf_format(words, "%s%s='", words->length ? " " : "", key);

	for (; good && *value; value++)
		good = (!strchr("'\\", *value) || buf_add(words, "\\", 1)) && buf_add(words, value, 1);
	if (!good || !buf_add(words, "'", 1))
		memory_got(NULL);
}

static void ask_one(struct server_facts *server, const struct config *config, const struct database_settings *entry,
	const char *url)
{
	struct access access = { 0 };
	struct buf words = { 0 };
	const char *database = entry->dbname ? entry->dbname : strcmp(entry->name, "*") == 0 ? "postgres" : entry->name;
	char port[16], plain[4096];

	if (url) {
		url_for(span_text(url), true, plain, sizeof plain);
		server_read(server, plain, 0);
		secret_wipe(plain, sizeof plain);
		return;
	}
	if (entry->user) {
		text_copy(access.user, sizeof access.user, entry->user);
		text_copy(access.password, sizeof access.password, entry->password ? entry->password : "");
	} else if (!first_known(config, &access)) {
		text_copy(server->problem, sizeof server->problem,
			"nobody's password is known here; give a URL to have it asked");
		return;
	}
	text_format(port, sizeof port, "%d", server->port);
	add(&words, "host", server->host);
	add(&words, "port", port);
	add(&words, "dbname", database);
	add(&words, "user", access.user);
	if (*access.password)
		add(&words, "password", access.password);
	if (!buf_add(&words, "", 1))
		memory_got(NULL);
	server_read(server, (const char *)buf_span(&words).at, 0);
	buf_wipe(&words);
	secret_wipe(&access, sizeof access);
}

static bool is_known(const struct doctor_facts *facts, const struct host *host)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		if (strcmp(facts->servers[i].host, host->name) == 0 && facts->servers[i].port == host->port)
			return true;
	}
	return false;
}

void check_ask_servers(struct doctor_facts *facts, const struct pooler_file *file, const char *url)
{
	const struct config *config = file->config;

	for (size_t i = 0; i < config->database_count; i++) {
		const struct database_settings *entry = &config->databases[i];

		for (size_t h = 0; h < entry->host_count && facts->server_count < DOCTOR_SERVERS_MAX; h++) {
			struct server_facts *server = &facts->servers[facts->server_count];

			if (is_known(facts, &entry->hosts[h]))
				continue;
			facts->server_count++;
			text_copy(server->host, sizeof server->host, entry->hosts[h].name);
			server->port = entry->hosts[h].port;
			text_format(server->name, sizeof server->name, "%s port %d", server->host, server->port);
			/* A URL is of one server; the others are asked as the file says. */
			ask_one(server, config, entry, facts->server_count == 1 ? url : NULL);
		}
	}
}
