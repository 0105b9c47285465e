#ifndef PGWEIR_SESSION_VISITS_H
#define PGWEIR_SESSION_VISITS_H

#include "base/span.h"
#include "base/time.h"

/* Who is logged in at the HTTP server. A visit is known by a random token that its browser keeps in a cookie; the table is small, and the
 * longest unused gives way. Who may visit is not decided here, and is asked anew with each request. */
#define VISITS_MOST    64
#define VISIT_IDLE     (3600 * SECOND_US)
#define VISIT_LONGEST  (12 * 3600 * SECOND_US)
#define VISIT_TOKEN    32 /* hexadecimal digits: 128 bits */
#define VISIT_USER_MAX 128

struct visit {
	char user[VISIT_USER_MAX];
	char token[VISIT_TOKEN + 1], csrf[VISIT_TOKEN + 1]; /* csrf: what a change must bring in a header */
	uint64_t secret; /* a hash of the secret that let it in: another one ends it */
	time_us since, used;
};

struct visits {
	struct visit list[VISITS_MOST]; /* `since` 0: free */
	struct attempts {
		uint32_t failed;
		time_us since;
	} attempts[64]; /* by a hash of the address; who shares a place shares its count */
};

/* Let it in. `random`: fresh bytes from the kernel. The visit is borrowed until the next call. */
const struct visit *visits_enter(
	struct visits *, const char *user, uint64_t secret, const uint8_t random[VISIT_TOKEN], time_us now);

/* Whose token this is, compared in constant time. NULL: nobody's, or no longer. */
const struct visit *visits_find(struct visits *, struct span token, time_us now);
void visits_leave(struct visits *, struct span token);

/* Guessing is slow: after ATTEMPTS_MOST wrong passwords within ATTEMPTS_TIME from one address none is looked at until that time is
 * over. False: not now. */
#define ATTEMPTS_MOST 10
#define ATTEMPTS_TIME (60 * SECOND_US)
bool visits_may_try(struct visits *, struct span address, time_us now);
void visits_failed(struct visits *, struct span address, time_us now);

#endif
