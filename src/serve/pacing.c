/* Logins of one address keep its pace (address_login_rate), whoever they say they are: who guesses passwords may call himself something else
 * each time, and that makes another origin of him, but not another address.
 *
 *   startup packet --> its turn --> the door --> proof
 *                        by base/pace: at once, or when its timer rings; or too late to be of use, and client_login_timeout ends it */
#include "base/pace.h"
#include "serve/guest.h"

/* How far off a turn may be where client_login_timeout is 0. */
#define LONGEST_TURN_US (60 * SECOND_US)

/* When its turn comes among the logins of its address: now, later, or (0) too late to be of use. */
static time_us next_turn(const struct guest *guest, uint32_t rate)
{
	struct worker *worker = guest->worker;
	time_us limit = worker->config->client_login_timeout, latest = worker->now + LONGEST_TURN_US, due;

	if (limit > 0)
		latest = guest->connected + limit - limit / 4; /* the proof takes its time, too */
	lock_take(worker->house->lock);
	due = paces_take(worker->house->paces, address_source(stream_peer(guest->stream)), rate, worker->now, latest);
	lock_drop(worker->house->lock);
	return due;
}

bool guest_keeps_pace(struct guest *guest)
{
	struct worker *worker = guest->worker;
	const struct address *peer = stream_peer(guest->stream);
	time_us limit = worker->config->client_login_timeout, due;
	uint32_t rate = (uint32_t)worker->config->address_login_rate;
	char host[ADDRESS_TEXT];

	guest->held_back = false;
	if (guest->has_turn || rate == 0 || peer->family == ADDRESS_UNIX)
		return true;
	due = next_turn(guest, rate);
	if (due == worker->now)
		return true;
	guest->held_back = true;
	guest->has_turn = due != 0;
	if (worker->now >= worker->pace_said + SECOND_US) {
		worker->pace_said = worker->now;
		log_line(LOG_WARNING, "logins from %s come faster than address_login_rate: they wait",
			address_host_text(peer, host));
	}
	if (!due)
		due = limit > 0 ? guest->connected + limit : worker->now + LONGEST_TURN_US;
	timer_set(&worker->timers, &guest->timer, due);
	return false;
}
