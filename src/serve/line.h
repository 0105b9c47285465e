#ifndef PGWEIR_SERVE_LINE_H
#define PGWEIR_SERVE_LINE_H

#include "serve/worker.h"

/* A connection of our own to PostgreSQL that is in no pool, up to its first ReadyForQuery: find the host, connect, log in. It is the
 * first member of what owns it, which decides what follows. */
enum line_state { LINE_CLOSED, LINE_RESOLVING, LINE_CONNECTING, LINE_LOGIN, LINE_OPEN };

struct line {
	enum party party;
	uint8_t state; /* enum line_state */
	bool plain;    /* never with TLS: it leads to no PostgreSQL */
	uint16_t port;
	uint32_t number; /* by which the answer of a name lookup finds it: those of monitors from 0, those of couriers from 2^30, of ears from 2^31 */
	struct worker *worker;
	const char *host; /* its owner's */
	struct stream *stream;
	struct server *login;
	struct address address, *addresses;
	size_t address_count;
	uint32_t process_id;
	char sqlstate[6], problem[160]; /* of LINE_FAILED */
};

enum line_edge {
	LINE_MORE,
	LINE_READY, /* logged in */
	LINE_FAILED /* it is closed */
};

/* Each may say LINE_FAILED. When it is connected (DONE_CONNECTED), say as whom with line_login. */
enum line_edge line_dial(struct line *, const char *host);
enum line_edge line_resolved(struct line *, const struct resolve_letter *);
enum line_edge line_login(struct line *, struct server_setup, const char *password, pool_id);
enum line_edge line_bytes(struct line *, struct span bytes, size_t *used); /* LINE_LOGIN */
enum line_edge line_ended(struct line *, int error);                       /* whatever its state was */
enum line_edge line_fail(struct line *, const char *sqlstate, const char *problem);

/* Send worker->out. False: memory refused. */
bool line_send(struct line *);

void line_close(struct line *); /* says Terminate if it is open */

#endif
