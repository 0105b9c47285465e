#ifndef PGWEIR_SERVE_GUEST_H
#define PGWEIR_SERVE_GUEST_H

#include "serve/worker.h"

/* What the parts of a client's life share: arrival.c (until it is parked for the first time), guest_door.c (where it waits for
 * room before its proof), guest.c (everything after), guest_end.c (its end), waiting.c (what is said to those who wait). Their promises to the rest are
 * in worker.h. */

/* Tell the core. */
void guest_step(struct guest *, enum event_kind);

/* We run under PgBouncer's name, so its words and its one SQLSTATE are said. */
bool guest_is_bouncers(const struct guest *);

/* Send what lies in worker->out, and empty it. */
void guest_send(struct guest *);

/* It waits: say so, and why (waiting.c); or end it, since query_wait_timeout is over; or client_login_timeout, before it was told what its
 * server reports, or was let in. */
void guest_notice_wait(struct guest *);
void guest_waited_too_long(struct guest *);
void guest_learned_nothing(struct guest *);
void guest_not_let_in(struct guest *);

/* It holds nothing from now on. */
void guest_park(struct guest *);

/* End it with this FATAL; under PgBouncer's name with PgBouncer's SQLSTATE. */
void guest_refuse(struct guest *, const char *sqlstate, const char *message, const char *detail, const char *hint);

/* May it go on to its proof, as far as address_login_rate says (pacing.c)? Else it knocks again by its timer, or its time is over then. */
bool guest_keeps_pace(struct guest *);

/* It has logged in but for its session's server, and waits for that. */
bool guest_enters(const struct guest *);

/* At the door that descriptors make (guest_door.c): in, or look again later. */
void guest_knock(struct guest *);
void guest_leave_origin(struct guest *);

/* Bytes of a login. Returns how many are done with. */
size_t guest_login_bytes(struct guest *, struct span);

#endif
