#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/rng.h"
#include "base/span.h"
#include "base/time.h"

/* The simulated world: one seed, one run. Time stands still while something happens, and jumps to the next thing that is to happen.
 * What happens at one moment comes in an order drawn from the seed. Here are the queue of what is to come, and the network. */

/* How often what goes wrong: set once at the start from the seed (faults.c). Permille, per occasion. */
struct trouble {
	unsigned fragment;      /* what was sent arrives in pieces */
	unsigned short_read;    /* a read takes a part of what is there */
	unsigned short_write;   /* a write takes a part of what there is room for */
	unsigned refuse_memory; /* per million: malloc fails */
};

struct world {
	struct rng rng;
	uint64_t seed, steps;
	time_us now;
	bool verbose;
	bool in_house;    /* the code under test is running */
	bool plain;       /* nothing goes wrong in this run: every answer must be perfect */
	bool memory;      /* malloc is refused now and then */
	uint64_t refused; /* how often it was */
	uint64_t live;    /* allocations of the code under test that are not freed */
	uint64_t print;   /* of everything that happened: the same for the same seed */
	uint64_t bytes_in, bytes_out;
	struct trouble trouble;
	/* What has happened so far that excuses something; counts. */
	uint64_t server_faults, client_faults, commands, stalls, reaped;
	uint64_t strays;       /* cancels whose signal came, or will come, when their connection had ended already */
	time_us server_cut_at; /* when a link to a server was last cut; 0: never */
};
extern struct world world;

void world_begin(uint64_t seed);
void world_end(void);

/* Something that will happen. `who` must live as long as the world. */
typedef void happening(void *who, uint64_t what);
void world_at(time_us when, happening *, void *who, uint64_t what);
void world_after(time_us delay, happening *, void *who, uint64_t what);

/* Let the next thing happen, if it happens before `until`. False: nothing does; the time is `until` then. */
bool world_step(time_us until);

uint64_t pick(uint64_t bound);
bool chance(unsigned permille);
time_us between(time_us least, time_us most);

/* What happens, for people; and folded into world.print. */
void story(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An invariant does not hold. */
void broken(const char *invariant, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* ---- memory of the simulator itself: never refused, never counted ---- */

void *mine_new(size_t);
void *mine_grow(void *, size_t);
void mine_free(void *);

/* A queue of bytes. */
struct bytes {
	uint8_t *at;
	size_t start, length, capacity;
};
void bytes_add(struct bytes *, const void *, size_t);
void bytes_take(struct bytes *, size_t);
void bytes_free(struct bytes *);
struct span bytes_span(const struct bytes *);

/* ---- the network ----
 *
 *   ends[0] ----- pipes[1] ----> ends[1]       what is written at an end goes into the other's pipe, arrives later, in pieces,
 *           <---- pipes[0] -----               and lies there until it is read; `window` bounds what is under way and unread */

struct end;
typedef void end_wakes(struct end *); /* something arrived here: bytes, room, the end, or an error */

struct end {
	struct wire *wire;
	unsigned side;
	end_wakes *wakes;
	void *owner;
	bool open; /* connected, as this side knows it */
	bool closed, shut;
	int error; /* arrived */
};

struct pipe {
	struct bytes bytes; /* under way or unread */
	uint64_t sent, arrived, read;
	size_t window;
	time_us last_arrival;
	bool fin, fin_arrived;
};

struct wire {
	struct end ends[2];
	struct pipe pipes[2];
	time_us latency, stalled_until;
	unsigned number;
	bool to_postgres; /* the house dialed it */
	bool cut;         /* nothing arrives any more */
	bool faulty;      /* cut or stalled once, or reset */
	struct wire *next;
};

/* Who listens where: the pools of pgweir, and PostgreSQL. `arrives` is given the far end of a new connection; false: refused. */
typedef bool arrival(void *who, struct end *);
void world_listen(uint32_t host, uint16_t port, arrival *, void *who);
void world_unlisten(void *who);

/* Connect. The end wakes when it is open, or has an error. */
struct end *wire_dial(uint32_t host, uint16_t port, end_wakes *, void *owner);

size_t end_readable(const struct end *);
size_t end_read(struct end *, struct bytes *, size_t most);
bool end_is_over(const struct end *); /* everything was read, and nothing more comes */
size_t end_room(const struct end *);
size_t end_write(struct end *, const void *, size_t); /* how many were taken */
void end_shut(struct end *);
void end_close(struct end *); /* a reset for the other side if something is unread */
void end_reset(struct end *);

/* Faults. */
void wire_stall(struct wire *, time_us);
void wire_cut(struct wire *, time_us first_knows, time_us second_knows, int error);
struct wire *wires(void);

#endif
