#ifndef PGWEIR_TOOL_STRESS_METRICS_H
#define PGWEIR_TOOL_STRESS_METRICS_H

#include "tool/stress_verdict.h"

/* The figures of a run by name, as --assert, JSON and JUnit use them. */

/* Times are in seconds. A pattern is the number in its name: 3 for L3, PATTERN_NONE without a leak. */
enum stress_unit { UNIT_COUNT, UNIT_TIME, UNIT_PERCENT, UNIT_PATTERN };
#define PATTERN_NONE    0
#define PATTERN_UNNAMED (-1) /* a leak that nothing names */

#define STRESS_METRICS  31

struct stress_metric {
	const char *name;
	enum stress_unit unit;
	const char *what;
	bool known;
	double value;
};

struct stress_metrics {
	struct stress_metric at[STRESS_METRICS];
};

/* All names, none of them known yet. */
void metrics_names(struct stress_metrics *);
void metrics_take(
	struct stress_metrics *, const struct stress_tally *, const struct timeline *, const struct stress_verdict *);

/* The largest load that was served as wanted: known by its search alone. */
void metrics_take_knee(struct stress_metrics *, unsigned sockets);

/* NULL: there is no such figure. `nearest` (may be NULL) gets the name that was perhaps meant, or NULL. */
const struct stress_metric *metrics_find(const struct stress_metrics *, const char *name, const char **nearest);

/* "L3", "none": false if no pattern is called so. */
bool pattern_number(const char *name, double *out);

/* "12", "3.4 ms", "1.5 %", "L3", or "unknown". Returns out. */
char *metric_text(char *out, size_t size, const struct stress_metric *);

#endif
