#ifndef PGWEIR_BASE_TEXT_H
#define PGWEIR_BASE_TEXT_H

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/time.h"

/* Format into `out`, always terminated, cut if too long. Returns the length written. */
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copy, always terminated, cut if too long. Returns the length written. */
size_t text_copy(char *out, size_t size, const char *from);
size_t text_copy_span(char *out, size_t size, struct span from);

/* Format to the end of `buf`. False: memory refused. */
bool buf_format(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whole-text numbers in decimal (0x.. and 0.. too, as PgBouncer's files allow); false on anything else, also on overflow. */
bool text_to_i64(struct span, int64_t *out);

/* Seconds with optional decimals ("0.5", "15") to microseconds; false on anything else or beyond 10 years. */
bool text_to_time(struct span, time_us *out);

/* A number with its unit, as people and PostgreSQL write durations: 500ms, 30s, 10m (or min), 2h, 1d; decimals allowed. Without a
 * unit it is refused, since some read seconds there and others milliseconds; beyond 10 years too. */
bool text_to_duration(struct span, time_us *out);

/* Without the white space at both ends. */
struct span text_trim(struct span);

/* ASCII only: case folded comparison. */
bool text_equal_nocase(struct span, struct span);

/* How many single-letter edits (insert, delete, replace, swap neighbours) part two words; at most `limit`+1. */
unsigned text_distance(const char *a, const char *b, unsigned limit);

/* The candidate nearest to `word` (NULL-terminated array), or NULL when none is near enough to be meant. */
const char *text_nearest(const char *word, const char *const *candidates);

/* Whether `text` begins with these letters, whatever their case. */
static inline bool text_begins_nocase(struct span text, const char *letters)
{
	size_t length = strlen(letters);

	return text.length >= length && strncasecmp((const char *)text.at, letters, length) == 0;
}

/* How many of its bytes fit into `most` of them (one at least) if it is not cut inside a letter of UTF-8. */
size_t text_fits(struct span text, size_t most);

/* What a counted noun takes: "s", and nothing for one. */
const char *text_plural(uint64_t count);

/* Append `value` as a PostgreSQL literal E'...' that reads back the same whatever standard_conforming_strings is.
 * False: memory refused or a zero byte inside. */
bool buf_add_literal(struct buf *, struct span value);

/* Append `name` as a quoted identifier. */
bool buf_add_identifier(struct buf *, struct span name);

/* Is it a letter that nobody sees, though it changes what he does see? Unicode's format characters (such as those that turn the direction of
 * writing), separators of lines and fillers, and what is set aside for private use or for tags. */
bool text_is_unseen(uint32_t code);

/* In place: a question mark for each letter of that kind, for control characters but newline and tab, and for what is no UTF-8. */
void text_tame(char *text);

/* Copy what a stranger wrote so that it can be shown anywhere: control characters and what is no UTF-8 become \xNN, letters that nobody sees
 * \u{N}, a backslash two.
 * Always terminated, cut at a whole character if too long. Returns the length written. */
size_t text_escape(char *out, size_t size, struct span from);

/* How many bytes the character at the front has in well-formed UTF-8 (RFC 3629); 0: it is none. Not for an empty span. */
size_t text_utf8(struct span);

/* A duration for people: "120 ms", "3.4 s", "2 min 5 s", "3 h 4 min". Returns out. */
char *text_duration(char *out, size_t size, time_us duration);

/* Compare without telling by time where they differ. */
bool secret_equal(const void *a, const void *b, size_t length);

/* Wipe; the compiler may not leave it out. */
void secret_wipe(void *, size_t);

#endif
