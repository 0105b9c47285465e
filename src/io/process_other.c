#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"

/* Other processes of this machine, by what /proc says of them.
 *
 *   /proc/net/tcp   local and remote address, user, inode      of every TCP socket
 *   /proc/N/fd      links to socket:[inode]                    which of them process N has open; for its own user and root
 *   /proc/N/task    a folder for each thread                   for everybody
 *
 * A client is found by its local address, its process by the inode. */

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

/* A line of /proc/net/tcp: number, local, remote, state, queues, timer, retries, user, timeout, inode. */
#define WORD_LOCAL  1
#define WORD_REMOTE 2
#define WORD_USER   7
#define WORD_INODE  9

struct tcp_line {
	char text[512];
	struct span local, remote;
	int64_t user, inode;
};

static FILE *open_tcp(bool six)
{
	return fopen(six ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
}

/* An address of IPv4 in the words of IPv6 (RFC 4291, 2.5.5.2), as sockets of Java are, is the same address. */
static struct span plain_address(struct span address)
{
	static const char before[] = "0000000000000000FFFF0000";
	size_t length = sizeof before - 1;

	return address.length > length && memcmp(address.at, before, length) == 0 ? span_skip(address, length)
										  : address;
}

/* The next socket of the table; false at its end. */
static bool next_tcp(FILE *table, struct tcp_line *line)
{
	while (fgets(line->text, sizeof line->text, table)) {
		struct span rest = span_text(line->text), words[WORD_INODE + 1];

		for (size_t i = 0; i <= WORD_INODE; i++)
			words[i] = next_word(&rest);
		line->local = plain_address(words[WORD_LOCAL]);
		line->remote = plain_address(words[WORD_REMOTE]);
		if (text_to_i64(words[WORD_USER], &line->user) && text_to_i64(words[WORD_INODE], &line->inode))
			return true;
	}
	return false;
}

/* An address as the table has it, but for plain_address: words of four bytes as this machine has them in memory. */
#define LOCAL_TEXT 48
static void format_local(char out[LOCAL_TEXT], const uint8_t *ip, bool six, uint16_t port)
{
	static const uint8_t before[12] = { [10] = 0xff, [11] = 0xff };
	size_t at = 0;

	if (six && memcmp(ip, before, sizeof before) == 0) {
		ip += sizeof before;
		six = false;
	}
	for (size_t i = 0; i < (six ? 16 : 4); i += 4) {
		uint32_t word;

		memcpy(&word, ip + i, sizeof word);
		at += text_format(out + at, LOCAL_TEXT - at, "%08X", word);
	}
	text_format(out + at, LOCAL_TEXT - at, ":%04X", port);
}

/* The socket that is bound to this address, from the kernel's table. False: it has none such. */
static bool find_tcp(const uint8_t *ip, bool six, uint16_t port, struct tcp_line *line)
{
	FILE *table = open_tcp(six);
	char wanted[LOCAL_TEXT];
	bool found = false;

	if (!table)
		return false;
	format_local(wanted, ip, six, port);
	while (!found && next_tcp(table, line))
		found = line->inode > 0 && span_is(line->local, wanted);
	fclose(table);
	return found;
}

static uint32_t count_threads(uint32_t process)
{
	char path[40];
	struct dirent *entry;
	uint32_t count = 0;
	DIR *folder;

	text_format(path, sizeof path, "/proc/%u/task", process);
	folder = opendir(path);
	if (!folder)
		return 0;
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
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

bool process_look(uint32_t process, const uint8_t *ip, bool six, uint16_t port, struct process_look *out)
{
	struct tcp_line one, line;
	size_t count = 0;
	int64_t *inodes = NULL;
	FILE *table = NULL;

	*out = (struct process_look){ .threads = count_threads(process) };
	if (out->threads > 0 && find_tcp(ip, six, port, &one))
		inodes = process_sockets(process, SIZE_MAX, &count);
	if (inodes)
		table = open_tcp(six);
	while (table && next_tcp(table, &line))
		out->connections += span_equal(line.remote, one.remote) &&
			bsearch(&line.inode, inodes, count, sizeof *inodes, compare_inodes);
	if (table)
		fclose(table);
	free(inodes);
	return out->connections > 0;
}

/* ---- whose sockets many are ---- */

struct sought {
	char local[LOCAL_TEXT];
	int64_t inode; /* 0: not found */
	struct process_peer *peer;
};

static int compare_locals(const void *a, const void *b)
{
	return strcmp(((const struct sought *)a)->local, ((const struct sought *)b)->local);
}

static int compare_sought(const void *a, const void *b)
{
	return compare_inodes(&((const struct sought *)a)->inode, &((const struct sought *)b)->inode);
}

/* Which inodes they are, and whose. How many were found. */
static size_t seek_inodes(struct sought *list, size_t count, bool six)
{
	FILE *table = open_tcp(six);
	struct tcp_line line;
	struct sought key, *found;
	size_t n = 0;

	while (table && next_tcp(table, &line)) {
		text_copy_span(key.local, sizeof key.local, line.local);
		found = line.inode > 0 ? bsearch(&key, list, count, sizeof *list, compare_locals) : NULL;
		if (!found || found->inode > 0)
			continue;
		found->inode = line.inode;
		found->peer->user = (uint32_t)line.user;
		n++;
	}
	if (table)
		fclose(table);
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
		format_local(list[i].local, peers[i].ip, peers[i].six, peers[i].port);
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

uint32_t process_of_peer(const uint8_t *ip, bool six, uint16_t port, uint32_t *user)
{
	struct process_peer peer = { .six = six, .port = port };

	memcpy(peer.ip, ip, six ? 16 : 4);
	processes_of_peers(&peer, 1);
	*user = peer.user;
	return peer.process;
}
