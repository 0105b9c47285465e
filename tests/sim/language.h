#ifndef SIM_LANGUAGE_H
#define SIM_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "bodies.h"

/* What a statement asks for. The language is that of the table in session.c. */

enum verb {
	VERB_EMPTY,
	VERB_ROW,
	VERB_ROWS,
	VERB_SLEEP,
	VERB_WRITE_SLEEP,
	VERB_PARAMETER,
	VERB_CALL,
	VERB_TENANT,
	VERB_INSERT,
	VERB_DATED,
	VERB_PAY,
	VERB_FAIL,
	VERB_WARN,
	VERB_DIE,
	VERB_COPY_OUT,
	VERB_COPY_IN,
	VERB_BEGIN,
	VERB_BEGIN_APART, /* the pooler's, around what a client has set */
	VERB_COMMIT,
	VERB_ROLLBACK,
	VERB_SHOW,
	VERB_SET,
	VERB_RESET,
	VERB_RESET_ALL,
	VERB_DISCARD,
	VERB_DEALLOCATE,
	VERB_CONFIG,
	VERB_TEMP,
	VERB_TABLE,
	VERB_DROP,
	VERB_RESET_ROLE,
	VERB_SEQUENCES,
	VERB_PLANS,
	VERB_QUESTION,
	VERB_TRAPPED,
	VERB_LIMITS,
	VERB_CATALOG,
	VERB_LISTEN,
	VERB_UNLISTEN,
	VERB_NOTIFY,
	VERB_TELL,
	VERB_BAD
};

struct parsed {
	enum verb verb;
	unsigned n, width;
	char text[600];
	int setting;
	enum body body;  /* that it runs */
	bool asks;       /* for $1 */
	char topic[100]; /* or the name of a statement; empty: all */
	bool local;
	const char *configs; /* set_config calls */
};

void language_parse(const char *text, struct parsed *);
bool language_returns_rows(const struct parsed *);

/* The pieces it is made of. Each steps over the blanks around what it takes; false: something else stands there. */
const char *take_blank(const char *at);
bool take_word(const char **at, const char *expected);
bool take_sign(const char **at, char expected);
bool take_literal(const char **at, char *out, size_t size);

#endif
