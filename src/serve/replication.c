/* Replication connections.
 *
 *   client: database/user, replication=...  -->  wants, in the pool for replication of that database and user
 *
 *      core: DIAL --> a channel without a connection, READY at once --> LEND --> connect, log in --> welcome, LENT
 *                                                      |                              |              |
 *                                          nobody wants it: CLOSE                   fails         its end
 *                                                      +------------------------------+--------------+--> LOST, or Terminate
 *
 * What a connection for replication is, is said in its startup packet, and can not be changed later: of which kind, under which
 * application_name (synchronous_standby_names goes by that), with which settings. So it can not be made before it is known for whom. What
 * the core deals out here are places, which count against every limit as servers do; the connection is made in a place that is lent. For
 * the core it is lent until it ends, so all its failures are the client's to hear, and no other's. */
#include "serve/replication.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/channel.h"
#include "serve/hosts.h"

void replication_dial(struct channel *channel)
{
	channel->replication = true;
	channel->state = CHANNEL_IDLE;
	channel_step(channel, EVENT_SERVER_READY);
}

void replication_lend(struct channel *channel, struct guest *guest)
{
	check(channel->state == CHANNEL_IDLE && !channel->guest && !guest->channel && !channel->stream);
	check(guest->state == GUEST_LEARNING && guest->replication != REPLICATION_NONE);
	channel->guest = guest;
	guest->channel = channel;
	channel->session = true;
	channel->lent_since = channel->requested = channel->quiet_since = channel->worker->now;
	channel->state = CHANNEL_RESOLVING;
	channel_begin_dial(channel);
}

struct startup_pair *replication_startup(const struct channel *channel, struct server_setup *setup)
{
	const struct params *params = channel->guest->wanted;
	size_t count = params_count(params), at = setup->extra_count;
	struct startup_pair *pairs = calloc(at + 1 + count, sizeof *pairs);
	const char *name, *value;

	if (!pairs)
		return NULL;
	/* The client's come last, so they hold where the configuration says something else. */
	memcpy(pairs, setup->extra, at * sizeof *pairs);
	pairs[at++] = (struct startup_pair){ span_text("replication"),
		span_text(channel->guest->replication == REPLICATION_PHYSICAL ? "true" : "database") };
	for (size_t i = 0; i < count; i++) {
		params_at(params, i, &name, &value);
		pairs[at++] = (struct startup_pair){ span_text(name), span_text(value) };
	}
	setup->extra = pairs;
	setup->extra_count = at;
	return pairs;
}

void replication_ready(struct channel *channel)
{
	tries_end(channel, channel_view(channel)->database);
	timer_clear(&channel->worker->timers, &channel->timer);
	channel->state = CHANNEL_LENT;
	guest_learned(channel->guest, channel);
}

void replication_failed(struct channel *channel, const char *sqlstate, const char *text)
{
	struct worker *worker = channel->worker;
	struct guest *guest = channel->guest;
	struct event lost = {
		.kind = EVENT_SERVER_LOST,
		.now = worker->now,
		.server = channel->id,
		.worker = worker->index,
		.proven = channel->state !=
			CHANNEL_LOGIN, /* else a backend may be there still, which has heard nothing yet */
	};

	if (guest)
		channel_part(channel);
	worker_step(worker, &lost);
	/* The texts may be the login's, which is freed at the end of the turn. */
	channel_forget(channel);
	if (guest)
		guest_complain(guest, sqlstate, text,
			"The pooler could not open a connection for replication to PostgreSQL.", NULL);
}
