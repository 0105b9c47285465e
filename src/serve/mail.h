#ifndef PGWEIR_SERVE_MAIL_H
#define PGWEIR_SERVE_MAIL_H

#include "auth/secrets.h"
#include "config/config.h"
#include "core/effect.h"
#include "io/loop.h"
#include "serve/behind.h"
#include "view/snapshot.h"

/* The letters that workers and the keeper write each other. Whoever receives one owns it. */
enum letter_kind {
	LETTER_CLIENT,    /* a new connection for this worker */
	LETTER_EFFECT,    /* perform this */
	LETTER_SERVER,    /* a server that was asked for: see serve/channel.c */
	LETTER_CANCEL,    /* a cancel request for one of this worker's clients */
	LETTER_CONFIG,    /* a new configuration is in force */
	LETTER_RESOLVE,   /* the answer of a name lookup (struct resolve_letter) */
	LETTER_CENSUS,    /* add your part to the snapshot and pass it on */
	LETTER_COMMAND,   /* to the keeper: RELOAD, SET, SHUTDOWN, asked by a console */
	LETTER_REPLY,     /* from the keeper: how a command ended */
	LETTER_KILL,      /* close one client, by id */
	LETTER_LISTENERS, /* begin (or stop) to accept on the listeners */
	LETTER_CANCELLED, /* to the worker of the connection that brought a cancel: it was delivered, or there was nothing to do */
	LETTER_SURVEY, /* say what your clients do, and pass it on; the keeper judges it: see serve/survey.c */
	LETTER_REAP,   /* look at these clients, and end those who may be ended: see serve/reaper.c */
	LETTER_HEAR,   /* to the first worker, and what it says: see serve/ears.h */
	LETTER_HEARD,
	LETTER_QUESTION, /* from the HTTP thread to the first worker, and back to the keeper: see serve/questions.h */
	LETTER_LOOKUP,   /* what auth_query found, to a client who waited for it: see serve/lookups.c */
	LETTER_HOST,     /* the name of a client's host: see serve/naming.c */
	LETTER_VOUCH, /* what PAM or LDAP said of a password: to a worker, see serve/vouching.c; by the keeper to the HTTP thread, see serve/web_judges.h */
	LETTER_LEAVE, /* close what is connected there: see serve/suits.h */
	LETTER_LOST_ADDRESS, /* from the resolver, to the first worker: a name has it no more */
	LETTER_FORWARD,      /* to the first worker: a cancel request for a peer, see serve/peering.h */
	LETTER_LEAVING,      /* to the keeper: look whether this process may end, see serve/takeover.h */
	LETTER_WAKE,         /* the core's next deadline may be nearer than it was */
	LETTER_STOP          /* end: close everything and leave the loop */
};

struct letter_client {
	struct letter letter;
	struct parcel *parcel;
};

struct letter_effect {
	struct letter letter;
	struct effect effect;
};

struct letter_cancel {
	struct letter letter;
	struct letter_cancel *next;
	uint64_t turn;           /* in which it was read */
	struct client_ref asker; /* the connection that brought it: it is closed when the cancel has been delivered */
	uint32_t slot, process_id;
	uint8_t secret[256];
	size_t secret_length;
};

struct letter_cancelled {
	struct letter letter;
	struct client_ref asker;
};

struct letter_census {
	struct letter letter;
	struct client_ref asker;
	struct snapshot *snapshot; /* owned by the letter */
	uint32_t next;             /* the worker to visit next */
	bool to_keeper;            /* for the HTTP server, and no console */
	struct behind behind;
};

enum command_kind {
	COMMAND_RELOAD,
	COMMAND_SET,
	COMMAND_SHUTDOWN,
	COMMAND_TAKEN_OVER,
	COMMAND_SUCCESSOR_LEFT /* nobody waits for an answer: a console that said TAKEN_OVER has ended */
};

/* Who asks brings it along, and its letter owns it: whoever is asked could tell nobody that memory is refused. */
struct letter_reply {
	struct letter letter;
	struct client_ref asker;
	bool ok;
	char problem[512]; /* TAKEN_OVER that is ok: the back door */
};

struct letter_command {
	struct letter letter;
	enum command_kind command;
	struct client_ref asker;
	struct letter_reply *reply; /* SUCCESSOR_LEFT: NULL */
	enum shutdown_mode mode;
	uint32_t successor; /* TAKEN_OVER: its process id */
	char key[64], value[256];
};

struct letter_kill {
	struct letter letter;
	uint32_t number; /* as SHOW CLIENTS prints it */
	struct client_ref asker;
	struct letter_reply *reply;
};

struct letter_listeners {
	struct letter letter;
	bool watch; /* false: stop accepting on TCP (and on unix sockets too when `all`) */
	bool all;
	bool leaving; /* because of a successor: see serve/takeover.h. They stay open, for it may die */
	struct client_ref asker;
};

#endif
