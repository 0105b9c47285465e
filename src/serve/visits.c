/* Who waits for our clients.
 *
 *   row of the letter --- the client that stands for its origin --- whose process (owners.c)
 *                                                                     |
 *   all its clients (told.peers): how long each has rested <----------+----> who waits for it (io/visitors.c)
 *
 * What is said of a process must be true of all its connections here. So none is spoken of that has clients of two origins (it may wait
 * for the pool of one with that of the other full), nor while there is a client of its origin whose process is not known yet, or more
 * clients than are kept account of. Who is still in the middle of a login here is no client yet, and seen as a partner that it waits for. */
#include "serve/visits.h"

#include "io/clock.h"
#include "io/visitors.h"
#include "serve/survey.h"

#define LOOKS_AT_ONCE 16
#define LOOK_PAUSE    100 /* times as long as a look worked, before the next one */

/* How long all clients of this process, which are all of this origin, have rested. False: it can not be said. */
static bool all_rest(
	const struct owners *owners, const struct told *told, uint32_t process, uint32_t origin, time_us *idle_for)
{
	uint32_t clients = 0;

	for (size_t i = 0; i < told->peer_count; i++) {
		const struct told_peer *peer = &told->peers[i];
		const struct process_peer *of = owners_find(owners, peer->end.client);

		if (!of && peer->origin == origin)
			return false;
		if (!of || of->process != process)
			continue;
		if (peer->origin != origin)
			return false;
		if (clients++ == 0 || peer->rest < *idle_for)
			*idle_for = peer->rest;
	}
	return clients > 0 && told->peer_count < TOLD_PEERS_MAX;
}

static bool is_to_be_asked(const struct owners *owners, const struct letter_survey *letter, struct survey_row *row,
	const struct leak_rules *rules, struct visited *out)
{
	const struct process_peer *of;
	time_us idle_for = 0;

	if (row->number == 0 || row->facts.clients == 0 || !row->end.local || row->facts.runtime == RUNTIME_GUI)
		return false;
	of = owners_find(owners, row->end.client);
	if (!of || of->process == 0 || !all_rest(owners, &letter->told, of->process, row->number, &idle_for))
		return false;
	*out = (struct visited){ .process = of->process,
		.six = row->end.at.six,
		.port = row->end.at.port,
		.patience = LEAK_PATIENCE * rules->period,
		.newest = idle_for };
	memcpy(out->ip, row->end.at.ip, sizeof out->ip);
	return true;
}

static void note(struct survey_row *row, const struct visited *visited)
{
	if (!visited->known)
		return;
	row->facts.visits = (struct leak_visits){ .process = visited->process,
		.idle_for = visited->newest,
		.waiting = visited->waiting,
		.since = visited->since,
		.read = visited->read,
		.longest = visited->longest,
		.partners = visited->partners,
		.worked = visited->worked };
}

void visits_look(struct visits *visits, const struct owners *owners, const struct leak_rules *rules,
	struct letter_survey *letter)
{
	struct visited asked[LOOKS_AT_ONCE];
	struct survey_row *rows[LOOKS_AT_ONCE];
	time_us before = clock_worked();
	size_t count = 0, n;

	if (clock_now() < visits->look_at)
		return;
	for (n = 0; n < letter->count && count < LOOKS_AT_ONCE; n++) {
		struct survey_row *row = &letter->rows[(visits->next + n) % letter->count];

		if (is_to_be_asked(owners, letter, row, rules, &asked[count]))
			rows[count++] = row;
	}
	if (count == 0)
		return;
	visits->next = n < letter->count ? (visits->next + n) % letter->count : 0;
	visitors_look(asked, count);
	for (size_t i = 0; i < count; i++)
		note(rows[i], &asked[i]);
	visits->look_at = clock_now() + LOOK_PAUSE * (clock_worked() - before);
}
