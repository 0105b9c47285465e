#ifndef PGWEIR_SERVE_SURVEY_H
#define PGWEIR_SERVE_SURVEY_H

#include "serve/mail.h"

/* Looking at all origins, every leak_interval; see the drawing in survey.c. */
struct house;
struct worker;

/* What was found, and how it is shown. Immutable and counted. */
struct report {
	atomic_uint references;
	time_us at;
	struct origin_row *origins;
	size_t origin_count;
	struct leak_row *leaks;
	size_t leak_count;
	struct reap_row *reaps;
	size_t reap_count;
};
struct report *report_keep(struct house *); /* the last one, counted for the caller; NULL: there is none yet */
void report_drop(struct report *);          /* NULL is fine */

/* ---- at the workers ---- */

void survey_arm(struct worker *); /* the first one: leak_interval may have changed */
void survey_begin(struct worker *);
void survey_visit(struct worker *, struct letter *);
void survey_letter_free(struct letter *);

/* ---- at the keeper ---- */

/* The letter has come home: judge what it says, log what changed, put a new report in its place. Takes the letter. */
void survey_judge(struct house *, struct letter *, time_us now);
/* A reaper's letter has come home. Takes it. */
void survey_reaped(struct house *, struct letter *);
void survey_fini(struct house *);

#endif
