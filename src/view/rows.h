#ifndef PGWEIR_VIEW_ROWS_H
#define PGWEIR_VIEW_ROWS_H

#include "view/snapshot.h"
#include "base/writer.h"

/* SHOW as rows: every table of the console is a list of columns over one kind of row of the snapshot. Columns have PgBouncer's names,
 * types and order; ours come at the end, but for the counts of logins, which lie where PgBouncer's next version has them. */

/* Which parts of a snapshot SHOW `what` (in small letters) reads; false: there is no such SHOW. `parts` may be 0. */
bool rows_known(const char *what, unsigned *parts);

/* Append RowDescription, DataRows and CommandComplete "SHOW". */
void rows_show(struct writer *, const struct snapshot *, const char *what);

/* The same without the columns that PgBouncer 1.25 does not have: some of its tools refuse a table that has another one. */
void rows_show_bouncers(struct writer *, const struct snapshot *, const char *what);

/* The same table as the answer to another command. */
void rows_answer(struct writer *, const struct snapshot *, const char *what, const char *tag);

/* The SHOW words, NULL at the end; for HELP and for the nearest word. */
const char *const *rows_names(void);

#endif
