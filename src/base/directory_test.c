#include "base/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct directory d;
static char error[200], text[300];

static bool parse(const char *line)
{
	error[0] = 0;
	return directory_parse(&d, span_text(line), error, sizeof error);
}

static void a_simple_bind_puts_the_user_between_prefix_and_suffix(void **state)
{
	(void)state;
	assert_true(parse(
		"ldapserver=\"a.example b.example\" ldapport=1389 \"ldapprefix=uid=\" ldapsuffix=\", ou=p,o=\"\"x\"\"\""));
	assert_string_equal(d.uri, "ldap://a.example:1389 ldap://b.example:1389");
	assert_false(d.search);
	assert_true(directory_name(&d, "ann", text, sizeof text));
	assert_string_equal(text, "uid=ann, ou=p,o=\"x\"");
}

static void a_search_asks_for_the_attribute_or_by_the_filter(void **state)
{
	(void)state;
	assert_true(parse("ldapserver=h ldapbasedn=dc=x ldapscheme=ldaps"));
	assert_string_equal(d.uri, "ldaps://h");
	assert_true(d.search);
	assert_true(directory_filter(&d, "ann", text, sizeof text));
	assert_string_equal(text, "(uid=ann)");
	assert_true(
		parse("ldapserver=h ldapbasedn=dc=x ldapsearchfilter=(|(uid=$username)(mail=$username@x)) ldaptls=1"));
	assert_true(d.start_tls);
	assert_true(directory_filter(&d, "ann", text, sizeof text));
	assert_string_equal(text, "(|(uid=ann)(mail=ann@x))");
}

static void a_url_says_all_of_it(void **state)
{
	(void)state;
	assert_true(parse("ldapurl=ldap://h:99/dc=a%20b?mail?one"));
	assert_string_equal(d.uri, "ldap://h:99");
	assert_string_equal(d.base, "dc=a b");
	assert_string_equal(d.attribute, "mail");
	assert_int_equal(d.scope, 1);
	assert_true(parse("ldapurl=ldaps://h/dc=a??sub?(cn=$username) ldapbinddn=cn=x ldapbindpasswd=y"));
	assert_string_equal(d.uri, "ldaps://h");
	assert_string_equal(d.filter, "(cn=$username)");
	assert_int_equal(d.scope, 2);
}

static void a_name_that_would_mean_something_is_refused(void **state)
{
	static const char *const dn[] = { "a,ou=b", "a\\", "a+b", "a=b", "#a", "a\nb", "\"a" },
				 *const filter[] = { "*", "a)(x", "a\\2a", "a/b" };
	char longest[400];

	(void)state;
	assert_true(parse("ldapserver=h ldapprefix=cn="));
	for (size_t i = 0; i < sizeof dn / sizeof *dn; i++)
		assert_false(directory_name(&d, dn[i], text, sizeof text));
	for (size_t i = 0; i < sizeof filter / sizeof *filter; i++)
		assert_false(directory_filter(&d, filter[i], text, sizeof text));
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = 0;
	assert_false(directory_name(&d, longest, text, sizeof text));
	assert_false(directory_filter(&d, longest, text, sizeof text));
}

static void what_can_not_be_meant_is_said(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "", "ldapserver is missing" },
		{ "ldapserver=h", "is needed" },
		{ "ldapserver=h ldapprefix=a ldapbasedn=b", "not both" },
		{ "ldapserver=h ldapbinddn=b", "ldapbasedn is missing" },
		{ "ldapserver=h ldapbasedn=b ldapsearchattribute=a ldapsearchfilter=f", "together" },
		{ "ldapserver=h ldapprefix=a ldapport=0", "no port" },
		{ "ldapserver=h ldapprefix=a ldaptls=2", "0 or 1" },
		{ "ldapserver=h ldapprefix=a ldaptls=1 ldapscheme=ldaps", "two ways" },
		{ "ldapserver=h ldapprefix=a ldapscheme=http", "ldap or ldaps" },
		{ "ldapserver=h ldapcolour=a", "no option" },
		{ "ldapserver=h words", "no KEY=VALUE" },
		{ "ldapserver=\"h", "not closed" },
		{ "ldapserver=\" \" ldapprefix=a", "names no server" },
		{ "ldapurl=http://h/x", "ldapurl" },
		{ "ldapurl=ldap:///x", "ldapurl" },
		{ "ldapurl=ldap://h/x%0?a", "ldapurl" },
		{ "ldapurl=ldap://h/x%00", "ldapurl" },
		{ "ldapurl=ldap://h/x?a?all", "ldapurl" },
		{ "ldapurl=ldap://h/x?a?one?f?more", "ldapurl" },
		{ "ldapurl=ldap://h/x ldapserver=h", "already" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_false(parse(cases[i].line));
		if (!strstr(error, cases[i].says))
			fail_msg("%s: %s", cases[i].line, error);
	}
}

static void the_password_is_shown_to_nobody(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "ldapserver=h  ldapprefix=\"uid=\" ", "ldapserver=h ldapprefix=\"uid=\"" },
		{ "ldapserver=h ldapbindpasswd=geheim ldaptls=1", "ldapserver=h ldapbindpasswd=**** ldaptls=1" },
		{ "ldapbindpasswd=\"ge heim\"", "ldapbindpasswd=****" },
		{ "\"ldapbindpasswd=ge heim\" a=b", "ldapbindpasswd=**** a=b" },
		{ "ldap\"bind\"passwd=geheim", "ldapbindpasswd=****" },
		{ "ldapbindpasswd geheim", "ldapbindpasswd=**** geheim" },
		{ "a=b ldapbindpasswd=\"geheim", "a=b ****" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		directory_mask(span_text(cases[i][0]), text, sizeof text);
		assert_string_equal(text, cases[i][1]);
	}
	directory_mask(span_text("ldapserver=h ldapbindpasswd=geheim"), text, 20);
	assert_string_equal(text, "ldapserver=h ldapbi");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_simple_bind_puts_the_user_between_prefix_and_suffix),
		cmocka_unit_test(a_search_asks_for_the_attribute_or_by_the_filter),
		cmocka_unit_test(a_url_says_all_of_it),
		cmocka_unit_test(a_name_that_would_mean_something_is_refused),
		cmocka_unit_test(what_can_not_be_meant_is_said),
		cmocka_unit_test(the_password_is_shown_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
