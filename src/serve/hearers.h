#ifndef PGWEIR_SERVE_HEARERS_H
#define PGWEIR_SERVE_HEARERS_H

#include "serve/ears.h"
#include "serve/relay.h"

/* This worker's clients that LISTEN and share an ear. hearers.c knows who hears what, and passes on what the ear says; handover.c is
 * the other side, the server that a client is lent: what it says, and how a LISTEN there becomes the ear's. Which notification comes
 * when is session/hearing's. */

struct seat; /* one client at one topic */
struct board;

struct hearer {
	struct guest *guest;
	struct hearing *hearing;
	uint32_t ear;
	bool can_share;      /* its database has an ear */
	bool astray;         /* `ear` is that of a server, and not what the configuration says: see moves.c */
	bool moving;         /* its ear was asked, and has not said yet that it hears */
	bool moved;          /* why it may have missed something */
	unsigned generation; /* of the configuration by which `ear` was chosen */
	bool opening;        /* its next message waits: see hearer_opens */
	bool seeks;          /* it asked its ear to hear for it, and keeps its server until that does */
	struct seat *seats;
	char encoding[EARS_ENCODING]; /* the ear's */
	size_t unread, counted; /* notifications in its stream; what the house has counted for it: see hearer_queue.c */
	uint64_t dropped_before; /* of hearing->dropped, what was judged already */
	bool crowded;            /* some was dropped because of all the others */
	time_us missed;          /* wall: what was sent since then may be lost, and it is not told yet; 0: nothing */
};

/* ---- for the life of a client and of a lease ---- */

void hearer_leave(struct guest *);    /* the client is being ended */
void hearer_returned(struct guest *); /* it holds nothing any more */
void hearer_room(struct guest *);     /* it took what waited for it */

bool hearer_hears(const struct guest *); /* it LISTENs and needs no server for it: its ear hears, or it is stranded */

/* In front of the first message of each transaction: it must wait (its stream is paused) until all that was sent before is here. What
 * waits is said then, as on PostgreSQL, and so nothing that the server's last client sent can be taken for this one's. True: it waits, or was
 * ended. */
bool hearer_opens(struct guest *);
void hearer_opened(struct hearer *); /* ... and it is */

/* Before the client's first message: its server listens too, as long as it is lent. False: memory refused. */
bool hearer_begin(struct channel *);
void hearer_begun(struct channel *); /* ... and that was answered */

/* The ear hears for it. */
bool hearer_shares(const struct guest *);

/* The client's next message must wait until it is known who hears what. */
bool hearer_delays(const struct guest *);

/* A NotificationResponse from its server; whole. */
enum step hearer_notification(struct channel *, struct span whole);

/* A ReadyForQuery that ends a transaction must not be taken yet (the channel's stream is paused): the client's own notifications come
 * first, and the ear has not said them yet. */
bool hearer_waits(struct channel *, char status);

/* It was taken, and the client is not to have it yet: true. Else what waited goes out in front of it. */
bool hearer_keeps_ready(struct channel *);

/* What its session LISTENs to, as the server was asked (takes the names). True: it will be shared, or pinned later. */
bool hearer_answered(struct channel *, struct topics *);
void hearer_marked(struct channel *); /* its server hears the mark */
void hearer_failed(struct channel *); /* ... has said all that the ear may have said before it was lost */

/* At the end of a transaction: may the lease end now? */
bool hearer_settle(struct channel *);

/* The lease goes on: its client may ask what it listens to. False: memory refused. */
bool hearer_unmark(struct channel *);

/* ---- when a RELOAD leads its database elsewhere: moves.c ---- */

void hearers_configure(struct worker *);
void hearer_follow(struct guest *);             /* it holds nothing: to where the configuration leads */
void hearer_follow_server(struct channel *);    /* ... its transaction begins: to where its server is */
bool hearer_is_stranded(const struct hearer *); /* it listens, and no ear can hear for it */
void hearer_take_moved(struct hearer *, const struct letter_heard *);

/* ---- for the worker ---- */

void hearers_take(struct worker *, const struct letter_heard *);
void hearers_fini(struct worker *);

/* ---- between hearers.c, handover.c and moves.c ---- */

/* Tell it that something may be lost, as soon as it may speak. `moved`: because it was moved. */
void hearer_warn(struct hearer *, time_us since, bool moved);

/* The ceiling over all clients: before something may wait, and after it does or does not any more. */
uint64_t hearer_queue_left(const struct worker *);
void hearer_bound(struct hearer *);
void hearer_count(struct hearer *);
void hearer_uncount(struct hearer *);

/* Everything that waits goes to the client now, then its ReadyForQuery if that is owed; then its messages flow again. */
void hearer_say(struct hearer *);
bool hearer_may_speak(const struct guest *);

/* Take a seat at each of these topics, asleep until hearer_wake; leave those that are not in `kept` (NULL: all). False: memory refused. */
bool hearer_sit(struct hearer *, const struct topics *);
void hearer_wake(struct hearer *, const struct topics *); /* those at these topics; NULL: all */
void hearer_rise(struct hearer *, const struct topics *kept);

/* Ask the ear; the answer bears hearing->token. Takes the topics (may be NULL). False: memory refused. */
bool hearer_ask(struct hearer *, enum ear_wish, struct topics *);

/* From when it asks its ear until that hears for it, or it gave up: as long as somebody seeks an ear, that tries to log in, and tells
 * everybody when it is there. */
void hearer_seek(struct hearer *, bool seeks);

/* The ear will not hear what it was asked to: the client keeps its server. */
void hearer_fail(struct hearer *, time_us missed);

#endif
