#ifndef PGWEIR_IO_NAMES_H
#define PGWEIR_IO_NAMES_H

#include <poll.h>

#include "io/loop.h"

/* What is known of host names, for one thread: the resolver's (resolve.c). Nothing in here blocks but the reading of /etc/hosts. */
struct names;

/* NULL: memory refused. */
struct names *names_new(void);
void names_free(struct names *); /* every question that waits is answered "stopped" */

/* What holds from now on; /etc/resolv.conf (or what stands for it) is read anew. */
void names_configure(struct names *, const struct resolver_setup *, time_us now);

/* Takes the letter, and posts it when the answer is known, which may be at once. */
void names_ask(struct names *, struct resolve_letter *, time_us now);

/* The same for a letter that goes backwards (names_host.c). Without a channel nobody can tell. */
struct ares_channeldata;
struct ares_addrinfo_node;
struct names_hosts {
	uint32_t pending;
	struct letter
		*again; /* resolve_letters that a channel left unanswered when it was destroyed, for names_host_again */
};
void names_host(struct ares_channeldata *, struct resolve_letter *, struct names_hosts *);
void names_host_again(struct ares_channeldata *, struct names_hosts *);
bool names_node_address(const struct ares_addrinfo_node *, struct address *); /* false: it is no IP address */

/* What the thread is to wait for: fills in at most NAMES_SOCKETS. Then names_turn, with what poll() found. */
#define NAMES_SOCKETS 16
size_t names_poll(struct names *, struct pollfd *, time_us now, time_us *wait);
void names_turn(struct names *, const struct pollfd *, size_t count, time_us now);

/* For SHOW. */
void names_facts(const struct names *, struct resolver_facts *, time_us now);

#endif
