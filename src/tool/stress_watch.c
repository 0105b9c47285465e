#include "tool/stress_watch.h"

#include <stdlib.h>

#include "base/redact.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/thread.h"
#include "tool/connect.h"
#include "tool/memory.h"
#include "tool/stress_names.h"
#include "tool/table.h"

/*   main thread: the load                          this thread
 *      watch_take <---- newest (under the lock) ---- ask PostgreSQL, ask the console, rest
 *      watch_stop ----> stopping
 *   and after the thread has ended: sessions, pattern
 *
 * A look that fails is a hole in the timeline, told once; when the connection itself is lost it is tried anew, since PostgreSQL being
 * full is what one came to see. Our own session takes one of its places. */

#define LOGIN_US     (10 * SECOND_US)
#define AGAIN_US     (2 * SECOND_US) /* between one login that failed and the next */
#define SESSIONS_MAX 5000

/* Ages and no times, so that PostgreSQL's clock and ours need not agree. $1: the role, or NULL for whoever is no superuser. Who may not look
 * into the sessions of others is not told either what kind of process theirs are; processes that are no sessions have no database. The
 * last column: one that does not count, of a superuser. */
static const char look[] =
	"SELECT a.state, (EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - a.backend_start) * 1000000)::bigint,"
	" (EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - a.query_start) * 1000000)::bigint, pg_catalog.left(a.query, 1000), a.application_name,"
	" $1::text IS NULL AND r.rolsuper IS TRUE"
	" FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid"
	" WHERE (a.backend_type = 'client backend' OR (a.backend_type IS NULL AND a.datid IS NOT NULL))"
	" AND a.pid <> pg_catalog.pg_backend_pid() AND ($1::text IS NULL OR a.usename = $1::text)"
	" ORDER BY a.backend_start LIMIT 5000";

struct watch {
	const struct stress_plan *plan;
	time_us zero, postgres_again, console_again;
	PGconn *postgres, *console;
	int max_connections;
	struct thread *thread;

	struct stress_session *sessions; /* the thread's, until it has ended */
	size_t session_count;
	struct stress_names names;
	char pattern[8];
	int seen_most,
		superusers_most; /* at any look: those that count; those of superusers that came in the run, and do not */

	struct lock *lock; /* over what follows */
	bool stopping, fresh;
	struct stress_reading newest;
	char trouble[400];
};

static void complain(struct watch *w, const char *what)
{
	lock_take(w->lock);
	if (!w->trouble[0])
		text_copy(w->trouble, sizeof w->trouble, what);
	lock_drop(w->lock);
}

static void take_session(struct stress_session *s, const PGresult *rows, int row, time_us now)
{
	const char *state = PQgetvalue(rows, row, 0);
	char redacted[1000];
	int64_t age = 0;

	*s = (struct stress_session){ .state = SESSION_OTHER };
	if (strcmp(state, "idle") == 0)
		s->state = SESSION_IDLE;
	else if (strcmp(state, "active") == 0)
		s->state = SESSION_ACTIVE;
	else if (strncmp(state, "idle in transaction", 19) == 0)
		s->state = SESSION_IN_TRANSACTION;
	text_to_i64(span_text(PQgetvalue(rows, row, 1)), &age);
	s->born = now - age;
	s->never_used = PQgetisnull(rows, row, 2);
	text_to_i64(span_text(PQgetvalue(rows, row, 2)), &age);
	s->used = s->never_used ? s->born : now - age;
	redact_sql(redacted, sizeof redacted, span_text(PQgetvalue(rows, row, 3)));
	show_sql(s->statement, sizeof s->statement, 0, span_text(redacted));
}

/* A person, or ourselves. */
static bool is_a_tool(const char *application)
{
	return strcmp(application, "psql") == 0 || strncmp(application, "pgweir", 6) == 0;
}

static void look_at_postgres(struct watch *w, struct stress_reading *reading)
{
	const char *const values[] = { w->plan->role };
	char error[600], words[700];
	PGresult *rows = connect_ask(w->postgres, look, 1, values, NULL, error, sizeof error);
	time_us now = clock_now() - w->zero;
	int count, superusers = 0;

	if (!rows) {
		text_format(words, sizeof words, "pg_stat_activity could not be read: %s", error);
		complain(w, words);
		return;
	}
	count = PQntuples(rows);
	reading->sessions = reading->idle = reading->active = reading->in_transaction = 0;
	w->session_count = 0;
	for (int i = 0; i < count && i < SESSIONS_MAX; i++) {
		struct stress_session *s = &w->sessions[w->session_count];

		take_session(s, rows, i, now);
		if (PQgetvalue(rows, i, 5)[0] == 't') {
			superusers += s->born > 0 && !is_a_tool(PQgetvalue(rows, i, 4));
			continue;
		}
		w->session_count++;
		reading->sessions++;
		reading->of_name[names_place(&w->names, PQgetvalue(rows, i, 4))]++;
		reading->idle += s->state == SESSION_IDLE;
		reading->active += s->state == SESSION_ACTIVE;
		reading->in_transaction += s->state == SESSION_IN_TRANSACTION;
	}
	w->seen_most = reading->sessions > w->seen_most ? reading->sessions : w->seen_most;
	w->superusers_most = superusers > w->superusers_most ? superusers : w->superusers_most;
	PQclear(rows);
}

/* By the column's name, as any version may have others; 0 where it has none. */
static int number(const PGresult *rows, int row, const char *column)
{
	int at = PQfnumber(rows, column);
	int64_t value = 0;

	if (at >= 0)
		text_to_i64(span_text(PQgetvalue(rows, row, at)), &value);
	return value < 0 || value > 10000000 ? 0 : (int)value;
}

static const char *word(const PGresult *rows, int row, const char *column)
{
	int at = PQfnumber(rows, column);

	return at >= 0 ? PQgetvalue(rows, row, at) : "";
}

static bool is_ours(const struct watch *w, const PGresult *rows, int row)
{
	const char *database = word(rows, row, "database");

	return strcmp(database, "pgbouncer") != 0 && strcmp(database, "pgweir") != 0 &&
		(!w->plan->role || strcmp(word(rows, row, "user"), w->plan->role) == 0);
}

/* Only pgweir has it; whoever does not is not asked for it again. */
static void look_at_leaks(struct watch *w)
{
	char error[600];
	PGresult *rows = connect_ask(w->console, "SHOW LEAKS", 0, NULL, NULL, error, sizeof error);

	w->pattern[0] = 0;
	for (int i = 0; rows && i < PQntuples(rows); i++) {
		if (is_ours(w, rows, i) && !*word(rows, i, "ended")) {
			text_copy(w->pattern, sizeof w->pattern, word(rows, i, "pattern"));
			break;
		}
	}
	PQclear(rows);
}

static void look_at_pooler(struct watch *w, struct stress_reading *reading)
{
	char error[600], words[700];
	PGresult *rows = connect_ask(w->console, "SHOW POOLS", 0, NULL, NULL, error, sizeof error);

	if (!rows) {
		text_format(words, sizeof words, "SHOW POOLS is refused: %s", error);
		complain(w, words);
		return;
	}
	reading->clients = reading->waiting = reading->servers = 0;
	for (int i = 0; i < PQntuples(rows); i++) {
		int waiting = number(rows, i, "cl_waiting"), clients = number(rows, i, "cl_active") + waiting;

		if (!is_ours(w, rows, i))
			continue;
		/* Ours says how many there are, the parked ones among them. */
		reading->clients += number(rows, i, "cl_total") > clients ? number(rows, i, "cl_total") : clients;
		reading->waiting += waiting;
		reading->servers += number(rows, i, "sv_active") + number(rows, i, "sv_idle") +
			number(rows, i, "sv_used") + number(rows, i, "sv_tested") + number(rows, i, "sv_login");
	}
	PQclear(rows);
	look_at_leaks(w);
}

/* A lost connection is dialed anew, now and then; true: it can be asked. */
static bool ready(struct watch *w, PGconn **connection, const char *url, time_us *again, const char *what)
{
	struct connect_error error;
	char words[600];

	if (!url)
		return false;
	if (*connection && connect_lives(*connection))
		return true;
	PQfinish(*connection);
	*connection = NULL;
	if (clock_now() < *again)
		return false;
	*connection = connect_open(url, "pgweir stress", LOGIN_US, &error);
	*again = clock_now() + AGAIN_US;
	if (!*connection) {
		text_format(words, sizeof words, "%s was lost sight of: %.*s", what, (int)strcspn(error.text, "\n"),
			error.text);
		complain(w, words);
	}
	return *connection != NULL;
}

static bool stopping(struct watch *w)
{
	bool answer;

	lock_take(w->lock);
	answer = w->stopping;
	lock_drop(w->lock);
	return answer;
}

static void watch_run(void *argument)
{
	struct watch *w = argument;
	time_us next = clock_now();

	while (!stopping(w)) {
		struct stress_reading reading = stress_reading_unknown;

		if (ready(w, &w->postgres, w->plan->postgres, &w->postgres_again, "PostgreSQL"))
			look_at_postgres(w, &reading);
		if (ready(w, &w->console, w->plan->console, &w->console_again, "the pooler"))
			look_at_pooler(w, &reading);
		lock_take(w->lock);
		w->newest = reading;
		w->fresh = true;
		lock_drop(w->lock);
		next += w->plan->sample;
		if (next < clock_now())
			next = clock_now(); /* a slow answer is not made up for by many quick ones */
		while (clock_now() < next && !stopping(w))
			connect_rest(
				next - clock_now() < 50 * MILLISECOND_US ? next - clock_now() : 50 * MILLISECOND_US);
	}
}

/* PostgreSQL itself must be at the end of --postgres: a pooler's statistics would say nothing of who came through it. */
static bool open_postgres(struct watch *w, bool *usage, char *error, size_t error_size)
{
	struct connect_error trouble;
	char words[600] = "";
	PGresult *rows;
	int64_t most = 0;

	if (!w->plan->postgres)
		return true;
	w->postgres = connect_open(w->plan->postgres, "pgweir stress", LOGIN_US, &trouble);
	if (!w->postgres) {
		*usage = trouble.trouble == CONNECT_BAD_URL;
		text_format(error, error_size, "--postgres: %s", trouble.text);
		return false;
	}
	if (!connect_is_direct(w->postgres, words, sizeof words)) {
		*usage = !words[0];
		text_format(error, error_size, "--postgres: %s",
			words[0]
				? words
				: "this leads to a pooler: give the address that the pooler connects to, and the pooler's console as --console");
		return false;
	}
	if (!connect_prepare(w->postgres, words, sizeof words)) {
		text_format(error, error_size, "--postgres: %s", words);
		return false;
	}
	rows = connect_ask(w->postgres, "SHOW max_connections", 0, NULL, NULL, words, sizeof words);
	if (rows && PQntuples(rows) == 1)
		text_to_i64(span_text(PQgetvalue(rows, 0, 0)), &most);
	w->max_connections = (int)most;
	PQclear(rows);
	rows = connect_ask(w->postgres,
		"SELECT pg_has_role(current_user, 'pg_read_all_stats', 'usage') OR current_setting('is_superuser') = 'on'",
		0, NULL, NULL, words, sizeof words);
	if (rows && PQntuples(rows) == 1 && PQgetvalue(rows, 0, 0)[0] != 't')
		complain(w,
			"this role sees only that others are connected, not what they do: no pattern can be named (GRANT pg_read_all_stats)");
	PQclear(rows);
	return true;
}

static bool open_console(struct watch *w, bool *usage, char *error, size_t error_size)
{
	struct connect_error trouble;
	char words[600];
	PGresult *rows;

	if (!w->plan->console)
		return true;
	w->console = connect_open(w->plan->console, "pgweir stress", LOGIN_US, &trouble);
	if (!w->console) {
		*usage = trouble.trouble == CONNECT_BAD_URL;
		text_format(error, error_size, "--console: %s", trouble.text);
		return false;
	}
	rows = connect_ask(w->console, "SHOW POOLS", 0, NULL, NULL, words, sizeof words);
	if (!rows) {
		*usage = true;
		text_format(error, error_size,
			"--console: SHOW POOLS is refused: %s\nA console's URL names the database pgbouncer (or pgweir) and a user of admin_users or stats_users",
			words);
		return false;
	}
	PQclear(rows);
	return true;
}

struct watch *watch_start(const struct stress_plan *plan, time_us zero, bool *usage, char *error, size_t error_size)
{
	struct watch *w = memory_new(1, sizeof *w);

	*usage = false;
	w->plan = plan;
	w->zero = zero;
	w->lock = memory_got(lock_new());
	w->sessions = memory_new(SESSIONS_MAX, sizeof *w->sessions);
	if (open_postgres(w, usage, error, error_size) && open_console(w, usage, error, error_size)) {
		w->thread = thread_start(watch_run, w, "watch");
		if (w->thread)
			return w;
		text_copy(error, error_size, "the system lets no thread be started");
	}
	watch_free(w);
	return NULL;
}

bool watch_take(struct watch *w, struct stress_reading *out)
{
	bool fresh;

	lock_take(w->lock);
	fresh = w->fresh;
	*out = w->newest;
	w->fresh = false;
	lock_drop(w->lock);
	return fresh;
}

const char *watch_trouble(const struct watch *w)
{
	return w->trouble;
}

bool watch_saw_superusers_alone(const struct watch *w)
{
	return w->seen_most == 0 && w->superusers_most > 0;
}

bool watch_saw_nobody(const struct watch *w)
{
	return w->postgres && w->seen_most == 0 && w->superusers_most == 0;
}

int watch_max_connections(const struct watch *w)
{
	return w->max_connections;
}

void watch_stop(struct watch *w)
{
	lock_take(w->lock);
	w->stopping = true;
	lock_drop(w->lock);
	if (w->thread)
		thread_join(&w->thread);
}

const struct stress_session *watch_sessions(const struct watch *w, size_t *count)
{
	*count = w->plan->console ? 0 : w->session_count;
	return w->sessions;
}

const struct stress_names *watch_names(const struct watch *w)
{
	return &w->names;
}

const char *watch_pattern(const struct watch *w)
{
	return w->pattern;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	watch_stop(w);
	PQfinish(w->postgres);
	PQfinish(w->console);
	lock_free(w->lock);
	free(w->sessions);
	free(w);
}
