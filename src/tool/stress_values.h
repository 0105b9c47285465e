#ifndef PGWEIR_TOOL_STRESS_VALUES_H
#define PGWEIR_TOOL_STRESS_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* A table of values (CSV, RFC 4180) for templates: its first row has the names, {{name}} is that of the row for this socket; after the last row comes
 * the first again. Bounded, and without control characters, as values go into requests and headers. */
struct values;

/* NULL: `error`. */
struct values *values_read(struct span text, char *error, size_t error_size);
void values_free(struct values *);

/* The value of socket number `serial` (from 1), or NULL: there is no such name. */
const char *values_at(const struct values *, struct span name, uint64_t serial);

#endif
