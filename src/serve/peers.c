/* Peers that went away without a word. While nothing is under way to a peer, the kernel's keepalive finds out; while something is, we look
 * ourselves (see io/silence.c), and hold it to the same time: tcp_keepidle and tcp_keepcnt times tcp_keepintvl. Where these are not set,
 * as under the name pgbouncer, nothing is looked for.
 *
 * Keepalive is what makes the rule safe: a peer that lives has acknowledged something within that time, however long it was idle. */
#include <errno.h>

#include "serve/worker.h"

#define LOOK_EVERY (2 * SECOND_US)

/* So many peers are looked at, then the clients are served for a while. */
#define LOOK_MOST 128
#define LOOK_ON   (2 * MILLISECOND_US)

/* 0: do not look. */
static time_us limit_of(const struct config *config)
{
	if (!config->tcp_keepalive || config->tcp_keepidle <= 0 || config->tcp_keepintvl <= 0 ||
		config->tcp_keepcnt <= 0)
		return 0;
	return (config->tcp_keepidle + (time_us)config->tcp_keepintvl * config->tcp_keepcnt) * SECOND_US;
}

static void end(void *owner)
{
	struct channel *channel = owner;
	struct guest *guest = owner;

	switch (*(const enum party *)owner) {
	case PARTY_GUEST:
		if (guest->state != GUEST_ENDING)
			guest_ended(guest, ETIMEDOUT);
		break;
	case PARTY_CHANNEL:
		/* Before that, a dial has a time limit of its own. */
		if (channel->state >= CHANNEL_GREETING)
			channel_ended(channel, ETIMEDOUT);
		break;
	case PARTY_ERRAND:
	case PARTY_MONITOR:
	case PARTY_EAR:
	case PARTY_COURIER:
		break; /* they have their own time limits */
	}
}

void peers_look(struct worker *worker)
{
	time_us limit = limit_of(worker->config);
	struct stream *stream = NULL;
	unsigned n;

	if (limit == 0)
		return;
	if (!worker->peers_asked)
		loop_ask(worker->loop);
	for (n = 0; n < LOOK_MOST && (stream = loop_ask_next(worker->loop)) != NULL; n++) {
		if (stream_silence(stream) >= limit)
			end(stream_owner(stream));
	}
	worker->peers_asked = stream != NULL;
	timer_set(&worker->timers, &worker->peers_timer, worker->now + (stream ? LOOK_ON : LOOK_EVERY));
}

void peers_configure(struct worker *worker)
{
	if (limit_of(worker->config) == 0)
		timer_clear(&worker->timers, &worker->peers_timer);
	else if (!timer_is_set(&worker->peers_timer))
		timer_set(&worker->timers, &worker->peers_timer, worker->now + LOOK_EVERY);
}
