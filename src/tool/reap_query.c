#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/text.h"
#include "tool/connect.h"
#include "tool/memory.h"
#include "tool/reap.h"
#include "tool/table.h"

/* What is asked of PostgreSQL.
 *
 * There is one statement, `seen`: every row of pg_stat_activity with its verdict, by the conditions of the command line and by the
 * guards of the table below. Looking reads it whole. Acting reads it again, within the statement that signals:
 *
 *     WITH ... seen AS (...) SELECT CASE WHEN verdict = 'go' AND state = $4 AND changed = $5 THEN pg_terminate_backend(pid) END
 *       FROM seen WHERE pid = $2 AND began = $3
 *
 * so nothing is ever signalled by a list that was made earlier. A process id that meanwhile belongs to another session has another
 * backend_start; a session that did anything has another state_change; one that took an advisory lock meets its guard. The
 * reading and the signal are one statement's few milliseconds apart: PostgreSQL offers nothing closer.
 *
 * Times travel as whole microseconds, so that equality is exact on every version; what the user wrote travels as one JSON document, so
 * that no text is ever pasted into SQL. */

#define US(interval) "(extract(epoch FROM " interval ") * 1000000)::bigint"
#define WORDS(list)  "(SELECT json_array_elements_text(j->'" list "'))"
#define MEMBER(group) \
	"EXISTS (SELECT 1 FROM pg_roles g WHERE g.rolname = '" group "' AND pg_has_role(r.oid, g.oid, 'MEMBER'))"
#define RUNS(view) "EXISTS (SELECT 1 FROM pg_stat_progress_" view " p WHERE p.pid = a.pid)"
#define FROM_NETWORK(list) \
	"EXISTS (SELECT 1 FROM json_array_elements_text(j->'" list "') n" \
	" WHERE CASE n WHEN 'local' THEN a.client_addr IS NULL ELSE a.client_addr <<= n::inet END)"
#define NAMED_LIKE(list, how) \
	"EXISTS (SELECT 1 FROM json_array_elements_text(j->'" list "') n WHERE a.application_name " how " n)"

/* Who stays, though it is in scope and old enough. `a` is a row of pg_stat_activity, `r` its role. The first that holds is told. */
/* clang-format off */
static const struct guard {
	const char *name;
	int since; /* server_version_num: where its view or column first exists */
	const char *holds, *why;
} guards[] = {
	{ "role",        0,      "r.oid IS NULL",               "its role cannot be seen" },
	{ "superuser",   0,      "r.rolsuper",                  "a superuser's" },
	{ "replication", 0,      "r.rolreplication",            "its role may replicate" },
	{ "reserved",    0,      MEMBER("pg_use_reserved_connections"),
	  "its role may use the reserved slots (pg_use_reserved_connections)" },
	{ "provider",    0,      "r.rolname LIKE ANY (ARRAY['rds%','cloudsql%','alloydb%','azure%'])",
	  "a role of the hosting provider's, by its name" },
	{ "monitoring",  0,      MEMBER("pg_monitor")
	  " AND NOT EXISTS (SELECT 1 FROM pg_database d WHERE d.oid = a.datid AND d.datdba = r.oid)",
	  "its role monitors (pg_monitor) and does not own the database" },
	{ "signal",      0,      "NOT (asked.mine OR pg_has_role(r.oid, 'USAGE'))",
	  "we may not signal it: GRANT pg_signal_backend to our role" },
	{ "application", 0,      NAMED_LIKE("allowed", "ILIKE"), "the application is on the allow list" },
	{ "migration",   0,
	  "a.query ~* 'django_migrations|alembic_version|flyway_schema_history|databasechangelog|schema_migrations"
	  "|_prisma_migrations|knex_migrations|goose_db_version|__efmigrationshistory'",
	  "its last statement names the table of a migration tool" },
	{ "slot",        0,      "EXISTS (SELECT 1 FROM pg_replication_slots s WHERE s.active_pid = a.pid)",
	  "it holds a replication slot" },
	{ "advisory",    0,      "EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory')",
	  "it holds or awaits an advisory lock" },
	{ "prepared",    0,      "EXISTS (SELECT 1 FROM pg_prepared_xacts p WHERE p.owner = a.usename AND p.database = a.datname)",
	  "its role has a prepared transaction in this database, which it may be about to finish" },
	{ "listen",      0,      "a.query ~* '(^|;|/|[[:cntrl:]])[[:space:]]*listen[[:space:]]'",
	  "it listens (LISTEN in its last statement)" },
	{ "vacuum",      0,      RUNS("vacuum"),                "it runs VACUUM" },
	{ "cluster",     0,      RUNS("cluster"),               "it runs CLUSTER or VACUUM FULL" },
	{ "index",       0,      RUNS("create_index"),          "it builds an index" },
	{ "analyze",     130000, RUNS("analyze"),               "it runs ANALYZE" },
	{ "copy",        140000, RUNS("copy"),                  "it runs COPY" },
	/* Progress is shown from the moment they have their locks; while they wait, only their words tell. */
	{ "maintenance", 0,      "a.rule = 'active' AND a.query ~* '^[[:space:]]*(vacuum|analyze|cluster|reindex|refresh|copy|import|alter|create"
	  "|drop|grant|revoke)[[:space:]]'",
	  "its statement is one of maintenance" },
	{ "parallel",    130000, "EXISTS (SELECT 1 FROM act w WHERE w.leader_pid = a.pid AND w.pid <> a.pid)",
	  "it leads parallel workers" },
	{ "pooler",      0,      "a.rule = 'idle' AND (" NAMED_LIKE("pooler_names", "ILIKE") " OR " FROM_NETWORK("poolers")
	  " OR a.query ~* '^[[:space:]]*discard[[:space:]]+all')",
	  "a pooler's idle connection, by its name, its address (--pooler) or its last statement (DISCARD ALL)" },
};

/* Verdicts that come before the guards. */
static const struct {
	const char *name, *why;
} others[] = {
	{ "hidden",       "what it does cannot be seen: GRANT pg_read_all_stats to our role" },
	{ "unknown",      "what it does cannot be seen: its track_activities is off, or it calls by fast path" },
	{ "busy",         "it runs a statement" },
	{ "idle",         "idle sessions are not meant (--idle)" },
	{ "transaction",  "sessions idle in transaction are not meant (--idle-in-transaction)" },
	{ REAP_OVERLIMIT, "it matches too, beyond --limit" },
};

static const char *const always_allowed[] = {
	/* copies and archives */
	"pg_dump*", "pg_restore*", "pg_basebackup*", "pg_receivewal*", "pg_recvlogical*", "pg_rewind*", "pg_upgrade*", "pgbackrest*", "barman*",
	"wal-g*", "walreceiver*",
	/* who keeps a cluster together */
	"patroni*", "repmgr*", "pgautofailover*", "pg_auto_failover*", "stolon*", "citus*",
	/* jobs inside of the database, and its repair */
	"pg_cron*", "pg_timetable*", "pgagent*", "pg_repack*", "pg_squeeze*",
	/* people */
	"psql*", "pgadmin*", "dbeaver*", "datagrip*", "pgweir*",
	/* changes of the schema */
	"*alembic*", "*flyway*", "*liquibase*", "*migrat*", "*sqitch*", "dbmate*", "goose*",
};

static const char *const pooler_names[] = {
	"*pgbouncer*", "pgweir*", "*odyssey*", "*pgcat*", "*pgdog*", "*supavisor*", "*pgpool*", "*pgagroal*",
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char seen_head[] =
	"WITH asked AS MATERIALIZED (SELECT j, (j->>'idle')::bigint AS idle, (j->>'in_transaction')::bigint AS in_transaction,"
	" (j->>'active')::bigint AS active, (j->>'writing_times')::bigint AS times,"
	" pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS mine FROM (SELECT $1::json) AS one (j)),\n"
	"act AS MATERIALIZED (SELECT *, " US("backend_start") " AS began, " US(
		"state_change") " AS changed,"
				" greatest(" US(
					"clock_timestamp() - state_change") ", 0) AS age,"
									    " CASE WHEN state = 'idle' THEN 'idle' WHEN state LIKE 'idle in transaction%' THEN 'transaction'"
									    " WHEN state = 'active' THEN 'active' END AS rule,"
									    " backend_xid IS NOT NULL AS writing FROM pg_stat_activity),\n"
									    "due AS MATERIALIZED (SELECT act.*, CASE rule WHEN 'idle' THEN idle WHEN 'transaction' THEN in_transaction"
									    " WHEN 'active' THEN asked.active END * CASE WHEN writing THEN times ELSE 1 END AS threshold FROM act, asked),\n"
									    "seen AS MATERIALIZED (SELECT a.*, CASE"
									    " WHEN a.pid = pg_backend_pid() THEN 'own'"
									    " WHEN a.backend_type IS NULL AND a.usesysid IS NOT NULL THEN 'hidden'"
									    " WHEN a.backend_type IS DISTINCT FROM 'client backend' THEN 'background'"
									    " WHEN json_array_length(j->'users') > 0 AND a.usename::text NOT IN " WORDS(
										    "users") " THEN 'outside'"
											     " WHEN json_array_length(j->'databases') > 0 AND a.datname::text NOT IN " WORDS(
												     "databases") " THEN 'outside'"
														  " WHEN json_array_length(j->'applications') > 0 AND NOT " NAMED_LIKE(
															  "applications",
															  "LIKE") " THEN 'outside'"
																  " WHEN json_array_length(j->'addresses') > 0 AND NOT " FROM_NETWORK(
																	  "addresses") " THEN 'outside'"
																		       " WHEN a.rule IS NULL THEN 'unknown'"
																		       " WHEN a.threshold IS NULL THEN CASE a.rule WHEN 'active' THEN 'busy' ELSE a.rule END"
																		       " WHEN a.age < a.threshold THEN 'young'";

static const char seen_tail[] = " ELSE '" REAP_GO "' END AS verdict"
				" FROM due a CROSS JOIN asked LEFT JOIN pg_roles r ON r.oid = a.usesysid)\n";

/* Only direct waiters count: whoever waits for them in turn comes free with them. */
static const char look_tail[] =
	", waiting AS MATERIALIZED (SELECT w.pid AS waiter, b.pid AS blocker FROM act w"
	" CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid) WHERE w.wait_event_type = 'Lock')\n"
	"SELECT pid, usename, datname, application_name, CASE WHEN verdict = 'hidden' THEN '' WHEN client_addr IS NULL THEN 'local'"
	" WHEN family(client_addr) = 6 THEN format('[%s]:%s', host(client_addr), client_port)"
	" ELSE format('%s:%s', host(client_addr), client_port) END, state, began, changed, age, threshold,"
	" coalesce(" US(
		"clock_timestamp() - xact_start") ", -1), coalesce(changed - began, -1), rule, writing,"
						  " (SELECT count(DISTINCT waiter) FROM waiting WHERE blocker = pid) AS blocks, coalesce(age(backend_xmin), -1),"
						  " left(query, 4000), verdict, " US(
							  "clock_timestamp()") " FROM seen"
									       " ORDER BY verdict <> '" REAP_GO
									       "', blocks DESC, seen.age DESC, pid";

enum look_column {
	LOOK_PID,
	LOOK_USER,
	LOOK_DATABASE,
	LOOK_APPLICATION,
	LOOK_ADDRESS,
	LOOK_STATE,
	LOOK_BEGAN,
	LOOK_CHANGED,
	LOOK_AGE,
	LOOK_THRESHOLD,
	LOOK_TRANSACTION_AGE,
	LOOK_LIFETIME,
	LOOK_RULE,
	LOOK_WRITING,
	LOOK_BLOCKS,
	LOOK_XMIN_AGE,
	LOOK_QUERY,
	LOOK_VERDICT,
	LOOK_CLOCK
};

static const char server_sql[] =
	"SELECT current_setting('server_version'), current_user, coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'local'),"
	" rolsuper, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), pg_is_in_recovery(), current_setting('max_connections'),"
	" current_setting('superuser_reserved_connections'), coalesce(current_setting('reserved_connections', true), '0'),"
	" (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL))"
	" FROM pg_roles WHERE rolname = current_user";

static char *seen_sql(PGconn *connection, const char *tail)
{
	struct buf sql = { 0 };
	bool fine = buf_format(&sql, "%s", seen_head);

	for (size_t i = 0; i < COUNT(guards); i++) {
		if (guards[i].since <= PQserverVersion(connection))
			fine = fine && buf_format(&sql, " WHEN %s THEN '%s'", guards[i].holds, guards[i].name);
	}
	fine = fine && buf_format(&sql, "%s%s", seen_tail, tail) && buf_add(&sql, "", 1);
	if (!fine)
		memory_got(NULL);
	return (char *)sql.at;
}

/* A pattern for LIKE: * stands for anything, and nothing else is special. */
static char *like_of(const char *pattern)
{
	char *like = memory_new(strlen(pattern) * 2 + 1, 1), *to = like;

	for (; *pattern; pattern++) {
		if (*pattern == '%' || *pattern == '_' || *pattern == '\\')
			*to++ = '\\';
		*to++ = *pattern == '*' ? '%' : *pattern;
	}
	return like;
}

/* False: a word is no UTF-8. */
static bool add_words(json_t *array, const char *const *words, size_t count, bool patterns)
{
	for (size_t i = 0; i < count; i++) {
		char *text = patterns ? like_of(words[i]) : memory_got(strdup(words[i]));
		int failed = json_array_append_new(array, json_string(text));

		free(text);
		if (failed)
			return false;
	}
	return true;
}

static json_t *age_or_null(time_us age)
{
	return age ? json_integer(age) : json_null();
}

/* What the command line says, for the statement. NULL: a word is no UTF-8. */
static char *asked_of(const struct reap_options *o)
{
	json_t *asked = memory_got(json_pack("{so so so sI s[] s[] s[] s[] s[] s[] s[]}", "idle", age_or_null(o->idle),
		"in_transaction", age_or_null(o->in_transaction), "active", age_or_null(o->active), "writing_times",
		(json_int_t)o->writing_times, "users", "databases", "applications", "addresses", "allowed", "poolers",
		"pooler_names"));
	json_t *allowed = json_object_get(asked, "allowed");
	bool fine = add_words(json_object_get(asked, "users"), o->users.words, o->users.count, false) &&
		add_words(json_object_get(asked, "databases"), o->databases.words, o->databases.count, false) &&
		add_words(json_object_get(asked, "applications"), o->applications.words, o->applications.count, true) &&
		add_words(json_object_get(asked, "addresses"), o->addresses.words, o->addresses.count, false) &&
		add_words(allowed, always_allowed, COUNT(always_allowed), true) &&
		add_words(allowed, o->allowed.words, o->allowed.count, true) &&
		add_words(json_object_get(asked, "poolers"), o->poolers.words, o->poolers.count, false) &&
		add_words(json_object_get(asked, "pooler_names"), pooler_names, COUNT(pooler_names), true);
	char *text = fine ? memory_got(json_dumps(asked, JSON_COMPACT)) : NULL;

	json_decref(asked);
	return text;
}

static int64_t number_at(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static bool true_at(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}

static struct span span_at(const PGresult *result, int row, int column)
{
	return span_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static void take_session(const PGresult *result, int row, struct reap_session *s)
{
	struct span rule = span_at(result, row, LOOK_RULE);

	*s = (struct reap_session){
		.pid = (int)number_at(result, row, LOOK_PID),
		.user = span_at(result, row, LOOK_USER),
		.database = span_at(result, row, LOOK_DATABASE),
		.application = span_at(result, row, LOOK_APPLICATION),
		.address = PQgetvalue(result, row, LOOK_ADDRESS),
		.state = span_at(result, row, LOOK_STATE),
		.query = span_at(result, row, LOOK_QUERY),
		.began = number_at(result, row, LOOK_BEGAN),
		.changed = number_at(result, row, LOOK_CHANGED),
		.age = number_at(result, row, LOOK_AGE),
		.threshold = number_at(result, row, LOOK_THRESHOLD),
		.transaction_age = number_at(result, row, LOOK_TRANSACTION_AGE),
		.lifetime = number_at(result, row, LOOK_LIFETIME),
		.writing = true_at(result, row, LOOK_WRITING),
		.blocks = number_at(result, row, LOOK_BLOCKS),
		.xmin_age = number_at(result, row, LOOK_XMIN_AGE),
		.verdict = PQgetvalue(result, row, LOOK_VERDICT),
	};
	if (span_is(rule, "idle"))
		s->rule = RULE_IDLE;
	else if (span_is(rule, "active"))
		s->rule = RULE_ACTIVE;
	else if (span_is(rule, "transaction"))
		s->rule = s->writing ? RULE_WRITING : RULE_READING;
}

/* Sessions of nobody's concern are counted; the others come in the order of the result, and those beyond the limit stay. */
static void sort_sessions(struct reap_view *view, int64_t limit)
{
	for (int row = 0; row < PQntuples(view->result); row++) {
		struct reap_session *s = &view->sessions[view->count];

		take_session(view->result, row, s);
		view->clock = number_at(view->result, row, LOOK_CLOCK);
		if (strcmp(s->verdict, "outside") == 0) {
			view->outside++;
		} else if (strcmp(s->verdict, "background") == 0) {
			view->background++;
		} else if (strcmp(s->verdict, "own") != 0) {
			view->hidden += strcmp(s->verdict, "hidden") == 0;
			if (strcmp(s->verdict, REAP_GO) == 0) {
				check(view->goes <= view->count);
				if ((int64_t)view->goes < limit)
					view->goes++;
				else
					s->verdict = REAP_OVERLIMIT;
			}
			view->count++;
		}
	}
}

static bool look_at_server(PGconn *connection, struct reap_view *view, char *error, size_t error_size)
{
	PGresult *result = connect_ask(connection, server_sql, 0, NULL, NULL, error, error_size);

	if (!result)
		return false;
	if (PQntuples(result) != 1) {
		text_copy(error, error_size, "our own role was not found in pg_roles");
		PQclear(result);
		return false;
	}
	show_text(view->version, sizeof view->version, 30, span_at(result, 0, 0));
	show_text(view->user, sizeof view->user, 64, span_at(result, 0, 1));
	show_text(view->address, sizeof view->address, 0, span_at(result, 0, 2));
	view->superuser = true_at(result, 0, 3);
	view->sees_all = true_at(result, 0, 4);
	view->standby = true_at(result, 0, 5);
	view->slots = number_at(result, 0, 6);
	view->kept_superuser = number_at(result, 0, 7);
	view->kept_role = number_at(result, 0, 8);
	view->used = number_at(result, 0, 9);
	PQclear(result);
	return true;
}

bool reap_look(PGconn *connection, const struct reap_options *o, struct reap_view *view, bool *usage, char *error,
	size_t error_size)
{
	char *asked = asked_of(o), *sql, sqlstate[6];
	const char *values[1] = { asked };

	*view = (struct reap_view){ 0 };
	*usage = !asked;
	if (!asked) {
		text_copy(error, error_size, "a name on the command line is no UTF-8");
		return false;
	}
	if (!look_at_server(connection, view, error, error_size)) {
		free(asked);
		return false;
	}
	sql = seen_sql(connection, look_tail);
	view->result = connect_ask(connection, sql, 1, values, sqlstate, error, error_size);
	free(asked);
	free(sql);
	if (!view->result) {
		/* invalid_text_representation: a network that we let pass and PostgreSQL does not. */
		*usage = strcmp(sqlstate, "22P02") == 0;
		return false;
	}
	view->sessions = memory_new((size_t)PQntuples(view->result) + 1, sizeof *view->sessions);
	sort_sessions(view, o->limit);
	return true;
}

void reap_view_fini(struct reap_view *view)
{
	PQclear(view->result);
	free(view->sessions);
	*view = (struct reap_view){ 0 };
}

/* Why a verdict's name means that a session stays; NULL: no such name. */
static const char *words_for(const char *verdict)
{
	for (size_t i = 0; i < COUNT(guards); i++) {
		if (strcmp(guards[i].name, verdict) == 0)
			return guards[i].why;
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		if (strcmp(others[i].name, verdict) == 0)
			return others[i].why;
	}
	return NULL;
}

const char *reap_reason(const struct reap_session *s, char *out, size_t size)
{
	char age[40], allowed[40];
	const char *words = words_for(s->verdict);

	if (words)
		text_copy(out, size, words);
	else
		text_format(out, size, "%s for %s, %s allowed",
			s->rule == RULE_ACTIVE         ? "active"
				: s->rule == RULE_IDLE ? "idle"
						       : "idle in transaction",
			text_duration(age, sizeof age, s->age), text_duration(allowed, sizeof allowed, s->threshold));
	return out;
}

bool reap_signal(PGconn *connection, const struct reap_options *o, struct reap_session *s, bool cancel, char *error,
	size_t error_size)
{
	static const char tail[] =
		"SELECT verdict, state = $4 AND changed = $5::bigint,"
		" CASE WHEN verdict = '" REAP_GO "' AND state = $4 AND changed = $5::bigint"
		" THEN CASE $6 WHEN 'cancel' THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END END"
		" FROM seen WHERE pid = $2::int AND began = $3::bigint";
	char *asked = memory_got(asked_of(o)), *sql = seen_sql(connection, tail);
	char pid[24], began[24], changed[24], state[40];
	const char *values[] = { asked, pid, began, state, changed, cancel ? "cancel" : "terminate" };
	const char *words;
	PGresult *result;

	text_format(pid, sizeof pid, "%d", s->pid);
	text_format(began, sizeof began, "%lld", (long long)s->began);
	text_format(changed, sizeof changed, "%lld", (long long)s->changed);
	text_copy_span(state, sizeof state, s->state);
	result = connect_ask(connection, sql, 6, values, NULL, error, error_size);
	free(asked);
	free(sql);
	s->outcome = OUTCOME_NONE;
	s->note[0] = 0;
	if (!result) {
		if (!connect_lives(connection))
			return false;
		s->outcome = OUTCOME_REFUSED;
		show_text(s->note, sizeof s->note, 200, span_text(error));
		return true;
	}
	if (PQntuples(result) == 0) {
		s->outcome = OUTCOME_GONE;
	} else if (!true_at(result, 0, 1)) {
		s->outcome = OUTCOME_SPARED;
		text_copy(s->note, sizeof s->note, "it did something after it was listed");
	} else if (PQgetisnull(result, 0, 2)) {
		s->outcome = OUTCOME_SPARED;
		words = words_for(PQgetvalue(result, 0, 0));
		text_copy(s->note, sizeof s->note, words ? words : "it does not match any more");
	} else if (!true_at(result, 0, 2)) {
		s->outcome = OUTCOME_GONE; /* the signal found no such process */
	}
	PQclear(result);
	return true;
}

bool reap_trace(
	PGconn *connection, const struct reap_session *s, struct reap_trace *trace, char *error, size_t error_size)
{
	static const char sql[] = "SELECT " US(
		"state_change") " = $3::bigint, coalesce(state, '?') || coalesce(', waits for ' || wait_event, '')"
				" FROM pg_stat_activity WHERE pid = $1::int AND " US("backend_start") " = $2::bigint";
	char pid[24], began[24], changed[24];
	const char *values[] = { pid, began, changed };
	PGresult *result;

	text_format(pid, sizeof pid, "%d", s->pid);
	text_format(began, sizeof began, "%lld", (long long)s->began);
	text_format(changed, sizeof changed, "%lld", (long long)s->changed);
	*trace = (struct reap_trace){ 0 };
	result = connect_ask(connection, sql, 3, values, NULL, error, error_size);
	if (!result)
		return false;
	trace->exists = PQntuples(result) > 0;
	if (trace->exists) {
		trace->same = true_at(result, 0, 0);
		show_text(trace->doing, sizeof trace->doing, 0, span_at(result, 0, 1));
	}
	PQclear(result);
	return true;
}
