#ifndef PGWEIR_SERVE_EAR_PARTS_H
#define PGWEIR_SERVE_EAR_PARTS_H

#include "base/table.h"
#include "serve/ears.h"
#include "serve/line.h"
#include "serve/places.h"
#include "session/ear.h"

/* What the three files of the ears share: ears.c (which there are, and the letters that come), ear_wants.c (what is wanted of one, and by
 * whom), ear_life.c (its connection). */

#define EAR_POOLS 8

/* Names of lookups: those of monitors count from 0. */
#define EAR_NUMBERS_FROM 0x80000000u

#define WORKER_WORDS     (CANCEL_WORKERS_MAX / 64)
struct ear_topic {
	UT_hash_handle hh;
	uint64_t workers[WORKER_WORDS];
	char name[];
};

struct ear {
	struct line line;
	uint32_t number;
	bool said; /* that it can not log in */
	struct place place;
	struct timer timer;
	pool_id pools[EAR_POOLS]; /* the last who listened first */
	size_t pool_count, candidate;
	struct ear_topic *topics;
	struct letter_hear *sent, **sent_last;       /* not answered yet, oldest first */
	struct letter_hear *waiting, **waiting_last; /* until it hears */
	struct ear_talk talk;
	char encoding[EARS_ENCODING];
	time_us heard_at, retry_at, pause, idle_since;
	time_us lost_wall; /* since when it may have missed something; 0: nothing */
};

/* ---- ear_wants.c ---- */

void ear_tell(struct ear *, uint32_t worker, struct letter_heard, struct span bytes);
void ear_tell_workers(struct ear *, const uint64_t workers[WORKER_WORDS], struct letter_heard, struct span bytes);
void ear_answer(struct ear *, const struct letter_hear *asked, enum ear_word);

/* A line of letters, which it owns. */
void ear_letter_put(struct letter_hear ***last, struct letter_hear *);
struct letter_hear *ear_letter_take(struct letter_hear **first, struct letter_hear ***last); /* NULL: none is there */

/* It will not come to that; frees the letter. */
void ear_give_up(struct ear *, struct letter_hear *);

/* It was lost, or could not come to be. What was moved here waits for the next time: nobody else hears it. */
void ear_give_up_all(struct ear *);

bool ear_is_sought(const struct ear *); /* somebody asked it, or keeps its server until it hears for it */
struct ear_topic *ear_topic_find(const struct ear *, struct span name); /* NULL: nobody wants it */
bool ear_topic_want(struct ear *, const char *name, uint32_t worker);   /* false: memory, or there are too many */
bool ear_topic_drop(struct ear *, const char *name, uint32_t worker);   /* true: nobody wants it any more */

/* ---- ear_life.c ---- */

void ear_arm(struct ear *);           /* set its timer to what comes next */
bool ear_is_left(const struct ear *); /* nobody listens, and nobody will: it need not linger */
void ear_tell_back(struct ear *);     /* all workers: it hears, and whoever could not share it may try again */
void ear_connect(struct ear *);
void ear_edge(struct ear *, enum line_edge);

/* Write a query, and send it for this letter, which is kept until the answer; a failure ends the connection. */
void ear_query_begin(struct ear *, struct writer *);
void ear_query_send(struct ear *, struct writer *, struct letter_hear *);

void ear_send_hear(struct ear *, struct letter_hear *);
void ear_send_move(struct ear *, struct letter_hear *);
void ear_send_wait(struct ear *, struct letter_hear *);

#endif
