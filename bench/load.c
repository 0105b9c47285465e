/* The load generator: clients that ask, and count what came of it.
 *
 * A client is a small state machine on one non-blocking socket; a thread has
 * its share of them and one epoll set, every socket registered once.
 *
 *	CONNECTING -> LOGGING_IN -> [PREPARING] -> RESTING <-> ASKING
 *	                                              ^ closed loop: at once
 *	                                              | open loop: at its time
 *
 * Open loop: every client has a timetable (period = clients / rate, starts
 * spread evenly). A transaction is late from the moment it was meant to start,
 * not from when its client got round to it: that is what "corrected for
 * coordinated omission" means here. What has not come back at the end counts
 * with the time it has waited so far.
 *
 * The CPU time, switches and memory of watched processes are read by this
 * program at the first and the last moment of measuring, so that figures per
 * transaction divide what belongs together. */
#include "load_parts.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { READ_MAX = 256 * 1024, LOGINS_AT_ONCE = 64 };

enum phase { WAITING, WARMING, MEASURING, ENDING };
static _Atomic int phase;
static _Atomic int logged_in_total, refused_total;
static uint64_t begin_ns;

/* ---- a client ---- */

static void client_gone(struct thread *t, struct client *c, const char *why)
{
	if (c->state == CONNECTING || c->state == LOGGING_IN || c->state == PREPARING) {
		t->logging_in--;
		t->refused++;
		atomic_fetch_add(&refused_total, 1);
	} else if (c->state == ASKING) {
		t->busy--;
		t->errors++;
	}
	if (t->first_error[0] == '\0')
		snprintf(t->first_error, sizeof(t->first_error), "%s", why);
	if (c->descriptor >= 0)
		close(c->descriptor);
	login_free(c->login);
	free(c->out);
	c->login = NULL;
	c->out = NULL;
	c->out_length = c->out_at = 0;
	c->descriptor = -1;
	c->state = GONE;
}

static bool client_send(struct thread *t, struct client *c, const uint8_t *bytes, size_t length)
{
	ssize_t sent = 0;

	if (c->out_length == 0) {
		sent = send(c->descriptor, bytes, length, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			client_gone(t, c, strerror(errno));
			return false;
		}
		if (sent < 0)
			sent = 0;
	}
	if ((size_t)sent < length) {
		size_t rest = length - (size_t)sent;

		c->out = must_have(realloc(c->out, c->out_length + rest));
		memcpy(c->out + c->out_length, bytes + sent, rest);
		c->out_length += rest;
	}
	return true;
}

static bool client_flush(struct thread *t, struct client *c)
{
	while (c->out_at < c->out_length) {
		ssize_t sent = send(c->descriptor, c->out + c->out_at, c->out_length - c->out_at, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EAGAIN)
				return false;
			client_gone(t, c, strerror(errno));
			return false;
		}
		c->out_at += (size_t)sent;
	}
	free(c->out);
	c->out = NULL;
	c->out_length = c->out_at = 0;
	return true;
}

static void client_connect(struct thread *t, struct client *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
	const struct place *source = want.source_count == 0 ? NULL
							    : &want.sources[c->number % (unsigned)want.source_count];

	c->descriptor = net_connect(&want.server, source);
	c->state = CONNECTING;
	c->frames = (struct frames){ 0 };
	t->logging_in++;
	if (c->descriptor < 0) {
		client_gone(t, c, strerror(errno));
		return;
	}
	if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, c->descriptor, &event) < 0)
		die_errno("epoll_ctl");
}

/* Send rows while the socket takes them, then CopyDone. */
static void client_copy(struct thread *t, struct client *c)
{
	while (c->copy_left > 0 && c->out_length == 0) {
		if (!client_send(t, c, want.copy_rows, want.copy_rows_length))
			return;
		c->copy_left = c->copy_left > want.copy_rows_length ? c->copy_left - want.copy_rows_length : 0;
		if (c->copy_left == 0) {
			uint8_t done[5];

			message(done, 'c', "", 0);
			client_send(t, c, done, 5);
		}
	}
}

static void client_ask(struct thread *t, struct client *c, int batches, uint64_t start)
{
	if (c->state == RESTING) {
		c->state = ASKING;
		t->busy++;
	}
	c->asked += (uint32_t)batches;
	if (want.number)
		vary_batch();
	for (int i = 0; i < batches; i++)
		c->started[c->sent_at++ % (uint32_t)want.depth] = start;
	client_send(t, c, want.batch, want.batch_length * (size_t)batches);
}

/* Start what a rested client should do next, if anything. */
static void client_next(struct thread *t, struct client *c, uint64_t now)
{
	int now_phase = atomic_load_explicit(&phase, memory_order_relaxed);

	if (now_phase == WAITING || now_phase == ENDING || stays())
		return;
	if (want.rate > 0) {
		if (now < c->next_start)
			return;
		client_ask(t, c, 1, c->next_start);
		c->next_start += (uint64_t)(1e9 * want.clients / want.rate);
		return;
	}
	client_ask(t, c, want.depth, now);
}

static void client_ready(struct thread *t, struct client *c)
{
	login_free(c->login);
	c->login = NULL;
	t->logging_in--;
	c->state = RESTING;
	if (want.mode == CONNECT) {
		client_ask(t, c, 1, c->started[c->sent_at % (uint32_t)want.depth]);
		return;
	}
	t->logged_in++;
	atomic_fetch_add(&logged_in_total, 1);
	if (want.mode == HOLD)
		client_ask(t, c, 1, now_ns());
}

static void client_login(struct thread *t, struct client *c, const uint8_t *bytes, size_t length)
{
	struct login_answer answer = login_take(c->login, bytes, length);

	if (answer.length > 0 && !client_send(t, c, answer.bytes, answer.length))
		return;
	if (answer.failed != NULL) {
		client_gone(t, c, answer.failed);
	} else if (answer.ready) {
		if (want.mode == PREPARED) {
			uint8_t *at, *batch = must_have(malloc(strlen(want.sql) + 64));

			at = parse_message(batch, statement_name, want.sql);
			at = message(at, 'S', "", 0);
			c->state = PREPARING;
			c->asked = 1;
			client_send(t, c, batch, (size_t)(at - batch));
			free(batch);
			return;
		}
		client_ready(t, c);
	}
}

static void client_finished(struct thread *t, struct client *c, uint64_t now)
{
	uint64_t start = c->started[c->done_at++ % (uint32_t)want.depth];

	c->asked--;
	if (atomic_load_explicit(&phase, memory_order_relaxed) == MEASURING) {
		/* What began before the measuring did would flatter it or spoil it;
		 * in an open loop lateness must count whenever it began. */
		c->finished++;
		c->latency_sum += now - start;
		histogram_add(&t->latency, now - start);
	}
}

static void client_answered(struct thread *t, struct client *c, const uint8_t *bytes, size_t length)
{
	const uint8_t *at = bytes, *end = bytes + length;
	struct frame frame;
	uint64_t now = 0;
	int done = 0;

	while (frames_next(&c->frames, &at, end, &frame)) {
		if (frame.type == 'Z') {
			if (c->state == PREPARING) {
				c->asked = 0;
				client_ready(t, c);
				continue;
			}
			if (now == 0)
				now = now_ns();
			if (c->asked == 0) {
				client_gone(t, c, "an answer nobody asked for");
				return;
			}
			client_finished(t, c, now);
			done++;
		} else if (frame.type == 'E') {
			t->errors++;
			if (t->first_error[0] == '\0' && frame.body != NULL)
				login_error_text(frame.body, frame.length, t->first_error, sizeof(t->first_error));
		} else if (frame.type == 'G') {
			c->copy_left = want.megabytes * 1000000u;
			client_copy(t, c);
		}
	}
	if (c->state != ASKING || done == 0)
		return;
	if (want.mode == CONNECT) {
		uint8_t terminate[5];

		message(terminate, 'X', "", 0);
		client_send(t, c, terminate, 5);
		close(c->descriptor);
		c->state = UNBORN;
		t->busy--;
		return;
	}
	if (c->asked > 0 && atomic_load_explicit(&phase, memory_order_relaxed) != ENDING) {
		client_ask(t, c, done, now); /* keep the pipeline full */
		return;
	}
	if (c->asked > 0)
		return;
	c->state = RESTING;
	t->busy--;
	client_next(t, c, now);
}

static void client_event(struct thread *t, struct client *c, uint32_t events)
{
	if (c->state == GONE || c->state == UNBORN)
		return;
	if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
		int error = 0;
		socklen_t length = sizeof(error);

		getsockopt(c->descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error != 0) {
			client_gone(t, c, strerror(error));
			return;
		}
		c->state = LOGGING_IN;
		c->login = login_new(want.user, want.database, want.password, want.options, want.application);
		struct login_answer hello = login_hello(c->login);

		if (!client_send(t, c, hello.bytes, hello.length))
			return;
	}
	if (events & EPOLLOUT && c->out_length > 0 && client_flush(t, c) && c->copy_left > 0)
		client_copy(t, c);
	while (c->state != GONE && c->state != UNBORN && c->state != CONNECTING) {
		ssize_t got = recv(c->descriptor, t->buffer, READ_MAX, 0);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			client_gone(t, c, got == 0 ? "the server hung up" : strerror(errno));
			return;
		}
		if (atomic_load_explicit(&phase, memory_order_relaxed) == MEASURING)
			t->received += (uint64_t)got;
		if (c->state == LOGGING_IN)
			client_login(t, c, t->buffer, (size_t)got);
		else
			client_answered(t, c, t->buffer, (size_t)got);
		if (got < READ_MAX && !(events & (EPOLLRDHUP | EPOLLHUP)))
			return;
	}
}

/* ---- a thread ---- */

/* Bring clients into the world, a few at a time. */
static void give_birth(struct thread *t)
{
	if (want.mode == CONNECT) {
		int now_phase = atomic_load_explicit(&phase, memory_order_relaxed);

		for (int i = 0; i < t->client_count && (now_phase == WARMING || now_phase == MEASURING); i++) {
			if (t->clients[i].state != UNBORN && t->clients[i].state != GONE)
				continue;
			t->clients[i].asked = t->clients[i].sent_at = t->clients[i].done_at = 0;
			t->clients[i].started[0] = now_ns();
			client_connect(t, &t->clients[i]);
		}
		return;
	}
	while (t->born < t->client_count && t->logging_in < LOGINS_AT_ONCE && atomic_load(&phase) != ENDING)
		client_connect(t, &t->clients[t->born++]);
}

/* How long to sleep: until the next client's time comes, in an open loop. */
static struct timespec patience(uint64_t next)
{
	uint64_t now = now_ns(), wait = 100000000;

	if (want.rate > 0 && next != 0)
		wait = next > now ? next - now : 0;
	if (wait > 100000000)
		wait = 100000000;
	return (struct timespec){ .tv_sec = 0, .tv_nsec = (long)wait };
}

/* Open loop: start every rested client whose time has come. */
static uint64_t ring_clients(struct thread *t)
{
	uint64_t now = now_ns(), next = UINT64_MAX;

	for (int i = 0; i < t->client_count; i++) {
		struct client *c = &t->clients[i];

		if (c->state == RESTING)
			client_next(t, c, now);
		if (c->state == RESTING && c->next_start < next)
			next = c->next_start;
	}
	return next;
}

static void begin_work(struct thread *t)
{
	uint64_t now = now_ns();

	for (int i = 0; i < t->client_count; i++) {
		struct client *c = &t->clients[i];

		if (want.rate > 0)
			c->next_start = begin_ns + (uint64_t)(1e9 * c->number / want.rate);
		if (c->state == RESTING)
			client_next(t, c, now);
	}
}

static void *thread_main(void *argument)
{
	struct thread *t = argument;
	struct epoll_event events[256];
	bool working = false;
	uint64_t next = 0, ending_since = 0;

	for (;;) {
		int now_phase = atomic_load(&phase);

		if (!working && now_phase != WAITING && now_phase != ENDING) {
			working = true;
			begin_work(t);
		}
		if (now_phase == ENDING) {
			if (ending_since == 0)
				ending_since = now_ns();
			/* Let what is under way come home, but not for ever. */
			if ((t->busy == 0 && t->logging_in == 0) || now_ns() - ending_since > 500000000)
				return NULL;
		}
		give_birth(t);
		if (working && want.rate > 0 && now_phase != ENDING)
			next = ring_clients(t);

		struct timespec wait = patience(next);
		int count = epoll_pwait2(t->epoll, events, 256, &wait, NULL);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr != NULL) {
				client_event(t, events[i].data.ptr, events[i].events);
			} else {
				uint64_t rung;

				if (read(t->wake, &rung, sizeof(rung)) < 0 && errno != EAGAIN)
					die_errno("eventfd");
			}
		}
	}
}

static void set_phase(struct thread *threads, int to)
{
	uint64_t one = 1;

	atomic_store(&phase, to);
	for (int i = 0; i < want.threads; i++)
		if (write(threads[i].wake, &one, sizeof(one)) < 0)
			die_errno("eventfd");
}

static void join_threads(struct thread *threads)
{
	for (int i = 0; i < want.threads; i++)
		pthread_join(threads[i].id, NULL);
}

static void read_usage(struct usage *usage)
{
	for (int i = 0; i < want.watched_count; i++)
		usage[i] = usage_of(want.watched[i]);
}

/* Until all are in or refused, or nobody came in for ten seconds: parked clients
 * then stay with those that are in, a measurement needs all. Returns when the
 * last one came. */
static uint64_t wait_for_logins(struct thread *threads)
{
	uint64_t last = now_ns();
	int done = 0;

	while (done < want.clients) {
		int now_done = atomic_load(&logged_in_total) + atomic_load(&refused_total);

		if (now_done != done) {
			done = now_done;
			last = now_ns();
		} else if (now_ns() - last > 10000000000u) {
			if (stays())
				return last;
			die("only %d of %d clients could log in (%s)", atomic_load(&logged_in_total), want.clients,
				threads[0].first_error);
		}
		usleep(1000);
	}
	return last;
}

static void free_threads(struct thread *threads)
{
	for (int i = 0; i < want.threads; i++) {
		for (int k = 0; k < threads[i].client_count; k++) {
			login_free(threads[i].clients[k].login);
			free(threads[i].clients[k].out);
		}
		free(threads[i].clients);
		free(threads[i].started);
		free(threads[i].buffer);
	}
	free(threads);
	free(want.batch);
	free(want.copy_rows);
}

int main(int argc, char **argv)
{
	struct usage before[WATCHED_MAX], after[WATCHED_MAX];
	struct thread *threads;
	uint64_t start, measured;
	double login_seconds = 0;
	char byte;

	read_options(argc, argv);
	net_raise_limits();
	prepare_batch();
	threads = must_have(calloc((size_t)want.threads, sizeof(*threads)));
	for (int i = 0; i < want.threads; i++) {
		struct thread *t = &threads[i];
		struct epoll_event event = { .events = EPOLLIN };

		t->client_count = want.clients / want.threads + (i < want.clients % want.threads);
		t->clients = must_have(calloc((size_t)t->client_count, sizeof(*t->clients)));
		t->started = must_have(calloc((size_t)t->client_count * (size_t)want.depth, sizeof(uint64_t)));
		for (int k = 0; k < t->client_count; k++) {
			t->clients[k].number = (uint32_t)(k * want.threads + i);
			t->clients[k].started = t->started + (size_t)k * (size_t)want.depth;
		}
		t->buffer = must_have(malloc(READ_MAX));
		t->epoll = epoll_create1(EPOLL_CLOEXEC);
		t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &event);
	}
	start = now_ns();
	for (int i = 0; i < want.threads; i++)
		if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0)
			die("cannot start a thread");
	if (want.mode != CONNECT) {
		login_seconds = (double)(wait_for_logins(threads) - start) / 1e9;
	}
	if (stays()) {
		printf("{\"ready\":%d,\"login_seconds\":%.3f}\n", atomic_load(&logged_in_total), login_seconds);
		fflush(stdout);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		set_phase(threads, ENDING);
		join_threads(threads);
		report_idle(threads);
		free_threads(threads);
		return 0;
	}
	begin_ns = now_ns();
	set_phase(threads, WARMING);
	usleep((useconds_t)(want.warmup * 1e6));
	read_usage(before);
	measured = now_ns();
	set_phase(threads, MEASURING);
	usleep((useconds_t)(want.seconds * 1e6));
	set_phase(threads, ENDING);
	measured = now_ns() - measured;
	read_usage(after);
	join_threads(threads);
	report(threads, (double)measured / 1e9, login_seconds, before, after);
	free_threads(threads);
	return 0;
}
