/* From a client's own server to the ear, and back.
 *
 *    LISTEN ... COMMIT -> ReadyForQuery is kept -> question: what does the session listen to?
 *                            |  nothing new: it goes on to the client
 *                            v
 *         the server is told: LISTEN for the mark -> the ear is asked: hear this too, and send the mark
 *                            |
 *               the mark came from both -> all that both said, joined (session/hearing), then ReadyForQuery; the lease ends
 *               the ear can not         -> the client keeps its server, which goes on telling it: a pin, as for anything else
 *
 * A transaction of a client with topics begins when the ear has said all that was sent before. The server that is lent listens to them too, from
 * before the client's first statement to the end of the lease (UNLISTEN *). So everything that SQL says about listening is PostgreSQL's own
 * answer: pg_listening_channels(), UNLISTEN, savepoints, what is rolled back. And it tells which notifications the client sent itself,
 * triggers included; if it told of any, by whomever, ReadyForQuery waits until the ear has them too.
 *
 * A LISTEN that no look can see (a word put together at run time) is found by the question, and goes the same way; only was its
 * ReadyForQuery said before. Nothing is missed, since its server hears for it until the ear does. */
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/places.h"

bool hearer_shares(const struct guest *guest)
{
	return guest->hearer && guest->hearer->hearing->shared.count > 0;
}

/* NULL: memory refused. */
static struct hearer *hearer_of(struct guest *guest)
{
	struct hearer *hearer = guest->hearer;

	if (hearer)
		return hearer;
	hearer = calloc(1, sizeof *hearer);
	if (hearer)
		hearer->hearing = hearing_new();
	if (!hearer || !hearer->hearing) {
		free(hearer);
		return NULL;
	}
	hearer->guest = guest;
	hearer->can_share = place_number_of_server(guest->channel, &hearer->ear);
	hearer->astray = true; /* until it is known that the configuration leads there */
	if (!hearer->can_share || !guest->worker->config->shared_listen)
		hearer->hearing->state = HEARING_DIRECT;
	guest->hearer = hearer;
	return hearer;
}

/* ---- what its server says ---- */

enum step hearer_notification(struct channel *channel, struct span whole)
{
	struct guest *guest = channel->guest;
	struct hearer *hearer;
	enum heard heard;
	uint8_t id[4];
	uint32_t process, own;

	if (!guest)
		return STEP_DISCARD;
	if (!guest->hearer && !remains_matter(guest))
		return STEP_FORWARD;
	hearer = hearer_of(guest);
	if (!hearer)
		return STEP_STOP;
	hearer_bound(hearer);
	heard = hearing_take(hearer->hearing, whole, channel->process_id, guest->worker->house->ear_mark);
	hearer_count(hearer);
	switch (heard) {
	case HEARD_BROKEN:
		return STEP_STOP;
	case HEARD_NOTED:
		return STEP_DISCARD;
	case HEARD_MARK:
		hearer->hearing->marked_by_server = true;
		return STEP_DISCARD;
	case HEARD_DIRECT:
		break;
	}
	/* Even while a question of ours is being answered. */
	process = (uint32_t)whole.at[5] << 24 | (uint32_t)whole.at[6] << 16 | (uint32_t)whole.at[7] << 8 | whole.at[8];
	own = guest_process_id(guest);
	if (process == channel->process_id)
		process = own;
	for (int i = 0; i < 4; i++)
		id[i] = (uint8_t)(process >> (24 - 8 * i));
	outbox_copy(&channel->worker->to_client, whole.at, FRAME_HEADER);
	outbox_copy(&channel->worker->to_client, id, sizeof id);
	outbox_copy(&channel->worker->to_client, whole.at + 9, whole.length - 9);
	return STEP_DISCARD;
}

/* ---- the beginning of a lease ---- */

static bool ask_to_wait(struct hearer *hearer)
{
	if (!hearer_ask(hearer, EAR_WAIT, NULL)) {
		guest_complain(hearer->guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return false;
	}
	hearer->hearing->state = HEARING_WAITS;
	hearer->hearing->told_since = false;
	return true;
}

bool hearer_opens(struct guest *guest)
{
	struct hearer *hearer = guest->hearer;

	if (guest->channel->opened)
		return false;
	if (!hearer->opening) {
		hearer_follow_server(guest->channel);
		if (guest->state != GUEST_LENT)
			return true;
	}
	if (hearer->hearing->state == HEARING_SHARED && hearer_shares(guest)) {
		hearer->opening = true;
		if (!ask_to_wait(hearer))
			return true;
	}
	if (hearer->opening) {
		stream_pause(guest->stream);
		return true;
	}
	guest->channel->opened = true;
	return false;
}

void hearer_opened(struct hearer *hearer)
{
	struct guest *guest = hearer->guest;

	hearer->opening = false;
	hearer->hearing->state = HEARING_SHARED;
	guest->channel->opened = true;
	hearer_say(hearer);
	if (guest->channel)
		guest_resume(guest);
}

bool hearer_begin(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct buf text = { 0 };
	bool ok;

	if (!hearer_shares(guest))
		return true;
	ok = topics_write(&guest->hearer->hearing->shared, "LISTEN", &text) &&
		channel_ask(channel, buf_span(&text), TAG_LISTEN);
	channel->listening = channel->telling = true;
	buf_fini(&text);
	/* Nobody else hears for it any more: its server does, from its very first statement on. */
	if (hearer_is_stranded(guest->hearer)) {
		topics_fini(&guest->hearer->hearing->shared);
		guest->hearer->hearing->state = HEARING_DIRECT;
		remains_pin_listen(channel);
	}
	return ok;
}

void hearer_begun(struct channel *channel)
{
	channel->telling = false;
	if (channel->setup_failed && channel->guest)
		guest_complain(channel->guest, channel->sqlstate, channel->problem, NULL, NULL);
	channel->setup_failed = false;
}

/* ---- ReadyForQuery ---- */

/* Its server told of what the ear does not hear for it. */
static bool hears_more(const struct hearer *hearer)
{
	return hearer && hearer->hearing->state == HEARING_SHARED && hearer->hearing->local.count > 0;
}

/* May what it listens to have changed in this transaction? */
static bool may_change(const struct channel *channel)
{
	const struct remains *r = &channel->remains;
	const struct guest *guest = channel->guest;

	if (!remains_matter(guest) || r->failed || guest->unnamed_long)
		return false;
	if (hears_more(guest->hearer))
		return true;
	return (r->touched & LOOK_HEAR) || ((r->touched & LOOK_LISTEN) && hearer_shares(guest));
}

static bool is_busy(const struct guest *guest)
{
	const struct hearing *h = guest->hearer ? guest->hearer->hearing : NULL;

	return h &&
		(h->ready_owed || h->state == HEARING_MARKS || h->state == HEARING_MOVES || h->state == HEARING_FAILS);
}

bool hearer_delays(const struct guest *guest)
{
	const struct track *track = &guest->channel->track;

	if (!guest->hearer && !(guest->channel->remains.touched & LOOK_HEAR))
		return false; /* nearly everybody */
	/* Behind a correction it is found out what a DISCARD ALL has left of what it listens to. */
	if (is_busy(guest) || guest->channel->remains.correcting)
		return true;
	/* Its own notifications are the last ones that bear its server's process id only while nothing further is under way there. In the
	 * middle of a batch what comes next is a part of it. */
	return !track->open && !track->skipping && !track_copies(track) &&
		(hearer_shares(guest) || may_change(guest->channel)) && track_readies(track) > 0;
}

bool hearer_waits(struct channel *channel, char status)
{
	struct guest *guest = channel->guest;
	struct hearing *h = guest && guest->hearer ? guest->hearer->hearing : NULL;
	const struct track *track = &channel->track;

	if (!h || status != 'I' || track->count == 0 || (track->ring[track->head].flags & TRACK_OURS))
		return false;
	/* It may have been asked for another reason before its server told of this. */
	if (((h->state == HEARING_SHARED && h->told) || (h->state == HEARING_PASSED && h->told_since)) &&
		!may_change(channel) && !ask_to_wait(guest->hearer))
		return true;
	if (h->state != HEARING_WAITS)
		return false;
	stream_pause(channel->stream);
	return true;
}

bool hearer_keeps_ready(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct hearer *hearer;

	if (!guest || channel->track.status != 'I')
		return false;
	/* A question that failed is asked again at once, since its own come before it is ready. */
	if (hears_more(guest->hearer))
		channel->remains.failed = false;
	if (may_change(channel) && track_quiet(&channel->track) && (hearer = hearer_of(guest)) &&
		(hearer->can_share || hearer_is_stranded(hearer))) {
		hearer->hearing->ready_owed = true;
		channel->opened = false;
		return true;
	}
	hearer = guest->hearer;
	channel->opened = false;
	if (hearer && hearer->hearing->state == HEARING_PASSED)
		hearer->hearing->state = HEARING_SHARED;
	if (hearer && hearer->hearing->local.count == 0 && hearer->hearing->state == HEARING_SHARED)
		hearer_say(hearer);
	else if (hearer && hearer->hearing->state == HEARING_DIRECT && hearer->missed)
		hearer_say(hearer); /* it became so while it could not be told */
	return false;
}

/* ---- what the question told ---- */

bool hearer_answered(struct channel *channel, struct topics *topics)
{
	struct guest *guest = channel->guest;
	struct hearer *hearer = guest->hearer;

	channel->listening = channel->listening || topics->count > 0;
	topics_remove(topics, span_text(guest->worker->house->ear_mark));
	if (!hearer && topics->count == 0)
		return false;
	hearer = hearer_of(guest);
	if (!hearer)
		return false;
	topics_fini(&hearer->hearing->wanted);
	hearer->hearing->wanted = *topics;
	*topics = (struct topics){ 0 };
	hearer->hearing->changed = true;
	return hearer->hearing->state != HEARING_DIRECT;
}

/* Its server tells it everything from now on. */
static void go_direct(struct hearer *hearer)
{
	struct hearing *h = hearer->hearing;

	topics_fini(&h->shared);
	h->marked_by_ear = h->marked_by_server = h->removes = false;
	remains_pin_listen(hearer->guest->channel);
	hearer_say(hearer);
}

/* Its server is to hear the mark, or not any more: the client may ask what its session listens to. */
static bool ask_mark(struct channel *channel, const char *verb, uint32_t tag)
{
	struct buf text = { 0 };
	struct topics mark = { 0 };
	bool ok = topics_add(&mark, span_text(channel->worker->house->ear_mark)) && topics_write(&mark, verb, &text) &&
		channel_ask(channel, buf_span(&text), tag);

	topics_fini(&mark);
	buf_fini(&text);
	channel->listening = true;
	channel->marked = verb[0] == 'L';
	return ok;
}

bool hearer_unmark(struct channel *channel)
{
	return !channel->marked || ask_mark(channel, "UNLISTEN", TAG_FAILS);
}

void hearer_fail(struct hearer *hearer, time_us missed)
{
	struct channel *channel = hearer->guest->channel;

	hearer_rise(hearer, NULL);
	if (hearer->hearing->shared.count > 0)
		hearer->missed = missed ? missed : clock_wall();
	hearing_fail(hearer->hearing);
	if (!ask_mark(channel, "UNLISTEN", TAG_FAILS))
		channel_break(channel, "out of memory");
}

void hearer_failed(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct hearer *hearer = guest ? guest->hearer : NULL;

	channel->setup_failed = false;
	if (!hearer || hearer->hearing->state != HEARING_FAILS)
		return;
	go_direct(hearer);
	if (guest->hearer)
		guest->hearer->hearing->state = HEARING_DIRECT;
}

static bool begin_marks(struct hearer *hearer)
{
	hearer->hearing->state = HEARING_MARKS;
	return ask_mark(hearer->guest->channel, "LISTEN", TAG_MARK);
}

void hearer_marked(struct channel *channel)
{
	struct hearer *hearer = channel->guest ? channel->guest->hearer : NULL;
	const char *encoding = hearer ? params_get(channel->guest->reported, span_text("client_encoding")) : NULL;
	struct topics more = { 0 };
	struct hearing *h;
	bool ok = true, failed = channel->setup_failed;

	channel->setup_failed = false;
	if (!hearer || hearer->hearing->state != HEARING_MARKS)
		return;
	h = hearer->hearing;
	for (size_t i = 0; ok && i < h->wanted.count; i++)
		if (!topics_has(&h->shared, span_text(h->wanted.names[i])))
			ok = topics_add(&more, span_text(h->wanted.names[i]));
	if (h->shared.count == 0)
		text_copy(hearer->encoding, sizeof hearer->encoding, encoding ? encoding : "");
	/* What it has from the ear already is in another encoding than what it wants now. */
	else if (encoding && strcmp(encoding, hearer->encoding) != 0)
		failed = true;
	h->state = HEARING_MOVES;
	ok = ok && !failed;
	hearer_seek(hearer, ok);
	ok = ok && hearer_sit(hearer, &more) && hearer_ask(hearer, EAR_HEAR, &more);
	topics_fini(&more);
	if (!ok)
		hearer_fail(hearer, 0);
}

/* What it wants is what the ear hears for it. */
static void finish(struct hearer *hearer)
{
	struct guest *guest = hearer->guest;
	struct channel *channel = guest->channel;

	hearing_settle(hearer->hearing);
	hearer_seek(hearer, false);
	hearer_rise(hearer, &hearer->hearing->shared);
	remains_unpin_listen(channel);
	hearer_say(hearer);
	/* The lease goes on for another reason. */
	if (channel->guest == guest && channel->remains.pins && !hearer_unmark(channel))
		channel_break(channel, "out of memory");
}

static bool has_all(const struct topics *of, const struct topics *these)
{
	bool all = true;

	for (size_t i = 0; all && i < these->count; i++)
		all = topics_has(of, span_text(these->names[i]));
	return all;
}

/* What it listens to is known: `wanted`. `passed`: all that was sent before is here. */
static void decide(struct hearer *hearer, bool passed)
{
	struct guest *guest = hearer->guest;
	struct hearing *h = hearer->hearing;
	bool can_share = hearer->can_share && guest->worker->config->shared_listen &&
		h->wanted.count <= TOPICS_SHARED_MAX;

	if (!can_share)
		hearer_seek(hearer, false);
	if (hearer_is_stranded(hearer)) {
		hearer_fail(hearer, 0);
		return;
	}
	if (!h->removes && !has_all(&h->wanted, &h->shared))
		hearing_remove(h);
	if (!has_all(&h->shared, &h->wanted) || (h->local.count > 0 && h->shared.count > 0)) {
		h->changed = false;
		if (!can_share)
			hearer_fail(hearer, 0);
		else if (!begin_marks(hearer))
			channel_break(guest->channel, "out of memory"); /* the half of it may have been sent */
	} else if (h->told && !passed) {
		(void)ask_to_wait(hearer);
	} else {
		finish(hearer);
	}
}

static bool is_needless(const struct hearer *hearer)
{
	const struct hearing *h = hearer->hearing;

	return h->state == HEARING_SHARED && h->shared.count == 0 && !h->changed && !h->ready_owed && !hearer->missed &&
		h->dropped == 0 && hearing_is_empty(h);
}

bool hearer_settle(struct channel *channel)
{
	struct guest *guest = channel->guest;
	struct hearer *hearer = guest->hearer;
	struct hearing *h;

	if (!hearer)
		return true;
	h = hearer->hearing;
	switch ((enum hearing_state)h->state) {
	case HEARING_MARKS:
	case HEARING_WAITS:
	case HEARING_FAILS:
		return false;
	case HEARING_MOVES:
		if (!h->marked_by_ear || !h->marked_by_server)
			return false;
		finish(hearer);
		break;
	case HEARING_PASSED:
		h->state = HEARING_SHARED;
		if (h->changed)
			decide(hearer, !h->told_since);
		else
			hearer_say(hearer);
		break;
	case HEARING_SHARED:
	case HEARING_DIRECT:
		if (h->changed || (h->state == HEARING_SHARED && hearer_is_stranded(hearer)))
			decide(hearer, false);
		else if (h->ready_owed || (!hearing_is_empty(h) && hearer_may_speak(guest)))
			hearer_say(hearer);
		break;
	}
	/* A word to the client may have been its end. */
	if (channel->guest != guest)
		return false;
	if (h->state != HEARING_SHARED && h->state != HEARING_DIRECT)
		return false;
	if (is_needless(hearer))
		hearer_leave(guest);
	return true;
}
