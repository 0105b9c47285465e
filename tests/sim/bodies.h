#ifndef SIM_BODIES_H
#define SIM_BODIES_H

#include <stdbool.h>
#include <stddef.h>

/* What a backend has planned of the bodies of functions, and of prepared statements that name a function which is called immutable. A plan is made
 * with the settings of whoever came first, and says the same to all who come later (PostgreSQL manual: "PL/pgSQL under the Hood", "Plan Caching";
 * "Function Volatility Categories"). */

struct session;

enum body {
	BODY_NOON,  /* noon() has a literal: a moment of the time zone, written in the date style */
	BODY_DATED, /* the trigger of the table dated has another */
	BODY_RENT,  /* rent() calls tenant() */
	BODY_PAY,   /* the procedure pay() has one as noon() */
	BODIES,
	NO_BODY = BODIES
};

/* What a literal comes to, or what tenant() says: that which decides it. */
#define WORTH_BYTES 220
#define WORTH_MARK  " is " /* between what a row says for all, and that */

struct plan {
	bool made;
	int by; /* the client's tag */
	char worth[WORTH_BYTES];
};

/* It is run for this client, and made if it was not; the backend is told (plans). */
void plan_run(struct session *, struct plan *, bool literal, int tag);
void bodies_run(struct session *, enum body, int tag);

/* Of a client's own: which it would come to now may be said to it later, or (`is_own`) is said; a server of its own may have planned it whenever it ran. */
#define WORTHS_MAX 128
void bodies_note(struct session *);
bool bodies_is_own(const struct session *, const char *worth);

void plans_forget(struct session *); /* DISCARD PLANS, and DISCARD ALL */

#endif
