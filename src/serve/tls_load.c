/* From settings to contexts, by the keeper: all of it, or nothing and the reason. */
#include "auth/login.h"
#include "base/log.h"
#include "base/text.h"
#include "serve/tls.h"

/* Where clients are not made to show a certificate they are asked for one as soon as we could judge it: rules of auth_hba_file may want it. */
static enum tls_check check_of_clients(const struct config *config)
{
	if (config->client_tls_sslmode >= SSLMODE_VERIFY_CA)
		return TLS_CHECK_CHAIN;
	return config->client_tls_ca_file[0] ? TLS_CHECK_WHEN_GIVEN : TLS_CHECK_NOTHING;
}

static enum tls_check check_of_servers(const struct config *config)
{
	if (config->server_tls_sslmode == SSLMODE_VERIFY_FULL)
		return TLS_CHECK_NAME;
	return config->server_tls_sslmode == SSLMODE_VERIFY_CA ? TLS_CHECK_CHAIN : TLS_CHECK_NOTHING;
}

/* A certificate whose time is over (or not come) can be a mistake of this RELOAD, which is refused, or of long ago, which is told. */
static bool is_certificate_in_time(const struct tls_context *context, const struct tls_context *before, bool reload,
	char *error, size_t error_size)
{
	const char *doubt = tls_context_doubt(context);

	if (!doubt)
		return true;
	if (reload && !tls_context_same_certificate(context, before)) {
		text_copy(error, error_size, doubt);
		return false;
	}
	log_line(LOG_WARNING, "%s", doubt);
	return true;
}

static bool load_clients(const struct config *config, struct tls_pair *out, char *error, size_t error_size)
{
	struct tls_setup setup = {
		.side = TLS_ACCEPTS,
		.check = check_of_clients(config),
		.prefix = "client_tls",
		.key_file = config->client_tls_key_file,
		.cert_file = config->client_tls_cert_file,
		.ca_file = config->client_tls_ca_file,
		.crl_file = config->client_tls_crl_file,
		.protocols = config->client_tls_protocols,
		.ciphers = config->client_tls_ciphers,
		.suites = config->client_tls13_ciphers,
		.curve = config->client_tls_ecdhcurve,
		.dheparams = config->client_tls_dheparams,
	};

	if (config->client_tls_sslmode == SSLMODE_DISABLE)
		return true;
	out->clients = tls_context_new(&setup, error, error_size);
	return out->clients != NULL;
}

static bool load_servers(const struct config *config, struct tls_pair *out, char *error, size_t error_size)
{
	struct tls_setup setup = {
		.side = TLS_DIALS,
		.check = check_of_servers(config),
		.prefix = "server_tls",
		.key_file = config->server_tls_key_file,
		.cert_file = config->server_tls_cert_file,
		.ca_file = config->server_tls_ca_file,
		.crl_file = config->server_tls_crl_file,
		.protocols = config->server_tls_protocols,
		.ciphers = config->server_tls_ciphers,
		.suites = config->server_tls13_ciphers,
		.curve = "",
		.dheparams = "",
	};

	if (config->server_tls_sslmode == SSLMODE_DISABLE)
		return true;
	out->servers = tls_context_new(&setup, error, error_size);
	return out->servers != NULL;
}

bool tls_agrees(const struct config *config, char *error, size_t error_size)
{
	if (config->server_tls_negotiation && config->server_tls_sslmode < SSLMODE_REQUIRE) {
		text_format(error, error_size,
			"server_tls_negotiation = direct: server_tls_sslmode must be require, verify-ca or verify-full, since a server "
			"is not asked");
		return false;
	}
	if (config->auth_type == AUTH_CERT && config->client_tls_sslmode < SSLMODE_VERIFY_CA) {
		text_format(error, error_size, "auth_type = cert: client_tls_sslmode must be verify-full");
		return false;
	}
	return true;
}

bool tls_load(const struct config *config, const struct tls_pair *before, struct tls_pair *out, char *error,
	size_t error_size)
{
	*out = (struct tls_pair){ 0 };
	if (tls_agrees(config, error, error_size) && load_clients(config, out, error, error_size) &&
		load_servers(config, out, error, error_size) &&
		is_certificate_in_time(
			out->clients, before ? before->clients : NULL, before != NULL, error, error_size) &&
		is_certificate_in_time(out->servers, before ? before->servers : NULL, before != NULL, error, error_size))
		return true;
	tls_pair_drop(out);
	return false;
}
