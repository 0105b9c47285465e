#include "io/interfaces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Every machine that runs this has a loopback interface, 127.0.0.1/8; none has one that is a group of machines (RFC 5771, RFC 4291 2.7). */

static void compare(const char *text, bool *host, bool *net)
{
	struct address address;

	assert_true(address_parse(text, 0, &address));
	interfaces_compare(&address, host, net);
}

static void the_loopback_address_is_this_host_and_its_network_is_near(void **state)
{
	bool host, net;

	(void)state;
	compare("127.0.0.1", &host, &net);
	assert_true(host && net);
	compare("127.9.9.9", &host, &net);
	assert_true(!host && net);
}

static void an_address_that_nobody_has_is_neither(void **state)
{
	bool host, net;

	(void)state;
	compare("239.1.2.3", &host, &net);
	assert_false(host || net);
	compare("ff0e::1234", &host, &net);
	assert_false(host || net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_loopback_address_is_this_host_and_its_network_is_near),
		cmocka_unit_test(an_address_that_nobody_has_is_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
