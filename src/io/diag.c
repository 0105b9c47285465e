#include "io/diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

/* Messages within messages: each says its length, and none is believed beyond what is there.
 *
 *   nlmsghdr | inet_diag_msg | rtattr, value | rtattr, value ...      the next one at a multiple of four
 *                                `-- INET_DIAG_INFO: tcp_info, as long as this kernel makes it */

/* The first `size` bytes. False: there are fewer. */
static bool read_start(struct span from, void *out, size_t size)
{
	if (from.length < size)
		return false;
	memcpy(out, from.at, size);
	return true;
}

static struct span skip_aligned(struct span span, size_t n)
{
	size_t aligned = (n + 3) / 4 * 4;

	return span_skip(span, aligned < span.length ? aligned : span.length);
}

static void read_info(struct span value, struct diag_socket *out)
{
	struct tcp_info info;
	size_t needed = offsetof(struct tcp_info, tcpi_data_segs_out) + sizeof info.tcpi_data_segs_out;

	if (value.length < needed)
		return;
	memset(&info, 0, sizeof info);
	memcpy(&info, value.at, needed);
	out->talks = true;
	out->said = info.tcpi_last_data_sent;
	out->heard = info.tcpi_last_data_recv;
	out->words_out = info.tcpi_data_segs_out;
	out->words_in = info.tcpi_data_segs_in;
}

static bool read_socket(struct span body, struct diag_socket *out)
{
	struct inet_diag_msg message;
	struct rtattr attribute;
	struct span rest;

	*out = (struct diag_socket){ 0 };
	if (!read_start(body, &message, sizeof message))
		return false;
	out->six = message.idiag_family == AF_INET6;
	out->state = message.idiag_state;
	memcpy(out->local, message.id.idiag_src, sizeof out->local);
	memcpy(out->remote, message.id.idiag_dst, sizeof out->remote);
	out->local_port = ntohs(message.id.idiag_sport);
	out->remote_port = ntohs(message.id.idiag_dport);
	out->inode = message.idiag_inode;
	out->unread = message.idiag_rqueue;
	rest = skip_aligned(body, sizeof message);
	while (read_start(rest, &attribute, sizeof attribute)) {
		if (attribute.rta_len < sizeof attribute || attribute.rta_len > rest.length)
			return false;
		if (attribute.rta_type == INET_DIAG_INFO)
			read_info(span_of(rest.at + sizeof attribute, attribute.rta_len - sizeof attribute), out);
		rest = skip_aligned(rest, attribute.rta_len);
	}
	return true;
}

enum diag_answer diag_next(struct span *bytes, struct diag_socket *out)
{
	while (bytes->length > 0) {
		struct nlmsghdr header;
		struct span body;

		if (!read_start(*bytes, &header, sizeof header) || header.nlmsg_len < sizeof header ||
			header.nlmsg_len > bytes->length)
			return DIAG_BAD;
		body = span_of(bytes->at + sizeof header, header.nlmsg_len - sizeof header);
		*bytes = skip_aligned(*bytes, header.nlmsg_len);
		if (header.nlmsg_type == NLMSG_DONE)
			return DIAG_DONE;
		if (header.nlmsg_type == NLMSG_ERROR)
			return DIAG_BAD;
		if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY)
			return read_socket(body, out) ? DIAG_SOCKET : DIAG_BAD;
	}
	return DIAG_MORE;
}

/* Whoever sends and is never answered, as a log is sent, waits for nobody. */
#define MONOLOGUE 16

enum diag_turn diag_turn_of(const struct diag_socket *socket)
{
	if (!socket->talks)
		return DIAG_NOBODYS;
	if (socket->words_in > 0 && (socket->words_out == 0 || socket->said > socket->heard))
		return DIAG_OURS;
	if (socket->words_out > 0 &&
		(socket->words_in == 0 ? socket->words_out < MONOLOGUE : socket->heard > socket->said))
		return DIAG_THEIRS;
	return DIAG_NOBODYS;
}
