#ifndef PGWEIR_SERVE_REPORT_H
#define PGWEIR_SERVE_REPORT_H

#include "serve/survey.h"

/* What was found, and how it is shown. Immutable and counted. */
struct report {
	atomic_uint references;
	time_us at;
	struct origin_row *origins;
	size_t origin_count;
	struct leak_row *leaks;
	size_t leak_count;
	struct breakdown_row *breakdowns;
	size_t breakdown_count;
};
struct report *report_keep(struct house *); /* the last one, counted for the caller; NULL: there is none yet */
void report_drop(struct report *);          /* NULL is fine */

/* What the letter and the book say now; `now` as the house has it. NULL: memory refused. */
struct report *report_make(struct house *, const struct leak_book *, const struct letter_survey *, time_us now);

/* One line of the log for a verdict that began, changed or ended. */
void report_log(const struct leak_change *, const struct report *);

#endif
