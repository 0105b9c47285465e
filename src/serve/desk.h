#ifndef PGWEIR_SERVE_DESK_H
#define PGWEIR_SERVE_DESK_H

#include "serve/worker.h"
#include "session/console.h"

/* What the parts of a console share: desk.c (the conversation), desk_commands.c (what is asked for). Their promises to the rest are in
 * worker.h. */

struct desk {
	struct console_command command; /* the one at hand */
	bool busy;                      /* it is not answered yet */
	bool with_core;                 /* the core holds it: it must be told when we leave */
	bool without_ours;              /* the columns of its SHOWs are PgBouncer's alone */
	bool skipping;                  /* an extended message was refused: nothing until Sync */
	struct letter_command *left;    /* it said SHUTDOWN TAKEN_OVER: the keeper must be told when we leave */
};

/* One command. It is answered at once, or the desk is busy. */
void desk_obey(struct guest *, struct span query);

/* Answers: each ends in ReadyForQuery, and the next command is read when it is taken. */
void desk_finish(struct guest *, struct buf *text); /* as it is; the text is freed */
void desk_done(struct guest *, const char *tag);
void desk_complain(struct guest *, const char *sqlstate, const char *message, const char *hint); /* hint: may be NULL */

#endif
