#ifndef PGWEIR_BASE_MEMORY_H
#define PGWEIR_BASE_MEMORY_H

#include <stdlib.h>
#include <string.h>

/* Zeroed memory for what comes and goes with every connection; NULL: it is refused.
 *
 * free() leaves a small chunk with its thread, for the next malloc(). calloc() of the GNU C library before 2.41 takes none of those: it searches the
 * arena, and so will free() soon, since what lies there is full. */
static inline void *memory_zeroed(size_t size)
{
	void *memory = malloc(size);

	__asm__("" : "+r"(memory)); /* or the compiler makes calloc() of the two */
	if (memory)
		memset(memory, 0, size);
	return memory;
}

#endif
