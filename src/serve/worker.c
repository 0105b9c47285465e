/* One thread: see the drawing in worker.h, and worker_turn, which is the whole story. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/ears.h"
#include "serve/hearers.h"
#include "serve/lookups.h"
#include "serve/naming.h"
#include "serve/vouching.h"
#include "serve/monitor.h"
#include "serve/peering.h"
#include "serve/questions.h"
#include "serve/reaper.h"
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
	slots_fini(&worker->guests);
	texts_fini(&worker->texts);
	effects_fini(&worker->effects);
	free(worker->channels);
	free(worker->ending);
	free(worker->dead);
	buf_wipe(&worker->out);
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

static void mail_effect(struct worker *worker, const struct effect *effect)
{
	struct letter_effect *letter = malloc(sizeof *letter);

	check(letter); /* an effect that is lost would leave the core waiting for ever */
	letter->letter.kind = LETTER_EFFECT;
	letter->effect = *effect;
	worker_post(worker, effect->worker, &letter->letter);
}

static void stop_all(struct worker *worker)
{
	struct letter *letter = calloc(1, sizeof *letter);

	if (letter) {
		letter->kind = LETTER_STOP;
		mailbox_post(worker->house->keeper_mailbox, letter);
	}
}

/* The client is not there any more, or does not want one any more: the server is free again. */
static void lend_in_vain(struct worker *worker, server_id server)
{
	struct event event = {
		.kind = EVENT_SERVER_READY, .now = worker->now, .server = server, .worker = worker->index
	};

	worker_step(worker, &event);
}

static void perform_lend(struct worker *worker, const struct effect *effect)
{
	struct guest *guest = slots_get(&worker->guests, effect->client.client);
	struct channel *channel = channel_get(worker, effect->server);

	bool wants = guest &&
		(guest->state == GUEST_WAITING || guest->state == GUEST_LEARNING || guest->state == GUEST_ASKING) &&
		!guest->channel;

	if (!channel || channel->state != CHANNEL_IDLE) {
		/* It ended meanwhile, and the core was told; for the core that was the end of this lease, so the client wants again. */
		if (wants)
			guest_lent(guest, NULL, NULL);
	} else if (!wants)
		lend_in_vain(worker, effect->server);
	else
		guest_lent(guest, channel, effect);
}

static void close_database(struct worker *worker, database_id database, const struct effect *effect)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->state != GUEST_ENDING && guest->state != GUEST_CONSOLE && guest->pool != NO_POOL &&
			(database == NO_DATABASE || worker->views[guest->pool]->database_id == database))
			guest_refused(guest, effect);
}

static const char *close_text(enum close_reason reason)
{
	static const char *const reasons[] = {
		[CLOSE_NONE] = "asked to close",
		[CLOSE_IDLE] = "server idle timeout",
		[CLOSE_LIFETIME] = "server lifetime over",
		[CLOSE_MAKE_ROOM] = "evicted for another pool",
		[CLOSE_PAUSE] = "pause mode",
		[CLOSE_KILL] = "database killed",
		[CLOSE_RECONNECT] = "reconnect",
		[CLOSE_VACATED] = "nobody is in its database, which may be dropped",
		[CLOSE_UNFIT] = "it is not what target_session_attrs or its host's name asks for any more",
		[CLOSE_SHRINK] = "more servers than the limits allow",
		[CLOSE_SHUTDOWN] = "shutting down",
	};

	return reasons[reason];
}

static void perform_close(struct worker *worker, const struct effect *effect)
{
	struct channel *channel = channel_get(worker, effect->server);

	if (!channel)
		return;
	if (channel->guest && channel->replication)
		guest_complain(channel->guest,
			worker->config->manner == MANNER_PGBOUNCER ? SQLSTATE_PROTOCOL_VIOLATION
								   : SQLSTATE_ADMIN_SHUTDOWN,
			worker->config->manner == MANNER_PGBOUNCER
				? "database configuration changed"
				: "terminating connection due to administrator command",
			close_text(effect->reason), NULL);
	else if (channel->guest)
		channel_break(channel, close_text(effect->reason));
	else
		channel_close(channel, close_text(effect->reason));
	if (effect->reason == CLOSE_RECONNECT)
		pool_forget(worker, worker->views[channel->pool]);
}

static void perform(struct worker *worker, const struct effect *effect)
{
	struct guest *guest = slots_get(&worker->guests, effect->client.client);
	struct channel *channel;

	switch (effect->kind) {
	case EFFECT_ADMIT:
		if (guest && guest->state != GUEST_ENDING)
			guest_admitted(guest);
		break;
	case EFFECT_REFUSE:
		if (guest && guest->state != GUEST_ENDING)
			guest_refused(guest, effect);
		break;
	case EFFECT_LEND:
		perform_lend(worker, effect);
		break;
	case EFFECT_DIAL:
		channel_dial(worker, effect);
		break;
	case EFFECT_MOVE:
		channel = channel_get(worker, effect->server);
		if (channel && channel->state == CHANNEL_IDLE)
			channel_give(channel, effect->to);
		break;
	case EFFECT_CLOSE:
		perform_close(worker, effect);
		break;
	case EFFECT_LEAVE:
		channel = channel_get(worker, effect->server);
		if (channel)
			channel_leave(channel, close_text(effect->reason));
		break;
	case EFFECT_FORGET:
		pool_unused(worker, effect->pool);
		break;
	case EFFECT_EXPEL:
		if (handle_none(effect->client.client))
			close_database(worker, effect->database, effect);
		else if (guest && guest->state != GUEST_ENDING)
			guest_refused(guest, effect);
		break;
	case EFFECT_SUSPEND:
		suspend_begin(worker, effect->suspension);
		break;
	case EFFECT_RESUME:
		suspend_end(worker);
		break;
	case EFFECT_ANSWER:
		if (guest && guest->desk)
			desk_answer(guest, effect->problem);
		break;
	case EFFECT_QUIT:
		stop_all(worker);
		break;
	}
}

void worker_perform(struct worker *worker)
{
	struct effect effect;
	size_t at = 0;

	/* Performing one may ask the core again: the list grows while it is read. */
	while (at < worker->effects.count) {
		effect = worker->effects.list[at++];
		if (effect.worker == worker->index)
			perform(worker, &effect);
		else
			mail_effect(worker, &effect);
	}
	worker->effects.count = 0;
}

/* ---- mail ---- */

static void take_config(struct worker *worker)
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

static struct guest *find_number(struct worker *worker, uint32_t number)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->number == number && guest->state != GUEST_ENDING)
			return guest;
	return NULL;
}

/* The letter goes from worker to worker until somebody knows the client. */
static void take_kill(struct worker *worker, struct letter_kill *letter)
{
	struct guest *guest = find_number(worker, letter->number);
	struct letter_reply *reply;

	if (!guest && worker->index + 1 < worker->house->worker_count) {
		worker_post(worker, worker->index + 1, &letter->letter);
		return;
	}
	reply = calloc(1, sizeof *reply);
	check(reply);
	reply->letter.kind = LETTER_REPLY;
	reply->asker = letter->asker;
	reply->ok = guest != NULL;
	text_copy(reply->problem, sizeof reply->problem, "client not found");
	worker_post(worker, letter->asker.worker, &reply->letter);
	free(letter);
	if (guest)
		guest_complain(guest,
			worker->config->manner == MANNER_PGBOUNCER ? SQLSTATE_PROTOCOL_VIOLATION
								   : SQLSTATE_ADMIN_SHUTDOWN,
			worker->config->manner == MANNER_PGBOUNCER
				? "admin forced disconnect"
				: "terminating connection due to administrator command",
			NULL, NULL);
}

/* It visits, or comes back to the console that asked. */
static void take_reap(struct worker *worker, struct letter *mail)
{
	struct letter_reap *letter = (struct letter_reap *)(void *)mail;
	struct guest *guest;

	if (letter->worker < worker->house->worker_count) {
		reaper_visit(worker, mail);
		return;
	}
	guest = slots_get(&worker->guests, letter->asker.client);
	if (guest && guest->desk)
		desk_reap(guest, letter->rows, letter->row_count, letter->stayed);
	reaper_letter_free(letter);
}

static void end_everything(struct worker *worker)
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

static void take_listeners(struct worker *worker, const struct letter_listeners *letter)
{
	suspend_doors_change(worker);
	house_watch(worker->house, worker->loop, &worker->watched, letter);
	worker->doors_shut = !letter->watch;
	if (letter->leaving)
		forerunner_visit(worker, letter);
}

static void take_letter(struct worker *worker, struct letter *letter)
{
	struct letter_client *client;
	struct letter_census *census;
	struct letter_reply *reply;
	struct letter_cancel *cancel;
	struct guest *guest;

	switch ((enum letter_kind)letter->kind) {
	case LETTER_CLIENT:
		client = (struct letter_client *)(void *)letter;
		if (worker->stop) {
			parcel_free(&client->parcel);
			atomic_fetch_sub(&worker->client_count, 1);
		} else {
			(void)guest_arrive(worker, client->parcel);
		}
		free(letter);
		break;
	case LETTER_EFFECT:
		perform(worker, &((struct letter_effect *)(void *)letter)->effect);
		free(letter);
		break;
	case LETTER_SERVER:
		channel_take(worker, letter);
		break;
	case LETTER_CANCEL:
		cancel = (struct letter_cancel *)(void *)letter;
		cancel->turn = worker->turn;
		cancel->next = worker->cancels;
		worker->cancels = cancel;
		break;
	case LETTER_CONFIG:
		take_config(worker);
		free(letter);
		break;
	case LETTER_RESOLVE:
		if (monitor_asked((struct resolve_letter *)(void *)letter)) {
			monitor_resolved(worker, (struct resolve_letter *)(void *)letter);
			ears_resolved(worker, (struct resolve_letter *)(void *)letter);
			peering_resolved(worker, (struct resolve_letter *)(void *)letter);
			free(letter);
		} else {
			channel_resolved(worker, (struct resolve_letter *)(void *)letter);
		}
		break;
	case LETTER_CENSUS:
		census = (struct letter_census *)(void *)letter;
		if (census->next <= worker->house->worker_count) {
			census_visit(worker, census);
			break;
		}
		guest = slots_get(&worker->guests, census->asker.client);
		if (guest && guest->desk)
			desk_census(guest, census->snapshot);
		snapshot_free(census->snapshot);
		free(census);
		break;
	case LETTER_REPLY:
		reply = (struct letter_reply *)(void *)letter;
		guest = slots_get(&worker->guests, reply->asker.client);
		if (guest && guest->desk)
			desk_reply(guest, reply);
		free(letter);
		break;
	case LETTER_SURVEY:
		survey_visit(worker, letter);
		break;
	case LETTER_REAP:
		take_reap(worker, letter);
		break;
	case LETTER_KILL:
		take_kill(worker, (struct letter_kill *)(void *)letter);
		break;
	case LETTER_LISTENERS:
		take_listeners(worker, (const struct letter_listeners *)(void *)letter);
		free(letter);
		break;
	case LETTER_CANCELLED:
		guest = slots_get(&worker->guests, ((struct letter_cancelled *)(void *)letter)->asker.client);
		if (guest)
			guest_end(guest, NULL, "cancel request");
		free(letter);
		break;
	case LETTER_HEAR:
		ears_take(worker, (struct letter_hear *)(void *)letter);
		break;
	case LETTER_HEARD:
		hearers_take(worker, (struct letter_heard *)(void *)letter);
		free(letter);
		break;
	case LETTER_FORWARD:
		peering_take(worker, (struct letter_forward *)(void *)letter);
		break;
	case LETTER_QUESTION:
		question_take(worker, (struct letter_question *)(void *)letter);
		break;
	case LETTER_LOOKUP:
		lookup_letter(worker, letter);
		break;
	case LETTER_LEAVE:
		leave_letter(worker, letter);
		break;
	case LETTER_LOST_ADDRESS:
		leave_lost(worker, letter);
		break;
	case LETTER_HOST:
		naming_letter(worker, letter);
		break;
	case LETTER_VOUCH:
		vouching_letter(worker, letter);
		break;
	case LETTER_WAKE:
		worker_wake_core(worker);
		free(letter);
		break;
	case LETTER_STOP:
		free(letter);
		end_everything(worker);
		break;
	case LETTER_COMMAND: /* only the keeper gets these */
	case LETTER_LEAVING:
	default:
		check(false);
	}
}

static void read_mail(struct worker *worker)
{
	struct letter *letter;

	/* What comes after the word to stop is swept up at the end. */
	while (!worker->stop && (letter = mailbox_take(worker->mailbox))) {
		take_letter(worker, letter);
		worker_perform(worker);
	}
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
		errand_ended(errand);
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

void worker_turn(struct worker *worker)
{
	struct completion done;

	loop_wait(worker->loop,
		worker->cancels                     ? worker->now
			: worker->suspension.number ? worker->suspension.deadline
						    : timers_deadline(&worker->timers));
	worker->now = clock_now();
	worker->turn++;
	read_mail(worker);
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

bool worker_is_done(const struct worker *worker)
{
	return worker->stop;
}

void worker_start(struct worker *worker)
{
	take_config(worker);
	census_tick(worker);
}

void worker_sweep(struct worker *worker)
{
	struct letter *letter;
	struct letter_census *census;

	/* Servers and clients that were on their way are ended; the rest is only memory. */
	while ((letter = mailbox_take(worker->mailbox))) {
		switch ((enum letter_kind)letter->kind) {
		case LETTER_CLIENT:
		case LETTER_RESOLVE:
			take_letter(worker, letter);
			break;
		case LETTER_SERVER:
			channel_take(worker, letter);
			end_everything(worker);
			break;
		case LETTER_CENSUS:
			census = (struct letter_census *)(void *)letter;
			snapshot_free(census->snapshot);
			free(census);
			break;
		case LETTER_SURVEY:
			survey_letter_free(letter);
			break;
		case LETTER_REAP:
			reaper_letter_free((struct letter_reap *)(void *)letter);
			break;
		case LETTER_HEAR:
			ears_letter_free((struct letter_hear *)(void *)letter);
			break;
		case LETTER_QUESTION:
			question_letter_free((struct letter_question *)(void *)letter);
			break;
		case LETTER_LOOKUP:
			lookup_letter_free(letter);
			break;
		case LETTER_HOST:
			naming_letter_free(letter);
			break;
		case LETTER_VOUCH:
			vouching_letter_free(letter);
			break;
		case LETTER_HEARD:
		case LETTER_EFFECT:
		case LETTER_CANCEL:
		case LETTER_CONFIG:
		case LETTER_COMMAND:
		case LETTER_REPLY:
		case LETTER_KILL:
		case LETTER_LISTENERS:
		case LETTER_CANCELLED:
		case LETTER_LEAVE:
		case LETTER_LOST_ADDRESS:
		case LETTER_LEAVING:
		case LETTER_WAKE:
		case LETTER_STOP:
		default:
			free(letter);
			break;
		}
	}
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
