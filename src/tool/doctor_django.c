#include "tool/doctor_django.h"

#include "base/text.h"
#include "tool/doctor_python.h"
#include "tool/doctor_url.h"

/* Django's DATABASES as the reader of Python literals found it. An entry is a dict of its own keys, or a call of dj_database_url or
 * django-environ, whose keyword arguments are the same things in small letters. */

static const struct python_value *either(const struct python_value *entry, const char *key, const char *small)
{
	const struct python_value *value = python_get(entry, key);

	return value ? value : python_get(entry, small);
}

static void take_text(char *out, size_t size, const struct python_value *value)
{
	if (value && value->kind == PYTHON_TEXT)
		text_copy(out, size, value->text);
}

static void take_port(struct app_database *app, const struct python_value *value)
{
	int64_t port = 0;

	if (!value)
		return;
	if (value->kind == PYTHON_NUMBER && value->number >= 1 && value->number <= 65535)
		app->port = (int)value->number;
	else if (text_to_i64(span_text(python_text(value)), &port) && port >= 1 && port <= 65535)
		app->port = (int)port;
}

static void take_max_age(struct app_database *app, const struct python_value *value)
{
	if (!value)
		return;
	if (value->kind == PYTHON_NONE)
		app->max_age = MAX_AGE_FOREVER;
	else if (value->kind == PYTHON_NUMBER)
		app->max_age = value->number;
	else
		return;
	app->max_age_set = true;
	app->max_age_fallback = value->fallback;
	app->max_age_line = value->line;
}

static void take_options(struct app_database *app, const struct python_value *options)
{
	const struct python_value *pool = python_get(options, "pool"),
				  *timeout = python_get(options, "connect_timeout"), *most;
	static const char *const keepalives[] = { "keepalives", "keepalives_idle", "tcp_user_timeout", NULL };

	take_text(app->options, sizeof app->options, python_get(options, "options"));
	take_text(app->application_name, sizeof app->application_name, python_get(options, "application_name"));
	if (timeout && timeout->kind == PYTHON_NUMBER)
		app->connect_timeout = timeout->number;
	for (size_t i = 0; keepalives[i]; i++)
		app->keepalives |= python_get(options, keepalives[i]) != NULL;
	if (pool && (pool->kind == PYTHON_DICT || (pool->kind == PYTHON_BOOL && pool->truth))) {
		app->pool = true;
		most = python_get(pool, "max_size");
		if (!most)
			most = python_get(pool, "min_size");
		app->pool_max = most && most->kind == PYTHON_NUMBER ? most->number : 4; /* psycopg_pool's own */
	}
}

static bool is_true(const struct python_value *value)
{
	return value && value->kind == PYTHON_BOOL && value->truth;
}

static bool is_other_engine(const struct python_value *entry)
{
	const char *engine = python_text(python_get(entry, "ENGINE"));

	return *engine && !strstr(engine, "postg") && !strstr(engine, "psycopg");
}

static void read_entry(struct app_database *app, const struct python_value *entry)
{
	const struct python_value *health = either(entry, "CONN_HEALTH_CHECKS", "conn_health_checks"), *url;
	char error[128];

	app->line = entry->line;
	app->django = true;
	if (entry->kind == PYTHON_CALL) {
		/* dj_database_url.config(default=URL), .parse(URL), env.db("NAME", default=URL) */
		url = python_get(entry, "default");
		if (!url)
			url = python_at(entry, 0);
		if (url && url_is_postgres(span_text(python_text(url))))
			url_read(span_text(url->text), app, error, sizeof error);
	}
	take_text(app->host, sizeof app->host, python_get(entry, "HOST"));
	take_text(app->name, sizeof app->name, python_get(entry, "NAME"));
	take_text(app->user, sizeof app->user, python_get(entry, "USER"));
	take_port(app, python_get(entry, "PORT"));
	take_options(app, either(entry, "OPTIONS", "options"));
	take_max_age(app, either(entry, "CONN_MAX_AGE", "conn_max_age"));
	if (health && health->kind == PYTHON_BOOL) {
		app->health_checks_set = true;
		app->health_checks = health->truth;
	}
	app->no_server_side_cursors = is_true(
		either(entry, "DISABLE_SERVER_SIDE_CURSORS", "disable_server_side_cursors"));
	app->atomic_requests = is_true(python_get(entry, "ATOMIC_REQUESTS"));
}

/* Whether the project is served by ASGI, as far as its settings tell. WSGI_APPLICATION proves nothing: every project has it. */
static enum doctor_answer find_asgi(const struct python_file *file, char *evidence, size_t size)
{
	static const char *const apps[] = { "daphne", "channels", NULL };
	const struct python_value *installed = python_global(file, "INSTALLED_APPS"), *app;

	if (python_global(file, "ASGI_APPLICATION")) {
		text_format(evidence, size, "ASGI_APPLICATION is set (line %u)",
			python_global(file, "ASGI_APPLICATION")->line);
		return ANSWER_YES;
	}
	for (size_t i = 0; (app = python_at(installed, i)); i++) {
		for (size_t j = 0; apps[j]; j++) {
			if (strcmp(python_text(app), apps[j]) == 0) {
				text_format(
					evidence, size, "\"%s\" is in INSTALLED_APPS (line %u)", apps[j], app->line);
				return ANSWER_YES;
			}
		}
	}
	return ANSWER_UNKNOWN;
}

size_t django_read(struct doctor_facts *facts, const char *path, struct span text, char *said, size_t said_size)
{
	struct python_file *file = python_read(text);
	const struct python_value *databases = file ? python_global(file, "DATABASES") : NULL;
	char evidence[96] = "";
	enum doctor_answer asgi;
	size_t found = 0, unknown = 0, n;

	if (!databases || databases->kind != PYTHON_DICT) {
		text_copy(said, said_size,
			!file               ? "memory is refused"
				: databases ? "its DATABASES is made by code that was not run"
					    : "");
		python_free(file);
		return 0;
	}
	asgi = find_asgi(file, evidence, sizeof evidence);
	for (const struct python_item *item = databases->items; item && facts->app_count < DOCTOR_APPS_MAX;
		item = item->next) {
		struct app_database *app = &facts->apps[facts->app_count];

		if (item->value->kind != PYTHON_DICT && item->value->kind != PYTHON_CALL) {
			unknown++;
			continue;
		}
		if (is_other_engine(item->value))
			continue;
		*app = (struct app_database){ .asgi = asgi };
		text_copy(app->source, sizeof app->source, path);
		text_copy(app->asgi_evidence, sizeof app->asgi_evidence, evidence);
		text_copy(app->alias, sizeof app->alias, python_text(item->key));
		read_entry(app, item->value);
		facts->app_count++;
		found++;
	}
	n = text_format(said, said_size, "%zu PostgreSQL database%s%s", found, text_plural(found),
		asgi == ANSWER_YES ? ", served by ASGI" : "");
	if (unknown)
		n += text_format(said + n, said_size - n, "; %zu that only running the file would tell", unknown);
	if (python_conditional(file))
		text_format(said + n, said_size - n, "; settings under an if are taken where nothing else sets them");
	python_free(file);
	return found;
}
