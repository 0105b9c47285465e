/* Seeds as they are asked for on the command line of a simulator. */
#ifndef PGWEIR_SIM_SEEDS_H
#define PGWEIR_SIM_SEEDS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* FIRST-LAST, or COUNT: so many that nobody has seen yet. */
static inline void seeds_read(const char *text, uint64_t *first, uint64_t *last)
{
	const char *dash = strchr(text, '-');

	*first = strtoull(text, NULL, 10);
	if (dash) {
		*last = strtoull(dash + 1, NULL, 10);
		return;
	}
	*last = *first;
	*first = (uint64_t)time(NULL) * 100000;
	*last = *first + *last - 1;
	printf("# new seeds %llu to %llu\n", (unsigned long long)*first, (unsigned long long)*last);
}

#endif
