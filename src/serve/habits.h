#ifndef PGWEIR_SERVE_HABITS_H
#define PGWEIR_SERVE_HABITS_H

#include "base/span.h"
#include "base/time.h"

/* What each client does, as far as it can be told from outside, and what its origin does with all of them: the facts that leaks are
 * told by. On the path of every transaction: counting is adding, and a text is looked up only when it is new. */
struct guest;
struct channel;
struct statement;
struct text;

/* What has been summed of a client up to this moment, and of an origin's. */
struct account {
	time_us parked, waiting, executing, in_block, sending;
	uint64_t received, sent; /* bytes */
};
void account_add(struct account *, const struct account *more);

struct habits {
	time_us rest_since; /* it came to rest: it owes nothing, is owed nothing, and no block is open; 0: it is at work */
	time_us rested;     /* in all rests that have ended */
	time_us waited, executing, in_block;
	time_us sending;         /* its server waited for it to read on */
	uint64_t received, sent; /* bytes */
	uint32_t bursts, transactions;
	struct text *first,
		*last;         /* statements, as serve/texts.h keeps them; `first` is no SET where anything followed */
	struct text *tls_name; /* in its certificate, which leads to an authority of ours; NULL: there is none */
	time_us marked;        /* by the reaper, and it has not moved since; 0: it is not */
	uint8_t marks;         /* MARK_...: what it may hold on the server that it is lent */
	bool listens : 1;      /* the last one was a LISTEN */
	bool sets_up : 1;      /* so far it has only SET something */
	bool django : 1;       /* it began as Django's connections do */
	bool entered : 1;      /* it asked for a session's server at its login */
	bool arrived : 1;      /* its login is complete, and counted */
	bool told : 1;         /* it was sent a notice that it looks forgotten */
	bool exempt : 1;       /* it asked for pgweir.no_reap */
	bool local : 1;        /* it came by TCP from this machine */
};

/* Before that: it has proven who it is, and asks for the server that its session is to have. */
void habits_enter(struct guest *);

/* Its login is complete. */
void habits_arrive(struct guest *);

/* It is going away. Before its lease is ended. */
void habits_leave(struct guest *);
void habits_fini(struct guest *);

/* Its account, with what goes on at this moment. */
struct account habits_account(const struct guest *);

/* It asked for something: its rest is over, or its pause within a transaction block. */
void habits_ask(struct guest *);

/* It is lent a server after it waited. */
void habits_lent(struct guest *);

/* A statement of this lease's client, by its text. `cut`: there is more of that than is here. */
void habits_say(struct channel *, struct span text, bool cut);

/* Likewise; what is read in its text is read once. */
void habits_say_statement(struct channel *, struct statement *);

/* Its lease is over, and nothing of it is left on the server. */
void habits_returned(struct guest *);

/* The server answered ReadyForQuery to the client of this lease; `executing` is how long it took. */
void habits_ready(struct channel *, time_us executing, bool transaction_ended);

/* What was sent to the client was not taken (yet), or it was. */
void habits_stuck(struct channel *, bool stuck);

/* Its statement goes on at PostgreSQL, though nobody waits for the answer. */
void habits_abandoned(struct guest *, const struct channel *);

#endif
