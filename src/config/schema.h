#ifndef PGWEIR_CONFIG_SCHEMA_H
#define PGWEIR_CONFIG_SCHEMA_H

#include "config/config.h"

/* The settings as data: one row each, in the order of SHOW CONFIG. Parsing, SHOW CONFIG, SET and the reference
 * page are all made from these tables. Private to config/ and the generator of the page. */

enum setting_type {
	TYPE_TEXT,        /* char *; a list, a path, SQL, a name: unit says which */
	TYPE_BOOL,        /* int, 0 or 1 */
	TYPE_INT,         /* int */
	TYPE_BYTES,       /* int64_t */
	TYPE_TIME,        /* time_us from seconds, decimals allowed */
	TYPE_SECONDS,     /* time_us from whole seconds */
	TYPE_MODE,        /* int from octal digits */
	TYPE_WORD,        /* int or enum: the number of the word in `words` */
	TYPE_CHECK_QUERY, /* char *server_check_query and server_check_on */
	TYPE_ACTIONS,     /* char *; what is done about leaks of which pattern */
	TYPE_WEIGHTS,     /* char *; which application_name weighs how much */
	/* In entries of [databases], [users], [peers]: */
	TYPE_HOSTS,        /* the comma list */
	TYPE_PORT,         /* int for all of the hosts */
	TYPE_SECONDS_WIDER /* whole seconds; 0 means: ask the next wider, as in PgBouncer */
};

/* How far a key goes with us. */
enum built {
	BUILT,
	NOT_NEEDED /* has no meaning here: a warning names it when it is set, with the reason */
};

struct setting_word {
	const char *text;
	int value; /* -1: known, but not built yet */
};

struct setting {
	const char *key;
	enum setting_type type;
	const char *unit; /* for people: "s", "bytes", "list", "path" ... */
	const char *standard;
	const char *standard_pgbouncer; /* under that name, where it differs; else NULL */
	bool reloadable, hidden;        /* hidden: not in SHOW CONFIG, as on Linux PgBouncer does not have it */
	enum built built;
	const char *since; /* PgBouncer's version, or "pgweir" */
	int64_t least, most;
	const struct setting_word *words;
	size_t offset, size; /* of the field; in struct config, or in the entry's. Size 0: none */
	const char *what;
	const char *lacking; /* not BUILT: what follows from that */
	const char *alias;   /* entries: an older name */
};

extern const struct setting schema_settings[], schema_database_keys[], schema_user_keys[], schema_peer_keys[];
extern const size_t schema_settings_count, schema_database_keys_count, schema_user_keys_count, schema_peer_keys_count;

/* The row of a key, or NULL. */
const struct setting *schema_find(const struct setting *rows, size_t count, struct span key);

/* The nearest key to a mistyped one, or NULL. */
const char *schema_nearest(const struct setting *rows, size_t count, const char *key);

const char *schema_standard(const struct setting *, enum manner);

#endif
