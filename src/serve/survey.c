/* Looking at all origins.
 *
 *   worker 0 --letter--> worker 0, 1, 2 ... --letter--> keeper ---> leak_step ---> report
 *   (timer)              each adds its shares           judges      (core/leak)    SHOW LEAKS, SHOW ORIGINS, the log
 *
 * A worker adds what its shares have counted, and what its clients are doing at this moment. It looks at a few thousand of them, then
 * posts the letter to itself and serves others first: a house of a million clients is looked at without anybody waiting for it.
 *
 * The judging is the keeper's, a thread that serves nobody. */
#include "serve/survey.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/redact.h"
#include "base/text.h"
#include "io/clock.h"
#include "io/file.h"
#include "serve/reaper.h"
#include "serve/worker.h"
#include "session/tags.h"

/* How many clients are looked at before others are served. */
#define GUESTS_AT_ONCE 2048

struct survey_row {
	struct origin *origin;
	uint32_t number;
	pool_id pool; /* of one of its clients, and that one's address */
	uint32_t peer_process;
	uint16_t peer_port;
	uint8_t peer_ip[16];
	bool peer_is_six;
	struct leak_facts facts;
	char voted[ORIGIN_WORDS], held[ORIGIN_WORDS];
	uint32_t votes;
};

struct letter_survey {
	struct letter letter;
	uint32_t worker; /* whose clients are being looked at */
	uint32_t slot;   /* the next of them */
	struct survey_row *rows;
	size_t count;
};

void report_drop(struct report *report)
{
	if (!report || atomic_fetch_sub(&report->references, 1) > 1)
		return;
	free(report->origins);
	free(report->leaks);
	free(report->reaps);
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

void survey_letter_free(struct letter *letter)
{
	struct letter_survey *survey = (struct letter_survey *)(void *)letter;

	free(survey->rows);
	free(survey);
}

/* ---- at the workers ---- */

void survey_arm(struct worker *worker)
{
	time_us interval = worker->config->leak_interval;

	if (worker->index != 0)
		return;
	if (interval > 0)
		timer_set(&worker->timers, &worker->survey_timer, worker->now + interval);
	else
		timer_clear(&worker->timers, &worker->survey_timer);
}

/* A row for every origin there is. */
static bool list_origins(struct house *house, struct letter_survey *letter)
{
	letter->rows = calloc(ORIGINS_MAX + 1, sizeof *letter->rows);
	if (!letter->rows)
		return false;
	lock_take(house->lock);
	for (size_t i = 0; i < ORIGINS_MAX; i++)
		if (house->origins.table[i])
			letter->rows[letter->count++].origin = house->origins.table[i];
	letter->rows[letter->count++].origin = &house->origins.others;
	for (size_t i = 0; i < letter->count; i++) {
		letter->rows[i].number = letter->rows[i].facts.origin = letter->rows[i].origin->number;
		letter->rows[i].pool = NO_POOL;
	}
	lock_drop(house->lock);
	return true;
}

void survey_begin(struct worker *worker)
{
	struct letter_survey *letter = NULL;

	survey_arm(worker);
	if (!worker->house->keeper_mailbox || atomic_exchange(&worker->house->surveying, true))
		return;
	letter = calloc(1, sizeof *letter);
	if (!letter || !list_origins(worker->house, letter)) {
		free(letter);
		atomic_store(&worker->house->surveying, false);
		return;
	}
	letter->letter.kind = LETTER_SURVEY;
	worker_post(worker, 0, &letter->letter);
}

static struct share *share_of(struct worker *worker, const struct survey_row *row)
{
	struct share *share = row->origin->shares ? row->origin->shares[worker->index] : NULL;

	return share && share->number == row->number ? share : NULL;
}

/* What a share says of this moment is said anew each time. */
static void forget_moment(struct share *share)
{
	struct leak_facts *facts = &share->facts;

	facts->clients = facts->parked = facts->waiting = facts->lent = facts->quiet = facts->silent = 0;
	facts->once = facts->listeners = facts->in_block = facts->holding = facts->failed = facts->unread = 0;
	facts->oldest_quiet = facts->oldest_hold = facts->oldest_unread = 0;
	facts->session_mode = false;
	share->votes = 0;
	share->held[0] = 0;
}

static void note_oldest(time_us *oldest, time_us age)
{
	if (age > *oldest)
		*oldest = age;
}

/* By majority vote (Boyer and Moore): whoever holds more than half of the votes is left at the end. */
static void vote(struct share *share, const struct text *text)
{
	if (!text)
		return;
	if (share->votes > 0 && strncmp(share->voted, text->at, sizeof share->voted - 1) != 0) {
		share->votes--;
		return;
	}
	if (share->votes++ == 0)
		text_copy(share->voted, sizeof share->voted, text->at);
}

static void look_at_rest(struct worker *worker, struct share *share, const struct guest *guest)
{
	struct leak_facts *facts = &share->facts;
	time_us age = worker->now - guest->habits.rest_since;

	if (age < worker->config->leak_quiet)
		return;
	facts->quiet++;
	facts->silent += guest->habits.bursts == 0;
	facts->once += guest->habits.bursts == 1;
	facts->listeners += guest->habits.listens;
	note_oldest(&facts->oldest_quiet, age);
	if (guest->habits.bursts < 2)
		vote(share, guest->habits.first);
}

static void look_at_lease(struct worker *worker, struct share *share, const struct guest *guest)
{
	struct leak_facts *facts = &share->facts;
	struct channel *channel = guest->channel;
	char clean[ORIGIN_WORDS * 2];
	time_us age;

	facts->lent++;
	habits_stuck(channel, channel->unread_since != 0);
	if (channel->unread_since) {
		age = worker->now - channel->unread_since;
		facts->unread += age >= worker->config->leak_hold;
		note_oldest(&facts->oldest_unread, age);
	}
	if (channel->track.status == 'I' || !track_quiet(&channel->track))
		return;
	age = worker->now - channel->quiet_since;
	facts->in_block++;
	facts->holding += age >= worker->config->leak_hold;
	facts->failed += age >= worker->config->leak_hold && channel->track.status == 'E';
	if (age > facts->oldest_hold) {
		facts->oldest_hold = age;
		redact_sql(clean, sizeof clean, span_of(channel->opening, channel->opening_length));
		text_copy(share->held, sizeof share->held, clean);
	}
}

static void look_at_guest(struct worker *worker, const struct guest *guest)
{
	struct share *share = guest->origin && guest->habits.arrived ? origin_share(guest->origin, worker->index)
								     : NULL;

	if (!share || guest->state == GUEST_ENDING)
		return;
	share->facts.clients++;
	share->facts.parked += guest->state == GUEST_PARKED || (guest->state == GUEST_LENT && guest->habits.rest_since);
	share->facts.waiting += guest->state == GUEST_WAITING;
	share->pool = guest->pool;
	if (guest->stream) {
		const struct address *peer = stream_peer(guest->stream);

		share->peer_process = peer->process;
		share->peer_port = peer->port;
		share->peer_is_six = peer->family == ADDRESS_IPV6;
		memcpy(share->peer_ip, peer->ip, sizeof share->peer_ip);
	}
	if (guest->state == GUEST_LENT && guest->channel) {
		share->facts.session_mode = guest->channel->session;
		look_at_lease(worker, share, guest);
	}
	if (guest->habits.rest_since && guest->state != GUEST_WAITING)
		look_at_rest(worker, share, guest);
}

/* Everything but who it is; what is true of one is true of both. */
static void add_facts(struct leak_facts *to, const struct leak_facts *from)
{
	to->clients += from->clients;
	to->parked += from->parked;
	to->waiting += from->waiting;
	to->lent += from->lent;
	to->quiet += from->quiet;
	to->silent += from->silent;
	to->once += from->once;
	to->listeners += from->listeners;
	to->in_block += from->in_block;
	to->holding += from->holding;
	to->failed += from->failed;
	to->unread += from->unread;
	note_oldest(&to->oldest_quiet, from->oldest_quiet);
	note_oldest(&to->oldest_hold, from->oldest_hold);
	note_oldest(&to->oldest_unread, from->oldest_unread);
	to->logins += from->logins;
	to->logouts += from->logouts;
	to->logins_while_quiet += from->logins_while_quiet;
	to->reused += from->reused;
	to->transactions += from->transactions;
	to->cancels += from->cancels;
	to->abandoned += from->abandoned;
	to->dead_peers += from->dead_peers;
	to->session_locks += from->session_locks;
	to->executing_time += from->executing_time;
	to->in_block_time += from->in_block_time;
	to->session_mode = to->session_mode || from->session_mode;
	spread_merge(&to->gaps, &from->gaps);
	spread_merge(&to->lifetimes, &from->lifetimes);
	spread_merge(&to->blocks, &from->blocks);
}

static void add_share(struct survey_row *row, struct share *share)
{
	if (share->facts.oldest_hold > row->facts.oldest_hold)
		text_copy(row->held, sizeof row->held, share->held);
	if (share->votes > row->votes) {
		text_copy(row->voted, sizeof row->voted, share->voted);
		row->votes = share->votes;
	}
	if (share->facts.clients > 0) {
		row->pool = share->pool;
		row->peer_process = share->peer_process;
		row->peer_port = share->peer_port;
		row->peer_is_six = share->peer_is_six;
		memcpy(row->peer_ip, share->peer_ip, sizeof row->peer_ip);
	}
	add_facts(&row->facts, &share->facts);
}

static void add_shares(struct worker *worker, struct letter_survey *letter)
{
	/* Under the lock, so that no place changes its meaning between the look at its number and the count. */
	lock_take(worker->house->lock);
	for (size_t i = 0; i < letter->count; i++) {
		struct survey_row *row = &letter->rows[i];
		struct share *share = share_of(worker, row);

		if (!share || row->origin->number != row->number)
			continue;
		atomic_fetch_add(&row->origin->quiet, share->facts.quiet - share->quiet_said);
		share->quiet_said = share->facts.quiet;
		add_share(row, share);
	}
	lock_drop(worker->house->lock);
}

void survey_visit(struct worker *worker, struct letter *mail)
{
	struct letter_survey *letter = (struct letter_survey *)(void *)mail;
	struct guest *guest;

	check(letter->worker == worker->index);
	for (size_t i = 0; letter->slot == 0 && i < letter->count; i++) {
		struct share *share = share_of(worker, &letter->rows[i]);

		if (share)
			forget_moment(share);
	}
	for (size_t n = 0; n < GUESTS_AT_ONCE; n++) {
		guest = slots_next(&worker->guests, &letter->slot);
		if (!guest) {
			add_shares(worker, letter);
			letter->slot = 0;
			letter->worker++;
			break;
		}
		look_at_guest(worker, guest);
	}
	if (letter->worker < worker->house->worker_count)
		worker_post(worker, letter->worker, &letter->letter);
	else
		mailbox_post(worker->house->keeper_mailbox, &letter->letter);
}

/* ---- at the keeper ---- */

#define CHANGES_MAX    64
#define SOUGHT_AT_ONCE 8
#define REAPS_SHOWN    256
#define ACTED_AT_ONCE  4
#define LINES_AT_ONCE  10 /* of the log, for one look */

struct survey {
	struct leak_book *book;
	struct reaper *reaper;
	struct leak_facts *facts;
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
		free(house->survey);
		house->survey = NULL;
	}
	report_drop(house->report);
	house->report = NULL;
}

/* Which process it is, where that can be seen: the kernel tells it of a unix socket's peer, and /proc of a TCP peer on this machine. It is
 * one client's; others of the same origin may be other processes of the same program. Sought once for each origin. */
static void seek_process(struct house *house, const struct survey_row *row)
{
	static const uint8_t six_loopback[16] = { [15] = 1 };
	struct origin *origin = row->origin;
	bool six = row->peer_is_six;
	bool local = six ? memcmp(row->peer_ip, six_loopback, sizeof six_loopback) == 0 : row->peer_ip[0] == 127;
	uint32_t process = row->peer_process, user = UINT32_MAX;
	char words[256] = "";

	if (local && !process)
		process = process_of_peer(row->peer_ip, six, row->peer_port, &user);
	if (process && !process_words(process, words, sizeof words))
		process = 0;
	if (!process && user != UINT32_MAX)
		text_format(words, sizeof words, "(user %u)", user);
	lock_take(house->lock);
	if (origin->number == row->number) {
		origin->process_sought = true;
		origin->process_id = process;
		text_copy(origin->process, sizeof origin->process, words);
		origin->runtime = origin_runtime(words, origin->application_name);
	}
	lock_drop(house->lock);
}

static void seek_processes(struct house *house, const struct letter_survey *letter)
{
	unsigned sought = 0;

	for (size_t i = 0; i < letter->count && sought < SOUGHT_AT_ONCE; i++) {
		const struct survey_row *row = &letter->rows[i];
		bool wanted;

		lock_take(house->lock);
		wanted = row->facts.clients > 0 && row->number > 0 && row->origin->number == row->number &&
			!row->origin->process_sought;
		lock_drop(house->lock);
		if (wanted) {
			seek_process(house, row);
			sought++;
		}
	}
}

/* What the origin could exhaust. */
static void add_limits(
	struct house *house, const struct config *config, struct survey_row *row, struct pool_picture *picture)
{
	struct leak_facts *facts = &row->facts;
	bool known;

	facts->clients_limit = config->client_limit_counts == LIMIT_ALL && config->max_client_conn > 0
		? (uint32_t)config->max_client_conn
		: house->clients_max;
	facts->clients_total = atomic_load(&house->clients);
	lock_take(house->lock);
	if (row->origin->number == row->number) {
		facts->driver = row->origin->driver;
		facts->runtime = row->origin->runtime;
	}
	known = row->pool != NO_POOL && core_pool_picture(house->core, row->pool, picture);
	lock_drop(house->lock);
	if (!known)
		return;
	facts->servers_limit = picture->rules.size + picture->rules.reserve;
	facts->servers_lent = picture->lent;
	facts->pool_waiting = picture->waiting;
}

static void escape(char *out, size_t size, const char *from)
{
	text_escape(out, size, span_text(from));
}

static void fill_words(
	const struct survey_row *row, char *route, size_t route_size, char *statement, size_t statement_size)
{
	const char *words = row->facts.holding > 0 && row->held[0] ? row->held
		: row->votes > 0                                   ? row->voted
								   : row->held;
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
		out->driver = origin->driver;
		atomic_store(&out->is_protected, atomic_load(&origin->is_protected));
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
		.waiting = facts->waiting,
		.lent = facts->lent,
		.quiet = facts->quiet,
		.silent = facts->silent,
		.once = facts->once,
		.in_block = facts->in_block,
		.holding = facts->holding,
		.unread = facts->unread,
		.logins = facts->logins,
		.logouts = facts->logouts,
		.logins_while_quiet = facts->logins_while_quiet,
		.reused = facts->reused,
		.transactions = facts->transactions,
		.cancels = facts->cancels,
		.abandoned = facts->abandoned,
		.dead_peers = facts->dead_peers,
		.executing_time = facts->executing_time,
		.in_block_time = facts->in_block_time,
		.oldest_quiet = facts->oldest_quiet,
		.oldest_hold = facts->oldest_hold,
		.median_rest = spread_quantile(&facts->gaps, 500),
		.median_life = spread_quantile(&facts->lifetimes, 500),
		.is_protected = atomic_load(&origin->is_protected),
	};
	escape(out->user, sizeof out->user, origin->user);
	escape(out->database, sizeof out->database, origin->database);
	escape(out->application_name, sizeof out->application_name, origin->application_name);
	escape(out->address, sizeof out->address, origin->address);
	escape(out->process, sizeof out->process, origin->process);
	text_copy(out->driver, sizeof out->driver, drivers[origin->driver]);
	fill_words(row, out->route, sizeof out->route, out->statement, sizeof out->statement);
}

static const struct origin_row *row_of(const struct report *report, uint32_t number)
{
	for (size_t i = 0; i < report->origin_count; i++)
		if (report->origins[i].id == number)
			return &report->origins[i];
	return NULL;
}

static void fill_leak(struct leak_row *out, const struct leak *leak, const struct report *report,
	const struct report *before, time_us wall_offset)
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
	if (origin->statement[0]) {
		text_copy(out->route, sizeof out->route, origin->route);
		text_copy(out->statement, sizeof out->statement, origin->statement);
	}
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

static void log_change(const struct leak_change *change, const struct report *report)
{
	static const char *const kinds[] = {
		[LEAK_BEGAN] = "began", [LEAK_CHANGED] = "changed", [LEAK_ENDED] = "ended"
	};
	const struct leak_row *leak = NULL;
	char line[1500];

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
	add_word(line, sizeof line, "name", leak->name);
	add_word(line, sizeof line, "user", leak->user);
	add_word(line, sizeof line, "database", leak->database);
	add_word(line, sizeof line, "application_name", leak->application_name);
	add_word(line, sizeof line, "address", leak->address);
	add_word(line, sizeof line, "evidence", leak->evidence);
	if (change->kind != LEAK_ENDED)
		add_word(line, sizeof line, "cure", leak->cure);
	log_line(change->kind == LEAK_ENDED ? LOG_LOG : LOG_WARNING, "%s", line);
}

static struct report *make_report(
	struct house *house, struct survey *survey, const struct letter_survey *letter, time_us now)
{
	struct report *report = calloc(1, sizeof *report), *before = house->report;
	time_us offset = clock_wall() - now;
	size_t leaks = 0;

	if (!report)
		return NULL;
	atomic_init(&report->references, 1);
	report->at = now;
	while (leak_at(survey->book, leaks))
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
	report->reaps = calloc(REAPS_SHOWN, sizeof *report->reaps);
	if (report->reaps)
		report->reap_count = reaper_list(survey->reaper, report->reaps, REAPS_SHOWN);
	for (; report->leak_count < leaks; report->leak_count++)
		fill_leak(&report->leaks[report->leak_count], leak_at(survey->book, report->leak_count), report, before,
			offset);
	return report;
}

/* A few leaks at each look, in turn: every letter looks at every client. */
static void act_on_leaks(struct house *house, struct survey *survey, const struct config *config,
	const struct report *report, size_t count, time_us now)
{
	for (size_t n = 0; n < report->leak_count && n < ACTED_AT_ONCE; n++) {
		size_t i = survey->next_leak++ % report->leak_count;
		const struct leak *leak = leak_at(survey->book, i);

		for (size_t j = 0; leak && j < count; j++)
			if (survey->facts[j].origin == leak->origin && leak->origin > 0)
				reaper_consider(
					survey->reaper, house, config, leak, &report->leaks[i], &survey->facts[j], now);
	}
}

void survey_reaped(struct house *house, struct letter *mail)
{
	struct survey *survey = survey_of(house);

	reaper_home(survey ? survey->reaper : NULL, house, mail);
}

void survey_judge(struct house *house, struct letter *mail, time_us now)
{
	struct letter_survey *letter = (struct letter_survey *)(void *)mail;
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

	seek_processes(house, letter);
	if (survey && picture) {
		for (i = 0; i < letter->count; i++) {
			add_limits(house, config, &letter->rows[i], picture);
			survey->facts[i] = letter->rows[i].facts;
		}
		changes = leak_step(
			survey->book, &rules, now, survey->facts, letter->count, survey->changes, CHANGES_MAX);
		report = make_report(house, survey, letter, now);
	}
	for (i = 0; report && i < changes && i < LINES_AT_ONCE; i++)
		log_change(&survey->changes[i], report);
	if (changes > LINES_AT_ONCE)
		log_line(LOG_WARNING, "leak changes that are not logged: %zu; see SHOW LEAKS", changes - LINES_AT_ONCE);
	if (report)
		act_on_leaks(house, survey, config, report, letter->count, now);
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
