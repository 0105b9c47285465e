#ifndef PGWEIR_SESSION_CANCEL_H
#define PGWEIR_SESSION_CANCEL_H

#include "base/slots.h"

/* The process id we invent for a client names its worker and its slot there, so that a cancel request finds its owner by mail.
 * It is positive, as PostgreSQL's are. Which client of that slot is meant is proven by the secret alone.
 *
 *      0 | worker (7 bits) | 1 | slot (22 bits), and 1 more
 *
 * There are drivers that end a statement with pg_cancel_backend(process id). PostgreSQL knows nobody by an id of ours and says so, as long as no
 * process of its machine can have it: Linux gives out no more than 2^22 (proc(5), pid_max), and others fewer. A low one would be another's. */
#define CANCEL_WORKERS_MAX 128
#define CANCEL_SLOTS_MAX   (1u << 22)
#define CANCEL_NO_PROCESS  (1u << 22)

static inline uint32_t cancel_process_id(uint32_t worker, uint32_t slot)
{
	return (worker << 23 | CANCEL_NO_PROCESS | slot) + 1;
}

/* False: no id of ours. */
static inline bool cancel_locate(uint32_t process_id, uint32_t *worker, uint32_t *slot)
{
	if (process_id == 0 || process_id > CANCEL_WORKERS_MAX << 23 || !((process_id - 1) & CANCEL_NO_PROCESS))
		return false;
	*worker = (process_id - 1) >> 23;
	*slot = (process_id - 1) & (CANCEL_SLOTS_MAX - 1);
	return true;
}

/* In a group of peers the id names the process instead, as PgBouncer has it since 1.21, so that both understand each other's keys:
 *
 *      process id       secret
 *      0  1  2  3       4  5  6  7   (8 ... 31 with protocol 3.2)
 *      |  +--+  |       +-----+  |
 *      |  peer  random  random   six random bits, then two: how often it may still be passed on
 *      random; the first bit is 0, and the byte is not, so that it is no process of PostgreSQL's machine either
 *
 * The peer's number stands with its lower byte first. A client's key always says three hops; each process that passes it on takes one away,
 * so that a request can not go round for ever where [peers] lead in a circle. */
#define CANCEL_HOPS_MAX 3

static inline uint32_t cancel_peer_process(uint32_t peer, uint16_t random)
{
	uint32_t first = random >> 8 & 0x7f;

	return (first ? first : 0x40) << 24 | (peer & 0xff) << 16 | (peer >> 8 & 0xff) << 8 | (random & 0xff);
}

/* The peer that such an id names; of any other id, some number. */
static inline uint32_t cancel_peer(uint32_t process_id)
{
	return (process_id >> 16 & 0xff) | (process_id & 0xff00);
}

/* The key as its client has it, wherever it came from. Secrets have at least four bytes. */
static inline void cancel_hops_fill(uint8_t *secret)
{
	secret[3] |= CANCEL_HOPS_MAX;
}

/* One hop less. False: there was none left. */
static inline bool cancel_hop(uint8_t *secret)
{
	if ((secret[3] & CANCEL_HOPS_MAX) == 0)
		return false;
	secret[3]--;
	return true;
}

#endif
