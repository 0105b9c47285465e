/* Errands: a connection of its own to a server's host that carries one CancelRequest and ends.
 *
 * PostgreSQL signals the backend before it closes that connection, and does so twice: the process, then its group (postmaster.c, signal_child); between
 * the two it may be made to wait. Until it is closed the channel is not lent to anybody else (channel->errands), so that a late cancel can not
 * hit the next client's query. Nor is anybody who brought a cancel let go before that: who waits for it may ask for something else then, of the
 * same server, and that must not be hit either. Most drivers do not wait for it but for the error, so what a client says when everything is answered
 * waits here as well (remains_hold). An errand that has said nothing by then is called off.
 *
 * Nor is anything of ours said to it before (remains_arrived): a Query of ours in front of a client's that is hit ends the client. Within
 * a batch of the client's it may be hit, as the batch may; and between two clients, where it costs no more than the server.
 *
 *    a query of ours is what the server is at, or an errand is on its way there  -> it is wanted: its bringer is among channel->askers
 *         nothing is owed, but the client's next message is held behind ours     -> the same, until that was sent; the lease goes on
 *       the client's own is what the server is at, and no errand is on its way   -> an errand, which takes the askers along
 *       nothing is owed any more, or the lease ends                              -> it came too late: they are let go */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/hearers.h"
#include "serve/worker.h"

struct errand {
	enum party party;
	struct worker *worker;
	struct errand *next, *previous;
	struct stream *stream;
	struct timer timer;
	server_id server;
	struct asker *askers; /* its own */
	uint32_t process_id;
	uint8_t secret[SERVER_SECRET_MAX];
	size_t secret_length;
	bool sent; /* it may have arrived, or may still do so */
};

/* Who brought a cancel and waits for its arrival. */
struct asker {
	struct client_ref who;
	struct asker *next;
};

/* False: refused memory; then nobody needs to be let go but the one at hand. */
static bool asker_add(struct asker **list, struct client_ref who)
{
	struct asker *asker = malloc(sizeof *asker);

	if (!asker)
		return false;
	asker->who = who;
	asker->next = *list;
	*list = asker;
	return true;
}

static void let_go(struct worker *worker, struct asker **list)
{
	struct asker *asker;

	while ((asker = *list)) {
		*list = asker->next;
		guest_cancelled(worker, asker->who);
		free(asker);
	}
}

static void forget(struct errand *errand)
{
	struct worker *worker = errand->worker;

	timer_clear(&worker->timers, &errand->timer);
	stream_close(&errand->stream);
	if (errand->previous)
		errand->previous->next = errand->next;
	else
		worker->errands = errand->next;
	if (errand->next)
		errand->next->previous = errand->previous;
	let_go(worker, &errand->askers);
	secret_wipe(errand->secret, sizeof errand->secret);
	free(errand);
}

static void arrived(struct channel *channel)
{
	check(channel->errands > 0);
	channel->errands--;
	if (channel->state == CHANNEL_LENT) {
		channel_cancel_due(channel);
		remains_arrived(channel);
	}
}

static void end(struct errand *errand)
{
	struct channel *channel = channel_get(errand->worker, errand->server);

	forget(errand);
	if (!channel)
		return;
	arrived(channel);
	if (channel->state == CHANNEL_LENT || channel->state == CHANNEL_CLEANING)
		channel_settle(channel);
}

static struct errand *errand_new(struct worker *worker, uint32_t process_id, struct span secret)
{
	struct errand *errand = calloc(1, sizeof *errand);

	if (!errand)
		return NULL;
	errand->party = PARTY_ERRAND;
	errand->worker = worker;
	errand->process_id = process_id;
	memcpy(errand->secret, secret.at, secret.length);
	errand->secret_length = secret.length;
	timer_init(&errand->timer, PARTY_ERRAND);
	return errand;
}

/* Its stream is dialed. */
static void set_out(struct errand *errand)
{
	struct worker *worker = errand->worker;

	errand->next = worker->errands;
	if (errand->next)
		errand->next->previous = errand;
	worker->errands = errand;
	if (worker->config->cancel_wait_timeout > 0)
		timer_set(&worker->timers, &errand->timer, worker->now + worker->config->cancel_wait_timeout);
}

static bool stay(struct errand *errand)
{
	stream_close(&errand->stream);
	secret_wipe(errand->secret, sizeof errand->secret);
	free(errand);
	return false;
}

bool errand_send(struct channel *channel)
{
	struct worker *worker = channel->worker;
	struct errand *errand;

	if (channel->errands > 0 || channel->secret_length == 0)
		return false; /* one is on its way already */
	errand = errand_new(worker, channel->process_id, span_of(channel->secret, channel->secret_length));
	if (!errand)
		return false;
	errand->server = channel->id;
	errand->stream = tls_dial_server(worker, &channel->address, channel->host, errand);
	if (!errand->stream)
		return stay(errand);
	errand->askers = channel->askers;
	channel->askers = NULL;
	set_out(errand);
	channel->errands++;
	return true;
}

/* Its client's next message is here, and waits for something of ours. */
static bool is_held(const struct channel *channel)
{
	const struct guest *guest = channel->guest;

	return guest && (guest->names_held || channel->remains.held || (guest->hearer && guest->hearer->opening));
}

/* An answer to any message of its client's own, whatever of ours comes first. */
static bool owes_client(const struct channel *channel)
{
	const struct track *track = &channel->track;

	for (uint32_t i = 0; i < track->count; i++)
		if (!(track->ring[(track->head + i) % track->capacity].flags & TRACK_OURS))
			return true;
	return false;
}

bool channel_cancel(struct channel *channel, struct client_ref asker)
{
	bool waits;

	if (!owes_client(channel) && !is_held(channel))
		return false; /* it is answered already */
	waits = asker_add(&channel->askers, asker);
	channel->cancel_wanted = true;
	channel->cancel_held = channel->cancel_held || is_held(channel);
	channel_cancel_due(channel);
	return waits;
}

void channel_cancel_due(struct channel *channel)
{
	if (!channel->cancel_wanted || channel_runs_own(channel) || channel->errands > 0)
		return;
	if (channel->cancel_held && channel->track.count == 0)
		return; /* channel_cancel_looked */
	channel->cancel_wanted = channel->cancel_held = false;
	if (track_quiet(&channel->track) || !errand_send(channel))
		let_go(channel->worker, &channel->askers);
}

bool channel_cancel_looks(const struct channel *channel)
{
	return channel->cancel_held && !is_held(channel);
}

void channel_cancel_looked(struct channel *channel)
{
	if (!channel->cancel_held)
		return;
	/* It may be held again, for what settling asks of the server: that was put off for this look. */
	channel->cancel_held = is_held(channel);
	channel_settle(channel);
}

void channel_cancel_no_more(struct channel *channel)
{
	channel->cancel_wanted = channel->cancel_held = false;
	let_go(channel->worker, &channel->askers);
}

bool errand_forward(struct worker *worker, uint32_t process_id, struct span secret, struct client_ref asker)
{
	const struct address *to = &worker->house->forerunner;
	struct errand *errand;

	if (to->family == ADDRESS_NONE || secret.length > sizeof errand->secret || worker->stop)
		return false;
	errand = errand_new(worker, process_id, secret);
	if (!errand)
		return false;
	errand->stream = stream_dial(worker->loop, to, &worker->server_options, errand);
	if (!errand->stream || !asker_add(&errand->askers, asker))
		return stay(errand);
	set_out(errand);
	return true;
}

void errand_connected(struct errand *errand)
{
	struct buf message = { 0 };
	struct writer w = writer_to(&message);
	struct piece piece;

	message_cancel(&w, errand->process_id, span_of(errand->secret, errand->secret_length));
	piece = (struct piece){ message.at + message.start, message.length };
	if (!writer_ok(&w) || !stream_write(errand->stream, &piece, 1)) {
		buf_wipe(&message);
		end(errand);
		return;
	}
	buf_wipe(&message);
	errand->sent = true;
}

/* When its signal is sent is not known, so that server is not lent again. */
static void end_astray(struct errand *errand)
{
	struct channel *channel = channel_get(errand->worker, errand->server);

	if (channel)
		channel->broken = true;
	end(errand);
}

void errand_ended(struct errand *errand, int error)
{
	if (error != 0 && errand->sent)
		end_astray(errand);
	else
		end(errand);
}

void errand_timer_rings(struct timer *timer)
{
	end_astray(link_owner(timer, struct errand, timer));
}

const struct errand *errands_next(
	const struct worker *worker, const struct errand *errand, server_id *server, bool *asked)
{
	errand = errand ? errand->next : worker->errands;
	if (errand) {
		*server = errand->server;
		*asked = errand->askers;
	}
	return errand;
}

void errand_call_off(struct channel *channel)
{
	struct errand *errand = channel->worker->errands;

	while (errand && !handle_equal(errand->server, channel->id))
		errand = errand->next;
	if (!errand || errand->sent)
		return;
	forget(errand);
	arrived(channel);
}

void errands_fini(struct worker *worker)
{
	while (worker->errands)
		end(worker->errands);
}
