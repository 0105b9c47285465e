#include "auth/hba.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

/* Rules as PostgreSQL's documentation describes them, one file for each story. */

static char warnings[2048];

static void warn(const char *line)
{
	size_t length = strlen(warnings);

	text_format(warnings + length, sizeof warnings - length, "%s\n", line);
}

/* Enough of addresses for these stories; serve/ brings the real one. */
static bool parse_ip(struct span span, uint8_t ip[16], unsigned *length)
{
	char text[64], *at = text;

	if (span.length >= sizeof text)
		return false;
	text_copy_span(text, sizeof text, span);
	for (unsigned i = 0; i < 4; i++) {
		unsigned long part = strtoul(at, &at, 10);

		ip[i] = (uint8_t)part;
		if (part > 255 || *at != (i < 3 ? '.' : 0))
			break;
		if (i == 3) {
			*length = 4;
			return true;
		}
		at++;
	}
	if (strcmp(text, "::1") != 0 && strcmp(text, "fd00::") != 0)
		return false;
	memset(ip, 0, 16);
	if (text[0] == ':')
		ip[15] = 1;
	else
		ip[0] = 0xfd;
	*length = 16;
	return true;
}

/* Other files, by their paths. */
static const struct {
	const char *path, *text;
} files[] = {
	{ "team", "anna, bert # the team\n@more\n" },
	{ "more", "carl\n" },
	{ "round", "@round\n" },
	{ "circle", "include circle\n" },
	{ "etc/more.conf", "\nlocal more all trust\ninclude deep/deep.conf\nlocal last @names trust\n" },
	{ "etc/deep/deep.conf", "local deep @names reject\n" },
	{ "etc/deep/names", "anna\n" },
	{ "etc/names", "bert\n" },
	{ "etc/bad.conf", "# nothing\nlocal all\n" },
	{ "etc/maps", "staff root \"all\"\n" },
	{ "etc/d/1.conf", "local one all trust\n" },
	{ "etc/d/2.conf", "local two all reject\n" },
};

static enum hba_file_read read_file(
	void *context, const char *path, char **text, size_t *length, char *error, size_t size)
{
	(void)context;
	if (strcmp(path, "etc/locked.conf") == 0) {
		text_format(error, size, "it is locked");
		return HBA_FILE_BAD;
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		if (strcmp(files[i].path, path) != 0)
			continue;
		*text = strdup(files[i].text);
		*length = strlen(*text);
		return HBA_FILE_READ;
	}
	text_format(error, size, "there is no such file");
	return HBA_FILE_MISSING;
}

static bool list_folder(void *context, const char *path, struct buf *names, char *error, size_t size)
{
	(void)context;
	if (strcmp(path, "etc/d") == 0)
		return buf_add(names, "1.conf\0002.conf", 14);
	text_format(error, size, "there is no such folder");
	return false;
}

static const char *base = "hba.conf";
static bool roles_can_be_asked = true;

static struct hba *parse(const char *rules, const char *maps, bool lenient, char error[256])
{
	struct hba_source source = { .text = span_text(rules),
		.name = base,
		.ident_text = span_text(maps ? maps : ""),
		.ident_name = maps ? "ident.conf" : NULL,
		.warn = lenient ? warn : NULL,
		.read_file = read_file,
		.list_folder = list_folder,
		.roles = roles_can_be_asked,
		.parse_ip = parse_ip };

	warnings[0] = error[0] = 0;
	return hba_parse(&source, error, 256);
}

/* What is known of the peer beside that. */
static struct hba_peer known;

/* "md5:3": the method and the line that decided. From a system user ("@anna"), an address, or one with TLS ("+127.0.0.1"), or
 * with a good certificate as well ("#anna": for this name, and anna.example); for physical replication ("~127.0.0.1"). */
static const char *judge(const struct hba *hba, const char *from, const char *database, const char *user)
{
	static const char *const methods[] = { "any", "trust", "password", "md5", "scram-sha-256" };
	static char said[64];
	char names[100];
	size_t names_length;
	struct hba_peer peer = known;
	enum auth_method method = AUTH_ANY;
	unsigned rule;

	if (from[0] == '@')
		peer.system_user = from + 1;
	else if (from[0] == '#') {
		names_length = text_format(names, sizeof names, "%s", from + 1) + 1;
		names_length += text_format(names + names_length, sizeof names - names_length, "%s.example", from + 1) +
			1;
		peer.names = span_of(names, names_length);
		peer.certificate = peer.encrypted = parse_ip(span_text("127.0.0.1"), peer.ip, &peer.ip_length);
	} else if (from[0] == '+')
		peer.encrypted = parse_ip(span_text(from + 1), peer.ip, &peer.ip_length);
	else if (from[0] == '~')
		peer.replication = parse_ip(span_text(from + 1), peer.ip, &peer.ip_length);
	else if (from[0])
		assert_true(parse_ip(span_text(from), peer.ip, &peer.ip_length));
	switch (hba_judge(hba, &peer, span_text(database), span_text(user), &method, &rule)) {
	case HBA_NONE:
		assert_int_equal(rule, 0);
		return "none";
	case HBA_REJECT:
		text_format(said, sizeof said, "reject:%u", hba_line(hba, rule));
		break;
	case HBA_PEER_FAILED:
		text_format(said, sizeof said, "stranger:%u", hba_line(hba, rule));
		break;
	case HBA_CERTIFICATE_MISSING:
		text_format(said, sizeof said, "uncertified:%u", hba_line(hba, rule));
		break;
	case HBA_CERTIFICATE_FAILED:
		text_format(said, sizeof said, "impostor:%u", hba_line(hba, rule));
		break;
	case HBA_ASK_HOST:
		text_format(said, sizeof said, "host?:%u", hba_line(hba, rule));
		break;
	case HBA_ASK_ROLES:
		text_format(said, sizeof said, "roles?:%u", hba_line(hba, rule));
		break;
	case HBA_HOST_UNKNOWN:
		text_format(said, sizeof said, "no host:%u", hba_line(hba, rule));
		break;
	case HBA_ROLES_UNKNOWN:
		text_format(said, sizeof said, "no roles:%u", hba_line(hba, rule));
		break;
	case HBA_METHOD:
		text_format(said, sizeof said, "%s:%u", methods[method], hba_line(hba, rule));
		break;
	}
	return said;
}

static void the_first_rule_that_fits_decides(void **state)
{
	char error[256];
	struct hba *hba = parse("# who\tmay come in\n"
				"local   all             all                                     peer\n"
				"host    shop,\"all\"    anna            127.0.0.1/32            trust\n"
				"host    all             mallory         all                     reject\r\n"
				"hostssl all             all             all                     trust\n"
				"host    sameuser        all             10.0.0.0/8              md5\n"
				"hostnossl all           @team           192.168.1.0 255.255.255.0 password\n"
				"host    all \\\n"
				"        all             ::1/128         scram-sha-256\n",
		NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
	assert_non_null(hba);
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
	char error[256];
	struct hba *hba = parse("host all all 127.0.0.1/32 trust\nhost \"replication\" bert 127.0.0.1/32 trust\n"
				"host shop,replication bert all md5\nhost shop replication ::1/128 trust\n",
		NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse(
		"hostgssenc all all all reject\nhostssl all anna all scram-sha-256\nhostnossl all all all md5\n"
		"hostnogssenc all all ::1/128 trust\n",
		NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
	assert_string_equal(judge(hba, "+127.0.0.1", "d", "anna"), "scram-sha-256:2");
	assert_string_equal(judge(hba, "127.0.0.1", "d", "anna"), "md5:3");
	assert_string_equal(judge(hba, "127.0.0.1", "d", "bert"), "md5:3");
	assert_string_equal(judge(hba, "+127.0.0.1", "d", "bert"), "none");
	assert_string_equal(judge(hba, "+::1", "d", "bert"), "trust:4");
	hba_free(hba);
}

static void a_certificate_is_who_it_names(void **state)
{
	char error[256];
	struct hba *hba = parse("hostssl shop  all  all cert\n"
				"hostssl store all  all cert map=staff\n"
				"hostssl depot all  all md5 clientcert=verify-ca\n"
				"hostssl vault all  all scram-sha-256 clientcert=verify-full\n"
				"hostssl mint  all  all cert clientcert=verify-full map=staff\n"
				"host    shop  all  all reject\n",
		"staff anna boss\nstaff bert.example carl\n", false, error);

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse("local all all peer map=staff\n",
		"# map  system  database user\nstaff www-data app\nstaff root all\nother anna app\n", false, error);

	(void)state;
	assert_string_equal(error, "");
	assert_string_equal(judge(hba, "@www-data", "d", "app"), "trust:1");
	assert_string_equal(judge(hba, "@www-data", "d", "www-data"), "stranger:1");
	assert_string_equal(judge(hba, "@root", "d", "whoever"), "trust:1");
	assert_string_equal(judge(hba, "@anna", "d", "app"), "stranger:1");
	hba_free(hba);
}

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

static void a_role_is_asked_for_only_when_all_else_fits(void **state)
{
	char error[256];
	struct hba *hba = parse(
		"host shop +staff 10.0.0.0/8 md5\nhost all +banned all reject\nhost samerole all all scram-sha-256\n"
		"host all \"+odd\" all trust\nlocal all +staff,anna trust\n",
		NULL, false, error);
	struct roles *roles = roles_new();

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse("host a +staff all md5\nhost b +banned all reject\nhostssl samegroup all all cert\n"
				"host all all all trust\n",
		NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse(
		"host all eve bad.example reject\nhost all all .Example md5\nhost all +staff db.other trust\n"
		"host all all all scram-sha-256\n",
		NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse("host all all samehost trust\nhost all all samenet md5\n", NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
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
	char error[256];
	struct hba *hba = parse(
		"local /^shop_[0-9]+$,other \"/^(anna|bert),?$\" trust\nlocal /x all reject\n", NULL, false, error);

	(void)state;
	assert_string_equal(error, "");
	assert_string_equal(judge(hba, "", "shop_12", "anna"), "trust:1");
	assert_string_equal(judge(hba, "", "other", "bert,"), "trust:1");
	assert_string_equal(judge(hba, "", "shop_12", "carl"), "none");
	assert_string_equal(judge(hba, "", "shop_1x", "anna"), "reject:2");
	hba_free(hba);
}

static void what_a_map_captures_is_a_name_and_nothing_else(void **state)
{
	char error[256];
	struct hba *hba = parse("local all all peer map=m\n",
		"m /^(.*)@example\\.com$ \\1\nm /^adm-(.*)$ db_\\1_x\nm chief +staff\nm boss /^x\nm \\1 \\1\n", false,
		error);
	struct roles *roles = roles_new();

	(void)state;
	assert_string_equal(error, "");
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

static void a_file_may_name_others_that_lie_beside_it(void **state)
{
	char error[256];
	enum auth_method method;
	unsigned rule;
	struct hba_peer peer = { 0 };
	struct hba *hba;

	(void)state;
	base = "etc/hba.conf";
	hba = parse("include more.conf\ninclude_if_exists none.conf\ninclude_dir d\nlocal main all trust\n",
		"include maps\n", false, error);
	base = "hba.conf";
	(void)hba;
	assert_string_equal(error, "ident.conf:1: maps: there is no such file"); /* it lies elsewhere */
	base = "etc/hba.conf";
	hba = parse("include more.conf\ninclude_if_exists none.conf\ninclude_dir d\nlocal main all trust\n",
		"include etc/maps\n", false, error);
	base = "hba.conf";
	assert_string_equal(error, "");
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
	hba = parse((const char *)rules.at, NULL, false, error);
	assert_string_equal(error, "");
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
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(physical_replication_fits_its_own_word_alone),
		cmocka_unit_test(whether_tls_stands_makes_another_rule_fit),
		cmocka_unit_test(a_certificate_is_who_it_names),
		cmocka_unit_test(a_map_says_who_may_be_whom),
		cmocka_unit_test(what_is_wrong_is_said_with_file_and_line),
		cmocka_unit_test(a_role_is_asked_for_only_when_all_else_fits),
		cmocka_unit_test(what_can_not_be_known_ends_the_login),
		cmocka_unit_test(a_host_is_known_by_its_name),
		cmocka_unit_test(this_machine_and_its_networks_are_known),
		cmocka_unit_test(a_regular_expression_fits_databases_and_users),
		cmocka_unit_test(what_a_map_captures_is_a_name_and_nothing_else),
		cmocka_unit_test(a_file_may_name_others_that_lie_beside_it),
		cmocka_unit_test(what_needs_roles_needs_somebody_to_ask),
		cmocka_unit_test(one_bad_line_among_ten_thousand_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
