/* A lease in this worker: its beginning, its limits, its end, and the cleaning after it. See the drawing in channel.c.
 *
 * A server is set free only when nothing is owed, the transaction is over, no cancel is on its way to it, and nothing about it is in
 * doubt. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/lookups.h"
#include "serve/replication.h"
#include "serve/suits.h"

/* ---- our own queries ---- */

bool channel_query(struct channel *channel, struct span text)
{
	return channel_ask(channel, text, 0);
}

bool channel_ask(struct channel *channel, struct span text, uint32_t tag)
{
	struct buf message = { 0 };
	struct writer w = writer_to(&message);
	bool ok;

	message_query(&w, text);
	ok = writer_ok(&w) && channel_say(channel, buf_span(&message), TRACK_QUERY, tag);
	buf_fini(&message);
	return ok;
}

bool channel_say(struct channel *channel, struct span message, enum track_kind kind, uint32_t tag)
{
	struct piece piece = { message.at, message.length };
	bool quiet = track_quiet(&channel->track), ok = track_push(&channel->track, kind, TRACK_OURS, tag);

	if (ok && outbox_is_for(&channel->worker->to_server, channel->stream))
		outbox_copy(&channel->worker->to_server, message.at, message.length);
	else if (ok)
		ok = stream_write(channel->stream, &piece, 1);
	channel->batch++;
	channel->unnamed = PREPARED_NONE; /* PostgreSQL drops the unnamed statement, or it is ours */
	/* One that has failed already is told so by its own ReadyForQuery, which may be still to come. */
	if (quiet)
		channel->setup_failed = false;
	return ok;
}

bool channel_runs_own(const struct channel *channel)
{
	const struct track *track = &channel->track;
	const struct track_entry *head = track->count > 0 ? &track->ring[track->head] : NULL;

	return head && (head->flags & TRACK_OURS) &&
		(head->kind == TRACK_QUERY || head->kind == TRACK_SET || head->kind == TRACK_BEGIN);
}

/* ---- leases ---- */

/* A learning lease: nothing is asked but what the server reports for these parameters. */
static void begin_learning(struct channel *channel)
{
	if (!channel_differs(channel, channel->guest->wanted)) {
		guest_learned(channel->guest, channel);
		return;
	}
	if (!channel_send_difference(channel, channel->guest->wanted))
		channel_break(channel, "out of memory");
	else if (!channel->setting)
		guest_learned(channel->guest, channel);
}

static void begin_lease(struct channel *channel)
{
	struct guest *guest = channel->guest;

	channel->checking = false;
	channel->lent_since = channel->worker->now;
	if (channel->learning)
		begin_learning(channel);
	else
		channel->unprepared = true;
	if (channel->guest == guest && !channel->learning)
		channel_limits(channel);
}

bool channel_prepare(struct channel *channel)
{
	struct guest *guest = channel->guest;

	if (!channel->unprepared)
		return true;
	channel->unprepared = false;
	if ((channel_differs(channel, guest->wanted) && !channel_send_difference(channel, guest->wanted)) ||
		!remains_begin(channel) || !hearer_begin(channel) || !relay_begin(channel)) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return false;
	}
	if (!channel->setting)
		relay_report(guest, channel, &channel->worker->to_client);
	return true;
}

void channel_lend(struct channel *channel, struct guest *guest, bool check_first)
{
	const char *query = channel->worker->config->server_check_query;
	bool hurries;

	if (channel->replication) {
		replication_lend(channel, guest);
		return;
	}
	check(channel->state == CHANNEL_IDLE && !channel->guest && !guest->channel);
	check(track_idle(&channel->track) && !channel->track.suspect && !channel->broken);
	check(guest->worker == channel->worker && guest->pool == channel->pool);
	/* Nothing of its last client is on it, nor under way to anybody. */
	check(!channel->dirty && !channel->pinned && !channel->setting && !channel->forward);
	channel->state = CHANNEL_LENT;
	channel->guest = guest;
	guest->channel = channel;
	channel->learning = guest->state == GUEST_LEARNING || guest->state == GUEST_ASKING;
	if (guest->state == GUEST_ASKING)
		channel->applied_doubtful = true; /* the session is reset before it is asked for secrets */
	/* It says only behind a query that it was promoted meanwhile. */
	check_first = check_first || (guest->state == GUEST_LEARNING && reports_standby(channel->reported));
	channel->requested = channel->worker->now;
	channel->query_since = 0;
	channel->transaction_since = 0;
	channel->quiet_since = channel->worker->now;
	channel->unnamed = PREPARED_NONE;
	channel->unnamed_owed = 0;
	/* What it has prepared, and what it hears, is kept here, and no session of its own would know of it. */
	channel->session = channel_view(channel)->rules.mode == POOL_SESSION && !guest->moves;
	guest->moves = !channel->session && !channel->learning;
	channel->setup_failed = false;
	channel->statement_length = channel->opening_length = 0;
	channel->said = false;
	channel->unread_since = 0;
	channel->opened = false;
	channel->lifting = false;
	if (guest->state != GUEST_ASKING && remains_refuse(channel, guest)) {
		channel->checking = true; /* this lease never was */
		channel_part(channel);
		channel_close(channel, "a setting of its next client can not be made there");
		guest_lent(guest, NULL, NULL);
		return;
	}
	hurries = channel_hurries(channel, guest->wanted);
	channel->checking = check_first || hurries;
	if (!channel->checking) {
		begin_lease(channel);
		return;
	}
	timer_set(&channel->worker->timers, &channel->timer,
		channel->worker->now +
			(channel->worker->config->server_connect_timeout > 0
					? channel->worker->config->server_connect_timeout
					: 15 * SECOND_US));
	if ((hurries && !channel_lift(channel, guest->wanted)) ||
		(check_first && !channel_query(channel, span_text(query))))
		channel_break(channel, "out of memory");
}

/* The limits of a lease, and what else it has to do at some time, looked at when the earliest could be over; re-armed with what is then known. */
void channel_limits(struct channel *channel)
{
	const struct pool_rules *rules = &channel_view(channel)->rules;
	time_us now = channel->worker->now, due = 0, at;

	if (rules->query_timeout > 0) {
		at = (channel->query_since ? channel->query_since : now) + rules->query_timeout;
		due = time_sooner(due, at);
	}
	if (rules->transaction_timeout > 0) {
		at = (channel->transaction_since ? channel->transaction_since : now) + rules->transaction_timeout;
		due = time_sooner(due, at);
	}
	if (rules->idle_transaction_timeout > 0) {
		at = (track_quiet(&channel->track) && channel->track.status != 'I' ? channel->quiet_since : now) +
			rules->idle_transaction_timeout;
		due = time_sooner(due, at);
	}
	due = time_sooner(due, numbers_due(channel));
	due = time_sooner(due, remains_due(channel));
	if (due)
		timer_set(&channel->worker->timers, &channel->timer, due > now ? due : now + MILLISECOND_US);
}

bool channel_enforce_limits(struct channel *channel)
{
	const struct pool_rules *rules = &channel_view(channel)->rules;
	time_us now = channel->worker->now;
	bool quiet = track_quiet(&channel->track), open = channel->track.status == 'T' || channel->track.status == 'E';
	bool bouncer = channel->worker->config->manner == MANNER_PGBOUNCER;

	if (rules->query_timeout > 0 && !quiet && channel->query_since &&
		now >= channel->query_since + rules->query_timeout) {
		guest_complain(channel->guest, bouncer ? SQLSTATE_PROTOCOL_VIOLATION : SQLSTATE_QUERY_CANCELED,
			"query timeout", NULL, NULL);
		return true;
	}
	if (rules->idle_transaction_timeout > 0 && quiet && open &&
		now >= channel->quiet_since + rules->idle_transaction_timeout) {
		guest_complain(channel->guest, bouncer ? SQLSTATE_PROTOCOL_VIOLATION : SQLSTATE_IDLE_IN_TRANSACTION,
			"idle transaction timeout", NULL, NULL);
		return true;
	}
	if (rules->transaction_timeout > 0 && channel->transaction_since &&
		now >= channel->transaction_since + rules->transaction_timeout) {
		guest_complain(channel->guest, bouncer ? SQLSTATE_PROTOCOL_VIOLATION : SQLSTATE_TRANSACTION_TIMEOUT,
			"transaction timeout", NULL, NULL);
		return true;
	}
	return false;
}

/* Who shares servers and who has one for a session look for different things that the other may have left. Both are in one pool where a RELOAD has
 * changed its mode; another worker may be the one that knows. */
static bool meets_others(const struct channel *channel)
{
	const struct pool_view *view = channel_view(channel);
	bool sessions = view->rules.mode == POOL_SESSION;

	return channel->session != sessions || (sessions && atomic_load(&channel->worker->house->modes_mixed));
}

/* ---- the end of a lease ---- */

void channel_part(struct channel *channel)
{
	struct guest *guest = channel->guest;

	if (guest) {
		if (!channel->learning && !channel->checking)
			meter_add(&channel_view(channel)->times.lease, channel->worker->now - channel->lent_since);
		guest->cut_short = channel->body_left > 0 && channel->forward;
		channel->forward = false; /* what is still to come of it is for nobody */
		/* Its long statements are there under its own names: nobody else may find them. */
		channel->broken = channel->broken || guest->long_names;
		guest->long_names = guest->unnamed_long = false;
		pending_clear(guest);
		guest->channel = NULL;
	}
	channel->guest = NULL;
	channel->learning = channel->checking = channel->unprepared = false;
	channel_cancel_no_more(channel);
	channel->pinned = channel->telling = channel->marked = channel->unnamed_portal_ends = channel->portals_end =
		channel->may_copy = false;
	if (remains_part(channel) || meets_others(channel))
		channel->dirty = true;
	timer_clear(&channel->worker->timers, &channel->timer);
	if (channel->stream)
		stream_resume(channel->stream);
}

static bool needs_reset(const struct channel *channel)
{
	const struct config *config = channel->worker->config;

	return config->server_reset_query[0] && (channel->session || config->server_reset_query_always);
}

static const char discard_all[] = "DISCARD ALL";

/* What was left by a client goes first, then what the configuration wants. */
static const char *reset_query(const struct channel *channel)
{
	return channel->dirty ? discard_all : channel->worker->config->server_reset_query;
}

/* It is proven free: on with it. */
static void set_free(struct channel *channel)
{
	check(track_idle(&channel->track) && !channel->guest);
	if (channel->errands > 0)
		return; /* a cancel on its way could hit the next client: channel_settle comes again when it has arrived */
	channel->state = CHANNEL_IDLE;
	channel_step(channel, EVENT_SERVER_READY);
}

void channel_begin_cleaning(struct channel *channel)
{
	if (channel->state == CHANNEL_CLEANING)
		return;
	channel->state = CHANNEL_CLEANING;
	channel_step(channel, EVENT_SERVER_CLEANING);
}

void channel_clean(struct channel *channel)
{
	if (channel->broken || channel->track.suspect) {
		channel_close(channel, "its state is not known for certain");
		return;
	}
	if (!track_quiet(&channel->track))
		return;
	if (channel->track.status != 'I') {
		if (channel->rolling_back) {
			channel_close(channel, "a transaction could not be rolled back");
			return;
		}
		channel->rolling_back = true;
		channel_begin_cleaning(channel);
		if (!channel_query(channel, span_text("ROLLBACK")))
			channel_close(channel, "out of memory");
		return;
	}
	if (channel->listening && !channel->unlistening) {
		channel->unlistening = true;
		channel_begin_cleaning(channel);
		if (!channel_query(channel, span_text("UNLISTEN *")))
			channel_close(channel, "out of memory");
		return;
	}
	if (channel->unlistening && channel->setup_failed) {
		channel_close(channel, "UNLISTEN failed");
		return;
	}
	channel->listening = channel->unlistening = false;
	if ((needs_reset(channel) || channel->dirty) && !channel->resetting) {
		channel->resetting = true;
		channel_begin_cleaning(channel);
		if (!channel_query(channel, span_text(reset_query(channel))))
			channel_close(channel, "out of memory");
		return;
	}
	if (channel->resetting && channel->setup_failed) {
		channel_log(channel, LOG_WARNING, "reset query failed: %s", channel->problem);
		channel_close(channel, "the reset query failed");
		return;
	}
	if (channel->resetting && strcmp(reset_query(channel), discard_all) == 0) {
		channel->remains.numbers = (struct numbers){ 0 };
		params_drop(channel->applied);
		channel->applied = params_empty(channel->worker->house->params);
		/* What its login and connect_query said is gone too. */
		channel->applied_doubtful = channel->base && params_count(channel->base) > 0;
		if (channel->base_given) {
			channel_close(channel, "what its login has set can not be set again");
			return;
		}
	}
	if (channel->dirty) {
		bool more = needs_reset(channel) &&
			strcmp(channel->worker->config->server_reset_query, discard_all) != 0;

		channel->dirty = false;
		channel->resetting = !more;
		if (more) {
			channel_clean(channel);
			return;
		}
	}
	if (!suits_clean(channel))
		return;
	if (channel->errands > 0)
		channel_begin_cleaning(channel);
	channel->rolling_back = channel->resetting = false;
	set_free(channel);
}

/* A client's limit of its own idling would end the server, at whatever moment: it is the client that is held to it (guest.c). */
static bool ends_at_rest(const struct channel *channel)
{
	const char *limit = params_get(channel->applied, span_text(REST_LIMIT));
	const char *base = channel->base ? params_get(channel->base, span_text(REST_LIMIT)) : NULL;

	return limit && strcmp(limit, "0") != 0 && (!base || strcmp(limit, base) != 0);
}

void channel_return(struct channel *channel)
{
	struct guest *guest = channel->guest;

	check(channel->state == CHANNEL_LENT && track_idle(&channel->track));
	channel_part(channel);
	channel->dirty = channel->dirty || ends_at_rest(channel);
	channel->rolling_back = channel->resetting = false;
	channel_clean(channel);
	guest_returned(guest);
}

static void end_session(struct channel *channel, const char *reason)
{
	struct guest *guest = channel->guest;
	bool bouncer = channel->worker->config->manner == MANNER_PGBOUNCER;

	channel_part(channel);
	channel_close(channel, reason);
	guest_complain(guest, bouncer ? SQLSTATE_PROTOCOL_VIOLATION : SQLSTATE_ADMIN_SHUTDOWN,
		bouncer ? "database configuration changed" : "terminating connection due to administrator command",
		reason, NULL);
}

void channel_leave(struct channel *channel, const char *reason)
{
	if (channel->state != CHANNEL_LENT || !channel->session)
		return;
	channel->leaving = reason;
	channel_settle(channel);
}

/* ---- what follows a ReadyForQuery ---- */

static void settle_lease(struct channel *channel)
{
	struct guest *guest = channel->guest;

	channel_cancel_due(channel);
	if (channel_cancel_looks(channel))
		return;
	if ((channel->session && !channel->leaving) || !track_idle(&channel->track) || channel->unprepared)
		return;
	/* The rest of a message it is sending must not end up with somebody else, nor be missing in one that it is sent. */
	if ((guest->body_left > 0 && !guest->discarding) || (channel->body_left > 0 && channel->forward))
		return;
	if (channel->leaving) {
		end_session(channel, channel->leaving);
		return;
	}
	if (!remains_settle(channel) || channel->pinned)
		return;
	channel_return(channel);
}

void channel_settle(struct channel *channel)
{
	if (!channel->stream)
		return;
	if (channel->errands > 0 && track_quiet(&channel->track))
		errand_call_off(channel);
	switch ((enum channel_state)channel->state) {
	case CHANNEL_GREETING:
		if (track_quiet(&channel->track) && channel->track.status != 'I') {
			channel_greeting_failed(channel, FAILURE_REFUSED, SQLSTATE_ACTIVE_TRANSACTION,
				"connect_query left a transaction open", false);
			break;
		}
		if (!track_idle(&channel->track) || !suits_settle(channel))
			break;
		if (channel->setup_failed)
			channel_log(channel, LOG_WARNING, "%s: %s",
				channel->base ? "what its login has set could not be asked for"
					      : "connect_query failed",
				channel->problem);
		channel->setup_failed = false;
		channel->applied_doubtful = false;
		if (!remains_learn_base(channel) || !remains_learn_catalog(channel))
			break;
		timer_clear(&channel->worker->timers, &channel->timer);
		channel->state = CHANNEL_IDLE;
		channel_step(channel, EVENT_SERVER_READY);
		break;
	case CHANNEL_LENT:
		if (channel->checking) {
			if (channel->setup_failed)
				channel_break(channel,
					channel->lifting ? "a short limit of its last client's could not be lifted"
							 : "the check query failed");
			else if (track_idle(&channel->track)) {
				struct guest *guest = channel->guest;

				timer_clear(&channel->worker->timers, &channel->timer);
				begin_lease(channel);
				if (guest->channel == channel && !channel->learning && guest->state == GUEST_WAITING)
					guest_lent(guest, channel, NULL);
			}
			break;
		}
		if (!channel->learning)
			settle_lease(channel);
		break;
	case CHANNEL_CLEANING:
		channel_clean(channel);
		break;
	case CHANNEL_RESOLVING:
	case CHANNEL_CONNECTING:
	case CHANNEL_LOGIN:
	case CHANNEL_IDLE:
	case CHANNEL_CLOSING:
	default:
		break;
	}
}
