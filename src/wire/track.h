#ifndef PGWEIR_WIRE_TRACK_H
#define PGWEIR_WIRE_TRACK_H

#include "base/span.h"

/* Which replies a server still owes. One entry for each message sent to it that will be answered, in order; each reply of
 * the server is matched against the oldest. This is what proves a server free, what lets us answer some messages
 * ourselves in their right place, and what keeps our own messages' answers from the client.
 *
 * The rules are those of PostgreSQL (tcop/postgres.c, commands/copyfromparse.c as facts, not code):
 *  - Query is answered by anything up to ReadyForQuery; FunctionCall likewise.
 *  - Parse '1', Bind '2', Close '3', Describe 't'? then 'T' or 'n', Execute 'D'* then one of 'C' 's' 'I'; Sync 'Z'.
 *  - After an error in an extended message everything up to the next Sync is skipped unanswered, also a Query. So nothing runs behind a
 *    TRACK_SET or a TRACK_BEGIN that fails.
 *  - During COPY IN ('G') a Sync or Flush is read and ignored until CopyDone or CopyFail.
 *  - 'N' 'A' 'S' may come at any time, also with nothing owed.
 *
 * When a COPY IN ends in an error, whether a Sync sent before its data was ignored or is still to be answered cannot be
 * known from outside; `suspect` is set then: the server must not be lent again. A breach and an error that nothing asked for set it too. */

enum track_kind {
	TRACK_QUERY,
	TRACK_FUNCTION,
	TRACK_PARSE,
	TRACK_BIND,
	TRACK_DESCRIBE_STATEMENT,
	TRACK_DESCRIBE_PORTAL,
	TRACK_EXECUTE,
	TRACK_CLOSE,
	TRACK_SYNC,
	TRACK_COPY_END, /* the client's CopyDone or CopyFail: owes nothing, marks a place */
	/* Parse, Bind, Execute of one statement or of several, Close of their portal, and no Sync of their own: they open no batch. */
	TRACK_SET,  /* a whole transaction: `status` is behind it what it was */
	TRACK_BEGIN /* `status` is 'T' behind it */
};

enum track_flag {
	TRACK_OURS = 1,  /* sent by us: every answer to it is kept from the client */
	TRACK_FAKE = 2,  /* never sent to the server: we answer it (PARSE: '1', CLOSE: '3') when its turn comes */
	TRACK_AGAIN = 4, /* a Parse of a name in use, sent for the sake of its error: undoing it undoes nothing */
	TRACK_NAMES = 8  /* the caller's own: it changes the client's names */
};

struct track_entry {
	uint8_t kind, flags;
	uint32_t tag; /* the caller's own, e.g. which statement */
};

struct track {
	struct track_entry *ring;
	uint32_t capacity, head, count;
	uint32_t dropped_head, dropped_count, dropped_capacity;
	struct track_entry *dropped;
	bool open;      /* an extended message was sent, and no Sync or Query after it */
	bool executes;  /* ... and an Execute of the client's is among what was: it lasts only if a Sync comes */
	bool skipping;  /* an extended error was seen and no Sync is queued yet */
	bool copy_in;   /* the server said 'G' for the oldest entry */
	bool copy_both; /* 'W': replication; nothing is matched until 'Z' */
	bool suspect;
	char status; /* of the last ReadyForQuery: 'I', 'T', 'E'; 0 before the first */
};

enum track_verdict {
	TRACK_FORWARD, /* the client is to have this message */
	TRACK_KEEP,    /* it answers something of ours */
	TRACK_BREACH   /* it answers nothing that was asked: the server cannot be trusted any more */
};

struct track_reply {
	enum track_verdict verdict;
	bool finished; /* `entry` is answered in full by this message */
	bool failed; /* this is an ErrorResponse; `entry` is what failed (finished stays false for QUERY, FUNCTION and SYNC: their 'Z' follows) */
	struct track_entry entry; /* the oldest entry, when `owed` */
	bool owed;
};

void track_init(struct track *);
void track_fini(struct track *);

/* A message was sent to the server (or, with TRACK_FAKE, would have been). False: memory is refused, or more than
 * TRACK_MAX replies are owed; nothing changed. While `skipping`, anything but a SYNC is dropped at once (see track_dropped). */
#define TRACK_MAX 1000000
bool track_push(struct track *, enum track_kind, unsigned flags, uint32_t tag);

/* A message of this type arrived from the server. For 'Z' pass its status byte, else 0. The very first 'Z', which ends the
 * login, is kept though nothing is owed. 'N' 'A' 'S' are always FORWARD: the caller judges by `owed` and `entry`. */
struct track_reply track_take(struct track *, char type, char status);

/* Whether a message of this type is one of many that answer what the client asked: rows, and what a Query says in front of its rows. For these
 * track_take changes nothing, and says FORWARD; whoever has asked this need not call it. */
#define TRACK_FAILED 0x20 /* an entry's flag that is track.c's own: see there */
static inline bool track_passes(const struct track *t, char type)
{
	const struct track_entry *head = t->count > 0 ? &t->ring[t->head] : NULL;

	if ((type != 'D' && type != 'T') || !head || (head->flags & (TRACK_OURS | TRACK_FAKE | TRACK_FAILED)) ||
		t->copy_in || t->copy_both)
		return false;
	return head->kind == TRACK_QUERY || (head->kind == TRACK_EXECUTE && type == 'D');
}

/* Whether a message of this type is all of the answer to something that the client asked and that changes nothing here: to a Bind, to a Describe of a
 * portal. If so, it is taken: track_take would have said FORWARD and finished, with an entry that has no flags. */
bool track_take_plain_one(struct track *, char type);
static inline bool track_take_plain(struct track *t, char type)
{
	return (type == '2' || type == 'T' || type == 'n') && track_take_plain_one(t, type);
}

/* The oldest entry is a fake: pop it and answer it now. Call until false, after every track_push and track_take. */
bool track_take_fake(struct track *, struct track_entry *out);
static inline bool track_fakes(const struct track *t)
{
	return t->count > 0 && (t->ring[t->head].flags & TRACK_FAKE);
}
static inline bool track_fake(struct track *t, struct track_entry *out)
{
	return track_fakes(t) && track_take_fake(t, out);
}

/* An entry that an error made the server skip (Parse: it does not exist now). Call until false after a failed reply, and
 * after every push while `skipping`. */
bool track_dropped(struct track *, struct track_entry *out);
static inline bool track_drops(const struct track *t)
{
	return t->dropped_count > 0;
}

/* Nothing is owed and no Sync is awaited (every extended message was followed by one, or by a Query), in whatever transaction state. */
static inline bool track_quiet(const struct track *t)
{
	return t->count == 0 && !t->open && !t->skipping;
}

/* And the last word was ReadyForQuery 'I'. Whether the server may be lent depends on `suspect` too. */
static inline bool track_idle(const struct track *t)
{
	return track_quiet(t) && t->status == 'I';
}

/* A TRACK_SET or TRACK_BEGIN is not answered yet: what stands behind it runs only if that succeeds. They come before all that is the client's. */
bool track_guards(const struct track *);

/* How many ReadyForQuery the client is still owed for what it sent so far. */
uint32_t track_readies(const struct track *);

/* COPY IN runs, and neither CopyDone nor CopyFail was sent yet, or not the Sync behind that when it was begun by Execute (the server
 * ignores one that was sent before): what is sent now belongs to it. */
bool track_copies(const struct track *);

/* Forget everything but the status; memory is given back. For a server that is lent anew: must be track_idle and not suspect (checked). */
void track_reset(struct track *);

#endif
