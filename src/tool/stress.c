#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "tool/manual.h"
#include "tool/memory.h"
#include "tool/stress_options.h"
#include "tool/stress_preflight.h"
#include "tool/stress_run.h"

/* `pgweir stress`: the founding write-up's websocket test as it should be. That one opened fifty sockets, waited for half a minute and
 * looked at nothing; this one opens them in waves and looks, on one timeline, at the sockets, at PostgreSQL and at the pooler, and says
 * what stays behind when everybody has gone home.
 *
 *     stress_options, stress_url   the command line
 *     stress_preflight             what caps the run, before it
 *     stress_schedule              which phase when                                              pure
 *     stress_load                  the visitors: who comes, asks, waits, misbehaves and leaves
 *     stress_web, stress_postgres  their two ways to the target: libwebsockets, libpq
 *     stress_watch                 a thread that looks at PostgreSQL and the pooler
 *     stress_timeline              what was so at the same time; plateaus                        pure
 *     stress_verdict               is it a leak, how sure is that, which                         pure
 *     stress_metrics, _assert      figures by name, and what is claimed of them                  pure
 *     stress_knee, _climb          the largest load that is still served, and the search for it
 *     stress_run                   all of them, turn by turn
 *     stress_report, _export       text, JSON, JUnit; CSV, metrics                               pure
 *     stress_html, _chart          the page                                                      pure */

static int fail(const char *what, enum stress_status status)
{
	fprintf(stderr, "pgweir stress: %s\n", what);
	return status;
}

/* Written at its end only, but opened at the beginning: a run of an hour must not end with "no such folder". */
struct output {
	const char *path;
	void (*write)(const struct stress_result *, FILE *);
	FILE *file;
};

static bool outputs_open(struct output *outputs, size_t count, char *error, size_t error_size)
{
	for (size_t i = 0; i < count; i++) {
		struct output *o = &outputs[i];

		if (!o->path)
			continue;
		o->file = strcmp(o->path, "-") == 0 ? stdout : fopen(o->path, "we");
		if (!o->file) {
			text_format(error, error_size, "%s can not be written: %s", o->path, strerror(errno));
			return false;
		}
	}
	return true;
}

static bool outputs_write(struct output *outputs, size_t count, const struct stress_result *r)
{
	bool good = true;

	for (size_t i = 0; i < count; i++) {
		struct output *o = &outputs[i];
		bool written;

		if (!o->file)
			continue;
		o->write(r, o->file);
		written = fflush(o->file) == 0 && !ferror(o->file);
		if (o->file != stdout)
			written = fclose(o->file) == 0 && written;
		if (!written) {
			fprintf(stderr, "pgweir stress: %s could not be written: %s\n", o->path, strerror(errno));
			good = false;
		}
		o->file = NULL;
	}
	return good;
}

/* How many of the reports are to be standard output. */
static int on_stdout(const struct stress_plan *plan)
{
	const char *const paths[] = { plan->html, plan->json, plan->junit, plan->csv, plan->metrics };
	int count = 0;

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		count += paths[i] && strcmp(paths[i], "-") == 0;
	return count;
}

static enum stress_status status_of(const struct stress_result *r)
{
	if (r->interrupted)
		return STRESS_INTERRUPTED;
	if (r->stopped[0] || (r->verdict.blind && !r->asserted))
		return STRESS_FAILED;
	if (r->asserted)
		return r->answer == ASSERTION_HOLDS ? STRESS_FINE : STRESS_NOT_SO;
	return r->verdict.kind == VERDICT_KEPT || r->verdict.kind == VERDICT_GROWING ? STRESS_LEAK : STRESS_FINE;
}

static int stress(struct stress_plan *plan, struct assertion *assertion)
{
	struct stress_result *r = memory_new(1, sizeof *r);
	struct output outputs[] = { { plan->html, report_html, NULL }, { plan->json, report_json, NULL },
		{ plan->junit, report_junit, NULL }, { plan->csv, report_csv, NULL },
		{ plan->metrics, report_metrics, NULL } };
	size_t count = sizeof outputs / sizeof outputs[0];
	char error[3000] = "";
	bool usage = false;
	int status;

	r->plan = plan;
	if (!outputs_open(outputs, count, error, sizeof error) || !preflight(r, &usage, error, sizeof error))
		goto failed;
	if (!plan->quiet)
		preflight_print(r, plan->preflight ? stdout : stderr);
	if (plan->preflight) {
		free(r);
		return STRESS_FINE;
	}
	if (!run_plan(r, &usage, error, sizeof error))
		goto failed;
	if (assertion) {
		r->asserted = true;
		r->answer = assertion_judge(assertion, &r->metrics);
		r->clause_count = assertion_clauses(assertion, &r->metrics, r->clauses);
	}
	r->status = status_of(r);
	if (!plan->quiet)
		report_text(r, on_stdout(plan) ? stderr : stdout);
	if (r->stopped[0] && plan->quiet)
		fail(r->stopped, STRESS_FAILED);
	status = outputs_write(outputs, count, r) ? r->status : STRESS_FAILED;
	timeline_fini(&r->timeline);
	free(r);
	return status;
failed:
	status = fail(error, usage ? STRESS_USAGE : STRESS_FAILED);
	free(r);
	return status;
}

static bool knee_is_fine(const struct stress_plan *plan, char *error, size_t error_size)
{
	struct assertion *wanted;
	bool good;

	if (!plan->knee)
		return true;
	wanted = assertion_parse(span_text(plan->knee), error, error_size);
	good = wanted && knee_can_be(wanted, error, error_size);
	assertion_free(wanted);
	return good;
}

int main(int argc, char **argv)
{
	struct stress_plan plan;
	struct assertion *assertion = NULL;
	char error[3000];
	int status;

	process_standard("pgweir stress");
	if (!stress_options_read(argc, argv, &plan, error, sizeof error)) {
		fail(error, STRESS_USAGE);
		fputs("Try: pgweir stress --help\n", stderr);
		return STRESS_USAGE;
	}
	if (plan.help) {
		manual_help("stress", stdout);
		return STRESS_FINE;
	}
	if (on_stdout(&plan) > 1)
		return fail("only one of --json, --junit, --html, --csv and --metrics can be standard output",
			STRESS_USAGE);
	if (!knee_is_fine(&plan, error, sizeof error)) {
		fprintf(stderr, "pgweir stress: --knee: %s\n", error);
		return STRESS_USAGE;
	}
	if (plan.assertion && !(assertion = assertion_parse(span_text(plan.assertion), error, sizeof error))) {
		fprintf(stderr, "pgweir stress: --assert: %s\n", error);
		return STRESS_USAGE;
	}
	status = stress(&plan, assertion);
	assertion_free(assertion);
	return status;
}
