#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "tool/init_plan.h"

static struct session sessions[100];
static struct server_facts server;
static struct init_plan plan;

static void empty(void)
{
	server = (struct server_facts){ .user = "app",
		.database = "shop",
		.reached = true,
		.sees_all = true,
		.max_connections = 100,
		.superuser_reserved = 3,
		.sessions = sessions };
}

static void seat(size_t count, const char *user, const char *database)
{
	for (size_t i = 0; i < count; i++) {
		struct session *s = &sessions[server.session_count++];

		*s = (struct session){ 0 };
		text_copy(s->user, sizeof s->user, user);
		text_copy(s->database, sizeof s->database, database);
	}
}

static void an_empty_server_gets_what_its_cores_are_good_for(void **state)
{
	(void)state;
	empty();
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.usable, 87);
	assert_int_equal(plan.most, 87);
	assert_int_equal(plan.pool, 17);
	assert_int_equal(plan.reserve, 4);
	assert_int_equal(plan.clients, 1000);
	init_plan_make(&server, 0, &plan);
	assert_int_equal(plan.pool, 20);
	init_plan_make(&server, 1, &plan);
	assert_int_equal(plan.pool, 5);
}

static void who_stays_past_it_keeps_its_place(void **state)
{
	(void)state;
	empty();
	seat(30, "app", "shop");
	seat(50, "report", "shop");
	seat(20, "app", "other");
	init_plan_make(&server, 30, &plan);
	assert_int_equal(plan.own, 30);
	assert_int_equal(plan.direct, 70);
	assert_int_equal(plan.most, 17);
	assert_int_equal(plan.pool, 17);
	assert_int_equal(plan.reserve, 0);
}

static void the_limits_of_role_and_database_hold(void **state)
{
	(void)state;
	empty();
	server.role_limit = 12;
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.most, 11);
	assert_true(plan.limit == 12 && plan.limit_is_role);
	assert_int_equal(plan.pool, 11);
	server.database_limit = 6;
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.pool, 5);
	assert_false(plan.limit_is_role);
	server.role_limit = 1;
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.pool, 1);
}

static void measured_work_makes_the_pool_larger_never_smaller(void **state)
{
	(void)state;
	empty();
	server.samples = 20;
	server.active = 16;
	server.in_transaction = 9;
	init_plan_make(&server, 2, &plan);
	assert_int_equal(plan.need, 35);
	assert_int_equal(plan.pool, 35);
	server.active = server.in_transaction = 0.01;
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.pool, 17);
}

static void a_full_server_leaves_one(void **state)
{
	(void)state;
	empty();
	seat(95, "others", "theirs");
	init_plan_make(&server, 8, &plan);
	assert_int_equal(plan.most, 1);
	assert_int_equal(plan.pool, 1);
	assert_int_equal(plan.reserve, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_server_gets_what_its_cores_are_good_for),
		cmocka_unit_test(who_stays_past_it_keeps_its_place),
		cmocka_unit_test(the_limits_of_role_and_database_hold),
		cmocka_unit_test(measured_work_makes_the_pool_larger_never_smaller),
		cmocka_unit_test(a_full_server_leaves_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
