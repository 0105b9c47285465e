#ifndef PGWEIR_IO_ADDRESS_H
#define PGWEIR_IO_ADDRESS_H

#include "base/span.h"

/* Where a peer is, without the kernel's types. */
enum address_family { ADDRESS_NONE, ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_UNIX };

struct address {
	uint8_t family;
	uint16_t port;  /* for a unix socket: the number in its file's name */
	uint32_t scope; /* IPv6 */
	uint8_t ip[16]; /* the first 4 for IPv4 */
	char path[108]; /* ADDRESS_UNIX: the socket's file, or "@name" for an abstract one; "" for an unnamed peer */
	uint32_t process, user; /* ADDRESS_UNIX: the peer's, when known */
};

/* "127.0.0.1", "::1"; false when `text` is no numeric address. */
bool address_parse(const char *text, uint16_t port, struct address *out);

/* An address with its port: "127.0.0.1:6433", "[::1]:6433", "localhost:6433", "*:6433" (all of IPv4). Port 0: the kernel chooses. */
bool address_parse_place(const char *text, struct address *out);
/* What those are known by who are counted by their address: of IPv6 the network (/64), which is one household's. 0: of a unix socket. */
uint64_t address_source(const struct address *);
bool address_is_loopback(const struct address *); /* of this machine only */

/* The socket PostgreSQL would make in this folder ("/run/postgresql", "@abstract"). False: too long. */
bool address_unix(const char *folder, uint16_t port, struct address *out);

/* What a socket is bound to; ADDRESS_NONE: it is none. */
void address_of_socket(int descriptor, struct address *out);

/* "127.0.0.1", "::1" or "unix"; and with the port, "127.0.0.1:5432", "[::1]:5432", "unix:/dir/.s.PGSQL.5432". Returns out. */
#define ADDRESS_TEXT 160
char *address_host_text(const struct address *, char out[ADDRESS_TEXT]);
char *address_text(const struct address *, char out[ADDRESS_TEXT]);
bool address_equal(const struct address *, const struct address *);
/* Who listens on the first is reached by the second too: it is the same, or the first is all addresses of its family ("0.0.0.0", "::") and
 * the ports are the same. */
bool address_covers(const struct address *, const struct address *);

#endif
