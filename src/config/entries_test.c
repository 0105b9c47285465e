/* The entries of [databases], [users], [peers] and the others: how one is found, and which of them has the last word. */
#include "config/helper_test.h"

static void peers_are_known_by_their_number(void **state)
{
	struct given g = {
		.text = "[pgbouncer]\npeer_id = 2\nso_reuseport = 1\ndefault_pool_size = 7\n[peers]\n"
			"10 = host=/tmp/ten\n2 = host=10.0.0.2 port=6433 pool_size=3\n012 = host=/tmp/other\n",
		.overrides = { { "peers.3", "host=db.x pool_size=0" } },
	};
	struct config *c = parse(&g);

	(void)state;
	assert_string_equal(g.warnings, "test.ini:8: peer 10 stood before in line 6; this line holds\n");
	assert_int_equal(c->peer_id, 2);
	assert_int_equal(c->so_reuseport, 1);
	assert_int_equal(c->peer_count, 3);
	assert_null(config_peer(c, 0));
	assert_null(config_peer(c, 1));
	assert_null(config_peer(c, UINT32_MAX));
	assert_string_equal(config_peer(c, 10)->host, "/tmp/other");
	assert_int_equal(config_peer(c, 10)->port, 6432);
	assert_int_equal(config_peer_size(c, config_peer(c, 10)), 7);
	assert_int_equal(config_peer(c, 2)->port, 6433);
	assert_int_equal(config_peer_size(c, config_peer(c, 2)), 3);
	assert_string_equal(config_peer(c, 3)->host, "db.x");
	assert_int_equal(config_peer_size(c, config_peer(c, 3)), 0);
	config_drop(c);
}

static void peers_without_a_number_of_our_own_are_not_used(void **state)
{
	struct given g = { .text = "[peers]\n1 = host=/tmp\n" };
	struct config *c = parse(&g);

	(void)state;
	assert_string_equal(g.warnings, "test.ini:2: [peers] is not used: peer_id is not set\n");
	config_drop(c);
}

static void databases_are_found_by_name_or_by_the_star(void **state)
{
	struct given g = { .text = "[databases]\n" };
	char text[4096] = "[databases]\n", name[16];
	size_t n = strlen(text);
	struct config *c;

	(void)state;
	for (int i = 0; i < 100; i += 2)
		n += text_format(text + n, sizeof text - n, "db%d = port=%d\n", i * 7 % 100, 1000 + i * 7 % 100);
	g.text = text;
	c = parse(&g);
	for (int i = 0; i < 100; i++) {
		const struct database_settings *d;

		text_format(name, sizeof name, "db%d", i);
		d = config_database(c, span_text(name));
		assert_int_equal(d != NULL, i % 2 == 0);
		if (d)
			assert_int_equal(d->hosts[0].port, 1000 + i);
	}
	assert_null(config_database(c, span_of("db10x", 3)));
	config_drop(c);
	text_format(text + n, sizeof text - n, "* = port=1\n");
	c = parse(&g);
	assert_string_equal(config_database(c, span_text("anything"))->name, "*");
	assert_string_equal(config_database(c, span_text("db10"))->name, "db10");
	assert_null(config_database(c, span_text("pgbouncer")));
	assert_null(config_database(c, span_text("pgweir")));
	config_drop(c);
}

static void each_host_may_have_a_port_of_its_own(void **state)
{
	struct given g = {
		.text = "[databases]\nall = host=a,b port=7\neach = port='7, 8,' host=a,b,c\nnone = host=a,b\n"
	};
	struct config *c = parse(&g);

	(void)state;
	assert_int_equal(config_database(c, span_text("all"))->hosts[1].port, 7);
	assert_int_equal(config_database(c, span_text("each"))->hosts[0].port, 7);
	assert_int_equal(config_database(c, span_text("each"))->hosts[1].port, 8);
	assert_int_equal(config_database(c, span_text("each"))->hosts[2].port, 5432);
	assert_int_equal(config_database(c, span_text("none"))->hosts[1].port, 5432);
	config_drop(c);
}

static void an_entry_says_all_its_keys(void **state)
{
	struct given g = {
		.text = "[databases]\napp = dbname=real host=a,[::1],/run,@x port=6000 user=u password='p''w' pool_size=3 "
			"min_pool_size=1 reserve_pool=2 connect_query='SELECT 1' pool_mode=statement query_wait_timeout=9 "
			"load_balance_hosts=disable max_db_connections=8 max_db_client_connections=80 server_lifetime=7 "
			"client_encoding=UTF8 datestyle=ISO timezone=UTC application_name=x\n"
			"other = pool_size=0 server_lifetime=0 query_wait_timeout=0\n"
			"third = pool_size=-1 server_lifetime=-1 query_wait_timeout=-1\n"
	};
	struct config *c = parse(&g);
	const struct database_settings *d = config_database(c, span_text("app"));

	(void)state;
	assert_string_equal(d->dbname, "real");
	assert_int_equal(d->host_count, 4);
	assert_string_equal(d->hosts[1].name, "[::1]");
	assert_string_equal(d->hosts[3].name, "@x");
	assert_int_equal(d->hosts[3].port, 6000);
	assert_true(d->hosts_stay);
	assert_string_equal(d->user, "u");
	assert_string_equal(d->password, "p'w");
	assert_int_equal(d->pool_size, 3);
	assert_int_equal(d->min_pool_size, 1);
	assert_int_equal(d->reserve_pool_size, 2);
	assert_string_equal(d->connect_query, "SELECT 1");
	assert_int_equal(d->pool_mode, POOL_STATEMENT);
	assert_int_equal(d->query_wait_timeout, 9 * SECOND_US);
	assert_int_equal(d->max_connections, 8);
	assert_int_equal(d->max_client_connections, 80);
	assert_int_equal(d->server_lifetime, 7 * SECOND_US);
	assert_string_equal(d->timezone, "UTC");
	assert_string_equal(d->application_name, "x");
	d = config_database(c, span_text("other"));
	assert_null(d->dbname);
	assert_string_equal(d->hosts[0].name, "/tmp");
	assert_int_equal(d->hosts[0].port, 5432);
	assert_int_equal(d->pool_size, 0);
	assert_int_equal(d->min_pool_size, UNSET);
	assert_true(d->pool_mode == POOL_UNSET);
	assert_false(d->hosts_stay);
	/* PgBouncer: no lifetime of zero for one database; a wait of zero is one without end. */
	assert_int_equal(d->server_lifetime, UNSET);
	assert_int_equal(d->query_wait_timeout, 0);
	d = config_database(c, span_text("third"));
	assert_int_equal(d->pool_size, UNSET);
	assert_int_equal(d->server_lifetime, UNSET);
	assert_int_equal(d->query_wait_timeout, UNSET);
	config_drop(c);
}

static void a_database_without_a_host_is_in_the_socket_directory(void **state)
{
	struct given g = { .text = "[databases]\na =\n[pgbouncer]\nunix_socket_dir = /run/pg\n" };
	struct config *c = parse(&g);

	(void)state;
	assert_string_equal(config_database(c, span_text("a"))->hosts[0].name, "/run/pg");
	config_drop(c);
	g.overrides[0] = (struct config_override){ "unix_socket_dir", "" };
	c = parse(&g);
	assert_string_equal(config_database(c, span_text("a"))->hosts[0].name, "/tmp");
	config_drop(c);
}

static void users_beat_databases_beat_the_rest(void **state)
{
	struct given g = {
		.text = "[databases]\nwide =\nnarrow = pool_size=4 pool_mode=transaction reserve_pool_size=1 max_db_connections=30 "
			"query_wait_timeout=11 server_lifetime=12 min_pool_size=2 max_origin_servers=3\n"
			"[users]\njoe = pool_size=5 pool_mode=statement max_user_connections=6 query_timeout=7 query_wait_timeout=0\n"
			"ann = query_timeout=0\n[pgbouncer]\ndefault_pool_size=20\nquery_timeout=99\nmax_user_connections=50\n"
			"max_origin_servers=9\n"
	};
	struct config *c = parse(&g);
	const struct database_settings *wide = config_database(c, span_text("wide")),
				       *narrow = config_database(c, span_text("narrow"));
	struct pool_rules r;

	(void)state;
	config_pool_rules(c, wide, span_text("nobody"), &r);
	assert_int_equal(r.mode, POOL_SESSION);
	assert_int_equal(r.size, 20);
	assert_int_equal(r.user_connections_max, 50);
	assert_int_equal(r.database_connections_max, 0);
	assert_int_equal(r.origin_servers_max, 9);
	assert_int_equal(r.query_timeout, 99 * SECOND_US);
	assert_int_equal(r.query_wait_timeout, 120 * SECOND_US);
	config_pool_rules(c, narrow, span_text("nobody"), &r);
	assert_int_equal(r.mode, POOL_TRANSACTION);
	assert_int_equal(r.size, 4);
	assert_int_equal(r.min_size, 2);
	assert_int_equal(r.reserve_size, 1);
	assert_int_equal(r.database_connections_max, 30);
	assert_int_equal(r.origin_servers_max, 3);
	assert_int_equal(r.query_wait_timeout, 11 * SECOND_US);
	assert_int_equal(r.server_lifetime, 12 * SECOND_US);
	config_pool_rules(c, narrow, span_text("joe"), &r);
	assert_int_equal(r.mode, POOL_STATEMENT);
	assert_int_equal(r.size, 5);
	assert_int_equal(r.reserve_size, 1);
	assert_int_equal(r.user_connections_max, 6);
	assert_int_equal(r.query_timeout, 7 * SECOND_US);
	assert_int_equal(r.query_wait_timeout, 0);
	config_pool_rules(c, narrow, span_text("ann"), &r);
	assert_int_equal(r.query_timeout, 99 * SECOND_US);
	config_drop(c);
}

static void weights_are_found_by_name_or_by_the_star(void **state)
{
	struct given g = { .text = "[pgbouncer]\norigin_weights = *=2, web=4 ,my report = 3,, a=b=100,web2=1\n" };
	struct config *c = try(&g), *plain;

	(void)state;
	assert_non_null(c);
	assert_int_equal(config_origin_weight(c, span_text("web")), 4);
	assert_int_equal(config_origin_weight(c, span_text("my report")), 3);
	assert_int_equal(config_origin_weight(c, span_text("a=b")), 100);
	assert_int_equal(config_origin_weight(c, span_text("web2")), 1);
	assert_int_equal(config_origin_weight(c, span_text("Web")), 2);
	assert_int_equal(config_origin_weight(c, span_text("")), 2);
	config_drop(c);
	g = (struct given){ .text = "[pgbouncer]\n" };
	plain = try(&g);
	assert_non_null(plain);
	assert_int_equal(config_origin_weight(plain, span_text("web")), 1);
	config_drop(plain);
}

static enum leak_action action_of(const struct config *c, const char *database, const char *user, const char *pattern)
{
	return config_pattern_action(c, pattern, config_leak_action(c, span_text(database), span_text(user)));
}

static void what_is_done_about_a_leak_is_said_by_pattern_then_user_then_database(void **state)
{
	struct given g = { .text = "[databases]\nreports = host=a leak_action=reclaim\n* = host=a\n"
				   "[users]\nbilling = leak_action=notice\n"
				   "[pgbouncer]\nleak_action_patterns = L9=observe, L15=reclaim\n" };
	struct config *c = parse(&g);

	(void)state;
	assert_int_equal(action_of(c, "shop", "web", "L1"), ACTION_OBSERVE);
	assert_int_equal(action_of(c, "reports", "web", "L1"), ACTION_RECLAIM);
	assert_int_equal(action_of(c, "reports", "billing", "L1"), ACTION_NOTICE);
	assert_int_equal(action_of(c, "shop", "billing", "L1"), ACTION_NOTICE);
	assert_int_equal(action_of(c, "reports", "billing", "L9"), ACTION_OBSERVE);
	assert_int_equal(action_of(c, "shop", "web", "L15"), ACTION_RECLAIM);
	config_drop(c);
	g = (struct given){ .text = "[pgbouncer]\nleak_action = notice\n" };
	c = parse(&g);
	assert_int_equal(action_of(c, "shop", "web", "L1"), ACTION_NOTICE);
	config_drop(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_known_by_their_number),
		cmocka_unit_test(peers_without_a_number_of_our_own_are_not_used),
		cmocka_unit_test(databases_are_found_by_name_or_by_the_star),
		cmocka_unit_test(each_host_may_have_a_port_of_its_own),
		cmocka_unit_test(an_entry_says_all_its_keys),
		cmocka_unit_test(a_database_without_a_host_is_in_the_socket_directory),
		cmocka_unit_test(users_beat_databases_beat_the_rest),
		cmocka_unit_test(weights_are_found_by_name_or_by_the_star),
		cmocka_unit_test(what_is_done_about_a_leak_is_said_by_pattern_then_user_then_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
