#ifndef PGWEIR_SERVE_EARS_H
#define PGWEIR_SERVE_EARS_H

#include "serve/worker.h"
#include "session/hearing.h"

/* The ears: one connection of ours to each database where clients LISTEN, held by the first worker, which hears for all of them.
 * Workers ask by mail (LETTER_HEAR) and are told by mail (LETTER_HEARD), in order. */

#define EARS_MAX         HOUSE_EARS
#define EARS_TOPICS_MAX  100000 /* that one ear hears */
#define EARS_ENCODING    32
#define EARS_APPLICATION "pgweir listener"

/* What one letter asks of an ear. */
enum ear_wish {
	EAR_HEAR, /* these topics from now on, and send the mark -> EAR_MARKED, or EAR_FAILED and nothing of it */
	EAR_MOVE, /* these topics, which another ear heard until now -> EAR_MOVED, when it hears them, or EAR_REFUSED */
	EAR_WAIT, /* -> EAR_DONE behind all that was sent before, or at once when the ear is not there */
	EAR_DROP  /* none of this worker's clients wants these topics any more */
};

struct letter_hear {
	struct letter letter;
	struct letter_hear *next;
	enum ear_wish wish;
	uint32_t ear; /* the number of its place */
	struct client_ref asker;
	uint64_t token;
	time_us missed; /* EAR_MOVE: since when nobody hears them; wall */
	pool_id pool;   /* as whose user, and where, to log in */
	struct topics topics;
	char encoding[EARS_ENCODING]; /* of the client: all that an ear hears is in one */
	bool marked;
};

enum ear_word {
	EAR_NOTE,    /* `bytes`: a NotificationResponse */
	EAR_MARKED,  /* `token` */
	EAR_DONE,    /* `token` */
	EAR_FAILED,  /* `token`; what was heard for the client is not heard any more if `missed` is not 0 */
	EAR_MOVED,   /* what was moved is heard, and what was sent since `missed` may be lost */
	EAR_REFUSED, /* what was moved can not be heard here */
	EAR_BACK /* to all workers: it hears; if it was lost, what was sent since `missed` may be too, else that is 0 */
};

struct letter_heard {
	struct letter letter;
	enum ear_word word;
	uint32_t ear;
	struct client_ref asker;
	uint64_t token;
	time_us missed; /* wall */
	size_t length;
	uint8_t bytes[];
};

void ears_mark_init(struct house *); /* the topic of marks */

/* Only by the first worker, which owns them. */
void ears_configure(
	struct worker *); /* a new configuration is in force: where nobody is led any more nothing lingers */
void ears_take(struct worker *, struct letter_hear *);
void ears_go_on(struct worker *); /* read again, after SUSPEND */
void ears_fini(struct worker *);
uint32_t ears_at(const struct worker *, const char *host, uint16_t port); /* how many connections there */
bool ears_has(const struct worker *, const char *host, uint16_t port, uint32_t process_id);

/* Letters that nobody will read. */
void ears_letter_free(struct letter_hear *);

/* What the loop and the timers hand out. */
struct ear;
void ear_connected(struct ear *);
void ear_bytes(struct ear *, struct span);
void ear_ended(struct ear *, int error);
void ear_rings(struct timer *);
void ears_resolved(struct worker *, struct resolve_letter *); /* the letter stays the caller's */

#endif
