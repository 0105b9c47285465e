#ifndef PGWEIR_TOOL_STRESS_PREFLIGHT_H
#define PGWEIR_TOOL_STRESS_PREFLIGHT_H

#include "tool/stress_report.h"

/* Look at everything that could cap the run, into result->checks. False: it can not be done, `error` says why and what to do; the user's
 * mistake when *usage. */
bool preflight(struct stress_result *, bool *usage, char *error, size_t error_size);

/* For people. */
void preflight_print(const struct stress_result *, FILE *);

#endif
