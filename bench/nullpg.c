/* A null PostgreSQL: it speaks the protocol and does no work, so that what
 * stands in front of it is all there is to measure.
 *
 * Startup is answered as by a server with trust authentication. A Query or an
 * extended batch is answered at once with one canned row. What a pooler says
 * of its own accord is answered as PostgreSQL would: BEGIN, COMMIT and
 * ROLLBACK move the status of ReadyForQuery, SET of a reported parameter sends
 * ParameterStatus, RESET, DISCARD and DEALLOCATE have their tags. What pgweir
 * asks about the server and its session is answered in the right shape: a
 * primary without functions, limits or anything left behind.
 *
 *	TABLE bulk_N      streams N megabytes (1,000,000 bytes) of rows
 *	COPY t FROM STDIN swallows rows until CopyDone
 *
 * One accepting thread deals connections in turn to the threads, each with its
 * own epoll set. A connection owns buffers only while something is unfinished.
 *
 *	recv -> take_message ... -> reply into the thread's buffer -> one send
 */
#include "nullpg.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_MAX = 256 * 1024, MESSAGE_MAX = 1 << 20 };

bool lax;

/* Send the reply; keep what the peer did not take. False: the peer is gone. */
static bool send_reply(struct worker *w, struct conn *c)
{
	ssize_t sent = 0;

	if (w->reply_length == 0)
		return true;
	if (c->out_length == 0) {
		sent = send(c->descriptor, w->reply, w->reply_length, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0)
			sent = 0;
	}
	if ((size_t)sent < w->reply_length) {
		size_t rest = w->reply_length - (size_t)sent;

		c->out = must_have(realloc(c->out, c->out_length + rest));
		memcpy(c->out + c->out_length, w->reply + sent, rest);
		c->out_length += rest;
	}
	w->reply_length = 0;
	return true;
}

/* Take the whole messages at the front of `bytes`; returns how many bytes they
 * were, or -1 to hang up. Stops when a long answer must be sent first. */
static ssize_t take_bytes(struct worker *w, struct conn *c, uint8_t *bytes, size_t length)
{
	size_t at = 0;

	while (at < length && c->bulk_left == 0) {
		size_t here = length - at, whole;
		bool keep_on;

		if (c->skip > 0) {
			size_t skipped = here < c->skip ? here : (size_t)c->skip;

			c->skip -= skipped;
			at += skipped;
			continue;
		}
		if (here < (c->phase == STARTING ? 8 : 5))
			break;
		whole = c->phase == STARTING ? be32_get(bytes + at) : (size_t)be32_get(bytes + at + 1) + 1;
		if (whole < (c->phase == STARTING ? 8 : 5))
			return -1;
		if (c->phase == COPYING && bytes[at] == 'd') {
			c->skip = whole;
			continue;
		}
		if (whole > MESSAGE_MAX)
			return -1;
		if (here < whole)
			break;
		if (c->phase == STARTING) {
			keep_on = take_first(w, c, (char *)bytes + at, whole);
		} else {
			uint8_t behind = bytes[at + whole];

			keep_on = take_message(w, c, (char)bytes[at], (char *)bytes + at + 5, whole - 5);
			bytes[at + whole] = behind;
		}
		if (!keep_on)
			return -1;
		at += whole;
		if (w->reply_length > REPLY_MAX - REPLY_ROOM && !send_reply(w, c))
			return -1;
	}
	return (ssize_t)at;
}

static void conn_end(struct conn *c)
{
	close(c->descriptor);
	free(c->named);
	free(c->in);
	free(c->out);
	free(c);
}

/* Send what waits. True when nothing waits any more. */
static bool flush_queue(struct conn *c, bool *alive)
{
	while (c->out_at < c->out_length) {
		ssize_t sent = send(c->descriptor, c->out + c->out_at, c->out_length - c->out_at, MSG_NOSIGNAL);

		if (sent < 0) {
			*alive = errno == EAGAIN;
			return false;
		}
		c->out_at += (size_t)sent;
	}
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_length = 0;
	return true;
}

/* Let others have a turn first: asked to watch it anew, epoll looks again, and
 * reports what is ready already. */
static bool conn_later(struct worker *w, struct conn *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };

	return epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->descriptor, &event) == 0;
}

/* Do what can be done in one turn. False: the connection is over. */
static bool conn_run(struct worker *w, struct conn *c)
{
	bool alive = true;

	for (;;) {
		uint8_t *bytes = w->read_buffer;
		ssize_t got, taken;
		size_t length;

		if (c->out_length > 0 && !flush_queue(c, &alive))
			return alive;
		if (c->bulk_left > 0) {
			stream_bulk(w, c);
			if (!send_reply(w, c))
				return false;
			if (c->out_length == 0)
				return conn_later(w, c);
			continue;
		}
		if (c->in_length > 0)
			memcpy(bytes, c->in, c->in_length);
		length = c->in_length;
		got = recv(c->descriptor, bytes + length, READ_MAX, 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return false;
		if (got < 0 && length == 0)
			return true;
		length += got < 0 ? 0 : (size_t)got;
		taken = take_bytes(w, c, bytes, length);
		if (taken < 0 || !send_reply(w, c))
			return false;
		if ((size_t)taken < length) {
			size_t rest = length - (size_t)taken;

			c->in = must_have(realloc(c->in, rest));
			memcpy(c->in, bytes + taken, rest);
			c->in_length = rest;
		} else {
			free(c->in);
			c->in = NULL;
			c->in_length = 0;
		}
		if (c->bulk_left > 0 || c->out_length > 0)
			continue;
		if (got < READ_MAX && !c->ends)
			return true; /* a short read: the next edge will tell */
		if (c->ends)
			continue;
		return conn_later(w, c);
	}
}

static void *worker_main(void *argument)
{
	struct worker *w = argument;
	struct epoll_event events[256];

	for (;;) {
		int count = epoll_wait(w->epoll, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct conn *c = events[i].data.ptr;

			w->reply_length = 0;
			c->ends = c->ends || (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
			if (!conn_run(w, c))
				conn_end(c);
		}
	}
	return NULL;
}

static void usage(void)
{
	puts("nullpg: a PostgreSQL that answers at once and does nothing\n\n"
	     "  --listen PLACE   host:port (port 0 chooses) or the path of a unix socket\n"
	     "  --threads N      threads that answer (default 1)\n"
	     "  --lax            accept every statement name, known or not");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "threads", required_argument, NULL, 't' },
		{ "lax", no_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *place = "127.0.0.1:0";
	long threads = 1;
	struct worker *workers;
	int listener, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			place = optarg;
			break;
		case 't':
			threads = number_of("--threads", optarg, 1, 64);
			break;
		case 'x':
			lax = true;
			break;
		case 'h':
			usage();
			return 0;
		default:
			usage();
			return 2;
		}
	}
	net_raise_limits();
	workers = must_have(calloc((size_t)threads, sizeof(*workers)));
	for (long i = 0; i < threads; i++) {
		workers[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		/* One byte more, so that the end of the last message can be marked. */
		workers[i].read_buffer = must_have(malloc(READ_MAX + MESSAGE_MAX + 1));
		workers[i].reply = must_have(malloc(REPLY_MAX + MESSAGE_MAX));
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
			die("cannot start a thread");
	}
	listener = net_listen(place);
	for (unsigned turn = 0;; turn++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
		struct conn *c;
		int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (descriptor < 0) {
			if (errno == EMFILE || errno == ENFILE)
				usleep(10000);
			continue;
		}
		net_tune(descriptor);
		c = must_have(calloc(1, sizeof(*c)));
		c->descriptor = descriptor;
		event.data.ptr = c;
		if (epoll_ctl(workers[turn % (unsigned)threads].epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
			conn_end(c);
	}
}
