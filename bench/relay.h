/* A bare relay: the least that can stand between clients and PostgreSQL.
 * Two engines, epoll and io_uring, and two forms:
 *
 *	one to one	every client gets a server connection of its own
 *	fixed set	`servers` connections, lent for one transaction each
 *
 * It knows no users, limits, timeouts, errors or statements, and treats
 * anything unexpected as the end of that connection. It is a lower bound, not
 * a pooler. */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include "net.h"

enum relay_wake { WAKE_EDGE, WAKE_MOD };
enum relay_read { READ_ONCE, READ_DRAIN };
enum relay_write { WRITE_SEND, WRITE_WRITEV };
enum relay_rest { REST_SLEEP, REST_YIELD, REST_SPIN };

struct relay_options {
	struct place server;
	int servers;          /* of each thread; 0: one to one */
	size_t buffer_bytes;  /* of one read */
	size_t turn_bytes;    /* epoll: read from one peer before others' turn */
	int buffers;          /* io_uring: provided buffers of each thread */
	enum relay_wake wake; /* epoll only, as are the next three */
	enum relay_read read;
	enum relay_write write;
	enum relay_rest rest;
	const char *user, *database; /* fixed set: whom to log in as */
};

/* What the servers said at login, from the first 'S' to ReadyForQuery: said
 * again to every client of a fixed set. */
struct welcome {
	uint8_t bytes[4096];
	size_t length;
};

/* Connect and log in (trust only), waiting for it. Fills `welcome`. Dies on
 * failure: without its servers the fixed set has no use. */
int relay_login(const struct relay_options *options, struct welcome *welcome);

/* Relay the clients whose descriptors arrive through the pipe `arrivals`,
 * sizeof(int) bytes each. Do not return. */
_Noreturn void relay_epoll(const struct relay_options *options, int arrivals);
_Noreturn void relay_uring(const struct relay_options *options, int arrivals);

/* Counts what a client asked for and a server answered: a transaction's end is
 * a ReadyForQuery with status I while nothing else is outstanding. */
static inline int relay_count_requests(struct frames *frames, const uint8_t *at, size_t length)
{
	const uint8_t *end = at + length;
	struct frame frame;
	int requests = 0;

	while (frames_next(frames, &at, end, &frame))
		requests += frame.type == 'Q' || frame.type == 'S' || frame.type == 'F';
	return requests;
}

static inline int relay_count_answers(struct frames *frames, const uint8_t *at, size_t length, char *status)
{
	const uint8_t *end = at + length;
	struct frame frame;
	int answers = 0;

	while (frames_next(frames, &at, end, &frame)) {
		if (frame.type == 'Z') {
			answers++;
			*status = (char)frame.first;
		}
	}
	return answers;
}

/* What to do with a client's startup packet: answer N, welcome it, or end it. */
enum startup { STARTUP_MORE, STARTUP_REFUSE, STARTUP_WELCOME, STARTUP_END };
static inline enum startup relay_startup(const uint8_t *bytes, size_t length)
{
	uint32_t code;

	if (length < 8 || length < be32_get(bytes))
		return STARTUP_MORE;
	code = be32_get(bytes + 4);
	if (code == 80877103 || code == 80877104)
		return STARTUP_REFUSE;
	return code >> 16 == 3 ? STARTUP_WELCOME : STARTUP_END;
}

#endif
