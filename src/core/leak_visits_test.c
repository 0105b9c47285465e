#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/leak_state.h"

/* Stories of one process that is a server itself, told in facts: in use, then silent, while people come to it or do not. */

static const struct leak_rules rules = {
	.period = 5 * SECOND_US, .quiet = 5 * SECOND_US, .hold = 30 * SECOND_US, .siblings = 5
};

struct bench {
	struct leak_book *book;
	struct leak_facts facts;
	time_us now;
};

/* What is so in a silence. A drained pool unless something else is said. */
struct silence {
	uint32_t come;     /* visitors at each look, who all go on waiting, up to a limit of half a minute each */
	uint32_t stay;     /* others that wait since before */
	uint32_t listened; /* percent of whose words are read */
	uint32_t partners; /* waited for */
	uint32_t waiting;  /* here, for a server */
	uint32_t lent;     /* servers of this pool */
	unsigned working;  /* percent of a processor */
	time_us begins;    /* the first visitor comes so long after the last query */
};
static const struct silence drained = { .come = 3, .listened = 100, .working = 5, .begins = SECOND_US };

static int begin(void **state)
{
	struct bench *b = calloc(1, sizeof *b);

	assert_non_null(b);
	b->book = leak_book_new();
	assert_non_null(b->book);
	b->facts = (struct leak_facts){ .origin = 7,
		.clients_limit = 1000,
		.servers_limit = 20,
		.clients = 4,
		.parked = 4,
		.runtime = RUNTIME_ASGI };
	b->facts.visits.process = 811;
	leak_step(b->book, &rules, 0, NULL, 0, NULL, 0);
	*state = b;
	return 0;
}

static int end(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	free(b);
	return 0;
}

static void restart(void **state)
{
	end(state);
	begin(state);
}

static void look(struct bench *b)
{
	struct leak_change news[4];

	b->now += rules.period;
	leak_step(b->book, &rules, b->now, &b->facts, 1, news, 4);
}

static const struct leak *leak_of(const struct bench *b)
{
	const struct leak *leak = leak_at(b->book, 0);

	return leak && !leak->ended ? leak : NULL;
}

/* It asks, with rests of so long between, while so many wait by habit, and it waits for so many. */
static void in_use(struct bench *b, unsigned looks, time_us rest, uint32_t waiting, uint32_t partners)
{
	struct leak_visits *v = &b->facts.visits;

	while (looks--) {
		b->facts.transactions += 9;
		*v = (struct leak_visits){ .process = v->process,
			.idle_for = rest,
			.waiting = waiting,
			.partners = partners,
			.worked = v->worked + rules.period / 10 };
		look(b);
	}
}

static void fall_silent(struct bench *b, unsigned looks, struct silence s)
{
	struct leak_visits *v = &b->facts.visits;
	const time_us limit = 30 * SECOND_US;

	v->idle_for = v->idle_for < rules.period ? 0 : v->idle_for;
	b->facts.pool_waiting = s.waiting;
	b->facts.servers_lent = s.lent;
	while (looks--) {
		time_us first, least = LEAK_PATIENCE * rules.period;

		v->idle_for += rules.period;
		first = v->idle_for - s.begins < limit ? v->idle_for - s.begins : limit;
		v->since = first >= least ? s.come * (uint32_t)(1 + (first - least) / rules.period) : 0;
		v->longest = v->since ? first : 0;
		v->read = v->since * s.listened / 100;
		v->waiting = v->since + s.stay;
		v->partners = s.partners;
		v->worked += rules.period * s.working / 100;
		look(b);
	}
}

static void a_pool_that_has_run_dry_is_told_while_its_visitors_wait(void **state)
{
	struct bench *b = *state;

	in_use(b, 12, SECOND_US, 0, 0);
	/* The fourth look is the first that has enough of them. */
	fall_silent(b, 4, drained);
	assert_null(leak_of(b));
	fall_silent(b, 4, drained);
	assert_non_null(leak_of(b));
	assert_string_equal(leak_of(b)->pattern->number, "L7");
	assert_int_equal(leak_of(b)->family, FAMILY_NOT_US);
	assert_int_equal(leak_of(b)->severity, SEVERITY_URGENT);
	assert_true(leak_of(b)->confidence >= 60 && leak_of(b)->confidence <= 85);
	assert_non_null(strstr(
		leak_of(b)->evidence, "process 811 has asked nothing for 40 s, where it asked at 12 of 24 looks"));
	assert_non_null(strstr(leak_of(b)->evidence, "the longest for 30 s, where never more than 0 did"));
	/* It lasts as long as they wait, also where a look is left out. */
	b->facts.visits.process = 0;
	for (unsigned i = 0; i < 7; i++)
		look(b);
	assert_non_null(leak_of(b));
	b->facts.visits.process = 811;
	fall_silent(b, 60, drained);
	assert_non_null(leak_of(b));
	/* Somebody asks: it was cured, or restarted. */
	in_use(b, 6, SECOND_US, 0, 0);
	assert_null(leak_of(b));
}

static void it_is_told_within_a_minute(void **state)
{
	struct bench *b = *state;

	in_use(b, 30, SECOND_US, 0, 0);
	fall_silent(b, 12, drained);
	assert_non_null(leak_of(b));
}

/* Each of these parts one healthy load from a drained pool, which is told first, so that nothing else keeps it silent. */
static void whatever_explains_the_silence_keeps_it_untold(void **state)
{
	static const struct {
		const char *why;
		struct silence but;
	} cases[] = {
		{ "nobody comes", { .listened = 100, .working = 5 } },
		{ "few come", { .come = 1, .listened = 100, .working = 5, .begins = 20 * SECOND_US } },
		{ "they wait since before", { .stay = 50, .listened = 100, .working = 5 } },
		{ "they come later", { .come = 3, .listened = 100, .working = 5, .begins = 25 * SECOND_US } },
		{ "it is deaf", { .come = 3, .listened = 8, .working = 5, .begins = SECOND_US } },
		{ "it works", { .come = 3, .listened = 100, .working = 60, .begins = SECOND_US } },
		{ "it waits for somebody else",
			{ .come = 3, .listened = 100, .working = 5, .begins = SECOND_US, .partners = 1 } },
		{ "it waits here", { .come = 3, .listened = 100, .working = 5, .begins = SECOND_US, .waiting = 1 } },
		{ "no server is free", { .come = 3, .listened = 100, .working = 5, .begins = SECOND_US, .lent = 20 } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bench *b;

		restart(state);
		b = *state;
		in_use(b, 20, SECOND_US, 0, 0);
		fall_silent(b, 60, cases[i].but);
		if (leak_of(b))
			fail_msg("told although %s: %s", cases[i].why, leak_of(b)->evidence);
		restart(state);
		b = *state;
		in_use(b, 20, SECOND_US, 0, 0);
		fall_silent(b, 12, drained);
		if (!leak_of(b))
			fail_msg("not told, though nothing is so that %s", cases[i].why);
	}
}

static void what_was_so_before_is_habit(void **state)
{
	struct bench *b = *state;

	/* As many wait for tomorrow's news as may; and a log server never answers. */
	in_use(b, 20, SECOND_US, 10, 1);
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
	/* Twice as many, and more, is no habit. */
	restart(state);
	b = *state;
	in_use(b, 20, SECOND_US, 3, 1);
	fall_silent(
		b, 8, (struct silence){ .come = 3, .listened = 100, .working = 5, .begins = SECOND_US, .partners = 1 });
	assert_non_null(leak_of(b));
	/* It rests for so long now and then. */
	restart(state);
	b = *state;
	in_use(b, 20, SECOND_US, 0, 0);
	in_use(b, 1, 9 * SECOND_US, 0, 0);
	in_use(b, 20, SECOND_US, 0, 0);
	fall_silent(b, 5, drained);
	assert_null(leak_of(b));
	fall_silent(b, 3, drained);
	assert_non_null(leak_of(b));
	/* And that is forgotten in its time. */
	for (unsigned later = 0; later < 2; later++) {
		restart(state);
		b = *state;
		in_use(b, 20, SECOND_US, 0, 0);
		in_use(b, 1, 9 * SECOND_US, 0, 0);
		in_use(b, later ? 130 : 70, SECOND_US, 0, 0);
		fall_silent(b, 5, drained);
		assert_true((leak_of(b) != NULL) == (later > 0));
	}
	/* A silence that ended by itself was none. */
	restart(state);
	b = *state;
	in_use(b, 20, SECOND_US, 0, 0);
	fall_silent(b, 60, (struct silence){ .come = 3, .listened = 100, .working = 60, .begins = SECOND_US });
	in_use(b, 200, SECOND_US, 0, 0);
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
}

static void each_silence_stands_for_itself(void **state)
{
	const struct silence late = { .come = 3, .listened = 100, .working = 5, .begins = 25 * SECOND_US };
	const struct silence elsewhere = { .listened = 100, .working = 5, .partners = 1 };
	struct bench *b = *state;

	/* That they came at once the last time says nothing of today. */
	in_use(b, 20, SECOND_US, 0, 0);
	fall_silent(b, 3, drained);
	in_use(b, 130, SECOND_US, 0, 0);
	fall_silent(b, 60, late);
	assert_null(leak_of(b));
	/* Whom it waited for, in a silence that ended, is habit. */
	restart(state);
	b = *state;
	in_use(b, 20, SECOND_US, 0, 0);
	fall_silent(b, 4, elsewhere);
	in_use(b, 130, SECOND_US, 0, 0);
	fall_silent(
		b, 8, (struct silence){ .come = 3, .listened = 100, .working = 5, .begins = SECOND_US, .partners = 1 });
	assert_non_null(leak_of(b));
}

/* One came at once, and others by and by: so does chance. */
static void a_crowd_that_comes_late_is_not_told(void **state)
{
	struct bench *b = *state;

	in_use(b, 20, SECOND_US, 0, 0);
	fall_silent(b, 25, (struct silence){ .come = 1, .listened = 20, .working = 5, .begins = SECOND_US });
	fall_silent(b, 20, drained);
	assert_null(leak_of(b));
}

static void a_process_that_is_new_or_seldom_asks_has_no_habits(void **state)
{
	struct bench *b = *state;

	in_use(b, 11, SECOND_US, 0, 0);
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
	/* Its neighbour's habits are not its own. */
	restart(state);
	b = *state;
	in_use(b, 30, SECOND_US, 0, 0);
	b->facts.visits.process = 812;
	b->facts.visits.worked = 0;
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
	/* A look once in a while is not enough. */
	restart(state);
	b = *state;
	for (unsigned i = 0; i < 30; i++) {
		in_use(b, 1, SECOND_US, 0, 0);
		in_use(b, 2, 6 * SECOND_US, 0, 0);
	}
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
}

static void what_was_not_looked_at_for_long_is_forgotten(void **state)
{
	struct bench *b = *state;

	in_use(b, 30, SECOND_US, 0, 0);
	fall_silent(b, 8, drained);
	assert_non_null(leak_of(b));
	b->facts.visits.process = 0;
	for (unsigned i = 0; i < 40; i++)
		look(b);
	assert_null(leak_of(b));
	b->facts.visits.process = 811;
	fall_silent(b, 60, drained);
	assert_null(leak_of(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pool_that_has_run_dry_is_told_while_its_visitors_wait, begin, end),
		cmocka_unit_test_setup_teardown(it_is_told_within_a_minute, begin, end),
		cmocka_unit_test_setup_teardown(whatever_explains_the_silence_keeps_it_untold, begin, end),
		cmocka_unit_test_setup_teardown(what_was_so_before_is_habit, begin, end),
		cmocka_unit_test_setup_teardown(each_silence_stands_for_itself, begin, end),
		cmocka_unit_test_setup_teardown(a_crowd_that_comes_late_is_not_told, begin, end),
		cmocka_unit_test_setup_teardown(a_process_that_is_new_or_seldom_asks_has_no_habits, begin, end),
		cmocka_unit_test_setup_teardown(what_was_not_looked_at_for_long_is_forgotten, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
