#ifndef PGWEIR_SESSION_STATEMENTS_H
#define PGWEIR_SESSION_STATEMENTS_H

#include "base/span.h"
#include "wire/shape.h"

/* Prepared statements in transaction mode. A client's names are its own; what they stand for (text and types) is shared by
 * everybody and has one name on every server. A client's name is looked up in its own table, and the statement is prepared on the
 * server it is lent when that server does not have it yet. */

/* What a Parse says, apart from its name; one object for equal texts and types. Thread-safe. */
struct statement_book;
struct catalog;
struct params;
struct statement {
	uint32_t id; /* never 0; its name on servers is STATEMENT_PREFIX and this number */
	uint32_t tail_length;
	const uint8_t *tail; /* query, its zero, count and types, as in Parse */
};
#define STATEMENT_NAME    24
#define STATEMENT_ID_LAST 0xfffffff0u /* those above are never given out: callers may use them for something else */

struct statement_book *statement_book_new(const char *prefix); /* "PGWEIR_", or "PGBOUNCER_" under that name */
void statement_book_free(struct statement_book *);

/* What a text means depends on who reads it (session/reading.h): those with other settings have another statement, and so has who prepares it
 * after the catalogue has changed (`version`). NULL: memory refused. */
struct statement *statement_take(struct statement_book *, struct span tail, struct params *reading, unsigned version);

/* For a client's unnamed statement, which is kept for its text alone: the server reads what its client sends. Some stay for a while when nobody has
 * them any more. NULL: memory refused. */
struct statement *statement_take_unnamed(struct statement_book *, struct span tail);

/* One of its own, though there is another with this text: for a client that gives one text two names, so that what a server says of
 * a statement is always said of one name; and for one that reads it in a way of its own. */
struct statement *statement_take_apart(struct statement_book *, struct span tail);

/* Whether somebody with these settings may use it: one that is apart is its owner's, whatever the settings are. NULL: not known. */
bool statement_suits(const struct statement *, const struct params *reading);

bool statement_is_apart(const struct statement *);

/* The id of the newest one: those that come have greater ids, for the next four thousand million. */
uint32_t statement_newest(struct statement_book *);

/* Whether who prepares this text now, at this version of the catalogue, is given this one. */
bool statement_is_current(const struct statement *, unsigned version);
struct statement *statement_keep(struct statement *);

/* The marks of a look at its text (session/look.h); looked at once. */
uint32_t statement_marks(struct statement *);

/* As catalog_look of its text. Remembered, for the catalogue that was asked last, where the marks are all that is found. */
struct look;
bool statement_look(struct statement *, const struct catalog *, struct look *);

/* What the caller has found in its text, which anybody would find there: kept with it. 0: nothing was noted. */
unsigned statement_note(const struct statement *);
void statement_set_note(struct statement *, unsigned note);

/* Whether something lies beneath its words (session/catalog.h); remembered for the catalogue that was asked last. */
bool statement_touches(struct statement *, const struct catalog *);

/* Whether its columns stay what they were when it was prepared: those of FETCH and EXECUTE are whatever their cursor's or statement's are by then. */
bool statement_keeps_columns(struct statement *);

/* FETCH and EXECUTE: PostgreSQL notes at their Parse what columns the cursor or the prepared statement of that session has, and looks for it again when
 * they are described. */
bool statement_follows_session(struct statement *);
struct span statement_text(const struct statement *); /* without its zero */
void statement_drop(struct statement *);

/* Its name on servers, terminated; returns its length. */
size_t statement_name(const struct statement *, char out[STATEMENT_NAME]);
size_t statement_name_of(const struct statement_book *, uint32_t id, char out[STATEMENT_NAME]);
const char *statement_prefix(const struct statement_book *);
void statement_book_counts(struct statement_book *, uint64_t *statements, uint64_t *bytes);

/* ---- a client's names ---- */

struct names {
	struct name_table *table; /* NULL: none, and no room for any */
};

uint32_t names_count(const struct names *);
uint64_t names_bytes(const struct names *); /* that they cost, as name_bytes has it */

/* What a name for this statement costs, as if the text were its own: bytes. */
uint64_t name_bytes(struct span name, const struct statement *);

struct statement *names_get(const struct names *, struct span name); /* NULL: unknown */

/* The same, and what its client may have been told of it: columns and types are those of when the name was prepared, as they are on PostgreSQL. */
struct statement *names_look(const struct names *, struct span name, struct shape **);
bool names_put(struct names *, struct span name,
	struct statement *);                       /* keeps it; the name must be unknown. False: memory refused */
bool names_reserve(struct names *, uint32_t more); /* room for so many more, until names_fini. False: memory refused */
void names_give(struct names *, char *name,
	struct statement
		*); /* as names_put, in a reserved place; both are its own from now on: the name is of names_text */
char *names_text(struct span name); /* NULL: memory refused */
void names_text_free(char *);
void names_remove(struct names *, struct span name);                   /* unknown is fine */
bool names_have(const struct names *, uint32_t id);                    /* some name stands for it */
bool names_find(const struct names *, uint32_t id, struct span *name); /* ... and this is one that does, for errors */
void names_clear(struct names *);                                      /* forget all; what is reserved stays */
void names_fini(struct names *);                                       /* forget all; usable again */

/* ---- what a server has ---- */

enum prepared_state {
	PREPARED_NONE,    /* it must be sent */
	PREPARED_PENDING, /* it was sent in this very batch (no Sync since): the messages behind it may rely on it */
	PREPARED_DOUBTFUL, /* it may or may not be there (sent in an earlier batch that is not answered yet): close it, then send it */
	PREPARED_READY
};

struct prepared; /* one per server */
struct prepared *prepared_new(void);
void prepared_free(struct prepared *);
enum prepared_state prepared_look(
	struct prepared *, const struct statement *, uint32_t batch); /* also marks it used last */

/* What the server says of it, asked by a Describe behind its Parse: not known until it is answered, and the same for as long as it is there. */
struct prepared_shape {
	struct shape shape;
	uint32_t asked; /* Describe messages sent and not answered */
	uint32_t batch; /* in which it was prepared */
};
enum prepared_state prepared_look_shape(
	struct prepared *, const struct statement *, uint32_t batch, const struct prepared_shape **);
void prepared_asked(struct prepared *, uint32_t id);
void prepared_told(struct prepared *, uint32_t id, struct shape); /* nothing is known: it was skipped, or failed */
bool prepared_sent(struct prepared *, struct statement *, uint32_t batch); /* False: memory refused */
void prepared_done(struct prepared *, uint32_t id);                        /* ParseComplete came */
void prepared_failed(struct prepared *, uint32_t id);                      /* its Parse failed or was skipped */
/* Something else may have ended it, or failed to: close it before it is sent again. False: it is not known here. */
bool prepared_doubt(struct prepared *, uint32_t id);
struct statement *prepared_excess(struct prepared *,
	size_t most); /* the ready one used longest ago when there are more than `most`: taken out, the caller drops it */
size_t prepared_count(const struct prepared *);

/* DISCARD ALL or DEALLOCATE ALL was answered: forget all but what was sent after it and is still to be answered. */
void prepared_forget(struct prepared *);

#endif
