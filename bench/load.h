/* The parts of the load generator: a histogram of times, a login, and the
 * accounts of a process. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "net.h"

/* Counts times in buckets no wider than 1/64 of what they hold, from 1 ns to
 * over an hour. All zero is empty. */
enum { HISTOGRAM_FINE = 64, HISTOGRAM_BUCKETS = 37 * HISTOGRAM_FINE };
struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t count, max;
	double sum;
};
void histogram_add(struct histogram *, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below which `share` (0 to 1) of the times lie, in ns; 0 if empty. */
double histogram_at(const struct histogram *, double share);
double histogram_mean(const struct histogram *);

/* One login, as a conversation: bytes in, bytes out. `answer.bytes` lives
 * until the next call. */
struct login;
struct login_answer {
	const uint8_t *bytes;
	size_t length;
	bool ready;         /* ReadyForQuery came */
	const char *failed; /* why it never will; lives as long as the login */
};
struct login *login_new(
	const char *user, const char *database, const char *password, const char *options, const char *application);
struct login_answer login_hello(struct login *);
struct login_answer login_take(struct login *, const uint8_t *bytes, size_t length);
void login_free(struct login *);

/* "SQLSTATE: message" of an ErrorResponse's body. */
void login_error_text(const uint8_t *body, size_t length, char *text, size_t size);

/* What a process has used so far, over all its threads that live. The sum is
 * the scheduler's own, in nanoseconds; user and system are apart only in the
 * kernel's ticks, and scaled to the sum by it. */
struct usage {
	double cpu_us, user_us, system_us;
	uint64_t switches, rss_kb, pss_kb, peak_kb;
	int threads;
};
struct usage usage_of(int pid);

#endif
