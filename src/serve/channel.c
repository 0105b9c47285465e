/* A server connection's life in one worker.
 *
 *   RESOLVING -> CONNECTING -> LOGIN -> GREETING -> IDLE <------------------+
 *       |            |           |         |         |  lend               | proven free
 *       +------------+-----------+---------+         v                     |
 *                  dial failed                     LENT --> CLEANING ------+
 *                                                    |          |
 *     (LOGIN took too long, or was killed) ----------+----------+--> CLOSING --> end of file
 *
 *  LENT:     guest is set. While `checking` or `learning` only our own queries run.
 *  CLEANING: no guest; what is still owed is read and dropped, then ROLLBACK, then the reset query if the mode wants one.
 *  CLOSING:  counts at PostgreSQL until its socket ends.
 *
 * The core is told of every change; it alone decides what follows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/text.h"
#include "serve/catalogs.h"
#include "serve/channel.h"
#include "serve/extras.h"
#include "serve/hosts.h"
#include "serve/log_forms.h"
#include "serve/lookups.h"
#include "serve/replication.h"
#include "serve/suits.h"

void channel_step(struct channel *channel, enum event_kind kind)
{
	struct event event = {
		.kind = kind,
		.now = channel->worker->now,
		.server = channel->id,
		.worker = channel->worker->index,
		.pool = channel->pool,
		.process_id = channel->process_id,
	};

	worker_step(channel->worker, &event);
}

void channel_log(const struct channel *channel, enum log_level level, const char *format, ...)
{
	const struct pool_view *view = channel_view(channel);
	char line[512], handle[40];
	va_list list;

	if (!log_wants(level))
		return;
	va_start(list, format);
	vsnprintf(line, sizeof line, format, list);
	va_end(list);
	text_format(handle, sizeof handle, "%u.%u", channel->id.slot, channel->id.generation);
	log_about(channel->worker->config,
		&(struct log_subject){
			'S', handle, channel->number, view->database_name, view->user, &channel->address },
		level, line);
}

struct channel *channel_get(struct worker *worker, server_id id)
{
	struct channel *channel = id.slot < worker->channel_capacity ? worker->channels[id.slot] : NULL;

	return channel && channel->id.generation == id.generation ? channel : NULL;
}

bool channel_place(struct worker *worker, struct channel *channel)
{
	struct channel **channels = array_reach(
		worker->channels, &worker->channel_capacity, channel->id.slot, sizeof *channels);

	if (!channels)
		return false;
	worker->channels = channels;
	check(!worker->channels[channel->id.slot]);
	worker->channels[channel->id.slot] = channel;
	worker->channel_count++;
	return true;
}

void channel_forget(struct channel *channel)
{
	struct worker *worker = channel->worker;

	check(!channel->guest && channel_get(worker, channel->id) == channel);
	host_leave(channel);
	worker->channels[channel->id.slot] = NULL;
	worker->channel_count--;
	timer_clear(&worker->timers, &channel->timer);
	stream_close(&channel->stream);
	check(worker->dead_count < worker->dead_capacity);
	worker->dead[worker->dead_count++] = channel;
}

void channel_bury(struct channel *channel)
{
	server_login_free(channel->login);
	track_fini(&channel->track);
	params_drop(channel->applied);
	params_drop(channel->reported);
	params_drop(channel->base);
	params_drop(channel->asked_for);
	params_drop(channel->asked_on_base);
	catalogs_fini(channel);
	remains_fini(&channel->remains);
	prepared_free(channel->prepared);
	free(channel->addresses);
	free(channel->tries);
	free(channel->host);
	secret_wipe(channel->secret, sizeof channel->secret);
	free(channel);
}

bool channel_reserve_grave(struct worker *worker)
{
	size_t want = worker->dead_count + worker->channel_count + 16;
	struct channel **grown;

	if (want <= worker->dead_capacity)
		return true;
	grown = realloc(worker->dead, want * 2 * sizeof *grown);
	if (!grown)
		return false;
	worker->dead = grown;
	worker->dead_capacity = want * 2;
	return true;
}
void channel_bytes(struct channel *channel, struct span bytes)
{
	size_t used;

	switch ((enum channel_state)channel->state) {
	case CHANNEL_LOGIN:
		used = channel_login_bytes(channel, bytes);
		if (channel->state < CHANNEL_LOGIN)
			break;
		/* What came with the last message of the login is already the connected server's. */
		if (channel->stream && channel->state != CHANNEL_LOGIN && used < bytes.length)
			used += relay_server(channel, span_skip(bytes, used));
		break;
	case CHANNEL_RESOLVING:
	case CHANNEL_CONNECTING:
		used = 0;
		break;
	case CHANNEL_CLOSING:
		used = bytes.length;
		break;
	case CHANNEL_GREETING:
	case CHANNEL_IDLE:
	case CHANNEL_LENT:
	case CHANNEL_CLEANING:
		used = relay_server(channel, bytes);
		break;
	default:
		used = bytes.length;
		break;
	}
	if (channel->state < CHANNEL_LOGIN)
		return; /* another host is tried, on another stream */
	if (channel->stream)
		stream_consume(channel->stream, used < bytes.length ? used : bytes.length);
}

/* What was queued for the server has gone out: its client may send again. */
void channel_room(struct channel *channel)
{
	if (channel->guest && channel->guest->state == GUEST_LENT && !channel->checking)
		stream_resume(channel->guest->stream);
}

/* Its connect_query is under way. */
static bool is_greeted(const struct channel *channel)
{
	const struct database_settings *database = channel_view(channel)->database;

	return channel->state == CHANNEL_GREETING && database && database->connect_query && !channel->asking_nature &&
		!channel->remains.asked && !channel->remains.reading.catalog;
}

void channel_rings(struct channel *channel)
{
	switch ((enum channel_state)channel->state) {
	case CHANNEL_RESOLVING:
	case CHANNEL_CONNECTING:
	case CHANNEL_LOGIN:
		channel_host_late(channel);
		break;
	case CHANNEL_LENT:
		if (channel->checking)
			channel_break(channel, "the server did not answer the check query in time");
		else if (channel->guest->state == GUEST_ASKING)
			lookup_late(channel);
		else if (!channel_enforce_limits(channel)) {
			channel_limits(channel);
			remains_ask_again(channel);
			if (channel->state == CHANNEL_LENT)
				numbers_yield(channel);
		}
		break;
	case CHANNEL_CLOSING:
		channel_log(channel, LOG_WARNING, "the server's end was not seen in time (server_orphan_timeout)");
		channel_ended(channel, 0);
		break;
	case CHANNEL_GREETING:
		if (is_greeted(channel))
			channel_greeting_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT,
				"connect_query did not end in time (server_connect_timeout)", false);
		else
			channel_break(channel,
				channel->asking_nature ? "it did not say in time what it is"
						       : "it did not answer in time what its login asked it");
		break;
	case CHANNEL_IDLE:
	case CHANNEL_CLEANING:
	default:
		break;
	}
}
/* ---- ends ---- */

static void log_closing(const struct channel *channel, const char *reason)
{
	const struct config *config = channel->worker->config;
	char age[AGE_TEXT];

	if (config->log_disconnections)
		channel_log(channel, LOG_LOG, "closing because: %s (age=%s)", log_reason(config, reason),
			log_age(config, channel->worker->now - channel->connected, age));
}

void channel_close(struct channel *channel, const char *reason)
{
	struct worker *worker = channel->worker;
	struct piece terminate = { "X\0\0\0\4", 5 };
	bool quiet = track_quiet(&channel->track);

	check(!channel->guest);
	if (channel->state == CHANNEL_CLOSING)
		return;
	if (channel->replication && channel->state == CHANNEL_IDLE) {
		replication_failed(channel, SQLSTATE_ADMIN_SHUTDOWN, reason); /* nothing was connected */
		return;
	}
	if (channel->state <= CHANNEL_LOGIN) {
		channel_dial_killed(channel, reason);
		return;
	}
	log_closing(channel, reason);
	channel->state = CHANNEL_CLOSING;
	stream_resume(channel->stream);
	if (quiet)
		(void)stream_write(channel->stream, &terminate, 1);
	stream_shut(channel->stream);
	/* A backend that is busy sees our end only when it is done, and counts until then; a quiet one goes at once. */
	if (quiet && worker->config->server_orphan_timeout > 0)
		timer_set(&worker->timers, &channel->timer, worker->now + worker->config->server_orphan_timeout);
	channel_step(channel, EVENT_SERVER_CLOSING);
}

/* The backend behind it is known to be gone, or only the way to it is cut. */
static bool is_proven_end(int error)
{
	return error == 0 || error == ECONNRESET || error == EPIPE || error == ECONNREFUSED;
}

/* For how long a login that lost the server it learned from tries others: one server after the other could be lost to
 * the parameters that it asks for. */
#define LEARN_AGAIN_US (3 * SECOND_US)

/* Nothing of its client's was sent to the server that is lost now, so that another one will do. */
static bool may_go_on(const struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct extras *extras;

	if (guest && channel->checking)
		return true;
	if (!guest || !channel->learning)
		return false;
	/* Its parameters were answered with more than a farewell: they would be again. */
	if (channel->setup_failed && strncmp(channel->sqlstate, "57P", 3) != 0)
		return false;
	extras = extras_of(guest);
	if (!extras)
		return false;
	if (extras->lost_since == 0)
		extras->lost_since = channel->worker->now;
	return channel->worker->now < extras->lost_since + LEARN_AGAIN_US;
}

/* connect_query ended it. */
static void greeting_ended(struct channel *channel, const char *closed)
{
	char text[sizeof channel->problem + 40];

	text_format(text, sizeof text, "connect_query ended its server: %s",
		channel->setup_failed ? channel->problem : closed);
	channel_greeting_failed(channel, FAILURE_GREETING,
		channel->setup_failed ? channel->sqlstate : SQLSTATE_CONNECTION_FAILURE, text, true);
}

/* Its server is gone, and the core knows. */
static void tell_guest(struct guest *guest, bool goes_on, const char *problem)
{
	bool bouncer = guest->worker->config->manner == MANNER_PGBOUNCER;
	const char *message = bouncer ? "server conn crashed?" : "server closed the connection unexpectedly";

	if (goes_on) {
		/* It keeps its place and gets another server. */
		guest_lent(guest, NULL, NULL);
		return;
	}
	if (guest->state == GUEST_ASKING)
		lookup_failed(guest, problem);
	else if (guest->fatal_seen)
		guest_end(guest, NULL, bouncer ? message : problem);
	else
		guest_complain(guest, bouncer ? SQLSTATE_PROTOCOL_VIOLATION : SQLSTATE_CONNECTION_FAILURE, message,
			problem, NULL);
}

void channel_ended(struct channel *channel, int error)
{
	struct event event = {
		.kind = EVENT_SERVER_LOST,
		.now = channel->worker->now,
		.server = channel->id,
		.worker = channel->worker->index,
		.proven = is_proven_end(error),
	};
	char text[200], where[ADDRESS_TEXT];
	struct guest *guest = channel->guest;
	bool goes_on;

	switch ((enum channel_state)channel->state) {
	case CHANNEL_RESOLVING:
	case CHANNEL_CONNECTING:
		text_format(text, sizeof text, "connection to server at %s failed: %s",
			address_text(&channel->address, where),
			tls_why_ended(channel->stream, error, "connection closed"));
		channel_host_failed(channel, FAILURE_REFUSED, SQLSTATE_CANNOT_CONNECT, text);
		return;
	case CHANNEL_LOGIN:
		text_format(text, sizeof text, "server at %s closed the connection during the login%s%s",
			address_text(&channel->address, where), error ? ": " : "",
			tls_why_ended(channel->stream, error, ""));
		channel_host_failed(channel, FAILURE_TEMPORARY, SQLSTATE_CONNECTION_FAILURE, text);
		return;
	case CHANNEL_GREETING:
	case CHANNEL_IDLE:
	case CHANNEL_LENT:
	case CHANNEL_CLEANING:
		text_format(text, sizeof text, "server closed the connection%s%s", error ? ": " : "",
			tls_why_ended(channel->stream, error, ""));
		if (is_greeted(channel) && event.proven) {
			greeting_ended(channel, text);
			return;
		}
		log_closing(channel, text);
		break;
	case CHANNEL_CLOSING:
	default:
		break;
	}
	stream_close(&channel->stream);
	timer_clear(&channel->worker->timers, &channel->timer);
	goes_on = may_go_on(channel);
	if (guest)
		channel_part(channel);
	worker_step(channel->worker, &event);
	if (guest)
		tell_guest(guest, goes_on,
			error ? strerror(error) : "The connection between the pooler and PostgreSQL was lost.");
	channel_forget(channel);
}

void channel_break(struct channel *channel, const char *problem)
{
	struct guest *guest = channel->guest;
	/* What makes one server useless for auth_query would do so to the next. */
	bool goes_on = may_go_on(channel) && (!guest || guest->state != GUEST_ASKING || channel->checking);

	channel_log(channel, LOG_WARNING, "%s", problem);
	channel->broken = true;
	if (channel->state <= CHANNEL_LOGIN) {
		channel_dial_failed(channel, FAILURE_REFUSED, SQLSTATE_PROTOCOL_VIOLATION, problem);
		return;
	}
	outbox_hurry(channel->worker, channel->stream);
	if (guest)
		channel_part(channel);
	channel_close(channel, problem);
	if (guest)
		tell_guest(guest, goes_on, problem);
}

/* ---- between workers ---- */

struct letter_server {
	struct letter letter;
	struct channel *channel;
	struct parcel *parcel;
};

void channel_give(struct channel *channel, uint32_t to)
{
	struct worker *worker = channel->worker;
	struct letter_server *letter = calloc(1, sizeof *letter);

	check(channel->state == CHANNEL_IDLE && !channel->guest && channel->errands == 0);
	if (letter && channel->stream)
		letter->parcel = stream_detach(&channel->stream);
	if (!letter || (!letter->parcel && !channel->replication)) {
		free(letter);
		channel_close(channel, "out of memory");
		return;
	}
	timer_clear(&worker->timers, &channel->timer);
	worker->channels[channel->id.slot] = NULL;
	worker->channel_count--;
	letter->letter.kind = LETTER_SERVER;
	letter->channel = channel;
	worker_post(worker, to, &letter->letter);
}

void channel_take(struct worker *worker, struct letter *mail)
{
	struct letter_server *letter = (struct letter_server *)(void *)mail;
	struct channel *channel = letter->channel;
	struct event lost = { .kind = EVENT_SERVER_LOST,
		.now = worker->now,
		.server = channel->id,
		.worker = worker->index,
		.proven = true };

	channel->worker = worker;
	if (letter->parcel)
		channel->stream = stream_attach(worker->loop, &letter->parcel, NULL, channel);
	free(letter);
	if ((!channel->stream && !channel->replication) || !pool_view(worker, channel->pool) ||
		!channel_reserve_grave(worker) || !channel_place(worker, channel)) {
		stream_close(&channel->stream);
		host_leave(channel);
		worker_step(worker, &lost);
		channel_bury(channel);
		return;
	}
	leave_late(channel);
	channel_step(channel, EVENT_SERVER_ARRIVED);
}
