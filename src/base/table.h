#ifndef PGWEIR_BASE_TABLE_H
#define PGWEIR_BASE_TABLE_H

/* uthash, where refused memory is a result: whoever adds has a bool `refused` at hand, which is then true, and the entry is in no table.
 * (Left alone, uthash ends the process.) */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) (refused = true)
#include <uthash.h>

#endif
