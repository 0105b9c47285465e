#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/text.h"
#include "io/clock.h"
#include "io/names.h"
#include "io/private.h"
#include "io/thread.h"

/* The resolver's thread: questions come in by a queue, what is done about them is names.c.
 *
 *    resolve(letter) -> queue, eventfd -> the thread: names -> mailbox_post(letter->to)
 *
 * The thread begins with the first question. Whoever asks waits for nothing but the queue's mutex, under which only pointers are moved; what SHOW
 * is told lies under another one, under which it is copied. */

static struct {
	pthread_mutex_t mutex; /* queue, thread, setup */
	struct resolve_letter *first, *last;
	struct thread *thread;
	int wake;
	bool stopping, setup_new;
	struct resolver_setup setup;
	pthread_mutex_t told;
	struct resolver_facts facts; /* under `told` */
} resolver = { .mutex = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_MUTEX_INITIALIZER, .wake = -1 };

static void answer_nothing(struct resolve_letter *r, const char *problem)
{
	r->count = 0;
	text_copy(r->problem, sizeof r->problem, problem);
	mailbox_post(r->to, &r->letter);
}

static void wake_up(void)
{
	uint64_t one = 1;

	if (resolver.wake >= 0)
		while (write(resolver.wake, &one, sizeof one) < 0 && errno == EINTR)
			;
}

/* What came in since the last time. False: it is time to stop. */
static bool read_queue(struct resolve_letter **questions, struct resolver_setup *setup, bool *setup_new)
{
	bool stopping;

	pthread_mutex_lock(&resolver.mutex);
	stopping = resolver.stopping;
	*questions = NULL;
	if (!stopping) {
		*questions = resolver.first;
		resolver.first = resolver.last = NULL;
	}
	*setup_new = resolver.setup_new;
	resolver.setup_new = false;
	*setup = resolver.setup;
	pthread_mutex_unlock(&resolver.mutex);
	return !stopping;
}

static void tell(const struct names *names, time_us now)
{
	pthread_mutex_lock(&resolver.told);
	names_facts(names, &resolver.facts, now);
	pthread_mutex_unlock(&resolver.told);
}

static void wait_for(struct names *names, struct pollfd *list, size_t *count)
{
	time_us wait;
	uint64_t times;

	*count = names_poll(names, list + 1, clock_now(), &wait);
	list[0] = (struct pollfd){ .fd = resolver.wake, .events = POLLIN };
	if (poll(list, *count + 1, (int)((wait + MILLISECOND_US - 1) / MILLISECOND_US)) < 0)
		*count = 0; /* a signal */
	else if (list[0].revents && read(resolver.wake, &times, sizeof times) < 0)
		check(errno == EAGAIN || errno == EINTR);
}

static void run(void *argument)
{
	struct names *names = argument;
	struct resolver_setup setup;
	struct pollfd list[1 + NAMES_SOCKETS];
	struct resolve_letter *questions;
	size_t count = 0;
	bool setup_new;

	while (read_queue(&questions, &setup, &setup_new)) {
		if (setup_new)
			names_configure(names, &setup, clock_now());
		while (questions) {
			struct resolve_letter *r = questions;

			questions = (struct resolve_letter *)(void *)r->letter.next;
			names_ask(names, r, clock_now());
		}
		names_turn(names, list + 1, count, clock_now());
		tell(names, clock_now());
		wait_for(names, list, &count);
	}
	names_free(names);
}

_Static_assert(offsetof(struct resolve_letter, letter) == 0, "a letter is found from its link");

/* Under the mutex. */
static bool begin(void)
{
	struct names *names;

	if (resolver.thread)
		return true;
	if (resolver.wake < 0)
		resolver.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	names = resolver.wake < 0 ? NULL : names_new();
	if (!names)
		return false;
	resolver.setup_new = true;
	resolver.thread = thread_start(run, names, "resolver");
	if (!resolver.thread)
		names_free(names);
	return resolver.thread != NULL;
}

void resolve(struct resolve_letter *r)
{
	bool accepted;

	pthread_mutex_lock(&resolver.mutex);
	accepted = !resolver.stopping && begin();
	if (accepted) {
		r->letter.next = NULL;
		if (resolver.last)
			resolver.last->letter.next = &r->letter;
		else
			resolver.first = r;
		resolver.last = r;
		wake_up();
	}
	pthread_mutex_unlock(&resolver.mutex);
	if (!accepted)
		answer_nothing(r, "the resolver is not running");
}

void resolver_configure(const struct resolver_setup *setup)
{
	pthread_mutex_lock(&resolver.mutex);
	resolver.setup = *setup;
	resolver.setup_new = true;
	wake_up();
	pthread_mutex_unlock(&resolver.mutex);
}

void resolver_tell(struct resolver_facts *out)
{
	pthread_mutex_lock(&resolver.told);
	*out = resolver.facts;
	pthread_mutex_unlock(&resolver.told);
}

void resolver_stop(void)
{
	struct resolve_letter *left;
	struct thread *thread;

	pthread_mutex_lock(&resolver.mutex);
	resolver.stopping = true;
	thread = resolver.thread;
	resolver.thread = NULL;
	wake_up();
	pthread_mutex_unlock(&resolver.mutex);
	thread_join(&thread);

	pthread_mutex_lock(&resolver.mutex);
	left = resolver.first;
	resolver.first = resolver.last = NULL;
	resolver.stopping = false; /* a later question begins anew */
	resolver.setup = (struct resolver_setup){ 0 };
	if (resolver.wake >= 0)
		close(resolver.wake);
	resolver.wake = -1;
	pthread_mutex_unlock(&resolver.mutex);
	while (left) {
		struct resolve_letter *r = left;

		left = (struct resolve_letter *)(void *)r->letter.next;
		answer_nothing(r, "stopped");
	}
}
