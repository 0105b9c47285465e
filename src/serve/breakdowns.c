/* Whom an origin consists of.
 *
 *   at the worker:  guest --> process of a unix socket, TLS name, tags of its statement --> table
 *                        \--> TCP from this machine: address ----------------------------> peers
 *   at the keeper:  peers --> whose socket (serve/owners.c) --> table --> rows
 *
 * A client is counted by the statement that it is at, else by the last one that it finished. Looking at one reads a few hundred bytes, so
 * nothing is done for it on the path of a transaction. */
#include "serve/breakdowns.h"

#include <stdlib.h>

#include "base/text.h"
#include "io/file.h"
#include "serve/report.h"
#include "serve/worker.h"
#include "session/tags.h"

#define WORDS_AT_ONCE 256 /* processes whose command lines are read for one look */

void told_fini(struct told *told)
{
	breakdowns_fini(&told->table);
	free(told->peers);
	*told = (struct told){ 0 };
}

/* ---- at the workers ---- */

static void count(const struct guest *guest, struct breakdown_counts *counts)
{
	const struct worker *worker = guest->worker;
	const struct channel *channel = guest->state == GUEST_LENT ? guest->channel : NULL;
	const struct habits *habits = &guest->habits;
	struct account account = habits_account(guest);
	time_us age;

	counts->clients = 1;
	counts->transactions = habits->transactions;
	counts->executing = account.executing;
	counts->in_block_time = account.in_block;
	if (habits->rest_since && guest->state != GUEST_WAITING) {
		age = worker->now - habits->rest_since;
		counts->quiet = age >= worker->config->leak_quiet;
		counts->oldest_quiet = counts->quiet ? age : 0;
	}
	if (!channel || channel->track.status == 'I' || !track_quiet(&channel->track))
		return;
	age = worker->now - channel->quiet_since;
	counts->in_block = 1;
	counts->holding = age >= worker->config->leak_hold;
	counts->oldest_hold = age;
}

static struct span words_of(const struct guest *guest)
{
	const struct channel *channel = guest->state == GUEST_LENT ? guest->channel : NULL;
	const struct text *last = guest->habits.last;

	if (channel && channel->said)
		return channel->opening_length > 0 ? span_of(channel->opening, channel->opening_length)
						   : span_of(channel->statement, channel->statement_length);
	return last ? span_of(last->at, last->length) : span_of("", 0);
}

static void look_at_words(struct told *told, const struct guest *guest, struct breakdown_counts *counts)
{
	static const enum tag tag_of[BREAKDOWN_KINDS] = {
		[BY_ROUTE] = TAG_ROUTE, [BY_CONTROLLER] = TAG_CONTROLLER, [BY_ACTION] = TAG_ACTION, [BY_JOB] = TAG_JOB
	};
	struct span words = words_of(guest);
	char value[BREAKDOWN_VALUE];
	struct tags tags;

	if (words.length == 0 || !memmem(words.at, words.length, "/*", 2))
		return;
	tags_read(words, &tags);
	if (counts->oldest_hold > 0)
		tags_trace(&tags, counts->trace);
	for (enum breakdown_by by = BY_ROUTE; by <= BY_JOB; by++) {
		size_t length = tags_value(&tags, tag_of[by], value, sizeof value);

		if (length > 0)
			breakdowns_add(&told->table, guest->origin->number, by, span_of(value, length), counts);
	}
}

static bool has_room(struct told *told)
{
	size_t capacity = told->peer_capacity ? 2 * told->peer_capacity : 64;
	struct told_peer *more;

	if (told->peer_count < told->peer_capacity)
		return true;
	more = told->peer_count < TOLD_PEERS_MAX ? realloc(told->peers, capacity * sizeof *more) : NULL;
	if (!more)
		return false;
	told->peers = more;
	told->peer_capacity = capacity;
	return true;
}

/* Its addresses are asked of the kernel: only of as many as are sought. */
static void add_peer(struct told *told, const struct guest *guest, const struct breakdown_counts *counts)
{
	time_us since = guest->state == GUEST_WAITING ? 0 : guest->habits.rest_since;

	if (!has_room(told)) {
		breakdowns_add(&told->table, guest->origin->number, BY_PROCESS, span_of("", 0), counts);
		return;
	}
	told->peers[told->peer_count++] = (struct told_peer){ .end = other_end_of(guest),
		.origin = guest->origin->number,
		.rest = since ? guest->worker->now - since : 0,
		.counts = *counts,
		.rested = guest->habits.rest_since };
}

static void add_process(
	struct breakdowns *table, uint32_t origin, const struct process_peer *of, const struct breakdown_counts *counts)
{
	char value[32];

	if (of->process > 0)
		text_format(value, sizeof value, "%u", of->process);
	else if (of->user != UINT32_MAX)
		text_format(value, sizeof value, "(user %u)", of->user);
	else
		return;
	breakdowns_add(table, origin, BY_PROCESS, span_text(value), counts);
}

void told_look(struct told *told, const struct guest *guest)
{
	struct breakdown_counts counts = { 0 };
	const struct text *name = guest->habits.tls_name;
	struct other_end end;

	if (!guest->origin || !guest->stream)
		return;
	count(guest, &counts);
	if (guest->habits.local) {
		add_peer(told, guest, &counts);
	} else {
		end = other_end_of(guest);
		add_process(&told->table, guest->origin->number, &end.at, &counts);
	}
	if (name)
		breakdowns_add(
			&told->table, guest->origin->number, BY_TLS_NAME, span_of(name->at, name->length), &counts);
	look_at_words(told, guest, &counts);
}

/* ---- at the keeper ---- */

/* Who is still to be sought is in no row. */
static void add_owners(struct told *told, const struct owners *owners)
{
	for (size_t i = 0; i < told->peer_count; i++) {
		const struct told_peer *peer = &told->peers[i];
		const struct process_peer *of = owners_find(owners, peer->end.client);

		if (of)
			add_process(&told->table, peer->origin, of, &peer->counts);
	}
}

static void fill_value(const struct breakdown *from, struct breakdown_row *row)
{
	char words[sizeof row->value], clean[sizeof row->value];
	int64_t process;

	text_escape(clean, sizeof clean, span_text(from->value[0] ? from->value : "(other)"));
	text_copy(row->value, sizeof row->value, clean);
	if (from->by != BY_PROCESS || !text_to_i64(span_text(from->value), &process) ||
		from->rank_of_kind >= WORDS_AT_ONCE)
		return;
	if (!process_words((uint32_t)process, words, sizeof words))
		return;
	text_escape(clean, sizeof clean, span_text(words));
	text_format(row->value, sizeof row->value, "%s %s", from->value, clean);
}

static void fill_row(const struct breakdown *from, const struct origin_row *origin, struct breakdown_row *row)
{
	static const char *const words[BREAKDOWN_KINDS] = { [BY_PROCESS] = "process",
		[BY_TLS_NAME] = "tls_name",
		[BY_ROUTE] = "route",
		[BY_CONTROLLER] = "controller",
		[BY_ACTION] = "action",
		[BY_JOB] = "job" };
	const struct breakdown_counts *counts = &from->counts;

	*row = (struct breakdown_row){
		.origin = from->origin,
		.rank = from->rank,
		.clients = counts->clients,
		.quiet = counts->quiet,
		.in_block = counts->in_block,
		.holding = counts->holding,
		.transactions = counts->transactions,
		.executing_time = counts->executing,
		.in_block_time = counts->in_block_time,
		.oldest_quiet = counts->oldest_quiet,
		.oldest_hold = counts->oldest_hold,
	};
	text_copy(row->user, sizeof row->user, origin->user);
	text_copy(row->database, sizeof row->database, origin->database);
	text_copy(row->application_name, sizeof row->application_name, origin->application_name);
	text_copy(row->address, sizeof row->address, origin->address);
	text_copy(row->by, sizeof row->by, words[from->by]);
	text_copy(row->trace, sizeof row->trace, counts->trace);
	fill_value(from, row);
}

static int compare_numbers(const void *one, const void *other)
{
	const uint32_t *a = one, *b = other;

	return (*a > *b) - (*a < *b);
}

/* The origins with a verdict that lasts, in order. */
static size_t leaking_origins(const struct report *report, uint32_t *numbers)
{
	size_t count = 0;

	for (size_t i = 0; i < report->leak_count; i++)
		if (report->leaks[i].ended_wall == 0)
			numbers[count++] = report->leaks[i].origin;
	if (count > 0)
		qsort(numbers, count, sizeof *numbers, compare_numbers);
	return count;
}

/* What each origin of the report weighs; NULL: memory refused. */
static struct breakdown_weight *weigh(const struct report *report)
{
	struct breakdown_weight *weights = calloc(report->origin_count + 1, sizeof *weights);
	uint32_t *leaking = calloc(report->leak_count + 1, sizeof *leaking);
	size_t count = leaking ? leaking_origins(report, leaking) : 0;

	for (size_t i = 0; weights && i < report->origin_count; i++) {
		const struct origin_row *origin = &report->origins[i];

		weights[i] = (struct breakdown_weight){
			.origin = origin->id,
			.leaks = count > 0 && bsearch(&origin->id, leaking, count, sizeof *leaking, compare_numbers),
			.forgotten = origin->quiet + origin->holding,
			.clients = origin->clients,
			.at = i,
		};
	}
	free(leaking);
	return weights;
}

void told_rows(struct told *told, const struct owners *owners, struct report *report)
{
	struct breakdown_weight *weights = weigh(report);
	size_t count, at = 0;

	add_owners(told, owners);
	breakdowns_sort(&told->table);
	count = told->table.count;
	report->breakdowns = weights && count > 0 ? calloc(count, sizeof *report->breakdowns) : NULL;
	if (report->breakdowns)
		breakdowns_rank(&told->table, weights, report->origin_count);
	/* Both are in the order of their origins. */
	for (size_t i = 0; report->breakdowns && i < count; i++) {
		const struct breakdown *from = &told->table.rows[i];

		while (at < report->origin_count && weights[at].origin < from->origin)
			at++;
		if (at < report->origin_count && weights[at].origin == from->origin)
			fill_row(
				from, &report->origins[weights[at].at], &report->breakdowns[report->breakdown_count++]);
	}
	free(weights);
}
