#ifndef PGWEIR_TOOL_STRESS_ASSERT_H
#define PGWEIR_TOOL_STRESS_ASSERT_H

#include "base/span.h"
#include "tool/stress_metrics.h"

/* What --assert says about a run:
 *
 *     either     = both { "||" both }
 *     both       = one { "&&" one }
 *     one        = "!" one | "(" either ")" | side ("==" | "!=" | "<" | "<=" | ">" | ">=") side
 *     side       = NAME | PATTERN | NUMBER [UNIT]         UNIT: us ms s m h d, or %; PATTERN: L1 to L28, none
 *
 * Both sides of a comparison have the same kind: a time is never compared with a bare number. */

#define ASSERT_LENGTH_MAX  2000
#define ASSERT_CLAUSES_MAX 64
#define ASSERT_DEPTH_MAX   32

struct assertion;

/* NULL: `error` says what is wrong, at which letter, and what was perhaps meant. */
struct assertion *assertion_parse(struct span text, char *error, size_t error_size);
void assertion_free(struct assertion *);

enum assertion_answer {
	ASSERTION_HOLDS,
	ASSERTION_FAILS,
	ASSERTION_UNKNOWN
}; /* unknown: by a figure that is not known */
enum assertion_answer assertion_judge(const struct assertion *, const struct stress_metrics *);

/* Its comparisons, one by one, as they were written and with what was the case. */
struct assertion_clause {
	char text[120], seen[80];
	enum assertion_answer answer;
};
size_t assertion_clauses(
	const struct assertion *, const struct stress_metrics *, struct assertion_clause out[ASSERT_CLAUSES_MAX]);

#endif
