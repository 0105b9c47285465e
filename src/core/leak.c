#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/table.h"
#include "base/text.h"
#include "core/leak_state.h"

/* The book of leaks: what is remembered of each origin, which leaks there are, and when something is said about them.
 *
 *               begins                         lasts, otherwise
 *   nothing ------------> LEAK (BEGAN) <----------------------+
 *                           |   |                             |
 *                           |   +---- 3 looks: a pattern -----+  CHANGED
 *                           |         2 looks: worse, 12: better
 *                           | 6 looks in a row that would not keep it
 *                           v
 *                         ended (ENDED), shown for a while, forgotten
 *
 * A leak that ended is said to have ended: a hold that was long and then came back was no leak after all, and whoever was told of
 * it must be told that too. All the waiting is for one purpose: a change is news, and news must be few.
 *
 * Each origin has at most one leak of each track (see leak_state.h), so the book is bounded by the number of origins. What finds no
 * room among the changes has not happened yet: the next look finds it again. */

#define STEPS_CALM    6  /* looks in a row that would not keep a leak, until it has ended */
#define STEPS_PATTERN 3  /* ... that speak for another pattern */
#define STEPS_WORSE   2  /* ... for a higher severity */
#define STEPS_BETTER  12 /* ... for a lower one */
#define ENDED_MOST    64 /* leaks that ended and are still shown */
#define ENDED_PERIODS 120

struct entry {
	struct origin_memory memory;
	UT_hash_handle hh;
};

struct book_list {
	struct leak **at;
	size_t count, capacity;
};

struct leak_book {
	struct entry *entries;
	struct book_list lasting, ended; /* in the order in which they began, and ended */
	uint64_t steps;
	uint32_t last_number;
	bool fresh;
};

/* Where a step writes what it has to say. */
struct news {
	struct leak_change *at;
	size_t count, capacity;
};

struct leak_book *leak_book_new(void)
{
	return calloc(1, sizeof(struct leak_book));
}

static void list_free(struct book_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->at[i]);
	free(list->at);
}

void leak_book_free(struct leak_book *book)
{
	struct entry *entry, *next;

	if (!book)
		return;
	HASH_ITER(hh, book->entries, entry, next) {
		HASH_DEL(book->entries, entry);
		free(entry);
	}
	list_free(&book->lasting);
	list_free(&book->ended);
	free(book);
}

void leak_book_fresh(struct leak_book *book)
{
	check(book->steps == 0);
	book->fresh = true;
}

/* False: memory refused. */
static bool list_reserve(struct book_list *list)
{
	size_t more = list->capacity ? 2 * list->capacity : 8;
	struct leak **grown;

	if (list->count < list->capacity)
		return true;
	grown = realloc(list->at, more * sizeof(*grown));
	if (!grown)
		return false;
	list->at = grown;
	list->capacity = more;
	return true;
}

static void list_remove(struct book_list *list, const struct leak *leak)
{
	size_t i = 0;

	while (i < list->count && list->at[i] != leak)
		i++;
	check(i < list->count);
	list->count--;
	memmove(&list->at[i], &list->at[i + 1], (list->count - i) * sizeof(list->at[0]));
}

static void list_drop_first(struct book_list *list)
{
	struct leak *first = list->at[0];

	list_remove(list, first);
	free(first);
}

static bool news_full(const struct news *news)
{
	return news->count == news->capacity;
}

static void news_add(struct news *news, enum leak_change_kind kind, const struct leak *leak)
{
	check(!news_full(news));
	news->at[news->count++] = (struct leak_change){ .kind = kind, .leak = *leak };
}

/* The figures of a leak, as they are now. Evidence only adds up: a moment without news makes nobody less sure. */
static void leak_update(struct leak *leak, const struct verdict *verdict)
{
	leak->family = verdict->family;
	leak->clients = verdict->clients;
	leak->servers = verdict->servers;
	leak->oldest = verdict->oldest;
	leak->growth = verdict->growth;
	leak->exhausted_in = verdict->exhausted_in;
	if (leak->pattern != verdict->pattern || verdict->confidence > leak->confidence)
		leak->confidence = verdict->confidence;
	if (*verdict->evidence)
		text_copy(leak->evidence, sizeof leak->evidence, verdict->evidence);
}

static void leak_begin(struct leak_book *book, struct course *course, uint32_t origin, enum track track, time_us now,
	const struct verdict *verdict, struct news *news)
{
	struct leak *leak;

	if (news_full(news) || !list_reserve(&book->lasting))
		return;
	leak = calloc(1, sizeof(*leak));
	if (!leak)
		return;
	leak->number = ++book->last_number;
	leak->origin = origin;
	leak->of = track == TRACK_CLIENTS  ? LEAK_OF_CLIENTS
		: track == TRACK_HOLDS     ? LEAK_OF_HOLDS
		: track == TRACK_UNREAD    ? LEAK_OF_RESULTS
		: track == TRACK_ABANDONED ? LEAK_OF_STATEMENTS
					   : LEAK_OF_OTHERS;
	leak->since = now;
	leak->pattern = verdict->pattern;
	leak->severity = verdict->severity;
	leak_update(leak, verdict);
	book->lasting.at[book->lasting.count++] = leak;
	*course = (struct course){ .leak = leak, .peak = verdict->clients, .grown = now, .pace = verdict->pace };
	news_add(news, LEAK_BEGAN, leak);
}

/* False: there is no room to say so. */
static bool leak_end(struct leak_book *book, struct course *course, time_us now, struct news *news)
{
	struct leak *leak = course->leak;

	if (news_full(news))
		return false;
	leak->ended = now;
	leak->growth = 0;
	leak->exhausted_in = 0;
	news_add(news, LEAK_ENDED, leak);
	list_remove(&book->lasting, leak);
	*course = (struct course){ 0 };
	if (book->ended.count == ENDED_MOST)
		list_drop_first(&book->ended);
	if (list_reserve(&book->ended))
		book->ended.at[book->ended.count++] = leak;
	else
		free(leak);
	return true;
}

static void leak_keep(struct course *course, time_us now, const struct verdict *verdict, struct news *news)
{
	struct leak *leak = course->leak;
	bool worse = verdict->severity > leak->severity;
	const struct leak_pattern *pattern = leak->pattern;
	enum leak_severity severity = leak->severity;

	if (verdict->clients > course->peak) {
		course->peak = verdict->clients;
		course->grown = now;
	}
	if (verdict->pace)
		course->pace = verdict->pace;
	course->other_severity = verdict->severity != severity ? course->other_severity + 1 : 0;
	course->other_pattern = verdict->pattern == pattern ? 0
		: verdict->pattern == course->next_pattern  ? course->other_pattern + 1
							    : 1;
	course->next_pattern = verdict->pattern;
	if (course->other_pattern >= STEPS_PATTERN)
		pattern = verdict->pattern;
	if (course->other_severity >= (worse ? STEPS_WORSE : STEPS_BETTER))
		severity = verdict->severity;
	if ((pattern != leak->pattern || severity != leak->severity) && !news_full(news)) {
		leak_update(leak, verdict);
		leak->pattern = pattern;
		leak->severity = severity;
		course->other_severity = course->other_pattern = 0;
		news_add(news, LEAK_CHANGED, leak);
		return;
	}
	/* The pattern that is not said yet lends its figures, not its name. */
	leak_update(leak,
		&(struct verdict){ .pattern = leak->pattern,
			.family = verdict->family,
			.clients = verdict->clients,
			.servers = verdict->servers,
			.oldest = verdict->oldest,
			.growth = verdict->growth,
			.exhausted_in = verdict->exhausted_in,
			.confidence = verdict->pattern == leak->pattern ? verdict->confidence : 0 });
	if (verdict->pattern == leak->pattern && *verdict->evidence)
		text_copy(leak->evidence, sizeof leak->evidence, verdict->evidence);
}

/* One track of one origin: the only place where leaks begin, change and end. */
static void follow(struct leak_book *book, struct origin_memory *memory, enum track track, const struct signs *signs,
	const struct leak_rules *rules, const struct leak_facts *facts, struct news *news)
{
	struct course *course = &memory->courses[track];
	struct verdict verdict;

	verdict_of(track, signs, rules, facts, course, &verdict);
	if (!course->leak) {
		if (verdict.begins)
			leak_begin(book, course, memory->origin, track, signs->now, &verdict, news);
		return;
	}
	if (verdict.begins || verdict.lasts) {
		course->calm = 0;
		leak_keep(course, signs->now, &verdict, news);
		return;
	}
	if (++course->calm >= STEPS_CALM)
		leak_end(book, course, signs->now, news);
}

/* What a restart ends did not end by itself: what was told as leaked says nothing, by the day on which somebody ended all of it, of how
 * long this origin's clients live and how long its transactions rest. Else a leak that is restarted away again and again would become a
 * habit, and be told later each time. Nearly all must go at once, while a leak lasts; nothing is forgotten of an origin that has none. */
static void without_restarts(struct origin_memory *memory, struct leak_facts *facts)
{
	bool leaks = memory->courses[TRACK_CLIENTS].leak || memory->courses[TRACK_HOLDS].leak;
	uint64_t gone = facts->logouts - memory->logouts;

	if (leaks && memory->clients >= 3 && gone * 4 >= (uint64_t)memory->clients * 3) {
		struct spread lifetimes = spread_since(&facts->lifetimes, &memory->last_lifetimes);
		struct spread blocks = spread_since(&facts->blocks, &memory->last_blocks);

		spread_merge(&memory->cut_lifetimes, &lifetimes);
		spread_merge(&memory->cut_blocks, &blocks);
	}
	memory->clients = facts->clients;
	memory->last_lifetimes = facts->lifetimes;
	memory->last_blocks = facts->blocks;
	facts->lifetimes = spread_since(&facts->lifetimes, &memory->cut_lifetimes);
	facts->blocks = spread_since(&facts->blocks, &memory->cut_blocks);
}

static void recent_turn(struct recent *recent, const struct spread *now)
{
	if (++recent->age < RECENT_STEPS)
		return;
	recent->older = recent->newer;
	recent->newer = *now;
	recent->age = 0;
}

/* Did it grow by a step? Note when, and by how much. Without a pause it is one step, cut by the looks. */
static void rises_note(struct rises *rises, uint32_t figure, time_us now, time_us period)
{
	if (figure < rises->highest) {
		rises->count = 0;
	} else if (figure > rises->highest) {
		uint32_t size = figure - rises->highest;

		if (rises->count > 0 && now - rises->until[rises->count - 1] <= 2 * period) {
			rises->size[rises->count - 1] += size;
		} else {
			if (rises->count == RISES) {
				rises->count--;
				memmove(&rises->at[0], &rises->at[1], rises->count * sizeof(rises->at[0]));
				memmove(&rises->until[0], &rises->until[1], rises->count * sizeof(rises->until[0]));
				memmove(&rises->size[0], &rises->size[1], rises->count * sizeof(rises->size[0]));
			}
			rises->at[rises->count] = now;
			rises->size[rises->count] = size;
			rises->count++;
		}
		rises->until[rises->count - 1] = now;
	}
	rises->highest = figure;
}

static struct sample sample_of(time_us now, const struct leak_facts *facts)
{
	return (struct sample){
		.at = now,
		.clients = facts->clients,
		.unused = facts->silent + facts->once,
		.regulars = facts->regulars,
		.holding = facts->holding,
		.unread = facts->unread,
		.logins = (uint32_t)facts->logins,
		.beside = (uint32_t)facts->logins_while_quiet,
		.reused = (uint32_t)facts->reused,
		.transactions = (uint32_t)facts->transactions,
		.dead = (uint32_t)facts->dead_peers,
		.abandoned = (uint32_t)facts->abandoned,
		.locks = (uint32_t)facts->session_locks,
		.cancels = (uint32_t)facts->cancels,
		.left_soon = (uint32_t)facts->left_soon,
		.left_alike = (uint32_t)facts->left_alike,
		.left_unused = (uint32_t)facts->left_unused,
		.process_threads = facts->process_threads,
		.process_clients = facts->process_clients,
		.executing_ms = (uint32_t)(facts->executing_time / MILLISECOND_US),
		.in_block_ms = (uint32_t)(facts->in_block_time / MILLISECOND_US),
	};
}

static void remember(
	struct origin_memory *memory, const struct leak_rules *rules, time_us now, const struct leak_facts *facts)
{
	struct sample sample = sample_of(now, facts);

	history_add(&memory->history, &sample);
	recent_turn(&memory->lifetimes, &facts->lifetimes);
	recent_turn(&memory->blocks, &facts->blocks);
	rises_note(&memory->rises, facts->holding, now, rules->period);
	rises_note(&memory->clumps, (uint32_t)facts->logins_while_quiet, now, rules->period);
	if (facts->transactions != memory->transactions || facts->logins != memory->logins ||
		facts->logouts != memory->logouts) {
		if (now - memory->active > 12 * rules->period)
			memory->busy_since = now;
		memory->active = now;
	}
	visits_remember(&memory->visits, rules, now, facts);
	memory->transactions = facts->transactions;
	memory->logins = facts->logins;
	memory->logouts = facts->logouts;
}

/* NULL: memory refused; the origin is not seen until there is some. */
static struct entry *entry_of(
	struct leak_book *book, const struct leak_rules *rules, time_us now, const struct leak_facts *facts)
{
	uint32_t origin = facts->origin;
	bool refused = false;
	struct entry *entry;

	HASH_FIND(hh, book->entries, &origin, sizeof(origin), entry);
	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->memory.origin = origin;
	entry->memory.known = now;
	HASH_ADD(hh, book->entries, memory.origin, sizeof(origin), entry);
	if (refused) {
		free(entry);
		return NULL;
	}
	/* Who comes while we look began with nothing; who was there before us has a past that is not news. */
	if (book->steps > 1) {
		history_add(&entry->memory.history, &(struct sample){ .at = now - rules->period });
	} else {
		if (book->fresh) {
			/* Its clients may have been there before; what it has counted has not. */
			struct sample before = sample_of(now - rules->period, facts);

			before.dead = before.abandoned = before.locks = before.cancels = 0;
			history_add(&entry->memory.history, &before);
		}
		entry->memory.lifetimes.newer = entry->memory.lifetimes.older = facts->lifetimes;
		entry->memory.blocks.newer = entry->memory.blocks.older = facts->blocks;
	}
	return entry;
}

/* Origins that have no row any more, and leaks that ended long ago. */
static void forget(struct leak_book *book, const struct leak_rules *rules, time_us now, struct news *news)
{
	struct entry *entry, *next;

	HASH_ITER(hh, book->entries, entry, next) {
		bool told = true;

		if (entry->memory.seen == book->steps)
			continue;
		for (unsigned track = 0; track < TRACKS; track++) {
			if (entry->memory.courses[track].leak)
				told &= leak_end(book, &entry->memory.courses[track], now, news);
		}
		if (!told)
			continue;
		HASH_DEL(book->entries, entry);
		free(entry);
	}
	while (book->ended.count > 0 && now - book->ended.at[0]->ended > ENDED_PERIODS * rules->period) {
		list_drop_first(&book->ended);
	}
}

size_t leak_step(struct leak_book *book, const struct leak_rules *given, time_us now, const struct leak_facts *facts,
	size_t count, struct leak_change *changes, size_t capacity)
{
	struct news news = { .at = changes, .capacity = capacity };
	struct leak_rules rules_now = *given;
	const struct leak_rules *rules = &rules_now;

	check(rules->period > 0);
	/* What is shorter than the distance of two looks is not seen. */
	if (rules_now.hold < rules->period)
		rules_now.hold = rules->period;
	book->steps++;
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = entry_of(book, rules, now, &facts[i]);
		struct leak_facts own = facts[i];
		struct signs signs;

		if (!entry)
			continue;
		entry->memory.seen = book->steps;
		without_restarts(&entry->memory, &own);
		remember(&entry->memory, rules, now, &own);
		signs_read(&entry->memory, rules, now, &own, &signs);
		for (unsigned track = 0; track < TRACKS; track++)
			follow(book, &entry->memory, (enum track)track, &signs, rules, &own, &news);
	}
	forget(book, rules, now, &news);
	return news.count;
}

size_t leaks_lasting(const struct leak_book *book)
{
	return book->lasting.count;
}

const struct leak *leak_at(const struct leak_book *book, size_t i)
{
	if (i < book->lasting.count)
		return book->lasting.at[i];
	i -= book->lasting.count;
	/* The last one that ended comes first. */
	return i < book->ended.count ? book->ended.at[book->ended.count - 1 - i] : NULL;
}
