#include "tool/stress_cancel.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/thread.h"
#include "tool/connect.h"
#include "tool/memory.h"

#define AT_ONCE  64
#define GRACE_US (2 * SECOND_US)

struct errand {
	struct lock *lock; /* over `done` */
	struct thread *thread;
	PGcancel *request;
	bool done;
};

struct cancels {
	struct errand *errands[AT_ONCE];
};

struct cancels *cancels_new(void)
{
	return memory_new(1, sizeof(struct cancels));
}

static void errand_run(void *argument)
{
	struct errand *e = argument;
	char words[256];

	PQcancel(e->request, words, sizeof words); /* whether it was heard is seen by the answer of what it cancels */
	lock_take(e->lock);
	e->done = true;
	lock_drop(e->lock);
}

static void errand_free(struct errand *e)
{
	if (e->thread)
		thread_join(&e->thread);
	PQfreeCancel(e->request);
	lock_free(e->lock);
	free(e);
}

static bool is_done(struct errand *e)
{
	bool done;

	lock_take(e->lock);
	done = e->done;
	lock_drop(e->lock);
	return done;
}

/* How many are still under way. */
static unsigned tidy(struct cancels *c)
{
	unsigned count = 0;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (c->errands[i] && is_done(c->errands[i])) {
			errand_free(c->errands[i]);
			c->errands[i] = NULL;
		}
		count += c->errands[i] != NULL;
	}
	return count;
}

static bool errand_new(struct errand **out, PGconn *connection)
{
	struct errand *e = memory_got(locked_new(sizeof *e));

	e->request = PQgetCancel(connection);
	if (e->request)
		e->thread = thread_start(errand_run, e, "cancel");
	if (!e->thread) {
		errand_free(e);
		return false;
	}
	*out = e;
	return true;
}

bool cancels_send(struct cancels *c, PGconn *connection)
{
	tidy(c);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		if (!c->errands[i])
			return errand_new(&c->errands[i], connection);
	}
	return false;
}

void cancels_free(struct cancels *c)
{
	time_us until = clock_now() + GRACE_US;

	while (tidy(c) > 0 && clock_now() < until)
		connect_rest(10 * MILLISECOND_US);
	free(c);
}
