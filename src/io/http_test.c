/* The HTTP server with readers that are slow, rude or gone; sockets and library are the real ones. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/helper_test.h"
#include "io/http.h"

#define LARGE ((size_t)8 << 20)

static struct http *http;
static size_t answer_length;
static int put_off, asked;
static char seen_path[64], seen_body[64], seen_header[64];

static enum http_verdict answer(void *context, const struct http_request *request, struct http_reply *reply)
{
	const char *header = http_header(request, "X-Test");

	(void)context;
	asked++;
	if (put_off > 0) {
		put_off--;
		return HTTP_LATER;
	}
	text_copy(seen_path, sizeof seen_path, request->path);
	text_copy_span(seen_body, sizeof seen_body, request->body);
	text_copy(seen_header, sizeof seen_header, header ? header : "none");
	assert_true(address_is_loopback(&request->peer));
	assert_true(buf_reserve(&reply->body, answer_length));
	memset(buf_end(&reply->body), 'x', answer_length);
	buf_grew(&reply->body, answer_length);
	reply->type = "text/plain";
	http_reply_line(reply, "X-Answer", "yes");
	return HTTP_ANSWERED;
}

static void open_server(time_us patience)
{
	struct http_setup setup = { .answer = answer, .patience = patience };
	char error[256];

	assert_true(address_parse_place("127.0.0.1:0", &setup.address));
	http = http_open(&setup, error, sizeof error);
	assert_non_null(http);
	answer_length = 5;
	put_off = asked = 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_close(&http);
	return 0;
}

static int dial(const char *say)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_address(http)->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(fd, say, strlen(say)), (ssize_t)strlen(say));
	return fd;
}

/* Turn until it is said, or until the other side closed; true: closed. `out` may be NULL. */
static bool hear(int fd, const char *until, struct buf *out)
{
	time_us deadline = clock_now() + 20 * SECOND_US;
	char piece[65536];

	while (clock_now() < deadline) {
		ssize_t n = read(fd, piece, sizeof piece);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (n > 0 && out)
			assert_true(buf_add(out, piece, (size_t)n));
		if (out && until && out->length > 0 && memmem(buf_span(out).at, out->length, until, strlen(until)))
			return false;
		http_turn(http, clock_now() + 10 * MILLISECOND_US);
	}
	fail_msg("nothing came");
	return false;
}

static void a_request_is_told_and_answered(void **state)
{
	struct buf got = { 0 };
	int fd;

	(void)state;
	open_server(0);
	fd = dial("POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Test: one\r\nContent-Length: 4\r\n\r\nbody");
	assert_false(hear(fd, "xxxxx", &got));
	assert_string_equal(seen_path, "/a b");
	assert_string_equal(seen_body, "body");
	assert_string_equal(seen_header, "one");
	assert_non_null(memmem(buf_span(&got).at, got.length, "X-Answer: yes", 13));
	assert_non_null(memmem(buf_span(&got).at, got.length, "frame-ancestors 'none'", 22));
	close(fd);
	buf_clear(&got);
	fd = dial("GET / HTTP/1.1\r\nHost: x\r\nX-Test: one\r\nX-Test: two\r\n\r\n");
	assert_false(hear(fd, "xxxxx", &got));
	assert_string_equal(seen_header, "none");
	close(fd);
	buf_fini(&got);
}

static void what_is_put_off_is_asked_again(void **state)
{
	struct buf got = { 0 };
	int fd;

	(void)state;
	open_server(0);
	put_off = 2;
	fd = dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int round = 1; round <= 2; round++) {
		time_us deadline = clock_now() + 20 * SECOND_US;

		while (asked < round && clock_now() < deadline)
			http_turn(http, clock_now() + 10 * MILLISECOND_US);
		assert_int_equal(asked, round);
		http_wake(http);
		http_turn(http, 0); /* nothing happens but that it was woken */
		assert_int_equal(asked, round);
		http_resume(http);
	}
	assert_false(hear(fd, "xxxxx", &got));
	assert_int_equal(asked, 3);
	close(fd);
	buf_fini(&got);
}

static void it_closes_while_somebody_waits(void **state)
{
	time_us deadline = clock_now() + 20 * SECOND_US;
	int fd;

	(void)state;
	open_server(0);
	put_off = 1;
	fd = dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	while (asked < 1 && clock_now() < deadline)
		http_turn(http, clock_now() + 10 * MILLISECOND_US);
	assert_int_equal(asked, 1);
	http_close(&http);
	assert_null(http);
	close(fd);
}

static void who_does_not_take_an_answer_whole_is_shut_out(void **state)
{
	char little[16];
	time_us deadline;
	ssize_t n;
	int slow, dumb, waits;

	(void)state;
	open_server(200 * MILLISECOND_US);
	answer_length = LARGE;
	slow = dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	dumb = dial("GET / HTT");
	deadline = clock_now() + 20 * SECOND_US;
	/* Reading a little all the time is no excuse. What the kernel holds already comes first, then the end. */
	while (clock_now() < deadline && asked == 0)
		http_turn(http, clock_now() + 10 * MILLISECOND_US);
	for (waits = 0; waits < 40; waits++) {
		n = read(slow, little, sizeof little);
		http_turn(http, clock_now() + 10 * MILLISECOND_US);
	}
	assert_true(n > 0);
	assert_true(hear(dumb, NULL, NULL));
	assert_true(hear(slow, NULL, NULL));
	close(slow);
	close(dumb);
}

static void answers_that_nobody_reads_are_bounded(void **state)
{
	int peers[HTTP_BYTES_WAITING / LARGE + 2];
	size_t count = sizeof peers / sizeof *peers;
	time_us deadline = clock_now() + 20 * SECOND_US;
	struct buf got = { 0 };

	(void)state;
	open_server(0);
	answer_length = LARGE;
	for (size_t i = 0; i < count; i++)
		peers[i] = dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	while (asked < (int)count && clock_now() < deadline)
		http_turn(http, clock_now() + 10 * MILLISECOND_US);
	assert_int_equal(asked, count);
	assert_true(hear(peers[count - 1], NULL, &got) || got.length > 0);
	assert_memory_equal(buf_span(&got).at, "HTTP/1.1 503", 12);
	for (size_t i = 0; i < count; i++)
		close(peers[i]);
	/* When they are gone there is room again. */
	for (int i = 0; i < 50; i++)
		http_turn(http, clock_now() + 2 * MILLISECOND_US);
	answer_length = 5;
	buf_clear(&got);
	peers[0] = dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_false(hear(peers[0], "xxxxx", &got));
	close(peers[0]);
	buf_fini(&got);
}

static void what_cannot_be_listened_on_is_said(void **state)
{
	struct http_setup setup = { .answer = answer };
	char error[256];

	(void)state;
	open_server(0);
	setup.address = *http_address(http);
	assert_null(http_open(&setup, error, sizeof error));
	assert_non_null(strstr(error, "could not listen on 127.0.0.1:"));
	assert_non_null(strstr(error, ": address in use: end what listens there"));
	assert_true(address_parse_place("127.0.0.1:0", &setup.address));
	setup.certificate = setup.key = "nonsense";
	assert_null(http_open(&setup, error, sizeof error));
	assert_non_null(strstr(error, "http_listen"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_request_is_told_and_answered, tear_down),
		cmocka_unit_test_teardown(what_is_put_off_is_asked_again, tear_down),
		cmocka_unit_test_teardown(it_closes_while_somebody_waits, tear_down),
		cmocka_unit_test_teardown(who_does_not_take_an_answer_whole_is_shut_out, tear_down),
		cmocka_unit_test_teardown(answers_that_nobody_reads_are_bounded, tear_down),
		cmocka_unit_test_teardown(what_cannot_be_listened_on_is_said, tear_down),
	};

	signals_block();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
