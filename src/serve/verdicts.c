/* The keeper's part of the look at all origins: what the workers' letter says is judged (core/leak.c), told, and acted upon. The keeper
 * is a thread that serves nobody, so what takes milliseconds (a thousand origins, a look into /proc) takes them from nobody. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "serve/reaper.h"
#include "serve/report.h"
#include "serve/threads.h"
#include "serve/visits.h"
#include "serve/worker.h"

#define CHANGES_MAX    64
#define MISSES_MOST    20 /* of an origin: then its clients are none that can be found */
#define SOUGHT_AT_ONCE 64
#define LOOKS_AT_ONCE  8 /* at processes, for one look at all origins */
#define ACTED_AT_ONCE  4
#define LOOKED_AT_MOST 1000 /* quiet clients of an origin whose process is looked at */
#define LINES_AT_ONCE  10   /* of the log, for one look */

struct survey {
	struct leak_book *book;
	struct reaper *reaper;
	struct leak_facts *facts;
	struct owners owners;
	struct visits visits;
	struct threads threads;
	struct leak_change changes[CHANGES_MAX];
	size_t next_leak; /* whose turn it is */
};

static struct survey *survey_of(struct house *house)
{
	struct survey *survey = house->survey;

	if (survey)
		return survey;
	survey = calloc(1, sizeof *survey);
	if (survey) {
		survey->book = leak_book_new();
		survey->reaper = reaper_new();
		survey->facts = calloc(ORIGINS_MAX + 1, sizeof *survey->facts);
	}
	if (survey && (!survey->book || !survey->facts || !survey->reaper)) {
		leak_book_free(survey->book);
		reaper_free(survey->reaper);
		free(survey->facts);
		free(survey);
		return NULL;
	}
	house->survey = survey;
	return survey;
}

void survey_fini(struct house *house)
{
	if (house->survey) {
		leak_book_free(house->survey->book);
		reaper_free(house->survey->reaper);
		free(house->survey->facts);
		owners_fini(&house->survey->owners);
		threads_fini(&house->survey->threads);
		free(house->survey);
		house->survey = NULL;
	}
	report_drop(house->report);
	house->report = NULL;
	reap_account_drop(house->reaps);
	house->reaps = NULL;
}

/* A worker of gunicorn's that may call itself what it likes (with setproctitle) does not say of which class it is. */
static bool is_greenlets(uint32_t process, const char *words)
{
	return strncmp(words, "gunicorn: worker", 16) == 0 && process_has_loaded(process, "/gevent/");
}

/* It is one client's; others of the same origin may be other processes of the same program. */
static void note_process(struct house *house, const struct survey_row *row, uint32_t process, uint32_t user)
{
	struct origin *origin = row->origin;
	bool gone = row->end.local && !process && user == UINT32_MAX, greenlets;
	char words[256] = "";

	if (process && !process_words(process, words, sizeof words))
		process = 0;
	if (!process && user != UINT32_MAX)
		text_format(words, sizeof words, "(user %u)", user);
	greenlets = process && is_greenlets(process, words);
	lock_take(house->lock);
	if (origin->number == row->number) {
		/* Where that one is gone the next is sought. */
		origin->process_misses = gone ? (uint8_t)(origin->process_misses + 1) : 0;
		origin->process_sought = !gone || origin->process_misses >= MISSES_MOST;
		origin->process_id = process;
		text_copy(origin->process, sizeof origin->process, words);
		origin->runtime = greenlets ? RUNTIME_GEVENT : origin_runtime(words, origin->application_name);
	}
	lock_drop(house->lock);
}

static bool is_sought(struct house *house, const struct survey_row *row)
{
	bool sought;

	lock_take(house->lock);
	sought = row->facts.clients > 0 && row->number > 0 && row->origin->number == row->number &&
		!row->origin->process_sought;
	lock_drop(house->lock);
	return sought;
}

/* Which process each client of this machine is, and which the one that stands for its origin: one walk through /proc for all of whom that is
 * not known yet. */
static void seek_owners(
	struct owners *owners, const struct letter_survey *letter, const struct survey_row *const *sought, size_t count)
{
	struct owner *wanted = owners_room(letter->told.peer_count + count);
	size_t want = 0;

	if (!wanted)
		return;
	for (size_t i = 0; i < letter->told.peer_count; i++)
		owners_want(wanted, &want, &letter->told.peers[i].end);
	for (size_t i = 0; i < count; i++)
		if (sought[i]->end.local)
			owners_want(wanted, &want, &sought[i]->end);
	owners_seek(owners, &wanted, want);
}

/* Sought once for each origin. */
static void seek_processes(struct house *house, struct owners *owners, const struct letter_survey *letter)
{
	const struct survey_row *rows[SOUGHT_AT_ONCE];
	const struct process_peer *of;
	size_t count = 0;

	for (size_t i = 0; i < letter->count && count < SOUGHT_AT_ONCE; i++)
		if (is_sought(house, &letter->rows[i]))
			rows[count++] = &letter->rows[i];
	seek_owners(owners, letter, rows, count);
	for (size_t i = 0; i < count; i++) {
		of = rows[i]->end.local ? owners_find(owners, rows[i]->end.client) : &rows[i]->end.at;
		if (of)
			note_process(house, rows[i], of->process, of->user);
	}
}

/* Under an ASGI server it says much whether threads came with the clients: see core/leak_signs.c. Where there are thousands, it has been
 * said. Which process has gone, as workers that are recycled do, is sought anew. */
static void look_at_process(struct house *house, struct owners *owners, struct survey_row *row,
	const struct leak_rules *rules, unsigned *looked)
{
	struct leak_facts *facts = &row->facts;
	struct process_look look;
	uint32_t process = 0;

	if (facts->quiet < rules->siblings || facts->quiet > LOOKED_AT_MOST || !row->end.local ||
		*looked == LOOKS_AT_ONCE)
		return;
	lock_take(house->lock);
	if (row->origin->number == row->number && row->origin->runtime == RUNTIME_ASGI)
		process = row->origin->process_id;
	lock_drop(house->lock);
	if (!process)
		return;
	++*looked;
	if (process_look(process, &row->end.at, &look)) {
		facts->process_threads = look.threads;
		facts->process_clients = look.connections;
		return;
	}
	owners_forget(owners, row->end.client);
	lock_take(house->lock);
	if (row->origin->number == row->number)
		row->origin->process_sought = false;
	lock_drop(house->lock);
}

/* Of the limits on clients the one with the least room. */
static void comes_next(struct leak_facts *facts, uint32_t total, uint32_t limit)
{
	core_nearer_limit(&facts->next_total, &facts->next_limit, total, limit);
}

/* What the origin could exhaust. */
static void add_limits(
	struct house *house, const struct config *config, struct survey_row *row, struct pool_picture *picture)
{
	struct leak_facts *facts = &row->facts;
	struct pool_reach reach;
	bool known;

	facts->clients_limit = config->client_limit_counts == LIMIT_ALL && config->max_client_conn > 0
		? (uint32_t)config->max_client_conn
		: house->clients_max;
	facts->clients_total = atomic_load(&house->clients);
	lock_take(house->lock);
	if (row->origin->number == row->number) {
		facts->driver = origin_driver(row->origin);
		facts->runtime = row->origin->runtime;
	}
	known = row->pool != NO_POOL && core_pool_picture(house->core, row->pool, picture) &&
		core_pool_reach(house->core, row->pool, &reach);
	lock_drop(house->lock);
	comes_next(facts, facts->clients_total, facts->clients_limit);
	comes_next(facts, facts->clients, row->number > 0 ? (uint32_t)config->max_origin_clients : 0);
	if (!known)
		return;
	comes_next(facts, reach.clients, reach.clients_most);
	facts->servers_limit = reach.servers_most;
	facts->servers_lent = picture->lent;
	facts->pool_waiting = picture->waiting + reach.waiting_beside;
}

/* A few of the leaks that last at each look, in turn: every letter looks at every client. */
static void act_on_leaks(struct house *house, struct survey *survey, const struct config *config,
	const struct report *report, const struct letter_survey *letter, time_us now)
{
	size_t lasting = leaks_lasting(survey->book);

	for (size_t n = 0; n < lasting && n < ACTED_AT_ONCE; n++) {
		size_t i = survey->next_leak++ % lasting;
		const struct leak *leak = leak_at(survey->book, i);

		for (size_t j = 0; j < letter->count; j++)
			if (letter->rows[j].number == leak->origin && leak->origin > 0)
				reaper_consider(
					survey->reaper, house, config, leak, &report->leaks[i], &letter->rows[j], now);
	}
}

time_us survey_look(struct house *house, time_us now)
{
	if (!house->survey)
		return 0;
	threads_look(&house->survey->threads, now);
	return house->survey->threads.look_at;
}

void survey_reaped(struct house *house, struct letter *mail)
{
	struct survey *survey = survey_of(house);

	reaper_home(survey ? survey->reaper : NULL, house, mail);
}

void survey_judge(struct house *house, struct letter *mail, time_us now)
{
	struct letter_survey *letter = (struct letter_survey *)(void *)mail;
	bool first = !house->survey;
	struct survey *survey = survey_of(house);
	struct config *config = house_config(house, NULL);
	struct pool_picture *picture = malloc(sizeof *picture);
	struct report *report = NULL, *before;
	struct leak_rules rules = {
		.period = config->leak_interval,
		.quiet = config->leak_quiet,
		.hold = config->leak_hold,
		.siblings = (uint32_t)config->leak_siblings,
	};
	size_t changes = 0, i;
	unsigned looked = 0;

	/* Unless leak_interval was 0 up to now. */
	if (survey && first && clock_wall() - house->started_wall < 120 * rules.period)
		leak_book_fresh(survey->book);
	if (survey)
		seek_processes(house, &survey->owners, letter);
	if (survey && picture) {
		for (i = 0; i < letter->count; i++) {
			add_limits(house, config, &letter->rows[i], picture);
			look_at_process(house, &survey->owners, &letter->rows[i], &rules, &looked);
			threads_judge(&survey->threads, letter, &letter->rows[i], &survey->owners, &rules, now);
		}
		visits_look(&survey->visits, &survey->owners, &rules, letter);
		for (i = 0; i < letter->count; i++)
			survey->facts[i] = letter->rows[i].facts;
		changes = leak_step(
			survey->book, &rules, now, survey->facts, letter->count, survey->changes, CHANGES_MAX);
		report = report_make(house, survey->book, letter, now);
	}
	if (report)
		told_rows(&letter->told, &survey->owners, report);
	for (i = 0; report && i < changes && i < LINES_AT_ONCE; i++)
		report_log(&survey->changes[i], report);
	if (changes > LINES_AT_ONCE)
		log_line(LOG_WARNING, "leak changes that are not logged: %zu; see SHOW LEAKS", changes - LINES_AT_ONCE);
	if (report)
		act_on_leaks(house, survey, config, report, letter, now);
	if (report) {
		lock_take(house->lock);
		before = house->report;
		house->report = report;
		lock_drop(house->lock);
		report_drop(before);
	}
	free(picture);
	config_drop(config);
	survey_letter_free(mail);
	atomic_store(&house->surveying, false);
}
