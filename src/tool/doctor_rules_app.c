#include "base/text.h"
#include "tool/doctor_rules.h"
#include "tool/doctor_scan.h"
#include "tool/doctor_url.h"

/* Rules about the application: its settings, its source, and the remedies that a write-up proposes. */

static const char *alias_of(const struct app_database *app)
{
	return *app->alias ? app->alias : *app->name ? app->name : "default";
}

static void subject_of(const struct app_database *app, unsigned line, char *out, size_t size)
{
	if (line)
		text_format(out, size, "%s:%u, database '%s'", app->source, line, alias_of(app));
	else
		text_format(out, size, "%s, database '%s'", app->source, alias_of(app));
}

static const char *age_text(double age, char *out, size_t size)
{
	if (age == MAX_AGE_FOREVER)
		text_copy(out, size, "None (for ever)");
	else
		text_format(out, size, "%g", age);
	return out;
}

/* An edit in the words of the place where the setting stands. */
static void edit_setting(struct finding *finding, const struct app_database *app, const char *django, const char *url)
{
	if (app->line)
		edit(finding, "%s, in DATABASES['%s']:  %s", app->source, alias_of(app), django);
	else
		edit(finding, "%s:  %s", app->source, url);
}

/* ---- settings ---- */

static void persistent_in_code(
	const struct code_facts *code, const struct doctor_rule *rule, struct doctor_report *report)
{
	const struct code_example *example = &code->examples[CODE_PERSISTENT][0];
	struct finding *finding = find(report, rule, LEVEL_WARNING, "%s:%u", example->file, example->line);
	char age[32];

	evidence(finding, "%u place%s set%s CONN_MAX_AGE (up to %s), for example: %s.", code->counts[CODE_PERSISTENT],
		text_plural(code->counts[CODE_PERSISTENT]), code->counts[CODE_PERSISTENT] == 1 ? "s" : "",
		age_text(code->conn_max_age, age, sizeof age), example->text);
	edit(finding, "'CONN_MAX_AGE': 0 wherever ASGI serves the requests; 300 is no better than 600.");
}

void rule_persistent(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	bool seen = false;

	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		char subject[192], age[32];
		struct finding *finding;

		seen |= app->django;
		if (!is_persistent(app) || app->asgi == ANSWER_NO)
			continue;
		subject_of(app, app->max_age_line, subject, sizeof subject);
		finding = find(report, rule, app->asgi == ANSWER_YES ? LEVEL_DANGER : LEVEL_WARNING, "%s", subject);
		evidence(finding, "CONN_MAX_AGE is %s%s", age_text(app->max_age, age, sizeof age),
			app->max_age_fallback ? " unless the environment says otherwise" : "");
		if (app->asgi == ANSWER_YES)
			evidence(finding, ", and the project is served by ASGI: %s.", app->asgi_evidence);
		else
			evidence(finding,
				"; nothing in what was given says whether ASGI serves it. Under WSGI this is fine (--wsgi).");
		if (app->max_age > 0)
			evidence(finding, " At 2 requests/s up to %.0f connections are open at a time.",
				2 * app->max_age);
		edit_setting(finding, app, "'CONN_MAX_AGE': 0,", "conn_max_age=0");
		edit(finding, "   (and let a pooler keep connections: logging in there is cheap)");
	}
	if (!seen && facts->code.counts[CODE_PERSISTENT])
		persistent_in_code(&facts->code, rule, report);
}

/* What PgBouncer itself takes inside options, beside track_extra_parameters. */
static bool pgbouncer_carries(const char *name)
{
	static const char *const names[] = { "client_encoding", "datestyle", "timezone", "standard_conforming_strings",
		"application_name", "intervalstyle", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (text_equal_nocase(span_text(name), span_text(names[i])))
			return true;
	}
	return false;
}

/* The settings in `options` that PgBouncer would not carry, as one text; returns how many. */
static unsigned list_foreign(
	const struct app_database *app, const struct config *config, bool dropped, char *out, size_t size)
{
	struct span at = span_text(app->options);
	char name[64], value[128];
	unsigned count = 0;

	*out = 0;
	while (options_next(&at, name, sizeof name, value, sizeof value)) {
		bool ignored = config &&
			(config_list_has(config->ignore_startup_parameters, span_text("options"), true) ||
				config_list_has(config->ignore_startup_parameters, span_text(name), true));

		if (pgbouncer_carries(name) ||
			(config && config_list_has(config->track_extra_parameters, span_text(name), true)))
			continue;
		if (ignored != dropped)
			continue;
		say(out, size, "%s%s=%s", count++ ? ", " : "", name, value);
	}
	return count;
}

/* "ALTER ROLE ... SET ..." for what the application tried to ask for at login. */
static void edit_alter_role(struct finding *finding, const struct app_database *app)
{
	struct span at = span_text(app->options);
	char name[64], value[128];

	while (options_next(&at, name, sizeof name, value, sizeof value)) {
		char role[160], setting[160], quoted[300];

		if (!pgbouncer_carries(name))
			edit(finding, "ALTER ROLE %s SET %s = %s;  ",
				sql_name(*app->user ? app->user : "the application's", role, sizeof role),
				sql_name(name, setting, sizeof setting), sql_text(value, quoted, sizeof quoted));
	}
}

/* An application that asks at login for what its pooler does not carry. */
struct foreign {
	size_t next; /* where to look on; 0 at first */
	const struct app_database *app;
	struct route route;
	char names[256]; /* of the settings */
	struct finding *finding;
};

/* The next one whose settings are dropped in silence, or refused; its finding has begun. False: there is no more. */
static bool foreign_next(const struct doctor_facts *facts, bool dropped, const struct doctor_rule *rule,
	struct doctor_report *report, struct foreign *f)
{
	char subject[192];

	while (f->next < facts->app_count) {
		f->app = &facts->apps[f->next++];
		find_route(facts, f->app, &f->route);
		if (f->route.is_pgweir || !(dropped ? f->route.file != NULL : f->route.through) ||
			!list_foreign(f->app, f->route.file ? f->route.file->config : NULL, dropped, f->names,
				sizeof f->names))
			continue;
		subject_of(f->app, f->app->line, subject, sizeof subject);
		f->finding = find(report, rule, f->route.certain ? LEVEL_DANGER : LEVEL_WARNING, "%s", subject);
		return true;
	}
	return false;
}

void rule_options_refused(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct foreign f = { 0 };

	while (foreign_next(facts, false, rule, report, &f)) {
		const struct app_database *app = f.app;
		struct finding *finding = f.finding;

		evidence(finding, "It asks for \"options: %s\" at login, which %s does not carry: %s.", app->options,
			f.route.name, f.names);
		if (!f.route.certain)
			evidence(
				finding, " It will be refused once it connects there (its port is %d now).", app->port);
		edit_setting(finding, app,
			"remove 'options' from OPTIONS, and in PostgreSQL:  ", "remove options=, and in PostgreSQL:  ");
		edit_alter_role(finding, app);
		edit(finding,
			"Or put pgweir in PgBouncer's place: it takes these settings, for that client alone. Not the usual "
			"ignore_startup_parameters = options: that drops them in silence.");
	}
}

void rule_options_dropped(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct foreign f = { 0 };

	while (foreign_next(facts, true, rule, report, &f)) {
		evidence(f.finding,
			"It asks for %s at login; ignore_startup_parameters in %s has \"%s\", so PgBouncer throws it away.",
			f.names, f.route.name, f.route.file->config->ignore_startup_parameters);
		edit(f.finding, "Take it out of ignore_startup_parameters, and in PostgreSQL:  ");
		edit_alter_role(f.finding, f.app);
		edit(f.finding, "Or put pgweir in PgBouncer's place, which keeps the setting.");
	}
	for (size_t i = 0; facts->app_count == 0 && i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		struct finding *finding;

		if (file->is_pgweir ||
			!config_list_has(file->config->ignore_startup_parameters, span_text("options"), true))
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", file->path);
		evidence(finding,
			"ignore_startup_parameters = %s: whatever a client asks for by options=-c ... is thrown away.",
			file->config->ignore_startup_parameters);
		edit(finding, "Take options out of the list, and set what clients need with ALTER ROLE ... SET.");
	}
}

void rule_cursors(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		char subject[192];
		struct finding *finding;
		struct route route;

		find_route(facts, app, &route);
		if (!app->django || !route.through || !route.transaction || app->no_server_side_cursors)
			continue;
		subject_of(app, app->line, subject, sizeof subject);
		finding = find(report, rule, route.certain ? LEVEL_DANGER : LEVEL_WARNING, "%s", subject);
		evidence(finding, "DISABLE_SERVER_SIDE_CURSORS is not set, and %s pools by transaction%s.", route.name,
			route.certain ? "" : " (if the application goes through it)");
		edit_setting(finding, app, "'DISABLE_SERVER_SIDE_CURSORS': True,", "disable_server_side_cursors=true");
	}
}

void rule_health_checks(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	const struct code_example *example = &facts->code.examples[CODE_HEALTH_CHECKS][0];
	struct finding *finding;
	bool seen = false;

	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		char subject[192];

		if (!app->health_checks_set || !is_persistent(app))
			continue;
		seen = true;
		subject_of(app, app->line, subject, sizeof subject);
		finding = find(report, rule, LEVEL_NOTE, "%s", subject);
		evidence(finding, "CONN_HEALTH_CHECKS is %s.", app->health_checks ? "True" : "False");
		edit(finding, "Nothing: with CONN_MAX_AGE 0 it has no effect at all.");
	}
	if (seen || facts->app_count || !facts->code.counts[CODE_HEALTH_CHECKS])
		return;
	finding = find(report, rule, LEVEL_NOTE, "%s:%u", example->file, example->line);
	evidence(finding, "CONN_HEALTH_CHECKS is named as a remedy: %s", example->text);
	edit(finding, "Nothing: with CONN_MAX_AGE 0 it has no effect at all.");
}

void rule_unnamed(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		char subject[192];
		struct finding *finding;

		if (*app->application_name || strstr(app->options, "application_name"))
			continue;
		subject_of(app, app->line, subject, sizeof subject);
		finding = find(report, rule, LEVEL_NOTE, "%s", subject);
		evidence(finding, "It gives no application_name.");
		edit_setting(finding, app, "'OPTIONS': {'application_name': 'web', ...},", "application_name=web");
	}
}

void rule_pool_and_age(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		char subject[192], age[32];
		struct finding *finding;

		if (!app->pool || !is_persistent(app))
			continue;
		subject_of(app, app->line, subject, sizeof subject);
		finding = find(report, rule, LEVEL_DANGER, "%s", subject);
		evidence(finding, "OPTIONS has 'pool', and CONN_MAX_AGE is %s.",
			age_text(app->max_age, age, sizeof age));
		edit_setting(finding, app, "'CONN_MAX_AGE': 0,", "conn_max_age=0");
	}
}

/* ---- source and prose ---- */

/* A finding about a sign: its places become the evidence. NULL: there are none. */
static struct finding *find_sign(const struct doctor_facts *facts, const struct doctor_rule *rule,
	struct doctor_report *report, enum code_sign sign, enum finding_level level)
{
	const struct code_facts *code = &facts->code;
	unsigned count = code->counts[sign], files = code->files_with[sign];
	struct finding *finding;

	if (count == 0)
		return NULL;
	finding = find(report, rule, level, "%s:%u", code->examples[sign][0].file, code->examples[sign][0].line);
	evidence(finding, "%u line%s in %u file%s (%s):", count, text_plural(count), files, text_plural(files),
		scan_sign_name(sign));
	for (unsigned i = 0; i < count && i < DOCTOR_EXAMPLES_MAX; i++)
		evidence(finding, "\n%s:%u: %s", code->examples[sign][i].file, code->examples[sign][i].line,
			code->examples[sign][i].text);
	return finding;
}

void rule_kill_idle(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_KILL_IDLE, LEVEL_DANGER);

	if (!finding)
		return;
	evidence(finding,
		"\nWithout a condition on each of backend_type, pg_backend_pid() and usename or application_name.");
	edit(finding,
		"Use instead:  pgweir reap URL --idle 5m   It shows first what would go and what stays, and why; and ends nothing until it is told to.");
}

void rule_close_old(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_CLOSE_OLD, LEVEL_NOTE);

	if (!finding)
		return;
	for (size_t i = 0; i < facts->app_count; i++) {
		if (is_persistent(&facts->apps[i]))
			finding->level = LEVEL_WARNING;
	}
	edit(finding,
		"Set CONN_MAX_AGE to 0 instead; keep these calls only in threads of your own, as connections.close_all() in a finally.");
}

void rule_threads(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_THREAD, LEVEL_WARNING);

	if (finding)
		edit(finding,
			"For whatever touches the ORM:  await database_sync_to_async(function)(...)   (channels.db), which closes and shares one thread.");
}

void rule_sync_to_async(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_SYNC_TO_ASYNC, LEVEL_NOTE);

	if (finding)
		edit(finding, "Nothing, as long as none of them passes thread_sensitive=False.");
}

void rule_raise_max(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_RAISE_MAX, LEVEL_WARNING);

	if (finding)
		edit(finding, "Leave max_connections as it is, end the leak, and put a pooler in front.");
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		size_t idle = 0;

		for (size_t s = 0; s < server->session_count; s++)
			idle += strcmp(server->sessions[s].state, "idle") == 0 && !server->sessions[s].ours;
		/* Raised, and what fills it does nothing. */
		if (!server->sees_all || !server->max_connections_set || server->max_connections <= 100 ||
			idle * 2 < (size_t)server->max_connections)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
		evidence(finding, "max_connections is %d, and %zu sessions are idle.", server->max_connections, idle);
		edit(finding, "Do not raise it further; see who holds them (D03), and put a pooler in front.");
	}
}

void rule_blind_stress(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	struct finding *finding = find_sign(facts, rule, report, CODE_BLIND_STRESS, LEVEL_WARNING);

	if (finding)
		edit(finding,
			"Count sessions before, during and a minute after the sockets have closed; while it runs:  pgweir doctor --watch 120 URL");
}
