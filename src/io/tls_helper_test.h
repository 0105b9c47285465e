#ifndef PGWEIR_IO_TLS_HELPER_TEST_H
#define PGWEIR_IO_TLS_HELPER_TEST_H

#include "io/helper_test.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "io/tls_private.h"

/* Certificates for a test, and a TLS client of the test's own whose every byte it decides about. */

static char papers[64]; /* the folder with keys and certificates */

static inline const char *paper(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	text_format(path, 128, "%s/%s", papers, name);
	return path;
}

static inline void write_paper(const char *name, const char *text)
{
	FILE *file = fopen(paper(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static inline void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, (char *)(uintptr_t)value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

struct identity {
	X509 *certificate;
	EVP_PKEY *key;
};

/* NAME.crt and NAME.key, from `issuer` (NULL: itself, an authority); valid from `begin` to `end`, in seconds from now. */
static inline struct identity make_identity(const char *name, const struct identity *issuer, const char *common_name,
	const char *alternatives, long begin, long end)
{
	static long serial = 1;
	struct identity made = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *subject = X509_get_subject_name(made.certificate);
	char file[64];
	FILE *out;

	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), begin);
	X509_gmtime_adj(X509_getm_notAfter(made.certificate), end);
	X509_set_pubkey(made.certificate, made.key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(made.certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject);
	if (!issuer)
		extend(made.certificate, made.certificate, NID_basic_constraints, "critical,CA:TRUE");
	if (alternatives)
		extend(made.certificate, made.certificate, NID_subject_alt_name, alternatives);
	assert_true(X509_sign(made.certificate, issuer ? issuer->key : made.key, EVP_sha256()) > 0);

	text_format(file, sizeof file, "%s.crt", name);
	out = fopen(paper(file), "w");
	assert_non_null(out);
	PEM_write_X509(out, made.certificate);
	fclose(out);
	text_format(file, sizeof file, "%s.key", name);
	out = fopen(paper(file), "w");
	assert_non_null(out);
	PEM_write_PrivateKey(out, made.key, NULL, NULL, 0, NULL, NULL);
	fclose(out);
	return made;
}

static inline void identity_fini(struct identity *identity)
{
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
}

/* authority: ours. stranger: another's. server: localhost and 127.0.0.1. client: for "alice", also called "alice.example".
 * past: a server's that is over. future: a server's whose time is to come. foreign: a server's by the stranger. */
static inline int make_papers(void **state)
{
	const long day = 86400;
	struct identity authority, stranger, one;

	(void)state;
	text_format(papers, sizeof papers, "/tmp/pgweir-tls-XXXXXX");
	assert_non_null(mkdtemp(papers));
	authority = make_identity("authority", NULL, "an authority", NULL, -day, day);
	stranger = make_identity("stranger", NULL, "another authority", NULL, -day, day);
	one = make_identity("server", &authority, "localhost", "DNS:localhost,IP:127.0.0.1", -day, day);
	identity_fini(&one);
	one = make_identity("client", &authority, "alice", "DNS:alice.example", -day, day);
	identity_fini(&one);
	one = make_identity("past", &authority, "localhost", NULL, -2 * day, -day);
	identity_fini(&one);
	one = make_identity("future", &authority, "localhost", NULL, day, 2 * day);
	identity_fini(&one);
	one = make_identity("foreign", &stranger, "localhost", NULL, -day, day);
	identity_fini(&one);
	identity_fini(&authority);
	identity_fini(&stranger);
	return 0;
}

static inline int burn_papers(void **state)
{
	static const char *const names[] = { "authority", "stranger", "server", "client", "past", "future", "foreign" };
	char file[64];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		text_format(file, sizeof file, "%s.crt", names[i]);
		unlink(paper(file));
		text_format(file, sizeof file, "%s.key", names[i]);
		unlink(paper(file));
	}
	unlink(paper("scrap"));
	rmdir(papers);
	return 0;
}

static inline struct tls_setup accepts(void)
{
	return (struct tls_setup){
		.side = TLS_ACCEPTS,
		.prefix = "client_tls",
		.key_file = paper("server.key"),
		.cert_file = paper("server.crt"),
		.ca_file = "",
		.protocols = "secure",
		.ciphers = "default",
		.suites = "",
		.curve = "auto",
		.dheparams = "auto",
	};
}

static inline struct tls_setup dials(void)
{
	return (struct tls_setup){
		.side = TLS_DIALS,
		.prefix = "server_tls",
		.key_file = "",
		.cert_file = "",
		.ca_file = "",
		.protocols = "secure",
		.ciphers = "default",
		.suites = "",
		.curve = "",
		.dheparams = "",
	};
}

static inline struct tls_context *context_of(const struct tls_setup *setup)
{
	char error[600] = "";
	struct tls_context *context = tls_context_new(setup, error, sizeof error);

	assert_string_equal(error, "");
	assert_non_null(context);
	return context;
}

/* ---- two streams of one loop, joined by TLS ---- */

#define REQUEST "REQUEST!"

struct pair {
	struct world w;
	struct tls_context *accepting, *dialing;
	struct owner a, b; /* dialed, accepted */
};

static inline void pair_init(struct pair *p, const struct tls_setup *accepting, const struct tls_setup *dialing)
{
	world_init(&p->w, ROAD_IPV4);
	p->accepting = context_of(accepting);
	p->dialing = context_of(dialing);
	owner_init(&p->a);
	owner_init(&p->b);
}

static inline void pair_fini(struct pair *p)
{
	owner_fini(&p->a);
	owner_fini(&p->b);
	tls_context_drop(p->accepting);
	tls_context_drop(p->dialing);
	world_fini(&p->w);
}

/* A dials, B has accepted and not answered yet. */
static inline void pair_dial(struct pair *p, const char *host, bool direct, bool optional)
{
	struct tls_dial dial = {
		.context = p->dialing,
		.host = host,
		.request = span_of(REQUEST, direct ? 0 : strlen(REQUEST)),
		.optional = optional,
	};

	expect_newcomer(&p->w, &p->b);
	p->a.stream = stream_dial_tls(p->w.loop, listener_address(p->w.door), NULL, &dial, &p->a);
	assert_non_null(p->a.stream);
	if (direct)
		p->b.appetite = 0;
	until(&p->w, p->b.deliveries > 0);
	if (direct) {
		p->b.appetite = SIZE_MAX;
		return;
	}
	assert_got(&p->b, REQUEST);
	buf_clear(&p->b.got);
}

/* B says yes; both go on to the end of the handshake, whatever it is. */
static inline void pair_shake(struct pair *p, bool direct)
{
	if (!direct)
		say_text(&p->b, "S");
	p->b.deliveries = 0;
	assert_true(stream_secure(p->b.stream, p->accepting, direct));
	until(&p->w, (p->a.connected || p->a.ended) && (p->b.connected || p->b.ended));
}

static inline void pair_join(struct pair *p)
{
	struct tls_setup accepting = accepts(), dialing = dials();

	pair_init(p, &accepting, &dialing);
	pair_dial(p, "localhost", false, false);
	pair_shake(p, false);
	assert_int_equal(p->a.connected + p->b.connected, 2);
	assert_true(stream_is_secure(p->a.stream) && stream_is_secure(p->b.stream));
}

/* ---- a client of the test's own, over a raw socket ---- */

struct raw {
	int fd;
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
};

/* `version`: the newest that it speaks; 0: any. */
static inline void raw_init(struct raw *r, struct world *w, struct owner *o, struct tls_context *accepting, int version)
{
	r->fd = raw_join(w, o);
	r->context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(r->context, version);
	r->ssl = SSL_new(r->context);
	r->in = BIO_new(BIO_s_mem());
	r->out = BIO_new(BIO_s_mem());
	SSL_set_bio(r->ssl, r->in, r->out);
	SSL_set_connect_state(r->ssl);
	assert_true(stream_secure(o->stream, accepting, false));
}

static inline void raw_fini(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->context);
	if (r->fd >= 0)
		close(r->fd);
	ERR_clear_error();
}

/* Give the socket what the client has sealed, in pieces of `step`; with a turn of the loop after each where `turns` says so. */
static inline size_t raw_send(struct raw *r, struct world *w, size_t step, bool turns)
{
	uint8_t bytes[4096];
	size_t total = 0;
	int n;

	while ((n = BIO_read(r->out, bytes, (int)(step < sizeof bytes ? step : sizeof bytes))) > 0) {
		assert_int_equal(send(r->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
		total += (size_t)n;
		if (turns)
			world_turn(w);
	}
	return total;
}

static inline void raw_receive(struct raw *r)
{
	uint8_t bytes[65536];
	ssize_t n;

	while ((n = recv(r->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		assert_int_equal(BIO_write(r->in, bytes, (int)n), n);
}

static inline void raw_shake(struct raw *r, struct world *w, struct owner *o, size_t step)
{
	time_us give_up = clock_now() + 30 * SECOND_US;

	while (SSL_do_handshake(r->ssl) != 1 || !o->connected) {
		assert_true(clock_now() < give_up);
		ERR_clear_error();
		raw_send(r, w, step, true);
		world_turn(w);
		raw_receive(r);
	}
	raw_send(r, w, step, true);
}

/* The client is done with its handshake, and has not sent the last of it. */
static inline void raw_believes(struct raw *r, struct world *w)
{
	time_us give_up = clock_now() + 30 * SECOND_US;

	while (SSL_do_handshake(r->ssl) != 1) {
		assert_true(clock_now() < give_up);
		ERR_clear_error();
		raw_send(r, w, 4096, false);
		world_turn(w);
		raw_receive(r);
	}
}

/* Seal these words and give them to the socket. */
static inline void raw_say(struct raw *r, struct world *w, const char *words)
{
	assert_int_equal(SSL_write(r->ssl, words, (int)strlen(words)), strlen(words));
	raw_send(r, w, 4096, false);
}

/* A loop with one stream B, and such a client at its other end. */
struct scene {
	struct tls_context *context;
	struct world w;
	struct owner b;
	struct raw r;
};

static inline void scene_init(struct scene *c, const struct tls_setup *accepting, int version)
{
	c->context = context_of(accepting);
	world_init(&c->w, ROAD_IPV4);
	raw_init(&c->r, &c->w, &c->b, c->context, version);
}

/* And the handshake is over. */
static inline void scene_open(struct scene *c, int version)
{
	struct tls_setup accepting = accepts();

	scene_init(c, &accepting, version);
	raw_shake(&c->r, &c->w, &c->b, 4096);
}

static inline void scene_fini(struct scene *c)
{
	owner_fini(&c->b);
	raw_fini(&c->r);
	tls_context_drop(c->context);
	world_fini(&c->w);
}

#endif
