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
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b;
	struct raw r;

	(void)state;
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	raw_shake(&r, &w, &b, 1);
	assert_int_equal(SSL_write(r.ssl, "slowly", 6), 6);
	raw_send(&r, &w, 1, true);
	until(&w, b.got.length == 6);
	assert_got(&b, "slowly");
	assert_int_equal(b.deliveries, 1); /* a record is delivered whole, however it came */
	say_text(&b, "and back");
	some_turns(&w);
	for (char got[8] = "";;) {
		raw_receive(&r);
		if (SSL_read(r.ssl, got, sizeof got) == 8) {
			assert_memory_equal(got, "and back", 8);
			break;
		}
	}
	owner_fini(&b);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
}

static void what_comes_with_the_last_of_the_handshake_is_not_lost(void **state)
{
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b;
	struct raw r;

	(void)state;
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	while (SSL_do_handshake(r.ssl) != 1) {
		ERR_clear_error();
		raw_send(&r, &w, 4096, false);
		world_turn(&w);
		raw_receive(&r);
	}
	/* Finished and three records in one segment, and nothing ever after it. */
	assert_int_equal(SSL_write(r.ssl, "one ", 4), 4);
	assert_int_equal(SSL_write(r.ssl, "two ", 4), 4);
	assert_int_equal(SSL_write(r.ssl, "three", 5), 5);
	raw_send(&r, &w, 4096, false);
	until(&w, b.got.length == 13);
	assert_got(&b, "one two three");
	assert_int_equal(b.connected, 1);
	owner_fini(&b);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
}

static void a_paused_stream_is_delivered_all_records_when_it_goes_on(void **state)
{
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b;
	struct raw r;

	(void)state;
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	raw_shake(&r, &w, &b, 4096);
	stream_pause(b.stream);
	for (int i = 0; i < 50; i++)
		assert_int_equal(SSL_write(r.ssl, "0123456789", 10), 10);
	raw_send(&r, &w, 4096, false);
	some_turns(&w);
	assert_int_equal(b.deliveries, 0);
	b.appetite = 1; /* what is not consumed comes again, without a word from the kernel */
	stream_resume(b.stream);
	until(&w, b.deliveries == 1);
	assert_int_equal(b.last_length, 500);
	b.appetite = SIZE_MAX;
	stream_resume(b.stream);
	until(&w, b.got.length == 500);
	assert_int_equal(stream_unread(b.stream), 0);
	assert_null(*stream_unread_at(b.stream));
	owner_fini(&b);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
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

/* ---- moving ---- */

static void a_stream_moves_with_what_is_unread_unsent_and_half_received(void **state)
{
	static uint8_t story[8 << 20];
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w, other;
	struct owner b;
	struct raw r;
	struct parcel *parcel;
	uint8_t sealed[4096];
	int n;

	(void)state;
	tell_story(story, 0, sizeof story);
	world_init(&w, ROAD_IPV4);
	world_init(&other, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	raw_shake(&r, &w, &b, 4096);
	b.appetite = 2;
	assert_int_equal(SSL_write(r.ssl, "abcde", 5), 5);
	raw_send(&r, &w, 4096, false);
	until(&w, b.deliveries == 1);
	assert_int_equal(SSL_write(r.ssl, "fghij", 5), 5);
	n = BIO_read(r.out, sealed, sizeof sealed);
	assert_int_equal(send(r.fd, sealed, 9, 0), 9); /* the head of a record and a little */
	some_turns(&w);
	assert_true(stream_write(b.stream, &(struct piece){ story, sizeof story }, 1)); /* more than the socket takes */
	assert_true(stream_queued(b.stream) > 0);
	parcel = stream_detach(&b.stream);
	assert_non_null(parcel);
	loop_wait(w.loop, 1);
	b.stream = stream_attach(other.loop, &parcel, NULL, &b);
	assert_non_null(b.stream);
	assert_true(stream_is_secure(b.stream));
	assert_int_equal(stream_unread(b.stream), 3);
	b.appetite = SIZE_MAX;
	until(&other, b.got.length == 5);
	assert_int_equal(send(r.fd, sealed + 9, (size_t)n - 9, 0), n - 9);
	until(&other, b.got.length == 10);
	assert_got(&b, "abcdefghij");
	for (size_t got = 0; got < sizeof story;) {
		static uint8_t plain[65536];
		int k;

		world_turn(&other);
		raw_receive(&r);
		while ((k = SSL_read(r.ssl, plain, sizeof plain)) > 0) {
			assert_memory_equal(plain, story + got, (size_t)k);
			got += (size_t)k;
		}
		ERR_clear_error();
	}
	owner_fini(&b);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
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

	raw_init(&r, &w, &b, context);
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

	raw_init(&r, &w, &b, context);
	assert_int_equal(send(r.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	until(&w, b.ended);
	assert_int_equal(b.error, EPROTO);
	assert_non_null(strstr(stream_trouble(b.stream), "TLS handshake failed: "));
	owner_fini(&b);
	raw_fini(&r);

	/* And the errors of those are no one else's. */
	raw_init(&r, &w, &b, context);
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
	raw_init(&silent, &w, &stopped, context);
	assert_int_not_equal(SSL_do_handshake(silent.ssl), 1);
	raw_send(&silent, &w, 4096, false);
	some_turns(&w);
	raw_init(&r, &w, &b, context);
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
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b;
	struct raw r;
	uint8_t sealed[4096];
	int n;

	(void)state;
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	raw_shake(&r, &w, &b, 4096);
	assert_int_equal(SSL_write(r.ssl, "good", 4), 4);
	assert_int_equal(SSL_write(r.ssl, "evil", 4), 4);
	n = BIO_read(r.out, sealed, sizeof sealed);
	sealed[n - 1] ^= 1;
	assert_int_equal(send(r.fd, sealed, (size_t)n, 0), n);
	until(&w, b.ended);
	assert_got(&b, "good");
	assert_int_equal(b.error, EPROTO);
	assert_non_null(stream_trouble(b.stream));
	owner_fini(&b);
	raw_fini(&r);
	tls_context_drop(context);
	world_fini(&w);
}

static void last_words_arrive_and_then_the_end(void **state)
{
	static uint8_t story[3 << 20];
	struct tls_setup accepting = accepts();
	struct tls_context *context = context_of(&accepting);
	struct world w;
	struct owner b;
	struct raw r;
	size_t got = 0;
	int k = 0;

	(void)state;
	tell_story(story, 0, sizeof story);
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	raw_shake(&r, &w, &b, 4096);
	assert_int_equal(SSL_write(r.ssl, "never read", 10), 10);
	raw_send(&r, &w, 4096, false);
	assert_true(stream_write(b.stream, &(struct piece){ story, sizeof story }, 1));
	stream_finish(&b.stream, 20 * SECOND_US);
	while (got < sizeof story || !(SSL_get_shutdown(r.ssl) & SSL_RECEIVED_SHUTDOWN)) {
		static uint8_t plain[65536];

		world_turn(&w);
		raw_receive(&r);
		while ((k = SSL_read(r.ssl, plain, sizeof plain)) > 0) {
			assert_memory_equal(plain, story + got, (size_t)k);
			got += (size_t)k;
		}
		ERR_clear_error();
	}
	assert_int_equal(got, sizeof story);
	raw_fini(&r);
	owner_fini(&b);
	tls_context_drop(context);
	world_fini(&w);
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

/* ---- who is who ---- */

struct meeting {
	const char *certificate; /* of the server */
	enum tls_check check;
	const char *ca, *host, *trouble; /* trouble NULL: they meet */
};

static void the_server_is_looked_at_as_closely_as_was_asked(void **state)
{
	static const struct meeting meetings[] = {
		{ "foreign", TLS_CHECK_NOTHING, "", "anybody", NULL },
		{ "past", TLS_CHECK_NOTHING, "authority", "anybody", NULL },
		{ "server", TLS_CHECK_CHAIN, "authority", "another.example", NULL },
		{ "server", TLS_CHECK_NAME, "authority", "localhost", NULL },
		{ "server", TLS_CHECK_NAME, "authority", "127.0.0.1", NULL },
		{ "server", TLS_CHECK_NAME, "authority", "another.example", "ostname mismatch" },
		{ "server", TLS_CHECK_NAME, "authority", "127.0.0.2", "IP address mismatch" },
		{ "foreign", TLS_CHECK_CHAIN, "authority", "localhost", "unable to get local issuer" },
		{ "past", TLS_CHECK_CHAIN, "authority", "localhost", "expired" },
		{ "future", TLS_CHECK_CHAIN, "authority", "localhost", "not yet valid" },
		{ "stranger", TLS_CHECK_CHAIN, "authority", "localhost", "self-signed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof meetings / sizeof *meetings; i++) {
		const struct meeting *m = &meetings[i];
		struct tls_setup accepting = accepts(), dialing = dials();
		char key[64], certificate[64], ca[64];
		struct tls_facts facts;
		struct pair p;

		text_format(key, sizeof key, "%s.key", m->certificate);
		text_format(certificate, sizeof certificate, "%s.crt", m->certificate);
		text_format(ca, sizeof ca, "%s.crt", m->ca);
		accepting.key_file = paper(key);
		accepting.cert_file = paper(certificate);
		dialing.check = m->check;
		dialing.ca_file = m->ca[0] ? paper(ca) : "";
		pair_init(&p, &accepting, &dialing);
		pair_dial(&p, m->host, false, false);
		pair_shake(&p, false);
		if (m->trouble) {
			until(&p.w, p.a.ended && p.b.ended);
			assert_int_equal(p.a.error, EPROTO);
			if (!strstr(stream_trouble(p.a.stream), m->trouble))
				fail_msg("%zu: %s", i, stream_trouble(p.a.stream));
			assert_non_null(strstr(stream_trouble(p.b.stream), "alert")); /* and it was told */
		} else {
			assert_int_equal(p.a.connected + p.b.connected, 2);
			stream_tls_facts(p.a.stream, &facts);
			assert_int_equal(facts.verified, m->check != TLS_CHECK_NOTHING);
		}
		pair_fini(&p);
	}
}

static void a_client_shows_its_certificate(void **state)
{
	static const struct {
		const char *certificate; /* of the client; NULL: none */
		enum tls_check check;
		bool meets, given, verified;
	} cases[] = {
		{ NULL, TLS_CHECK_WHEN_GIVEN, true, false, false },
		{ "client", TLS_CHECK_WHEN_GIVEN, true, true, true },
		{ "foreign", TLS_CHECK_WHEN_GIVEN, true, true, false },
		{ "past", TLS_CHECK_WHEN_GIVEN, true, true, false },
		{ "client", TLS_CHECK_CHAIN, true, true, true },
		{ NULL, TLS_CHECK_CHAIN, false, false, false },
		{ "foreign", TLS_CHECK_CHAIN, false, false, false },
		{ "past", TLS_CHECK_CHAIN, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tls_setup accepting = accepts(), dialing = dials();
		char key[64], certificate[64];
		struct buf names = { 0 };
		struct tls_facts facts;
		struct pair p;

		accepting.check = cases[i].check;
		accepting.ca_file = paper("authority.crt");
		if (cases[i].certificate) {
			text_format(key, sizeof key, "%s.key", cases[i].certificate);
			text_format(certificate, sizeof certificate, "%s.crt", cases[i].certificate);
			dialing.key_file = paper(key);
			dialing.cert_file = paper(certificate);
		}
		pair_init(&p, &accepting, &dialing);
		pair_dial(&p, "localhost", false, false);
		pair_shake(&p, false);
		if (cases[i].meets) {
			stream_tls_facts(p.b.stream, &facts);
			assert_int_equal(p.b.connected, 1);
			assert_int_equal(facts.certificate, cases[i].given);
			assert_int_equal(facts.verified, cases[i].verified);
			assert_true(stream_tls_names(p.b.stream, &names));
			if (facts.verified)
				assert_true(span_equal(buf_span(&names), span_of("alice\0alice.example", 20)));
			else if (!facts.certificate)
				assert_int_equal(names.length, 0);
			buf_fini(&names);
		} else {
			/* In TLS 1.3 the client is done before it is judged. */
			until(&p.w, p.b.ended && p.a.ended);
			assert_int_equal(p.b.error, EPROTO);
			assert_non_null(stream_trouble(p.b.stream));
			assert_int_equal(p.a.error, EPROTO);
			assert_non_null(strstr(stream_trouble(p.a.stream), "alert"));
		}
		pair_fini(&p);
	}
}

/* The alert of a refused certificate must reach a client that has sent more already: no reset may overtake it. */
static void a_refused_client_hears_why(void **state)
{
	struct tls_setup accepting = accepts();
	struct tls_context *context;
	struct world w;
	struct owner b;
	struct raw r;
	struct pollfd fd;

	(void)state;
	accepting.check = TLS_CHECK_CHAIN;
	accepting.ca_file = paper("authority.crt");
	context = context_of(&accepting);
	world_init(&w, ROAD_IPV4);
	raw_init(&r, &w, &b, context);
	while (SSL_do_handshake(r.ssl) != 1) {
		ERR_clear_error();
		raw_send(&r, &w, 4096, false);
		world_turn(&w);
		raw_receive(&r);
	}
	assert_int_equal(SSL_write(r.ssl, "a startup packet", 16), 16);
	raw_send(&r, &w, 4096, false);
	until(&w, b.ended);
	assert_int_equal(SSL_write(r.ssl, "and more", 8), 8);
	raw_send(&r, &w, 4096, false);
	stream_finish(&b.stream, 10 * SECOND_US);
	some_turns(&w);
	fd = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 10000), 1);
	raw_receive(&r);
	assert_true(SSL_read(r.ssl, (char[8]){ 0 }, 8) <= 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
	raw_fini(&r);
	owner_fini(&b);
	tls_context_drop(context);
	world_fini(&w);
}

static void a_server_that_is_dialed_again_is_resumed(void **state)
{
	struct tls_setup accepting = accepts(), dialing = dials();
	struct tls_facts facts;
	struct pair p;

	(void)state;
	dialing.check = TLS_CHECK_NAME;
	dialing.ca_file = paper("authority.crt");
	pair_init(&p, &accepting, &dialing);
	for (int round = 0; round < 3; round++) {
		pair_dial(&p, round == 2 ? "127.0.0.1" : "localhost", false, false);
		pair_shake(&p, false);
		say_text(&p.b, "and a ticket before it");
		until(&p.w, p.a.got.length > 0);
		stream_tls_facts(p.a.stream, &facts);
		assert_int_equal(facts.resumed, round == 1); /* the third is another name */
		assert_true(facts.verified);
		owner_fini(&p.a);
		owner_fini(&p.b);
		owner_init(&p.a);
		owner_init(&p.b);
	}
	pair_fini(&p);
}

/* ---- settings ---- */

static void refuses(struct tls_setup setup, const char *words, const char *more)
{
	char error[600] = "";

	assert_null(tls_context_new(&setup, error, sizeof error));
	if (!strstr(error, words) || !strstr(error, more))
		fail_msg("%s", error);
	assert_int_equal(ERR_peek_error(), 0);
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
	struct tls_setup s;
	struct tls_context *one, *other;

	(void)state;
	write_paper("scrap", "this is no key\n");
	s = accepts(), s.key_file = paper("nothing.key"), refuses(s, "client_tls_key_file: ", "nothing.key");
	s = accepts(), s.key_file = "", refuses(s, "client_tls_key_file is not set", "needs a key");
	s = accepts(), s.cert_file = paper("scrap"), refuses(s, "client_tls_cert_file \"", "no certificate in it");
	s = accepts(), s.key_file = paper("scrap"), refuses(s, "client_tls_key_file \"", "no private key in it");
	s = accepts(), s.key_file = paper("client.key"), refuses(s, "client.key", "does not match the certificate");
	s = accepts(), s.ca_file = paper("scrap"), refuses(s, "client_tls_ca_file \"", "no certificate in it");
	s = accepts(), s.check = TLS_CHECK_CHAIN, refuses(s, "client_tls_ca_file", "is not set");
	s = dials(), s.key_file = paper("client.key"), refuses(s, "server_tls_cert_file is not set", "");
	s = accepts(), s.protocols = "tlsv1.4", refuses(s, "client_tls_protocols", "tlsv1.4");
	s = accepts(), s.protocols = "secure,!all", refuses(s, "client_tls_protocols", "no version");
	s = accepts(), s.ciphers = "rot13", refuses(s, "client_tls_ciphers \"rot13\"", "no cipher match");
	s = accepts(), s.suites = "rot13", refuses(s, "client_tls13_ciphers \"rot13\"", "");
	s = accepts(), s.curve = "round", refuses(s, "client_tls_ecdhcurve \"round\"", "");
	s = accepts(), s.dheparams = "some", refuses(s, "client_tls_dheparams", "\"some\"");
	write_paper("scrap", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	s = accepts(), s.cert_file = paper("scrap"), refuses(s, "client_tls_cert_file \"", "scrap");
	s = accepts(), s.ca_file = paper("scrap"), refuses(s, "client_tls_ca_file \"", "scrap");

	s = accepts(), s.cert_file = paper("past.crt"), s.key_file = paper("past.key");
	one = context_of(&s), other = context_of(&s);
	assert_non_null(strstr(tls_context_doubt(one), "past.crt"));
	assert_non_null(strstr(tls_context_doubt(one), "expired on"));
	assert_true(tls_context_same_certificate(one, other));
	tls_context_drop(other);
	s = accepts(), other = context_of(&s);
	assert_null(tls_context_doubt(other));
	assert_false(tls_context_same_certificate(one, other));
	tls_context_drop(one);
	tls_context_drop(other);
}

static void versions_and_ciphers_are_those_that_were_asked_for(void **state)
{
	static const struct {
		const char *protocols, *ciphers, *suites, *curve, *begins, *ends;
	} cases[] = {
		{ "tlsv1.2", "default", "", "auto", "TLSv1.2/", "" },
		{ "all,!tlsv1.3", "ECDHE-ECDSA-AES128-GCM-SHA256", "", "prime256v1",
			"TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256", "/ECDH=prime256v1" },
		{ "tlsv1.3", "default", "TLS_CHACHA20_POLY1305_SHA256", "auto", "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256",
			"" },
		{ "secure", "secure", "", "secp384r1", "TLSv1.3/", "/ECDH=secp384r1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tls_setup accepting = accepts(), dialing = dials();
		struct tls_facts facts;
		struct pair p;

		accepting.protocols = cases[i].protocols;
		accepting.ciphers = cases[i].ciphers;
		accepting.suites = cases[i].suites;
		accepting.curve = cases[i].curve;
		pair_init(&p, &accepting, &dialing);
		pair_dial(&p, "localhost", false, false);
		pair_shake(&p, false);
		stream_tls_facts(p.b.stream, &facts);
		assert_memory_equal(facts.text, cases[i].begins, strlen(cases[i].begins));
		assert_string_equal(facts.text + strlen(facts.text) - strlen(cases[i].ends), cases[i].ends);
		pair_fini(&p);
	}
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
		cmocka_unit_test(a_stream_moves_with_what_is_unread_unsent_and_half_received),
		cmocka_unit_test(a_parcel_that_nobody_takes_is_freed),
		cmocka_unit_test(whoever_closes_in_the_handshake_is_told_from_whoever_speaks_nonsense),
		cmocka_unit_test(a_handshake_that_stops_holds_up_nobody),
		cmocka_unit_test(a_forged_record_ends_the_stream_after_what_came_before_it),
		cmocka_unit_test(last_words_arrive_and_then_the_end),
		cmocka_unit_test(an_end_that_the_peer_announces_is_an_end_like_any),
		cmocka_unit_test(the_server_is_looked_at_as_closely_as_was_asked),
		cmocka_unit_test(a_client_shows_its_certificate),
		cmocka_unit_test(a_refused_client_hears_why),
		cmocka_unit_test(a_server_that_is_dialed_again_is_resumed),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said),
		cmocka_unit_test(versions_and_ciphers_are_those_that_were_asked_for),
	};

	return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
