#include "io/visitors.h"

#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/text.h"
#include "io/diag.h"
#include "io/file.h"

/* Who waits for a process, and for whom it waits.
 *
 *   sock_diag, LISTEN        the ports at which somebody listens
 *   sock_diag, ESTABLISHED   of each connection: ends, inode, what is unread, when bytes were sent and came for the last time
 *   /proc/N/fd               which of them are the process's
 *   /proc/N/task/M/schedstat how long each thread has worked, and waited for a processor
 *
 * A connection whose own end has a port at which somebody listens was made by a visitor. Everything is bounded: whoever has more sockets
 * or threads than that is judged by the first, and a machine with more connections is not looked at. */
#define SOCKETS_MOST     8192 /* of one process */
#define THREADS_MOST     64
#define CONNECTIONS_MOST 65536 /* of the machine */
#define ANSWER_ROOM      32768 /* bytes of one answer of netlink's */
#define ANSWER_WAIT_US   200000

#define STATE(number)    (1U << (number))

struct seen {
	struct visited *at;
	int64_t *inodes; /* sorted */
	size_t count;
	bool known; /* the one connection that it must have was there */
};

struct look {
	struct seen *seen;
	size_t count;
	uint8_t listens[65536 / 8];
	uint8_t answer[ANSWER_ROOM];
	size_t connections;
};

static int compare_inodes(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

/* The number before the next space, which is taken away as well. */
static bool next_number(struct span *rest, int64_t *out)
{
	size_t n = 0;
	bool good;

	while (n < rest->length && rest->at[n] != ' ')
		n++;
	good = text_to_i64(span_of(rest->at, n), out);
	*rest = span_skip(*rest, n < rest->length ? n + 1 : n);
	return good;
}

/* For how long one thread has worked, and waited for a processor. False: it is gone, or the kernel does not say. */
static bool thread_worked(uint32_t process, int64_t thread, time_us *worked)
{
	char path[80], *text, error[8];
	int64_t works = 0, waits = 0;
	struct span rest;
	size_t length;
	bool good;

	text_format(path, sizeof path, "/proc/%u/task/%lld/schedstat", process, (long long)thread);
	if (!file_read(path, 256, &text, &length, error, sizeof error))
		return false;
	rest = span_of(text, length);
	good = next_number(&rest, &works) && next_number(&rest, &waits);
	free(text);
	if (good)
		*worked += (works + waits) / 1000;
	return good;
}

static bool process_worked(uint32_t process, time_us *worked)
{
	unsigned known = 0, seen = 0;
	struct dirent *entry;
	char path[40];
	int64_t thread;
	DIR *folder;

	*worked = 0;
	text_format(path, sizeof path, "/proc/%u/task", process);
	folder = opendir(path);
	while (folder && seen < THREADS_MOST && (entry = readdir(folder))) {
		if (!text_to_i64(span_text(entry->d_name), &thread))
			continue;
		seen++;
		known += thread_worked(process, thread, worked);
	}
	if (folder)
		closedir(folder);
	return known > 0;
}

static void note_listener(struct look *look, const struct diag_socket *socket)
{
	look->listens[socket->local_port / 8] |= (uint8_t)(1U << (socket->local_port % 8));
}

static bool is_visitor(const struct look *look, const struct diag_socket *socket)
{
	return look->listens[socket->local_port / 8] >> (socket->local_port % 8) & 1;
}

static void note_visitor(struct visited *at, const struct diag_socket *socket)
{
	time_us waits = (time_us)socket->heard * MILLISECOND_US;

	if (diag_turn_of(socket) != DIAG_OURS || waits < at->patience)
		return;
	at->waiting++;
	if (waits > at->newest)
		return;
	at->since++;
	at->read += socket->unread == 0;
	at->longest = waits > at->longest ? waits : at->longest;
}

static void note_partner(struct visited *at, const struct diag_socket *socket)
{
	bool asks = socket->state == TCP_ESTABLISHED && diag_turn_of(socket) == DIAG_THEIRS &&
		(time_us)socket->said * MILLISECOND_US >= at->patience;

	at->partners += asks || socket->state == TCP_SYN_SENT;
}

/* The same address, perhaps as IPv6 writes one of IPv4: sockets of Java are so. */
static bool is_own(const struct visited *at, const struct diag_socket *socket)
{
	static const uint8_t before[12] = { [10] = 0xff, [11] = 0xff };

	if (socket->local_port != at->port)
		return false;
	if (socket->six && !at->six)
		return memcmp(socket->local, before, sizeof before) == 0 &&
			memcmp(socket->local + sizeof before, at->ip, 4) == 0;
	return socket->six == at->six && memcmp(socket->local, at->ip, at->six ? 16 : 4) == 0;
}

static void note_connection(struct look *look, const struct diag_socket *socket)
{
	int64_t inode = socket->inode;

	for (size_t i = 0; inode > 0 && i < look->count; i++) {
		struct seen *seen = &look->seen[i];
		struct visited *at = seen->at;

		if (!seen->inodes || !bsearch(&inode, seen->inodes, seen->count, sizeof inode, compare_inodes))
			continue;
		seen->known = seen->known || is_own(at, socket);
		if (is_visitor(look, socket))
			note_visitor(at, socket);
		else
			note_partner(at, socket);
	}
}

static bool ask(int fd, int family, uint32_t states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} question = { .header = { .nlmsg_len = sizeof question,
			       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = (uint8_t)family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1U << (INET_DIAG_INFO - 1),
			.idiag_states = states } };

	return send(fd, &question, sizeof question, 0) == (ssize_t)sizeof question;
}

/* All sockets of these states. False: the kernel does not say, or there are too many. */
static bool list(
	struct look *look, int fd, int family, uint32_t states, void (*note)(struct look *, const struct diag_socket *))
{
	enum diag_answer answer = DIAG_MORE;
	struct diag_socket socket;
	struct span bytes;
	ssize_t n;

	if (!ask(fd, family, states))
		return false;
	while (answer == DIAG_MORE) {
		n = recv(fd, look->answer, sizeof look->answer, 0);
		if (n <= 0)
			return false;
		bytes = span_of(look->answer, (size_t)n);
		while ((answer = diag_next(&bytes, &socket)) == DIAG_SOCKET) {
			if (++look->connections > CONNECTIONS_MOST)
				return false;
			note(look, &socket);
		}
	}
	return answer == DIAG_DONE;
}

static bool list_all(struct look *look)
{
	static const int families[] = { AF_INET, AF_INET6 };
	uint32_t open = STATE(TCP_ESTABLISHED) | STATE(TCP_SYN_SENT) | STATE(TCP_CLOSE_WAIT);
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct timeval patience = { .tv_usec = ANSWER_WAIT_US };
	bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0;

	for (size_t i = 0; i < 2 && good; i++)
		good = list(look, fd, families[i], STATE(TCP_LISTEN), note_listener);
	for (size_t i = 0; i < 2 && good; i++)
		good = list(look, fd, families[i], open, note_connection);
	if (fd >= 0)
		close(fd);
	return good;
}

void visitors_look(struct visited *visited, size_t count)
{
	struct look *look = calloc(1, sizeof *look);
	bool any = false, good = false;

	if (look)
		look->seen = calloc(count + 1, sizeof *look->seen);
	for (size_t i = 0; i < count; i++) {
		struct visited *at = &visited[i];

		at->known = false;
		at->waiting = at->since = at->read = at->partners = 0;
		at->longest = at->worked = 0;
		if (!look || !look->seen)
			continue;
		look->seen[i].at = at;
		if (process_worked(at->process, &at->worked))
			look->seen[i].inodes = process_sockets(at->process, SOCKETS_MOST, &look->seen[i].count);
		any |= look->seen[i].inodes != NULL;
	}
	if (look)
		look->count = count;
	if (any)
		good = list_all(look);
	for (size_t i = 0; look && look->seen && i < count; i++) {
		visited[i].known = good && look->seen[i].known;
		free(look->seen[i].inodes);
	}
	if (look)
		free(look->seen);
	free(look);
}
