#ifndef SIM_POSTGRES_H
#define SIM_POSTGRES_H

#include "session.h"

/* A PostgreSQL server of the simulated world. */

/* CANCELLING: no backend, but a cancel request. */
enum backend_state {
	BACKEND_STARTING,
	BACKEND_CANCELLING,
	BACKEND_PROVING,
	BACKEND_READY,
	BACKEND_ENDING,
	BACKEND_GONE
};

struct backend {
	struct end *end;
	enum backend_state state;
	struct bytes in, out;
	struct session *session;
	char user[40], database[40];
	uint32_t process;
	time_us born;
	uint32_t secret;
	bool counted; /* it takes one of max_connections */
	bool monitor; /* it calls itself a monitor: what it asks is answered in monitor.c */
	bool aside;   /* it calls itself a listener: in no pool */
	bool replicates;
	int only;     /* for replication: the one client that it was made for; -1: not known yet */
	bool heeds;   /* it LISTENs to something */
	bool beyond;  /* it is in the other database to which RELOAD leads clients of "app" too */
	size_t heard; /* of what was committed, up to where: see notes.c */
	bool due;     /* it will run */
	bool told_end;
	uint64_t sleep;  /* which one a wake-up is for */
	uint32_t signal; /* of a cancel request: which process is still to be signalled; 0: none */
	time_us hit_at;  /* when it was signalled for the first time and hit something; 0: not yet */
	int owner;       /* the client whose batch it runs; -1: nobody's */
	bool writing;    /* a statement that writes runs */
	struct backend *next;
};

struct cluster {
	unsigned max_connections, usual, counted; /* usual: max_connections when nothing is wrong; counted: backends */
	unsigned others;                          /* connections that do not come from us */
	unsigned readings; /* answers to the monitor since others, max_connections or our configuration changed */
	time_us changed_at, steady_at; /* when that was; and when the second of these answers was given, 0: not yet */
	time_us ear_ended_at;          /* when a connection that listens for all was last lost; 0: never */
	bool hides, forbids;           /* from the monitor: what others do; what it may read */
	bool down, starting, cleartext;
	time_us think_least, think_most;
	struct backend *backends;
	uint32_t next_process;
	unsigned hits;    /* cancels that hit something of which it does not show whose it is: may still be heard */
	unsigned again;   /* cancels that hit once more: may still be heard */
	bool cancelled;   /* a cancel request has come: `strays` is drawn */
	unsigned strays;  /* permille of them that lose their connection before they signal */
	unsigned signals; /* cancel requests that are here and have not signalled yet */
};
extern struct cluster cluster;

void backend_soon(struct backend *); /* it has something to say */
void cluster_begin(void);
void cluster_end(void);

/* The answer to a Query of the monitor's. */
void monitor_answers(struct backend *, const char *text);

/* Others come or go, as far as there is room. */
void cluster_others(unsigned count);
void cluster_room(unsigned max_connections);

/* Faults. */
void cluster_restart(time_us down_for); /* fast shutdown, then some time of 57P03 */
void cluster_crash(time_us down_for);   /* one backend died: all are ended without a word */
void backend_terminate(struct backend *);
void backend_vanish(struct backend *); /* only this one, without a word */

bool backend_lives(const struct backend *); /* logged in or nearly, and not ended */

#endif
