/* Peers that went away without a word. While nothing is under way to a peer, the kernel's keepalive finds out; while something is, we look
 * ourselves (see io/silence.c), and hold it to the same time: tcp_keepidle and tcp_keepcnt times tcp_keepintvl. Where these are not set,
 * as under the name pgbouncer, nothing is looked for.
 *
 * Keepalive is what makes the rule safe: a peer that lives has acknowledged something within that time, however long it was idle. */
#include <errno.h>

#include "serve/worker.h"

#define LOOK_EVERY (2 * SECOND_US)

/* So many clients are looked at, then the others are served for a while. */
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

static void look_at_channels(struct worker *worker, time_us limit)
{
	uint32_t i;

	for (i = 0; i < worker->channel_capacity; i++) {
		struct channel *channel = worker->channels[i];

		/* Before that, a dial has a time limit of its own. */
		if (channel && channel->state >= CHANNEL_GREETING && channel->stream &&
			stream_silence(channel->stream) >= limit)
			channel_ended(channel, ETIMEDOUT);
	}
}

/* True: all of them were looked at. */
static bool look_at_guests(struct worker *worker, time_us limit)
{
	struct guest *guest;
	unsigned n;

	for (n = 0; n < LOOK_MOST; n++) {
		guest = slots_next(&worker->guests, &worker->peers_slot);
		if (!guest) {
			worker->peers_slot = 0;
			return true;
		}
		if (guest->state != GUEST_ENDING && guest->stream && stream_silence(guest->stream) >= limit)
			guest_ended(guest, ETIMEDOUT);
	}
	return false;
}

void peers_look(struct worker *worker)
{
	time_us limit = limit_of(worker->config);
	bool all;

	if (limit == 0)
		return;
	if (worker->peers_slot == 0)
		look_at_channels(worker, limit);
	all = look_at_guests(worker, limit);
	timer_set(&worker->timers, &worker->peers_timer, worker->now + (all ? LOOK_EVERY : LOOK_ON));
}

void peers_configure(struct worker *worker)
{
	if (limit_of(worker->config) == 0)
		timer_clear(&worker->timers, &worker->peers_timer);
	else if (!timer_is_set(&worker->peers_timer))
		timer_set(&worker->timers, &worker->peers_timer, worker->now + LOOK_EVERY);
}
