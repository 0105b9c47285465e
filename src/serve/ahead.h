#ifndef PGWEIR_SERVE_AHEAD_H
#define PGWEIR_SERVE_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* A statement of ours in front of a message of the client's, in the same send: DISCARD SEQUENCES, DISCARD PLANS; or a question. Nothing of its answer goes
 * on to the client, but for an error within its batch, which is the batch's. */

struct guest;
struct channel;
struct numbers_asked;

enum ahead {
	AHEAD_GO,
	AHEAD_WAIT, /* the message waits for what was sent before it; its stream is paused */
	AHEAD_STOP  /* the client was ended */
};

/* `text` goes out, and its answer comes with `tag` (serve/remains.h): as a Query of its own, or in front of a message of the extended
 * protocol within its batch, where an error before it makes the server skip both. AHEAD_GO and not `sent`: where the server would do nothing. */
enum ahead ahead_send(struct guest *, struct span text, uint32_t tag, bool extended, bool *sent);

/* The same with a question: AHEAD_WAIT, and the client's message waits for the answer (remains_let_go), if `asked`. */
enum ahead ahead_ask(struct guest *, struct span text, uint32_t tag, bool extended, bool *asked);

/* The client's message waits for what was asked before. */
enum ahead ahead_wait(struct guest *);

/* Whether none of its statements comes to what somebody wrote (a body, an expression), makes anything or asks for a number: nothing need be said ahead of
 * it. Most of them take no snapshot either, and what does is not to stand in front of them. */
bool ahead_idles(const struct numbers_asked *);

/* Whether the first of them is such a one. */
bool ahead_begins_idly(const struct numbers_asked *);

/* Whether PostgreSQL would refuse it for what stands in front of it in its batch: it is to be in no transaction block. (In one that is still open it is refused
 * anyway; but a COMMIT under way may have ended that.) */
bool ahead_must_not(const struct channel *, const struct numbers_asked *);

/* Whether it would fail in front of a Query, for a transaction that has. */
bool ahead_in_vain(const struct channel *);

#endif
