#ifndef PGWEIR_IO_VISITORS_H
#define PGWEIR_IO_VISITORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

/* Other processes of this machine that are servers themselves: who has come to them and waits, and for whom they wait. Asked of the kernel
 * (diag.h) and /proc; nobody is spoken to. */
struct visited {
	uint32_t process;
	/* One of its own connections, as it is called at that end: whose process has it no more is not looked at. */
	uint8_t ip[16];
	bool six;
	uint16_t port;
	time_us patience; /* a wait is remarkable when it has lasted for so long */
	time_us newest;   /* of those, whose wait is no longer than this counts among `since` as well */

	/* The answers. */
	bool known; /* false: it is gone, it is not ours to see, or the kernel does not say such things */
	/* Visitors: connections to a port at which somebody on this machine listens. They wait when their words, or their first, have had no
	 * answer. */
	uint32_t waiting, since, read; /* read: of `since`, those of whose words none is left unread */
	time_us longest;               /* of `since` */
	uint32_t partners; /* its own connections to anybody else on which it waits in the same sense, or that are being made */
	time_us worked; /* for how long its threads have worked, or waited for a processor, since each began */
};

/* Look at all of these at once: what is costly is the kernel's list of all connections of this machine. */
void visitors_look(struct visited *, size_t count);

#endif
