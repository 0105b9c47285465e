/* A worker's mail: what it does with each letter, and what becomes of those that nobody reads any more. */
#include "serve/letters.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/ears.h"
#include "serve/hearers.h"
#include "serve/lookups.h"
#include "serve/monitor.h"
#include "serve/naming.h"
#include "serve/peering.h"
#include "serve/questions.h"
#include "serve/reaper.h"
#include "serve/suits.h"
#include "serve/survey.h"
#include "serve/takeover.h"
#include "serve/vouching.h"
#include "serve/worker.h"

static struct guest *find_number(struct worker *worker, uint32_t number)
{
	struct guest *guest;
	uint32_t slot = 0;

	while ((guest = slots_next(&worker->guests, &slot)))
		if (guest->number == number && guest->state != GUEST_ENDING)
			return guest;
	return NULL;
}

/* Whose console asked; NULL: it has gone meanwhile. */
static struct guest *find_desk(struct worker *worker, struct client_ref asker)
{
	struct guest *guest = slots_get(&worker->guests, asker.client);

	return guest && guest->desk ? guest : NULL;
}

static void take_client(struct worker *worker, struct letter_client *letter)
{
	if (worker->stop) {
		parcel_free(&letter->parcel);
		atomic_fetch_sub(&worker->client_count, 1);
	} else {
		(void)guest_arrive(worker, letter->parcel);
	}
	free(letter);
}

/* Granted later: see worker.c. */
static void take_cancel(struct worker *worker, struct letter_cancel *letter)
{
	letter->turn = worker->turn;
	letter->next = worker->cancels;
	worker->cancels = letter;
}

static void take_cancelled(struct worker *worker, const struct letter_cancelled *letter)
{
	struct guest *guest = slots_get(&worker->guests, letter->asker.client);

	if (guest)
		guest_end(guest, NULL, "cancel request");
}

static void take_resolved(struct worker *worker, struct resolve_letter *letter)
{
	if (!monitor_asked(letter)) {
		channel_resolved(worker, letter);
		return;
	}
	monitor_resolved(worker, letter);
	ears_resolved(worker, letter);
	peering_resolved(worker, letter);
	free(letter);
}

/* It visits, or comes back to the console that asked. */
static void take_census(struct worker *worker, struct letter_census *letter)
{
	struct guest *guest;

	if (letter->next <= worker->house->worker_count) {
		census_visit(worker, letter);
		return;
	}
	guest = find_desk(worker, letter->asker);
	if (guest)
		desk_census(guest, letter->snapshot);
	snapshot_free(letter->snapshot);
	free(letter);
}

static void take_reply(struct worker *worker, const struct letter_reply *letter)
{
	struct guest *guest = find_desk(worker, letter->asker);

	if (guest)
		desk_reply(guest, letter);
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
	reply = letter->reply;
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

/* As a census. */
static void take_reap(struct worker *worker, struct letter *mail)
{
	struct letter_reap *letter = (struct letter_reap *)(void *)mail;
	struct guest *guest;

	if (letter->worker < worker->house->worker_count) {
		reaper_visit(worker, mail);
		return;
	}
	guest = find_desk(worker, letter->asker);
	if (guest)
		desk_reap(guest, letter);
	reaper_letter_free(letter);
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
	switch ((enum letter_kind)letter->kind) {
	case LETTER_CLIENT:
		take_client(worker, (struct letter_client *)(void *)letter);
		break;
	case LETTER_EFFECT:
		worker_perform_one(worker, &((struct letter_effect *)(void *)letter)->effect);
		free(letter);
		break;
	case LETTER_SERVER:
		channel_take(worker, letter);
		break;
	case LETTER_CANCEL:
		take_cancel(worker, (struct letter_cancel *)(void *)letter);
		break;
	case LETTER_CONFIG:
		worker_configure(worker);
		free(letter);
		break;
	case LETTER_RESOLVE:
		take_resolved(worker, (struct resolve_letter *)(void *)letter);
		break;
	case LETTER_CENSUS:
		take_census(worker, (struct letter_census *)(void *)letter);
		break;
	case LETTER_REPLY:
		take_reply(worker, (const struct letter_reply *)(void *)letter);
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
		take_cancelled(worker, (const struct letter_cancelled *)(void *)letter);
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
		worker_end(worker);
		break;
	case LETTER_COMMAND: /* only the keeper gets these */
	case LETTER_LEAVING:
	default:
		check(false);
	}
}

void letters_read(struct worker *worker)
{
	struct letter *letter;

	/* What comes after the word to stop is swept up at the end. */
	while (!worker->stop && (letter = mailbox_take(worker->mailbox))) {
		take_letter(worker, letter);
		worker_perform(worker);
	}
}

void letters_sweep(struct worker *worker)
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
			worker_end(worker);
			break;
		case LETTER_CENSUS:
			census = (struct letter_census *)(void *)letter;
			snapshot_free(census->snapshot);
			behind_fini(&census->behind);
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
		case LETTER_CANCEL:
			secret_wipe(letter, sizeof(struct letter_cancel));
			free(letter);
			break;
		case LETTER_FORWARD:
			secret_wipe(letter, sizeof(struct letter_forward));
			free(letter);
			break;
		case LETTER_KILL:
			free(((struct letter_kill *)(void *)letter)->reply);
			free(letter);
			break;
		case LETTER_HEARD:
		case LETTER_EFFECT:
		case LETTER_CONFIG:
		case LETTER_COMMAND:
		case LETTER_REPLY:
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
}
