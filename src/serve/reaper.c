/* Ending clients that leak.
 *
 *   a leak lasts --> keeper: action? pressure? budget? --letter--> worker 0, 1, ... --> keeper: budget, log, SHOW REAPS
 *   REAP         --> console --------------------------letter--> worker 0, 1, ... --> keeper --> console: a row for each
 *
 * The rules are in core/reap.c; here is who is looked at and how one goes. Only the worker that owns a client looks at it and ends it, in
 * one step, so nothing can change between the look and the act. A client goes at the boundary of a message, with an SQLSTATE and a hint
 * that tell why; its server is rolled back and proven free before anybody else has it. */
#include "serve/reaper.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "serve/guest.h"
#include "serve/hearers.h"
#include "serve/report.h"
#include "serve/worker.h"

#define KEPT_REAPS 256
#define WATCHED    64

/* An origin that logs in again at once as many as were ended would be a storm of our making: it is let alone for this long. */
#define LET_ALONE_US (600 * SECOND_US)

/* It is judged by so many that were ended, or more, and by what it did in this time. */
#define JUDGED_BY_LEAST 3
#define JUDGED_FOR_US   (60 * SECOND_US)

/* So many looks in a row without anybody who may go are said, and again after LET_ALONE_US. */
#define VAIN_LOOKS 6

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
		subject.owes = guest->body_left > 0 || guest->halfway || guest->skipping || guest->collect;
		subject.rested = worker->now - habits->rest_since;
		return subject;
	}
	if (guest->state != GUEST_LENT || !channel) {
		subject.owes = true;
		return subject;
	}
	subject.holds_server = true;
	subject.marks |= pinned_marks(channel);
	subject.owes = !track_quiet(&channel->track) || guest->body_left > 0 || guest->halfway || guest->collect ||
		channel->body_left > 0 || stream_queued(guest->stream) > 0 || channel->checking || channel->learning ||
		channel->unprepared;
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
			target->cure[0] ? target->cure : "End transactions before waiting for something else.");
	else
		guest_complain(candidate->guest, SQLSTATE_IDLE_SESSION_TIMEOUT,
			"terminating connection: the leak guard ended an idle session", detail,
			target->cure[0] ? target->cure : "Close connections that are not needed any more.");
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

/* ---- the keeper ---- */

struct reaper {
	struct reap_budget budget;
	struct reap_row list[KEPT_REAPS]; /* a ring */
	size_t next, count;
	struct ended {
		uint32_t origin, count;
		uint64_t logins; /* of the origin when they were ended */
		time_us at, let_alone_until;
	} ended[WATCHED];
	size_t ended_next;
	struct vain {
		uint32_t origin, looks;
		time_us said;
	} vain[WATCHED];
	size_t vain_next;
	uint64_t ended_total, told_total, vain_total;
};

struct reaper *reaper_new(void)
{
	return calloc(1, sizeof(struct reaper));
}

void reaper_free(struct reaper *reaper)
{
	free(reaper);
}

static struct ended *ended_of(struct reaper *reaper, uint32_t origin)
{
	for (size_t i = 0; i < WATCHED; i++)
		if (reaper->ended[i].origin == origin && origin > 0)
			return &reaper->ended[i];
	return NULL;
}

/* Did it log in again at once, as often as its clients were ended? Then ending them helps nobody. */
static bool grows_again(struct reaper *reaper, const struct leak_row *leak, const struct leak_facts *facts, time_us now)
{
	struct ended *ended = ended_of(reaper, leak->origin);

	if (!ended)
		return false;
	if (now < ended->let_alone_until)
		return true;
	if (ended->count < JUDGED_BY_LEAST || now > ended->at + JUDGED_FOR_US ||
		facts->logins < ended->logins + ended->count)
		return false;
	ended->let_alone_until = now + LET_ALONE_US;
	log_line(LOG_WARNING,
		"reaper: origin %u (%s/%s \"%s\" at %s) logged in %llu times since %u of its clients were ended %lld s ago: it is let alone for %lld s",
		leak->origin, leak->database, leak->user, leak->application_name, leak->address,
		(unsigned long long)(facts->logins - ended->logins), ended->count,
		(long long)((now - ended->at) / SECOND_US), (long long)(LET_ALONE_US / SECOND_US));
	return true;
}

void reaper_consider(struct reaper *reaper, struct house *house, const struct config *config, const struct leak *leak,
	const struct leak_row *row, const struct survey_row *origin, time_us now)
{
	const struct leak_facts *facts = &origin->facts;
	struct reap_rules rules = {
		.pressure = (unsigned)config->reap_pressure,
		.relief = (unsigned)config->reap_relief,
		.batch = (uint32_t)config->reap_batch,
		.hourly = (uint32_t)config->reap_hourly,
		.share = (unsigned)config->reap_share,
	};
	enum leak_action action = config_pattern_action(config, leak->pattern->number, origin->action);
	struct letter_reap *letter;
	struct reap_target *target;
	uint32_t most;

	if (leak->ended || leak->family == FAMILY_NOT_US || action == ACTION_OBSERVE || leak->confidence < 50)
		return;
	most = action == ACTION_NOTICE ? rules.batch : reap_allows(&reaper->budget, &rules, now, leak->family, facts);
	if (most == 0 || (action == ACTION_RECLAIM && grows_again(reaper, row, facts, now)))
		return;
	letter = reaper_letter();
	if (!letter)
		return;
	letter->notice = action == ACTION_NOTICE;
	letter->order = (struct reap_order){
		.family = leak->family,
		.quiet = config->leak_quiet,
		.hold = config->leak_hold,
		.grace = config->reap_grace,
	};
	target = &letter->targets[letter->target_count++];
	target->origin = leak->origin;
	target->family = leak->family;
	target->most = most;
	text_copy(target->pattern, sizeof target->pattern, leak->pattern->number);
	text_copy(target->cure, sizeof target->cure, leak->pattern->cure);
	reaper_send(house, letter);
}

static void note_ended(struct reaper *reaper, struct house *house, uint32_t origin, uint32_t count, time_us now)
{
	struct report *report = report_keep(house);
	struct ended *ended = ended_of(reaper, origin);
	uint64_t logins = 0;

	for (size_t i = 0; report && i < report->origin_count; i++)
		if (report->origins[i].id == origin)
			logins = report->origins[i].logins;
	report_drop(report);
	/* Few are counted with those before them: else nobody who is ended one by one would ever be judged. */
	if (ended && count < JUDGED_BY_LEAST && now <= ended->at + JUDGED_FOR_US) {
		ended->count += count;
		return;
	}
	if (!ended)
		ended = &reaper->ended[reaper->ended_next++ % WATCHED];
	*ended = (struct ended){ .origin = origin, .count = count, .logins = logins, .at = now };
}

/* Why those of an origin stay: "a COPY goes on: 3; it listens: 12". */
static void list_reasons(const struct letter_reap *letter, char *out, size_t size)
{
	size_t length = 0;

	out[0] = 0;
	for (unsigned verdict = KEEP_PROTECTED; verdict < REAP_VERDICTS; verdict++)
		if (letter->judged[verdict] > 0)
			length += text_format(out + length, size - length, "%s%s: %u", length ? "; " : "",
				reap_reason((enum reap_verdict)verdict), letter->judged[verdict]);
}

static void say_in_vain(struct house *house, const struct letter_reap *letter)
{
	const struct reap_target *target = &letter->targets[0];
	struct report *report = report_keep(house);
	char reasons[REAP_VERDICTS * 64];

	list_reasons(letter, reasons, sizeof reasons);
	for (size_t i = 0; report && i < report->origin_count; i++) {
		const struct origin_row *origin = &report->origins[i];

		if (origin->id == target->origin)
			log_line(LOG_WARNING,
				"reaper: origin %u (%s/%s \"%s\" at %s) leaks by pattern %s and room is needed, but nobody of it may be ended: %s",
				origin->id, origin->database, origin->user, origin->application_name, origin->address,
				target->pattern, reasons);
	}
	report_drop(report);
}

/* A net that catches nobody must not fail in silence. Who is marked, or waits for the end of his grace, will go. */
static void note_vain(struct reaper *reaper, struct house *house, const struct letter_reap *letter, time_us now)
{
	const struct reap_target *target = &letter->targets[0];
	struct vain *vain = NULL;
	uint32_t kept = 0;

	for (size_t i = 0; i < WATCHED && !vain; i++)
		if (reaper->vain[i].origin == target->origin)
			vain = &reaper->vain[i];
	for (unsigned verdict = KEEP_PROTECTED; verdict < REAP_VERDICTS; verdict++)
		kept += letter->judged[verdict];
	if (kept == 0 || target->gone > 0 || letter->judged[REAP_MARK] > 0 || letter->judged[REAP_WAIT] > 0) {
		if (vain)
			vain->looks = 0;
		return;
	}
	reaper->vain_total++;
	if (!vain) {
		vain = &reaper->vain[reaper->vain_next++ % WATCHED];
		*vain = (struct vain){ .origin = target->origin };
	}
	if (++vain->looks < VAIN_LOOKS || (vain->said && now < vain->said + LET_ALONE_US))
		return;
	vain->said = now;
	say_in_vain(house, letter);
}

static void audit(struct reaper *reaper, struct letter_reap *letter)
{
	time_us wall = clock_wall();

	for (uint32_t i = 0; i < letter->row_count; i++) {
		struct reap_row *row = &letter->rows[i];
		char age[40];

		row->wall = wall;
		if (letter->dry_run || strcmp(row->outcome, "stays") == 0)
			continue;
		reaper->list[reaper->next++ % KEPT_REAPS] = *row;
		reaper->count += reaper->count < KEPT_REAPS;
		if (strcmp(row->outcome, "told") == 0)
			reaper->told_total++;
		else
			reaper->ended_total++;
		log_line(LOG_WARNING, "reaper: client %u of origin %u (%s/%s \"%s\" at %s:%d) %s: %s for %s; %s%s",
			row->client, row->who.origin, row->who.database, row->who.user, row->who.application_name,
			row->who.address, row->who.port, row->outcome, row->reason,
			text_duration(age, sizeof age, row->idle),
			row->by_hand ? "by an administrator" : "by leak_action, pattern ",
			row->by_hand ? "" : row->pattern);
	}
}

/* ---- the account of it ---- */

void reap_account_drop(struct reap_account *account)
{
	if (account && atomic_fetch_sub(&account->references, 1) == 1)
		free(account);
}

struct reap_account *reap_account_keep(struct house *house)
{
	struct reap_account *account;

	lock_take(house->lock);
	account = house->reaps;
	if (account)
		atomic_fetch_add(&account->references, 1);
	lock_drop(house->lock);
	return account;
}

static void publish(const struct reaper *reaper, struct house *house)
{
	struct reap_account *account = malloc(sizeof *account + reaper->count * sizeof account->rows[0]), *before;

	if (!account)
		return; /* the next one says it */
	atomic_init(&account->references, 1);
	account->ended = reaper->ended_total;
	account->told = reaper->told_total;
	account->in_vain = reaper->vain_total;
	account->count = reaper->count;
	for (size_t i = 0; i < account->count; i++)
		account->rows[i] = reaper->list[(reaper->next - 1 - i) % KEPT_REAPS];
	lock_take(house->lock);
	before = house->reaps;
	house->reaps = account;
	lock_drop(house->lock);
	reap_account_drop(before);
}

void reaper_home(struct reaper *reaper, struct house *house, struct letter *mail)
{
	struct letter_reap *letter = (struct letter_reap *)(void *)mail;

	if (reaper) {
		uint64_t before = reaper->told_total + reaper->ended_total + reaper->vain_total;

		audit(reaper, letter);
		if (!letter->notice && !letter->order.by_hand && letter->target_count > 0)
			note_vain(reaper, house, letter, clock_now());
		for (uint32_t i = 0;
			i < letter->target_count && !letter->dry_run && !letter->notice && !letter->order.by_hand; i++)
			if (letter->targets[i].gone > 0) {
				reap_spend(&reaper->budget, letter->targets[i].gone);
				note_ended(
					reaper, house, letter->targets[i].origin, letter->targets[i].gone, clock_now());
			}
		/* Before the answer goes to who asked, who may look for it at once. */
		if (reaper->told_total + reaper->ended_total + reaper->vain_total > before)
			publish(reaper, house);
	}
	if (handle_none(letter->asker.client) || atomic_load(&house->stopping))
		reaper_letter_free(letter);
	else
		mailbox_post(house->workers[letter->asker.worker]->mailbox, mail);
}
