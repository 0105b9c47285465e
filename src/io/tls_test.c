#include "io/tls_helper_test.h"

#include <poll.h>

/* Streams with TLS, over real sockets on the loopback: two of ours in one loop, or one of ours and a client that the test drives byte
 * by byte. */

static void bytes_go_both_ways_and_both_know_how(void **state)
{
	struct pair p;
	struct tls_facts facts, other;
	uint8_t binding[TLS_BINDING], same[TLS_BINDING];

	(void)state;
	pair_join(&p);
	say_text(&p.a, "from the dialer");
	say_text(&p.b, "from the other");
	until(&p.w, p.a.got.length == 14 && p.b.got.length == 15);
	assert_got(&p.a, "from the other");
	assert_got(&p.b, "from the dialer");
	stream_tls_facts(p.a.stream, &facts);
	stream_tls_facts(p.b.stream, &other);
	assert_memory_equal(facts.text, "TLSv1.3/TLS_", 12);
	assert_string_equal(facts.text, other.text);
	assert_true(facts.certificate && !facts.verified && !facts.resumed); /* nobody was asked to look */
	assert_false(other.certificate);
	assert_int_equal(stream_tls_binding(p.a.stream, binding), 32); /* SHA-256, as its signature */
	assert_int_equal(stream_tls_binding(p.b.stream, same), 32);
	assert_memory_equal(binding, same, 32);
	stream_close(&p.a.stream);
	until(&p.w, p.b.ended);
	assert_int_equal(p.b.error, 0);
	assert_null(stream_trouble(p.b.stream));
	pair_fini(&p);
}

static void a_plain_stream_knows_that_it_is(void **state)
{
	struct world w;
	struct owner a, b;
	struct tls_facts facts;
	uint8_t binding[TLS_BINDING];

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &a, &b);
	assert_false(stream_is_secure(a.stream));
	stream_tls_facts(a.stream, &facts);
	assert_string_equal(facts.text, "");
	assert_int_equal(stream_tls_binding(a.stream, binding), 0);
	assert_null(w.loop->bench); /* and pays for no bench */
	owner_fini(&a);
	owner_fini(&b);
	world_fini(&w);
}

/* ---- who asks, and how it is answered ---- */

static void direct_tls_begins_with_bytes_that_came_early(void **state)
{
	struct tls_setup accepting = accepts(), dialing = dials();
	struct pair p;

	(void)state;
	pair_init(&p, &accepting, &dialing);
	pair_dial(&p, "localhost", true, false);
	pair_shake(&p, true);
	assert_int_equal(p.a.connected + p.b.connected, 2);
	say_text(&p.a, "direct");
	until(&p.w, p.b.got.length == 6);
	pair_fini(&p);
}

static void direct_tls_without_the_protocols_name_is_refused(void **state)
{
	struct tls_setup accepting = accepts(), dialing = dials();
	struct pair p;

	(void)state;
	pair_init(&p, &accepting, &dialing);
	pair_dial(&p, "localhost", false, false); /* asks, so it sends no ALPN */
	say_text(&p.b, "S");
	assert_true(stream_secure(p.b.stream, p.accepting, true));
	until(&p.w, p.b.ended);
	assert_int_equal(p.b.error, EPROTO);
	assert_non_null(strstr(stream_trouble(p.b.stream), "ALPN"));
	pair_fini(&p);
}

static void a_server_that_says_no_is_spoken_to_in_plain_words(void **state)
{
	struct tls_setup accepting = accepts(), dialing = dials();
	struct pair p;

	(void)state;
	pair_init(&p, &accepting, &dialing);
	pair_dial(&p, "localhost", false, true);
	say_text(&p.b, "N");
	until(&p.w, p.a.connected);
	assert_false(stream_is_secure(p.a.stream));
	say_text(&p.a, "plain");
	until(&p.w, p.b.got.length == 5);
	assert_got(&p.b, "plain");
	say_text(&p.b, "words");
	until(&p.w, p.a.got.length == 5);
	pair_fini(&p);
}

static void answers_that_are_no_yes_end_the_dial(void **state)
{
	static const char *const answers[][2] = {
		{ "N", "does not support SSL, but SSL was required" },
		{ "E", "with an error" },
		{ "x", "no answer" },
		{ "SX", "in plain text behind its answer" },
		{ "NX", "in plain text behind its answer" },
		{ "S\26\3\3\0\5hello", "in plain text behind its answer" },
		{ "", "instead of answering" },
		{ "Ecould not fork new process for connection\n", "with an error" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct tls_setup accepting = accepts(), dialing = dials();
		struct pair p;

		pair_init(&p, &accepting, &dialing);
		pair_dial(&p, "localhost", false, false);
		if (answers[i][0][0])
			assert_true(stream_write(
				p.b.stream, &(struct piece){ answers[i][0], i == 5 ? 11 : strlen(answers[i][0]) }, 1));
		else
			stream_close(&p.b.stream);
		until(&p.w, p.a.ended);
		assert_int_equal(p.a.error, EPROTO);
		assert_int_equal(p.a.connected, 0);
		assert_non_null(stream_trouble(p.a.stream));
		if (!strstr(stream_trouble(p.a.stream), answers[i][1]))
			fail_msg("%s", stream_trouble(p.a.stream));
		pair_fini(&p);
	}
}

/* ---- bytes ---- */

static void a_client_that_sends_byte_by_byte_is_understood(void **state)
{
	struct tls_setup accepting = accepts();
	struct scene c;

	(void)state;
	scene_init(&c, &accepting, 0);
	raw_shake(&c.r, &c.w, &c.b, 1);
	assert_int_equal(SSL_write(c.r.ssl, "slowly", 6), 6);
	raw_send(&c.r, &c.w, 1, true);
	until(&c.w, c.b.got.length == 6);
	assert_got(&c.b, "slowly");
	assert_int_equal(c.b.deliveries, 1); /* a record is delivered whole, however it came */
	say_text(&c.b, "and back");
	some_turns(&c.w);
	for (char got[8] = "";;) {
		raw_receive(&c.r);
		if (SSL_read(c.r.ssl, got, sizeof got) == 8) {
			assert_memory_equal(got, "and back", 8);
			break;
		}
	}
	scene_fini(&c);
}

static void what_comes_with_the_last_of_the_handshake_is_not_lost(void **state)
{
	struct tls_setup accepting = accepts();
	struct scene c;

	(void)state;
	scene_init(&c, &accepting, 0);
	raw_believes(&c.r, &c.w);
	/* Finished and three records in one segment, and nothing ever after it. */
	assert_int_equal(SSL_write(c.r.ssl, "one ", 4), 4);
	assert_int_equal(SSL_write(c.r.ssl, "two ", 4), 4);
	raw_say(&c.r, &c.w, "three");
	until(&c.w, c.b.got.length == 13);
	assert_got(&c.b, "one two three");
	assert_int_equal(c.b.connected, 1);
	scene_fini(&c);
}

static void a_paused_stream_is_delivered_all_records_when_it_goes_on(void **state)
{
	struct scene c;

	(void)state;
	scene_open(&c, 0);
	stream_pause(c.b.stream);
	for (int i = 0; i < 50; i++)
		assert_int_equal(SSL_write(c.r.ssl, "0123456789", 10), 10);
	raw_send(&c.r, &c.w, 4096, false);
	some_turns(&c.w);
	assert_int_equal(c.b.deliveries, 0);
	c.b.appetite = 1; /* what is not consumed comes again, without a word from the kernel */
	stream_resume(c.b.stream);
	until(&c.w, c.b.deliveries == 1);
	assert_int_equal(c.b.last_length, 500);
	c.b.appetite = SIZE_MAX;
	stream_resume(c.b.stream);
	until(&c.w, c.b.got.length == 500);
	assert_int_equal(stream_unread(c.b.stream), 0);
	assert_null(*stream_unread_at(c.b.stream));
	scene_fini(&c);
}

/* Both ways at once, each reader stopping now and then; nothing is lost, doubled or swapped, and what waits has its bound. */
static void megabytes_go_both_ways_with_readers_that_stop(void **state)
{
	enum { total = 6 << 20, part = 150001 };
	static uint8_t story[total];
	struct pair p;
	size_t sent_a = 0, sent_b = 0;
	unsigned n = 0;

	(void)state;
	tell_story(story, 0, total);
	pair_join(&p);
	while (p.a.got.length < total || p.b.got.length < total) {
		if (sent_a < total && stream_queued(p.a.stream) == 0) {
			size_t k = total - sent_a < part ? total - sent_a : part;
			struct piece pieces[3] = { { story + sent_a, 7 }, { story + sent_a + 7, 0 },
				{ story + sent_a + 7, k - 7 } };

			assert_true(stream_write(p.a.stream, pieces, 3));
			sent_a += k;
		}
		if (sent_b < total && stream_queued(p.b.stream) == 0) {
			size_t k = total - sent_b < part ? total - sent_b : part;

			assert_true(stream_write(p.b.stream, &(struct piece){ story + sent_b, k }, 1));
			sent_b += k;
		}
		n++;
		if (n % 7 == 3)
			stream_pause(p.b.stream);
		if (n % 7 == 6)
			stream_resume(p.b.stream);
		assert_true(stream_queued(p.a.stream) < 2 * part);
		world_turn(&p.w);
		assert_true(n < 100000);
	}
	assert_story(buf_span(&p.a.got).at, 0, total);
	assert_story(buf_span(&p.b.got).at, 0, total);
	pair_fini(&p);
}

static void a_megabyte_can_be_collected_unread(void **state)
{
	enum { total = 1 << 20 };
	static uint8_t story[total];
	struct pair p;

	(void)state;
	tell_story(story, 0, total);
	pair_join(&p);
	p.b.appetite = 0;
	assert_true(stream_write(p.a.stream, &(struct piece){ story, total }, 1));
	until(&p.w, stream_unread(p.b.stream) == total);
	p.b.appetite = SIZE_MAX;
	stream_resume(p.b.stream);
	until(&p.w, p.b.got.length == total);
	assert_story(buf_span(&p.b.got).at, 0, total);
	assert_null(*stream_unread_at(p.b.stream));
	pair_fini(&p);
}

static void a_renegotiation_is_declined_and_the_stream_goes_on(void **state)
{
	struct scene c;
	time_us give_up = clock_now() + 30 * SECOND_US;

	(void)state;
	scene_open(&c, TLS1_2_VERSION);
	assert_int_equal(SSL_renegotiate(c.r.ssl), 1);
	(void)SSL_do_handshake(c.r.ssl);
	raw_send(&c.r, &c.w, 4096, false);
	while (ERR_GET_REASON(ERR_peek_error()) != SSL_R_NO_RENEGOTIATION) {
		assert_true(clock_now() < give_up);
		ERR_clear_error();
		world_turn(&c.w);
		raw_receive(&c.r);
		(void)SSL_do_handshake(c.r.ssl);
	}
	ERR_clear_error();
	assert_int_equal(c.b.ended, 0);
	say_text(&c.b, "and on");
	assert_int_equal(stream_queued(c.b.stream), 0);
	scene_fini(&c);
}

/* New keys are confirmed, each time; and this client reads nothing. */
static void who_has_us_answer_without_end_and_reads_nothing_is_cut_off(void **state)
{
	static uint8_t story[8 << 20];
	struct scene c;

	(void)state;
	scene_open(&c, TLS1_3_VERSION);
	assert_true(stream_write(c.b.stream, &(struct piece){ story, sizeof story }, 1));
	assert_true(stream_queued(c.b.stream) > 0);
	for (unsigned n = 0; !c.b.ended; n++) {
		assert_true(n < 20000);
		assert_int_equal(SSL_key_update(c.r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(c.r.ssl), 1);
		raw_say(&c.r, &c.w, "x");
		world_turn(&c.w);
	}
	assert_int_equal(c.b.error, EPROTO);
	assert_string_equal(stream_trouble(c.b.stream), "the peer does not read what it is answered");
	scene_fini(&c);
}

/* ---- moving ---- */

static void a_stream_moves_with_what_is_unread_unsent_and_half_received(void **state)
{
	static uint8_t story[8 << 20];
	struct world other;
	struct scene c;
	struct parcel *parcel;
	uint8_t sealed[4096];
	int n;

	(void)state;
	tell_story(story, 0, sizeof story);
	scene_open(&c, 0);
	world_init(&other, ROAD_IPV4);
	c.b.appetite = 2;
	raw_say(&c.r, &c.w, "abcde");
	until(&c.w, c.b.deliveries == 1);
	assert_int_equal(SSL_write(c.r.ssl, "fghij", 5), 5);
	n = BIO_read(c.r.out, sealed, sizeof sealed);
	assert_int_equal(send(c.r.fd, sealed, 9, 0), 9); /* the head of a record and a little */
	some_turns(&c.w);
	assert_true(
		stream_write(c.b.stream, &(struct piece){ story, sizeof story }, 1)); /* more than the socket takes */
	assert_true(stream_queued(c.b.stream) > 0);
	parcel = stream_detach(&c.b.stream);
	assert_non_null(parcel);
	loop_wait(c.w.loop, 1);
	c.b.stream = stream_attach(other.loop, &parcel, NULL, &c.b);
	assert_non_null(c.b.stream);
	assert_true(stream_is_secure(c.b.stream));
	assert_int_equal(stream_unread(c.b.stream), 3);
	c.b.appetite = SIZE_MAX;
	until(&other, c.b.got.length == 5);
	assert_int_equal(send(c.r.fd, sealed + 9, (size_t)n - 9, 0), n - 9);
	until(&other, c.b.got.length == 10);
	assert_got(&c.b, "abcdefghij");
	for (size_t got = 0; got < sizeof story;) {
		static uint8_t plain[65536];
		int k;

		world_turn(&other);
		raw_receive(&c.r);
		while ((k = SSL_read(c.r.ssl, plain, sizeof plain)) > 0) {
			assert_memory_equal(plain, story + got, (size_t)k);
			got += (size_t)k;
		}
		ERR_clear_error();
	}
	scene_fini(&c);
	world_fini(&other);
}

static void a_parcel_that_nobody_takes_is_freed(void **state)
{
	struct pair p;
	struct parcel *parcel;

	(void)state;
	pair_join(&p);
	parcel = stream_detach(&p.b.stream);
	assert_non_null(parcel);
	parcel_free(&parcel);
	until(&p.w, p.a.ended);
	pair_fini(&p);
}

/* ---- ends ---- */

static void whoever_closes_in_the_handshake_is_told_from_whoever_speaks_nonsense(void **state)
{
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b, bystander_a, bystander_b;
	struct raw r;

	(void)state;
	world_init(&w, ROAD_IPV4);
	join(&w, &bystander_a, &bystander_b);

	raw_init(&r, &w, &b, context, 0);
	assert_int_not_equal(SSL_do_handshake(r.ssl), 1);
	raw_send(&r, &w, 100, false);
	some_turns(&w);
	close(r.fd);
	r.fd = -1;
	until(&w, b.ended);
	if (b.error == EPROTO) /* a reset has no words */
		assert_non_null(strstr(stream_trouble(b.stream), "in the middle of the TLS handshake"));
	assert_int_equal(b.connected, 0);
	owner_fini(&b);
	raw_fini(&r);

	raw_init(&r, &w, &b, context, 0);
	assert_int_equal(send(r.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	until(&w, b.ended);
	assert_int_equal(b.error, EPROTO);
	assert_non_null(strstr(stream_trouble(b.stream), "TLS handshake failed: "));
	owner_fini(&b);
	raw_fini(&r);

	/* And the errors of those are no one else's. */
	raw_init(&r, &w, &b, context, 0);
	raw_shake(&r, &w, &b, 4096);
	say_text(&bystander_a, "hello");
	until(&w, bystander_b.got.length == 5);
	assert_int_equal(ERR_peek_error(), 0);
	owner_fini(&b);
	raw_fini(&r);
	owner_fini(&bystander_a);
	owner_fini(&bystander_b);
	tls_context_drop(context);
	world_fini(&w);
}

static void a_handshake_that_stops_holds_up_nobody(void **state)
{
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner stopped, b;
	struct raw silent, r;

	(void)state;
	world_init(&w, ROAD_IPV4);
	raw_init(&silent, &w, &stopped, context, 0);
	assert_int_not_equal(SSL_do_handshake(silent.ssl), 1);
	raw_send(&silent, &w, 4096, false);
	some_turns(&w);
	raw_init(&r, &w, &b, context, 0);
	raw_shake(&r, &w, &b, 4096);
	assert_int_equal(stopped.connected + stopped.ended, 0);
	stream_finish(&stopped.stream, SECOND_US); /* as when its time is over */
	some_turns(&w);
	owner_fini(&b);
	owner_fini(&stopped);
	raw_fini(&silent);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
}

static void a_forged_record_ends_the_stream_after_what_came_before_it(void **state)
{
	struct scene c;
	uint8_t sealed[4096];
	int n;

	(void)state;
	scene_open(&c, 0);
	assert_int_equal(SSL_write(c.r.ssl, "good", 4), 4);
	assert_int_equal(SSL_write(c.r.ssl, "evil", 4), 4);
	n = BIO_read(c.r.out, sealed, sizeof sealed);
	sealed[n - 1] ^= 1;
	assert_int_equal(send(c.r.fd, sealed, (size_t)n, 0), n);
	until(&c.w, c.b.ended);
	assert_got(&c.b, "good");
	assert_int_equal(c.b.error, EPROTO);
	assert_non_null(stream_trouble(c.b.stream));
	scene_fini(&c);
}

static void a_paused_stream_that_breaks_says_so_when_it_goes_on(void **state)
{
	struct scene c;
	uint8_t sealed[4096];
	int n;

	(void)state;
	scene_open(&c, 0);
	c.b.pause_on_bytes = true;
	c.b.appetite = 1;
	assert_int_equal(SSL_write(c.r.ssl, "good", 4), 4);
	assert_int_equal(SSL_write(c.r.ssl, "evil", 4), 4);
	n = BIO_read(c.r.out, sealed, sizeof sealed);
	sealed[n - 1] ^= 1;
	assert_int_equal(send(c.r.fd, sealed, (size_t)n, 0), n);
	until(&c.w, c.b.hangups == 1);
	some_turns(&c.w);
	assert_int_equal(c.b.ended, 0);
	say_text(&c.b, "nobody hears this");
	c.b.pause_on_bytes = false;
	c.b.appetite = SIZE_MAX;
	stream_resume(c.b.stream);
	until(&c.w, c.b.ended);
	assert_got(&c.b, "good");
	assert_int_equal(c.b.error, EPROTO);
	scene_fini(&c);
}

static void last_words_arrive_and_then_the_end(void **state)
{
	static uint8_t story[3 << 20];
	struct scene c;
	size_t got = 0;
	int k = 0;

	(void)state;
	tell_story(story, 0, sizeof story);
	scene_open(&c, 0);
	raw_say(&c.r, &c.w, "never read");
	assert_true(stream_write(c.b.stream, &(struct piece){ story, sizeof story }, 1));
	stream_finish(&c.b.stream, 20 * SECOND_US);
	while (got < sizeof story || !(SSL_get_shutdown(c.r.ssl) & SSL_RECEIVED_SHUTDOWN)) {
		static uint8_t plain[65536];

		world_turn(&c.w);
		raw_receive(&c.r);
		while ((k = SSL_read(c.r.ssl, plain, sizeof plain)) > 0) {
			assert_memory_equal(plain, story + got, (size_t)k);
			got += (size_t)k;
		}
		ERR_clear_error();
	}
	assert_int_equal(got, sizeof story);
	scene_fini(&c);
}

static void an_end_that_the_peer_announces_is_an_end_like_any(void **state)
{
	struct pair p;

	(void)state;
	pair_join(&p);
	say_text(&p.a, "last");
	stream_shut(p.a.stream);
	until(&p.w, p.b.ended);
	assert_got(&p.b, "last");
	assert_int_equal(p.b.error, 0);
	say_text(&p.b, "but I have more"); /* only one direction is over */
	until(&p.w, p.a.got.length == 15);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways_and_both_know_how),
		cmocka_unit_test(a_plain_stream_knows_that_it_is),
		cmocka_unit_test(direct_tls_begins_with_bytes_that_came_early),
		cmocka_unit_test(direct_tls_without_the_protocols_name_is_refused),
		cmocka_unit_test(a_server_that_says_no_is_spoken_to_in_plain_words),
		cmocka_unit_test(answers_that_are_no_yes_end_the_dial),
		cmocka_unit_test(a_client_that_sends_byte_by_byte_is_understood),
		cmocka_unit_test(what_comes_with_the_last_of_the_handshake_is_not_lost),
		cmocka_unit_test(a_paused_stream_is_delivered_all_records_when_it_goes_on),
		cmocka_unit_test(megabytes_go_both_ways_with_readers_that_stop),
		cmocka_unit_test(a_megabyte_can_be_collected_unread),
		cmocka_unit_test(a_renegotiation_is_declined_and_the_stream_goes_on),
		cmocka_unit_test(who_has_us_answer_without_end_and_reads_nothing_is_cut_off),
		cmocka_unit_test(a_stream_moves_with_what_is_unread_unsent_and_half_received),
		cmocka_unit_test(a_parcel_that_nobody_takes_is_freed),
		cmocka_unit_test(whoever_closes_in_the_handshake_is_told_from_whoever_speaks_nonsense),
		cmocka_unit_test(a_handshake_that_stops_holds_up_nobody),
		cmocka_unit_test(a_forged_record_ends_the_stream_after_what_came_before_it),
		cmocka_unit_test(a_paused_stream_that_breaks_says_so_when_it_goes_on),
		cmocka_unit_test(last_words_arrive_and_then_the_end),
		cmocka_unit_test(an_end_that_the_peer_announces_is_an_end_like_any),
	};

	return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
