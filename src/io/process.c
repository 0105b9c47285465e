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
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "io/file.h"

/* This process among the others: its number, its file, its user, its limits. Called from the main thread, before other
 * threads begin (but for process_id and process_user).
 *
 * The pid file is made with O_EXCL, so of two processes that start together one wins. One that is there already counts
 * only if it names a living process: a machine that lost power leaves it behind. */

static char our_pidfile[PATH_MAX];

static const char *our_name;

static void look_at_output(void)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return;
	/* Who reads no more has said so by leaving. */
	if (errno == EPIPE)
		return;
	fprintf(stderr, "%s: its output could not be written%s%s\n", our_name, errno ? ": " : "",
		errno ? strerror(errno) : "");
	_exit(1);
}

void process_standard(const char *program)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
	our_name = program;
	atexit(look_at_output);
}

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

/* Kept whole: whoever removes it may stand in another folder. */
static bool make_absolute(const char *path, char absolute[PATH_MAX], char *error, size_t size)
{
	char folder[PATH_MAX];
	size_t n;

	if (path[0] == '/') {
		if (text_copy(absolute, PATH_MAX, path) != strlen(path))
			return refuse(error, size, path, strerror(ENAMETOOLONG));
		return true;
	}
	if (!getcwd(folder, sizeof folder))
		return refuse(error, size, path, strerror(errno));
	n = text_format(absolute, PATH_MAX, "%.2000s/%.2000s", folder, path);
	return n == strlen(folder) + 1 + strlen(path) || refuse(error, size, path, strerror(ENAMETOOLONG));
}

/* Our number into the new file `at`; `path` is what it will be known by. */
static bool write_number(int fd, const char *at, const char *path, char *error, size_t size)
{
	char line[24];
	size_t n = text_format(line, sizeof line, "%d\n", (int)getpid());

	errno = ENOSPC;
	if (write(fd, line, n) != (ssize_t)n) {
		refuse(error, size, path, strerror(errno));
		close(fd);
		unlink(at);
		return false;
	}
	close(fd);
	return true;
}

static bool refuse_running(char *error, size_t size, const char *path, pid_t other)
{
	char why[64];

	text_format(why, sizeof why, "process %d, which it names, is running", (int)other);
	return refuse(error, size, path, why);
}

bool pidfile_is_free(const char *path, char *error, size_t size)
{
	char absolute[PATH_MAX];
	pid_t other;

	if (!make_absolute(path, absolute, error, size))
		return false;
	other = pid_in(absolute);
	return !alive(other) || refuse_running(error, size, path, other);
}

bool pidfile_write(const char *path, char *error, size_t size)
{
	char absolute[PATH_MAX];
	int fd;

	if (!make_absolute(path, absolute, error, size))
		return false;
	fd = open(absolute, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		pid_t other = pid_in(absolute);

		if (alive(other))
			return refuse_running(error, size, path, other);
		if (unlink(absolute) != 0 && errno != ENOENT)
			return refuse(error, size, path, strerror(errno));
		fd = open(absolute, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	}
	if (fd < 0)
		return refuse(error, size, path, strerror(errno));
	if (!write_number(fd, absolute, path, error, size))
		return false;
	text_copy(our_pidfile, sizeof our_pidfile, absolute);
	return true;
}

bool pidfile_take_over(const char *path, char *error, size_t size)
{
	char absolute[PATH_MAX], beside[PATH_MAX + 24];
	int fd;

	if (!make_absolute(path, absolute, error, size))
		return false;
	text_format(beside, sizeof beside, "%s.%d", absolute, (int)getpid());
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return refuse(error, size, path, strerror(errno));
	if (!write_number(fd, beside, path, error, size))
		return false;
	if (rename(beside, absolute) != 0) {
		refuse(error, size, path, strerror(errno));
		unlink(beside);
		return false;
	}
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
		return no_user(error, size, user,
			errno == EPERM ? "only root can; start it as that user, or leave `user` out" : strerror(errno));
	if (entry->pw_uid != 0 && setuid(0) == 0)
		return no_user(error, size, user, "the way back to root is still open");
	return true;
}

/* By the kernel's word for our own file, so that neither PATH nor a link nor the current folder decides which program runs. */
static bool path_beside(const char *name, char path[PATH_MAX], char *error, size_t error_size)
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (length < 0) {
		text_format(error, error_size, "could not find this program's own file: /proc/self/exe: %s",
			strerror(errno));
		return false;
	}
	path[length] = 0;
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= PATH_MAX) {
		text_format(error, error_size, "the path of \"%s\" is too long", name);
		return false;
	}
	text_copy(slash + 1, PATH_MAX - (size_t)(slash + 1 - path), name);
	return true;
}

void process_exec_beside(const char *name, char **arguments, char *error, size_t error_size)
{
	char path[PATH_MAX];

	if (!path_beside(name, path, error, error_size))
		return;
	execv(path, arguments);
	text_format(error, error_size, "could not start \"%s\": %s", path, strerror(errno));
}

/* All that comes until the end, of which the last `size` - 1 bytes are kept. */
static void read_last(int fd, char *said, size_t size)
{
	char more[1024];
	size_t kept = 0;
	ssize_t n;

	while ((n = read(fd, more, sizeof more)) > 0 || (n < 0 && errno == EINTR)) {
		size_t come = n > 0 ? (size_t)n : 0, begin = come >= size ? come - size + 1 : 0;
		size_t room = size - 1 - (come - begin), drop = kept > room ? kept - room : 0;

		memmove(said, said + drop, kept - drop);
		kept -= drop;
		memcpy(said + kept, more + begin, come - begin);
		kept += come - begin;
	}
	said[kept] = 0;
}

int process_run_beside(const char *name, char **arguments, char *said, size_t size)
{
	char path[PATH_MAX];
	int ends[2], status;
	pid_t child;

	if (!path_beside(name, path, said, size))
		return -1;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		text_copy(said, size, strerror(errno));
		return -1;
	}
	child = fork();
	if (child < 0) {
		text_copy(said, size, strerror(errno));
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	if (child == 0) {
		if (dup2(ends[1], STDERR_FILENO) >= 0)
			execv(path, arguments);
		_exit(127);
	}
	close(ends[1]);
	read_last(ends[0], said, size);
	close(ends[0]);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) != 127 ? WEXITSTATUS(status) : -1;
}
