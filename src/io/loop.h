#ifndef PGWEIR_IO_LOOP_H
#define PGWEIR_IO_LOOP_H

#include "base/span.h"
#include "base/time.h"
#include "io/address.h"

/* One thread's view of the world, in completions: never "this descriptor is ready", always "these bytes arrived".
 * A loop and its streams belong to one thread. Which kernel interface is used is private to this folder.
 *
 * A stream that its owner closed is never heard of again: no completion for it comes out of loop_next, even if it was
 * already on its way. */
struct loop;
struct stream;
struct parcel;   /* a stream on its way between threads: descriptor, addresses, unread and unsent bytes */
struct listener; /* a listening socket, shared by all loops */
struct mailbox;

enum completion_kind {
	/* A dialed stream is open; or TLS stands on one that it was asked of (io/tls.h). */
	DONE_CONNECTED,

	/* `bytes`: everything unread, oldest first; borrowed until the next loop_next. Say with stream_consume how many
	 * were used. */
	DONE_BYTES,

	/* A stream that had unsent bytes queued has none any more: it has sent them all, or sending failed and they are dropped. */
	DONE_ROOM,

	/* While paused: the peer closed its sending side, or the connection broke; unread bytes may wait. Said once to each
	 * owner of a parcel; which of the two it was is said by ENDED, after stream_resume. */
	DONE_HANGUP,

	/* End of file (error 0) or an error (errno's number), after all bytes were delivered, consumed or not. Said once, and
	 * the last of this stream; the owner must still stream_close it. */
	DONE_ENDED,

	/* `parcel`: a new connection on `listener`; the receiver owns it. */
	DONE_ACCEPTED,

	/* `error`: the signal's number; only in the loop that called loop_signals. */
	DONE_SIGNAL
};

struct completion {
	enum completion_kind kind;
	struct stream *stream;
	void *owner; /* as given with the stream */
	struct span bytes;
	int error;
	struct parcel *parcel;
	struct listener *listener;
};

/* The kernel's interface for the bytes of connections. What is rare is epoll's with both. */
enum loop_engine { ENGINE_EPOLL, ENGINE_IO_URING };

/* NULL: the kernel refused, or has no such engine (io_uring as it is used here needs Linux 6.1); errno says why. Loops of
 * different engines may exchange parcels. */
struct loop *loop_new(enum loop_engine);
enum loop_engine loop_engine(const struct loop *);
void loop_free(struct loop *); /* streams still in it are closed */

/* Sleep until something happened, mail came, or `deadline` (0: none; in the past: only look). May return early with
 * nothing to say. */
void loop_wait(struct loop *, time_us deadline);

/* The next completion of this turn; false when there are no more. One stream's completions come in order; streams take turns,
 * each with at most one read buffer's worth (LOOP_READ bytes) at a time. */
bool loop_next(struct loop *, struct completion *out);
#define LOOP_READ 65536

/* Receive signals (HUP INT TERM QUIT USR1 USR2) as completions; they must have been blocked by signals_block before any
 * thread began. */
bool loop_signals(struct loop *);
void signals_block(void); /* also ignores PIPE and XFSZ */

/* ---- streams ---- */

struct stream_options {
	bool keepalive;
	int keepidle, keepintvl, keepcnt, user_timeout_ms, socket_buffer; /* 0: the system's */
};

/* Begin to connect. CONNECTED or ENDED follows. NULL: no descriptor or memory; errno says why. TCP_NODELAY is always on. */
struct stream *stream_dial(struct loop *, const struct address *, const struct stream_options *, void *owner);

/* Take a parcel in, unpaused. Its unread bytes are delivered again. Options may be NULL: it keeps what it has. NULL:
 * refused; the parcel is ended. *parcel becomes NULL. */
struct stream *stream_attach(struct loop *, struct parcel **, const struct stream_options *, void *owner);

/* Take an open stream (CONNECTED was said, ENDED was not) out of its loop, to be mailed. Lent bytes are no longer borrowed
 * then. NULL: memory refused, the stream is as before. */
struct parcel *stream_detach(struct stream **);
void parcel_free(struct parcel **); /* closes it */
const struct address *parcel_peer(const struct parcel *);

/* Two that are connected to each other, for who must have a stream where there is nobody outside. Both say that their peer is that of a
 * unix socket without a name, of no user. False: the kernel or memory refused. */
bool parcel_pair(struct parcel *pair[2]);

void stream_set_owner(struct stream *, void *owner);
void *stream_owner(const struct stream *);
size_t stream_size(const struct loop *); /* memory of one, without what waits in its queues */

/* The answer is borrowed until the same question is asked about any stream of this loop: copy what must stay.
 * The peer of an accepted unix socket has process and user, and the listener's port. The peer is known to the end, also
 * after an error. */
const struct address *stream_peer(const struct stream *);
const struct address *stream_local(const struct stream *);

/* While bytes are under way to the peer and are not acknowledged though sent again: how long nothing at all has come from its kernel.
 * 0: nothing is under way, it answers, or it can not be told (a unix socket). A peer that only does not read answers. Costs a system call
 * if something was sent since the last question, or was still under way then; else nothing. */
time_us stream_silence(struct stream *);

/* A round of asking those that sent something since they were asked last, or still had it under way then; nobody else is touched, however
 * many there are. loop_ask begins one, loop_ask_next is its next stream, or NULL: all were asked. Who sends meanwhile is in the next. */
void loop_ask(struct loop *);
struct stream *loop_ask_next(struct loop *);

/* The first `n` bytes of the last DONE_BYTES are done with; the rest is kept and comes again in front of the next bytes
 * (not before new bytes came, or stream_resume). Not called: nothing is consumed. Several calls add up; it may also be
 * called later, when the bytes are no longer borrowed. */
void stream_consume(struct stream *, size_t n);

/* What is unread and was already received (after consume): how much. */
size_t stream_unread(const struct stream *);

/* Deliver no more bytes until resume; resume delivers at once what is unread. Pausing twice is pausing once.
 * "At once" is in this turn, unless the stream had bytes in this turn already: then in the next, which comes without
 * sleeping. */
void stream_pause(struct stream *);
void stream_resume(struct stream *);
bool stream_is_paused(const struct stream *);

/* While this is on, a secret may be among what comes: nothing of what the owner did not consume is left in memory when it is dropped or has
 * moved on, here or in OpenSSL. What is consumed the owner wipes where it lies. Off for every new stream. */
void stream_guard(struct stream *, bool on);

/* Send. What the peer does not take now is copied and sent later (DONE_ROOM when all is out). False: memory refused; a
 * part may have been sent, so only stream_close is left.
 * A send error shows as DONE_ENDED; until then writes are swallowed. */
struct piece {
	const void *at;
	size_t length;
};
bool stream_write(struct stream *, const struct piece *, size_t count);
size_t stream_queued(const struct stream *); /* unsent bytes */

/* End. close: now, unsent bytes are lost. finish: first send what is queued, for at most `limit`; the owner is forgotten either way.
 * *stream becomes NULL. NULL inside is fine. */
void stream_close(struct stream **);
void stream_finish(struct stream **, time_us limit);

/* Send nothing more (after what is queued): the peer sees end of file; reading goes on. */
void stream_shut(struct stream *);

/* ---- listeners ---- */

struct listen_setup {
	/* Who comes in over TCP has these already, so that stream_attach with the same need not set them. */
	struct stream_options options;
	int backlog;
	bool defer_accept, reuse_port;
	int unix_mode;          /* chmod of a unix socket's file; 0: leave it */
	const char *unix_group; /* name or number; NULL or "": leave it */
};

/* Bind and listen. NULL: `error` says where and why ("could not listen on 127.0.0.1:1: permission denied"). A stale unix socket
 * file is replaced; a live one is not ("unix socket is in use"). errno is why there is no such place on this machine (now):
 * EADDRNOTAVAIL, EAFNOSUPPORT, of a unix socket's folder ENOENT, ENOTDIR, EACCES or EROFS; whatever else is wrong, it is 0. */
struct listener *listener_open(const struct address *, const struct listen_setup *, char *error, size_t error_size);
/* One that listens already, given to us by whoever started us; its file stays his. `port`: what clients of a unix socket are shown with
 * when its name has none. NULL: `error`, and the descriptor is closed. */
struct listener *listener_inherit(int fd, uint16_t port, const struct listen_setup *, char *error, size_t error_size);
const struct address *listener_address(const struct listener *); /* with the port the kernel chose */
void listener_defer(struct listener *, bool defer);              /* defer_accept as of now; nothing for a unix socket */
bool listener_watch(struct listener *, struct loop *);           /* DONE_ACCEPTED comes in this loop too */
void listener_unwatch(struct listener *, struct loop *);
void listener_close(
	struct listener **); /* all watchers must have unwatched; removes a unix socket's file, if that is ours */

/* Send these bytes over an open, plain unix stream with nothing queued, and the listening socket with them: whoever receives it listens too.
 * False: it was not taken at once; only stream_close is left. */
bool listener_send(const struct listener *, struct stream *, struct span);
int listener_descriptor(const struct listener *); /* its number, for people */

/* Whose is the file of a unix socket from now on: ours, to be removed at the end, or somebody else's. */
void listener_own_file(struct listener *, bool ours);

/* ---- mail between threads ---- */

struct letter {
	struct letter *next;
	uint32_t kind; /* the sender's and receiver's own word */
};

struct mailbox *mailbox_new(struct loop *); /* wakes this loop */
void mailbox_free(struct mailbox *);        /* must be empty (checked) */

/* From any thread. The letter belongs to the receiver from now on. Letters of one sender arrive in order. */
void mailbox_post(struct mailbox *, struct letter *);

/* The oldest letter, or NULL. Only by the loop's own thread. Also works while the loop is not waiting. */
struct letter *mailbox_take(struct mailbox *);

/* ---- names ---- */

/* Resolve a host name without blocking: a thread of its own does it. The letter comes back by mail with the answer.
 * The asker allocates it (zeroed but for `letter.kind`, `name`, `port`) and frees it on arrival. */
#define RESOLVE_MAX 16
struct resolve_letter {
	struct letter letter;
	struct mailbox *to;
	void *context;
	/* The other way: the first address is given, `name` is asked for. Count 1: known, and it has the address in turn; "": there is no
	 * such name. Count 0: nobody can tell. */
	bool backwards;
	char name[256];
	uint16_t port;
	size_t count; /* 0: not found; `problem` says why */
	struct address addresses[RESOLVE_MAX];
	char problem[128];
};
void resolve(struct resolve_letter *);

/* Wait for it, before anybody is served. How many are in `out`, with this port, each once; 0: `problem` says why. */
size_t resolve_now(
	const char *name, uint16_t port, struct address *out, size_t most, char *problem, size_t problem_size);

/* How, from now on; the name servers' addresses are read anew. Before the first call there is nothing to keep, and nobody to tell. */
struct resolver_setup {
	time_us max_ttl, nxdomain_ttl; /* the longest that an answer is kept; how long it is that there is none */
	time_us zone_period;           /* between two looks at the serial numbers of zones; 0: none */
	char resolv_conf[256];         /* "": the system's */
	struct mailbox *to; /* who is told of addresses that names have lost (struct lost_letter); NULL: nobody */
	uint32_t lost_kind;
};
void resolver_configure(const struct resolver_setup *);

struct lost_letter {
	struct letter letter;
	char name[256];
	struct address address; /* port 0 */
};

/* What is known, for SHOW. */
#define RESOLVER_NAMES_MAX 256
#define RESOLVER_ZONES_MAX 32
struct resolver_facts {
	struct name_fact {
		char name[256], addresses[RESOLVE_MAX * 48]; /* with commas between */
		time_us left;                                /* until it is looked up again */
	} names[RESOLVER_NAMES_MAX];
	struct zone_fact {
		char name[256];
		uint32_t serial, names;
	} zones[RESOLVER_ZONES_MAX];
	size_t name_count, zone_count;
	uint32_t pending; /* look-ups under way */
};
void resolver_tell(struct resolver_facts *out); /* as it was a moment ago */

void resolver_stop(void); /* at the end: waits for the thread; unanswered letters are posted with count 0 */

#endif
