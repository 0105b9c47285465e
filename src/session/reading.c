#include "session/reading.h"

#include "base/text.h"

bool reading_depends(struct span name)
{
	static const char *const names[] = { "array_nulls", "backslash_quote", "client_encoding", "datestyle",
		"intervalstyle", "lc_monetary", "role", "search_path", "session_authorization",
		"standard_conforming_strings", "timezone", "timezone_abbreviations", "transform_null_equals",
		"xmloption" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (text_equal_nocase(name, span_text(names[i])))
			return true;
	return false;
}

bool reading_decides_literals(struct span name)
{
	static const char *const names[] = { "backslash_quote", "client_encoding", "role", "search_path",
		"session_authorization", "standard_conforming_strings" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (text_equal_nocase(name, span_text(names[i])))
			return false;
	return reading_depends(name);
}

struct params *reading_of(const struct params *settings, struct params *empty, bool (*chosen)(struct span name))
{
	struct params *reading = params_keep(empty);
	const char *name, *value;

	for (size_t i = 0; i < params_count(settings); i++) {
		params_at(settings, i, &name, &value);
		if (chosen(span_text(name)) && !params_put(&reading, span_text(name), span_text(value))) {
			params_drop(reading);
			return NULL;
		}
	}
	return reading;
}

/* The others' are not looked at. */
static bool begins_word(char c)
{
	return (c | 32) == 'n' || (c | 32) == 't' || (c | 32) == 'y';
}

static bool is_letter(char c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

bool reading_is_of_the_clock(const char *literal)
{
	static const char *const words[] = { "now", "today", "tomorrow", "yesterday" };

	for (const char *at = literal; *at; at++) {
		if (!begins_word(*at) || (at > literal && is_letter(at[-1])))
			continue;
		for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
			struct span word = span_text(words[i]), begins = span_of(at, strnlen(at, word.length));

			if (text_equal_nocase(begins, word) && !is_letter(at[word.length]))
				return true;
		}
	}
	return false;
}
