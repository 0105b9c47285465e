/* The census: a letter that visits every worker, each of which adds its clients, servers and counters to one snapshot, and that
 * then goes home to whoever asked. No worker waits for another, and nobody reads another's state.
 *
 * What belongs to the house (pools, databases, users, settings) is added by the first worker it visits. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "base/redact.h"
#include "serve/monitor.h"
#include "serve/peering.h"
#include "serve/reaper.h"
#include "serve/report.h"
#include "serve/worker.h"
#include "session/tags.h"

/* NULL: memory refused. */
static struct letter_census *letter_new(unsigned parts)
{
	struct letter_census *letter = calloc(1, sizeof *letter);

	if (letter)
		letter->snapshot = snapshot_new(parts);
	if (!letter || !letter->snapshot) {
		free(letter);
		return NULL;
	}
	letter->letter.kind = LETTER_CENSUS;
	return letter;
}

void census_begin(struct guest *guest, unsigned parts)
{
	struct letter_census *letter = letter_new(parts);

	if (!letter) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return;
	}
	letter->asker = guest_ref(guest);
	desk_begin_waiting(guest);
	worker_post(guest->worker, 0, &letter->letter);
}

bool census_ask(struct house *house, unsigned parts)
{
	struct letter_census *letter = letter_new(parts);

	if (!letter)
		return false;
	letter->to_keeper = true;
	mailbox_post(house->workers[0]->mailbox, &letter->letter);
	return true;
}

/* ---- what the house knows ---- */

/* Adds to the row of that name, or begins it; every worker adds its own. */
static void add_memory(struct snapshot *snapshot, const char *name, uint64_t used, uint64_t bytes, uint64_t unused)
{
	struct memory_row *row = snapshot->memory;

	while (row < snapshot->memory + snapshot->memory_count && strcmp(row->name, name) != 0)
		row++;
	if (row == snapshot->memory + sizeof snapshot->memory / sizeof *row)
		return;
	if (row == snapshot->memory + snapshot->memory_count) {
		snapshot->memory_count++;
		text_copy(row->name, sizeof row->name, name);
		row->size = (uint32_t)bytes;
	}
	row->used += (uint32_t)used;
	row->free += (uint32_t)unused;
}

/* What is of any size, by the size that one has on average. */
static void visit_memory(struct worker *worker, struct snapshot *snapshot)
{
	uint64_t count, bytes;

	params_book_counts(worker->house->params, &count, &bytes);
	add_memory(snapshot, "params", count, count ? bytes / count : 0, 0);
	statement_book_counts(worker->house->statements, &count, &bytes);
	add_memory(snapshot, "statement", count, count ? bytes / count : 0, 0);
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
		row->hosts_stay = view->database && view->database->hosts_stay;
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
	row->hosts_stay = from->hosts_stay;
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

/* ---- what a worker knows ---- */

static void fill_addresses(const struct stream *stream, char peer[112], int *port, char local[112], int *local_port,
	char tls[96], uint32_t *process)
{
	const struct address *address;
	char text[ADDRESS_TEXT];
	struct tls_facts facts;

	if (!stream)
		return;
	stream_tls_facts(stream, &facts);
	text_copy(tls, 96, facts.text);
	address = stream_peer(stream);
	text_copy(peer, 112, address_host_text(address, text));
	*port = address->port;
	if (process)
		*process = address->process;
	address = stream_local(stream);
	text_copy(local, 112, address_host_text(address, text));
	*local_port = address->port;
}

static time_us wall_of(const struct worker *worker, const struct snapshot *snapshot, time_us at)
{
	return snapshot->wall - (worker->now - at);
}

/* What a stranger calls himself; under PgBouncer's name as he wrote it, since its tools compare it. */
static void copy_name(const struct snapshot *snapshot, char out[SNAPSHOT_NAME], const char *name)
{
	if (snapshot->pgbouncer)
		text_copy(out, SNAPSHOT_NAME, name ? name : "");
	else
		text_escape(out, SNAPSHOT_NAME, span_text(name ? name : ""));
}

static void add_client(struct worker *worker, struct snapshot *snapshot, const struct guest *guest)
{
	struct client_row *row = snapshot_client(snapshot);
	const char *name;

	if (!row)
		return;
	copy_name(snapshot, row->user, guest->user ? guest->user->at : "(nouser)");
	text_copy(row->database, sizeof row->database,
		guest->pool != NO_POOL                  ? worker->views[guest->pool]->database_name
			: guest->state == GUEST_CONSOLE ? "pgbouncer"
							: "(nodb)");
	name = guest->wanted ? params_get(guest->wanted, span_text("application_name")) : NULL;
	copy_name(snapshot, row->application_name, name);
	switch ((enum guest_state)guest->state) {
	case GUEST_LOGIN:
	case GUEST_ASKING:
	case GUEST_LEARNING:
		row->state = CLIENT_LOGIN;
		break;
	case GUEST_AT_DOOR:
		row->state = CLIENT_AT_DOOR;
		break;
	case GUEST_PARKED:
		row->state = CLIENT_IDLE;
		break;
	case GUEST_WAITING:
		row->state = CLIENT_WAITING;
		break;
	case GUEST_CONSOLE:
		row->state = CLIENT_CONSOLE;
		break;
	case GUEST_LENT:
	case GUEST_ENDING:
	default:
		row->state = CLIENT_ACTIVE;
		break;
	}
	fill_addresses(guest->stream, row->address, &row->port, row->local_address, &row->local_port, row->tls,
		&row->process_id);
	row->connected_wall = wall_of(worker, snapshot, guest->connected);
	row->requested_wall = wall_of(worker, snapshot, guest->requested);
	row->wait = guest->state == GUEST_WAITING ? worker->now - guest->wants_since : 0;
	row->id = guest->number;
	row->replication = guest->replication;
	row->statements = names_count(&guest->names);
	if (guest->channel) {
		row->link_id = guest->channel->number;
		row->in_transaction = guest->channel->track.status == 'T' || guest->channel->track.status == 'E';
	}
}

static void add_server(struct worker *worker, struct snapshot *snapshot, const struct channel *channel)
{
	static const enum server_row_state states[] = {
		[CHANNEL_RESOLVING] = SERVER_ROW_NEW,
		[CHANNEL_CONNECTING] = SERVER_ROW_NEW,
		[CHANNEL_LOGIN] = SERVER_ROW_NEW,
		[CHANNEL_GREETING] = SERVER_ROW_TESTED,
		[CHANNEL_IDLE] = SERVER_ROW_IDLE,
		[CHANNEL_LENT] = SERVER_ROW_ACTIVE,
		[CHANNEL_CLEANING] = SERVER_ROW_TESTED,
		[CHANNEL_CLOSING] = SERVER_ROW_CLOSING,
	};
	struct server_row *row = snapshot_server(snapshot);
	struct server_picture picture;
	const char *name;

	if (!row)
		return;
	copy_name(snapshot, row->user, worker->views[channel->pool]->user);
	text_copy(row->database, sizeof row->database, worker->views[channel->pool]->database_name);
	name = params_get(channel->reported, span_text("application_name"));
	copy_name(snapshot, row->application_name, name);
	row->state = states[channel->state];
	row->canceling = channel->errands > 0;
	fill_addresses(channel->stream, row->address, &row->port, row->local_address, &row->local_port, row->tls, NULL);
	row->connected_wall = wall_of(worker, snapshot, channel->connected);
	row->requested_wall = wall_of(worker, snapshot, channel->requested ? channel->requested : channel->connected);
	row->id = channel->number;
	row->link_id = channel->guest ? channel->guest->number : 0;
	row->replication = channel->guest ? channel->guest->replication : 0;
	row->process_id = channel->process_id;
	row->statements = (uint32_t)prepared_count(channel->prepared);
	lock_take(worker->house->lock);
	row->close_needed = core_server_picture(worker->house->core, channel->id, &picture) && picture.close_needed;
	lock_drop(worker->house->lock);
}

/* What a lease's server is doing, and since when. */
static const char *lease_state(const struct channel *channel, time_us *since)
{
	const struct guest *guest = channel->guest;

	*since = channel->query_since ? channel->query_since : channel->lent_since;
	if (channel->checking)
		return "checking";
	if (channel->learning)
		return "learning";
	if (channel->unread_since) {
		*since = channel->unread_since;
		return "sending";
	}
	if (!track_quiet(&channel->track))
		return "executing";
	*since = channel->quiet_since;
	if (channel->track.status != 'I')
		return "idle in transaction";
	if (guest->habits.rest_since)
		*since = guest->habits.rest_since;
	return "idle";
}

static void add_words(struct lease_row *row, const struct channel *channel)
{
	char clean[SNAPSHOT_WORDS * 2];
	struct tags tags;

	tags_read(span_of(channel->statement, channel->statement_length), &tags);
	tags_trace(&tags, row->trace);
	tags_route(&tags, row->route, sizeof row->route);
	redact_sql(clean, sizeof clean, span_of(channel->statement, channel->statement_length));
	text_escape(row->statement, sizeof row->statement, span_text(clean));
	redact_sql(clean, sizeof clean, span_of(channel->opening, channel->opening_length));
	text_escape(row->first, sizeof row->first, span_text(clean));
	if (row->pin[0] && channel->remains.statement_length > 0) {
		redact_sql(clean, sizeof clean, span_of(channel->remains.statement, channel->remains.statement_length));
		text_escape(row->pin_statement, sizeof row->pin_statement, span_text(clean));
	} else if (row->pin[0]) {
		text_copy(row->pin_statement, sizeof row->pin_statement, row->statement);
	}
}

static void add_lease(struct worker *worker, struct snapshot *snapshot, const struct channel *channel)
{
	const struct guest *guest = channel->guest;
	struct lease_row *row = snapshot_lease(snapshot);
	const struct pool_row *pool = snapshot_pool_of(snapshot, channel->pool);
	time_us since;

	if (!row)
		return;
	row->client = guest->number;
	row->server = channel->number;
	row->pool = channel->pool;
	row->server_process_id = channel->process_id;
	guest_who(guest, &row->who);
	text_copy(row->state, sizeof row->state, lease_state(channel, &since));
	row->age = worker->now - channel->lent_since;
	row->in_state = worker->now - since;
	row->transaction_age = channel->track.status != 'I' && channel->transaction_since
		? worker->now - channel->transaction_since
		: 0;
	row->waiting = pool ? pool->clients_waiting : 0;
	if (channel->session)
		text_copy(row->pin, sizeof row->pin, "pool_mode=session: the lease lasts as long as the client");
	else if (channel->pinned)
		text_copy(row->pin, sizeof row->pin, "a prepared statement longer than statement_text_max");
	else if (channel->remains.pins)
		remains_describe(&channel->remains, row->pin, sizeof row->pin);
	add_words(row, channel);
}

/* What this client has done since its login. Its statements have lost their literals when they were kept. */
static void add_to_ledger(struct worker *worker, struct snapshot *snapshot, const struct guest *guest)
{
	const struct habits *habits = &guest->habits;
	const struct channel *channel = guest->channel && guest->channel->guest == guest ? guest->channel : NULL;
	struct ledger_row *row = snapshot_ledger(snapshot);
	struct account account = habits_account(guest);
	time_us since;

	if (!row)
		return;
	row->client = guest->number;
	guest_who(guest, &row->who);
	text_copy(row->state, sizeof row->state,
		channel                                 ? lease_state(channel, &since)
			: guest->state == GUEST_WAITING ? "waiting"
							: "parked");
	row->connected_wall = wall_of(worker, snapshot, guest->connected);
	row->age = worker->now - guest->connected;
	row->rest = habits->rest_since ? worker->now - habits->rest_since : 0;
	row->bursts = habits->bursts;
	row->transactions = habits->transactions;
	row->parked = account.parked;
	row->waited = account.waiting;
	row->executing = habits->executing;
	row->in_block = habits->in_block;
	row->sending = account.sending;
	row->received = account.received;
	row->sent = account.sent;
	row->no_reap = habits->exempt;
	if (habits->first)
		text_escape(row->first, sizeof row->first, span_text(habits->first->at));
	if (habits->last)
		text_escape(row->last, sizeof row->last, span_text(habits->last->at));
}

/* Counters are plain numbers one after another: adding two sets of them is a loop. */
#define COUNTERS (sizeof(struct stat_counters) / sizeof(uint64_t))

static void counters_add(struct stat_counters *to, const struct stat_counters *from, int sign)
{
	uint64_t *a = (uint64_t *)(void *)to;
	const uint64_t *b = (const uint64_t *)(const void *)from;
	size_t i;

	for (i = 0; i < COUNTERS; i++)
		a[i] = sign > 0 ? a[i] + b[i] : a[i] - b[i];
}

static bool counts_nothing(const struct stat_counters *counters)
{
	static const struct stat_counters nothing;

	return memcmp(counters, &nothing, sizeof nothing) == 0;
}

static void add_stats(struct snapshot *snapshot, const struct pool_view *view)
{
	struct pool_row *pool;
	struct stats_row *row;

	if (view->unused && counts_nothing(&view->stats))
		return;
	pool = snapshot_pool_of(snapshot, view->id);
	row = snapshot_stats(snapshot, view->database_name);
	if (!row)
		return;
	counters_add(&row->total, &view->stats, 1);
	counters_add(&row->average, &view->last_period, 1);
	if (!pool)
		return;
	counters_add(&pool->total, &view->stats, 1);
	meter_merge(&pool->times.wait, &view->times.wait);
	meter_merge(&pool->times.lease, &view->times.lease);
	meter_merge(&pool->times.query, &view->times.query);
	meter_merge(&pool->times.login, &view->times.login);
}

static void count_pin(struct snapshot *snapshot, const char *reason)
{
	struct pin_count *pin = snapshot->pins;

	while (pin < snapshot->pins + snapshot->pin_count && strcmp(pin->reason, reason) != 0)
		pin++;
	check(pin < snapshot->pins + sizeof snapshot->pins / sizeof *snapshot->pins);
	if (pin == snapshot->pins + snapshot->pin_count) {
		snapshot->pin_count++;
		text_copy(pin->reason, sizeof pin->reason, reason);
	}
	pin->leases++;
}

static void count_pins(struct snapshot *snapshot, const struct channel *channel)
{
	if (channel->session)
		count_pin(snapshot, "session_mode");
	if (channel->pinned)
		count_pin(snapshot, "long_statement");
	for (unsigned i = 0; channel->remains.pins && i < PINS; i++)
		if (channel->remains.pins & (1u << i))
			count_pin(snapshot, pin_word((enum pin)i));
}

/* Cancel requests under way, and servers that nobody gets before theirs has arrived. There are few at any time. */
static void count_cancels(struct worker *worker, struct snapshot *snapshot)
{
	const struct errand *errand = NULL;
	server_id server;
	bool asked;

	while ((errand = errands_next(worker, errand, &server, &asked))) {
		const struct channel *channel = channel_get(worker, server);
		struct pool_row *row = channel ? snapshot_pool_of(snapshot, channel->pool) : NULL;

		if (!row)
			continue;
		row->servers_active_cancel++;
		row->cancels_active += asked;
		row->servers_being_canceled += channel->state == CHANNEL_CLEANING;
	}
}

static void visit_own(struct worker *worker, struct snapshot *snapshot)
{
	struct guest *guest;
	uint32_t slot = 0, i;

	/* Nothing is kept in reserve: what is free went back to the allocator. */
	add_memory(snapshot, "client", worker->guests.used, sizeof *guest, 0);
	add_memory(snapshot, "server", worker->channel_count, sizeof(struct channel), 0);
	add_memory(snapshot, "stream", worker->guests.used + worker->channel_count, stream_size(worker->loop), 0);
	if (snapshot->parts & PART_POOLS)
		count_cancels(worker, snapshot);
	if (snapshot->parts & PART_CLIENTS)
		while ((guest = slots_next(&worker->guests, &slot)))
			if (guest->state != GUEST_ENDING)
				add_client(worker, snapshot, guest);
	slot = 0;
	while ((snapshot->parts & PART_LEDGER) && (guest = slots_next(&worker->guests, &slot)))
		if (guest->state != GUEST_ENDING && guest->habits.arrived)
			add_to_ledger(worker, snapshot, guest);
	for (i = 0; (snapshot->parts & PART_SERVERS) && i < worker->channel_capacity; i++)
		if (worker->channels[i])
			add_server(worker, snapshot, worker->channels[i]);
	for (i = 0; (snapshot->parts & PART_LEASES) && i < worker->channel_capacity; i++)
		if (worker->channels[i] && worker->channels[i]->guest)
			add_lease(worker, snapshot, worker->channels[i]);
	for (i = 0; (snapshot->parts & PART_PINS) && i < worker->channel_capacity; i++)
		if (worker->channels[i] && worker->channels[i]->guest)
			count_pins(snapshot, worker->channels[i]);
	for (i = 0; (snapshot->parts & PART_STATS) && i < worker->view_capacity; i++)
		if (worker->views[i])
			add_stats(snapshot, worker->views[i]);
}

/* Rates per second, and times per transaction, query and assignment. */
static void finish_averages(struct snapshot *snapshot, time_us period)
{
	uint64_t seconds = period >= SECOND_US ? (uint64_t)(period / SECOND_US) : 1;
	size_t i, j;

	for (i = 0; i < snapshot->stats_count; i++) {
		struct stat_counters *average = &snapshot->stats[i].average, delta = *average;
		uint64_t *list = (uint64_t *)(void *)average;

		for (j = 0; j < COUNTERS; j++)
			list[j] /= seconds;
		average->transaction_time = delta.transactions ? delta.transaction_time / delta.transactions : 0;
		average->query_time = delta.queries ? delta.query_time / delta.queries : 0;
		average->wait_time = delta.server_assignments ? delta.wait_time / delta.server_assignments : 0;
	}
}

static void log_stats(struct snapshot *snapshot)
{
	struct stat_counters sum = { 0 };
	size_t i;

	for (i = 0; i < snapshot->stats_count; i++)
		counters_add(&sum, &snapshot->stats[i].average, 1);
	log_line(LOG_LOG,
		"stats: %llu xacts/s, %llu queries/s, %llu client parses/s, %llu server parses/s, %llu binds/s, "
		"%llu client logins/s, in %llu B/s, out %llu B/s, xact %llu us, query %llu us, wait %llu us",
		(unsigned long long)sum.transactions, (unsigned long long)sum.queries,
		(unsigned long long)sum.client_parses, (unsigned long long)sum.server_parses,
		(unsigned long long)sum.binds, (unsigned long long)sum.logins, (unsigned long long)sum.received,
		(unsigned long long)sum.sent, (unsigned long long)sum.transaction_time,
		(unsigned long long)sum.query_time, (unsigned long long)sum.wait_time);
}

void census_visit(struct worker *worker, struct letter_census *letter)
{
	struct snapshot *snapshot = letter->snapshot;

	check(letter->next == worker->index);
	if (letter->next == 0) {
		visit_totals(worker, snapshot);
		visit_settings(worker, snapshot);
		visit_pools(worker, letter);
		visit_databases(worker, snapshot);
		visit_users(worker, snapshot);
		visit_report(worker, snapshot);
		visit_reaps(worker, snapshot);
		monitors_visit(worker, snapshot);
		peering_visit(worker, snapshot);
	}
	visit_own(worker, snapshot);
	behind_visit(&letter->behind, worker);
	letter->next++;
	if (letter->next < worker->house->worker_count) {
		worker_post(worker, letter->next, &letter->letter);
		return;
	}
	finish_averages(snapshot, worker->config->stats_period);
	behind_finish(&letter->behind, snapshot);
	behind_fini(&letter->behind);
	letter->next = worker->house->worker_count + 1;
	if (letter->to_keeper) {
		mailbox_post(worker->house->keeper_mailbox, &letter->letter);
		return;
	}
	if (!handle_none(letter->asker.client)) {
		worker_post(worker, letter->asker.worker, &letter->letter);
		return;
	}
	log_stats(snapshot);
	snapshot_free(snapshot);
	free(letter);
}

/* ---- averages ---- */

void census_tick(struct worker *worker)
{
	struct letter_census *letter;
	uint32_t i;

	for (i = 0; i < worker->view_capacity; i++) {
		struct pool_view *view = worker->views[i];

		if (!view)
			continue;
		view->last_period = view->stats;
		counters_add(&view->last_period, &view->marked, -1);
		view->marked = view->stats;
	}
	if (worker->config->stats_period > 0)
		timer_set(&worker->timers, &worker->stats_timer, worker->now + worker->config->stats_period);
	if (worker->index != 0 || !worker->config->log_stats ||
		worker->now < worker->born + worker->config->stats_period)
		return;
	letter = letter_new(PART_STATS);
	if (letter)
		worker_post(worker, 0, &letter->letter);
}
