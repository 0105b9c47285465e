#ifndef PGWEIR_VIEW_JSON_H
#define PGWEIR_VIEW_JSON_H

#include "base/span.h"
#include "view/snapshot.h"

/* The tables of SHOW as JSON (RFC 8259): the same rows, columns and names, made from the same tables. False: memory is refused. */

/* A string; what is no UTF-8 in it becomes U+FFFD. */
bool json_text(struct buf *, struct span);

/* The rows of SHOW `what` (which there is) as an array of objects, at most `most` of them; the others are counted in `left_out`. Numbers
 * are numbers, NULL is null. */
bool json_rows(struct buf *, const struct snapshot *, const char *what, size_t most, uint64_t *left_out);

/* All that pages and scripts want at once: see doc/http.md. */
#define JSON_ROWS_MOST 1000
#define JSON_PARTS     (PART_POOLS | PART_STATS | PART_LEASES | PART_LEAKS)
bool json_snapshot(struct buf *, const struct snapshot *);

#endif
