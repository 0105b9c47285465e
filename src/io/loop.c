#include "io/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/private.h"
#include "io/ring.h"

/* One thread's loop over epoll. Where there is a ring (io_uring), bytes go through that, and only the rest through epoll: see ring.c.
 *
 *                         epoll_wait
 *                             | events become flags of streams; no event outlives this call
 *                             v
 *    ready:  A  C  F  ...    the streams that may have something to say in this turn
 *              |
 *              | loop_next takes the first and lets it take steps (stream_step) until it has no more to say:
 *              |     CONNECTED   ROOM   BYTES (one read)   HANGUP   ENDED
 *              v
 *    later:  A ...           its read filled the buffer, there may be more: it goes behind the others, into the next turn
 *
 * Why it is fast. A descriptor is registered once, for edges, and epoll_ctl is never called for it again. A turn costs one
 * epoll_wait, then one recv per stream with news (a read that did not fill the buffer has emptied the socket: the kernel
 * will speak again when more comes), and its bytes are handed out where recv put them.
 *
 * What edges demand. An edge is said once, so it must be remembered until it was acted upon: FLAG_READABLE and
 * FLAG_BLOCKED are that memory, and they hold while a stream is paused or waits for its turn. A peer's end and errors
 * (FLAG_HANGUP) are edges too: after one, reading goes on until recv itself says end or error.
 *
 * Two ways for a peer to hurt itself: a short read can leave bytes in the socket at TCP's urgent mark, or at a unix
 * message that carries descriptors. They are read when more comes. PostgreSQL's protocol uses neither.
 *
 * What always holds:
 *  - a stream is in at most one of `ready`, `later` and `now`;
 *  - `grave` holds the closed streams; none of them is freed before the next loop_wait, so that neither a queue nor a
 *    completion of this turn can meet freed memory. One that still stands in a queue enters the grave when its turn comes;
 *  - the bytes of a completion are borrowed until the next loop_next or loop_wait: what was not consumed is then moved to a
 *    block of the stream (or stays in it, if that is where they are). */

static bool watch_descriptor(struct loop *loop, int fd, enum mark mark)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.u64 = mark };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

struct loop *loop_new(enum loop_engine engine)
{
	struct loop *loop = calloc(1, sizeof *loop);
	int why;

	if (!loop)
		return NULL;
	loop->signals = loop->wake = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		goto refused;
	loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->wake < 0)
		goto refused;
	if (engine == ENGINE_IO_URING) {
		loop->ring = ring_new(loop);
		if (!loop->ring)
			goto refused;
	} else if (!watch_descriptor(loop, loop->wake, MARK_WAKE)) {
		goto refused;
	}
	loop->buffer = malloc(LOOP_FRONT + LOOP_READ);
	if (!loop->buffer)
		goto refused;
	link_init(&loop->streams);
	link_init(&loop->spoke);
	link_init(&loop->asked);
	link_init(&loop->farewells);
	link_init(&loop->redials);
	link_init(&loop->watches);
	link_init(&loop->accepting);
	link_init(&loop->mailboxes);
	return loop;

refused:
	why = errno;
	ring_free(&loop->ring);
	if (loop->wake >= 0)
		close(loop->wake);
	if (loop->epoll >= 0)
		close(loop->epoll);
	free(loop);
	errno = why;
	return NULL;
}

enum loop_engine loop_engine(const struct loop *loop)
{
	return loop->ring ? ENGINE_IO_URING : ENGINE_EPOLL;
}

static void queue_add(struct queue *q, struct stream *s)
{
	s->next = NULL;
	if (q->last)
		q->last->next = s;
	else
		q->first = s;
	q->last = s;
	s->flags |= FLAG_QUEUED;
}

static struct stream *queue_take(struct queue *q)
{
	struct stream *s = q->first;

	if (!s)
		return NULL;
	q->first = s->next;
	if (!q->first)
		q->last = NULL;
	s->next = NULL;
	s->flags &= (uint16_t)~FLAG_QUEUED;
	return s;
}

void loop_queue(struct loop *loop, struct stream *s)
{
	if (!(s->flags & FLAG_QUEUED) && loop->now != s)
		queue_add(&loop->ready, s);
}

void loop_queue_later(struct loop *loop, struct stream *s)
{
	if (!(s->flags & FLAG_QUEUED))
		queue_add(&loop->later, s);
}

/* Nobody has the turn any more. One that was closed in it can be buried now. */
static void end_turn_of_now(struct loop *loop)
{
	struct stream *s = loop->now;

	loop->now = NULL;
	if (s && s->state == STREAM_DEAD) {
		s->next = loop->grave;
		loop->grave = s;
	}
}

static void bury_one(struct loop *loop, struct stream *s)
{
	if (!loop->ring || !ring_buries(s))
		free(s);
}

static void bury(struct loop *loop)
{
	struct stream *s;

	while ((s = loop->grave)) {
		loop->grave = s->next;
		bury_one(loop, s);
	}
}

static void drop_all(struct link *list)
{
	while (!link_empty(list))
		stream_drop(link_owner(list->next, struct stream, place));
}

void loop_free(struct loop *loop)
{
	struct stream *s;

	if (!loop)
		return;
	check(link_empty(&loop->mailboxes));
	loop->lent = NULL;
	loop_settle(loop);
	end_turn_of_now(loop);
	drop_all(&loop->streams);
	drop_all(&loop->spoke);
	drop_all(&loop->asked);
	drop_all(&loop->farewells);
	drop_all(&loop->redials);
	while (!link_empty(&loop->watches))
		watch_free(link_owner(loop->watches.next, struct watch, place));
	bury(loop);
	while ((s = queue_take(&loop->ready)))
		bury_one(loop, s);
	while ((s = queue_take(&loop->later)))
		bury_one(loop, s);
	ring_free(&loop->ring);
	if (loop->signals >= 0)
		close(loop->signals);
	close(loop->wake);
	close(loop->epoll);
	free(loop->buffer);
	free(loop->bench);
	free(loop);
}

static void keep_unconsumed(struct loop *loop)
{
	struct stream *s = loop->lent;
	struct span rest;

	block_free(&loop->orphan);
	if (!s)
		return;
	loop->lent = NULL;
	rest = span_skip(loop->lent_bytes, loop->lent_consumed);
	if (loop->lent_block) {
		block_consume(stream_unread_at(s), loop->lent_consumed);
	} else if (rest.length > 0 && !stream_keep(s, stream_unread_at(s), rest)) {
		/* What was read can be kept nowhere: this connection can not go on, the others can. */
		s->error = ENOMEM;
		s->flags |= FLAG_OVER | FLAG_FAILED;
		loop_queue(loop, s);
	}
	/* It was resumed while its owner looked at them, who then took all: nothing is to be delivered again, and nobody need stay awake for it. */
	if (!*stream_unread_at(s))
		s->flags &= (uint16_t)~FLAG_AGAIN;
}

void loop_settle(struct loop *loop)
{
	keep_unconsumed(loop);
	if (loop->ring)
		ring_return(loop->ring);
}

/* Streams whose time is over. Returns when the next one's is, or 0. */
static time_us farewells_end(struct loop *loop, time_us now)
{
	while (!link_empty(&loop->farewells)) {
		struct stream *s = link_owner(loop->farewells.next, struct stream, place);

		if (s->deadline > now)
			return s->deadline;
		stream_drop(s);
	}
	return 0;
}

/* The kernel's queue of a unix socket was full when we dialed; there is no event for "try again now". */
static time_us redials_try(struct loop *loop, time_us now)
{
	struct link waiting;

	if (link_empty(&loop->redials))
		return 0;
	if (loop->redial_at > now)
		return loop->redial_at;
	link_init(&waiting);
	while (!link_empty(&loop->redials)) {
		struct link *l = loop->redials.next;

		link_remove(l);
		link_last(&waiting, l);
	}
	loop->redial_at = now + 10 * MILLISECOND_US;
	while (!link_empty(&waiting))
		stream_redial(link_owner(waiting.next, struct stream, place));
	return link_empty(&loop->redials) ? 0 : loop->redial_at;
}

/* What the loop itself does when its time comes; returns the next such time, or 0. */
static time_us duties(struct loop *loop)
{
	time_us now, next;

	if (link_empty(&loop->farewells) && link_empty(&loop->redials) && loop->watches_paused == 0)
		return 0;
	now = clock_now();
	next = farewells_end(loop, now);
	next = time_sooner(next, redials_try(loop, now));
	return time_sooner(next, watches_wake(loop, now));
}

/* Milliseconds for epoll_wait, rounded up: a timer must not find the loop awake too early, again and again. */
static int milliseconds_until(time_us deadline)
{
	time_us left;

	if (deadline == 0)
		return -1;
	left = deadline - clock_now();
	if (left <= 0)
		return 0;
	if (left > 3600 * SECOND_US)
		left = 3600 * SECOND_US;
	return (int)((left + MILLISECOND_US - 1) / MILLISECOND_US);
}

static void take_event(struct loop *loop, const struct epoll_event *e)
{
	void *about = (void *)(uintptr_t)(e->data.u64 & ~(uint64_t)MARK_MASK);
	struct watch *w;

	switch ((enum mark)(e->data.u64 & MARK_MASK)) {
	case MARK_STREAM:
		stream_event(about, e->events);
		break;
	case MARK_WATCH:
		w = about;
		if (link_empty(&w->accepting))
			link_last(&loop->accepting, &w->accepting);
		break;
	case MARK_SIGNALS:
		loop->signals_waiting = true;
		break;
	case MARK_WAKE:
		break;
	}
}

/* Sleep until the kernel has news. Returns how many of them are events of epoll. */
static int wait_for_events(struct loop *loop, int timeout)
{
	int count;

	if (!loop->ring)
		return epoll_wait(loop->epoll, loop->events, LOOP_EVENTS, timeout);
	ring_wait(loop->ring, timeout);
	if (!ring_epoll_speaks(loop->ring))
		return 0;
	/* A listener is reported for as long as somebody is at its door, so only silence says that this was all. */
	count = epoll_wait(loop->epoll, loop->events, LOOP_EVENTS, 0);
	if (count == 0)
		ring_epoll_said_all(loop->ring);
	return count;
}

/* Something is to be said or done without news. */
static bool is_busy(const struct loop *loop)
{
	return loop->ready.first || !link_empty(&loop->accepting) || loop->signals_waiting ||
		(loop->ring && ring_epoll_speaks(loop->ring));
}

void loop_wait(struct loop *loop, time_us deadline)
{
	int count, timeout = 0;
	time_us duty;

	loop_settle(loop);
	if (loop->now && loop->now->state != STREAM_DEAD && !(loop->now->flags & FLAG_QUEUED))
		queue_add(&loop->ready, loop->now); /* the owner stopped before it had said all */
	end_turn_of_now(loop);
	duty = duties(loop);
	if (loop->ring)
		ring_gather(loop->ring);
	bury(loop);
	loop->turn++;

	/* those that had their share last time, behind those that had not */
	if (loop->later.first) {
		if (loop->ready.last)
			loop->ready.last->next = loop->later.first;
		else
			loop->ready.first = loop->later.first;
		loop->ready.last = loop->later.last;
		loop->later = (struct queue){ 0 };
	}

	if (!is_busy(loop)) {
		timeout = milliseconds_until(time_sooner(deadline, duty));
		if (timeout != 0) {
			atomic_store(&loop->sleeping, true);
			if (mail_waits(loop))
				timeout = 0;
		}
	}
	count = wait_for_events(loop, timeout);
	if (atomic_load_explicit(&loop->sleeping, memory_order_relaxed))
		atomic_store(&loop->sleeping, false);
	check(count >= 0 || errno == EINTR);
	for (int i = 0; i < count; i++)
		take_event(loop, &loop->events[i]);
	if (timeout != 0)
		duties(loop);
}

static bool next_signal(struct loop *loop, struct completion *out)
{
	struct signalfd_siginfo info;

	if (read(loop->signals, &info, sizeof info) != sizeof info) {
		loop->signals_waiting = false;
		return false;
	}
	out->kind = DONE_SIGNAL;
	out->error = (int)info.ssi_signo;
	return true;
}

static bool next_accepted(struct loop *loop, struct completion *out)
{
	while (!link_empty(&loop->accepting)) {
		struct watch *w = link_owner(loop->accepting.next, struct watch, accepting);
		struct parcel *p = watch_accept(w);

		if (p) {
			out->kind = DONE_ACCEPTED;
			out->parcel = p;
			out->listener = w->listener;
			return true;
		}
	}
	return false;
}

/* It has nothing more to say, as mostly when its bytes were taken. A step would find that too, after more questions. */
static bool is_silent(const struct stream *s)
{
	return s->state == STREAM_OPEN && !s->secure && !s->unsent &&
		!(s->flags & (FLAG_READABLE | FLAG_AGAIN | FLAG_ROOM | FLAG_HANGUP | FLAG_OVER | FLAG_FULL));
}

bool loop_next(struct loop *loop, struct completion *out)
{
	loop_settle(loop);
	*out = (struct completion){ 0 };
	if (loop->signals_waiting && next_signal(loop, out))
		return true;
	for (;;) {
		struct stream *s = loop->now;

		if (!s) {
			s = loop->now = queue_take(&loop->ready);
			if (!s)
				break;
		}
		if (s->state != STREAM_DEAD && !is_silent(s) && stream_step(s, out))
			return true;
		end_turn_of_now(loop);
	}
	return next_accepted(loop, out);
}

static void signals_of_ours(sigset_t *set)
{
	static const int ours[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2 };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		sigaddset(set, ours[i]);
}

void signals_block(void)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN };
	sigset_t set;

	signals_of_ours(&set);
	check(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	check(sigaction(SIGPIPE, &ignored, NULL) == 0);
	check(sigaction(SIGXFSZ, &ignored, NULL) ==
		0); /* a log file at its limit is an error of write, like a full disk */
}

bool loop_signals(struct loop *loop)
{
	sigset_t set;

	check(loop->signals < 0);
	signals_of_ours(&set);
	loop->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (loop->signals < 0)
		return false;
	if (watch_descriptor(loop, loop->signals, MARK_SIGNALS))
		return true;
	close(loop->signals);
	loop->signals = -1;
	return false;
}
