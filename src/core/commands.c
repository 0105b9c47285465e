#include <stdlib.h>

#include "core/state.h"

/* What people ask for. Every command is answered once, at once or when what it waits for is so:
 *
 *   PAUSE       no lend and no dial any more, idle servers close     answered when none of its servers is left (orphans apart)
 *   RESUME      undoes PAUSE, SUSPEND and what KILL left             at once
 *   KILL        expels the clients, closes the servers, leaves it paused            at once
 *   SUSPEND     every worker sends what waits to be sent, and reads nothing more      answered when all have
 *   RECONNECT   every server closes when its lease is over, idle ones now           at once
 *   WAIT_CLOSE                                                       answered when no server that must close is left
 *   DISABLE, ENABLE   new logins are refused, are taken again        at once
 *   SHUTDOWN    SERVERS: pause, refuse who waits; QUIT when nothing is lent.  CLIENTS: refuse who enters; QUIT when nobody is left
 *
 * While everything is suspended nothing can be paused or killed, and nothing that is paused can be suspended. With the last console
 * a suspension goes too, since no other could come in.
 *
 * One rule differs from PgBouncer: RESUME of everything also undoes KILL of everything. */

bool pool_paused(const struct core *core, const struct pool *pool)
{
	const struct database *database = pool->database;

	return core->paused || database->paused || database->kill_paused ||
		(core->shutting_down && core->shutdown != SHUTDOWN_CLIENTS);
}

static bool concerns(const struct pool *pool, database_id id)
{
	return id == NO_DATABASE || pool->database->id == id;
}

static void answer(struct core *core, struct client_ref asker, database_id id, const char *problem)
{
	struct effect *effect;

	if (handle_none(asker.client))
		return; /* nobody asked: a signal */
	effect = effect_for(core, EFFECT_ANSWER, asker);
	effect->database = id;
	effect->problem = problem;
}

static void answer_later(struct core *core, const struct event *event)
{
	struct asker *asker;

	if (handle_none(event->client.client))
		return;
	asker = core_memory(sizeof(*asker));
	*asker = (struct asker){ .client = event->client, .command = event->kind, .database = event->database };
	link_last(&core->askers, &asker->link);
}

/* ---- servers of a database, or all ---- */

void pool_close_idle(struct core *core, struct pool *pool, enum close_reason reason)
{
	struct link *idle = &pool->by_state[SERVER_IDLE];

	while (!link_empty(idle))
		server_close(core, link_owner(idle->prev, struct server, link), reason);
}

static void close_all_idle(struct core *core, database_id id, enum close_reason reason)
{
	for (uint32_t i = 0; i < core->pools_count; i++) {
		if (concerns(core->pools[i], id))
			pool_close_idle(core, core->pools[i], reason);
	}
}

/* Every server that stays closes when it next comes free, wherever it is now; one for replication never would, and closes now; one for
 * a session may not for hours: see server_hurry. */
static void mark_all(struct core *core, database_id id)
{
	struct server *s;
	uint32_t slot = 0;

	while ((s = slots_next(&core->servers, &slot)) != NULL) {
		if (!concerns(s->pool, id) || s->state == SERVER_ORPHANED)
			continue;
		s->close_needed = true;
		server_hurry(core, s);
	}
}

/* At once: who holds it loses it. A lent or cleaning server changes its state when its worker says so; one in the mail
 * closes when it arrives. */
static void kill_server(struct core *core, struct server *s)
{
	s->close_needed = true;
	switch (s->state) {
	case SERVER_DIALING:
	case SERVER_IDLE:
		server_close(core, s, CLOSE_KILL);
		break;
	case SERVER_LENT:
	case SERVER_CLEANING:
		if (s->close_told)
			break;
		server_tell_close(core, s, CLOSE_KILL);
		break;
	case SERVER_MOVING:
	case SERVER_CLOSING:
	case SERVER_ORPHANED:
		break;
	}
}

static void forget_waiters(struct core *core, struct pool *pool)
{
	struct client *c;

	while ((c = waiters_any(pool)) != NULL) {
		waiters_remove(core, c);
		client_rest(core, c);
	}
}

/* After a pause: whoever has waited longest is served first, across pools. */
static void wake(struct core *core)
{
	for (uint32_t i = 0; i < core->pools_count; i++) {
		if (dial_wanted(core->pools[i]))
			limits_hunger(core, core->pools[i]);
	}
	limits_turns(core);
	tick_all_due(core);
}

/* ---- the commands ---- */

static void command_pause(struct core *core, const struct event *event)
{
	bool *paused = event->database == NO_DATABASE ? &core->paused : &core->databases[event->database]->paused;

	/* PAUSE of a database that is paused already waits for the same, as in PgBouncer: a runbook may say it twice. */
	if (core->paused || core->suspension) {
		answer(core, event->client, event->database, PROBLEM_ALREADY_PAUSED);
		return;
	}
	*paused = true;
	close_all_idle(core, event->database, CLOSE_PAUSE);
	answer_later(core, event);
}

static void tell_all(struct core *core, enum effect_kind kind)
{
	for (uint32_t w = 0; w < core->setup.workers; w++)
		effect_add(core, kind, w)->suspension = core->suspension;
}

static void command_suspend(struct core *core, const struct event *event)
{
	const char *problem = core->suspension || core->paused ? PROBLEM_ALREADY_PAUSED : NULL;

	for (uint32_t i = 0; i < core->databases_count; i++) {
		if (!problem && (core->databases[i]->paused || core->databases[i]->kill_paused))
			problem = PROBLEM_DATABASES_PAUSED;
	}
	if (problem) {
		answer(core, event->client, NO_DATABASE, problem);
		return;
	}
	core->suspension = ++core->suspensions;
	core->suspending = core->setup.workers;
	tell_all(core, EFFECT_SUSPEND);
	answer_later(core, event);
}

static bool end_suspension(struct core *core)
{
	bool was = core->suspension != 0;

	if (was)
		tell_all(core, EFFECT_RESUME);
	core->suspension = core->suspending = 0;
	return was;
}

/* A worker has nothing left to send. What it says of a suspension that was ended meanwhile means nothing. */
void command_suspended(struct core *core, const struct event *event)
{
	if (event->suspension == core->suspension && core->suspending > 0)
		core->suspending--;
}

/* Consoles that wait for a pause which is over now will not see it complete. */
static void dismiss_pauses(struct core *core, database_id id)
{
	for (struct link *l = core->askers.next, *after; l != &core->askers; l = after) {
		struct asker *asker = link_owner(l, struct asker, link);

		after = l->next;
		if ((asker->command != EVENT_PAUSE && asker->command != EVENT_SUSPEND) || asker->database != id)
			continue;
		answer(core, asker->client, asker->database, PROBLEM_RESUMED);
		link_remove(&asker->link);
		free(asker);
	}
}

static bool resume_everything(struct core *core)
{
	bool was = end_suspension(core) || core->paused;

	core->paused = false;
	for (uint32_t i = 0; i < core->databases_count; i++) {
		was = was || core->databases[i]->kill_paused;
		core->databases[i]->kill_paused = false;
	}
	return was;
}

static bool resume_database(struct database *database)
{
	bool was = database->paused || database->kill_paused;

	database->paused = database->kill_paused = false;
	return was;
}

static void command_resume(struct core *core, const struct event *event)
{
	bool everything = event->database == NO_DATABASE;
	const char *problem = everything ? PROBLEM_NOT_PAUSED : PROBLEM_DATABASE_NOT_PAUSED;

	if (everything ? resume_everything(core) : resume_database(core->databases[event->database]))
		problem = NULL;
	answer(core, event->client, event->database, problem);
	if (problem)
		return;
	dismiss_pauses(core, event->database);
	wake(core);
}

/* Clients and servers of a database, or all. */
static void expel(struct core *core, database_id id)
{
	struct server *s;
	uint32_t slot = 0;

	for (uint32_t w = 0; w < core->setup.workers; w++) {
		struct effect *effect = effect_add(core, EFFECT_EXPEL, w);

		effect->database = id;
		effect->refusal = REFUSAL_KILLED;
	}
	for (uint32_t i = 0; i < core->pools_count; i++) {
		if (concerns(core->pools[i], id))
			forget_waiters(core, core->pools[i]);
	}
	while ((s = slots_next(&core->servers, &slot)) != NULL) {
		if (concerns(s->pool, id))
			kill_server(core, s);
	}
}

static void command_kill(struct core *core, const struct event *event)
{
	if (core->paused || core->suspension) {
		answer(core, event->client, event->database, PROBLEM_ALREADY_PAUSED);
		return;
	}
	for (uint32_t i = 0; i < core->databases_count; i++) {
		if (event->database == NO_DATABASE || event->database == i)
			core->databases[i]->kill_paused = true;
	}
	expel(core, event->database);
	answer(core, event->client, event->database, NULL);
}

/* Its entry may come back, and then it is not paused. */
static void command_expel(struct core *core, const struct event *event)
{
	check(event->database != NO_DATABASE);
	expel(core, event->database);
	(void)resume_database(core->databases[event->database]);
	dismiss_pauses(core, event->database);
	wake(core);
}

static void command_reconnect(struct core *core, const struct event *event)
{
	mark_all(core, event->database);
	close_all_idle(core, event->database, CLOSE_RECONNECT);
	for (uint32_t i = 0; i < core->pools_count; i++)
		if (concerns(core->pools[i], event->database))
			dial_again(core, core->pools[i]);
	answer(core, event->client, event->database, NULL);
}

static void command_disable(struct core *core, const struct event *event)
{
	if (event->database == NO_DATABASE) {
		answer(core, event->client, NO_DATABASE, PROBLEM_DATABASE_REQUIRED);
		return;
	}
	core->databases[event->database]->disabled = event->kind == EVENT_DISABLE;
	answer(core, event->client, event->database, NULL);
	tick_all_due(core);
}

void command(struct core *core, const struct event *event)
{
	if (event->database != NO_DATABASE && event->database >= core->databases_count) {
		answer(core, event->client, event->database, PROBLEM_NO_DATABASE);
		return;
	}
	switch (event->kind) {
	case EVENT_PAUSE:
		command_pause(core, event);
		break;
	case EVENT_SUSPEND:
		command_suspend(core, event);
		break;
	case EVENT_RESUME:
		command_resume(core, event);
		break;
	case EVENT_KILL:
		command_kill(core, event);
		break;
	case EVENT_EXPEL:
		command_expel(core, event);
		break;
	case EVENT_RECONNECT:
		command_reconnect(core, event);
		break;
	case EVENT_WAIT_CLOSE:
		answer_later(core, event);
		break;
	default:
		check(event->kind == EVENT_DISABLE || event->kind == EVENT_ENABLE);
		command_disable(core, event);
	}
}

void command_shutdown(struct core *core, const struct event *event)
{
	struct client *c;

	/* A second, harder word replaces the first. */
	core->shutting_down = true;
	/* Nobody who is not read can leave. */
	core->shutdown = core->suspension ? SHUTDOWN_NOW : event->mode;
	door_shut(core);
	if (core->shutdown == SHUTDOWN_CLIENTS)
		return;
	for (uint32_t i = 0; i < core->pools_count; i++) {
		while ((c = waiters_any(core->pools[i])) != NULL) {
			effect_for(core, EFFECT_REFUSE, c->ref)->refusal = REFUSAL_SHUTDOWN;
			waiters_remove(core, c);
			client_rest(core, c);
		}
	}
	close_all_idle(core, NO_DATABASE, CLOSE_SHUTDOWN);
}

/* No console is left, and none could come in. */
void command_consoles_left(struct core *core, const struct event *event)
{
	(void)event;
	if (!end_suspension(core))
		return;
	dismiss_pauses(core, NO_DATABASE);
	wake(core);
}

/* Somebody waits for this pause still: PAUSE of a database may be said twice. */
static bool pause_awaited(const struct core *core, database_id id)
{
	for (const struct link *l = core->askers.next; l != &core->askers; l = l->next) {
		const struct asker *asker = link_owner(l, struct asker, link);

		if (asker->command == EVENT_PAUSE && asker->database == id)
			return true;
	}
	return false;
}

static void take_pause_back(struct core *core, database_id id)
{
	bool *paused = id == NO_DATABASE ? &core->paused : &core->databases[id]->paused;

	if (!*paused || pause_awaited(core, id))
		return;
	*paused = false;
	wake(core);
}

/* A console that hangs up while it waits for a pause takes its wish back; so does one that cancels. */
void command_asker_left(struct core *core, const struct event *event)
{
	for (struct link *l = core->askers.next, *after; l != &core->askers; l = after) {
		struct asker *asker = link_owner(l, struct asker, link);
		bool pause = asker->command == EVENT_PAUSE, suspend = asker->command == EVENT_SUSPEND;
		database_id database = asker->database;

		after = l->next;
		if (asker->client.worker != event->client.worker ||
			!handle_equal(asker->client.client, event->client.client))
			continue;
		if (event->kind == EVENT_ASKER_CANCELS)
			answer(core, asker->client, asker->database, PROBLEM_CANCELED);
		link_remove(&asker->link);
		free(asker);
		if (pause)
			take_pause_back(core, database);
		if (suspend && end_suspension(core))
			wake(core);
	}
}

/* ---- what is so by now ---- */

static bool pause_done(const struct core *core, database_id id)
{
	for (uint32_t i = 0; i < core->pools_count; i++) {
		const struct pool *pool = core->pools[i];

		if (concerns(pool, id) && pool->servers > pool->count[SERVER_ORPHANED])
			return false;
	}
	return true;
}

static bool close_done(const struct core *core, database_id id)
{
	struct server *s;
	uint32_t slot = 0;

	while ((s = slots_next(&core->servers, &slot)) != NULL) {
		if (concerns(s->pool, id) && s->close_needed && s->state != SERVER_ORPHANED)
			return false;
	}
	return true;
}

static bool may_quit(const struct core *core)
{
	uint32_t held = 0;

	if (core->shutdown == SHUTDOWN_NOW)
		return true;
	if (core->shutdown == SHUTDOWN_CLIENTS)
		return core->clients_count == 0;
	for (uint32_t i = 0; i < core->pools_count; i++)
		held += core->pools[i]->count[SERVER_LENT] + core->pools[i]->count[SERVER_CLEANING];
	return held == 0;
}

/* After each step: whose answer is due? */
void commands_settle(struct core *core)
{
	for (struct link *l = core->askers.next, *after; l != &core->askers; l = after) {
		struct asker *asker = link_owner(l, struct asker, link);

		after = l->next;
		if (asker->command == EVENT_PAUSE                 ? !pause_done(core, asker->database)
				: asker->command == EVENT_SUSPEND ? core->suspending > 0
								  : !close_done(core, asker->database))
			continue;
		answer(core, asker->client, asker->database, NULL);
		link_remove(&asker->link);
		free(asker);
	}
	if (core->shutting_down && !core->quit_said && may_quit(core)) {
		core->quit_said = true;
		effect_add(core, EFFECT_QUIT, 0);
	}
}
