/* Which threads run, of processes whose clients may be tied to their threads.
 *
 *   survey (leak_interval)    which clients of Django under an ASGI server there are, of which process, and when each was last at work
 *   look (LOOK_EVERY)         which threads of that process ran since the last one
 *
 * When a client was at work is known to the millisecond, so the looks may be as close as they are cheap, while the survey, which asks all
 * workers, need not be. A look costs some ten microseconds for each thread; the next one waits for two hundred times as long as it worked. */
#include "serve/threads.h"

#include "core/ties.h"
#include "io/clock.h"
#include "io/file.h"
#include "serve/worker.h"

#define LOOK_EVERY    (200 * MILLISECOND_US)
#define LOOK_PAUSE    200 /* times as long as a look worked, before the next one */
#define FORGET_AFTER  (60 * SECOND_US)
#define CLIENTS_LEAST 4 /* of a process: fewer are not looked at */
/* Of each process: the one of its event loop's thread, and that of the thread in which Django runs what is not asynchronous. Each is often in use
 * when others are, so that who uses it can not be told. */
#define LOOSE_ALLOWED 2

static void watched_drop(struct watched *watched)
{
	ties_free(watched->ties);
	*watched = (struct watched){ 0 };
}

void threads_fini(struct threads *threads)
{
	for (size_t i = 0; i < THREADS_PROCESSES; i++)
		watched_drop(&threads->watched[i]);
}

/* uvicorn's workers are children that Python started: only their parent is called uvicorn. */
static bool is_asgi(uint32_t process)
{
	char words[256];

	if (process_words(process, words, sizeof words) && origin_runtime(words, "") == RUNTIME_ASGI)
		return true;
	process = process_parent(process);
	return process > 1 && process_words(process, words, sizeof words) && origin_runtime(words, "") == RUNTIME_ASGI;
}

/* NULL: there is no place, or it is no ASGI server. */
static struct watched *watched_of(struct threads *threads, uint32_t origin, uint32_t process, time_us now)
{
	struct watched *place = NULL;

	for (size_t i = 0; i < THREADS_PROCESSES; i++) {
		struct watched *watched = &threads->watched[i];

		if (watched->process == process && watched->origin == origin)
			return watched;
		if (watched->process && now - watched->wanted > FORGET_AFTER)
			watched_drop(watched);
		if (!watched->process)
			place = watched;
	}
	if (!place || !is_asgi(process))
		return NULL;
	place->ties = ties_new();
	if (!place->ties)
		return NULL;
	place->origin = origin;
	place->process = process;
	if (!threads->look_at)
		threads->look_at = now;
	return place;
}

static uint32_t process_of(const struct told_peer *peer, const struct owners *owners)
{
	const struct process_peer *of = owners_find(owners, peer->end.client);

	return of ? of->process : 0;
}

/* All of this origin's clients that are of the process of the peer `first`; 0: an earlier one was of it. */
static size_t clients_beside(const struct told *told, const struct owners *owners, size_t first, struct tie_client *out)
{
	const struct told_peer *peers = told->peers;
	uint32_t process = process_of(&peers[first], owners);
	size_t count = 0;

	for (size_t i = 0; i < told->peer_count; i++) {
		if (peers[i].origin != peers[first].origin || process_of(&peers[i], owners) != process)
			continue;
		if (i < first)
			return 0;
		if (count <= TIES_CLIENTS)
			out[count++] = (struct tie_client){ .number = peers[i].end.client, .rested = peers[i].rested };
	}
	return count;
}

void threads_judge(struct threads *threads, const struct letter_survey *letter, struct survey_row *row,
	const struct owners *owners, const struct leak_rules *rules, time_us now)
{
	const struct told *told = &letter->told;
	struct leak_facts *facts = &row->facts;
	struct tie_client clients[TIES_CLIENTS + 1];

	if (facts->quiet < rules->siblings || facts->django * 10 < facts->quiet * 9)
		return;
	for (size_t i = 0; i < told->peer_count; i++) {
		uint32_t process = told->peers[i].origin == row->number ? process_of(&told->peers[i], owners) : 0;
		size_t count = process ? clients_beside(told, owners, i, clients) : 0;
		struct watched *watched = count >= CLIENTS_LEAST ? watched_of(threads, row->number, process, now)
								 : NULL;
		struct tie_facts found;

		if (!watched)
			continue;
		watched->wanted = now;
		found = ties_judge(watched->ties, clients, count);
		facts->tied += found.tied;
		facts->tie_proofs += found.proofs;
		facts->tie_crowds += found.crowds;
		facts->loose += found.loose > LOOSE_ALLOWED ? found.loose - LOOSE_ALLOWED : 0;
	}
}

void threads_look(struct threads *threads, time_us now)
{
	struct process_thread seen[TIES_THREADS + 1];
	struct tie_thread list[TIES_THREADS + 1];
	time_us before = clock_worked(), pause;
	bool any = false;

	if (!threads->look_at || now < threads->look_at)
		return;
	for (size_t i = 0; i < THREADS_PROCESSES; i++) {
		struct watched *watched = &threads->watched[i];
		size_t count = watched->process ? process_threads(watched->process, seen, TIES_THREADS + 1) : 0;

		if (count == 0 || now - watched->wanted > FORGET_AFTER) {
			watched_drop(watched);
			continue;
		}
		count = count > TIES_THREADS ? TIES_THREADS + 1 : count;
		for (size_t j = 0; j < count; j++)
			list[j] = (struct tie_thread){
				.number = seen[j].number, .ran = seen[j].ran, .ready = seen[j].ready
			};
		ties_look(watched->ties, now, list, count);
		any = true;
	}
	pause = LOOK_PAUSE * (clock_worked() - before);
	threads->look_at = any ? now + (pause > LOOK_EVERY ? pause : LOOK_EVERY) : 0;
}
