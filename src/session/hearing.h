#ifndef PGWEIR_SESSION_HEARING_H
#define PGWEIR_SESSION_HEARING_H

#include "session/topics.h"

/* What one client hears, of that which it LISTENs to, in which order, and each notification once, though it comes from two sides: from
 * the connection that listens for all clients of a database (the ear), and from the server that the client is lent and that listens
 * too. Pure: who asks whom, and when, is in serve/listen. The drawing is in hearing.c. */

enum hearing_state {
	HEARING_SHARED, /* notifications come from the ear */
	HEARING_WAITS,  /* for the ear to say that all is here that was sent before now: its own are among it */
	HEARING_PASSED, /* ... it did */
	HEARING_MARKS,  /* its server is being told to listen for the mark */
	HEARING_MOVES,  /* the mark is on its way to both sides */
	HEARING_FAILS, /* the ear can not: its server is asked to say all that was sent before now, which the ear may have said */
	HEARING_DIRECT /* notifications come from its server alone, which it keeps */
};

struct note; /* one NotificationResponse */

struct notes {
	struct note *first, **last;
	size_t count;
};

/* What may wait for one client; beyond it notifications are dropped, and counted. */
#define HEARING_BYTES_MAX (256u << 10)

struct hearing {
	uint8_t state;      /* enum hearing_state */
	bool changed;       /* `wanted` was told anew */
	bool removes;       /* some of `shared` is not `wanted` any more */
	bool ready_owed;    /* its ReadyForQuery waits */
	bool marked_by_ear; /* the mark came from there */
	bool marked_by_server;
	struct topics shared; /* what the ear hears for it */
	struct topics wanted; /* what its server says that it listens to */
	/* From the ear, before the mark and after it; from its server, beginning with the first that the ear does not hear for it. */
	struct notes held, later, local;
	bool told;       /* its server told of something in this transaction that the ear says */
	bool told_since; /* ... behind the last question to the ear whether all is here that was sent before */
	uint32_t own,
		own_dropped; /* of those in `held`, how many it sent itself, as its server tells; and of these, how many are lost */
	uint64_t token;          /* of the mark or the question that is under way */
	size_t bytes, bytes_max; /* that wait; how many may, HEARING_BYTES_MAX at most */
	uint64_t dropped;        /* since it was last told */
	uint64_t dropped_behind; /* of what its server said behind the mark: they are lost if the ear fails */
};

struct hearing *hearing_new(void); /* NULL: memory refused */
void hearing_free(struct hearing *);

/* A notification came from the ear, and must wait. `process`: of the server that the client is lent, or 0. */
void hearing_hold(struct hearing *, struct span message, uint32_t process);

enum heard {
	HEARD_BROKEN, /* it is no NotificationResponse */
	HEARD_NOTED,  /* nothing more to do with it */
	HEARD_MARK,   /* `token` came */
	HEARD_DIRECT  /* it is the client's: send it on (with the process id that hearing_is_own says) */
};
/* A notification came from its server, whose process this is. `mark`: the topic of marks. */
enum heard hearing_take(struct hearing *, struct span message, uint32_t process, const char *mark);

/* The mark's payload, and back. */
void hearing_mark_text(uint64_t token, char out[17]);
bool hearing_mark_read(struct span text, uint64_t *token);

/* All that waits, as the client is to see it: with `own` for the process id of what it sent itself through the server whose process
 * this is. Nothing waits any more. False: memory refused. */
bool hearing_write(struct hearing *, uint32_t process, uint32_t own, struct buf *out);

/* Does anything wait? */
bool hearing_is_empty(const struct hearing *);

/* Some of `shared` is not `wanted` any more: what waits of that, or comes, it does not hear, as on PostgreSQL. */
void hearing_remove(struct hearing *);

/* `wanted` is `shared` from now on; what came behind both marks is the ear's to say. */
void hearing_settle(struct hearing *);

/* The ear can not: HEARING_FAILS. Its server may have said the mark, and then what nobody else says. */
void hearing_fail(struct hearing *);

#endif
