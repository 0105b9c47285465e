#include "base/text.h"
#include "base/url.h"
#include "tool/doctor_rules.h"

/* Rules about a pooler: its file, and its console while it runs. */

/* pgweir's limit counts only clients that are busy, unless it is told otherwise. */
static bool parked_are_free(const struct pooler_file *file)
{
	return file->is_pgweir && file->config->client_limit_counts == LIMIT_BUSY;
}

/* The most client sessions that a live server has for others than us: what would have come through the pooler. */
static size_t most_sessions(const struct doctor_facts *facts)
{
	size_t most = 0;

	for (size_t i = 0; i < facts->server_count; i++) {
		size_t count = server_sessions(&facts->servers[i]);

		if (count > most)
			most = count;
	}
	return most;
}

void rule_max_client_conn(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	const struct app_database *leaking = NULL;
	size_t sessions = most_sessions(facts);

	for (size_t i = 0; i < facts->app_count; i++) {
		if (is_persistent(&facts->apps[i]) && facts->apps[i].asgi != ANSWER_NO)
			leaking = &facts->apps[i];
	}
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		int most = file->config->max_client_conn;
		bool small = most <= 100, short_now = sessions > 0 && (double)most < 1.2 * (double)sessions;
		struct finding *finding;

		if (parked_are_free(file) || (!small && !short_now))
			continue;
		finding = find(report, rule, leaking || short_now ? LEVEL_DANGER : LEVEL_WARNING, "%s", file->path);
		evidence(finding, "max_client_conn is %d%s.", most, most == 100 ? ", PgBouncer's default" : "");
		if (leaking)
			evidence(finding, " The application leaks (%s): client %d is refused, with PostgreSQL idle.",
				leaking->source, most + 1);
		if (short_now)
			evidence(finding,
				" PostgreSQL has %zu client sessions now; the pooler should take 1.2 times as many, %.0f.",
				sessions, 1.2 * (double)sessions);
		edit(finding,
			"%s, [pgbouncer]:  max_client_conn = %d   (and end the leak: any number fills up). Or run this file with pgweir, "
			"where idle clients do not count.",
			file->path, sessions * 12 / 10 > 10000 ? (int)(sessions * 2) : 10000);
	}
}

void rule_md5(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		const struct server_facts *scram = NULL;
		bool hashes = file->secrets_read && file->secrets_md5 > 0,
		     other = file->secrets_plain + file->secrets_scram > 0;
		struct finding *finding;

		if (strcmp(file->config->auth_type_text, "md5") != 0 || (other && !hashes))
			continue;
		for (size_t s = 0; s < facts->server_count; s++) {
			const struct server_facts *server = &facts->servers[s];

			if (server->reached && (server->secrets_read ? server->secrets_scram > 0 : server->scram))
				scram = server;
		}
		/* Somebody who looked at the server and found md5 there has no trouble. */
		if (!scram && facts->server_count > 0 && facts->servers[0].reached)
			continue;
		finding = find(report, rule, hashes && scram ? LEVEL_DANGER : LEVEL_WARNING, "%s", file->path);
		evidence(finding, "auth_type = md5; ");
		if (hashes)
			evidence(finding, "%u of the secrets in %s are md5 hashes; ", file->secrets_md5,
				file->config->auth_file);
		else if (file->secrets_read)
			evidence(finding, "there is nobody in %s yet; ", file->config->auth_file);
		else
			evidence(finding, "%s was not read (%s); ",
				*file->config->auth_file ? file->config->auth_file : "its auth_file",
				*file->secrets_problem ? file->secrets_problem : "not given");
		if (scram && scram->secrets_read)
			evidence(finding, "%u roles of %s have SCRAM secrets.", scram->secrets_scram, scram->name);
		else if (scram)
			evidence(finding, "%s stores passwords as scram-sha-256.", scram->name);
		else
			evidence(finding, "PostgreSQL stores SCRAM secrets unless told otherwise since version 14.");
		edit(finding,
			"%s, [pgbouncer]:  auth_type = scram-sha-256   and in %s the secrets of pg_authid as they are: "
			"SELECT format('\"%%s\" \"%%s\"', rolname, rolpassword) FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL;",
			file->path, *file->config->auth_file ? file->config->auth_file : "auth_file");
	}
}

void rule_session_mode(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		struct finding *finding;

		if (file->config->pool_mode != POOL_SESSION)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", file->path);
		if (file->config->default_pool_size > 0)
			evidence(finding,
				"pool_mode is session; with default_pool_size = %d, client %d of a user waits until another disconnects.",
				file->config->default_pool_size,
				file->config->default_pool_size + file->config->reserve_pool_size + 1);
		else
			evidence(finding,
				"pool_mode is session; with default_pool_size = 0, PostgreSQL has as many sessions as there are clients.");
		edit(finding,
			"%s, [pgbouncer]:  pool_mode = transaction   (LISTEN, session advisory locks and WITH HOLD cursors need an entry of "
			"their own in [databases] with pool_mode=session)",
			file->path);
	}
}

static void ladder_of_app(const struct doctor_facts *facts, const struct doctor_rule *rule,
	struct doctor_report *report, const struct pooler_file *file)
{
	time_us wait = file->config->query_wait_timeout;

	for (size_t i = 0; i < facts->app_count; i++) {
		const struct app_database *app = &facts->apps[i];
		struct finding *finding;

		if (app->connect_timeout <= 0 || wait == 0 || app->connect_timeout * 1e6 < (double)wait)
			continue;
		finding = find(report, rule, LEVEL_NOTE, "%s, database '%s'", app->source, app->alias);
		evidence(finding,
			"connect_timeout is %g s, not below query_wait_timeout of %s, %g s: a login that waits hides which of the two ended it.",
			app->connect_timeout, file->path, (double)wait / 1e6);
		edit(finding, "'connect_timeout': 3,");
	}
}

void rule_ladder(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		time_us wait = file->config->query_wait_timeout, request = facts->request_timeout;
		bool late = wait == 0 || wait > 10 * SECOND_US || (request > 0 && wait >= request);
		struct finding *finding;

		ladder_of_app(facts, rule, report, file);
		if (!late)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", file->path);
		if (wait == 0)
			evidence(finding, "query_wait_timeout is off: a client waits for a server without end.");
		else
			evidence(finding, "query_wait_timeout is %g s%s: whoever asked has given up long before.",
				(double)wait / 1e6, wait == 120 * SECOND_US ? ", the default" : "");
		if (request > 0)
			evidence(finding, " Requests of the application end after %g s.", (double)request / 1e6);
		edit(finding,
			"%s, [pgbouncer]:  query_wait_timeout = %d   (connect < query_wait_timeout < request < load balancer; and "
			"statement_timeout below the request's)",
			file->path, request > 0 && request <= 10 * SECOND_US ? (int)(request / SECOND_US / 2) + 1 : 8);
	}
	for (size_t i = 0; facts->request_timeout > 0 && i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct finding *finding;

		if (!server->reached || server->statement_timeout == 0 ||
			server->statement_timeout < facts->request_timeout)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
		evidence(finding, "statement_timeout is %g s, requests end after %g s: statements go on for nobody.",
			(double)server->statement_timeout / 1e6, (double)facts->request_timeout / 1e6);
		edit(finding, "ALTER ROLE <the application's> SET statement_timeout = '%.0fs';",
			(double)facts->request_timeout / 1e6 * 0.8);
	}
}

void rule_descriptors(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		size_t users = file->config->user_count ? file->config->user_count : 1;
		uint64_t need = (uint64_t)file->config->max_client_conn +
			(uint64_t)(file->config->default_pool_size + file->config->reserve_pool_size) *
				file->config->database_count * users +
			100;
		struct finding *finding;
		bool short_now = file->descriptors > 0 && file->descriptors < need;
		/* What it has without a word: pgweir takes what the hard limit allows, for which its unit says this. */
		uint64_t usual = file->is_pgweir ? 65536 : 1024;

		/* Not running: only a number that the usual limit does not allow is worth a word. */
		if (!short_now && (file->descriptors > 0 || need <= usual))
			continue;
		finding = find(report, rule, short_now ? LEVEL_DANGER : LEVEL_NOTE, "%s", file->path);
		evidence(finding, "%llu descriptors are needed: max_client_conn %d, the pools, and 100 more.",
			(unsigned long long)need, file->config->max_client_conn);
		if (short_now)
			evidence(finding, " The running process may have %llu.", (unsigned long long)file->descriptors);
		else
			evidence(finding, " %s %llu unless %s given more.",
				file->is_pgweir ? "The package's unit has" : "Services have", (unsigned long long)usual,
				file->is_pgweir ? "it is" : "they are");
		edit(finding, "systemctl edit %s   and there:  [Service]  LimitNOFILE=%llu",
			file->is_pgweir ? "pgweir" : "pgbouncer", (unsigned long long)(need + need / 5));
	}
}

void rule_clients_near_limit(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->console_count; i++) {
		const struct console_facts *console = &facts->consoles[i];
		struct finding *finding;

		if (!console->reached || console->parked_are_free || console->max_client_conn <= 0 ||
			console->clients * 10 < (unsigned)console->max_client_conn * 8)
			continue;
		finding = find(report, rule, LEVEL_DANGER, "%s", console->name);
		evidence(finding, "%u clients of max_client_conn = %d are connected.", console->clients,
			console->max_client_conn);
		edit(finding,
			"At once, on the console:  SET max_client_conn = %d;   and in the file. Then find out who keeps connecting (D03).",
			console->max_client_conn * 10);
	}
}

/* It could have more servers, and PostgreSQL lets it have none. */
static bool is_held_down(const struct console_facts *console, const struct console_pool *pool)
{
	return console->no_room[0] && (pool->size == 0 || pool->servers_active + pool->servers_idle < pool->size);
}

void rule_clients_wait(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->console_count; i++) {
		const struct console_facts *console = &facts->consoles[i];

		for (size_t p = 0; p < console->pool_count; p++) {
			const struct console_pool *pool = &console->pools[p];
			struct finding *finding;
			char wait[40];

			if (pool->clients_waiting == 0)
				continue;
			finding = find(report, rule, pool->max_wait >= SECOND_US ? LEVEL_DANGER : LEVEL_WARNING,
				"%s, pool %s/%s", console->name, pool->database, pool->user);
			evidence(finding,
				"%d client%s, the first for %s; %d server%s lent, %d idle, the pool's size is %d.",
				pool->clients_waiting, pool->clients_waiting == 1 ? " waits" : "s wait",
				text_duration(wait, sizeof wait, pool->max_wait), pool->servers_active,
				pool->servers_active == 1 ? " is" : "s are", pool->servers_idle, pool->size);
			if (is_held_down(console, pool)) {
				evidence(finding, " %s.", console->no_room);
				edit(finding,
					"Lead those others through the pooler as well, or end what they left behind:  pgweir reap URL  of that "
					"PostgreSQL, asked as a superuser. A larger pool gets no server either.");
				continue;
			}
			edit(finding,
				"See what the lent servers do before making the pool larger: give a PostgreSQL URL too, and look at D07 and D23.");
		}
	}
}

static void find_full(
	const struct doctor_rule *rule, struct doctor_report *report, const char *name, const char *answer)
{
	struct finding *finding = find(report, rule, LEVEL_DANGER, "%s", name);

	evidence(finding, "It answered: %s", answer);
	edit(finding,
		"On its console, which still lets administrators in (database pgbouncer):  SET max_client_conn = 10000;   Then find out who keeps "
		"connecting.");
}

void rule_pooler_full(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->console_count; i++) {
		if (facts->consoles[i].full)
			find_full(rule, report, facts->consoles[i].name, facts->consoles[i].problem);
	}
	for (size_t i = 0; i < facts->server_count; i++) {
		if (facts->servers[i].pooler_full)
			find_full(rule, report, facts->servers[i].name, facts->servers[i].problem);
	}
}

/* Whether every address in the list is this machine's own. */
static bool only_loopback(const char *list)
{
	struct span rest = span_text(list);

	while (rest.length) {
		struct span word = text_trim(span_upto(&rest, ','));
		char address[128];

		text_copy_span(address, sizeof address, word);
		if (word.length && strncmp(address, "127.", 4) != 0 && strcmp(address, "::1") != 0 &&
			strcmp(address, "localhost") != 0)
			return false;
	}
	return true;
}

void rule_open_secrets(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		struct finding *finding;

		if (!file->for_all[0])
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", file->path);
		evidence(finding, "Every user of this machine may read: %s.", file->for_all);
		edit(finding,
			"chown root:GROUP FILE && chmod 640 FILE   for each, with the group of the user that the pooler runs as (%s).",
			file->config->user && *file->config->user ? file->config->user : "User= of its unit");
	}
}

void rule_open_door(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		const char *how = file->config->auth_type_text;
		struct finding *finding;

		if ((strcmp(how, "trust") != 0 && strcmp(how, "any") != 0) || only_loopback(file->config->listen_addr))
			continue;
		finding = find(report, rule, LEVEL_DANGER, "%s", file->path);
		evidence(finding, "auth_type is %s, and listen_addr is %s.", how, file->config->listen_addr);
		edit(finding, "%s, [pgbouncer]:  auth_type = scram-sha-256   or  listen_addr = 127.0.0.1", file->path);
	}
}
