#ifndef PGWEIR_TOOL_STRESS_REQUEST_H
#define PGWEIR_TOOL_STRESS_REQUEST_H

#include "tool/stress.h"

/* What is particular to the requests of an HTTP target: its method and its body. */

extern const char *const stress_methods[]; /* ends with NULL */

/* The one of stress_methods that is meant, in whatever case it is written; NULL: none. */
const char *stress_method(const char *word);

/* What a visitor asks with: --method; else POST where there is --data, and GET where there is none. */
const char *stress_method_of(const struct stress_plan *);

/* The Content-Type that is sent with --data: NULL where one of the --headers says it. JSON where it begins like that, else what a form sends. */
const char *stress_type_of(const struct stress_plan *);

/* An answer to such a request that has no body, whatever its head says (RFC 9110, 6.4.1). */
bool stress_is_bodiless(const char *method, unsigned status);

#endif
