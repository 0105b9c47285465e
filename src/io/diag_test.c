#include "io/diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What the kernel says is made here by its own structures; visitors_test.c asks a real one. */
struct answer {
	uint8_t bytes[1024];
	size_t length;
};

static void add(struct answer *answer, const void *bytes, size_t length)
{
	assert_true(answer->length + length + 4 <= sizeof answer->bytes);
	memcpy(answer->bytes + answer->length, bytes, length);
	answer->length = (answer->length + length + 3) / 4 * 4;
}

static void add_message(struct answer *answer, uint16_t type, size_t body)
{
	struct nlmsghdr header = { .nlmsg_len = (uint32_t)(sizeof header + body), .nlmsg_type = type };

	add(answer, &header, sizeof header);
}

/* A connection of inode 7; `info` bytes of its tcp_info are told, after an attribute of another kind. */
static void add_socket(struct answer *answer, const struct tcp_info *told, size_t info)
{
	struct inet_diag_msg message = { .idiag_family = 2, .idiag_state = 1, .idiag_inode = 7, .idiag_rqueue = 5 };
	struct rtattr other = { .rta_len = sizeof other + 1, .rta_type = INET_DIAG_SHUTDOWN };
	struct rtattr attribute = { .rta_len = (unsigned short)(sizeof attribute + info), .rta_type = INET_DIAG_INFO };

	message.id.idiag_sport = htons(8000);
	message.id.idiag_dport = htons(40000);
	message.id.idiag_src[0] = htonl(0x7f000001);
	add_message(answer, SOCK_DIAG_BY_FAMILY, sizeof message + 8 + sizeof attribute + info);
	add(answer, &message, sizeof message);
	add(answer, &other, sizeof other);
	add(answer, "", 1);
	add(answer, &attribute, sizeof attribute);
	add(answer, told, info);
}

static void a_connection_is_read_with_what_was_said_on_it(void **state)
{
	struct tcp_info info = {
		.tcpi_last_data_sent = 900, .tcpi_last_data_recv = 40, .tcpi_data_segs_in = 3, .tcpi_data_segs_out = 2
	};
	struct answer answer = { 0 };
	struct diag_socket socket;
	struct span rest;

	(void)state;
	add_socket(&answer, &info, sizeof info);
	add_message(&answer, NLMSG_DONE, 0);
	rest = span_of(answer.bytes, answer.length);
	assert_int_equal(diag_next(&rest, &socket), DIAG_SOCKET);
	assert_int_equal(socket.inode, 7);
	assert_int_equal(socket.unread, 5);
	assert_int_equal(socket.local_port, 8000);
	assert_int_equal(socket.remote_port, 40000);
	assert_memory_equal(socket.local, "\x7f\0\0\1", 4);
	assert_false(socket.six);
	assert_true(socket.talks);
	assert_int_equal(socket.said, 900);
	assert_int_equal(socket.heard, 40);
	assert_int_equal(socket.words_in, 3);
	assert_int_equal(socket.words_out, 2);
	assert_int_equal(diag_next(&rest, &socket), DIAG_DONE);
}

static void a_kernel_that_tells_less_leaves_it_open(void **state)
{
	struct answer answer = { 0 };
	struct tcp_info info = { 0 };
	struct diag_socket socket;
	struct span rest;

	(void)state;
	add_socket(&answer, &info, offsetof(struct tcp_info, tcpi_data_segs_out));
	rest = span_of(answer.bytes, answer.length);
	assert_int_equal(diag_next(&rest, &socket), DIAG_SOCKET);
	assert_int_equal(socket.inode, 7);
	assert_false(socket.talks);
	assert_int_equal(diag_turn_of(&socket), DIAG_NOBODYS);
	assert_int_equal(diag_next(&rest, &socket), DIAG_MORE);
}

/* However it is cut, and whatever one byte of it says, nothing is read beyond its end (in memory that is just as long, for a sanitizer's sake),
 * and reading it comes to an end. */
static void no_length_is_believed_beyond_what_is_there(void **state)
{
	struct answer answer = { 0 };
	struct tcp_info info = { 0 };
	struct diag_socket socket;

	(void)state;
	add_socket(&answer, &info, sizeof info);
	add_socket(&answer, &info, sizeof info);
	for (size_t cut = 0; cut < answer.length; cut++) {
		for (unsigned other = 0; other < 256; other += 15) {
			uint8_t *copy = malloc(answer.length - cut);
			struct span rest = span_of(copy, answer.length - cut);
			enum diag_answer last = DIAG_SOCKET;
			unsigned steps = 0;

			assert_non_null(copy);
			memcpy(copy, answer.bytes, answer.length - cut);
			copy[cut % (answer.length - cut)] = (uint8_t)other;
			while (last == DIAG_SOCKET && ++steps < 100)
				last = diag_next(&rest, &socket);
			assert_true(steps < 100);
			free(copy);
		}
	}
}

static void a_refusal_is_no_answer(void **state)
{
	struct answer answer = { 0 };
	struct diag_socket socket;
	struct span rest;
	int code = -1;

	(void)state;
	add_message(&answer, NLMSG_ERROR, sizeof code);
	add(&answer, &code, sizeof code);
	rest = span_of(answer.bytes, answer.length);
	assert_int_equal(diag_next(&rest, &socket), DIAG_BAD);
}

static enum diag_turn turn(uint32_t words_in, uint32_t heard, uint32_t words_out, uint32_t said)
{
	struct diag_socket socket = {
		.talks = true, .words_in = words_in, .heard = heard, .words_out = words_out, .said = said
	};

	return diag_turn_of(&socket);
}

static void whoever_has_not_spoken_last_is_waited_for(void **state)
{
	(void)state;
	/* Its age as the kernel tells it begins with the connection. */
	assert_int_equal(turn(0, 50, 0, 50), DIAG_NOBODYS);
	assert_int_equal(turn(1, 50, 0, 50), DIAG_OURS);
	assert_int_equal(turn(1, 50, 1, 50), DIAG_NOBODYS);
	assert_int_equal(turn(1, 50, 1, 49), DIAG_THEIRS);
	assert_int_equal(turn(4, 50, 3, 70), DIAG_OURS);
	assert_int_equal(turn(0, 50, 1, 50), DIAG_THEIRS);
	/* A log goes one way. */
	assert_int_equal(turn(0, 50, 400, 20), DIAG_NOBODYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_read_with_what_was_said_on_it),
		cmocka_unit_test(a_kernel_that_tells_less_leaves_it_open),
		cmocka_unit_test(no_length_is_believed_beyond_what_is_there),
		cmocka_unit_test(a_refusal_is_no_answer),
		cmocka_unit_test(whoever_has_not_spoken_last_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
