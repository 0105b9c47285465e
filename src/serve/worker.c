/* One thread: see the drawing in worker.h, and worker_turn, which is the whole story. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/ears.h"
#include "serve/hearers.h"
#include "serve/letters.h"
#include "serve/monitor.h"
#include "serve/peering.h"
#include "serve/suits.h"
#include "serve/survey.h"
#include "serve/takeover.h"
#include "serve/worker.h"

/* How many clients a worker may be ahead of the least busy one before it hands new ones over. */
#define IMBALANCE 8

/* A kernel that refuses io_uring refuses it to all workers alike, mostly: then that is said once. */
static struct loop *open_loop(const struct worker *worker)
{
	enum loop_engine engine = (enum loop_engine)worker->config->io_engine;
	struct loop *loop = loop_new(engine);

	if (loop || engine == ENGINE_EPOLL)
		return loop;
	if (worker->index == 0 || loop_engine(worker->house->workers[worker->index - 1]->loop) == engine)
		log_line(LOG_WARNING, "io_engine = io_uring, but the kernel refuses it (%s): using epoll",
			strerror(errno));
	return loop_new(ENGINE_EPOLL);
}

struct worker *worker_new(struct house *house, uint32_t index)
{
	struct worker *worker = calloc(1, sizeof *worker);

	if (!worker)
		return NULL;
	worker->house = house;
	worker->index = index;
	worker->config = house_config(house, &worker->secrets);
	worker->loop = open_loop(worker);
	worker->mailbox = worker->loop ? mailbox_new(worker->loop) : NULL;
	if (!worker->mailbox) {
		loop_free(worker->loop);
		secrets_drop(worker->secrets);
		config_drop(worker->config);
		free(worker);
		return NULL;
	}
	worker->now = worker->born = clock_now();
	worker->tls = house_tls(house);
	worker->generation = atomic_load(&house->generation);
	timers_init(&worker->timers, worker->now);
	timer_init(&worker->core_timer, UINT32_MAX);
	timer_init(&worker->stats_timer, UINT32_MAX);
	timer_init(&worker->survey_timer, UINT32_MAX);
	timer_init(&worker->peers_timer, UINT32_MAX);
	slots_init(&worker->guests, CANCEL_SLOTS_MAX);
	texts_init(&worker->texts);
	look_memory_init(&worker->looks);
	return worker;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	check(worker->guests.used == 0 && worker->channel_count == 0);
	errands_fini(worker);
	ears_fini(worker);
	peering_fini(worker);
	hearers_fini(worker);
	monitors_fini(worker);
	pool_views_fini(worker);
	readings_fini(worker);
	slots_fini(&worker->guests);
	look_memory_fini(&worker->looks);
	texts_fini(&worker->texts);
	effects_fini(&worker->effects);
	free(worker->channels);
	free(worker->ending);
	free(worker->dead);
	buf_wipe(&worker->out);
	secret_wipe(worker->drawn, sizeof worker->drawn);
	mailbox_free(worker->mailbox);
	loop_free(worker->loop);
	config_drop(worker->config);
	secrets_drop(worker->secrets);
	tls_pair_drop(&worker->tls);
	free(worker);
}

/* ---- the core ---- */

static void arm_core_timer(struct worker *worker, time_us deadline)
{
	if (deadline && (!timer_is_set(&worker->core_timer) || deadline < worker->core_timer.due))
		timer_set(&worker->timers, &worker->core_timer, deadline);
}

void worker_step(struct worker *worker, const struct event *event)
{
	struct house *house = worker->house;
	time_us deadline;

	lock_take(house->lock);
	core_step(house->core, event, &worker->effects);
	deadline = core_deadline(house->core);
	lock_drop(house->lock);
	/* Whoever brings the core's next deadline nearer wakes it; being early costs one look. */
	arm_core_timer(worker, deadline);
}

void worker_wake_core(struct worker *worker)
{
	time_us deadline;

	lock_take(worker->house->lock);
	deadline = core_deadline(worker->house->core);
	lock_drop(worker->house->lock);
	arm_core_timer(worker, deadline);
}

static void tick(struct worker *worker)
{
	struct event event = { .kind = EVENT_TICK, .now = worker->now, .worker = worker->index };

	worker_step(worker, &event);
}

void worker_post(struct worker *worker, uint32_t to, struct letter *letter)
{
	mailbox_post(worker->house->workers[to]->mailbox, letter);
}

/* ---- the configuration ---- */

void worker_configure(struct worker *worker)
{
	struct config *before = worker->config;
	const struct config *config;

	secrets_drop(worker->secrets);
	tls_pair_drop(&worker->tls);
	worker->config = house_config(worker->house, &worker->secrets);
	worker->tls = house_tls(worker->house);
	worker->generation = atomic_load(&worker->house->generation);
	config = worker->config;
	worker->client_options = worker->server_options = house_stream_options(config);
	if (config->tcp_defer_accept != before->tcp_defer_accept)
		house_defer(worker->house, worker->watched, config->tcp_defer_accept);
	if (config->leak_interval != before->leak_interval || !timer_is_set(&worker->survey_timer))
		survey_arm(worker);
	pool_views_configure(worker, before);
	hearers_configure(worker);
	if (worker->index == 0) {
		ears_configure(worker);
		leave_configure(worker);
		monitors_configure(worker);
		peering_configure(worker);
	}
	peers_configure(worker);
	config_drop(before);
}

/* ---- what the loop hands out ---- */

/* A new connection stays here unless another worker has clearly fewer clients. */
static void take_accepted(struct worker *worker, struct parcel *parcel)
{
	struct house *house = worker->house;
	struct letter_client *letter;
	uint32_t i, best = worker->index;
	unsigned least = atomic_load(&worker->client_count), count;

	if (worker->stop) {
		parcel_free(&parcel);
		return;
	}
	for (i = 0; i < house->worker_count; i++) {
		count = atomic_load(&house->workers[i]->client_count);
		if (count + IMBALANCE < least) {
			best = i;
			least = count;
		}
	}
	atomic_fetch_add(&house->workers[best]->client_count, 1);
	if (best == worker->index) {
		(void)guest_arrive(worker, parcel);
		return;
	}
	letter = calloc(1, sizeof *letter);
	if (!letter) {
		atomic_fetch_sub(&house->workers[best]->client_count, 1);
		parcel_free(&parcel);
		return;
	}
	letter->letter.kind = LETTER_CLIENT;
	letter->parcel = parcel;
	worker_post(worker, best, &letter->letter);
}

static void take_guest(struct guest *guest, const struct completion *done)
{
	switch (done->kind) {
	case DONE_BYTES:
		guest_bytes(guest, done->bytes);
		break;
	case DONE_ROOM:
		guest_room(guest);
		break;
	case DONE_HANGUP:
		guest_hangup(guest);
		break;
	case DONE_ENDED:
		guest_ended(guest, done->error);
		break;
	case DONE_CONNECTED:
		guest_secured(guest);
		break;
	case DONE_ACCEPTED:
	case DONE_SIGNAL:
	default:
		check(false);
	}
}

static void take_channel(struct channel *channel, const struct completion *done)
{
	switch (done->kind) {
	case DONE_CONNECTED:
		channel_connected(channel);
		break;
	case DONE_BYTES:
		channel_bytes(channel, done->bytes);
		break;
	case DONE_ROOM:
		channel_room(channel);
		break;
	case DONE_HANGUP: /* its last bytes are still to be read: the end comes after them */
		break;
	case DONE_ENDED:
		channel_ended(channel, done->error);
		break;
	case DONE_ACCEPTED:
	case DONE_SIGNAL:
	default:
		check(false);
	}
}

static void take_errand(struct errand *errand, const struct completion *done)
{
	if (done->kind == DONE_CONNECTED)
		errand_connected(errand);
	else if (done->kind == DONE_ENDED)
		errand_ended(errand, done->error);
	else if (done->kind == DONE_BYTES)
		stream_consume(done->stream, done->bytes.length);
}

static void take_monitor(struct watch *watch, const struct completion *done)
{
	if (done->kind == DONE_CONNECTED)
		monitor_connected(watch);
	else if (done->kind == DONE_BYTES)
		monitor_bytes(watch, done->bytes);
	else if (done->kind == DONE_ENDED)
		monitor_ended(watch, done->error);
}

static void take_ear(struct ear *ear, const struct completion *done)
{
	if (done->kind == DONE_CONNECTED)
		ear_connected(ear);
	else if (done->kind == DONE_BYTES)
		ear_bytes(ear, done->bytes);
	else if (done->kind == DONE_ENDED)
		ear_ended(ear, done->error);
}

static void take(struct worker *worker, const struct completion *done)
{
	if (done->kind == DONE_ACCEPTED) {
		take_accepted(worker, done->parcel);
		return;
	}
	if (worker->suspension.number && suspend_holds(done))
		return;
	switch (*(const enum party *)done->owner) {
	case PARTY_GUEST:
		take_guest(done->owner, done);
		break;
	case PARTY_CHANNEL:
		take_channel(done->owner, done);
		break;
	case PARTY_ERRAND:
		take_errand(done->owner, done);
		break;
	case PARTY_MONITOR:
		take_monitor(done->owner, done);
		break;
	case PARTY_EAR:
		take_ear(done->owner, done);
		break;
	case PARTY_COURIER:
		courier_take(done->owner, done);
		break;
	default:
		check(false);
	}
}

static void ring_timers(struct worker *worker)
{
	struct timer *timer;

	while ((timer = timers_next(&worker->timers, worker->now))) {
		if (timer == &worker->core_timer)
			tick(worker);
		else if (timer == &worker->stats_timer)
			census_tick(worker);
		else if (timer == &worker->survey_timer)
			survey_begin(worker);
		else if (timer == &worker->peers_timer)
			peers_look(worker);
		else if (timer->kind == PARTY_GUEST)
			guest_rings(link_owner(timer, struct guest, timer));
		else if (timer->kind == PARTY_CHANNEL)
			channel_rings(link_owner(timer, struct channel, timer));
		else if (timer->kind == PARTY_MONITOR)
			monitor_rings(timer);
		else if (timer->kind == PARTY_EAR)
			ear_rings(timer);
		else if (timer->kind == PARTY_COURIER)
			courier_rings(timer);
		else
			errand_timer_rings(timer);
		worker_perform(worker);
	}
}

/* A cancel overtakes nothing that its client sent before it: mail is faster than a socket, so it is granted at the end of the turn
 * after the one in which it was read, when every byte that was there before it has been looked at. */
static void grant_cancels(struct worker *worker, uint64_t before)
{
	struct letter_cancel **at = &worker->cancels, *cancel;

	while ((cancel = *at)) {
		if (cancel->turn >= before) {
			at = &cancel->next;
			continue;
		}
		*at = cancel->next;
		if (!guest_cancel(worker, cancel->slot, cancel->process_id,
			    span_of(cancel->secret, cancel->secret_length), cancel->asker) &&
			!errand_forward(worker, cancel->process_id, span_of(cancel->secret, cancel->secret_length),
				cancel->asker))
			guest_cancelled(worker, cancel->asker);
		secret_wipe(cancel, sizeof *cancel);
		free(cancel);
		worker_perform(worker);
	}
}

/* The only place where anything ends. */
static void bury(struct worker *worker)
{
	while (worker->ending_count > 0)
		guest_bury(worker->ending[--worker->ending_count]);
	while (worker->dead_count > 0)
		channel_bury(worker->dead[--worker->dead_count]);
}

time_us worker_deadline(const struct worker *worker)
{
	if (worker->cancels)
		return worker->now;
	return worker->suspension.number ? worker->suspension.deadline : timers_deadline(&worker->timers);
}

void worker_turn(struct worker *worker)
{
	struct completion done;

	loop_wait(worker->loop, worker_deadline(worker));
	worker->now = clock_now();
	worker->turn++;
	letters_read(worker);
	while (loop_next(worker->loop, &done)) {
		take(worker, &done);
		worker_perform(worker);
	}
	grant_cancels(worker, worker->turn);
	if (worker->suspension.number && !worker->stop)
		suspend_look(worker);
	else if (!worker->stop)
		ring_timers(worker);
	bury(worker);
	forerunner_look(worker);
}

/* ---- the beginning and the end ---- */

bool worker_is_done(const struct worker *worker)
{
	return worker->stop;
}

void worker_start(struct worker *worker)
{
	worker_configure(worker);
	census_tick(worker);
}

void worker_end(struct worker *worker)
{
	struct complaint complaint = { .severity = SEVERITY_FATAL,
		.sqlstate = SQLSTATE_ADMIN_SHUTDOWN,
		.message = "the pooler is shutting down" };
	struct guest *guest;
	uint32_t slot = 0, i;

	worker->stop = true;
	/* Those who wait first: what others give back must not be lent again. */
	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->state == GUEST_WAITING || guest->state == GUEST_LEARNING || guest->state == GUEST_ASKING)
			guest_end(guest, &complaint, "shutting down");
	slot = 0;
	while ((guest = slots_next(&worker->guests, &slot)))
		guest_end(guest, guest->state == GUEST_CONSOLE ? NULL : &complaint, "shutting down");
	worker_perform(worker);
	for (i = 0; i < worker->channel_capacity; i++) {
		struct channel *channel = worker->channels[i];

		if (channel && channel->state != CHANNEL_CLOSING)
			channel_close(channel, "shutting down");
	}
	/* Nobody waits for their ends any more; our own end closes the sockets. */
	for (i = 0; i < worker->channel_capacity; i++)
		if (worker->channels[i])
			channel_ended(worker->channels[i], 0);
	errands_fini(worker);
	ears_fini(worker);
	peering_fini(worker);
	monitors_fini(worker);
	worker->effects.count = 0;
}

void worker_sweep(struct worker *worker)
{
	letters_sweep(worker);
	while (worker->cancels) {
		struct letter_cancel *cancel = worker->cancels;

		worker->cancels = cancel->next;
		secret_wipe(cancel, sizeof *cancel);
		free(cancel);
	}
	bury(worker);
	worker->effects.count = 0;
}

void worker_run(void *argument)
{
	struct worker *worker = argument;

	while (!worker_is_done(worker))
		worker_turn(worker);
}
