/* What a worker knows: its clients and servers, what it has lent, and what its clients have done. */
#include "serve/census.h"

#include "base/check.h"
#include "base/redact.h"
#include "base/text.h"
#include "serve/worker.h"
#include "session/tags.h"

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
	row->executing = account.executing;
	row->in_block = account.in_block;
	row->sending = account.sending;
	row->received = account.received;
	row->sent = account.sent;
	row->no_reap = habits->exempt;
	if (habits->first)
		text_escape(row->first, sizeof row->first, span_text(habits->first->at));
	if (habits->last)
		text_escape(row->last, sizeof row->last, span_text(habits->last->at));
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

void census_own(struct worker *worker, struct snapshot *snapshot)
{
	struct guest *guest;
	uint32_t slot = 0, i;

	/* Nothing is kept in reserve: what is free went back to the allocator. */
	snapshot_memory(snapshot, "client", worker->guests.used, sizeof *guest, 0);
	snapshot_memory(snapshot, "server", worker->channel_count, sizeof(struct channel), 0);
	snapshot_memory(snapshot, "stream", worker->guests.used + worker->channel_count, stream_size(worker->loop), 0);
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
}
