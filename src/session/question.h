#ifndef PGWEIR_SESSION_QUESTION_H
#define PGWEIR_SESSION_QUESTION_H

#include "base/buf.h"
#include "session/look.h"
#include "session/params.h"
#include "session/topics.h"

/* What a server is asked when a look found that something may be left in its session: one query, whose rows are a kind, a name and
 * a value. PostgreSQL knows what a transaction that was rolled back, a savepoint, ON COMMIT DROP or a trigger made of it; nobody has
 * to guess. Everything is named with its schema, since the client's search_path is in force. */

/* In front of a Query of ours, where no transaction is open: what follows takes no part in anything, whatever default_transaction_isolation is. A serializable
 * one is refused by a standby, and one that is read only and deferrable may have to wait. */
#define TRANSACTION_APART "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;"

/* Why a client keeps its server beyond its transaction. */
enum pin {
	PIN_TEMPORARY,
	PIN_CURSOR,
	PIN_LOCK,
	PIN_PREPARE,
	PIN_LISTEN,
	PIN_SETTING,  /* settings that can not be given to another server */
	PIN_UNSEEN,   /* something may have been set that no view shows */
	PIN_SEQUENCE, /* currval and lastval */
	PIN_FOR_GOOD, /* what can not be undone: the server ends with its client */
	PIN_UNASKED,  /* the question failed */
	PINS
};
const char *pin_text(enum pin);
const char *pin_word(enum pin); /* in one word, for metrics */

struct question {
	uint32_t marks;              /* of looks: what may have been left */
	const struct params *set;    /* names to be asked for one by one, those with a dot; values do not matter */
	const struct params *called; /* functions that are not known */
	const char *user;            /* as whom the server was logged in */
	int version;                 /* of PostgreSQL, the first number */
	bool login; /* the server was logged in just now: what is set comes from there, if event triggers ran */
	const char *greeting; /* ... and from this statement; or NULL */
};

/* Append the query. False: memory refused. */
bool question_write(const struct question *, struct buf *out);

struct answer {
	uint32_t asked; /* pins that the question can tell of: 1 << enum pin */
	uint32_t pins;  /* those that are so */
	struct params
		*settings; /* owned: what is set in the session, when settings_asked; in the letters of the database */
	struct topics
		topics; /* owned: what it LISTENs to, when PIN_LISTEN is among `asked`; cut at one more than are shared */
	size_t bytes;   /* of settings so far */
	bool settings_asked, privileged, role, refused;
};

/* For the answer to this question. */
void answer_begin(struct answer *, const struct question *, struct params *empty); /* takes a reference of its own */
void answer_fini(struct answer *);

/* The body of a DataRow. False: it is not what was asked for. */
bool answer_row(struct answer *, struct span body);

/* All rows were there: what follows from them together. */
void answer_end(struct answer *);

#endif
