/* Whom the rules let in, as PostgreSQL's documentation describes them; one file for each story. */
#include "auth/hba_helper_test.h"

static void the_first_rule_that_fits_decides(void **state)
{
	struct hba *hba = accepted("# who\tmay come in\n"
				   "local   all             all                                     peer\n"
				   "host    shop,\"all\"    anna            127.0.0.1/32            trust\n"
				   "host    all             mallory         all                     reject\r\n"
				   "hostssl all             all             all                     trust\n"
				   "host    sameuser        all             10.0.0.0/8              md5\n"
				   "hostnossl all           @team           192.168.1.0 255.255.255.0 password\n"
				   "host    all \\\n"
				   "        all             ::1/128         scram-sha-256\n",
		NULL);

	(void)state;
	assert_string_equal(judge(hba, "@anna", "shop", "anna"), "trust:2");
	assert_string_equal(judge(hba, "@anna", "shop", "bert"), "stranger:2");
	assert_string_equal(judge(hba, "", "shop", "bert"), "stranger:2"); /* nobody knows who it is */
	assert_string_equal(judge(hba, "127.0.0.1", "shop", "anna"), "trust:3");
	assert_string_equal(judge(hba, "127.0.0.1", "all", "anna"), "trust:3"); /* in quotes it is a name */
	assert_string_equal(judge(hba, "127.0.0.1", "other", "anna"), "none");
	assert_string_equal(judge(hba, "127.0.0.2", "shop", "anna"), "none");
	assert_string_equal(judge(hba, "127.0.0.1", "shop", "mallory"), "reject:4");
	assert_string_equal(judge(hba, "10.200.1.1", "anna", "anna"), "md5:6");
	assert_string_equal(judge(hba, "11.0.0.1", "anna", "anna"), "none");
	assert_string_equal(
		judge(hba, "192.168.1.77", "shop", "carl"), "password:7"); /* of a file that the file names */
	assert_string_equal(judge(hba, "192.168.2.77", "shop", "carl"), "none");
	assert_string_equal(judge(hba, "::1", "shop", "carl"), "scram-sha-256:8");
	hba_free(hba);
}

static void physical_replication_fits_its_own_word_alone(void **state)
{
	struct hba *hba = accepted("host all all 127.0.0.1/32 trust\nhost \"replication\" bert 127.0.0.1/32 trust\n"
				   "host shop,replication bert all md5\nhost shop replication ::1/128 trust\n",
		NULL);

	(void)state;
	assert_string_equal(judge(hba, "~127.0.0.1", "replication", "bert"), "md5:3");
	assert_string_equal(judge(hba, "~127.0.0.1", "shop", "bert"), "md5:3");
	assert_string_equal(judge(hba, "~127.0.0.1", "replication", "anna"), "none");
	assert_string_equal(judge(hba, "127.0.0.1", "replication", "bert"), "trust:1");
	assert_string_equal(judge(hba, "::1", "replication", "bert"), "none");
	assert_string_equal(judge(hba, "::1", "shop", "bert"), "md5:3");
	hba_free(hba);
}

static void whether_tls_stands_makes_another_rule_fit(void **state)
{
	struct hba *hba = accepted(
		"hostgssenc all all all reject\nhostssl all anna all scram-sha-256\nhostnossl all all all md5\n"
		"hostnogssenc all all ::1/128 trust\n",
		NULL);

	(void)state;
	assert_string_equal(judge(hba, "+127.0.0.1", "d", "anna"), "scram-sha-256:2");
	assert_string_equal(judge(hba, "127.0.0.1", "d", "anna"), "md5:3");
	assert_string_equal(judge(hba, "127.0.0.1", "d", "bert"), "md5:3");
	assert_string_equal(judge(hba, "+127.0.0.1", "d", "bert"), "none");
	assert_string_equal(judge(hba, "+::1", "d", "bert"), "trust:4");
	hba_free(hba);
}

static void a_certificate_is_who_it_names(void **state)
{
	struct hba *hba = accepted("hostssl shop  all  all cert\n"
				   "hostssl store all  all cert map=staff\n"
				   "hostssl depot all  all md5 clientcert=verify-ca\n"
				   "hostssl vault all  all scram-sha-256 clientcert=verify-full\n"
				   "hostssl mint  all  all cert clientcert=verify-full map=staff\n"
				   "host    shop  all  all reject\n",
		"staff anna boss\nstaff bert.example carl\n");

	(void)state;
	assert_string_equal(judge(hba, "#anna", "shop", "anna"), "trust:1");
	assert_string_equal(judge(hba, "#anna", "shop", "anna.example"), "trust:1");
	assert_string_equal(judge(hba, "#anna", "shop", "ann"), "impostor:1");
	assert_string_equal(judge(hba, "#anna", "shop", ""), "impostor:1");
	assert_string_equal(judge(hba, "#anna", "shop", "boss"), "impostor:1");
	assert_string_equal(judge(hba, "+127.0.0.1", "shop", "anna"), "uncertified:1");
	assert_string_equal(judge(hba, "127.0.0.1", "shop", "anna"), "reject:6");
	assert_string_equal(judge(hba, "#anna", "store", "boss"), "trust:2");
	assert_string_equal(judge(hba, "#anna", "store", "anna"), "impostor:2"); /* a map is all there is */
	assert_string_equal(judge(hba, "#bert", "store", "carl"), "trust:2");
	assert_string_equal(judge(hba, "#anna", "depot", "whoever"), "md5:3");
	assert_string_equal(judge(hba, "+127.0.0.1", "depot", "whoever"), "uncertified:3");
	assert_string_equal(judge(hba, "#anna", "vault", "anna"), "scram-sha-256:4");
	assert_string_equal(judge(hba, "#anna", "vault", "bert"), "impostor:4");
	assert_string_equal(judge(hba, "#anna", "mint", "boss"), "trust:5");
	hba_free(hba);
}

static void a_map_says_who_may_be_whom(void **state)
{
	struct hba *hba = accepted("local all all peer map=staff\n",
		"# map  system  database user\nstaff www-data app\nstaff root all\nother anna app\n");

	(void)state;
	assert_string_equal(judge(hba, "@www-data", "d", "app"), "trust:1");
	assert_string_equal(judge(hba, "@www-data", "d", "www-data"), "stranger:1");
	assert_string_equal(judge(hba, "@root", "d", "whoever"), "trust:1");
	assert_string_equal(judge(hba, "@anna", "d", "app"), "stranger:1");
	hba_free(hba);
}

static void a_role_is_asked_for_only_when_all_else_fits(void **state)
{
	struct hba *hba = accepted(
		"host shop +staff 10.0.0.0/8 md5\nhost all +banned all reject\nhost samerole all all scram-sha-256\n"
		"host all \"+odd\" all trust\nlocal all +staff,anna trust\n",
		NULL);
	struct roles *roles = roles_new();

	(void)state;
	assert_string_equal(judge(hba, "10.1.2.3", "shop", "anna"), "roles?:1");
	assert_string_equal(judge(hba, "10.1.2.3", "store", "anna"), "roles?:2");
	assert_string_equal(judge(hba, "", "store", "anna"), "trust:5"); /* by name */
	assert_string_equal(judge(hba, "", "store", "bert"), "roles?:5");
	assert_true(roles_add(roles, span_text("anna")) && roles_add(roles, span_text("staff")));
	known = (struct hba_peer){ .roles_known = HBA_KNOWN, .roles = roles };
	assert_string_equal(judge(hba, "10.1.2.3", "shop", "anna"), "md5:1");
	assert_string_equal(judge(hba, "127.0.0.1", "shop", "anna"), "none");
	assert_string_equal(judge(hba, "127.0.0.1", "staff", "anna"), "scram-sha-256:3");
	assert_string_equal(judge(hba, "127.0.0.1", "anna", "anna"), "scram-sha-256:3"); /* of itself it is one */
	assert_string_equal(judge(hba, "127.0.0.1", "shop", "+odd"), "trust:4");
	assert_string_equal(judge(hba, "", "shop", "bert"), "trust:5");
	assert_true(roles_add(roles, span_text("banned")));
	assert_string_equal(judge(hba, "127.0.0.1", "staff", "anna"), "reject:2");
	known = (struct hba_peer){ 0 };
	roles_drop(roles);
	hba_free(hba);
}

/* Neither a rule that lets in fits by accident, nor is one that rejects passed by, nor one that asks for more. */
static void what_can_not_be_known_ends_the_login(void **state)
{
	struct hba *hba = accepted("host a +staff all md5\nhost b +banned all reject\nhostssl samegroup all all cert\n"
				   "host all all all trust\n",
		NULL);

	(void)state;
	known = (struct hba_peer){ .roles_known = HBA_UNKNOWABLE };
	assert_string_equal(judge(hba, "10.1.2.3", "a", "anna"), "no roles:1");
	assert_string_equal(judge(hba, "10.1.2.3", "b", "anna"), "no roles:2");
	assert_string_equal(judge(hba, "#anna", "c", "anna"), "no roles:3");
	assert_string_equal(judge(hba, "10.1.2.3", "c", "anna"), "trust:4");
	known = (struct hba_peer){ 0 };
	hba_free(hba);
}

static void a_host_is_known_by_its_name(void **state)
{
	struct hba *hba = accepted(
		"host all eve bad.example reject\nhost all all .Example md5\nhost all +staff db.other trust\n"
		"host all all all scram-sha-256\n",
		NULL);

	(void)state;
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "host?:2");
	known = (struct hba_peer){ .host_known = HBA_KNOWN, .host = "shop.EXAMPLE" };
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "md5:2");
	known.host = "Bad.example";
	assert_string_equal(judge(hba, "10.1.2.3", "d", "eve"), "reject:1");
	known.host = "db.other";
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "roles?:3");
	known.host = "xdb.other";
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "scram-sha-256:4");
	known.host = ".example";
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "scram-sha-256:4");
	known.host = "";
	assert_string_equal(judge(hba, "10.1.2.3", "d", "eve"), "scram-sha-256:4");
	known.host_known = HBA_UNKNOWABLE;
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "scram-sha-256:4");
	assert_string_equal(judge(hba, "10.1.2.3", "d", "eve"), "no host:1");
	known = (struct hba_peer){ 0 };
	hba_free(hba);
}

static void this_machine_and_its_networks_are_known(void **state)
{
	struct hba *hba = accepted("host all all samehost trust\nhost all all samenet md5\n", NULL);

	(void)state;
	assert_true(hba_wants_interfaces(hba));
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "none");
	known.same_net = true;
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "md5:2");
	known.same_host = true;
	assert_string_equal(judge(hba, "10.1.2.3", "d", "anna"), "trust:1");
	known = (struct hba_peer){ 0 };
	hba_free(hba);
}

static void a_regular_expression_fits_databases_and_users(void **state)
{
	struct hba *hba = accepted(
		"local /^shop_[0-9]+$,other \"/^(anna|bert),?$\" trust\nlocal /x all reject\n", NULL);

	(void)state;
	assert_string_equal(judge(hba, "", "shop_12", "anna"), "trust:1");
	assert_string_equal(judge(hba, "", "other", "bert,"), "trust:1");
	assert_string_equal(judge(hba, "", "shop_12", "carl"), "none");
	assert_string_equal(judge(hba, "", "shop_1x", "anna"), "reject:2");
	hba_free(hba);
}

static void what_a_map_captures_is_a_name_and_nothing_else(void **state)
{
	struct hba *hba = accepted("local all all peer map=m\n",
		"m /^(.*)@example\\.com$ \\1\nm /^adm-(.*)$ db_\\1_x\nm chief +staff\nm boss /^x\nm \\1 \\1\n");
	struct roles *roles = roles_new();

	(void)state;
	assert_string_equal(judge(hba, "@anna@example.com", "d", "anna"), "trust:1");
	assert_string_equal(judge(hba, "@anna@example.com", "d", "bert"), "stranger:1");
	assert_string_equal(judge(hba, "@anna@example.com.evil", "d", "anna"), "stranger:1");
	assert_string_equal(judge(hba, "@all@example.com", "d", "bert"), "stranger:1");
	assert_string_equal(judge(hba, "@+staff@example.com", "d", "bert"), "stranger:1");
	assert_string_equal(judge(hba, "@/.@example.com", "d", "bert"), "stranger:1");
	assert_string_equal(judge(hba, "@adm-7", "d", "db_7_x"), "trust:1");
	assert_string_equal(judge(hba, "@adm-7", "d", "db_7_"), "stranger:1");
	assert_string_equal(judge(hba, "@boss", "d", "xavier"), "trust:1");
	assert_string_equal(judge(hba, "@\\1", "d", "\\1"), "trust:1");
	assert_string_equal(judge(hba, "@chief", "d", "anna"), "roles?:1");
	known.roles_known = HBA_UNKNOWABLE;
	assert_string_equal(judge(hba, "@chief", "d", "anna"), "no roles:1");
	assert_true(roles_add(roles, span_text("staff")));
	known = (struct hba_peer){ .roles_known = HBA_KNOWN, .roles = roles };
	assert_string_equal(judge(hba, "@chief", "d", "anna"), "trust:1");
	known = (struct hba_peer){ 0 };
	roles_drop(roles);
	hba_free(hba);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(physical_replication_fits_its_own_word_alone),
		cmocka_unit_test(whether_tls_stands_makes_another_rule_fit),
		cmocka_unit_test(a_certificate_is_who_it_names),
		cmocka_unit_test(a_map_says_who_may_be_whom),
		cmocka_unit_test(a_role_is_asked_for_only_when_all_else_fits),
		cmocka_unit_test(what_can_not_be_known_ends_the_login),
		cmocka_unit_test(a_host_is_known_by_its_name),
		cmocka_unit_test(this_machine_and_its_networks_are_known),
		cmocka_unit_test(a_regular_expression_fits_databases_and_users),
		cmocka_unit_test(what_a_map_captures_is_a_name_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
