#ifndef PGWEIR_IO_DIAG_H
#define PGWEIR_IO_DIAG_H

#include "base/span.h"

/* What the kernel says of TCP sockets when it is asked by netlink (sock_diag(7)), which anybody may: read here, asked for in visitors.c. */
struct diag_socket {
	bool six;
	uint8_t state; /* TCP_ESTABLISHED ... of linux/tcp_states.h */
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint32_t inode;  /* 0: nobody has accepted it yet */
	uint32_t unread; /* bytes that came and that its owner has not read */
	/* What follows is known of sockets of no listener, from Linux 4.6 on. Ages are in milliseconds. */
	bool talks;
	uint32_t said, heard;         /* bytes were sent for the last time so long ago; ... came for the last time */
	uint32_t words_out, words_in; /* segments with bytes in them, ever */
};

/* The next socket of what netlink answered; what was read is taken from `bytes`. */
enum diag_answer {
	DIAG_SOCKET,
	DIAG_MORE, /* these bytes are at their end, and there are more to ask for */
	DIAG_DONE, /* that was all */
	DIAG_BAD   /* it is none of netlink's language, or the kernel refused */
};
enum diag_answer diag_next(struct span *bytes, struct diag_socket *);

/* What it means for the one at this end that words lie on it for which there has been no answer. */
enum diag_turn {
	DIAG_NOBODYS,
	DIAG_OURS,  /* the other end has spoken last: it waits for this one */
	DIAG_THEIRS /* this end has */
};
enum diag_turn diag_turn_of(const struct diag_socket *);

#endif
