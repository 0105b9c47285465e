#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/basic.h"
#include "auth/digest.h"
#include "base/text.h"

static bool read_pair(struct basic *basic, const void *pair, size_t length)
{
	char text[BASE64_LENGTH(2000) + 20] = "Basic ";

	base64_write(text + 6, pair, length);
	return basic_read(basic, span_text(text));
}

static void name_and_password_are_read(void **state)
{
	struct basic basic;

	(void)state;
	/* RFC 7617, section 2 */
	assert_true(basic_read(&basic, span_text("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
	assert_string_equal(basic.user, "Aladdin");
	assert_string_equal(basic.password, "open sesame");
	assert_true(read_pair(&basic, "u:a:b", 5));
	assert_string_equal(basic.password, "a:b");
	assert_true(read_pair(&basic, "u:", 2));
	assert_string_equal(basic.password, "");
	assert_true(basic_read(&basic, span_text("bAsIc  dTpw ")));
	assert_string_equal(basic.user, "u");
	basic_wipe(&basic);
	assert_string_equal(basic.user, "");
}

static void what_is_broken_is_nobody(void **state)
{
	struct basic basic;
	char longest[2000];

	(void)state;
	assert_false(basic_read(&basic, span_text("")));
	assert_false(basic_read(&basic, span_text("Basic ")));
	assert_false(basic_read(&basic, span_text("Basic !!!!")));
	assert_false(basic_read(&basic, span_text("Bearer dTpw")));
	assert_false(read_pair(&basic, "nobody", 6));
	assert_false(read_pair(&basic, ":password", 9));
	assert_false(read_pair(&basic, "u\0x:p", 5));
	assert_false(read_pair(&basic, "u:p\0q", 5));
	memset(longest, 'a', sizeof longest);
	longest[128] = ':';
	assert_false(read_pair(&basic, longest, 200));
	longest[128] = 'a';
	longest[1] = ':';
	assert_true(read_pair(&basic, longest, 2 + 1023));
	assert_false(read_pair(&basic, longest, 2 + 1024));
	assert_false(read_pair(&basic, longest, sizeof longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_and_password_are_read),
		cmocka_unit_test(what_is_broken_is_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
