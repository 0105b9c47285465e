/* What --assert says, and the URL of a target: texts of a CI job's author, or of whoever wrote his templates. */
#include "base/check.h"
#include "base/text.h"
#include "tool/stress_assert.h"
#include "tool/stress_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct assertion_clause clauses[ASSERT_CLAUSES_MAX];
	static struct stress_plan plan;
	struct stress_metrics metrics;
	struct assertion *a;
	char error[3000] = "", url[1500];

	a = assertion_parse(span_of(data, size), error, sizeof error);
	check(a || error[0]);
	if (a) {
		metrics_names(&metrics);
		for (size_t i = 0; i < STRESS_METRICS; i++) {
			metrics.at[i].known = i % 3 != 0;
			metrics.at[i].value = (double)i;
		}
		check(assertion_judge(a, &metrics) <= ASSERTION_UNKNOWN);
		check(assertion_clauses(a, &metrics, clauses) <= ASSERT_CLAUSES_MAX);
		assertion_free(a);
	}
	text_copy_span(url, sizeof url, span_of(data, size));
	error[0] = 0;
	check(stress_url_read(url, &plan, error, sizeof error) || error[0]);
	stress_host_is_here(url);
	return 0;
}
