/* What was counted: SHOW STATS by database, its totals and averages alone, and SHOW TOTALS, the sums over all databases. */
#include "base/text.h"
#include "view/table.h"

/* clang-format off */
static const struct column stats_columns[] = {
	{ "database", TEXT },
	{ "total_server_assignment_count", NUMERIC }, { "total_xact_count", NUMERIC }, { "total_query_count", NUMERIC },
	{ "total_received", NUMERIC }, { "total_sent", NUMERIC }, { "total_xact_time", NUMERIC },
	{ "total_query_time", NUMERIC }, { "total_wait_time", NUMERIC }, { "total_client_parse_count", NUMERIC },
	{ "total_server_parse_count", NUMERIC }, { "total_bind_count", NUMERIC }, { "total_client_login_count", NUMERIC | OURS },
	{ "avg_server_assignment_count", NUMERIC }, { "avg_xact_count", NUMERIC }, { "avg_query_count", NUMERIC },
	{ "avg_recv", NUMERIC }, { "avg_sent", NUMERIC }, { "avg_xact_time", NUMERIC },
	{ "avg_query_time", NUMERIC }, { "avg_wait_time", NUMERIC }, { "avg_client_parse_count", NUMERIC },
	{ "avg_server_parse_count", NUMERIC }, { "avg_bind_count", NUMERIC }, { "avg_client_login_count", NUMERIC | OURS },
};

static const struct column totals_columns[] = {
	{ "database", TEXT },
	{ "server_assignment_count", NUMERIC }, { "xact_count", NUMERIC }, { "query_count", NUMERIC },
	{ "bytes_received", NUMERIC }, { "bytes_sent", NUMERIC }, { "xact_time", NUMERIC }, { "query_time", NUMERIC },
	{ "wait_time", NUMERIC }, { "client_parse_count", NUMERIC }, { "server_parse_count", NUMERIC },
	{ "bind_count", NUMERIC }, { "client_login_count", NUMERIC | OURS },
};

/* The last four have a prefix and the others have none: so it is in PgBouncer. */
static const struct column averages_columns[] = {
	{ "database", TEXT },
	{ "server_assignment_count", NUMERIC }, { "xact_count", NUMERIC }, { "query_count", NUMERIC },
	{ "bytes_received", NUMERIC }, { "bytes_sent", NUMERIC }, { "xact_time", NUMERIC }, { "query_time", NUMERIC },
	{ "wait_time", NUMERIC }, { "avg_client_parse_count", NUMERIC }, { "avg_server_parse_count", NUMERIC },
	{ "avg_bind_count", NUMERIC }, { "avg_client_login_count", NUMERIC | OURS },
};

#define STATS(name) { put_u64, offsetof(struct stats_row, name) }
#define STATS_OF(set) \
	STATS(set.server_assignments), STATS(set.transactions), STATS(set.queries), STATS(set.received), STATS(set.sent), \
	STATS(set.transaction_time), STATS(set.query_time), STATS(set.wait_time), STATS(set.client_parses), \
	STATS(set.server_parses), STATS(set.binds), STATS(set.logins)
static const struct field stats_fields[] = {
	{ put_text, offsetof(struct stats_row, database) }, STATS_OF(total), STATS_OF(average),
};
static const struct field totals_fields[] = { { put_text, offsetof(struct stats_row, database) }, STATS_OF(total) };
static const struct field averages_fields[] = { { put_text, offsetof(struct stats_row, database) }, STATS_OF(average) };
/* clang-format on */

/* Commands of the console are its queries and transactions; it moves no bytes of clients. */
static void more_stats(struct writer *w, const struct snapshot *snapshot, const struct show *show)
{
	struct stats_row row = { .database = "pgbouncer",
		.total = { .queries = snapshot->commands, .transactions = snapshot->commands } };

	if (snapshot->pgbouncer)
		put_row(w, show, show->sources[0]->fields, &row);
}

static const struct source stats = { LIST(stats, stats_count), .fields = stats_fields };
static const struct source stats_totals = { LIST(stats, stats_count), .fields = totals_fields };
static const struct source stats_averages = { LIST(stats, stats_count), .fields = averages_fields };

/* ---- sums over all databases ---- */

static const struct column sum_columns[] = { { "name", TEXT }, { "value", NUMERIC } };

/* Counters and rates add up over databases. An average time does not: it is weighed by how often the thing timed happened, where
 * less than once a second still weighs one. */
struct sum {
	const char *name;
	size_t counter;
	bool time;
	size_t weight;
	bool ours;
};

/* clang-format off */
#define COUNTER(name, member) { name, offsetof(struct stat_counters, member), false, 0, false }
#define OUR_COUNTER(name, member) { name, offsetof(struct stat_counters, member), false, 0, true }
#define TIMES(name, member, of) { name, offsetof(struct stat_counters, member), true, offsetof(struct stat_counters, of), false }
static const struct sum sums[] = {
	COUNTER("server_assignment_count", server_assignments),
	COUNTER("xact_count", transactions),
	COUNTER("query_count", queries),
	COUNTER("client_bytes", received),
	COUNTER("server_bytes", sent),
	TIMES("xact_time", transaction_time, transactions),
	TIMES("query_time", query_time, queries),
	TIMES("wait_time", wait_time, server_assignments),
	COUNTER("ps_client_parse_count", client_parses),
	COUNTER("ps_server_parse_count", server_parses),
	COUNTER("ps_bind_count", binds),
	OUR_COUNTER("client_login_count", logins),
};
/* clang-format on */
#define SUMS (sizeof sums / sizeof *sums)

static uint64_t counter(const struct stat_counters *counters, size_t offset)
{
	return *(const uint64_t *)member(counters, offset);
}

static uint64_t weighed(const struct snapshot *snapshot, const struct sum *sum)
{
	double total = 0, weights = 0;

	for (size_t i = 0; i < snapshot->stats_count; i++) {
		uint64_t time = counter(&snapshot->stats[i].average, sum->counter);
		uint64_t weight = counter(&snapshot->stats[i].average, sum->weight);

		if (weight == 0 && time > 0)
			weight = 1;
		total += (double)time * (double)weight;
		weights += (double)weight;
	}
	return weights > 0 ? (uint64_t)(total / weights) : 0;
}

/* Those of a kind come together: the totals, then the averages. */
static size_t make_totals(const struct snapshot *snapshot, const struct show *show, struct pair *pairs)
{
	size_t shown = 0, n = 0;
	char name[48];

	for (size_t i = 0; i < SUMS; i++)
		shown += !(show->without_ours && sums[i].ours);
	for (size_t i = 0; i < SUMS; i++) {
		uint64_t total = 0, average = 0;

		if (show->without_ours && sums[i].ours)
			continue;
		for (size_t j = 0; j < snapshot->stats_count; j++) {
			total += counter(&snapshot->stats[j].total, sums[i].counter);
			average += counter(&snapshot->stats[j].average, sums[i].counter);
		}
		if (sums[i].time)
			average = weighed(snapshot, &sums[i]);
		text_format(name, sizeof name, "total_%s", sums[i].name);
		pair_number(&pairs[n], name, total);
		text_format(name, sizeof name, "avg_%s", sums[i].name);
		pair_number(&pairs[shown + n++], name, average);
	}
	return 2 * shown;
}

_Static_assert(2 * SUMS <= PAIRS_MAX, "SHOW TOTALS has room");

static const struct show shows[] = {
	{ "stats", PART_STATS, COLUMNS(stats_columns), .sources = { &stats }, .more = more_stats },
	{ "stats_averages", PART_STATS, COLUMNS(averages_columns), .sources = { &stats_averages }, .more = more_stats },
	{ "stats_totals", PART_STATS, COLUMNS(totals_columns), .sources = { &stats_totals }, .more = more_stats },
	{ "totals", PART_STATS, COLUMNS(sum_columns), .make = make_totals },
};
const struct show_list stats_shows = SHOWS(shows);

FILLS(stats_fields, stats_columns);
FILLS(totals_fields, totals_columns);
FILLS(averages_fields, averages_columns);
FILLS(pair_fields, sum_columns);
