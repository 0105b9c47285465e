/* What is a leak and what is none, how bad it is, and what the verdict says: stories of one origin, told in facts. */
#include "core/leak_helper_test.h"

static void what_is_counted_is_told_and_ends_when_it_stops(void **state)
{
	struct bench *b = *state;

	look(b);
	b->facts.dead_peers = 2;
	b->facts.abandoned = 2;
	look(b);
	assert_null(leak_of(b));
	b->facts.dead_peers = 3;
	look(b);
	assert_leak(b, "L23");
	b->facts.abandoned = 5;
	look(b);
	b->facts.session_locks = 1;
	look(b);
	assert_int_equal(b->news_count, 3);
	assert_string_equal(leak_at(b->book, 1)->pattern->number, "L24");
	assert_string_equal(leak_at(b->book, 2)->pattern->number, "L25");
	assert_int_equal(leaks_lasting(b->book), 3);
	rest(b, 200);
	assert_null(leak_of(b));
	assert_int_equal(b->news_count, 6);
}

/* Holds as long as they may be; then everybody leaves, and it begins anew. How many looks it then takes until they are told. */
static unsigned looks_after_leaving(struct bench *b, bool at_once)
{
	struct leak_facts *f = &b->facts;
	unsigned looks = 0;

	for (unsigned i = 0; i < 50; i++)
		spread_add(&f->blocks, 10 * MILLISECOND_US);
	hold(b, 5);
	rest(b, 30);
	assert_non_null(leak_of(b));
	while (f->clients > 0) {
		uint32_t gone = at_once ? f->clients : 1;

		for (uint32_t i = 0; i < gone; i++)
			spread_add(&f->blocks, f->oldest_hold);
		f->logouts += gone;
		f->clients -= gone;
		f->lent -= gone;
		f->servers_lent -= gone;
		f->in_block -= gone;
		f->holding -= gone;
		look(b);
	}
	f->oldest_hold = 0;
	rest(b, 20);
	assert_null(leak_of(b));
	hold(b, 5);
	for (f->oldest_hold = rules.hold; !leak_of(b) && looks < 100; looks++)
		rest(b, 1);
	return looks;
}

static void what_a_restart_ends_is_no_habit(void **state)
{
	assert_in_range(looks_after_leaving(*state, true), 1, 4);
}

static void what_ends_one_by_one_is_a_habit(void **state)
{
	assert_in_range(looks_after_leaving(*state, false), 10, 99);
}

static void a_hold_that_comes_and_goes_does_not_flap(void **state)
{
	struct bench *b = *state;

	look(b);
	hold(b, 1);
	rest(b, 4);
	assert_leak(b, "L13");
	for (unsigned i = 0; i < 20; i++) {
		/* Ended, and soon there is the next one. */
		b->facts.in_block = b->facts.holding = b->facts.lent = b->facts.servers_lent = 0;
		b->facts.oldest_hold = 0;
		b->facts.clients = 0;
		rest(b, 3);
		hold(b, 1);
		rest(b, 3);
	}
	assert_int_equal(b->news_count, 1);
}

static void severity_follows_growth_and_who_waits(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 4; i++) {
		hold(b, 1);
		rest(b, 3);
	}
	for (unsigned i = 0; i < 4; i++) {
		hold(b, 1);
		rest(b, 3);
	}
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT); /* 12 left, 4 a minute */
	assert_true(leak_of(b)->exhausted_in > 100 * SECOND_US && leak_of(b)->exhausted_in < 300 * SECOND_US);
	rest(b, 200);
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_int_equal(leak_of(b)->exhausted_in, 0);
}

static void what_is_said_of_other_pauses_is_true_of_them(void **state)
{
	struct bench *b = *state;

	hold(b, 1);
	b->facts.oldest_hold = 4 * rules.hold;
	rest(b, 1);
	assert_non_null(strstr(leak_of(b)->evidence, "; no transaction of this origin has ended yet"));
	/* Others that were never idle. */
	b->facts.transactions = 1000;
	rest(b, 1);
	assert_non_null(strstr(leak_of(b)->evidence, "; no other pause in a transaction of this origin is known"));
	spread_add(&b->facts.blocks, SECOND_US);
	rest(b, 1);
	assert_non_null(
		strstr(leak_of(b)->evidence, "; no pause in a transaction of this origin that ended was longer than "));
	for (unsigned i = 0; i < 100; i++)
		spread_add(&b->facts.blocks, SECOND_US);
	rest(b, 1);
	assert_non_null(
		strstr(leak_of(b)->evidence, "; 99 of 100 pauses in transactions of this origin were shorter than "));
}

static void what_began_at_once_does_not_grow(void **state)
{
	struct bench *b = *state;

	/* Of an origin that is hardly known, where leak_hold is a few looks. */
	rest(b, 3);
	hold(b, 3);
	b->facts.oldest_hold = 2 * rules.hold;
	for (unsigned i = 0; i < 60; i++) {
		rest(b, 1);
		assert_true(!leak_of(b) || leak_of(b)->severity == SEVERITY_LOW);
		assert_true(!leak_of(b) || leak_of(b)->exhausted_in == 0);
	}
	assert_non_null(leak_of(b));
	assert_int_equal(b->news_count, 1);
}

static void the_forecast_is_what_is_left_by_the_slope(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 40; i++)
		lose(b, 2, true);
	/* 80 of 1000 clients, 24 a minute: 38 minutes. */
	assert_true(leak_of(b)->growth > 23.5 && leak_of(b)->growth < 24.5);
	assert_true(leak_of(b)->exhausted_in > 37 * 60 * SECOND_US && leak_of(b)->exhausted_in < 40 * 60 * SECOND_US);
	/* What its user may have is reached first: 20 more. */
	b->facts.next_limit = 100;
	b->facts.next_total = 80;
	rest(b, 1);
	assert_true(leak_of(b)->exhausted_in > 40 * SECOND_US && leak_of(b)->exhausted_in < 60 * SECOND_US);
	rest(b, 2);
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT);
	b->facts.clients_limit = b->facts.next_limit = 0;
	rest(b, 1);
	assert_int_equal(leak_of(b)->exhausted_in, 0);
}

static void confidence_only_rises(void **state)
{
	struct bench *b = *state;
	unsigned before = 0;

	for (unsigned i = 0; i < 60; i++) {
		lose(b, 3, true);
		if (!leak_of(b))
			continue;
		assert_true(leak_of(b)->confidence >= before);
		before = leak_of(b)->confidence;
	}
	assert_true(before > 80 && before < 100);
}

static void a_full_pool_at_rest_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 20, true);
	rest(b, 5000);
	end(state);
	begin(state);
	b = *state;
	lose(b, 100, false);
	rest(b, 5000);
	assert_int_equal(b->news_count, 0);
}

static void a_deploy_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 40, true);
	rest(b, 100);
	/* One after another, the new ones come, and later the old ones leave. */
	for (unsigned i = 0; i < 10; i++)
		lose(b, 4, true);
	rest(b, 20);
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.once = 40;
	b->facts.logouts = 40;
	rest(b, 500);
	assert_int_equal(b->news_count, 0);
}

/* A process joins every thirty seconds: of its ten connections one goes on being used, the others never are. */
static void grow_a_fleet(struct bench *b, unsigned processes, bool works)
{
	for (unsigned i = 0; i < processes; i++) {
		lose(b, 9, false);
		b->facts.clients++;
		b->facts.parked++;
		b->facts.logins++;
		b->facts.regulars += works;
		rest(b, 5);
	}
}

static void a_fleet_that_grows_by_pools_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	grow_a_fleet(b, 60, true);
	assert_int_equal(b->news_count, 0);
}

static void pools_that_are_left_are_told_whoever_works_beside_them(void **state)
{
	struct bench *b = *state;

	b->facts.clients = b->facts.parked = b->facts.regulars = 8;
	grow_a_fleet(b, 30, false);
	assert_non_null(leak_of(b));
}

static void clients_that_are_replaced_get_no_verdict(void **state)
{
	struct bench *b = *state;

	lose(b, 30, true);
	for (unsigned i = 0; i < 5000; i++) {
		b->facts.logins++;
		b->facts.logouts++;
		b->facts.logins_while_quiet++;
		rest(b, 1);
	}
	assert_int_equal(b->news_count, 0);
}

static void short_clients_get_no_verdict(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 500; i++) {
		b->facts.logins += 1000;
		b->facts.logouts += 1000;
		b->facts.transactions += 1000;
		for (unsigned j = 0; j < 1000; j++)
			spread_add(&b->facts.lifetimes, 3 * MILLISECOND_US);
		look(b);
	}
	assert_int_equal(b->news_count, 0);
}

static void a_batch_that_works_gets_no_verdict(void **state)
{
	struct bench *b = *state;

	b->facts.clients = b->facts.lent = b->facts.servers_lent = 1;
	for (unsigned i = 0; i < 1000; i++) {
		b->facts.executing_time += 4 * SECOND_US;
		b->facts.in_block_time += SECOND_US;
		spread_add(&b->facts.blocks, SECOND_US);
		look(b);
	}
	assert_int_equal(b->news_count, 0);
}

/* Busy every hour of a day and a night, with rests of seconds. */
static void be_busy(struct bench *b, time_us for_long)
{
	b->facts.clients = b->facts.parked = 10;
	for (time_us t = 0; t < for_long; t += rules.period) {
		b->facts.transactions += 5;
		spread_add(&b->facts.gaps, 6 * SECOND_US);
		look(b);
	}
}

static void a_pool_run_dry_is_a_hint_and_ends_with_the_first_word(void **state)
{
	struct bench *b = *state;

	be_busy(b, 25 * 3600 * SECOND_US);
	assert_null(leak_of(b));
	b->facts.quiet = 10;
	rest(b, 125);
	assert_leak(b, "L7");
	assert_int_equal(leak_of(b)->family, FAMILY_NOT_US);
	assert_int_equal(leak_of(b)->severity, SEVERITY_LOW);
	assert_true(leak_of(b)->confidence <= 25);
	b->facts.transactions++;
	b->facts.quiet = 9;
	rest(b, 6);
	assert_null(leak_of(b));
}

static void a_pool_that_rests_is_no_hint_of_anything(void **state)
{
	struct bench *b = *state;

	/* Not known for a night. */
	be_busy(b, 23 * 3600 * SECOND_US);
	rest(b, 200);
	assert_null(leak_of(b));
	/* Known to rest at night. */
	end(state);
	begin(state);
	b = *state;
	for (unsigned i = 0; i < 100; i++)
		spread_add(&b->facts.gaps, 6 * 3600 * SECOND_US);
	be_busy(b, 25 * 3600 * SECOND_US);
	rest(b, 200);
	assert_null(leak_of(b));
	/* Somebody waits: then it is no pool of theirs. */
	end(state);
	begin(state);
	b = *state;
	be_busy(b, 25 * 3600 * SECOND_US);
	b->facts.pool_waiting = 1;
	rest(b, 200);
	assert_null(leak_of(b));
}

static void no_threshold_at_all_is_taken_for_the_least_that_is_seen(void **state)
{
	struct bench *b = *state;
	struct leak_rules none = { .period = 5 * SECOND_US };

	b->facts.clients = b->facts.in_block = b->facts.holding = 1;
	b->facts.oldest_hold = 30 * SECOND_US;
	assert_int_equal(leak_step(b->book, &none, rules.period, &b->facts, 1, b->news, NEWS_MOST), 1);
	assert_leak(b, "L13");
}

static void evidence_fits_whatever_the_figures(void **state)
{
	struct verdict v;
	struct signs signs = { .now = (time_us)1 << 60,
		.sprouts = true,
		.even = true,
		.clump = UINT32_MAX,
		.births = UINT32_MAX,
		.revived = UINT32_MAX,
		.window = (time_us)1 << 60,
		.outlier = true,
		.habit = (time_us)1 << 60,
		.dead = UINT32_MAX,
		.abandoned = UINT32_MAX,
		.locks = UINT32_MAX,
		.cancels = UINT32_MAX,
		.silence = true,
		.silent_for = (time_us)1 << 60,
		.beat_size = UINT32_MAX,
		.slow_blocks = UINT32_MAX,
		.hold_percent = 100 };
	struct leak_facts facts = { .clients = UINT32_MAX,
		.quiet = UINT32_MAX,
		.silent = UINT32_MAX / 2,
		.once = UINT32_MAX / 2,
		.listeners = UINT32_MAX / 2,
		.holding = UINT32_MAX,
		.in_block = UINT32_MAX,
		.unread = UINT32_MAX,
		.oldest_quiet = (time_us)1 << 60,
		.oldest_hold = (time_us)1 << 60,
		.oldest_unread = (time_us)1 << 60 };
	struct visits_memory visits = { .process = UINT32_MAX,
		.in_use = UINT32_MAX,
		.most_waiting = UINT32_MAX,
		.last = { .idle_for = (time_us)1 << 60, .since = UINT32_MAX, .longest = (time_us)1 << 60 } };
	struct course course = { 0 };

	(void)state;
	signs.visits = &visits;
	for (unsigned shape = 0; shape < 3; shape++) {
		visits.begins = shape == 0;
		signs.beat = shape == 1 ? (time_us)1 << 60 : 0;
		signs.slow = signs.outlier = shape == 2;
		signs.outlier = shape != 2;
		for (unsigned track = 0; track < TRACKS; track++) {
			verdict_of((enum track)track, &signs, &rules, &facts, &course, &v);
			assert_true(v.begins);
			assert_in_range(strlen(v.evidence), 20, sizeof v.evidence - 2);
			assert_in_range(v.confidence, 1, 97);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(what_is_counted_is_told_and_ends_when_it_stops),
		STORY(what_a_restart_ends_is_no_habit),
		STORY(what_ends_one_by_one_is_a_habit),
		STORY(a_hold_that_comes_and_goes_does_not_flap),
		STORY(severity_follows_growth_and_who_waits),
		STORY(what_is_said_of_other_pauses_is_true_of_them),
		STORY(what_began_at_once_does_not_grow),
		STORY(the_forecast_is_what_is_left_by_the_slope),
		STORY(confidence_only_rises),
		STORY(a_full_pool_at_rest_gets_no_verdict),
		STORY(a_deploy_gets_no_verdict),
		STORY(a_fleet_that_grows_by_pools_gets_no_verdict),
		STORY(pools_that_are_left_are_told_whoever_works_beside_them),
		STORY(clients_that_are_replaced_get_no_verdict),
		STORY(short_clients_get_no_verdict),
		STORY(a_batch_that_works_gets_no_verdict),
		STORY(a_pool_run_dry_is_a_hint_and_ends_with_the_first_word),
		STORY(a_pool_that_rests_is_no_hint_of_anything),
		STORY(no_threshold_at_all_is_taken_for_the_least_that_is_seen),
		STORY(evidence_fits_whatever_the_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
