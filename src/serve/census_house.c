/* What the house knows: pools, databases, users, settings, and the accounts of leaks and of whom the reaper ended. The first worker
 * whom the census visits adds it, once. */
#include "serve/census.h"

#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "serve/reaper.h"
#include "serve/report.h"
#include "serve/worker.h"

/* What is of any size, by the size that one has on average. */
static void visit_memory(struct worker *worker, struct snapshot *snapshot)
{
	uint64_t count, bytes;

	params_book_counts(worker->house->params, &count, &bytes);
	snapshot_memory(snapshot, "params", count, count ? bytes / count : 0, 0);
	statement_book_counts(worker->house->statements, &count, &bytes);
	snapshot_memory(snapshot, "statement", count, count ? bytes / count : 0, 0);
}

static void visit_names(struct snapshot *snapshot)
{
	struct resolver_facts *facts = calloc(1, sizeof *facts);

	if (!facts)
		return;
	resolver_tell(facts);
	snapshot->names_pending = facts->pending;
	snapshot->dns_hosts = calloc(facts->name_count + 1, sizeof *snapshot->dns_hosts);
	snapshot->dns_zones = calloc(facts->zone_count + 1, sizeof *snapshot->dns_zones);
	for (size_t i = 0; snapshot->dns_hosts && i < facts->name_count; i++) {
		struct dns_host_row *row = &snapshot->dns_hosts[snapshot->dns_host_count++];

		text_copy(row->name, sizeof row->name, facts->names[i].name);
		text_copy(row->addresses, sizeof row->addresses, facts->names[i].addresses);
		row->left = facts->names[i].left;
	}
	for (size_t i = 0; snapshot->dns_zones && i < facts->zone_count; i++) {
		struct dns_zone_row *row = &snapshot->dns_zones[snapshot->dns_zone_count++];

		text_copy(row->name, sizeof row->name, facts->zones[i].name);
		row->serial = facts->zones[i].serial;
		row->names = facts->zones[i].names;
	}
	free(facts);
}

/* Who is in the middle of its login: known to the core, or not yet, having said nothing so far. Numbers of two moments: never below 0. */
static uint32_t count_logins(const struct snapshot *snapshot, const struct totals_picture *totals)
{
	uint32_t known = totals->clients + snapshot->consoles;

	return totals->logging_in + (snapshot->clients_total > known ? snapshot->clients_total - known : 0);
}

static struct snapshot *visit_totals(struct worker *worker, struct snapshot *snapshot)
{
	struct house *house = worker->house;
	struct totals_picture totals;

	lock_take(house->lock);
	core_totals(house->core, &totals);
	lock_drop(house->lock);
	snapshot->wall = clock_wall();
	snapshot->started_wall = house->started_wall;
	snapshot->pgbouncer = worker->config->manner == MANNER_PGBOUNCER;
	text_copy(snapshot->version, sizeof snapshot->version, "pgweir " PGWEIR_VERSION);
	snapshot->clients_total = atomic_load(&house->clients);
	snapshot->clients_at_door = totals.at_door;
	snapshot->servers_total = totals.servers;
	snapshot->door_waits = totals.door_waits;
	snapshot->clients_max = house->clients_max;
	snapshot->consoles = atomic_load(&house->desks);
	snapshot->clients_login = count_logins(snapshot, &totals);
	snapshot->commands = atomic_load(&house->commands);
	snapshot->paused = totals.paused;
	snapshot->suspended = totals.suspended;
	snapshot->shutting_down = totals.shutting_down;
	if (snapshot->parts & PART_USAGE)
		process_usage(&snapshot->usage);
	visit_names(snapshot);
	visit_memory(worker, snapshot);
	return snapshot;
}

static void visit_settings(struct worker *worker, struct snapshot *snapshot)
{
	struct setting_view view;
	struct config_row *row;
	size_t i;

	for (i = 0; config_view(worker->config, i, &view); i++) {
		row = snapshot_setting(snapshot);
		if (!row)
			return;
		text_copy(row->key, sizeof row->key, view.key);
		text_copy(row->value, sizeof row->value, view.value);
		text_copy(row->standard, sizeof row->standard, view.standard ? view.standard : "");
		row->changeable = view.reloadable;
	}
}

static enum balance balance_of(const struct database_settings *database)
{
	if (!database || database->host_count < 2)
		return BALANCE_NONE;
	return database->hosts_stay ? BALANCE_DISABLE : BALANCE_ROUND_ROBIN;
}

static void fill_pool(
	struct worker *worker, const struct pool_picture *picture, const struct pool_view *view, struct pool_row *row)
{
	text_copy_span(row->database, sizeof row->database, picture->database_name);
	text_copy_span(row->user, sizeof row->user, picture->user);
	row->clients = picture->clients;
	row->clients_waiting = picture->waiting;
	row->servers_active = picture->lent;
	row->servers_idle = picture->idle;
	row->servers_login = picture->dialing;
	row->servers_tested = picture->cleaning;
	row->servers_moving = picture->moving;
	row->servers_closing = picture->closing;
	row->servers_orphaned = picture->orphaned;
	row->oldest_wait = picture->oldest_wait_since ? worker->now - picture->oldest_wait_since : 0;
	row->oldest_lease = picture->oldest_lease_since ? worker->now - picture->oldest_lease_since : 0;
	row->median_lease = picture->median_lease;
	row->size = picture->rules.size;
	row->reserve = picture->rules.reserve;
	row->full_target = picture->full_since ? picture->full_target : 0;
	row->failing = picture->failing;
	text_copy(row->failure, sizeof row->failure, picture->failing ? picture->failure : "");
	/* A client that holds no server is active too, unless it waits, as in PgBouncer. */
	row->clients_active = picture->clients > picture->waiting ? picture->clients - picture->waiting : 0;
	if (view) {
		row->mode = (int)view->rules.mode;
		row->balance = balance_of(view->database);
	}
}

/* Connections for replication have a pool of their own, made after the other: it is no row of its own, since user and database are its
 * name. */
static void add_replication(struct snapshot *snapshot, const struct pool_picture *picture)
{
	uint32_t active = picture->clients > picture->waiting ? picture->clients - picture->waiting : 0;
	struct pool_row *row = snapshot->pools;

	while (row < snapshot->pools + snapshot->pool_count &&
		(!span_is(picture->database_name, row->database) || !span_is(picture->user, row->user)))
		row++;
	if (row == snapshot->pools + snapshot->pool_count)
		return;
	row->clients += picture->clients;
	row->clients_waiting += picture->waiting;
	row->clients_active += active;
	row->servers_active += picture->lent;
	row->servers_login += picture->dialing;
	row->servers_moving += picture->moving;
	row->servers_closing += picture->closing;
	row->servers_orphaned += picture->orphaned;
}

static void visit_pools(struct worker *worker, struct letter_census *letter)
{
	struct snapshot *snapshot = letter->snapshot;
	struct house *house = worker->house;
	struct pool_picture *picture = malloc(sizeof *picture);
	pool_id id;
	bool known, is_last;

	for (id = 0; picture; id++) {
		struct pool_row *row;

		lock_take(house->lock);
		known = core_pool_picture(house->core, id, picture);
		is_last = id >= core_pools(house->core);
		if (known && !picture->forgotten && (snapshot->parts & PART_LEASES))
			behind_pool(&letter->behind, worker, id);
		lock_drop(house->lock);
		if (!known && is_last)
			break;
		if (known && picture->forgotten)
			continue;
		row = known && !picture->rules.replication ? snapshot_pool(snapshot) : NULL;
		if (known && picture->rules.replication)
			add_replication(snapshot, picture);
		if (row) {
			row->id = id;
			fill_pool(worker, picture, pool_view(worker, id), row);
		}
	}
	free(picture);
}

static int or_unset(int value, int otherwise)
{
	return value == UNSET ? otherwise : value;
}

/* `picture` NULL: nobody has used it yet. */
static void add_database(struct worker *worker, struct snapshot *snapshot, const struct database_settings *from,
	const char *name, const struct database_picture *picture)
{
	const struct config *config = worker->config;
	struct database_row *row = snapshot_database(snapshot);
	size_t h, length = 0;

	if (!row)
		return;
	text_copy(row->name, sizeof row->name, name);
	for (h = 0; h < from->host_count; h++)
		length += text_format(
			row->host + length, sizeof row->host - length, "%s%s", h ? "," : "", from->hosts[h].name);
	row->port = from->hosts[0].port;
	text_copy(row->dbname, sizeof row->dbname, from->dbname ? from->dbname : name);
	text_copy(row->force_user, sizeof row->force_user, from->user ? from->user : "");
	row->pool_size = or_unset(from->pool_size, config->default_pool_size);
	row->min_pool_size = or_unset(from->min_pool_size, config->min_pool_size);
	row->reserve_pool_size = or_unset(from->reserve_pool_size, config->reserve_pool_size);
	row->server_lifetime = from->server_lifetime == UNSET ? config->server_lifetime : from->server_lifetime;
	row->mode = from->pool_mode == POOL_UNSET ? -1 : (int)from->pool_mode;
	row->balance = balance_of(from);
	row->max_connections = or_unset(from->max_connections, config->max_db_connections);
	row->max_client_connections = or_unset(from->max_client_connections, config->max_db_client_connections);
	if (!picture)
		return;
	row->current_connections = (int)picture->servers;
	row->current_client_connections = (int)picture->clients;
	row->paused = picture->paused || picture->kill_paused;
	row->disabled = picture->disabled;
}

/* Those that came by the entry of *, as long as they are not forgotten; the entry itself is none. */
static void visit_automatic(struct worker *worker, struct snapshot *snapshot)
{
	struct house *house = worker->house;
	struct database_picture picture;
	char name[SNAPSHOT_NAME];
	bool known = true;

	for (database_id id = 0; known; id++) {
		const struct database_settings *from = NULL;

		lock_take(house->lock);
		known = core_database_picture(house->core, id, &picture);
		if (known && !picture.forgotten) {
			from = config_database(worker->config, picture.name);
			text_copy_span(name, sizeof name, picture.name);
		}
		lock_drop(house->lock);
		if (from && strcmp(from->name, "*") == 0)
			add_database(worker, snapshot, from, name, &picture);
	}
}

static void visit_databases(struct worker *worker, struct snapshot *snapshot)
{
	struct house *house = worker->house;
	struct database_picture picture;
	bool known;

	for (size_t i = 0; i < worker->config->database_count; i++) {
		const struct database_settings *from = &worker->config->databases[i];

		if (strcmp(from->name, "*") == 0)
			continue;
		lock_take(house->lock);
		known = core_database_picture(
			house->core, core_database_find(house->core, span_text(from->name)), &picture);
		lock_drop(house->lock);
		add_database(worker, snapshot, from, from->name, known ? &picture : NULL);
	}
	visit_automatic(worker, snapshot);
}

static void add_user(struct worker *worker, struct snapshot *snapshot, const char *name)
{
	const struct config *config = worker->config;
	const struct user_settings *from = config_user(config, span_text(name));
	uint32_t servers = 0, clients = 0;
	bool is_new;
	struct user_row *row = snapshot_user(snapshot, name, &is_new);

	if (!row || !is_new)
		return;
	row->pool_size = from ? from->pool_size : UNSET;
	row->reserve_pool_size = from ? from->reserve_pool_size : UNSET;
	row->mode = from && from->pool_mode != POOL_UNSET ? (int)from->pool_mode : -1;
	row->max_connections = from ? or_unset(from->max_connections, config->max_user_connections)
				    : config->max_user_connections;
	row->max_client_connections = from ? or_unset(from->max_client_connections, config->max_user_client_connections)
					   : config->max_user_client_connections;
	lock_take(worker->house->lock);
	core_user_counts(worker->house->core, span_text(name), &servers, &clients);
	lock_drop(worker->house->lock);
	row->current_connections = (int)servers;
	row->current_client_connections = (int)clients;
}

static void visit_users(struct worker *worker, struct snapshot *snapshot)
{
	size_t i;

	for (i = 0; i < worker->config->user_count; i++)
		add_user(worker, snapshot, worker->config->users[i].name);
	for (i = 0; worker->secrets && secrets_name(worker->secrets, i); i++)
		add_user(worker, snapshot, secrets_name(worker->secrets, i));
	for (i = 0; i < snapshot->pool_count; i++)
		add_user(worker, snapshot, snapshot->pools[i].user);
}

/* Who leaks and who our clients are, as it was found when all of them were last looked at. */
static void visit_report(struct worker *worker, struct snapshot *snapshot)
{
	struct report *report = report_keep(worker->house);

	if (report && (snapshot->parts & PART_LEAKS)) {
		snapshot_leaks(snapshot, report->origins, report->origin_count, report->leaks, report->leak_count);
		snapshot_breakdowns(snapshot, report->breakdowns, report->breakdown_count);
	}
	report_drop(report);
}

/* Whom the reaper ended, up to this moment. */
static void visit_reaps(struct worker *worker, struct snapshot *snapshot)
{
	struct reap_account *account = snapshot->parts & PART_LEAKS ? reap_account_keep(worker->house) : NULL;

	if (!account)
		return;
	snapshot_reaps(snapshot, account->rows, account->count);
	snapshot->reaped = account->ended;
	snapshot->noticed = account->told;
	snapshot->reaped_in_vain = account->in_vain;
	reap_account_drop(account);
}

void census_house(struct worker *worker, struct letter_census *letter)
{
	struct snapshot *snapshot = letter->snapshot;

	visit_totals(worker, snapshot);
	visit_settings(worker, snapshot);
	visit_pools(worker, letter);
	visit_databases(worker, snapshot);
	visit_users(worker, snapshot);
	visit_report(worker, snapshot);
	visit_reaps(worker, snapshot);
}
