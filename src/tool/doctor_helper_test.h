#ifndef PGWEIR_TOOL_DOCTOR_HELPER_TEST_H
#define PGWEIR_TOOL_DOCTOR_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "tool/doctor_rules.h"

/* Facts for the doctor's rules, and what is found in them. */

static struct doctor_facts facts;
static struct doctor_report report;

static inline int clear(void **state)
{
	(void)state;
	doctor_facts_fini(&facts);
	memset(&facts, 0, sizeof facts);
	return 0;
}

static inline struct app_database *app(void)
{
	struct app_database *a = &facts.apps[facts.app_count++];

	*a = (struct app_database){
		.source = "settings.py", .alias = "default", .line = 5, .port = 6432, .django = true, .user = "app"
	};
	return a;
}

static inline struct pooler_file *ini(const char *more)
{
	struct pooler_file *file = &facts.files[facts.file_count++];
	char text[6000], error[300];
	struct config_source source = { .file = "pgbouncer.ini", .manner = MANNER_PGBOUNCER };

	text_format(text, sizeof text,
		"[databases]\nshop = host=127.0.0.1\n[pgbouncer]\nlisten_port = 6432\npool_mode = transaction\n%s\n",
		more);
	source.text = span_text(text);
	*file = (struct pooler_file){ .path = "pgbouncer.ini" };
	file->config = config_parse(&source, error, sizeof error);
	if (!file->config)
		fail_msg("%s", error);
	return file;
}

static inline struct server_facts *server(size_t sessions)
{
	struct server_facts *s = &facts.servers[facts.server_count++];

	*s = (struct server_facts){ .name = "postgresql://h/d",
		.reached = true,
		.sees_all = true,
		.version = 150004,
		.max_connections = 100,
		.superuser_reserved = 3,
		.keepalives_idle = 30,
		.client_check_interval = SECOND_US,
		.statement_timeout = SECOND_US,
		.idle_in_transaction_timeout = SECOND_US,
		.scram = true,
		.session_count = sessions };
	s->sessions = calloc(sessions + 1, sizeof *s->sessions);
	for (size_t i = 0; i < sessions; i++) {
		s->sessions[i] = (struct session){ .pid = (int)i + 100,
			.user = "app",
			.database = "shop",
			.application = "web",
			.address = "10.0.0.7",
			.state = "idle",
			.query = "SELECT ?",
			.age = 3600 * SECOND_US,
			.query_age = SECOND_US,
			.transaction_age = -1,
			.state_age = SECOND_US,
			.birth = SECOND_US,
			.last_change = 3600 * SECOND_US };
	}
	return s;
}

static inline struct console_facts *console(void)
{
	struct console_facts *c = &facts.consoles[facts.console_count++];

	*c = (struct console_facts){ .name = "postgresql://h:6432/pgbouncer",
		.reached = true,
		.transaction = true,
		.port = 6432,
		.max_client_conn = 1000,
		.clients = 10 };
	c->pools = calloc(1, sizeof *c->pools);
	c->pool_count = 1;
	c->pools[0] = (struct console_pool){ .database = "shop",
		.user = "app",
		.mode = "transaction",
		.servers_active = 2,
		.servers_idle = 3,
		.clients_active = 8,
		.size = 5,
		.reserve = 0 };
	return c;
}

/* A session that lives since `birth` seconds and has been idle since one second after. */
static inline void leak(struct session *s, int birth)
{
	s->birth = birth * SECOND_US;
	s->last_change = s->birth + SECOND_US;
	s->age = (1000 - birth) * SECOND_US;
	s->state_age = s->query_age = s->age - SECOND_US;
}

static inline const struct finding *look_for(const char *number)
{
	doctor_report_fini(&report);
	doctor_look(&facts, &report);
	for (size_t i = 0; i < report.count; i++) {
		if (strcmp(report.findings[i].rule->number, number) == 0)
			return &report.findings[i];
	}
	return NULL;
}

/* ---- faults of which more is told than that they are found; `bad`: else there is nearly the same, and no fault ---- */

static inline void persistent(bool bad)
{
	struct app_database *a = app();

	a->asgi = ANSWER_YES;
	a->max_age_set = true;
	a->max_age = bad ? 300 : 0;
}

static inline void options_refused(bool bad)
{
	ini("");
	text_copy(app()->options, 100, bad ? "-c statement_timeout=30000" : "-c TimeZone=UTC");
}

static inline void max_client_conn(bool bad)
{
	persistent(true);
	ini(bad ? "max_client_conn = 100" : "max_client_conn = 5000");
}

/* Nine sessions born 10 s apart, each used once; else all born at once, as a pool is. */
static inline void leaked(bool bad)
{
	struct server_facts *s = server(9);

	for (int i = 0; i < 9; i++)
		leak(&s->sessions[i], bad ? 10 * i : 0);
}

static inline void demand(bool bad)
{
	struct session *s = server(bad ? 6 : 4)->sessions;

	s[0].process = s[1].process = 10;
	s[2].process = 11;
	text_copy(s[3].address, sizeof s[3].address, "10.0.0.8");
}

static inline void named(bool bad)
{
	struct console_facts *c = console();

	c->leaks = calloc(1, sizeof *c->leaks);
	c->leak_count = bad;
	text_copy(c->leaks[0].origin, sizeof c->leaks[0].origin, "web of app@shop from 10.0.0.7");
	text_copy(c->leaks[0].pattern, sizeof c->leaks[0].pattern, "L9");
	text_copy(c->leaks[0].cure, sizeof c->leaks[0].cure, "Use a short session.");
}

#endif
