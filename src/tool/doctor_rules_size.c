#include <limits.h>
#include <math.h>

#include "base/text.h"
#include "tool/doctor_origins.h"
#include "tool/doctor_rules.h"

/* How many connections there are, how many the work needs, and how many would do.
 *
 *   usable slots     S = max_connections - reserved - head-room (a tenth, at least 5) - sessions that come past the pooler
 *   invariant        sum over pools of (pool_size + reserve_pool_size) x pooler processes <= S
 *   concurrency      L = transactions per second x how long each holds its connection (Little); measured here, not assumed
 *   pool             L + 2 sqrt(L), so that waiting is short (square-root staffing)
 *   clients          what each application has now, twice that for a deploy, and a fifth more
 *   to start with    2 x cores + 1, on storage without spindles
 *   no deadlock      T x (M - 1) + 1 for T tasks of which each holds up to M connections at once */

static double staffed(double concurrency)
{
	return ceil(concurrency + 2 * sqrt(concurrency));
}

/* Sessions that come past every pooler whose console we saw; 0 where we saw none. */
static int count_direct(const struct doctor_facts *facts, const struct server_facts *server)
{
	int direct = 0, pooled = 0;

	for (size_t s = 0; s < server->session_count; s++) {
		bool known = false;

		for (size_t c = 0; c < facts->console_count; c++)
			known |= console_has(&facts->consoles[c], server->sessions[s].pid);
		if (known)
			pooled++;
		else if (!server->sessions[s].ours)
			direct++;
	}
	return pooled ? direct : 0;
}

/* Whether an entry leads to this server; where it is not known how the file would call the server, they all do. */
static bool leads_to(const struct database_settings *database, const struct server_facts *server)
{
	if (!server || !*server->host)
		return true;
	for (size_t i = 0; i < database->host_count; i++) {
		if (strcmp(database->hosts[i].name, server->host) == 0 && database->hosts[i].port == server->port)
			return true;
	}
	return false;
}

/* The most servers that a file's pools may have there, with one user for each database that forces none. -1: no limit says how many. */
static int64_t most_servers(const struct config *config, const struct server_facts *server)
{
	int64_t total = 0;

	for (size_t i = 0; i < config->database_count; i++) {
		struct pool_rules rules;
		int64_t most;

		if (!leads_to(&config->databases[i], server))
			continue;
		config_pool_rules(config, &config->databases[i],
			config->databases[i].user ? span_text(config->databases[i].user) : span_of("", 0), &rules);
		most = rules.size > 0 ? (int64_t)rules.size + rules.reserve_size : INT_MAX;
		if (rules.database_connections_max > 0 && most > rules.database_connections_max)
			most = rules.database_connections_max;
		if (most == INT_MAX)
			return -1;
		total += most;
	}
	return total;
}

/* How many of max_db_connections each entry that leads there could have. 0: there are more entries than slots. */
static int share_of(const struct config *config, const struct server_facts *server, int slots, int processes)
{
	int64_t entries = 0;

	for (size_t i = 0; i < config->database_count; i++)
		entries += leads_to(&config->databases[i], server);
	return entries > 0 && slots > 0 ? (int)(slots / (entries * processes)) : 0;
}

static bool forces_users(const struct config *config)
{
	for (size_t i = 0; i < config->database_count; i++) {
		if (!config->databases[i].user)
			return false;
	}
	return true;
}

static void look_at_invariant(const struct doctor_facts *facts, const struct pooler_file *file,
	const struct server_facts *server, const struct doctor_rule *rule, struct doctor_report *report)
{
	int direct = server ? count_direct(facts, server) : 0, slots = server ? server_usable(server) - direct : 87;
	int processes = facts->poolers > 0 ? facts->poolers : 1;
	int64_t total = most_servers(file->config, server) * processes;
	bool breaks = total < 0 || total > slots;
	struct finding *finding;
	int share;

	if (total == 0 || (!server && !breaks))
		return;
	finding = find(report, rule, !breaks ? LEVEL_NOTE : server ? LEVEL_DANGER : LEVEL_WARNING, "%s", file->path);
	if (total < 0)
		evidence(finding, "No limit says how many servers its pools may have (pool_size 0)");
	else
		evidence(finding, "Its pools may have %lld server%s", (long long)total, text_plural((uint64_t)total));
	if (processes > 1)
		evidence(finding, " (%d processes)", processes);
	if (total > 0 && !forces_users(file->config))
		evidence(finding, ", counting one user for each database");
	if (server)
		evidence(finding,
			"; %s has %d usable slots: max_connections %d, less %d reserved, head-room, and %d sessions past the pooler.",
			server->name, slots, server->max_connections, server->superuser_reserved + server->reserved,
			direct);
	else
		evidence(finding, "; PostgreSQL with its default of max_connections = 100 has 87 usable slots.");
	share = share_of(file->config, server, slots, processes);
	if (breaks && share > 0) {
		edit(finding,
			"%s:  max_db_connections = %d for each database, or smaller pools, so that together they stay below %d.",
			file->path, share, slots);
	} else if (breaks) {
		edit(finding,
			"Not one server for each database at a time fits into %d: let databases that are seldom used at once have small pools "
			"and a short server_idle_timeout, or raise max_connections.",
			slots);
	} else {
		evidence(finding, " It fits%s", forces_users(file->config) ? "." : "; ");
		if (!forces_users(file->config) && slots / total > 1)
			evidence(finding, "%lld times as many pools would, one more would not.",
				(long long)(slots / total));
		else if (!forces_users(file->config))
			evidence(finding, "twice as many pools would not.");
		edit(finding, "Nothing. max_db_connections = %d would keep it so when users are added.", share);
	}
}

void rule_pools_exceed(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	bool looked = false;

	/* Where the names of the servers are those of the file, each entry counts at its own; else the first answers for all. */
	for (size_t s = 0; s < facts->server_count; s++) {
		if (!facts->servers[s].reached || (looked && !*facts->servers[s].host))
			continue;
		looked = true;
		for (size_t i = 0; i < facts->file_count; i++)
			look_at_invariant(facts, &facts->files[i], &facts->servers[s], rule, report);
	}
	for (size_t i = 0; !looked && i < facts->file_count; i++)
		look_at_invariant(facts, &facts->files[i], NULL, rule, report);
}

/* ---- PostgreSQL's own limits for a role and a database ---- */

static void look_at_limits(const struct pooler_file *file, const struct database_settings *database,
	const struct server_facts *server, const struct doctor_rule *rule, struct doctor_report *report)
{
	const char *user = database->user ? database->user : server->user;
	bool own = strcmp(user, server->user) == 0;
	int limit = own ? server->role_limit : 0;
	struct pool_rules rules;
	struct finding *finding;
	char name[140];
	int most;

	if (strcmp(database->name, "*") != 0 &&
		strcmp(database->dbname ? database->dbname : database->name, server->database) != 0)
		return;
	config_pool_rules(file->config, database, span_text(user), &rules);
	most = rules.size + rules.reserve_size;
	if (rules.database_connections_max > 0 && most > rules.database_connections_max)
		most = rules.database_connections_max;
	if (rules.user_connections_max > 0 && most > rules.user_connections_max)
		most = rules.user_connections_max;
	if (server->database_limit > 0 && (limit == 0 || server->database_limit < limit))
		limit = server->database_limit;
	if (limit == 0 || most <= limit)
		return;
	finding = find(report, rule, LEVEL_WARNING, "%s, database %s, user %s", file->path, database->name, user);
	evidence(finding, "The pool may have %d servers; %s allows %d to ", most, server->name, limit);
	if (limit == server->database_limit)
		evidence(finding, "database %s.", server->database);
	else
		evidence(finding, "role %s.", user);
	edit(finding, "%s, [pgbouncer]:  max_%s_connections = %d   or at PostgreSQL:  ALTER %s %s CONNECTION LIMIT %d;",
		file->path, limit == server->database_limit ? "db" : "user", limit > 1 ? limit - 1 : limit,
		limit == server->database_limit ? "DATABASE" : "ROLE",
		sql_name(limit == server->database_limit ? server->database : user, name, sizeof name), most + 1);
}

void rule_limit_below_pool(
	const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t s = 0; s < facts->server_count; s++) {
		const struct server_facts *server = &facts->servers[s];

		for (size_t i = 0; server->reached && i < facts->file_count; i++) {
			const struct config *config = facts->files[i].config;

			for (size_t d = 0; d < config->database_count; d++) {
				if (leads_to(&config->databases[d], server))
					look_at_limits(&facts->files[i], &config->databases[d], server, rule, report);
			}
		}
	}
}

/* ---- you use, you need, you would need ---- */

static void need_of_server(
	const struct server_facts *server, const struct doctor_rule *rule, struct doctor_report *report)
{
	double need = staffed(server->active + server->in_transaction), without = staffed(server->active);
	size_t use = server_sessions(server);
	struct finding *finding;

	if (!server->reached || !server->sees_all || server->samples == 0 || use == 0)
		return;
	if (need < 1)
		need = 1;
	if (without < 1)
		without = 1;
	finding = find(
		report, rule, use >= 20 && (double)use > 4 * need ? LEVEL_WARNING : LEVEL_NOTE, "%s", server->name);
	evidence(finding,
		"You use %zu connection%s. You need about %.0f: over %.1f s %.1f were executing and %.1f idle in transaction on average",
		use, text_plural(use), need, server->seconds, server->active, server->in_transaction);
	if (server->transactions_per_second > 0)
		evidence(finding, ", at %.0f transactions/s", server->transactions_per_second);
	evidence(finding, ". You would need about %.0f if nothing sat idle in transaction.", without);
	edit(finding, "A transaction pool of %.0f server%s carries this load; measure again at the busiest hour.", need,
		need < 1.5 ? "" : "s");
}

static void need_of_console(
	const struct console_facts *console, const struct doctor_rule *rule, struct doctor_report *report)
{
	double busy = console->transactions_per_second * console->transaction_us / 1e6;
	double executing = console->queries_per_second * console->query_us / 1e6;
	int use = 0, size = 0;
	struct finding *finding;

	for (size_t i = 0; i < console->pool_count; i++) {
		const struct console_pool *pool = &console->pools[i];

		use += pool->servers_active + pool->servers_idle + pool->servers_used;
		size += pool->size + pool->reserve;
	}
	if (!console->reached || console->transactions_per_second <= 0 || size == 0)
		return;
	finding = find(report, rule, staffed(busy) > size ? LEVEL_DANGER : LEVEL_NOTE, "%s", console->name);
	evidence(finding,
		"You use %d of %d servers. You need about %.0f: %.1f transactions/s hold a server for %.1f ms each, %.1f at once. You would need "
		"about %.0f if nothing sat idle in transaction: %.1f queries/s of %.1f ms.",
		use, size, fmax(staffed(busy), 1), console->transactions_per_second, console->transaction_us / 1e3,
		busy, fmax(staffed(fmin(executing, busy)), 1), console->queries_per_second, console->query_us / 1e3);
	if (staffed(busy) > size)
		edit(finding,
			"Shorten what is held first; else  default_pool_size = %.0f  if PostgreSQL has the slots (D11).",
			staffed(busy));
	else
		edit(finding, "Nothing.");
}

void rule_need(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->console_count; i++)
		need_of_console(&facts->consoles[i], rule, report);
	for (size_t i = 0; i < facts->server_count; i++)
		need_of_server(&facts->servers[i], rule, report);
}

void rule_pool_too_large(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	int good = 2 * facts->cores + 1;

	for (size_t i = 0; facts->cores > 0 && i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		int size = file->config->default_pool_size;
		struct finding *finding;

		if (size <= good)
			continue;
		finding = find(report, rule, size > 4 * good ? LEVEL_WARNING : LEVEL_NOTE, "%s", file->path);
		evidence(finding,
			"default_pool_size is %d; the database's machine has %d core%s, for which about %d (2 x cores + 1) is a good start.",
			size, facts->cores, text_plural(facts->cores), good);
		edit(finding,
			"%s, [pgbouncer]:  default_pool_size = %d   then measure, and raise it while throughput still rises.",
			file->path, good);
	}
}

/* ---- how many connections an application opens ---- */

#define DEMAND_LEAST  5 /* connections; fewer are no question of size */
#define DEMAND_SHOWN  4 /* machines */
#define DEMAND_COUNTS 64

/* How many processes of this machine are behind these, and how many connections the one with most of them has. */
static size_t count_processes(const struct origin_view *origin, size_t *most)
{
	struct {
		uint32_t process;
		size_t connections;
	} seen[DEMAND_COUNTS];
	size_t count = 0;

	*most = 0;
	for (size_t i = 0; i < origin->count; i++) {
		size_t at = 0;

		while (at < count && seen[at].process != origin->sessions[i]->process)
			at++;
		if (!origin->sessions[i]->process || at == DEMAND_COUNTS)
			continue;
		if (at == count) {
			seen[count].process = origin->sessions[i]->process;
			seen[count++].connections = 0;
		}
		if (++seen[at].connections > *most)
			*most = seen[at].connections;
	}
	return count;
}

static bool same_application(const struct origin_view *a, const struct origin_view *b)
{
	return strcmp(a->sessions[0]->user, b->sessions[0]->user) == 0 &&
		strcmp(a->sessions[0]->database, b->sessions[0]->database) == 0 &&
		strcmp(a->sessions[0]->application, b->sessions[0]->application) == 0;
}

static bool is_pooled(const struct doctor_facts *facts, const struct origin_view *origin)
{
	for (size_t c = 0; c < facts->console_count; c++) {
		if (console_has(&facts->consoles[c], origin->sessions[0]->pid))
			return true;
	}
	return false;
}

static void tell_machine(struct finding *finding, const struct origin_view *machine, bool first)
{
	size_t most, processes = count_processes(machine, &most);
	const char *address = machine->sessions[0]->address;

	evidence(finding, "%s%zu from %s", first ? ": " : ", ", machine->count, *address ? address : "?");
	if (processes > 0)
		evidence(finding, " (%zu process%s here, %zu of one at most)", processes, processes == 1 ? "" : "es",
			most);
}

/* The origins of one application lie side by side, one for each machine. */
static void look_at_demand(const struct origin_index *index, size_t from, size_t until, const struct doctor_rule *rule,
	struct doctor_report *report)
{
	struct origin_view machine;
	size_t connections = 0, busy = 0;
	const struct session *one = NULL;
	struct finding *finding;

	for (size_t i = from; i < until && origin_at(index, i, &machine); i++) {
		one = machine.sessions[0];
		connections += machine.count;
		for (size_t s = 0; s < machine.count; s++)
			busy += strcmp(machine.sessions[s]->state, "idle") != 0;
	}
	if (!one || connections < DEMAND_LEAST)
		return;
	finding = find(report, rule, LEVEL_NOTE, "%s of %s@%s",
		*one->application ? one->application : "(no application_name)", one->user, one->database);
	evidence(finding, "It has %zu connections, %zu of them at work", connections, busy);
	for (size_t i = from; i < until && i < from + DEMAND_SHOWN && origin_at(index, i, &machine); i++)
		tell_machine(finding, &machine, i == from);
	if (until - from > DEMAND_SHOWN)
		evidence(finding, " and more from %zu other addresses", until - from - DEMAND_SHOWN);
	evidence(finding, ".");
	edit(finding,
		"Behind a pooler:  max_client_conn  of %.0f at least for this application (twice that many for a deploy, and a fifth more); "
		"servers as many as D23 says.",
		ceil(2.4 * (double)connections));
}

void rule_demand(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	for (size_t i = 0; i < facts->server_count; i++) {
		struct origin_index *index = origin_index_new(&facts->servers[i]);
		struct origin_view first, other;
		size_t from = 0, until;

		/* Behind a pooler the names are its clients', and the numbers its own. */
		for (; !facts->servers[i].pooled && origin_at(index, from, &first); from = until) {
			until = from + 1;
			while (origin_at(index, until, &other) && same_application(&first, &other))
				until++;
			if (!is_pooled(facts, &first))
				look_at_demand(index, from, until, rule, report);
		}
		origin_index_free(index);
	}
}

/* ---- tasks that hold several ---- */

static bool same_pool(const struct app_database *a, const struct app_database *b)
{
	return strcmp(a->source, b->source) == 0 && strcmp(a->host, b->host) == 0 && a->port == b->port &&
		strcmp(a->name, b->name) == 0 && strcmp(a->user, b->user) == 0;
}

/* The most aliases of one application that lead to the same pool: what one task may hold at once. */
static int most_held(const struct doctor_facts *facts)
{
	int most = 1;

	for (size_t i = 0; i < facts->app_count; i++) {
		int same = 0;

		for (size_t j = 0; j < facts->app_count; j++)
			same += same_pool(&facts->apps[i], &facts->apps[j]);
		if (same > most)
			most = same;
	}
	return most;
}

void rule_deadlock_floor(const struct doctor_facts *facts, const struct doctor_rule *rule, struct doctor_report *report)
{
	int held = facts->held > 0 ? facts->held : most_held(facts), tasks = facts->tasks;

	for (size_t i = 0; tasks == 0 && i < facts->console_count; i++) {
		for (size_t p = 0; p < facts->consoles[i].pool_count; p++) {
			const struct console_pool *pool = &facts->consoles[i].pools[p];

			if (pool->clients_active + pool->clients_waiting > tasks)
				tasks = pool->clients_active + pool->clients_waiting;
		}
	}
	for (size_t i = 0; held > 1 && tasks > 0 && i < facts->file_count; i++) {
		const struct pooler_file *file = &facts->files[i];
		int64_t floor = (int64_t)tasks * (held - 1) + 1,
			size = file->config->default_pool_size + file->config->reserve_pool_size;
		struct finding *finding;

		if (file->config->default_pool_size <= 0 || size >= floor)
			continue;
		finding = find(report, rule, LEVEL_WARNING, "%s", file->path);
		evidence(finding,
			"%d tasks, each of which may hold %d connections of one pool at once, need %lld so that one of them can always finish; the "
			"pool has %lld.",
			tasks, held, (long long)floor, (long long)size);
		edit(finding,
			"Let a task hold one connection at a time (one alias for one database), or  default_pool_size = %lld.",
			(long long)floor);
	}
}
