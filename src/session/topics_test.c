/* A set of topics is told apart byte by byte, and written so that PostgreSQL reads what was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/topics.h"

static void a_name_is_there_once_and_in_its_own_letters(void **state)
{
	struct topics t = { 0 };

	(void)state;
	assert_true(topics_add(&t, span_text("jobs")) && topics_add(&t, span_text("Jobs")) &&
		topics_add(&t, span_text("jobs")) && topics_add(&t, span_text("job")));
	assert_int_equal(t.count, 3);
	assert_true(topics_has(&t, span_text("Jobs")) && topics_has(&t, span_text("job")));
	assert_false(topics_has(&t, span_text("JOBS")) || topics_has(&t, span_text("jobs2")));
	topics_remove(&t, span_text("Jobs"));
	topics_remove(&t, span_text("nobody's"));
	assert_false(topics_has(&t, span_text("Jobs")));
	assert_true(topics_has(&t, span_text("jobs")) && topics_has(&t, span_text("job")));
	topics_fini(&t);
}

static void sets_are_equal_in_whatever_order_they_were_made(void **state)
{
	struct topics a = { 0 }, b = { 0 };

	(void)state;
	assert_true(topics_equal(&a, &b));
	assert_true(topics_add(&a, span_text("x")) && topics_add(&a, span_text("y")) && topics_add(&b, span_text("y")));
	assert_false(topics_equal(&a, &b));
	assert_true(topics_add_all(&b, &a) && topics_equal(&a, &b));
	topics_fini(&a);
	topics_fini(&b);
}

static void a_name_is_quoted_as_postgresql_quotes_names(void **state)
{
	struct topics t = { 0 };
	struct buf out = { 0 };

	(void)state;
	assert_true(topics_add(&t, span_text("say \"x\"; DROP")) && topics_add(&t, span_text("a.b")));
	assert_true(topics_write(&t, "LISTEN", &out));
	assert_true(span_is(buf_span(&out), "LISTEN \"a.b\";LISTEN \"say \"\"x\"\"; DROP\";"));
	buf_fini(&out);
	topics_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_there_once_and_in_its_own_letters),
		cmocka_unit_test(sets_are_equal_in_whatever_order_they_were_made),
		cmocka_unit_test(a_name_is_quoted_as_postgresql_quotes_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
