/* The census: a letter that visits every worker, each of which adds its clients, servers and counters to one snapshot, and that
 * then goes home to whoever asked. No worker waits for another, and nobody reads another's state.
 *
 * What belongs to the house (pools, databases, users, settings) is added by the first worker it visits: census_house.c. What each has of
 * its own is in census_own.c. Here are the letter, its way, and the counters that are added up on it. */
#include "serve/census.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/text.h"
#include "serve/monitor.h"
#include "serve/peering.h"
#include "serve/worker.h"

/* NULL: memory refused. */
static struct letter_census *letter_new(unsigned parts)
{
	struct letter_census *letter = calloc(1, sizeof *letter);

	if (letter)
		letter->snapshot = snapshot_new(parts);
	if (!letter || !letter->snapshot) {
		free(letter);
		return NULL;
	}
	letter->letter.kind = LETTER_CENSUS;
	return letter;
}

void census_begin(struct guest *guest, unsigned parts)
{
	struct letter_census *letter = letter_new(parts);

	if (!letter) {
		guest_complain(guest, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL, NULL);
		return;
	}
	letter->asker = guest_ref(guest);
	desk_begin_waiting(guest);
	worker_post(guest->worker, 0, &letter->letter);
}

bool census_ask(struct house *house, unsigned parts)
{
	struct letter_census *letter = letter_new(parts);

	if (!letter)
		return false;
	letter->to_keeper = true;
	mailbox_post(house->workers[0]->mailbox, &letter->letter);
	return true;
}

/* ---- counters ---- */

/* Counters are plain numbers one after another: adding two sets of them is a loop. */
#define COUNTERS (sizeof(struct stat_counters) / sizeof(uint64_t))

static void counters_add(struct stat_counters *to, const struct stat_counters *from, int sign)
{
	uint64_t *a = (uint64_t *)(void *)to;
	const uint64_t *b = (const uint64_t *)(const void *)from;
	size_t i;

	for (i = 0; i < COUNTERS; i++)
		a[i] = sign > 0 ? a[i] + b[i] : a[i] - b[i];
}

static bool counts_nothing(const struct stat_counters *counters)
{
	static const struct stat_counters nothing;

	return memcmp(counters, &nothing, sizeof nothing) == 0;
}

static void add_stats(struct snapshot *snapshot, const struct pool_view *view)
{
	struct pool_row *pool;
	struct stats_row *row;

	if (view->unused && counts_nothing(&view->stats))
		return;
	pool = snapshot_pool_of(snapshot, view->id);
	row = snapshot_stats(snapshot, view->database_name);
	if (!row)
		return;
	counters_add(&row->total, &view->stats, 1);
	counters_add(&row->average, &view->last_period, 1);
	if (!pool)
		return;
	counters_add(&pool->total, &view->stats, 1);
	meter_merge(&pool->times.wait, &view->times.wait);
	meter_merge(&pool->times.lease, &view->times.lease);
	meter_merge(&pool->times.query, &view->times.query);
	meter_merge(&pool->times.login, &view->times.login);
}

static void visit_stats(struct worker *worker, struct snapshot *snapshot)
{
	for (uint32_t i = 0; (snapshot->parts & PART_STATS) && i < worker->view_capacity; i++)
		if (worker->views[i])
			add_stats(snapshot, worker->views[i]);
}

/* What was counted in a period becomes rates per second, and times per transaction, query and assignment. */
static void make_average(struct stat_counters *average, time_us period)
{
	uint64_t seconds = period >= SECOND_US ? (uint64_t)(period / SECOND_US) : 1;
	struct stat_counters delta = *average;
	uint64_t *list = (uint64_t *)(void *)average;

	for (size_t i = 0; i < COUNTERS; i++)
		list[i] /= seconds;
	average->transaction_time = delta.transactions ? delta.transaction_time / delta.transactions : 0;
	average->query_time = delta.queries ? delta.query_time / delta.queries : 0;
	average->wait_time = delta.server_assignments ? delta.wait_time / delta.server_assignments : 0;
}

/* Of each database; returned: of all together, which is not their sum. */
static struct stat_counters finish_averages(struct snapshot *snapshot, time_us period)
{
	struct stat_counters all = { 0 };

	for (size_t i = 0; i < snapshot->stats_count; i++) {
		counters_add(&all, &snapshot->stats[i].average, 1);
		make_average(&snapshot->stats[i].average, period);
	}
	make_average(&all, period);
	return all;
}

/* PgBouncer 1.25 does not count logins yet, and there are programs that know its line by heart. */
static void log_stats(const struct stat_counters *all, bool bouncers)
{
	char logins[48] = "";

	if (!bouncers)
		text_format(logins, sizeof logins, "%llu client logins/s, ", (unsigned long long)all->logins);
	log_line(LOG_LOG,
		"stats: %llu xacts/s, %llu queries/s, %llu client parses/s, %llu server parses/s, %llu binds/s, "
		"%sin %llu B/s, out %llu B/s, xact %llu us, query %llu us, wait %llu us",
		(unsigned long long)all->transactions, (unsigned long long)all->queries,
		(unsigned long long)all->client_parses, (unsigned long long)all->server_parses,
		(unsigned long long)all->binds, logins, (unsigned long long)all->received,
		(unsigned long long)all->sent, (unsigned long long)all->transaction_time,
		(unsigned long long)all->query_time, (unsigned long long)all->wait_time);
}

/* ---- the way ---- */

void census_visit(struct worker *worker, struct letter_census *letter)
{
	struct snapshot *snapshot = letter->snapshot;
	struct stat_counters all;

	check(letter->next == worker->index);
	if (letter->next == 0) {
		census_house(worker, letter);
		monitors_visit(worker, snapshot);
		peering_visit(worker, snapshot);
	}
	census_own(worker, snapshot);
	visit_stats(worker, snapshot);
	behind_visit(&letter->behind, worker);
	letter->next++;
	if (letter->next < worker->house->worker_count) {
		worker_post(worker, letter->next, &letter->letter);
		return;
	}
	all = finish_averages(snapshot, worker->config->stats_period);
	behind_finish(&letter->behind, snapshot);
	behind_fini(&letter->behind);
	letter->next = worker->house->worker_count + 1;
	if (letter->to_keeper) {
		mailbox_post(worker->house->keeper_mailbox, &letter->letter);
		return;
	}
	if (!handle_none(letter->asker.client)) {
		worker_post(worker, letter->asker.worker, &letter->letter);
		return;
	}
	log_stats(&all, snapshot->pgbouncer);
	snapshot_free(snapshot);
	free(letter);
}

/* ---- averages ---- */

void census_tick(struct worker *worker)
{
	struct letter_census *letter;
	uint32_t i;

	for (i = 0; i < worker->view_capacity; i++) {
		struct pool_view *view = worker->views[i];

		if (!view)
			continue;
		view->last_period = view->stats;
		counters_add(&view->last_period, &view->marked, -1);
		view->marked = view->stats;
	}
	if (worker->config->stats_period > 0)
		timer_set(&worker->timers, &worker->stats_timer, worker->now + worker->config->stats_period);
	if (worker->index != 0 || !worker->config->log_stats ||
		worker->now < worker->born + worker->config->stats_period)
		return;
	letter = letter_new(PART_STATS);
	if (letter)
		worker_post(worker, 0, &letter->letter);
}
