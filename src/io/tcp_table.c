#include "io/tcp_table.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* The kernel answers one question by many datagrams, each with many sockets:
 *
 *    | nlmsghdr | inet_diag_msg | attributes |  nlmsghdr | ... |     and, in the last one, NLMSG_DONE
 *    ^ at                                                      ^ end */

#define ANSWER_BYTES 32768 /* the kernel fills no more of it */
#define LINE_BYTES   512

struct tcp_table {
	int fd;     /* of sock_diag, or -1 */
	FILE *text; /* of /proc, or NULL */
	size_t at, end;
	union {
		struct nlmsghdr header; /* for its alignment */
		uint8_t bytes[ANSWER_BYTES];
		char line[LINE_BYTES];
	} answer;
};

struct tcp_address tcp_address_of(const uint8_t *ip, bool six, uint16_t port)
{
	struct tcp_address address = { .ip = { [10] = 0xff, [11] = 0xff }, .port = port };

	if (six)
		memcpy(address.ip, ip, 16);
	else
		memcpy(address.ip + 12, ip, 4);
	return address;
}

int tcp_address_order(const struct tcp_address *a, const struct tcp_address *b)
{
	int order = memcmp(a->ip, b->ip, sizeof a->ip);

	return order ? order : (a->port > b->port) - (a->port < b->port);
}

/* ---- sock_diag ---- */

static bool ask(int fd, bool six)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} request = {
		.header = { .nlmsg_len = sizeof request,
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = six ? AF_INET6 : AF_INET,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 |
				1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel) == sizeof request;
}

/* Older kernels say so in place of an answer, newer ones in its end. */
static bool is_refusal(const struct tcp_table *table)
{
	int number = 0;

	if (table->answer.header.nlmsg_type == NLMSG_DONE && table->end >= NLMSG_HDRLEN + sizeof number)
		memcpy(&number, table->answer.bytes + NLMSG_HDRLEN, sizeof number);
	return table->answer.header.nlmsg_type == NLMSG_ERROR || number < 0;
}

/* The next datagram. False: there is none, or the kernel refuses. */
static bool receive(struct tcp_table *table)
{
	struct sockaddr_nl from = { 0 };
	socklen_t length = sizeof from;
	ssize_t n = recvfrom(
		table->fd, table->answer.bytes, sizeof table->answer.bytes, 0, (struct sockaddr *)&from, &length);

	if (from.nl_pid != 0)
		return false; /* not the kernel's */
	table->at = 0;
	table->end = n > 0 ? (size_t)n : 0;
	return n >= (ssize_t)sizeof(struct nlmsghdr) && !is_refusal(table);
}

static struct tcp_address address_of(const __be32 ip[4], __be16 port, bool six)
{
	uint8_t bytes[16];

	memcpy(bytes, ip, sizeof bytes);
	return tcp_address_of(bytes, six, ntohs(port));
}

static bool next_answer(struct tcp_table *table, struct tcp_socket *out)
{
	for (;;) {
		struct nlmsghdr header;
		struct inet_diag_msg body;

		if (table->end - table->at < sizeof header) {
			if (!receive(table))
				return false;
			continue;
		}
		memcpy(&header, table->answer.bytes + table->at, sizeof header);
		if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR ||
			header.nlmsg_len < sizeof header || header.nlmsg_len > table->end - table->at)
			return false;
		if (header.nlmsg_len < sizeof header + sizeof body)
			return false;
		memcpy(&body, table->answer.bytes + table->at + sizeof header, sizeof body);
		table->at += NLMSG_ALIGN(header.nlmsg_len);
		if (table->at > table->end)
			table->at = table->end;
		if (body.idiag_inode == 0)
			continue;
		out->local = address_of(body.id.idiag_src, body.id.idiag_sport, body.idiag_family == AF_INET6);
		out->remote = address_of(body.id.idiag_dst, body.id.idiag_dport, body.idiag_family == AF_INET6);
		out->user = body.idiag_uid;
		out->inode = body.idiag_inode;
		return true;
	}
}

/* ---- /proc ---- */

/* A line: number, local, remote, state, queues, timer, retries, user, timeout, inode. */
#define WORD_LOCAL  1
#define WORD_REMOTE 2
#define WORD_USER   7
#define WORD_INODE  9

/* The next word of a line of the kernel's; empty at its end. */
static struct span next_word(struct span *line)
{
	struct span word;
	size_t n = 0;

	while (line->length > 0 && line->at[0] == ' ')
		*line = span_skip(*line, 1);
	while (n < line->length && line->at[n] != ' ' && line->at[n] != '\n')
		n++;
	word = span_of(line->at, n);
	*line = span_skip(*line, n);
	return word;
}

static bool read_hex(struct span digits, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < digits.length; i++) {
		uint8_t c = digits.at[i] | 32;

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return digits.length > 0;
}

/* 0100007F:1538: words of four bytes as this machine has them in memory. */
static bool read_address(struct span word, struct tcp_address *out)
{
	bool six = word.length == 37;
	size_t digits = six ? 32 : 8;
	uint8_t ip[16];
	uint32_t value;

	if (word.length != digits + 5 || word.at[digits] != ':')
		return false;
	for (size_t i = 0; i < digits; i += 8) {
		if (!read_hex(span_of(word.at + i, 8), &value))
			return false;
		memcpy(ip + i / 2, &value, sizeof value);
	}
	if (!read_hex(span_skip(word, digits + 1), &value))
		return false;
	*out = tcp_address_of(ip, six, (uint16_t)value);
	return true;
}

static bool next_line(struct tcp_table *table, struct tcp_socket *out)
{
	int64_t user;

	while (fgets(table->answer.line, LINE_BYTES, table->text)) {
		struct span rest = span_text(table->answer.line), words[WORD_INODE + 1];

		for (size_t i = 0; i <= WORD_INODE; i++)
			words[i] = next_word(&rest);
		if (!read_address(words[WORD_LOCAL], &out->local) || !read_address(words[WORD_REMOTE], &out->remote) ||
			!text_to_i64(words[WORD_USER], &user) || !text_to_i64(words[WORD_INODE], &out->inode) ||
			out->inode <= 0)
			continue;
		out->user = (uint32_t)user;
		return true;
	}
	return false;
}

/* ---- both ---- */

static struct tcp_table *open_diag(bool six)
{
	static const struct timeval patience = { .tv_sec = 1 }; /* it answers at once */
	struct tcp_table *table = calloc(1, sizeof *table);

	if (!table)
		return NULL;
	table->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (table->fd >= 0)
		(void)setsockopt(table->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (table->fd >= 0 && ask(table->fd, six) && receive(table))
		return table;
	tcp_table_close(table);
	return NULL;
}

struct tcp_table *tcp_table_open_text(bool six)
{
	struct tcp_table *table = calloc(1, sizeof *table);

	if (!table)
		return NULL;
	table->fd = -1;
	table->text = fopen(six ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	if (table->text)
		return table;
	tcp_table_close(table);
	return NULL;
}

struct tcp_table *tcp_table_open(bool six)
{
	struct tcp_table *table = open_diag(six);

	return table ? table : tcp_table_open_text(six);
}

bool tcp_table_next(struct tcp_table *table, struct tcp_socket *out)
{
	return table->text ? next_line(table, out) : next_answer(table, out);
}

void tcp_table_close(struct tcp_table *table)
{
	if (!table)
		return;
	if (table->text)
		fclose(table->text);
	if (table->fd >= 0)
		close(table->fd);
	free(table);
}
