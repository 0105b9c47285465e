#ifndef PGWEIR_SIM_THREADS_H
#define PGWEIR_SIM_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* One process of an ASGI server, whose jobs run in a pool of threads and use connections: tied to their threads (L3), or of a pool (healthy). One
 * seed, one process. */
struct threads_outcome {
	bool tied;    /* it is L3 */
	bool crowded; /* ... with enough crowds and single requests to be told */
	bool named;   /* SHOW LEAKS would have a row */
	bool wrong;   /* ... of another pattern */
};
struct threads_outcome threads_play(uint64_t seed, bool verbose);

#endif
