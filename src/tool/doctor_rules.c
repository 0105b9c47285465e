#include "tool/doctor_rules.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

/* clang-format off */

const struct doctor_rule doctor_rules[] = {
	{ "D01", "full", "Nobody can log in any more; an administrator only on a reserved slot.", rule_full },
	{ "D02", "pooler-full", "The pooler refuses clients while PostgreSQL may have room: the outage has moved, it is not gone.", rule_pooler_full },
	{ "D40", "watched-leak", "The leak detector saw it happen while it watched.", rule_watched },
	{ "D41", "named-leak", "pgweir saw on the wire what this origin does. What leaks here costs a socket, or a server and with it everybody.", rule_named },
	{ "D03", "leaked-sessions", "A pool does not open a connection while others of its own sit idle. Whoever does has lost them: they are never used again, and they fill PostgreSQL.", rule_leaked },
	{ "D04", "persistent-under-asgi", "Under ASGI Django serves each request in a thread of its own, which ends with the request. A connection kept alive by CONN_MAX_AGE belongs to that dead thread: nobody can use it again, and nobody closes it. Fewer seconds leak more slowly to the same end.", rule_persistent },
	{ "D05", "options-refused", "PgBouncer refuses the login: \"unsupported startup parameter in options\". The two settings exclude each other.", rule_options_refused },
	{ "D06", "options-dropped", "The setting is dropped in silence: the application believes in a limit that does not exist.", rule_options_dropped },
	{ "D07", "idle-in-transaction", "Each holds a slot, its locks, and the horizon of vacuum; behind a pooler a few of them stop everybody.", rule_in_transaction },
	{ "D08", "near-limit", "The next burst is refused with \"sorry, too many clients already\", for every application on this server.", rule_near_limit },
	{ "D09", "max-client-conn", "PgBouncer counts every client, idle and leaked ones too. At the limit it refuses everybody while PostgreSQL has nothing to do: the outage moves, it does not go away.", rule_max_client_conn },
	{ "D10", "clients-near-limit", "At max_client_conn this pooler refuses logins, whatever PostgreSQL could still take.", rule_clients_near_limit },
	{ "D11", "pools-exceed-slots", "When all pools are busy at once, they ask PostgreSQL for more than it has: 53300 for everybody.", rule_pools_exceed },
	{ "D44", "open-door", "Whoever reaches the port is let in, as whichever user he says he is.", rule_open_door },
	{ "D50", "open-secrets", "Whoever has any account on this machine has what is in there: passwords, hashes to guess them from, the key that proves who a server is.", rule_open_secrets },
	{ "D43", "limit-below-pool", "PostgreSQL refuses what is beyond the limit with 53300: the pool never has the size that it is written to have.", rule_limit_below_pool },
	{ "D12", "auth-md5", "An md5 hash cannot answer PostgreSQL's SCRAM request: the pooler cannot log in to the server, although the client's password is right.", rule_md5 },
	{ "D13", "server-side-cursors", "Django's server-side cursors outlive their transaction; the next fetch may run on another server: 'cursor \"_django_curs_...\" does not exist', now and then.", rule_cursors },
	{ "D14", "kill-all-idle", "It ends listeners, the pooler's idle servers, monitoring and sessions of others as well, and may hit a process id that was given again.", rule_kill_idle },
	{ "D15", "clients-wait", "Clients wait for a server; after query_wait_timeout they fail.", rule_clients_wait },
	{ "D16", "abandoned-queries", "Nobody waits for these any more, and each occupies a slot that the pooler does not count.", rule_abandoned },
	{ "D17", "idle-lock-holders", "A session advisory lock lives as long as its session. In a pool, that is long after its owner has gone.", rule_advisory },
	{ "D18", "zero-query-sessions", "Logged in and never used: a pool whose connect attempt had timed out when the login came through, or a hook that failed after it.", rule_silent },
	{ "D19", "listeners", "One session for each subscriber. Listeners cannot share servers, so they take slots one by one.", rule_listeners },
	{ "D20", "forgotten-prepared-transactions", "They hold their locks and the horizon of vacuum without any session, also over a restart.", rule_prepared },
	{ "D21", "application-superuser", "The reserved slots are for superusers. An application that is one takes them too, and then nobody gets in to help.", rule_superuser },
	{ "D22", "pool-and-max-age", "Django refuses to start: its own pool and persistent connections exclude each other.", rule_pool_and_age },
	{ "D23", "need", "What the work needs is transactions per second times how long each holds its connection. Connections beyond that serve nobody, take slots from others and hide a leak; with fewer, clients wait.", rule_need },
	{ "D42", "demand", "A pooler must have room for every connection that an application may open, and for twice as many while a deploy has the old and the new one side by side. A pool of servers need not.", rule_demand },
	{ "D45", "standby-among-hosts", "Whoever is led to the standby is told 25006 with his first write, which no retry in the same session cures.", rule_standby_among },
	{ "D46", "no-host-suits", "Clients wait as long as query_wait_timeout lets them, and are told nothing better.", rule_no_host_suits },
	{ "D48", "two-primaries", "What is written to the one is not at the other: after a failover the old primary came back as one.", rule_two_primaries },
	{ "D47", "host-missing", "As long as the other hosts serve, nobody notices; when one of those goes too, there is nobody left.", rule_host_missing },
	{ "D24", "deadlock-floor", "When every task holds one connection and waits for another, none ever comes free.", rule_deadlock_floor },
	{ "D25", "executor-threads", "Threads of the default executor keep a connection each, and Django's request signals never reach them: up to cores + 4 connections (32 at most) for each process, for hours.", rule_threads },
	{ "D26", "no-transaction-guard", "A transaction that is left open holds its slot and its locks until somebody notices.", rule_no_transaction_guard },
	{ "D27", "timeout-ladder", "Each limit should end before the next one around it; else the outer one gives up first, and the inner work goes on for nobody.", rule_ladder },
	{ "D28", "session-mode", "In session mode each client holds a server for as long as it is connected: an idle or leaked client costs as much as without a pooler.", rule_session_mode },
	{ "D29", "descriptors", "Out of file descriptors a pooler cannot accept anybody, whatever max_client_conn says.", rule_descriptors },
	{ "D30", "raised-max-connections", "More slots buy hours: a leak fills them too. Each costs memory, and PostgreSQL must be restarted for it.", rule_raise_max },
	{ "D31", "pool-too-large", "More busy backends than the machine can run do not make it faster; they make every query slower.", rule_pool_too_large },
	{ "D32", "one-address", "One host, process or pooler has most of the slots: if that one leaks, everybody is out.", rule_one_address },
	{ "D33", "dead-peers", "A client whose network went away is noticed only by these; without them its session stays for hours.", rule_dead_peers },
	{ "D34", "no-statement-guard", "A statement that runs for ever holds its slot for ever, also when nobody waits for it.", rule_no_statement_guard },
	{ "D35", "close-old-connections", "It closes connections that are broken or past CONN_MAX_AGE, and only those of the thread it runs in. What leaks belongs to other threads, which are dead. Channels calls it before and after every database_sync_to_async already.", rule_close_old },
	{ "D36", "blind-stress-test", "What leaks shows in the database after the sockets have closed. A test that never looks there passes with any leak.", rule_blind_stress },
	{ "D37", "sync-to-async", "Unlikely to be the leak: all consumers of a process share one thread and so one connection.", rule_sync_to_async },
	{ "D38", "health-checks", "It decides whether a kept connection is tested before it is used again. It neither makes nor cures a leak.", rule_health_checks },
	{ "D49", "slow-to-leave", "A host that is switched off answers nothing, and each new connection waits there for so long before the next host is tried.", rule_slow_to_leave },
	{ "D39", "unnamed", "All sessions look alike in pg_stat_activity; when one application leaks, nobody can tell which.", rule_unnamed },
};

/* clang-format on */

const size_t doctor_rules_count = sizeof doctor_rules / sizeof *doctor_rules;

const char *level_name(enum finding_level level)
{
	static const char *const names[] = { "note", "warning", "danger" };

	return names[level];
}

struct finding *find(struct doctor_report *report, const struct doctor_rule *rule, enum finding_level level,
	const char *subject_format, ...)
{
	struct finding *finding = &report->spare;
	va_list arguments;

	if (report->count == report->capacity) {
		size_t capacity = report->capacity ? report->capacity * 2 : 32;
		struct finding *more = realloc(report->findings, capacity * sizeof *more);

		if (more) {
			report->findings = more;
			report->capacity = capacity;
		}
	}
	if (report->count < report->capacity)
		finding = &report->findings[report->count++];
	else
		report->refused = true;
	*finding = (struct finding){ .rule = rule, .level = level, .order = report->count };
	va_start(arguments, subject_format);
	vsnprintf(finding->subject, sizeof finding->subject, subject_format, arguments);
	va_end(arguments);
	return finding;
}

void say(char *text, size_t size, const char *format, ...)
{
	size_t n = strlen(text);
	va_list arguments;

	check(n < size);
	va_start(arguments, format);
	vsnprintf(text + n, size - n, format, arguments);
	va_end(arguments);
}

static int compare(const void *left, const void *right)
{
	const struct finding *a = left, *b = right;

	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void doctor_look(const struct doctor_facts *facts, struct doctor_report *report)
{
	for (size_t i = 0; i < doctor_rules_count; i++)
		doctor_rules[i].look(facts, &doctor_rules[i], report);
	if (report->count)
		qsort(report->findings, report->count, sizeof *report->findings, compare);
}

void doctor_report_fini(struct doctor_report *report)
{
	free(report->findings);
	*report = (struct doctor_report){ 0 };
}

/* ---- what several rules ask ---- */

/* In quotes, with `inside` in the place of each quote within; cut so that the closing one has room. */
static char *quoted(const char *text, char quote, const char *inside, char *out, size_t size)
{
	size_t n = 0, length = strlen(inside);

	check(size > length + 2);
	out[n++] = quote;
	for (; *text && n + length + 2 <= size; text++) {
		if (*text == quote)
			n += text_copy(out + n, size - n, inside);
		else
			out[n++] = *text;
	}
	out[n++] = quote;
	out[n] = 0;
	return out;
}

char *sql_name(const char *name, char *out, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz_0123456789";

	if (!*name || name[strspn(name, plain)] || (*name >= '0' && *name <= '9'))
		return quoted(name, '"', "\"\"", out, size);
	text_copy(out, size, name);
	return out;
}

char *sql_text(const char *text, char *out, size_t size)
{
	return quoted(text, '\'', "''", out, size);
}

char *shell_word(const char *word, char *out, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,+=";

	if (!*word || word[strspn(word, plain)])
		return quoted(word, '\'', "'\\''", out, size);
	text_copy(out, size, word);
	return out;
}

bool is_persistent(const struct app_database *app)
{
	return app->django && app->max_age_set && app->max_age != 0;
}

int server_usable(const struct server_facts *server)
{
	int headroom = server->max_connections / 10 > 5 ? server->max_connections / 10 : 5;
	int usable = server->max_connections - server->superuser_reserved - server->reserved - headroom;

	return usable > 0 ? usable : 0;
}

size_t server_sessions(const struct server_facts *server)
{
	size_t count = 0;

	for (size_t i = 0; i < server->session_count; i++)
		count += !server->sessions[i].ours;
	return count;
}

bool console_has(const struct console_facts *console, int pid)
{
	for (size_t i = 0; i < console->server_pid_count; i++) {
		if (console->server_pids[i] == pid)
			return true;
	}
	return false;
}

static void take_file(struct route *route, const struct pooler_file *file)
{
	route->through = true;
	route->file = file;
	route->is_pgweir = file->is_pgweir;
	route->transaction = file->config->pool_mode != POOL_SESSION;
	text_copy(route->name, sizeof route->name, file->path);
}

void find_route(const struct doctor_facts *facts, const struct app_database *app, struct route *route)
{
	*route = (struct route){ 0 };
	for (size_t i = 0; i < facts->file_count; i++) {
		if (app->port == facts->files[i].config->listen_port) {
			take_file(route, &facts->files[i]);
			route->certain = true;
			return;
		}
	}
	if (facts->file_count > 0) {
		take_file(route, &facts->files[0]);
		return;
	}
	for (size_t i = 0; i < facts->console_count; i++) {
		const struct console_facts *console = &facts->consoles[i];

		if (!console->reached)
			continue;
		route->through = true;
		route->certain = console->port == app->port;
		route->is_pgweir = console->is_pgweir;
		route->transaction = console->transaction;
		for (size_t p = 0; p < console->pool_count; p++) {
			if (strcmp(console->pools[p].mode, "session") != 0)
				route->transaction = true;
		}
		text_copy(route->name, sizeof route->name, console->name);
		return;
	}
	if (app->port == 6432 || app->port == 6543) {
		/* The usual ports of poolers; nothing more is known. */
		route->through = route->transaction = true;
		text_format(route->name, sizeof route->name, "whatever pooler listens on port %d", app->port);
	}
}

void doctor_facts_fini(struct doctor_facts *facts)
{
	for (size_t i = 0; i < facts->file_count; i++)
		config_drop(facts->files[i].config);
	for (size_t i = 0; i < facts->server_count; i++)
		free(facts->servers[i].sessions);
	for (size_t i = 0; i < facts->console_count; i++) {
		free(facts->consoles[i].pools);
		free(facts->consoles[i].leaks);
		free(facts->consoles[i].server_pids);
	}
}
