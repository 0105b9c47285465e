#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/state.h"

/* The order of waiting and the estimate of the median lease, looked at from inside. */

struct bench {
	struct core *core;
	struct pool *pool;
	struct effects effects;
	time_us now;
};

static void step(struct bench *b, struct event event)
{
	event.now = b->now;
	b->effects.count = 0;
	core_step(b->core, &event, &b->effects);
	core_audit(b->core);
}

static struct client_ref client(uint32_t worker, uint32_t slot)
{
	return (struct client_ref){ worker, { slot, 1 } };
}

static void log_in(struct bench *b, struct client_ref ref)
{
	step(b, (struct event){ .kind = EVENT_CLIENT_ENTERS, .client = ref });
	step(b, (struct event){ .kind = EVENT_CLIENT_NAMED, .client = ref, .pool = 0 });
	step(b, (struct event){ .kind = EVENT_CLIENT_SETTLED, .client = ref });
}

static void want(struct bench *b, struct client_ref ref, time_us since)
{
	step(b, (struct event){ .kind = EVENT_CLIENT_WANTS, .client = ref, .pool = 0, .since = since });
}

static int begin(void **state)
{
	struct bench *b = core_memory(sizeof(*b));
	struct core_setup setup = { .workers = 3, .servers_max = 10 };
	struct core_pool_rules rules = { .size = 1, .lifetime = 3600 * SECOND_US, .instance = NO_INSTANCE };

	b->now = SECOND_US;
	b->core = core_new(&setup);
	core_pool(b->core, core_database(b->core, span_text("app"), &(struct database_rules){ 0 }), span_text("web"),
		&rules);
	b->pool = b->core->pools[0];
	for (uint32_t worker = 0; worker < 3; worker++) {
		for (uint32_t slot = 0; slot < 4; slot++)
			log_in(b, client(worker, slot));
	}
	*state = b;
	return 0;
}

static int end(void **state)
{
	struct bench *b = *state;

	core_free(b->core);
	effects_fini(&b->effects);
	free(b);
	return 0;
}

static void those_who_wait_longest_are_named_wherever_they_are(void **state)
{
	static const struct {
		uint32_t worker, slot;
		time_us since;
	} order[] = { { 2, 0, 100 }, { 0, 0, 200 }, { 2, 1, 300 }, { 0, 1, 400 }, { 1, 0, 500 }, { 0, 2, 600 } };
	static const size_t asked[] = { 4, 1, 5, 0, 3, 2 };
	struct bench *b = *state;
	struct waiter_picture named[8];

	core_step(b->core, &(struct event){ .kind = EVENT_PAUSE, .now = b->now, .database = NO_DATABASE }, &b->effects);
	assert_int_equal(core_pool_waiters(b->core, 0, named, 3), 0);
	b->now = 2 * SECOND_US;
	for (size_t i = 0; i < 6; i++)
		want(b, client(order[asked[i]].worker, order[asked[i]].slot), order[asked[i]].since);
	for (size_t most = 1; most <= 8; most++) {
		size_t count = core_pool_waiters(b->core, 0, named, most);

		assert_int_equal(count, most < 6 ? most : 6);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(named[i].since, order[i].since);
			assert_int_equal(named[i].client.worker, order[i].worker);
			assert_int_equal(named[i].client.client.slot, order[i].slot);
		}
	}
	assert_int_equal(core_pool_waiters(b->core, 7, named, 3), 0); /* there is no such pool */
}

static void who_wants_again_goes_back_to_its_place(void **state)
{
	struct bench *b = *state;

	core_step(b->core, &(struct event){ .kind = EVENT_PAUSE, .now = b->now, .database = NO_DATABASE }, &b->effects);
	b->now = 2 * SECOND_US;
	want(b, client(0, 0), 300);
	want(b, client(0, 1), 500);
	want(b, client(0, 2), 400);
	want(b, client(0, 3), 100);
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.client.slot, 3);
	step(b, (struct event){ .kind = EVENT_CLIENT_GIVES_UP, .client = client(0, 3) });
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.client.slot, 0);
	step(b, (struct event){ .kind = EVENT_CLIENT_GIVES_UP, .client = client(0, 0) });
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.client.slot, 2);
}

static void equals_keep_the_order_in_which_they_came(void **state)
{
	struct bench *b = *state;

	core_step(b->core, &(struct event){ .kind = EVENT_PAUSE, .now = b->now, .database = NO_DATABASE }, &b->effects);
	for (uint32_t slot = 0; slot < 4; slot++)
		want(b, client(0, slot), 700);
	for (uint32_t slot = 0; slot < 4; slot++) {
		assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.client.slot, slot);
		step(b,
			(struct event){
				.kind = EVENT_CLIENT_LEFT, .client = client(0, slot), .named = true, .pool = 0 });
	}
}

static void a_remote_waiter_goes_first_after_one_median_lease_and_not_before(void **state)
{
	struct bench *b = *state;

	core_step(b->core, &(struct event){ .kind = EVENT_PAUSE, .now = b->now, .database = NO_DATABASE }, &b->effects);
	b->pool->median_lease = 100;
	want(b, client(0, 0), 1000);
	want(b, client(1, 0), 900);
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.worker, 0);
	want(b, client(2, 0), 899);
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.worker, 2);
	assert_int_equal(waiters_next(b->pool, 1, NULL)->ref.worker, 1);
	assert_int_equal(waiters_uncovered(b->pool), 3);
}

static void a_client_without_local_company_needs_no_bound(void **state)
{
	struct bench *b = *state;

	core_step(b->core, &(struct event){ .kind = EVENT_PAUSE, .now = b->now, .database = NO_DATABASE }, &b->effects);
	b->pool->median_lease = 3600 * SECOND_US;
	want(b, client(2, 1), b->now);
	assert_int_equal(waiters_next(b->pool, 0, NULL)->ref.worker, 2);
}

/* Lend and return `count` times, each lease as long as told. */
static void lease(struct bench *b, time_us length, unsigned count)
{
	while (count--) {
		want(b, client(0, 0), b->now);
		if (b->effects.list[0].kind == EFFECT_DIAL)
			step(b, (struct event){ .kind = EVENT_SERVER_READY, .server = b->effects.list[0].server });
		assert_int_equal(b->effects.list[0].kind, EFFECT_LEND);
		b->now += length;
		step(b, (struct event){ .kind = EVENT_SERVER_READY, .server = b->effects.list[0].server });
	}
}

static void the_median_lease_follows_what_leases_are_like(void **state)
{
	struct bench *b = *state;

	lease(b, 1000, 20);
	assert_int_equal(b->pool->median_lease, 1000);
	/* Few very long ones do not drag it along, as a mean would be. */
	for (unsigned i = 0; i < 20; i++) {
		lease(b, 1000, 9);
		lease(b, 60 * SECOND_US, 1);
	}
	assert_in_range(b->pool->median_lease, 900, 1100);
	lease(b, 50, 300);
	assert_int_equal(b->pool->median_lease, 50);
	lease(b, 400, 300);
	assert_int_equal(b->pool->median_lease, 400);
	/* Half short, half long: somewhere between, and it stays there. */
	for (unsigned i = 0; i < 500; i++) {
		lease(b, 100, 1);
		lease(b, 300, 1);
	}
	assert_in_range(b->pool->median_lease, 100, 300);
	lease(b, 0, 400);
	assert_int_equal(b->pool->median_lease, 0);
	assert_int_equal(b->pool->leases, b->pool->lengths->leases.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_who_wait_longest_are_named_wherever_they_are, begin, end),
		cmocka_unit_test_setup_teardown(who_wants_again_goes_back_to_its_place, begin, end),
		cmocka_unit_test_setup_teardown(equals_keep_the_order_in_which_they_came, begin, end),
		cmocka_unit_test_setup_teardown(
			a_remote_waiter_goes_first_after_one_median_lease_and_not_before, begin, end),
		cmocka_unit_test_setup_teardown(a_client_without_local_company_needs_no_bound, begin, end),
		cmocka_unit_test_setup_teardown(the_median_lease_follows_what_leases_are_like, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
