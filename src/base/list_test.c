#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/list.h"

struct member {
	int value;
	struct link link;
};

static void members_keep_their_order_and_can_leave_twice(void **state)
{
	struct member m[4] = { { .value = 0 }, { .value = 1 }, { .value = 2 }, { .value = 3 } };
	struct link head;
	int expected = 0;

	(void)state;
	link_init(&head);
	assert_true(link_empty(&head));
	for (int i = 0; i < 4; i++)
		link_init(&m[i].link);
	link_last(&head, &m[1].link);
	link_last(&head, &m[3].link);
	link_first(&head, &m[0].link);
	link_after(&m[1].link, &m[2].link);
	for (struct link *l = head.next; l != &head; l = l->next)
		assert_int_equal(link_owner(l, struct member, link)->value, expected++);
	assert_int_equal(expected, 4);
	link_remove(&m[2].link);
	link_remove(&m[2].link);
	assert_true(link_empty(&m[2].link));
	assert_ptr_equal(m[1].link.next, &m[3].link);
	assert_ptr_equal(m[3].link.prev, &m[1].link);
	link_remove(&m[0].link);
	link_remove(&m[1].link);
	link_remove(&m[3].link);
	assert_true(link_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(members_keep_their_order_and_can_leave_twice) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
