#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tool/doctor_django.h"

static struct doctor_facts facts;
static char said[400];

static size_t read(const char *text)
{
	memset(&facts, 0, sizeof facts);
	return django_read(&facts, "settings.py", span_text(text), said, sizeof said);
}

static void the_write_ups_settings_are_read(void **state)
{
	(void)state;
	assert_int_equal(
		read("ASGI_APPLICATION = 'x'\nDATABASES = {'default': {\n 'ENGINE': 'django.db.backends.postgresql', 'HOST': '127.0.0.1',\n"
		     " 'PORT': '6432', 'CONN_MAX_AGE': 300,\n 'OPTIONS': {'connect_timeout': 10, 'options': '-c statement_timeout=30000'},\n"
		     " 'CONN_HEALTH_CHECKS': False}}\n"),
		1);
	assert_int_equal(facts.apps[0].asgi, ANSWER_YES);
	assert_int_equal(facts.apps[0].port, 6432);
	assert_true(facts.apps[0].max_age_set && facts.apps[0].max_age == 300);
	assert_int_equal(facts.apps[0].max_age_line, 4);
	assert_int_equal(facts.apps[0].line, 2);
	assert_string_equal(facts.apps[0].options, "-c statement_timeout=30000");
	assert_true(facts.apps[0].health_checks_set && !facts.apps[0].health_checks);
	assert_true(facts.apps[0].connect_timeout == 10);
	assert_false(facts.apps[0].no_server_side_cursors);
}

static void channels_among_the_applications_means_asgi_and_wsgi_proves_nothing(void **state)
{
	(void)state;
	assert_int_equal(
		read("INSTALLED_APPS = ['a', 'channels']\nDATABASES = {'default': {'ENGINE': 'x.postgresql'}}\n"), 1);
	assert_int_equal(facts.apps[0].asgi, ANSWER_YES);
	assert_int_equal(
		read("WSGI_APPLICATION = 'w'\nINSTALLED_APPS = ['a']\nDATABASES = {'default': {'ENGINE': 'x.postgresql'}}\n"),
		1);
	assert_int_equal(facts.apps[0].asgi, ANSWER_UNKNOWN);
}

static void other_engines_are_not_ours(void **state)
{
	(void)state;
	assert_int_equal(
		read("DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}, 'b': {'ENGINE': 'x.postgis', 'CONN_MAX_AGE': None}}\n"),
		1);
	assert_string_equal(facts.apps[0].alias, "b");
	assert_true(facts.apps[0].max_age == MAX_AGE_FOREVER);
}

static void a_url_with_keywords_is_an_entry_too(void **state)
{
	(void)state;
	assert_int_equal(
		read("DATABASES = {'default': dj_database_url.config(default='postgres://u@h:6432/d', conn_max_age=600)}\n"
		     "DATABASES['default']['DISABLE_SERVER_SIDE_CURSORS'] = True\n"),
		1);
	assert_string_equal(facts.apps[0].host, "h");
	assert_int_equal(facts.apps[0].port, 6432);
	assert_true(facts.apps[0].max_age == 600);
	assert_true(facts.apps[0].no_server_side_cursors);
}

static void a_file_without_databases_is_no_settings_module(void **state)
{
	(void)state;
	assert_int_equal(read("X = 1\n"), 0);
	assert_string_equal(said, "");
	assert_int_equal(read("DATABASES = make()\n"), 0);
	assert_non_null(strstr(said, "not run"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_write_ups_settings_are_read),
		cmocka_unit_test(channels_among_the_applications_means_asgi_and_wsgi_proves_nothing),
		cmocka_unit_test(other_engines_are_not_ours),
		cmocka_unit_test(a_url_with_keywords_is_an_entry_too),
		cmocka_unit_test(a_file_without_databases_is_no_settings_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
