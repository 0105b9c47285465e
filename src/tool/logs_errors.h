#ifndef PGWEIR_TOOL_LOGS_ERRORS_H
#define PGWEIR_TOOL_LOGS_ERRORS_H

#include <stdint.h>

#include "base/span.h"

/* What is known about the errors of connections: one table, by which `pgweir logs` explains them and from which doc/logs.md is made. */

/* Which part of a connection's way an error speaks of; the order in which doc/logs.md tells them. */
enum logs_area { AREA_FULL, AREA_LOGIN, AREA_REACH, AREA_LOST, AREA_TIMEOUT, AREA_POOLING };
#define LOGS_AREAS    6

#define LOGS_PATTERNS 10

struct logs_error {
	enum logs_area area;
	const char *key;  /* for scripts; never changes */
	const char *name; /* for people */
	/* How the message begins, once what stands before it is taken away (logs_line.h); * stands for anything. */
	const char *patterns[LOGS_PATTERNS];
	const char *means, *cure;
};

extern const struct logs_error logs_errors[];
extern const uint32_t logs_errors_count;

/* The number of the first row that the message fits, or -1. */
int logs_error_find(struct span message);

#endif
