#ifndef PGWEIR_IO_PRIVATE_H
#define PGWEIR_IO_PRIVATE_H

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/list.h"
#include "io/loop.h"

/* What the files of this folder share, and nobody else sees. The life of a stream is told in stream.c,
 * a turn of the loop in loop.c. */

/* ---- options of sockets (socket.c) ---- */

/* What an option asks for is a wish: a socket without it still works. NULL: nothing is asked for. */
void socket_set_number(int fd, int level, int name, int value);
void socket_set_buffers(int fd, const struct stream_options *);
void socket_set_tcp(int fd, const struct stream_options *);
bool socket_options_equal(const struct stream_options *, const struct stream_options *);

/* ---- addresses and the kernel's (address.c) ---- */

/* Returns the length for bind() and connect(). */
socklen_t address_to_kernel(const struct address *, struct sockaddr_storage *out);
void address_from_kernel(const struct sockaddr_storage *, socklen_t, struct address *out);

/* ---- folders (folder.c) ---- */

/* How many names it has that do not begin with a dot; 0: it can not be read. */
size_t folder_count(const char *path);

/* ---- blocks: bytes that must outlive a turn (block.c) ---- */

/*    at -> | taken (start) | waiting bytes (length) | room |   capacity */
struct block {
	size_t start, length, capacity;
	bool secret; /* what is in it was never to be left behind: it is wiped before it is freed */
	uint8_t at[];
};

/* Make room for `n` more bytes at the end; *block may be NULL. False: memory refused, nothing changed. */
bool block_reserve(struct block **, size_t n);
bool block_add(struct block **, const void *bytes, size_t n);

/* Forget the first `n`; an empty block is freed and *block becomes NULL. */
void block_consume(struct block **, size_t n);
void block_free(struct block **);

static inline size_t block_length(const struct block *b)
{
	return b ? b->length : 0;
}

/* ---- streams ---- */

enum stream_state {
	STREAM_DIALING,
	STREAM_OPEN,
	STREAM_ENDED,     /* ENDED was said; what the owner still writes is sent silently */
	STREAM_FINISHING, /* no owner; what is queued is being sent */
	STREAM_LINGERING, /* no owner; all is sent, what still comes is thrown away until the peer ends */
	STREAM_DEAD       /* closed; memory is kept until the next loop_wait */
};

enum stream_flag {
	FLAG_QUEUED = 1 << 0,   /* in loop->ready or loop->later */
	FLAG_PAUSED = 1 << 1,   /* by the owner */
	FLAG_READABLE = 1 << 2, /* the kernel has, or may have, something to read */
	FLAG_BLOCKED = 1 << 3,  /* the kernel took less than given; wait until it says "writable" */
	FLAG_HANGUP = 1 << 4,   /* the kernel said that the peer ended, or an error */
	FLAG_TOLD = 1 << 5,     /* HANGUP was said to the owner */
	FLAG_ROOM = 1 << 6,     /* ROOM is owed to the owner */
	FLAG_AGAIN = 1 << 7,    /* unread bytes are to be delivered even if none are new */
	FLAG_FULL = 1 << 8,     /* the last read filled the buffer: others first */
	FLAG_FAILED = 1 << 9,   /* sending failed with `error`: ENDED follows once all is read */
	FLAG_OVER = 1 << 10,    /* end of file or error reached: nothing is left to read */
	FLAG_SHUT_ASKED = 1 << 11,
	FLAG_SHUT_DONE = 1 << 12,
	FLAG_ARMED = 1 << 13,      /* EPOLLOUT is in the interest (always for TCP) */
	FLAG_DIALED_NOW = 1 << 14, /* connect() answered at once: no event will come */
	FLAG_SENT = 1
		<< 15 /* something was sent since stream_silence saw that all was acknowledged: in ->spoke or ->asked */
};

/* One per connection, so every byte counts: see the static assertion in stream.c. */
struct stream {
	struct link place;   /* in loop->streams, ->spoke, ->asked, ->farewells or ->redials */
	struct stream *next; /* in ready, later or the graveyard */
	struct loop *loop;
	union {
		void *owner;
		time_us deadline; /* FINISHING and LINGERING: the owner is forgotten */
	};
	union {
		struct block *unread;
		struct tls *tls; /* when `secure`: it has the unread, and lies where a plain stream pays nothing for it */
	};
	struct block *unsent;
	union { /* the peer, packed: see stream_peer */
		uint8_t ip[16];
		struct {
			char *path; /* on the heap; NULL for an unnamed peer */
			uint32_t process, user;
		};
	};
	uint32_t scope;
	int fd;
	uint16_t port;
	uint16_t error;
	uint16_t flags;
	uint8_t turn; /* low bits of the turn in which bytes were delivered last */
	uint8_t family : 3, state : 3;
	bool secure : 1;
	bool secret : 1; /* see stream_guard */
};

struct parcel {
	int fd;
	uint16_t flags, error;
	struct stream_options options; /* what its socket has, as far as is known; TCP_NODELAY it always has */
	struct block *unread, *unsent;
	struct tls *tls; /* NULL: plain */
	struct address peer;
	bool blocking; /* its socket is */
};

#define set_flag(s, flag)   ((s)->flags |= (flag))
#define clear_flag(s, flag) ((s)->flags &= (uint16_t) ~(flag))
#define has_flag(s, flag)   (((s)->flags & (flag)) != 0)

/* A queue of streams by their `next`. */
struct queue {
	struct stream *first, *last;
};

/* ---- the loop ---- */

#define LOOP_EVENTS 256
#define LOOP_FRONT  16384 /* room for an unread tail in front of what is read */

struct loop {
	int epoll, wake, signals;
	struct ring *ring; /* ring.c; NULL: all is epoll's */
	uint8_t turn;
	atomic_bool sleeping; /* or about to: whoever posts a letter must wake us */

	struct queue ready; /* have something to say in this turn */
	struct queue later; /* had their share of this turn */
	struct stream *grave;
	struct stream *now; /* whose turn it is */

	/* the completion that the owner is looking at */
	struct stream *lent;
	struct span lent_bytes;
	size_t lent_consumed;
	bool lent_block;      /* the bytes stand in lent->unread, not in our buffer */
	struct block *orphan; /* such a block whose stream was closed meanwhile; the bytes stay readable for the turn */

	struct link streams, farewells, redials;
	struct link spoke, asked; /* with FLAG_SENT: still to be asked in this round, and not (see silence.c) */
	time_us redial_at;

	struct link watches;   /* every listener we watch */
	struct link accepting; /* those with somebody at the door */
	unsigned watches_paused;
	bool signals_waiting;

	struct link mailboxes;
	struct address peer, local; /* answers of stream_peer and stream_local */
	struct epoll_event events[LOOP_EVENTS];
	uint8_t *buffer;         /* LOOP_FRONT + LOOP_READ */
	struct tls_bench *bench; /* once it has a stream with TLS */
};

/* What an epoll event is about: a pointer with a mark in its lowest bits. */
enum mark { MARK_STREAM, MARK_WATCH, MARK_WAKE, MARK_SIGNALS };
#define MARK_MASK 3

/* For parcel.c: a stream without a descriptor; its peer, packed (false: no memory for a path) and as an address; its descriptor and epoll;
 * everything but its descriptor freed, and nobody hears of it any more. */
struct stream *stream_new(struct loop *, void *owner);
bool stream_pack_peer(struct stream *, const struct address *);
void stream_unpack_peer(const struct stream *, struct address *out);
bool stream_tell_epoll(struct stream *, int operation);
void stream_die(struct stream *);

/* Between stream.c, stream_dial.c and stream_send.c: is a dialed one open, or what went wrong; end the sending side now. */
bool stream_step_dialing(struct stream *, struct completion *out);
void stream_shut_now(struct stream *);

/* For ring.c: give the kernel what is unsent. True: all of it was taken. */
bool stream_flush(struct stream *);

/* For tls_stream.c: receive into, set the flags that follow from it, and return what recv did; send or queue these bytes as they are; say
 * something to the owner. */
ssize_t stream_receive(struct stream *, void *into, size_t room);
bool stream_write_plain(struct stream *, const struct piece *, size_t count);
bool stream_say(struct stream *, struct completion *out, enum completion_kind);
bool stream_say_ended(struct stream *, struct completion *out);

/* Put into this turn's queue, unless it is in a queue or has its turn just now. */
void loop_queue(struct loop *, struct stream *);
void loop_queue_later(struct loop *, struct stream *);

/* The owner's look at the last completion is over: keep what was not consumed. */
void loop_settle(struct loop *);

/* The kernel spoke about this stream. */
void stream_event(struct stream *, uint32_t events);

/* Something is sent: it is to be asked in the next round. */
void stream_speaks(struct stream *);

/* Its next completion in this turn, or false. */
bool stream_step(struct stream *, struct completion *out);

/* The deadline of a stream_finish passed; or the loop ends. */
void stream_drop(struct stream *);

/* With stream_guard: wipe where bytes have been; put them to a block, and wipe where they were. False: memory refused, nothing changed. */
void stream_wipe(const struct stream *, const void *bytes, size_t n);
bool stream_keep(const struct stream *, struct block **in, struct span bytes);
void stream_redial(struct stream *);

/* ---- TLS (tls_stream.c): all for streams with `secure`, but for tls_free ---- */

bool tls_connected(struct stream *);                    /* dialed, the socket is open. False: memory refused */
bool tls_stood(const struct stream *);                  /* CONNECTED was said */
bool tls_step(struct stream *, struct completion *out); /* not open yet: go on */
ssize_t tls_receive(
	struct stream *, uint8_t *into, size_t room); /* as stream_receive, decrypted; 0: nothing for the owner came */
bool tls_write(struct stream *, const struct piece *, size_t count);
void tls_goodbye(struct stream *);               /* tell the peer that nothing more is sent */
void tls_leave(struct stream *);                 /* it is plain from now on */
void tls_arrive(struct stream *, struct tls **); /* from another loop, and its bench is there */
bool tls_has_bench(struct loop *);               /* makes it. False: memory refused */
void tls_free(struct tls **);
struct block **tls_unread(struct tls *);

/* What it says of secrets is also OpenSSL's from now on. */
void tls_guard(struct stream *);

/* Where its unread bytes are. */
static inline struct block **stream_unread_at(struct stream *s)
{
	return s->secure ? tls_unread(s->tls) : &s->unread;
}

/* ---- listeners (listen.c) ---- */

struct watch {
	struct link place;     /* in loop->watches */
	struct link accepting; /* in loop->accepting */
	struct listener *listener;
	struct loop *loop;
	unsigned accepted;    /* in this turn */
	time_us paused_until; /* 0: watching */
};

/* What an errno of bind(2) or listen(2) means for who reads it, and what to do about it. */
const char *listen_reason(const struct address *, int number);

/* The next connection of this watch in this turn, or NULL: it left loop->accepting. */
struct parcel *watch_accept(struct watch *);

/* Look again at listeners that were paused because descriptors had run out. Returns the next time to look, or 0. */
time_us watches_wake(struct loop *, time_us now);
void watch_free(struct watch *);

/* ---- mail (mail.c) ---- */

struct mailbox {
	struct link place; /* in loop->mailboxes */
	struct loop *loop;
	struct letter *opened;           /* oldest first; the loop's thread only */
	_Atomic(struct letter *) posted; /* newest first; every thread */
};

bool mail_waits(struct loop *);

#endif
