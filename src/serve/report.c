/* What was found when all origins were last looked at, as rows that are shown and lines that are logged. Strangers chose the names and the
 * statements: they are escaped here, once, for whoever shows them. */
#include "serve/report.h"

#include <stdlib.h>

#include "base/text.h"
#include "io/clock.h"
#include "serve/worker.h"
#include "session/tags.h"

void report_drop(struct report *report)
{
	if (!report || atomic_fetch_sub(&report->references, 1) > 1)
		return;
	free(report->origins);
	free(report->leaks);
	free(report->breakdowns);
	free(report);
}

struct report *report_keep(struct house *house)
{
	struct report *report;

	lock_take(house->lock);
	report = house->report;
	if (report)
		atomic_fetch_add(&report->references, 1);
	lock_drop(house->lock);
	return report;
}

static void escape(char *out, size_t size, const char *from)
{
	text_escape(out, size, span_text(from));
}

/* Of what costs most, of an origin as a whole. */
static const char *words_of(const struct survey_row *row)
{
	if (row->facts.holding > 0 && row->held[0])
		return row->held;
	if (row->facts.unread > 0 && row->unread[0])
		return row->unread;
	return row->votes > 0 ? row->voted : row->held;
}

/* Of what leaks; it may be one of several leaks of its origin. */
static const char *words_of_leak(const struct survey_row *row, enum leak_of of)
{
	switch (of) {
	case LEAK_OF_CLIENTS:
		if (row->votes > 0)
			return row->voted;
		/* A pool of threads has nobody who looks forgotten: each is asked again now and then. */
		return row->facts.once == 0 && row->votes_again > 0 ? row->voted_again : "";
	case LEAK_OF_HOLDS:
		return row->held;
	case LEAK_OF_RESULTS:
		return row->unread;
	case LEAK_OF_STATEMENTS:
		return row->abandoned;
	case LEAK_OF_OTHERS:
		break;
	}
	return words_of(row);
}

static void fill_words(const char *words, char *route, size_t route_size, char *statement, size_t statement_size)
{
	struct tags tags;

	tags_read(span_text(words), &tags);
	tags_route(&tags, route, route_size);
	escape(statement, statement_size, words);
}

/* Its names as they are now. False: its place stands for another origin by now. */
static bool copy_names(struct house *house, const struct survey_row *row, struct origin *out)
{
	const struct origin *origin = row->origin;
	bool same;

	lock_take(house->lock);
	same = origin->number == row->number;
	if (same) {
		memcpy(out->user, origin->user, ORIGIN_NAME);
		memcpy(out->database, origin->database, ORIGIN_NAME);
		memcpy(out->application_name, origin->application_name, ORIGIN_NAME);
		memcpy(out->address, origin->address, ORIGIN_NAME);
		memcpy(out->process, origin->process, ORIGIN_NAME);
		out->process_id = origin->process_id;
		out->driver = origin_driver(origin);
		atomic_store(&out->is_protected, atomic_load(&origin->is_protected));
		atomic_store(&out->weight, atomic_load(&origin->weight));
	}
	lock_drop(house->lock);
	return same;
}

static void fill_origin(struct origin_row *out, const struct survey_row *row, const struct origin *origin)
{
	static const char *const drivers[] = { [DRIVER_UNKNOWN] = "",
		[DRIVER_LIBPQ] = "libpq",
		[DRIVER_ASYNCPG] = "asyncpg",
		[DRIVER_NODE] = "node",
		[DRIVER_JDBC] = "jdbc",
		[DRIVER_GO] = "go" };
	const struct leak_facts *facts = &row->facts;

	*out = (struct origin_row){
		.id = row->number,
		.process_id = origin->process_id,
		.clients = facts->clients,
		.parked = facts->parked,
		.waiting = facts->waiting + facts->entering,
		.lent = facts->lent,
		.quiet = facts->quiet,
		.silent = facts->silent,
		.once = facts->once,
		.in_block = facts->in_block,
		.holding = facts->holding,
		.unread = facts->unread,
		.rests_lent = facts->rests_lent,
		.logins = facts->logins,
		.logouts = facts->logouts,
		.logins_while_quiet = facts->logins_while_quiet,
		.reused = facts->reused,
		.transactions = facts->transactions,
		.cancels = facts->cancels,
		.abandoned = facts->abandoned,
		.dead_peers = facts->dead_peers,
		.executing_time = row->account.executing,
		.in_block_time = row->account.in_block,
		.parked_time = row->account.parked,
		.waiting_time = row->account.waiting,
		.sending_time = row->account.sending,
		.received = row->account.received,
		.sent = row->account.sent,
		.oldest_quiet = facts->oldest_quiet,
		.oldest_hold = facts->oldest_hold,
		.median_rest = spread_quantile(&facts->gaps, 500),
		.median_life = spread_quantile(&facts->lifetimes, 500),
		.is_protected = atomic_load(&origin->is_protected),
		.weight = atomic_load(&origin->weight),
		.at_door = row->at_door,
	};
	escape(out->user, sizeof out->user, origin->user);
	escape(out->database, sizeof out->database, origin->database);
	escape(out->application_name, sizeof out->application_name, origin->application_name);
	escape(out->address, sizeof out->address, origin->address);
	escape(out->process, sizeof out->process, origin->process);
	text_copy(out->driver, sizeof out->driver, drivers[origin->driver]);
	fill_words(words_of(row), out->route, sizeof out->route, out->statement, sizeof out->statement);
}

static const struct origin_row *row_of(const struct report *report, uint32_t number)
{
	for (size_t i = 0; i < report->origin_count; i++)
		if (report->origins[i].id == number)
			return &report->origins[i];
	return NULL;
}

static const struct survey_row *survey_row_of(const struct letter_survey *letter, uint32_t number)
{
	for (size_t i = 0; i < letter->count; i++)
		if (letter->rows[i].number == number)
			return &letter->rows[i];
	return NULL;
}

static void fill_leak(struct leak_row *out, const struct leak *leak, const struct report *report,
	const struct report *before, const struct survey_row *row, time_us wall_offset)
{
	static const char *const families[] = {
		[FAMILY_CLIENT] = "client", [FAMILY_SERVER] = "server", [FAMILY_NOT_US] = "not us"
	};
	static const char *const severities[] = {
		[SEVERITY_LOW] = "low", [SEVERITY_GROWING] = "growing", [SEVERITY_URGENT] = "urgent"
	};
	const struct origin_row *origin = row_of(report, leak->origin);
	const struct leak_row *old = NULL;

	for (size_t i = 0; before && i < before->leak_count; i++)
		if (before->leaks[i].id == leak->number)
			old = &before->leaks[i];
	/* Who it was stays known when its origin is gone. */
	*out = old ? *old : (struct leak_row){ 0 };
	out->id = leak->number;
	out->origin = leak->origin;
	text_copy(out->pattern, sizeof out->pattern, leak->pattern->number);
	text_copy(out->name, sizeof out->name, leak->pattern->name);
	text_copy(out->family, sizeof out->family, families[leak->family]);
	text_copy(out->severity, sizeof out->severity, severities[leak->severity]);
	text_copy(out->evidence, sizeof out->evidence, leak->evidence);
	text_copy(out->cure, sizeof out->cure, leak->pattern->cure);
	out->confidence = leak->confidence;
	out->clients = leak->clients;
	out->servers = leak->servers;
	out->oldest = leak->oldest;
	out->growth = leak->growth;
	out->exhausted_in = leak->exhausted_in;
	out->since_wall = leak->since + wall_offset;
	out->ended_wall = leak->ended ? leak->ended + wall_offset : 0;
	if (!origin || leak->ended)
		return;
	text_copy(out->user, sizeof out->user, origin->user);
	text_copy(out->database, sizeof out->database, origin->database);
	text_copy(out->application_name, sizeof out->application_name, origin->application_name);
	text_copy(out->address, sizeof out->address, origin->address);
	/* Between two that show it, the last one's words stand. */
	if (row && words_of_leak(row, leak->of)[0])
		fill_words(words_of_leak(row, leak->of), out->route, sizeof out->route, out->statement,
			sizeof out->statement);
}

/* key="value"; what is in it is escaped already, but for the quotes. */
static void add_word(char *line, size_t size, const char *key, const char *value)
{
	size_t length = strlen(line);

	length += text_format(line + length, size - length, " %s=\"", key);
	for (; *value && length + 3 < size; value++)
		line[length++] = *value == '"' ? '\'' : *value;
	text_format(line + length, size - length, "\"");
}

void report_log(const struct leak_change *change, const struct report *report)
{
	static const char *const kinds[] = {
		[LEAK_BEGAN] = "began", [LEAK_CHANGED] = "changed", [LEAK_ENDED] = "ended"
	};
	const struct leak_row *leak = NULL;
	char line[2000];

	for (size_t i = 0; i < report->leak_count; i++)
		if (report->leaks[i].id == change->leak.number)
			leak = &report->leaks[i];
	if (!leak)
		return;
	text_format(line, sizeof line,
		"leak %s: id=%u pattern=%s family=\"%s\" confidence=%u severity=%s origin=%u clients=%u servers=%u oldest_s=%lld growth_per_minute=%.2f",
		kinds[change->kind], leak->id, leak->pattern, leak->family, leak->confidence, leak->severity,
		leak->origin, leak->clients, leak->servers, (long long)(leak->oldest / SECOND_US), leak->growth);
	if (leak->exhausted_in > 0) {
		size_t length = strlen(line);

		text_format(line + length, sizeof line - length, " exhausted_in_s=%lld",
			(long long)(leak->exhausted_in / SECOND_US));
	}
	if (change->kind == LEAK_ENDED) {
		size_t length = strlen(line);

		text_format(line + length, sizeof line - length, " lasted_s=%lld",
			(long long)((change->leak.ended - change->leak.since) / SECOND_US));
	}
	add_word(line, sizeof line, "name", leak->name);
	add_word(line, sizeof line, "user", leak->user);
	add_word(line, sizeof line, "database", leak->database);
	add_word(line, sizeof line, "application_name", leak->application_name);
	add_word(line, sizeof line, "address", leak->address);
	add_word(line, sizeof line, "evidence", leak->evidence);
	if (change->kind != LEAK_ENDED) {
		add_word(line, sizeof line, "cure", leak->cure);
		/* Last, so that nothing else is cut for them. */
		if (leak->route[0])
			add_word(line, sizeof line, "route", leak->route);
		if (leak->statement[0])
			add_word(line, sizeof line, "statement", leak->statement);
	}
	log_line(change->kind == LEAK_ENDED ? LOG_LOG : LOG_WARNING, "%s", line);
}

struct report *report_make(
	struct house *house, const struct leak_book *book, const struct letter_survey *letter, time_us now)
{
	struct report *report = calloc(1, sizeof *report), *before = house->report;
	time_us offset = clock_wall() - now;
	size_t leaks = 0;

	if (!report)
		return NULL;
	atomic_init(&report->references, 1);
	report->at = now;
	while (leak_at(book, leaks))
		leaks++;
	report->origins = calloc(letter->count, sizeof *report->origins);
	report->leaks = calloc(leaks + 1, sizeof *report->leaks);
	if (!report->origins || !report->leaks) {
		report_drop(report);
		return NULL;
	}
	for (size_t i = 0; i < letter->count; i++) {
		const struct survey_row *row = &letter->rows[i];
		struct origin names;

		if ((row->facts.clients > 0 || row->facts.logins > 0) && copy_names(house, row, &names))
			fill_origin(&report->origins[report->origin_count++], row, &names);
	}
	for (; report->leak_count < leaks; report->leak_count++) {
		const struct leak *leak = leak_at(book, report->leak_count);

		fill_leak(&report->leaks[report->leak_count], leak, report, before, survey_row_of(letter, leak->origin),
			offset);
	}
	return report;
}
