/* The bare relay on epoll.
 *
 *	client readable -> recv into the thread's buffer -> send to its peer
 *	server readable -> recv into the thread's buffer -> send to its peer
 *
 * One to one, peers are bound for life. In a fixed set, a client that speaks
 * is lent a server; when ReadyForQuery says idle and nothing is outstanding,
 * the server goes straight to the next waiter, without a turn of the loop.
 *
 * A client that must wait is not read: with edge triggering (`WAKE_EDGE`) its
 * bytes stay in the kernel and a flag remembers them, at no system call; with
 * `WAKE_MOD` it is taken out of the interest list and put back, as a
 * level-triggered loop has to.
 *
 * What a peer does not take is queued here, and the side it came from is not
 * read until the queue is empty. */
#include "relay.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

struct peer {
	int descriptor;
	bool client, started, readable, waiting, ended, asleep;
	bool hung_up; /* the end is near: a short read proves nothing */
	struct peer *other;
	struct peer *next; /* waiter or idle server */
	struct peer *next_grave, *next_again;
	bool again; /* more to read, but others' turn first */
	struct frames frames;
	int outstanding; /* of a server: ReadyForQuery to come */
	uint8_t *queue;  /* bytes this peer did not take */
	size_t queue_at, queue_length;
};

struct relay {
	const struct relay_options *options;
	int epoll;
	uint8_t *buffer;
	struct welcome welcome;
	struct peer *idle;
	struct peer *waiting, **waiting_tail;
	struct peer *graves, *again;
	int again_count;
	int servers_lost; /* this turn, to be replaced at its end */
};

static void watch(struct relay *r, struct peer *p, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = p };

	if (r->options->wake == WAKE_EDGE)
		event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	if (epoll_ctl(r->epoll, operation, p->descriptor, &event) < 0)
		die_errno("epoll_ctl");
}

/* WAKE_MOD: a peer sleeps while reading from it would be of no use. */
static void sleep_peer(struct relay *r, struct peer *p, bool asleep)
{
	if (r->options->wake == WAKE_EDGE || p->asleep == asleep || p->ended)
		return;
	p->asleep = asleep;
	watch(r, p, EPOLL_CTL_MOD, asleep ? 0 : EPOLLIN);
}

static void leave_queue(struct relay *r, struct peer *client)
{
	struct peer **link = &r->waiting;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	if (r->waiting_tail == &client->next)
		r->waiting_tail = link;
	client->waiting = false;
}

/* An edge comes once: who stops reading before the end must remember to go on. */
static void read_again(struct relay *r, struct peer *p)
{
	struct peer **link = &r->again;

	if (p->again)
		return;
	p->again = true;
	p->next_again = NULL;
	while (*link != NULL)
		link = &(*link)->next_again;
	*link = p;
	r->again_count++;
}

static void leave_again(struct relay *r, struct peer *p)
{
	struct peer **link = &r->again;

	if (!p->again)
		return;
	while (*link != p)
		link = &(*link)->next_again;
	*link = p->next_again;
	p->again = false;
	r->again_count--;
}

/* Both ends end together; the memory stays until no event can name it. */
static void end_peer(struct relay *r, struct peer *p)
{
	if (p == NULL || p->ended)
		return;
	if (p->waiting)
		leave_queue(r, p);
	leave_again(r, p);
	if (!p->client && r->options->servers > 0) {
		if (p->other == NULL)
			die("an idle server hung up");
		r->servers_lost++;
	}
	p->ended = true;
	close(p->descriptor);
	p->next_grave = r->graves;
	r->graves = p;
	end_peer(r, p->other);
}

static struct peer *new_peer(struct relay *r, int descriptor, bool client)
{
	struct peer *p = must_have(calloc(1, sizeof(*p)));

	p->descriptor = descriptor;
	p->client = client;
	watch(r, p, EPOLL_CTL_ADD, EPOLLIN);
	return p;
}

static bool push(struct relay *r, struct peer *to, const uint8_t *bytes, size_t length)
{
	ssize_t sent = 0;

	if (to->queue_length == 0) {
		if (r->options->write == WRITE_WRITEV && length > 5) {
			struct iovec parts[2] = { { (void *)(uintptr_t)bytes, 5 },
				{ (void *)(uintptr_t)(bytes + 5), length - 5 } };

			struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

			sent = sendmsg(to->descriptor, &message, MSG_NOSIGNAL);
		} else {
			sent = send(to->descriptor, bytes, length, MSG_NOSIGNAL);
		}
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent < 0)
			sent = 0;
	}
	if ((size_t)sent < length) {
		size_t rest = length - (size_t)sent;

		if (to->queue_length == 0 && r->options->wake == WAKE_MOD)
			watch(r, to, EPOLL_CTL_MOD, (to->asleep ? 0 : EPOLLIN) | EPOLLOUT);
		to->queue = must_have(realloc(to->queue, to->queue_length + rest));
		memcpy(to->queue + to->queue_length, bytes + sent, rest);
		to->queue_length += rest;
	}
	return true;
}

static bool drain_queue(struct relay *r, struct peer *p)
{
	while (p->queue_at < p->queue_length) {
		ssize_t sent = send(p->descriptor, p->queue + p->queue_at, p->queue_length - p->queue_at, MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN;
		p->queue_at += (size_t)sent;
	}
	free(p->queue);
	p->queue = NULL;
	p->queue_at = p->queue_length = 0;
	if (r->options->wake == WAKE_MOD)
		watch(r, p, EPOLL_CTL_MOD, p->asleep ? 0 : EPOLLIN);
	return true;
}

static void give_back(struct relay *r, struct peer *server);

/* A server's bytes were passed on: was that the end of a transaction? */
static void after_answer(struct relay *r, struct peer *server, const uint8_t *bytes, size_t length)
{
	char status = 'T';

	server->outstanding -= relay_count_answers(&server->frames, bytes, length, &status);
	if (server->outstanding == 0 && status == 'I' && server->frames.have == 0) {
		server->other->other = NULL;
		server->other = NULL;
		give_back(r, server);
	}
}

/* Read from `p` and pass it on, until there is no more, or no room, or a turn's
 * share is used up: a stream must not keep short queries waiting. */
static void pass(struct relay *r, struct peer *p)
{
	size_t room = r->options->buffer_bytes, passed = 0;

	while (!p->ended && p->readable && p->other != NULL && p->other->queue_length == 0) {
		ssize_t got;

		if (passed >= r->options->turn_bytes) {
			read_again(r, p);
			return;
		}
		got = recv(p->descriptor, r->buffer, room, 0);
		if (got < 0 && errno == EAGAIN) {
			p->readable = false;
			return;
		}
		if (got <= 0) {
			end_peer(r, p);
			return;
		}
		passed += (size_t)got;
		if ((size_t)got < room && r->options->read == READ_ONCE && !p->hung_up)
			p->readable = false;
		if (p->client && r->options->servers > 0)
			p->other->outstanding += relay_count_requests(&p->frames, r->buffer, (size_t)got);
		if (!push(r, p->other, r->buffer, (size_t)got)) {
			end_peer(r, p->other);
			return;
		}
		if (p->other->queue_length > 0)
			sleep_peer(r, p, true);
		if (!p->client && r->options->servers > 0)
			after_answer(r, p, r->buffer, (size_t)got);
		/* A level-triggered loop is told again, at the price of a turn. */
		if (r->options->wake == WAKE_MOD && r->options->read == READ_ONCE)
			p->readable = false;
	}
}

static void lend(struct relay *r, struct peer *server, struct peer *client)
{
	server->other = client;
	client->other = server;
	pass(r, client);
}

static void give_back(struct relay *r, struct peer *server)
{
	struct peer *client = r->waiting;

	if (client == NULL) {
		server->next = r->idle;
		r->idle = server;
		return;
	}
	leave_queue(r, client);
	sleep_peer(r, client, false);
	lend(r, server, client);
}

static void want_server(struct relay *r, struct peer *client)
{
	struct peer *server = r->idle;

	if (server != NULL) {
		r->idle = server->next;
		lend(r, server, client);
		return;
	}
	client->waiting = true;
	client->next = NULL;
	*r->waiting_tail = client;
	r->waiting_tail = &client->next;
	sleep_peer(r, client, true);
}

/* A client of a fixed set that has not logged in: its packet fits one read. */
static void start_client(struct relay *r, struct peer *p)
{
	ssize_t got = recv(p->descriptor, r->buffer, r->options->buffer_bytes, 0);

	p->readable = false;
	if (got < 0 && errno == EAGAIN)
		return;
	switch (got <= 0 ? STARTUP_END : relay_startup(r->buffer, (size_t)got)) {
	case STARTUP_REFUSE:
		push(r, p, (const uint8_t *)"N", 1);
		break;
	case STARTUP_WELCOME:
		push(r, p, r->welcome.bytes, r->welcome.length);
		p->started = true;
		break;
	case STARTUP_MORE:
	case STARTUP_END:
		end_peer(r, p);
		break;
	}
}

static void take_arrivals(struct relay *r, int arrivals)
{
	int descriptors[64];
	ssize_t got = read(arrivals, descriptors, sizeof(descriptors));

	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(int); i++) {
		struct peer *client = new_peer(r, descriptors[i], true);

		if (r->options->servers > 0)
			continue;
		int descriptor = net_connect(&r->options->server, NULL);

		if (descriptor < 0)
			die_errno("cannot connect to the server");
		client->started = true;
		client->other = new_peer(r, descriptor, false);
		client->other->other = client;
		client->other->started = true;
	}
}

static void take_event(struct relay *r, struct peer *p, uint32_t events)
{
	if (p->ended)
		return;
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) && p->waiting) {
		end_peer(r, p);
		return;
	}
	if (events & EPOLLOUT && p->queue_length > 0) {
		if (!drain_queue(r, p)) {
			end_peer(r, p);
			return;
		}
		if (p->queue_length == 0 && p->other != NULL) {
			sleep_peer(r, p->other, false);
			pass(r, p->other);
		}
		if (p->ended)
			return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
		return;
	p->readable = true;
	p->hung_up = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
	if (p->client && !p->started)
		start_client(r, p);
	else if (p->other != NULL)
		pass(r, p);
	else if (p->hung_up)
		end_peer(r, p);
	else if (p->client && !p->waiting)
		want_server(r, p);
}

/* Going to sleep and being woken is dear. A server that is about to answer may
 * be waiting for this very core, or be done in a moment. */
static int next_events(struct relay *r, struct epoll_event *events, int size)
{
	int count = 0;

	if (r->options->rest == REST_YIELD) {
		sched_yield();
		count = epoll_wait(r->epoll, events, size, 0);
	} else if (r->options->rest == REST_SPIN) {
		uint64_t until = now_ns() + 20000;

		while (count == 0 && now_ns() < until)
			count = epoll_wait(r->epoll, events, size, 0);
	}
	return count > 0 ? count : epoll_wait(r->epoll, events, size, r->again != NULL ? 0 : -1);
}

_Noreturn void relay_epoll(const struct relay_options *options, int arrivals)
{
	struct relay r = { .options = options };
	struct epoll_event events[256];
	struct epoll_event door = { .events = EPOLLIN };

	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	r.buffer = must_have(malloc(options->buffer_bytes));
	r.waiting_tail = &r.waiting;
	epoll_ctl(r.epoll, EPOLL_CTL_ADD, arrivals, &door);
	for (int i = 0; i < options->servers; i++)
		give_back(&r, new_peer(&r, relay_login(options, &r.welcome), false));
	for (;;) {
		int count = next_events(&r, events, 256);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				take_arrivals(&r, arrivals);
			else
				take_event(&r, events[i].data.ptr, events[i].events);
		}
		for (int left = r.again_count; left > 0 && r.again != NULL; left--) {
			struct peer *p = r.again;

			leave_again(&r, p);
			pass(&r, p);
		}
		for (struct peer *p = r.graves, *next; p != NULL; p = next) {
			next = p->next_grave;
			free(p->queue);
			free(p);
		}
		r.graves = NULL;
		for (; r.servers_lost > 0; r.servers_lost--)
			give_back(&r, new_peer(&r, relay_login(options, &r.welcome), false));
	}
}
