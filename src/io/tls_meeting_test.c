#include "io/tls_helper_test.h"

#include <poll.h>

/* Who is at the other end of a stream with TLS, and what settings make of it. */

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
	struct scene c;
	struct pollfd fd;

	(void)state;
	accepting.check = TLS_CHECK_CHAIN;
	accepting.ca_file = paper("authority.crt");
	scene_init(&c, &accepting, 0);
	raw_believes(&c.r, &c.w);
	assert_int_equal(SSL_write(c.r.ssl, "a startup packet", 16), 16);
	raw_send(&c.r, &c.w, 4096, false);
	until(&c.w, c.b.ended);
	assert_int_equal(SSL_write(c.r.ssl, "and more", 8), 8);
	raw_send(&c.r, &c.w, 4096, false);
	stream_finish(&c.b.stream, 10 * SECOND_US);
	some_turns(&c.w);
	fd = (struct pollfd){ .fd = c.r.fd, .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 10000), 1);
	raw_receive(&c.r);
	assert_true(SSL_read(c.r.ssl, (char[8]){ 0 }, 8) <= 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
	scene_fini(&c);
}

static void a_server_hears_by_which_name_it_was_dialed(void **state)
{
	static const char *const hosts[] = { "localhost", "shop.example", "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct tls_setup accepting = accepts(), dialing = dials();
		struct pair p;
		const char *heard;

		pair_init(&p, &accepting, &dialing);
		pair_dial(&p, hosts[i], false, false);
		pair_shake(&p, false);
		heard = SSL_get_servername(p.b.stream->tls->ssl, TLSEXT_NAMETYPE_host_name);
		/* An address is no name (RFC 6066, section 3). */
		assert_string_equal(heard ? heard : "", i < 2 ? hosts[i] : "");
		pair_fini(&p);
	}
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
	s = accepts(), s.crl_file = paper("scrap"),
	refuses(s, "client_tls_crl_file \"", "client_tls_ca_file is not set");
	s = dials(), s.crl_file = paper("scrap"),
	refuses(s, "server_tls_crl_file \"", "must be verify-ca or verify-full");
	s = dials(), s.check = TLS_CHECK_CHAIN, s.ca_file = paper("authority.crt"), s.crl_file = paper("scrap");
	refuses(s, "server_tls_crl_file \"", "no list of revoked certificates in it");
	s.crl_file = paper("nothing.crl"), refuses(s, "server_tls_crl_file: ", "nothing.crl");

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
		cmocka_unit_test(the_server_is_looked_at_as_closely_as_was_asked),
		cmocka_unit_test(a_client_shows_its_certificate),
		cmocka_unit_test(a_refused_client_hears_why),
		cmocka_unit_test(a_server_hears_by_which_name_it_was_dialed),
		cmocka_unit_test(a_server_that_is_dialed_again_is_resumed),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said),
		cmocka_unit_test(versions_and_ciphers_are_those_that_were_asked_for),
	};

	return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
