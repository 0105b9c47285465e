#ifndef PGWEIR_TOOL_STRESS_REPORT_H
#define PGWEIR_TOOL_STRESS_REPORT_H

#include <stdio.h>

#include "base/text.h"
#include "tool/memory.h"
#include "tool/stress_knee.h"

/* All that is known of a run, and its renderings. */

enum stress_status { STRESS_FINE, STRESS_FAILED, STRESS_USAGE, STRESS_NOT_SO, STRESS_LEAK, STRESS_INTERRUPTED = 130 };

/* Something that was looked at before the run. */
struct stress_check {
	const char *what;
	char found[300];
	unsigned cap; /* sockets that it allows, where those are fewer than are wanted; 0: it caps nothing */
};
#define STRESS_CHECKS 10

struct stress_result {
	const struct stress_plan *plan;
	struct stress_check checks[STRESS_CHECKS];
	size_t check_count;
	struct stress_schedule schedule;
	struct stress_tally tally;
	struct timeline timeline;
	struct stress_names names; /* whose sessions are those of its readings */
	struct stress_verdict verdict;
	struct stress_left left;
	struct stress_metrics metrics;
	struct knee knee; /* if plan->knee */

	bool asserted;
	enum assertion_answer answer;
	struct assertion_clause clauses[ASSERT_CLAUSES_MAX];
	size_t clause_count;

	bool interrupted;
	char stopped[400];     /* why it ended early; "" if it did not */
	char notes[3][400];    /* what a reader should know of how it was measured; "" if nothing */
	int max_connections;   /* of PostgreSQL; 0 unknown */
	unsigned sockets_peak; /* open at once */
	time_us lasted;
	char began[40]; /* in words */
	enum stress_status status;
};

/* Parts of a rendering, as they are and formatted. They are ours: texts of others go through report_escape. */
static inline void report_raw(struct buf *out, const char *text)
{
	memory_got(buf_add_span(out, span_text(text)) ? out : NULL);
}
#define report_add(out, ...) ((void)memory_got(buf_format((out), __VA_ARGS__) ? (out) : NULL))

/* One more note; there is room for three. */
void result_note(struct stress_result *, const char *note);

/* The verdict, the figures and the assertion, for people at a terminal. */
void report_text(const struct stress_result *, FILE *);

/* One document, one object. */
void report_json(const struct stress_result *, FILE *);

/* The timeline, a row for each look; and the figures as Prometheus reads them. */
void report_csv(const struct stress_result *, FILE *);
void report_metrics(const struct stress_result *, FILE *);

/* One test suite: "it could be done", "no connection leaks" and each comparison of the assertion are its cases. */
void report_junit(const struct stress_result *, FILE *);

/* One page that needs nothing from anywhere: no script, no font, no picture; what others chose as text is escaped. The first writes the
 * whole page, the others its parts. */
void report_html(const struct stress_result *, FILE *);
void chart_timeline(const struct stress_result *, struct buf *);
void chart_waves(const struct stress_result *, struct buf *);
void chart_times(const char *title, const struct histogram *, struct buf *);

/* The target as a report may name it: without a query, in which tokens are, and PostgreSQL's without its password. Returns out. */
char *report_target(const struct stress_plan *, char *out, size_t size);

/* Text for XML and HTML, also between quotes. */
void report_escape(struct buf *, const char *text);

#endif
