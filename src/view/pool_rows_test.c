/* Pools, budgets, databases, users, names and peers as SHOW tells them. */
#include "view/rows_helper_test.h"

static void a_pool_is_shown_with_all_it_has(void **state)
{
	struct pool_row *row = snapshot_pool(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct pool_row){ .database = "shop",
		.user = "anna",
		.clients_active = 1,
		.clients_waiting = 2,
		.cancels_active = 3,
		.cancels_waiting = 4,
		.servers_active = 5,
		.servers_active_cancel = 6,
		.servers_being_canceled = 7,
		.servers_idle = 8,
		.servers_used = 9,
		.servers_tested = 10,
		.servers_login = 11,
		.oldest_wait = 12 * SECOND_US + 13,
		.mode = 1,
		.balance = BALANCE_DISABLE,
		.servers_closing = 14,
		.servers_moving = 15,
		.servers_orphaned = 16,
		.clients = 17,
		.oldest_lease = 18 * SECOND_US,
		.median_lease = 19,
		.failing = true,
		.failure = "no route to host",
		.total = { .questions = 20, .pins = 21 },
		.size = 22 };
	row = snapshot_pool(snapshot);
	assert_non_null(row);
	text_copy(row->failure, sizeof row->failure, "long ago");
	show("pools");
	assert_string_equal(line(0),
		"shop|anna|1|2|3|4|5|6|7|8|9|10|11|12|13|transaction|disable|14|15|16|17|18000000|19|no route to host|20|21|22");
	assert_string_equal(line(1), "||0|0|0|0|0|0|0|0|0|0|0|0|0|session|(null)|0|0|0|0|0|0||0|0|0");
}

static void a_budget_shows_what_is_known_and_nothing_for_the_rest(void **state)
{
	struct budget_row *row = snapshot_budget(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct budget_row){ .host = "10.0.0.1",
		.port = 5432,
		.connections_max = 100,
		.reserved = 3,
		.usable = 97,
		.ours = 37,
		.lent = 2,
		.idle = 3,
		.dialing = 4,
		.cleaning = 5,
		.moving = 6,
		.closing = 7,
		.orphaned = 7,
		.monitor = 1,
		.listeners = 2,
		.visitors = 3,
		.others = 12,
		.free = 50,
		.target = 81,
		.orphans = 2,
		.waiting = 9,
		.full_since_wall = MOMENT,
		.age = 1500000 };
	text_copy(row->state, sizeof row->state, "reads");
	text_copy(row->limits, sizeof row->limits, "role job: 2 of 2");
	text_copy(row->others_by, sizeof row->others_by, "cron: 12");
	row = snapshot_budget(snapshot);
	assert_non_null(row);
	*row = (struct budget_row){ .connections_max = -1,
		.reserved = -1,
		.usable = -1,
		.others = -1,
		.free = -1,
		.target = -1,
		.orphans = -1,
		.age = -1 };
	show("budget");
	assert_string_equal(line(0),
		"10.0.0.1|5432|100|3|97|37|2|3|4|5|6|7|7|1|12|50|81|2|9|2026-11-23 12:46:43 UTC|reads||1500000|role job: 2 of "
		"2|cron: 12|2|3");
	assert_string_equal(
		line(1), "|0|(null)|(null)|(null)|0|0|0|0|0|0|0|0|0|(null)|(null)|(null)|(null)|0||||(null)|||0|0");
}

static void the_console_is_listed_after_the_databases(void **state)
{
	struct database_row *row = snapshot_database(snapshot);

	(void)state;
	assert_non_null(row);
	*row = (struct database_row){ .name = "shop",
		.host = "db1,db2",
		.port = 5432,
		.dbname = "shop_main",
		.force_user = "anna",
		.pool_size = 1,
		.min_pool_size = 2,
		.reserve_pool_size = 3,
		.server_lifetime = 4 * SECOND_US,
		.mode = 2,
		.balance = BALANCE_DISABLE,
		.max_connections = 5,
		.current_connections = 6,
		.max_client_connections = 7,
		.current_client_connections = 8,
		.paused = true,
		.disabled = true };
	row = snapshot_database(snapshot);
	assert_non_null(row);
	row->mode = -1;
	setting("listen_port", "7001", "6432", false);
	setting("server_lifetime", "1800", "3600", true);
	show("databases");
	assert_int_equal(answer.row_count, 3);
	assert_string_equal(line(0), "shop|db1,db2|5432|shop_main|anna|1|2|3|4|statement|disable|5|6|7|8|1|1");
	assert_string_equal(line(1), "|(null)|0||(null)|0|0|0|0|(null)|(null)|0|0|0|0|0|0");
	assert_string_equal(
		line(2), "pgbouncer|(null)|7001|pgbouncer|pgbouncer|2|0|0|1800|statement|(null)|0|0|0|0|0|0");
}

static void a_console_that_was_listed_is_not_listed_twice(void **state)
{
	struct database_row *row = snapshot_database(snapshot);

	(void)state;
	assert_non_null(row);
	text_copy(row->name, sizeof row->name, "pgbouncer");
	row->console = true;
	show("databases");
	assert_int_equal(answer.row_count, 1);
}

static void what_is_not_set_for_a_user_is_empty(void **state)
{
	bool is_new;
	struct user_row *row = snapshot_user(snapshot, "anna", &is_new);

	(void)state;
	assert_non_null(row);
	*row = (struct user_row){
		.name = "anna", .pool_size = -1, .reserve_pool_size = -1, .mode = -1, .max_connections = 1
	};
	row = snapshot_user(snapshot, "bert", &is_new);
	assert_non_null(row);
	*row = (struct user_row){ .name = "bert",
		.pool_size = 20,
		.reserve_pool_size = 0,
		.mode = 0,
		.max_connections = 1,
		.current_connections = 2,
		.max_client_connections = 3,
		.current_client_connections = 4 };
	show("users");
	assert_string_equal(line(0), "anna|||(null)|1|0|0|0");
	assert_string_equal(line(1), "bert|       20|        0|session|1|2|3|4");
}

static void names_are_shown_as_pgbouncer_shows_them(void **state)
{
	(void)state;
	snapshot->dns_hosts = calloc(1, sizeof *snapshot->dns_hosts);
	snapshot->dns_zones = calloc(1, sizeof *snapshot->dns_zones);
	assert_true(snapshot->dns_hosts && snapshot->dns_zones);
	snapshot->dns_host_count = snapshot->dns_zone_count = 1;
	snapshot->dns_hosts[0] = (struct dns_host_row){ .name = "db.x", .addresses = "10.0.0.1,::1", .left = 7900000 };
	snapshot->dns_zones[0] = (struct dns_zone_row){ .name = "x", .serial = 4294967295, .names = 1 };
	show("dns_hosts");
	assert_string_equal(line(0), "db.x|7|10.0.0.1,::1");
	show("dns_zones");
	assert_string_equal(line(0), "x|4294967295|1");
}

static void peers_are_shown_as_pgbouncer_shows_them(void **state)
{
	(void)state;
	snapshot->peers = calloc(1, sizeof *snapshot->peers);
	snapshot->peer_pools = calloc(1, sizeof *snapshot->peer_pools);
	assert_true(snapshot->peers && snapshot->peer_pools);
	snapshot->peer_count = snapshot->peer_pool_count = 1;
	snapshot->peers[0] = (struct peer_row){ .id = 7, .host = "/tmp/seven", .port = 6432, .pool_size = 20 };
	snapshot->peer_pools[0] = (struct peer_pool_row){
		.id = 7, .cancels_active = 1, .cancels_waiting = 2, .connections_active = 3, .connections_login = 4
	};
	show("peers");
	assert_string_equal(line(0), "7|/tmp/seven|6432|20");
	show("peer_pools");
	assert_string_equal(line(0), "7|1|2|3|4");
}

int main(void)
{
	const struct CMUnitTest stories[] = {
		STORY(a_pool_is_shown_with_all_it_has),
		STORY(a_budget_shows_what_is_known_and_nothing_for_the_rest),
		STORY(the_console_is_listed_after_the_databases),
		STORY(a_console_that_was_listed_is_not_listed_twice),
		STORY(what_is_not_set_for_a_user_is_empty),
		STORY(names_are_shown_as_pgbouncer_shows_them),
		STORY(peers_are_shown_as_pgbouncer_shows_them),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
