/* Which monitors there are: one for each host and port that the configuration names, held by the first worker; and what SHOW BUDGET
 * shows of them. A monitor that a new configuration leaves as it was goes on undisturbed. */
#include "serve/ears.h"
#include "serve/watch.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"

void host_instance_name(const struct host *host, char out[INSTANCE_NAME])
{
	text_format(out, INSTANCE_NAME, "%s:%u", host->name, host->port);
}

bool instance_name(const struct database_settings *database, char out[INSTANCE_NAME])
{
	if (!database || database->host_count != 1)
		return false;
	host_instance_name(&database->hosts[0], out);
	return true;
}

/* ---- which there are ---- */

static void watch_free(struct watch *watch)
{
	timer_clear(&watch->line.worker->timers, &watch->timer);
	watch_leave(watch);
	free(watch->past.list);
	free(watch->next.list);
	free(watch->host);
	free(watch->database);
	free(watch->user);
	free(watch);
}

static struct watch *watch_new(struct worker *worker, const struct host *host)
{
	struct watch *watch = calloc(1, sizeof *watch);
	char name[INSTANCE_NAME];

	if (!watch)
		return NULL;
	watch->line.party = PARTY_MONITOR;
	watch->line.worker = worker;
	watch->line.port = host->port;
	watch->host = strdup(host->name);
	watch->line.number = worker->monitors->numbers++;
	timer_init(&watch->timer, PARTY_MONITOR);
	if (!watch->host) {
		free(watch);
		return NULL;
	}
	host_instance_name(host, name);
	lock_take(worker->house->lock);
	watch->instance = core_instance(worker->house->core, span_text(name));
	lock_drop(worker->house->lock);
	return watch;
}

static struct watch *find_watch(const struct monitors *monitors, const struct host *host)
{
	for (uint32_t i = 0; i < monitors->count; i++)
		if (monitors->list[i]->line.port == host->port && strcmp(monitors->list[i]->host, host->name) == 0)
			return monitors->list[i];
	return NULL;
}

static void want(struct worker *worker, const struct host *host)
{
	struct monitors *monitors = worker->monitors;
	struct watch *watch = find_watch(monitors, host);

	if (!watch && monitors->count == WATCHES_MAX) {
		if (!monitors->too_many_said)
			log_line(
				LOG_WARNING, "more than %u PostgreSQL servers: the rest is not monitored", WATCHES_MAX);
		monitors->too_many_said = true;
		return;
	}
	if (!watch) {
		watch = watch_new(worker, host);
		if (!watch)
			return;
		monitors->list[monitors->count++] = watch;
	}
	watch->wanted = true;
}

/* The database to log in to: what monitor_dbname says, or the first entry that leads there and has a name. */
static const char *database_of(const struct watch *watch)
{
	const struct config *config = watch->line.worker->config;

	if (config->monitor_dbname[0])
		return config->monitor_dbname;
	for (size_t i = 0; i < config->database_count; i++) {
		const struct database_settings *database = &config->databases[i];

		if (watch_is_at(watch, database) && (database->dbname || strcmp(database->name, "*") != 0))
			return database->dbname ? database->dbname : database->name;
	}
	return "postgres";
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Go on as before when nothing changed for it; else begin anew. */
static void watch_configure(struct watch *watch)
{
	struct worker *worker = watch->line.worker;
	struct setting_view view;
	const char *database = database_of(watch), *password, *user = watch_candidate(watch, 0, &view, &password);
	bool on = worker->config->monitor_interval > 0;

	if (on && watch->line.state == LINE_OPEN && same(watch->database, database) &&
		(!worker->config->monitor_user[0] || same(watch->user, user))) {
		reckoning_tell(watch); /* server_budget may be another */
		return;
	}
	timer_clear(&worker->timers, &watch->timer);
	watch_leave(watch);
	watch->problem[0] = '\0';
	watch->said = watch->candidate = 0;
	watch->pause = 0;
	if (!same(watch->database, database)) {
		free(watch->database);
		watch->database = strdup(database);
	}
	watch->on = on && watch->database;
	watch->retry_at = worker->now;
	if (watch->on)
		timer_set(&worker->timers, &watch->timer, worker->now);
	reckoning_tell(watch);
}

static void unwanted(struct watch *watch)
{
	struct event event = { .kind = EVENT_BUDGET,
		.now = watch->line.worker->now,
		.worker = watch->line.worker->index,
		.instance = watch->instance,
		.budget = BUDGET_UNKNOWN };

	worker_step(watch->line.worker, &event);
	watch_free(watch);
}

void monitors_configure(struct worker *worker)
{
	const struct config *config = worker->config;
	struct monitors *monitors = worker->monitors;
	uint32_t kept = 0;

	if (!monitors)
		monitors = worker->monitors = calloc(1, sizeof *monitors);
	if (!monitors)
		return;
	for (uint32_t i = 0; i < monitors->count; i++)
		monitors->list[i]->wanted = false;
	for (size_t i = 0; i < config->database_count; i++)
		for (size_t h = 0; h < config->databases[i].host_count; h++)
			want(worker, &config->databases[i].hosts[h]);
	for (uint32_t i = 0; i < monitors->count; i++) {
		struct watch *watch = monitors->list[i];

		if (watch->wanted) {
			monitors->list[kept++] = watch;
			watch_configure(watch);
		} else {
			unwanted(watch);
		}
	}
	monitors->count = kept;
}

void monitors_recount(struct worker *worker, const char *host, uint16_t port)
{
	struct host at = { .name = (char *)(uintptr_t)host, .port = port };
	struct watch *watch = worker->monitors ? find_watch(worker->monitors, &at) : NULL;

	if (watch)
		reckoning_tell(watch);
}

void monitors_fini(struct worker *worker)
{
	struct monitors *monitors = worker->monitors;

	for (uint32_t i = 0; monitors && i < monitors->count; i++)
		watch_free(monitors->list[i]);
	free(monitors);
	worker->monitors = NULL;
}

/* ---- what is shown ---- */

static const char *state_word(const struct watch *watch)
{
	switch ((enum line_state)watch->line.state) {
	case LINE_CLOSED:
		return !watch->on ? "off" : watch->candidate == 0 && watch->said & SAID_NOBODY ? "nobody" : "failed";
	case LINE_RESOLVING:
	case LINE_CONNECTING:
	case LINE_LOGIN:
		return "login";
	case LINE_OPEN:
		break;
	}
	return watch->problem[0] ? "partial" : "reads";
}

/* An attempt under way is no answer yet. That nobody's password is known is no failure. */
static bool is_failing(const struct watch *watch)
{
	return watch->on && watch->line.state != LINE_OPEN && watch->problem[0] &&
		!(watch->candidate == 0 && watch->said & SAID_NOBODY);
}

static void list_limits(const struct watch *watch, struct budget_row *row)
{
	size_t length = 0;

	/* Those of which nine tenths are used. */
	for (size_t i = 0; i < watch->last.limit_count; i++) {
		const struct monitor_limit *limit = &watch->last.limits[i];

		if (limit->used > 0 && (uint64_t)limit->used * 10 >= (uint64_t)limit->max * 9)
			length += text_format(row->limits + length, sizeof row->limits - length, "%s%s %s: %u of %u",
				length ? "; " : "", limit->is_role ? "role" : "database", limit->name, limit->used,
				limit->max);
	}
}

static void list_others(const struct watch *watch, struct budget_row *row)
{
	const struct tally *tally = &watch->counted;
	size_t length = 0;

	for (size_t i = 0; i < tally->group_count; i++)
		length += text_format(row->others_by + length, sizeof row->others_by - length, "%s%s%s%s: %u",
			length ? "; " : "", tally->groups[i].user, tally->groups[i].application[0] ? "/" : "",
			tally->groups[i].application, tally->groups[i].count);
	if (tally->groups[GROUPS].count)
		text_format(row->others_by + length, sizeof row->others_by - length, "; more: %u",
			tally->groups[GROUPS].count);
}

static void visit(struct watch *watch, struct snapshot *snapshot)
{
	struct worker *worker = watch->line.worker;
	struct budget_row *row = snapshot_budget(snapshot);
	struct instance_picture picture;

	if (!row)
		return;
	lock_take(worker->house->lock);
	check(core_instance_picture(worker->house->core, watch->instance, &picture));
	lock_drop(worker->house->lock);
	text_copy(row->host, sizeof row->host, watch->host);
	row->port = watch->line.port;
	row->ours = picture.servers + picture.aside + picture.visitors;
	row->visitors = picture.visitors;
	row->lent = picture.lent;
	row->idle = picture.idle;
	row->dialing = picture.dialing;
	row->cleaning = picture.cleaning;
	row->moving = picture.moving;
	row->closing = picture.closing;
	row->orphaned = picture.orphaned;
	row->listeners = ears_at(worker, watch->host, watch->line.port);
	row->monitor = picture.aside > row->listeners ? picture.aside - row->listeners : 0;
	row->waiting = picture.waiting;
	row->target = picture.target ? (int)picture.target : -1;
	row->full_since_wall = picture.full_since ? snapshot->wall - (worker->now - picture.full_since) : 0;
	row->connections_max = row->reserved = row->usable = row->others = row->free = row->orphans = -1;
	row->age = -1;
	text_copy(row->state, sizeof row->state, state_word(watch));
	row->failing = is_failing(watch);
	text_escape(row->problem, sizeof row->problem, span_text(watch->problem));
	if (watch->read_at == 0)
		return;
	row->age = worker->now - watch->read_at;
	if (monitor_knows(&watch->last, MONITOR_SETTINGS)) {
		row->connections_max = (int)watch->last.connections_max;
		row->reserved = (int)watch->last.reserved;
		row->usable = reckoning_usable(watch) > 0 ? (int)reckoning_usable(watch) : 0;
	}
	if (monitor_knows(&watch->last, MONITOR_BACKENDS)) {
		row->others = (int)watch->counted.others;
		row->orphans = (int)watch->counted.orphans;
		if (row->usable >= 0)
			row->free = row->usable > (int)watch->last.backends ? row->usable - (int)watch->last.backends
									    : 0;
		list_others(watch, row);
	}
	list_limits(watch, row);
}

void monitors_visit(struct worker *worker, struct snapshot *snapshot)
{
	for (uint32_t i = 0; worker->monitors && i < worker->monitors->count; i++)
		visit(worker->monitors->list[i], snapshot);
}
