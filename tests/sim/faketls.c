/* io/tls.h in the simulated world, where nothing is encrypted. */
#include "base/check.h"
#include "io/tls.h"

struct tls_context *tls_context_keep(struct tls_context *context)
{
	check(!context);
	return NULL;
}

void tls_context_drop(struct tls_context *context)
{
	check(!context);
}

struct stream *stream_dial_tls(struct loop *loop, const struct address *to, const struct stream_options *options,
	const struct tls_dial *dial, void *owner)
{
	(void)dial;
	return stream_dial(loop, to, options, owner);
}

bool stream_secure(struct stream *s, struct tls_context *context, bool direct)
{
	(void)s;
	(void)context;
	(void)direct;
	return false;
}

const char *stream_trouble(const struct stream *s)
{
	(void)s;
	return NULL;
}

void stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
	(void)s;
	*out = (struct tls_facts){ 0 };
}

size_t stream_tls_binding(const struct stream *s, uint8_t out[TLS_BINDING])
{
	(void)s;
	(void)out;
	return 0;
}

bool stream_tls_names(const struct stream *s, struct buf *out)
{
	(void)s;
	(void)out;
	return true;
}
