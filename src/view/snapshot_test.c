/* The lists of a snapshot, which grow as the census finds more. */
#include "view/helper_test.h"

static struct user_row *add_anna(struct snapshot *to)
{
	bool is_new;

	return snapshot_user(to, "anna", &is_new);
}

static struct stats_row *add_shop(struct snapshot *to)
{
	return snapshot_stats(to, "shop");
}

static void rows_keep_their_values_while_a_list_grows(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct client_row *row = snapshot_client(snapshot);

		assert_non_null(row);
		assert_int_equal(row->port, 0);
		assert_int_equal(row->id, 0);
		assert_string_equal(row->user, "");
		row->port = i;
		row->id = UINT64_MAX;
		memset(row->user, 'x', sizeof row->user - 1);
	}
	assert_int_equal(snapshot->client_count, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(snapshot->clients[i].port, i);
	assert_false(snapshot->refused_memory);
}

static void a_name_stands_once_however_many_there_are(void **state)
{
	char name[100];
	bool is_new;

	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 3000; i++) {
			struct user_row *user;

			text_format(name, sizeof name, "user %d", i);
			user = snapshot_user(snapshot, name, &is_new);
			assert_int_equal(is_new, round == 0);
			assert_string_equal(user->name, name);
			snapshot_stats(snapshot, name)->total.queries++;
		}
	assert_int_equal(snapshot->user_count, 3000);
	assert_int_equal(snapshot->stats_count, 3000);
	assert_string_equal(snapshot->stats[2999].database, "user 2999");
	for (int i = 0; i < 3000; i++)
		assert_int_equal(snapshot->stats[i].total.queries, 2);
	/* Cut, as rows have it. */
	memset(name, 'x', sizeof name - 1);
	name[99] = 0;
	assert_non_null(snapshot_user(snapshot, name, &is_new));
	assert_true(is_new);
	name[80] = 0;
	assert_int_equal(strlen(snapshot_user(snapshot, name, &is_new)->name), SNAPSHOT_NAME - 1);
	assert_false(is_new);
	assert_non_null(snapshot_user(snapshot, "", &is_new));
	assert_true(is_new);
}

static void a_pool_is_found_by_its_number(void **state)
{
	(void)state;
	assert_null(snapshot_pool_of(snapshot, 0));
	for (uint32_t id = 1; id < 20; id += 2)
		snapshot_pool(snapshot)->id = id;
	for (uint32_t id = 0; id < 22; id++)
		if (id % 2 && id < 20)
			assert_int_equal(snapshot_pool_of(snapshot, id)->id, id);
		else
			assert_null(snapshot_pool_of(snapshot, id));
}

/* A list said to be so long that its next size cannot be asked for. */
static void refused_memory_is_said_and_what_was_there_stays(void **state)
{
	(void)state;
	snapshot_client(snapshot)->port = 7;
	snapshot->client_count = snapshot->client_capacity = SIZE_MAX / sizeof(struct client_row);
	assert_null(snapshot_client(snapshot));
	assert_true(snapshot->refused_memory);
	snapshot->client_count = snapshot->client_capacity = 1;
	assert_int_equal(snapshot->clients[0].port, 7);

#define REFUSES(list, count, capacity, add) \
	snapshot->refused_memory = false; \
	snapshot->count = snapshot->capacity = SIZE_MAX / sizeof *snapshot->list; \
	assert_null(add(snapshot)); \
	assert_true(snapshot->refused_memory); \
	snapshot->count = snapshot->capacity = 0
	REFUSES(servers, server_count, server_capacity, snapshot_server);
	REFUSES(pools, pool_count, pool_capacity, snapshot_pool);
	REFUSES(databases, database_count, database_capacity, snapshot_database);
	REFUSES(users, user_count, user_capacity, add_anna);
	REFUSES(stats, stats_count, stats_capacity, add_shop);
	REFUSES(settings, setting_count, setting_capacity, snapshot_setting);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	snapshot_free(NULL);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, begin_anew, end)
	const struct CMUnitTest stories[] = {
		STORY(rows_keep_their_values_while_a_list_grows),
		STORY(a_name_stands_once_however_many_there_are),
		STORY(a_pool_is_found_by_its_number),
		STORY(refused_memory_is_said_and_what_was_there_stays),
		STORY(freeing_nothing_is_fine),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
