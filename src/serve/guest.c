/* A client's life in one worker.
 *
 *   LOGIN -> AT_DOOR -> LOGIN -> LEARNING -> PARKED <--------+
 *     |        (admitted)  |   (first of its kind)  | wants      | its lease is over
 *     |                    |                        v            |
 *     |                    +-> CONSOLE           WAITING -----> LENT
 *     |                                             |  timeout     |
 *     +---------------------------------------------+--------------+--> ENDING, buried at the end of the turn
 *
 *  PARKED:  holds nothing; the core does not know it but as a number.
 *  WAITING: the stream is paused, and what it sent lies unread. A channel may be set already: its check query is running.
 *  LENT:    guest->channel->guest == guest. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/worker.h"

/* How long a client may take to read our last words. */
#define FAREWELL_US (5 * SECOND_US)

static const char closed_by_client[] = "client unexpected eof";

struct client_ref guest_ref(const struct guest *guest)
{
	return (struct client_ref){ .worker = guest->worker->index, .client = guest->handle };
}

static bool bouncer(const struct guest *guest)
{
	return guest->worker->config->manner == MANNER_PGBOUNCER;
}

static void leave_origin(struct guest *);

static void step(struct guest *guest, enum event_kind kind)
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

	worker_step(guest->worker, &event);
}

void guest_log(const struct guest *guest, enum log_level level, const char *format, ...)
{
	const struct pool_view *view = guest->pool != NO_POOL ? guest->worker->views[guest->pool] : NULL;
	const char *user = guest->user ? guest->user : "(nouser)";
	const char *database = view ? view->database_name : guest->state == GUEST_CONSOLE ? "pgbouncer" : "(nodb)";
	char line[512], where[ADDRESS_TEXT] = "";
	va_list list;

	if (!log_wants(level))
		return;
	va_start(list, format);
	vsnprintf(line, sizeof line, format, list);
	va_end(list);
	if (guest->stream)
		address_text(stream_peer(guest->stream), where);
	log_line(level, "C-%u.%u.%u: %s/%s@%s %s", guest->worker->index, guest->handle.slot, guest->handle.generation,
		database, user, where, line);
}

struct span guest_secret(const struct guest *guest, uint8_t room[32])
{
	memcpy(room, guest->secret, sizeof guest->secret);
	return span_of(room, guest->protocol_32 ? sizeof guest->secret : 4);
}

bool guest_is_idle(const struct guest *guest)
{
	return guest->state == GUEST_PARKED || (guest->state == GUEST_LENT && track_idle(&guest->channel->track));
}

static void send_out(struct guest *guest)
{
	struct buf *out = &guest->worker->out;
	struct piece piece = { buf_span(out).at, out->length };

	if (out->length > 0 && guest->stream && !stream_write(guest->stream, &piece, 1))
		guest_end(guest, NULL, "out of memory");
	buf_clear(out);
}

/* ---- the end ---- */

void guest_end(struct guest *guest, const struct complaint *complaint, const char *reason)
{
	struct worker *worker = guest->worker;
	char age[40];

	if (guest->state == GUEST_ENDING)
		return;
	if (complaint && worker->config->log_pooler_errors && !worker->stop)
		guest_log(guest, LOG_WARNING, "pooler error: %s", complaint->message);
	if (worker->config->log_disconnections && !worker->stop)
		guest_log(guest, LOG_LOG, "closing because: %s (age=%s)", reason,
			text_duration(age, sizeof age, worker->now - guest->connected));
	outbox_hurry(worker, guest->stream);
	if (guest->channel && guest->channel->body_left > 0 && guest->channel->forward)
		guest->cut_short = true;
	if (complaint && !guest->cut_short) {
		struct buf words = { 0 };
		struct writer w = writer_to(&words);
		struct piece piece;

		message_complaint(&w, complaint);
		piece = (struct piece){ words.at + words.start, words.length };
		if (writer_ok(&w))
			(void)stream_write(guest->stream, &piece, 1);
		buf_fini(&words);
	}
	if (guest->desk)
		desk_left(guest);
	leave_origin(guest);
	if (guest->channel)
		channel_abandon(guest->channel);
	guest->state = GUEST_ENDING;
	if (guest->counted)
		step(guest, EVENT_CLIENT_LEFT);
	guest->counted = false;
	timer_clear(&worker->timers, &guest->timer);
	stream_finish(&guest->stream, FAREWELL_US);
	check(worker->ending_count < worker->ending_capacity);
	worker->ending[worker->ending_count++] = guest;
}

void guest_bury(struct guest *guest)
{
	struct worker *worker = guest->worker;

	check(guest->state == GUEST_ENDING && !guest->channel && !guest->stream);
	slots_remove(&worker->guests, guest->handle);
	atomic_fetch_sub(&worker->house->clients, 1);
	atomic_fetch_sub(&worker->client_count, 1);
	client_free(guest->login);
	guest_statements_fini(guest);
	params_drop(guest->wanted);
	params_drop(guest->reported);
	free(guest->user);
	free(guest);
}

void guest_complain(
	struct guest *guest, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	struct complaint complaint = {
		.severity = SEVERITY_FATAL, .sqlstate = sqlstate, .message = message, .detail = detail, .hint = hint
	};

	guest_end(guest, &complaint, message);
}

static bool reserve_ending(struct worker *worker)
{
	size_t want = worker->ending_count + worker->guests.used + 16;
	struct guest **grown;

	if (want <= worker->ending_capacity)
		return true;
	grown = realloc(worker->ending, want * 2 * sizeof *grown);
	if (!grown)
		return false;
	worker->ending = grown;
	worker->ending_capacity = want * 2;
	return true;
}

/* ---- arriving and proving ---- */

/* As application_name_add_host says where a client is: "127.0.0.1:40123", "unix(4711):6432". */
static void peer_text(const struct address *peer, char out[ADDRESS_TEXT])
{
	if (peer->family == ADDRESS_UNIX)
		text_format(out, ADDRESS_TEXT, "unix(%u):%u", peer->process, peer->port);
	else
		address_text(peer, out);
}

void guest_arrive(struct worker *worker, struct parcel *parcel)
{
	struct guest *guest = calloc(1, sizeof *guest);
	uint8_t random[64];
	char host[ADDRESS_TEXT];
	struct client_setup setup = {
		.config = worker->config,
		.secrets = worker->secrets,
		.params = worker->house->params,
		.process_random = worker->house->process_random,
		.random = random,
		.peer_host = host,
		.local_owner = house_is_own_user(parcel_peer(parcel)),
	};

	if (!guest || !reserve_ending(worker) || !slots_add(&worker->guests, guest, &guest->handle))
		goto refused;
	guest->party = PARTY_GUEST;
	guest->state = GUEST_LOGIN;
	guest->worker = worker;
	guest->pool = NO_POOL;
	guest->connected = guest->requested = worker->now;
	timer_init(&guest->timer, PARTY_GUEST);
	entropy_fill(guest->secret, sizeof guest->secret);
	entropy_fill(random, sizeof random);
	peer_text(parcel_peer(parcel), host);
	guest->number = house_number(worker->house);
	guest->login = client_new(&setup);
	secret_wipe(random, sizeof random);
	if (!guest->login)
		goto unslot;
	guest->stream = stream_attach(worker->loop, &parcel, &worker->client_options, guest);
	if (!guest->stream)
		goto unslot;
	atomic_fetch_add(&worker->house->clients, 1);
	if (worker->config->client_login_timeout > 0)
		timer_set(&worker->timers, &guest->timer, worker->now + worker->config->client_login_timeout);
	return;
unslot:
	slots_remove(&worker->guests, guest->handle);
	client_free(guest->login);
refused:
	free(guest);
	if (parcel)
		parcel_free(&parcel);
	atomic_fetch_sub(&worker->client_count, 1);
	log_line(LOG_WARNING, "a connection was closed at once: out of memory or descriptors");
}

static void begin_parking(struct guest *guest)
{
	time_us idle = guest->worker->views[guest->pool]->rules.client_idle_timeout;

	guest->state = GUEST_PARKED;
	guest->noticed = false;
	if (idle > 0)
		timer_set(&guest->worker->timers, &guest->timer, guest->requested + idle);
	else
		timer_clear(&guest->worker->timers, &guest->timer);
}

static void welcome(struct guest *guest, struct params *reported)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	uint8_t room[32];

	buf_clear(&worker->out);
	guest->protocol_32 = facts->protocol > (3u << 16);
	if (!client_welcome(guest->login, reported, cancel_process_id(worker->index, guest->handle.slot),
		    guest_secret(guest, room), &worker->out)) {
		guest_end(guest, NULL, "out of memory");
		return;
	}
	guest->wanted = params_keep(facts->params);
	guest->reported = reported ? params_keep(reported) : NULL;
	client_free(guest->login);
	guest->login = NULL;
	guest->requested = worker->now;
	if (guest->pool != NO_POOL) {
		worker->views[guest->pool]->stats.logins++;
		begin_parking(guest);
		step(guest, EVENT_CLIENT_SETTLED);
	}
	send_out(guest);
	if (guest->stream)
		stream_resume(guest->stream);
}

static void begin_learning(struct guest *guest)
{
	struct pool_view *view = guest->worker->views[guest->pool];
	struct params *known = pool_welcome(guest->worker, view, client_facts(guest->login)->params);

	if (known) {
		welcome(guest, known);
		params_drop(known);
		return;
	}
	guest->wanted = params_keep(client_facts(guest->login)->params);
	guest->state = GUEST_LEARNING;
	guest->wants_since = guest->worker->now;
	step(guest, EVENT_CLIENT_WANTS);
}

/* What the server reports for this client's parameters is known now. The lease ends. */
void guest_learned(struct guest *guest, struct channel *channel)
{
	struct pool_view *view = guest->worker->views[guest->pool];
	struct params *reported = params_keep(channel->reported);

	check(guest->state == GUEST_LEARNING && channel->guest == guest);
	pool_learn(guest->worker, view, guest->wanted, reported);
	params_drop(guest->wanted);
	guest->wanted = NULL;
	channel_return(channel);
	welcome(guest, reported);
	params_drop(reported);
}

static void refuse(struct guest *guest, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	guest_complain(guest, bouncer(guest) ? SQLSTATE_PROTOCOL_VIOLATION : sqlstate, message, detail, hint);
}

static void proven(struct guest *guest)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	struct pool_view *view;
	char text[200];
	bool unknown;

	if (worker->config->log_connections)
		guest_log(guest, LOG_LOG, "login attempt: db=%.*s user=%.*s tls=no replication=no",
			(int)facts->database.length, (const char *)facts->database.at, (int)facts->user.length,
			(const char *)facts->user.at);
	if (facts->console) {
		guest->state = GUEST_CONSOLE;
		guest->admin = facts->console_admin;
		timer_clear(&worker->timers, &guest->timer);
		if (!desk_open(guest))
			guest_end(guest, NULL, "out of memory");
		else
			welcome(guest, NULL);
		return;
	}
	view = pool_view_for(worker, facts->database, facts->user, &unknown);
	if (!view) {
		if (unknown && bouncer(guest))
			text_format(text, sizeof text, "no such database: %.*s", (int)facts->database.length,
				(const char *)facts->database.at);
		else if (unknown)
			text_format(text, sizeof text, "database \"%.*s\" does not exist", (int)facts->database.length,
				(const char *)facts->database.at);
		else
			text_format(text, sizeof text, "out of memory");
		refuse(guest, unknown ? SQLSTATE_UNDEFINED_DATABASE : SQLSTATE_OUT_OF_MEMORY, text, NULL,
			unknown ? "It has no entry in the [databases] section of the pooler's configuration." : NULL);
		return;
	}
	guest->pool = view->id;
	guest->named = true;
	step(guest, EVENT_CLIENT_NAMED);
}

/* ---- the door that descriptors make ----
 *
 * What bounds parked clients is the number of descriptors. Near it, new logins of the origin that has the most clients wait at the door,
 * outside the core, and look again now and then; at the limit all do. Some descriptors stay set aside for the console, for servers and
 * for cancels. So many that even those run out are told. */

#define LOOK_AGAIN_US (100 * MILLISECOND_US)

static uint64_t origin_of(const struct guest *guest)
{
	const struct client_facts *facts = client_facts(guest->login);
	char address[ADDRESS_TEXT];

	address_host_text(stream_peer(guest->stream), address);
	return origin_key(
		facts->user, facts->database, params_get(facts->params, span_text("application_name")), address);
}

/* There is room for it; it is counted under its origin then. */
static bool has_room(struct guest *guest, uint32_t clients)
{
	struct house *house = guest->worker->house;
	uint64_t origin = origin_of(guest);
	bool room = clients <= house->clients_max;

	lock_take(house->lock);
	if (room && clients > house->clients_max - house->clients_max / 10)
		room = !origin_is_largest(&house->origins, origin);
	if (room) {
		origin_enter(&house->origins, origin);
		guest->origin = origin;
	}
	lock_drop(house->lock);
	return room;
}

static void leave_origin(struct guest *guest)
{
	struct house *house = guest->worker->house;

	if (!guest->origin)
		return;
	lock_take(house->lock);
	origin_leave(&house->origins, guest->origin);
	lock_drop(house->lock);
	guest->origin = 0;
}

static void say_door_is_shut(struct worker *worker, uint32_t clients)
{
	if (worker->now < worker->door_said + SECOND_US)
		return;
	worker->door_said = worker->now;
	log_line(LOG_WARNING,
		"%u clients are connected, near the limit of open files (%llu): new logins of the origin with the most clients wait at the door; raise the limit (ulimit -n, LimitNOFILE=)",
		clients, (unsigned long long)worker->house->descriptor_limit);
}

static void knock(struct guest *guest)
{
	struct worker *worker = guest->worker;
	struct house *house = worker->house;
	uint32_t clients = atomic_load(&house->clients);
	time_us limit = worker->config->client_login_timeout, again = worker->now + LOOK_AGAIN_US;

	if (has_room(guest, clients)) {
		guest->counted = true;
		if (limit > 0)
			timer_set(&worker->timers, &guest->timer, guest->connected + limit);
		step(guest, EVENT_CLIENT_ENTERS);
		return;
	}
	say_door_is_shut(worker, clients);
	if (clients > house->clients_max + house->clients_aside) {
		refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "too many clients are connected to the pooler",
			"Its limit of open files is reached.",
			"Raise the limit of open files (ulimit -n, LimitNOFILE=).");
		return;
	}
	if (limit > 0 && again > guest->connected + limit)
		again = guest->connected + limit;
	timer_set(&worker->timers, &guest->timer, again);
}

static void enter(struct guest *guest)
{
	const struct client_facts *facts = client_facts(guest->login);

	free(guest->user);
	guest->user = strndup((const char *)facts->user.at, facts->user.length);
	if (facts->console) {
		guest->admitted = true;
		guest_admitted(guest);
		return;
	}
	guest->state = GUEST_AT_DOOR;
	stream_pause(guest->stream);
	knock(guest);
}

static void follow(struct guest *guest, enum client_edge edge)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	uint32_t to, slot;

	if (edge != CLIENT_REFUSED)
		send_out(guest);
	if (guest->state == GUEST_ENDING)
		return;
	switch (edge) {
	case CLIENT_MORE:
		break;
	case CLIENT_CANCEL:
		if (cancel_locate(facts->cancel_process, &to, &slot) && to < worker->house->worker_count) {
			struct letter_cancel *letter = calloc(1, sizeof *letter);

			if (letter) {
				letter->letter.kind = LETTER_CANCEL;
				letter->slot = slot;
				letter->secret_length = facts->cancel_secret.length;
				memcpy(letter->secret, facts->cancel_secret.at, facts->cancel_secret.length);
				letter->asker = guest_ref(guest);
				worker_post(worker, to, &letter->letter);
				/* As at PostgreSQL, its end tells the client that the signal was sent: not before. */
				stream_pause(guest->stream);
				break;
			}
		}
		guest_end(guest, NULL, "cancel request");
		break;
	case CLIENT_ENTERS:
		enter(guest);
		break;
	case CLIENT_PROVEN:
		proven(guest);
		break;
	case CLIENT_REFUSED:
		if (worker->config->log_pooler_errors)
			guest_log(guest, LOG_WARNING, "pooler error: %s", facts->refusal);
		send_out(guest);
		guest_end(guest, NULL, facts->refusal);
		break;
	case CLIENT_GONE:
		guest_end(guest, NULL, "client close request");
		break;
	}
}

void guest_admitted(struct guest *guest)
{
	if (guest->state == GUEST_AT_DOOR || (guest->state == GUEST_LOGIN && !guest->named)) {
		guest->admitted = true;
		guest->state = GUEST_LOGIN;
		buf_clear(&guest->worker->out);
		follow(guest, client_admit(guest->login, &guest->worker->out));
		if (guest->state == GUEST_LOGIN && guest->stream && !guest->named)
			stream_resume(guest->stream);
		return;
	}
	if (guest->state == GUEST_LOGIN && guest->named) {
		stream_pause(guest->stream);
		begin_learning(guest);
	}
}

static size_t login_bytes(struct guest *guest, struct span bytes)
{
	size_t used, total = 0;
	enum client_edge edge;

	do {
		buf_clear(&guest->worker->out);
		edge = client_take(guest->login, span_skip(bytes, total), &used, &guest->worker->out);
		total += used;
		follow(guest, edge);
	} while (used > 0 && guest->state == GUEST_LOGIN && !guest->named && total < bytes.length);
	return total;
}

void guest_refused(struct guest *guest, const struct effect *effect)
{
	const char *detail = NULL;
	char text[256];

	switch (effect->refusal) {
	case REFUSAL_MAX_CLIENTS:
		refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "no more connections allowed (max_client_conn)", NULL,
			NULL);
		return;
	case REFUSAL_MAX_DATABASE_CLIENTS:
		refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "client connections exceeded (max_db_client_connections)",
			NULL, NULL);
		return;
	case REFUSAL_MAX_USER_CLIENTS:
		refuse(guest, SQLSTATE_TOO_MANY_CONNECTIONS,
			"client connections exceeded (max_user_client_connections)", NULL, NULL);
		return;
	case REFUSAL_FAILED:
		if (bouncer(guest) && guest->state == GUEST_WAITING) {
			text_format(text, sizeof text,
				"server login has been failing, cached error: %s (server_login_retry)", effect->text);
			guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, text, NULL, NULL);
			return;
		}
		guest_complain(guest,
			effect->sqlstate && effect->sqlstate[0] ? effect->sqlstate : SQLSTATE_CANNOT_CONNECT,
			effect->text, "The pooler could not log in to PostgreSQL for this database and user.",
			"It tries again after server_login_retry.");
		return;
	case REFUSAL_KILLED:
		refuse(guest, SQLSTATE_ADMIN_SHUTDOWN,
			bouncer(guest) ? "database removed" : "terminating connection due to administrator command",
			NULL, NULL);
		return;
	case REFUSAL_DISABLED:
		if (guest->pool != NO_POOL)
			text_format(text, sizeof text, "database \"%s\" is disabled",
				guest->worker->views[guest->pool]->database_name);
		else
			text_format(text, sizeof text, "database is disabled");
		refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, text, NULL, NULL);
		return;
	case REFUSAL_SHUTDOWN:
		refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW,
			guest->login ? "pooler is shutting down" : "server shutting down", NULL, NULL);
		return;
	case REFUSAL_NONE:
	default:
		break;
	}
	refuse(guest, SQLSTATE_INTERNAL_ERROR, "refused", detail, NULL);
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
	view->stats.server_assignments++;
	view->stats.wait_time += (uint64_t)(guest->worker->now - guest->wants_since);
	timer_clear(&guest->worker->timers, &guest->timer);
}

bool guest_want(struct guest *guest)
{
	struct worker *worker = guest->worker;
	struct effects *effects = &worker->effects;
	struct channel *channel;
	struct effect effect;
	size_t before = effects->count;

	check(guest->state == GUEST_PARKED && !guest->channel);
	guest->state = GUEST_WAITING;
	guest->wants_since = worker->now;
	step(guest, EVENT_CLIENT_WANTS);
	/* The usual answer is a server that is idle right here: lend it without a detour. */
	if (effects->count == before + 1) {
		effect = effects->list[before];
		if (effect.kind == EFFECT_LEND && effect.worker == worker->index &&
			handle_equal(effect.client.client, guest->handle)) {
			effects->count = before;
			channel = channel_get(worker, effect.server);
			check(channel);
			channel_lend(channel, guest, effect.check);
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
		if (guest->state == GUEST_WAITING || guest->state == GUEST_LEARNING)
			step(guest, EVENT_CLIENT_WANTS);
		return;
	}
	if (effect) {
		channel_lend(channel, guest, effect->check);
		if (guest->channel != channel || channel->checking || guest->state != GUEST_WAITING)
			return;
	}
	begin_lent(guest);
	if (guest->collect)
		guest_bytes(guest, span_of(NULL, 0));
	if (guest->stream)
		stream_resume(guest->stream);
}

void guest_returned(struct guest *guest)
{
	if (guest->state != GUEST_LENT)
		return;
	guest->requested = guest->worker->now;
	begin_parking(guest);
	stream_resume(guest->stream);
}

static void describe_wait(struct guest *guest, char *detail, size_t size)
{
	struct house *house = guest->worker->house;
	struct pool_picture picture;
	char longest[40] = "0 ms";
	bool known;

	lock_take(house->lock);
	known = core_pool_picture(house->core, guest->pool, &picture);
	lock_drop(house->lock);
	if (!known) {
		text_copy(detail, size, "The pool is gone.");
		return;
	}
	if (picture.oldest_lease_since)
		text_duration(longest, sizeof longest, guest->worker->now - picture.oldest_lease_since);
	if (picture.lent > 0)
		text_format(detail, size,
			"All %u servers of pool %s/%s are lent to %u clients, the longest for %s; %u clients wait.",
			picture.lent, guest->worker->views[guest->pool]->database_name,
			guest->worker->views[guest->pool]->user, picture.lent, longest, picture.waiting);
	else if (picture.full_since)
		text_format(detail, size, "PostgreSQL has no free slot for pool %s/%s (53300); %u clients wait.",
			guest->worker->views[guest->pool]->database_name, guest->worker->views[guest->pool]->user,
			picture.waiting);
	else
		text_format(detail, size,
			"No server of pool %s/%s could be lent: %u are being connected, %u cleaned, %u closed; %u clients wait.",
			guest->worker->views[guest->pool]->database_name, guest->worker->views[guest->pool]->user,
			picture.dialing, picture.cleaning, picture.closing, picture.waiting);
}

static void notice_wait(struct guest *guest)
{
	char detail[256];
	struct complaint complaint = {
		.severity = SEVERITY_NOTICE,
		.sqlstate = SQLSTATE_SUCCESS,
		.message = "No server connection available in postgres backend, client being queued",
		.detail = bouncer(guest) ? NULL : detail,
	};
	struct writer w;

	describe_wait(guest, detail, sizeof detail);
	guest->noticed = true;
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	send_out(guest);
}

static void waited_too_long(struct guest *guest)
{
	char detail[256];

	describe_wait(guest, detail, sizeof detail);
	if (bouncer(guest))
		guest_complain(guest, SQLSTATE_PROTOCOL_VIOLATION, "query_wait_timeout", NULL, NULL);
	else
		guest_complain(guest, SQLSTATE_TOO_MANY_CONNECTIONS, "query_wait_timeout", detail,
			"Clients that hold a transaction open keep its server; SHOW CLIENTS on the console tells who they are.");
}

void guest_rings(struct guest *guest)
{
	time_us now = guest->worker->now, limit;

	switch ((enum guest_state)guest->state) {
	case GUEST_LOGIN:
	case GUEST_AT_DOOR:
		limit = guest->worker->config->client_login_timeout;
		if (guest->state == GUEST_AT_DOOR && !guest->counted && (limit == 0 || now < guest->connected + limit)) {
			knock(guest);
			break;
		}
		refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, "client_login_timeout",
			guest->state == GUEST_AT_DOOR
				? "The pooler serves as many clients as it may (max_client_conn), and none was done in time."
				: NULL,
			NULL);
		break;
	case GUEST_LEARNING:
		refuse(guest, SQLSTATE_CANNOT_CONNECT_NOW, "client_login_timeout (server down)",
			"No server connection could be made in time for the first login of its kind.", NULL);
		break;
	case GUEST_WAITING:
		limit = guest->worker->views[guest->pool]->rules.query_wait_timeout;
		if (limit > 0 && now >= guest->wants_since + limit) {
			waited_too_long(guest);
			break;
		}
		notice_wait(guest);
		if (guest->state == GUEST_WAITING)
			arm_waiting(guest);
		break;
	case GUEST_PARKED:
		limit = guest->worker->views[guest->pool]->rules.client_idle_timeout;
		if (limit > 0 && now >= guest->requested + limit)
			refuse(guest, SQLSTATE_IDLE_SESSION_TIMEOUT, "client_idle_timeout", NULL, NULL);
		else if (limit > 0)
			timer_set(&guest->worker->timers, &guest->timer, guest->requested + limit);
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

	switch ((enum guest_state)guest->state) {
	case GUEST_LOGIN:
		used = guest->named ? 0 : login_bytes(guest, bytes);
		break;
	case GUEST_PARKED:
	case GUEST_LENT:
		used = relay_client(guest, bytes);
		break;
	case GUEST_CONSOLE:
		used = desk_bytes(guest, bytes);
		break;
	case GUEST_AT_DOOR:
	case GUEST_LEARNING:
	case GUEST_WAITING:
	case GUEST_ENDING:
	default:
		break;
	}
	if (guest->stream && bytes.length > 0)
		stream_consume(guest->stream, used);
}

void guest_room(struct guest *guest)
{
	if (guest->channel && guest->channel->guest == guest && guest->channel->stream)
		stream_resume(guest->channel->stream);
}

void guest_hangup(struct guest *guest)
{
	/* A client that is served gets what it asked for, as from PostgreSQL; one that waits leaves nothing behind. */
	if (guest->state != GUEST_LENT)
		guest_end(guest, NULL, closed_by_client);
}

void guest_ended(struct guest *guest, int error)
{
	(void)error;
	guest_end(guest, NULL, closed_by_client);
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

	step(guest, EVENT_CLIENT_GIVES_UP);
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	send_out(guest);
	if (guest->state == GUEST_ENDING)
		return;
	begin_parking(guest);
	guest->skipping = guest->skip_query = true;
	if (guest->collect)
		guest_bytes(guest, span_of(NULL, 0));
	if (guest->stream)
		stream_resume(guest->stream);
}

bool guest_cancel(struct worker *worker, uint32_t slot, struct span secret, struct client_ref asker)
{
	struct guest *guest = slots_at(&worker->guests, slot);
	struct channel *channel;
	uint8_t room[32];
	struct span own;

	if (!guest)
		return false;
	own = guest_secret(guest, room);
	if (own.length != secret.length || !secret_equal(own.at, secret.at, own.length))
		return false;
	channel = guest->channel;
	if (guest->desk) {
		desk_cancel(guest);
		return false;
	}
	if (guest->state == GUEST_WAITING && !channel) {
		cancel_waiting(guest);
		return false;
	}
	if (guest->state != GUEST_LENT || track_quiet(&channel->track))
		return false;
	if (!channel->setting)
		return errand_send(channel, asker);
	channel->cancel_wanted = true; /* ours is running; the client's comes next */
	return false;
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
