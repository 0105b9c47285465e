#include <openssl/dh.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/tls_private.h"

/* From settings to an SSL_CTX, which is made whole or not at all.
 *
 * Tickets. A client that comes again may resume its session, which saves it and us the key exchange's larger half. Not where clients
 * are asked for certificates: who proves himself by one proves it each time. The keys of tickets live as long as the context.
 * There is no cache of sessions on our side. Renegotiation and compression do not exist here. */

void tls_reason(char *out, size_t size, const char *otherwise, long certificate)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (certificate != X509_V_OK && (code == 0 || ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED))
		text_format(out, size, "certificate verify failed: %s", X509_verify_cert_error_string(certificate));
	else if (reason)
		text_copy(out, size, reason);
	else if (code)
		text_format(out, size, "OpenSSL error %lx", code); /* an errno, as a rule */
	else
		text_copy(out, size, otherwise);
	ERR_clear_error();
}

static bool refuse(const struct tls_setup *setup, const char *key, const char *value, char *error, size_t error_size)
{
	char reason[160];

	tls_reason(reason, sizeof reason, "OpenSSL does not know it", X509_V_OK);
	text_format(error, error_size, "%s%s \"%.100s\": %s", setup->prefix, key, value, reason);
	return false;
}

/* ---- versions ---- */

static const struct {
	const char *name;
	unsigned versions; /* bits: TLS 1.0 is 1, 1.3 is 8 */
} protocols[] = {
	{ "tlsv1.0", 1 },
	{ "tlsv1.1", 2 },
	{ "tlsv1.2", 4 },
	{ "tlsv1.3", 8 },
	{ "tlsv1", 15 },
	{ "secure", 12 },
	{ "default", 12 },
	{ "all", 15 },
	{ "legacy", 15 },
};

static bool find_protocol(struct span word, unsigned *versions)
{
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		if (text_equal_nocase(word, span_text(protocols[i].name))) {
			*versions = protocols[i].versions;
			return true;
		}
	}
	return false;
}

/* "tlsv1.2,tlsv1.3"; a "!" takes a version away again, as PgBouncer has it. */
static bool set_protocols(SSL_CTX *ssl, const struct tls_setup *setup, char *error, size_t error_size)
{
	static const uint64_t without[] = { SSL_OP_NO_TLSv1, SSL_OP_NO_TLSv1_1, SSL_OP_NO_TLSv1_2, SSL_OP_NO_TLSv1_3 };
	struct span rest = span_text(setup->protocols);
	unsigned allowed = 0, versions;

	while (rest.length > 0) {
		size_t n = 0;
		struct span word;
		bool away;

		while (n < rest.length && rest.at[n] != ',' && rest.at[n] != ':')
			n++;
		word = text_trim(span_of(rest.at, n));
		rest = span_skip(rest, n < rest.length ? n + 1 : n);
		away = word.length > 0 && word.at[0] == '!';
		if (away)
			word = text_trim(span_skip(word, 1));
		if (!find_protocol(word, &versions)) {
			text_format(error, error_size,
				"%s_protocols: \"%.*s\" is none of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, secure, all and legacy",
				setup->prefix, (int)(word.length < 40 ? word.length : 40), (const char *)word.at);
			return false;
		}
		allowed = away ? allowed & ~versions : allowed | versions;
	}
	if (allowed == 0) {
		text_format(error, error_size, "%s_protocols: no version of TLS is left", setup->prefix);
		return false;
	}
	SSL_CTX_set_min_proto_version(ssl, TLS1_VERSION);
	for (unsigned i = 0; i < 4; i++)
		if (!(allowed & 1u << i))
			SSL_CTX_set_options(ssl, without[i]);
	return true;
}

/* ---- ciphers and key exchange ---- */

static bool set_ciphers(SSL_CTX *ssl, const struct tls_setup *setup, char *error, size_t error_size)
{
	static const char *const shortcuts[][2] = {
		{ "", "HIGH:!aNULL" },
		{ "default", "HIGH:!aNULL" },
		{ "secure", "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20" },
		{ "fast", "HIGH:+AES256:!aNULL" },
		{ "normal", "HIGH:MEDIUM:!aNULL" },
		{ "all", "ALL:!aNULL:!eNULL" },
	};
	const char *list = setup->ciphers;
	struct buf text = { 0 };
	bool ok;

	for (size_t i = 0; i < sizeof shortcuts / sizeof *shortcuts; i++)
		if (strcmp(setup->ciphers, shortcuts[i][0]) == 0)
			list = shortcuts[i][1];
	/* "none" for a key exchange takes its ciphers away; TLS 1.3 knows no other way than (EC)DHE and is not concerned. */
	ok = buf_format(&text, "%s%s%s", list, strcmp(setup->curve, "none") == 0 ? ":!kECDHE" : "",
		strcmp(setup->dheparams, "none") == 0 ? ":!kDHE" : "");
	ok = ok && buf_add(&text, "", 1) && SSL_CTX_set_cipher_list(ssl, (const char *)buf_span(&text).at) == 1;
	buf_fini(&text);
	if (!ok)
		return refuse(setup, "_ciphers", setup->ciphers, error, error_size);
	if (setup->suites[0] && SSL_CTX_set_ciphersuites(ssl, setup->suites) != 1)
		return refuse(setup, "13_ciphers", setup->suites, error, error_size);
	return true;
}

static bool set_exchange(SSL_CTX *ssl, const struct tls_setup *setup, char *error, size_t error_size)
{
	bool named = setup->curve[0] && strcmp(setup->curve, "auto") != 0 && strcmp(setup->curve, "none") != 0;

	if (named && SSL_CTX_set1_groups_list(ssl, setup->curve) != 1)
		return refuse(setup, "_ecdhcurve", setup->curve, error, error_size);
	if (setup->dheparams[0] && strcmp(setup->dheparams, "auto") != 0 && strcmp(setup->dheparams, "legacy") != 0 &&
		strcmp(setup->dheparams, "none") != 0) {
		text_format(error, error_size, "%s_dheparams: \"%.40s\" is none of auto, legacy and none",
			setup->prefix, setup->dheparams);
		return false;
	}
	if (setup->side == TLS_ACCEPTS && strcmp(setup->dheparams, "none") != 0)
		SSL_CTX_set_dh_auto(ssl, strcmp(setup->dheparams, "legacy") == 0 ? 2 : 1);
	return true;
}

/* ---- whom we believe ---- */

/* Where a certificate is only looked at, a bad one is noted and passed. */
static int note_problem(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);

	if (!ok && tls->problem == X509_V_OK)
		tls->problem = X509_STORE_CTX_get_error(store);
	return ok || tls->context->check == TLS_CHECK_WHEN_GIVEN;
}

static void set_check(struct tls_context *context)
{
	int mode = SSL_VERIFY_NONE;

	if (context->check != TLS_CHECK_NOTHING)
		mode = SSL_VERIFY_PEER;
	if (context->side == TLS_ACCEPTS && context->check > TLS_CHECK_WHEN_GIVEN)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(context->ssl, mode, mode == SSL_VERIFY_NONE ? NULL : note_problem);
}

/* A client that names protocols must name ours (https://www.postgresql.org/docs/17/protocol-flow.html, "SSL Session Encryption"). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *offered,
	unsigned offered_length, void *context)
{
	struct span rest = span_of(offered, offered_length);

	(void)ssl;
	(void)context;
	while (rest.length > 0 && rest.length > rest.at[0]) {
		if (span_is(span_of(rest.at + 1, rest.at[0]), "postgresql")) {
			*out = rest.at + 1;
			*out_length = rest.at[0];
			return SSL_TLSEXT_ERR_OK;
		}
		rest = span_skip(rest, (size_t)rest.at[0] + 1);
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- the whole ---- */

static bool set_tickets(struct tls_context *context)
{
	static const unsigned char name[] = "pgweir";

	if (context->side == TLS_DIALS) {
		context->sessions = tls_sessions_new(context->ssl);
		return context->sessions != NULL;
	}
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(context->ssl, name, sizeof name - 1);
	if (context->check != TLS_CHECK_NOTHING) {
		SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(context->ssl, 0) == 1;
	}
	return SSL_CTX_set_num_tickets(context->ssl, 1) == 1;
}

struct tls_context *tls_context_new(const struct tls_setup *setup, char *error, size_t error_size)
{
	struct tls_context *context = calloc(1, sizeof *context);

	ERR_clear_error();
	if (!context)
		goto no_memory;
	context->side = setup->side;
	context->check = setup->check;
	atomic_init(&context->references, 1);
	context->ssl = SSL_CTX_new(setup->side == TLS_ACCEPTS ? TLS_server_method() : TLS_client_method());
	if (!context->ssl)
		goto no_memory;
	SSL_CTX_set_options(context->ssl,
		SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE);
	SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
	if (setup->side == TLS_ACCEPTS)
		SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, NULL);
	set_check(context);
	if (!set_protocols(context->ssl, setup, error, error_size) ||
		!set_ciphers(context->ssl, setup, error, error_size) ||
		!set_exchange(context->ssl, setup, error, error_size) ||
		!tls_load_files(context, setup, error, error_size))
		goto refused;
	if (!set_tickets(context))
		goto no_memory;
	return context;

no_memory:
	text_format(error, error_size, "%s: memory is refused", setup->prefix);
refused:
	ERR_clear_error();
	tls_context_drop(context);
	return NULL;
}

struct tls_context *tls_context_keep(struct tls_context *context)
{
	if (context)
		atomic_fetch_add(&context->references, 1);
	return context;
}

void tls_context_drop(struct tls_context *context)
{
	if (!context || atomic_fetch_sub(&context->references, 1) != 1)
		return;
	SSL_CTX_free(context->ssl);
	tls_sessions_free(context->sessions);
	free(context);
}

const char *tls_context_doubt(const struct tls_context *context)
{
	return context && context->doubt[0] ? context->doubt : NULL;
}

bool tls_context_same_certificate(const struct tls_context *a, const struct tls_context *b)
{
	X509 *one = a ? SSL_CTX_get0_certificate(a->ssl) : NULL, *other = b ? SSL_CTX_get0_certificate(b->ssl) : NULL;

	return one && other && X509_cmp(one, other) == 0;
}
