/* REAP on the console: what was typed becomes a letter (see the drawing in reaper.c), and the letter that comes home an answer. Whoever is
 * named and not there is told of; the others are not kept waiting for that. */
#include <stdlib.h>

#include "base/text.h"
#include "serve/reaper.h"
#include "serve/report.h"
#include "serve/worker.h"
#include "view/rows.h"
#include "wire/message.h"

#define LISTED      30 /* of those that are not there, by number */
#define REAP_REMARK 512

static void add_leaks(struct guest *guest, struct letter_reap *letter)
{
	struct report *report = report_keep(guest->worker->house);

	for (size_t i = 0; report && i < report->leak_count && letter->target_count < REAP_TARGETS; i++) {
		const struct leak_row *leak = &report->leaks[i];
		struct reap_target *target;

		if (leak->ended_wall || strcmp(leak->family, "not us") == 0)
			continue;
		target = &letter->targets[letter->target_count++];
		*target = (struct reap_target){ .origin = leak->origin };
		text_copy(target->pattern, sizeof target->pattern, leak->pattern);
		target->cure = leak_pattern_of(leak->pattern)->cure;
	}
	report_drop(report);
}

bool reaper_ask(struct guest *guest, const struct console_command *command)
{
	struct letter_reap *letter = reaper_letter();
	const struct config *config = guest->worker->config;

	if (!letter)
		return false;
	letter->asker = guest_ref(guest);
	letter->dry_run = command->dry_run;
	letter->order = (struct reap_order){ .by_hand = true, .quiet = config->leak_quiet, .hold = config->leak_hold };
	if (command->reap == CONSOLE_REAP_LEAKED)
		add_leaks(guest, letter);
	for (uint32_t i = 0; command->reap != CONSOLE_REAP_LEAKED && i < command->number_count; i++) {
		struct reap_target *target = &letter->targets[letter->target_count++];

		if (command->reap == CONSOLE_REAP_ORIGIN)
			target->origin = command->numbers[i];
		else
			target->client = command->numbers[i];
	}
	/* The limit is for each leak, and for all clients that are named. */
	for (uint32_t i = 0; i < letter->target_count; i++)
		letter->targets[i].most = command->limit ? command->limit : REAP_ROWS;
	if (command->limit && command->reap == CONSOLE_REAP_CLIENTS)
		letter->most = command->limit;
	desk_begin_waiting(guest);
	reaper_send(guest->worker->house, letter);
	return true;
}

/* ---- the answer ---- */

/* "17, 21": the targets that were found so, LISTED of them by name. Empty: none was. */
static void list_targets(const struct letter_reap *letter, enum reap_found found, char *out, size_t size)
{
	size_t length = 0;
	uint32_t count = 0;

	out[0] = 0;
	for (uint32_t i = 0; i < letter->target_count; i++) {
		const struct reap_target *target = &letter->targets[i];

		if (target->found == found && count++ < LISTED)
			length += text_format(out + length, size - length, "%s%u", length ? ", " : "",
				target->client ? target->client : target->origin);
	}
	if (count > LISTED)
		text_format(out + length, size - length, " and %u more", count - LISTED);
}

/* Number `n` of what is to be said besides the rows; false: there is no more. */
static bool remark(const struct letter_reap *letter, unsigned n, char *out, size_t size)
{
	char list[16 * LISTED];
	bool clients = letter->target_count > 0 && letter->targets[0].client;

	out[0] = 0;
	switch (n) {
	case 0:
		list_targets(letter, REAP_NOBODY, list, sizeof list);
		if (list[0])
			text_format(out, size,
				clients ? "not connected (any more): %s" : "no client is connected of origin %s", list);
		return true;
	case 1:
		list_targets(letter, REAP_NO_CLIENT, list, sizeof list);
		if (list[0])
			text_format(out, size, "on the console, or coming or going just now: %s%s",
				clients ? "" : "those of origin ", list);
		return true;
	case 2:
		if (letter->stayed > 0)
			text_format(out, size, "%u more are not listed", letter->stayed);
		return true;
	default:
		return false;
	}
}

static void notice(struct writer *w, const char *message)
{
	struct complaint complaint = { .severity = SEVERITY_NOTICE, .sqlstate = SQLSTATE_SUCCESS, .message = message };

	message_complaint(w, &complaint);
}

bool reaper_answer(const struct letter_reap *letter, struct buf *out)
{
	struct snapshot *snapshot = snapshot_new(0);
	struct writer w = writer_to(out);
	char text[REAP_REMARK];

	if (!snapshot)
		return false;
	for (unsigned n = 0; remark(letter, n, text, sizeof text); n++)
		if (text[0])
			notice(&w, text);
	if (letter->dry_run)
		notice(&w, "dry run: nobody was ended; REAP LEAKED, ORIGIN id or CLIENT id ends them");
	snapshot_reaps(snapshot, letter->rows, letter->row_count);
	rows_answer(&w, snapshot, "reaps", "REAP");
	snapshot_free(snapshot);
	return writer_ok(&w);
}

char *reaper_summary(const struct letter_reap *letter, char out[REAP_SUMMARY])
{
	char text[REAP_REMARK];
	uint32_t stay = letter->stayed;
	size_t length;

	for (uint32_t i = 0; i < letter->row_count; i++)
		stay += strcmp(letter->rows[i].outcome, "stays") == 0;
	length = text_format(out, REAP_SUMMARY, "REAP%s: %u %s, %u %s", letter->dry_run ? " DRY RUN" : "", letter->gone,
		letter->dry_run ? "would go" : "ended", stay, stay == 1 ? "stays" : "stay");
	for (unsigned n = 0; remark(letter, n, text, sizeof text); n++)
		if (text[0] && n < 2)
			length += text_format(out + length, REAP_SUMMARY - length, "; %s", text);
	return out;
}
