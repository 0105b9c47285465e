/* Comments are found by skipping what is in quotes; inside one, pairs are read from left to right: a word, ':' or '=', and a value that
 * ends at a comma or, when it began with a quote, at the next quote. What does not look like that is passed over. */
#include "session/tags.h"

#include <ctype.h>

#include "base/text.h"
#include "base/url.h"

struct pair {
	size_t begin, end; /* all of it, in the text */
	struct span name, value;
};

/* The next comment's inside at or behind `*at`. False: there is none. */
static bool next_comment(struct span sql, size_t *at, size_t *begin, size_t *end)
{
	size_t i = *at;

	while (i + 1 < sql.length) {
		uint8_t c = sql.at[i];

		if (c == '\'' || c == '"') {
			const uint8_t *close = memchr(sql.at + i + 1, c, sql.length - i - 1);

			if (!close)
				return false;
			i = (size_t)(close - sql.at) + 1;
		} else if (c == '/' && sql.at[i + 1] == '*') {
			const uint8_t *close = memmem(sql.at + i + 2, sql.length - i - 2, "*/", 2);

			*begin = i + 2;
			*end = close ? (size_t)(close - sql.at) : sql.length;
			*at = close ? *end + 2 : sql.length;
			return true;
		} else {
			i++;
		}
	}
	return false;
}

static bool is_name(uint8_t c)
{
	return isalnum(c) || c == '_';
}

/* The next pair between `*at` and `end`. */
static bool next_pair(struct span sql, size_t *at, size_t end, struct pair *pair)
{
	size_t i = *at;

	while (i < end) {
		size_t name, name_end, value, close;

		while (i < end && !is_name(sql.at[i]))
			i++;
		name = i;
		while (i < end && is_name(sql.at[i]))
			i++;
		name_end = i;
		if (i >= end || (sql.at[i] != '=' && sql.at[i] != ':'))
			continue;
		value = i + 1;
		close = value;
		if (value < end && sql.at[value] == '\'') {
			close = ++value;
			while (close < end && sql.at[close] != '\'')
				close++;
			i = close < end ? close + 1 : end;
		} else {
			while (close < end && sql.at[close] != ',')
				close++;
			i = close;
		}
		pair->name = span_of(sql.at + name, name_end - name);
		pair->value = text_trim(span_of(sql.at + value, close - value));
		pair->begin = name;
		pair->end = i;
		*at = i;
		return true;
	}
	*at = end;
	return false;
}

void tags_read(struct span sql, struct tags *out)
{
	static const char *const names[TAGS] = { "route", "controller", "action", "job", "framework", "application",
		"traceparent" };
	size_t at = 0, begin, end;
	struct pair pair;

	*out = (struct tags){ 0 };
	while (next_comment(sql, &at, &begin, &end))
		while (next_pair(sql, &begin, end, &pair))
			for (size_t i = 0; i < TAGS; i++)
				if (out->values[i].length == 0 && text_equal_nocase(pair.name, span_text(names[i])))
					out->values[i] = pair.value;
}

/* Decoded; only printable ASCII goes through as it is, so that nothing can be hidden in it. */
static size_t add(char *out, size_t size, size_t length, struct span value)
{
	for (size_t i = 0; i < value.length && length + 1 < size; i++) {
		int decoded = url_byte(span_skip(value, i));
		uint8_t c = value.at[i];

		if (decoded >= 0) {
			c = (uint8_t)decoded;
			i += 2;
		}
		out[length++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	out[length] = 0;
	return length;
}

static size_t add_action(const struct tags *tags, char *out, size_t size)
{
	size_t length = add(out, size, 0, tags->values[TAG_CONTROLLER]);

	length = add(out, size, length, span_text("#"));
	return add(out, size, length, tags->values[TAG_ACTION]);
}

size_t tags_value(const struct tags *tags, enum tag tag, char *out, size_t size)
{
	out[0] = 0;
	if (tags->values[tag].length == 0)
		return 0;
	if (tag == TAG_ACTION && tags->values[TAG_CONTROLLER].length > 0)
		return add_action(tags, out, size);
	return add(out, size, 0, tags->values[tag]);
}

size_t tags_route(const struct tags *tags, char *out, size_t size)
{
	size_t length = 0;

	out[0] = 0;
	if (tags->values[TAG_ROUTE].length > 0)
		return tags_value(tags, TAG_ROUTE, out, size);
	if (tags->values[TAG_CONTROLLER].length > 0 || tags->values[TAG_ACTION].length > 0)
		return add_action(tags, out, size);
	if (tags->values[TAG_JOB].length > 0) {
		length = add(out, size, 0, span_text("job "));
		return add(out, size, length, tags->values[TAG_JOB]);
	}
	return 0;
}

void tags_trace(const struct tags *tags, char out[TRACE_ID])
{
	struct span value = tags->values[TAG_TRACEPARENT];

	out[0] = 0;
	/* "00-" and the id, "-", and the rest. */
	if (value.length < 3 + TRACE_ID || value.at[2] != '-' || value.at[3 + TRACE_ID - 1] != '-')
		return;
	for (size_t i = 0; i < TRACE_ID - 1; i++) {
		if (!isxdigit(value.at[3 + i])) {
			out[0] = 0;
			return;
		}
		out[i] = (char)value.at[3 + i];
	}
	out[TRACE_ID - 1] = 0;
}

size_t tags_drop_trace(char *sql, size_t length)
{
	size_t at = 0, begin, end;
	struct pair pair;

	while (next_comment(span_of(sql, length), &at, &begin, &end)) {
		while (next_pair(span_of(sql, length), &begin, end, &pair)) {
			size_t from = pair.begin, to = pair.end;

			if (!text_equal_nocase(pair.name, span_text("traceparent")) &&
				!text_equal_nocase(pair.name, span_text("tracestate")))
				continue;
			/* One comma goes with it. */
			if (to < end && sql[to] == ',')
				to++;
			else if (from > 0 && sql[from - 1] == ',')
				from--;
			memmove(sql + from, sql + to, length - to);
			length -= to - from;
			end -= to - from;
			at -= to - from;
			begin = from;
		}
	}
	return length;
}
