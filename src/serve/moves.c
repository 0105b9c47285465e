/* From one ear to another, when a RELOAD leads a database to another host or name:
 *
 *    it holds nothing, and the configuration leads elsewhere  -> its seats are at the new ear from now on, asleep (EAR_MOVE)
 *       the ear hears that, now or when it is there           -> they are awake; WARNING: what was sent meanwhile may be lost
 *       it can not                                            -> WARNING, and with the next transaction the client keeps its server
 *
 * The mark that joins what ear and server say (handover.c) must come from one place. So while a transaction of the client's is open it
 * stays where its server is; and one that is lent a server elsewhere, because not every worker has heard of the RELOAD yet, goes there
 * first. Seats sleep until the new ear has answered, since it may still be saying what the old one has said: two places may be one database.
 * Letters of a worker to the ears come in their order: what it asks behind a move is answered behind it. */
#include "io/clock.h"
#include "serve/channel.h"
#include "serve/hearers.h"
#include "serve/places.h"

bool hearer_is_stranded(const struct hearer *hearer)
{
	return !hearer->can_share && hearer->hearing->shared.count > 0;
}

/* Its seats are at this ear; nothing is under way for it, and nothing waits. */
static void move(struct hearer *hearer, uint32_t ear, time_us since)
{
	struct topics topics = { 0 };
	bool ok = topics_add_all(&topics, &hearer->hearing->shared);

	hearer_rise(hearer, NULL);
	hearer->ear = ear;
	hearer->missed = since;
	hearer->moving = true;
	ok = ok && hearer_sit(hearer, &topics) && hearer_ask(hearer, EAR_MOVE, &topics);
	hearer->missed = 0;
	topics_fini(&topics);
	if (!ok)
		guest_end(hearer->guest, NULL, "out of memory");
}

/* To the ear of the place with this number, if there is one (`known`). */
static void follow(struct hearer *hearer, bool known, uint32_t ear)
{
	const struct hearing *h = hearer->hearing;
	time_us since = hearer->missed ? hearer->missed : clock_wall();

	if (known && ear == hearer->ear && (hearer->can_share || h->shared.count == 0)) {
		hearer->can_share = true;
		return;
	}
	hearer->can_share = known;
	if (known && h->shared.count > 0) {
		move(hearer, ear, since);
	} else if (known) {
		hearer->ear = ear;
	} else if (h->shared.count > 0) {
		hearer_rise(hearer, NULL);
		hearer_warn(hearer, since, true);
	}
}

void hearer_follow(struct guest *guest)
{
	struct hearer *hearer = guest->hearer;
	const struct pool_view *view = guest_view(guest);
	uint32_t ear = 0;
	bool known;

	if (hearer->hearing->state != HEARING_SHARED || guest->channel ||
		(hearer->generation == guest->worker->generation && !hearer->astray))
		return;
	hearer->generation = guest->worker->generation;
	hearer->astray = false;
	if (!view->database)
		return; /* it is led nowhere any more */
	known = place_number(guest->worker->house, view, &ear);
	follow(hearer, known, ear);
}

void hearer_follow_server(struct channel *channel)
{
	struct hearer *hearer = channel->guest->hearer;
	uint32_t ear = 0;
	bool known = place_number_of_server(channel, &ear);

	if (hearer->hearing->state != HEARING_SHARED || (known && hearer->can_share && ear == hearer->ear) ||
		(!known && !hearer->can_share))
		return;
	hearer->astray = true;
	follow(hearer, known, ear);
}

void hearers_configure(struct worker *worker)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->hearer && !guest->channel && guest->state != GUEST_ENDING)
			hearer_follow(guest);
}

void hearer_take_moved(struct hearer *hearer, const struct letter_heard *letter)
{
	bool was_moving = hearer->moving;

	hearer->moving = false;
	if (!was_moving || hearer->hearing->shared.count == 0)
		return;
	if (letter->word == EAR_REFUSED) {
		hearer->can_share = false;
		hearer_rise(hearer, NULL);
	}
	/* What it LISTENs to besides, just now, waits for its mark. */
	hearer_wake(hearer, &hearer->hearing->shared);
	hearer_warn(hearer, letter->missed, true);
}
