#include "io/vouch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "io/clock.h"

/* Two queues, so that a directory which hangs holds up no PAM. Each letter has one owner at any time:
 *
 *   asker -> queue -> thread -> mailbox -> asker
 *              |         +-- stopped meanwhile: freed by the thread
 *              +-- full, too old, or stopped: mailbox, with a refusal
 *
 * Threads are detached, since one that a module of PAM or a dead network holds can not be joined: whether it may still post (its mailbox
 * exists) is decided under the mutex, by the number of the run that it began in. */

struct waiting {
	struct vouch_letter *letter;
	time_us since;
};

struct queue {
	struct waiting ring[VOUCH_QUEUE];
	unsigned first, count, threads, idle;
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t news[2], gone;
	struct queue queues[2];
	unsigned run; /* grows with each vouch_stop */
} house = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.news = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER },
	.gone = PTHREAD_COND_INITIALIZER,
};

_Static_assert(offsetof(struct vouch_letter, letter) == 0, "a letter is found from its link");

void vouch_letter_free(struct vouch_letter **letter)
{
	if (*letter)
		secret_wipe(*letter, sizeof **letter);
	free(*letter);
	*letter = NULL;
}

static void answer(struct vouch_letter *letter)
{
	secret_wipe(letter->directory.bind_password, sizeof letter->directory.bind_password);
	mailbox_post(letter->to, &letter->letter);
}

static void refuse(struct vouch_letter *letter, const char *problem)
{
	letter->yes = false;
	letter->unheard = true;
	text_copy(letter->problem, sizeof letter->problem, problem);
	answer(letter);
}

/* Under the mutex. NULL: the run is over. */
static struct vouch_letter *next_question(struct queue *queue, unsigned run, bool *old)
{
	struct waiting next;

	while (house.run == run && queue->count == 0) {
		queue->idle++;
		pthread_cond_wait(&house.news[queue - house.queues], &house.mutex);
		if (house.run == run)
			queue->idle--;
	}
	if (house.run != run)
		return NULL;
	next = queue->ring[queue->first];
	queue->first = (queue->first + 1) % VOUCH_QUEUE;
	queue->count--;
	*old = clock_now() > next.since + VOUCH_PATIENCE_US;
	return next.letter;
}

static void ask(struct vouch_letter *letter)
{
	letter->yes = letter->unheard = false;
	letter->problem[0] = 0;
	if (letter->voucher == VOUCHER_PAM)
		vouch_ask_pam(letter);
	else
		vouch_ask_ldap(letter);
}

struct beginning {
	struct queue *queue;
	unsigned run;
};

static void *run(void *argument)
{
	struct beginning begin = *(struct beginning *)argument;
	struct vouch_letter *letter;
	bool old = false;

	free(argument);
	pthread_mutex_lock(&house.mutex);
	while ((letter = next_question(begin.queue, begin.run, &old))) {
		pthread_mutex_unlock(&house.mutex);
		if (!old)
			ask(letter);
		letter->unheard = letter->unheard || old;
		if (old)
			text_copy(letter->problem, sizeof letter->problem,
				"it waited too long: those before it got no answer");
		pthread_mutex_lock(&house.mutex);
		if (house.run == begin.run)
			answer(letter);
		else
			vouch_letter_free(&letter);
	}
	if (--begin.queue->threads == 0)
		pthread_cond_broadcast(&house.gone);
	pthread_mutex_unlock(&house.mutex);
	return NULL;
}

static bool start_thread(struct queue *queue)
{
	struct beginning *begin = malloc(sizeof *begin);
	pthread_attr_t detached;
	pthread_t id;
	bool ok;

	if (!begin)
		return false;
	*begin = (struct beginning){ queue, house.run };
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	ok = pthread_create(&id, &detached, run, begin) == 0;
	pthread_attr_destroy(&detached);
	if (ok)
		queue->threads++;
	else
		free(begin);
	return ok;
}

void vouch(struct vouch_letter **at)
{
	struct vouch_letter *letter = *at;
	struct queue *queue = &house.queues[letter->voucher == VOUCHER_LDAP];
	const char *problem = NULL;

	*at = NULL;
	pthread_mutex_lock(&house.mutex);
	if (queue->count == VOUCH_QUEUE)
		problem = "too many logins wait for an answer";
	else if (queue->idle <= queue->count && queue->threads < VOUCH_THREADS && !start_thread(queue) &&
		queue->threads == 0)
		problem = "no thread could be started";
	if (!problem) {
		queue->ring[(queue->first + queue->count++) % VOUCH_QUEUE] = (struct waiting){ letter, clock_now() };
		pthread_cond_signal(&house.news[queue - house.queues]);
	}
	pthread_mutex_unlock(&house.mutex);
	if (problem)
		refuse(letter, problem);
}

void vouch_stop(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += VOUCH_PATIENCE_US / SECOND_US;
	pthread_mutex_lock(&house.mutex);
	house.run++;
	for (size_t i = 0; i < 2; i++) {
		struct queue *queue = &house.queues[i];

		queue->idle = 0;
		for (; queue->count > 0; queue->count--) {
			refuse(queue->ring[queue->first].letter, "the pooler is shutting down");
			queue->first = (queue->first + 1) % VOUCH_QUEUE;
		}
		pthread_cond_broadcast(&house.news[i]);
	}
	while (house.queues[0].threads + house.queues[1].threads > 0 &&
		pthread_cond_timedwait(&house.gone, &house.mutex, &until) != ETIMEDOUT) {}
	pthread_mutex_unlock(&house.mutex);
}
