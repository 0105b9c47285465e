#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/text.h"
#include "io/file.h"
#include "io/tls_private.h"

/* Keys and certificates. Files are read here and not by OpenSSL, so that an error can say which file it was and what is wrong. */

#define PEM_MOST (4 << 20)

struct pem {
	const char *key, *path; /* the setting's name and value */
	BIO *bio;
	char *text;
	size_t length;
};

static bool fail(const struct pem *pem, char *error, size_t error_size, const char *reason)
{
	text_format(error, error_size, "%s \"%.200s\": %s", pem->key, pem->path, reason);
	return false;
}

static bool fail_by_openssl(const struct pem *pem, char *error, size_t error_size, const char *otherwise)
{
	char reason[160];

	tls_reason(reason, sizeof reason, otherwise, X509_V_OK);
	return fail(pem, error, error_size, reason);
}

static bool pem_open(struct pem *pem, char *error, size_t error_size)
{
	char reason[300];

	if (!file_read(pem->path, PEM_MOST, &pem->text, &pem->length, reason, sizeof reason)) {
		text_format(error, error_size, "%s: %s", pem->key, reason);
		return false;
	}
	pem->bio = BIO_new_mem_buf(pem->text, (int)pem->length);
	return pem->bio ? true : fail(pem, error, error_size, "memory is refused");
}

static void pem_close(struct pem *pem)
{
	BIO_free(pem->bio);
	if (pem->text)
		secret_wipe(pem->text, pem->length);
	free(pem->text);
}

/* ---- certificates ---- */

/* What of a certificate's time is not now, for people. */
static void tell_time(const X509 *certificate, const struct pem *pem, char *out, size_t size)
{
	const ASN1_TIME *begin = X509_get0_notBefore(certificate), *end = X509_get0_notAfter(certificate);
	bool expired = X509_cmp_current_time(end) < 0;
	BIO *text;
	char *at;
	long length;

	if (!expired && X509_cmp_current_time(begin) <= 0)
		return;
	text = BIO_new(BIO_s_mem());
	if (text && ASN1_TIME_print(text, expired ? end : begin) == 1) {
		length = BIO_get_mem_data(text, &at);
		text_format(out, size, "%s \"%.120s\": the certificate %s %.*s", pem->key, pem->path,
			expired ? "expired on" : "is not valid before", (int)length, at);
	}
	BIO_free(text);
}

/* True: there are no more. False: what stands there is no certificate. */
static bool is_end_of_pem(void)
{
	bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

/* The own certificate, and behind it those that lead from it to an authority. */
static bool take_chain(struct tls_context *context, const struct pem *pem, char *error, size_t error_size)
{
	X509 *certificate = PEM_read_bio_X509_AUX(pem->bio, NULL, NULL, NULL);
	bool ok;

	if (!certificate)
		return is_end_of_pem() ? fail(pem, error, error_size, "there is no certificate in it (PEM is wanted)")
				       : fail_by_openssl(pem, error, error_size, "no certificate");
	ok = SSL_CTX_use_certificate(context->ssl, certificate) == 1;
	tell_time(certificate, pem, context->doubt, sizeof context->doubt);
	X509_free(certificate);
	while (ok && (certificate = PEM_read_bio_X509(pem->bio, NULL, NULL, NULL))) {
		ok = SSL_CTX_add0_chain_cert(context->ssl, certificate) == 1;
		if (!ok)
			X509_free(certificate);
	}
	if (ok && is_end_of_pem())
		return true;
	return fail_by_openssl(pem, error, error_size, "a broken certificate");
}

static bool load_chain(
	struct tls_context *context, const struct tls_setup *setup, const char *key, char *error, size_t error_size)
{
	struct pem pem = { .key = key, .path = setup->cert_file };
	bool ok = pem_open(&pem, error, error_size) && take_chain(context, &pem, error, error_size);

	pem_close(&pem);
	return ok;
}

/* ---- the key ---- */

static int no_passphrase(char *out, int size, int writing, void *asked)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static bool take_key(struct tls_context *context, const struct pem *pem, const char *certificate_path, char *error,
	size_t error_size)
{
	bool asked = false;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem->bio, NULL, no_passphrase, &asked);
	char reason[400];
	bool ok;

	if (!key) {
		if (asked)
			return fail(pem, error, error_size,
				"the key is protected by a passphrase, which can not be asked for");
		/* OpenSSL only says that it does not support this. */
		if (!strstr(pem->text, "PRIVATE KEY-----"))
			return fail(pem, error, error_size, "there is no private key in it (PEM is wanted)");
		return fail_by_openssl(pem, error, error_size, "no private key");
	}
	/* OpenSSL compares it with the certificate, which is there already. */
	ok = SSL_CTX_use_PrivateKey(context->ssl, key) == 1 && SSL_CTX_check_private_key(context->ssl) == 1;
	EVP_PKEY_free(key);
	if (ok)
		return true;
	ERR_clear_error();
	text_format(reason, sizeof reason, "the key does not match the certificate in \"%.200s\"", certificate_path);
	return fail(pem, error, error_size, reason);
}

static bool load_key(
	struct tls_context *context, const struct tls_setup *setup, const char *name, char *error, size_t error_size)
{
	struct pem pem = { .key = name, .path = setup->key_file };
	bool ok = pem_open(&pem, error, error_size) && take_key(context, &pem, setup->cert_file, error, error_size);

	pem_close(&pem);
	return ok;
}

/* ---- authorities ---- */

static bool take_authorities(struct tls_context *context, const struct pem *pem, char *error, size_t error_size)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
	X509 *certificate;
	unsigned count = 0;
	bool ok = true;

	while (ok && (certificate = PEM_read_bio_X509_AUX(pem->bio, NULL, NULL, NULL))) {
		ok = X509_STORE_add_cert(store, certificate) == 1 &&
			(context->side != TLS_ACCEPTS || SSL_CTX_add_client_CA(context->ssl, certificate) == 1);
		X509_free(certificate);
		count++;
	}
	if (!ok || !is_end_of_pem())
		return fail_by_openssl(pem, error, error_size, "a broken certificate");
	return count > 0 ? true : fail(pem, error, error_size, "there is no certificate in it (PEM is wanted)");
}

static bool load_authorities(
	struct tls_context *context, const struct tls_setup *setup, const char *key, char *error, size_t error_size)
{
	struct pem pem = { .key = key, .path = setup->ca_file };
	bool ok = pem_open(&pem, error, error_size) && take_authorities(context, &pem, error, error_size);

	pem_close(&pem);
	return ok;
}

/* ---- what was revoked ---- */

/* One that is out of its time revokes everything: OpenSSL believes no certificate then. */
static bool is_in_time(const X509_CRL *list, const struct pem *pem, char *error, size_t error_size)
{
	const ASN1_TIME *end = X509_CRL_get0_nextUpdate(list);

	if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(list)) > 0)
		return fail(pem, error, error_size, "a list in it is not valid yet");
	return !end || X509_cmp_current_time(end) > 0
		? true
		: fail(pem, error, error_size, "a list in it is out of date: fetch the authority's new one");
}

static bool take_revoked(struct tls_context *context, const struct pem *pem, char *error, size_t error_size)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
	X509_CRL *list;
	unsigned count = 0;
	bool ok = true;

	while ((list = PEM_read_bio_X509_CRL(pem->bio, NULL, NULL, NULL))) {
		ok = is_in_time(list, pem, error, error_size);
		if (ok && X509_STORE_add_crl(store, list) != 1)
			ok = fail_by_openssl(pem, error, error_size, "memory is refused");
		X509_CRL_free(list);
		if (!ok)
			return false;
		count++;
	}
	if (!is_end_of_pem())
		return fail_by_openssl(pem, error, error_size, "a broken list of revoked certificates");
	if (count == 0)
		return fail(pem, error, error_size,
			"there is no list of revoked certificates in it (X509 CRL as PEM is wanted)");
	return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1
		? true
		: fail_by_openssl(pem, error, error_size, "memory is refused");
}

static bool load_revoked(struct tls_context *context, const struct tls_setup *setup, char *error, size_t error_size)
{
	char key[40];
	struct pem pem = { .key = key, .path = setup->crl_file };
	bool ok;

	text_format(key, sizeof key, "%s_crl_file", setup->prefix);
	if (context->check == TLS_CHECK_NOTHING)
		return fail(&pem, error, error_size,
			setup->side == TLS_ACCEPTS ? "client_tls_ca_file is not set, so no certificate is looked at"
						   : "server_tls_sslmode must be verify-ca or verify-full: else no "
						     "certificate is looked at");
	ok = pem_open(&pem, error, error_size) && take_revoked(context, &pem, error, error_size);
	pem_close(&pem);
	return ok;
}

/* ---- the whole ---- */

static bool load_believed(struct tls_context *context, const struct tls_setup *setup, char *error, size_t error_size)
{
	char key[40];

	text_format(key, sizeof key, "%s_ca_file", setup->prefix);
	if (setup->ca_file[0])
		return load_authorities(context, setup, key, error, error_size);
	if (context->check != TLS_CHECK_NOTHING && SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
		text_format(
			error, error_size, "%s is not set, and this system's own authorities can not be loaded", key);
		return false;
	}
	return true;
}

bool tls_load_files(struct tls_context *context, const struct tls_setup *setup, char *error, size_t error_size)
{
	bool both = setup->key_file[0] && setup->cert_file[0];
	char key[40];

	if (!both && (setup->side == TLS_ACCEPTS || setup->key_file[0] || setup->cert_file[0])) {
		text_format(error, error_size, "%s_%s is not set%s", setup->prefix,
			setup->key_file[0] ? "cert_file" : "key_file",
			setup->side == TLS_ACCEPTS ? ": towards clients, TLS needs a key and a certificate" : "");
		return false;
	}
	if (setup->side == TLS_ACCEPTS && setup->check > TLS_CHECK_WHEN_GIVEN && !setup->ca_file[0]) {
		text_format(error, error_size, "%s_ca_file is not set: it names who signs the certificates of clients",
			setup->prefix);
		return false;
	}
	text_format(key, sizeof key, "%s_cert_file", setup->prefix);
	if (both && !load_chain(context, setup, key, error, error_size))
		return false;
	text_format(key, sizeof key, "%s_key_file", setup->prefix);
	if (both && !load_key(context, setup, key, error, error_size))
		return false;
	return load_believed(context, setup, error, error_size) &&
		(!setup->crl_file || !setup->crl_file[0] || load_revoked(context, setup, error, error_size));
}
