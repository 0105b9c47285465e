/* The judge, between turns: guests and channels as each worker has them, pools and origins as the core and the house count them. */
#include "base/check.h"
#include "fakeio.h"
#include "judge_parts.h"
#include "serve/extras.h"
#include "serve/hearers.h"
#include "serve/worker.h"

/* Of each worker that is suspended, and has sent all: what had passed then. */
struct still {
	uint32_t number;
	uint64_t bytes;
};
static struct still stills[16];

static bool mail_is_read(void)
{
	for (uint32_t i = 0; i < judge.house->worker_count; i++)
		if (mailbox_length(judge.house->workers[i]->mailbox) > 0)
			return false;
	return true;
}

struct tally {
	unsigned waiting, lent, guests, channels;
	unsigned with_origin;
};

/* Who hears what is being found out, between its transactions. */
static bool waits_for_ear(const struct guest *g)
{
	const struct hearing *h = g->hearer ? g->hearer->hearing : NULL;

	return h &&
		(g->hearer->opening ||
			(g->channel->remains.held &&
				(h->ready_owed || (h->state != HEARING_SHARED && h->state != HEARING_DIRECT))));
}

/* Any of it is the client's, or a batch of its own is open: what we asked ourselves, which may be several questions, is no matter of it,
 * and neither is the end of a COPY that has failed already, which is owed nothing. */
static bool works_for_client(const struct track *track)
{
	for (uint32_t i = 0; i < track->count; i++) {
		const struct track_entry *entry = &track->ring[(track->head + i) & (track->capacity - 1)];

		if (!(entry->flags & TRACK_OURS) && entry->kind != TRACK_COPY_END)
			return true;
	}
	return track->count == 0 && !track_quiet(track);
}

static void look_at_guest(struct worker *w, struct guest *g, struct tally *t)
{
	t->guests++;
	switch ((enum guest_state)g->state) {
	case GUEST_LENT:
		if (!g->channel || g->channel->guest != g)
			broken("a server is lent to at most one client", "guest %u.%u", w->index, g->handle.slot);
		t->lent++;
		break;
	case GUEST_ASKING:
		/* Who waits for another's answer is no client that wants a server. */
		if (!g->extras->asking) {
			if (g->channel)
				broken("who holds nothing holds nothing", "guest %u.%u waits for auth_query", w->index,
					g->handle.slot);
			break;
		}
		__attribute__((fallthrough));
	case GUEST_WAITING:
	case GUEST_LEARNING:
		if (g->channel && g->channel->guest != g)
			broken("a server is lent to at most one client", "guest %u.%u waits", w->index, g->handle.slot);
		if (g->channel)
			t->lent++;
		else
			t->waiting++;
		break;
	case GUEST_ENDING:
		broken("what ended is buried at the end of the turn", "guest %u.%u", w->index, g->handle.slot);
	case GUEST_LOGIN:
	case GUEST_AT_DOOR:
	case GUEST_PARKED:
	case GUEST_CONSOLE:
		if (g->channel)
			broken("who holds nothing holds nothing", "guest %u.%u in state %u", w->index, g->handle.slot,
				g->state);
		break;
	}
	t->with_origin += g->origin != NULL;
	if (g->state == GUEST_PARKED && !g->habits.rest_since)
		broken("who is parked rests", "guest %u.%u", w->index, g->handle.slot);
	if (g->state == GUEST_LENT && g->habits.rest_since && g->channel && !g->channel->unprepared &&
		!g->channel->checking && works_for_client(&g->channel->track))
		broken("who is owed an answer does not rest", "guest %u.%u", w->index, g->handle.slot);
	if (w->suspension.number)
		return; /* then nobody is heard: see look_at_suspension */
	if (g->state == GUEST_PARKED && g->stream && stream_is_paused(g->stream))
		broken("who is parked is heard", "guest %u.%u is paused", w->index, g->handle.slot);
	if (g->state == GUEST_LENT && g->stream && stream_is_paused(g->stream) && g->channel->stream &&
		!((g->channel->remains.held || g->names_held) && !track_quiet(&g->channel->track)) &&
		!(g->channel->remains.held && g->channel->errands > 0) && !waits_for_ear(g) &&
		stream_queued(g->channel->stream) == 0 && !stream_is_broken(g->channel->stream))
		broken("who is lent a server is heard", "guest %u.%u is paused, and nothing is queued for its server",
			w->index, g->handle.slot);
}

static void look_at_channel(struct worker *w, struct channel *c, struct tally *t)
{
	struct server_picture picture;

	t->channels++;
	if (c->guest && (c->guest->channel != c || c->guest->worker != w))
		broken("a server is lent to at most one client", "channel %u", c->id.slot);
	if (c->state == CHANNEL_LENT && !c->guest)
		broken("every lease that opens closes", "channel %u is lent to nobody", c->id.slot);
	if (c->state == CHANNEL_IDLE && (!track_idle(&c->track) || c->track.suspect || c->broken))
		broken("a server is free only when it is proven free", "channel %u", c->id.slot);
	if (c->state != CHANNEL_CLOSING && c->stream && stream_is_paused(c->stream) && !w->suspension.number &&
		!(c->guest && c->guest->hearer && c->guest->hearer->hearing->state == HEARING_WAITS) &&
		(!c->guest || (stream_queued(c->guest->stream) == 0 && !stream_is_broken(c->guest->stream))))
		broken("a server is read from unless its client is slow, or waits for the ear",
			"channel %u in state %u", c->id.slot, c->state);
	if (!core_server_picture(judge.house->core, c->id, &picture)) {
		broken("the core knows every server", "channel %u.%u in state %u", c->id.slot, c->id.generation,
			c->state);
	}
	if (!mail_is_read())
		return;
	if (c->state == CHANNEL_LENT && picture.state != SERVER_LENT)
		broken("the books of worker and core agree", "channel %u is lent, for the core it is in state %d",
			c->id.slot, picture.state);
	if (c->state == CHANNEL_IDLE && picture.state != SERVER_IDLE)
		broken("the books of worker and core agree", "channel %u is idle, for the core it is in state %d",
			c->id.slot, picture.state);
	if (c->state == CHANNEL_CLEANING && picture.state != SERVER_CLEANING)
		broken("the books of worker and core agree", "channel %u is cleaned, for the core it is in state %d",
			c->id.slot, picture.state);
}

static uint64_t bytes_passed(const struct worker *w)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->view_capacity; i++)
		if (w->views[i])
			sum += w->views[i]->stats.received + w->views[i]->stats.sent;
	return sum;
}

/* From SUSPEND's answer to RESUME not a byte goes from a client to a server, or back. */
static void look_at_suspension(const struct worker *w)
{
	struct still *still = &stills[w->index], now = { .number = w->suspension.number };

	check(w->index < sizeof stills / sizeof *stills);
	if (!w->suspension.sent)
		return;
	now.bytes = bytes_passed(w);
	if (still->number == now.number && still->bytes != now.bytes)
		broken("nothing passes while everything is suspended", "worker %u", w->index);
	*still = now;
}

/* Nobody waits while a server of his pool rests. */
static void look_at_pools(void)
{
	struct pool_picture pool;
	struct totals_picture totals;

	core_totals(judge.house->core, &totals);
	for (uint32_t i = 0; i < core_pools(judge.house->core); i++) {
		struct database_picture database;

		if (!core_pool_picture(judge.house->core, i, &pool) ||
			!core_database_picture(judge.house->core, pool.database, &database))
			continue;
		if (pool.waiting - pool.kept > pool.moving && pool.idle > 0 && !totals.paused && !database.paused &&
			!database.kill_paused && mail_is_read())
			broken("nobody who can be served waits", "pool %u: %u wait, %u servers rest", i, pool.waiting,
				pool.idle);
	}
}
static void look_at_arrival(const struct guest *g)
{
	unsigned clients = 0;
	uint32_t slot;
	const struct guest *other;

	if (!judge.limits.origin_clients_max || !g->admitted || !g->origin_key || g->state == GUEST_CONSOLE)
		return;
	for (uint32_t i = 0; i < judge.house->worker_count; i++) {
		slot = 0;
		while ((other = slots_next(&judge.house->workers[i]->guests, &slot)))
			clients += other->admitted && other->origin_key == g->origin_key;
	}
	if (clients > judge.limits.origin_clients_max)
		broken("an origin has no more clients than it may", "%u of %u", clients,
			judge.limits.origin_clients_max);
}

bool judge_books(void)
{
	struct tally t = { 0 };
	struct totals_picture totals;
	struct guest *g;
	uint32_t i, slot, origins = 0;

	for (i = 0; i < judge.house->worker_count; i++) {
		struct worker *w = judge.house->workers[i];

		if (w->stop)
			return false;
		look_at_suspension(w);
		slot = 0;
		while ((g = slots_next(&w->guests, &slot))) {
			look_at_guest(w, g, &t);
			if (g->state == GUEST_LOGIN)
				look_at_arrival(g);
		}
		for (slot = 0; slot < w->channel_capacity; slot++)
			if (w->channels[slot])
				look_at_channel(w, w->channels[slot], &t);
	}
	if (mail_is_read()) {
		core_totals(judge.house->core, &totals);
		if (totals.waiting != t.waiting)
			broken("the books of worker and core agree", "%u clients wait, the core knows of %u", t.waiting,
				totals.waiting);
		if (totals.lent != t.lent)
			broken("the books of worker and core agree", "%u clients hold a server, the core knows of %u",
				t.lent, totals.lent);
	}
	for (i = 0; i < ORIGINS_MAX; i++)
		origins += judge.house->origins.table[i] ? judge.house->origins.table[i]->clients : 0;
	if (origins + judge.house->origins.others.clients != t.with_origin)
		broken("every client is counted under its origin", "%u clients, counted %u + %u", t.with_origin,
			origins, judge.house->origins.others.clients);
	look_at_pools();
	return true;
}
