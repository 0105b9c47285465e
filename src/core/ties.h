#ifndef PGWEIR_CORE_TIES_H
#define PGWEIR_CORE_TIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

/* Whether the clients of one process are tied to its threads: each used by one thread only, always the same (L3), or dealt out to whichever
 * thread wants one, as a pool does. Told from which threads ran when a client was last at work. Pure. */
struct ties;

/* What is remembered is bounded; of a process with more of either nothing is said. */
#define TIES_THREADS 128
#define TIES_CLIENTS 128

struct tie_thread {
	uint32_t number;
	uint64_t ran; /* another value than at the last look: it has run */
	bool ready;   /* it would run if it had a processor */
};

struct tie_client {
	uint32_t number;
	time_us rested; /* when its last work ended; 0: it is at work */
};

struct tie_facts {
	uint32_t tied;   /* clients that kept their thread where a pool would have dealt them to another */
	uint32_t proofs; /* how often that was seen, of all of them */
	uint32_t crowds; /* after how many crowds */
	uint32_t loose; /* clients that were seen to be used by one thread and then by another, also those that have left */
};

struct ties *ties_new(void); /* NULL: memory refused */
void ties_free(struct ties *);

/* All threads of the process at this moment. The closer the looks, the more they tell. */
void ties_look(struct ties *, time_us now, const struct tie_thread *, size_t count);

/* All its clients, after a look. Who is not among them is forgotten. What is too fresh to be judged is judged the next time. */
struct tie_facts ties_judge(struct ties *, const struct tie_client *, size_t count);

#endif
