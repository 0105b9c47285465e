/* SUSPEND: everything stands still, and what was read has been sent.
 *
 *   READING --SUSPEND--> SENDING --all queues are empty; or suspend_timeout: who does not take his is ended--> STILL
 *      ^                    |                                                                                    |
 *      +------ RESUME, or the last console is gone --------------------------------------------------------------+
 *
 *  SENDING: no bytes of clients and servers are read any more, but those of consoles; nobody new is accepted, and waits with the kernel.
 *  STILL:   the core was told; when all workers are here, the console is answered.
 *
 * Streams are paused, as they are for many other reasons: `held` says that we did it. One that somebody lets go on meanwhile is paused again
 * when it has bytes. What runs at PostgreSQL runs on; its answer waits. No timer rings, so no limit passes: those that are over by then
 * are found so after RESUME, when what had come in time has been read. */
#include "serve/suspend.h"

#include "serve/ears.h"
#include "serve/worker.h"

/* Says whether it is paused by this: what rests for a reason of its own is not ours to wake. */
static bool hold(struct stream *stream)
{
	if (stream_is_paused(stream))
		return false;
	stream_pause(stream);
	return true;
}

static void hold_guest(struct guest *guest)
{
	if (hold(guest->stream))
		guest->held = true;
}

static void hold_channel(struct channel *channel)
{
	if (hold(channel->stream))
		channel->held = true;
}

static bool is_concerned(const struct guest *guest)
{
	return guest->stream && guest->state != GUEST_CONSOLE && guest->state != GUEST_ENDING;
}

/* ---- doors ---- */

/* The bits of what is watched otherwise stay, so that nobody closes it. */
static void shut_doors(struct worker *worker)
{
	struct house *house = worker->house;

	for (uint32_t i = 0; i < house->listener_count; i++)
		if (worker->watched & (UINT64_C(1) << i))
			listener_unwatch(house->listeners[i], worker->loop);
}

static void open_doors(struct worker *worker)
{
	struct house *house = worker->house;

	for (uint32_t i = 0; i < house->listener_count; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(worker->watched & bit) || listener_watch(house->listeners[i], worker->loop))
			continue;
		log_line(LOG_ERROR, "out of memory: worker %u accepts no connections any more on one of its sockets",
			worker->index);
		worker->watched &= ~bit;
		atomic_fetch_sub(&house->watchers[i], 1);
	}
}

void suspend_doors_change(struct worker *worker)
{
	if (!worker->suspension.number || worker->suspension.doors_open)
		return;
	open_doors(worker);
	worker->suspension.doors_open = true;
}

/* ---- the beginning and the end ---- */

static void hold_all(struct worker *worker, uint32_t number)
{
	time_us limit = worker->config->suspend_timeout;
	struct guest *guest;
	uint32_t slot = 0;

	worker->suspension = (struct suspension){ .number = number, .deadline = limit > 0 ? worker->now + limit : 0 };
	shut_doors(worker);
	while ((guest = slots_next(&worker->guests, &slot)))
		if (is_concerned(guest))
			hold_guest(guest);
	for (uint32_t i = 0; i < worker->channel_capacity; i++)
		if (worker->channels[i] && worker->channels[i]->stream)
			hold_channel(worker->channels[i]);
}

/* In these states its stream is paused for a reason of their own, which will let it go on. */
static bool rests_by_itself(const struct guest *guest)
{
	return guest->state == GUEST_AT_DOOR || guest->state == GUEST_ASKING || guest->state == GUEST_LEARNING ||
		guest->state == GUEST_WAITING;
}

static void release_all(struct worker *worker)
{
	struct guest *guest;
	uint32_t slot = 0;

	suspend_doors_change(worker);
	worker->suspension = (struct suspension){ 0 };
	for (uint32_t i = 0; i < worker->channel_capacity; i++) {
		struct channel *channel = worker->channels[i];

		if (channel && channel->held && channel->stream)
			stream_resume(channel->stream);
		if (channel)
			channel->held = false;
	}
	while ((guest = slots_next(&worker->guests, &slot))) {
		if (guest->held && is_concerned(guest) && !rests_by_itself(guest))
			stream_resume(guest->stream);
		guest->held = false;
	}
	ears_go_on(worker);
}

void suspend_begin(struct worker *worker, uint32_t number)
{
	if (number <= worker->suspensions_over)
		return;
	if (worker->suspension.number)
		release_all(worker); /* the word that ends it is still under way */
	hold_all(worker, number);
}

void suspend_end(struct worker *worker, uint32_t number)
{
	if (number > worker->suspensions_over)
		worker->suspensions_over = number;
	if (worker->suspension.number && worker->suspension.number <= number)
		release_all(worker);
}

/* ---- meanwhile ---- */

bool suspend_holds(const struct completion *done)
{
	struct guest *guest = done->owner;
	struct channel *channel = done->owner;

	if (done->kind != DONE_BYTES)
		return false;
	switch (*(const enum party *)done->owner) {
	case PARTY_GUEST:
		if (!is_concerned(guest))
			return false;
		hold_guest(guest);
		return true;
	case PARTY_CHANNEL:
		hold_channel(channel);
		return true;
	case PARTY_EAR:
		stream_pause(done->stream);
		return true;
	case PARTY_ERRAND:
	case PARTY_MONITOR:
	case PARTY_COURIER:
		break;
	}
	return false;
}

static bool owes(const struct stream *stream)
{
	return stream && stream_queued(stream) > 0;
}

/* Somebody has not taken all that is for him. `end`: that ends him. */
static bool anybody_owes(struct worker *worker, bool end)
{
	struct guest *guest;
	uint32_t slot = 0;
	bool any = false;

	while ((guest = slots_next(&worker->guests, &slot))) {
		if (!is_concerned(guest) || !owes(guest->stream))
			continue;
		any = true;
		if (end)
			guest_end(guest, NULL, "suspend_timeout");
	}
	for (uint32_t i = 0; i < worker->channel_capacity; i++) {
		struct channel *channel = worker->channels[i];

		if (!channel || channel->state == CHANNEL_CLOSING || !owes(channel->stream))
			continue;
		any = true;
		if (end)
			channel_break(channel, "suspend_timeout");
	}
	return any;
}

void suspend_look(struct worker *worker)
{
	struct suspension *suspension = &worker->suspension;
	struct event event = {
		.kind = EVENT_SUSPENDED, .now = worker->now, .worker = worker->index, .suspension = suspension->number
	};
	bool late = suspension->deadline && worker->now >= suspension->deadline;

	if (suspension->sent || (anybody_owes(worker, late) && !late))
		return;
	suspension->sent = true;
	suspension->deadline = 0;
	worker_step(worker, &event);
	worker_perform(worker);
}

/* ---- consoles ---- */

void suspend_console_comes(struct guest *guest)
{
	if (guest->admin)
		atomic_fetch_add(&guest->worker->house->consoles, 1);
}

void suspend_console_goes(struct guest *guest)
{
	struct event event = { .kind = EVENT_CONSOLES_LEFT, .now = guest->worker->now, .worker = guest->worker->index };

	if (guest->admin && atomic_fetch_sub(&guest->worker->house->consoles, 1) == 1)
		worker_step(guest->worker, &event);
}
