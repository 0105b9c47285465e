#include "base/text.h"
#include "tool/doctor_origins.h"
#include "tool/doctor_rules.h"

/* Rules about a live PostgreSQL and the sessions on it. Where other users' sessions are hidden from us, their states are empty texts and
 * the rules about states find nothing; the report says that once, where it lists what was read. */

#define EXAMPLES 3

static bool is_idle(const struct session *s)
{
	return strcmp(s->state, "idle") == 0;
}

static bool in_block(const struct session *s)
{
	return strncmp(s->state, "idle in transaction", 19) == 0;
}

/* "pid 4711 for 3 min, last: SELECT ..." */
static void say_session(struct finding *finding, const struct session *s, time_us since)
{
	char age[40];

	evidence(finding, "\npid %d, for %s, last: %.160s", s->pid, text_duration(age, sizeof age, since),
		*s->query ? s->query : "(nothing)");
}

void rule_full(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct finding *finding;

		if (!server->full)
			continue;
		finding = find(report, rule, LEVEL_DANGER, "%s", server->name);
		evidence(finding, "It refused the doctor as well: %s", server->problem);
		edit(finding,
			"Ask again as a superuser, for whom slots are reserved:  pgweir doctor postgresql://postgres@...   and, to make room "
			"safely:  pgweir reap URL --idle 10m");
	}
}

void rule_near_limit(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		size_t used = server_sessions(server), idle = 0, holding = 0;
		int slots = server->max_connections - server->superuser_reserved - server->reserved;
		char url[320];
		struct finding *finding;

		if (!server->reached || slots <= 0 || used * 10 < (size_t)slots * 7)
			continue;
		for (size_t s = 0; s < server->session_count; s++) {
			idle += is_idle(&server->sessions[s]) && !server->sessions[s].ours;
			holding += in_block(&server->sessions[s]);
		}
		finding = find(report, rule, used * 10 >= (size_t)slots * 9 ? LEVEL_DANGER : LEVEL_WARNING, "%s",
			server->name);
		evidence(finding, "%zu of %d slots are taken (max_connections %d, %d reserved)", used, slots,
			server->max_connections, server->superuser_reserved + server->reserved);
		if (server->sees_all)
			evidence(finding, ": %zu idle, %zu idle in transaction, %zu busy.", idle, holding,
				used - idle - holding);
		else
			evidence(finding, ".");
		edit(finding,
			"Idle sessions: D03 says whose they are, and  pgweir reap %s --idle 10m  shows which could safely go. For good: a pooler in "
			"front, pool_mode = transaction.",
			shell_word(server->name, url, sizeof url));
	}
}

void rule_watched(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->leak_count; i++) {
		const struct watched_leak *watched = &facts->leaks[i];
		const struct leak *leak = &watched->leak;
		struct finding *finding;
		char duration[40];

		finding = find(report, rule, leak->ended ? LEVEL_NOTE : LEVEL_DANGER, "%s", watched->origin);
		evidence(finding, "%s, %s (%u %% sure)%s: %s", leak->pattern->number, leak->pattern->name,
			leak->confidence, leak->ended ? ", and it has ended since" : "", leak->evidence);
		if (leak->growth > 0)
			evidence(finding, " It grows by %.1f a minute.", leak->growth);
		if (leak->exhausted_in > 0)
			evidence(finding, " %s is full in %s.", watched->server,
				text_duration(duration, sizeof duration, leak->exhausted_in));
		edit(finding, "%s", leak->pattern->cure);
	}
}

static void look_at_named(const struct console_facts *console, const struct console_leak *leak,
	const struct doctor_rule *rule, struct doctor_report *report)
{
	enum finding_level level = leak->ended || (leak->not_us && leak->low) ? LEVEL_NOTE
		: leak->low                                                   ? LEVEL_WARNING
									      : LEVEL_DANGER;
	struct finding *finding = find(report, rule, level, "%s", leak->origin);
	char duration[40];

	evidence(finding, "%s, %s (%d %% sure)%s: %s.", leak->pattern, leak->name, leak->confidence,
		leak->ended ? ", and it has ended since" : "", leak->evidence);
	if (leak->growth > 0)
		evidence(finding, " It grows by %.1f a minute.", leak->growth);
	if (leak->exhausted_in > 0)
		evidence(finding, " %s is full in %s.", console->name,
			text_duration(duration, sizeof duration, leak->exhausted_in));
	if (*leak->route)
		evidence(finding, " Most of them come from %s.", leak->route);
	if (*leak->statement)
		evidence(finding, " Their statement: %s", leak->statement);
	edit(finding, "%s", leak->cure);
	if (!leak->ended && !leak->not_us)
		edit(finding,
			" On that console  REAP DRY RUN ORIGIN %lld;  shows which of its clients could safely go.",
			(long long)leak->number);
}

void rule_named(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t c = 0; c < facts->console_count; c++)
		for (size_t i = 0; i < facts->consoles[c].leak_count; i++)
			look_at_named(&facts->consoles[c], &facts->consoles[c].leaks[i], rule, report);
}

/* ---- sessions by origin ---- */

static void look_at_leak(const struct server_facts *server, const struct origin_view *origin,
	const struct doctor_rule *rule, struct doctor_report *report)
{
	struct leak_sign sign;
	struct finding *finding;
	char name[320], age[40], url[320], user[160];

	origin_leak_sign(origin, &sign);
	if (sign.idle < 5 || sign.moments < 3)
		return;
	finding = find(report, rule,
		sign.idle >= 20 || sign.idle * 5 >= (size_t)server->max_connections ? LEVEL_DANGER : LEVEL_WARNING,
		"%s", origin_name(origin->sessions[0], name, sizeof name));
	evidence(finding,
		"%zu of its %zu sessions were used for one moment after their login and never again, the oldest for %s; %zu were opened "
		"while at least %d such siblings sat idle. They hold %.0f %% of max_connections = %d.",
		sign.idle, origin->count, text_duration(age, sizeof age, sign.oldest_idle), sign.born, ORIGIN_SIBLINGS,
		100.0 * (double)sign.idle / (server->max_connections > 0 ? server->max_connections : 1),
		server->max_connections);
	say_session(finding, origin->sessions[0], origin->sessions[0]->state_age);
	edit(finding,
		"Django under ASGI: 'CONN_MAX_AGE': 0. Threads of your own: connections.close_all() in a finally. To watch it grow:  "
		"pgweir doctor --watch 60 %s   To see which could go now:  pgweir reap %s --idle 1m --user %s",
		shell_word(server->name, url, sizeof url), url,
		shell_word(origin->sessions[0]->user, user, sizeof user));
}

void rule_leaked(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		struct origin_index *index = origin_index_new(&facts->servers[i]);
		struct origin_view origin;

		for (size_t o = 0; origin_at(index, o, &origin); o++)
			look_at_leak(&facts->servers[i], &origin, rule, report);
		origin_index_free(index);
	}
}

/* Sessions of one origin that `wanted` picks, as one finding with the longest as examples. */
struct pick {
	bool (*wanted)(const struct session *);
	time_us (*since)(const struct session *);
	size_t least;
};

struct picked {
	size_t count, blocking, writing;
	time_us longest;
	const struct session *examples[EXAMPLES]; /* the longest first */
};

static void pick_from(const struct origin_view *origin, const struct pick *pick, struct picked *out)
{
	*out = (struct picked){ 0 };
	for (size_t i = 0; i < origin->count; i++) {
		const struct session *s = origin->sessions[i];

		if (!pick->wanted(s))
			continue;
		out->count++;
		out->blocking += s->blocks_others;
		out->writing += s->writes;
		if (pick->since(s) > out->longest)
			out->longest = pick->since(s);
		for (size_t e = 0; e < EXAMPLES; e++) {
			const struct session *swap = out->examples[e];

			if (!s || (swap && pick->since(swap) >= pick->since(s)))
				continue;
			out->examples[e] = s;
			s = swap;
		}
	}
}

typedef void tell_picked(
	const struct server_facts *, const struct session *first, const struct picked *, struct finding *);

static void find_picked(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report,
	const struct pick *pick, tell_picked *tell)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct origin_index *index = origin_index_new(server);
		struct origin_view origin;

		for (size_t o = 0; origin_at(index, o, &origin); o++) {
			struct picked picked;
			struct finding *finding;
			char name[320];

			pick_from(&origin, pick, &picked);
			if (picked.count < pick->least)
				continue;
			finding = find(
				report, rule, LEVEL_WARNING, "%s", origin_name(origin.sessions[0], name, sizeof name));
			tell(server, origin.sessions[0], &picked, finding);
			for (size_t e = 0; e < EXAMPLES && picked.examples[e]; e++)
				say_session(finding, picked.examples[e], pick->since(picked.examples[e]));
		}
		origin_index_free(index);
	}
}

static time_us since_state(const struct session *s)
{
	return s->state_age;
}

static time_us since_birth(const struct session *s)
{
	return s->age;
}

static time_us since_query(const struct session *s)
{
	return s->query_age;
}

static bool holds_block(const struct session *s)
{
	return in_block(s) && s->state_age >= 10 * SECOND_US;
}

static void tell_block(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	char longest[40], role[160];

	if (picked->longest >= 60 * SECOND_US || picked->blocking || picked->count >= 5)
		finding->level = LEVEL_DANGER;
	evidence(finding, "%zu session%s idle in transaction for 10 s or more, the longest for %s", picked->count,
		picked->count == 1 ? " is" : "s are", text_duration(longest, sizeof longest, picked->longest));
	if (picked->writing)
		evidence(finding, ", %zu with changes that are not committed", picked->writing);
	evidence(finding, picked->blocking ? ", and %zu keep others waiting for a lock:" : ":", picked->blocking);
	edit(finding,
		"End the transaction before waiting for anything else (a browser, an AI, another service). As a net:  ALTER ROLE %s SET "
		"idle_in_transaction_session_timeout = '60s';",
		sql_name(*first->user ? first->user : "the application's", role, sizeof role));
}

void rule_in_transaction(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	find_picked(facts, rule, report, &(struct pick){ holds_block, since_state, 1 }, tell_block);
}

static bool never_asked(const struct session *s)
{
	return is_idle(s) && s->query_age < 0 && s->age >= 60 * SECOND_US;
}

static void tell_silent(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	char longest[40];

	evidence(finding, "%zu sessions have asked nothing since they logged in, the oldest %s ago:", picked->count,
		text_duration(longest, sizeof longest, picked->longest));
	edit(finding,
		"Raise the connect timeout of the application's pool above the time a login takes, and upgrade the driver (node-postgres "
		"lost such connections). A pool's minimum that is never used belongs lower.");
}

void rule_silent(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	find_picked(facts, rule, report, &(struct pick){ never_asked, since_birth, 3 }, tell_silent);
}

static bool listens(const struct session *s)
{
	return is_idle(s) && text_equal_nocase(span_of(s->query, strnlen(s->query, 7)), span_text("listen "));
}

static void tell_listeners(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	if (picked->count * 5 >= (size_t)server->max_connections)
		finding->level = LEVEL_DANGER;
	evidence(finding, "%zu of its sessions listen:", picked->count);
	edit(finding,
		"One listener in each process, which hands out what it hears; it must connect past a transaction pooler.");
}

void rule_listeners(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	find_picked(facts, rule, report, &(struct pick){ listens, since_birth, 5 }, tell_listeners);
}

static bool idle_with_lock(const struct session *s)
{
	return is_idle(s) && s->locks_advisory && s->state_age >= 10 * SECOND_US;
}

static void tell_lock(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	if (picked->blocking)
		finding->level = LEVEL_DANGER;
	evidence(finding, "%zu idle session%s an advisory lock%s:", picked->count,
		picked->count == 1 ? " holds" : "s hold", picked->blocking ? ", and others wait for it" : "");
	edit(finding, "pg_advisory_xact_lock() instead of pg_advisory_lock(): it ends with its transaction.");
}

void rule_advisory(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	find_picked(facts, rule, report, &(struct pick){ idle_with_lock, since_state, 1 }, tell_lock);
}

/* ---- statements that nobody waits for ---- */

static bool is_unread(const struct session *s)
{
	return strcmp(s->state, "active") == 0 && strcmp(s->wait_event, "ClientWrite") == 0 &&
		s->state_age >= 30 * SECOND_US;
}

static void tell_unread(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	evidence(finding, "%zu session%s been sending a result that the client does not read:", picked->count,
		picked->count == 1 ? " has" : "s have");
	edit(finding,
		"Close what was opened: rows.Close() in Go, cursor.close() in Python; and read or cancel every result.");
}

static bool runs_long(const struct session *s)
{
	return strcmp(s->state, "active") == 0 && strcmp(s->wait_event, "ClientWrite") != 0 &&
		s->query_age >= 300 * SECOND_US;
}

static void tell_long(const struct server_facts *server, const struct session *first, const struct picked *picked,
	struct finding *finding)
{
	finding->level = LEVEL_NOTE;
	evidence(finding, "%zu statement%s been running for five minutes or more:", picked->count,
		picked->count == 1 ? " has" : "s have");
	edit(finding,
		"If nobody waits for it:  SELECT pg_cancel_backend(pid);   and client_connection_check_interval = '10s' for the next time.");
}

/* A backend that looks like one of the pooler's (its address, a pool's user and database) and that the pooler does not know. */
static bool is_orphan(const struct server_facts *server, const struct console_facts *console, const struct session *s)
{
	bool pool = false, address = false;

	if (strcmp(s->state, "active") != 0 || s->query_age < 5 * SECOND_US || console_has(console, s->pid))
		return false;
	for (size_t i = 0; i < console->pool_count; i++)
		pool |= strcmp(console->pools[i].user, s->user) == 0;
	for (size_t i = 0; i < server->session_count; i++)
		address |= console_has(console, server->sessions[i].pid) &&
			strcmp(server->sessions[i].address, s->address) == 0;
	return pool && address;
}

void rule_abandoned(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];

		for (size_t c = 0; c < facts->console_count; c++) {
			const struct console_facts *console = &facts->consoles[c];
			struct finding *finding = NULL;

			for (size_t s = 0; s < server->session_count; s++) {
				if (!is_orphan(server, console, &server->sessions[s]))
					continue;
				if (!finding) {
					finding = find(report, rule, LEVEL_DANGER, "%s", console->name);
					evidence(finding,
						"Statements run in sessions from the pooler's address that the pooler does not have any more:");
					edit(finding,
						"SELECT pg_cancel_backend(pid);   For good: a pooler that cancels what its clients abandon "
						"(pgweir does), or client_connection_check_interval.");
				}
				say_session(finding, &server->sessions[s], server->sessions[s].query_age);
			}
		}
	}
	find_picked(facts, rule, report, &(struct pick){ is_unread, since_state, 1 }, tell_unread);
	find_picked(facts, rule, report, &(struct pick){ runs_long, since_query, 1 }, tell_long);
}

/* ---- the server itself ---- */

void rule_prepared(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct finding *finding;
		char age[40];

		if (server->prepared_transactions == 0 || server->oldest_prepared < 60 * SECOND_US)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
		evidence(finding, "%u prepared transactions, the oldest for %s.", server->prepared_transactions,
			text_duration(age, sizeof age, server->oldest_prepared));
		edit(finding,
			"SELECT gid, owner, prepared FROM pg_prepared_xacts;   then COMMIT PREPARED or ROLLBACK PREPARED each.");
	}
}

static bool is_pooled(const struct doctor_facts *facts, int pid)
{
	for (size_t i = 0; i < facts->console_count; i++) {
		if (console_has(&facts->consoles[i], pid))
			return true;
	}
	return false;
}

/* Sessions from an address that are no pooler's servers; 0 for all but the first of its address, so that each address counts once. */
static size_t count_from(const struct doctor_facts *facts, const struct server_facts *server, size_t which)
{
	const char *address = server->sessions[which].address;
	size_t count = 0;

	if (server->sessions[which].ours)
		return 0;
	for (size_t i = 0; i < server->session_count; i++) {
		const struct session *s = &server->sessions[i];

		if (s->ours || strcmp(s->address, address) != 0)
			continue;
		if (i < which)
			return 0;
		count += !is_pooled(facts, s->pid);
	}
	return count;
}

void rule_one_address(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];

		for (size_t s = 0; s < server->session_count; s++) {
			size_t count = *server->sessions[s].address ? count_from(facts, server, s) : 0;
			struct finding *finding;

			if (count == 0 || count * 2 < (size_t)server->max_connections)
				continue;
			finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
			evidence(finding, "%zu sessions come from %s: %.0f %% of max_connections = %d.", count,
				server->sessions[s].address, 100.0 * (double)count / server->max_connections,
				server->max_connections);
			edit(finding,
				"A limit for its role:  ALTER ROLE ... CONNECTION LIMIT %d;   or a pooler with max_db_connections.",
				server->max_connections / 2);
		}
	}
}

void rule_superuser(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		const struct session *example = NULL;
		struct finding *finding;
		size_t count = 0;

		if (!server->reached)
			continue;
		if (server->superuser_reserved == 0) {
			finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
			evidence(finding,
				"superuser_reserved_connections is 0: when it is full, nobody can log in to look.");
			edit(finding, "ALTER SYSTEM SET superuser_reserved_connections = 3;   (needs a restart)");
		}
		for (size_t s = 0; s < server->session_count; s++) {
			const struct session *session = &server->sessions[s];

			if (!session->superuser || session->ours || strcmp(session->application, "psql") == 0)
				continue;
			count++;
			example = session;
		}
		if (count < 3)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
		evidence(finding, "%zu sessions belong to superusers, for example %s of user %s.", count,
			*example->application ? example->application : "(no application_name)", example->user);
		edit(finding,
			"A role of its own for the application:  CREATE ROLE app LOGIN PASSWORD '...';   and GRANT what it needs.");
	}
}

void rule_no_transaction_guard(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	bool pooler = false;

	for (size_t i = 0; i < facts->file_count; i++)
		pooler |= facts->files[i].config->idle_transaction_timeout > 0;
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct finding *finding;

		if (!server->reached || pooler || server->idle_in_transaction_timeout > 0 ||
			server->role_guards_idle > 0)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", server->name);
		evidence(finding, "idle_in_transaction_session_timeout is 0 (off), for the server and for every role.");
		edit(finding,
			"ALTER SYSTEM SET idle_in_transaction_session_timeout = '5min'; SELECT pg_reload_conf();   (or ALTER ROLE ... SET)");
	}
}

void rule_no_statement_guard(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		struct finding *finding;

		if (!server->reached || server->statement_timeout > 0 || server->role_guards_statement > 0)
			continue;
		finding = find(report, rule, LEVEL_NOTE, "%s", server->name);
		evidence(finding, "statement_timeout is 0 (off), for the server and for every role.");
		edit(finding,
			"ALTER ROLE <the application's> SET statement_timeout = '30s';   (not for the whole server: dumps and indexes take longer)");
	}
}

void rule_dead_peers(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		const struct server_facts *server = &facts->servers[i];
		bool keepalive = server->keepalives_idle > 0 && server->keepalives_idle <= 300;
		bool checks = server->version < 140000 || server->client_check_interval > 0;
		struct finding *finding;

		if (!server->reached || (keepalive && checks))
			continue;
		finding = find(report, rule, LEVEL_NOTE, "%s", server->name);
		if (server->keepalives_idle == 0)
			evidence(finding, "tcp_keepalives_idle is left to the kernel (two hours unless changed). ");
		else if (!keepalive)
			evidence(finding, "tcp_keepalives_idle is %d s. ", server->keepalives_idle);
		if (!checks)
			evidence(finding,
				"client_connection_check_interval is 0 (off): a statement runs on after its client has gone.");
		edit(finding, "%s%s SELECT pg_reload_conf();",
			keepalive
				? ""
				: "ALTER SYSTEM SET tcp_keepalives_idle = 30; ALTER SYSTEM SET tcp_keepalives_interval = 10;",
			checks ? "" : " ALTER SYSTEM SET client_connection_check_interval = '10s';");
	}
}
