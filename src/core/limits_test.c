#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/state.h"

/* What bounds a pool as things are, and who waits for its part of a limit: looked at from outside, as those do who judge leaks and who tell
 * a client why it waits. */

struct bench {
	struct core *core;
	struct effects effects;
	database_id app;
	pool_id web, job;
};

static void step(struct bench *b, struct event event)
{
	event.now = SECOND_US;
	b->effects.count = 0;
	core_step(b->core, &event, &b->effects);
	core_audit(b->core);
}

static pool_id pool(struct bench *b, const char *user, struct core_pool_rules rules)
{
	rules.lifetime = 3600 * SECOND_US;
	rules.instance = core_instance(b->core, span_text("10.0.0.1:5432"));
	return core_pool(b->core, b->app, span_text(user), &rules);
}

/* Two pools of `app`, which together may have as many servers as this. */
static void bench(struct bench *b, uint32_t both, struct core_pool_rules web, struct core_pool_rules job)
{
	*b = (struct bench){ .core = core_new(&(struct core_setup){ .workers = 1, .servers_max = 50 }) };
	b->app = core_database(
		b->core, span_text("app"), &(struct database_rules){ .servers_max = both, .clients_max = 40 });
	b->web = pool(b, "web", web);
	b->job = pool(b, "job", job);
}

static void end(struct bench *b)
{
	core_free(b->core);
	effects_fini(&b->effects);
}

/* A client comes and wants a server, which it is lent where one may be dialed. */
static void wants(struct bench *b, uint32_t slot, pool_id in)
{
	struct client_ref ref = { 0, { slot, 1 } };
	server_id dialed = { 0 };

	step(b, (struct event){ .kind = EVENT_CLIENT_ENTERS, .client = ref });
	step(b, (struct event){ .kind = EVENT_CLIENT_NAMED, .client = ref, .pool = in });
	step(b, (struct event){ .kind = EVENT_CLIENT_SETTLED, .client = ref });
	step(b, (struct event){ .kind = EVENT_CLIENT_WANTS, .client = ref, .pool = in });
	for (size_t i = 0; i < b->effects.count; i++)
		if (b->effects.list[i].kind == EFFECT_DIAL)
			dialed = b->effects.list[i].server;
	if (dialed.generation)
		step(b, (struct event){ .kind = EVENT_SERVER_READY, .server = dialed });
}

static void expect(struct bench *b, pool_id of, enum pool_bound bound, uint32_t most, uint32_t beside)
{
	struct pool_reach reach;

	assert_true(core_pool_reach(b->core, of, &reach));
	assert_int_equal(reach.bound, bound);
	assert_int_equal(reach.servers_most, most);
	assert_int_equal(reach.waiting_beside, beside);
}

static void a_pool_is_bounded_by_its_size_until_others_leave_it_less(void **state)
{
	struct core_pool_rules four = { .size = 4 };
	struct bench b;

	(void)state;
	bench(&b, 5, four, four);
	expect(&b, b.web, BOUND_SIZE, 4, 0);
	wants(&b, 1, b.job);
	expect(&b, b.web, BOUND_SIZE, 4, 0);
	wants(&b, 2, b.job);
	expect(&b, b.web, BOUND_DATABASE, 3, 0);
	wants(&b, 3, b.web);
	wants(&b, 4, b.web);
	wants(&b, 5, b.web);
	expect(&b, b.web, BOUND_DATABASE, 3, 0);
	expect(&b, b.job, BOUND_DATABASE, 2, 0);
	assert_false(core_pool_reach(b.core, 7, &(struct pool_reach){ 0 }));
	end(&b);
}

static void who_waits_for_a_part_of_what_a_pool_holds_is_counted_there(void **state)
{
	struct core_pool_rules four = { .size = 4 };
	struct bench b;

	(void)state;
	bench(&b, 2, four, four);
	wants(&b, 1, b.web);
	wants(&b, 2, b.web);
	assert_false(core_pool_is_wanted(b.core, b.web));
	assert_false(core_pool_is_at_hand(b.core, b.web));
	assert_true(core_pool_is_at_hand(b.core, b.job));
	assert_false(core_pool_is_at_hand(b.core, 7));
	wants(&b, 3, b.job);
	assert_true(core_pool_is_wanted(b.core, b.web));
	assert_true(core_pool_is_wanted(b.core, b.job));
	assert_false(core_pool_is_wanted(b.core, 7));
	wants(&b, 4, b.job);
	expect(&b, b.web, BOUND_DATABASE, 2, 2);
	expect(&b, b.job, BOUND_DATABASE, 1, 0); /* of nothing one may have one */
	end(&b);
}

static void what_rests_at_others_is_to_be_had_beyond_their_least(void **state)
{
	struct core_pool_rules four = { .size = 4 }, least = { .size = 4, .min_size = 1 };
	struct bench b;

	(void)state;
	bench(&b, 4, four, least);
	wants(&b, 1, b.job);
	wants(&b, 2, b.job);
	expect(&b, b.web, BOUND_DATABASE, 2, 0);
	/* Both clients of job's go home. */
	for (uint32_t i = 0; i < 2; i++) {
		struct pool *job = b.core->pools[b.job];
		struct server *s = link_owner(job->by_state[SERVER_LENT].next, struct server, link);

		step(&b, (struct event){ .kind = EVENT_SERVER_READY, .server = s->id });
	}
	expect(&b, b.web, BOUND_DATABASE, 3, 0);
	end(&b);
}

static void what_postgresql_has_room_for_bounds_a_pool_without_a_size(void **state)
{
	struct bench b;

	(void)state;
	bench(&b, 0, (struct core_pool_rules){ 0 }, (struct core_pool_rules){ 0 });
	expect(&b, b.web, BOUND_TOTAL, 50, 0);
	step(&b, (struct event){ .kind = EVENT_BUDGET, .budget = 3, .aside = 1 });
	expect(&b, b.web, BOUND_INSTANCE, 2, 0);
	wants(&b, 1, b.web);
	wants(&b, 2, b.web);
	wants(&b, 3, b.job);
	expect(&b, b.web, BOUND_INSTANCE, 2, 1);
	end(&b);
}

static void of_limits_on_clients_the_one_with_the_least_room_is_named(void **state)
{
	struct core_pool_rules few = { .size = 4, .user_clients_max = 3 }, any = { .size = 4 };
	struct pool_reach reach;
	struct bench b;

	(void)state;
	bench(&b, 5, few, any);
	wants(&b, 1, b.web);
	wants(&b, 2, b.job);
	assert_true(core_pool_reach(b.core, b.web, &reach));
	assert_int_equal(reach.clients, 1);
	assert_int_equal(reach.clients_most, 3);
	assert_true(core_pool_reach(b.core, b.job, &reach));
	assert_int_equal(reach.clients, 2);
	assert_int_equal(reach.clients_most, 40);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_is_bounded_by_its_size_until_others_leave_it_less),
		cmocka_unit_test(who_waits_for_a_part_of_what_a_pool_holds_is_counted_there),
		cmocka_unit_test(what_rests_at_others_is_to_be_had_beyond_their_least),
		cmocka_unit_test(what_postgresql_has_room_for_bounds_a_pool_without_a_size),
		cmocka_unit_test(of_limits_on_clients_the_one_with_the_least_room_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
