#include "tool/doctor_input.h"

#include "base/text.h"
#include "config/schema.h"
#include "io/file.h"
#include "tool/doctor_ask.h"
#include "tool/doctor_console.h"
#include "tool/doctor_django.h"
#include "tool/doctor_file.h"
#include "tool/doctor_scan.h"
#include "tool/doctor_server.h"
#include "tool/doctor_url.h"
#include "tool/memory.h"

/* What an argument is, is told by its looks:
 *
 *   postgresql://...             live; the console of a pooler where the database is pgbouncer or pgweir
 *   NAME=postgresql://...        a setting of an application, not connected to; DATABASE_URL alone is taken from the environment
 *   a folder                     every file in it that looks like source, prose or settings
 *   *.ini                        a pooler's file, as is any file with a [pgbouncer] or [databases] section
 *   *.py                         Django settings where it assigns DATABASES; source in any case
 *   anything else                NAME=postgresql://... lines of an environment file; else source or prose */

#define FILE_MOST  ((size_t)8 << 20)
#define FILES_MOST 5000

static struct doctor_input *add_input(struct doctor_inputs *inputs, const char *what, const char *kind)
{
	struct doctor_input *input;

	inputs->at = memory_got(reallocarray(inputs->at, inputs->count + 1, sizeof *inputs->at));
	input = &inputs->at[inputs->count++];
	*input = (struct doctor_input){ 0 };
	text_copy(input->what, sizeof input->what, what);
	text_copy(input->kind, sizeof input->kind, kind);
	return input;
}

void inputs_fini(struct doctor_inputs *inputs)
{
	free(inputs->at);
	*inputs = (struct doctor_inputs){ 0 };
}

/* A URL as a setting: what it asks for counts, nobody connects to it. Returns whether it could be read. */
static bool take_url(
	struct doctor_facts *facts, const char *source, unsigned line, struct span text, char *error, size_t error_size)
{
	struct app_database *app = &facts->apps[facts->app_count];

	if (facts->app_count == DOCTOR_APPS_MAX) {
		text_copy(error, error_size, "there are more databases than the doctor looks at in one go");
		return false;
	}
	*app = (struct app_database){ .line = line };
	text_copy(app->source, sizeof app->source, source);
	if (!url_read(text, app, error, error_size))
		return false;
	text_copy(app->alias, sizeof app->alias, *app->name ? app->name : "default");
	facts->app_count++;
	return true;
}

static void take_wishes(struct doctor_facts *facts, const char *name, const char *url)
{
	char error[128];

	if (!take_url(facts, name, 0, span_text(url), error, sizeof error))
		return;
	/* Without any, it is where to look, and no application's setting. */
	if (!facts->apps[facts->app_count - 1].django && !*facts->apps[facts->app_count - 1].options)
		facts->app_count--;
}

/* ---- live things ---- */

static void say_server(struct doctor_input *input, const struct server_facts *server)
{
	if (!server->reached) {
		text_copy(input->said, sizeof input->said, server->problem);
		return;
	}
	text_format(input->said, sizeof input->said,
		"version %d.%d, max_connections %d, %zu client session%s besides this one%s%s%s",
		server->version / 10000, server->version % 10000, server->max_connections,
		server->session_count > 0 ? server->session_count - 1 : 0,
		text_plural(server->session_count > 0 ? server->session_count - 1 : 0),
		server->pooled
			? "; a pooler stands between, and its servers look like its clients here: name PostgreSQL's own address, "
			  "and the pooler's console beside it (the same URL with the database pgbouncer)"
			: "",
		*server->problem ? "; " : "", server->problem);
}

static void read_server(struct doctor_inputs *inputs, struct doctor_facts *facts, const char *url, double seconds)
{
	struct doctor_input *input;
	struct server_facts *server;
	char plain[4096];

	url_for(span_text(url), false, plain, sizeof plain);
	input = add_input(inputs, plain, "PostgreSQL");
	if (facts->server_count == DOCTOR_SERVERS_MAX) {
		text_copy(input->said, sizeof input->said,
			"there are more PostgreSQL URLs than the doctor looks at in one go");
		return;
	}
	server = &facts->servers[facts->server_count++];
	text_copy(server->name, sizeof server->name, plain);
	url_for(span_text(url), true, plain, sizeof plain);
	server_read(server, plain, seconds);
	secret_wipe(plain, sizeof plain);
	input->read = server->reached;
	say_server(input, server);
	/* The URL of an application, with what the application asks for at login. */
	take_wishes(facts, server->name, url);
}

static void read_console(struct doctor_inputs *inputs, struct doctor_facts *facts, const char *url)
{
	struct doctor_input *input;
	struct console_facts *console;
	struct app_database parts = { 0 };
	char plain[4096], error[128];

	url_for(span_text(url), false, plain, sizeof plain);
	input = add_input(inputs, plain, "console");
	if (facts->console_count == DOCTOR_SERVERS_MAX) {
		text_copy(
			input->said, sizeof input->said, "there are more consoles than the doctor looks at in one go");
		return;
	}
	console = &facts->consoles[facts->console_count++];
	text_copy(console->name, sizeof console->name, plain);
	if (url_read(span_text(url), &parts, error, sizeof error))
		console->port = parts.port ? parts.port : 5432;
	url_for(span_text(url), true, plain, sizeof plain);
	console_read(console, plain);
	secret_wipe(plain, sizeof plain);
	input->read = console->reached;
	if (console->reached)
		text_format(input->said, sizeof input->said, "%s%s, %zu pool%s, %u client%s%s%s", console->version,
			console->is_pgweir && !strstr(console->version, "pgweir") ? " (pgweir under that name)" : "",
			console->pool_count, text_plural(console->pool_count), console->clients,
			text_plural(console->clients), *console->problem ? "; " : "", console->problem);
	else
		text_copy(input->said, sizeof input->said, console->problem);
}

/* ---- settings ---- */

static void read_url_setting(
	struct doctor_inputs *inputs, struct doctor_facts *facts, const char *name, const char *url)
{
	struct doctor_input *input = add_input(inputs, name, "URL");
	char plain[400];

	if (!url) {
		text_format(input->said, sizeof input->said, "%s is not set in the environment", name);
		return;
	}
	if (!url_is_postgres(span_text(url))) {
		text_format(input->said, sizeof input->said, "%s holds no postgresql:// URL", name);
		return;
	}
	input->read = take_url(facts, name, 0, span_text(url), input->said, sizeof input->said);
	if (input->read) {
		url_for(span_text(url), false, plain, sizeof plain);
		text_format(input->said, sizeof input->said, "read as a setting, not connected to: %s", plain);
	}
}

/* ---- a pooler's file ---- */

static void count_warning(void *context, const char *line)
{
	(void)line;
	++*(unsigned *)context;
}

static const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* A line sets something that only pgweir has. */
static bool is_ours(const uint8_t *at, const uint8_t *end)
{
	const struct setting *row;
	struct span key = { skip_blanks(at, end), 0 };

	for (at = key.at; at < end && *at != '=' && *at != ' ' && *at != '\t'; at++)
		key.length++;
	at = skip_blanks(at, end);
	row = at < end && *at == '=' ? schema_find(schema_settings, schema_settings_count, key) : NULL;
	return row && strcmp(row->since, "pgweir") == 0;
}

/* Its name says so, or pgweir init wrote it, or it sets something that only pgweir has. */
static bool looks_like_pgweir(const char *path, struct span text)
{
	static const char by_init[] = "written by pgweir init";
	const uint8_t *at = text.at, *end = text.at + text.length, *line_end;
	const char *slash = strrchr(path, '/');

	if (strstr(slash ? slash : path, "pgweir") || memmem(text.at, text.length, by_init, sizeof by_init - 1))
		return true;
	for (; at < end; at = line_end < end ? line_end + 1 : end) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			line_end = end;
		if (is_ours(at, line_end))
			return true;
	}
	return false;
}

static void read_pooler_file(
	struct doctor_inputs *inputs, struct doctor_facts *facts, const char *path, struct span text)
{
	struct doctor_input *input = add_input(inputs, path, "pooler's file");
	struct pooler_file *file = &facts->files[facts->file_count];
	bool is_pgweir = looks_like_pgweir(path, text);
	unsigned warnings = 0;
	/* Ways to log in that pgweir does not have yet say nothing about connections. */
	static const struct config_override trust = { "auth_type", "trust" };
	struct config_source source = { .file = path,
		.text = text,
		.manner = is_pgweir ? MANNER_PGWEIR : MANNER_PGBOUNCER,
		.warn = count_warning,
		.context = &warnings };

	if (facts->file_count == DOCTOR_FILES_MAX) {
		text_copy(input->said, sizeof input->said,
			"there are more poolers' files than the doctor looks at in one go");
		return;
	}
	input->read = pooler_file_read(file, &source, input->said, sizeof input->said);
	if (!input->read && strstr(input->said, "auth_type")) {
		source.overrides = &trust;
		source.override_count = 1;
		input->read = pooler_file_read(file, &source, input->said, sizeof input->said);
	}
	if (!input->read)
		return;
	facts->file_count++;
	text_format(input->said, sizeof input->said, "read as %s: %zu database entries, pool_mode %s, auth_file %s%s",
		is_pgweir ? "pgweir's" : "PgBouncer's", file->config->database_count,
		file->config->pool_mode == POOL_SESSION               ? "session"
			: file->config->pool_mode == POOL_TRANSACTION ? "transaction"
								      : "statement",
		file->secrets_read ? "read" : "not read", warnings ? "; some settings in it do nothing in pgweir" : "");
}

/* ---- files ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), most = strlen(end);

	return length >= most && strcmp(text + length - most, end) == 0;
}

/* Lines NAME=postgresql://..., as environment files have them. Returns how many were taken. */
static size_t take_environment(struct doctor_facts *facts, const char *path, struct span text)
{
	size_t taken = 0;
	unsigned number = 0;

	while (text.length) {
		const uint8_t *end = memchr(text.at, '\n', text.length), *equals;
		struct span line = span_of(text.at, end ? (size_t)(end - text.at) : text.length), value;
		char error[128];

		text = span_skip(text, line.length + (end ? 1 : 0));
		number++;
		line = text_trim(line);
		equals = line.length ? memchr(line.at, '=', line.length) : NULL;
		if (!equals || line.at[0] == '#')
			continue;
		value = text_trim(span_skip(line, (size_t)(equals - line.at) + 1));
		if (value.length >= 2 && (value.at[0] == '"' || value.at[0] == '\''))
			value = span_of(value.at + 1, value.length - 2);
		if (url_is_postgres(value) && take_url(facts, path, number, value, error, sizeof error))
			taken++;
	}
	return taken;
}

static bool is_pooler_file(const char *path, struct span text)
{
	return ends_with(path, ".ini") ||
		(!scan_wants(path) && text.length &&
			(memmem(text.at, text.length, "[pgbouncer]", 11) ||
				memmem(text.at, text.length, "[databases]", 11)));
}

static bool is_environment(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return strncmp(name, ".env", 4) == 0 || ends_with(name, ".env");
}

/* A file by itself; within a folder, only what is worth a line of its own gets one. */
static void read_file(struct doctor_inputs *inputs, struct doctor_facts *facts, const char *path, bool alone)
{
	char error[300], said[400], *text;
	size_t length, found = 0;
	struct span span;

	if (!file_read(path, FILE_MOST, &text, &length, error, sizeof error)) {
		if (alone)
			text_copy(add_input(inputs, path, "file")->said, sizeof error, error);
		return;
	}
	span = span_of(text, length);
	if (is_pooler_file(path, span)) {
		if (alone || memmem(text, length, "[pgbouncer]", 11))
			read_pooler_file(inputs, facts, path, span);
		free(text);
		return;
	}
	if (ends_with(path, ".py")) {
		found = django_read(facts, path, span, said, sizeof said);
		if (found || *said) {
			struct doctor_input *input = add_input(inputs, path, "Django settings");

			input->read = true;
			text_copy(input->said, sizeof input->said, said);
		}
		scan_text(&facts->code, path, span, found ? SCAN_SETTINGS : SCAN_PYTHON);
	} else {
		if (is_environment(path))
			found = take_environment(facts, path, span);
		scan_text(&facts->code, path, span, SCAN_PROSE);
	}
	if (alone && !(ends_with(path, ".py") && (found || *said))) {
		struct doctor_input *input = add_input(inputs, path, "source");

		input->read = true;
		if (found)
			text_format(input->said, sizeof input->said, "%zu database URL%s, read as settings", found,
				text_plural(found));
		else
			text_copy(input->said, sizeof input->said, "searched as source or prose");
	}
	free(text);
}

static void read_folder(struct doctor_inputs *inputs, struct doctor_facts *facts, const char *path)
{
	struct buf paths = { 0 };
	size_t place = inputs->count;
	char error[300];
	unsigned before = facts->code.files;
	bool cut;
	long count = folder_list(path, FILES_MOST, &paths, &cut, error, sizeof error);
	const char *at = (const char *)buf_span(&paths).at;

	add_input(inputs, path, "folder");
	for (long i = 0; i < count; i++) {
		if (scan_wants(at) || ends_with(at, ".ini"))
			read_file(inputs, facts, at, false);
		at += strlen(at) + 1;
	}
	buf_fini(&paths);
	inputs->at[place].read = count >= 0;
	if (count < 0)
		text_copy(inputs->at[place].said, sizeof inputs->at[place].said, error);
	else
		text_format(inputs->at[place].said, sizeof inputs->at[place].said,
			"%u file%s searched as source, prose or settings%s", facts->code.files - before,
			text_plural(facts->code.files - before),
			cut ? "; it has more, or deeper, than the doctor reads" : "");
}

void input_read(struct doctor_inputs *inputs, struct doctor_facts *facts, const char *argument, const char *variable,
	double seconds)
{
	const char *equals = strchr(argument, '=');
	char name[64];

	if (url_is_postgres(span_text(argument))) {
		if (url_is_console(argument))
			read_console(inputs, facts, argument);
		else
			read_server(inputs, facts, argument, seconds);
	} else if (strcmp(argument, "DATABASE_URL") == 0) {
		read_url_setting(inputs, facts, argument, variable);
	} else if (equals && url_is_postgres(span_text(equals + 1))) {
		text_copy_span(name, sizeof name, span_of(argument, (size_t)(equals - argument)));
		read_url_setting(inputs, facts, name, equals + 1);
	} else if (path_is_folder(argument) == 1) {
		read_folder(inputs, facts, argument);
	} else if (path_is_folder(argument) == 0) {
		read_file(inputs, facts, argument, true);
	} else if (strstr(argument, "://")) {
		text_copy(add_input(inputs, "(a URL)", "URL")->said, sizeof inputs->at->said,
			"the doctor understands postgresql:// URLs only");
	} else {
		text_copy(add_input(inputs, argument, "file")->said, sizeof inputs->at->said,
			"there is no such file or folder, and it is no postgresql:// URL");
	}
}
