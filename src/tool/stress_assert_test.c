#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "tool/stress_assert.h"

/* Figures of a run in which everything that is named here is known. */
static struct stress_metrics figures(void)
{
	struct stress_metrics m;
	static const struct {
		const char *name;
		double value;
	} known[] = { { "leaked", 3 }, { "confidence", 97 }, { "p99_connect", 0.150 }, { "p50_reply", 1.5 },
		{ "opened", 180 }, { "failed", 0 }, { "pattern", 3 } };

	metrics_names(&m);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		for (size_t k = 0; k < STRESS_METRICS; k++) {
			if (strcmp(m.at[k].name, known[i].name) == 0) {
				m.at[k].known = true;
				m.at[k].value = known[i].value;
			}
		}
	}
	return m;
}

static enum assertion_answer judged(const char *text)
{
	struct stress_metrics m = figures();
	char error[3000] = "";
	struct assertion *a = assertion_parse(span_text(text), error, sizeof error);
	enum assertion_answer answer;

	if (!a)
		fail_msg("%s: %s", text, error);
	answer = assertion_judge(a, &m);
	assertion_free(a);
	return answer;
}

static void refused(const char *text, const char *because)
{
	char error[3000] = "";
	struct assertion *a = assertion_parse(span_text(text), error, sizeof error);

	if (a)
		fail_msg("%s was taken", text);
	if (!strstr(error, because))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, error, because);
}

static void a_pattern_is_named_and_never_measured(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_HOLDS, judged("pattern == L3"));
	assert_int_equal(ASSERTION_FAILS, judged("pattern == L1 || pattern == none"));
	assert_int_equal(ASSERTION_HOLDS, judged("none != pattern && leaked > 0"));
	refused("pattern == L99", "no figure is called 'L99'");
	refused("pattern < L3", "compared with == and != alone");
	refused("pattern == 3", "the right side a count");
	refused("leaked == none", "the right side a pattern");
}

static void every_comparison_is_what_it_says(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_HOLDS, judged("leaked==3"));
	assert_int_equal(ASSERTION_FAILS, judged("leaked == 4"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked!=4"));
	assert_int_equal(ASSERTION_FAILS, judged("leaked != 3"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked<4"));
	assert_int_equal(ASSERTION_FAILS, judged("leaked<3"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked<=3"));
	assert_int_equal(ASSERTION_FAILS, judged("leaked>3"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked>=3"));
	assert_int_equal(ASSERTION_HOLDS, judged("4 > leaked"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked < opened"));
}

static void a_time_has_its_unit(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_HOLDS, judged("p99_connect<200ms"));
	assert_int_equal(ASSERTION_FAILS, judged("p99_connect<0.1s"));
	assert_int_equal(ASSERTION_HOLDS, judged("p50_reply <= 1.5s"));
	assert_int_equal(ASSERTION_HOLDS, judged("p99_connect < p50_reply"));
	refused("p99_connect<200", "write its unit");
	refused("leaked<2s", "the left side is a count, the right side a time");
	refused("p99_connect<2parsecs", "this is no time");
}

static void a_percentage_may_leave_its_sign_out(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_HOLDS, judged("confidence >= 90%"));
	assert_int_equal(ASSERTION_HOLDS, judged("confidence >= 90"));
	refused("leaked < 3%", "the right side a percentage");
}

static void and_binds_closer_than_or_and_not_closest(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_HOLDS, judged("leaked==3 || leaked==4 && leaked==5"));
	assert_int_equal(ASSERTION_FAILS, judged("(leaked==3 || leaked==4) && leaked==5"));
	assert_int_equal(ASSERTION_FAILS, judged("!leaked==3"));
	assert_int_equal(ASSERTION_HOLDS, judged("!!(leaked==3)"));
	assert_int_equal(ASSERTION_HOLDS, judged("!(leaked==0) && p99_connect<200ms"));
	assert_int_equal(ASSERTION_FAILS, judged("leaked==0&&p99_connect<200ms"));
}

static void what_is_not_known_neither_holds_nor_fails(void **state)
{
	(void)state;
	assert_int_equal(ASSERTION_UNKNOWN, judged("residual==0"));
	assert_int_equal(ASSERTION_UNKNOWN, judged("!residual==0"));
	assert_int_equal(ASSERTION_UNKNOWN, judged("residual==0 && leaked==3"));
	assert_int_equal(ASSERTION_FAILS, judged("residual==0 && leaked==4"));
	assert_int_equal(ASSERTION_HOLDS, judged("leaked==3 || residual==0"));
	assert_int_equal(ASSERTION_UNKNOWN, judged("leaked==4 || residual==0"));
}

static void an_error_says_where_and_what_was_perhaps_meant(void **state)
{
	(void)state;
	refused("leakd==0", "no figure is called 'leakd' (perhaps 'leaked'?), at letter 1");
	refused("leaked==0 && p99_conect<2s", "(perhaps 'p99_connect'?), at letter 14");
	refused("zebra==0", "doc/stress.md");
	refused("leaked=0", "to compare, write ==");
	refused("leaked", "is wanted here, at letter 7");
	refused("leaked==", "a figure or a number is missing");
	refused("leaked==0 leaked==1", "&& or || is wanted here, or the end, at letter 11");
	refused("(leaked==0", "this '(' is not closed, at letter 1");
	refused("leaked==-1", "no figure is ever below 0");
	refused("leaked==1.", "this is no number");
	refused("leaked==1.2.3", "this is no number");
	refused("", "missing");
	refused("leaked==0 & failed==0", "&& or ||");
	refused("leaked==\x1b[2J", "letter 9 is none that an assertion is made of");
}

static void no_text_is_too_deep_or_too_long_for_it(void **state)
{
	static char text[ASSERT_LENGTH_MAX + 100];
	char *at = text;

	(void)state;
	memset(text, '(', 1900);
	refused(text, "too deep");
	memset(text, '!', 1900);
	refused(text, "too deep");
	memset(text, '1', ASSERT_LENGTH_MAX + 50);
	refused(text, "longer than");
	for (int i = 0; i < 100; i++, at += 8)
		memcpy(at, "1==1 && ", 9);
	memcpy(at, "1==1", 5);
	refused(text, "too long");
	text[8 * 63 + 4] = 0;
	assert_int_equal(ASSERTION_HOLDS, judged(text));
}

static void each_clause_is_told_with_what_was_the_case(void **state)
{
	struct assertion_clause clauses[ASSERT_CLAUSES_MAX];
	struct stress_metrics m = figures();
	char error[200];
	struct assertion *a = assertion_parse(
		span_text("leaked==0 && ( p99_connect < 200ms || residual<5)"), error, sizeof error);

	(void)state;
	assert_non_null(a);
	assert_int_equal(3, assertion_clauses(a, &m, clauses));
	assert_string_equal("leaked==0", clauses[0].text);
	assert_string_equal("leaked = 3", clauses[0].seen);
	assert_int_equal(ASSERTION_FAILS, clauses[0].answer);
	assert_string_equal("p99_connect < 200ms", clauses[1].text);
	assert_string_equal("p99_connect = 150 ms", clauses[1].seen);
	assert_int_equal(ASSERTION_HOLDS, clauses[1].answer);
	assert_string_equal("residual = unknown", clauses[2].seen);
	assert_int_equal(ASSERTION_UNKNOWN, clauses[2].answer);
	assertion_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_comparison_is_what_it_says),
		cmocka_unit_test(a_pattern_is_named_and_never_measured),
		cmocka_unit_test(a_time_has_its_unit),
		cmocka_unit_test(a_percentage_may_leave_its_sign_out),
		cmocka_unit_test(and_binds_closer_than_or_and_not_closest),
		cmocka_unit_test(what_is_not_known_neither_holds_nor_fails),
		cmocka_unit_test(an_error_says_where_and_what_was_perhaps_meant),
		cmocka_unit_test(no_text_is_too_deep_or_too_long_for_it),
		cmocka_unit_test(each_clause_is_told_with_what_was_the_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
