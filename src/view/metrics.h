#ifndef PGWEIR_VIEW_METRICS_H
#define PGWEIR_VIEW_METRICS_H

#include "view/snapshot.h"

/* A snapshot as metrics that Prometheus reads. */

enum metrics_form {
	METRICS_TEXT, /* the text format 0.0.4 */
	METRICS_OPEN  /* OpenMetrics 1.0.0 */
};

#define METRICS_PARTS (PART_POOLS | PART_STATS | PART_LEAKS | PART_PINS | PART_USAGE)

/* The most pools, databases, origins or leaks that have lines of their own; the others share one, "(others)". */
#define METRICS_NAMED 100

const char *metrics_content_type(enum metrics_form);

/* Append all of them. False: memory refused. */
bool metrics_write(struct buf *, const struct snapshot *, enum metrics_form);

#endif
