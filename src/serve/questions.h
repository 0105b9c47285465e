#ifndef PGWEIR_SERVE_QUESTIONS_H
#define PGWEIR_SERVE_QUESTIONS_H

#include "serve/mail.h"
#include "session/visits.h"

/* What is the secret of this user of the console, who is not in auth_file? The HTTP thread asks, by letter to the first worker; the letter
 * comes home to the keeper with the answer. */
struct house;
struct worker;
struct guest;

struct letter_question {
	struct letter letter;
	char user[VISIT_USER_MAX];
	bool known;            /* it was found out: */
	struct secrets *found; /* counted; NULL: there is nobody of that name */
	struct parcel *other;  /* while a worker has it: see questions.c */
};

/* False: memory refused. */
bool question_ask(struct house *, const char *user);
void question_letter_free(struct letter_question *);

void question_take(struct worker *, struct letter_question *);
void question_answered(struct guest *, struct secrets *found); /* and that is its end */
void question_leave(struct guest *); /* it ends without an answer; nothing if it had none to give */

#endif
