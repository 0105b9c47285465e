/* A client's arrival: its login, and what it is told when it is in. The door that is between them is in guest_door.c, the drawing in guest.c.
 *
 * Until the proof a stranger costs one conversation of bounded size; the core is asked before the proof begins. */
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/interfaces.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/lookups.h"
#include "serve/naming.h"
#include "serve/peering.h"
#include "serve/questions.h"
#include "serve/seats.h"
#include "serve/takeover.h"
#include "serve/vouching.h"

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

/* As application_name_add_host says where a client is: "127.0.0.1:40123", "unix(4711):6432". */
static void peer_text(const struct address *peer, char out[ADDRESS_TEXT])
{
	if (peer->family == ADDRESS_UNIX)
		text_format(out, ADDRESS_TEXT, "unix(%u):%u", peer->process, peer->port);
	else
		address_text(peer, out);
}

/* Whom the rules of auth_hba_file judge. */
static struct hba_peer hba_peer_of(const struct worker *worker, const struct address *peer, char system_user[64])
{
	struct hba_peer who = { .ip_length = peer->family == ADDRESS_UNIX ? 0 : peer->family == ADDRESS_IPV4 ? 4 : 16 };
	const struct hba *hba = secrets_hba(worker->secrets);

	if (who.ip_length > 0)
		memcpy(who.ip, peer->ip, who.ip_length);
	if (who.ip_length > 0 && hba && hba_wants_interfaces(hba))
		interfaces_compare(peer, &who.same_host, &who.same_net);
	else if (who.ip_length == 0 && worker->config->auth_type == AUTH_HBA && peer->process != 0 &&
		user_name(peer->user, system_user, 64))
		who.system_user = system_user;
	return who;
}

static enum client_tls tls_for(const struct worker *worker, const struct address *peer)
{
	if (!worker->tls.clients || peer->family == ADDRESS_UNIX)
		return CLIENT_TLS_NEVER;
	return worker->config->client_tls_sslmode >= SSLMODE_REQUIRE ? CLIENT_TLS_MUST : CLIENT_TLS_MAY;
}

/* By which it may be cancelled. One system call draws for many; what is handed out lies nowhere else. */
static void draw_secret(struct worker *worker, uint8_t secret[GUEST_SECRET])
{
	uint8_t *next;

	if (worker->drawn_left == 0) {
		entropy_fill(worker->drawn, sizeof worker->drawn);
		worker->drawn_left = SECRETS_DRAWN;
	}
	next = worker->drawn + --worker->drawn_left * GUEST_SECRET;
	memcpy(secret, next, GUEST_SECRET);
	secret_wipe(next, GUEST_SECRET);
}

struct guest *guest_arrive(struct worker *worker, struct parcel *parcel)
{
	struct guest *guest = memory_zeroed(sizeof *guest);
	const struct config *config = worker->config;
	bool draws = login_draws((enum auth_method)config->auth_type);
	bool tells_host = config->application_name_add_host || config->auth_type == AUTH_HBA;
	uint8_t random[64];
	char host[ADDRESS_TEXT], system_user[64];
	struct client_setup setup = {
		.config = worker->config,
		.secrets = worker->secrets,
		.params = worker->house->params,
		.process_random = worker->house->process_random,
		.random = draws ? random : NULL,
		.peer_host = tells_host ? host : NULL,
		.peer = hba_peer_of(worker, parcel_peer(parcel), system_user),
		.tls = tls_for(worker, parcel_peer(parcel)),
		.local_owner = house_is_own_user(parcel_peer(parcel)),
	};

	if (!guest || !reserve_ending(worker) || !slots_add(&worker->guests, guest, &guest->handle))
		goto refused;
	guest->party = PARTY_GUEST;
	guest->state = GUEST_LOGIN;
	guest->worker = worker;
	guest->extras = &extras_none;
	guest->pool = NO_POOL;
	guest->connected = guest->requested = worker->now;
	timer_init(&guest->timer, PARTY_GUEST);
	draw_secret(worker, guest->secret);
	if (draws)
		entropy_fill(random, sizeof random);
	if (tells_host)
		peer_text(parcel_peer(parcel), host);
	guest->number = house_number(worker->house);
	guest->login = client_new(&setup);
	if (draws)
		secret_wipe(random, sizeof random);
	if (!guest->login)
		goto unslot;
	guest->stream = stream_attach(worker->loop, &parcel, &worker->client_options, guest);
	if (!guest->stream)
		goto unslot;
	stream_guard(guest->stream, true);
	atomic_fetch_add(&worker->house->clients, 1);
	if (worker->config->client_login_timeout > 0)
		timer_set(&worker->timers, &guest->timer, worker->now + worker->config->client_login_timeout);
	return guest;
unslot:
	slots_remove(&worker->guests, guest->handle);
	client_free(guest->login);
refused:
	free(guest);
	if (parcel)
		parcel_free(&parcel);
	atomic_fetch_sub(&worker->client_count, 1);
	log_line(LOG_WARNING, "a connection was closed at once: out of memory or descriptors");
	return NULL;
}

/* A session's client has its server from the login on, as at PostgreSQL, and is known by that server's process id. PgBouncer's users expect
 * that a client which asks nothing takes none. */
static bool takes_its_server(const struct guest *guest)
{
	const struct pool_view *view = guest->worker->views[guest->pool];

	return view->replication || (!guest_is_bouncers(guest) && view->rules.mode == POOL_SESSION);
}

bool guest_enters(const struct guest *guest)
{
	return guest->state == GUEST_LEARNING && !guest->channel && takes_its_server(guest) &&
		!guest->worker->views[guest->pool]->replication;
}

static uint32_t name_process(struct guest *guest)
{
	struct worker *worker = guest->worker;
	uint32_t process = guest->channel ? guest->channel->process_id : 0;
	uint8_t room[GUEST_SECRET];

	if (worker->config->peer_id > 0)
		process = peering_name(guest);
	if (process == 0)
		return guest_process_id(guest);
	if (!seats_enter(worker->house->seats, process, guest_ref(guest), guest_secret(guest, room)))
		return 0;
	guest->seat = process;
	return process;
}

static void welcome(struct guest *guest, struct params *reported)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	uint32_t process;
	uint8_t room[GUEST_SECRET];

	buf_clear(&worker->out);
	guest->protocol_32 = facts->protocol > (3u << 16);
	process = name_process(guest);
	if (process == 0 || !client_welcome(guest->login, reported, process, guest_secret(guest, room), &worker->out)) {
		guest_end(guest, NULL, "out of memory");
		return;
	}
	guest->wanted = params_keep(facts->params);
	guest->startup = params_keep(facts->params);
	guest->reported = reported ? params_keep(reported) : NULL;
	client_free(guest->login);
	guest->login = NULL;
	stream_guard(guest->stream, false);
	guest->requested = worker->now;
	if (guest->pool != NO_POOL) {
		/* Also where the mode became session while it was learnt what to tell it. */
		guest->moves = worker->views[guest->pool]->rules.mode != POOL_SESSION ||
			(takes_its_server(guest) && !guest->channel);
		worker->views[guest->pool]->stats.logins++;
		meter_add(&worker->views[guest->pool]->times.login, worker->now - guest->connected);
		habits_arrive(guest);
		guest_park(guest);
		guest_step(guest, EVENT_CLIENT_SETTLED);
	}
	guest_send(guest);
	if (guest->stream)
		stream_resume(guest->stream);
}

static void begin_learning(struct guest *guest)
{
	struct pool_view *view = guest->worker->views[guest->pool];
	time_us limit = view->rules.query_wait_timeout;
	struct params *known = takes_its_server(guest)
		? NULL
		: pool_welcome(guest->worker, view, client_facts(guest->login)->params);

	if (known) {
		welcome(guest, known);
		params_drop(known);
		return;
	}
	guest->wanted = params_keep(client_facts(guest->login)->params);
	guest->state = GUEST_LEARNING;
	guest->wants_since = guest->worker->now;
	if (guest_enters(guest))
		habits_enter(guest);
	if (takes_its_server(guest) && limit > 0)
		timer_set(&guest->worker->timers, &guest->timer, guest->wants_since + limit);
	else if (takes_its_server(guest))
		timer_clear(&guest->worker->timers, &guest->timer);
	guest_step(guest, EVENT_CLIENT_WANTS);
}

/* What the server reports for this client's parameters is known now. The lease ends, unless it is a session's. */
void guest_learned(struct guest *guest, struct channel *channel)
{
	struct pool_view *view = guest->worker->views[guest->pool];
	struct params *reported = params_keep(channel->reported);

	if (guest->state == GUEST_ASKING) {
		params_drop(reported);
		lookup_lent(channel); /* what it learnt is that its session is as it should be */
		return;
	}
	check(guest->state == GUEST_LEARNING && channel->guest == guest);
	pool_learn(guest->worker, view, guest->wanted, reported);
	params_drop(guest->wanted);
	guest->wanted = NULL;
	if (takes_its_server(guest) && channel->session) {
		channel->learning = false;
		welcome(guest, reported);
		if (guest->channel == channel) {
			guest_lent(guest, channel, NULL);
			channel_limits(channel);
			channel_settle(channel); /* it may have had to close while its client waited for the welcome */
		}
	} else {
		channel_return(channel);
		welcome(guest, reported);
	}
	params_drop(reported);
}

static void log_attempt(const struct guest *guest, const struct client_facts *facts)
{
	static const char *const kinds[] = {
		[REPLICATION_NONE] = "no", [REPLICATION_LOGICAL] = "database", [REPLICATION_PHYSICAL] = "yes"
	};
	struct tls_facts tls;
	char user[160], database[160]; /* anybody's words, who has proven nothing yet */

	if (!guest->worker->config->log_connections)
		return;
	stream_tls_facts(guest->stream, &tls);
	text_escape(user, sizeof user, facts->user);
	text_escape(database, sizeof database, facts->database);
	guest_log(guest, LOG_LOG, "login attempt: db=%s user=%s tls=%s replication=%s", database, user,
		tls.text[0] ? tls.text : "no", kinds[facts->replication]);
}

static void proven(struct guest *guest)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	struct pool_view *view;
	char text[200];
	bool unknown;

	if (facts->console && forerunner_refuses(guest))
		return;
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
	guest->replication = (uint8_t)facts->replication;
	view = guest->replication ? pool_view_replication(worker, facts->database, facts->user, &unknown)
				  : pool_view_for(worker, facts->database, facts->user, &unknown);
	if (view)
		guest->pool = view->id;
	if (!view) {
		if (unknown && guest_is_bouncers(guest) && worker->config->log_connections)
			guest_log(guest, LOG_LOG, "login failed: db=%.*s user=%.*s", (int)facts->database.length,
				(const char *)facts->database.at, (int)facts->user.length,
				(const char *)facts->user.at);
		if (unknown && guest_is_bouncers(guest))
			text_format(text, sizeof text, "no such database: %.*s", (int)facts->database.length,
				(const char *)facts->database.at);
		else if (unknown)
			text_format(text, sizeof text, "database \"%.*s\" does not exist", (int)facts->database.length,
				(const char *)facts->database.at);
		else
			text_format(text, sizeof text, "out of memory");
		guest_refuse(guest, unknown ? SQLSTATE_UNDEFINED_DATABASE : SQLSTATE_OUT_OF_MEMORY, text, NULL,
			unknown ? "It has no entry in the [databases] section of the pooler's configuration." : NULL);
		return;
	}
	if (facts->found)
		lookup_keep(worker, view->id, facts->found);
	guest->named = true;
	guest_step(guest, EVENT_CLIENT_NAMED);
}

static void enter(struct guest *guest)
{
	const struct client_facts *facts = client_facts(guest->login);

	texts_drop(&guest->worker->texts, guest->user);
	guest->user = texts_user(&guest->worker->texts, facts->user);
	log_attempt(guest, facts);
	if (facts->console && guest_keeps_pace(guest)) {
		guest_admitted(guest);
		return;
	}
	guest->state = GUEST_AT_DOOR;
	stream_pause(guest->stream);
	if (!facts->console)
		guest_knock(guest);
}

/* What waits to be sent are answers that nobody has read: then nobody speaks TLS there either. */
static void begin_tls(struct guest *guest)
{
	struct worker *worker = guest->worker;

	if (stream_queued(guest->stream) > 0 || !worker->tls.clients)
		guest_end(guest, NULL, "TLS was asked for, and can not begin");
	else if (!stream_secure(guest->stream, worker->tls.clients, client_facts(guest->login)->direct))
		guest_end(guest, NULL, "out of memory");
}

void guest_secured(struct guest *guest)
{
	uint8_t binding[TLS_BINDING];
	struct client_channel channel = { .binding = span_of(binding, stream_tls_binding(guest->stream, binding)) };
	struct tls_facts facts;
	struct buf names = { 0 };
	bool ok = true;

	stream_tls_facts(guest->stream, &facts);
	if (facts.verified) {
		ok = stream_tls_names(guest->stream, &names);
		channel.certificate = true;
		channel.names = buf_span(&names);
	}
	ok = ok && client_secured(guest->login, &channel);
	buf_fini(&names);
	if (!ok)
		guest_end(guest, NULL, "out of memory");
}

static void follow(struct guest *guest, enum client_edge edge)
{
	struct worker *worker = guest->worker;
	const struct client_facts *facts = client_facts(guest->login);
	const char *problem;

	if (edge != CLIENT_REFUSED)
		guest_send(guest);
	if (guest->state == GUEST_ENDING)
		return;
	switch (edge) {
	case CLIENT_MORE:
		break;
	case CLIENT_SECURE:
		begin_tls(guest);
		break;
	case CLIENT_CANCEL:
		problem = cancel_route(guest);
		if (problem && !errand_forward(worker, facts->cancel_process, facts->cancel_secret, guest_ref(guest)))
			guest_end(guest, NULL, problem);
		else /* as at PostgreSQL, its end tells the client that the signal was sent: not before */
			stream_pause(guest->stream);
		break;
	case CLIENT_ENTERS:
		enter(guest);
		break;
	case CLIENT_ASKS_ROLES:
		lookup_ask(guest, LOOKUP_ROLES);
		break;
	case CLIENT_ASKS_HOST:
		naming_ask(guest);
		break;
	case CLIENT_ASKS:
		lookup_ask(guest, LOOKUP_SECRET);
		break;
	case CLIENT_VOUCHES:
		vouching_ask(guest);
		break;
	case CLIENT_PROVEN:
		proven(guest);
		break;
	case CLIENT_REFUSED:
		if (facts->looked_up)
			lookup_doubt(guest);
		if (facts->nobody && guest_is_bouncers(guest))
			guest_log(guest, LOG_LOG, "no such user: %.*s", (int)facts->user.length,
				(const char *)facts->user.at);
		if (worker->config->log_pooler_errors)
			guest_log(guest, LOG_WARNING, "pooler error: %s", facts->refusal);
		guest_send(guest);
		guest_end(guest, NULL, facts->refusal);
		break;
	case CLIENT_GONE:
		guest_goodbye(guest);
		break;
	}
}

/* What its login waited for is there, and said in `out`. */
static void go_on(struct guest *guest, enum client_edge edge)
{
	follow(guest, edge);
	if (guest->state == GUEST_LOGIN && guest->stream && !guest->named && !guest->naming)
		stream_resume(guest->stream);
}

void guest_admitted(struct guest *guest)
{
	if (guest->state == GUEST_AT_DOOR || (guest->state == GUEST_LOGIN && !guest->named)) {
		guest->admitted = true;
		guest->state = GUEST_LOGIN;
		buf_clear(&guest->worker->out);
		go_on(guest, client_admit(guest->login, &guest->worker->out));
		return;
	}
	if (guest->state == GUEST_LOGIN && guest->named) {
		stream_pause(guest->stream);
		begin_learning(guest);
	}
}

void guest_found(struct guest *guest, struct secrets *found, struct secret_mock mock)
{
	guest->state = GUEST_LOGIN;
	guest->pool = NO_POOL;
	if (guest->extras->question) {
		question_answered(guest, found);
		return;
	}
	buf_clear(&guest->worker->out);
	go_on(guest, client_found(guest->login, found, mock, &guest->worker->out));
}

void guest_told_roles(struct guest *guest, struct roles *roles)
{
	guest->state = GUEST_LOGIN;
	guest->pool = NO_POOL;
	buf_clear(&guest->worker->out);
	go_on(guest, client_told_roles(guest->login, roles, &guest->worker->out));
}

void guest_told_host(struct guest *guest, const char *host)
{
	buf_clear(&guest->worker->out);
	go_on(guest, client_told_host(guest->login, host, &guest->worker->out));
}

void guest_vouched(struct guest *guest, bool yes)
{
	buf_clear(&guest->worker->out);
	follow(guest, client_vouched(guest->login, yes, &guest->worker->out));
}

size_t guest_login_bytes(struct guest *guest, struct span bytes)
{
	size_t used, total = 0;
	enum client_edge edge;

	guest->spoke = true;
	do {
		buf_clear(&guest->worker->out);
		edge = client_take(guest->login, span_skip(bytes, total), &used, &guest->worker->out);
		total += used;
		follow(guest, edge);
	} while (used > 0 && guest->state == GUEST_LOGIN && !guest->named && total < bytes.length);
	/* A password may have been among it, and the buffer is the worker's: it would lie there until somebody has said as much. What is left of a
	 * message is the stream's to wipe (stream_guard), but of one who has been shown out. */
	secret_wipe((void *)(uintptr_t)bytes.at, guest->state == GUEST_ENDING ? bytes.length : total);
	return total;
}
