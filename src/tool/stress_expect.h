#ifndef PGWEIR_TOOL_STRESS_EXPECT_H
#define PGWEIR_TOOL_STRESS_EXPECT_H

#include "base/span.h"
#include "tool/stress.h"

/* What an answer must be like, beyond --expect's text, which is looked for while it comes: a regular expression (POSIX, extended), a field of
 * JSON. For these the answer is kept, so much of it at most. */
#define EXPECT_KEPT 65536

struct expectation;

/* NULL: `error`. A plan that expects neither has one that everything meets. */
struct expectation *expectation_new(const struct stress_plan *, char *error, size_t error_size);
void expectation_free(struct expectation *);

/* Whether answers must be kept for it. */
bool expectation_wants(const struct expectation *);

/* False: `why`, in words. */
bool expectation_met(const struct expectation *, struct span answer, char *why, size_t why_size);

#endif
