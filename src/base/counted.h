#ifndef PGWEIR_BASE_COUNTED_H
#define PGWEIR_BASE_COUNTED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

/* References to a value that threads share and that a book leads to. Keeping what one already holds takes no lock. Dropping takes the
 * book's lock for the last reference alone: only then may the value vanish, while somebody else is finding it.
 *
 *   if (counted_drop_early(&it->references))
 *           return;
 *   lock; if (counted_drop(&it->references)) take it out of the book and free it; unlock */

static inline void counted_keep(atomic_uint *references)
{
	check(atomic_fetch_add_explicit(references, 1, memory_order_relaxed) > 0);
}

/* False: nothing was dropped, since it was the last reference a moment ago. */
static inline bool counted_drop_early(atomic_uint *references)
{
	unsigned seen = atomic_load_explicit(references, memory_order_acquire);

	while (seen > 1)
		if (atomic_compare_exchange_weak_explicit(
			    references, &seen, seen - 1, memory_order_acq_rel, memory_order_acquire))
			return true;
	return false;
}

/* With the book locked. True: nobody holds it any more. */
static inline bool counted_drop(atomic_uint *references)
{
	return atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel) == 1;
}

#endif
