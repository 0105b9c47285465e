#ifndef PGWEIR_TOOL_STRESS_SOURCE_H
#define PGWEIR_TOOL_STRESS_SOURCE_H

#include "tool/stress.h"

/* The addresses that sockets leave from: the ports of one are the limit of its sockets to one target. */

/* Take ADDRESS[,ADDRESS]..., numeric and all of one family, in addition to what the plan has; false: `error` says what is wanted instead. */
bool stress_sources_read(const char *text, struct stress_plan *, char *error, size_t error_size);

/* Where the socket of this number leaves from; NULL: the kernel may choose. */
const char *stress_source_of(const struct stress_plan *, uint64_t serial);

/* By how many the ports of one address are to be multiplied. */
unsigned stress_source_count(const struct stress_plan *);

#endif
