/* A row that answers auth_query, or the question for roles: it comes from whoever is at the other end of the connection. */
#include "base/check.h"
#include "session/lookup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body = span_of(data, size), secret;
	const char *problem = lookup_read(body, span_text("web"), &secret);

	check(!problem || !secret.at);
	check(!secret.at || secret.length == 0 || (secret.at >= data && secret.at + secret.length <= data + size));
	problem = lookup_read_role(body, &secret);
	check(problem || (secret.at && secret.at >= data && secret.at + secret.length <= data + size));
	check(problem || secret.length == 0 || !memchr(secret.at, 0, secret.length));
	return 0;
}
