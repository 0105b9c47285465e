#ifndef PGWEIR_TOOL_STRESS_NAMES_H
#define PGWEIR_TOOL_STRESS_NAMES_H

#include <stdio.h>

#include "base/buf.h"
#include "tool/stress_timeline.h"

struct stress_result;

/* The sessions of a timeline by their application_name: which of several programs holds them. */

/* The place of this name in every reading from now on. The last place is for all who find none of their own, called "(others)"; who has no
 * name is "(no name)". */
unsigned names_place(struct stress_names *, const char *name);

/* Most sessions of that place at any time, and those of the last look at PostgreSQL. */
struct names_extent {
	int most, last;
};
struct names_extent names_extent(const struct timeline *, unsigned place);

/* Its part of each report: a table; a table and a chart. Nothing where nobody was seen. */
void names_text(const struct stress_result *, FILE *);
void names_html(const struct stress_result *, struct buf *);

#endif
