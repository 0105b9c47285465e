#ifndef PGWEIR_BASE_CHECK_H
#define PGWEIR_BASE_CHECK_H

/* Assertions that stay on in production. `check` is for our own bugs only: what a
 * peer sends wrong is answered to the peer, what the world does wrong is a result. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__, __func__))

/* Ends the process after a report on standard error: the claim, the place, a backtrace
 * and the last lines that check_note left. Never returns. */
void check_failed(const char *claim, const char *file, int line, const char *function) __attribute__((noreturn, cold));

/* Called with the report before the process ends; the simulator prints its seed there. */
typedef void check_hook(const char *report);
void check_set_hook(check_hook *);

/* Remember a short line (cut at 159 bytes) for the report; each thread keeps its last sixteen. */
void check_note(const char *line);

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
