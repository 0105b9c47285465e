#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "io/tls_private.h"

/* What is known of a stream's TLS: for SHOW, for the log, and for those who judge who is at the other end. */

bool stream_is_secure(const struct stream *s)
{
	return s->secure && s->tls->phase == TLS_OPEN;
}

const char *stream_trouble(const struct stream *s)
{
	return s->secure ? s->tls->trouble : NULL;
}

static X509 *certificate_of(const struct stream *s)
{
	return stream_is_secure(s) ? SSL_get0_peer_certificate(s->tls->ssl) : NULL;
}

/* The key exchange, as PgBouncer writes it. What is no curve alone has no number but for TLS: from OpenSSL 3.5 on the first choice is
 * X25519MLKEM768. */
static void describe_exchange(SSL *ssl, char *out, size_t size)
{
	int group = SSL_get_negotiated_group(ssl);
	const char *curve = group != NID_undef ? OBJ_nid2sn(group) : NULL, *name = curve;

	if (!name && group != NID_undef)
		name = SSL_group_to_name(ssl, group);
	out[0] = 0;
	if (name)
		text_format(out, size, "/%s=%s", curve ? "ECDH" : "KEM", name);
}

void stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
	char exchange[40];
	SSL *ssl;

	*out = (struct tls_facts){ 0 };
	if (!stream_is_secure(s))
		return;
	ssl = s->tls->ssl;
	describe_exchange(ssl, exchange, sizeof exchange);
	text_format(out->text, sizeof out->text, "%s/%s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl), exchange);
	out->certificate = certificate_of(s) != NULL;
	out->verified = out->certificate && s->tls->context->check != TLS_CHECK_NOTHING &&
		s->tls->problem == X509_V_OK && SSL_get_verify_result(ssl) == X509_V_OK;
	out->resumed = SSL_session_reused(ssl) == 1;
}

/* ---- names in the peer's certificate ---- */

/* A zero byte inside is there to deceive: such a name is nobody's. */
static bool add_name(struct buf *out, const void *text, int length)
{
	if (length <= 0 || memchr(text, 0, (size_t)length))
		return true;
	return buf_add(out, text, (size_t)length) && buf_add(out, "", 1);
}

static bool add_common_names(const X509 *certificate, struct buf *out)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	bool ok = true;

	for (int at = -1; ok && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
		unsigned char *text = NULL;
		int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));

		ok = add_name(out, text, length);
		OPENSSL_free(text);
	}
	return ok;
}

static bool add_dns_names(const X509 *certificate, struct buf *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool ok = true;

	for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			ok = add_name(out, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	return ok;
}

bool stream_tls_names(const struct stream *s, struct buf *out)
{
	const X509 *certificate = certificate_of(s);

	return !certificate || (add_common_names(certificate, out) && add_dns_names(certificate, out));
}

size_t stream_tls_binding(const struct stream *s, uint8_t out[TLS_BINDING])
{
	const EVP_MD *digest;
	X509 *certificate;
	unsigned length = 0;
	int hash;

	if (!stream_is_secure(s))
		return 0;
	certificate = s->tls->context->side == TLS_ACCEPTS ? SSL_get_certificate(s->tls->ssl) : certificate_of(s);
	if (!certificate || X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) != 1)
		return 0;
	/* RFC 5929: those that are broken are replaced. */
	if (hash == NID_md5 || hash == NID_sha1)
		hash = NID_sha256;
	digest = EVP_get_digestbynid(hash);
	if (!digest || EVP_MD_get_size(digest) > TLS_BINDING || X509_digest(certificate, digest, out, &length) != 1)
		return 0;
	return length;
}
