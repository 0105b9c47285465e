/* One monitoring connection to each PostgreSQL server: a line (line.h) that asks.
 *
 *   closed --> resolving --> connecting --> login --> open: idle <--> asked
 *      ^           |              |           |         |         |
 *      +-----------+--------------+-----------+---------+---------+      (refused, lost, or no answer in time)
 *
 * Every monitor_interval it asks who uses the server (session/monitor); reckoning.c makes something of the answer. It never
 * blocks, every wait has an end, and what does not work is tried again, gently: after a second, two ... fifteen, and once a minute
 * where nobody who is known may log in. What is missing is said once, until it is there again. */
#include "serve/watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"

#define CANDIDATES_MAX 8
#define ANSWER_LIMIT   (10 * SECOND_US)
#define LOGIN_LIMIT    (15 * SECOND_US)
#define PAUSE_LEAST    SECOND_US
#define PAUSE_MOST     (15 * SECOND_US)
#define PAUSE_REFUSED  (60 * SECOND_US) /* nobody whom it knows may log in */

#define APPLICATION    "pgweir monitor"

/* ---- what is said ---- */

void watch_tell(struct watch *watch, enum said what, enum log_level level, const char *format, ...)
{
	uint64_t *words = &watch->words[__builtin_ctz(what)], hash;
	char line[512];
	va_list list;

	if (watch->said & what)
		return;
	watch->said |= what;
	va_start(list, format);
	vsnprintf(line, sizeof line, format, list);
	va_end(list);
	hash = hash_bytes(span_text(line));
	if (*words != hash)
		log_line(level, "monitor of %s:%u: %s", watch->host, watch->line.port, line);
	*words = hash;
}

/* It is otherwise now. True: it had been said that it was so. */
static bool unsay(struct watch *watch, unsigned what)
{
	bool was_said = false;

	watch->said &= ~what;
	for (unsigned kind = 0; kind < SAID_KINDS; kind++)
		if (what & 1u << kind && watch->words[kind] != 0) {
			watch->words[kind] = 0;
			was_said = true;
		}
	return was_said;
}

/* ---- one that does not work ---- */

void watch_leave(struct watch *watch)
{
	line_close(&watch->line);
	watch->asked = false;
	reckoning_drop(watch);
}

/* Wake to try again, or to stop believing in an old reading, whichever comes first. */
static void rest(struct watch *watch)
{
	time_us due = watch->retry_at, stale = reckoning_stale_at(watch);

	if (stale > watch->line.worker->now && stale < due)
		due = stale;
	timer_set(&watch->line.worker->timers, &watch->timer, due);
}

static void try_later(struct watch *watch, time_us pause)
{
	watch_leave(watch);
	watch->retry_at = watch->line.worker->now + pause;
	rest(watch);
	reckoning_tell(watch);
}

static void fail(struct watch *watch, const char *problem)
{
	text_copy(watch->problem, sizeof watch->problem, problem);
	watch_tell(watch, SAID_FAILED, LOG_WARNING, "%s; trying again", problem);
	watch->pause = watch->pause ? watch->pause * 2 : PAUSE_LEAST;
	if (watch->pause > PAUSE_MOST)
		watch->pause = PAUSE_MOST;
	try_later(watch, watch->pause);
}

/* ---- as whom ---- */

bool watch_is_at(const struct watch *watch, const struct database_settings *database)
{
	for (size_t i = 0; i < database->host_count; i++)
		if (database->hosts[i].port == watch->line.port && strcmp(database->hosts[i].name, watch->host) == 0)
			return true;
	return false;
}

/* Number `n` of those who could log in to this server: a name, and the password of the entry that forces it or NULL. */
const char *watch_candidate(const struct watch *watch, unsigned n, struct setting_view *view, const char **password)
{
	const struct worker *worker = watch->line.worker;
	const struct config *config = worker->config;
	const char *name = config->auth_user[0] ? config->auth_user : NULL;

	*password = NULL;
	if (n >= CANDIDATES_MAX)
		return NULL;
	if (config->monitor_user[0])
		return n == 0 ? config->monitor_user : NULL;
	if (name && n-- == 0)
		return name;
	for (size_t i = 0; i < config->database_count; i++) {
		const struct database_settings *database = &config->databases[i];

		if (database->user && database->password && watch_is_at(watch, database) && n-- == 0) {
			*password = database->password;
			return database->user;
		}
	}
	for (size_t i = 0; worker->secrets && (name = secrets_name(worker->secrets, i)); i++) {
		const struct secret *secret = secrets_find(worker->secrets, span_text(name));

		if (secret && (secret->kind == SECRET_PLAIN || secret->kind == SECRET_MD5) && n-- == 0)
			return name;
	}
	return NULL;
}

/* This one may not log in; another may. */
static void refused(struct watch *watch, const char *sqlstate, const char *problem)
{
	struct setting_view view;
	const char *password;
	char text[160];

	text_format(text, sizeof text, "%s (%s)", problem, sqlstate);
	/* Class 28 is who, 3D where, 42501 that he may not go there. Everything else is nothing against the user. */
	if (strncmp(sqlstate, "28", 2) != 0 && strncmp(sqlstate, "3D", 2) != 0 &&
		strcmp(sqlstate, SQLSTATE_INSUFFICIENT_PRIVILEGE) != 0) {
		fail(watch, text);
		return;
	}
	text_copy(watch->problem, sizeof watch->problem, text);
	watch->candidate++;
	if (watch_candidate(watch, watch->candidate, &view, &password)) {
		try_later(watch, PAUSE_LEAST);
		return;
	}
	watch_tell(watch, SAID_FAILED, LOG_WARNING,
		"%s; until a user may log in, what PostgreSQL has room for is learnt by being refused. "
		"Set monitor_user, and at PostgreSQL: GRANT pg_read_all_stats TO that user",
		text);
	watch->candidate = 0;
	try_later(watch, PAUSE_REFUSED);
}

/* ---- connecting ---- */

static void ask(struct watch *watch);

static void take_edge(struct watch *watch, enum line_edge edge, bool in_login)
{
	switch (edge) {
	case LINE_MORE:
		if (watch->line.state == LINE_CONNECTING)
			reckoning_tell(watch);
		break;
	case LINE_READY:
		watch->matched = watch->between = false;
		watch->all_seen_at = 0;
		ask(watch);
		break;
	case LINE_FAILED:
		/* What is said in a login may be said to this user alone. */
		if (in_login && strcmp(watch->line.sqlstate, SQLSTATE_OUT_OF_MEMORY) != 0)
			refused(watch, watch->line.sqlstate, watch->line.problem);
		else
			fail(watch, watch->line.problem);
		break;
	}
}

bool monitor_asked(const struct resolve_letter *letter)
{
	/* A channel's context has its generation in the upper half, which is never 0. */
	return ((uint64_t)(uintptr_t)letter->context >> 32) == 0;
}

void monitor_resolved(struct worker *worker, struct resolve_letter *letter)
{
	uint32_t number = (uint32_t)(uintptr_t)letter->context;
	struct watch *watch = NULL;

	for (uint32_t i = 0; worker->monitors && i < worker->monitors->count; i++)
		if (worker->monitors->list[i]->line.number == number)
			watch = worker->monitors->list[i];
	if (watch)
		take_edge(watch, line_resolved(&watch->line, letter), false);
}

static void connect_now(struct watch *watch)
{
	struct worker *worker = watch->line.worker;
	struct setting_view view;
	const char *password, *user = watch_candidate(watch, watch->candidate, &view, &password);

	if (!user) {
		text_copy(watch->problem, sizeof watch->problem, "no user to log in as: set monitor_user");
		watch_tell(watch, SAID_NOBODY, LOG_LOG,
			"there is nobody whose password is known, so what PostgreSQL has room for is learnt by being refused. "
			"Set monitor_user to one of auth_file, and at PostgreSQL: GRANT pg_read_all_stats TO that user");
		try_later(watch, PAUSE_REFUSED);
		return;
	}
	free(watch->user);
	watch->user = strdup(user);
	if (!watch->user) {
		fail(watch, "out of memory");
		return;
	}
	timer_set(&worker->timers, &watch->timer, worker->now + LOGIN_LIMIT);
	take_edge(watch, line_dial(&watch->line, watch->host), false);
}

void monitor_connected(struct watch *watch)
{
	struct worker *worker = watch->line.worker;
	struct startup_pair name = { span_text("application_name"), span_text(APPLICATION) };
	struct setting_view view;
	const char *password;
	struct server_setup setup = {
		.params = worker->house->params,
		.user = span_text(watch->user),
		.database = span_text(watch->database),
		.extra = &name,
		.extra_count = 1,
	};

	(void)watch_candidate(watch, watch->candidate, &view, &password);
	take_edge(watch, line_login(&watch->line, setup, password, NO_POOL), false);
}

/* ---- a reading ---- */

static void say_what_lacks(struct watch *watch)
{
	static const char *const parts[] = { "max_connections", "pg_roles", "pg_database", "pg_stat_activity" };

	for (unsigned part = 0; part < MONITOR_PARTS; part++)
		if (!monitor_knows(&watch->last, (enum monitor_part)part)) {
			text_format(watch->problem, sizeof watch->problem, "%.20s: %.120s", parts[part],
				watch->last.problem);
			watch_tell(watch, SAID_LACKING, LOG_WARNING, "could not read %s: %s (%s); going on without it",
				parts[part], watch->last.problem, watch->last.sqlstate);
		}
	if (watch->last.hidden) {
		if (!watch->problem[0])
			text_format(watch->problem, sizeof watch->problem,
				"sees little of other users: GRANT pg_read_all_stats TO \"%.63s\"", watch->user);
		watch_tell(watch, SAID_HIDDEN, LOG_WARNING,
			"user \"%s\" sees of other users' backends only that they are there; at PostgreSQL: "
			"GRANT pg_read_all_stats TO \"%s\"",
			watch->user, watch->user);
	}
	if (watch->between) {
		text_copy(watch->problem, sizeof watch->problem,
			"none of our servers is among its backends: is there another pooler between?");
		watch_tell(watch, SAID_BETWEEN, LOG_WARNING,
			"none of our servers is among PostgreSQL's backends. When another pooler stands between, nothing can be "
			"concluded from what is read; set server_budget = off");
	}
}

static void reading_is_complete(struct watch *watch)
{
	if (unsay(watch, SAID_FAILED | SAID_STALE | SAID_NOBODY))
		log_line(LOG_LOG, "monitor of %s:%u: reads as user \"%s\"", watch->host, watch->line.port, watch->user);
	watch->pause = 0;
	watch->problem[0] = '\0';
	reckoning_end(watch);
	say_what_lacks(watch);
	watch->asked = false;
	timer_set(&watch->line.worker->timers, &watch->timer,
		watch->asked_at + watch->line.worker->config->monitor_interval > watch->line.worker->now
			? watch->asked_at + watch->line.worker->config->monitor_interval
			: watch->line.worker->now + 1);
	reckoning_tell(watch);
}

static void ask(struct watch *watch)
{
	struct worker *worker = watch->line.worker;
	struct writer w;

	check(watch->line.state == LINE_OPEN && !watch->asked && !watch->owned);
	buf_clear(&worker->out);
	w = writer_to(&worker->out);
	monitor_ask(&w, &watch->reading);
	watch->tally = (struct tally){ 0 };
	watch->next.count = 0;
	watch->asking_began = false;
	watch->asked_at = worker->now;
	watch->asked = true;
	if (!writer_ok(&w) || !line_send(&watch->line)) {
		fail(watch, "out of memory");
		return;
	}
	timer_set(&worker->timers, &watch->timer, worker->now + ANSWER_LIMIT);
}

static size_t read_answer(struct watch *watch, struct span bytes)
{
	size_t used = 0, n;
	enum monitor_edge edge;

	do {
		edge = monitor_take(&watch->reading, span_skip(bytes, used), &n);
		used += n;
		if (edge == MONITOR_BACKEND) {
			if (!watch->asking_began && !reckoning_begin(watch)) {
				fail(watch, "out of memory");
				return used;
			}
			watch->asking_began = true;
			reckoning_add(watch);
		}
	} while (edge == MONITOR_BACKEND);
	if (edge == MONITOR_BROKEN)
		fail(watch, watch->reading.problem);
	else if (edge == MONITOR_READ)
		reading_is_complete(watch);
	return used;
}

void monitor_bytes(struct watch *watch, struct span bytes)
{
	size_t used = 0;

	if (watch->line.state == LINE_LOGIN)
		take_edge(watch, line_bytes(&watch->line, bytes, &used), true);
	if (watch->line.state == LINE_OPEN && watch->asked && used < bytes.length)
		used += read_answer(watch, span_skip(bytes, used));
	if (watch->line.state == LINE_OPEN && !watch->asked)
		used = bytes.length; /* a notice, a changed parameter, its last words */
	if (watch->line.stream)
		stream_consume(watch->line.stream, used);
}

void monitor_ended(struct watch *watch, int error)
{
	bool refused_it = watch->line.state == LINE_OPEN && watch->asked && watch->reading.refused;
	enum line_edge edge = line_ended(&watch->line, error);

	/* Its last words say more than the end. */
	if (edge == LINE_FAILED && refused_it)
		text_copy(watch->line.problem, sizeof watch->line.problem, watch->reading.problem);
	take_edge(watch, edge, false);
}

void monitor_rings(struct timer *timer)
{
	struct watch *watch = link_owner(timer, struct watch, timer);

	switch ((enum line_state)watch->line.state) {
	case LINE_CLOSED:
		if (!watch->on)
			break;
		if (watch->line.worker->now >= watch->retry_at) {
			connect_now(watch);
			break;
		}
		watch_tell(watch, SAID_STALE, LOG_WARNING,
			"its last reading is too old to be believed; there is no budget now");
		reckoning_tell(watch);
		rest(watch);
		break;
	case LINE_RESOLVING:
	case LINE_CONNECTING:
	case LINE_LOGIN:
		fail(watch, "the login was not over in time");
		break;
	case LINE_OPEN:
		if (watch->asked)
			fail(watch, "there was no answer in time");
		else
			ask(watch);
		break;
	}
}
