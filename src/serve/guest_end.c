/* The end of a client, from any state and at any time: it is told why where it can hear it, everybody who knows of it forgets it, and it is
 * buried at the end of the turn. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/hearers.h"
#include "serve/log_forms.h"
#include "serve/lookups.h"
#include "serve/questions.h"
#include "serve/seats.h"

/* How long a client may take to read our last words. */
#define FAREWELL_US (5 * SECOND_US)

static const char closed_by_client[] = "client unexpected eof";

static void end(struct guest *guest, const struct complaint *complaint, const char *reason, bool goodbye)
{
	struct worker *worker = guest->worker;
	bool silent = worker->stop || guest->extras->question, wants;
	/* A connection that was only tried, as health checks do, is nothing to tell of each time. */
	bool tried = !guest->spoke && guest->state == GUEST_LOGIN && strcmp(reason, closed_by_client) == 0;
	const char *detail;
	char age[AGE_TEXT];

	if (guest->state == GUEST_ENDING)
		return;
	/* PgBouncer's log has no details; ours tells whoever looks at it afterwards what the client was told. */
	detail = complaint && worker->config->manner == MANNER_PGWEIR ? complaint->detail : NULL;
	if (complaint && worker->config->log_pooler_errors && !silent)
		guest_log(guest, LOG_WARNING, "pooler error: %s%s%s%s", complaint->message, detail ? " (" : "",
			detail ? detail : "", detail ? ")" : "");
	if (worker->config->log_disconnections && !silent)
		guest_log(guest, tried ? LOG_DEBUG : LOG_LOG, "closing because: %s (age=%s)",
			log_reason(worker->config, reason),
			log_age(worker->config, worker->now - guest->connected, age));
	outbox_hurry(worker, guest->stream);
	if (guest->channel && guest->channel->body_left > 0 && guest->channel->forward)
		guest->cut_short = true;
	if (complaint && !guest->cut_short && !guest->fatal_seen) {
		struct buf words = { 0 };
		struct writer w = writer_to(&words);
		struct piece piece;

		message_complaint(&w, complaint);
		piece = (struct piece){ words.at + words.start, words.length };
		if (writer_ok(&w))
			(void)stream_write(guest->stream, &piece, 1);
		buf_fini(&words);
	}
	if (guest->seat)
		seats_leave(worker->house->seats, guest->seat, guest_ref(guest));
	if (guest->desk)
		desk_left(guest);
	habits_leave(guest);
	hearer_leave(guest);
	if (guest->channel)
		channel_abandon(guest->channel);
	wants = guest->state == GUEST_ASKING && !guest->counted;
	lookup_leave(guest);
	question_leave(guest);
	/* Who looks for somebody of the console is not counted, and may wait for a server all the same. */
	if (wants)
		guest_step(guest, EVENT_CLIENT_GIVES_UP);
	guest->state = GUEST_ENDING;
	if (guest->counted)
		guest_step(guest, EVENT_CLIENT_LEFT);
	guest->counted = false;
	guest_leave_origin(guest);
	timer_clear(&worker->timers, &guest->timer);
	/* Who said goodbye reads no more: there is nothing to wait for. */
	if (goodbye && stream_queued(guest->stream) == 0)
		stream_close(&guest->stream);
	else
		stream_finish(&guest->stream, FAREWELL_US);
	check(worker->ending_count < worker->ending_capacity);
	worker->ending[worker->ending_count++] = guest;
}

void guest_end(struct guest *guest, const struct complaint *complaint, const char *reason)
{
	end(guest, complaint, reason, false);
}

void guest_goodbye(struct guest *guest)
{
	end(guest, NULL, "client close request", true);
}

void guest_complain(
	struct guest *guest, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	struct complaint complaint = {
		.severity = SEVERITY_FATAL, .sqlstate = sqlstate, .message = message, .detail = detail, .hint = hint
	};

	guest_end(guest, &complaint, message);
}

void guest_refuse(struct guest *guest, const char *sqlstate, const char *message, const char *detail, const char *hint)
{
	guest_complain(guest, guest_is_bouncers(guest) ? SQLSTATE_PROTOCOL_VIOLATION : sqlstate, message, detail, hint);
}

void guest_hangup(struct guest *guest)
{
	/* A client that is served gets what it asked for, as from PostgreSQL; one that waits leaves nothing behind. Where the connection broke, what
	 * was queued for it is gone, and its server must not wait for that to be read: what the client sent last may wait for the server. */
	if (guest->state != GUEST_LENT)
		guest_end(guest, NULL, closed_by_client);
	else
		guest_room(guest);
}

/* Its network went away without a word, or it did not answer for too long (see peers.c). */
static bool is_dead_peer(int error)
{
	return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN;
}

void guest_ended(struct guest *guest, int error)
{
	const struct config *config = guest->worker->config;
	const char *trouble = stream_trouble(guest->stream);
	char reason[320];

	guest->peer_died = is_dead_peer(error);
	/* The line about the end says it too. */
	if (trouble && !config->log_disconnections && config->log_pooler_errors)
		guest_log(guest, LOG_WARNING, "%s", trouble);
	text_copy(reason, sizeof reason,
		guest->peer_died  ? "client does not answer (dead peer)"
			: trouble ? trouble
				  : closed_by_client);
	guest_end(guest, NULL, reason);
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
	extras_leave(guest);
	check(guest->extras == &extras_none);
	params_drop(guest->wanted);
	params_drop(guest->startup);
	params_drop(guest->reported);
	habits_fini(guest);
	texts_drop(&worker->texts, guest->user);
	free(guest);
}
