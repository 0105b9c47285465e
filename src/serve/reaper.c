/* Ending clients that leak.
 *
 *   a leak lasts --> keeper: action? pressure? budget? --letter--> worker 0, 1, ... --> keeper: budget, log, SHOW REAPS
 *   REAP         --> console --------------------------letter--> worker 0, 1, ... --> keeper --> console: a row for each
 *
 * The rules are in core/reap.c, the keeper's part is in reap_account.c; here is who is looked at and how one goes. Only the worker that
 * owns a client looks at it and ends it, in one step, so nothing can change between the look and the act. A client goes at the boundary of
 * a message, with an SQLSTATE and a hint that tell why; its server is rolled back and proven free before anybody else has it. */
#include "serve/reaper.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/extras.h"
#include "serve/guest.h"
#include "serve/hearers.h"
#include "serve/worker.h"

struct letter_reap *reaper_letter(void)
{
	struct letter_reap *letter = calloc(1, sizeof *letter);

	if (letter)
		letter->rows = calloc(REAP_ROWS, sizeof *letter->rows);
	if (!letter || !letter->rows) {
		free(letter);
		return NULL;
	}
	letter->letter.kind = LETTER_REAP;
	letter->most = UINT32_MAX;
	return letter;
}

void reaper_letter_free(struct letter_reap *letter)
{
	free(letter->rows);
	free(letter);
}

void reaper_send(struct house *house, struct letter_reap *letter)
{
	if (atomic_load(&house->stopping))
		reaper_letter_free(letter);
	else
		mailbox_post(house->workers[0]->mailbox, &letter->letter);
}

/* ---- at a worker ---- */

struct candidate {
	struct guest *guest;
	struct reap_subject subject;
	time_us age; /* rested or held */
};

/* What its server was asked about, which no words may have told. */
static unsigned pinned_marks(const struct channel *channel)
{
	static const struct {
		enum pin pin;
		unsigned mark;
	} marks[] = { { PIN_LISTEN, MARK_LISTENS }, { PIN_LOCK, MARK_LOCKS }, { PIN_CURSOR, MARK_CURSOR } };
	unsigned all = 0;

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		all |= channel->remains.pins & 1u << marks[i].pin ? marks[i].mark : 0;
	return all;
}

static struct reap_subject subject_of(const struct worker *worker, const struct guest *guest)
{
	const struct habits *habits = &guest->habits;
	const struct channel *channel = guest->channel;
	struct reap_subject subject = {
		.is_protected = guest->origin && atomic_load(&guest->origin->is_protected),
		.is_exempt = habits->exempt,
		.is_unheard = worker->suspension.number != 0,
		.hears = hearer_hears(guest),
		.marks = habits->marks,
		.bursts = habits->bursts,
		.marked = habits->marked ? worker->now - habits->marked : 0,
	};

	if (guest->state == GUEST_PARKED) {
		subject.owes = guest->body_left > 0 || guest->halfway || guest->skipping || guest->extras->collect;
		subject.rested = worker->now - habits->rest_since;
		return subject;
	}
	if (guest->state != GUEST_LENT || !channel) {
		subject.owes = true;
		return subject;
	}
	subject.holds_server = true;
	subject.marks |= pinned_marks(channel);
	subject.owes = !track_quiet(&channel->track) || guest->body_left > 0 || guest->halfway ||
		guest->extras->collect || channel->body_left > 0 || stream_queued(guest->stream) > 0 ||
		channel->checking || channel->learning || channel->unprepared;
	if (channel->track.copy_in || channel->track.copy_both || channel->replication)
		subject.marks |= MARK_COPY;
	if (subject.owes)
		return subject;
	subject.in_block = channel->track.status != 'I';
	if (subject.in_block)
		subject.held = worker->now - channel->quiet_since;
	else if (habits->rest_since)
		subject.rested = worker->now - habits->rest_since;
	else
		subject.owes = true;
	return subject;
}

/* Never used before those used once, then the longest first. */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->subject.bursts != y->subject.bursts && !x->subject.in_block && !y->subject.in_block)
		return x->subject.bursts < y->subject.bursts ? -1 : 1;
	return x->age > y->age ? -1 : x->age < y->age;
}

static bool is_meant(const struct guest *guest, struct reap_target *target)
{
	bool named = target->client ? guest->number == target->client
				    : guest->origin && guest->origin->number == target->origin;

	if (!named || target->found == REAP_PRESENT)
		return named && guest->state != GUEST_ENDING && guest->habits.arrived;
	target->found = guest->state != GUEST_ENDING && guest->habits.arrived ? REAP_PRESENT : REAP_NO_CLIENT;
	return target->found == REAP_PRESENT;
}

/* All of them: whoever is left out might be the only one who may go. NULL: nobody, or memory refused. */
static struct candidate *collect(struct worker *worker, struct reap_target *target, size_t *count)
{
	struct candidate *list;
	struct guest *guest;
	uint32_t slot = 0;
	size_t most = 0;

	*count = 0;
	while ((guest = slots_next(&worker->guests, &slot)))
		most += is_meant(guest, target);
	list = most > 0 ? malloc(most * sizeof *list) : NULL;
	slot = 0;
	while (list && (guest = slots_next(&worker->guests, &slot))) {
		struct candidate *candidate = &list[*count];

		if (!is_meant(guest, target))
			continue;
		candidate->guest = guest;
		candidate->subject = subject_of(worker, guest);
		candidate->age = candidate->subject.in_block ? candidate->subject.held : candidate->subject.rested;
		++*count;
	}
	check(*count <= most);
	if (list)
		qsort(list, *count, sizeof *list, compare);
	return list;
}

/* The next free row; else, for one who goes, that of one who stays. NULL: there is none. */
static struct reap_row *free_row(struct letter_reap *letter, enum reap_verdict verdict)
{
	if (letter->row_count < REAP_ROWS)
		return &letter->rows[letter->row_count++];
	letter->stayed++;
	for (uint32_t i = letter->row_count; verdict == REAP_GOES && i > 0; i--)
		if (strcmp(letter->rows[i - 1].outcome, "stays") == 0)
			return &letter->rows[i - 1];
	return NULL;
}

/* False: there is no row for it. */
static bool add_row(struct letter_reap *letter, const struct candidate *candidate, const struct reap_target *target,
	enum reap_verdict verdict)
{
	const struct guest *guest = candidate->guest;
	struct reap_row *row = free_row(letter, verdict);

	if (!row)
		return false;
	*row = (struct reap_row){
		.client = guest->number,
		.idle = candidate->age,
		.by_hand = letter->order.by_hand,
	};
	text_copy(row->pattern, sizeof row->pattern, target->pattern);
	guest_who(guest, &row->who);
	if (guest->habits.last)
		text_escape(row->statement, sizeof row->statement, span_text(guest->habits.last->at));
	text_copy(row->outcome, sizeof row->outcome,
		verdict != REAP_GOES      ? "stays"
			: letter->notice  ? "told"
			: letter->dry_run ? "would go"
					  : "ended");
	text_copy(row->reason, sizeof row->reason,
		verdict == REAP_GOES ? candidate->subject.in_block ? "idle in transaction" : "idle"
				     : reap_reason(verdict));
	return true;
}

static void explain(const struct letter_reap *letter, const struct candidate *candidate,
	const struct reap_target *target, char *detail, size_t size)
{
	char age[40];

	text_duration(age, sizeof age, candidate->age);
	text_format(detail, size,
		candidate->subject.in_block ? "It was idle in a transaction for %s%s%s." : "It was idle for %s%s%s.",
		age,
		target->pattern[0]              ? ", and its origin leaks by pattern "
			: letter->order.by_hand ? ", and an administrator asked for it"
						: "",
		target->pattern);
}

static void end_guest(
	const struct letter_reap *letter, const struct candidate *candidate, const struct reap_target *target)
{
	char detail[160];

	explain(letter, candidate, target, detail, sizeof detail);
	/* To a client that said BEGIN it is one, though no server has heard of it. */
	if (candidate->subject.in_block || candidate->guest->begun != BEGUN_NOT)
		guest_complain(candidate->guest, SQLSTATE_IDLE_IN_TRANSACTION,
			"terminating connection: the leak guard ended an idle transaction", detail,
			target->cure ? target->cure : "End transactions before waiting for something else.");
	else
		guest_complain(candidate->guest, SQLSTATE_IDLE_SESSION_TIMEOUT,
			"terminating connection: the leak guard ended an idle session", detail,
			target->cure ? target->cure : "Close connections that are not needed any more.");
}

/* A WARNING on a connection that rests: drivers log it. */
static void tell_guest(
	const struct letter_reap *letter, const struct candidate *candidate, const struct reap_target *target)
{
	struct guest *guest = candidate->guest;
	char detail[160];
	struct complaint complaint = {
		.severity = SEVERITY_WARNING,
		.sqlstate = SQLSTATE_WARNING,
		.message = "this connection looks forgotten",
		.detail = detail,
		.hint = target->cure,
	};
	struct writer w;

	explain(letter, candidate, target, detail, sizeof detail);
	guest->habits.told = true;
	buf_clear(&guest->worker->out);
	w = writer_to(&guest->worker->out);
	message_complaint(&w, &complaint);
	guest_send(guest);
}

static void take_candidate(struct worker *worker, struct letter_reap *letter, const struct candidate *candidate,
	struct reap_target *target)
{
	struct reap_order order = letter->order;
	enum reap_verdict verdict;

	order.family = target->family;
	if (order.by_hand)
		order.family = candidate->subject.holds_server ? FAMILY_SERVER : FAMILY_CLIENT;
	verdict = reap_judge(&candidate->subject, &order);
	letter->judged[verdict]++;
	if (letter->notice) {
		/* Whoever would be marked is told, once. */
		if ((verdict != REAP_MARK && verdict != REAP_WAIT && verdict != REAP_GOES) ||
			candidate->guest->habits.told || target->gone >= target->most)
			return;
		verdict = REAP_GOES;
	} else if (verdict == REAP_MARK) {
		candidate->guest->habits.marked = worker->now;
		return;
	} else if (verdict == REAP_GOES && (target->gone >= target->most || letter->gone >= letter->most)) {
		letter->stayed++;
		return;
	}
	if (verdict != REAP_GOES && !order.by_hand)
		return;
	/* Nobody goes of whom there is no account. */
	if (!add_row(letter, candidate, target, verdict) || verdict != REAP_GOES)
		return;
	target->gone++;
	letter->gone++;
	if (letter->notice)
		tell_guest(letter, candidate, target);
	else if (!letter->dry_run)
		end_guest(letter, candidate, target);
}

void reaper_visit(struct worker *worker, struct letter *mail)
{
	struct letter_reap *letter = (struct letter_reap *)(void *)mail;

	check(letter->worker == worker->index);
	for (uint32_t t = 0; t < letter->target_count; t++) {
		size_t count;
		struct candidate *list = collect(worker, &letter->targets[t], &count);

		for (size_t i = 0; i < count; i++)
			take_candidate(worker, letter, &list[i], &letter->targets[t]);
		free(list);
	}
	if (++letter->worker < worker->house->worker_count)
		worker_post(worker, letter->worker, mail);
	else
		mailbox_post(worker->house->keeper_mailbox, mail);
}
