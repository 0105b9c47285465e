#include "io/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/text.h"

/* The only place where the kernel is asked what time it is, or for randomness. Everything above gets both as arguments,
 * which is what lets a whole run be played again from one seed. */

static time_us ask(clockid_t which)
{
	struct timespec t;

	check(clock_gettime(which, &t) == 0);
	return (time_us)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

time_us clock_now(void)
{
	return ask(CLOCK_MONOTONIC);
}

time_us clock_worked(void)
{
	return ask(CLOCK_THREAD_CPUTIME_ID);
}

time_us clock_wall(void)
{
	return ask(CLOCK_REALTIME);
}

char *clock_text(time_us wall, bool milliseconds, char out[40])
{
	time_t seconds = (time_t)(wall / SECOND_US);
	unsigned part = (unsigned)(wall % SECOND_US / MILLISECOND_US);
	struct tm local;
	char date[24], zone[12];

	if (!localtime_r(&seconds, &local))
		local = (struct tm){ .tm_mday = 1, .tm_year = 70 };
	strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
	strftime(zone, sizeof zone, "%Z", &local);
	if (milliseconds)
		text_format(out, 40, "%s.%03u %s", date, part, zone);
	else
		text_format(out, 40, "%s %s", date, zone);
	return out;
}

void entropy_fill(void *out, size_t n)
{
	uint8_t *at = out;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		check(got > 0);
		at += got;
		n -= (size_t)got;
	}
}
