#ifndef PGWEIR_CORE_LEAK_HELPER_TEST_H
#define PGWEIR_CORE_LEAK_HELPER_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/leak_state.h"

/* Stories of one origin, told in facts. tests/sim/origins.c tells thousands, from the lives of clients. */

#define NEWS_MOST 64

static const struct leak_rules rules = {
	.period = 5 * SECOND_US, .quiet = 5 * SECOND_US, .hold = 30 * SECOND_US, .siblings = 5
};

struct bench {
	struct leak_book *book;
	struct leak_facts facts;
	time_us now;
	struct leak_change news[NEWS_MOST];
	size_t news_count;
};

static inline int begin(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->book = leak_book_new();
	b->facts = (struct leak_facts){ .origin = 7, .clients_limit = 1000, .servers_limit = 20 };
	/* It has looked before; who comes now is new. */
	leak_step(b->book, &rules, 0, NULL, 0, NULL, 0);
	*state = b;
	return 0;
}

static inline int end(void **state)
{
	struct bench *b = *state;

	leak_book_free(b->book);
	free(b);
	return 0;
}

static inline void look(struct bench *b)
{
	b->now += rules.period;
	b->facts.clients_total = b->facts.clients;
	b->news_count += leak_step(
		b->book, &rules, b->now, &b->facts, 1, b->news + b->news_count, NEWS_MOST - b->news_count);
}

/* `count` clients log in, ask once (or never) and are left; looked at after they have become quiet. */
static inline void lose(struct bench *b, uint32_t count, bool ask)
{
	struct leak_facts *f = &b->facts;

	f->logins += count;
	f->logins_while_quiet += f->quiet >= rules.siblings ? count : 0;
	f->clients += count;
	f->parked += count;
	f->quiet += count;
	f->transactions += ask ? count : 0;
	*(ask ? &f->once : &f->silent) += count;
	f->oldest_quiet += rules.period;
	look(b);
}

static inline void rest(struct bench *b, unsigned looks)
{
	while (looks--) {
		b->facts.oldest_quiet += b->facts.quiet ? rules.period : 0;
		b->facts.oldest_hold += b->facts.holding ? rules.period : 0;
		b->facts.in_block_time += b->facts.in_block * rules.period;
		look(b);
	}
}

/* More clients sit idle in a transaction, and have for leak_hold. */
static inline void hold(struct bench *b, uint32_t count)
{
	b->facts.clients += count;
	b->facts.lent += count;
	b->facts.servers_lent += count;
	b->facts.in_block += count;
	b->facts.holding += count;
	if (b->facts.oldest_hold < rules.hold)
		b->facts.oldest_hold = rules.hold;
}

static inline const struct leak *leak_of(struct bench *b)
{
	const struct leak *leak = leak_at(b->book, 0);

	return leak && !leak->ended ? leak : NULL;
}

#define assert_leak(b, wanted) \
	do { \
		assert_non_null(leak_of(b)); \
		assert_string_equal(leak_of(b)->pattern->number, wanted); \
	} while (0)

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
