#ifndef PGWEIR_SERVE_WEB_ANSWERS_H
#define PGWEIR_SERVE_WEB_ANSWERS_H

#include "serve/questions.h"

/* What PostgreSQL has said of users who are not in auth_file, as the HTTP thread remembers it: for those who are in, and to answer a login
 * with. A small table; who was not looked for longest gives way, and first of all those of whom nothing is known. */
#define ANSWERS_MOST VISITS_MOST

struct answers {
	struct web_answer {
		char user[VISIT_USER_MAX]; /* empty: free */
		struct secrets *found;     /* the last that was found; NULL: nobody */
		bool asked;                /* a question is under way */
		bool failed;               /* the last one came to nothing; `found` is what was known before */
		time_us at, used;          /* of the last that came back; 0: none yet */
	} list[ANSWERS_MOST];
};

void answers_fini(struct answers *);

/* What is known of this user since then; a question is sent where nothing is. NULL: it is under way. Borrowed until answers_take. */
const struct web_answer *answers_since(struct answers *, struct house *, const char *user, time_us since, time_us now);

/* What was known of him last, and a question is sent if that is older than `age`. NULL: nothing. */
const struct web_answer *answers_last(struct answers *, struct house *, const char *user, time_us age, time_us now);

void answers_take(struct answers *, struct letter_question *, time_us now); /* takes the letter */

#endif
