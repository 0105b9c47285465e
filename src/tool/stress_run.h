#ifndef PGWEIR_TOOL_STRESS_RUN_H
#define PGWEIR_TOOL_STRESS_RUN_H

#include "tool/stress_report.h"

/* The whole run, as result->plan says, until its end or Ctrl-C; the result has all but the assertion. False: it could not begin, `error`,
 * the user's mistake when *usage. */
bool run_plan(struct stress_result *, bool *usage, char *error, size_t error_size);

#endif
