#ifndef PGWEIR_TOOL_LOGS_LINE_H
#define PGWEIR_TOOL_LOGS_LINE_H

#include "base/span.h"
#include "base/time.h"

/* One line of a log, taken apart. Knows five writers by how a line looks; what it does not know it takes for an application's. */

enum logs_source { LOGS_POSTGRESQL, LOGS_PGBOUNCER, LOGS_PGWEIR, LOGS_DJANGO, LOGS_APPLICATION };
#define LOGS_SOURCES 5

extern const char *const logs_source_names[LOGS_SOURCES];

struct logs_line {
	enum logs_source source;
	bool severe; /* FATAL, PANIC, "pooler error", or a driver's error of its connection: worth a count even when unknown */
	bool timed;       /* the line has a time of its own */
	time_us when;     /* since 1970-01-01 UTC */
	int error;        /* its row of logs_errors, or -1 */
	struct span text; /* the message, without what stands before it; empty: a line that says nothing of errors */
	struct span user, database, address, application; /* empty where the line does not tell */
	struct span connection;                           /* what names the connection in a pooler's log */
};

/* Take it apart. The spans lie in `line`, which is changed (csvlog's quotes and jsonlog's escapes are resolved in place). `latest`: see logs_time_find. */
void logs_line_read(char *line, size_t length, time_us latest, struct logs_line *);

/* Whether this line leaves a quote of csvlog open, so that the next one belongs to it. */
bool logs_line_is_open(struct span line);

/* Whether a record of csvlog begins here. */
bool logs_line_is_csv(struct span line);

/* The first time in the text, of any of the forms that logs have; names of zones other than UTC and GMT are taken for this machine's. One
 * without a year, which counts only where no other is, is of the last year in which it was not after `latest` (0: it is no time). */
bool logs_time_find(struct span text, time_us latest, time_us *when);

/* "2026-11-25 10:00:01" in UTC. Returns out. */
const char *logs_time_text(char out[24], time_us when);

#endif
