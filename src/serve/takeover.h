#ifndef PGWEIR_SERVE_TAKEOVER_H
#define PGWEIR_SERVE_TAKEOVER_H

#include "serve/house.h"

/* One process takes the place of another (-R). The one that goes is the forerunner, the one that comes its successor.
 *
 *      successor                                   forerunner
 *      logs in to the console, unix socket    -->
 *      SHOW FDS                               -->
 *                                             <--  the listening sockets; both have them now, the forerunner accepts
 *      makes all ready
 *      SHUTDOWN TAKEN_OVER process            -->  no worker accepts any more, consoles end
 *                                             <--  where cancel requests for its clients go
 *      accepts
 *      SHUTDOWN TAKEN_OVER process            -->  closes the sockets and http_listen, tells the supervisor
 *      owns the files of sockets and pid,     <--
 *      opens http_listen
 *      says goodbye                                serves its clients until the last has left, then ends
 *
 * No attempt to connect is refused: between the two the kernel's queue holds it. Until the second command nothing has changed for
 * the forerunner, so that a successor which can not start leaves everything as it was. When the successor's console ends before the
 * third, the forerunner opens its doors again, and what the queue holds is its: there is no moment in which a death leaves nobody. */

/* ---- the forerunner's part: forerunner.c ---- */

struct guest;
struct worker;
struct letter_command;
struct letter_listeners;

/* SHOW FDS, up to its last row; into `text`, or sent at once with the sockets, if it is our own user who asks. False: only the end of this
 * console is left. */
bool forerunner_show(struct guest *, struct buf *text);

/* The keeper was told SHUTDOWN TAKEN_OVER. False: `problem`, and nothing was done. The workers are asked to shut the doors; when all have,
 * the keeper gets LETTER_LEAVING, and again, once a successor serves, when the last client has left. */
bool forerunner_begin(struct house *, const struct letter_command *, char *problem, size_t size);
void forerunner_yield(struct house *); /* all doors are shut, and the successor serves: the sockets are its alone */
void forerunner_stay(struct house *);  /* all doors are shut, and it will never serve: they open again */
void forerunner_visit(struct worker *, const struct letter_listeners *);
/* A console that logs in. True: it came too late, and was ended as those that were in. */
bool forerunner_refuses(struct guest *);
bool forerunner_is_shut(const struct house *); /* no door is open any more */
bool forerunner_is_left(const struct house *); /* and nobody is here */
void forerunner_look(struct worker *);         /* it may have been its last client */

/* ---- the successor's part: successor.c ---- */

struct takeover {
	struct passage *line; /* to the forerunner; NULL: there is none */
	struct listener *listeners[HOUSE_LISTENERS];
	size_t count;
};

/* Ask for the forerunner's sockets. True without a line: there is nobody. False: `error`. */
bool takeover_begin(
	struct takeover *, const struct config *, const struct listen_setup *, char *error, size_t error_size);

/* Its socket there, now the house's; NULL: it has none. */
struct listener *takeover_listener(struct takeover *, const struct address *);

/* Everything is ready: the forerunner shall accept no more. False: `error`, and it goes on. */
bool takeover_finish(struct takeover *, struct house *, char *error, size_t error_size);
/* We serve: it may end, and the files of the sockets are ours. */
void takeover_complete(struct takeover *, struct house *);
void takeover_fini(struct takeover *);

#endif
