/* What the core decided is done here: each of its effects, by the worker that it concerns. */
#include <stdlib.h>

#include "base/check.h"
#include "serve/worker.h"

static void mail_effect(struct worker *worker, const struct effect *effect)
{
	struct letter_effect *letter = malloc(sizeof *letter);

	check(letter); /* an effect that is lost would leave the core waiting for ever */
	letter->letter.kind = LETTER_EFFECT;
	letter->effect = *effect;
	worker_post(worker, effect->worker, &letter->letter);
}

static void stop_all(struct worker *worker)
{
	struct letter *letter = calloc(1, sizeof *letter);

	check(letter); /* as above: nobody would be served any more, and nothing end */
	letter->kind = LETTER_STOP;
	mailbox_post(worker->house->keeper_mailbox, letter);
}

/* The client is not there any more, or does not want one any more: the server is free again. */
static void lend_in_vain(struct worker *worker, server_id server)
{
	struct event event = {
		.kind = EVENT_SERVER_READY, .now = worker->now, .server = server, .worker = worker->index
	};

	worker_step(worker, &event);
}

static void perform_lend(struct worker *worker, const struct effect *effect)
{
	struct guest *guest = slots_get(&worker->guests, effect->client.client);
	struct channel *channel = channel_get(worker, effect->server);

	bool wants = guest &&
		(guest->state == GUEST_WAITING || guest->state == GUEST_LEARNING || guest->state == GUEST_ASKING) &&
		!guest->channel;

	if (!channel || channel->state != CHANNEL_IDLE) {
		/* It ended meanwhile, and the core was told; for the core that was the end of this lease, so the client wants again. */
		if (wants)
			guest_lent(guest, NULL, NULL);
	} else if (!wants)
		lend_in_vain(worker, effect->server);
	else
		guest_lent(guest, channel, effect);
}

static void close_database(struct worker *worker, database_id database, const struct effect *effect)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->state != GUEST_ENDING && guest->state != GUEST_CONSOLE && guest->pool != NO_POOL &&
			(database == NO_DATABASE || worker->views[guest->pool]->database_id == database))
			guest_refused(guest, effect);
}

static const char *close_text(enum close_reason reason)
{
	static const char *const reasons[] = {
		[CLOSE_NONE] = "asked to close",
		[CLOSE_IDLE] = "server idle timeout",
		[CLOSE_LIFETIME] = "server lifetime over",
		[CLOSE_MAKE_ROOM] = "evicted for another pool",
		[CLOSE_PAUSE] = "pause mode",
		[CLOSE_KILL] = "database killed",
		[CLOSE_RECONNECT] = "reconnect",
		[CLOSE_VACATED] = "nobody is in its database, which may be dropped",
		[CLOSE_UNFIT] = "it is not what target_session_attrs or its host's name asks for any more",
		[CLOSE_SHRINK] = "more servers than the limits allow",
		[CLOSE_SHUTDOWN] = "the process ends when its servers are free",
	};

	return reasons[reason];
}

static void perform_close(struct worker *worker, const struct effect *effect)
{
	struct channel *channel = channel_get(worker, effect->server);

	if (!channel)
		return;
	if (channel->guest && channel->replication)
		guest_complain(channel->guest,
			worker->config->manner == MANNER_PGBOUNCER ? SQLSTATE_PROTOCOL_VIOLATION
								   : SQLSTATE_ADMIN_SHUTDOWN,
			worker->config->manner == MANNER_PGBOUNCER
				? "database configuration changed"
				: "terminating connection due to administrator command",
			close_text(effect->reason), NULL);
	else if (channel->guest)
		channel_break(channel, close_text(effect->reason));
	else
		channel_close(channel, close_text(effect->reason));
	if (effect->reason == CLOSE_RECONNECT)
		pool_forget(worker, channel->pool);
}

void worker_perform_one(struct worker *worker, const struct effect *effect)
{
	struct guest *guest = slots_get(&worker->guests, effect->client.client);
	struct channel *channel;

	switch (effect->kind) {
	case EFFECT_ADMIT:
		if (guest && guest->state != GUEST_ENDING)
			guest_admitted(guest);
		break;
	case EFFECT_REFUSE:
		if (guest && guest->state != GUEST_ENDING)
			guest_refused(guest, effect);
		break;
	case EFFECT_LEND:
		perform_lend(worker, effect);
		break;
	case EFFECT_DIAL:
		channel_dial(worker, effect);
		break;
	case EFFECT_MOVE:
		channel = channel_get(worker, effect->server);
		if (channel && channel->state == CHANNEL_IDLE)
			channel_give(channel, effect->to);
		break;
	case EFFECT_CLOSE:
		perform_close(worker, effect);
		break;
	case EFFECT_LEAVE:
		channel = channel_get(worker, effect->server);
		if (channel)
			channel_leave(channel, close_text(effect->reason));
		break;
	case EFFECT_FORGET:
		pool_unused(worker, effect->pool);
		break;
	case EFFECT_EXPEL:
		if (handle_none(effect->client.client))
			close_database(worker, effect->database, effect);
		else if (guest && guest->state != GUEST_ENDING)
			guest_refused(guest, effect);
		break;
	case EFFECT_SUSPEND:
		suspend_begin(worker, effect->suspension);
		break;
	case EFFECT_RESUME:
		suspend_end(worker, effect->suspension);
		break;
	case EFFECT_ANSWER:
		if (guest && guest->desk)
			desk_answer(guest, effect->problem);
		break;
	case EFFECT_QUIT:
		stop_all(worker);
		break;
	}
}

void worker_perform(struct worker *worker)
{
	struct effect effect;
	size_t at = 0;

	/* Performing one may ask the core again: the list grows while it is read. */
	while (at < worker->effects.count) {
		effect = worker->effects.list[at++];
		if (effect.worker == worker->index)
			worker_perform_one(worker, &effect);
		else
			mail_effect(worker, &effect);
	}
	worker->effects.count = 0;
}
