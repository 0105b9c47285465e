#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* A line is formatted on the caller's stack and handed to the sink whole, so that any thread may log
 * without a lock here. What is longer than the buffer is cut and says so. A newline inside is followed
 * by a tab: a line that does not begin with a tab begins a record, whatever a peer put into a message. */

#define LINE_BYTES 4096

static const char *const names[] = {
	[LOG_FATAL] = "FATAL",
	[LOG_ERROR] = "ERROR",
	[LOG_WARNING] = "WARNING",
	[LOG_LOG] = "LOG",
	[LOG_DEBUG] = "DEBUG",
	[LOG_NOISE] = "NOISE",
};

static void to_standard_error(enum log_level level, const char *line)
{
	fprintf(stderr, "%s %s\n", log_level_name(level), line);
}

static _Atomic(log_sink *) installed = to_standard_error;
static atomic_int most = LOG_LOG;

void log_set_sink(log_sink *sink)
{
	atomic_store_explicit(&installed, sink ? sink : to_standard_error, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&most, (int)level, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&most, memory_order_relaxed);
}

static void cut(char *line)
{
	memcpy(line + LINE_BYTES - 4, "...", 4);
}

/* Copy with a tab after each newline; newlines at the very end are left out. */
static void indent(char *out, const char *line, size_t length)
{
	size_t used = 0;

	while (length > 0 && line[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < length; i++) {
		if (used + 3 > LINE_BYTES) {
			out[used] = 0;
			memset(out + used, '.', LINE_BYTES - used);
			cut(out);
			return;
		}
		out[used++] = line[i];
		if (line[i] == '\n')
			out[used++] = '\t';
	}
	out[used] = 0;
}

void log_line(enum log_level level, const char *format, ...)
{
	log_sink *sink = atomic_load_explicit(&installed, memory_order_relaxed);
	char line[LINE_BYTES], indented[LINE_BYTES];
	va_list arguments;
	int n;

	if (!log_wants(level))
		return;
	va_start(arguments, format);
	n = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof line)
		cut(line);
	/* Strangers choose names and statements: they may not command the terminal of who reads the log. */
	text_tame(line);
	if (memchr(line, '\n', strlen(line)) == NULL) {
		sink(level, line);
		return;
	}
	indent(indented, line, strlen(line));
	sink(level, indented);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < sizeof names / sizeof names[0] ? names[level] : "?";
}
