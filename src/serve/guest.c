/* A client's life in one worker.
 *
 *   LOGIN -> AT_DOOR -> LOGIN -> LEARNING -> PARKED <--------+
 *     |        (admitted)  |   (first of its kind)  | wants      | its lease is over
 *     |                    |                        v            |
 *     |  (auth_query: ASKING, and LOGIN again)
 *     |                    +-> CONSOLE           WAITING -----> LENT
 *     |                                             |  timeout     |
 *     +---------------------------------------------+--------------+--> ENDING, buried at the end of the turn
 *
 *  PARKED:  holds nothing; the core does not know it but as a number.
 *  WAITING: the stream is paused, and what it sent lies unread. A channel may be set already: its check query is running.
 *  LENT:    guest->channel->guest == guest.
 *
 * How it comes to an end, from any state, is in guest_end.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/hearers.h"
#include "serve/log_forms.h"
#include "serve/lookups.h"

_Static_assert(sizeof(struct guest) <= 360, "a parked client costs what bench/README says; malloc rounds up from here");

struct client_ref guest_ref(const struct guest *guest)
{
	return (struct client_ref){ .worker = guest->worker->index, .client = guest->handle };
}

bool guest_is_bouncers(const struct guest *guest)
{
	return guest->worker->config->manner == MANNER_PGBOUNCER;
}

/* As whom it takes its turns. */
static void name_origin(const struct guest *guest, struct event *event)
{
	event->origin = guest->origin_key;
	event->group = guest->group;
	event->weight = guest->origin ? atomic_load(&guest->origin->weight) : 1;
}

/* Who has proven nothing yet can call himself anything: he takes his turns by his address. */
static void name_stranger(const struct guest *guest, struct event *event)
{
	char address[ADDRESS_TEXT];
	struct origin_name name = { .address = address_host_text(stream_peer(guest->stream), address) };

	event->origin = event->group = origin_keys(&name).group;
	event->weight = 1;
}

void guest_step(struct guest *guest, enum event_kind kind)
{
	struct event event = {
		.kind = kind,
		.now = guest->worker->now,
		.client = guest_ref(guest),
		.pool = guest->pool,
		.named = guest->named,
		.since = guest->wants_since,
		.worker = guest->worker->index,
	};

	if (kind == EVENT_CLIENT_WANTS && guest->wants_numbers)
		event.server = guest->numbers_at;
	if (kind == EVENT_CLIENT_WANTS && guest->state == GUEST_ASKING)
		name_stranger(guest, &event);
	else
		name_origin(guest, &event);
	worker_step(guest->worker, &event);
}

/* Where it wants to, while it logs in: a name that a stranger made up is not among the databases. */
static const char *wanted_database(const struct guest *guest, char *room, size_t size)
{
	const struct client_facts *facts = guest->login ? client_facts(guest->login) : NULL;

	if (guest->state == GUEST_CONSOLE || (facts && facts->console))
		return "pgbouncer";
	if (!facts || facts->database.length == 0 || !config_database(guest->worker->config, facts->database))
		return "(nodb)";
	text_escape(room, size, facts->database);
	return room;
}

void guest_log(const struct guest *guest, enum log_level level, const char *format, ...)
{
	const struct pool_view *view = guest->pool != NO_POOL ? guest->worker->views[guest->pool] : NULL;
	const char *user = guest->user ? guest->user->at : "(nouser)";
	char line[512], handle[40], wanted[160];
	const char *database = view ? view->database_name : wanted_database(guest, wanted, sizeof wanted);
	va_list list;

	if (!log_wants(level))
		return;
	va_start(list, format);
	vsnprintf(line, sizeof line, format, list);
	va_end(list);
	text_format(
		handle, sizeof handle, "%u.%u.%u", guest->worker->index, guest->handle.slot, guest->handle.generation);
	log_about(guest->worker->config,
		&(struct log_subject){
			'C', handle, guest->number, database, user, guest->stream ? stream_peer(guest->stream) : NULL },
		level, line);
}

void guest_who(const struct guest *guest, struct who_row *row)
{
	const char *name = guest->wanted ? params_get(guest->wanted, span_text("application_name")) : NULL;
	char where[ADDRESS_TEXT];

	text_escape(row->user, sizeof row->user, span_text(guest_user(guest)));
	text_escape(row->database, sizeof row->database, span_text(guest->worker->views[guest->pool]->database_name));
	text_escape(row->application_name, sizeof row->application_name, span_text(name ? name : ""));
	if (guest->stream) {
		text_copy(row->address, sizeof row->address, address_host_text(stream_peer(guest->stream), where));
		row->port = stream_peer(guest->stream)->port;
	}
	row->origin = guest->origin ? guest->origin->number : 0;
}

struct span guest_secret(const struct guest *guest, uint8_t room[GUEST_SECRET])
{
	memcpy(room, guest->secret, sizeof guest->secret);
	return span_of(room, guest->protocol_32 ? sizeof guest->secret : 4);
}

uint32_t guest_process_id(const struct guest *guest)
{
	return guest->seat ? guest->seat : cancel_process_id(guest->worker->index, guest->handle.slot);
}

void guest_send(struct guest *guest)
{
	struct buf *out = &guest->worker->out;
	struct piece piece = { buf_span(out).at, out->length };

	if (out->length > 0 && guest->stream && !stream_write(guest->stream, &piece, 1))
		guest_end(guest, NULL, "out of memory");
	buf_clear(out);
}

char guest_status(const struct guest *guest)
{
	return guest->begun == BEGUN_NOT ? 'I' : guest->begun == BEGUN_WELL ? 'T' : 'E';
}

/* PostgreSQL's own limit, as the client has set it. */
static time_us own_limit(const struct guest *guest, const char *name)
{
	return guest->wanted ? params_limit(guest->wanted, name) : 0;
}

/* Until when it may rest; 0: for good. `*own`: that is the client's own limit. */
static time_us rest_end(const struct guest *guest, bool *own)
{
	const struct pool_rules *rules = &guest->worker->views[guest->pool]->rules;
	bool begun = guest->begun != BEGUN_NOT;
	time_us ours = begun ? rules->idle_transaction_timeout : rules->client_idle_timeout;
	time_us limit = own_limit(guest, begun ? "idle_in_transaction_session_timeout" : REST_LIMIT);

	*own = limit > 0 && (ours == 0 || limit < ours);
	if (*own)
		return limit + (begun ? guest->requested : guest->habits.rest_since);
	return ours > 0 ? ours + guest->requested : 0;
}

/* It rested too long. */
static void end_rest(struct guest *guest, bool own)
{
	if (guest->begun == BEGUN_NOT)
		guest_refuse(guest, SQLSTATE_IDLE_SESSION_TIMEOUT,
			own ? "terminating connection due to idle-session timeout" : "client_idle_timeout", NULL, NULL);
	else
		guest_refuse(guest, SQLSTATE_IDLE_IN_TRANSACTION,
			own ? "terminating connection due to idle-in-transaction timeout" : "idle transaction timeout",
			NULL, NULL);
}

void guest_park(struct guest *guest)
{
	time_us end;
	bool own;

	guest->state = GUEST_PARKED;
	guest->noticed = false;
	extras_leave(guest);
	if (!guest->habits.rest_since)
		guest->habits.rest_since = guest->worker->now;
	end = rest_end(guest, &own);
	if (end > 0)
		timer_set(&guest->worker->timers, &guest->timer, end);
	else
		timer_clear(&guest->worker->timers, &guest->timer);
}

/* Trying again cures what is down, and nothing that is written wrong. */
static const char *failure_hint(const char *sqlstate)
{
	if (strcmp(sqlstate, SQLSTATE_INVALID_PASSWORD) == 0)
		return "PostgreSQL refused the password that the pooler has for it: in auth_file, or password= of the entry in "
		       "[databases].";
	if (strcmp(sqlstate, SQLSTATE_UNDEFINED_DATABASE) == 0)
		return "The entry in [databases] leads to a database that is not there: see its dbname= and host=.";
	return "It tries again after server_login_retry.";
}

void guest_refused(struct guest *guest, const struct effect *effect)
{
	const char *detail = NULL;
	char text[256];

	switch (effect->refusal) {
	case REFUSAL_MAX_CLIENTS:
		guest_refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "no more connections allowed (max_client_conn)",
			NULL, NULL);
		return;
	case REFUSAL_MAX_DATABASE_CLIENTS:
		guest_refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS,
			"client connections exceeded (max_db_client_connections)", NULL, NULL);
		return;
	case REFUSAL_MAX_USER_CLIENTS:
		guest_refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS,
			"client connections exceeded (max_user_client_connections)", NULL, NULL);
		return;
	case REFUSAL_MAX_ORIGIN_CLIENTS:
		guest_refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "client connections exceeded (max_origin_clients)",
			"An origin is user, database, application_name at login and address.", NULL);
		return;
	case REFUSAL_FAILED:
		if (guest->state == GUEST_ASKING) {
			lookup_failed(guest, effect->text);
			return;
		}
		if (guest_is_bouncers(guest) && guest->state == GUEST_WAITING && effect->known) {
			text_format(text, sizeof text,
				"server login has been failing, cached error: %s (server_login_retry)", effect->text);
			guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, text, NULL, NULL);
			return;
		}
		guest_complain(guest, effect->sqlstate[0] ? effect->sqlstate : SQLSTATE_CANNOT_CONNECT, effect->text,
			"The pooler could not log in to PostgreSQL for this database and user.",
			failure_hint(effect->sqlstate));
		return;
	case REFUSAL_KILLED:
		guest_refuse(guest, SQLSTATE_ADMIN_SHUTDOWN,
			guest_is_bouncers(guest) ? "database removed"
						 : "terminating connection due to administrator command",
			NULL, NULL);
		return;
	case REFUSAL_DISABLED:
		if (guest->pool != NO_POOL)
			text_format(text, sizeof text, "database \"%s\" is disabled",
				guest->worker->views[guest->pool]->database_name);
		else
			text_format(text, sizeof text, "database is disabled");
		guest_refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, text, NULL, NULL);
		return;
	case REFUSAL_SHUTDOWN:
		guest_refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW,
			guest->login ? "pooler is shutting down" : "server shutting down", NULL, NULL);
		return;
	case REFUSAL_NONE:
	default:
		break;
	}
	guest_refuse(guest, SQLSTATE_INTERNAL_ERROR, "refused", detail, NULL);
}

/* ---- waiting and being lent ---- */

static void arm_waiting(struct guest *guest)
{
	const struct config *config = guest->worker->config;
	time_us limit = guest->worker->views[guest->pool]->rules.query_wait_timeout, due = 0;

	if (limit > 0)
		due = guest->wants_since + limit;
	if (config->query_wait_notify > 0 && !guest->noticed &&
		(!due || guest->wants_since + config->query_wait_notify < due))
		due = guest->wants_since + config->query_wait_notify;
	if (due)
		timer_set(&guest->worker->timers, &guest->timer, due);
	else
		timer_clear(&guest->worker->timers, &guest->timer);
}

static void begin_lent(struct guest *guest)
{
	struct pool_view *view = guest->worker->views[guest->pool];

	guest->state = GUEST_LENT;
	guest->noticed = false;
	habits_lent(guest);
	view->stats.server_assignments++;
	view->stats.wait_time += (uint64_t)(guest->worker->now - guest->wants_since);
	meter_add(&view->times.wait, guest->worker->now - guest->wants_since);
	timer_clear(&guest->worker->timers, &guest->timer);
}

bool guest_want(struct guest *guest)
{
	struct worker *worker = guest->worker;
	struct effects *effects = &worker->effects;
	struct channel *channel;
	size_t before = effects->count;

	check(guest->state == GUEST_PARKED && !guest->channel);
	guest->state = GUEST_WAITING;
	guest->wants_since = worker->now;
	habits_ask(guest);
	guest_step(guest, EVENT_CLIENT_WANTS);
	/* The usual answer is a server that is idle right here: lend it without a detour. */
	if (effects->count == before + 1) {
		const struct effect *effect = &effects->list[before];

		if (effect->kind == EFFECT_LEND && effect->worker == worker->index &&
			handle_equal(effect->client.client, guest->handle)) {
			bool checks = effect->check;

			effects->count = before; /* what is decided next may stand in its place */
			channel = channel_get(worker, effect->server);
			check(channel);
			channel_lend(channel, guest, checks);
			if (guest->state == GUEST_WAITING && guest->channel && !guest->channel->checking)
				begin_lent(guest);
		}
	}
	if (guest->state == GUEST_LENT)
		return true;
	if (guest->state == GUEST_WAITING) {
		stream_pause(guest->stream);
		arm_waiting(guest);
	}
	return false;
}

void guest_lent(struct guest *guest, struct channel *channel, const struct effect *effect)
{
	if (!channel) {
		/* The server that was lent turned out dead before anything was sent: it wants again, and keeps its place. */
		if (guest->state == GUEST_WAITING || guest->state == GUEST_LEARNING || guest->state == GUEST_ASKING)
			guest_step(guest, EVENT_CLIENT_WANTS);
		return;
	}
	if (effect) {
		channel_lend(channel, guest, effect->check);
		if (guest->channel != channel || channel->checking || guest->state != GUEST_WAITING)
			return;
	}
	begin_lent(guest);
	guest_resume(guest);
}

void guest_resume(struct guest *guest)
{
	guest_go_on(guest);
	if (guest->stream)
		stream_resume(guest->stream);
}

void guest_go_on(struct guest *guest)
{
	if (guest && guest->extras->collect)
		guest_bytes(guest, span_of(NULL, 0));
}

void guest_returned(struct guest *guest)
{
	if (guest->state != GUEST_LENT)
		return;
	guest->requested = guest->worker->now;
	habits_returned(guest);
	guest_park(guest);
	hearer_returned(guest);
	if (guest->stream)
		stream_resume(guest->stream);
}

void guest_rings(struct guest *guest)
{
	time_us now = guest->worker->now, limit;
	bool own;

	switch ((enum guest_state)guest->state) {
	case GUEST_LOGIN:
	case GUEST_AT_DOOR:
	case GUEST_ASKING:
		limit = guest->worker->config->client_login_timeout;
		if (guest->state == GUEST_AT_DOOR && !guest->counted && (limit == 0 || now < guest->connected + limit)) {
			guest_knock(guest);
			break;
		}
		guest_not_let_in(guest);
		break;
	case GUEST_LEARNING:
		limit = guest->worker->views[guest->pool]->rules.query_wait_timeout;
		if (guest->worker->views[guest->pool]->rules.mode == POOL_SESSION && limit > 0 &&
			now >= guest->wants_since + limit && (guest->replication || !guest_is_bouncers(guest))) {
			guest_waited_too_long(guest);
			break;
		}
		guest_learned_nothing(guest);
		break;
	case GUEST_WAITING:
		limit = guest->worker->views[guest->pool]->rules.query_wait_timeout;
		if (limit > 0 && now >= guest->wants_since + limit) {
			guest_waited_too_long(guest);
			break;
		}
		guest_notice_wait(guest);
		if (guest->state == GUEST_WAITING)
			arm_waiting(guest);
		break;
	case GUEST_PARKED:
		limit = rest_end(guest, &own);
		if (limit > 0 && now >= limit)
			end_rest(guest, own);
		else if (limit > 0)
			timer_set(&guest->worker->timers, &guest->timer, limit);
		break;
	case GUEST_LENT:
	case GUEST_CONSOLE:
	case GUEST_ENDING:
	default:
		break;
	}
}

/* ---- what the stream says ---- */

void guest_bytes(struct guest *guest, struct span bytes)
{
	size_t used = 0;

	guest->habits.marked = 0;
	switch ((enum guest_state)guest->state) {
	case GUEST_LOGIN:
		used = guest->named ? 0 : guest_login_bytes(guest, bytes);
		break;
	case GUEST_PARKED:
	case GUEST_LENT:
		used = relay_client(guest, bytes);
		break;
	case GUEST_CONSOLE:
		used = desk_bytes(guest, bytes);
		break;
	case GUEST_AT_DOOR:
	case GUEST_ASKING:
	case GUEST_LEARNING:
	case GUEST_WAITING:
	case GUEST_ENDING:
	default:
		break;
	}
	guest->halfway = used < bytes.length;
	if (guest->stream && bytes.length > 0)
		stream_consume(guest->stream, used);
}

void guest_room(struct guest *guest)
{
	if (guest->channel && guest->channel->guest == guest && guest->channel->stream) {
		habits_stuck(guest->channel, false);
		stream_resume(guest->channel->stream);
	}
	if (guest->desk)
		desk_room(guest);
	hearer_room(guest);
}

/* ---- cancel requests ---- */

/* What it waits to be asked is not asked any more: an error now, and nothing up to the end of that batch. */
static void cancel_waiting(struct guest *guest)
{
	struct complaint complaint = {
		.severity = SEVERITY_ERROR,
		.sqlstate = SQLSTATE_QUERY_CANCELED,
		.message = "canceling statement due to user request",
	};
	struct writer w;

	guest_step(guest, EVENT_CLIENT_GIVES_UP);
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	guest_send(guest);
	if (guest->state == GUEST_ENDING)
		return;
	if (guest->begun == BEGUN_WELL)
		guest->begun = BEGUN_FAILED;
	guest_park(guest);
	guest->skipping = guest->skip_query = true;
	if (guest->extras->collect)
		guest_bytes(guest, span_of(NULL, 0));
	if (guest->stream)
		stream_resume(guest->stream);
}

bool guest_cancel(
	struct worker *worker, uint32_t slot, uint32_t process_id, struct span secret, struct client_ref asker)
{
	struct guest *guest = slots_at(&worker->guests, slot);
	struct channel *channel;
	uint8_t room[GUEST_SECRET];
	struct span own;

	if (!guest)
		return false;
	own = guest_secret(guest, room);
	if (guest_process_id(guest) != process_id || own.length != secret.length ||
		!secret_equal(own.at, secret.at, own.length))
		return false;
	channel = guest->channel;
	if (guest->desk) {
		desk_cancel(guest);
		return false;
	}
	if (guest->state == GUEST_WAITING) {
		/* In a transaction that has failed, and to a Sync, PostgreSQL would have answered at once, and a cancel come too late. */
		if (guest->begun == BEGUN_FAILED || guest->only_syncs)
			return false;
		/* Nobody would look at what comes of the check. */
		if (channel) {
			channel_part(channel);
			channel_close(channel, "its client canceled while it was checked");
		}
		cancel_waiting(guest);
		return false;
	}
	return guest->state == GUEST_LENT && channel_cancel(channel, asker);
}

void guest_cancelled(struct worker *worker, struct client_ref asker)
{
	struct letter_cancelled *letter = calloc(1, sizeof *letter);

	if (!letter)
		return; /* client_login_timeout ends it */
	letter->letter.kind = LETTER_CANCELLED;
	letter->asker = asker;
	worker_post(worker, asker.worker, &letter->letter);
}
