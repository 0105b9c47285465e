#ifndef PGWEIR_BASE_PACE_H
#define PGWEIR_BASE_PACE_H

#include "base/time.h"

/* How fast something comes, for each of many sources that are known by a number: so many each second, and so many at once. Of a size that is
 * fixed: where more sources come than there is room for, the one that has the least to remember is forgotten, which lets it in sooner. */
struct paces;

struct paces *paces_new(void); /* NULL: memory refused */
void paces_free(struct paces *);

/* One more comes from `source`, of `rate` (1 or more) each second. When it may go on: `now`, or later, and then that turn is its own; 0: that
 * would be after `latest`, and nothing is kept of it. */
time_us paces_take(struct paces *, uint64_t source, uint32_t rate, time_us now, time_us latest);

#endif
