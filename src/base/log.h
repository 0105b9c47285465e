#ifndef PGWEIR_BASE_LOG_H
#define PGWEIR_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/* The log speaks through one sink, which cmd/ or the simulator installs (io/logfile writes to a file or standard error).
 * Lines have PgBouncer's levels. Callers format a whole line; newlines inside become newline+tab. */
enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARNING, LOG_LOG, LOG_DEBUG, LOG_NOISE };

typedef void log_sink(enum log_level, const char *line);

/* NULL restores the default: level and line on standard error. Thread-safe to call log_line from any thread after set-up. */
void log_set_sink(log_sink *);

/* Levels above `most` are dropped before they are formatted. */
void log_set_level(enum log_level most);
bool log_wants(enum log_level);

void log_line(enum log_level, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *log_level_name(enum log_level);

#endif
