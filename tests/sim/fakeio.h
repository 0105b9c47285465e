#ifndef SIM_FAKEIO_H
#define SIM_FAKEIO_H

#include "io/loop.h"
#include "world.h"

/* src/io over the simulated world. What the simulator itself needs beyond its headers. */

/* Called when something waits in a loop: whoever runs that loop's thread should give it a turn. */
typedef void loop_wakes(struct loop *);
/* `between`: called within a turn of this loop's thread, before it is handed the next completion; others may have theirs now. */
void fakeio_begin(loop_wakes *, loop_wakes *between);
void fakeio_end(void); /* checks that nothing is left */

/* Something can be handed out without waiting. */
bool loop_has_more(const struct loop *);
bool stream_is_broken(const struct stream *); /* its end is under way */
size_t mailbox_length(const struct mailbox *);
size_t fakeio_unanswered(void); /* names that are being resolved */

uint32_t address_number(const struct address *);
void address_of_number(uint32_t host, uint16_t port, struct address *out);
void fakeio_address(const struct wire *, struct address *out); /* from where a client comes */

/* How the resolver answers; permille of failures. */
void fakeio_set_resolver(unsigned failures);

#endif
