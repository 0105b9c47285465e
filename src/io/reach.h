#ifndef PGWEIR_IO_REACH_H
#define PGWEIR_IO_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

/* Whether anybody takes a TCP connection at this host (a name or an address) and port, within `most`: made, and ended at once. It waits,
 * so it is for tools. False: `error` says why. */
bool host_reach(const char *host, int port, time_us most, char *error, size_t error_size);

/* Whether a TCP connection may leave from this numeric address, as one of this machine's. False: `error` says why not. */
bool address_is_ours(const char *address, char *error, size_t error_size);

#endif
