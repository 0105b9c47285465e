/* Time, chance, memory and the network of the simulated world. See world.h. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

struct world world;

/* ---- memory ---- */

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void __wrap_free(void *);
char *__wrap_strdup(const char *);
char *__wrap_strndup(const char *, size_t);

static bool refused(void)
{
	if (!world.in_house || !world.memory || rng_below(&world.rng, 1000000) >= world.trouble.refuse_memory)
		return false;
	world.refused++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	void *at = refused() ? NULL : __real_malloc(n);

	world.live += at != NULL;
	return at;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *at = refused() ? NULL : __real_calloc(n, size);

	world.live += at != NULL;
	return at;
}

void *__wrap_realloc(void *old, size_t n)
{
	void *at = refused() ? NULL : __real_realloc(old, n);

	world.live += at != NULL && old == NULL;
	return at;
}

void __wrap_free(void *at)
{
	world.live -= at != NULL;
	__real_free(at);
}

char *__wrap_strndup(const char *text, size_t most)
{
	size_t n = strnlen(text, most);
	char *copy = __wrap_malloc(n + 1);

	if (copy) {
		memcpy(copy, text, n);
		copy[n] = 0;
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, SIZE_MAX);
}

void *mine_new(size_t n)
{
	void *at = __real_calloc(1, n);

	check(at);
	return at;
}

void *mine_grow(void *old, size_t n)
{
	void *at = __real_realloc(old, n);

	check(at);
	return at;
}

void mine_free(void *at)
{
	__real_free(at);
}

void bytes_add(struct bytes *b, const void *from, size_t n)
{
	if (n == 0)
		return;
	if (b->start > 0 && b->start + b->length + n > b->capacity) {
		memmove(b->at, b->at + b->start, b->length);
		b->start = 0;
	}
	if (b->length + n > b->capacity) {
		b->capacity = (b->length + n) * 2;
		b->at = mine_grow(b->at, b->capacity);
	}
	memcpy(b->at + b->start + b->length, from, n);
	b->length += n;
}

void bytes_take(struct bytes *b, size_t n)
{
	check(n <= b->length);
	b->start += n;
	b->length -= n;
	if (b->length == 0)
		b->start = 0;
}

void bytes_free(struct bytes *b)
{
	mine_free(b->at);
	*b = (struct bytes){ 0 };
}

struct span bytes_span(const struct bytes *b)
{
	return span_of(b->at ? b->at + b->start : NULL, b->length);
}

/* ---- chance, and words ---- */

uint64_t pick(uint64_t bound)
{
	return rng_below(&world.rng, bound);
}

bool chance(unsigned permille)
{
	return permille > 0 && rng_chance(&world.rng, permille);
}

time_us between(time_us least, time_us most)
{
	return least + (time_us)pick((uint64_t)(most - least + 1));
}

void story(const char *format, ...)
{
	char line[400];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof line, format, list);
	va_end(list);
	for (const char *at = line; *at; at++)
		world.print = (world.print ^ (uint8_t)*at) * UINT64_C(1099511628211);
	world.print = (world.print ^ (uint64_t)world.now) * UINT64_C(1099511628211);
	if (world.verbose)
		printf("%4lld.%06lld  %.*s\n", (long long)(world.now / SECOND_US), (long long)(world.now % SECOND_US),
			n, line);
	check_note(line);
}

void broken(const char *invariant, const char *format, ...)
{
	char line[600];
	va_list list;

	va_start(list, format);
	vsnprintf(line, sizeof line, format, list);
	va_end(list);
	fflush(stdout);
	fprintf(stderr, "broken: %s: %s\n", invariant, line);
	check_failed(invariant, "simulator", (int)world.steps, line);
}

/* ---- what is to come: a heap ---- */

struct coming {
	time_us when;
	uint64_t tie;
	happening *happens;
	void *who;
	uint64_t what;
};

static struct coming *heap;
static size_t heap_count, heap_capacity;

static bool before(const struct coming *a, const struct coming *b)
{
	return a->when != b->when ? a->when < b->when : a->tie < b->tie;
}

void world_at(time_us when, happening *happens, void *who, uint64_t what)
{
	struct coming c = { when < world.now ? world.now : when, rng_next(&world.rng), happens, who, what };
	size_t i = heap_count++;

	if (heap_count > heap_capacity) {
		heap_capacity = heap_count * 2;
		heap = mine_grow(heap, heap_capacity * sizeof *heap);
	}
	for (; i > 0 && before(&c, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = c;
}

void world_after(time_us delay, happening *happens, void *who, uint64_t what)
{
	world_at(world.now + delay, happens, who, what);
}

static struct coming heap_pop(void)
{
	struct coming top = heap[0], last = heap[--heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < heap_count) {
		if (child + 1 < heap_count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

bool world_step(time_us until)
{
	struct coming c;

	if (heap_count == 0 || heap[0].when > until) {
		world.now = world.now > until ? world.now : until;
		return false;
	}
	c = heap_pop();
	world.now = c.when;
	world.steps++;
	c.happens(c.who, c.what);
	return true;
}

/* ---- the network ---- */

struct listening {
	uint32_t host;
	uint16_t port;
	arrival *arrives;
	void *who;
};

static struct listening listening[16];
static size_t listening_count;
static struct wire *all_wires;
static unsigned wire_count;

struct wire *wires(void)
{
	return all_wires;
}

void world_listen(uint32_t host, uint16_t port, arrival *arrives, void *who)
{
	check(listening_count < sizeof listening / sizeof *listening);
	listening[listening_count++] = (struct listening){ host, port, arrives, who };
}

void world_unlisten(void *who)
{
	size_t i, to = 0;

	for (i = 0; i < listening_count; i++)
		if (listening[i].who != who)
			listening[to++] = listening[i];
	listening_count = to;
}

static struct end *other(const struct end *e)
{
	return &e->wire->ends[!e->side];
}

static void wake(struct end *e)
{
	if (!e->closed && e->wakes)
		e->wakes(e);
}

/* An error becomes known at this end. */
static void error_arrives(void *who, uint64_t what)
{
	struct end *e = who;

	if (e->closed || e->error)
		return;
	e->error = (int)what;
	wake(e);
}

/* Bytes up to the offset `what >> 1`, for the end on side `what & 1`. */
static void bytes_arrive(void *who, uint64_t what)
{
	struct wire *w = who;
	struct end *e = &w->ends[what & 1];
	struct pipe *p = &w->pipes[what & 1];
	uint64_t upto = what >> 1;

	if (w->cut || p->arrived > upto || (p->arrived == upto && !(p->fin && upto == p->sent)))
		return;
	if (w->stalled_until > world.now) {
		world_at(w->stalled_until + 1, bytes_arrive, who, what);
		return;
	}
	if (e->closed) {
		/* Nobody is there any more: the kernel answers with a reset. */
		p->arrived = upto;
		world_after(w->latency, error_arrives, other(e), ECONNRESET);
		return;
	}
	if (upto - p->arrived > 1 && chance(world.trouble.fragment)) {
		p->arrived += 1 + pick(upto - p->arrived - 1);
		world_after(between(0, w->latency), bytes_arrive, who, what);
	} else {
		p->arrived = upto;
		p->fin_arrived = p->fin && upto == p->sent;
	}
	wake(e);
}

static void send_on_its_way(struct end *from)
{
	struct wire *w = from->wire;
	struct pipe *p = &w->pipes[!from->side];
	time_us when = world.now + w->latency + between(0, w->latency / 4 + 1);

	if (when < p->last_arrival)
		when = p->last_arrival;
	p->last_arrival = when;
	world_at(when, bytes_arrive, w, p->sent << 1 | !from->side);
}

size_t end_readable(const struct end *e)
{
	const struct pipe *p = &e->wire->pipes[e->side];

	return (size_t)(p->arrived - p->read);
}

bool end_is_over(const struct end *e)
{
	return end_readable(e) == 0 && (e->wire->pipes[e->side].fin_arrived || e->error != 0);
}

size_t end_room(const struct end *e)
{
	const struct pipe *p = &e->wire->pipes[!e->side];
	uint64_t held = p->sent - p->read;

	return held >= p->window ? 0 : (size_t)(p->window - held);
}

static void room_arrives(void *who, uint64_t what)
{
	struct end *e = who;

	(void)what;
	if (!e->wire->cut)
		wake(e);
}

size_t end_read(struct end *e, struct bytes *into, size_t most)
{
	struct pipe *p = &e->wire->pipes[e->side];
	size_t n = end_readable(e);
	bool was_full = p->sent - p->read >= p->window / 2;

	n = n < most ? n : most;
	if (n > 0 && into)
		bytes_add(into, p->bytes.at + p->bytes.start, n);
	bytes_take(&p->bytes, n);
	p->read += n;
	if (was_full && n > 0 && !other(e)->closed)
		world_after(e->wire->latency, room_arrives, other(e), 0);
	return n;
}

size_t end_write(struct end *e, const void *at, size_t n)
{
	struct pipe *p = &e->wire->pipes[!e->side];
	size_t room = end_room(e);

	check(!e->closed && !e->shut);
	if (e->error)
		return n; /* swallowed */
	n = n < room ? n : room;
	if (n == 0)
		return 0;
	bytes_add(&p->bytes, at, n);
	p->sent += n;
	send_on_its_way(e);
	return n;
}

void end_shut(struct end *e)
{
	struct pipe *p = &e->wire->pipes[!e->side];

	if (e->shut)
		return;
	e->shut = true;
	p->fin = true;
	send_on_its_way(e);
}

void end_reset(struct end *e)
{
	time_us when = world.now + e->wire->latency;

	if (e->closed)
		return;
	e->closed = true;
	e->wakes = NULL;
	if (!e->wire->cut)
		world_at(when, error_arrives, other(e), ECONNRESET);
}

void end_close(struct end *e)
{
	if (e->closed)
		return;
	if (end_readable(e) > 0 && !e->error) {
		end_reset(e);
		return;
	}
	end_shut(e);
	e->closed = true;
	e->wakes = NULL;
}

static void handshake_done(void *who, uint64_t what)
{
	struct end *e = who;

	(void)what;
	if (e->closed || e->wire->cut)
		return;
	e->open = true;
	wake(e);
}

static void knock(void *who, uint64_t what)
{
	struct wire *w = who;
	uint32_t host = (uint32_t)(what >> 16);
	uint16_t port = (uint16_t)what;
	size_t i, n = 0, hits[16];

	if (w->cut)
		return;
	for (i = 0; i < listening_count; i++)
		if (listening[i].host == host && listening[i].port == port)
			hits[n++] = i;
	w->ends[1].open = true;
	if (n == 0) {
		w->ends[1].closed = true;
		world_after(w->latency, error_arrives, &w->ends[0], ECONNREFUSED);
		return;
	}
	i = hits[n > 1 ? pick(n) : 0];
	world_after(w->latency, handshake_done, &w->ends[0], 0);
	if (!listening[i].arrives(listening[i].who, &w->ends[1]))
		end_reset(&w->ends[1]);
}

struct end *wire_dial(uint32_t host, uint16_t port, end_wakes *wakes, void *owner)
{
	struct wire *w = mine_new(sizeof *w);

	w->next = all_wires;
	all_wires = w;
	w->number = ++wire_count;
	w->latency = chance(900) ? between(20, 300) : between(300, 20000);
	for (unsigned i = 0; i < 2; i++) {
		w->ends[i] = (struct end){ .wire = w, .side = i };
		w->pipes[i].window = chance(700) ? 65536 : (size_t)between(16, 4096);
	}
	w->ends[0].wakes = wakes;
	w->ends[0].owner = owner;
	world_after(w->latency, knock, w, (uint64_t)host << 16 | port);
	return &w->ends[0];
}

void wire_stall(struct wire *w, time_us duration)
{
	w->stalled_until = world.now + duration;
	w->faulty = true;
	world.stalls++;
}

void wire_cut(struct wire *w, time_us first_knows, time_us second_knows, int error)
{
	if (w->cut)
		return;
	w->cut = w->faulty = true;
	if (w->to_postgres)
		world.server_cut_at = world.now;
	world_after(first_knows, error_arrives, &w->ends[0], (uint64_t)error);
	world_after(second_knows, error_arrives, &w->ends[1], (uint64_t)error);
}

/* ---- beginning and end ---- */

void world_begin(uint64_t seed)
{
	bool verbose = world.verbose;

	world = (struct world){ .seed = seed, .verbose = verbose, .now = 100 * SECOND_US };
	rng_seed(&world.rng, seed * UINT64_C(0x9e3779b97f4a7c15) + 1);
	world.print = UINT64_C(14695981039346656037);
	heap_count = listening_count = 0;
	wire_count = 0;
}

void world_end(void)
{
	while (all_wires) {
		struct wire *w = all_wires;

		all_wires = w->next;
		bytes_free(&w->pipes[0].bytes);
		bytes_free(&w->pipes[1].bytes);
		mine_free(w);
	}
	mine_free(heap);
	heap = NULL;
	heap_count = heap_capacity = listening_count = 0;
}
