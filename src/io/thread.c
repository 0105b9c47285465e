#include "io/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"

/* Threads and locks, as thin as they come. A lock is held for a few hundred instructions and never across a system call,
 * so a waiter spins a little before it sleeps (glibc's adaptive kind): on a busy machine a sleep and a wake cost more than
 * the wait. Each lock fills cache lines of its own. Errors of pthread calls are bugs of ours and end the process. */

struct lock {
	_Alignas(64) pthread_mutex_t mutex;
};

struct thread {
	pthread_t id;
	void (*run)(void *);
	void *argument;
	char name[16]; /* as long as the kernel keeps */
};

struct lock *lock_new(void)
{
	struct lock *l = aligned_alloc(_Alignof(struct lock), sizeof *l);
	pthread_mutexattr_t kind;

	if (!l)
		return NULL;
	check(pthread_mutexattr_init(&kind) == 0);
	check(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP) == 0);
	check(pthread_mutex_init(&l->mutex, &kind) == 0);
	pthread_mutexattr_destroy(&kind);
	return l;
}

void lock_free(struct lock *l)
{
	if (!l)
		return;
	check(pthread_mutex_destroy(&l->mutex) == 0);
	free(l);
}

void lock_take(struct lock *l)
{
	check(pthread_mutex_lock(&l->mutex) == 0);
}

void lock_drop(struct lock *l)
{
	check(pthread_mutex_unlock(&l->mutex) == 0);
}

static void *begin(void *at)
{
	struct thread *t = at;

	pthread_setname_np(pthread_self(), t->name);
	t->run(t->argument);
	return NULL;
}

struct thread *thread_start(void (*run)(void *), void *argument, const char *name)
{
	struct thread *t = malloc(sizeof *t);

	if (!t)
		return NULL;
	t->run = run;
	t->argument = argument;
	text_copy(t->name, sizeof t->name, name);
	if (pthread_create(&t->id, NULL, begin, t) != 0) {
		free(t);
		return NULL;
	}
	return t;
}

void thread_join(struct thread **at)
{
	struct thread *t = *at;

	if (!t)
		return;
	check(pthread_join(t->id, NULL) == 0);
	free(t);
	*at = NULL;
}

/* A container may see every core and be allowed a part of them only: cgroup v2 says so in cpu.max ("200000 100000" is two
 * cores' worth; "max 100000" is no limit). */
static unsigned cores_allowed(void)
{
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
	unsigned long quota, period;
	unsigned cores = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lu %lu", &quota, &period) == 2 && quota > 0 && period > 0)
		cores = (unsigned)((quota + period - 1) / period);
	fclose(f);
	return cores;
}

unsigned cores_count(void)
{
	cpu_set_t set;
	unsigned cores = 1, allowed = cores_allowed();

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		cores = (unsigned)CPU_COUNT(&set);
	else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
		cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (allowed && allowed < cores)
		cores = allowed;
	return cores ? cores : 1;
}
