/* The keeper's part of the reaper: whether a leak that lasts is acted upon, and the account of who was ended.
 *
 * An origin gets no more than its budget (core/reap.c). What comes home is logged, kept for SHOW REAPS, and remembered of its origin: one
 * that logs in again as often as it was ended is let alone, and one of which nobody may ever go is told of. */
#include "serve/reaper.h"

#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
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
	target->cure = leak->pattern->cure;
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
