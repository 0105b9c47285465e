#ifndef PGWEIR_IO_INTERFACES_H
#define PGWEIR_IO_INTERFACES_H

#include "io/address.h"

/* How an IP address stands to those of this machine's network interfaces, as they are now: it is one of them (`host`); it lies in the network
 * of one (`net`). Both false when they can not be read. Asks the kernel, and nobody else. */
void interfaces_compare(const struct address *, bool *host, bool *net);

#endif
