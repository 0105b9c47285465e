#ifndef PGWEIR_TOOL_DOCTOR_CONSOLE_H
#define PGWEIR_TOOL_DOCTOR_CONSOLE_H

#include "tool/doctor_facts.h"

/* Ask the console of a running pgweir or PgBouncer for its limits, pools and rates. What it refuses is left out, and
 * `console->problem` says so. `url` has the password, `console->name` is the caller's. */
void console_read(struct console_facts *console, const char *url);

#endif
