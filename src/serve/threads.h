#ifndef PGWEIR_SERVE_THREADS_H
#define PGWEIR_SERVE_THREADS_H

#include "core/leak.h"
#include "serve/survey.h"

/* Looks at the threads of processes whose clients may be tied to them (core/ties.h). The keeper's. */

/* Processes that are looked at, of all origins; and what may be spent on it: two hundredths of a processor's time. */
#define THREADS_PROCESSES 16

struct ties;
struct threads {
	struct watched {
		uint32_t origin, process; /* process 0: none */
		struct ties *ties;
		time_us wanted; /* when a survey last asked for it */
	} watched[THREADS_PROCESSES];
	time_us look_at; /* the next look; 0: nothing is to be looked at */
};
void threads_fini(struct threads *);

/* What is known of this origin's clients by now, into its facts; from now on its processes are looked at. */
void threads_judge(struct threads *, const struct letter_survey *, struct survey_row *, const struct owners *,
	const struct leak_rules *, time_us now);

/* Look, if it is time. */
void threads_look(struct threads *, time_us now);

#endif
