/* What the files of the load generator share among themselves: load.c has its clients and threads, load_options.c what is wanted of them,
 * load_batch.c what they send, load_report.c what came of it. */
#ifndef BENCH_LOAD_PARTS_H
#define BENCH_LOAD_PARTS_H

#include <pthread.h>

#include "load.h"

enum mode { SIMPLE, EXTENDED, PREPARED, PIPELINED, CONNECT, BULK, COPY, IDLE, HOLD };
enum state { UNBORN, CONNECTING, LOGGING_IN, PREPARING, RESTING, ASKING, GONE };
enum { DEPTH_MAX = 256, WATCHED_MAX = 16, SOURCES_MAX = 256 };

struct client {
	int descriptor;
	enum state state;
	uint32_t number;
	uint32_t asked;            /* ReadyForQuery to come */
	uint32_t sent_at, done_at; /* places in `started`, modulo depth */
	uint64_t *started;         /* when each of the batches under way began */
	uint64_t next_start;       /* open loop: when the next is meant to */
	uint64_t finished;         /* transactions while measuring */
	uint64_t latency_sum;
	struct frames frames;
	struct login *login; /* while it logs in */
	uint8_t *out;        /* what the socket did not take */
	size_t out_at, out_length;
	uint64_t copy_left;
};

struct thread {
	pthread_t id;
	int epoll, wake;
	struct client *clients;
	uint64_t *started; /* of all of them */
	int client_count, logging_in, logged_in, born, busy;
	uint8_t *buffer;
	struct histogram latency;
	uint64_t errors, refused, received;
	char first_error[200];
};

/* ---- load_options.c ---- */

extern struct want {
	struct place server, sources[SOURCES_MAX];
	int source_count;
	enum mode mode;
	int clients, threads, depth;
	double seconds, warmup, rate;
	uint64_t megabytes;
	const char *user, *database, *password, *sql, *options, *application;
	bool vary;
	int watched[WATCHED_MAX], watched_count;
	uint8_t *batch;
	uint8_t *number; /* in it: six digits that are others each time; NULL: it stays what it is */
	size_t batch_length;
	uint8_t *copy_rows;
	size_t copy_rows_length;
} want;
extern const char *const mode_names[];

void read_options(int argc, char **argv);

/* Clients come in and stay, and nothing is measured but what they cost. */
bool stays(void);

/* ---- load_batch.c ---- */

void prepare_batch(void); /* want.batch, and want.copy_rows */
void vary_batch(void);    /* another number in it */

/* A message at `at`; where the next one goes. */
uint8_t *message(uint8_t *at, char type, const void *body, size_t length);
uint8_t *parse_message(uint8_t *at, const char *name, const char *sql);
extern const char statement_name[];

/* ---- load_report.c ---- */

/* When all threads have ended. */
void report(
	struct thread *, double elapsed, double login_seconds, const struct usage *before, const struct usage *after);

/* How many of the parked clients nobody has hung up on. */
void report_idle(struct thread *);

#endif
