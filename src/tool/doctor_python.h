#ifndef PGWEIR_TOOL_DOCTOR_PYTHON_H
#define PGWEIR_TOOL_DOCTOR_PYTHON_H

#include "base/span.h"

/* The assignments of a Python file, read without running any of it. What only running it could tell is PYTHON_UNKNOWN. */

enum python_kind {
	PYTHON_UNKNOWN, /* text: the name, where it is one */
	PYTHON_NONE,
	PYTHON_BOOL,
	PYTHON_NUMBER,
	PYTHON_TEXT,
	PYTHON_LIST, /* also tuples and sets */
	PYTHON_DICT,
	PYTHON_CALL /* text: the function's dotted name; items: its arguments, those by keyword with a key */
};

struct python_item;

struct python_value {
	enum python_kind kind;
	bool truth;
	bool fallback; /* what holds unless the environment says otherwise: os.environ.get("NAME", this) */
	double number;
	char *text;
	unsigned line;
	struct python_item *items;
	struct python_value *older; /* of all values of the file */
};

struct python_item {
	struct python_value *key, *value; /* key: NULL in lists and for arguments by position */
	struct python_item *next, *older;
};

struct python_file;

/* Read a file. Broken Python is read as far as it makes sense. NULL: memory refused. */
struct python_file *python_read(struct span text);
void python_free(struct python_file *);

/* What `name` amounts to at the end of the file; NULL: nothing is assigned to it. Borrowed from the file. */
const struct python_value *python_global(const struct python_file *, const char *name);

/* How many assignments stand under an if, try or the like. They are taken only where nothing else sets the same thing. */
unsigned python_conditional(const struct python_file *);

/* The value of a dict's or call's key; NULL: it has none. Any kind of `value` may be asked, also NULL. */
const struct python_value *python_get(const struct python_value *, const char *key);

/* Item `i`; NULL: there are not so many. */
const struct python_value *python_at(const struct python_value *, size_t i);

/* The text of a PYTHON_TEXT, else "". */
const char *python_text(const struct python_value *);

#endif
