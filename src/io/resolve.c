#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/private.h"
#include "io/thread.h"

/* Names, asked for by a thread of its own, because the system's resolver blocks (and is the only one that knows all of
 * nsswitch.conf, /etc/hosts and the machine's own names).
 *
 *    resolve(letter) -> queue -> the thread: getaddrinfo -> mailbox_post(letter->to)
 *
 * The thread begins with the first question. ADDRCONFIG is not asked for: it would leave out 127.0.0.1 and ::1 on a machine
 * without a network. Answers keep the system's order (RFC 6724), without repetitions. One question at a time: the askers
 * keep answers for a while (dns_max_ttl), so a queue forms only when the system's name service is in trouble. */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t news;
	struct resolve_letter *first, *last;
	struct thread *thread;
	bool stopping;
} resolver = { .mutex = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };

static void answer_nothing(struct resolve_letter *r, const char *problem)
{
	r->count = 0;
	text_copy(r->problem, sizeof r->problem, problem);
	mailbox_post(r->to, &r->letter);
}

static void take_answer(struct resolve_letter *r, const struct addrinfo *found)
{
	r->count = 0;
	for (; found && r->count < RESOLVE_MAX; found = found->ai_next) {
		struct address *a = &r->addresses[r->count];
		struct sockaddr_storage name = { 0 };
		bool known = false;

		if (found->ai_addrlen > sizeof name)
			continue;
		memcpy(&name, found->ai_addr, found->ai_addrlen);
		address_from_kernel(&name, found->ai_addrlen, a);
		if (a->family != ADDRESS_IPV4 && a->family != ADDRESS_IPV6)
			continue;
		a->port = r->port;
		for (size_t i = 0; i < r->count && !known; i++)
			known = address_equal(&r->addresses[i], a);
		if (!known)
			r->count++;
	}
}

static void ask_system(struct resolve_letter *r)
{
	struct addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int result;

	r->name[sizeof r->name - 1] = 0;
	result = getaddrinfo(r->name, NULL, &want, &found);
	if (result != 0) {
		answer_nothing(r, result == EAI_SYSTEM ? "the system's resolver failed" : gai_strerror(result));
		return;
	}
	take_answer(r, found);
	freeaddrinfo(found);
	if (r->count == 0) {
		answer_nothing(r, "it has no IPv4 or IPv6 address");
		return;
	}
	r->problem[0] = 0;
	mailbox_post(r->to, &r->letter);
}

/* The next question, or NULL when it is time to stop. */
static struct resolve_letter *next_question(void)
{
	struct resolve_letter *r = NULL;

	pthread_mutex_lock(&resolver.mutex);
	while (!resolver.stopping && !resolver.first)
		pthread_cond_wait(&resolver.news, &resolver.mutex);
	if (!resolver.stopping) {
		r = resolver.first;
		resolver.first = (struct resolve_letter *)(void *)r->letter.next;
		if (!resolver.first)
			resolver.last = NULL;
	}
	pthread_mutex_unlock(&resolver.mutex);
	return r;
}

static void run(void *unused)
{
	struct resolve_letter *r;

	(void)unused;
	while ((r = next_question()))
		ask_system(r);
}

_Static_assert(offsetof(struct resolve_letter, letter) == 0, "a letter is found from its link");

void resolve(struct resolve_letter *r)
{
	bool accepted = true;

	pthread_mutex_lock(&resolver.mutex);
	if (!resolver.stopping && !resolver.thread) {
		resolver.thread = thread_start(run, NULL, "resolver");
		accepted = resolver.thread != NULL;
	}
	accepted = accepted && !resolver.stopping;
	if (accepted) {
		r->letter.next = NULL;
		if (resolver.last)
			resolver.last->letter.next = &r->letter;
		else
			resolver.first = r;
		resolver.last = r;
		pthread_cond_signal(&resolver.news);
	}
	pthread_mutex_unlock(&resolver.mutex);
	if (!accepted)
		answer_nothing(r, "the resolver is not running");
}

void resolver_stop(void)
{
	struct resolve_letter *left;
	struct thread *thread;

	pthread_mutex_lock(&resolver.mutex);
	resolver.stopping = true;
	thread = resolver.thread;
	resolver.thread = NULL;
	pthread_cond_signal(&resolver.news);
	pthread_mutex_unlock(&resolver.mutex);
	thread_join(&thread);

	pthread_mutex_lock(&resolver.mutex);
	left = resolver.first;
	resolver.first = resolver.last = NULL;
	resolver.stopping = false; /* a later question begins anew */
	pthread_mutex_unlock(&resolver.mutex);
	while (left) {
		struct resolve_letter *r = left;

		left = (struct resolve_letter *)(void *)r->letter.next;
		answer_nothing(r, "stopped");
	}
}
