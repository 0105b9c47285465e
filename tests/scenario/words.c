/* The words of a line, one after the other. */
#include "story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

char trouble[300];

bool wrong(struct story *t, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trouble, sizeof(trouble), format, arguments);
	va_end(arguments);
	t->wrong = true;
	return false;
}

const char *word(struct story *t)
{
	return t->words[t->at] ? t->words[t->at++] : "";
}

bool take(struct story *t, const char *expected)
{
	if (!t->words[t->at] || strcmp(t->words[t->at], expected) != 0)
		return false;
	t->at++;
	return true;
}

uint32_t number(struct story *t)
{
	const char *text = word(t);
	int64_t value;

	if (!text_to_i64(span_text(text), &value) || value < 0 || value >= INT32_MAX)
		wrong(t, "'%s' is not a number", text);
	return t->wrong ? 0 : (uint32_t)value;
}

/* 5us 20ms 3s 2m 1h */
bool parse_time(const char *text, time_us *out)
{
	static const struct {
		const char *unit;
		time_us length;
	} units[] = { { "us", 1 }, { "ms", MILLISECOND_US }, { "s", SECOND_US }, { "m", 60 * SECOND_US },
		{ "h", 3600 * SECOND_US } };
	char *unit;
	long long value = strtoll(text, &unit, 10);

	if (unit == text || value < 0)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) == 0) {
			*out = value * units[i].length;
			return true;
		}
	}
	return value == 0 && *unit == 0 && (*out = 0, true);
}

time_us duration(struct story *t)
{
	const char *text = word(t);
	time_us value = 0;

	if (!parse_time(text, &value))
		wrong(t, "'%s' is not a time", text);
	return value;
}

struct person *person(struct story *t, uint32_t n)
{
	if (n == 0 || n >= NUMBERS_MAX) {
		wrong(t, "no such number: %u", n);
		n = 0;
	}
	return &t->people[n];
}

/* "app/web", or "app/web+replication" for its twin. */
pool_id pool_named(struct story *t, const char *text)
{
	struct pool_picture picture;
	const char *slash = strchr(text, '/'), *twin = strstr(text, "+replication");
	size_t length = twin ? (size_t)(twin - text) : strlen(text);

	for (pool_id id = 0; slash && id < core_pools(t->core); id++) {
		check(core_pool_picture(t->core, id, &picture));
		if (span_equal(picture.database_name, span_of(text, (size_t)(slash - text))) &&
			span_equal(picture.user, span_of(slash + 1, length - (size_t)(slash + 1 - text))) &&
			picture.rules.replication == (twin != NULL))
			return id;
	}
	wrong(t, "no such pool: %s", text);
	return 0;
}

void pool_name(struct story *t, pool_id id, char *out, size_t size)
{
	struct pool_picture picture;

	check(core_pool_picture(t->core, id, &picture));
	text_format(out, size, "%.*s/%.*s", (int)picture.database_name.length, picture.database_name.at,
		(int)picture.user.length, picture.user.at);
}
