#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"
#include "tool/stress_report.h"

static const char hostile[] = "</code><script>alert('1')</script>\"'&\x1b[2J\xff";

static struct stress_plan plan = { .target = TARGET_WEBSOCKET,
	.url = "ws://127.0.0.1/<b>?token=secret",
	.message = hostile,
	.assertion = "leaked==0 && p99_connect<2s",
	.sockets = 50,
	.waves = 3,
	.postgres = "x" };

/* A run in which everything that others choose is hostile. */
static struct stress_result *hostile_result(void)
{
	struct stress_result *r = calloc(1, sizeof *r);
	static const int held[] = { 2, 20, 38, 57 };

	assert_non_null(r);
	r->plan = &plan;
	r->lasted = 40 * SECOND_US;
	r->verdict = (struct stress_verdict){
		.kind = VERDICT_GROWING, .waves = 3, .leaked = 55, .growth = 18, .per_100 = 36, .confidence = 97
	};
	r->verdict.pattern = leak_pattern_of("L3");
	for (int i = 0; i < 4; i++)
		r->verdict.plateaus[i].held = held[i];
	r->left.count = 55;
	text_copy(r->left.statement, sizeof r->left.statement, hostile);
	text_copy(r->verdict.why, sizeof r->verdict.why, hostile);
	text_copy(r->stopped, sizeof r->stopped, hostile);
	result_note(r, hostile);
	tally_trouble(&r->tally, hostile);
	r->asserted = true;
	r->answer = ASSERTION_FAILS;
	r->clause_count = 1;
	text_copy(r->clauses[0].text, sizeof r->clauses[0].text, hostile);
	text_copy(r->clauses[0].seen, sizeof r->clauses[0].seen, hostile);
	r->clauses[0].answer = ASSERTION_FAILS;
	for (int i = 0; i < 80; i++) {
		struct stress_sample s = {
			.at = i * SECOND_US / 2, .sockets = (unsigned)i, .phase = PHASE_HOLD, .wave = 1
		};

		s.reading = stress_reading_unknown;
		s.reading.sessions = i == 7 ? UNKNOWN : i / 2;
		timeline_add(&r->timeline, &s);
		histogram_add(&r->tally.phases[PHASE_HOLD].connect, (i + 1) * MILLISECOND_US);
	}
	metrics_take(&r->metrics, &r->tally, &r->timeline, &r->verdict);
	return r;
}

static char *rendered(void (*write)(const struct stress_result *, FILE *), const struct stress_result *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	write(r, to);
	fclose(to);
	return text;
}

static void result_free(struct stress_result *r)
{
	timeline_fini(&r->timeline);
	free(r);
}

static void the_page_shows_hostile_text_and_does_not_run_it(void **state)
{
	struct stress_result *r = hostile_result();
	char *page = rendered(report_html, r);

	(void)state;
	assert_non_null(strstr(page, "&lt;script&gt;alert(&#39;1&#39;)"));
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "<b>?"));
	assert_null(strchr(page, '\x1b'));
	assert_null(strchr(page, '\xff'));
	free(page);
	result_free(r);
}

static void the_page_needs_nothing_from_anywhere(void **state)
{
	static const char *const ways[] = { "src=", "href=", "url(", "@import", "<link", "<img", "<iframe",
		"http-equiv=\"refresh" };
	struct stress_result *r = hostile_result();
	char *page = rendered(report_html, r);

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
		assert_null(strstr(page, ways[i]));
	assert_non_null(strstr(page, "default-src 'none'"));
	assert_non_null(strstr(page, "prefers-color-scheme:dark"));
	assert_non_null(strstr(page, "<svg"));
	assert_null(strstr(page, "nan"));
	assert_null(strstr(page, "inf\""));
	free(page);
	result_free(r);
}

/* As many end as begin, whatever is in them. */
static void the_page_closes_what_it_opens(void **state)
{
	static const char *const tags[] = { "section", "div", "table", "svg", "p", "figure", "tr", "td" };
	struct stress_result *r = hostile_result();
	char *page = rendered(report_html, r), begin[20], end[20];

	(void)state;
	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
		size_t length = text_format(begin, sizeof begin, "<%s", tags[i]), ends = 0, begins = 0;

		text_format(end, sizeof end, "</%s>", tags[i]);
		for (const char *at = page; (at = strstr(at, begin)) != NULL; at += length)
			begins += at[length] == ' ' || at[length] == '>';
		for (const char *at = page; (at = strstr(at, end)) != NULL; at++)
			ends++;
		assert_int_equal(begins, ends);
	}
	free(page);
	result_free(r);
}

static void a_token_of_the_url_is_not_kept(void **state)
{
	void (*const writers[])(const struct stress_result *, FILE *) = { report_html, report_json, report_junit,
		report_csv, report_metrics };
	struct stress_result *r = hostile_result();

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		char *text = rendered(writers[i], r);

		assert_null(strstr(text, "secret"));
		free(text);
	}
	result_free(r);
}

static void json_can_be_read_again(void **state)
{
	struct stress_result *r = hostile_result();
	char *text = rendered(report_json, r);
	json_t *json = json_loads(text, 0, NULL);

	(void)state;
	assert_non_null(json);
	assert_string_equal("growing", json_string_value(json_object_get(json_object_get(json, "verdict"), "kind")));
	assert_int_equal(80, json_array_size(json_object_get(json, "timeline")));
	assert_true(json_is_null(json_object_get(json_array_get(json_object_get(json, "timeline"), 7), "sessions")));
	assert_true(json_is_null(json_object_get(json_object_get(json, "metrics"), "p99_reply")));
	assert_true(json_number_value(json_object_get(json_object_get(json, "metrics"), "leaked")) > 54.9);
	json_decref(json);
	free(text);
	result_free(r);
}

static void a_table_has_a_row_for_each_look_and_nothing_for_what_was_not_seen(void **state)
{
	struct stress_result *r = hostile_result();
	char *text = rendered(report_csv, r);
	size_t rows = 0, commas = 0;

	(void)state;
	for (const char *at = text; *at; at++) {
		commas += *at == ',';
		rows += *at == '\n';
	}
	assert_int_equal(1 + 80, rows);
	assert_int_equal(12 * rows, commas);
	assert_non_null(strstr(text, "\r\n1.500,hold,1,3,0,0,1,,,,,,\r\n"));
	assert_non_null(strstr(text, "\r\n3.500,hold,1,7,0,0,,,,,,,\r\n"));
	free(text);
	result_free(r);
}

static void metrics_have_the_figures_that_are_known_and_no_others(void **state)
{
	struct stress_result *r = hostile_result();
	char *text = rendered(report_metrics, r);

	(void)state;
	assert_non_null(strstr(text, "\npgweir_stress_leaked 55\n"));
	assert_non_null(strstr(text, "\npgweir_stress_verdict{kind=\"growing\"} 1\n"));
	assert_non_null(strstr(text, "\npgweir_stress_verdict{kind=\"none\"} 0\n"));
	assert_non_null(strstr(text, "pattern=\"L3\"} 1\n"));
	assert_non_null(strstr(text, "\npgweir_stress_connect_seconds_count 80\n"));
	assert_non_null(strstr(text, "\npgweir_stress_connect_seconds_bucket{le=\"+Inf\"} 80\n"));
	assert_non_null(strstr(text, "\npgweir_stress_asserted 0\n"));
	assert_null(strstr(text, "pgweir_stress_p99_reply_seconds"));
	assert_null(strstr(text, "pgweir_stress_waiting_peak"));
	assert_string_equal("# EOF\n", text + strlen(text) - 6);
	free(text);
	result_free(r);
}

static void junit_counts_what_failed(void **state)
{
	struct stress_result *r = hostile_result();
	char *text = rendered(report_junit, r);

	(void)state;
	assert_non_null(strstr(text, "tests=\"3\" failures=\"3\""));
	assert_null(strstr(text, "<script"));
	assert_null(strchr(text, '\x1b'));
	free(text);
	r->stopped[0] = 0;
	r->answer = r->clauses[0].answer = ASSERTION_HOLDS;
	text = rendered(report_junit, r);
	assert_non_null(strstr(text, "tests=\"3\" failures=\"0\""));
	assert_null(strstr(text, "<failure"));
	free(text);
	result_free(r);
}

static void a_run_that_saw_nothing_still_has_a_report(void **state)
{
	void (*const writers[])(const struct stress_result *, FILE *) = { report_text, report_html, report_json,
		report_junit, report_csv, report_metrics };
	struct stress_result *r = calloc(1, sizeof *r);

	(void)state;
	assert_non_null(r);
	r->plan = &plan;
	metrics_take(&r->metrics, &r->tally, &r->timeline, &r->verdict);
	for (size_t i = 0; i < 6; i++) {
		char *text = rendered(writers[i], r);

		assert_true(strlen(text) > 50);
		free(text);
	}
	result_free(r);
}

static void troubles_are_counted_by_their_words_and_bounded(void **state)
{
	struct stress_tally t = { 0 };
	char text[300];

	(void)state;
	for (int i = 0; i < 100; i++) {
		text_format(text, sizeof text, "trouble %d %0200d", i, 0);
		tally_trouble(&t, text);
		tally_trouble(&t, "refused");
	}
	assert_int_equal(STRESS_TROUBLES, t.trouble_count);
	assert_int_equal(100, t.troubles[1].count);
	assert_int_equal(100 - (STRESS_TROUBLES - 1), t.other_troubles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_shows_hostile_text_and_does_not_run_it),
		cmocka_unit_test(the_page_needs_nothing_from_anywhere),
		cmocka_unit_test(the_page_closes_what_it_opens),
		cmocka_unit_test(a_token_of_the_url_is_not_kept),
		cmocka_unit_test(json_can_be_read_again),
		cmocka_unit_test(a_table_has_a_row_for_each_look_and_nothing_for_what_was_not_seen),
		cmocka_unit_test(metrics_have_the_figures_that_are_known_and_no_others),
		cmocka_unit_test(junit_counts_what_failed),
		cmocka_unit_test(a_run_that_saw_nothing_still_has_a_report),
		cmocka_unit_test(troubles_are_counted_by_their_words_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
