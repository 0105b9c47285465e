/* The book of leaks: what is remembered of each origin, when a leak begins and ends, and what is said of it. */
#include "core/leak_helper_test.h"

#include "base/refusal_test.h"

static void a_leak_that_ends_is_said_to_have_ended_once(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 14; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	b->facts.clients = b->facts.parked = b->facts.quiet = b->facts.once = 3;
	b->facts.logouts = 67;
	rest(b, 5);
	assert_leak(b, "L1");
	rest(b, 1);
	assert_null(leak_of(b));
	assert_int_equal(b->news[b->news_count - 1].kind, LEAK_ENDED);
	/* It is shown for a while, then forgotten. */
	assert_non_null(leak_at(b->book, 0));
	assert_int_equal(leak_at(b->book, 0)->ended, b->now);
	assert_int_equal(leaks_lasting(b->book), 0); /* shown, and nothing is done about it any more */
	rest(b, 130);
	assert_null(leak_at(b->book, 0));
	assert_int_equal(b->news[b->news_count - 1].kind, LEAK_ENDED);
}

static void an_origin_that_vanishes_ends_its_leaks(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 14; i++)
		lose(b, 5, true);
	assert_leak(b, "L1");
	b->now += rules.period;
	/* No room to say so: then it has not happened yet. */
	assert_int_equal(leak_step(b->book, &rules, b->now, NULL, 0, NULL, 0), 0);
	assert_leak(b, "L1");
	b->now += rules.period;
	assert_int_equal(leak_step(b->book, &rules, b->now, NULL, 0, b->news, NEWS_MOST), 1);
	assert_int_equal(b->news[0].kind, LEAK_ENDED);
	assert_int_equal(b->news[0].leak.origin, 7);
	assert_null(leak_of(b));
}

static void news_that_find_no_room_wait(void **state)
{
	struct bench *b = *state;

	b->news_count = NEWS_MOST;
	for (unsigned i = 0; i < 20; i++)
		lose(b, 5, true);
	assert_null(leak_of(b));
	b->news_count = 0;
	lose(b, 5, true);
	assert_leak(b, "L1");
	assert_int_equal(b->news_count, 1);
}

static void thousands_of_origins_are_kept_apart(void **state)
{
	enum { MANY = 3000 };
	struct bench *b = *state;
	struct leak_facts *facts = calloc(MANY, sizeof(*facts));
	struct leak_change *news = calloc(MANY, sizeof(*news));
	size_t count = 0;

	for (unsigned step = 1; step <= 16; step++) {
		for (uint32_t i = 0; i < MANY; i++) {
			struct leak_facts *f = &facts[i];

			f->origin = i;
			/* Every third leaks. */
			f->clients = f->quiet = f->parked = i % 3 ? 20 : 4 * step;
			f->once = f->quiet;
			f->logins = f->clients;
			f->logins_while_quiet = i % 3 || step < 3 ? 0 : 4 * (step - 2);
		}
		count += leak_step(b->book, &rules, step * rules.period, facts, MANY, news, MANY);
		for (size_t i = 0; i < count && step == 16; i++)
			assert_non_null(leak_at(b->book, i));
	}
	assert_int_equal(count, MANY / 3);
	for (size_t i = 0; leak_at(b->book, i); i++)
		assert_int_equal(leak_at(b->book, i)->origin % 3, 0);
	/* Gone at once, and what is shown of them is bounded. */
	assert_int_equal(leak_step(b->book, &rules, 17 * rules.period, NULL, 0, news, MANY), MANY / 3);
	for (count = 0; leak_at(b->book, count); count++)
		;
	assert_int_equal(count, 64);
	free(facts);
	free(news);
}

static void the_same_facts_give_the_same_verdicts(void **state)
{
	struct bench *b = *state;
	struct leak before;

	for (unsigned i = 0; i < 30; i++)
		lose(b, 2 + i % 4, i % 3);
	before = *leak_of(b);
	end(state);
	begin(state);
	b = *state;
	for (unsigned i = 0; i < 30; i++)
		lose(b, 2 + i % 4, i % 3);
	assert_int_equal(before.since, leak_of(b)->since);
	assert_int_equal(before.exhausted_in, leak_of(b)->exhausted_in);
	assert_string_equal(before.evidence, leak_of(b)->evidence);
}

static void who_was_there_before_us_has_a_past_that_is_no_news(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	b->book = leak_book_new();
	b->facts.session_locks = b->facts.dead_peers = b->facts.abandoned = 1000;
	b->facts.logins = b->facts.logins_while_quiet = 1000;
	b->facts.clients = b->facts.quiet = b->facts.once = b->facts.parked = 900;
	rest(b, 300);
	assert_int_equal(b->news_count, 0);
}

static void what_was_counted_between_a_start_and_the_first_look_is_news(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	b->book = leak_book_new();
	leak_book_fresh(b->book);
	b->facts.session_locks = 1;
	b->facts.dead_peers = b->facts.abandoned = 3;
	/* Whose clients were handed over have not come just now. */
	b->facts.clients = b->facts.quiet = b->facts.once = b->facts.parked = 900;
	look(b);
	assert_int_equal(b->news_count, 3);
	assert_int_equal(leaks_lasting(b->book), 3);
	/* They are of that moment, and end as they would otherwise. */
	rest(b, 140);
	assert_int_equal(leaks_lasting(b->book), 0);
	assert_int_equal(b->news_count, 6);
}

static void refused_memory_makes_it_see_less_and_never_fail(void **state)
{
#ifdef OTHER_HEAP
	(void)state;
	skip();
#else
	struct bench *b = *state;
	unsigned told = 0;

	for (long granted = 0; granted < 6; granted++) {
		end(state);
		begin(state);
		b = *state;
		left = granted;
		armed = true;
		for (unsigned i = 0; i < 14; i++)
			lose(b, 5, true);
		told += b->news_count;
		left = 100;
		for (unsigned i = 0; i < 14; i++)
			lose(b, 5, true);
		armed = false;
		assert_leak(b, "L1");
		assert_int_equal(b->news_count, 1);
	}
	/* Sometimes it was refused and sometimes not, else this tests nothing. */
	assert_in_range(told, 1, 5);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_leak_that_ends_is_said_to_have_ended_once),
		STORY(an_origin_that_vanishes_ends_its_leaks),
		STORY(news_that_find_no_room_wait),
		STORY(thousands_of_origins_are_kept_apart),
		STORY(the_same_facts_give_the_same_verdicts),
		STORY(who_was_there_before_us_has_a_past_that_is_no_news),
		STORY(what_was_counted_between_a_start_and_the_first_look_is_news),
		STORY(refused_memory_makes_it_see_less_and_never_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
