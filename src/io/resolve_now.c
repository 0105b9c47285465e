#include <netdb.h>
#include <string.h>

#include "base/text.h"
#include "io/private.h"

/* A name's addresses for who may wait: the start, when nobody is served yet. Whatever the system knows counts (/etc/hosts, NSS), as it does
 * for the addresses of other services on this machine. */

static bool is_among(const struct address *address, const struct address *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (address_equal(address, &list[i]))
			return true;
	return false;
}

size_t resolve_now(
	const char *name, uint16_t port, struct address *out, size_t most, char *problem, size_t problem_size)
{
	struct addrinfo wish = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int error = getaddrinfo(name, NULL, &wish, &found);
	size_t count = 0;

	if (error != 0) {
		text_copy(problem, problem_size, gai_strerror(error));
		return 0;
	}
	for (const struct addrinfo *at = found; at && count < most; at = at->ai_next) {
		struct sockaddr_storage storage = { 0 };

		if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) || at->ai_addrlen > sizeof storage)
			continue;
		memcpy(&storage, at->ai_addr, at->ai_addrlen);
		address_from_kernel(&storage, at->ai_addrlen, &out[count]);
		out[count].port = port;
		if (!is_among(&out[count], out, count))
			count++;
	}
	freeaddrinfo(found);
	if (count == 0)
		text_copy(problem, problem_size, "it has no address");
	return count;
}
