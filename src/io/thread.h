#ifndef PGWEIR_IO_THREAD_H
#define PGWEIR_IO_THREAD_H

#include <stdbool.h>

/* Threads and locks. In the simulator a lock is a check that nobody holds it, and no thread is ever started. */
struct lock;
struct lock *lock_new(void);
void lock_free(struct lock *);
void lock_take(struct lock *);
void lock_drop(struct lock *);

struct thread;
struct thread *thread_start(void (*run)(void *), void *argument, const char *name); /* NULL: refused */
void thread_join(struct thread **);

unsigned cores_count(void); /* that this process may use; at least 1 */

#endif
