#ifndef PGWEIR_BASE_USAGE_H
#define PGWEIR_BASE_USAGE_H

#include <stdint.h>

/* What a process takes of its machine: io measures it, view tells it. 0: not known, but for `processor`. */
struct usage {
	uint64_t processor;             /* microseconds that its threads have had, in user and in system mode */
	uint64_t resident, addressable; /* bytes: what is in memory, and what has an address */
	uint64_t heap; /* bytes that malloc has handed out and nobody has freed yet, with what its threads keep ready */
	uint64_t files, files_limit; /* descriptors that are open, and how many may be */
};

#endif
