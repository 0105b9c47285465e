#include "view/chart.h"

#include <stdlib.h>

#include "base/text.h"
#include "view/json.h"

/* A series is a ring of samples; all series share the place of the next one.
 *
 *   times    | t0 | t1 | .. | t359 |      the oldest is at `next` once the ring is full
 *   whole    | .. |
 *   pool 1   | -- | -- | .. |             -- : it had no series yet
 *
 * Counters become rates, and waits a quantile, by the difference to the sample before: so the first sample of a series has neither.
 *
 * Pools keep their series while they are large. A newcomer takes the place of the smallest when its load, servers and clients that wait, is
 * more than twice what that one's has been on average: who only flickers does not push another's hour away. */

struct sample {
	bool known, differs; /* differs: there was one before it, and this much has changed since: */
	uint32_t lent, idle, waiting, clients;
	double queries; /* a second */
	time_us wait;   /* that 99 of 100 did not exceed; -1: nobody was lent anything */
};

struct series {
	bool used;
	uint32_t pool;
	char database[SNAPSHOT_NAME], user[SNAPSHOT_NAME];
	double load; /* on average over some minutes */
	bool began;
	uint64_t queries;
	struct meter waits; /* as they stood at the last sample */
	struct sample samples[CHART_LENGTH];
};

struct chart {
	size_t next, count;
	time_us times[CHART_LENGTH], last; /* wall */
	struct series whole, pools[CHART_POOLS];
};

struct chart *chart_new(void)
{
	return calloc(1, sizeof(struct chart));
}

void chart_free(struct chart *chart)
{
	free(chart);
}

static void add(struct chart *chart, struct series *series, const struct sample *now, uint64_t queries,
	const struct meter *waits, time_us passed)
{
	struct sample *sample = &series->samples[chart->next];
	struct meter since = meter_since(waits, &series->waits);

	*sample = *now;
	sample->known = true;
	sample->differs = series->began && passed > 0;
	if (sample->differs) {
		sample->queries = (double)(queries - series->queries) * SECOND_US / (double)passed;
		sample->wait = meter_count(&since) > 0 ? meter_quantile(&since, 990) : -1;
	}
	series->began = true;
	series->queries = queries;
	series->waits = *waits;
}

static double load_of(const struct pool_row *pool)
{
	return (double)pool->servers_active + pool->servers_idle + pool->servers_login + pool->servers_tested +
		pool->clients_waiting;
}

static struct series *series_of(struct chart *chart, const struct pool_row *pool)
{
	for (size_t i = 0; i < CHART_POOLS; i++)
		if (chart->pools[i].used && chart->pools[i].pool == pool->id)
			return &chart->pools[i];
	return NULL;
}

/* A free one, or the smallest. */
static struct series *weakest(struct chart *chart)
{
	struct series *found = &chart->pools[0];

	for (size_t i = 0; i < CHART_POOLS && found->used; i++)
		if (!chart->pools[i].used || chart->pools[i].load < found->load)
			found = &chart->pools[i];
	return found;
}

static void begin(struct series *series, const struct pool_row *pool)
{
	*series = (struct series){ .used = true, .pool = pool->id, .load = load_of(pool) };
	memcpy(series->database, pool->database, sizeof series->database);
	memcpy(series->user, pool->user, sizeof series->user);
}

/* Who has a series, after the pools as they are now. */
static void choose(struct chart *chart, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->pool_count; i++) {
		const struct pool_row *pool = &snapshot->pools[i];
		struct series *series = series_of(chart, pool);

		if (series) {
			series->load = series->load * 0.95 + load_of(pool) * 0.05;
			continue;
		}
		series = weakest(chart);
		if (!series->used || load_of(pool) > 2 * series->load + 1)
			begin(series, pool);
	}
}

static struct sample sample_of(const struct pool_row *pool)
{
	return (struct sample){ .lent = pool->servers_active,
		.idle = pool->servers_idle,
		.waiting = pool->clients_waiting,
		.clients = pool->clients };
}

void chart_add(struct chart *chart, const struct snapshot *snapshot)
{
	time_us passed = chart->count > 0 ? snapshot->wall - chart->last : 0;
	struct sample whole = { .clients = snapshot->clients_total };
	struct meter waits = { 0 };
	uint64_t queries = 0;

	choose(chart, snapshot);
	for (size_t i = 0; i < CHART_POOLS; i++)
		chart->pools[i].samples[chart->next].known = false;
	for (size_t i = 0; i < snapshot->pool_count; i++) {
		const struct pool_row *pool = &snapshot->pools[i];
		struct series *series = series_of(chart, pool);
		struct sample sample = sample_of(pool);

		if (series)
			add(chart, series, &sample, pool->total.queries, &pool->times.wait, passed);
		whole.lent += sample.lent;
		whole.idle += sample.idle;
		whole.waiting += sample.waiting;
		queries += pool->total.queries;
		meter_merge(&waits, &pool->times.wait);
	}
	add(chart, &chart->whole, &whole, queries, &waits, passed);
	chart->times[chart->next] = chart->last = snapshot->wall;
	chart->next = (chart->next + 1) % CHART_LENGTH;
	chart->count += chart->count < CHART_LENGTH;
}

/* ---- as JSON ---- */

enum measure { LENT, IDLE, WAITING, CLIENTS, QUERIES, WAIT, MEASURES };

static bool add_measure(struct buf *out, const struct sample *sample, enum measure measure)
{
	const uint32_t numbers[] = { sample->lent, sample->idle, sample->waiting, sample->clients };

	if (!sample->known || (measure >= QUERIES && !sample->differs) || (measure == WAIT && sample->wait < 0))
		return buf_add(out, "null", 4);
	if (measure == QUERIES)
		return buf_format(out, "%.1f", sample->queries);
	if (measure == WAIT)
		return buf_format(out, "%.6f", (double)sample->wait / SECOND_US);
	return buf_format(out, "%u", numbers[measure]);
}

/* Where the sample lies that is `i` after the oldest. */
static size_t place_of(const struct chart *chart, size_t i)
{
	return (chart->next + CHART_LENGTH - chart->count + i) % CHART_LENGTH;
}

static bool add_series(struct buf *out, const struct chart *chart, const struct series *series)
{
	static const char *const names[MEASURES] = { "lent", "idle", "waiting", "clients", "queries_per_second",
		"wait_p99" };
	bool ok = true;

	for (int measure = 0; ok && measure < MEASURES; measure++) {
		ok = buf_format(out, "%s\"%s\":[", measure ? "," : "", names[measure]);
		for (size_t i = 0; ok && i < chart->count; i++)
			ok = (i == 0 || buf_add(out, ",", 1)) &&
				add_measure(out, &series->samples[place_of(chart, i)], (enum measure)measure);
		ok = ok && buf_add(out, "]", 1);
	}
	return ok;
}

bool chart_json(struct buf *out, const struct chart *chart)
{
	bool ok = buf_format(out, "{\"interval\":%d,\n\"times\":[", (int)(CHART_INTERVAL / SECOND_US)), first = true;

	for (size_t i = 0; ok && i < chart->count; i++)
		ok = buf_format(out, "%s%.3f", i ? "," : "", (double)chart->times[place_of(chart, i)] / SECOND_US);
	ok = ok && buf_format(out, "],\n\"process\":{") && add_series(out, chart, &chart->whole) &&
		buf_format(out, "},\n\"pools\":[");
	for (size_t i = 0; ok && i < CHART_POOLS; i++) {
		const struct series *series = &chart->pools[i];

		if (!series->used)
			continue;
		ok = buf_format(out, "%s\n{\"database\":", first ? "" : ",") &&
			json_text(out, span_text(series->database)) && buf_format(out, ",\"user\":") &&
			json_text(out, span_text(series->user)) && buf_add(out, ",", 1) &&
			add_series(out, chart, series) && buf_add(out, "}", 1);
		first = false;
	}
	return ok && buf_format(out, "]}\n");
}
