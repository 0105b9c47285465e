/* Statements as they are remembered. Taking one happens at the end of every transaction, and most say what was said a moment ago, so
 * the way there is short: a place in a small table is found by a few bytes of the raw text, and when the raw text there is the same,
 * so is the answer. Only what is new is read in full: its literals become question marks and its trace id goes, so that it may be the
 * same as an old one after all. */
#include "serve/texts.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/redact.h"
#include "session/tags.h"

void texts_init(struct texts *texts)
{
	*texts = (struct texts){ 0 };
	intern_init(&texts->intern);
}

void texts_fini(struct texts *texts)
{
	for (size_t i = 0; texts->recent && i < TEXTS_RECENT; i++)
		intern_drop(&texts->intern, texts->recent[i].text);
	free(texts->recent);
	intern_fini(&texts->intern);
}

static struct text *make(struct texts *texts, struct span raw)
{
	char clean[TEXT_BYTES_MAX * 2];
	size_t length = redact_sql(clean, sizeof clean, raw);

	length = tags_drop_trace(clean, length);
	if (length > TEXT_BYTES_MAX)
		length = TEXT_BYTES_MAX;
	if (texts->intern.bytes > TEXTS_BYTES_MAX)
		return NULL;
	return intern_take(&texts->intern, span_of(clean, length));
}

static bool has(struct span raw, const char *words)
{
	return memmem(raw.at, raw.length, words, strlen(words)) != NULL;
}

static unsigned marks_of(struct span raw)
{
	unsigned marks = 0;

	if (raw.length > 6 && strncasecmp((const char *)raw.at, "listen", 6) == 0)
		marks |= TEXT_LISTENS;
	if (span_begins(raw, "SET ") || span_begins(raw, "SELECT set_config("))
		marks |= TEXT_SETS;
	if (span_begins(raw, "SET TIME ZONE '"))
		marks |= TEXT_ZONE;
	if (span_begins(raw, "SELECT set_config('TimeZone', "))
		marks |= TEXT_ZONE | TEXT_CONFIG;
	if (has(raw, "pg_advisory_lock") || has(raw, "pg_try_advisory_lock"))
		marks |= TEXT_LOCKS;
	return marks;
}

struct text *texts_take(struct texts *texts, struct span raw, unsigned *marks)
{
	struct recent *recent;
	struct text *text;

	if (raw.length > TEXT_BYTES_MAX)
		raw.length = TEXT_BYTES_MAX;
	if (!texts->recent)
		texts->recent = calloc(TEXTS_RECENT, sizeof *texts->recent);
	if (!texts->recent) {
		*marks = marks_of(raw);
		return make(texts, raw);
	}
	recent = &texts->recent[hash_glance(raw) % TEXTS_RECENT];
	if (recent->text && recent->length == raw.length && memcmp(recent->raw, raw.at, raw.length) == 0) {
		intern_keep(recent->text);
		*marks = recent->marks;
		return recent->text;
	}
	*marks = marks_of(raw);
	text = make(texts, raw);
	if (!text)
		return NULL;
	intern_drop(&texts->intern, recent->text);
	intern_keep(text);
	recent->text = text;
	recent->length = (uint32_t)raw.length;
	recent->marks = *marks;
	memcpy(recent->raw, raw.at, raw.length);
	return text;
}

struct text *texts_name(struct texts *texts, struct span name)
{
	if (name.length > TEXT_BYTES_MAX)
		name.length = TEXT_BYTES_MAX;
	return texts->intern.bytes > TEXTS_BYTES_MAX ? NULL : intern_take(&texts->intern, name);
}

struct text *texts_user(struct texts *texts, struct span name)
{
	return intern_take(&texts->intern, name);
}

void texts_drop(struct texts *texts, struct text *text)
{
	intern_drop(&texts->intern, text);
}
