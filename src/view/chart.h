#ifndef PGWEIR_VIEW_CHART_H
#define PGWEIR_VIEW_CHART_H

#include "view/snapshot.h"

/* The last hour of the whole and of its largest pools, for charts: a sample every CHART_INTERVAL, in a ring that is allocated once. */
#define CHART_INTERVAL (10 * SECOND_US)
#define CHART_LENGTH   360
#define CHART_POOLS    20
#define CHART_PARTS    (PART_POOLS | PART_STATS)

struct chart;
struct chart *chart_new(void); /* NULL: memory refused */
void chart_free(struct chart *);

void chart_add(struct chart *, const struct snapshot *);

/* See doc/http.md for its form. False: memory refused. */
bool chart_json(struct buf *, const struct chart *);

#endif
