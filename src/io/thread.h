#ifndef PGWEIR_IO_THREAD_H
#define PGWEIR_IO_THREAD_H

#include <stdbool.h>
#include <stdlib.h>

/* Threads and locks. In the simulator a lock is a check that nobody holds it, and no thread is ever started. */
struct lock;
struct lock *lock_new(void);
void lock_free(struct lock *);
void lock_take(struct lock *);
void lock_drop(struct lock *);

/* A zeroed object of this size that begins with a lock of its own. NULL: memory refused. */
static inline void *locked_new(size_t size)
{
	struct lock **made = calloc(1, size);

	if (made)
		*made = lock_new();
	if (made && !*made) {
		free(made);
		return NULL;
	}
	return made;
}

struct thread;
struct thread *thread_start(void (*run)(void *), void *argument, const char *name); /* NULL: refused */
void thread_join(struct thread **);

unsigned cores_count(void); /* that this process may use; at least 1 */

#endif
