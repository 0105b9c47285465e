/* What the files of rules may say, and what is said of those that are wrong. */
#include "auth/hba_helper_test.h"

static void what_is_wrong_is_said_with_file_and_line(void **state)
{
	static const struct {
		const char *rules, *maps, *error;
	} cases[] = {
		{ "\n\nhots all all all trust\n", NULL,
			"hba.conf:3: \"hots\" is no type of connection: local, host, hostssl or hostnossl" },
		{ "host all all all cert\n", NULL, "hba.conf:1: cert is for hostssl connections only" },
		{ "host all all all md5 clientcert=verify-ca\n", NULL,
			"hba.conf:1: clientcert is for hostssl connections only" },
		{ "hostssl all all all md5 clientcert=1\n", NULL,
			"hba.conf:1: clientcert=1: it is verify-ca or verify-full" },
		{ "hostssl all all all cert clientcert=verify-ca\n", NULL,
			"hba.conf:1: clientcert=verify-ca would weaken cert" },
		{ "hostssl all all all md5 map=staff\n", NULL,
			"hba.conf:1: \"map=staff\" behind the method means nothing" },
		{ "host all all 10.0.0.0/33 trust\n", NULL, "hba.conf:1: \"33\" is no number of bits from 0 to 32" },
		{ "host all all 10.0.0.0 trust\n", NULL,
			"hba.conf:1: \"trust\" is no mask for \"10.0.0.0\", which alone is written \"10.0.0.0/32\"" },
		{ "host all all 10.0.0.0\n", NULL, "hba.conf:1: \"10.0.0.0\" has neither /BITS nor a mask behind it" },
		{ "host all all all peer\n", NULL, "hba.conf:1: peer is for local connections only" },
		{ "local all all trust map=x\n", NULL, "hba.conf:1: \"map=x\" behind the method means nothing" },
		{ "local all\n", NULL, "hba.conf:1: the user is missing" },
		{ "local all \"anna\n", NULL, "hba.conf:1: quotes are not closed" },
		{ "local ,all all trust\n", NULL, "hba.conf:1: a comma behind \"local\" means nothing" },
		{ "local all,,b all trust\n", NULL, "hba.conf:1: a comma without a word before it" },
		{ "local all @nobody trust\n", NULL, "hba.conf:1: @nobody: there is no such file" },
		{ "local all @round trust\n", NULL, "hba.conf:1: @round: files are nested deeper than 10" },
		{ "host all all 10.0.0 trust\n", NULL,
			"hba.conf:1: the address is all, samehost, samenet, a number with its network, as 10.0.0.0/8 or ::1/128, or a host name" },
		{ "host all all db.example/24 trust\n", NULL,
			"hba.conf:1: the address is all, samehost, samenet, a number with its network, as 10.0.0.0/8 or ::1/128, or a host name" },
		{ "local \"/a(\" all trust\n", NULL, "hba.conf:1: \"/a(\": Unmatched ( or \\(" },
		{ "local all /a*? trust\n", NULL, "hba.conf:1: \"/a*?\": non-greedy quantifiers are not built" },
		{ "include\n", NULL, "hba.conf:1: behind include its file is missing" },
		{ "include a b\n", NULL, "hba.conf:1: \"b\" is one word too many" },
		{ "\ninclude none\n", NULL, "hba.conf:2: none: there is no such file" },
		{ "include etc/bad.conf\n", NULL, "etc/bad.conf:2: the user is missing" },
		{ "include_if_exists etc/locked.conf\n", NULL, "hba.conf:1: etc/locked.conf: it is locked" },
		{ "include_dir etc/none\n", NULL, "hba.conf:1: etc/none: there is no such folder" },
		{ "include circle\n", NULL, "circle:1: circle: files are nested deeper than 10" },
		{ "local all all gss\n", NULL,
			"hba.conf:1: the method \"gss\" is not built: trust, reject, md5, password, scram-sha-256, peer, cert, pam or ldap" },
		{ "local all all pam pamservice=../x", NULL,
			"hba.conf:1: pamservice=../x: it is the name of a file in /etc/pam.d" },
		{ "local all all md5 pamservice=x", NULL,
			"hba.conf:1: \"pamservice=x\" behind the method means nothing" },
		{ "local all all ldap", NULL, "hba.conf:1: ldap: ldapserver is missing" },
		{ "local all all ldap ldapserver=h ldapcolour=x", NULL,
			"hba.conf:1: ldap: \"ldapcolour\" is no option of ldap" },
		{ "local all all peer\n", "a b\n",
			"ident.conf:1: a map has three words: MAP SYSTEM-USER DATABASE-USER" },
		{ "local all all peer\n", "m /^(a b\n", "ident.conf:1: \"/^(a\": Unmatched ( or \\(" },
		{ "local all all peer\n", "m /^a \\1\n", "ident.conf:1: \"\\1\" wants a (group), and \"/^a\" has none" },
		{ "local all all peer\n", "\na b c d\n", "ident.conf:2: \"d\" is one word too many" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char error[256];

		if (parse(cases[i].rules, cases[i].maps, false, error))
			fail_msg("accepted: %s", cases[i].rules);
		assert_string_equal(error, cases[i].error);
	}
}

static void a_file_may_name_others_that_lie_beside_it(void **state)
{
	char error[256];
	enum auth_method method;
	unsigned rule;
	struct hba_peer peer = { 0 };
	static const char rules[] =
		"include more.conf\ninclude_if_exists none.conf\ninclude_dir d\nlocal main all trust\n";
	struct hba *hba;

	(void)state;
	base = "etc/hba.conf";
	assert_null(parse(rules, "include maps\n", false, error));
	assert_string_equal(error, "ident.conf:1: maps: there is no such file"); /* it lies elsewhere */
	hba = accepted(rules, "include etc/maps\n");
	base = "hba.conf";
	assert_string_equal(judge(hba, "", "more", "anna"), "trust:2");
	assert_string_equal(judge(hba, "", "deep", "anna"), "reject:1");
	assert_string_equal(judge(hba, "", "last", "bert"), "trust:4");
	assert_string_equal(judge(hba, "", "last", "anna"), "none");
	assert_string_equal(judge(hba, "", "one", "anna"), "trust:1");
	assert_string_equal(judge(hba, "", "two", "anna"), "reject:1");
	assert_string_equal(judge(hba, "", "main", "anna"), "trust:4");
	assert_int_equal(hba_judge(hba, &peer, span_text("deep"), span_text("anna"), &method, &rule), HBA_REJECT);
	assert_string_equal(hba_file(hba, rule), "etc/deep/deep.conf");
	assert_int_equal(hba_judge(hba, &peer, span_text("main"), span_text("anna"), &method, &rule), HBA_METHOD);
	assert_null(hba_file(hba, rule));
	hba_free(hba);
}

static void what_needs_roles_needs_somebody_to_ask(void **state)
{
	char error[256];
	struct hba *hba;

	(void)state;
	roles_can_be_asked = false;
	assert_null(parse("local all +staff trust\n", NULL, false, error));
	assert_string_equal(error, "hba.conf:1: +staff asks PostgreSQL for roles, which needs auth_user");
	assert_null(parse("local samegroup all trust\n", NULL, false, error));
	assert_string_equal(error, "hba.conf:1: samegroup asks PostgreSQL for roles, which needs auth_user");
	hba = parse("local all +staff trust\nlocal all all scram-sha-256\n", NULL, true, error);
	roles_can_be_asked = true;
	assert_string_equal(error, "");
	assert_string_equal(judge(hba, "", "d", "anna"), "scram-sha-256:2");
	assert_string_equal(warnings,
		"hba.conf:1: +staff asks PostgreSQL for roles, which needs auth_user; this line is passed over\n");
	hba_free(hba);
	/* What is broken is broken under the name pgbouncer too. */
	assert_null(parse("local all\n", NULL, true, error));
}

static void one_bad_line_among_ten_thousand_is_found(void **state)
{
	struct buf rules = { 0 };
	char error[256];
	struct hba *hba;

	(void)state;
	for (int i = 1; i <= 10000; i++)
		assert_true(buf_format(&rules, "host db%d user%d 10.%d.%d.0/24 md5\n", i, i, i / 256, i % 256));
	assert_true(buf_add(&rules, "", 1));
	hba = accepted((const char *)rules.at, NULL);
	assert_string_equal(judge(hba, "10.39.16.9", "db10000", "user10000"), "md5:10000");
	assert_string_equal(judge(hba, "10.39.16.9", "db10000", "user9999"), "none");
	hba_free(hba);
	memcpy(strstr((char *)rules.at, "10.27.115.0/24"), "10.27.115.0/99", 14);
	assert_null(parse((const char *)rules.at, NULL, false, error));
	assert_string_equal(error, "hba.conf:7027: \"99\" is no number of bits from 0 to 32");
	buf_fini(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_said_with_file_and_line),
		cmocka_unit_test(a_file_may_name_others_that_lie_beside_it),
		cmocka_unit_test(what_needs_roles_needs_somebody_to_ask),
		cmocka_unit_test(one_bad_line_among_ten_thousand_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
