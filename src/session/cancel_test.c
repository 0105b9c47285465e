#include "session/cancel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void an_id_names_worker_and_slot(void **state)
{
	uint32_t worker, slot;

	(void)state;
	assert_false(cancel_locate(0, &worker, &slot));
	assert_false(cancel_locate(UINT32_MAX, &worker, &slot));
	assert_true(cancel_locate(cancel_process_id(127, CANCEL_SLOTS_MAX - 2), &worker, &slot));
	assert_int_equal(worker, 127);
	assert_int_equal(slot, CANCEL_SLOTS_MAX - 2);
	assert_true((int32_t)cancel_process_id(127, CANCEL_SLOTS_MAX - 2) > 0);
	assert_false(cancel_locate(1, &worker, &slot));
}

/* Linux gives its processes no higher ids than this (proc(5), pid_max). */
#define PROCESSES_MAX (1u << 22)

/* Who says pg_cancel_backend(id) must not end what somebody else does. */
static void no_id_is_that_of_a_process(void **state)
{
	(void)state;
	for (uint32_t worker = 0; worker < CANCEL_WORKERS_MAX; worker++) {
		assert_true(cancel_process_id(worker, 0) > PROCESSES_MAX);
		assert_true(cancel_process_id(worker, CANCEL_SLOTS_MAX - 1) > PROCESSES_MAX);
	}
	for (uint32_t random = 0; random <= UINT16_MAX; random++)
		assert_true(cancel_peer_process(1, (uint16_t)random) > PROCESSES_MAX);
}

/* Bytes as they go over the wire; the layout is PgBouncer's. */
static void a_key_among_peers_has_the_peer_in_its_second_and_third_byte(void **state)
{
	static const struct {
		uint32_t peer, process;
		uint16_t random;
	} cases[] = {
		{ 1, 0x40010000, 0 }, /* and none that a process has */
		{ 1, 0x7f0100ff, 0xffff },
		{ 256, 0x12000134, 0x1234 },
		{ 16383, 0x12ff3f34, 0x9234 }, /* an id is positive */
		{ 0x0201, 0x40010200, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(cancel_peer_process(cases[i].peer, cases[i].random), cases[i].process);
		assert_int_equal(cancel_peer(cases[i].process), cases[i].peer);
	}
	for (uint32_t peer = 1; peer <= 16383; peer++) {
		uint32_t process = cancel_peer_process(peer, (uint16_t)(peer * 40503u));

		assert_int_equal(cancel_peer(process), peer);
		assert_true((int32_t)process > 0);
	}
}

static void a_key_is_passed_on_three_times_and_no_more(void **state)
{
	uint8_t secret[32] = { 1, 2, 3, 0xa8, 5 }, was[32];
	int hops = 0;

	(void)state;
	cancel_hops_fill(secret);
	memcpy(was, secret, sizeof was);
	assert_int_equal(secret[3], 0xab);
	while (cancel_hop(secret))
		hops++;
	assert_int_equal(hops, CANCEL_HOPS_MAX);
	assert_int_equal(secret[3], 0xa8);
	assert_false(cancel_hop(secret));
	assert_int_equal(secret[3], 0xa8);
	cancel_hops_fill(secret);
	assert_memory_equal(secret, was, sizeof was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_names_worker_and_slot),
		cmocka_unit_test(no_id_is_that_of_a_process),
		cmocka_unit_test(a_key_among_peers_has_the_peer_in_its_second_and_third_byte),
		cmocka_unit_test(a_key_is_passed_on_three_times_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
