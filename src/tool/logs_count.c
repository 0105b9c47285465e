#include "tool/logs_count.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "tool/logs_errors.h"
#include "tool/memory.h"

/* One failure is often written twice: PgBouncer says "pooler error: X" and then "closing because: X" of the same connection, Python shows
 * psycopg's exception and then Django's, made of it. The second of such a pair is not counted. */

#define RECENT 64 /* connections of poolers whose last error is remembered */

struct logs_count {
	time_us since, latest, now; /* now: the last time seen in this file, for lines that have none */
	bool dated;
	struct logs_totals totals;
	struct logs_group **known; /* one for each row of logs_errors, or NULL */
	struct logs_group *unknown[UNKNOWN_MAX];
	size_t unknown_used;
	struct recent {
		uint64_t connection;
		int error;
	} recent[RECENT];
	uint32_t recent_next;
	uint64_t python; /* hash of psycopg's message, while Django's may follow */
	const struct logs_group **sorted;
};

struct logs_count *logs_count_new(time_us since, time_us latest)
{
	struct logs_count *count = memory_new(1, sizeof *count);

	count->since = since;
	count->latest = latest;
	count->known = memory_new(logs_errors_count, sizeof(struct logs_group *));
	count->sorted = memory_new(logs_errors_count + UNKNOWN_MAX, sizeof(struct logs_group *));
	return count;
}

static void group_free(struct logs_group *group)
{
	if (group)
		free(group->minutes);
	free(group);
}

void logs_count_free(struct logs_count *count)
{
	if (!count)
		return;
	for (uint32_t i = 0; i < logs_errors_count; i++)
		group_free(count->known[i]);
	for (size_t i = 0; i < count->unknown_used; i++)
		group_free(count->unknown[i]);
	free(count->known);
	free(count->sorted);
	free(count);
}

void logs_count_begin(struct logs_count *count)
{
	count->dated = false;
	count->python = 0;
	memset(count->recent, 0, sizeof count->recent);
}

static void tally_add(struct tally *tally, struct span name)
{
	char text[TALLY_TEXT] = { 0 };
	struct tally_row *least = &tally->rows[0];

	if (name.length == 0)
		return;
	for (size_t i = 0; i < name.length && i < sizeof text - 1; i++)
		text[i] = name.at[i] ? (char)name.at[i] : '?';
	for (uint32_t i = 0; i < tally->used; i++) {
		if (strcmp(tally->rows[i].text, text) == 0) {
			tally->rows[i].count++;
			return;
		}
		if (tally->rows[i].count < least->count)
			least = &tally->rows[i];
	}
	if (tally->used < TALLY_MAX) {
		least = &tally->rows[tally->used++];
		least->count = 0;
	} else {
		tally->rough = true;
	}
	memcpy(least->text, text, sizeof text);
	least->count++;
}

static int more_first(const void *a, const void *b)
{
	const struct tally_row *left = a, *right = b;

	if (left->count != right->count)
		return left->count < right->count ? 1 : -1;
	return strcmp(left->text, right->text);
}

void tally_sort(struct tally *tally)
{
	qsort(tally->rows, tally->used, sizeof tally->rows[0], more_first);
}

static int by_count(const void *a, const void *b)
{
	const struct logs_minute *left = a, *right = b;

	return left->count < right->count ? 1 : left->count > right->count ? -1 : 0;
}

static int by_minute(const void *a, const void *b)
{
	const struct logs_minute *left = a, *right = b;

	return left->minute < right->minute ? -1 : left->minute > right->minute ? 1 : 0;
}

/* Where this minute is, or would be. Logs go forward: it is nearly always the last. */
static uint32_t minute_place(const struct logs_group *group, int64_t minute)
{
	uint32_t low = 0, high = group->minutes_used;

	if (high > 0 && group->minutes[high - 1].minute <= minute)
		return group->minutes[high - 1].minute == minute ? high - 1 : high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (group->minutes[middle].minute < minute)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_minute(struct logs_group *group, time_us when)
{
	int64_t minute = when / (60 * SECOND_US);
	uint32_t at;

	if (!group->minutes)
		group->minutes = memory_new(MINUTES_MAX, sizeof group->minutes[0]);
	if (group->minutes_used == MINUTES_MAX) {
		qsort(group->minutes, MINUTES_MAX, sizeof group->minutes[0], by_count);
		group->minutes_used = MINUTES_MAX / 2;
		qsort(group->minutes, group->minutes_used, sizeof group->minutes[0], by_minute);
	}
	at = minute_place(group, minute);
	if (at == group->minutes_used || group->minutes[at].minute != minute) {
		memmove(group->minutes + at + 1, group->minutes + at,
			(group->minutes_used - at) * sizeof group->minutes[0]);
		group->minutes[at] = (struct logs_minute){ .minute = minute };
		group->minutes_used++;
	}
	group->minutes[at].count++;
}

uint32_t logs_group_peak(const struct logs_group *group, time_us *when)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < group->minutes_used; i++) {
		if (group->minutes[i].count > most) {
			most = group->minutes[i].count;
			*when = group->minutes[i].minute * 60 * SECOND_US;
		}
	}
	return most;
}

/* The message with ? for numbers and what stands in quotes, so that two of a kind are one. */
static void generalise(char *out, size_t size, struct span text)
{
	size_t length = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.length && length + 1 < size; i++) {
		uint8_t c = text.at[i];
		bool number = c >= '0' && c <= '9';

		if (quoted && c != '"')
			continue;
		if (number && length > 0 && out[length - 1] == '?')
			continue;
		if (c == '"' && (quoted = !quoted) && length + 2 < size)
			out[length++] = '"', out[length++] = '?';
		else
			out[length++] = number || c == 0 ? '?' : (char)c;
	}
	out[length] = 0;
}

/* NULL: there are too many kinds of unknown ones. */
static struct logs_group *group_of(struct logs_count *count, const struct logs_line *line)
{
	struct logs_group **place = NULL;
	char words[sizeof(*place)->words] = "";

	if (line->error >= 0) {
		place = &count->known[line->error];
	} else {
		generalise(words, sizeof words, line->text);
		for (size_t i = 0; i < count->unknown_used; i++) {
			if (strcmp(count->unknown[i]->words, words) == 0)
				return count->unknown[i];
		}
		if (count->unknown_used == UNKNOWN_MAX)
			return NULL;
		place = &count->unknown[count->unknown_used++];
	}
	if (!*place) {
		*place = memory_new(1, sizeof **place);
		(*place)->error = line->error;
		text_copy((*place)->words, sizeof words, words);
		text_copy_span((*place)->sample, sizeof(*place)->sample, line->text);
	}
	return *place;
}

/* Whether this is the second telling of what was counted already. */
static bool told_before(struct logs_count *count, const struct logs_line *line)
{
	uint64_t name;

	if (line->source == LOGS_DJANGO) {
		name = hash_bytes(line->text);
		if (count->python == name) {
			count->python = 0;
			return true;
		}
		count->python = name;
		return false;
	}
	if (line->connection.length == 0)
		return false;
	name = hash_bytes(line->connection);
	for (size_t i = 0; i < RECENT; i++) {
		if (count->recent[i].connection == name && count->recent[i].error == line->error) {
			count->recent[i].connection = 0;
			return true;
		}
	}
	count->recent[count->recent_next] = (struct recent){ .connection = name, .error = line->error };
	count->recent_next = (count->recent_next + 1) % RECENT;
	return false;
}

static void add(struct logs_count *count, const struct logs_line *line)
{
	struct logs_group *group = group_of(count, line);
	bool timed = line->timed || count->dated;

	count->totals.errors++;
	if (!group) {
		count->totals.unknown_more++;
		return;
	}
	group->count++;
	group->sources[line->source]++;
	tally_add(&group->who[WHO_DATABASE], line->database);
	tally_add(&group->who[WHO_USER], line->user);
	tally_add(&group->who[WHO_ADDRESS], line->address);
	tally_add(&group->who[WHO_APPLICATION], line->application);
	if (!timed)
		return;
	if (group->timed == 0 || count->now < group->first)
		group->first = count->now;
	if (group->timed == 0 || count->now > group->last)
		group->last = count->now;
	group->timed++;
	add_minute(group, count->now);
}

void logs_count_line(struct logs_count *count, char *text, size_t length)
{
	struct logs_line line;

	count->totals.lines++;
	logs_line_read(text, length, count->latest, &line);
	if (line.timed) {
		count->now = line.when;
		count->dated = true;
		if (line.error < 0)
			count->python = 0; /* another event of the application begins */
	}
	if (line.text.length == 0 || (line.error < 0 && !line.severe) || told_before(count, &line))
		return;
	if (count->since > 0 && (!count->dated || count->now < count->since)) {
		*(count->dated ? &count->totals.older : &count->totals.undated) += 1;
		return;
	}
	add(count, &line);
}

static int group_order(const void *a, const void *b)
{
	const struct logs_group *left = *(const struct logs_group *const *)a,
				*right = *(const struct logs_group *const *)b;

	if (left->count != right->count)
		return left->count < right->count ? 1 : -1;
	return left->error != right->error ? left->error - right->error : strcmp(left->words, right->words);
}

size_t logs_count_groups(struct logs_count *count, const struct logs_group *const **groups)
{
	size_t used = 0;

	for (uint32_t i = 0; i < logs_errors_count; i++) {
		if (count->known[i])
			count->sorted[used++] = count->known[i];
	}
	for (size_t i = 0; i < count->unknown_used; i++)
		count->sorted[used++] = count->unknown[i];
	for (size_t i = 0; i < used; i++) {
		for (int who = 0; who < LOGS_WHO; who++)
			tally_sort(&((struct logs_group *)count->sorted[i])->who[who]);
	}
	qsort(count->sorted, used, sizeof(struct logs_group *), group_order);
	*groups = count->sorted;
	return used;
}

struct logs_totals logs_count_totals(const struct logs_count *count)
{
	return count->totals;
}
