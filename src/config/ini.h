#ifndef PGWEIR_CONFIG_INI_H
#define PGWEIR_CONFIG_INI_H

#include "base/buf.h"

/* The syntax of the file, line by line, and of the key=value lists in its values. Knows no setting, opens no file.
 * Private to config/. */

enum ini_kind {
	INI_END,
	INI_SECTION, /* [key] */
	INI_PAIR,    /* key = value */
	INI_INCLUDE, /* %include value */
	INI_BAD      /* problem says what is wrong with the line */
};

struct ini {
	struct span rest;
	unsigned line; /* of what ini_next returned last, from 1 */
	bool behind;   /* a section: the rest begins on its line */
	struct buf quoted;
	struct span key, value; /* borrowed until the next call */
	const char *problem;
};

void ini_init(struct ini *, struct span text);
enum ini_kind ini_next(struct ini *);
void ini_fini(struct ini *);

enum pair_result { PAIR_END, PAIR_TAKEN, PAIR_BAD };

/* Take the next key=value off the front of a list separated by spaces; a value may be quoted by '...', in which ''
 * is one quote. `value` is copied (room for the whole list is enough). PAIR_BAD: problem says what is wrong. */
enum pair_result pair_take(struct span *list, struct span *key, char *value, const char **problem);

#endif
