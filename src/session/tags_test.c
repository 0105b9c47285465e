#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"
#include "session/tags.h"

static void expect_route(const char *sql, const char *route)
{
	struct tags tags;
	char out[64];

	tags_read(span_text(sql), &tags);
	assert_int_equal(tags_route(&tags, out, sizeof out), strlen(route));
	assert_string_equal(out, route);
}

static void both_forms_are_read(void **state)
{
	(void)state;
	expect_route("SELECT 1 /*controller='index',framework='django%3A3.2',route='%2Fchat%2F'*/", "/chat/");
	expect_route("SELECT 1 /*application:shop,controller:cart,action:show*/", "cart#show");
	expect_route("/* job:Mailer , line:3 */ SELECT 1", "job Mailer");
	expect_route("SELECT 1", "");
	expect_route("SELECT 1 /* a remark: nothing else */", "");
}

static void each_tag_has_its_value(void **state)
{
	struct tags tags;
	char out[64];

	(void)state;
	tags_read(span_text("SELECT 1 /*controller:cart,action:show,job:Mailer%09x*/"), &tags);
	assert_int_equal(tags_value(&tags, TAG_CONTROLLER, out, sizeof out), 4);
	assert_string_equal(out, "cart");
	tags_value(&tags, TAG_ACTION, out, sizeof out);
	assert_string_equal(out, "cart#show");
	tags_value(&tags, TAG_JOB, out, sizeof out);
	assert_string_equal(out, "Mailer?x");
	assert_int_equal(tags_value(&tags, TAG_ROUTE, out, sizeof out), 0);
	assert_string_equal(out, "");
	tags_read(span_text("SELECT 1 /*action:show*/"), &tags);
	tags_value(&tags, TAG_ACTION, out, sizeof out);
	assert_string_equal(out, "show");
}

static void what_is_in_quotes_is_no_comment(void **state)
{
	(void)state;
	expect_route("SELECT '/*route=''/x''*/'", "");
	expect_route("SELECT \"/*route:x*/\" /*route:y*/", "y");
}

static void what_strangers_write_does_no_harm(void **state)
{
	char long_text[3000], out[16];
	struct tags tags;

	(void)state;
	expect_route("SELECT 1 /*route='\x1b[2J<b>\xff'*/", "?[2J<b>?");
	expect_route("SELECT 1 /*route='unfinished", "unfinished");
	expect_route("SELECT 1 /*route=", "");
	expect_route("/*route", "");
	expect_route("/*", "");
	expect_route("'", "");
	expect_route("SELECT 1 /*route='%2'*/", "%2");
	memset(long_text, 'a', sizeof long_text);
	memcpy(long_text, "/*route='", 9);
	tags_read(span_of(long_text, sizeof long_text), &tags);
	assert_int_equal(tags_route(&tags, out, sizeof out), sizeof out - 1);
}

static void the_trace_id_is_found(void **state)
{
	static const char sql[] =
		"SELECT 1 /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',route='/a'*/";
	struct tags tags;
	char id[TRACE_ID];

	(void)state;
	tags_read(span_text(sql), &tags);
	tags_trace(&tags, id);
	assert_string_equal(id, "0af7651916cd43dd8448eb211c80319c");
	tags_read(span_text("SELECT 1 /*traceparent='00-0af76519-01'*/"), &tags);
	tags_trace(&tags, id);
	assert_string_equal(id, "");
}

static void expect_dropped(const char *sql, const char *rest)
{
	char text[256];
	size_t length = strlen(sql);

	memcpy(text, sql, length);
	length = tags_drop_trace(text, length);
	text[length] = 0;
	assert_string_equal(text, rest);
}

static void the_trace_goes_and_the_rest_stays(void **state)
{
	(void)state;
	expect_dropped("SELECT 1 /*route='/a',traceparent='00-12-34-01'*/", "SELECT 1 /*route='/a'*/");
	expect_dropped("SELECT 1 /*traceparent='00-12-34-01',route='/a'*/", "SELECT 1 /*route='/a'*/");
	expect_dropped(
		"/*traceparent='x',tracestate='y'*/ SELECT 1 /*tracestate='z',a='b'*/", "/**/ SELECT 1 /*a='b'*/");
	expect_dropped("SELECT 'traceparent=1'", "SELECT 'traceparent=1'");
	expect_dropped("SELECT 1 /*traceparent='unfinished", "SELECT 1 /*");
	expect_dropped("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_are_read),
		cmocka_unit_test(each_tag_has_its_value),
		cmocka_unit_test(what_is_in_quotes_is_no_comment),
		cmocka_unit_test(what_strangers_write_does_no_harm),
		cmocka_unit_test(the_trace_id_is_found),
		cmocka_unit_test(the_trace_goes_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
