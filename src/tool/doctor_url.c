#include "tool/doctor_url.h"

#include <stdlib.h>

#include "base/text.h"
#include "base/url.h"

bool url_is_postgres(struct span text)
{
	static const char *const schemes[] = { "postgres", "postgresql", "postgis", "pgsql", "timescale",
		"timescalegis", "django.db.backends.postgresql", NULL };
	struct url url;

	if (!url_split(text, &url))
		return false;
	for (size_t i = 0; schemes[i]; i++) {
		struct span plain = url.scheme;

		plain = span_upto(&plain, '+');
		if (text_equal_nocase(plain, span_text(schemes[i])))
			return true;
	}
	return false;
}

static bool says_yes(const char *value)
{
	return text_equal_nocase(span_text(value), span_text("true")) ||
		text_equal_nocase(span_text(value), span_text("on")) ||
		text_equal_nocase(span_text(value), span_text("yes")) || strcmp(value, "1") == 0;
}

static bool read_number(const char *value, double *out)
{
	char *end;

	*out = strtod(value, &end);
	return end != value && !*end && *out > -1e9 && *out < 1e9;
}

static bool read_parameter(struct app_database *app, const char *key, const char *value)
{
	if (strcmp(key, "conn_max_age") == 0) {
		app->max_age_set = app->django = true;
		if (text_equal_nocase(span_text(value), span_text("none")) || *value == 0)
			app->max_age = MAX_AGE_FOREVER;
		else
			return read_number(value, &app->max_age);
	} else if (strcmp(key, "conn_health_checks") == 0) {
		app->health_checks_set = app->django = true;
		app->health_checks = says_yes(value);
	} else if (strcmp(key, "disable_server_side_cursors") == 0) {
		app->no_server_side_cursors = says_yes(value);
		app->django = true;
	} else if (strcmp(key, "options") == 0) {
		text_copy(app->options, sizeof app->options, value);
	} else if (strcmp(key, "connect_timeout") == 0) {
		return read_number(value, &app->connect_timeout);
	} else if (strcmp(key, "application_name") == 0) {
		text_copy(app->application_name, sizeof app->application_name, value);
	} else if (strncmp(key, "keepalives", 10) == 0 || strcmp(key, "tcp_user_timeout") == 0) {
		app->keepalives = true;
	} else if (strcmp(key, "host") == 0) {
		text_copy(app->host, sizeof app->host, value);
	} else if (strcmp(key, "user") == 0) {
		text_copy(app->user, sizeof app->user, value);
	} else if (strcmp(key, "dbname") == 0) {
		text_copy(app->name, sizeof app->name, value);
	} else if (strcmp(key, "port") == 0) {
		double port;

		if (!read_number(value, &port) || port < 1 || port > 65535)
			return false;
		app->port = (int)port;
	}
	return true;
}

bool url_read(struct span text, struct app_database *app, char *error, size_t error_size)
{
	struct url url;
	struct span name, value;
	int64_t port;

	if (!url_split(text, &url)) {
		text_copy(error, error_size, "it has no scheme://");
		return false;
	}
	url_decode(url.host, app->host, sizeof app->host, false);
	url_decode(url.user, app->user, sizeof app->user, false);
	url_decode(url.name, app->name, sizeof app->name, false);
	if (url.port.length) {
		if (!text_to_i64(url.port, &port) || port < 1 || port > 65535) {
			text_copy(error, error_size,
				"its port is not a number from 1 to 65535 (a / or @ in the password must be written %2F or %40)");
			return false;
		}
		app->port = (int)port;
	}
	while (url_parameter(&url.query, &name, &value)) {
		char key[64], decoded[512];

		url_decode(name, key, sizeof key, true);
		url_decode(value, decoded, sizeof decoded, true);
		if (!read_parameter(app, key, decoded)) {
			text_format(error, error_size, "its parameter %s is not a number that makes sense", key);
			return false;
		}
	}
	return true;
}

/* dj-database-url's own words, which libpq refuses. */
static bool is_for_django(struct span key)
{
	return span_is(key, "conn_max_age") || span_is(key, "conn_health_checks") ||
		span_is(key, "disable_server_side_cursors") || span_is(key, "pool");
}

size_t url_for(struct span text, bool with_password, char *out, size_t size)
{
	struct url url;
	size_t n;
	char before = '?';

	if (!url_split(text, &url))
		return text_copy(out, size, "(a broken URL)");
	n = text_format(out, size, "postgresql://%.*s", (int)url.user.length, (const char *)url.user.at);
	if (url.has_password && with_password)
		n += text_format(out + n, size - n, ":%.*s", (int)url.password.length, (const char *)url.password.at);
	if (url.user.length)
		n += text_format(out + n, size - n, "@");
	n += text_format(out + n, size - n, memchr(url.host.at, ':', url.host.length) ? "[%.*s]" : "%.*s",
		(int)url.host.length, (const char *)url.host.at);
	if (url.port.length)
		n += text_format(out + n, size - n, ":%.*s", (int)url.port.length, (const char *)url.port.at);
	n += text_format(out + n, size - n, "/%.*s", (int)url.name.length, (const char *)url.name.at);
	while (url.query.length) {
		struct span part = span_upto(&url.query, '&'), value = part, key = span_upto(&value, '=');

		if (is_for_django(key) || (!with_password && (span_is(key, "password") || span_is(key, "sslpassword"))))
			continue;
		n += text_format(out + n, size - n, "%c%.*s", before, (int)part.length, (const char *)part.at);
		before = '&';
	}
	return n;
}

bool options_next(struct span *at, char *name, size_t name_size, char *value, size_t value_size)
{
	while (at->length) {
		struct span word = span_upto(at, ' '), left;

		if (span_is(word, "-c"))
			word = span_upto(at, ' ');
		else if (word.length > 2 && word.at[0] == '-' && (word.at[1] == 'c' || word.at[1] == '-'))
			word = span_skip(word, 2);
		else
			continue;
		left = word;
		word = span_upto(&left, '=');
		if (word.length == 0)
			continue;
		text_copy_span(name, name_size, word);
		text_copy_span(value, value_size, left);
		for (char *c = name; *c; c++) {
			if (*c == '-')
				*c = '_';
		}
		return true;
	}
	return false;
}
