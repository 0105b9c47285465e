/* The settings: what a file and the command line say of them, what is wrong with it, and how they change. */
#include "base/buf.h"
#include "base/rng.h"
#include "config/build.h"
#include "config/helper_test.h"
#include "config/schema.h"

/* The configuration file of the founding incident's write-up, as it stands there. */
static void the_incidents_file_is_read_as_written(void **state)
{
	struct given g = {
		.text = "[databases]\nlfg_prod = host=localhost port=5432 dbname=lfg_prod\n\n[pgbouncer]\n"
			"listen_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = md5\n"
			"auth_file = /etc/pgbouncer/userlist.txt\npool_mode = transaction\nmax_client_conn = 100\n"
			"default_pool_size = 20\nreserve_pool_size = 5\nreserve_pool_timeout = 3\n"
	};
	struct config *c = parse(&g);
	const struct database_settings *d = config_database(c, span_text("lfg_prod"));

	(void)state;
	assert_string_equal(g.warnings, "");
	assert_string_equal(c->listen_addr, "127.0.0.1");
	assert_int_equal(c->listen_port, 6432);
	assert_string_equal(c->auth_type_text, "md5");
	assert_int_equal(c->auth_type, 3);
	assert_string_equal(c->auth_file, "/etc/pgbouncer/userlist.txt");
	assert_int_equal(c->pool_mode, POOL_TRANSACTION);
	assert_int_equal(c->max_client_conn, 100);
	assert_int_equal(c->client_limit_counts, LIMIT_BUSY);
	assert_int_equal(c->origin_fairness, 1);
	assert_int_equal(c->default_pool_size, 20);
	assert_int_equal(c->reserve_pool_size, 5);
	assert_int_equal(c->reserve_pool_timeout, 3 * SECOND_US);
	assert_non_null(d);
	assert_string_equal(d->dbname, "lfg_prod");
	assert_int_equal(d->host_count, 1);
	assert_string_equal(d->hosts[0].name, "localhost");
	assert_int_equal(d->hosts[0].port, 5432);
	assert_int_equal(d->line, 2);
	assert_null(d->user);
	config_drop(c);
}

static void what_is_not_said_is_as_in_pgbouncer(void **state)
{
	struct given g = { .text = "", .manner = MANNER_PGBOUNCER };
	struct config *c = parse(&g);
	struct setting_view view;

	(void)state;
	assert_string_equal(g.warnings, "");
	assert_string_equal(c->listen_addr, "");
	assert_string_equal(c->unix_socket_dir, "/tmp");
	assert_int_equal(c->unix_socket_mode, 0777);
	assert_int_equal(c->auth_type, 3);
	assert_int_equal(c->pool_mode, POOL_SESSION);
	assert_int_equal(c->max_client_conn, 100);
	assert_int_equal(c->query_wait_timeout, 120 * SECOND_US);
	assert_int_equal(c->server_lifetime, 3600 * SECOND_US);
	assert_int_equal(c->max_prepared_statements, 200);
	assert_int_equal(c->max_packet_size, 2147483647);
	assert_string_equal(c->server_reset_query, "DISCARD ALL");
	assert_string_equal(c->server_check_query, "");
	assert_true(c->server_check_on);
	assert_string_equal(c->track_extra_parameters, "IntervalStyle");
	assert_int_equal(c->client_limit_counts, LIMIT_ALL);
	assert_int_equal(c->origin_fairness, 0);
	assert_int_equal(c->statement_text_max, 1048576);
	assert_int_equal(c->server_orphan_timeout, 60 * SECOND_US);
	/* It opens no connections of its own, and probes no client, as PgBouncer does not. */
	assert_int_equal(c->monitor_interval, 0);
	assert_int_equal(c->server_budget, 0);
	assert_true(c->tcp_keepidle == 0 && c->tcp_keepintvl == 0 && c->tcp_keepcnt == 0 && c->tcp_user_timeout == 0);
	assert_string_equal(value_of(c, "client_limit_counts", &view), "all");
	assert_string_equal(view.standard, "all");
	config_drop(c);
}

static void every_default_is_shown_as_it_is_written(void **state)
{
	struct given g = { .text = "" };
	struct config *c = parse(&g);
	struct setting_view view;
	size_t count = 0, ours = 0;

	(void)state;
	for (; config_view(c, count, &view); count++) {
		if (strcmp(view.key, "conffile") != 0)
			assert_string_equal(view.value, view.standard);
	}
	for (size_t i = 0; i < schema_settings_count; i++)
		ours += strcmp(schema_settings[i].since, "pgweir") == 0;
	assert_int_equal(count, 100 + ours);
	assert_false(config_view(c, count + 1, &view));
	assert_string_equal(value_of(c, "conffile", &view), "test.ini");
	config_drop(c);
}

/* Each key once, no row beyond what config_view's tables hold, words that are said in full. */
static void the_table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < schema_settings_count; i++) {
		const struct setting *row = &schema_settings[i];
		size_t length = strlen(row->what);

		assert_ptr_equal(schema_find(schema_settings, schema_settings_count, span_text(row->key)), row);
		assert_int_equal(row->built == BUILT, row->size > 0);
		assert_int_equal(row->built == BUILT, row->lacking == NULL);
		assert_true(length > 10 && row->what[length - 1] == '.');
		assert_true(*row->unit && *row->since);
		assert_int_equal(row->type == TYPE_WORD, row->words != NULL);
	}
}

static void values_are_taken_in_their_units(void **state)
{
	struct given g = { .text = "[pgbouncer]\nquery_timeout = 0.25\nserver_lifetime=90\nunix_socket_mode = 770\n"
				   "max_packet_size = 0x10000\nclient_limit_counts = ALL\nserver_check_query =\n"
				   "log_stats = 0\nquery_wait_notify=7\nserver_reset_query = SELECT 1; -- # x\n" };
	struct config *c = parse(&g);
	struct setting_view view;

	(void)state;
	assert_int_equal(c->query_timeout, 250000);
	assert_int_equal(c->server_lifetime, 90 * SECOND_US);
	assert_int_equal(c->unix_socket_mode, 0770);
	assert_int_equal(c->max_packet_size, 65536);
	assert_int_equal(c->client_limit_counts, LIMIT_ALL);
	assert_false(c->server_check_on);
	assert_int_equal(c->log_stats, 0);
	assert_int_equal(c->query_wait_notify, 7 * SECOND_US);
	assert_string_equal(c->server_reset_query, "SELECT 1; -- # x");
	assert_string_equal(value_of(c, "query_timeout", &view), "0.25");
	assert_string_equal(value_of(c, "unix_socket_mode", &view), "0770");
	assert_string_equal(value_of(c, "server_check_query", &view), "");
	assert_string_equal(value_of(c, "client_limit_counts", &view), "all");
	config_drop(c);
}

static void errors_say_where_and_what_and_what_is_allowed(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "[pgbouncer]\n\ndefaultpool_size = 3",
			"test.ini:3: unknown setting \"defaultpool_size\"; did you mean \"default_pool_size\"?" },
		{ "[pgbouncer]\nflipper = 3", "test.ini:2: unknown setting \"flipper\"" },
		{ "[pgbouncer]\nlisten_port = seventy",
			"test.ini:2: listen_port: found \"seventy\", allowed: a whole number from 1 to 65535" },
		{ "[pgbouncer]\nlisten_port = 70000",
			"test.ini:2: listen_port: found \"70000\", allowed: a whole number from 1 to 65535" },
		{ "[pgbouncer]\ndefault_pool_size = -3",
			"test.ini:2: default_pool_size: found \"-3\", allowed: a whole number from 0 to 2147483647" },
		{ "[pgbouncer]\ndefault_pool_size =",
			"test.ini:2: default_pool_size: found \"\", allowed: a whole number from 0 to 2147483647" },
		{ "[pgbouncer]\npool_mode = chaos",
			"test.ini:2: pool_mode: found \"chaos\", allowed: session, transaction or statement" },
		{ "[pgbouncer]\nlog_stats = on", "test.ini:2: log_stats: found \"on\", allowed: 0 or 1" },
		{ "[pgbouncer]\nunix_socket_mode = 0888",
			"test.ini:2: unix_socket_mode: found \"0888\", allowed: octal digits from 0000 to 0777" },
		{ "[pgbouncer]\nserver_lifetime = 1h",
			"test.ini:2: server_lifetime: found \"1h\", allowed: seconds without a unit, up to ten years; decimals are allowed" },
		{ "[pgbouncer]\nstats_period = 0",
			"test.ini:2: stats_period: found \"0\", allowed: whole seconds without a unit, from 1 to 86400" },
		{ "[pgbouncer]\nauth_type = guess",
			"test.ini:2: auth_type: found \"guess\", allowed: any, trust, plain, md5, scram-sha-256, hba, cert, pam or ldap" },
		{ "[pgbouncer]\nsyslog = yes", "test.ini:2: syslog: found \"yes\", allowed: 0 or 1" },
		{ "[pgbouncer]\norigin_weights = web",
			"test.ini:2: origin_weights: found \"web\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[pgbouncer]\norigin_weights = web=0",
			"test.ini:2: origin_weights: found \"web=0\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[pgbouncer]\norigin_weights = web=101",
			"test.ini:2: origin_weights: found \"web=101\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[pgbouncer]\norigin_weights = =4",
			"test.ini:2: origin_weights: found \"=4\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[pgbouncer]\norigin_weights = web=4,report=two",
			"test.ini:2: origin_weights: found \"web=4,report=two\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[pgbouncer]\norigin_weights = web=99999999999999999999",
			"test.ini:2: origin_weights: found \"web=99999999999999999999\", allowed: a list such as web=4, my report=2, *=1: application_name and weight, from 1 to 100, * for all others" },
		{ "[dolphins]",
			"test.ini:1: unknown section [dolphins]; there are [databases], [pgbouncer], [users] and [peers]" },
		{ "[database]", "test.ini:1: unknown section [database]; did you mean [databases]?" },
		{ "pool_mode = session", "test.ini:1: \"pool_mode\" stands before the first [section]" },
		{ "[databases]\napp = pol_size=3",
			"test.ini:2: unknown key of a database \"pol_size\"; did you mean \"pool_size\"?" },
		{ "[databases]\napp = pool_size=many",
			"test.ini:2: database \"app\": pool_size: found \"many\", allowed: a whole number from -1 to 2147483647" },
		{ "[databases]\napp = port=0",
			"test.ini:2: database \"app\": port: found \"0\", allowed: a whole number from 1 to 65535, or a list of as many as there are hosts" },
		{ "[databases]\napp = host=a,,b",
			"test.ini:2: database \"app\": host: found an empty name in \"a,,b\"" },
		{ "[databases]\napp = host=a,b,c port=1,2",
			"test.ini:2: database \"app\": port: a list of 2, but there are 3 hosts" },
		{ "[databases]\napp = port=1,2 host=a",
			"test.ini:2: database \"app\": port: a list of 2, but there are 1 hosts" },
		{ "[databases]\napp = host=a,b port=1,x",
			"test.ini:2: database \"app\": port: found \"1,x\", allowed: a whole number from 1 to 65535, or a list of as many as there are hosts" },
		{ "[databases]\napp = host=a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a",
			"test.ini:2: database \"app\": host: more than 32 in a list" },
		{ "[databases]\napp = user=", "test.ini:2: database \"app\": the value is empty at \"user\"" },
		{ "[databases]\npgbouncer =",
			"test.ini:2: database \"pgbouncer\": this name is reserved for the console" },
		{ "[databases]\npgweir =", "test.ini:2: database \"pgweir\": this name is reserved for the console" },
		{ "[databases]\napp = auth_dbname=pgbouncer",
			"test.ini:2: database \"app\": auth_dbname: found \"pgbouncer\", the console, where nothing can be asked" },
		{ "[pgbouncer]\nauth_dbname = pgweir",
			"test.ini:2: auth_dbname: found \"pgweir\", the console, where nothing can be asked" },
		{ "[databases]\na123456789b123456789c123456789d123456789e123456789f123456789g123 =",
			"test.ini:2: database \"a123456789b123456789c123456789d123456789e123456789f123456789g12...\": names have at most 63 bytes" },
		{ "[users]\napp = pool_sizes=3",
			"test.ini:2: unknown key of a user \"pool_sizes\"; did you mean \"pool_size\"?" },
		{ "[users]\napp = query_timeout=0.5",
			"test.ini:2: user \"app\": query_timeout: found \"0.5\", allowed: whole seconds without a unit, from -1 to 2147483647" },
		{ "[users]\napp = pool_size", "test.ini:2: user \"app\": expected key=value at \"pool_size\"" },
		{ "[peers]\nx = host=a", "test.ini:2: peer \"x\": allowed: a whole number from 1 to 16383" },
		{ "[peers]\n0 = host=a", "test.ini:2: peer \"0\": allowed: a whole number from 1 to 16383" },
		{ "[peers]\n16384 = host=a", "test.ini:2: peer \"16384\": allowed: a whole number from 1 to 16383" },
		{ "[peers]\n1 = port=6432", "test.ini:2: peer 1: host is missing: it says where the peer is" },
		{ "[peers]\n1 = host=a port=0",
			"test.ini:2: peer 1: port: found \"0\", allowed: a whole number from 1 to 65535" },
		{ "[peers]\n1 = host=a pol_size=2",
			"test.ini:2: unknown key of a peer \"pol_size\"; did you mean \"pool_size\"?" },
		{ "[peers]\n1 = host=a port", "test.ini:2: peer 1: expected key=value at \"port\"" },
		{ "[pgbouncer]\npeer_id = 16384",
			"test.ini:2: peer_id: found \"16384\", allowed: a whole number from 0 to 16383" },
		{ "[pgbouncer]\n%include nowhere.ini", "test.ini:2: %include nowhere.ini: No such file or directory" },
		{ "[pgbouncer]\nnothing of the kind",
			"test.ini:2: expected '=' after the key (a key with other letters than A-Z a-z 0-9 _ . - * needs single quotes)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct given g = { .text = cases[i].text };

		assert_null(try(&g));
		assert_string_equal(g.error, cases[i].error);
	}
}

static void a_password_does_not_stand_in_an_error(void **state)
{
	static const char *const texts[] = { "[databases]\napp = password='sesame",
		"[databases]\napp = user=x password=sesame pol=1", "[databases]\napp = password='sesame'x" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct given g = { .text = texts[i] };

		assert_null(try(&g));
		assert_null(strstr(g.error, "sesame"));
	}
}

static void what_is_known_but_not_needed_is_a_warning(void **state)
{
	struct given g = { .text = "[pgbouncer]\nsbuf_loopcnt = 1\nclient_tls_sslmode = disable\nauth_hba_file =\n"
				   "pkt_buf = 8192\n[databases]\napp = pool_size=1\n" };
	struct config *c = parse(&g);
	struct setting_view view;

	(void)state;
	assert_string_equal(g.warnings,
		"test.ini:2: sbuf_loopcnt is known, but not needed here; ignored: a turn has a budget of its own\n"
		"test.ini:5: pkt_buf is known, but not needed here; ignored: buffers belong to workers, not to connections\n");
	assert_string_equal(value_of(c, "sbuf_loopcnt", &view), "1");
	assert_false(view.reloadable);
	config_drop(c);
}

static void sections_continue_and_the_last_value_holds(void **state)
{
	struct given g = {
		.text = "[pgbouncer]\nmax_client_conn = 500\npool_mode = transaction\n[databases]\na = port=1\n[pgweir]\n"
			"default_pool_size = 7\n[pgbouncer]\npool_mode = statement\n[databases]\nb =\na = port=2\n"
	};
	struct config *c = parse(&g);

	(void)state;
	assert_int_equal(c->max_client_conn, 500);
	assert_int_equal(c->default_pool_size, 7);
	assert_int_equal(c->pool_mode, POOL_STATEMENT);
	assert_int_equal(c->database_count, 2);
	assert_int_equal(config_database(c, span_text("a"))->hosts[0].port, 2);
	assert_string_equal(g.warnings, "test.ini:12: \"a\" stood before in line 5; this line holds\n");
	config_drop(c);
}

static void included_files_continue_the_section(void **state)
{
	struct given g = {
		.text = "[databases]\n%include dbs.ini\nc = port=3\n%include more.ini\ndefault_pool_size = 9\n",
		.files = { { "dbs.ini", "a = port=1\nb = port=2\n" },
			{ "more.ini", "[pgbouncer]\nmax_client_conn = 5\n" } }
	};
	struct config *c = parse(&g);

	(void)state;
	assert_int_equal(c->database_count, 3);
	assert_int_equal(c->max_client_conn, 5);
	assert_int_equal(c->default_pool_size, 9);
	config_drop(c);
	g.files[1][1] = "[pgbouncer]\n\nmax_client_conn = many\n";
	assert_null(try(&g));
	assert_true(strncmp(g.error, "more.ini:3: max_client_conn: found \"many\"", 41) == 0);
	g.files[1][1] = "%include more.ini\n";
	assert_null(try(&g));
	assert_string_equal(g.error, "more.ini:1: %include is nested more than 10 deep");
}

static void options_beat_the_file_and_are_named_in_errors(void **state)
{
	struct given g = { .text = "[databases]\napp = port=1\n[pgbouncer]\nmax_client_conn = 500\n",
		.overrides = { { "max_client_conn", "7" }, { "databases.app", "port=9 dbname=x" },
			{ "databases.a.b", "port=3" }, { "users.joe", "pool_size=2" }, { "pgweir.workers", "3" } } };
	struct config *c = parse(&g);

	(void)state;
	assert_string_equal(g.warnings, "");
	assert_int_equal(c->max_client_conn, 7);
	assert_int_equal(c->workers, 3);
	assert_int_equal(config_database(c, span_text("app"))->hosts[0].port, 9);
	assert_int_equal(config_database(c, span_text("app"))->line, 0);
	assert_int_equal(config_database(c, span_text("a.b"))->hosts[0].port, 3);
	assert_int_equal(config_user(c, span_text("joe"))->pool_size, 2);
	config_drop(c);
	g.overrides[0] = (struct config_override){ "default_pol_size", "7" };
	assert_null(try(&g));
	assert_string_equal(g.error,
		"-o default_pol_size: unknown setting \"default_pol_size\"; did you mean \"default_pool_size\"?");
	g.overrides[0] = (struct config_override){ "workers", "many" };
	assert_null(try(&g));
	assert_string_equal(g.error, "-o workers: found \"many\", allowed: a whole number from 0 to 256");
	g.overrides[0] = (struct config_override){ "databases.app", "prot=1" };
	assert_null(try(&g));
	assert_string_equal(g.error, "-o databases.app: unknown key of a database \"prot\"; did you mean \"port\"?");
	g.overrides[0] = (struct config_override){ "databases.", "port=1" };
	assert_null(try(&g));
	assert_string_equal(g.error, "-o databases.=...: the name is missing");
}

static void set_makes_a_new_value_and_leaves_the_old(void **state)
{
	struct given g = { .text = "[databases]\napp = port=7\n[pgbouncer]\nmax_client_conn = 500\n",
		.overrides = { { "default_pool_size", "3" } } };
	struct config *c = parse(&g), *next, *last;
	struct setting_view view;
	char error[256] = "";

	(void)state;
	next = config_with(c, "default_pool_size", "9", error, sizeof error);
	assert_non_null(next);
	assert_int_equal(c->default_pool_size, 3);
	assert_int_equal(next->default_pool_size, 9);
	assert_int_equal(next->max_client_conn, 500);
	assert_int_equal(config_database(next, span_text("app"))->hosts[0].port, 7);
	assert_string_equal(value_of(next, "conffile", &view), "test.ini");
	for (int i = 0; i < 100; i++) {
		last = config_with(next, "default_pool_size", i % 2 ? "10" : "11", error, sizeof error);
		config_drop(next);
		next = last;
	}
	assert_int_equal(next->default_pool_size, 10);
	assert_int_equal(next->private->journal_count, c->private->journal_count + 1);
	config_drop(next);

	assert_null(config_with(c, "default_pol_size", "9", error, sizeof error));
	assert_string_equal(error, "unknown setting \"default_pol_size\"; did you mean \"default_pool_size\"?");
	assert_null(config_with(c, "listen_port", "9", error, sizeof error));
	assert_string_equal(error, "listen_port can only be changed by a restart");
	assert_null(config_with(c, "sbuf_loopcnt", "1", error, sizeof error));
	assert_string_equal(error, "sbuf_loopcnt is known, but not needed here");
	assert_null(config_with(c, "default_pool_size", "many", error, sizeof error));
	assert_string_equal(error, "default_pool_size: found \"many\", allowed: a whole number from 0 to 2147483647");
	config_drop(c);
}

static int warnings_counted;

static void count_warning(void *context, const char *line)
{
	(void)context;
	assert_non_null(strstr(line, "needs a restart"));
	warnings_counted++;
}

static void a_reload_holds_what_only_a_restart_may_change(void **state)
{
	struct given first = { .text = "[pgbouncer]\nlisten_port = 7000\ndefault_pool_size = 3\n" };
	struct given same = { .text = "[pgbouncer]\nlisten_port = 7000\ndefault_pool_size = 4\n" };
	struct given other = {
		.text = "[pgbouncer]\nlisten_port = 7001\ndefault_pool_size = 5\nunix_socket_dir = /var/x\n"
	};
	struct config *old = parse(&first), *fresh = parse(&same), *held;
	struct setting_view view;

	(void)state;
	held = config_hold(&fresh, old, count_warning, NULL, same.error, sizeof same.error);
	assert_null(fresh);
	assert_int_equal(held->default_pool_size, 4);
	config_drop(held);

	fresh = parse(&other);
	held = config_hold(&fresh, old, count_warning, NULL, other.error, sizeof other.error);
	assert_non_null(held);
	assert_int_equal(warnings_counted, 2);
	assert_int_equal(held->listen_port, 7000);
	assert_string_equal(value_of(held, "listen_port", &view), "7000");
	assert_string_equal(held->unix_socket_dir, "/tmp");
	assert_int_equal(held->default_pool_size, 5);
	assert_string_equal(held->file, "test.ini");
	config_drop(held);
	config_drop(old);
}

static void a_kept_value_outlives_its_maker(void **state)
{
	struct given g = { .text = "[databases]\napp =\n" };
	struct config *c = parse(&g);

	(void)state;
	assert_ptr_equal(config_keep(c), c);
	config_drop(c);
	assert_non_null(config_database(c, span_text("app")));
	config_drop(c);
	config_drop(NULL);
}

static void lists_hold_words(void **state)
{
	(void)state;
	assert_true(config_list_has("a, b ,c", span_text("b"), false));
	assert_true(config_list_has("a b\tc", span_text("c"), false));
	assert_true(config_list_has("a", span_text("a"), false));
	assert_false(config_list_has("ab, ba", span_text("a"), false));
	assert_false(config_list_has("a", span_text("A"), false));
	assert_true(config_list_has("a,TimeZone", span_text("timezone"), true));
	assert_false(config_list_has("", span_text(""), false));
	assert_false(config_list_has("a,,b", span_text(""), false));
	assert_false(config_list_has("*", span_text("*"), false));
	assert_false(config_list_has("*", span_text("a"), false));
}

static void no_mutation_of_a_file_breaks_the_reader(void **state)
{
	static const char good[] =
		"[databases]\napp = host=a,b port=6000 user=u password='p''w' pool_size=3\n* = \n"
		"[users]\njoe = pool_mode=statement query_timeout=3\n[pgbouncer]\npool_mode = transaction\n"
		"listen_port = 6432\nserver_lifetime = 3.5\nunix_socket_mode=0777\n%include x.ini\n[peers]\n1=host=a\n";
	char text[sizeof good];
	struct rng rng;
	int taken = 0;

	(void)state;
	rng_seed(&rng, 5432);
	for (int i = 0; i < 20000; i++) {
		struct given g = { .text = text, .files = { { "x.ini", "max_client_conn=1\n" } } };
		struct config *c;

		memcpy(text, good, sizeof good);
		for (uint64_t n = rng_below(&rng, 3); n > 0; n--)
			text[rng_below(&rng, sizeof good - 1)] = "'=\n[]%;* ,-9x\xff"[rng_below(&rng, 14)];
		if (rng_chance(&rng, 300))
			text[rng_below(&rng, sizeof good)] = 0;
		c = try(&g);
		assert_int_equal(c == NULL, g.error[0] != 0);
		taken += c != NULL;
		config_drop(c);
	}
	assert_in_range(taken, 2000, 18000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_incidents_file_is_read_as_written),
		cmocka_unit_test(what_is_not_said_is_as_in_pgbouncer),
		cmocka_unit_test(every_default_is_shown_as_it_is_written),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(values_are_taken_in_their_units),
		cmocka_unit_test(errors_say_where_and_what_and_what_is_allowed),
		cmocka_unit_test(a_password_does_not_stand_in_an_error),
		cmocka_unit_test(what_is_known_but_not_needed_is_a_warning),
		cmocka_unit_test(sections_continue_and_the_last_value_holds),
		cmocka_unit_test(included_files_continue_the_section),
		cmocka_unit_test(options_beat_the_file_and_are_named_in_errors),
		cmocka_unit_test(set_makes_a_new_value_and_leaves_the_old),
		cmocka_unit_test(a_reload_holds_what_only_a_restart_may_change),
		cmocka_unit_test(a_kept_value_outlives_its_maker),
		cmocka_unit_test(lists_hold_words),
		cmocka_unit_test(no_mutation_of_a_file_breaks_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
