#ifndef PGWEIR_TOOL_TABLE_H
#define PGWEIR_TOOL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/span.h"

/* Tables for people, and texts of strangers made safe to be shown to them. */

/* Copy `from` so that a terminal shows it and does not obey it: control characters and bytes that are no UTF-8 become \x1b, letters
 * that are invisible or turn the direction of writing \u{202e}, a backslash \\. Always terminated; cut between letters, with "..." at
 * the end, when it has more than `most` letters (0: no such limit) or does not fit. Returns the length. */
size_t show_text(char *out, size_t size, size_t most, struct span from);

/* The same for one line of SQL: white space of any length becomes one space first. */
size_t show_sql(char *out, size_t size, size_t most, struct span from);

/* Valid UTF-8 in the same order, for JSON: what is none becomes U+FFFD. Always terminated. Returns the length. */
size_t show_utf8(char *out, size_t size, struct span from);

/* A few lines of text, each made safe, with `before` in front of the first. */
void show_lines(FILE *, const char *before, const char *lines);

/* `pgweir TOOL` was used wrongly: say what is wrong, with `detail` made safe, and where to read more. Returns the exit status for that: 2. */
int usage_error(const char *tool, const char *what, const char *detail);

struct table_column {
	const char *title;
	bool right; /* numbers: the last digits stand below each other */
};

/* `columns` is borrowed for the table's life. Rows are copied. Neither ever fails: without memory the program ends. */
struct table;
struct table *table_new(const struct table_column *columns, size_t count);
void table_add(struct table *, const char *const *cells);
void table_print(const struct table *, FILE *);
void table_free(struct table *);

#endif
