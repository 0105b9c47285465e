#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"
#include "io/private.h"
#include "io/tcp_table.h"

/* Other processes of this machine, by what the kernel says of them.
 *
 *   io/tcp_table.h  local and remote address, user, inode      of every TCP socket that is open
 *   /proc/N/fd      links to socket:[inode]                    which of them process N has open; for its own user and root
 *   /proc/N/task    a folder for each thread                   for everybody
 *   /proc/N/maps    the files that it has loaded               for its own user and root
 *
 * A client is found by its local address and the port that it is connected to, its process by the inode. */

bool process_words(uint32_t process, char *out, size_t size)
{
	char path[40], *text, error[8];
	size_t length;

	text_format(path, sizeof path, "/proc/%u/cmdline", process);
	if (!file_read(path, 4096, &text, &length, error, sizeof error))
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] == 0)
			text[i] = ' ';
	length = text_copy_span(out, size, text_trim(span_of(text, length)));
	free(text);
	return length > 0;
}

bool process_has_loaded(uint32_t process, const char *part)
{
	char path[40], text[4096];
	size_t all = 0, kept = 0, overlap = strlen(part) - 1;
	bool found = false;
	ssize_t n;
	int file;

	text_format(path, sizeof path, "/proc/%u/maps", process);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	while (!found && (n = read(file, text + kept, sizeof text - kept)) > 0) {
		all = kept + (size_t)n;
		found = memmem(text, all, part, overlap + 1) != NULL;
		kept = all < overlap ? all : overlap;
		memmove(text, text + all - kept, kept);
	}
	close(file);
	return found;
}

/* The socket of this connection. False: there is none such. */
static bool find_tcp(const struct process_peer *peer, struct tcp_socket *out)
{
	struct tcp_table *table = tcp_table_open(peer->six);
	struct tcp_address wanted = tcp_address_of(peer->ip, peer->six, peer->port);
	bool found = false, leads_there = false;
	struct tcp_socket socket;

	while (!leads_there && table && tcp_table_next(table, &socket)) {
		if (tcp_address_order(&socket.local, &wanted) != 0)
			continue;
		leads_there = socket.remote.port == peer->to_port;
		if (!found || leads_there)
			*out = socket;
		found = true;
	}
	tcp_table_close(table);
	return found;
}

static uint32_t count_threads(uint32_t process)
{
	char path[40];

	text_format(path, sizeof path, "/proc/%u/task", process);
	return (uint32_t)folder_count(path);
}

static int compare_inodes(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

int64_t *process_sockets(uint32_t process, size_t most, size_t *count)
{
	static const char before[] = "socket:[";
	char path[40], target[64];
	struct dirent *entry;
	size_t capacity = 0;
	int64_t *inodes = NULL;
	DIR *folder;

	*count = 0;
	text_format(path, sizeof path, "/proc/%u/fd", process);
	folder = opendir(path);
	while (folder && *count < most && (entry = readdir(folder))) {
		ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
		int64_t *more, inode;

		if (n < (ssize_t)sizeof before || memcmp(target, before, sizeof before - 1) != 0 ||
			!text_to_i64(span_of(target + sizeof before - 1, (size_t)n - sizeof before), &inode))
			continue;
		if (*count == capacity) {
			more = realloc(inodes, (capacity ? 2 * capacity : 64) * sizeof *inodes);
			if (!more)
				break;
			inodes = more;
			capacity = capacity ? 2 * capacity : 64;
		}
		inodes[(*count)++] = inode;
	}
	if (folder)
		closedir(folder);
	if (inodes)
		qsort(inodes, *count, sizeof *inodes, compare_inodes);
	return inodes;
}

bool process_look(uint32_t process, const struct process_peer *peer, struct process_look *out)
{
	struct tcp_socket one, other;
	struct tcp_table *table = NULL;
	size_t count = 0;
	int64_t *inodes = NULL;

	*out = (struct process_look){ .threads = count_threads(process) };
	if (out->threads > 0 && find_tcp(peer, &one))
		inodes = process_sockets(process, SIZE_MAX, &count);
	if (inodes)
		table = tcp_table_open(peer->six);
	while (table && tcp_table_next(table, &other))
		out->connections += tcp_address_order(&other.remote, &one.remote) == 0 &&
			bsearch(&other.inode, inodes, count, sizeof *inodes, compare_inodes);
	tcp_table_close(table);
	free(inodes);
	return out->connections > 0;
}

/* ---- whose sockets many are ---- */

struct sought {
	struct tcp_address local;
	int64_t inode;    /* 0: not found */
	bool leads_there; /* the connection that was found, and not only one from the same port */
	struct process_peer *peer;
};

static int compare_locals(const void *a, const void *b)
{
	return tcp_address_order(&((const struct sought *)a)->local, &((const struct sought *)b)->local);
}

static int compare_sought(const void *a, const void *b)
{
	return compare_inodes(&((const struct sought *)a)->inode, &((const struct sought *)b)->inode);
}

/* Which inodes they are, and whose. How many were found. */
static size_t seek_inodes(struct sought *list, size_t count, bool six)
{
	struct tcp_table *table = tcp_table_open(six);
	struct sought key, *found;
	struct tcp_socket socket;
	size_t n = 0;

	while (table && tcp_table_next(table, &socket)) {
		key.local = socket.local;
		found = bsearch(&key, list, count, sizeof *list, compare_locals);
		if (!found || found->leads_there)
			continue;
		found->leads_there = socket.remote.port == found->peer->to_port;
		if (found->inode > 0 && !found->leads_there)
			continue;
		n += found->inode == 0;
		found->inode = socket.inode;
		found->peer->user = socket.user;
	}
	tcp_table_close(table);
	return n;
}

/* Which of them, sorted by inode, this process has open. How many that nobody had yet. */
static size_t give_to(uint32_t process, struct sought *list, size_t count)
{
	size_t open = 0, n = 0;
	int64_t *inodes = process_sockets(process, SIZE_MAX, &open);
	struct sought key, *found;

	for (size_t i = 0; i < open; i++) {
		key.inode = inodes[i];
		found = bsearch(&key, list, count, sizeof *list, compare_sought);
		if (!found || found->peer->process > 0)
			continue;
		found->peer->process = process;
		n++;
	}
	free(inodes);
	return n;
}

void processes_of_peers(struct process_peer *peers, size_t count)
{
	struct sought *list = calloc(count + 1, sizeof *list);
	struct dirent *entry;
	size_t left = 0;
	int64_t number;
	DIR *folder;

	for (size_t i = 0; i < count; i++) {
		peers[i].process = 0;
		peers[i].user = UINT32_MAX;
		if (!list)
			continue;
		list[i].peer = &peers[i];
		list[i].local = tcp_address_of(peers[i].ip, peers[i].six, peers[i].port);
	}
	if (!list)
		return;
	qsort(list, count, sizeof *list, compare_locals);
	left = seek_inodes(list, count, false) + seek_inodes(list, count, true);
	qsort(list, count, sizeof *list, compare_sought);
	folder = left > 0 ? opendir("/proc") : NULL;
	while (folder && left > 0 && (entry = readdir(folder)))
		if (text_to_i64(span_text(entry->d_name), &number) && number > 0)
			left -= give_to((uint32_t)number, list, count);
	if (folder)
		closedir(folder);
	free(list);
}
