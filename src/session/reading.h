#ifndef PGWEIR_SESSION_READING_H
#define PGWEIR_SESSION_READING_H

#include "session/params.h"

/* How PostgreSQL reads a text when it is prepared: the settings of that moment decide what its quotes, dates and names mean, and what it has read
 * stays so. So one statement may stand for the texts of several clients only where they agree on these. */

/* Whether what a prepared text means depends on this setting. Whatever the case of its letters. */
bool reading_depends(struct span name);

/* Whether what a literal comes to depends on it when a body of a function is planned. Its quotes were read once and for all. */
bool reading_decides_literals(struct span name);

/* Those of `settings` that `chosen` says; counted. `empty` is the empty set of the same book. NULL: memory refused. */
struct params *reading_of(const struct params *settings, struct params *empty, bool (*chosen)(struct span name));

/* Whether a literal says a time that is taken from the clock when it is read: 'now', 'today'... */
bool reading_is_of_the_clock(const char *literal);

#endif
