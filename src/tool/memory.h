#ifndef PGWEIR_TOOL_MEMORY_H
#define PGWEIR_TOOL_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

/* A tool is a short-lived program that has promised nothing to anybody else yet: without memory it says so and ends. */
static inline void *memory_got(void *memory)
{
	if (!memory) {
		fputs("pgweir: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

/* `count` things of `size` bytes, all zero; never NULL. */
static inline void *memory_new(size_t count, size_t size)
{
	return memory_got(calloc(count ? count : 1, size ? size : 1));
}

#endif
