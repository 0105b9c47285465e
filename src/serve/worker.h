#ifndef PGWEIR_SERVE_WORKER_H
#define PGWEIR_SERVE_WORKER_H

#include "base/log.h"
#include "base/rng.h"
#include "base/timers.h"
#include "core/reap.h"
#include "serve/habits.h"
#include "serve/house.h"
#include "serve/mail.h"
#include "serve/remains.h"
#include "serve/suspend.h"
#include "serve/texts.h"
#include "session/cancel.h"
#include "session/client.h"
#include "session/look_again.h"
#include "session/server.h"
#include "session/suit.h"
#include "wire/track.h"

/* One thread's share of the house: its clients, the servers it holds, and how they are joined.
 *
 *   guest   one client and what we know of it              arrival.c, guest*.c   (arrives, proves itself, parks, waits, is lent, leaves)
 *   channel one server connection                          channel.c    (dialed, logs in, idle, lent, cleaned, closed)
 *   relay   the bytes of a lease                           relay_client.c, relay_server.c
 *   view    what this worker knows of a pool               pools.c, welcomes.c
 *   errand  a connection that only carries a cancel        cancel.c
 *   ear     the connections that hear for all clients that LISTEN (of the first worker)         ears.c, hearers.c
 *   courier a connection to a peer that carries a cancel there (of the first worker)            peering.c
 *   monitor the connections that read what PostgreSQL is used for (of the first worker)    monitor.c
 *   desk    the console                                    desk*.c, census.c
 *
 * Everything here is private to serve/ and belongs to one thread. */

/* What a stream's owner pointer leads to. */
enum party {
	PARTY_GUEST,
	PARTY_CHANNEL,
	PARTY_ERRAND,
	PARTY_MONITOR,
	PARTY_EAR,
	PARTY_COURIER
} __attribute__((packed));

enum guest_state {
	GUEST_LOGIN,   /* says hello, proves itself; `login` is set */
	GUEST_AT_DOOR, /* the core has not admitted it yet */
	GUEST_ASKING, /* auth_query is asked for its secret, by it (`asking` is set, with or without a lease) or by another */
	GUEST_LEARNING, /* proven; waits for what the server reports, with or without a lease */
	GUEST_PARKED,   /* holds nothing */
	GUEST_WAITING,  /* the core knows that it wants a server; the stream is paused */
	GUEST_LENT,     /* `channel` is set */
	GUEST_CONSOLE,
	GUEST_ENDING /* nothing is read any more; buried at the end of the turn */
};

/* A BEGIN that no server has seen: see relay_begin.c. */
enum begun { BEGUN_NOT, BEGUN_WELL, BEGUN_FAILED };

#define SECRETS_DRAWN 16 /* at once */
#define GUEST_SECRET  16 /* bytes that nobody guesses, and no more: a parked client is to cost little */

struct letter_reap; /* see reaper.h */
struct asking;      /* see lookups.c */
struct again;       /* see relay.h */
struct collect;     /* a message that is too long to wait for in the read buffer */

struct guest {
	enum party party;
	uint8_t state;           /* enum guest_state */
	uint8_t begun : 2;       /* enum begun */
	uint8_t replication : 2; /* enum replication */
	uint8_t looking_for : 2; /* ASKING: enum lookup_kind */
	bool counted : 1;        /* the core counts it: CLIENT_LEFT is owed */
	bool named : 1;          /* ... under its database and user */
	bool spoke : 1;          /* something came from it */
	bool wants_numbers : 1;  /* the server of numbers_at rather than any other */
	bool admitted : 1;
	bool held_back : 1;  /* AT_DOOR: logins of its address come too fast */
	bool has_turn : 1;   /* ... and its timer rings when it may go on */
	bool naming : 1;     /* LOGIN: the name of its host is looked up: see naming.c */
	bool vouching : 1;   /* LOGIN: PAM or a directory is asked about its password: see vouching.c */
	bool discarding : 1; /* the rest of the message at hand goes nowhere */
	bool skip_query : 1; /* ... beginning with a Query, if that is what comes first */
	bool skipping : 1;   /* an error was answered here: everything up to Sync goes nowhere */
	bool noticed : 1;    /* it was told that it waits */
	bool protocol_32 : 1, admin : 1;
	bool unnamed_long : 1;
	bool only_syncs : 1; /* WAITING: with a Sync alone, which no cancel can reach */
	bool names_held : 1; /* its next message waits until it is known what its names are */
	bool moves : 1; /* it came, or was lent a server, in another mode than session: it stays so, whatever RELOAD says */
	bool long_names : 1; /* it has statements that were too long to keep: they live on its server alone */
	bool held : 1;       /* its stream is paused by SUSPEND */
	bool halfway : 1;    /* PARKED: a part of a message is here, and waits for the rest */
	bool cut_short : 1;  /* its server ended in the middle of a message to it: nothing more can be said */
	bool fatal_seen : 1; /* the server's FATAL went through: say nothing more */
	bool peer_died : 1;  /* its network went away without a word */
	bool whole : 1;      /* `wanted` has what it kept of what its servers' logins set */
	uint32_t body_left;  /* bytes of the message at hand that are still to come */
	uint32_t number;     /* for SHOW CLIENTS and KILL_CLIENT */
	uint32_t seat; /* the process id by which it is known among all, its server's or a peer's; 0: the one of its slot */
	pool_id pool;
	server_id numbers_at; /* where its numbers of sequences are, perhaps; generation 0: nowhere */
	struct handle handle;
	uint64_t origin_key; /* what the core knows its origin by; 0: it is at no door yet */
	uint64_t group;      /* its user and address */
	struct worker *worker;
	struct stream *stream;
	struct origin *origin; /* counted there; NULL: not (yet) */
	struct client *login;  /* until it is parked */
	struct channel *channel;
	struct params *wanted, *reported;
	struct params *startup;      /* what it asked for when it logged in: where RESET leads back to */
	const struct extras *extras; /* what few have: see extras.h */
	struct text *user; /* the name it logged in with, counted in worker->texts; NULL: it is not known yet */
	struct names names;
	struct statement *unnamed; /* transaction mode: what its unnamed statement is, on whichever server */
	struct changes *changes;   /* what is under way to its names: see relay_pending.c */
	struct timer timer;
	struct habits habits;
	time_us connected, requested, wants_since;
	uint8_t secret[GUEST_SECRET]; /* the first four for protocol 3.0; see guest_secret */
	struct desk *desk;            /* the console's state */
	struct hearer *hearer;        /* it LISTENs, or may: see hearers.h */
};

enum channel_state {
	CHANNEL_RESOLVING,
	CHANNEL_CONNECTING,
	CHANNEL_LOGIN,
	CHANNEL_GREETING, /* logged in; connect_query is running */
	CHANNEL_IDLE,
	CHANNEL_LENT,
	CHANNEL_CLEANING, /* its lease is over; it must still answer, roll back or reset */
	CHANNEL_CLOSING   /* Terminate was sent: waits for its end */
};

struct channel {
	enum party party;
	uint8_t state; /* enum channel_state */
	bool forward;  /* the rest of the message at hand goes to the client */
	bool session;  /* LENT, CLEANING: the lease is a whole session\'s */
	bool checking; /* LENT: the check query is running before the client's first message */
	bool lifting;  /* ... and before that, what lifts the limits of its last client */
	bool learning; /* LENT: only to learn what it reports for these parameters */
	bool setting;  /* our SET is not answered yet */
	bool failing;  /* LENT: a transaction that has failed is begun on it and not answered yet; see relay_begin.c */
	bool unprepared; /* LENT: what channel_prepare sends was not sent yet */
	uint8_t unnamed; /* enum prepared_state: is the unnamed statement on it what its guest believes? see relay_names.c */
	bool setup_failed;
	bool applied_doubtful; /* something was SET or RESET behind our back */
	bool base_given;       /* of `base` there is what its user may not set: a function with more rights did */
	bool resetting, rolling_back;
	bool unnamed_portal_ends, portals_end; /* LENT: the unnamed portal, a named one may DEALLOCATE ALL */
	bool reads_only;                       /* the running statement certainly only reads */
	bool commits;                          /* something that was sent and is not answered yet may be a COMMIT */
	bool pinned;                           /* holds statements too long to keep */
	bool doubtful;                         /* it may not be what its database wants: see suits.c */
	bool asking_nature;
	bool held;        /* its stream is paused by SUSPEND */
	bool dirty;       /* its last client left something: DISCARD ALL before anybody else has it */
	bool broken;      /* must not be lent again */
	bool replication; /* of a pool for that: see replication.c */
	bool listening;   /* something was LISTENed to in its session */
	bool marked;      /* ... and so is our mark: see handover.c */
	bool opened;      /* LENT: the client has all that was sent before this lease: see hearer_opens */
	bool may_copy; /* a portal of this transaction may begin a COPY, and then the server must see what is sent behind it */
	bool unlistening,
		telling; /* our UNLISTEN, our LISTEN in front of the client's first message: not answered yet */
	bool said;       /* a statement was noted since the server was last idle */
	bool cancel_wanted, in_transaction;
	bool cancel_held;     /* ... for a message that is held behind ours */
	bool describing;      /* a part of an answer to relay_ask_shape is here */
	struct asker *askers; /* who brought the cancel that is wanted: see cancel.c */
	uint32_t body_left, batch, errands;
	uint32_t unheard; /* CLEANING: bytes of rows since its client left */
	uint32_t unnamed_batch, unnamed_owed;
	uint32_t shape_of; /* the statement that is described */
	struct shape_reader shape_reader;
	struct shape shape;
	uint32_t number; /* for SHOW SERVERS */
	server_id id;
	pool_id pool;
	struct worker *worker;
	struct stream *stream;
	struct server *login;
	struct guest *guest;
	struct track track;
	struct params *applied, *reported;
	struct params *
		base; /* what event triggers of its login and connect_query set: a client's until it resets that; NULL: not known */
	struct params *asked_for, *asked_on_base; /* what was wanted last, and that on top of `base`; NULL: not yet */
	struct remains remains;
	struct prepared *prepared;
	struct timer timer;
	char *host;     /* as the configuration calls it */
	uint64_t place; /* place_key of where it logged in; 0: its database is in several */
	struct address address;
	struct address *addresses; /* still to be tried */
	size_t address_count;
	struct tries *tries; /* until it is logged in: see hosts.c */
	uint8_t host_at;     /* which of its database's hosts */
	instance_id visits;  /* where it has a place as a server of a pool with several hosts; NO_INSTANCE: nowhere */
	struct nature nature;
	uint32_t process_id;
	uint8_t secret[SERVER_SECRET_MAX];
	size_t secret_length;
	time_us connected, lent_since, query_since, quiet_since, transaction_since, requested;
	const char *leaving; /* LENT: why it closes between two transactions, and its client with it; NULL: it does not */
	char problem[160], sqlstate[6];
	char detail[200], hint[200]; /* of the same error; empty: it had none */
	/* Of this lease's client: the beginning of the statement last sent (length 0: it was BEGIN, COMMIT or the like, or there
	 * was none yet), and that of the first one since the server was last idle. */
	char statement[TEXT_BYTES_MAX], opening[TEXT_BYTES_MAX];
	size_t statement_length, opening_length;
	time_us unread_since; /* its client takes nothing of what waits for it; 0: it does */
	size_t unread;
};

/* What a server reports to a client that asks for certain parameters. */
#define VIEWS_KNOWN 64
#define WELCOMES    32
struct welcomes {
	struct welcome {
		struct params *wanted, *reported;
		time_us learnt; /* or somebody went to learn it anew */
		bool standby;   /* see reports_standby */
	} list[WELCOMES];
	size_t next;           /* 0: nothing was ever learnt */
	struct params *logged; /* what the server reported that logged in last */
};

/* What a worker knows of a pool; made again when a new configuration is in force. */
struct pool_view {
	pool_id id;
	unsigned generation;                      /* of the configuration it was made from; 0: never */
	const struct database_settings *database; /* in the worker's configuration */
	database_id database_id;
	struct pool_rules rules;
	bool replication;            /* see replication.c */
	struct catalog_place *place; /* of its database, and what is known there: see catalogs.c */
	struct catalog *catalog;
	unsigned catalog_version;
	time_us catalog_again;
	char *database_name, *user; /* as the core knows them; owned */
	struct pool_times times;
	struct stat_counters stats, marked, last_period; /* marked: as they stood when the last stats_period ended */
	bool exchanged; /* by this RELOAD: its mode was session and is not any more, or the reverse */
	bool unused;    /* it was forgotten: not shown while these are all 0 */
};

/* What is to be sent to one side in one call: pieces of the read buffer, of shared statements, and of `scratch`. */
#define OUTBOX_PIECES  64
#define OUTBOX_SCRATCH 16384
struct outbox {
	struct stream *stream;
	size_t count, used;
	uint64_t sent;
	bool active; /* between outbox_begin and outbox_end */
	bool failed; /* memory was refused: the stream can not be used any more */
	struct piece pieces[OUTBOX_PIECES];
	uint8_t scratch[OUTBOX_SCRATCH];
};

/* An address that servers must not be at any more: see suits.h. The last few are kept for those that are in the mail. */
#define LEFT_KEPT 8
struct leave {
	database_id database; /* NO_DATABASE: of all whose host has this name */
	char host[256];
	struct address address;
};
struct left {
	struct leave what;
	time_us when; /* 0: none */
};

struct worker {
	struct house *house;
	uint32_t index;
	struct loop *loop;
	struct mailbox *mailbox;
	struct thread *thread;
	time_us now;
	struct config *config;
	struct secrets *secrets;
	struct tls_pair tls;
	unsigned generation;
	struct timers timers;
	struct timer core_timer;
	struct slots guests;
	struct channel **channels; /* by the core's server slot */
	uint32_t channel_capacity, channel_count;
	struct pool_view **views; /* by pool id */
	uint32_t view_capacity;
	struct effects effects;
	struct guest **ending; /* to be buried at the end of the turn */
	size_t ending_count, ending_capacity;
	struct channel **dead;
	size_t dead_count, dead_capacity;
	struct errand *errands;
	struct monitors *monitors; /* see monitor.h; only the first worker has any */
	struct ears *ears;         /* see ears.h; likewise */
	struct peering *peering;   /* see peering.h; likewise */
	struct readings *readings; /* see relay_reading.c */
	struct board *boards;      /* by ear: who of this worker's clients hears what; see hearers.c */
	struct left left[LEFT_KEPT];
	uint32_t left_next;
	struct outbox to_client, to_server;
	struct buf out; /* what sessions say */
	struct texts texts;
	struct look_memory looks;
	struct rng rng;
	uint8_t drawn[SECRETS_DRAWN * GUEST_SECRET]; /* secrets of the next clients: see arrival.c */
	uint32_t drawn_left;
	struct stream_options client_options, server_options;
	struct letter_cancel *cancels; /* read, and not granted yet: see worker.c */
	uint64_t turn;
	uint64_t watched; /* the house's listeners that come in this worker's loop, a bit each */
	bool stop, doors_shut, at_back_door;
	struct suspension suspension;
	uint32_t suspensions_over; /* the number of the last that ended */
	atomic_uint client_count;
	uint32_t survey_slot; /* guests in slots before it were looked at by the survey that is going on; 0: none is */
	struct timer stats_timer, survey_timer, peers_timer;
	struct pool_view *views_known[VIEWS_KNOWN]; /* what pool_view_for found last, by a hash of both names */
	bool peers_asked;                           /* a round of asking is under way: see peers.c */
	time_us door_said; /* when it was last said that the door is shut for want of descriptors */
	time_us pace_said; /* when it was last said that logins of one address come too fast */
	time_us born;
};

/* ---- worker.c ---- */

struct worker *worker_new(struct house *, uint32_t index);
void worker_free(struct worker *);
void worker_turn(struct worker *);
time_us worker_deadline(const struct worker *); /* when it must have its next turn, whatever comes; 0: never */
bool worker_is_done(const struct worker *);     /* was stopped and holds nothing any more */
void worker_start(struct worker *);             /* once all workers are there, before the first turn */
void worker_configure(struct worker *);         /* a new configuration is in force */
void worker_end(struct worker *);               /* close everything, and turn no more */
void worker_sweep(struct worker *);             /* after it stopped: letters that nobody will read */
void worker_run(void *worker);                  /* turn until stopped: a thread's whole life */

/* Ask the core; its effects are queued, and performed by worker_perform. */
void worker_step(struct worker *, const struct event *);
void worker_perform(struct worker *);
void worker_perform_one(struct worker *, const struct effect *);
void worker_wake_core(struct worker *); /* see to it that the core is asked when it next wants to be */
void worker_post(struct worker *, uint32_t to, struct letter *);

/* ---- arrival.c, guest_door.c, guest.c, guest_end.c ---- */

struct guest *guest_arrive(struct worker *, struct parcel *); /* NULL: refused; the parcel is gone either way */
void guest_secured(struct guest *);                           /* TLS stands */
void guest_bytes(struct guest *, struct span);
void guest_room(struct guest *);
void guest_hangup(struct guest *);
void guest_ended(struct guest *, int error);
void guest_rings(struct guest *);
void guest_admitted(struct guest *);
void guest_refused(struct guest *, const struct effect *);
void guest_lent(struct guest *, struct channel *, const struct effect *);

/* It needs a server. True: `guest->channel` is set now; false: it waits (its stream is paused). */
bool guest_want(struct guest *);

/* What it sent last is to be looked at again, and what follows. */
void guest_resume(struct guest *);
void guest_go_on(
	struct guest *); /* ... only what is collected of a long message; the stream goes on by itself. NULL is fine */

/* Its lease is over: it is parked, or what it does next when it was learning. */
void guest_returned(struct guest *);

/* End it: `complaint` (may be NULL) is its last word. Its channel is seen to. */
void guest_end(struct guest *, const struct complaint *, const char *reason);
void guest_goodbye(struct guest *); /* it said Terminate */
void guest_complain(struct guest *, const char *sqlstate, const char *message, const char *detail, const char *hint);
void guest_bury(struct guest *);
/* True: a cancel is on its way to PostgreSQL, and `asker` is told when it has arrived. */
bool guest_cancel(struct worker *, uint32_t slot, uint32_t process_id, struct span secret, struct client_ref asker);
void guest_cancelled(struct worker *, struct client_ref asker); /* tell the connection that brought it */
struct client_ref guest_ref(const struct guest *);
/* Who it is, as a row shows it; it has a pool. */
void guest_who(const struct guest *, struct who_row *);
/* Empty as long as it is not known. */
static inline const char *guest_user(const struct guest *guest)
{
	return guest->user ? guest->user->at : "";
}

struct span guest_secret(const struct guest *, uint8_t room[GUEST_SECRET]);
uint32_t guest_process_id(const struct guest *); /* as it was told */
void guest_log(const struct guest *, enum log_level, const char *format, ...) __attribute__((format(printf, 3, 4)));
char guest_status(const struct guest *); /* of its transaction, while it holds no server: I, T or E */
void pending_clear(struct guest *);      /* no answer to what is under way will come: see relay_pending.c */
void guest_statements_fini(struct guest *);
void guest_learned(struct guest *, struct channel *);
/* What auth_query found (NULL: nobody; see client_found): on with the login. */
void guest_found(struct guest *, struct secrets *found, struct secret_mock mock);
void guest_told_roles(struct guest *, struct roles *);  /* NULL: nobody can tell */
void guest_told_host(struct guest *, const char *host); /* likewise */
void guest_vouched(struct guest *, bool yes);           /* what PAM or a directory said */

/* ---- channel.c ---- */

void channel_dial(struct worker *, const struct effect *);
void channel_connected(struct channel *);
void channel_bytes(struct channel *, struct span);
void channel_room(struct channel *);
void channel_ended(struct channel *, int error);
void channel_rings(struct channel *);
void channel_resolved(struct worker *, struct resolve_letter *);
struct channel *channel_get(struct worker *, server_id);

/* The lease begins (the core has decided it): what must be sent before the client's first message is queued in `out`. */
void channel_lend(struct channel *, struct guest *, bool check);

/* Just before the client's first message: bring its parameters into force, in the same send. False: the client was ended. */
bool channel_prepare(struct channel *);

/* It must close, for `reason`, a text that stays: now or when its client has ended its transaction, who goes with it (server_fast_close). */
void channel_leave(struct channel *, const char *reason);

/* The client is done with it, in good order. */
void channel_return(struct channel *);

/* The client is gone, in whatever state that leaves the server. */
void channel_abandon(struct channel *);
/* Whether this text, or the beginning of one, may end its transaction; a semicolon is taken for the end of a statement wherever it stands. */
bool abandon_may_commit(struct span text);

/* So many bytes of rows came that it would have had. */
void channel_unheard(struct channel *, size_t bytes);

/* A ReadyForQuery was answered, or an errand ended: see what comes next. */
void channel_settle(struct channel *);

/* Our SET in front of the client's first message was answered. */
void channel_set(struct channel *);        /* it has what its client wants set */
void channel_set_failed(struct channel *); /* or has not */

/* Say Terminate and wait for the end. */
void channel_close(struct channel *, const char *reason);

/* It can not be trusted or used any more: its client (if any) is told `problem`. */
void channel_break(struct channel *, const char *problem);
void channel_bury(struct channel *);
void channel_give(struct channel *, uint32_t to);
void channel_take(struct worker *, struct letter *);
void channel_limits(struct channel *);
void channel_log(const struct channel *, enum log_level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Send a query of our own; its answer is kept from the client. False: memory refused. */
bool channel_query(struct channel *, struct span text);
bool channel_ask(struct channel *, struct span text, uint32_t tag); /* see remains.h */
/* A client may set it for its session, which is not its server's. */
#define REST_LIMIT "idle_session_timeout"

bool channel_runs_own(const struct channel *); /* what the server is at now is one of these */

/* ---- relay.c ---- */

void outbox_begin(struct outbox *, struct stream *);
void outbox_add_piece(struct outbox *, const void *, size_t);
void outbox_copy(struct outbox *, const void *, size_t);
uint8_t *outbox_room(struct outbox *, size_t); /* scratch to be written now; at most OUTBOX_SCRATCH */
bool outbox_flush(struct outbox *);
bool outbox_end(struct outbox *); /* flush, and forget the stream */
bool outbox_is_for(const struct outbox *, const struct stream *);

/* What lies behind the piece before it is a part of that. */
static inline void outbox_add(struct outbox *o, const void *at, size_t length)
{
	struct piece *last = o->count > 0 ? &o->pieces[o->count - 1] : NULL;

	if (!last || (const uint8_t *)last->at + last->length != at) {
		outbox_add_piece(o, at, length);
		return;
	}
	o->sent += length;
	last->length += length;
}

/* Whatever waits in an outbox for this stream goes out before what is written now. */
void outbox_hurry(struct worker *, const struct stream *);

/* The client's bytes while it is parked or lent. Returns how many are done with. */
size_t relay_client(struct guest *, struct span);

/* The server's bytes once it is logged in. Returns how many are done with. */
size_t relay_server(struct channel *, struct span);

/* Tell the client which reported parameters differ from what it believes. */
void relay_report(struct guest *, struct channel *, struct outbox *);

/* ---- pools.c ---- */

struct pool_view *pool_view(struct worker *, pool_id);
/* The pool for a client of this user and database; NULL: there is no such database (refusal_missing) or memory. */
struct pool_view *pool_view_for(struct worker *, struct span database, struct span user, bool *unknown);
/* The one for its connections for replication. */
struct pool_view *pool_view_replication(struct worker *, struct span database, struct span user, bool *unknown);
/* As this user, also where the entry forces another. */
struct pool_view *pool_view_as(struct worker *, struct span database, struct span user, bool *unknown);
void pool_views_fini(struct worker *);
void pool_views_configure(struct worker *, const struct config *before); /* rules of all pools anew, told to the core */
void pool_unused(
	struct worker *, pool_id); /* nobody has used it for long (pool_idle_timeout): forget what was counted */

/* ---- welcomes.c ---- */

/* What a server of this pool reports to a client that asks for these parameters, learnt by any worker. Counted; NULL: not known, or old. */
struct params *pool_welcome(struct worker *, struct pool_view *, struct params *wanted);
void pool_learn(struct worker *, struct pool_view *, struct params *wanted, struct params *reported);
void pool_forget(struct worker *, pool_id);
/* A server of the pool has logged in, and this is what it reports by itself: if another reported something else, nothing of that is told any more. */
void pool_logged_in(struct worker *, pool_id, struct params *reported);
/* A server of the pool has said that it is no standby any more, or is one. */
void pool_turned(struct worker *, pool_id);
bool reports_standby(const struct params *reported);
bool pool_is_known(struct worker *, pool_id); /* some login to it has succeeded before */
void house_welcomes_fini(struct house *);
void readings_fini(struct worker *);   /* see relay_reading.c */
void house_hosts_fini(struct house *); /* see hosts.c */

/* ---- cancel.c ---- */

/* A cancel for nobody here, to the process whose place we took: it may be for a client of its. `asker` is told when it has arrived. */
bool errand_forward(struct worker *, uint32_t process_id, struct span secret, struct client_ref asker);
/* Cancel what this server is at. False: there is one already, or none could be sent. */
bool errand_send(struct channel *);
/* LENT: cancel what it is doing for its client, when that is what it is at. True: `asker` is told when the signal was sent, or when it
 * came too late; false: it came too late already, or memory is refused. */
bool channel_cancel(struct channel *, struct client_ref asker);
void channel_cancel_due(struct channel *); /* send it now, where it is due */
/* Whether what it is for is held no more, and is looked at next: the lease does not end before. Then, that it has been looked at. */
bool channel_cancel_looks(const struct channel *);
void channel_cancel_looked(struct channel *);
void channel_cancel_no_more(struct channel *); /* its client has it no more */
void errand_connected(struct errand *);
void errand_ended(struct errand *, int error); /* 0: in good order, and the signal was sent */
void errand_timer_rings(struct timer *);
/* What this server was to be kept from is over: a cancel that was not said yet never is. */
void errand_call_off(struct channel *);
void errands_fini(struct worker *);

/* Those under way, one after the other: the one behind `errand` (NULL: the first), or NULL. `asked`: a client's cancel request, not ours. */
const struct errand *errands_next(const struct worker *, const struct errand *, server_id *, bool *asked);

/* ---- peers.c ---- */

void peers_configure(struct worker *); /* a new configuration is in force */
void peers_look(struct worker *);

/* ---- desk.c, desk_commands.c and census.c ---- */

bool desk_open(struct guest *);
void desk_begin_waiting(struct guest *);
void desk_cancel(struct guest *);
size_t desk_bytes(struct guest *, struct span);
void desk_answer(struct guest *, const char *problem);
void desk_room(struct guest *); /* what it was told is taken: it may ask on */
void desk_census(struct guest *, struct snapshot *);
void desk_reply(struct guest *, const struct letter_reply *);
void desk_reap(struct guest *, const struct letter_reap *);
void desk_left(struct guest *);
void census_begin(struct guest *, unsigned parts);
bool census_ask(struct house *, unsigned parts); /* it comes home to the keeper. False: memory refused */
void census_visit(struct worker *, struct letter_census *);
void census_tick(struct worker *);

/* ---- asked of every message ---- */

static inline struct pool_view *channel_view(const struct channel *channel)
{
	return channel->worker->views[channel->pool];
}

static inline struct pool_view *guest_view(const struct guest *guest)
{
	return guest->worker->views[guest->pool];
}

/* Servers change hands between transactions, so what a client left on one must be made good on the next. */
static inline bool relay_moves(const struct guest *guest)
{
	return guest->channel ? !guest->channel->session
			      : guest->moves || guest_view(guest)->rules.mode != POOL_SESSION;
}

/* Whether this client's session is followed: see remains.h. */
static inline bool remains_matter(const struct guest *guest)
{
	return guest->pool != NO_POOL && relay_moves(guest) &&
		(guest_view(guest)->rules.transparency == TRANSPARENCY_FULL || guest->hearer);
}

#endif
