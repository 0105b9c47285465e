#ifndef PGWEIR_SERVE_SURVEY_H
#define PGWEIR_SERVE_SURVEY_H

#include "serve/breakdowns.h"
#include "serve/house.h"
#include "serve/mail.h"

/* Looking at all origins, every leak_interval; see the drawing in survey.c; the keeper's part is verdicts.c. */
struct house;
struct worker;

struct survey_row {
	struct origin *origin;
	uint32_t number;
	pool_id pool; /* of one of its clients, and that one's other end */
	struct other_end end;
	enum leak_action action; /* what is done about its leaks, but for patterns that have an action of their own */
	struct leak_facts facts;
	struct account account;
	char voted[ORIGIN_WORDS], voted_again[ORIGIN_WORDS], held[ORIGIN_WORDS], unread[ORIGIN_WORDS],
		abandoned[ORIGIN_WORDS];
	uint32_t votes, votes_again;
	uint32_t at_door;
};

struct letter_survey {
	struct letter letter;
	uint32_t worker; /* whose clients are being looked at */
	uint32_t slot;   /* the next of them */
	struct survey_row *rows;
	size_t count;
	struct told told;
};

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
/* Between the surveys: look at what they want to have looked at, if it is time. When it is time again; 0: nothing is to be looked at. */
time_us survey_look(struct house *, time_us now);
void survey_fini(struct house *);

#endif
