#include "io/interfaces.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/log.h"

/* The bytes of an address of this family; NULL: it is of another. */
static const uint8_t *bytes_of(const struct sockaddr *socket, uint8_t family, size_t *length)
{
	*length = family == ADDRESS_IPV4 ? 4 : 16;
	if (socket && family == ADDRESS_IPV4 && socket->sa_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)(const void *)socket)->sin_addr;
	if (socket && family == ADDRESS_IPV6 && socket->sa_family == AF_INET6)
		return (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr;
	return NULL;
}

void interfaces_compare(const struct address *address, bool *host, bool *net)
{
	struct ifaddrs *list;

	*host = *net = false;
	if (getifaddrs(&list) != 0) {
		log_line(LOG_WARNING,
			"the addresses of this machine can not be read: no rule for samehost or samenet fits");
		return;
	}
	for (const struct ifaddrs *one = list; one; one = one->ifa_next) {
		size_t length;
		const uint8_t *own = bytes_of(one->ifa_addr, address->family, &length);
		const uint8_t *mask = bytes_of(one->ifa_netmask, address->family, &length);
		bool inside = own && mask;

		*host = *host || (own && memcmp(own, address->ip, length) == 0);
		for (size_t i = 0; inside && i < length; i++)
			inside = (own[i] & mask[i]) == (address->ip[i] & mask[i]);
		*net = *net || inside;
	}
	freeifaddrs(list);
}
