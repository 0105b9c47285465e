#ifndef PGWEIR_SERVE_OWNERS_H
#define PGWEIR_SERVE_OWNERS_H

#include "base/time.h"
#include "io/file.h"

/* Whose process is at the other end of a client's connection. The kernel says it of a unix socket; of TCP from this machine it is looked up in
 * /proc, by the keeper, for SHOW ORIGINS and SHOW BREAKDOWNS at once. */
struct guest;

/* The other end, as the worker knows it. */
struct other_end {
	uint32_t client;        /* its number in SHOW CLIENTS */
	bool local;             /* TCP from this machine: `at` is to be looked up */
	struct process_peer at; /* else its process and user are what is known: 0 and UINT32_MAX, nothing is */
};
struct other_end other_end_of(const struct guest *);

/* Whose sockets those are that were there at the last look. Zeroes at first. */
struct owners {
	struct owner {
		uint32_t client;
		struct process_peer at;
		uint8_t tries; /* in vain, so far */
		bool sought;
	} * list; /* by client */
	size_t count;
	time_us walk_at; /* when /proc may be walked next, which takes long where many files are open: a hundredth of a processor at most */
};
void owners_fini(struct owners *);

/* Room for who is to be known; NULL: memory refused. Filled in by owners_want. */
struct owner *owners_room(size_t most);
void owners_want(struct owner *room, size_t *count, const struct other_end *);

/* From now on these are known, and none else; takes the list, in which somebody may stand twice. Whoever came since is sought, all in one
 * walk; or not yet. */
void owners_seek(struct owners *, struct owner **wanted, size_t count);

/* NULL: not known (yet). Else process 0 and user UINT32_MAX are what can not be seen. */
const struct process_peer *owners_find(const struct owners *, uint32_t client);

/* It is not so any more: seek it again. */
void owners_forget(struct owners *, uint32_t client);

#endif
