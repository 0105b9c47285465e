#ifndef PGWEIR_IO_CLOCK_H
#define PGWEIR_IO_CLOCK_H

#include "base/span.h"
#include "base/time.h"

/* Now, from an arbitrary start, never backwards. */
time_us clock_now(void);

/* How long this thread has had a processor. What it does costs the machine that much, however long others kept it waiting meanwhile. */
time_us clock_worked(void);

/* Now, since 1970-01-01 UTC: for people only. */
time_us clock_wall(void);

/* "2026-11-23 12:46:43 UTC" in the local zone, as PgBouncer prints it; with milliseconds when asked. Returns out. */
char *clock_text(time_us wall, bool milliseconds, char out[40]);

/* Unpredictable bytes from the kernel. Cannot fail (ends the process if the kernel has none). */
void entropy_fill(void *, size_t);

#endif
