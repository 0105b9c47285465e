#include <time.h>

#include "base/text.h"
#include "tool/logs_line.h"

/* The times of logs:
 *
 *     2026-11-25 10:00:01.123 UTC     PostgreSQL's %m and %t, PgBouncer, pgweir; Python's logging has a comma before the milliseconds
 *     2026-11-25T10:00:01+0000        journalctl -o short-iso, JSON
 *     25/Nov/2026 10:00:01            Django's and daphne's access lines
 *     1764064801.123                  PostgreSQL's %n
 *     Nov 25 10:00:01                 syslog's, and journalctl's unless it is told otherwise: this machine's zone, and no year */

#define LOOK_AT 200 /* bytes: what stands before a message is not longer */

static bool digits(const uint8_t *at, int count, int *value)
{
	*value = 0;
	for (int i = 0; i < count; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		*value = *value * 10 + (at[i] - '0');
	}
	return true;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* hh:mm:ss */
static bool read_clock(const uint8_t *at, struct tm *tm)
{
	return digits(at, 2, &tm->tm_hour) && at[2] == ':' && digits(at + 3, 2, &tm->tm_min) && at[5] == ':' &&
		digits(at + 6, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

/* What follows the seconds: a fraction and a zone. */
static time_us finish(struct tm *tm, struct span rest)
{
	time_us fraction = 0, unit = SECOND_US / 10;
	int hours, minutes = 0;
	time_t seconds;

	if (rest.length > 1 && (rest.at[0] == '.' || rest.at[0] == ',') && is_digit(rest.at[1])) {
		rest = span_skip(rest, 1);
		for (; rest.length > 0 && is_digit(rest.at[0]); rest = span_skip(rest, 1), unit /= 10)
			fraction += (rest.at[0] - '0') * unit;
	}
	if (rest.length > 0 && rest.at[0] == ' ')
		rest = span_skip(rest, 1);
	if (rest.length >= 3 && (rest.at[0] == '+' || rest.at[0] == '-') && digits(rest.at + 1, 2, &hours)) {
		size_t colon = rest.length > 3 && rest.at[3] == ':';

		if (rest.length >= 5 + colon && !digits(rest.at + 3 + colon, 2, &minutes))
			minutes = 0;
		seconds = timegm(tm) - (rest.at[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	} else if ((rest.length >= 3 && (memcmp(rest.at, "UTC", 3) == 0 || memcmp(rest.at, "GMT", 3) == 0)) ||
		(rest.length >= 1 && rest.at[0] == 'Z')) {
		seconds = timegm(tm);
	} else {
		tm->tm_isdst = -1;
		seconds = mktime(tm);
	}
	return (time_us)seconds * SECOND_US + fraction;
}

/* 2026-11-25 10:00:01 */
static bool read_iso(struct span text, time_us *when)
{
	struct tm tm = { 0 };

	if (text.length < 19 || text.at[4] != '-' || text.at[7] != '-' || (text.at[10] != ' ' && text.at[10] != 'T') ||
		!digits(text.at, 4, &tm.tm_year) || !digits(text.at + 5, 2, &tm.tm_mon) ||
		!digits(text.at + 8, 2, &tm.tm_mday) || !read_clock(text.at + 11, &tm) || tm.tm_year < 1970 ||
		tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*when = finish(&tm, span_skip(text, 19));
	return true;
}

static bool read_month(const uint8_t *at, int *month)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (*month = 0; *month < 12; (*month)++) {
		if (memcmp(months + (size_t)*month * 3, at, 3) == 0)
			return true;
	}
	return false;
}

/* 25/Nov/2026 10:00:01, or with a colon between, as web servers have it */
static bool read_access(struct span text, time_us *when)
{
	struct tm tm = { 0 };

	if (text.length < 20 || text.at[2] != '/' || text.at[6] != '/' || (text.at[11] != ' ' && text.at[11] != ':') ||
		!digits(text.at, 2, &tm.tm_mday) || !digits(text.at + 7, 4, &tm.tm_year) ||
		!read_clock(text.at + 12, &tm) || tm.tm_year < 1970 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
		!read_month(text.at + 3, &tm.tm_mon))
		return false;
	tm.tm_year -= 1900;
	*when = finish(&tm, span_skip(text, 20));
	return true;
}

/* Nov 25 10:00:01; days below ten have a space in front */
static bool read_syslog(struct span text, time_us latest, time_us *when)
{
	struct tm tm = { 0 }, now;
	time_t end = (time_t)(latest / SECOND_US);
	int first = 0;

	if (latest == 0 || text.length < 15 || text.at[3] != ' ' || text.at[6] != ' ' ||
		!read_month(text.at, &tm.tm_mon) || !digits(text.at + 5, 1, &tm.tm_mday) ||
		(text.at[4] != ' ' && !digits(text.at + 4, 1, &first)) || !read_clock(text.at + 7, &tm) ||
		!localtime_r(&end, &now))
		return false;
	tm.tm_mday += 10 * first;
	if (tm.tm_mday < 1 || tm.tm_mday > 31)
		return false;
	for (int year = now.tm_year; year >= now.tm_year - 1; year--) {
		struct tm copy = tm;

		copy.tm_year = year;
		*when = finish(&copy, span_of("", 0));
		if (*when <= latest)
			break;
	}
	return true;
}

/* 1764064801.123 */
static bool read_epoch(struct span text, time_us *when)
{
	int high, low, milliseconds;

	if (text.length < 14 || text.at[10] != '.' || text.at[0] != '1' || !digits(text.at, 5, &high) ||
		!digits(text.at + 5, 5, &low) || !digits(text.at + 11, 3, &milliseconds))
		return false;
	*when = ((time_us)high * 100000 + low) * SECOND_US + milliseconds * MILLISECOND_US;
	return true;
}

bool logs_time_find(struct span text, time_us latest, time_us *when)
{
	bool before = false, yearless = false; /* before: a number does not begin in its middle */
	time_us without_year = 0;

	for (size_t i = 0; i < text.length && i < LOOK_AT; i++) {
		struct span rest = span_skip(text, i);

		if (!before && is_digit(text.at[i]) &&
			(read_iso(rest, when) || read_access(rest, when) || read_epoch(rest, when)))
			return true;
		if (!yearless && text.at[i] >= 'A' && text.at[i] <= 'S')
			yearless = read_syslog(rest, latest, &without_year);
		before = is_digit(text.at[i]);
	}
	if (yearless)
		*when = without_year;
	return yearless;
}

const char *logs_time_text(char out[24], time_us when)
{
	time_t seconds = (time_t)(when / SECOND_US);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || strftime(out, 24, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		text_copy(out, 24, "?");
	return out;
}
