#ifndef PGWEIR_SERVE_HOUSE_H
#define PGWEIR_SERVE_HOUSE_H

#include <stdatomic.h>

#include "auth/secrets.h"
#include "config/config.h"
#include "core/core.h"
#include "io/loop.h"
#include "io/thread.h"
#include "serve/origins.h"
#include "serve/tls.h"
#include "session/params.h"
#include "session/statements.h"

/* What all threads share. The lock is short: nobody does anything under it but ask the core or take a counted reference. */
struct worker;
struct keeper;
struct catalogs;
struct seats;
struct paces;
struct lookups;
struct place;
struct letter_listeners;
#define HOUSE_LISTENERS 64
#define HOUSE_EARS      256

struct house {
	struct lock *lock;
	struct core *core;       /* under the lock */
	struct config *config;   /* under the lock: take a reference with house_config */
	struct secrets *secrets; /* under the lock, as config */
	struct tls_pair tls;     /* likewise */
	atomic_uint generation;  /* grows with every new configuration */

	struct params_book *params;
	struct statement_book *statements;
	struct catalogs *catalogs; /* see serve/catalogs.h */
	struct seats *seats;       /* see serve/seats.h */
	struct lookups *lookups;   /* see serve/lookups.h */
	uint8_t process_random[32];
	struct worker **workers;
	uint32_t worker_count;
	struct keeper *keeper;
	struct mailbox *keeper_mailbox;
	time_us started_wall;
	uint64_t descriptor_limit;
	struct origins origins;     /* under the lock */
	struct paces *paces;        /* under the lock: how fast logins come from each address */
	struct reap_account *reaps; /* the last one, under the lock; see reaper.h */
	struct survey *survey;      /* the keeper's own: see serve/survey.c */
	struct report *
		report; /* under the lock, counted: what was found when all origins were last looked at; NULL: not yet */
	atomic_bool surveying;  /* a letter is on its way */
	uint32_t clients_aside; /* how many more may wait at that door */
	uint32_t clients_max;   /* by descriptors: beyond it new logins wait at the door */
	atomic_uint clients;    /* connected now */
	atomic_bool stopping;
	/* A RELOAD has made a pool one of sessions, or such a one another: clients of before share servers, or keep them. */
	atomic_bool modes_mixed;
	atomic_uint consoles;      /* of admin_users: see serve/suspend.h */
	atomic_uint desks;         /* all that are at the console */
	_Atomic uint64_t commands; /* what they have said */
	struct welcomes *welcomes; /* by pool id, under the lock: see serve/welcomes.c */
	uint32_t welcome_capacity;
	struct hosts **hosts; /* likewise: see serve/hosts.c */
	uint32_t hosts_capacity;
	atomic_uint numbers; /* the last number given to a client or server, for people: see house_number */
	struct listener *listeners[HOUSE_LISTENERS];
	atomic_uint watchers[HOUSE_LISTENERS];
	uint32_t listener_count;
	struct listener *back_door;       /* see serve/takeover.h */
	struct address forerunner;        /* its back door; family NONE: there is none. Set before the workers run */
	atomic_uint workers_shut;         /* have shut the doors for a successor */
	atomic_bool taken_over;           /* all have, and it serves */
	struct place *places[HOUSE_EARS]; /* under the lock: see serve/places.h */
	uint32_t place_count;
	_Atomic uint64_t listen_queued; /* bytes of notifications that wait for clients: see serve/hearer_queue.c */
	atomic_uint ear_seekers[HOUSE_EARS]; /* clients that would have this ear hear for them: see hearer_seek */
	char ear_mark[32];                   /* the topic of marks, made anew with each process */
};

struct house_setup {
	struct config *config;   /* taken */
	struct secrets *secrets; /* taken; may be NULL */
	struct tls_pair tls;     /* taken */
	uint32_t workers;        /* at least 1 */
	uint64_t descriptor_limit;
};
struct house *house_new(const struct house_setup *); /* makes the workers too. NULL: the kernel or memory refused */
void house_free(struct house *);                     /* after every worker has stopped */

/* The configuration in force, counted for the caller. */
struct config *house_config(struct house *, struct secrets **secrets);
struct tls_pair house_tls(struct house *);

/* Put a new configuration in force (takes all three) and tell every worker. Effects of changed limits go by mail. */
void house_configure(struct house *, struct config *, struct secrets *, struct tls_pair);

/* Tell every worker to end everything and leave its loop. */
void house_stop(struct house *);

/* Feed an event from outside the workers; the effects go to them by mail. */
void house_step(struct house *, const struct event *);

/* After the last worker has stopped: letters that nobody will read. */
void house_sweep(struct house *);

/* Bind and listen; before the workers run. False: `error`. */
bool house_listen(struct house *, const struct address *, const struct listen_setup *, char *error, size_t error_size);

/* On a socket that was handed over. */
bool house_inherit(struct house *, int fd, const struct listen_setup *, char *error, size_t error_size);

/* One that listens already; taken. Before the workers run. */
void house_take_listener(struct house *, struct listener *);

/* Begin to accept on all listeners, in every worker; or stop: on TCP alone, or on `all`. */
void house_open_doors(struct house *, bool watch, bool all);

/* tcp_defer_accept has changed. `watched`: the caller's own, which nobody else closes. */
void house_defer(struct house *, uint64_t watched, bool defer);
void house_watch(struct house *, struct loop *, uint64_t *watched, const struct letter_listeners *);

/* A number for SHOW and KILL_CLIENT: positive, 31 bits, not given again before two billion others were. */
uint32_t house_number(struct house *);

/* Which addresses of a client count as our own user (console without a password). */
struct stream_options house_stream_options(const struct config *); /* of clients' and servers' connections */
bool house_is_own_user(const struct address *);

#endif
