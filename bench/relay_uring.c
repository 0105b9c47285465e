/* The bare relay on io_uring: multishot receives into provided buffers, sends
 * collected during a turn and submitted by the call that waits for the next.
 *
 *	recv completes with buffer b -> b joins the peer's send queue
 *	send completes               -> b goes back to the ring of buffers
 *
 * One send per socket is in flight, so that bytes stay in order; MSG_WAITALL
 * makes a short send go on by itself. In a fixed set, what a waiting client
 * said stays in its buffers (`held`) until a server is lent to it. A source
 * whose sink holds PAUSE_CHUNKS buffers has its receive cancelled, and armed
 * again when the sink is empty.
 *
 * A peer that ends is shut down; its memory goes when no operation names it. */
#include "relay.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAUSE_CHUNKS = 32, RING_SIZE = 4096 };
enum tag { TAG_RECV, TAG_SEND, TAG_ARRIVAL, TAG_CANCEL, TAG_MASK = 7 };

/* Chunks are filled buffers, named by the buffer's number. */
struct chunks {
	int head, tail, count;
};

struct peer {
	int descriptor;
	bool client, started, waiting, ended, receiving, sending, paused;
	struct peer *other, *next, *next_starved;
	struct frames frames;
	int outstanding;
	struct chunks queue; /* to send; the head is in flight if `sending` */
	struct chunks held;  /* said by a client that has no server yet */
};

struct relay {
	const struct relay_options *options;
	struct io_uring ring;
	struct io_uring_buf_ring *buffer_ring;
	uint8_t *memory;
	int *chunk_next;
	uint32_t *chunk_length;
	int recycled; /* buffers given back this turn */
	struct welcome welcome;
	struct peer *idle, *waiting, **waiting_tail, *starved;
	int arrivals, arrived; /* the pipe, and what was read from it */
	int servers_lost;
};

static struct io_uring_sqe *sqe_for(struct relay *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	while (sqe == NULL) {
		io_uring_submit(&r->ring);
		sqe = io_uring_get_sqe(&r->ring);
	}
	return sqe;
}

/* After the prep function, which in some versions of liburing clears it. */
static void name_sqe(struct io_uring_sqe *sqe, void *owner, enum tag tag)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)owner | tag);
}

static uint8_t *chunk_bytes(struct relay *r, int chunk)
{
	return r->memory + (size_t)chunk * r->options->buffer_bytes;
}

static void chunk_free(struct relay *r, int chunk)
{
	io_uring_buf_ring_add(r->buffer_ring, chunk_bytes(r, chunk), (unsigned)r->options->buffer_bytes,
		(unsigned short)chunk, io_uring_buf_ring_mask((unsigned)r->options->buffers), r->recycled++);
}

static void chunks_push(struct relay *r, struct chunks *list, int chunk)
{
	r->chunk_next[chunk] = -1;
	if (list->count++ == 0)
		list->head = chunk;
	else
		r->chunk_next[list->tail] = chunk;
	list->tail = chunk;
}

static int chunks_pop(struct relay *r, struct chunks *list)
{
	int chunk = list->head;

	list->head = r->chunk_next[chunk];
	list->count--;
	return chunk;
}

static void arm(struct relay *r, struct peer *p)
{
	struct io_uring_sqe *sqe;

	if (p->receiving || p->ended || p->paused)
		return;
	sqe = sqe_for(r);
	io_uring_prep_recv_multishot(sqe, p->descriptor, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	name_sqe(sqe, p, TAG_RECV);
	p->receiving = true;
}

static void send_head(struct relay *r, struct peer *p)
{
	struct io_uring_sqe *sqe;

	if (p->sending || p->queue.count == 0 || p->ended)
		return;
	sqe = sqe_for(r);
	io_uring_prep_send(sqe, p->descriptor, chunk_bytes(r, p->queue.head), r->chunk_length[p->queue.head],
		MSG_NOSIGNAL | MSG_WAITALL);
	name_sqe(sqe, p, TAG_SEND);
	p->sending = true;
}

static void pause_peer(struct relay *r, struct peer *p)
{
	struct io_uring_sqe *sqe;

	if (p->paused)
		return;
	p->paused = true;
	if (!p->receiving)
		return;
	sqe = sqe_for(r);
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)p | TAG_RECV, 0);
	name_sqe(sqe, NULL, TAG_CANCEL);
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

static void leave_starved(struct relay *r, struct peer *p)
{
	struct peer **link = &r->starved;

	while (*link != NULL && *link != p)
		link = &(*link)->next_starved;
	if (*link != NULL)
		*link = p->next_starved;
}

static void end_peer(struct relay *r, struct peer *p)
{
	struct peer *other = p->other;

	if (p->ended)
		return;
	if (p->waiting)
		leave_queue(r, p);
	if (!p->client && r->options->servers > 0) {
		if (other == NULL)
			die("an idle server hung up");
		r->servers_lost++;
	}
	p->ended = true;
	shutdown(p->descriptor, SHUT_RDWR);
	if (other != NULL)
		end_peer(r, other);
}

/* Free the dead, and the other half with them, unless the kernel still has an
 * operation that names them: then its completion comes here again. */
static void bury(struct relay *r, struct peer *p)
{
	struct peer *other = p->other;

	if (!p->ended || p->receiving || p->sending)
		return;
	while (p->queue.count > 0)
		chunk_free(r, chunks_pop(r, &p->queue));
	while (p->held.count > 0)
		chunk_free(r, chunks_pop(r, &p->held));
	leave_starved(r, p);
	close(p->descriptor);
	free(p);
	if (other != NULL) {
		other->other = NULL;
		bury(r, other);
	}
}

static struct peer *new_peer(struct relay *r, int descriptor, bool client)
{
	struct peer *p = must_have(calloc(1, sizeof(*p)));

	p->descriptor = descriptor;
	p->client = client;
	arm(r, p);
	return p;
}

static void queue_chunk(struct relay *r, struct peer *from, struct peer *to, int chunk)
{
	chunks_push(r, &to->queue, chunk);
	send_head(r, to);
	if (to->queue.count >= PAUSE_CHUNKS)
		pause_peer(r, from);
}

static void lend(struct relay *r, struct peer *server, struct peer *client)
{
	server->other = client;
	client->other = server;
	while (client->held.count > 0) {
		int chunk = chunks_pop(r, &client->held);

		server->outstanding += relay_count_requests(
			&client->frames, chunk_bytes(r, chunk), r->chunk_length[chunk]);
		queue_chunk(r, client, server, chunk);
	}
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
}

static void start_client(struct relay *r, struct peer *p, int chunk)
{
	uint8_t *bytes = chunk_bytes(r, chunk);

	switch (relay_startup(bytes, r->chunk_length[chunk])) {
	case STARTUP_REFUSE:
		bytes[0] = 'N';
		r->chunk_length[chunk] = 1;
		queue_chunk(r, p, p, chunk);
		return;
	case STARTUP_WELCOME:
		memcpy(bytes, r->welcome.bytes, r->welcome.length);
		r->chunk_length[chunk] = (uint32_t)r->welcome.length;
		p->started = true;
		queue_chunk(r, p, p, chunk);
		return;
	case STARTUP_MORE:
	case STARTUP_END:
		chunk_free(r, chunk);
		end_peer(r, p);
		return;
	}
}

static void take_bytes(struct relay *r, struct peer *p, int chunk)
{
	struct peer *other = p->other;
	char status = 'T';

	if (p->ended || (other != NULL && other->ended)) {
		chunk_free(r, chunk);
	} else if (r->options->servers == 0) {
		queue_chunk(r, p, other, chunk);
	} else if (p->client && !p->started) {
		start_client(r, p, chunk);
	} else if (p->client && other == NULL) {
		chunks_push(r, &p->held, chunk);
		if (!p->waiting)
			want_server(r, p);
	} else if (p->client) {
		other->outstanding += relay_count_requests(&p->frames, chunk_bytes(r, chunk), r->chunk_length[chunk]);
		queue_chunk(r, p, other, chunk);
	} else if (other == NULL) {
		chunk_free(r, chunk); /* a notice to nobody */
	} else {
		p->outstanding -= relay_count_answers(
			&p->frames, chunk_bytes(r, chunk), r->chunk_length[chunk], &status);
		queue_chunk(r, p, other, chunk);
		if (p->outstanding == 0 && status == 'I' && p->frames.have == 0) {
			p->other = NULL;
			other->other = NULL;
			if (p->paused) {
				p->paused = false;
				arm(r, p);
			}
			give_back(r, p);
		}
	}
}

static void recv_done(struct relay *r, struct peer *p, const struct io_uring_cqe *cqe)
{
	int result = cqe->res;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		p->receiving = false;
	if (result > 0) {
		int chunk = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		r->chunk_length[chunk] = (uint32_t)result;
		take_bytes(r, p, chunk);
	} else if (result == -ENOBUFS && !p->ended) {
		p->next_starved = r->starved;
		r->starved = p;
		return;
	} else if (result != -ECANCELED) {
		if (cqe->flags & IORING_CQE_F_BUFFER)
			chunk_free(r, (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT));
		end_peer(r, p);
	}
	arm(r, p);
	bury(r, p);
}

static void send_done(struct relay *r, struct peer *p, int result)
{
	int chunk = chunks_pop(r, &p->queue);
	bool whole = result == (int)r->chunk_length[chunk];

	p->sending = false;
	chunk_free(r, chunk);
	if (!whole)
		end_peer(r, p);
	send_head(r, p);
	if (p->queue.count == 0 && p->other != NULL && p->other->paused) {
		p->other->paused = false;
		arm(r, p->other);
	}
	bury(r, p);
}

static void read_arrival(struct relay *r)
{
	struct io_uring_sqe *sqe = sqe_for(r);

	io_uring_prep_read(sqe, r->arrivals, &r->arrived, sizeof(r->arrived), 0);
	name_sqe(sqe, NULL, TAG_ARRIVAL);
}

static void take_arrival(struct relay *r)
{
	struct peer *client = new_peer(r, r->arrived, true);

	if (r->options->servers == 0) {
		int descriptor = net_connect(&r->options->server, NULL);

		if (descriptor < 0)
			die_errno("cannot connect to the server");
		client->other = new_peer(r, descriptor, false);
		client->other->other = client;
	}
	read_arrival(r);
}

static void open_ring(struct relay *r)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_CQSIZE,
		.cq_entries = 16384 };
	struct io_uring_buf_reg registration = { .ring_entries = (uint32_t)r->options->buffers };
	size_t ring_bytes = (size_t)r->options->buffers * sizeof(struct io_uring_buf);
	int result = io_uring_queue_init_params(RING_SIZE, &r->ring, &params);

	if (result == -EINVAL) { /* a kernel before 6.1 */
		params.flags = IORING_SETUP_CQSIZE;
		result = io_uring_queue_init_params(RING_SIZE, &r->ring, &params);
	}
	if (result < 0)
		die("io_uring is not to be had: %s", strerror(-result));
	r->buffer_ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->buffer_ring == MAP_FAILED)
		die_errno("mmap");
	registration.ring_addr = (uint64_t)(uintptr_t)r->buffer_ring;
	result = io_uring_register_buf_ring(&r->ring, &registration, 0);
	if (result < 0)
		die("provided buffers are not to be had: %s", strerror(-result));
	io_uring_buf_ring_init(r->buffer_ring);
	r->memory = must_have(malloc((size_t)r->options->buffers * r->options->buffer_bytes));
	r->chunk_next = must_have(calloc((size_t)r->options->buffers, sizeof(int)));
	r->chunk_length = must_have(calloc((size_t)r->options->buffers, sizeof(uint32_t)));
	for (int i = 0; i < r->options->buffers; i++)
		chunk_free(r, i);
}

static void end_turn(struct relay *r)
{
	io_uring_buf_ring_advance(r->buffer_ring, r->recycled);
	if (r->recycled > 0) {
		struct peer *p = r->starved, *next;

		for (r->starved = NULL; p != NULL; p = next) {
			next = p->next_starved;
			arm(r, p);
		}
	}
	r->recycled = 0;
	for (; r->servers_lost > 0; r->servers_lost--)
		give_back(r, new_peer(r, relay_login(r->options, &r->welcome), false));
}

_Noreturn void relay_uring(const struct relay_options *options, int arrivals)
{
	struct relay r = { .options = options, .arrivals = arrivals };

	if ((options->buffers & (options->buffers - 1)) != 0)
		die("--buffers must be a power of two");
	if (options->buffer_bytes < sizeof(r.welcome.bytes))
		die("--buffer is too small for io_uring");
	open_ring(&r);
	r.waiting_tail = &r.waiting;
	for (int i = 0; i < options->servers; i++)
		give_back(&r, new_peer(&r, relay_login(options, &r.welcome), false));
	read_arrival(&r);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		end_turn(&r);
		io_uring_submit_and_wait(&r.ring, 1);
		io_uring_for_each_cqe(&r.ring, head, cqe)
		{
			struct peer *p = (struct peer *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);

			count++;
			switch ((enum tag)(cqe->user_data & TAG_MASK)) {
			case TAG_RECV:
				recv_done(&r, p, cqe);
				break;
			case TAG_SEND:
				send_done(&r, p, cqe->res);
				break;
			case TAG_ARRIVAL:
				take_arrival(&r);
				break;
			case TAG_CANCEL:
			case TAG_MASK:
				break;
			}
		}
		io_uring_cq_advance(&r.ring, count);
	}
}
