#ifndef PGWEIR_IO_TCP_TABLE_H
#define PGWEIR_IO_TCP_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* The TCP sockets of this machine, or of its network namespace, that somebody has open, one after the other. The kernel is asked by sock_diag(7)
 * and leaves out those that only wait after their end, of which there may be thousands; where it does not answer, /proc/net/tcp and tcp6 say
 * the same, a line for each. */

struct tcp_address {
	uint8_t ip[16]; /* of IPv4 as IPv6 has it (RFC 4291, 2.5.5.2): so have sockets of Java, and it is the same address */
	uint16_t port;
};

struct tcp_socket {
	struct tcp_address local, remote;
	uint32_t user;
	int64_t inode; /* what /proc/N/fd names it by; never 0 */
};

struct tcp_table;

/* Those of IPv6, or of IPv4. NULL: nothing is told of them, or memory refused. _text: as if there were no sock_diag. */
struct tcp_table *tcp_table_open(bool six);
struct tcp_table *tcp_table_open_text(bool six);

/* False: there are no more. */
bool tcp_table_next(struct tcp_table *, struct tcp_socket *);
void tcp_table_close(struct tcp_table *); /* NULL is fine */

/* `ip` has 4 bytes, or 16 when `six`. */
struct tcp_address tcp_address_of(const uint8_t *ip, bool six, uint16_t port);
int tcp_address_order(const struct tcp_address *, const struct tcp_address *); /* as memcmp */

#endif
