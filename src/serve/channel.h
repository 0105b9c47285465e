#ifndef PGWEIR_SERVE_CHANNEL_H
#define PGWEIR_SERVE_CHANNEL_H

#include "serve/worker.h"

/* What the parts of a channel's life share: dial.c (up to the login), lending.c (leases), difference.c (what a client has set),
 * abandon.c (those whose client left), channel.c (everything else). Their promises
 * to the rest are in worker.h. */

/* Tell the core. */
void channel_step(struct channel *, enum event_kind);

/* Enter it in the worker's table. False: memory refused. */
bool channel_place(struct worker *, struct channel *);

/* Nothing refers to it any more but the list of the dead, which is freed at the end of the turn. */
void channel_forget(struct channel *);

/* Room among the dead for every channel there is, so that an end can never fail for want of memory. */
bool channel_reserve_grave(struct worker *);

/* The dial or the login is over, in vain; the channel is forgotten. */
void channel_dial_failed(struct channel *, enum server_failure, const char *sqlstate, const char *text);

/* It is wanted no more. In the middle of its login it counts on until its end is seen; else it is forgotten. */
void channel_dial_killed(struct channel *, const char *reason);

/* It failed at this address; others are tried, if that can help. The problem's text may be the login's own. */
void channel_host_failed(struct channel *, enum server_failure, const char *sqlstate, const char *text);

/* Likewise, because it took too long. Where no other can be tried, the channel counts on until its end is seen. */
void channel_host_late(struct channel *);
/* CHANNEL_GREETING, and no host is to blame: connect_query makes it useless, or (`ended`) was its end. */
void channel_greeting_failed(struct channel *, enum server_failure, const char *sqlstate, const char *text, bool ended);

/* Begin a login at PostgreSQL, on this stream, with the user's secret: `password`, if it is not NULL, else what auth_file knows, else
 * what auth_query found for this pool (NO_POOL: for none). The setup needs no secret, key, random or binding of its own. What to send
 * is in worker->out. NULL: no memory. The caller owns the result. */
struct server *dial_login(struct worker *, const struct stream *, struct server_setup, const char *password, pool_id);

/* Find its host, connect, log in. */
void channel_begin_dial(struct channel *);

/* Try the next address; there is one. */
void channel_dial_next(struct channel *);
/* It is logged in, and is what its database wants. */
void channel_greet(struct channel *);
size_t channel_login_bytes(struct channel *, struct span);

/* Client and server go their own ways; the caller sees to both. */
void channel_part(struct channel *);

/* No client has it any more: undo what the last one left, step by step, and set it free. Nothing while something is still owed. */
void channel_begin_cleaning(struct channel *);
void channel_clean(struct channel *);

/* Send messages of our own, which are answered as `kind`, with what is sent next, or now. False: memory refused. */
bool channel_say(struct channel *, struct span messages, enum track_kind, uint32_t tag);

/* What the server has set is not, or not for certain, what its client wants. Send the difference: `setting`, if there is any. False: memory refused. */
bool channel_differs(const struct channel *, const struct params *wanted);
bool channel_send_difference(struct channel *, struct params *wanted);

/* What is set for a client that wants this: of what the server's login set, what its client has not reset as well. Borrowed, until the next asks or
 * `wanted` is dropped; NULL: memory refused. */
struct params *channel_with_base(struct channel *, struct params *wanted);

/* Its last client has set a limit of time so short that what sets this one's settings may fail by it, and the client wants another. Send what lifts it,
 * by itself: `lifting`. False: memory refused. */
bool channel_hurries(const struct channel *, const struct params *wanted);
bool channel_lift(struct channel *, const struct params *wanted);

/* True: a limit of the lease was over, and the lease was ended. */
bool channel_enforce_limits(struct channel *);

#endif
