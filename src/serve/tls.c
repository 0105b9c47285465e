/* TLS as a worker sees it: contexts that it shares with the others, and dials that may be encrypted. */
#include "serve/tls.h"

#include "serve/worker.h"
#include "wire/startup.h"

struct tls_pair tls_pair_keep(const struct tls_pair *pair)
{
	return (struct tls_pair){ tls_context_keep(pair->clients), tls_context_keep(pair->servers) };
}

void tls_pair_drop(struct tls_pair *pair)
{
	tls_context_drop(pair->clients);
	tls_context_drop(pair->servers);
	*pair = (struct tls_pair){ 0 };
}

struct stream *tls_dial_server(struct worker *worker, const struct address *address, const char *host, void *owner)
{
	static const uint8_t request[] = STARTUP_SSL_REQUEST;
	const struct config *config = worker->config;
	struct tls_dial dial = {
		.context = worker->tls.servers,
		.host = host,
		.request = span_of(request, config->server_tls_negotiation ? 0 : sizeof request),
		.optional = config->server_tls_sslmode <= SSLMODE_PREFER,
	};

	/* As in libpq, a unix socket is never encrypted. */
	if (!dial.context || address->family == ADDRESS_UNIX)
		return stream_dial(worker->loop, address, &worker->server_options, owner);
	return stream_dial_tls(worker->loop, address, &worker->server_options, &dial, owner);
}

const char *tls_why_ended(const struct stream *stream, int error, const char *otherwise)
{
	const char *trouble = stream_trouble(stream);

	if (trouble)
		return trouble;
	return error ? strerror(error) : otherwise;
}
