#include "io/helper_test.h"

/* Addresses and their texts, and back and forth to the kernel's form. */

static void numeric_addresses_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		enum address_family family;
		const char *whole;
	} good[] = {
		{ "127.0.0.1", ADDRESS_IPV4, "127.0.0.1:5432" },
		{ "0.0.0.0", ADDRESS_IPV4, "0.0.0.0:5432" },
		{ "::1", ADDRESS_IPV6, "[::1]:5432" },
		{ "::", ADDRESS_IPV6, "[::]:5432" },
		{ "2001:db8::ffff", ADDRESS_IPV6, "[2001:db8::ffff]:5432" },
		{ "fe80::1%7", ADDRESS_IPV6, "[fe80::1%7]:5432" },
	};
	static const char *const bad[] = { "", "localhost", "127.0.0", "127.0.0.1.1", "256.0.0.1", "127.0.0.1 ",
		":::", "[::1]", "::1%", "::1%nosuchinterface", "fe80::1%0", "1.2.3.4%1", "/tmp", "@x",
		"0000000000000000000000000000000000000000000000000000000000000000%1" };
	struct address a;
	char text[ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(address_parse(good[i].text, 5432, &a));
		assert_int_equal(a.family, good[i].family);
		assert_string_equal(address_host_text(&a, text), good[i].text);
		assert_string_equal(address_text(&a, text), good[i].whole);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (address_parse(bad[i], 1, &a))
			fail_msg("\"%s\" was taken for an address", bad[i]);
		assert_int_equal(a.family, ADDRESS_NONE);
	}
	assert_true(address_parse("::1%lo", 1, &a));
	assert_int_equal(a.scope, 1);
}

static void an_address_with_its_port_is_a_place(void **state)
{
	static const char *const bad[] = { "", ":", "6433", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:-1", "::1:6433", "[::1]", "[127.0.0.1]:1", "[::1:1", "name.example:6433", ":6433" };
	struct address a;
	char text[ADDRESS_TEXT];

	(void)state;
	assert_true(address_parse_place("127.0.0.1:6433", &a));
	assert_string_equal(address_text(&a, text), "127.0.0.1:6433");
	assert_true(address_is_loopback(&a));
	assert_true(address_parse_place("localhost:1", &a));
	assert_string_equal(address_text(&a, text), "127.0.0.1:1");
	assert_true(address_parse_place("[::1]:0", &a));
	assert_string_equal(address_text(&a, text), "[::1]:0");
	assert_true(address_is_loopback(&a));
	assert_true(address_parse_place("*:6433", &a));
	assert_string_equal(address_text(&a, text), "0.0.0.0:6433");
	assert_false(address_is_loopback(&a));
	assert_true(address_parse_place("10.0.0.1:6433", &a));
	assert_false(address_is_loopback(&a));
	assert_true(address_parse_place("[::ffff:127.0.0.1]:1", &a));
	assert_true(address_is_loopback(&a));
	assert_true(address_parse_place("[::]:1", &a));
	assert_false(address_is_loopback(&a));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(address_parse_place(bad[i], &a));
}

static void unix_sockets_are_named_as_postgresql_does(void **state)
{
	struct address a;
	char folder[200], text[ADDRESS_TEXT];

	(void)state;
	assert_true(address_unix("/run/postgresql", 5432, &a));
	assert_string_equal(a.path, "/run/postgresql/.s.PGSQL.5432");
	assert_int_equal(a.port, 5432);
	assert_string_equal(address_host_text(&a, text), "unix");
	assert_string_equal(address_text(&a, text), "unix:/run/postgresql/.s.PGSQL.5432");
	assert_true(address_unix("@pool", 6432, &a));
	assert_string_equal(a.path, "@pool/.s.PGSQL.6432");
	memset(folder, 'd', sizeof folder);
	folder[0] = '/';
	folder[92] = 0;
	assert_true(address_unix(folder, 65535, &a));
	assert_int_equal(strlen(a.path), sizeof a.path - 1);
	folder[92] = 'd';
	folder[93] = 0;
	assert_false(address_unix(folder, 65535, &a));
	assert_int_equal(a.family, ADDRESS_NONE);
}

static void the_way_to_the_kernel_and_back_loses_nothing(void **state)
{
	struct address all[6] = { 0 };
	size_t count = 0;

	(void)state;
	assert_true(address_parse("10.1.2.3", 1, &all[count++]));
	assert_true(address_parse("2001:db8::7", 65535, &all[count++]));
	assert_true(address_parse("fe80::1%3", 80, &all[count++]));
	assert_true(address_unix("/tmp/x", 5432, &all[count++]));
	assert_true(address_unix("@abstract", 5433, &all[count++]));
	all[count++] = (struct address){ .family = ADDRESS_UNIX };
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_storage name;
		struct address back;
		socklen_t length = address_to_kernel(&all[i], &name);

		address_from_kernel(&name, length, &back);
		assert_true(address_equal(&all[i], &back));
		assert_int_equal(all[i].port, back.port);
		for (size_t j = 0; j < count; j++)
			assert_int_equal(address_equal(&all[i], &all[j]), i == j);
	}
}

static void all_addresses_of_a_family_cover_each_of_it(void **state)
{
	static const struct {
		const char *listens, *asked;
		uint16_t port; /* of the second; the first has 6432 */
		bool covered;
	} cases[] = {
		{ "0.0.0.0", "127.0.0.1", 6432, true },
		{ "0.0.0.0", "0.0.0.0", 6432, true },
		{ "::", "::1", 6432, true },
		{ "127.0.0.1", "127.0.0.1", 6432, true },
		{ "::1", "::1", 6432, true },
		{ "0.0.0.0", "127.0.0.1", 6433, false },
		{ "0.0.0.0", "::1", 6432, false },
		{ "::", "127.0.0.1", 6432, false },
		{ "127.0.0.1", "0.0.0.0", 6432, false },
		{ "127.0.0.1", "127.0.0.2", 6432, false },
		{ "::1", "::", 6432, false },
	};
	struct address listens, asked;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_true(address_parse(cases[i].listens, 6432, &listens));
		assert_true(address_parse(cases[i].asked, cases[i].port, &asked));
		assert_int_equal(address_covers(&listens, &asked), cases[i].covered);
	}
	assert_true(address_unix("/tmp", 6432, &asked));
	assert_true(address_covers(&asked, &asked));
	assert_false(address_covers(&listens, &asked));
}

static void a_thread_that_sleeps_does_not_work(void **state)
{
	time_us began = clock_now(), before = clock_worked(), worked;
	volatile unsigned sum = 0;

	(void)state;
	usleep(200000);
	worked = clock_worked() - before;
	assert_true(worked >= 0 && worked < clock_now() - began - 150 * MILLISECOND_US);
	while (clock_worked() - before < worked + 1000)
		sum++;
}

static void time_goes_forward_and_reads_well(void **state)
{
	time_us last = clock_now();
	char text[40];
	uint8_t some[300] = { 0 }, more[300] = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		time_us now = clock_now();

		assert_true(now >= last);
		last = now;
	}
	assert_true(clock_wall() > 1700000000 * SECOND_US);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(clock_text(1795438003857000, false, text), "2026-11-23 12:46:43 UTC");
	assert_string_equal(clock_text(1795438003857999, true, text), "2026-11-23 12:46:43.857 UTC");
	setenv("TZ", "CET-1", 1);
	tzset();
	assert_string_equal(clock_text(1795438003857000, true, text), "2026-11-23 13:46:43.857 CET");
	entropy_fill(some, sizeof some);
	entropy_fill(more, sizeof more);
	assert_memory_not_equal(some, more, sizeof some);
	entropy_fill(NULL, 0);
}

static void who_is_counted_by_an_address_is_one_in_its_network(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} pairs[] = {
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", "10.0.0.2", false },
		{ "::ffff:10.0.0.1", "10.0.0.1", true },
		{ "::ffff:10.0.0.1", "::ffff:10.0.0.2", false },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true },
		{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
		{ "::1", "127.0.0.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct address one, other;

		assert_true(address_parse(pairs[i].one, 1, &one) && address_parse(pairs[i].other, 2, &other));
		assert_int_equal(address_source(&one) == address_source(&other), pairs[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numeric_addresses_are_read_and_written),
		cmocka_unit_test(an_address_with_its_port_is_a_place),
		cmocka_unit_test(who_is_counted_by_an_address_is_one_in_its_network),
		cmocka_unit_test(unix_sockets_are_named_as_postgresql_does),
		cmocka_unit_test(the_way_to_the_kernel_and_back_loses_nothing),
		cmocka_unit_test(all_addresses_of_a_family_cover_each_of_it),
		cmocka_unit_test(a_thread_that_sleeps_does_not_work),
		cmocka_unit_test(time_goes_forward_and_reads_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
