/* From the core's wish for a server to its first ReadyForQuery: find the host, connect, log in, run connect_query. All hosts of
 * its database are tried (hosts.c), and all addresses of each, before the dial counts as failed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"
#include "serve/hosts.h"
#include "serve/log_forms.h"
#include "serve/places.h"
#include "serve/lookups.h"
#include "serve/replication.h"
#include "serve/suits.h"

/* PgBouncer has a line for the reason and another for the end, and says "server login failed" of what PostgreSQL refused alone. */
static void log_failed(const struct channel *channel, enum log_level level, const struct event *event)
{
	const struct config *config = channel->worker->config;
	const char *reason = log_dial_reason(config, event->sqlstate, event->text);
	static const char failed[] = "server login failed: ";
	char age[AGE_TEXT];

	if (reason && strcmp(reason, "login failed") != 0)
		channel_log(channel, level, "%s", event->text);
	else if (reason && strncmp(event->text, failed, sizeof failed - 1) != 0)
		log_line(level, "%sFATAL %s", failed,
			event->text); /* PgBouncer's is PostgreSQL's severity, and nobody's line */
	else
		channel_log(channel, level, "%s%s (%s)", failed, event->text, event->sqlstate);
	if (reason && config->log_disconnections)
		channel_log(channel, LOG_LOG, "closing because: %s (age=%s)", reason,
			log_age(config, channel->worker->now - channel->connected, age));
}

/* A backend that waits for something before its login is done does not hear that we are gone (InitPostgres waits for whoever makes a copy of its
 * database, or moves it), and takes a place until then. Were it forgotten, each further try would leave one more there, until PostgreSQL is full. */
static bool may_stay(const struct channel *channel)
{
	return channel->state == CHANNEL_LOGIN && channel->stream && !channel->replication &&
		channel->worker->config->server_orphan_timeout > 0;
}

static void await_end(struct channel *channel)
{
	struct worker *worker = channel->worker;

	channel->state = CHANNEL_CLOSING;
	stream_resume(channel->stream);
	stream_shut(channel->stream);
	timer_set(&worker->timers, &channel->timer, worker->now + worker->config->server_orphan_timeout);
}

/* The end of a dial, told to the core. */
static void give_up(struct channel *channel, struct event *event)
{
	if (channel->replication) {
		log_failed(channel, channel->guest ? LOG_WARNING : LOG_LOG, event);
		replication_failed(channel, event->sqlstate, event->text);
		return;
	}
	event->kind = EVENT_SERVER_FAILED;
	event->now = channel->worker->now;
	event->server = channel->id;
	event->worker = channel->worker->index;
	/* A server that was there before will be there again: who is logged in waits for it, as long as query_wait_timeout lets him. */
	if (event->failure == FAILURE_REFUSED && strcmp(event->sqlstate, SQLSTATE_CANNOT_CONNECT) == 0 &&
		pool_is_known(channel->worker, channel->pool))
		event->failure = FAILURE_TEMPORARY;
	log_failed(channel,
		event->failure == FAILURE_REFUSED || event->failure == FAILURE_GREETING ? LOG_WARNING : LOG_LOG, event);
	if (event->stays)
		await_end(channel);
	else
		channel_forget(channel);
	worker_step(channel->worker, event);
}

void channel_dial_failed(struct channel *channel, enum server_failure failure, const char *sqlstate, const char *text)
{
	struct event event = { .failure = failure, .sqlstate = sqlstate, .text = text };

	give_up(channel, &event);
}

void channel_dial_killed(struct channel *channel, const char *reason)
{
	struct event event = { .failure = FAILURE_TEMPORARY, .sqlstate = SQLSTATE_ADMIN_SHUTDOWN, .text = reason };

	event.stays = may_stay(channel);
	give_up(channel, &event);
}

void channel_greeting_failed(
	struct channel *channel, enum server_failure failure, const char *sqlstate, const char *text, bool ended)
{
	struct event event = { .failure = failure, .sqlstate = sqlstate, .text = text };
	struct piece terminate = { "X\0\0\0\4", 5 };

	check(channel->state == CHANNEL_GREETING && !channel->guest);
	event.stays = !ended && channel->worker->config->server_orphan_timeout > 0;
	if (!ended && track_quiet(&channel->track))
		(void)stream_write(channel->stream, &terminate, 1);
	give_up(channel, &event);
}

/* Nothing remains of the connection that was tried. */
static void leave_host(struct channel *channel)
{
	struct piece terminate = { "X\0\0\0\4", 5 };

	if (channel->stream && channel->state == CHANNEL_GREETING)
		(void)stream_write(channel->stream, &terminate, 1);
	if (channel->state == CHANNEL_GREETING) {
		track_fini(&channel->track);
		track_init(&channel->track);
		channel->body_left = 0; /* of a message that was cut by the end of what was read */
	}
	stream_close(&channel->stream);
	server_login_free(channel->login);
	channel->login = NULL;
	channel->process_id = 0;
	channel->state = CHANNEL_RESOLVING;
}

static void dial_host(struct channel *channel);

/* `late`: it took too long. */
static void host_failed(
	struct channel *channel, enum server_failure failure, const char *sqlstate, const char *text, bool late)
{
	static const enum full_of limits[] = {
		[LIMIT_OF_SERVER] = FULL_SERVER, [LIMIT_OF_ROLE] = FULL_ROLE, [LIMIT_OF_DATABASE] = FULL_DATABASE
	};
	const struct database_settings *database = channel_view(channel)->database;
	struct event failed = { .failure = failure, .sqlstate = sqlstate, .text = text };
	bool on, quiet;

	if (failure == FAILURE_FULL && channel->login)
		failed.full = limits[server_login_facts(channel->login)->limit];
	on = tries_failed(channel, database, &failed);
	/* Who does not suit is no trouble, and is met by every dial; so is a host that we know to have no room. */
	quiet = channel->state == CHANNEL_GREETING || (failure == FAILURE_FULL && !channel->stream);
	if (on && database->host_count > 1)
		channel_log(channel, quiet ? LOG_DEBUG : LOG_LOG, "%s; on to the next", text);
	if (on && channel->address_count > 0) {
		leave_host(channel);
		channel_dial_next(channel);
	} else if (on && tries_next(channel, database)) {
		leave_host(channel);
		free(channel->addresses);
		channel->addresses = NULL;
		dial_host(channel);
	} else {
		tries_amount(channel, &failed);
		/* Where there is another host to turn to, that is not made to wait for the end of this one. */
		failed.stays = late && database && database->host_count == 1 && may_stay(channel);
		if (!failed.stays)
			leave_host(channel);
		give_up(channel, &failed);
	}
}

void channel_host_failed(struct channel *channel, enum server_failure failure, const char *sqlstate, const char *text)
{
	host_failed(channel, failure, sqlstate, text, false);
}

void channel_host_late(struct channel *channel)
{
	char text[160], where[ADDRESS_TEXT];

	text_format(text, sizeof text, "connection to server at %s failed: timeout (server_connect_timeout)",
		address_text(&channel->address, where));
	host_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT, text, true);
}

/* As in libpq, each address has its own time; and so has each name. */
static void start_time(struct channel *channel)
{
	struct worker *worker = channel->worker;

	if (worker->config->server_connect_timeout > 0)
		timer_set(&worker->timers, &channel->timer, worker->now + worker->config->server_connect_timeout);
}

void channel_dial_next(struct channel *channel)
{
	char text[160], where[ADDRESS_TEXT];

	check(channel->address_count > 0);
	channel->address = channel->addresses[0];
	memmove(channel->addresses, channel->addresses + 1, --channel->address_count * sizeof *channel->addresses);
	start_time(channel);
	channel->stream = tls_dial_server(channel->worker, &channel->address, channel->host, channel);
	if (channel->stream) {
		channel->state = CHANNEL_CONNECTING;
		return;
	}
	text_format(text, sizeof text, "connection to server at %s failed: %s", address_text(&channel->address, where),
		strerror(errno));
	channel_host_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT, text);
}

static bool take_addresses(struct channel *channel, const struct address *list, size_t count)
{
	channel->addresses = malloc(count * sizeof *list);
	if (!channel->addresses)
		return false;
	memcpy(channel->addresses, list, count * sizeof *list);
	channel->address_count = count;
	return true;
}

static void ask_name(struct channel *channel, const struct host *host)
{
	struct resolve_letter *letter = calloc(1, sizeof *letter);

	if (!letter) {
		channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
		return;
	}
	letter->letter.kind = LETTER_RESOLVE;
	letter->to = channel->worker->mailbox;
	/* The channel may be gone when the answer comes: it is named by its id. */
	letter->context = (void *)(uintptr_t)((uint64_t)channel->id.generation << 32 | channel->id.slot);
	letter->port = host->port;
	text_copy(letter->name, sizeof letter->name, host->name);
	channel->state = CHANNEL_RESOLVING;
	start_time(channel);
	resolve(letter);
}

void channel_resolved(struct worker *worker, struct resolve_letter *letter)
{
	uint64_t name = (uint64_t)(uintptr_t)letter->context;
	struct channel *channel = channel_get(
		worker, (server_id){ .slot = (uint32_t)name, .generation = (uint32_t)(name >> 32) });
	char text[160];

	if (channel && channel->state == CHANNEL_RESOLVING) {
		if (letter->count == 0) {
			text_format(text, sizeof text, "could not translate host name \"%s\" to address: %s",
				letter->name, letter->problem);
			channel_host_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT, text);
		} else if (!take_addresses(channel, letter->addresses, letter->count)) {
			channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
		} else {
			channel_dial_next(channel);
		}
	}
	free(letter);
}

static void dial_host(struct channel *channel)
{
	struct pool_view *view = channel_view(channel);
	const struct database_settings *database = view->database;
	const struct host *host;
	struct address address;
	char text[160];
	bool numeric;

	if (!database) {
		channel_dial_failed(channel, FAILURE_REFUSED, SQLSTATE_UNDEFINED_DATABASE,
			"the database is not in the configuration any more");
		return;
	}
	host = tries_host(channel, database);
	if (!host) {
		channel_dial_failed(
			channel, FAILURE_TEMPORARY, SQLSTATE_ADMIN_SHUTDOWN, "the configuration has other hosts now");
		return;
	}
	free(channel->host);
	channel->host = strdup(host->name);
	if (!channel->host) {
		channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
		return;
	}
	if (!host_visit(channel, database, host)) {
		text_format(text, sizeof text, "PostgreSQL at %s:%u has no room for more servers (server_budget)",
			host->name, host->port);
		channel_host_failed(channel, FAILURE_FULL, SQLSTATE_TOO_MANY_CONNECTIONS, text);
		return;
	}
	if (host->name[0] == '/' || host->name[0] == '@')
		numeric = address_unix(host->name, host->port, &address);
	else
		numeric = address_parse(host->name, host->port, &address);
	if (!numeric) {
		ask_name(channel, host);
		return;
	}
	if (take_addresses(channel, &address, 1))
		channel_dial_next(channel);
	else
		channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
}

void channel_begin_dial(struct channel *channel)
{
	const struct database_settings *database = channel_view(channel)->database;

	if (database && !tries_begin(channel, database))
		channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
	else
		dial_host(channel);
}

void channel_dial(struct worker *worker, const struct effect *effect)
{
	struct channel *channel = calloc(1, sizeof *channel);
	struct pool_view *view = pool_view(worker, effect->pool);
	struct event event = {
		.kind = EVENT_SERVER_FAILED,
		.now = worker->now,
		.server = effect->server,
		.worker = worker->index,
		.failure = FAILURE_TEMPORARY,
		.sqlstate = SQLSTATE_OUT_OF_MEMORY,
		.text = "out of memory",
	};

	if (!channel || !view || !channel_reserve_grave(worker))
		goto refused;
	channel->party = PARTY_CHANNEL;
	channel->id = effect->server;
	channel->number = house_number(worker->house);
	channel->pool = effect->pool;
	channel->worker = worker;
	channel->connected = worker->now;
	channel->visits = NO_INSTANCE;
	channel->prepared = prepared_new();
	channel->applied = params_empty(worker->house->params);
	channel->reported = params_empty(worker->house->params);
	track_init(&channel->track);
	timer_init(&channel->timer, PARTY_CHANNEL);
	if (!channel->prepared || !channel_place(worker, channel))
		goto refused;
	if (view->replication)
		replication_dial(channel);
	else
		channel_begin_dial(channel);
	return;
refused:
	if (channel)
		channel_bury(channel);
	worker_step(worker, &event);
}

struct server *dial_login(struct worker *worker, const struct stream *stream, struct server_setup setup,
	const char *password, pool_id pool)
{
	struct secrets *found = NULL, *known = worker->secrets;
	struct secret forced = { 0 };
	uint8_t random[32], key[SCRAM_KEY_LENGTH], binding[TLS_BINDING];
	struct server *login;

	if (pool != NO_POOL && !(known && secrets_find(known, setup.user)))
		known = found = lookup_secrets(worker, pool);
	if (password && secret_init(&forced, span_text(password)))
		setup.secret = &forced;
	else if (known)
		setup.secret = secrets_find(known, setup.user);
	if (known && secrets_get_client_key(known, setup.user, key))
		setup.client_key = key;
	entropy_fill(random, sizeof random);
	setup.random = random;
	setup.binding = span_of(binding, stream_tls_binding(stream, binding));
	buf_clear(&worker->out);
	login = server_login_new(&setup, &worker->out);
	secret_fini(&forced);
	secrets_drop(found);
	secret_wipe(key, sizeof key);
	return login;
}

void channel_connected(struct channel *channel)
{
	struct worker *worker = channel->worker;
	struct pool_view *view = channel_view(channel);
	const struct database_settings *database = view->database;
	struct startup_pair extra[4], *more = NULL;
	struct server_setup setup = { .user = span_text(view->user), .params = worker->house->params, .extra = extra };
	struct place place;
	struct buf *out = &worker->out;
	struct piece piece;
	char from[ADDRESS_TEXT];

	check(channel->state == CHANNEL_CONNECTING);
	channel->state = CHANNEL_LOGIN;
	if (!database) {
		channel_dial_failed(channel, FAILURE_REFUSED, SQLSTATE_UNDEFINED_DATABASE,
			"the database is not in the configuration any more");
		return;
	}
	/* A RELOAD closes what leads elsewhere since, but it may have looked a moment before this dial began, in a worker that had not heard of it. */
	if (!tries_hold(channel, database)) {
		channel_host_failed(
			channel, FAILURE_TEMPORARY, SQLSTATE_ADMIN_SHUTDOWN, "the configuration has other hosts now");
		return;
	}
	setup.database = span_text(database->dbname ? database->dbname : view->database_name);
	if (place_of(database, view->database_name, &place) && strcmp(place.host, channel->host) == 0)
		channel->place = place_key(&place);
	if (database->client_encoding)
		extra[setup.extra_count++] = (struct startup_pair){ span_text("client_encoding"),
			span_text(database->client_encoding) };
	if (database->datestyle)
		extra[setup.extra_count++] = (struct startup_pair){ span_text("datestyle"),
			span_text(database->datestyle) };
	if (database->timezone)
		extra[setup.extra_count++] = (struct startup_pair){ span_text("timezone"),
			span_text(database->timezone) };
	if (database->application_name)
		extra[setup.extra_count++] = (struct startup_pair){ span_text("application_name"),
			span_text(database->application_name) };
	if (channel->replication) {
		more = replication_startup(channel, &setup);
		if (!more) {
			channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
			return;
		}
	}
	/* The password is the forced user's; auth_user has a pool of its own here. */
	channel->login = dial_login(worker, channel->stream, setup,
		database->user && strcmp(database->user, view->user) == 0 ? database->password : NULL, channel->pool);
	free(more);
	piece = (struct piece){ buf_span(out).at, out->length };
	if (!channel->login || !stream_write(channel->stream, &piece, 1)) {
		channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
		return;
	}
	if (worker->config->log_connections)
		channel_log(channel, LOG_LOG, "new connection to server (from %s)",
			address_text(stream_local(channel->stream), from));
}

static void login_over(struct channel *channel)
{
	const struct server_facts *facts = server_login_facts(channel->login);

	channel->process_id = facts->process_id;
	memcpy(channel->secret, facts->secret, facts->secret_length);
	channel->secret_length = facts->secret_length;
	params_drop(channel->reported);
	channel->reported = params_keep(facts->reported);
	server_login_free(channel->login);
	channel->login = NULL;
	channel->state = CHANNEL_GREETING;
	(void)track_take(&channel->track, 'Z', 'I');
	if (!suits_at_login(channel))
		return;
	if (channel->replication) {
		replication_ready(channel);
		return;
	}
	pool_logged_in(channel->worker, channel->pool, channel->reported);
	channel_greet(channel);
}

void channel_greet(struct channel *channel)
{
	const struct database_settings *database = channel_view(channel)->database;

	tries_end(channel, database);
	if (database && database->connect_query) {
		if (!channel_query(channel, span_text(database->connect_query)))
			channel_break(channel, "out of memory");
		return;
	}
	channel_settle(channel);
}

size_t channel_login_bytes(struct channel *channel, struct span bytes)
{
	struct worker *worker = channel->worker;
	const struct server_facts *facts;
	enum server_failure failure = FAILURE_REFUSED;
	enum server_edge edge;
	struct piece piece;
	size_t used;

	buf_clear(&worker->out);
	edge = server_login_take(channel->login, bytes, &used, &worker->out);
	if (worker->out.length > 0) {
		piece = (struct piece){ buf_span(&worker->out).at, worker->out.length };
		if (!stream_write(channel->stream, &piece, 1)) {
			channel_dial_failed(channel, FAILURE_TEMPORARY, SQLSTATE_OUT_OF_MEMORY, "out of memory");
			return bytes.length;
		}
	}
	if (edge == SERVER_READY) {
		login_over(channel);
	} else if (edge == SERVER_REFUSED) {
		facts = server_login_facts(channel->login);
		if (strcmp(facts->sqlstate, SQLSTATE_TOO_MANY_CONNECTIONS) == 0 ||
			strcmp(facts->sqlstate, SQLSTATE_CONFIGURATION_LIMIT) == 0)
			failure = FAILURE_FULL;
		else if (strcmp(facts->sqlstate, SQLSTATE_CANNOT_CONNECT_NOW) == 0 ||
			strcmp(facts->sqlstate, SQLSTATE_ADMIN_SHUTDOWN) == 0 ||
			strcmp(facts->sqlstate, SQLSTATE_CRASH_SHUTDOWN) == 0)
			failure = FAILURE_TEMPORARY;
		else if (strncmp(facts->sqlstate, "28", 2) == 0)
			lookup_doubt_pool(channel);
		channel_host_failed(channel, failure, facts->sqlstate, facts->problem);
		return bytes.length;
	}
	return used;
}
