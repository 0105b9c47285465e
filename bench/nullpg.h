/* What the files of the null PostgreSQL share among themselves: nullpg.c has its threads, connections and their bytes, nullpg_answer.c answers
 * each message, nullpg_statement.c knows statements and their names, nullpg_reply.c writes replies. */
#ifndef BENCH_NULLPG_H
#define BENCH_NULLPG_H

#include <pthread.h>

#include "net.h"

enum { REPLY_MAX = 256 * 1024, REPLY_ROOM = 4096 };

/* What a statement does, as far as anyone can tell from our answers. */
enum statement_kind {
	NOTHING,
	ROW,
	INQUIRY,
	SET_CONFIG,
	BEGIN,
	COMMIT,
	ROLLBACK,
	SET,
	RESET,
	DISCARD,
	DEALLOCATE,
	BULK,
	COPY_IN
};

struct statement {
	uint64_t name_hash; /* 0: the slot is empty */
	enum statement_kind kind;
};

enum phase { STARTING, READY, SKIPPING, COPYING };

struct conn {
	int descriptor;
	enum phase phase; /* SKIPPING: after an error, until Sync */
	char status;
	bool copy_is_simple;
	bool ends;          /* epoll said that the peer will send no more, and says it once */
	uint64_t bulk_left; /* bytes of rows still to stream */
	bool bulk_is_simple;
	uint64_t skip; /* bytes of a CopyData still to swallow */
	enum statement_kind unnamed, portal;
	char text[64]; /* arguments of the last bulk or SET */
	struct statement *named;
	uint32_t named_size, named_used;
	uint8_t *in, *out; /* unfinished message, unsent reply */
	size_t in_length, in_size, out_length, out_at;
};

struct worker {
	pthread_t thread;
	int epoll;
	uint8_t *read_buffer;
	uint8_t *reply;
	size_t reply_length;
};

/* Accept any statement name, known or not, and any name twice: for a pooler
 * that passes names through without following them. */
extern bool lax;

/* ---- nullpg_answer.c ---- */

/* Before the startup packet, messages have no type. False: hang up. */
bool take_first(struct worker *, struct conn *, char *packet, size_t length);

/* One whole message; `body` ends in a byte that may be read. False: hang up. */
bool take_message(struct worker *, struct conn *, char type, char *body, size_t length);

/* As many rows as have room, and the end behind the last. */
void stream_bulk(struct worker *, struct conn *);

/* ---- nullpg_statement.c ---- */

enum statement_kind kind_of(const char *text);

/* By its name, "" for the unnamed one. False: there is none. */
bool statement_find(struct conn *, const char *name, enum statement_kind *);
void statement_keep(struct conn *, const char *name, enum statement_kind);
void statement_forget(struct conn *, const char *name);

/* ---- nullpg_reply.c ---- */

/* A message whose length is known when it is closed. */
uint8_t *reply_open(struct worker *, char type);
void reply_bytes(struct worker *, const void *bytes, size_t length);
void reply_close(struct worker *, uint8_t *start);

void reply_tag(struct worker *, const char *tag);
void reply_parameter(struct worker *, const char *name, const char *value);
void reply_ready(struct worker *, const struct conn *);
void reply_error(struct worker *, const char *sqlstate, const char *text);
void reply_columns(struct worker *); /* of the canned row */
void reply_row(struct worker *);
void answer_inquiry(struct worker *, const char *text);
void report_set(struct worker *, const char *text);

#endif
