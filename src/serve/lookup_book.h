#ifndef PGWEIR_SERVE_LOOKUP_BOOK_H
#define PGWEIR_SERVE_LOOKUP_BOOK_H

#include "base/list.h"
#include "serve/lookups.h"

/* What was answered about users, who asks and who waits, for lookups.c alone. All of it under the lock, which whoever calls here has. */

struct entry {
	struct link bucket, age; /* age: only when it is known */
	uint64_t scope;          /* where and what is asked, as a hash */
	char *user;
	bool asked, doubted;
	unsigned generation; /* of the configuration that was in force when it was asked */
	time_us answered;
	struct secrets *found; /* NULL: nobody */
	struct roles *roles;   /* LOOKUP_ROLES */
	struct client_ref *waiting;
	size_t waiting_count, waiting_capacity;
};

#define LOOKUP_BUCKETS 1024

struct lookups {
	struct lock *lock;                         /* first: see locked_new */
	struct link buckets[LOOKUP_BUCKETS], ages; /* oldest answer first */
	uint32_t count, asked;
	uint32_t scram_found, other_found; /* users, by the kind of their secret */
	struct secret_mock like;           /* the last SCRAM secret that was found */
	struct secrets **pools;            /* by pool id: what its last login proved */
	uint32_t pool_capacity;
};

/* NULL: nothing is known, and nobody asks. */
struct entry *entry_find(struct lookups *, uint64_t scope, struct span user);

/* For who is about to ask; the one answered longest ago goes where there are too many. NULL: memory refused. */
struct entry *entry_make(struct lookups *, uint64_t scope, struct span user);
void entry_free(struct lookups *, struct entry *);

/* It may be believed. */
bool entry_is_fresh(const struct entry *, const struct worker *);

/* False: too many do, or memory refused. */
bool entry_add_waiting(struct entry *, struct client_ref who);

/* What somebody of this name would have who is not there: SCRAM, or not, with the share of those who were found, and always the same but for
 * the few names at the border when that share changes. Where nobody was found yet, it is SCRAM. */
struct secret_mock lookups_pretend(const struct lookups *, struct span user);

#endif
