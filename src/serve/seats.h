#ifndef PGWEIR_SERVE_SEATS_H
#define PGWEIR_SERVE_SEATS_H

#include "base/slots.h"
#include "base/span.h"

/* Clients that are known by another process id than that of their slot: of their server, as in session mode, or one that names this
 * process among its peers. Whom a cancel request means. Several may have one id, so the secret decides. Thread-safe. */
struct seats;
struct client_ref;

struct seats *seats_new(void); /* NULL: memory refused */
void seats_free(struct seats *);

/* False: memory refused. The secret is copied. */
bool seats_enter(struct seats *, uint32_t process_id, struct client_ref, struct span secret);
void seats_leave(struct seats *, uint32_t process_id, struct client_ref); /* unknown is fine */

/* Who has this id and this secret. False: nobody. */
bool seats_find(struct seats *, uint32_t process_id, struct span secret, struct client_ref *);

#endif
