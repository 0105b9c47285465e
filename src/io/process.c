#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"

/* This process among the others: its number, its file, its user, its limits. Called from the main thread, before other
 * threads begin (but for process_id and process_user).
 *
 * The pid file is made with O_EXCL, so of two processes that start together one wins. One that is there already counts
 * only if it names a living process: a machine that lost power leaves it behind. */

static char our_pidfile[PATH_MAX];

uint32_t process_id(void)
{
	return (uint32_t)getpid();
}

uint32_t process_user(void)
{
	return (uint32_t)geteuid();
}

bool user_name(uint32_t user, char *out, size_t size)
{
	struct passwd entry, *found = NULL;
	char room[4096];

	if (getpwuid_r(user, &entry, room, sizeof room, &found) != 0 || !found || strlen(found->pw_name) >= size)
		return false;
	text_copy(out, size, found->pw_name);
	return true;
}

/* The number in it, or 0. */
static pid_t pid_in(const char *path)
{
	char *text, error[8];
	size_t length;
	int64_t pid = 0;

	if (!file_read(path, 64, &text, &length, error, sizeof error))
		return 0;
	if (!text_to_i64(text_trim(span_of(text, length)), &pid) || pid < 1 || pid > INT32_MAX)
		pid = 0;
	free(text);
	return (pid_t)pid;
}

static bool alive(pid_t pid)
{
	return pid > 0 && pid != getpid() && (kill(pid, 0) == 0 || errno == EPERM);
}

static bool refuse(char *error, size_t size, const char *path, const char *why)
{
	text_format(error, size, "could not write pid file \"%s\": %s", path, why);
	return false;
}

bool pidfile_write(const char *path, char *error, size_t size)
{
	char absolute[PATH_MAX], line[24], why[64];
	size_t n;
	int fd;

	if (path[0] == '/') {
		if (text_copy(absolute, sizeof absolute, path) != strlen(path))
			return refuse(error, size, path, strerror(ENAMETOOLONG));
	} else {
		/* kept whole: whoever removes it may stand in another folder */
		char folder[PATH_MAX];

		if (!getcwd(folder, sizeof folder))
			return refuse(error, size, path, strerror(errno));
		n = text_format(absolute, sizeof absolute, "%.2000s/%.2000s", folder, path);
		if (n != strlen(folder) + 1 + strlen(path))
			return refuse(error, size, path, strerror(ENAMETOOLONG));
	}
	fd = open(absolute, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		pid_t other = pid_in(absolute);

		if (alive(other)) {
			text_format(why, sizeof why, "process %d, which it names, is running", (int)other);
			return refuse(error, size, path, why);
		}
		if (unlink(absolute) != 0 && errno != ENOENT)
			return refuse(error, size, path, strerror(errno));
		fd = open(absolute, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	}
	if (fd < 0)
		return refuse(error, size, path, strerror(errno));
	n = text_format(line, sizeof line, "%d\n", (int)getpid());
	errno = ENOSPC;
	if (write(fd, line, n) != (ssize_t)n) {
		refuse(error, size, path, strerror(errno));
		close(fd);
		unlink(absolute);
		return false;
	}
	close(fd);
	text_copy(our_pidfile, sizeof our_pidfile, absolute);
	return true;
}

void pidfile_remove(void)
{
	if (our_pidfile[0] && pid_in(our_pidfile) == getpid())
		unlink(our_pidfile);
	our_pidfile[0] = 0;
}

uint64_t descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	if (limit.rlim_cur != limit.rlim_max) {
		struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return limit.rlim_cur;
}

uint64_t descriptors_allow(uint64_t most)
{
	struct rlimit limit, allowed;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	allowed = (struct rlimit){ .rlim_cur = most < limit.rlim_max ? most : limit.rlim_max,
		.rlim_max = limit.rlim_max };
	return setrlimit(RLIMIT_NOFILE, &allowed) == 0 ? allowed.rlim_cur : limit.rlim_cur;
}

static bool no_user(char *error, size_t size, const char *user, const char *why)
{
	text_format(error, size, "could not become user \"%s\": %s", user, why);
	return false;
}

bool process_become(const char *user, char *error, size_t size)
{
	const struct passwd *entry;
	int64_t number;

	errno = 0;
	entry = getpwnam(user);
	if (!entry && text_to_i64(span_text(user), &number) && number >= 0 && number < UINT32_MAX)
		entry = getpwuid((uid_t)number);
	if (!entry)
		return no_user(error, size, user, errno && errno != ENOENT ? strerror(errno) : "there is no such user");
	if (geteuid() == entry->pw_uid && getuid() == entry->pw_uid)
		return true;
	if (initgroups(entry->pw_name, entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 || setuid(entry->pw_uid) != 0)
		return no_user(error, size, user, strerror(errno));
	if (entry->pw_uid != 0 && setuid(0) == 0)
		return no_user(error, size, user, "the way back to root is still open");
	return true;
}

bool process_daemon(char *error, size_t size)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child;

	if (null < 0)
		goto failed;
	/* Twice: the second child leads no session, so it can never get a terminal. */
	for (int i = 0; i < 2; i++) {
		child = fork();
		if (child < 0)
			goto failed;
		if (child > 0)
			_exit(0);
		if (i == 0 && setsid() < 0)
			goto failed;
	}
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			goto failed;
	if (null > 2)
		close(null);
	return true;

failed:
	text_format(error, size, "could not go to the background: %s", strerror(errno));
	if (null > 2)
		close(null);
	return false;
}

/* By the kernel's word for our own file, so that neither PATH nor a link nor the current folder decides which program runs. */
void process_exec_beside(const char *name, char **arguments, char *error, size_t error_size)
{
	char path[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	if (length < 0) {
		text_format(error, error_size, "could not find this program's own file: /proc/self/exe: %s",
			strerror(errno));
		return;
	}
	path[length] = 0;
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= sizeof path) {
		text_format(error, error_size, "the path of \"%s\" is too long", name);
		return;
	}
	text_copy(slash + 1, sizeof path - (size_t)(slash + 1 - path), name);
	execv(path, arguments);
	text_format(error, error_size, "could not start \"%s\": %s", path, strerror(errno));
}

/* ---- other processes of this machine ---- */

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

/* Words of a line of /proc/net/tcp: number, local, remote, state, queues, timer, retries, user, timeout, inode. */
#define WORD_LOCAL 1
#define WORD_USER  7
#define WORD_INODE 9

/* The inode and the owner of the TCP socket that is bound to this address, from the kernel's table. 0: it has none such. */
static int64_t inode_of(const uint8_t *ip, bool six, uint16_t port, uint32_t *user)
{
	FILE *table = fopen(six ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	char text[512], wanted[48];
	int64_t inode = 0, uid = 0;
	size_t at = 0;

	if (!table)
		return 0;
	/* Words of four bytes as this machine has them in memory. */
	for (size_t i = 0; i < (six ? 16 : 4); i += 4) {
		uint32_t word;

		memcpy(&word, ip + i, sizeof word);
		at += text_format(wanted + at, sizeof wanted - at, "%08X", word);
	}
	text_format(wanted + at, sizeof wanted - at, ":%04X", port);
	while (inode == 0 && fgets(text, sizeof text, table)) {
		struct span line = span_text(text), words[WORD_INODE + 1];

		for (size_t i = 0; i <= WORD_INODE; i++)
			words[i] = next_word(&line);
		if (!span_is(words[WORD_LOCAL], wanted) || !text_to_i64(words[WORD_USER], &uid) ||
			!text_to_i64(words[WORD_INODE], &inode))
			inode = 0;
	}
	fclose(table);
	if (inode > 0)
		*user = (uint32_t)uid;
	return inode;
}

/* Does this process have the socket open? */
static bool has_socket(const char *process, const char *socket)
{
	char path[300], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *folder;

	text_format(path, sizeof path, "/proc/%.20s/fd", process);
	folder = opendir(path);
	if (!folder)
		return false;
	while (!found && (entry = readdir(folder))) {
		ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);

		target[n > 0 ? n : 0] = 0;
		found = strcmp(target, socket) == 0;
	}
	closedir(folder);
	return found;
}

uint32_t process_of_peer(const uint8_t *ip, bool six, uint16_t port, uint32_t *user)
{
	int64_t inode;
	char socket[48];
	struct dirent *entry;
	int64_t process = 0, number;
	DIR *folder;

	*user = UINT32_MAX;
	inode = inode_of(ip, six, port, user);
	folder = inode > 0 ? opendir("/proc") : NULL;
	if (!folder)
		return 0;
	text_format(socket, sizeof socket, "socket:[%lld]", (long long)inode);
	while (process == 0 && (entry = readdir(folder)))
		if (text_to_i64(span_text(entry->d_name), &number) && number > 0 && has_socket(entry->d_name, socket))
			process = number;
	closedir(folder);
	return (uint32_t)process;
}
